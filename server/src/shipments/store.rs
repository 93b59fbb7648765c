//! Rows of shipments and their items.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::Text;
use endcheck_protocol::ids::{ItemId, PartyId, ShipmentId, SiteId};
use endcheck_protocol::time::Timestamp;

use super::{Arrival, Item, NewItem};
use crate::db::schema::{checks, licence_lines, licences, serial_events, shipment_items, shipments, sites};
use crate::db::{CHUNK, Conn, lower};
use crate::error::{Error, Result};
use crate::listing::ListQuery;
use crate::rows::differing;

/// All columns of a shipment that an import writes.
#[derive(Debug, PartialEq, Eq, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = shipments, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(super) struct Content {
    pub key: String,
    pub licence_line_id: String,
    pub exporter_id: PartyId,
    /// JSON list of party ids.
    pub intermediates: String,
    pub consignee_id: PartyId,
    pub end_user_id: PartyId,
    pub site_id: SiteId,
    pub hs6: String,
    pub declared_use: String,
    pub shipped_on: Option<String>,
    pub arrived_on: Option<String>,
}

impl Content {
    pub fn differences(&self, new: &Self) -> Vec<&'static str> {
        differing!(self, new; licence_line_id, exporter_id, intermediates, consignee_id, end_user_id,
            site_id, hs6, declared_use, shipped_on, arrived_on)
    }

    pub fn intermediates(&self) -> Result<Vec<PartyId>> {
        serde_json::from_str(&self.intermediates).map_err(|e| Error::Internal(e.into()))
    }
}

/// All columns of an item that an import writes.
#[derive(Debug, PartialEq, Eq, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = shipment_items, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(super) struct ItemContent {
    pub key: String,
    pub manufacturer: String,
    pub part_number: String,
    pub description: String,
    pub serial: Option<String>,
    pub lot: Option<String>,
    pub quantity: String,
    pub unit: String,
    pub position: i64,
}

impl ItemContent {
    pub fn of(item: &NewItem, position: i64) -> Self {
        let item = item.clone();
        Self {
            key: item.key,
            manufacturer: item.manufacturer,
            part_number: item.part_number,
            description: item.description,
            serial: item.serial,
            lot: item.lot,
            quantity: item.quantity,
            unit: item.unit,
            position,
        }
    }
}

/// An item as an import finds it.
pub(super) struct HeldItem {
    pub id: ItemId,
    pub item: ItemContent,
}

impl From<HeldItem> for Item {
    fn from(HeldItem { id, item }: HeldItem) -> Self {
        Self {
            id,
            key: item.key,
            manufacturer: item.manufacturer,
            part_number: item.part_number,
            description: item.description,
            serial: item.serial,
            lot: item.lot,
            quantity: item.quantity,
            unit: item.unit,
        }
    }
}

/// A shipment as an import finds it.
pub(super) struct Held {
    pub id: ShipmentId,
    pub content: Content,
    pub items: Vec<HeldItem>,
}

impl Held {
    pub fn items_not_in(&self, items: &[NewItem]) -> impl Iterator<Item = &HeldItem> {
        self.items.iter().filter(|held| !items.iter().any(|item| item.key == held.item.key))
    }
}

type ContentColumns = (
    shipments::key,
    shipments::licence_line_id,
    shipments::exporter_id,
    shipments::intermediates,
    shipments::consignee_id,
    shipments::end_user_id,
    shipments::site_id,
    shipments::hs6,
    shipments::declared_use,
    shipments::shipped_on,
    shipments::arrived_on,
);
const CONTENT: ContentColumns = (
    shipments::key,
    shipments::licence_line_id,
    shipments::exporter_id,
    shipments::intermediates,
    shipments::consignee_id,
    shipments::end_user_id,
    shipments::site_id,
    shipments::hs6,
    shipments::declared_use,
    shipments::shipped_on,
    shipments::arrived_on,
);

pub(super) fn by_keys(conn: &mut Conn, keys: &[&str]) -> Result<HashMap<String, Held>> {
    let mut found = HashMap::new();
    for some in keys.chunks(CHUNK) {
        let rows: Vec<(ShipmentId, Content)> = shipments::table
            .filter(shipments::key.eq_any(some))
            .select((shipments::id, CONTENT))
            .load(conn)?;
        let ids: Vec<&ShipmentId> = rows.iter().map(|(id, _)| id).collect();
        let mut items = items(conn, &ids)?;
        found.extend(rows.into_iter().map(|(id, content)| {
            let items = items.remove(&id).unwrap_or_default();
            (content.key.clone(), Held { id, content, items })
        }));
    }
    Ok(found)
}

pub(super) fn id_by_key(conn: &mut Conn, key: &str) -> Result<Option<ShipmentId>> {
    Ok(shipments::table.filter(shipments::key.eq(key)).select(shipments::id).first(conn).optional()?)
}

pub(super) fn items(conn: &mut Conn, ids: &[&ShipmentId]) -> Result<HashMap<ShipmentId, Vec<HeldItem>>> {
    use shipment_items as t;
    let mut found: HashMap<ShipmentId, Vec<HeldItem>> = HashMap::new();
    for some in ids.chunks(CHUNK) {
        let content = (
            t::key,
            t::manufacturer,
            t::part_number,
            t::description,
            t::serial,
            t::lot,
            t::quantity,
            t::unit,
            t::position,
        );
        let rows: Vec<(ItemId, ShipmentId, ItemContent)> = t::table
            .filter(t::shipment_id.eq_any(some.iter().copied()))
            .order((t::shipment_id, t::position))
            .select((t::id, t::shipment_id, content))
            .load(conn)?;
        for (id, shipment, item) in rows {
            found.entry(shipment).or_default().push(HeldItem { id, item });
        }
    }
    Ok(found)
}

/// Whether any check was opened on a shipment.
/// Whether anything but papers says something of the shipment or its items.
pub(super) fn is_checked(conn: &mut Conn, id: &ShipmentId) -> Result<bool> {
    let opened = checks::table.filter(checks::shipment_id.eq(id));
    let items = shipment_items::table.filter(shipment_items::shipment_id.eq(id)).select(shipment_items::id);
    let reported = serial_events::table
        .filter(serial_events::item_id.eq_any(items))
        .filter(serial_events::kind.ne("arrival"));
    let is_opened: bool = diesel::select(diesel::dsl::exists(opened)).get_result(conn)?;
    Ok(is_opened || diesel::select(diesel::dsl::exists(reported)).get_result(conn)?)
}

pub(super) fn insert(conn: &mut Conn, id: &ShipmentId, content: &Content, now: Timestamp) -> Result<()> {
    diesel::insert_into(shipments::table)
        .values((shipments::id.eq(id), content, shipments::created_at.eq(now), shipments::updated_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

pub(super) fn update(conn: &mut Conn, id: &ShipmentId, content: &Content, now: Timestamp) -> Result<()> {
    diesel::update(shipments::table.filter(shipments::id.eq(id)))
        .set((content, shipments::updated_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

pub(super) fn insert_item(
    conn: &mut Conn,
    id: &ItemId,
    shipment: &ShipmentId,
    item: &ItemContent,
) -> Result<()> {
    diesel::insert_into(shipment_items::table)
        .values((shipment_items::id.eq(id), shipment_items::shipment_id.eq(shipment), item))
        .execute(conn)?;
    Ok(())
}

pub(super) fn update_item(conn: &mut Conn, id: &ItemId, item: &ItemContent) -> Result<()> {
    diesel::update(shipment_items::table.filter(shipment_items::id.eq(id))).set(item).execute(conn)?;
    Ok(())
}

pub(super) fn delete_item(conn: &mut Conn, id: &ItemId) -> Result<()> {
    diesel::delete(shipment_items::table.filter(shipment_items::id.eq(id))).execute(conn)?;
    Ok(())
}

/// A shipment with its times.
#[derive(Queryable)]
pub(super) struct Row {
    pub id: ShipmentId,
    pub content: Content,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub(super) fn get(conn: &mut Conn, id: &ShipmentId) -> Result<Option<Row>> {
    Ok(shipments::table
        .filter(shipments::id.eq(id))
        .select((shipments::id, CONTENT, shipments::created_at, shipments::updated_at))
        .first(conn)
        .optional()?)
}

/// A shipment as a list shows it.
#[derive(Queryable)]
pub(super) struct ListedRow {
    pub id: ShipmentId,
    pub key: String,
    pub exporter_id: PartyId,
    pub end_user_id: PartyId,
    pub site_id: SiteId,
    pub hs6: String,
    pub shipped_on: Option<String>,
    pub arrived_on: Option<String>,
    pub licence_number: String,
    pub site_name: String,
    pub country: String,
}

pub(super) fn list(conn: &mut Conn, query: &ListQuery, limit: i64) -> Result<Vec<ListedRow>> {
    let mut rows = shipments::table
        .inner_join(licence_lines::table.on(licence_lines::id.eq(shipments::licence_line_id)))
        .inner_join(licences::table.on(licences::id.eq(licence_lines::licence_id)))
        .inner_join(sites::table.on(sites::id.eq(shipments::site_id)))
        .select((
            shipments::id,
            shipments::key,
            shipments::exporter_id,
            shipments::end_user_id,
            shipments::site_id,
            shipments::hs6,
            shipments::shipped_on,
            shipments::arrived_on,
            licences::number,
            sites::name,
            sites::country,
        ))
        .order(shipments::key)
        .limit(limit)
        .into_boxed();
    if let Some(after) = query.after()? {
        rows = rows.filter(shipments::key.gt(after));
    }
    if let Some(country) = &query.country {
        rows = rows.filter(sites::country.eq(country));
    }
    if let Some(pattern) = query.pattern() {
        let keyed = lower(shipments::key).like(pattern.clone()).escape('\\');
        let numbered = lower(licences::number).like(pattern.clone()).escape('\\');
        rows = rows.filter(keyed.or(numbered).or(lower(sites::name).like(pattern).escape('\\')));
    }
    Ok(rows.load(conn)?)
}

pub(super) fn arrived_without_routine(
    conn: &mut Conn,
    until: &str,
    after: Option<&Arrival>,
    without_serials: bool,
    limit: i64,
) -> Result<Vec<Arrival>> {
    let origin = "routine:".into_sql::<Text>().concat(shipments::id).nullable();
    let opened = checks::table.filter(checks::origin_key.eq(origin));
    let mut rows = shipments::table
        .filter(shipments::arrived_on.le(until))
        .filter(diesel::dsl::not(diesel::dsl::exists(opened)))
        .select((shipments::id, shipments::key, shipments::arrived_on.assume_not_null(), shipments::site_id))
        .order((shipments::arrived_on, shipments::id))
        .limit(limit)
        .into_boxed();
    if without_serials {
        let serials = shipment_items::table
            .filter(shipment_items::shipment_id.eq(shipments::id))
            .filter(shipment_items::serial.is_not_null());
        rows = rows.filter(diesel::dsl::not(diesel::dsl::exists(serials)));
    }
    if let Some(after) = after {
        let same_day = shipments::arrived_on.eq(&after.arrived_on).and(shipments::id.gt(&after.id));
        rows = rows.filter(shipments::arrived_on.gt(&after.arrived_on).or(same_day));
    }
    let rows: Vec<(ShipmentId, String, String, SiteId)> = rows.load(conn)?;
    Ok(rows.into_iter().map(|(id, key, arrived_on, site)| Arrival { id, key, arrived_on, site }).collect())
}

pub(super) fn keys(conn: &mut Conn, ids: &[&ShipmentId]) -> Result<HashMap<ShipmentId, String>> {
    let mut found = HashMap::new();
    for some in ids.chunks(CHUNK) {
        let rows: Vec<(ShipmentId, String)> = shipments::table
            .filter(shipments::id.eq_any(some.iter().copied()))
            .select((shipments::id, shipments::key))
            .load(conn)?;
        found.extend(rows);
    }
    Ok(found)
}
