//! Numbers that are missing from a visit when its close is held, and their later arrival.

use std::collections::BTreeSet;

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::VisitId;
use endcheck_protocol::record::{Act, Record};
use serde_json::{Value, json};

use super::METHOD;
use super::offsets::VisitFinding;
use crate::evidence::findings::{EXACT, NewFinding, Weight};

/// The signal of records that are missing between a visit's open and its close.
pub(in crate::evidence) const MISSING: &str = "records-missing";
/// The signal of a record whose predecessor is not held.
pub(in crate::evidence) const GAP: &str = "chain-gap";

/// A run of numbers, both included.
type Run = (u64, u64);

/// What is not held between the first and the last record of a visit on one device. `held` are all numbers of
/// the device that are held.
pub(in crate::evidence) fn missing(
    records: &[(Sha256, Record)],
    held: &BTreeSet<u64>,
) -> Option<VisitFinding> {
    let (close, last) = records.iter().filter_map(closes).max_by_key(|(_, seq)| *seq)?;
    let opened = records.iter().find(|(_, record)| matches!(record.act, Act::VisitOpen { .. }));
    let first = opened
        .map_or_else(|| records.iter().map(|(_, record)| record.seq).min(), |(_, open)| Some(open.seq))?;
    let runs = runs(first, last, held);
    if runs.is_empty() {
        return None;
    }
    let count: u64 = runs.iter().map(|(from, to)| to - from + 1).sum();
    let listed = runs.iter().map(shown).collect::<Vec<_>>().join(", ");
    Some(VisitFinding {
        record: Some(close.clone()),
        about: listed.clone(),
        finding: NewFinding {
            signal: MISSING,
            weight: Weight::Look,
            summary: format!(
                "The visit was closed with record {last}, and {count} records since record {first} are not held: {listed}."
            ),
            values: json!({ "first_seq": first, "close_seq": last, "missing": runs }),
            uncertainty: EXACT.to_owned(),
            explanations: "They are still on the device, or are carried by hand and under way.",
            method: METHOD,
        },
    })
}

fn closes((hash, record): &(Sha256, Record)) -> Option<(&Sha256, u64)> {
    matches!(record.act, Act::VisitClose { .. }).then_some((hash, record.seq))
}

/// The numbers from `first` to `last` that are not held, as runs; bounded by what is held, never by what a
/// record claims.
fn runs(first: u64, last: u64, held: &BTreeSet<u64>) -> Vec<Run> {
    if first > last {
        return Vec::new();
    }
    let mut runs = Vec::new();
    let mut expected = first;
    for &seq in held.range(first..=last).chain(std::iter::once(&last.saturating_add(1))) {
        if seq > expected {
            runs.push((expected, seq - 1));
        }
        expected = seq.saturating_add(1);
    }
    runs
}

fn shown((from, to): &Run) -> String {
    if from == to { from.to_string() } else { format!("{from} to {to}") }
}

/// A hole that a finding told of, and that a later record may fill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::evidence) struct Hole {
    pub visit: Option<VisitId>,
    /// The record at which the hole was told of.
    pub told_at: Option<Sha256>,
    pub missing: Missing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::evidence) enum Missing {
    Numbers(Vec<Run>),
    Record(Sha256),
}

impl Hole {
    /// What a finding of that signal with these values told of.
    pub fn told(
        visit: Option<VisitId>,
        told_at: Option<Sha256>,
        signal: &str,
        values: &Value,
    ) -> Option<Self> {
        let missing = match signal {
            MISSING => Missing::Numbers(serde_json::from_value(values.get("missing")?.clone()).ok()?),
            GAP => Missing::Record(serde_json::from_value(values.get("prev")?.clone()).ok()?),
            _ => return None,
        };
        Some(Self { visit, told_at, missing })
    }
}

/// That a record came in after all, if one of `holes` told that it was missing.
pub(in crate::evidence) fn filled(hash: &Sha256, seq: u64, holes: &[Hole]) -> Vec<(Hole, NewFinding)> {
    let fills = |hole: &&Hole| match &hole.missing {
        Missing::Record(record) => record == hash,
        Missing::Numbers(runs) => runs.iter().any(|(from, to)| (*from..=*to).contains(&seq)),
    };
    holes
        .iter()
        .filter(fills)
        .map(|hole| {
            let signal = match hole.missing {
                Missing::Record(_) => "chain-gap-filled",
                Missing::Numbers(_) => "record-arrived-late",
            };
            let finding = NewFinding {
                signal,
                weight: Weight::Info,
                summary: format!("Record {seq}, which an earlier finding calls missing, has come in."),
                values: json!({ "seq": seq, "told_at": hole.told_at }),
                uncertainty: EXACT.to_owned(),
                explanations: "It was handed in by another way, or after the device was found again.",
                method: METHOD,
            };
            (hole.clone(), finding)
        })
        .collect()
}
