//! The dossier of a visit: everything that a reviewer needs, gathered from records, files and
//! findings. Built anew for each reader; nothing of it is stored.

mod files;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use endcheck_protocol::checklist::{
    Checklist, ItemStatus, Obstacle, State, Status, VisitOutcome, evaluate, serials_match,
};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::dossier::{gather, replaced};
use endcheck_protocol::ids::{DeviceId, ItemId, VisitId};
use endcheck_protocol::record::{Act, Denial, ItemSighting, Record, Statement};
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::{ShipmentSummary, Visit};
use serde::Serialize;
use utoipa::ToSchema;

pub(super) use files::FileView;
use files::file_views;
use words::{code, in_short, in_words, label};

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
    /// What the newest close of the visit says; absent where nothing closed it.
    #[schema(value_type = Option<String>)]
    pub closed_as: Option<VisitOutcome>,
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
    let determinations = store::determinations(conn, id, end)?;
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
        closed_as: kept.iter().rev().find_map(|(_, r)| {
            if let Act::VisitClose { outcome, .. } = &r.act { Some(*outcome) } else { None }
        }),
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
