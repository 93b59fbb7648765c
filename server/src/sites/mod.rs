//! Sites: where goods are declared to be, and where each of them ends.

mod http;
mod row;
mod store;

use std::collections::{BTreeSet, HashMap};

use endcheck_protocol::ids::{PartyId, SiteId};
use endcheck_protocol::time::Timestamp;
use serde::Serialize;

pub use http::{Api, routes};
pub use row::{SHAPE, parse};

use crate::accounts::{Actor, Permission};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::listing::{ListQuery, Page};
use crate::parties::{self, lock_programme};
use crate::rows::{Faults, Imported, Placed, unique_keys};

/// A site to be added or brought up to date.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct NewSite {
    /// The programme's own, unique among sites.
    pub key: String,
    /// Key of the party whose premises these are.
    pub party: String,
    pub name: String,
    pub address: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// IANA name; visit windows are read in it.
    pub time_zone: String,
    /// A GeoJSON Feature (Polygon, MultiPolygon, or Point with the property `radius_m`), WGS 84.
    #[schema(value_type = Option<Object>)]
    pub fence: Option<serde_json::Value>,
}

/// A site as a GeoJSON feature, which is how it is sent in.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes what `parse` reads, for the OpenAPI document")]
pub struct SiteFeature {
    /// `Feature`.
    #[schema(rename = "type")]
    kind: String,
    properties: SiteProperties,
    /// A Polygon or MultiPolygon, a Point with the property `radius_m`, or null where no fence is known.
    #[schema(value_type = Option<Object>)]
    geometry: Option<serde_json::Value>,
}

/// The properties of a site's feature.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes what `parse` reads, for the OpenAPI document")]
pub struct SiteProperties {
    key: String,
    /// Key of the party whose premises these are.
    party: String,
    name: String,
    address: String,
    /// ISO 3166-1 alpha-2.
    country: String,
    /// IANA name.
    time_zone: String,
    /// Metres; with a Point, and only there.
    radius_m: Option<f64>,
}

/// A site as kept.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Site {
    pub id: SiteId,
    pub key: String,
    pub party: PartyId,
    pub party_key: String,
    pub party_name: String,
    pub name: String,
    pub address: String,
    pub country: String,
    pub time_zone: String,
    /// A GeoJSON Feature that `protocol::place::Fence` reads; absent where no fence is known.
    #[schema(value_type = Option<Object>)]
    pub fence: Option<serde_json::Value>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Adds the rows, or brings what is there up to date; all or nothing. Call it within a write.
///
/// # Errors
/// 422 with every fault, those handed in included.
pub fn import(
    conn: &mut Conn,
    rows: &[Placed<NewSite>],
    mut faults: Faults,
    now: Timestamp,
) -> Result<Imported> {
    unique_keys(rows, &mut faults, |site| &site.key);
    lock_programme(conn)?;
    let parties = parties::ids_by_key(conn, rows.iter().map(|row| row.value.party.as_str()))?;
    for row in rows.iter().filter(|row| !parties.contains_key(&row.value.party)) {
        let reason = format!("no party with key {}; import parties first", row.value.party);
        faults.add(&row.place, "party", reason);
    }
    faults.into_result()?;
    let keys: Vec<&str> = rows.iter().map(|row| row.value.key.as_str()).collect();
    let held = store::by_keys(conn, &keys)?;
    let mut imported = Imported::default();
    for row in rows {
        let party = parties.get(&row.value.party).cloned();
        let content = store::Content::of(&row.value, party.ok_or_else(|| Error::not_found("party"))?)?;
        match held.get(&content.key) {
            None => {
                store::insert(conn, &SiteId::mint(), &content, now)?;
                imported.added += 1;
            }
            Some((id, old)) => {
                let fields = old.differences(&content);
                if !fields.is_empty() {
                    store::update(conn, id, &content, now)?;
                }
                imported.held(&content.key, &fields);
            }
        }
    }
    Ok(imported)
}

/// Adds one site. Call it within a write.
///
/// # Errors
/// 403 without the right; 409 `key-taken`; 422 when its party is unknown.
pub fn create(conn: &mut Conn, actor: &Actor, site: Placed<NewSite>, now: Timestamp) -> Result<Site> {
    actor.require(Permission::EditProgramme)?;
    let key = site.value.key.clone();
    lock_programme(conn)?;
    if store::by_keys(conn, &[&key])?.contains_key(&key) {
        return Err(Error::conflict("key-taken", format!("There is a site {key} already.")));
    }
    import(conn, &[site], Faults::default(), now)?;
    match store::by_keys(conn, &[&key])?.remove(&key) {
        Some((id, _)) => get(conn, &id),
        None => Err(Error::not_found("site")),
    }
}

/// # Errors
/// 404 when there is none.
pub fn get(conn: &mut Conn, id: &SiteId) -> Result<Site> {
    store::get(conn, id)?.ok_or_else(|| Error::not_found("site"))
}

/// Sites in the order of their keys.
///
/// # Errors
/// 400 or 422 when the query is not understood.
pub fn list(conn: &mut Conn, query: &ListQuery) -> Result<Page<Site>> {
    let limit = query.limit()?;
    let found = store::list(conn, query, limit + 1)?;
    Ok(Page::cut(found, limit, |site| &site.key))
}

/// The ids of those keys that exist.
///
/// # Errors
/// When the database fails.
pub fn ids_by_key<'k>(
    conn: &mut Conn,
    keys: impl IntoIterator<Item = &'k str>,
) -> Result<HashMap<String, SiteId>> {
    let keys: BTreeSet<&str> = keys.into_iter().collect();
    store::ids_by_keys(conn, &keys.into_iter().collect::<Vec<_>>())
}
