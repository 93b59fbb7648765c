//! The table of completed uploads that no record has named yet.

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::time::Timestamp;

use crate::db::schema::uploads;
use crate::db::{Both, Conn};

#[derive(Debug, Clone, Queryable, Insertable)]
#[diesel(table_name = uploads)]
pub(super) struct UploadRow {
    pub id: String,
    pub owner: String,
    pub sealed_sha256: Sha256,
    pub size_bytes: i64,
    pub completed_at: Timestamp,
}

pub(super) fn insert_once(conn: &mut Conn, row: &UploadRow) -> QueryResult<()> {
    Both(diesel::insert_into(uploads::table).values(row.clone()).on_conflict(uploads::id).do_nothing())
        .execute(conn)
        .map(|_| ())
}

/// The first to arrive with this hash.
pub(super) fn find(conn: &mut Conn, sealed_sha256: &Sha256) -> QueryResult<Option<UploadRow>> {
    uploads::table
        .filter(uploads::sealed_sha256.eq(sealed_sha256))
        .order((uploads::completed_at, uploads::id))
        .first(conn)
        .optional()
}

pub(super) fn delete(conn: &mut Conn, id: &str) -> QueryResult<()> {
    diesel::delete(uploads::table.filter(uploads::id.eq(id))).execute(conn).map(|_| ())
}
