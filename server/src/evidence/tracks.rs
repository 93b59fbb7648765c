//! Looking into stored tracks: read once more whenever records of its device and visit came in, so that
//! each is compared, whatever came first.

use std::sync::Arc;

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::VisitId;
use endcheck_protocol::place::track::{self, Track, TrackRefusal};
use endcheck_protocol::record::{Act, Record};
use endcheck_protocol::time::Timestamp;
use serde_json::json;

use super::findings::{self, EXACT, NewFinding, Subject, Weight};
use super::intake::Rules;
use super::observe;
use super::store::{self, StoredFile};
use crate::app::App;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::{log, visits};

const METHOD: &str = "track-1";

/// Whether the file is a track, by its record.
pub(super) async fn is_track(app: &Arc<App>, file: &StoredFile) -> Result<bool> {
    let record = file.record.clone();
    app.read(move |conn| {
        let stored = store::record(conn, &record)?;
        Ok(matches!(stored.record.map(|record| record.act), Some(Act::Track { .. })))
    })
    .await
}

/// Reads a stored track and compares the records of its device and visit with it.
///
/// # Errors
/// When the file or the database fails.
pub(super) async fn examine(app: &Arc<App>, file: &StoredFile) -> Result<()> {
    let content =
        app.files.read(&file.sha256, track::MAX_TRACK_BYTES).await.map_err(|e| Error::Internal(e.into()))?;
    let track = actix_web::web::block(move || match content {
        Some(content) => track::read(&content),
        None => Err(TrackRefusal::TooLarge { size_bytes: track::MAX_TRACK_BYTES + 1 }),
    })
    .await
    .map_err(|_| Error::Internal(anyhow::anyhow!("the reading of a track panicked or was cancelled")))?;
    let now = app.clock.now();
    let limits = Rules::of(app).travel;
    let file = file.clone();
    app.write(move |conn| {
        // Records come in under the same lock, so none slips by between comparing and being done.
        log::lock(conn)?;
        let subject = Subject { visit: file.visit.as_ref(), device: &file.device, record: &file.record };
        match track {
            Err(refusal) => findings::add(conn, subject, &unread(&refusal), now)?,
            Ok(track) => {
                for finding in observe::track_itself(&track, limits) {
                    findings::add(conn, subject, &finding, now)?;
                }
                if let Some(visit) = &file.visit {
                    compare(conn, &file, visit, &track, now)?;
                }
            }
        }
        store::set_examined(conn, &file.record, None, None, now)
    })
    .await
}

fn compare(conn: &mut Conn, file: &StoredFile, visit: &VisitId, track: &Track, now: Timestamp) -> Result<()> {
    let zone = visits::get(conn, visit, now)?.time_zone.parse().ok();
    let records: Vec<(Sha256, Record)> = store::records_of_visit(conn, visit)?
        .into_iter()
        .filter(|stored| stored.device == file.device && stored.quarantine.is_none())
        .filter_map(|stored| Some((stored.hash, stored.record?)))
        .collect();
    for said in observe::against_track(&records, track, &file.record, zone) {
        let record = said.record.as_ref().unwrap_or(&file.record);
        let subject = Subject { visit: Some(visit), device: &file.device, record };
        findings::add_about(conn, subject, &said.finding, &format!("{record}:{}", said.about), now)?;
    }
    Ok(())
}

fn unread(refusal: &TrackRefusal) -> NewFinding {
    NewFinding {
        signal: "track-does-not-read",
        weight: Weight::Look,
        summary: format!("Headquarters cannot read the track that the device took in: {refusal}."),
        values: json!({ "problem": refusal.to_string() }),
        uncertainty: EXACT.to_owned(),
        explanations: "The agent that took it in is newer, or accepted what this server does not read.",
        method: METHOD,
    }
}
