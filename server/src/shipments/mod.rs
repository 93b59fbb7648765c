//! Shipments under licence lines, with their items; and the licences themselves.

mod http;
mod licence;
mod licence_row;
mod licence_store;
mod plan;
mod row;
mod store;

use std::collections::{BTreeSet, HashMap};

use endcheck_protocol::checklist::LicenceCondition;
use endcheck_protocol::ids::{ItemId, LicenceId, PartyId, ShipmentId, SiteId};
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::{ExpectedItem, ShipmentSummary};
use serde::Serialize;

pub use http::{Api, routes};
pub use licence::{
    Condition, Licence, LicenceLine, Money, NewLicence, create as create_licence, get as licence,
    import as import_licences, list as list_licences,
};
pub use licence_row::{SHAPE as LICENCE_SHAPE, parse as parse_licence};
pub use plan::import;
pub use row::{SHAPE, parse};

use crate::accounts::{Actor, Permission};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::listing::{ListQuery, Page};
use crate::parties::{self, PartyName, PartyRole, lock_programme};
use crate::rows::{Faults, Placed};
use crate::sites;

/// A shipment to be added or brought up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct NewShipment {
    /// The programme's own, unique among shipments.
    pub key: String,
    /// Key of the licence.
    pub licence: String,
    /// Line of the licence.
    pub line: i64,
    /// Party keys, here and below.
    pub exporter: String,
    /// In the order in which the goods pass them.
    #[schema(required = false)]
    pub intermediates: Vec<String>,
    pub consignee: String,
    pub end_user: String,
    /// Key of the site where the goods are declared to be.
    pub site: String,
    /// `YYYY-MM-DD`; absent when it has not happened or is not known.
    pub shipped_on: Option<String>,
    pub arrived_on: Option<String>,
    /// Six digits of the Harmonized System.
    pub hs6: String,
    /// From the end-use statement.
    pub declared_use: String,
    pub items: Vec<NewItem>,
}

/// An item of a shipment to be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct NewItem {
    /// Unique within the shipment.
    pub key: String,
    pub manufacturer: String,
    pub part_number: String,
    pub description: String,
    /// Of a single piece; an item has a serial or a lot.
    pub serial: Option<String>,
    pub lot: Option<String>,
    /// Positive decimal.
    pub quantity: String,
    pub unit: String,
}

/// A shipment as kept, with all that a visit needs of it.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Shipment {
    pub id: ShipmentId,
    pub key: String,
    pub licence: LicenceId,
    pub licence_key: String,
    pub licence_number: String,
    pub line: LicenceLine,
    pub conditions: Vec<Condition>,
    pub exporter: PartyName,
    pub intermediates: Vec<PartyName>,
    pub consignee: PartyName,
    pub end_user: PartyName,
    pub site: SiteId,
    pub site_key: String,
    pub site_name: String,
    /// The site's country.
    pub country: String,
    pub hs6: String,
    pub declared_use: String,
    pub shipped_on: Option<String>,
    pub arrived_on: Option<String>,
    pub items: Vec<Item>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// An item as kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Item {
    pub id: ItemId,
    pub key: String,
    pub manufacturer: String,
    pub part_number: String,
    pub description: String,
    pub serial: Option<String>,
    pub lot: Option<String>,
    pub quantity: String,
    pub unit: String,
}

/// A shipment as listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ListedShipment {
    pub id: ShipmentId,
    pub key: String,
    pub licence_number: String,
    pub exporter: PartyName,
    pub end_user: PartyName,
    pub site: SiteId,
    pub site_name: String,
    /// The site's country.
    pub country: String,
    pub hs6: String,
    pub shipped_on: Option<String>,
    pub arrived_on: Option<String>,
}

/// A shipment that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    pub id: ShipmentId,
    pub key: String,
    /// `YYYY-MM-DD`.
    pub arrived_on: String,
    pub site: SiteId,
}

impl Shipment {
    /// What the papers say, as the packet of a visit carries it.
    #[must_use]
    pub fn summary(&self) -> ShipmentSummary {
        ShipmentSummary {
            key: self.key.clone(),
            licence_number: self.licence_number.clone(),
            control_entry: self.line.control_entry.clone(),
            exporter: self.exporter.name.clone(),
            consignee: self.consignee.name.clone(),
            end_user: self.end_user.name.clone(),
            declared_use: self.declared_use.clone(),
            hs6: self.hs6.clone(),
            shipped_on: self.shipped_on.clone(),
            arrived_on: self.arrived_on.clone(),
        }
    }

    /// The items that should be found.
    #[must_use]
    pub fn expected_items(&self) -> Vec<ExpectedItem> {
        let expected = |item: &Item| ExpectedItem {
            id: item.id.clone(),
            key: item.key.clone(),
            description: item.description.clone(),
            manufacturer: item.manufacturer.clone(),
            part_number: item.part_number.clone(),
            serial: item.serial.clone(),
            lot: item.lot.clone(),
            quantity: item.quantity.clone(),
            unit: item.unit.clone(),
        };
        self.items.iter().map(expected).collect()
    }

    /// The licence's conditions as a checklist takes them.
    #[must_use]
    pub fn licence_conditions(&self) -> Vec<LicenceCondition> {
        self.conditions.iter().map(|condition| condition.for_checklist(&self.licence_number)).collect()
    }
}

/// Adds one shipment. Call it within a write.
///
/// # Errors
/// 403 without the right; 409 `key-taken`; 422 when something it names is unknown.
pub fn create(
    conn: &mut Conn,
    actor: &Actor,
    shipment: Placed<NewShipment>,
    now: Timestamp,
) -> Result<Shipment> {
    actor.require(Permission::EditProgramme)?;
    let key = shipment.value.key.clone();
    lock_programme(conn)?;
    if store::id_by_key(conn, &key)?.is_some() {
        return Err(Error::conflict("key-taken", format!("There is a shipment {key} already.")));
    }
    import(conn, &[shipment], Faults::default(), now)?;
    let id = id_of(conn, &key)?;
    get(conn, &id)
}

/// A shipment with its licence line, conditions, parties and items.
///
/// # Errors
/// 404 when there is none.
pub fn get(conn: &mut Conn, id: &ShipmentId) -> Result<Shipment> {
    let row = store::get(conn, id)?.ok_or_else(|| Error::not_found("shipment"))?;
    let (licence_id, line) = licence_store::line(conn, &row.content.licence_line_id)?
        .ok_or_else(|| Error::not_found("licence line"))?;
    let licence = licence(conn, &licence_id)?;
    let site = sites::get(conn, &row.content.site_id)?;
    let intermediates = row.content.intermediates()?;
    let mut ids = vec![&row.content.exporter_id, &row.content.consignee_id, &row.content.end_user_id];
    ids.extend(&intermediates);
    let names = parties::names(conn, &ids)?;
    let named = |id: &PartyId| names.get(id).cloned().ok_or_else(|| Error::not_found("party"));
    let items = store::items(conn, &[id])?.remove(id).unwrap_or_default();
    Ok(Shipment {
        licence: licence_id,
        licence_key: licence.key,
        licence_number: licence.number,
        line,
        conditions: licence.conditions,
        exporter: named(&row.content.exporter_id)?,
        intermediates: intermediates.iter().map(named).collect::<Result<_>>()?,
        consignee: named(&row.content.consignee_id)?,
        end_user: named(&row.content.end_user_id)?,
        site: site.id,
        site_key: site.key,
        site_name: site.name,
        country: site.country,
        items: items.into_iter().map(Item::from).collect(),
        id: row.id,
        key: row.content.key,
        hs6: row.content.hs6,
        declared_use: row.content.declared_use,
        shipped_on: row.content.shipped_on,
        arrived_on: row.content.arrived_on,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

/// Shipments in the order of their keys; `country` is the site's.
///
/// # Errors
/// 400 or 422 when the query is not understood.
pub fn list(conn: &mut Conn, query: &ListQuery) -> Result<Page<ListedShipment>> {
    let limit = query.limit()?;
    let rows = store::list(conn, query, limit + 1)?;
    let ids: BTreeSet<&PartyId> = rows.iter().flat_map(|row| [&row.exporter_id, &row.end_user_id]).collect();
    let names = parties::names(conn, &ids.into_iter().collect::<Vec<_>>())?;
    let named = |id: &PartyId| names.get(id).cloned().ok_or_else(|| Error::not_found("party"));
    let listed = rows.into_iter().map(|row| {
        Ok(ListedShipment {
            exporter: named(&row.exporter_id)?,
            end_user: named(&row.end_user_id)?,
            id: row.id,
            key: row.key,
            licence_number: row.licence_number,
            site: row.site_id,
            site_name: row.site_name,
            country: row.country,
            hs6: row.hs6,
            shipped_on: row.shipped_on,
            arrived_on: row.arrived_on,
        })
    });
    Ok(Page::cut(listed.collect::<Result<_>>()?, limit, |shipment| &shipment.key))
}

/// Shipments that arrived on or before a day (`YYYY-MM-DD`) and for which no routine check was opened
/// (`checks.origin_key` is `routine:` and the shipment's id), earliest first, at most `limit` of them
/// after the given one.
///
/// # Errors
/// When the database fails.
pub fn arrived_without_routine(
    conn: &mut Conn,
    until: &str,
    after: Option<&Arrival>,
    limit: i64,
) -> Result<Vec<Arrival>> {
    store::arrived_without_routine(conn, until, after, false, limit)
}

/// As [`arrived_without_routine`], of the shipments in which no item has a serial.
///
/// # Errors
/// When the database fails.
pub fn unserialled_without_routine(
    conn: &mut Conn,
    until: &str,
    after: Option<&Arrival>,
    limit: i64,
) -> Result<Vec<Arrival>> {
    store::arrived_without_routine(conn, until, after, true, limit)
}

/// The id of the shipment with a key.
///
/// # Errors
/// 404 when there is none.
pub fn id_of(conn: &mut Conn, key: &str) -> Result<ShipmentId> {
    store::id_by_key(conn, key)?.ok_or_else(|| Error::not_found("shipment"))
}

/// The keys of those ids that exist.
///
/// # Errors
/// When the database fails.
pub fn keys(conn: &mut Conn, ids: &[&ShipmentId]) -> Result<HashMap<ShipmentId, String>> {
    store::keys(conn, ids)
}

/// Who was to receive and use the goods.
///
/// # Errors
/// 404 when there is no such shipment.
pub fn receivers(conn: &mut Conn, id: &ShipmentId) -> Result<Vec<(PartyRole, PartyId)>> {
    let content = store::get(conn, id)?.ok_or_else(|| Error::not_found("shipment"))?.content;
    Ok(vec![(PartyRole::EndUser, content.end_user_id), (PartyRole::Consignee, content.consignee_id)])
}

/// Those whom the outcome of a check concerns.
///
/// # Errors
/// 404 when there is no such shipment.
pub fn concerned(conn: &mut Conn, id: &ShipmentId) -> Result<Vec<(PartyRole, PartyId)>> {
    let exporter = store::get(conn, id)?.ok_or_else(|| Error::not_found("shipment"))?.content.exporter_id;
    let mut concerned = receivers(conn, id)?;
    concerned.push((PartyRole::Exporter, exporter));
    Ok(concerned)
}
