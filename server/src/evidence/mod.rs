//! Evidence: records and files as devices hand them in, what headquarters makes of them, and what
//! it answers.
//!
//! Acceptance looks at signature, chain, schema and enrolment only. Whatever else is odd becomes a
//! finding; bytes that a device signed are never turned away.

mod carried;
mod chain;
mod examine;
mod findings;
mod flags;
mod http;
mod intake;
mod integrity;
mod judge;
mod neighbours;
mod observe;
mod pictures;
pub mod receipts;
mod redact;
mod sealed;
mod settle;
mod store;
mod tracks;
mod watch;

pub use carried::{Report as CarriedReport, take_in_folder};
pub use chain::{ChainGap, gaps};
pub use examine::examine_due;
pub use findings::{Finding, Weight};
pub use http::{ApiDoc, RECORDS_PATH, routes};
pub use integrity::{Fault, count_named, is_named, named_files, note_fault};
pub use observe::TravelLimits;
pub use pictures::Pictures;
pub use redact::{DerivedFile, derived_of, redacted_bytes};
pub use settle::{completed, sweep};
pub use store::{FileState, StoredEnvelope, StoredFile, StoredReceipt, StoredRecord};

use std::collections::BTreeSet;

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{DeviceId, UserId, VisitId};

use crate::db::Conn;
use crate::error::Result;

/// The records of a visit in the order in which they were received.
///
/// # Errors
/// When the database fails.
pub fn records_of(conn: &mut Conn, visit: &VisitId) -> Result<Vec<StoredRecord>> {
    store::records_of_visit(conn, visit)
}

/// Whether a device of that person handed in a record of the visit.
///
/// # Errors
/// When the database fails.
pub fn recorded_by(conn: &mut Conn, visit: &VisitId, user: &UserId) -> Result<bool> {
    store::recorded_by(conn, visit, user)
}

/// The files of a visit.
///
/// # Errors
/// When the database fails.
pub fn files_of(conn: &mut Conn, visit: &VisitId) -> Result<Vec<StoredFile>> {
    store::files_of_visit(conn, visit)
}

/// The files of a visit as they were when the log had `end` entries: what was stored later is awaited.
///
/// # Errors
/// When the database fails.
pub fn files_until(conn: &mut Conn, visit: &VisitId, end: i64) -> Result<Vec<StoredFile>> {
    let mut files = store::files_of_visit(conn, visit)?;
    if end == i64::MAX {
        return Ok(files);
    }
    let receipts = store::receipts_of_visit(conn, visit, end)?;
    let stored: BTreeSet<&Sha256> =
        receipts.iter().filter(|receipt| receipt.kind == "file").map(|receipt| &receipt.record).collect();
    for file in
        files.iter_mut().filter(|file| file.state == FileState::Stored && !stored.contains(&file.record))
    {
        file.state = FileState::Awaited;
        file.stored_at = None;
    }
    Ok(files)
}

/// The signed receipts for a visit's records and files that were logged before position `end`, in the
/// order of the log.
///
/// # Errors
/// When the database fails.
pub fn receipts_of(conn: &mut Conn, visit: &VisitId, end: i64) -> Result<Vec<StoredReceipt>> {
    store::receipts_of_visit(conn, visit, end)
}

/// The exact bytes of every record of a visit that was logged before position `end`, in the order of the log.
///
/// # Errors
/// When the database fails.
pub fn envelopes_of(conn: &mut Conn, visit: &VisitId, end: i64) -> Result<Vec<StoredEnvelope>> {
    store::envelopes_of_visit(conn, visit, end)
}

/// The findings about a visit, oldest first.
///
/// # Errors
/// When the database fails.
pub fn findings_of(conn: &mut Conn, visit: &VisitId) -> Result<Vec<Finding>> {
    findings::of_visit(conn, visit)
}

/// Where a device's chain has holes or branches.
///
/// # Errors
/// When the database fails.
pub fn chain_of(conn: &mut Conn, device: &DeviceId) -> Result<Vec<ChainGap>> {
    Ok(gaps(&store::chain(conn, device)?))
}
