//! What stands against a favourable determination: facts by name. People decide; this only refuses to
//! let `favourable` be recorded while something required is missing.

use serde::Serialize;

use super::answer::{Answer, serials_match};
use super::evaluate::{Missing, evaluate, is_left_out, status_of};
use super::freeze::{Checklist, ChecklistItem};
use super::state::{ItemStatus, State, VisitOutcome};
use super::template::EvidenceKind;
use super::words::QuestionId;
use crate::ids::ItemId;

/// The purpose of the paper that accounts for an item which no longer exists.
const CERTIFICATE: &str = "certificate";

/// One fact that stands against `favourable`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    pub kind: ObstacleKind,
    /// The fact in English.
    pub sentence: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObstacleKind {
    VisitNotClosed,
    /// The visit ended otherwise than completed.
    Outcome(VisitOutcome),
    Missing(Box<Missing>),
    ItemNotSighted {
        item: ItemId,
        status: ItemStatus,
    },
    /// The item is recorded as sighted, but the serial read is not the declared one.
    SerialDiffers {
        item: ItemId,
        question: QuestionId,
    },
    /// There are items, and none of them was seen or accounted for.
    NothingSighted,
}

/// All that stands against a favourable determination; empty when nothing does.
///
/// An item left out of headquarters' sample is no obstacle, nor is one destroyed, expended or
/// demilitarised for which a document with the purpose `certificate` is held.
#[must_use]
pub fn favourable_obstacles(checklist: &Checklist, state: &State) -> Vec<Obstacle> {
    let mut obstacles: Vec<Obstacle> = outcome_obstacle(state.outcome).into_iter().collect();
    obstacles.extend(evaluate(checklist, state).missing.into_iter().map(|missing| Obstacle {
        sentence: missing.sentence.clone(),
        kind: ObstacleKind::Missing(Box::new(missing)),
    }));
    let mut accounted = 0_usize;
    for item in &checklist.items {
        match item_obstacle(item, state) {
            Some(obstacle) => obstacles.push(obstacle),
            None => accounted += usize::from(status_of(item, state) != Some(ItemStatus::NotSampled)),
        }
        obstacles.extend(serial_obstacles(item, state));
    }
    if accounted == 0 && !checklist.items.is_empty() {
        obstacles.push(Obstacle {
            kind: ObstacleKind::NothingSighted,
            sentence: format!("none of the {} items was sighted", checklist.items.len()),
        });
    }
    obstacles
}

fn outcome_obstacle(outcome: Option<VisitOutcome>) -> Option<Obstacle> {
    match outcome {
        Some(VisitOutcome::Completed) => None,
        Some(outcome) => Some(Obstacle {
            kind: ObstacleKind::Outcome(outcome),
            sentence: format!("the visit was closed as {}, not completed", outcome.as_str()),
        }),
        None => Some(Obstacle {
            kind: ObstacleKind::VisitNotClosed,
            sentence: "the visit is not closed".to_owned(),
        }),
    }
}

fn item_obstacle(item: &ChecklistItem, state: &State) -> Option<Obstacle> {
    let status = status_of(item, state)?;
    let accounted = match status {
        ItemStatus::Sighted => true,
        ItemStatus::NotSampled => is_left_out(item, state),
        ItemStatus::Destroyed | ItemStatus::Expended | ItemStatus::Demilitarised => {
            has_certificate(item, state)
        }
        _ => false,
    };
    (!accounted).then(|| Obstacle {
        sentence: format!("item {} ({}) is {}", item.label(), item.description, status.as_str()),
        kind: ObstacleKind::ItemNotSighted { item: item.id.clone(), status },
    })
}

fn has_certificate(item: &ChecklistItem, state: &State) -> bool {
    state.evidence.iter().any(|held| {
        held.kind == EvidenceKind::Document
            && held.purpose.as_str() == CERTIFICATE
            && held.item.as_ref() == Some(&item.id)
            && held.count > 0
    })
}

fn serial_obstacles(item: &ChecklistItem, state: &State) -> Vec<Obstacle> {
    let Some(declared) = item.serial.as_deref() else { return Vec::new() };
    let mut latest = std::collections::BTreeMap::new();
    for given in state.answers.iter().filter(|given| given.item.as_ref() == Some(&item.id)) {
        latest.insert(&given.question, &given.answer);
    }
    let differs = |(question, answer): (&QuestionId, &Answer)| match answer {
        // The declared serial of an item is read where a question says so; seals have numbers of their own.
        Answer::Serial(read) if question.as_str() == "serial-read" && !serials_match(read, declared) => {
            Some(Obstacle {
                kind: ObstacleKind::SerialDiffers { item: item.id.clone(), question: question.clone() },
                sentence: format!("item {declared}: the serial read is {read}"),
            })
        }
        _ => None,
    };
    latest.into_iter().filter_map(differs).collect()
}
