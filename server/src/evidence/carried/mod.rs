//! What comes by hand: packages on a stick, taken in by the same code as what comes over the network, so
//! with the same checks, once, however often and by whomever it is brought.
//!
//! Decides only whose package it is: by the device's signature over the list of parts. Without one that
//! holds, only records that a device of ours signed are taken in, each for the device that it names. A
//! part that is damaged is told, and the others are taken in.

mod package;
mod receipts;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::DeviceId;
use endcheck_protocol::sync::{MAX_RECORDS, RecordOutcome};
use endcheck_protocol::terminal;
use endcheck_protocol::time::Timestamp;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::findings::{self, NewFinding, Subject, Weight};
use super::store::FileState;
use super::{intake, judge, settle};
use crate::accounts::{self, CarryingDevice};
use crate::app::App;
use crate::error::Result;
use crate::uploads::{Completed, Kept};
use package::{Content, Folder, Part};

pub(super) use store::{Carried, list};

/// What one package brought.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Report {
    pub folder: String,
    pub device: Option<DeviceId>,
    /// New records; those set aside among them.
    pub records_accepted: u64,
    pub records_set_aside: u64,
    /// Records that were here before.
    pub records_held: u64,
    /// Files that are stored now, for the first time.
    pub files_stored: u64,
    /// Files that were stored before.
    pub files_held: u64,
    /// What is wrong, a sentence each. The rest was taken in.
    pub faults: Vec<String>,
    /// Whether receipts were written into the folder.
    pub receipts_written: bool,
}

/// Takes in every package in `folder`: itself one, or holding some. Who brought it goes on record.
///
/// # Errors
/// When there is none, or the database or the file store fails; it may be repeated then.
pub async fn take_in_folder(app: &Arc<App>, folder: &Path, carried_by: &str) -> anyhow::Result<Vec<Report>> {
    let folders = package::folders(folder)?;
    anyhow::ensure!(
        !folders.is_empty(),
        "there is no package in {}: `endcheck sync --to FOLDER` writes one",
        folder.display()
    );
    let mut reports = Vec::new();
    for folder in folders {
        reports.push(take_in(app, &folder, carried_by).await?);
    }
    Ok(reports)
}

async fn take_in(app: &Arc<App>, path: &Path, carried_by: &str) -> anyhow::Result<Report> {
    let mut folder = Folder::read(path)?;
    let device = match folder.signed_by.take() {
        Some(signed) => {
            let found = app
                .read(move |conn| {
                    accounts::device_by_sign_in_key(conn, &signed.keyid).map(|found| (found, signed))
                })
                .await?;
            match found {
                (Some(device), signed) if signed.verify(&device.sign_in_key).is_ok() => Some(device),
                _ => {
                    folder.faults.push(
                        "the package is not signed by a device of this authority: of its records only those \
                         that such a device signed are taken in"
                            .to_owned(),
                    );
                    None
                }
            }
        }
        None => None,
    };
    let mut taker = Taker {
        app,
        device,
        way: format!(
            "its record arrived, carried by {} in the package {}",
            judge::storable(carried_by),
            folder.name
        ),
        report: Report {
            // Of a stick that anybody may have named: nothing that steers a terminal.
            folder: terminal::line(&path.display().to_string()),
            ..Report::default()
        },
        records: BTreeSet::new(),
        sealed: BTreeSet::new(),
    };
    taker.report.device = taker.device.as_ref().map(|device| device.id.clone());
    let staging = package::Staging::open(&app.config.data.join("carried"))?;
    let begun = json!({ "state": "begun" });
    store::note(app, &folder.name, taker.report.device.clone(), carried_by, &begun).await?;
    taker.report.faults.append(&mut folder.faults);

    // Records first, so that each file finds the record that names it.
    let mut files = Vec::new();
    for part in &folder.parts {
        let copied = match staging.copy(part) {
            Ok(copied) => copied,
            Err(why) => {
                taker.report.faults.push(format!("{}: {why}", part.name()));
                continue;
            }
        };
        match package::content(&copied, &app.keys.identity) {
            Content::Batch(envelopes) => taker.batch(part, &folder, envelopes).await?,
            Content::Damaged(why) => taker.report.faults.push(format!("{}: {why}", part.name())),
            Content::File => files.push(part),
        }
    }
    for part in files {
        match staging.copy(part) {
            Ok(copied) => taker.file(part, copied).await?,
            Err(why) => taker.report.faults.push(format!("{}: {why}", part.name())),
        }
    }
    drop(staging);
    taker.give_receipts(path, folder.log_size).await?;
    let report = taker.report;
    let said = serde_json::to_value(&report)?;
    store::note(app, &folder.name, report.device.clone(), carried_by, &said).await?;
    Ok(report)
}

struct Taker<'a> {
    app: &'a Arc<App>,
    device: Option<CarryingDevice>,
    /// Who brought it and which package, as the ledger tells it.
    way: String,
    report: Report,
    /// What receipts are given for.
    records: BTreeSet<Sha256>,
    sealed: BTreeSet<Sha256>,
}

impl Taker<'_> {
    /// Takes in the records of a part.
    async fn batch(&mut self, part: &Part, folder: &Folder, envelopes: Vec<Vec<u8>>) -> Result<()> {
        let vouched = self.device.as_ref().filter(|_| folder.lists(part)).map(|device| device.id.clone());
        let mut deliveries: BTreeMap<DeviceId, Vec<Vec<u8>>> = BTreeMap::new();
        match vouched {
            Some(device) => {
                deliveries.insert(device, envelopes);
            }
            None => {
                let org = self.app.config.org.clone();
                let (signed, left) =
                    self.app.read(move |conn| Ok(judge::signed_by_ours(conn, &org, envelopes))).await?;
                deliveries = signed;
                if left > 0 {
                    self.report.faults.push(format!(
                        "{}: {left} records that no device of ours signed were left out",
                        part.name()
                    ));
                }
            }
        }
        for (device, envelopes) in deliveries {
            for delivery in envelopes.chunks(MAX_RECORDS) {
                self.records(&device, delivery.to_vec()).await?;
            }
        }
        Ok(())
    }

    /// One delivery, as the network brings it.
    async fn records(&mut self, device: &DeviceId, envelopes: Vec<Vec<u8>>) -> Result<()> {
        let app = Arc::clone(self.app);
        let (id, now) = (device.clone(), app.clock.now());
        let shared = Arc::clone(self.app);
        let way = self.way.clone();
        let taken = app
            .write(move |conn| {
                let taken = intake::take_in(conn, &id, &intake::Rules::of(&shared), (&envelopes, &way), now)?;
                let fresh = taken.answers.iter().filter(|answer| answer.outcome == RecordOutcome::Accepted);
                let revoked_at = accounts::revoked_at(conn, &id)?;
                for (answer, revoked_at) in fresh.filter_map(|answer| Some((answer, revoked_at?))) {
                    let visit = super::store::envelope(conn, &answer.hash)?.1;
                    let subject = Subject { visit: visit.as_ref(), device: &id, record: &answer.hash };
                    findings::add(conn, subject, &after_revocation(revoked_at), now)?;
                }
                Ok(taken)
            })
            .await?;
        for answer in taken.answers {
            match answer.outcome {
                RecordOutcome::Accepted => self.report.records_accepted += 1,
                RecordOutcome::Quarantined => {
                    self.report.records_accepted += 1;
                    self.report.records_set_aside += 1;
                }
                RecordOutcome::Held => self.report.records_held += 1,
            }
            self.records.insert(answer.hash);
        }
        if taken.look_again {
            self.app.examiner.notify_one();
        }
        // Bytes that came over the network before these records.
        settle::named(self.app, taken.named).await
    }

    /// Settles a file, as an upload that is complete.
    async fn file(&mut self, part: &Part, copied: package::Copied) -> Result<()> {
        let sealed = part.sealed_sha256.clone();
        let before = self.state(&sealed).await?;
        if before.is_empty() {
            self.report.faults.push(format!(
                "{}: no record that is here names it; it stays on the stick alone. Bring its record, and then \
                 this again",
                part.name()
            ));
            return Ok(());
        }
        self.sealed.insert(sealed.clone());
        let upload = Completed {
            id: uuid::Uuid::now_v7().to_string(),
            owner: "carried".to_owned(),
            sealed_sha256: sealed.clone(),
            size_bytes: copied.size_bytes,
            path: copied.path.clone(),
        };
        let kept = settle::completed(self.app, &upload).await?;
        let after = self.state(&sealed).await?;
        if after.contains(&FileState::Unreadable) {
            self.report.faults.push(format!("{}: it does not open to what was signed", part.name()));
        } else if kept == Kept::Elsewhere && before.contains(&FileState::Awaited) {
            self.report.files_stored += 1;
        } else {
            self.report.files_held += 1;
        }
        Ok(())
    }

    async fn state(&self, sealed: &Sha256) -> Result<Vec<FileState>> {
        let sealed = sealed.clone();
        self.app.read(move |conn| super::store::states_of(conn, &sealed)).await
    }

    /// Writes the receipts for what was carried beside it.
    async fn give_receipts(&mut self, path: &Path, log_size: u64) -> anyhow::Result<()> {
        let Some(device) = self.device.as_ref().map(|device| device.id.clone()) else { return Ok(()) };
        let (records, sealed) = (std::mem::take(&mut self.records), std::mem::take(&mut self.sealed));
        let shared = Arc::clone(self.app);
        let given = self
            .app
            .read(move |conn| receipts::of(conn, &shared, &device, &records, &sealed, log_size))
            .await?;
        match receipts::write(path, &given, &self.app.keys.authority) {
            Ok(()) => self.report.receipts_written = true,
            Err(error) => self.report.faults.push(format!("the receipts cannot be written: {error:#}")),
        }
        Ok(())
    }
}

/// What is said of a record that a revoked device made known.
fn after_revocation(revoked_at: Timestamp) -> NewFinding {
    NewFinding {
        signal: "revoked-device",
        weight: Weight::Look,
        summary: format!("The record came by hand after its device was revoked at {revoked_at}."),
        values: json!({ "revoked_at": revoked_at }),
        uncertainty: findings::EXACT.to_owned(),
        explanations: "The device was lost or broken after the visit and brought in by somebody else. Whoever had \
                       it and its passphrase could make records in the inspector's name.",
        method: "carried-1",
    }
}
