//! What the records of a visit say together: the device judges its own with it, headquarters the
//! union of all devices'.
//!
//! A record that its own device corrected does not count any more; it stays in the chain.

use std::collections::BTreeMap;

use crate::checklist::{EvidenceHeld, EvidenceKind, GivenAnswer, QuestionId, Slug, State};
use crate::digest::Sha256;
use crate::ids::ItemId;
use crate::record::{Act, Record};

/// The purpose that evidence counts for when its record names none.
pub const GENERAL_PURPOSE: &str = "general";

/// Whether `record` may correct `old`: only the same device corrects, for the same visit, an act of the
/// same kind. Otherwise somebody else's record could make a refusal vanish.
#[must_use]
pub fn corrects(record: &Record, old: &Record) -> bool {
    record.device == old.device && record.task.visit == old.task.visit && record.act.kind() == old.act.kind()
}

/// The records that others correct: the hash of each, with the hash of its latest correction.
#[must_use]
pub fn replaced<'a>(records: impl IntoIterator<Item = (&'a Sha256, &'a Record)>) -> BTreeMap<Sha256, Sha256> {
    let records: BTreeMap<&Sha256, &Record> = records.into_iter().collect();
    let mut corrections: Vec<(&Sha256, &Sha256, u64)> = records
        .iter()
        .filter_map(|(hash, record)| {
            let old = record.replaces.as_ref()?;
            records.get(old).filter(|target| corrects(record, target)).map(|_| (old, *hash, record.seq))
        })
        .collect();
    corrections.sort_by_key(|(_, _, seq)| *seq);
    corrections.into_iter().map(|(old, new, _)| (old.clone(), new.clone())).collect()
}

/// Gathers the state that the checklist is judged by, from the records of one visit in the order
/// in which they were made (or, of several devices, received).
#[must_use]
pub fn gather<'a>(records: impl IntoIterator<Item = (&'a Sha256, &'a Record)>) -> State {
    let records: Vec<(&Sha256, &Record)> = records.into_iter().collect();
    let replaced = replaced(records.iter().copied());
    let mut state = State::default();
    let mut evidence = BTreeMap::new();
    for (_, record) in records.iter().filter(|(hash, _)| !replaced.contains_key(*hash)) {
        take(&mut state, &mut evidence, record);
    }
    state.evidence = evidence
        .into_iter()
        .map(|((kind, purpose, question, item), count)| EvidenceHeld { kind, purpose, question, item, count })
        .collect();
    state
}

type Held = BTreeMap<(EvidenceKind, Slug, Option<QuestionId>, Option<ItemId>), u32>;

fn take(state: &mut State, evidence: &mut Held, record: &Record) {
    let task = &record.task;
    let mut hold = |kind, purpose: &Option<String>| {
        let purpose = purpose.as_deref().unwrap_or(GENERAL_PURPOSE);
        if let Ok(purpose) = purpose.parse::<Slug>() {
            *evidence.entry((kind, purpose, task.question.clone(), task.item.clone())).or_insert(0) += 1;
        }
    };
    match &record.act {
        Act::Photo { purpose, .. } => hold(EvidenceKind::Photo, purpose),
        Act::Document { purpose, .. } => hold(EvidenceKind::Document, purpose),
        Act::Answer { value, note } => {
            if let Some(question) = &task.question {
                state.answers.push(GivenAnswer {
                    question: question.clone(),
                    item: task.item.clone(),
                    answer: value.clone(),
                    note: note.clone(),
                });
            }
        }
        Act::Item(sighting) => {
            if let Some(item) = &task.item {
                state.items.insert(item.clone(), sighting.status);
            }
        }
        Act::Statement(_) => state.statements += 1,
        Act::Denied(_) => state.denials += 1,
        Act::VisitClose { outcome, .. } => state.outcome = Some(*outcome),
        Act::VisitOpen { .. }
        | Act::Track { .. }
        | Act::Note { .. }
        | Act::CheckIn { .. }
        | Act::ClockSet { .. }
        | Act::Transfer { .. } => {}
    }
}
