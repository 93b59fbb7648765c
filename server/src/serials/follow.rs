//! What time and the programme bring about: states follow the papers, records taken in before this slice was
//! there are caught up with, and routine checks are opened for what falls due.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};
use diesel::prelude::*;
use endcheck_protocol::canonical;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{Envelope, RECORD_TYPE};
use endcheck_protocol::ids::{ItemId, SerialEventId, ShipmentId, VisitId};
use endcheck_protocol::record::Record;
use endcheck_protocol::time::Timestamp;
use serde::Serialize;

use super::event::{Event, Happening};
use super::state::{self, Since, counts};
use super::store::{self, Declared, StateRow};
use super::{Rules, recorded, refresh};
use crate::app::App;
use crate::config::serial_rules::SerialClock;
use crate::db::Conn;
use crate::db::schema::records;
use crate::error::Result;
use crate::shipments::{self, Arrival};
use crate::{checks, log};

/// Counter: the number of the programme's change that all states follow.
pub(super) const PROGRAMME: &str = "serials_programme";
/// Counter: how far the log's records were taken in.
pub(super) const RECORDS: &str = "serials_records";

/// Serials, records or shipments that one transaction looks at.
const BATCH: i64 = 500;

/// What one sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Serials whose papers changed, or that are new.
    pub followed: u64,
    /// Records of items that were caught up with.
    pub records: u64,
    pub checks_opened: u64,
}

/// Brings all states up to date and opens the routine check of each shipment whose serials fall due; those
/// without serials get theirs after arrival, as configured. May run twice, or on two servers at once. With
/// `routine_days` 0 no check is opened.
///
/// # Errors
/// When the database fails; the next sweep takes up what is left.
pub async fn sweep(app: &Arc<App>, now: Timestamp) -> Result<Swept> {
    let followed = follow_programme(app, now).await? + follow_arrivals(app, now).await?;
    let records = follow_records(app, now).await?;
    let mut checks_opened = 0;
    if app.config.routine_days > 0 {
        checks_opened += open_due(app, now).await?;
        checks_opened += open_arrived(app, now).await?;
    }
    Ok(Swept { followed, records, checks_opened })
}

/// Lets every state follow its papers, where the programme changed since the last time.
async fn follow_programme(app: &Arc<App>, now: Timestamp) -> Result<u64> {
    let programme = app
        .read(|conn| {
            let changes = store::counter(conn, "programme_changes")?;
            let followed = store::counter(conn, PROGRAMME)?;
            Ok((changes != followed).then_some((followed, changes)))
        })
        .await?;
    let Some((was, programme)) = programme else { return Ok(0) };
    let mut followed = 0;
    let mut after: Option<ItemId> = None;
    loop {
        let from = after.take();
        let rules = app.serial_rules.clone();
        let (behind, last) = app
            .read(move |conn| {
                let declared = store::papers_after(conn, from.as_ref(), BATCH)?;
                let items: Vec<&ItemId> = declared.iter().map(|one| &one.papers.item).collect();
                let held = store::states(conn, &items)?;
                let is_behind = |one: &&Declared| {
                    held.get(&one.papers.item).is_none_or(|row| is_behind(row, one, &rules, now))
                };
                let behind: Vec<ItemId> =
                    declared.iter().filter(is_behind).map(|one| one.papers.item.clone()).collect();
                Ok((behind, declared.last().map(|one| one.papers.item.clone())))
            })
            .await?;
        if !behind.is_empty() {
            followed += behind.len() as u64;
            let rules = app.serial_rules.clone();
            app.write(move |conn| follow(conn, &rules, &behind, now)).await?;
        }
        after = last;
        if after.is_none() {
            break;
        }
    }
    app.write(move |conn| {
        log::lock(conn)?;
        // Other rules may have come into force meanwhile: then all is to be looked at again.
        store::move_counter(conn, PROGRAMME, was, programme)
    })
    .await?;
    Ok(followed)
}

/// Lets the clocks begin of what arrives today by papers that named the day ahead.
async fn follow_arrivals(app: &Arc<App>, now: Timestamp) -> Result<u64> {
    let today = now.day().to_string();
    let (mut followed, mut after): (u64, Option<ItemId>) = (0, None);
    loop {
        let (from, by) = (after.take(), today.clone());
        let items = app.read(move |conn| store::arrived_by(conn, &by, from.as_ref(), BATCH)).await?;
        after = items.last().cloned();
        if after.is_none() {
            return Ok(followed);
        }
        let rules = app.serial_rules.clone();
        followed += app.write(move |conn| follow(conn, &rules, &items, now)).await?;
    }
}

fn is_behind(row: &StateRow, declared: &Declared, rules: &Rules, now: Timestamp) -> bool {
    row.papers() != declared.papers
        || row.arrived_on.as_deref() != has_arrived(declared.arrived_on.as_deref(), now)
        || row.rules_hash != rules.hash
}

/// The day of arrival that papers name, once it has come.
fn has_arrived(arrived_on: Option<&str>, now: Timestamp) -> Option<&str> {
    arrived_on.filter(|day| day.parse::<NaiveDate>().is_ok_and(|day| day <= now.day()))
}

/// Adds what the papers say of arrivals, and works the states out. Answers how many arrivals were new.
fn follow(conn: &mut Conn, rules: &Rules, items: &[ItemId], now: Timestamp) -> Result<u64> {
    log::lock(conn)?;
    let items: Vec<&ItemId> = items.iter().collect();
    let declared = store::papers(conn, &items)?;
    let mut events = store::events(conn, &items)?;
    let arrivals: Vec<Event> = declared
        .iter()
        .filter_map(|one| {
            let held = events.remove(&one.papers.item).unwrap_or_default();
            arrival(&one.papers.item, has_arrived(one.arrived_on.as_deref(), now), &held, now)
        })
        .collect();
    store::insert_events(conn, &arrivals)?;
    refresh(conn, rules, &items)?;
    Ok(arrivals.len() as u64)
}

/// The event that makes the arrival what the papers say; none where it is that already.
fn arrival(item: &ItemId, arrived_on: Option<&str>, events: &[Event], now: Timestamp) -> Option<Event> {
    let held = events.iter().find_map(|event| match &event.what {
        Happening::Arrival { arrived_on } if counts(event, events) => Some((event, arrived_on.as_str())),
        _ => None,
    });
    if held.map(|(_, day)| day) == arrived_on {
        return None;
    }
    let day = arrived_on.and_then(|day| day.parse::<NaiveDate>().ok());
    let (what, happened_at) = match (arrived_on, day) {
        (Some(arrived_on), Some(day)) => {
            let begins = day.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc();
            (Happening::Arrival { arrived_on: arrived_on.to_owned() }, Timestamp::from(begins))
        }
        _ => (Happening::Withdrawn { reason: "the papers name no day of arrival any more".to_owned() }, now),
    };
    Some(Event {
        id: SerialEventId::mint(),
        item: item.clone(),
        what,
        happened_at,
        recorded_at: now,
        actor: "papers".to_owned(),
        visit: None,
        record: None,
        replaces_record: None,
        corrects: held.map(|(event, _)| event.id.clone()),
        log_index: None,
    })
}

/// Takes in the records of items that were accepted since the last time; most were, as they came.
async fn follow_records(app: &Arc<App>, now: Timestamp) -> Result<u64> {
    let mut taken = 0;
    loop {
        let behind = app
            .read(|conn| {
                Ok(store::counter(conn, RECORDS)? < i64::try_from(log::head(conn)?.size).unwrap_or(0))
            })
            .await?;
        if !behind {
            return Ok(taken);
        }
        let rules = app.serial_rules.clone();
        taken += app.write(move |conn| follow_batch(conn, &rules, now)).await?;
    }
}

fn follow_batch(conn: &mut Conn, rules: &Rules, now: Timestamp) -> Result<u64> {
    log::lock(conn)?;
    let from = store::counter(conn, RECORDS)?;
    let rows = item_records(conn, from, BATCH)?;
    let mut taken = 0;
    for row in &rows {
        if let Some(record) = row.record() {
            recorded(conn, rules, &row.hash, &record, row.visit_id.as_ref(), row.received_at.min(now))?;
            taken += 1;
        }
    }
    let end = match rows.last() {
        Some(last) if rows.len() as i64 == BATCH => last.log_index + 1,
        _ => i64::try_from(log::head(conn)?.size).unwrap_or(0),
    };
    store::set_counter(conn, RECORDS, end)?;
    Ok(taken)
}

/// An accepted record of an item.
#[derive(Queryable)]
pub(super) struct ItemRecord {
    pub hash: Sha256,
    pub visit_id: Option<VisitId>,
    pub received_at: Timestamp,
    pub log_index: i64,
    envelope: Vec<u8>,
}

impl ItemRecord {
    pub fn record(&self) -> Option<Record> {
        canonical::read(&Envelope::read(&self.envelope, RECORD_TYPE).ok()?.payload).ok()
    }
}

/// Accepted records of items from a place in the log on.
pub(super) fn item_records(conn: &mut Conn, from: i64, limit: i64) -> Result<Vec<ItemRecord>> {
    Ok(records::table
        .filter(records::log_index.ge(from).and(records::kind.eq("item")))
        .filter(records::quarantine_code.is_null())
        .order(records::log_index)
        .limit(limit)
        .select((
            records::hash,
            records::visit_id,
            records::received_at,
            records::log_index,
            records::envelope,
        ))
        .load(conn)?)
}

/// Opens the routine check of each shipment whose serials fall due.
async fn open_due(app: &Arc<App>, now: Timestamp) -> Result<u64> {
    let longest = app.serial_rules.rules.serial_clock.iter().map(|clock| clock.lead_days).max().unwrap_or(0);
    let until = now.plus(TimeDelta::days(i64::from(longest)));
    let mut opened = 0;
    let mut passed: Option<(Timestamp, ItemId)> = None;
    loop {
        let rules = app.serial_rules.clone();
        let from = passed.take();
        let (count, last) =
            app.write(move |conn| open_batch(conn, &rules, from.as_ref(), until, now)).await?;
        opened += count;
        passed = last;
        if passed.is_none() {
            return Ok(opened);
        }
    }
}

/// Opens checks for a batch; answers how many, and where the next batch begins.
fn open_batch(
    conn: &mut Conn,
    rules: &Rules,
    after: Option<&(Timestamp, ItemId)>,
    until: Timestamp,
    now: Timestamp,
) -> Result<(u64, Option<(Timestamp, ItemId)>)> {
    log::lock(conn)?;
    let rows = store::to_check(conn, after, until, BATCH)?;
    let last = rows.last().map(|row| (row.due_order, row.item_id.clone()));
    let falling_due: BTreeSet<&ShipmentId> = rows
        .iter()
        .filter(|row| row.clock(&rules.rules).is_some_and(|clock| is_near(row, clock, now)))
        .map(|row| &row.shipment_id)
        .collect();
    let mut of_shipment: BTreeMap<ShipmentId, Vec<StateRow>> = BTreeMap::new();
    for row in store::of_shipments(conn, &falling_due.into_iter().collect::<Vec<_>>())? {
        of_shipment.entry(row.shipment_id.clone()).or_default().push(row);
    }
    let mut opened = 0;
    for (shipment, rows) in of_shipment {
        let Some(round) = round_of(&rows, rules, now) else { continue };
        let name = (round.since != Since::Arrival).then(|| round.due_at.day().to_string());
        let reason = round.reason;
        if checks::open_routine_for(conn, &shipment, name.as_deref(), round.due_at, reason, now)?.is_some() {
            opened += 1;
        }
        store::checked(conn, &round.items.iter().collect::<Vec<_>>())?;
    }
    Ok((opened, last))
}

/// Whether its due date is so near that a check is to be opened.
fn is_near(row: &StateRow, clock: &SerialClock, now: Timestamp) -> bool {
    row.due_at.is_some_and(|due| due <= now.plus(TimeDelta::days(i64::from(clock.lead_days))))
}

/// The next routine check of a shipment.
#[derive(Debug, PartialEq, Eq)]
struct Round {
    due_at: Timestamp,
    since: Since,
    /// The serials that it is opened for.
    items: Vec<ItemId>,
    reason: String,
}

/// One check for all serials that are near a due date for which none was opened, due when the first of them is.
fn round_of(rows: &[StateRow], rules: &Rules, now: Timestamp) -> Option<Round> {
    let near: Vec<(&StateRow, &SerialClock)> = rows
        .iter()
        .filter_map(|row| Some((row, row.clock(&rules.rules)?)))
        .filter(|(row, clock)| row.needs_check && is_near(row, clock, now))
        .collect();
    let (first, clock) = near.iter().min_by_key(|(row, _)| (row.due_order, &row.item_id))?;
    let due_at = first.due_at?;
    let since: Since = store::read_word(first.due_since.as_deref()?).ok()?;
    let from: NaiveDate = first.due_from.as_deref()?.parse().ok()?;
    let (many, all) = (near.len(), rows.len());
    let which = match (many, all) {
        (1, 1) => format!("the shipment's serial {} is", first.serial),
        (1, _) => format!("serial {} of the shipment's {all} is", first.serial),
        _ if many == all => format!("all {all} serials of the shipment are"),
        _ => format!("{many} of the shipment's {all} serials are"),
    };
    let reason = format!(
        "Routine: {which} to be seen, the first by {}, {}. Basis: {}",
        due_at.day(),
        state::told(since, from, clock),
        clock.basis
    );
    Some(Round { due_at, since, items: near.iter().map(|(row, _)| row.item_id.clone()).collect(), reason })
}

/// Opens a routine check for each shipment without serials that arrived and has none, due so many days later.
async fn open_arrived(app: &Arc<App>, now: Timestamp) -> Result<u64> {
    let days = app.config.routine_days;
    let mut opened = 0;
    let mut after: Option<Arrival> = None;
    loop {
        let from = after.take();
        let until = now.day().to_string();
        let (count, last) = app
            .write(move |conn| {
                let arrived = shipments::unserialled_without_routine(conn, &until, from.as_ref(), BATCH)?;
                let mut count = 0;
                for shipment in &arrived {
                    let Ok(arrived_on) = shipment.arrived_on.parse::<NaiveDate>() else { continue };
                    let reason = format!(
                        "Routine: the shipment arrived on {arrived_on}; it is to be seen within {days} days."
                    );
                    let due_at = state::end_of(arrived_on, days);
                    if checks::open_routine(conn, &shipment.id, due_at, reason, now)?.is_some() {
                        count += 1;
                    }
                }
                Ok((count, arrived.last().cloned()))
            })
            .await?;
        opened += count;
        after = last;
        if after.is_none() {
            return Ok(opened);
        }
    }
}
