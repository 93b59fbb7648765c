//! What is wrong with a file: a list that names the first faults and counts the rest.

use endcheck_protocol::problem::{FieldProblem, Problem};

use crate::error::{Error, Result};

/// Faults beyond this are counted, not listed.
pub const MAX_LISTED: usize = 1000;

/// Where a row stands, so that a fault can be found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// Counted from 1; absent for a row that came alone.
    pub line: Option<u64>,
    /// Before the field's name, such as `[3].` or `features[3].`; empty in CSV.
    pub path: String,
}

impl Place {
    #[must_use]
    pub fn line(line: u64) -> Self {
        Self { line: Some(line), path: String::new() }
    }

    fn problem(&self, field: &str, reason: impl Into<String>) -> FieldProblem {
        FieldProblem { line: self.line, field: format!("{}{field}", self.path), reason: reason.into() }
    }
}

/// The faults found so far.
#[derive(Debug, Default)]
pub struct Faults {
    listed: Vec<FieldProblem>,
    count: u64,
    not_json: bool,
}

impl Faults {
    pub fn add(&mut self, place: &Place, field: &str, reason: impl Into<String>) {
        self.count += 1;
        if self.listed.len() < MAX_LISTED {
            self.listed.push(place.problem(field, reason));
        }
    }

    /// Says that what should be JSON is none, so that nothing in it could be looked at.
    pub fn not_json(&mut self) {
        self.not_json = true;
    }

    /// How many there are, listed or not.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// In the order of the file.
    #[must_use]
    pub fn into_listed(mut self) -> Vec<FieldProblem> {
        self.listed.sort_by_key(|fault| fault.line);
        self.listed
    }

    /// Nothing, when there are none.
    ///
    /// # Errors
    /// 422 `invalid-fields` with the listed faults; its detail says how many more there are. 400
    /// `malformed-json` where it is no JSON.
    pub fn into_result(self) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let detail = match (self.count, self.listed.as_slice()) {
            (1, [one]) => format!("{}: {} Nothing was written.", one.field, sentence(&one.reason)),
            (count, listed) if count > listed.len() as u64 => {
                format!("{count} faults; the first {} are listed. Nothing was written.", listed.len())
            }
            (count, _) => format!("{count} faults; each is listed. Nothing was written."),
        };
        let mut problem = if self.not_json {
            Problem::new(400, "malformed-json", "The request cannot be understood", detail)
        } else {
            Problem::new(422, "invalid-fields", "Some fields are not valid", detail)
        };
        problem.errors = self.into_listed();
        Err(Error::Refused(Box::new(problem)))
    }
}

fn sentence(reason: &str) -> String {
    if reason.ends_with('.') { reason.to_owned() } else { format!("{reason}.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_beyond_the_limit_are_counted() {
        let mut faults = Faults::default();
        for line in (1..=1500).rev() {
            faults.add(&Place::line(line), "key", "is missing");
        }
        let Err(Error::Refused(problem)) = faults.into_result() else { panic!("no faults") };
        assert_eq!(problem.errors.len(), MAX_LISTED);
        assert!(problem.detail.starts_with("1500 faults; the first 1000"), "{}", problem.detail);
        assert!(problem.errors.is_sorted_by_key(|fault| fault.line));
        assert!(Faults::default().into_result().is_ok());
    }
}
