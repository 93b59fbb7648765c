//! The device's chain as the record shows it: branches, gaps, corrections, and the log it was made after.

use endcheck_protocol::dossier::corrects;
use endcheck_protocol::record::Record;
use serde_json::json;

use super::{Context, METHOD};
use crate::evidence::findings::{EXACT, NewFinding, Weight};

pub(super) fn chain(record: &Record, context: &Context<'_>, found: &mut Vec<NewFinding>) {
    if context.number_taken {
        found.push(NewFinding {
            signal: "chain-fork",
            weight: Weight::Contradiction,
            summary: format!("The device signed more than one record with the number {}.", record.seq),
            values: json!({ "seq": record.seq }),
            uncertainty: EXACT.to_owned(),
            explanations: "The device's storage was restored from a backup, or copied to a replacement.",
            method: METHOD,
        });
    }
    if !context.predecessor_held {
        found.push(NewFinding {
            signal: "chain-gap",
            weight: Weight::Look,
            summary: format!("The record before number {} was not held when it came in.", record.seq),
            values: json!({ "seq": record.seq, "prev": record.prev }),
            uncertainty: EXACT.to_owned(),
            explanations: "The earlier record was handed in by another way and is still under way.",
            method: METHOD,
        });
    }
}

pub(super) fn correction(record: &Record, context: &Context<'_>, found: &mut Vec<NewFinding>) {
    let Some(old) = &record.replaces else { return };
    if context.corrected.is_some_and(|corrected| corrects(record, corrected)) {
        return;
    }
    let what = match context.corrected {
        Some(_) => "which is of another device, visit or kind",
        None => "which is not held",
    };
    found.push(NewFinding {
        signal: "correction-does-not-count",
        weight: Weight::Look,
        summary: format!("It says that it corrects record {old}, {what}; both stand."),
        values: json!({ "replaces": old }),
        uncertainty: EXACT.to_owned(),
        explanations: "A second inspector meant to set the first one's record right.",
        method: METHOD,
    });
}

pub(super) fn anchor(record: &Record, context: &Context<'_>, found: &mut Vec<NewFinding>) {
    let Some(anchor) = &record.anchor else { return };
    let summary = match context.root_at_anchor {
        Some(root) if *root == anchor.root => return,
        Some(_) => {
            format!("The log it was made after has another root at {} entries than ours.", anchor.size)
        }
        None => format!("The log it was made after had {} entries, more than ours has now.", anchor.size),
    };
    found.push(NewFinding {
        signal: "anchor-not-in-log",
        weight: Weight::Contradiction,
        summary,
        values: json!({ "anchor": anchor, "root_here": context.root_at_anchor }),
        uncertainty: EXACT.to_owned(),
        explanations: "Headquarters was restored from a backup after the device had synced.",
        method: METHOD,
    });
}
