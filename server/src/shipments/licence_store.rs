//! Rows of licences and their lines.

use std::collections::HashMap;

use diesel::prelude::*;
use endcheck_protocol::ids::{LicenceId, PartyId};
use endcheck_protocol::time::Timestamp;

use super::licence::{Condition, LicenceLine, Money, NewLicence};
use crate::db::schema::{licence_lines, licences, parties, shipments};
use crate::db::{CHUNK, Conn, lower};
use crate::error::{Error, Result};
use crate::listing::ListQuery;
use crate::rows::differing;

/// All columns of a licence that an import writes.
#[derive(Debug, PartialEq, Eq, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = licences, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(super) struct Content {
    pub key: String,
    pub number: String,
    pub authority: String,
    pub exporter_id: PartyId,
    pub valid_from: String,
    pub valid_until: String,
    /// JSON list of conditions.
    pub conditions: String,
}

impl Content {
    pub fn of(licence: &NewLicence, exporter_id: PartyId) -> Result<Self> {
        Ok(Self {
            key: licence.key.clone(),
            number: licence.number.clone(),
            authority: licence.authority.clone(),
            exporter_id,
            valid_from: licence.valid_from.clone(),
            valid_until: licence.valid_until.clone(),
            conditions: serde_json::to_string(&licence.conditions).map_err(|e| Error::Internal(e.into()))?,
        })
    }

    pub fn differences(&self, new: &Self) -> Vec<&'static str> {
        differing!(self, new; number, authority, exporter_id, valid_from, valid_until, conditions)
    }

    pub fn conditions(&self) -> Result<Vec<Condition>> {
        serde_json::from_str(&self.conditions).map_err(|e| Error::Internal(e.into()))
    }
}

/// A licence with its times.
#[derive(Queryable)]
pub(super) struct Row {
    pub id: LicenceId,
    pub content: Content,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

type ContentColumns = (
    licences::key,
    licences::number,
    licences::authority,
    licences::exporter_id,
    licences::valid_from,
    licences::valid_until,
    licences::conditions,
);
const CONTENT: ContentColumns = (
    licences::key,
    licences::number,
    licences::authority,
    licences::exporter_id,
    licences::valid_from,
    licences::valid_until,
    licences::conditions,
);

/// A line and the id under which shipments refer to it.
pub(super) struct HeldLine {
    pub id: String,
    pub line: LicenceLine,
}

/// A licence as an import finds it.
pub(super) struct Held {
    pub id: LicenceId,
    pub content: Content,
    pub lines: Vec<HeldLine>,
}

impl Held {
    pub fn lines_not_in(&self, lines: &[LicenceLine]) -> impl Iterator<Item = &HeldLine> {
        self.lines.iter().filter(|held| !lines.iter().any(|line| line.line == held.line.line))
    }
}

pub(super) fn by_keys(conn: &mut Conn, keys: &[&str]) -> Result<HashMap<String, Held>> {
    let mut found = HashMap::new();
    for some in keys.chunks(CHUNK) {
        let rows: Vec<(LicenceId, Content)> =
            licences::table.filter(licences::key.eq_any(some)).select((licences::id, CONTENT)).load(conn)?;
        let ids: Vec<&LicenceId> = rows.iter().map(|(id, _)| id).collect();
        let mut lines = lines(conn, &ids)?;
        found.extend(rows.into_iter().map(|(id, content)| {
            let lines = lines.remove(&id).unwrap_or_default();
            (content.key.clone(), Held { id, content, lines })
        }));
    }
    Ok(found)
}

#[derive(Queryable)]
struct LineRow {
    id: String,
    licence_id: LicenceId,
    line: i64,
    control_entry: String,
    description: String,
    quantity: String,
    unit: String,
    value_amount: Option<i64>,
    value_currency: Option<String>,
}

impl LineRow {
    fn held(self) -> (LicenceId, HeldLine) {
        let value = self.value_amount.zip(self.value_currency);
        let line = LicenceLine {
            line: self.line,
            control_entry: self.control_entry,
            description: self.description,
            quantity: self.quantity,
            unit: self.unit,
            value: value.map(|(amount, currency)| Money { amount, currency }),
        };
        (self.licence_id, HeldLine { id: self.id, line })
    }
}

pub(super) fn lines(conn: &mut Conn, ids: &[&LicenceId]) -> Result<HashMap<LicenceId, Vec<HeldLine>>> {
    let mut found: HashMap<LicenceId, Vec<HeldLine>> = HashMap::new();
    for some in ids.chunks(CHUNK) {
        let rows: Vec<LineRow> = licence_lines::table
            .filter(licence_lines::licence_id.eq_any(some.iter().copied()))
            .order((licence_lines::licence_id, licence_lines::line))
            .load(conn)?;
        for (licence, line) in rows.into_iter().map(LineRow::held) {
            found.entry(licence).or_default().push(line);
        }
    }
    Ok(found)
}

/// One line and the licence it belongs to.
pub(super) fn line(conn: &mut Conn, id: &str) -> Result<Option<(LicenceId, LicenceLine)>> {
    let row: Option<LineRow> =
        licence_lines::table.filter(licence_lines::id.eq(id)).first(conn).optional()?;
    Ok(row.map(|row| {
        let (licence, held) = row.held();
        (licence, held.line)
    }))
}

/// Whether any shipment stands on a line.
pub(super) fn line_is_used(conn: &mut Conn, line_id: &str) -> Result<bool> {
    let used = shipments::table.filter(shipments::licence_line_id.eq(line_id));
    Ok(diesel::select(diesel::dsl::exists(used)).get_result(conn)?)
}

pub(super) fn delete_line(conn: &mut Conn, line_id: &str) -> Result<()> {
    diesel::delete(licence_lines::table.filter(licence_lines::id.eq(line_id))).execute(conn)?;
    Ok(())
}

/// Writes a line: anew, or over the one with `id`.
pub(super) fn put_line(
    conn: &mut Conn,
    licence: &LicenceId,
    id: Option<&str>,
    line: &LicenceLine,
) -> Result<()> {
    use licence_lines as t;
    let content = (
        t::licence_id.eq(licence),
        t::line.eq(line.line),
        t::control_entry.eq(&line.control_entry),
        t::description.eq(&line.description),
        t::quantity.eq(&line.quantity),
        t::unit.eq(&line.unit),
        t::value_amount.eq(line.value.as_ref().map(|value| value.amount)),
        t::value_currency.eq(line.value.as_ref().map(|value| value.currency.as_str())),
    );
    match id {
        Some(id) => diesel::update(t::table.filter(t::id.eq(id))).set(content).execute(conn)?,
        None => {
            let id = uuid::Uuid::now_v7().hyphenated().to_string();
            diesel::insert_into(t::table).values((t::id.eq(id), content)).execute(conn)?
        }
    };
    Ok(())
}

pub(super) fn insert(conn: &mut Conn, id: &LicenceId, content: &Content, now: Timestamp) -> Result<()> {
    diesel::insert_into(licences::table)
        .values((licences::id.eq(id), content, licences::created_at.eq(now), licences::updated_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

pub(super) fn update(conn: &mut Conn, id: &LicenceId, content: &Content, now: Timestamp) -> Result<()> {
    diesel::update(licences::table.filter(licences::id.eq(id)))
        .set((content, licences::updated_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

pub(super) fn get(conn: &mut Conn, id: &LicenceId) -> Result<Option<Row>> {
    Ok(licences::table
        .filter(licences::id.eq(id))
        .select((licences::id, CONTENT, licences::created_at, licences::updated_at))
        .first(conn)
        .optional()?)
}

pub(super) fn list(conn: &mut Conn, query: &ListQuery, limit: i64) -> Result<Vec<Row>> {
    let mut rows = licences::table
        .inner_join(parties::table.on(parties::id.eq(licences::exporter_id)))
        .select((licences::id, CONTENT, licences::created_at, licences::updated_at))
        .order(licences::key)
        .limit(limit)
        .into_boxed();
    if let Some(after) = query.after()? {
        rows = rows.filter(licences::key.gt(after));
    }
    if let Some(country) = &query.country {
        rows = rows.filter(parties::country.eq(country));
    }
    if let Some(pattern) = query.pattern() {
        let numbered = lower(licences::number).like(pattern.clone()).escape('\\');
        let keyed = lower(licences::key).like(pattern.clone()).escape('\\');
        rows = rows.filter(numbered.or(keyed).or(lower(parties::name).like(pattern).escape('\\')));
    }
    Ok(rows.load(conn)?)
}
