//! Risk: which shipments are to be verified, by a policy that two people put into force, and a draw that anybody
//! can repeat.
//!
//! A score chooses where to look. It decides nothing about anybody.

pub mod assess;
pub mod draw;
pub mod facts;
pub mod language;
pub mod policy;
pub mod sample;

use policy::Policy;

/// The policy that comes with the program; it is in force only once two people put it there.
pub const DEFAULT_POLICY: &[u8] = include_bytes!("../../policies/default.toml");

/// The examples of a policy that do not come out as it says, each in a sentence.
#[must_use]
pub fn failing_cases(policy: &Policy) -> Vec<String> {
    let assessor = assess::Assessor::new(policy);
    let mut failing = Vec::new();
    for case in &policy.cases {
        let outcome = facts::Facts::from_named(&case.facts)
            .and_then(|facts| assessor.assess(&case.name, &facts, policy.review_by));
        match outcome {
            Ok(assessment) if (assessment.points, assessment.band) == (case.points, case.band) => {}
            Ok(assessment) => {
                let rules: Vec<String> =
                    assessment.rules.iter().map(|rule| format!("{} {}", rule.id, rule.points)).collect();
                failing.push(format!(
                    "{:?} comes to {} points, {}, instead of {}, {}: {}",
                    case.name,
                    assessment.points,
                    assessment.band.as_str(),
                    case.points,
                    case.band.as_str(),
                    rules.join(", ")
                ));
            }
            Err(error) => failing.push(format!("{:?}: {error}", case.name)),
        }
    }
    failing
}
