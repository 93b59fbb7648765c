//! Rows of parties.

use std::collections::HashMap;

use diesel::prelude::*;
use endcheck_protocol::ids::PartyId;
use endcheck_protocol::time::Timestamp;

use super::{NewParty, Party, PartyKind, PartyName};
use crate::db::schema::parties;
use crate::db::{CHUNK, Conn, lower};
use crate::error::{Error, Result};
use crate::listing::ListQuery;
use crate::rows::differing;

/// All columns that an import writes.
#[derive(Debug, PartialEq, Eq, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = parties, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(super) struct Content {
    pub key: String,
    pub name: String,
    /// JSON list of texts.
    pub aliases: String,
    pub kind: String,
    pub address: String,
    pub country: String,
    pub registration_no: Option<String>,
}

type ContentColumns = (
    parties::key,
    parties::name,
    parties::aliases,
    parties::kind,
    parties::address,
    parties::country,
    parties::registration_no,
);
const CONTENT: ContentColumns = (
    parties::key,
    parties::name,
    parties::aliases,
    parties::kind,
    parties::address,
    parties::country,
    parties::registration_no,
);

impl Content {
    pub fn of(party: &NewParty) -> Result<Self> {
        let party = party.clone();
        Ok(Self {
            aliases: serde_json::to_string(&party.aliases).map_err(|e| Error::Internal(e.into()))?,
            key: party.key,
            name: party.name,
            kind: party.kind.as_str().to_owned(),
            address: party.address,
            country: party.country,
            registration_no: party.registration_no,
        })
    }

    pub fn differences(&self, new: &Self) -> Vec<&'static str> {
        differing!(self, new; name, aliases, kind, address, country, registration_no)
    }
}

pub(super) fn by_keys(conn: &mut Conn, keys: &[&str]) -> Result<HashMap<String, (PartyId, Content)>> {
    let mut found = HashMap::new();
    for some in keys.chunks(CHUNK) {
        let rows: Vec<(PartyId, Content)> =
            parties::table.filter(parties::key.eq_any(some)).select((parties::id, CONTENT)).load(conn)?;
        found.extend(rows.into_iter().map(|row| (row.1.key.clone(), row)));
    }
    Ok(found)
}

pub(super) fn ids_by_keys(conn: &mut Conn, keys: &[&str]) -> Result<HashMap<String, PartyId>> {
    let mut found = HashMap::new();
    for some in keys.chunks(CHUNK) {
        let rows: Vec<(String, PartyId)> = parties::table
            .filter(parties::key.eq_any(some))
            .select((parties::key, parties::id))
            .load(conn)?;
        found.extend(rows);
    }
    Ok(found)
}

pub(super) fn names(conn: &mut Conn, ids: &[&PartyId]) -> Result<HashMap<PartyId, PartyName>> {
    let mut found = HashMap::new();
    for some in ids.chunks(CHUNK) {
        let rows: Vec<(PartyId, String, String, String)> = parties::table
            .filter(parties::id.eq_any(some.iter().copied()))
            .select((parties::id, parties::key, parties::name, parties::country))
            .load(conn)?;
        let named = rows
            .into_iter()
            .map(|(id, key, name, country)| (id.clone(), PartyName { id, key, name, country }));
        found.extend(named);
    }
    Ok(found)
}

pub(super) fn insert(conn: &mut Conn, id: &PartyId, content: &Content, now: Timestamp) -> Result<()> {
    diesel::insert_into(parties::table)
        .values((parties::id.eq(id), content, parties::created_at.eq(now), parties::updated_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

pub(super) fn update(conn: &mut Conn, id: &PartyId, content: &Content, now: Timestamp) -> Result<()> {
    diesel::update(parties::table.filter(parties::id.eq(id)))
        .set((content, parties::updated_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

type Row = (PartyId, Content, Timestamp, Timestamp);

fn party((id, content, created_at, updated_at): Row) -> Result<Party> {
    Ok(Party {
        aliases: serde_json::from_str(&content.aliases).map_err(|e| Error::Internal(e.into()))?,
        kind: PartyKind::parse(&content.kind).unwrap_or_default(),
        id,
        key: content.key,
        name: content.name,
        address: content.address,
        country: content.country,
        registration_no: content.registration_no,
        created_at,
        updated_at,
    })
}

pub(super) fn get(conn: &mut Conn, id: &PartyId) -> Result<Option<Party>> {
    let row: Option<Row> = parties::table
        .filter(parties::id.eq(id))
        .select((parties::id, CONTENT, parties::created_at, parties::updated_at))
        .first(conn)
        .optional()?;
    row.map(party).transpose()
}

pub(super) fn list(conn: &mut Conn, query: &ListQuery, limit: i64) -> Result<Vec<Party>> {
    let mut rows = parties::table
        .select((parties::id, CONTENT, parties::created_at, parties::updated_at))
        .order(parties::key)
        .limit(limit)
        .into_boxed();
    if let Some(after) = query.after()? {
        rows = rows.filter(parties::key.gt(after));
    }
    if let Some(country) = &query.country {
        rows = rows.filter(parties::country.eq(country));
    }
    if let Some(pattern) = query.pattern() {
        let named = lower(parties::name).like(pattern.clone()).escape('\\');
        let keyed = lower(parties::key).like(pattern.clone()).escape('\\');
        rows = rows.filter(named.or(keyed).or(lower(parties::aliases).like(pattern).escape('\\')));
    }
    rows.load::<Row>(conn)?.into_iter().map(party).collect()
}
