//! Rows of the log.

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::time::Timestamp;

use crate::db::Conn;
use crate::db::schema::{log_entries, log_head};
use crate::error::{Error, Result};

#[derive(Insertable)]
#[diesel(table_name = log_entries)]
pub(super) struct EntryRow<'a> {
    pub idx: i64,
    pub kind: &'a str,
    pub subject: &'a Sha256,
    pub salt: &'a str,
    pub entry: &'a [u8],
    pub leaf_hash: &'a Sha256,
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

pub(super) fn insert(conn: &mut Conn, row: &EntryRow<'_>) -> Result<()> {
    diesel::insert_into(log_entries::table).values(row).execute(conn)?;
    Ok(())
}

pub(super) fn entries(conn: &mut Conn) -> Result<Vec<(i64, Vec<u8>, Sha256)>> {
    Ok(log_entries::table
        .select((log_entries::idx, log_entries::entry, log_entries::leaf_hash))
        .order(log_entries::idx)
        .load(conn)?)
}
