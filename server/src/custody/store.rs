//! Rows of notes and of the ledger.

use diesel::prelude::*;
use endcheck_protocol::ids::{NoteId, VisitId};
use endcheck_protocol::ledger::LedgerEntry;
use endcheck_protocol::time::Timestamp;

use crate::db::schema::{custody_ledger, custody_notes, custody_pending, visits};
use crate::db::{Both, Conn, MultiBackend};
use crate::error::Result;

pub(super) fn insert_note(
    conn: &mut Conn,
    id: &NoteId,
    key: Option<&str>,
    visit: Option<&VisitId>,
    note: &str,
    now: Timestamp,
) -> Result<()> {
    let inserted = Both(
        diesel::insert_into(custody_notes::table)
            .values((
                custody_notes::id.eq(id),
                custody_notes::note_key.eq(key),
                custody_notes::visit_id.eq(visit),
                custody_notes::noted_at.eq(now),
                custody_notes::note.eq(note),
            ))
            .on_conflict(custody_notes::note_key)
            .do_nothing(),
    )
    .execute(conn)?;
    if inserted == 1 {
        diesel::insert_into(custody_pending::table).values(custody_pending::note_id.eq(id)).execute(conn)?;
    }
    Ok(())
}

pub(super) fn is_visit(conn: &mut Conn, visit: &VisitId) -> Result<bool> {
    let found: Option<VisitId> = visits::table.find(visit).select(visits::id).first(conn).optional()?;
    Ok(found.is_some())
}

pub(super) fn is_noted(conn: &mut Conn, key: &str) -> Result<bool> {
    let found: Option<NoteId> = custody_notes::table
        .filter(custody_notes::note_key.eq(key))
        .select(custody_notes::id)
        .first(conn)
        .optional()?;
    Ok(found.is_some())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = custody_notes, check_for_backend(MultiBackend))]
pub(super) struct NoteRow {
    pub id: NoteId,
    pub visit_id: Option<VisitId>,
    pub noted_at: Timestamp,
    pub note: String,
}

pub(super) fn any_pending(conn: &mut Conn) -> Result<bool> {
    let one: Option<String> =
        custody_pending::table.select(custody_pending::note_id).first(conn).optional()?;
    Ok(one.is_some())
}

/// Notes that no batch commits to yet, oldest first.
pub(super) fn pending(conn: &mut Conn, limit: usize) -> Result<Vec<NoteRow>> {
    Ok(custody_pending::table
        .inner_join(custody_notes::table.on(custody_notes::id.eq(custody_pending::note_id)))
        .order(custody_pending::note_id)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select(NoteRow::as_select())
        .load(conn)?)
}

/// Puts the entry into the ledger; its note waits no more.
pub(super) fn insert_entry(
    conn: &mut Conn,
    log_index: i64,
    position: usize,
    entry: &LedgerEntry,
    text: &str,
) -> Result<()> {
    diesel::insert_into(custody_ledger::table)
        .values((
            custody_ledger::log_index.eq(log_index),
            custody_ledger::position.eq(i64::try_from(position).unwrap_or(i64::MAX)),
            custody_ledger::note_id.eq(&entry.id),
            custody_ledger::visit.eq(entry.visit.as_ref().map_or("", VisitId::as_str)),
            custody_ledger::number.eq(i64::try_from(entry.number).unwrap_or(i64::MAX)),
            custody_ledger::entry.eq(text),
        ))
        .execute(conn)?;
    diesel::delete(custody_pending::table.find(entry.id.as_str())).execute(conn)?;
    Ok(())
}

/// The number and the bytes of the visit's newest entry.
pub(super) fn last(conn: &mut Conn, visit: Option<&VisitId>) -> Result<Option<(i64, String)>> {
    Ok(custody_ledger::table
        .filter(custody_ledger::visit.eq(visit.map_or("", VisitId::as_str)))
        .order(custody_ledger::number.desc())
        .select((custody_ledger::number, custody_ledger::entry))
        .first(conn)
        .optional()?)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = custody_ledger, check_for_backend(MultiBackend))]
pub(super) struct LedgerRow {
    pub log_index: i64,
    pub position: i64,
    pub entry: String,
}

/// The visit's entries in batches that were logged before position `end`.
pub(super) fn of_visit(conn: &mut Conn, visit: &VisitId, end: i64) -> Result<Vec<LedgerRow>> {
    Ok(custody_ledger::table
        .filter(custody_ledger::visit.eq(visit.as_str()).and(custody_ledger::log_index.lt(end)))
        .order(custody_ledger::number)
        .select(LedgerRow::as_select())
        .load(conn)?)
}

/// The bytes of a batch's entries, in their order.
pub(super) fn batch(conn: &mut Conn, log_index: i64) -> Result<Vec<String>> {
    Ok(custody_ledger::table
        .filter(custody_ledger::log_index.eq(log_index))
        .order(custody_ledger::position)
        .select(custody_ledger::entry)
        .load(conn)?)
}
