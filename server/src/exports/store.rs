//! Rows of exports.

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{ExportId, VisitId};
use endcheck_protocol::time::Timestamp;

use crate::db::Conn;
use crate::db::schema::exports;
use crate::error::Result;

#[derive(Insertable)]
#[diesel(table_name = exports)]
pub(super) struct NewExport<'a> {
    pub id: &'a ExportId,
    pub visit_id: &'a VisitId,
    pub log_size: i64,
    pub bag_sha256: &'a Sha256,
    pub redacted: bool,
    pub recipients: &'a str,
    pub exported_by: &'a str,
    pub why: &'a str,
    pub created_at: Timestamp,
    pub log_index: i64,
}

pub(super) fn insert(conn: &mut Conn, row: &NewExport<'_>) -> Result<()> {
    diesel::insert_into(exports::table).values(row).execute(conn)?;
    Ok(())
}

/// Where the log holds the bag, if it was exported before.
pub(super) fn logged(conn: &mut Conn, bag: &Sha256) -> Result<Option<i64>> {
    Ok(exports::table
        .filter(exports::bag_sha256.eq(bag))
        .order(exports::log_index)
        .select(exports::log_index)
        .first(conn)
        .optional()?)
}
