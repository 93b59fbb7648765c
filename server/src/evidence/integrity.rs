//! Which stored files the rows name, and what is said when one of them is gone or changed.

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{DeviceId, VisitId};
use endcheck_protocol::time::Timestamp;
use serde_json::json;

use super::findings::{self, EXACT, NewFinding, Subject, Weight};
use crate::db::Conn;
use crate::db::schema::{derived_files, evidence_files};
use crate::error::Result;

/// What is wrong with a stored file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Missing,
    /// It hashes to something else than its name.
    Changed,
}

impl Fault {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
        }
    }
}

/// Names of the files that must be in the store, in order: originals, bytes that did not open, thumbnails, files
/// made from originals. At most `limit`, after `after`, each once.
///
/// # Errors
/// When the database fails.
pub fn named_files(conn: &mut Conn, after: &str, limit: i64) -> Result<Vec<Sha256>> {
    let mut names: Vec<Sha256> = evidence_files::table
        .filter(evidence_files::state.eq("stored").and(evidence_files::sha256.gt(after)))
        .select(evidence_files::sha256)
        .distinct()
        .order(evidence_files::sha256)
        .limit(limit)
        .load(conn)?;
    let unreadable: Vec<Sha256> = evidence_files::table
        .filter(evidence_files::state.eq("unreadable").and(evidence_files::sealed_sha256.gt(after)))
        .select(evidence_files::sealed_sha256)
        .distinct()
        .order(evidence_files::sealed_sha256)
        .limit(limit)
        .load(conn)?;
    let thumbnails: Vec<Option<Sha256>> = evidence_files::table
        .filter(evidence_files::thumbnail_sha256.gt(after))
        .select(evidence_files::thumbnail_sha256)
        .distinct()
        .order(evidence_files::thumbnail_sha256)
        .limit(limit)
        .load(conn)?;
    let derived: Vec<Sha256> = derived_files::table
        .filter(derived_files::sha256.gt(after))
        .select(derived_files::sha256)
        .distinct()
        .order(derived_files::sha256)
        .limit(limit)
        .load(conn)?;
    names.extend(unreadable.into_iter().chain(thumbnails.into_iter().flatten()).chain(derived));
    names.sort();
    names.dedup();
    names.truncate(usize::try_from(limit).unwrap_or(0));
    Ok(names)
}

/// About how many files must be in the store; a file that several rows name may count more than once.
///
/// # Errors
/// When the database fails.
pub fn count_named(conn: &mut Conn) -> Result<i64> {
    let held = evidence_files::state.ne("awaited");
    let files: i64 = evidence_files::table.filter(held).count().get_result(conn)?;
    let thumbnails: i64 = evidence_files::table
        .filter(evidence_files::thumbnail_sha256.is_not_null())
        .count()
        .get_result(conn)?;
    let derived: i64 = derived_files::table.count().get_result(conn)?;
    Ok(files + thumbnails + derived)
}

/// Whether any row names the file, awaited ones too.
///
/// # Errors
/// When the database fails.
pub fn is_named(conn: &mut Conn, file: &Sha256) -> Result<bool> {
    let by_record = evidence_files::table
        .filter(
            evidence_files::sha256
                .eq(file)
                .or(evidence_files::sealed_sha256.eq(file))
                .or(evidence_files::thumbnail_sha256.eq(file)),
        )
        .select(evidence_files::record_hash)
        .first::<Sha256>(conn)
        .optional()?;
    if by_record.is_some() {
        return Ok(true);
    }
    let derived = derived_files::table
        .filter(derived_files::sha256.eq(file))
        .select(derived_files::sha256)
        .first::<Sha256>(conn)
        .optional()?;
    Ok(derived.is_some())
}

/// Adds a finding to each record whose original is at fault. Thumbnails and derived files are nobody's evidence.
///
/// # Errors
/// When the database fails.
pub fn note_fault(conn: &mut Conn, file: &Sha256, fault: Fault, detail: &str, now: Timestamp) -> Result<()> {
    let records: Vec<(Sha256, DeviceId, Option<VisitId>, String)> = evidence_files::table
        .filter(
            evidence_files::state
                .eq("stored")
                .and(evidence_files::sha256.eq(file))
                .or(evidence_files::state.eq("unreadable").and(evidence_files::sealed_sha256.eq(file))),
        )
        .select((
            evidence_files::record_hash,
            evidence_files::device_id,
            evidence_files::visit_id,
            evidence_files::name,
        ))
        .load(conn)?;
    for (record, device, visit, name) in records {
        let finding = NewFinding {
            signal: match fault {
                Fault::Missing => "file-missing",
                Fault::Changed => "file-changed",
            },
            weight: Weight::Contradiction,
            summary: format!("The stored file of {name} is not what was received: {detail}."),
            values: json!({ "sha256": file, "fault": fault.as_str(), "detail": detail }),
            uncertainty: EXACT.to_owned(),
            explanations: "A failing disk, or a backup that was restored in part. The file receipt and the log say \
                           what it was; a copy from a backup that hashes to the name is the same evidence.",
            method: "scrub/1",
        };
        let subject = Subject { visit: visit.as_ref(), device: &device, record: &record };
        // Told anew if it happens again after it was mended.
        let about = format!("{record}:{}", now.day());
        findings::add_about(conn, subject, &finding, &about, now)?;
    }
    Ok(())
}
