//! Rows of sites.

use std::collections::HashMap;

use diesel::prelude::*;
use endcheck_protocol::ids::{PartyId, SiteId};
use endcheck_protocol::time::Timestamp;

use super::{NewSite, Site};
use crate::db::schema::{parties, sites};
use crate::db::{CHUNK, Conn, lower};
use crate::error::{Error, Result};
use crate::listing::ListQuery;
use crate::rows::differing;

/// All columns that an import writes.
#[derive(Debug, PartialEq, Eq, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = sites, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(super) struct Content {
    pub key: String,
    pub party_id: PartyId,
    pub name: String,
    pub address: String,
    pub country: String,
    pub time_zone: String,
    /// GeoJSON.
    pub fence: Option<String>,
}

type ContentColumns = (
    sites::key,
    sites::party_id,
    sites::name,
    sites::address,
    sites::country,
    sites::time_zone,
    sites::fence,
);
const CONTENT: ContentColumns = (
    sites::key,
    sites::party_id,
    sites::name,
    sites::address,
    sites::country,
    sites::time_zone,
    sites::fence,
);

impl Content {
    pub fn of(site: &NewSite, party_id: PartyId) -> Result<Self> {
        let fence = site.fence.as_ref().map(serde_json::to_string).transpose();
        Ok(Self {
            key: site.key.clone(),
            party_id,
            name: site.name.clone(),
            address: site.address.clone(),
            country: site.country.clone(),
            time_zone: site.time_zone.clone(),
            fence: fence.map_err(|e| Error::Internal(e.into()))?,
        })
    }

    pub fn differences(&self, new: &Self) -> Vec<&'static str> {
        differing!(self, new; party_id, name, address, country, time_zone, fence)
    }
}

pub(super) fn by_keys(conn: &mut Conn, keys: &[&str]) -> Result<HashMap<String, (SiteId, Content)>> {
    let mut found = HashMap::new();
    for some in keys.chunks(CHUNK) {
        let rows: Vec<(SiteId, Content)> =
            sites::table.filter(sites::key.eq_any(some)).select((sites::id, CONTENT)).load(conn)?;
        found.extend(rows.into_iter().map(|row| (row.1.key.clone(), row)));
    }
    Ok(found)
}

pub(super) fn ids_by_keys(conn: &mut Conn, keys: &[&str]) -> Result<HashMap<String, SiteId>> {
    let mut found = HashMap::new();
    for some in keys.chunks(CHUNK) {
        let rows: Vec<(String, SiteId)> =
            sites::table.filter(sites::key.eq_any(some)).select((sites::key, sites::id)).load(conn)?;
        found.extend(rows);
    }
    Ok(found)
}

pub(super) fn insert(conn: &mut Conn, id: &SiteId, content: &Content, now: Timestamp) -> Result<()> {
    diesel::insert_into(sites::table)
        .values((sites::id.eq(id), content, sites::created_at.eq(now), sites::updated_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

pub(super) fn update(conn: &mut Conn, id: &SiteId, content: &Content, now: Timestamp) -> Result<()> {
    diesel::update(sites::table.filter(sites::id.eq(id)))
        .set((content, sites::updated_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

type Row = (SiteId, Content, Timestamp, Timestamp, String, String);
type Columns = (sites::id, ContentColumns, sites::created_at, sites::updated_at, parties::key, parties::name);
const COLUMNS: Columns =
    (sites::id, CONTENT, sites::created_at, sites::updated_at, parties::key, parties::name);

fn site((id, content, created_at, updated_at, party_key, party_name): Row) -> Result<Site> {
    let fence = content.fence.as_deref().map(serde_json::from_str).transpose();
    Ok(Site {
        id,
        key: content.key,
        party: content.party_id,
        party_key,
        party_name,
        name: content.name,
        address: content.address,
        country: content.country,
        time_zone: content.time_zone,
        fence: fence.map_err(|e| Error::Internal(e.into()))?,
        created_at,
        updated_at,
    })
}

pub(super) fn get(conn: &mut Conn, id: &SiteId) -> Result<Option<Site>> {
    let row: Option<Row> = sites::table
        .inner_join(parties::table.on(parties::id.eq(sites::party_id)))
        .filter(sites::id.eq(id))
        .select(COLUMNS)
        .first(conn)
        .optional()?;
    row.map(site).transpose()
}

pub(super) fn list(conn: &mut Conn, query: &ListQuery, limit: i64) -> Result<Vec<Site>> {
    let mut rows = sites::table
        .inner_join(parties::table.on(parties::id.eq(sites::party_id)))
        .select(COLUMNS)
        .order(sites::key)
        .limit(limit)
        .into_boxed();
    if let Some(after) = query.after()? {
        rows = rows.filter(sites::key.gt(after));
    }
    if let Some(country) = &query.country {
        rows = rows.filter(sites::country.eq(country));
    }
    if let Some(pattern) = query.pattern() {
        let named = lower(sites::name).like(pattern.clone()).escape('\\');
        let keyed = lower(sites::key).like(pattern.clone()).escape('\\');
        rows = rows.filter(named.or(keyed).or(lower(parties::name).like(pattern).escape('\\')));
    }
    rows.load::<Row>(conn)?.into_iter().map(site).collect()
}
