//! The dossier of a visit: everything that a reviewer needs, gathered from records, files and
//! findings. Built anew for each reader; nothing of it is stored.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeZone as _;
use endcheck_protocol::checklist::{
    Answer, Checklist, ItemStatus, Obstacle, Question, State, Status, evaluate, serials_match,
};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::dossier::{gather, replaced};
use endcheck_protocol::ids::{DeviceId, ItemId, VisitId};
use endcheck_protocol::photo::PhotoFacts;
use endcheck_protocol::place::{Fence, Fix, Position, Verdict, judge};
use endcheck_protocol::record::{Act, Denial, FileFacts, ItemSighting, Record, Statement};
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::{ShipmentSummary, Visit};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Determination, store};
use crate::accounts;
use crate::checklists;
use crate::checks::{self, Check};
use crate::db::Conn;
use crate::error::Result;
use crate::evidence::{self, ChainGap, FileState, Finding, StoredFile, StoredRecord};
use crate::shipments::{self, Shipment};
use crate::sites::{self, Site};
use crate::visits::{self, Event};

/// All that is known of a visit.
#[derive(Debug, Serialize, ToSchema)]
pub struct Dossier {
    pub visit: Visit,
    pub check: Check,
    pub site_address: String,
    #[schema(value_type = Object)]
    pub fence: Option<serde_json::Value>,
    pub shipment: ShipmentSummary,
    pub items: Vec<ItemView>,
    pub answers: Vec<AnswerView>,
    pub files: Vec<FileView>,
    #[schema(value_type = Vec<Object>)]
    pub statements: Vec<Statement>,
    #[schema(value_type = Vec<Object>)]
    pub denials: Vec<Denial>,
    pub notes: Vec<String>,
    /// Records that their own device corrected, with what they said.
    pub corrected: Vec<CorrectedView>,
    /// What stands against a favourable determination, one sentence each.
    pub obstacles: Vec<String>,
    pub findings: Vec<Finding>,
    pub devices: Vec<DeviceView>,
    pub quarantined: Vec<QuarantinedView>,
    pub determinations: Vec<Determination>,
    pub events: Vec<EventView>,
    pub record_count: usize,
}

/// An item as declared, beside what was found.
#[derive(Debug, Serialize, ToSchema)]
pub struct ItemView {
    pub id: ItemId,
    pub description: String,
    pub manufacturer: String,
    pub part_number: String,
    pub declared_serial: Option<String>,
    pub declared_quantity: String,
    #[schema(value_type = Option<String>)]
    pub status: Option<ItemStatus>,
    pub serial_seen: Option<String>,
    /// Whether the serial seen is the one declared; absent where there is nothing to compare.
    pub serial_matches: Option<bool>,
    pub quantity_seen: Option<String>,
    pub method: Option<String>,
    pub note: Option<String>,
}

/// A record that does not count any more, because its device corrected it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CorrectedView {
    pub record: Sha256,
    pub kind: &'static str,
    /// By the device's clock.
    pub made_at: Timestamp,
    /// What it said.
    pub said: String,
    pub corrected_by: Sha256,
    pub corrected_at: Timestamp,
}

/// A question and its answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnswerView {
    pub number: String,
    pub question: String,
    pub text: String,
    pub item: Option<String>,
    /// `answered`, `skipped`, `open` or `not-applicable`.
    pub status: &'static str,
    pub answer: Option<String>,
    pub note: Option<String>,
    /// Why it is not asked, or was skipped.
    pub because: Option<String>,
    pub missing: Vec<String>,
}

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

/// A device that handed in records of this visit, and the state of its chain.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceView {
    pub id: DeviceId,
    pub records: usize,
    pub gaps: Vec<ChainGap>,
    /// Largest lead or lag of its clock against the server's, in seconds, where it can be told:
    /// the smallest difference between a record's time and its arrival bounds the lead.
    pub clock_lead_s: Option<i64>,
}

/// Something that happened to the visit, and who did it.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    #[serde(flatten)]
    pub event: Event,
    /// The person's or the device's name; `tick` for what time brought about.
    pub actor_name: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct QuarantinedView {
    pub record: Sha256,
    pub code: String,
    pub detail: String,
}

struct Sources {
    visit: Visit,
    site: Site,
    checklist: Option<Checklist>,
    records: Vec<StoredRecord>,
    files: Vec<StoredFile>,
}

fn gathered(records: &[StoredRecord]) -> State {
    gather(accepted(records))
}

fn accepted(records: &[StoredRecord]) -> impl Iterator<Item = (&Sha256, &Record)> {
    records
        .iter()
        .filter(|stored| stored.quarantine.is_none())
        .filter_map(|stored| stored.record.as_ref().map(|record| (&stored.hash, record)))
}

/// What stands against a favourable determination of the visit.
pub(super) fn obstacles(conn: &mut Conn, id: &VisitId) -> Result<Vec<Obstacle>> {
    let records = evidence::records_of(conn, id)?;
    let files = evidence::files_of(conn, id)?;
    let checklist = match visits::checklist_hash(conn, id)? {
        Some(hash) => Some(checklists::get(conn, &hash)?),
        None => None,
    };
    Ok(obstacles_of(checklist.as_ref(), &records, &files))
}

/// The checklist is judged by what headquarters holds: a record whose file is not stored proves nothing yet.
fn obstacles_of(
    checklist: Option<&Checklist>,
    records: &[StoredRecord],
    files: &[StoredFile],
) -> Vec<Obstacle> {
    let stored: BTreeSet<&Sha256> =
        files.iter().filter(|file| file.state == FileState::Stored).map(|file| &file.record).collect();
    let state = gather(
        accepted(records).filter(|(hash, record)| record.act.file().is_none() || stored.contains(hash)),
    );
    super::stand_against(checklist, &state)
}

/// Gathers the dossier of a visit.
///
/// # Errors
/// 404 when there is no such visit.
pub fn dossier(conn: &mut Conn, id: &VisitId, now: Timestamp) -> Result<Dossier> {
    dossier_until(conn, id, u64::MAX, now)
}

/// The same from what the first `log_size` entries of the log commit to. Findings and determinations of
/// later on are left out; what is no part of the log (the plan, the programme) is as it is now.
///
/// # Errors
/// 404 when there is no such visit.
pub fn dossier_until(conn: &mut Conn, id: &VisitId, log_size: u64, now: Timestamp) -> Result<Dossier> {
    let visit = visits::get(conn, id, now)?;
    let check = checks::get(conn, &visit.check)?;
    let shipment = shipments::get(conn, &check.shipment)?;
    let site = sites::get(conn, &visit.site)?;
    let checklist = match visits::checklist_hash(conn, id)? {
        Some(hash) => Some(checklists::get(conn, &hash)?),
        None => None,
    };
    let end = i64::try_from(log_size).unwrap_or(i64::MAX);
    let mut records = evidence::records_of(conn, id)?;
    records.retain(|stored| stored.log_index < end);
    let files = evidence::files_until(conn, id, end)?;
    let mut determinations = store::determinations(conn, id)?;
    determinations.retain(|one| one.log_index < end);
    let obstacles = obstacles_of(checklist.as_ref(), &records, &files)
        .into_iter()
        .map(|obstacle| obstacle.sentence)
        .collect();
    let devices = devices(conn, &records)?;
    let sources = Sources { visit, site, checklist, records, files };
    let state = gathered(&sources.records);
    let kept = current(&sources.records);
    Ok(Dossier {
        items: items(&shipment, &kept),
        answers: answers(&sources, &shipment, &state),
        files: file_views(&sources, &shipment),
        statements: kept
            .iter()
            .filter_map(|(_, r)| if let Act::Statement(s) = &r.act { Some(s.clone()) } else { None })
            .collect(),
        denials: kept
            .iter()
            .filter_map(|(_, r)| if let Act::Denied(d) = &r.act { Some(d.clone()) } else { None })
            .collect(),
        notes: kept
            .iter()
            .filter_map(|(_, r)| if let Act::Note { text } = &r.act { Some(text.clone()) } else { None })
            .collect(),
        corrected: corrected(&sources, &shipment),
        obstacles,
        findings: evidence::findings_of(conn, id)?,
        devices,
        quarantined: sources.records.iter().filter_map(quarantined).collect(),
        determinations,
        events: history(conn, id)?,
        record_count: sources.records.len(),
        site_address: sources.site.address,
        fence: sources.site.fence,
        shipment: shipment.summary(),
        check,
        visit: sources.visit,
    })
}

/// The accepted records that no later one corrects.
fn current(records: &[StoredRecord]) -> Vec<(&Sha256, &Record)> {
    let replaced = replaced(accepted(records));
    accepted(records).filter(|(hash, _)| !replaced.contains_key(*hash)).collect()
}

fn corrected(sources: &Sources, shipment: &Shipment) -> Vec<CorrectedView> {
    let records: BTreeMap<&Sha256, &Record> = accepted(&sources.records).collect();
    let replaced = replaced(accepted(&sources.records));
    accepted(&sources.records)
        .filter_map(|(hash, record)| {
            let by = replaced.get(hash)?;
            Some(CorrectedView {
                record: hash.clone(),
                kind: record.act.kind(),
                made_at: record.clock.device_at,
                said: in_short(record, sources.checklist.as_ref(), shipment),
                corrected_by: by.clone(),
                corrected_at: records.get(by)?.clock.device_at,
            })
        })
        .collect()
}

/// What a record said, in a line.
fn in_short(record: &Record, checklist: Option<&Checklist>, shipment: &Shipment) -> String {
    let question = record.task.question.as_ref();
    let item = label(shipment, record.task.item.as_ref());
    let about: Vec<String> = question.map(ToString::to_string).into_iter().chain(item).collect();
    let said = match &record.act {
        Act::Answer { value, note } => {
            let asked = checklist.zip(question).and_then(|(list, id)| list.question(id));
            let answer = asked.map_or_else(|| json_text(value), |asked| in_words(asked, value));
            note.as_ref().map_or(answer.clone(), |note| format!("{answer} ({note})"))
        }
        Act::Item(sighting) => {
            let status = code(&sighting.status).unwrap_or_default();
            sighting.serial.as_ref().map_or(status.clone(), |serial| format!("{status}, {serial}"))
        }
        Act::Photo { file, .. } | Act::Document { file, .. } | Act::Track { file } => file.name.clone(),
        Act::Note { text } => text.clone(),
        Act::Statement(statement) => format!("{}: {}", statement.by, statement.text),
        Act::Denied(denial) => format!("{}: {}", denial.who, denial.words),
        Act::CheckIn { status, note } => {
            [code(status), note.clone()].into_iter().flatten().collect::<Vec<_>>().join(": ")
        }
        Act::VisitClose { outcome, .. } => code(outcome).unwrap_or_default(),
        Act::VisitOpen { method } => code(method).unwrap_or_default(),
        Act::ClockSet { moved_by_ms } => format!("{moved_by_ms} ms"),
        Act::Transfer { to, reason } => format!("{to}: {reason}"),
    };
    if about.is_empty() { said } else { format!("{}: {said}", about.join(", ")) }
}

fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn quarantined(stored: &StoredRecord) -> Option<QuarantinedView> {
    let (code, detail) = stored.quarantine.clone()?;
    Some(QuarantinedView { record: stored.hash.clone(), code, detail })
}

fn history(conn: &mut Conn, id: &VisitId) -> Result<Vec<EventView>> {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut views = Vec::new();
    for event in visits::events(conn, id)? {
        let name = match names.get(&event.actor) {
            Some(name) => name.clone(),
            None => accounts::name_of(conn, &event.actor)?,
        };
        names.insert(event.actor.clone(), name.clone());
        views.push(EventView { event, actor_name: name });
    }
    Ok(views)
}

fn devices(conn: &mut Conn, records: &[StoredRecord]) -> Result<Vec<DeviceView>> {
    let mut by_device: BTreeMap<&DeviceId, Vec<&StoredRecord>> = BTreeMap::new();
    for stored in records {
        by_device.entry(&stored.device).or_default().push(stored);
    }
    by_device
        .into_iter()
        .map(|(device, records)| {
            let lead = records
                .iter()
                .filter_map(|stored| {
                    let record = stored.record.as_ref()?;
                    Some(record.clock.device_at.since(stored.received_at).num_seconds())
                })
                .max();
            Ok(DeviceView {
                id: device.clone(),
                records: records.len(),
                gaps: evidence::chain_of(conn, device)?,
                clock_lead_s: lead.filter(|lead| *lead > 0),
            })
        })
        .collect()
}

fn items(shipment: &Shipment, records: &[(&Sha256, &Record)]) -> Vec<ItemView> {
    let mut sightings: BTreeMap<&ItemId, &ItemSighting> = BTreeMap::new();
    for (_, record) in records {
        if let (Act::Item(sighting), Some(item)) = (&record.act, &record.task.item) {
            sightings.insert(item, sighting);
        }
    }
    shipment
        .items
        .iter()
        .map(|item| {
            let sighting = sightings.get(&item.id);
            let declared = item.serial.clone().or_else(|| item.lot.clone());
            let seen = sighting.and_then(|sighting| sighting.serial.clone());
            ItemView {
                id: item.id.clone(),
                description: item.description.clone(),
                manufacturer: item.manufacturer.clone(),
                part_number: item.part_number.clone(),
                serial_matches: declared.as_deref().zip(seen.as_deref()).map(|(a, b)| serials_match(b, a)),
                declared_serial: declared,
                declared_quantity: format!("{} {}", item.quantity, item.unit),
                status: sighting.map(|sighting| sighting.status),
                serial_seen: seen,
                quantity_seen: sighting.and_then(|sighting| sighting.quantity.clone()),
                method: sighting.and_then(|sighting| code(&sighting.method)),
                note: sighting.and_then(|sighting| sighting.note.clone()),
            }
        })
        .collect()
}

fn code(value: &impl Serialize) -> Option<String> {
    serde_json::to_value(value).ok()?.as_str().map(str::to_owned)
}

fn label(shipment: &Shipment, item: Option<&ItemId>) -> Option<String> {
    let item = shipment.items.iter().find(|candidate| Some(&candidate.id) == item)?;
    Some(match &item.serial {
        Some(serial) => format!("{} {serial}", item.description),
        None => item.description.clone(),
    })
}

fn answers(sources: &Sources, shipment: &Shipment, state: &State) -> Vec<AnswerView> {
    let Some(checklist) = &sources.checklist else { return Vec::new() };
    let evaluation = evaluate(checklist, state);
    evaluation
        .questions
        .iter()
        .filter_map(|standing| {
            let question = checklist.question(&standing.question)?;
            let given = state
                .answers
                .iter()
                .rev()
                .find(|given| given.question == standing.question && given.item == standing.item);
            let (status, because) = match &standing.status {
                Status::Answered => ("answered", None),
                Status::Skipped { reason } => ("skipped", Some(reason.to_string())),
                Status::Open => ("open", None),
                Status::NotApplicable { because } => ("not-applicable", Some(because.clone())),
            };
            Some(AnswerView {
                number: standing.number.clone().unwrap_or_default(),
                question: standing.question.to_string(),
                text: question.text.text_in("en").to_owned(),
                item: label(shipment, standing.item.as_ref()),
                status,
                answer: given.map(|given| in_words(question, &given.answer)),
                note: given.and_then(|given| given.note.clone()),
                because,
                missing: evaluation
                    .missing
                    .iter()
                    .filter(|missing| {
                        missing.question.as_ref() == Some(&standing.question) && missing.item == standing.item
                    })
                    .map(|missing| missing.sentence.clone())
                    .collect(),
            })
        })
        .collect()
}

/// An answer as a reader wants it: choices by their text, numbers with their unit.
fn in_words(question: &Question, answer: &Answer) -> String {
    use endcheck_protocol::checklist::AnswerType;
    match (answer, &question.answer) {
        (Answer::YesNo(value), _) => value.as_str().to_owned(),
        (Answer::Text(text) | Answer::Serial(text), _) => text.clone(),
        (Answer::Number(number), AnswerType::Number { unit }) => {
            format!("{} {unit}", number.as_str()).trim_end().to_owned()
        }
        (Answer::Number(number), _) => number.as_str().to_owned(),
        (Answer::Choice(codes), AnswerType::Choice { options, .. }) => codes
            .iter()
            .map(|code| {
                options
                    .iter()
                    .find(|option| &option.code == code)
                    .map_or_else(|| code.to_string(), |option| option.text.text_in("en").to_owned())
            })
            .collect::<Vec<_>>()
            .join("; "),
        (Answer::Choice(codes), _) => codes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        (Answer::Position { lat_e7, lon_e7 }, _) => Position::from_e7(i64::from(*lat_e7), i64::from(*lon_e7))
            .map_or_else(|e| e.to_string(), |position| position.to_string()),
        (Answer::Skipped { reason }, _) => format!("skipped: {reason}"),
    }
}

fn file_views(sources: &Sources, shipment: &Shipment) -> Vec<FileView> {
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
    let camera =
        facts.and_then(|facts| facts.taken_at.as_deref()).and_then(|text| camera_instant(text, site_zone));
    ClockView {
        camera_minus_device_s: camera.map(|(at, _)| at.since(record.clock.device_at).num_seconds()),
        camera_offset_assumed: camera.is_some_and(|(_, assumed)| assumed),
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

/// The instant of a camera's local time; `true` where the site's zone stands in for an offset that
/// the camera did not write. What the camera wrote itself is never changed.
fn camera_instant(taken_at: &str, site_zone: &str) -> Option<(Timestamp, bool)> {
    if let Ok(at) = taken_at.parse::<Timestamp>() {
        return Some((at, false));
    }
    let zone: chrono_tz::Tz = site_zone.parse().ok()?;
    let naive = chrono::NaiveDateTime::parse_from_str(taken_at, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    let at = zone.from_local_datetime(&naive).earliest()?;
    Some((at.to_utc().into(), true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_s_local_time_is_placed_by_its_offset_or_else_by_the_site_s_zone() {
        let at =
            |text: &str| camera_instant(text, "Europe/Berlin").map(|(at, assumed)| (at.to_string(), assumed));
        assert_eq!(at("2026-11-23T08:00:00+02:00"), Some(("2026-11-23T06:00:00Z".into(), false)));
        assert_eq!(at("2026-11-23T08:00:00"), Some(("2026-11-23T07:00:00Z".into(), true)));
        assert_eq!(at("2026-11-23T08:00:00.250"), Some(("2026-11-23T07:00:00.250Z".into(), true)));
        assert_eq!(at("yesterday"), None);
    }
}
