//! Rows of the log.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::time::Timestamp;

use crate::db::schema::{log_entries, log_head, log_nodes};
use crate::db::{Conn, insert_rows};
use crate::error::{Error, Result};

#[derive(Insertable)]
#[diesel(table_name = log_entries, treat_none_as_default_value = false)]
pub(super) struct EntryRow<'a> {
    pub idx: i64,
    pub kind: &'a str,
    pub subject: &'a Sha256,
    pub salt: String,
    pub entry: Vec<u8>,
    pub leaf_hash: Sha256,
    pub logged_at: Timestamp,
}

/// Reads the head and keeps it locked until the commit.
pub(super) fn lock_head(conn: &mut Conn) -> Result<(i64, Vec<Sha256>)> {
    let row: (i64, String) = diesel::update(log_head::table.filter(log_head::id.eq(1)))
        .set(log_head::size.eq(log_head::size))
        .returning((log_head::size, log_head::compact_range))
        .get_result(conn)?;
    parse(row)
}

pub(super) fn head(conn: &mut Conn) -> Result<(i64, Vec<Sha256>)> {
    parse(log_head::table.select((log_head::size, log_head::compact_range)).first(conn)?)
}

fn parse((size, roots): (i64, String)) -> Result<(i64, Vec<Sha256>)> {
    let roots = serde_json::from_str(&roots).map_err(|e| Error::Internal(e.into()))?;
    Ok((size, roots))
}

pub(super) fn set_head(conn: &mut Conn, size: i64, roots: &[Sha256]) -> Result<()> {
    let roots = serde_json::to_string(roots).map_err(|e| Error::Internal(e.into()))?;
    diesel::update(log_head::table.filter(log_head::id.eq(1)))
        .set((log_head::size.eq(size), log_head::compact_range.eq(roots)))
        .execute(conn)?;
    Ok(())
}

pub(super) fn insert(conn: &mut Conn, rows: &[EntryRow<'_>]) -> Result<()> {
    insert_rows!(conn, log_entries::table, rows);
    Ok(())
}

pub(super) fn entries(conn: &mut Conn) -> Result<Vec<(i64, Vec<u8>, Sha256)>> {
    Ok(log_entries::table
        .select((log_entries::idx, log_entries::entry, log_entries::leaf_hash))
        .order(log_entries::idx)
        .load(conn)?)
}

/// Leaf hashes in order.
pub(super) fn leaves(conn: &mut Conn) -> Result<Vec<Sha256>> {
    Ok(log_entries::table.select(log_entries::leaf_hash).order(log_entries::idx).load(conn)?)
}

/// The hashes of a tile level from `start` up to `end`; fewer where the log is shorter.
pub(super) fn hashes(conn: &mut Conn, level: u32, start: i64, end: i64) -> Result<Vec<Sha256>> {
    Ok(if level == 0 {
        log_entries::table
            .filter(log_entries::idx.ge(start).and(log_entries::idx.lt(end)))
            .select(log_entries::leaf_hash)
            .order(log_entries::idx)
            .load(conn)?
    } else {
        log_nodes::table
            .filter(log_nodes::level.eq(i64::from(level)))
            .filter(log_nodes::position.ge(start).and(log_nodes::position.lt(end)))
            .select(log_nodes::hash)
            .order(log_nodes::position)
            .load(conn)?
    })
}

/// The bytes of entries from `start` up to `end`.
pub(super) fn bytes(conn: &mut Conn, start: i64, end: i64) -> Result<Vec<Vec<u8>>> {
    Ok(log_entries::table
        .filter(log_entries::idx.ge(start).and(log_entries::idx.lt(end)))
        .select(log_entries::entry)
        .order(log_entries::idx)
        .load(conn)?)
}

pub(super) fn node(conn: &mut Conn, level: u32, position: u64) -> Result<Option<Sha256>> {
    let position = i64::try_from(position).unwrap_or(i64::MAX);
    Ok(log_nodes::table.find((i64::from(level), position)).select(log_nodes::hash).first(conn).optional()?)
}

pub(super) fn insert_node(conn: &mut Conn, level: u32, position: u64, hash: &Sha256) -> Result<()> {
    diesel::insert_into(log_nodes::table)
        .values((
            log_nodes::level.eq(i64::from(level)),
            log_nodes::position.eq(i64::try_from(position).unwrap_or(i64::MAX)),
            log_nodes::hash.eq(hash),
        ))
        .execute(conn)?;
    Ok(())
}

/// The first key event about `subject`: what the index `log_key_events` holds, which both databases use only
/// where the kind is written out.
pub(super) fn find_key_event(conn: &mut Conn, subject: &Sha256) -> Result<Option<i64>> {
    Ok(log_entries::table
        .filter(log_entries::subject.eq(subject).and(sql::<Bool>("kind = 'key-event'")))
        .order(log_entries::idx)
        .select(log_entries::idx)
        .first(conn)
        .optional()?)
}

/// An entry's bytes, its salt and what it commits to.
pub(super) fn opening(conn: &mut Conn, index: i64) -> Result<(Vec<u8>, String, Sha256)> {
    Ok(log_entries::table
        .find(index)
        .select((log_entries::entry, log_entries::salt, log_entries::subject))
        .first(conn)?)
}
