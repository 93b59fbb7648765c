//! The audit of serials: every event against what it comes from, every state worked out anew.

use std::collections::HashMap;

use endcheck_protocol::canonical;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::ItemId;

use super::event::{Event, Happening};
use super::follow::{self, ItemRecord};
use super::report::{Document, SCHEMA};
use super::state::state_of;
use super::store::{self, StateRow};
use super::{at_site, event_of};
use crate::config::serial_rules::SerialRules;
use crate::db::Conn;
use crate::error::Result;

/// What a row is called, where the log holds it, and what it must commit to.
pub type Committed = (String, i64, Option<Sha256>);

/// Serials or records that are looked at together.
const BATCH: i64 = 1000;

/// Compares everything that is kept of serials. Answers the events that the log must commit to, how many other
/// rows were compared, and what does not agree, a sentence each.
///
/// # Errors
/// When the database fails.
pub fn verify(conn: &mut Conn) -> Result<(Vec<Committed>, u64, Vec<String>)> {
    let mut faults = Vec::new();
    let mut rows = 0;
    let mut committed = Vec::new();
    let mut of_records: HashMap<Sha256, Event> = HashMap::new();
    for (event, document) in store::told_events(conn)? {
        match (&event.record, event.log_index) {
            (Some(record), _) => {
                of_records.insert(record.clone(), event);
            }
            (None, Some(index)) => {
                let text = document.unwrap_or_default();
                let what = format!("serial event {}", event.id);
                if !canonical::read(text.as_bytes()).is_ok_and(|document| says(&document, &event)) {
                    faults.push(format!("{what} says other things than its document"));
                }
                committed.push((what, index, Some(Sha256::of(text.as_bytes()))));
            }
            // The papers said so.
            (None, None) => {}
        }
    }
    rows += records(conn, of_records, &mut faults)?;
    rows += states(conn, &mut faults)?;
    Ok((committed, rows, faults))
}

fn says(document: &Document, event: &Event) -> bool {
    document.schema == SCHEMA
        && document.id == event.id
        && document.item == event.item
        && document.what == event.what
        && document.happened_at == event.happened_at
        && document.recorded_at == event.recorded_at
        && document.actor == event.actor
        && document.corrects == event.corrects
}

/// Every record of an item that was followed has its event, which says what the record says.
fn records(conn: &mut Conn, mut held: HashMap<Sha256, Event>, faults: &mut Vec<String>) -> Result<u64> {
    let followed = store::counter(conn, follow::RECORDS)?;
    let (mut from, mut rows) = (0, 0);
    loop {
        let batch = follow::item_records(conn, from, BATCH)?;
        let Some(last) = batch.last() else { break };
        from = last.log_index + 1;
        for row in batch {
            rows += 1;
            let expected = expected(conn, &row)?;
            match (held.remove(&row.hash), expected) {
                (Some(event), Some(expected)) if same(&event, &expected) => {}
                (Some(event), _) => {
                    faults.push(format!("serial event {} says other things than its record", event.id));
                }
                (None, Some(_)) if row.log_index < followed => {
                    faults.push(format!("record {} of an item has no event of its serial", row.hash));
                }
                (None, _) => {}
            }
        }
    }
    faults.extend(held.into_values().map(|event| format!("serial event {} comes from no record", event.id)));
    Ok(rows)
}

fn expected(conn: &mut Conn, row: &ItemRecord) -> Result<Option<Event>> {
    let (Some(record), Some(visit)) = (row.record(), &row.visit_id) else { return Ok(None) };
    let Some(event) = event_of(&row.hash, &record, Some(visit), row.received_at) else { return Ok(None) };
    let Some((site, shipment)) = store::visit_of(conn, visit)? else { return Ok(None) };
    let declared = store::papers(conn, &[&event.item])?.pop();
    let is_of_it = declared.is_some_and(|declared| declared.papers.shipment == shipment);
    Ok(is_of_it.then(|| at_site(event, site, None)))
}

/// Whether both say the same, but for the id, when it was taken in, and who was sent at that time: visits are given
/// to others later.
fn same(event: &Event, expected: &Event) -> bool {
    let plain = |event: &Event| {
        let mut plain = Event { id: expected.id.clone(), recorded_at: expected.recorded_at, ..event.clone() };
        if let Happening::Sighting { unsent, .. } = &mut plain.what {
            *unsent = None;
        }
        plain
    };
    plain(event) == plain(expected) && event.recorded_at >= expected.recorded_at
}

/// Every state follows from its papers, its events and the rules that it names.
fn states(conn: &mut Conn, faults: &mut Vec<String>) -> Result<u64> {
    let mut rules: HashMap<Sha256, SerialRules> = HashMap::new();
    for (hash, text) in store::rules(conn)? {
        match serde_json::from_str(&text) {
            Ok(read) if Sha256::of(text.as_bytes()) == hash => drop(rules.insert(hash, read)),
            _ => faults.push(format!("the rules of serials {hash} are not what their name says")),
        }
    }
    let (mut after, mut rows): (Option<ItemId>, u64) = (None, 0);
    loop {
        let batch = store::states_after(conn, after.as_ref(), BATCH)?;
        let Some(last) = batch.last() else { return Ok(rows) };
        after = Some(last.item_id.clone());
        let mut events = store::events(conn, &batch.iter().map(|row| &row.item_id).collect::<Vec<_>>())?;
        for row in batch {
            rows += 1;
            let events = events.remove(&row.item_id).unwrap_or_default();
            let again = match rules.get(&row.rules_hash) {
                Some(rules) => {
                    let papers = row.papers();
                    let state = state_of(&papers, rules, &events);
                    Some(StateRow::of(&papers, &row.rules_hash, &state, Some(&row))?)
                }
                None => None,
            };
            let again = again.map(|again| StateRow { needs_check: row.needs_check, ..again });
            if again.as_ref() != Some(&row) {
                faults.push(format!("the state of serial {:?} does not follow from its events", row.serial));
            }
        }
    }
}
