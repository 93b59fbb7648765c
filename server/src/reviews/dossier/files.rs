//! Files as evidence: what each says of itself beside what the device said of it.

use std::collections::BTreeMap;

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::photo::PhotoFacts;
use endcheck_protocol::place::{Fence, Fix, Position, Verdict, judge};
use endcheck_protocol::record::{Act, FileFacts, Record};
use endcheck_protocol::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::words::{code, label};
use super::{Sources, current};
use crate::evidence::{FileState, StoredFile};
use crate::shipments::Shipment;

/// A file as evidence.
#[derive(Debug, Serialize, ToSchema)]
pub struct FileView {
    pub record: Sha256,
    pub kind: &'static str,
    pub name: String,
    pub purpose: Option<String>,
    pub caption: Option<String>,
    pub item: Option<String>,
    pub question: Option<String>,
    pub size_bytes: u64,
    pub sha256: Sha256,
    pub state: FileState,
    pub problem: Option<String>,
    pub thumbnail: bool,
    /// When the device took it in, by the device's clock.
    pub captured_at: Timestamp,
    /// What the camera wrote, in its own local time.
    pub taken_at: Option<String>,
    pub camera: Option<String>,
    pub photo_position: PlaceView,
    pub device_position: PlaceView,
    /// How far the photo's position and the device's are apart, in metres.
    pub apart_m: Option<i64>,
    pub clocks: ClockView,
    pub flags: Vec<String>,
}

/// A position and how it lies to the fence.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlaceView {
    pub position: Option<String>,
    pub accuracy_m: Option<i64>,
    /// Where it comes from, or why there is none.
    pub source: String,
    pub verdict: Verdict,
    /// The verdict in words.
    pub verdict_text: String,
}

/// How the clocks around a file disagree, in seconds; absent where one of two is not known.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClockView {
    /// Camera minus device.
    pub camera_minus_device_s: Option<i64>,
    /// Whether the camera's offset is assumed to be the site's.
    pub camera_offset_assumed: bool,
    /// Satellite time in the photo minus the camera.
    pub camera_gps_minus_camera_s: Option<i64>,
    /// Satellite time of the device's fix minus the device.
    pub gnss_minus_device_s: Option<i64>,
}

pub(super) fn file_views(sources: &Sources, shipment: &Shipment) -> Vec<FileView> {
    let fence = sources.site.fence.as_ref().and_then(|fence| Fence::from_geojson(fence).ok());
    let files: BTreeMap<&Sha256, &StoredFile> =
        sources.files.iter().map(|file| (&file.record, file)).collect();
    current(&sources.records)
        .into_iter()
        .filter_map(|(hash, record)| {
            let file: &FileFacts = record.act.file()?;
            let stored = files.get(hash)?;
            let (purpose, caption, facts) = match &record.act {
                Act::Photo { purpose, caption, facts, .. } => {
                    (purpose.clone(), caption.clone(), Some(&**facts))
                }
                Act::Document { purpose, caption, .. } => (purpose.clone(), caption.clone(), None),
                _ => (None, None, None),
            };
            let photo_position = photo_place(facts, fence.as_ref());
            let device_position = device_place(record.place.as_ref(), fence.as_ref());
            let apart_m = facts
                .and_then(PhotoFacts::position_for_verdict)
                .and_then(|exif| Position::from_e7(exif.lat_e7, exif.lon_e7).ok())
                .zip(record.place.as_ref().map(|fix| fix.position))
                .map(|(photo, device)| photo.distance_m(device).round() as i64);
            Some(FileView {
                record: hash.clone(),
                kind: record.act.kind(),
                name: file.name.clone(),
                purpose,
                caption,
                item: label(shipment, record.task.item.as_ref()),
                question: record.task.question.as_ref().map(ToString::to_string),
                size_bytes: file.size_bytes,
                sha256: file.sha256.clone(),
                state: stored.state,
                problem: stored.problem.clone(),
                thumbnail: stored.thumbnail_sha256.is_some(),
                captured_at: record.clock.device_at,
                taken_at: facts.and_then(|facts| facts.taken_at.clone()),
                camera: facts.and_then(camera),
                photo_position,
                device_position,
                apart_m,
                clocks: clocks(record, facts, &sources.visit.time_zone),
                flags: facts
                    .map(|facts| facts.flags.iter().map(|flag| flag.why().to_owned()).collect())
                    .unwrap_or_default(),
            })
        })
        .collect()
}

/// Make and model; many models name their make already.
fn camera(facts: &PhotoFacts) -> Option<String> {
    match (&facts.make, &facts.model) {
        (Some(make), Some(model)) if !model.starts_with(make.as_str()) => Some(format!("{make} {model}")),
        (make, model) => model.clone().or_else(|| make.clone()),
    }
}

fn photo_place(facts: Option<&PhotoFacts>, fence: Option<&Fence>) -> PlaceView {
    let usable = facts.and_then(PhotoFacts::position_for_verdict);
    let verdict = judge(
        fence,
        usable.and_then(|exif| Some((Position::from_e7(exif.lat_e7, exif.lon_e7).ok()?, exif.accuracy_mm))),
    );
    let written = facts.and_then(|facts| facts.position.as_ref());
    let source = match facts {
        None => "not a photo".to_owned(),
        Some(facts) => match &facts.position_absent_reason {
            Some(reason) => reason.why().to_owned(),
            None => "in the photo".to_owned(),
        },
    };
    PlaceView {
        position: written
            .and_then(|exif| Position::from_e7(exif.lat_e7, exif.lon_e7).ok())
            .map(|position| position.to_string()),
        accuracy_m: written.and_then(|exif| exif.accuracy_mm).map(|mm| mm / 1000),
        source,
        verdict_text: verdict.to_string(),
        verdict,
    }
}

fn device_place(fix: Option<&Fix>, fence: Option<&Fence>) -> PlaceView {
    let verdict = judge(fence, fix.map(|fix| (fix.position, fix.accuracy_mm)));
    PlaceView {
        position: fix.map(|fix| fix.position.to_string()),
        accuracy_m: fix.and_then(|fix| fix.accuracy_mm).map(|mm| mm / 1000),
        source: fix.and_then(|fix| code(&fix.provider)).unwrap_or_else(|| "the device had no fix".to_owned()),
        verdict_text: verdict.to_string(),
        verdict,
    }
}

fn clocks(record: &Record, facts: Option<&PhotoFacts>, site_zone: &str) -> ClockView {
    let camera = facts.and_then(|facts| facts.taken_instant(site_zone.parse().ok()));
    ClockView {
        camera_minus_device_s: camera.map(|(at, _)| at.since(record.clock.device_at).num_seconds()),
        camera_offset_assumed: camera.is_some_and(|(_, offset_written)| !offset_written),
        camera_gps_minus_camera_s: facts
            .and_then(|facts| facts.gps_at)
            .zip(camera)
            .map(|(gps, (at, _))| gps.since(at).num_seconds()),
        gnss_minus_device_s: record
            .clock
            .gnss_at
            .map(|gnss| gnss.since(record.clock.device_at).num_seconds()),
    }
}
