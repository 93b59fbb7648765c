//! The rows that metrics are worked out from. Reads what other slices keep; writes nothing.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use endcheck_protocol::canonical;
use endcheck_protocol::checklist::VisitOutcome;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::dossier::replaced;
use endcheck_protocol::envelope::{Envelope, RECORD_TYPE};
use endcheck_protocol::ids::{CheckId, DeterminationId, SelectionId, VisitId};
use endcheck_protocol::record::{Act, Record};
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::VisitState;

use super::metrics::{ClosedVisit, Determined, DrawnCheck, DueCheck, Undetermined};
use crate::db::schema::{
    assessments, checks, determination_approvals, determinations, records, selection_draws,
    selection_overrides, visit_events, visits,
};
use crate::db::{CHUNK, Conn};
use crate::error::{Error, Result};
use crate::risk::draw::{Stratum, Way};
use crate::selection;

const DONE: [VisitState; 2] = [VisitState::Closed, VisitState::Reviewed];

fn done() -> [&'static str; 2] {
    DONE.map(|state| state.as_str())
}

/// Checks that fell due in `from..until`; without those that were dropped from the draw that opened them.
pub(super) fn due_checks(conn: &mut Conn, from: Timestamp, until: Timestamp) -> Result<Vec<DueCheck>> {
    type Row = (CheckId, Timestamp, Option<(String, Option<Timestamp>)>);
    let dropped = selection_overrides::table
        .filter(selection_overrides::selection_id.nullable().eq(checks::selection_id))
        .filter(selection_overrides::shipment_id.eq(checks::shipment_id))
        .filter(selection_overrides::act.eq("drop"));
    let rows: Vec<Row> = checks::table
        .left_join(visits::table.on(visits::check_id.eq(checks::id)))
        .filter(checks::due_at.ge(from).and(checks::due_at.lt(until)))
        .filter(diesel::dsl::not(diesel::dsl::exists(dropped)))
        .order(checks::id)
        .select((checks::id, checks::due_at, (visits::state, visits::finished_at).nullable()))
        .load(conn)?;
    let mut all: BTreeMap<CheckId, DueCheck> = BTreeMap::new();
    for (id, due_at, visit) in rows {
        let check = all.entry(id).or_insert_with(|| DueCheck { due_at, closed_at: Vec::new() });
        let Some((state, finished_at)) = visit else { continue };
        check.closed_at.extend(finished_at.filter(|_| done().contains(&state.as_str())));
    }
    Ok(all.into_values().collect())
}

/// Visits that were closed in `from..until`.
pub(super) fn closed_visits(conn: &mut Conn, from: Timestamp, until: Timestamp) -> Result<Vec<ClosedVisit>> {
    let rows: Vec<(VisitId, Timestamp, Option<Timestamp>)> = visits::table
        .inner_join(checks::table.on(checks::id.eq(visits::check_id)))
        .filter(visits::finished_at.ge(from).and(visits::finished_at.lt(until)))
        .filter(visits::state.eq_any(done()))
        .order(visits::id)
        .select((visits::id, checks::opened_at, visits::finished_at))
        .load(conn)?;
    let ids: Vec<&VisitId> = rows.iter().map(|(id, ..)| id).collect();
    let opened = opened(conn, &ids)?;
    let determined = first_determined(conn, &ids)?;
    let mut said = said(conn, &ids, &["visit-close", "denied"])?;
    Ok(rows
        .iter()
        .filter_map(|(id, requested_at, closed_at)| {
            let said = said.remove(id).unwrap_or_default();
            let replaced = replaced(said.iter().map(|(hash, record)| (hash, record)));
            let denials = said
                .iter()
                .filter(|(hash, _)| !replaced.contains_key(hash))
                .filter_map(|(_, record)| match &record.act {
                    Act::Denied(denial) => word(&denial.by).ok(),
                    _ => None,
                })
                .collect();
            let closes: Vec<bool> = said
                .iter()
                .filter_map(|(_, record)| match &record.act {
                    Act::VisitClose { outcome, missing, .. } => {
                        Some(*outcome == VisitOutcome::Completed && missing.is_empty())
                    }
                    _ => None,
                })
                .collect();
            Some(ClosedVisit {
                requested_at: *requested_at,
                opened_at: opened.get(id).copied(),
                closed_at: (*closed_at)?,
                determined_at: determined.get(id).copied(),
                closes: u32::try_from(closes.len()).unwrap_or(u32::MAX),
                first_is_whole: closes.first().copied().unwrap_or(false),
                denials,
            })
        })
        .collect())
}

/// When each visit was first opened on site, as headquarters heard it.
fn opened(conn: &mut Conn, ids: &[&VisitId]) -> Result<HashMap<VisitId, Timestamp>> {
    let mut found = HashMap::new();
    for some in ids.chunks(CHUNK) {
        let rows: Vec<(VisitId, Timestamp)> = visit_events::table
            .filter(visit_events::visit_id.eq_any(some.iter().copied()))
            .filter(visit_events::verb.eq("open"))
            .order(visit_events::at.desc())
            .select((visit_events::visit_id, visit_events::at))
            .load(conn)?;
        // The earliest comes last.
        found.extend(rows);
    }
    Ok(found)
}

fn first_determined(conn: &mut Conn, ids: &[&VisitId]) -> Result<HashMap<VisitId, Timestamp>> {
    let mut found = HashMap::new();
    for some in ids.chunks(CHUNK) {
        let rows: Vec<(VisitId, Timestamp)> = determinations::table
            .filter(determinations::visit_id.eq_any(some.iter().copied()))
            .order(determinations::created_at.desc())
            .select((determinations::visit_id, determinations::created_at))
            .load(conn)?;
        found.extend(rows);
    }
    Ok(found)
}

type Said = HashMap<VisitId, Vec<(Sha256, Record)>>;

/// The accepted records of those kinds, in the order in which they came.
fn said(conn: &mut Conn, ids: &[&VisitId], kinds: &[&str]) -> Result<Said> {
    let mut found = Said::new();
    for some in ids.chunks(CHUNK) {
        let rows: Vec<(Option<VisitId>, Sha256, Vec<u8>)> = records::table
            .filter(records::visit_id.eq_any(some.iter().copied()))
            .filter(records::kind.eq_any(kinds))
            .filter(records::quarantine_code.is_null())
            .order(records::log_index)
            .select((records::visit_id, records::hash, records::envelope))
            .load(conn)?;
        for (visit, hash, bytes) in rows {
            let record = Envelope::read(&bytes, RECORD_TYPE).ok();
            let record = record.and_then(|envelope| canonical::read(&envelope.payload).ok());
            if let (Some(visit), Some(record)) = (visit, record) {
                found.entry(visit).or_default().push((hash, record));
            }
        }
    }
    Ok(found)
}

/// The determination that counts, of each visit of which one was made in `from..until`.
pub(super) fn determined(conn: &mut Conn, from: Timestamp, until: Timestamp) -> Result<Vec<Determined>> {
    let mut ids: Vec<VisitId> = determinations::table
        .filter(determinations::created_at.ge(from).and(determinations::created_at.lt(until)))
        .select(determinations::visit_id)
        .load(conn)?;
    ids.sort();
    ids.dedup();
    let ids: Vec<&VisitId> = ids.iter().collect();
    let said = said(conn, &ids, &["visit-open"])?;
    let mut strata = Strata::new();
    let mut found = Vec::new();
    for some in ids.chunks(CHUNK) {
        type Row = (VisitId, Option<DeterminationId>, String, Option<DeterminationId>, CheckId, Chosen);
        let rows: Vec<Row> = determinations::table
            .inner_join(visits::table.on(visits::id.eq(determinations::visit_id)))
            .inner_join(checks::table.on(checks::id.eq(visits::check_id)))
            .left_join(
                determination_approvals::table
                    .on(determination_approvals::determination_id.eq(determinations::id)),
            )
            .left_join(assessments::table.on(assessments::hash.nullable().eq(checks::assessment_hash)))
            .filter(determinations::visit_id.eq_any(some.iter().copied()))
            .order((determinations::visit_id, determinations::created_at, determinations::id))
            .select((
                determinations::visit_id,
                determinations::replaces,
                determinations::outcome,
                determination_approvals::determination_id.nullable(),
                checks::id,
                (checks::cause, checks::selection_id, assessments::band.nullable()),
            ))
            .load(conn)?;
        // The first counts, and a change from its approval on: the last such row of a visit.
        let mut counting: BTreeMap<VisitId, Determined> = BTreeMap::new();
        for (visit, replaces, outcome, approved, check, chosen) in rows {
            if replaces.is_some() && approved.is_none() {
                continue;
            }
            let method =
                said.get(&visit).and_then(|said| said.first()).and_then(|(_, record)| match &record.act {
                    Act::VisitOpen { method } => word(method).ok(),
                    _ => None,
                });
            let drawn = drawn(conn, &mut strata, chosen)?;
            counting.insert(visit, Determined { check: check.to_string(), drawn, method, outcome });
        }
        found.extend(counting.into_values());
    }
    Ok(found)
}

/// What a check's row says of how it was chosen: its cause, the draw, the band by the draw's assessment.
type Chosen = (String, Option<SelectionId>, Option<String>);
type Strata = HashMap<SelectionId, Vec<Stratum>>;

fn way(chosen: &Chosen) -> Option<Way> {
    let (cause, selection, band) = chosen;
    match (cause.as_str(), selection, band.as_deref()) {
        ("random", Some(_), Some(_)) => Some(Way::Random),
        ("risk", Some(_), Some("mandatory")) => Some(Way::Mandatory),
        ("risk", Some(_), Some(_)) => Some(Way::Risk),
        _ => None,
    }
}

/// How a draw chose a check, and how many shipments it stands for.
fn drawn(conn: &mut Conn, strata: &mut Strata, chosen: Chosen) -> Result<Option<DrawnCheck>> {
    let Some(way) = way(&chosen) else { return Ok(None) };
    let (Way::Random, (_, Some(draw), Some(band))) = (way, chosen) else {
        return Ok(Some(DrawnCheck { way, weight: 1.0 }));
    };
    if !strata.contains_key(&draw) {
        strata.insert(draw.clone(), selection::strata(conn, &draw)?);
    }
    let stratum = strata.get(&draw).and_then(|all| all.iter().find(|one| one.band.as_str() == band));
    let weight = stratum.filter(|stratum| stratum.drawn > 0).map_or(1.0, |stratum| {
        let number = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        number(stratum.size) / number(stratum.drawn)
    });
    Ok(Some(DrawnCheck { way, weight }))
}

/// Checks that draws opened in `from..until`, that were not dropped and of which no visit has a determination.
pub(super) fn undetermined(conn: &mut Conn, from: Timestamp, until: Timestamp) -> Result<Undetermined> {
    let determined = visits::table
        .inner_join(determinations::table.on(determinations::visit_id.eq(visits::id)))
        .filter(visits::check_id.eq(checks::id));
    let dropped = selection_overrides::table
        .filter(selection_overrides::selection_id.nullable().eq(checks::selection_id))
        .filter(selection_overrides::shipment_id.eq(checks::shipment_id))
        .filter(selection_overrides::act.eq("drop"));
    let rows: Vec<Chosen> = checks::table
        .inner_join(assessments::table.on(assessments::hash.nullable().eq(checks::assessment_hash)))
        .filter(checks::opened_at.ge(from).and(checks::opened_at.lt(until)))
        .filter(checks::selection_id.is_not_null())
        .filter(diesel::dsl::not(diesel::dsl::exists(determined)))
        .filter(diesel::dsl::not(diesel::dsl::exists(dropped)))
        .select((checks::cause, checks::selection_id, assessments::band.nullable()))
        .load(conn)?;
    let mut found = Undetermined::default();
    for chosen in rows {
        match way(&chosen) {
            Some(Way::Mandatory) => found.mandatory += 1,
            Some(Way::Risk) => found.risk += 1,
            Some(Way::Random) => found.random += 1,
            None => {}
        }
    }
    Ok(found)
}

/// What departures from draws of `from..until` did, and how many shipments the draws of that time chose.
pub(super) fn departures(conn: &mut Conn, from: Timestamp, until: Timestamp) -> Result<(Vec<String>, i64)> {
    let acts = selection_overrides::table
        .filter(selection_overrides::noted_at.ge(from).and(selection_overrides::noted_at.lt(until)))
        .order(selection_overrides::id)
        .select(selection_overrides::act)
        .load(conn)?;
    let chosen: Vec<i64> = selection_draws::table
        .filter(selection_draws::drawn_at.ge(from).and(selection_draws::drawn_at.lt(until)))
        .select(selection_draws::chosen)
        .load(conn)?;
    Ok((acts, chosen.iter().sum()))
}

/// A word of a closed list, as it is written.
fn word<T: serde::Serialize>(value: &T) -> Result<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        other => Err(Error::Internal(anyhow::anyhow!("{other:?} is not a word"))),
    }
}
