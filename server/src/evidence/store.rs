//! Rows of records, files and receipts.

use diesel::prelude::*;
use endcheck_protocol::canonical;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{Envelope, RECORD_TYPE};
use endcheck_protocol::ids::{DeviceId, UserId, VisitId};
use endcheck_protocol::record::Record;
use endcheck_protocol::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::chain::Link;
use crate::db::schema::{devices, evidence_files, receipts, records, visits};
use crate::db::{Conn, MultiBackend};
use crate::error::{Error, Result};

#[derive(Insertable)]
#[diesel(table_name = records)]
pub(super) struct NewRecord<'a> {
    pub hash: &'a Sha256,
    pub device_id: &'a DeviceId,
    pub seq: Option<i64>,
    pub prev: Option<&'a Sha256>,
    pub keyid: &'a str,
    pub visit_id: Option<&'a VisitId>,
    pub kind: &'a str,
    pub device_at: Option<Timestamp>,
    pub received_at: Timestamp,
    pub log_index: i64,
    pub quarantine_code: Option<&'a str>,
    pub quarantine_detail: Option<&'a str>,
    pub envelope: &'a [u8],
}

pub(super) fn insert_record(conn: &mut Conn, row: &NewRecord<'_>) -> Result<()> {
    diesel::insert_into(records::table).values(row).execute(conn)?;
    Ok(())
}

/// A record as it is held.
#[derive(Debug, Clone)]
pub struct StoredRecord {
    pub hash: Sha256,
    pub device: DeviceId,
    /// Absent where a quarantined envelope cannot be read.
    pub record: Option<Record>,
    pub received_at: Timestamp,
    pub log_index: i64,
    pub quarantine: Option<(String, String)>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = records, check_for_backend(MultiBackend))]
struct RecordRow {
    hash: Sha256,
    device_id: DeviceId,
    received_at: Timestamp,
    log_index: i64,
    quarantine_code: Option<String>,
    quarantine_detail: Option<String>,
    envelope: Vec<u8>,
}

impl From<RecordRow> for StoredRecord {
    fn from(row: RecordRow) -> Self {
        let record = Envelope::read(&row.envelope, RECORD_TYPE)
            .ok()
            .and_then(|envelope| canonical::read(&envelope.payload).ok());
        Self {
            hash: row.hash,
            device: row.device_id,
            record,
            received_at: row.received_at,
            log_index: row.log_index,
            quarantine: row.quarantine_code.zip(row.quarantine_detail),
        }
    }
}

pub(super) fn records_of_visit(conn: &mut Conn, visit: &VisitId) -> Result<Vec<StoredRecord>> {
    let rows: Vec<RecordRow> = records::table
        .filter(records::visit_id.eq(visit))
        .order(records::log_index)
        .select(RecordRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(StoredRecord::from).collect())
}

/// The exact bytes of a record.
#[derive(Queryable, Selectable)]
#[diesel(table_name = records, check_for_backend(MultiBackend))]
pub struct StoredEnvelope {
    pub hash: Sha256,
    pub device_id: DeviceId,
    pub keyid: String,
    pub log_index: i64,
    pub envelope: Vec<u8>,
}

/// Those that the device signed as its own: only they take a number of its chain.
pub(super) fn envelopes_of_visit(conn: &mut Conn, visit: &VisitId, end: i64) -> Result<Vec<StoredEnvelope>> {
    Ok(records::table
        .filter(records::visit_id.eq(visit).and(records::log_index.lt(end)).and(records::seq.is_not_null()))
        .order(records::log_index)
        .select(StoredEnvelope::as_select())
        .load(conn)?)
}

/// A signed receipt.
pub struct StoredReceipt {
    pub log_index: i64,
    pub record: Sha256,
    /// `record` or `file`.
    pub kind: String,
    pub envelope: String,
}

pub(super) fn receipts_of_visit(conn: &mut Conn, visit: &VisitId, end: i64) -> Result<Vec<StoredReceipt>> {
    let rows: Vec<(i64, Sha256, String, String)> = receipts::table
        .inner_join(records::table.on(records::hash.eq(receipts::record_hash)))
        .filter(records::visit_id.eq(visit).and(receipts::log_index.lt(end)).and(records::seq.is_not_null()))
        .order(receipts::log_index)
        .select((receipts::log_index, receipts::record_hash, receipts::kind, receipts::envelope))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(log_index, record, kind, envelope)| StoredReceipt { log_index, record, kind, envelope })
        .collect())
}

/// An accepted record, if it is held.
pub(super) fn accepted(conn: &mut Conn, hash: &Sha256) -> Result<Option<Record>> {
    let row: Option<RecordRow> = records::table
        .find(hash)
        .filter(records::quarantine_code.is_null())
        .select(RecordRow::as_select())
        .first(conn)
        .optional()?;
    Ok(row.and_then(|row| StoredRecord::from(row).record))
}

pub(super) fn recorded_by(conn: &mut Conn, visit: &VisitId, user: &UserId) -> Result<bool> {
    let theirs = records::table
        .inner_join(devices::table.on(devices::id.eq(records::device_id)))
        .filter(records::visit_id.eq(visit).and(devices::user_id.eq(user)));
    Ok(theirs.select(records::hash).first::<Sha256>(conn).optional()?.is_some())
}

/// What was answered for records that are held already.
pub(super) struct Held {
    pub hash: Sha256,
    pub log_index: i64,
    pub quarantine: Option<(String, String)>,
}

pub(super) fn held(conn: &mut Conn, hashes: &[Sha256]) -> Result<Vec<Held>> {
    let rows: Vec<(Sha256, i64, Option<String>, Option<String>)> = records::table
        .filter(records::hash.eq_any(hashes))
        .select((records::hash, records::log_index, records::quarantine_code, records::quarantine_detail))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(hash, log_index, code, detail)| Held { hash, log_index, quarantine: code.zip(detail) })
        .collect())
}

/// The exact bytes of a record, and the visit it belongs to.
pub(super) fn envelope(conn: &mut Conn, hash: &Sha256) -> Result<(Vec<u8>, Option<VisitId>)> {
    records::table
        .find(hash)
        .select((records::envelope, records::visit_id))
        .first(conn)
        .optional()?
        .ok_or_else(|| Error::not_found("record"))
}

pub(super) fn chain(conn: &mut Conn, device: &DeviceId) -> Result<Vec<Link>> {
    let rows: Vec<(Option<i64>, Sha256, Option<Sha256>)> = records::table
        .filter(records::device_id.eq(device))
        .order((records::seq, records::log_index))
        .select((records::seq, records::hash, records::prev))
        .load(conn)?;
    Ok(rows.into_iter().map(|(seq, hash, prev)| Link { seq, hash, prev }).collect())
}

/// How many records of the device are held, and the one with the highest number.
pub(super) fn newest(conn: &mut Conn, device: &DeviceId) -> Result<(i64, Option<(i64, Sha256)>)> {
    let count = records::table.filter(records::device_id.eq(device)).count().get_result(conn)?;
    let newest: Option<(Option<i64>, Sha256)> = records::table
        .filter(records::device_id.eq(device).and(records::seq.is_not_null()))
        .order((records::seq.desc(), records::log_index.desc()))
        .select((records::seq, records::hash))
        .first(conn)
        .optional()?;
    Ok((count, newest.and_then(|(seq, hash)| seq.map(|seq| (seq, hash)))))
}

/// Another record of the device with the same number, if there is one.
pub(super) fn sibling(conn: &mut Conn, device: &DeviceId, seq: i64, hash: &Sha256) -> Result<Option<Sha256>> {
    Ok(records::table
        .filter(records::device_id.eq(device).and(records::seq.eq(seq)).and(records::hash.ne(hash)))
        .select(records::hash)
        .first(conn)
        .optional()?)
}

pub(super) fn is_held(conn: &mut Conn, hash: &Sha256) -> Result<bool> {
    Ok(records::table.find(hash).select(records::log_index).first::<i64>(conn).optional()?.is_some())
}

/// The visit, if there is one by that id.
pub(super) fn known_visit(conn: &mut Conn, visit: &VisitId) -> Result<Option<VisitId>> {
    Ok(visits::table.find(visit).select(visits::id).first(conn).optional()?)
}

/// How far a file has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileState {
    /// A record names it; its bytes are not here yet.
    Awaited,
    /// Opened, checked and durable; its receipt was given.
    Stored,
    /// Arrived as signed, but does not open to what was signed; the sealed bytes are kept.
    Unreadable,
}

impl FileState {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Awaited => "awaited",
            Self::Stored => "stored",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A file that a record names.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StoredFile {
    pub record: Sha256,
    pub device: DeviceId,
    pub visit: Option<VisitId>,
    pub name: String,
    pub mime: String,
    pub size_bytes: i64,
    pub sha256: Sha256,
    pub sealed_sha256: Sha256,
    pub state: FileState,
    pub stored_at: Option<Timestamp>,
    pub problem: Option<String>,
    /// What headquarters itself read in the photo.
    #[schema(value_type = Object)]
    pub facts: Option<serde_json::Value>,
    pub thumbnail_sha256: Option<Sha256>,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = evidence_files, check_for_backend(MultiBackend))]
pub(super) struct FileRow {
    pub record_hash: Sha256,
    pub device_id: DeviceId,
    pub visit_id: Option<VisitId>,
    pub name: String,
    pub mime: String,
    pub size_bytes: i64,
    pub sha256: Sha256,
    pub sealed_sha256: Sha256,
    pub sealed_size_bytes: i64,
    pub state: String,
    pub stored_at: Option<Timestamp>,
    pub problem: Option<String>,
    pub facts: Option<String>,
    pub thumbnail_sha256: Option<Sha256>,
}

impl From<FileRow> for StoredFile {
    fn from(row: FileRow) -> Self {
        let state = match row.state.as_str() {
            "stored" => FileState::Stored,
            "unreadable" => FileState::Unreadable,
            _ => FileState::Awaited,
        };
        Self {
            record: row.record_hash,
            device: row.device_id,
            visit: row.visit_id,
            name: row.name,
            mime: row.mime,
            size_bytes: row.size_bytes,
            sha256: row.sha256,
            sealed_sha256: row.sealed_sha256,
            state,
            stored_at: row.stored_at,
            problem: row.problem,
            facts: row.facts.and_then(|facts| serde_json::from_str(&facts).ok()),
            thumbnail_sha256: row.thumbnail_sha256,
        }
    }
}

pub(super) fn insert_file(conn: &mut Conn, row: &FileRow) -> Result<()> {
    diesel::insert_into(evidence_files::table).values(row).execute(conn)?;
    Ok(())
}

pub(super) fn files_of_visit(conn: &mut Conn, visit: &VisitId) -> Result<Vec<StoredFile>> {
    let rows: Vec<FileRow> = evidence_files::table
        .filter(evidence_files::visit_id.eq(visit))
        .order(evidence_files::record_hash)
        .select(FileRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(StoredFile::from).collect())
}

pub(super) fn file(conn: &mut Conn, record: &Sha256) -> Result<StoredFile> {
    let row: Option<FileRow> =
        evidence_files::table.find(record).select(FileRow::as_select()).first(conn).optional()?;
    row.map(StoredFile::from).ok_or_else(|| Error::not_found("file"))
}

/// The records that wait for these sealed bytes.
pub(super) fn awaiting(conn: &mut Conn, sealed: &Sha256) -> Result<Vec<StoredFile>> {
    let rows: Vec<FileRow> = evidence_files::table
        .filter(evidence_files::sealed_sha256.eq(sealed).and(evidence_files::state.eq("awaited")))
        .select(FileRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(StoredFile::from).collect())
}

pub(super) fn files_in_state(
    conn: &mut Conn,
    device: &DeviceId,
    state: FileState,
) -> Result<Vec<StoredFile>> {
    let rows: Vec<FileRow> = evidence_files::table
        .filter(evidence_files::device_id.eq(device).and(evidence_files::state.eq(state.as_str())))
        .select(FileRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(StoredFile::from).collect())
}

/// Whether the file was awaited until now.
pub(super) fn settle_file(
    conn: &mut Conn,
    record: &Sha256,
    state: FileState,
    problem: Option<&str>,
    now: Timestamp,
) -> Result<bool> {
    let changed = diesel::update(
        evidence_files::table
            .filter(evidence_files::record_hash.eq(record).and(evidence_files::state.eq("awaited"))),
    )
    .set((
        evidence_files::state.eq(state.as_str()),
        evidence_files::stored_at.eq((state == FileState::Stored).then_some(now)),
        evidence_files::problem.eq(problem),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}

/// Stored photos that headquarters has not looked into yet.
pub(super) fn unexamined(conn: &mut Conn, limit: i64) -> Result<Vec<StoredFile>> {
    let rows: Vec<FileRow> = evidence_files::table
        .filter(evidence_files::state.eq("stored").and(evidence_files::examined_at.is_null()))
        .order(evidence_files::stored_at)
        .limit(limit)
        .select(FileRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(StoredFile::from).collect())
}

/// Has the stored tracks of a device's visit looked into once more; true where there are any.
pub(super) fn reexamine_tracks(conn: &mut Conn, device: &DeviceId, visit: &VisitId) -> Result<bool> {
    let tracks: Vec<Sha256> = records::table
        .filter(records::visit_id.eq(visit).and(records::kind.eq("track")))
        .filter(records::device_id.eq(device))
        .select(records::hash)
        .load(conn)?;
    if tracks.is_empty() {
        return Ok(false);
    }
    let changed = diesel::update(
        evidence_files::table
            .filter(evidence_files::record_hash.eq_any(tracks).and(evidence_files::state.eq("stored"))),
    )
    .set(evidence_files::examined_at.eq(None::<Timestamp>))
    .execute(conn)?;
    Ok(changed > 0)
}

pub(super) fn set_examined(
    conn: &mut Conn,
    record: &Sha256,
    facts: Option<String>,
    thumbnail: Option<&Sha256>,
    now: Timestamp,
) -> Result<()> {
    diesel::update(evidence_files::table.find(record))
        .set((
            evidence_files::facts.eq(facts),
            evidence_files::thumbnail_sha256.eq(thumbnail),
            evidence_files::examined_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

/// Receipts of the device from `from` in the log on.
pub(super) fn receipts(
    conn: &mut Conn,
    device: &DeviceId,
    from: i64,
    limit: i64,
) -> Result<Vec<(i64, String)>> {
    Ok(receipts::table
        .filter(receipts::device_id.eq(device).and(receipts::log_index.ge(from)))
        .order(receipts::log_index)
        .limit(limit)
        .select((receipts::log_index, receipts::envelope))
        .load(conn)?)
}

/// How far the files with these sealed bytes have come.
pub(super) fn states_of(conn: &mut Conn, sealed: &Sha256) -> Result<Vec<FileState>> {
    let rows: Vec<FileRow> = evidence_files::table
        .filter(evidence_files::sealed_sha256.eq(sealed))
        .select(FileRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(|row| StoredFile::from(row).state).collect())
}

/// The device's records that name these sealed files.
pub(super) fn records_naming(conn: &mut Conn, device: &DeviceId, sealed: &[Sha256]) -> Result<Vec<Sha256>> {
    Ok(evidence_files::table
        .filter(evidence_files::device_id.eq(device).and(evidence_files::sealed_sha256.eq_any(sealed)))
        .select(evidence_files::record_hash)
        .load(conn)?)
}

/// Receipts of the device about these records, with their positions in the log.
pub(super) fn receipts_for(
    conn: &mut Conn,
    device: &DeviceId,
    records: &[Sha256],
) -> Result<Vec<(i64, String)>> {
    Ok(receipts::table
        .filter(receipts::device_id.eq(device).and(receipts::record_hash.eq_any(records)))
        .select((receipts::log_index, receipts::envelope))
        .load(conn)?)
}

/// The sealed hashes of every file that is awaited.
pub(super) fn all_awaited(conn: &mut Conn) -> Result<Vec<Sha256>> {
    Ok(evidence_files::table
        .filter(evidence_files::state.eq("awaited"))
        .select(evidence_files::sealed_sha256)
        .distinct()
        .load(conn)?)
}

/// A record by its hash.
pub(super) fn record(conn: &mut Conn, hash: &Sha256) -> Result<StoredRecord> {
    let row: Option<RecordRow> =
        records::table.find(hash).select(RecordRow::as_select()).first(conn).optional()?;
    row.map(StoredRecord::from).ok_or_else(|| Error::not_found("record"))
}
