//! Taking records in: each is kept, logged and receipted in one transaction, whatever it says.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::SigningKey;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{DeviceId, VisitId};
use endcheck_protocol::place::Fence;
use endcheck_protocol::record::{Act, Record};
use endcheck_protocol::sync::{Quarantine, Receipt, RecordAnswer, RecordOutcome};
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::{RefusedTransition, Visit};

use super::findings::Subject;
use super::judge::{Judged, judge, storable};
use super::observe::{Context, TravelLimits, observe};
use super::receipts;
use super::store::{self, FileState};
use super::watch::Watch;
use crate::accounts::{self, EnrolledDevice};
use crate::app::App;
use crate::custody::{self, CustodyAct, Deed};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::log::{self, EntryKind, Logged};
use crate::serials;
use crate::sites;
use crate::visits::{self, Progress};

/// What an intake left to do once it is committed.
pub(super) struct TakenIn {
    pub answers: Vec<RecordAnswer>,
    /// Sealed hashes that records now name: their bytes may have arrived before.
    pub named: Vec<Sha256>,
    /// Whether the examiner has something to do.
    pub look_again: bool,
}

/// What holds for every intake of this server.
pub(super) struct Rules<'a> {
    pub org: &'a str,
    pub authority: &'a SigningKey,
    pub travel: TravelLimits,
    pub serials: &'a serials::Rules,
}

impl<'a> Rules<'a> {
    pub fn of(app: &'a App) -> Self {
        let config = &app.config;
        let travel = TravelLimits {
            look_kmh: config.travel_look_kmh,
            contradiction_kmh: config.travel_contradiction_kmh,
        };
        Self { org: &config.org, authority: &app.keys.authority, travel, serials: &app.serial_rules }
    }
}

/// Takes in the envelopes that `device` hands in, in their order. The ledger tells the way by which they came.
///
/// # Errors
/// When the database fails; then nothing is kept and all may be sent again.
pub(super) fn take_in(
    conn: &mut Conn,
    device: &DeviceId,
    rules: &Rules<'_>,
    (envelopes, way): (&[Vec<u8>], &str),
    now: Timestamp,
) -> Result<TakenIn> {
    // First of all locks, so that two deliveries of the same records wait for each other here.
    log::lock(conn)?;
    let enrolled = accounts::enrolled_device(conn, device)?;
    let key_of = |keyid: &Sha256| enrolled.public_key(keyid);
    let judged: Vec<Judged> = envelopes.iter().map(|bytes| judge(bytes, device, rules.org, key_of)).collect();
    let hashes: Vec<Sha256> = judged.iter().map(|judged| judged.hash.clone()).collect();
    let mut answers: BTreeMap<Sha256, RecordAnswer> = store::held(conn, &hashes)?
        .into_iter()
        .map(|held| {
            let quarantine = held.quarantine.map(|(code, detail)| Quarantine { code, detail });
            (held.hash.clone(), answer(held.hash, RecordOutcome::Held, held.log_index, quarantine))
        })
        .collect();

    let mut seen = BTreeSet::new();
    let fresh: Vec<(&Judged, &Vec<u8>)> = judged
        .iter()
        .zip(envelopes)
        .filter(|(judged, _)| !answers.contains_key(&judged.hash) && seen.insert(&judged.hash))
        .collect();
    let subjects: Vec<Sha256> = fresh.iter().map(|(judged, _)| judged.hash.clone()).collect();
    let logged = log::append_all(conn, EntryKind::Record, &subjects, now)?;
    let given: Vec<Receipt> =
        fresh.iter().zip(&logged).map(|((judged, _), logged)| receipt(device, judged, logged)).collect();
    let watch = Watch::of(conn, device)?;
    let (named, look_again) = receipts::keep_after(conn, &given, rules.authority, |conn| {
        let mut taker = Taker {
            conn,
            device,
            enrolled: &enrolled,
            rules,
            way,
            now,
            known: BTreeMap::new(),
            watch,
            roots: BTreeMap::new(),
            named: Vec::new(),
        };
        for ((judged, bytes), logged) in fresh.iter().zip(&logged) {
            taker.keep(judged, bytes, logged)?;
        }
        let look_again = taker.watch.end(taker.conn, device, now)?;
        Ok((taker.named, look_again))
    })?;
    for ((judged, _), logged) in fresh.into_iter().zip(&logged) {
        let outcome =
            if judged.quarantine.is_some() { RecordOutcome::Quarantined } else { RecordOutcome::Accepted };
        answers.insert(
            judged.hash.clone(),
            answer(judged.hash.clone(), outcome, logged.index, judged.quarantine.clone()),
        );
    }
    let answers = hashes
        .iter()
        .map(|hash| {
            answers.get(hash).cloned().ok_or_else(|| Error::Internal(anyhow::anyhow!("no answer for {hash}")))
        })
        .collect::<Result<_>>()?;
    Ok(TakenIn { answers, named, look_again })
}

fn receipt(device: &DeviceId, judged: &Judged, logged: &Logged) -> Receipt {
    Receipt::Record {
        device: device.clone(),
        record: judged.hash.clone(),
        quarantined: judged.quarantine.is_some(),
        log_index: u64::try_from(logged.index).unwrap_or(0),
        salt: logged.salt.clone(),
        logged_at: logged.at,
    }
}

fn answer(
    hash: Sha256,
    outcome: RecordOutcome,
    log_index: i64,
    quarantine: Option<Quarantine>,
) -> RecordAnswer {
    RecordAnswer { hash, outcome, log_index: u64::try_from(log_index).unwrap_or(0), quarantine }
}

/// A visit and its fence, looked up once a delivery.
struct Known {
    fence: Option<Fence>,
}

struct Taker<'a> {
    conn: &'a mut Conn,
    device: &'a DeviceId,
    enrolled: &'a EnrolledDevice,
    rules: &'a Rules<'a>,
    way: &'a str,
    now: Timestamp,
    known: BTreeMap<VisitId, Known>,
    watch: Watch,
    roots: BTreeMap<u64, Option<Sha256>>,
    named: Vec<Sha256>,
}

impl Taker<'_> {
    fn keep(&mut self, judged: &Judged, bytes: &[u8], logged: &Logged) -> Result<()> {
        let record = judged.record.as_ref();
        let visit_id = match &judged.named {
            Some(visit) => store::known_visit(self.conn, visit)?,
            None => None,
        };
        let seq = record.and_then(|record| i64::try_from(record.seq).ok());
        store::insert_record(
            self.conn,
            &store::NewRecord {
                hash: &judged.hash,
                device_id: self.device,
                seq,
                prev: record.and_then(|record| record.prev.as_ref()),
                keyid: judged.keyid.as_ref().map_or("", Sha256::as_str),
                visit_id: visit_id.as_ref(),
                kind: record.map_or("unreadable", |record| record.act.kind()),
                device_at: record.map(|record| record.clock.device_at),
                received_at: self.now,
                log_index: logged.index,
                quarantine_code: judged.quarantine.as_ref().map(|quarantine| quarantine.code.as_str()),
                quarantine_detail: judged.quarantine.as_ref().map(|quarantine| quarantine.detail.as_str()),
                envelope: bytes,
            },
        )?;
        match (record, &judged.quarantine) {
            (Some(record), None) => self.accept(judged, record, visit_id.as_ref()),
            _ => Ok(()),
        }
    }

    /// What an accepted record does beyond being kept.
    fn accept(&mut self, judged: &Judged, record: &Record, visit_id: Option<&VisitId>) -> Result<()> {
        let visit = match visit_id {
            Some(visit) => Some(visits::lock(self.conn, visit, self.now)?),
            None => None,
        };
        if visit.is_some() {
            // Without this a record could vanish from the ledger's reader unnoticed.
            let (act, why) = (CustodyAct::Received, self.way);
            let deed = Deed { act, visit: visit_id, subject: Some(&judged.hash), why };
            custody::by_headquarters(self.conn, &deed, self.now)?;
        }
        self.observe(judged, record, visit.as_ref())?;
        serials::recorded(self.conn, self.rules.serials, &judged.hash, record, visit_id, self.now)?;
        if let Some(file) = record.act.file() {
            let size = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
            store::insert_file(
                self.conn,
                &store::FileRow {
                    record_hash: judged.hash.clone(),
                    device_id: self.device.clone(),
                    visit_id: visit_id.cloned(),
                    name: storable(&file.name),
                    mime: storable(&file.mime),
                    size_bytes: size(file.size_bytes),
                    sha256: file.sha256.clone(),
                    sealed_sha256: file.sealed_sha256.clone(),
                    sealed_size_bytes: size(file.sealed_size_bytes),
                    state: FileState::Awaited.as_str().to_owned(),
                    stored_at: None,
                    problem: None,
                    facts: None,
                    thumbnail_sha256: None,
                },
            )?;
            self.named.push(file.sealed_sha256.clone());
            let by_its_clock = record.clock.device_at;
            for (act, why) in [
                (CustodyAct::Captured, "taken in by the agent"),
                (CustodyAct::Sealed, "sealed to headquarters and escrow as it was taken in"),
            ] {
                let deed = Deed { act, visit: visit_id, subject: Some(&judged.hash), why };
                custody::by_device(self.conn, self.device, &deed, by_its_clock, self.now)?;
            }
        }
        // Only who was sent moves the visit; a companion's records are evidence and no more.
        if let Some(visit) = visit_id
            && visits::was_assigned(self.conn, visit, &self.enrolled.holder)?
        {
            let progress = match &record.act {
                Act::VisitOpen { .. } => Progress::Opened,
                Act::VisitClose { outcome, .. } => Progress::Closed(*outcome),
                _ => Progress::Heard,
            };
            let refused: Option<RefusedTransition> =
                visits::progress(self.conn, visit, progress, &format!("device:{}", self.device), self.now)?;
            if let Some(refused) = refused {
                tracing::info!(%visit, %refused, "a record found its visit in another state");
            }
        }
        Ok(())
    }

    /// The log's root at a size, as far as the log goes; most records of a delivery ask for the same.
    fn root_at(&mut self, size: u64) -> Result<Option<Sha256>> {
        if !self.roots.contains_key(&size) {
            let root =
                if size <= log::head(self.conn)?.size { Some(log::root_at(self.conn, size)?) } else { None };
            self.roots.insert(size, root);
        }
        Ok(self.roots.get(&size).cloned().flatten())
    }

    fn observe(&mut self, judged: &Judged, record: &Record, visit: Option<&Visit>) -> Result<()> {
        let previous = match &record.prev {
            Some(prev) => store::accepted(self.conn, prev)?,
            None => None,
        };
        let predecessor_held = match &record.prev {
            Some(prev) if previous.is_none() => store::is_held(self.conn, prev)?,
            _ => true,
        };
        let seq = i64::try_from(record.seq).unwrap_or(i64::MAX);
        let number_taken = store::sibling(self.conn, self.device, seq, &judged.hash)?.is_some();
        if let Some(visit) = visit
            && !self.known.contains_key(&visit.id)
        {
            let site = sites::get(self.conn, &visit.site)?;
            let fence = site.fence.as_ref().and_then(|fence| Fence::from_geojson(fence).ok());
            self.known.insert(visit.id.clone(), Known { fence });
        }
        let root_at_anchor = match &record.anchor {
            Some(anchor) => self.root_at(anchor.size)?,
            None => None,
        };
        let fence = visit.and_then(|visit| self.known.get(&visit.id)).and_then(|known| known.fence.as_ref());
        let key = judged.keyid.as_ref().and_then(|keyid| self.enrolled.record_key(keyid));
        let corrected = match &record.replaces {
            Some(old) => store::accepted(self.conn, old)?,
            None => None,
        };
        let subject =
            Subject { visit: visit.map(|visit| &visit.id), device: self.device, record: &judged.hash };
        let beside = self.watch.beside(self.conn, subject, record, &self.enrolled.holder)?;
        let context = Context {
            root_at_anchor: root_at_anchor.as_ref(),
            corrected: corrected.as_ref(),
            visit,
            fence,
            holder: &self.enrolled.holder,
            certificate_expires_at: self.enrolled.expires_at,
            key,
            received_at: self.now,
            predecessor_held,
            previous: previous.as_ref(),
            number_taken,
            fixed: beside.fixed.as_ref(),
            neighbours: &beside.neighbours,
            limits: self.rules.travel,
            cameras: &beside.cameras,
        };
        let found = observe(record, &context);
        self.watch.note(self.conn, subject, record, visit, found, self.now)
    }
}
