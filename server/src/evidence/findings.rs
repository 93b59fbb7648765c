//! Findings: what headquarters noticed, with values and innocent explanations. Inserted, never
//! edited; none of them decides anything. A method that learns more gets a new version, and adds
//! findings beside the old ones.

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{DeviceId, FindingId, VisitId};
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::judge::storable;
use super::observe::CAMERA_NOT_CHECKED;
use super::pictures::{LIGHT_NOT_CHECKED, TABLES_NOT_CHECKED};
use crate::custody::{self, Note};
use crate::db::schema::findings;
use crate::db::{Both, Conn, MultiBackend};
use crate::error::Result;

/// How much a finding asks of its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// Worth knowing.
    Info,
    /// Somebody should look.
    Look,
    /// Two things that cannot both be so.
    Contradiction,
}

impl Weight {
    fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Look => "look",
            Self::Contradiction => "contradiction",
        }
    }
}

/// The uncertainty of what compares exact bytes or counts.
pub(super) const EXACT: &str = "none: exact bytes are compared";

/// Something that headquarters noticed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Finding {
    pub signal: String,
    pub weight: Weight,
    /// One sentence, values included.
    pub summary: String,
    /// What was compared, by name; units stand in the names.
    #[schema(value_type = Object)]
    pub values: serde_json::Value,
    /// How far off the values may be; empty on findings made before this was kept.
    pub uncertainty: String,
    /// How it can be so without anybody meaning harm.
    pub explanations: String,
    /// Method and version that found it.
    pub method: String,
    pub record: Option<Sha256>,
    pub created_at: Timestamp,
}

/// A finding about to be written. A method says a thing about a subject once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewFinding {
    pub signal: &'static str,
    pub weight: Weight,
    pub summary: String,
    /// What was compared, by name; units stand in the names.
    pub values: serde_json::Value,
    /// How far off the values may be, in words with numbers; [`EXACT`] where bytes are compared.
    pub uncertainty: String,
    pub explanations: &'static str,
    /// Method and version.
    pub method: &'static str,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub visit: Option<&'a VisitId>,
    pub device: &'a DeviceId,
    pub record: &'a Sha256,
}

/// That there was nothing to compare by is said once for a device and visit and each reason, not of each photo.
const SAID_ONCE: [&str; 3] = [CAMERA_NOT_CHECKED, LIGHT_NOT_CHECKED, TABLES_NOT_CHECKED];

/// Writes a finding about a record, unless its method said it of the record before.
pub(super) fn add(conn: &mut Conn, subject: Subject<'_>, finding: &NewFinding, now: Timestamp) -> Result<()> {
    if SAID_ONCE.contains(&finding.signal) {
        let visit = subject.visit.map_or("", VisitId::as_str);
        let about = format!("{}:{visit}:{}", subject.device, Sha256::of(finding.summary.as_bytes()));
        return add_about(conn, subject, finding, &about, now);
    }
    add_about(conn, subject, finding, subject.record.as_str(), now)
}

/// Writes a finding, unless its method said the same `about` before.
pub(super) fn add_about(
    conn: &mut Conn,
    subject: Subject<'_>,
    finding: &NewFinding,
    about: &str,
    now: Timestamp,
) -> Result<()> {
    let key = format!("{}:{}:{about}", finding.method, finding.signal);
    let inserted = Both(
        diesel::insert_into(findings::table)
            .values((
                findings::id.eq(FindingId::mint()),
                findings::finding_key.eq(key),
                findings::visit_id.eq(subject.visit),
                findings::device_id.eq(subject.device),
                findings::record_hash.eq(subject.record),
                findings::signal.eq(finding.signal),
                findings::weight.eq(finding.weight.as_str()),
                findings::summary.eq(storable(&finding.summary)),
                findings::detail.eq(finding.values.to_string()),
                findings::uncertainty.eq(storable(&finding.uncertainty)),
                findings::explanations.eq(finding.explanations),
                findings::method.eq(finding.method),
                findings::created_at.eq(now),
            ))
            .on_conflict(findings::finding_key)
            .do_nothing(),
    )
    .execute(conn)?;
    if inserted == 0 {
        return Ok(());
    }
    let noted = Note::Finding {
        record: Some(subject.record.clone()),
        device: Some(subject.device.clone()),
        signal: finding.signal.to_owned(),
        weight: finding.weight.as_str().to_owned(),
        summary: storable(&finding.summary),
        values: finding.values.to_string(),
        uncertainty: storable(&finding.uncertainty),
        explanations: finding.explanations.to_owned(),
        method: finding.method.to_owned(),
    };
    custody::note(conn, subject.visit, &noted, None, now)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = findings, check_for_backend(MultiBackend))]
struct FindingRow {
    signal: String,
    weight: String,
    summary: String,
    detail: String,
    uncertainty: String,
    explanations: String,
    method: String,
    record_hash: Option<Sha256>,
    created_at: Timestamp,
}

pub(super) fn of_visit(conn: &mut Conn, visit: &VisitId) -> Result<Vec<Finding>> {
    let rows: Vec<FindingRow> = findings::table
        .filter(findings::visit_id.eq(visit))
        .order((findings::created_at, findings::id))
        .select(FindingRow::as_select())
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| Finding {
            weight: match row.weight.as_str() {
                "contradiction" => Weight::Contradiction,
                "look" => Weight::Look,
                _ => Weight::Info,
            },
            signal: row.signal,
            summary: row.summary,
            values: serde_json::from_str(&row.detail).unwrap_or_default(),
            uncertainty: row.uncertainty,
            explanations: row.explanations,
            method: row.method,
            record: row.record_hash,
            created_at: row.created_at,
        })
        .collect())
}

/// What an earlier finding said.
pub(super) struct Told {
    pub visit: Option<VisitId>,
    pub record: Option<Sha256>,
    pub signal: String,
    pub values: serde_json::Value,
}

/// What findings of these signals said about a device.
pub(super) fn told_of(conn: &mut Conn, device: &DeviceId, signals: &[&str]) -> Result<Vec<Told>> {
    type Row = (Option<VisitId>, Option<Sha256>, String, String);
    let rows: Vec<Row> = findings::table
        .filter(findings::device_id.eq(device).and(findings::signal.eq_any(signals)))
        .select((findings::visit_id, findings::record_hash, findings::signal, findings::detail))
        .load(conn)?;
    let told = |(visit, record, signal, values): Row| {
        let values = serde_json::from_str(&values).unwrap_or_default();
        Told { visit, record, signal, values }
    };
    Ok(rows.into_iter().map(told).collect())
}
