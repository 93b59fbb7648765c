//! How a visit stands by the device's own records, and which of them a new one corrects.

use endcheck_protocol::checklist::{QuestionId, State};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::dossier;
use endcheck_protocol::ids::ItemId;
use endcheck_protocol::record::{Act, Task};

use crate::store::HeldRecord;

/// How the visit stands by these records (of one visit, in order).
#[must_use]
pub fn state(records: &[HeldRecord]) -> State {
    dossier::gather(records.iter().map(|held| (&held.hash, &held.record)))
}

/// The newest standing record that answers this question (of this item).
#[must_use]
pub fn answered_by(records: &[HeldRecord], question: &QuestionId, item: Option<&ItemId>) -> Option<Sha256> {
    newest(records, |act, task| {
        matches!(act, Act::Answer { .. })
            && task.question.as_ref() == Some(question)
            && task.item.as_ref() == item
    })
}

/// The newest standing record of this item's status.
#[must_use]
pub fn sighted_by(records: &[HeldRecord], item: &ItemId) -> Option<Sha256> {
    newest(records, |act, task| matches!(act, Act::Item(_)) && task.item.as_ref() == Some(item))
}

/// The newest record that closed the visit.
#[must_use]
pub fn closed_by(records: &[HeldRecord]) -> Option<Sha256> {
    newest(records, |act, _| matches!(act, Act::VisitClose { .. }))
}

fn newest(records: &[HeldRecord], fits: impl Fn(&Act, &Task) -> bool) -> Option<Sha256> {
    let found = records.iter().rev().find(|held| fits(&held.record.act, &held.record.task))?;
    Some(found.hash.clone())
}
