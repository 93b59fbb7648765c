//! Rows of serials: events, rules, and the states worked out from them.

use std::collections::HashMap;

use chrono::NaiveDate;
use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{DeviceId, ItemId, PartyId, SerialEventId, ShipmentId, SiteId, UserId, VisitId};
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::VisitState;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::event::{Event, Happening, Unsent};
use super::state::{Papers, State, Status};
use crate::config::serial_rules::{SerialClock, SerialRules};
use crate::db::schema::{
    checks, counters, devices, licence_lines, licences, serial_events, serial_rules, serial_states,
    shipment_items, shipments, sites, visit_pulls, visits,
};
use crate::db::{Both, CHUNK, Conn, MultiBackend, insert_rows};
use crate::error::{Error, Result};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = serial_events, check_for_backend(MultiBackend))]
struct EventRow {
    id: SerialEventId,
    item_id: ItemId,
    kind: String,
    happened_at: Timestamp,
    recorded_at: Timestamp,
    actor: String,
    visit_id: Option<VisitId>,
    record_hash: Option<Sha256>,
    replaces_record: Option<Sha256>,
    corrects: Option<SerialEventId>,
    detail: String,
    document: Option<String>,
    log_index: Option<i64>,
}

impl EventRow {
    fn of(event: &Event, document: Option<String>) -> Result<Self> {
        Ok(Self {
            id: event.id.clone(),
            item_id: event.item.clone(),
            kind: event.what.kind().to_owned(),
            happened_at: event.happened_at,
            recorded_at: event.recorded_at,
            actor: event.actor.clone(),
            visit_id: event.visit.clone(),
            record_hash: event.record.clone(),
            replaces_record: event.replaces_record.clone(),
            corrects: event.corrects.clone(),
            detail: serde_json::to_string(&event.what).map_err(|e| Error::Internal(e.into()))?,
            document,
            log_index: event.log_index,
        })
    }
}

impl TryFrom<EventRow> for Event {
    type Error = Error;
    fn try_from(row: EventRow) -> Result<Self> {
        let what: Happening = serde_json::from_str(&row.detail).map_err(|e| {
            Error::Internal(anyhow::anyhow!("the serial event {} cannot be read: {e}", row.id))
        })?;
        Ok(Self {
            id: row.id,
            item: row.item_id,
            what,
            happened_at: row.happened_at,
            recorded_at: row.recorded_at,
            actor: row.actor,
            visit: row.visit_id,
            record: row.record_hash,
            replaces_record: row.replaces_record,
            corrects: row.corrects,
            log_index: row.log_index,
        })
    }
}

/// Adds an event with the exact bytes that the log commits to, if it does. Returns whether it is new: each
/// record counts once.
pub(super) fn insert_event(conn: &mut Conn, event: &Event, document: Option<String>) -> Result<bool> {
    let row = EventRow::of(event, document)?;
    let insert = diesel::insert_into(serial_events::table).values(&row);
    Ok(Both(insert.on_conflict(serial_events::record_hash).do_nothing()).execute(conn)? == 1)
}

pub(super) fn insert_events(conn: &mut Conn, events: &[Event]) -> Result<()> {
    let rows: Vec<EventRow> = events.iter().map(|event| EventRow::of(event, None)).collect::<Result<_>>()?;
    insert_rows!(conn, serial_events::table, &rows);
    Ok(())
}

/// The events of each item, in the order in which they were recorded.
pub(super) fn events(conn: &mut Conn, items: &[&ItemId]) -> Result<HashMap<ItemId, Vec<Event>>> {
    let mut found: HashMap<ItemId, Vec<Event>> = HashMap::new();
    for some in items.chunks(CHUNK) {
        let rows: Vec<EventRow> = serial_events::table
            .filter(serial_events::item_id.eq_any(some.iter().copied()))
            .order((serial_events::recorded_at, serial_events::id))
            .select(EventRow::as_select())
            .load(conn)?;
        for row in rows {
            let event = Event::try_from(row)?;
            found.entry(event.item.clone()).or_default().push(event);
        }
    }
    Ok(found)
}

/// Every event that was not read off the papers, with the bytes that the log commits to.
pub(super) fn told_events(conn: &mut Conn) -> Result<Vec<(Event, Option<String>)>> {
    let rows: Vec<EventRow> = serial_events::table
        .filter(serial_events::kind.ne("arrival"))
        .order(serial_events::id)
        .select(EventRow::as_select())
        .load(conn)?;
    rows.into_iter()
        .map(|mut row| {
            let document = row.document.take();
            Ok((Event::try_from(row)?, document))
        })
        .collect()
}

/// A state as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = serial_states, check_for_backend(MultiBackend), primary_key(item_id))]
#[diesel(treat_none_as_null = true, treat_none_as_default_value = false)]
pub(super) struct StateRow {
    pub item_id: ItemId,
    pub shipment_id: ShipmentId,
    pub serial: String,
    pub control_entry: String,
    pub authority: String,
    pub declared_host_id: PartyId,
    pub declared_site_id: SiteId,
    pub declared_country: String,
    pub rules_hash: Sha256,
    pub tier: i64,
    pub status: String,
    pub host_id: PartyId,
    pub site_id: SiteId,
    pub country: String,
    pub arrived_on: Option<String>,
    pub last_seen_at: Option<Timestamp>,
    pub seen_method: Option<String>,
    pub seen_visit_id: Option<VisitId>,
    pub seen_site_id: Option<SiteId>,
    pub due_at: Option<Timestamp>,
    pub due_since: Option<String>,
    pub due_from: Option<String>,
    pub due_order: Timestamp,
    pub said: Option<String>,
    pub loss_id: Option<SerialEventId>,
    pub loss_is_late: bool,
    pub events: i64,
    pub needs_check: bool,
}

/// After every due date.
fn end_of_time() -> Timestamp {
    let last = NaiveDate::from_ymd_opt(9999, 12, 31).unwrap_or_default();
    last.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc().into()
}

impl StateRow {
    pub fn of(papers: &Papers, rules_hash: &Sha256, state: &State, held: Option<&Self>) -> Result<Self> {
        let needs_check = match held {
            Some(held) if held.due_at == state.due_at => held.needs_check,
            _ => state.due_at.is_some(),
        };
        Ok(Self {
            item_id: papers.item.clone(),
            shipment_id: papers.shipment.clone(),
            serial: papers.serial.clone(),
            control_entry: papers.control_entry.clone(),
            authority: papers.authority.clone(),
            declared_host_id: papers.host.clone(),
            declared_site_id: papers.site.clone(),
            declared_country: papers.country.clone(),
            rules_hash: rules_hash.clone(),
            tier: i64::from(state.tier),
            status: state.status.as_str().to_owned(),
            host_id: state.host.clone(),
            site_id: state.site.clone(),
            country: state.country.clone(),
            arrived_on: state.arrived_on.clone(),
            last_seen_at: state.last_seen_at,
            seen_method: state.seen_method.as_ref().map(word).transpose()?,
            seen_visit_id: state.seen_visit.clone(),
            seen_site_id: state.seen_site.clone(),
            due_at: state.due_at,
            due_since: state.due_since.as_ref().map(word).transpose()?,
            due_from: state.due_from.map(|day| day.to_string()),
            due_order: state.due_at.unwrap_or_else(end_of_time),
            said: state.said.as_ref().map(word).transpose()?,
            loss_id: state.loss.clone(),
            loss_is_late: state.loss_is_late,
            events: i64::try_from(state.events).unwrap_or(i64::MAX),
            needs_check,
        })
    }

    /// The clock that runs for it.
    pub fn clock<'a>(&self, rules: &'a SerialRules) -> Option<&'a SerialClock> {
        rules.clock(u8::try_from(self.tier).unwrap_or(9), &self.control_entry, &self.authority)
    }

    /// What the papers said when it was worked out.
    pub fn papers(&self) -> Papers {
        Papers {
            item: self.item_id.clone(),
            shipment: self.shipment_id.clone(),
            serial: self.serial.clone(),
            control_entry: self.control_entry.clone(),
            authority: self.authority.clone(),
            host: self.declared_host_id.clone(),
            site: self.declared_site_id.clone(),
            country: self.declared_country.clone(),
        }
    }
}

/// A word of a closed list, as it is written.
pub(super) fn word<T: Serialize>(value: &T) -> Result<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        other => Err(Error::Internal(anyhow::anyhow!("{other:?} is not a word"))),
    }
}

/// The value that such a word stands for.
pub(super) fn read_word<T: DeserializeOwned>(word: &str) -> Result<T> {
    serde_json::from_value(word.into()).map_err(|e| Error::Internal(e.into()))
}

pub(super) fn states(conn: &mut Conn, items: &[&ItemId]) -> Result<HashMap<ItemId, StateRow>> {
    let mut found = HashMap::new();
    for some in items.chunks(CHUNK) {
        let rows: Vec<StateRow> = serial_states::table
            .filter(serial_states::item_id.eq_any(some.iter().copied()))
            .select(StateRow::as_select())
            .load(conn)?;
        found.extend(rows.into_iter().map(|row| (row.item_id.clone(), row)));
    }
    Ok(found)
}

pub(super) fn states_after(conn: &mut Conn, after: Option<&ItemId>, limit: i64) -> Result<Vec<StateRow>> {
    let mut rows = serial_states::table
        .order(serial_states::item_id)
        .limit(limit)
        .select(StateRow::as_select())
        .into_boxed();
    if let Some(after) = after {
        rows = rows.filter(serial_states::item_id.gt(after));
    }
    Ok(rows.load(conn)?)
}

/// Writes states: those that were not there, and those that changed.
pub(super) fn put_states(conn: &mut Conn, new: &[StateRow], changed: &[StateRow]) -> Result<()> {
    insert_rows!(conn, serial_states::table, new);
    for row in changed {
        diesel::update(serial_states::table.find(&row.item_id)).set(row).execute(conn)?;
    }
    Ok(())
}

/// What the papers say of a serial, and when its shipment arrived.
pub(super) struct Declared {
    pub papers: Papers,
    pub arrived_on: Option<String>,
}

type PapersRow =
    (ItemId, ShipmentId, Option<String>, String, String, PartyId, SiteId, String, Option<String>);

macro_rules! papers_query {
    () => {
        shipment_items::table
            .inner_join(shipments::table.on(shipments::id.eq(shipment_items::shipment_id)))
            .inner_join(licence_lines::table.on(licence_lines::id.eq(shipments::licence_line_id)))
            .inner_join(licences::table.on(licences::id.eq(licence_lines::licence_id)))
            .inner_join(sites::table.on(sites::id.eq(shipments::site_id)))
            .filter(shipment_items::serial.is_not_null())
            .order(shipment_items::id)
            .select((
                shipment_items::id,
                shipment_items::shipment_id,
                shipment_items::serial,
                licence_lines::control_entry,
                licences::authority,
                shipments::end_user_id,
                shipments::site_id,
                sites::country,
                shipments::arrived_on,
            ))
    };
}

fn declared(row: PapersRow) -> Declared {
    let (item, shipment, serial, control_entry, authority, host, site, country, arrived_on) = row;
    let serial = serial.unwrap_or_default();
    let papers = Papers { item, shipment, serial, control_entry, authority, host, site, country };
    Declared { papers, arrived_on }
}

pub(super) fn papers(conn: &mut Conn, items: &[&ItemId]) -> Result<Vec<Declared>> {
    let mut found = Vec::with_capacity(items.len());
    for some in items.chunks(CHUNK) {
        let rows: Vec<PapersRow> =
            papers_query!().filter(shipment_items::id.eq_any(some.iter().copied())).load(conn)?;
        found.extend(rows.into_iter().map(declared));
    }
    Ok(found)
}

pub(super) fn papers_after(conn: &mut Conn, after: Option<&ItemId>, limit: i64) -> Result<Vec<Declared>> {
    let from = after.map_or("", ItemId::as_str);
    let rows: Vec<PapersRow> = papers_query!().filter(shipment_items::id.gt(from)).limit(limit).load(conn)?;
    Ok(rows.into_iter().map(declared).collect())
}

/// The site of a visit, and the shipment that its check is about.
pub(super) fn visit_of(conn: &mut Conn, visit: &VisitId) -> Result<Option<(SiteId, ShipmentId)>> {
    Ok(visits::table
        .inner_join(checks::table.on(checks::id.eq(visits::check_id)))
        .filter(visits::id.eq(visit))
        .select((visits::site_id, checks::shipment_id))
        .first(conn)
        .optional()?)
}

/// Why whoever holds the device was not sent to the visit; `None` where they were.
pub(super) fn unsent(conn: &mut Conn, visit: &VisitId, device: &DeviceId) -> Result<Option<Unsent>> {
    let found: Option<(String, Option<UserId>)> =
        visits::table.find(visit).select((visits::state, visits::inspector_id)).first(conn).optional()?;
    let Some((state, inspector)) = found else { return Ok(Some(Unsent::NotAssigned)) };
    if state == VisitState::Cancelled.as_str() {
        return Ok(Some(Unsent::Cancelled));
    }
    let holder: Option<UserId> =
        devices::table.find(device).select(devices::user_id).first(conn).optional()?;
    let Some(holder) = holder else { return Ok(Some(Unsent::NotAssigned)) };
    if inspector.as_ref() == Some(&holder) {
        return Ok(None);
    }
    // They were the inspector when a device of theirs took the visit along.
    let pulled = visit_pulls::table
        .inner_join(devices::table.on(devices::id.eq(visit_pulls::device_id)))
        .filter(visit_pulls::visit_id.eq(visit).and(devices::user_id.eq(&holder)));
    let was_sent: bool = diesel::select(diesel::dsl::exists(pulled)).get_result(conn)?;
    Ok((!was_sent).then_some(Unsent::NotAssigned))
}

/// Serials of shipments that arrived by a day and whose states do not say so yet.
pub(super) fn arrived_by(
    conn: &mut Conn,
    day: &str,
    after: Option<&ItemId>,
    limit: i64,
) -> Result<Vec<ItemId>> {
    Ok(serial_states::table
        .inner_join(shipments::table.on(shipments::id.eq(serial_states::shipment_id)))
        .filter(serial_states::arrived_on.is_null())
        .filter(shipments::arrived_on.le(day))
        .filter(serial_states::item_id.gt(after.map_or("", ItemId::as_str)))
        .order(serial_states::item_id)
        .limit(limit)
        .select(serial_states::item_id)
        .load(conn)?)
}

pub(super) fn counter(conn: &mut Conn, name: &str) -> Result<i64> {
    Ok(counters::table.find(name).select(counters::value).first(conn)?)
}

pub(super) fn set_counter(conn: &mut Conn, name: &str, value: i64) -> Result<()> {
    diesel::update(counters::table.find(name)).set(counters::value.eq(value)).execute(conn)?;
    Ok(())
}

/// Sets a counter where it still is what was read.
pub(super) fn move_counter(conn: &mut Conn, name: &str, was: i64, value: i64) -> Result<()> {
    diesel::update(counters::table.find(name).filter(counters::value.eq(was)))
        .set(counters::value.eq(value))
        .execute(conn)?;
    Ok(())
}

/// Who licensed anything.
pub(super) fn authorities(conn: &mut Conn) -> Result<Vec<String>> {
    Ok(licences::table.select(licences::authority).distinct().load(conn)?)
}

/// Keeps the rules, once.
pub(super) fn keep_rules(conn: &mut Conn, hash: &Sha256, document: &str, now: Timestamp) -> Result<()> {
    let row =
        (serial_rules::hash.eq(hash), serial_rules::document.eq(document), serial_rules::since_at.eq(now));
    Both(diesel::insert_into(serial_rules::table).values(row).on_conflict(serial_rules::hash).do_nothing())
        .execute(conn)?;
    Ok(())
}

/// Every set of rules that was ever in force, by its hash.
pub(super) fn rules(conn: &mut Conn) -> Result<HashMap<Sha256, String>> {
    let rows: Vec<(Sha256, String)> =
        serial_rules::table.select((serial_rules::hash, serial_rules::document)).load(conn)?;
    Ok(rows.into_iter().collect())
}

/// Where a page of the list ended: due date and item.
pub(super) type Place = (Timestamp, ItemId);

/// What stands behind a place. As a row value: both databases then begin in the index where the page before
/// ended.
macro_rules! beyond {
    ($place:expr) => {
        diesel::dsl::sql::<diesel::sql_types::Bool>("(due_order, item_id) > (")
            .bind::<diesel::sql_types::Timestamp, _>($place.0)
            .sql(", ")
            .bind::<diesel::sql_types::Text, _>($place.1.clone())
            .sql(")")
    };
}

/// Serials for whose due date no routine check was opened, and which fall due until then; earliest first.
pub(super) fn to_check(
    conn: &mut Conn,
    after: Option<&Place>,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<StateRow>> {
    let mut rows = serial_states::table
        .filter(serial_states::needs_check.eq(true).and(serial_states::due_order.le(until)))
        .order((serial_states::due_order, serial_states::item_id))
        .limit(limit)
        .select(StateRow::as_select())
        .into_boxed();
    if let Some(place) = after {
        rows = rows.filter(beyond!(place));
    }
    Ok(rows.load(conn)?)
}

/// The serials of shipments that have a due date.
pub(super) fn of_shipments(conn: &mut Conn, shipments: &[&ShipmentId]) -> Result<Vec<StateRow>> {
    let mut found = Vec::new();
    for some in shipments.chunks(CHUNK) {
        let rows: Vec<StateRow> = serial_states::table
            .filter(serial_states::shipment_id.eq_any(some.iter().copied()))
            .select(StateRow::as_select())
            .load(conn)?;
        found.extend(rows);
    }
    Ok(found)
}

/// As the slice's function of that name.
pub(super) fn unseen_since(
    conn: &mut Conn,
    shipments: &[&ShipmentId],
) -> Result<HashMap<ShipmentId, Timestamp>> {
    use diesel::dsl::{count, count_star, min};
    let mut found = HashMap::new();
    for some in shipments.chunks(CHUNK) {
        let rows: Vec<(ShipmentId, i64, i64, Option<Timestamp>)> = serial_states::table
            .filter(serial_states::shipment_id.eq_any(some.iter().copied()))
            .filter(serial_states::status.ne(Status::Gone.as_str()))
            .group_by(serial_states::shipment_id)
            .select((
                serial_states::shipment_id,
                count_star(),
                count(serial_states::last_seen_at),
                min(serial_states::last_seen_at),
            ))
            .load(conn)?;
        let all_seen = rows.into_iter().filter(|(_, serials, seen, _)| serials == seen);
        found.extend(all_seen.filter_map(|(shipment, _, _, oldest_at)| Some((shipment, oldest_at?))));
    }
    Ok(found)
}

pub(super) fn checked(conn: &mut Conn, items: &[&ItemId]) -> Result<()> {
    for some in items.chunks(CHUNK) {
        let rows = serial_states::table.filter(serial_states::item_id.eq_any(some.iter().copied()));
        diesel::update(rows).set(serial_states::needs_check.eq(false)).execute(conn)?;
    }
    Ok(())
}

/// What is asked for of the list.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    pub due_before: Option<Timestamp>,
    pub host: Option<PartyId>,
    pub tier: Option<i64>,
    pub site: Option<SiteId>,
    pub country: Option<String>,
    pub status: Option<Status>,
    pub shipment: Option<ShipmentId>,
}

/// Serials in the order of their due dates, those without one last.
pub(super) fn list(
    conn: &mut Conn,
    filter: &Filter,
    after: Option<&Place>,
    limit: i64,
) -> Result<Vec<StateRow>> {
    use serial_states as t;
    let mut rows =
        t::table.order((t::due_order, t::item_id)).limit(limit).select(StateRow::as_select()).into_boxed();
    if let Some(place) = after {
        rows = rows.filter(beyond!(place));
    }
    if let Some(before) = filter.due_before {
        rows = rows.filter(t::due_order.lt(before));
    }
    if let Some(host) = &filter.host {
        rows = rows.filter(t::host_id.eq(host));
    }
    if let Some(tier) = filter.tier {
        rows = rows.filter(t::tier.eq(tier));
    }
    if let Some(site) = &filter.site {
        rows = rows.filter(t::site_id.eq(site));
    }
    if let Some(country) = &filter.country {
        rows = rows.filter(t::country.eq(country));
    }
    if let Some(status) = filter.status {
        rows = rows.filter(t::status.eq(status.as_str()));
    }
    if let Some(shipment) = &filter.shipment {
        rows = rows.filter(t::shipment_id.eq(shipment));
    }
    Ok(rows.load(conn)?)
}

/// Serials by tier and host whose due date lies in `from..until`.
pub(super) fn overdue(
    conn: &mut Conn,
    from: Timestamp,
    until: Timestamp,
) -> Result<Vec<(i64, PartyId, i64)>> {
    use serial_states as t;
    Ok(t::table
        .filter(t::due_order.ge(from).and(t::due_order.lt(until)))
        .group_by((t::tier, t::host_id))
        .select((t::tier, t::host_id, diesel::dsl::count_star()))
        .load(conn)?)
}

/// Serials with a due date, by tier.
pub(super) fn with_due_date(conn: &mut Conn) -> Result<Vec<(i64, i64)>> {
    use serial_states as t;
    Ok(t::table
        .filter(t::due_order.lt(end_of_time()))
        .group_by(t::tier)
        .select((t::tier, diesel::dsl::count_star()))
        .load(conn)?)
}

/// The names of sites.
pub(super) fn site_names(conn: &mut Conn, ids: &[&SiteId]) -> Result<HashMap<SiteId, String>> {
    let mut found = HashMap::new();
    for some in ids.chunks(CHUNK) {
        let rows: Vec<(SiteId, String)> = sites::table
            .filter(sites::id.eq_any(some.iter().copied()))
            .select((sites::id, sites::name))
            .load(conn)?;
        found.extend(rows);
    }
    Ok(found)
}
