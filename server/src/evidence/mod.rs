//! Evidence: records and files as devices hand them in, what headquarters makes of them, and what
//! it answers.
//!
//! Acceptance looks at signature, chain, schema and enrolment only. Whatever else is odd becomes a
//! finding; bytes that a device signed are never turned away.

mod chain;
mod examine;
mod findings;
mod flags;
mod http;
mod intake;
mod judge;
mod observe;
mod pictures;
mod settle;
mod store;

pub use chain::{ChainGap, gaps};
pub use examine::examine_due;
pub use findings::{Finding, Weight};
pub use http::{ApiDoc, RECORDS_PATH, routes};
pub use pictures::Pictures;
pub use settle::{completed, sweep};
pub use store::{FileState, StoredFile, StoredRecord};

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
