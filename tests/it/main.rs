//! End-to-end tests: the server through HTTP, on the database that `ENDCHECK_TEST_DATABASE` names,
//! and the field agent in process.

#[cfg(test)]
mod auth;
#[cfg(test)]
mod backup;
#[cfg(test)]
mod bag;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod drill;
#[cfg(test)]
mod hand;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod intake;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod judges;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod licences;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod migrations;
#[cfg(test)]
mod observe;
#[cfg(test)]
mod office;
#[cfg(test)]
mod pictures;
#[cfg(test)]
mod planning;
#[cfg(test)]
mod planning_guards;
#[cfg(test)]
mod programme;
#[cfg(test)]
mod python;
#[cfg(test)]
mod races;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod reviews;
#[cfg(test)]
mod sealing;
#[cfg(test)]
mod selection;
#[cfg(test)]
mod selection_guards;
#[cfg(test)]
mod serials;
#[cfg(test)]
mod serials_pages;
#[cfg(test)]
mod stick;
#[cfg(test)]
mod story;
#[cfg(test)]
mod tablet;
#[cfg(test)]
mod tus_clients;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod verify;
#[cfg(test)]
mod visits;
#[cfg(test)]
mod witness;
