//! End-to-end tests: the server through HTTP, on the database that `ENDCHECK_TEST_DATABASE` names.

#[cfg(test)]
mod drill;
#[cfg(test)]
mod licences;
#[cfg(test)]
mod migrations;
#[cfg(test)]
mod refusals;
