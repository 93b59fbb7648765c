//! What goes into a bag: everything about the visit that the first entries of the log commit to, with what
//! proves it.

use std::collections::{BTreeMap, BTreeSet};

use endcheck_protocol::bag::{self as format, AnchorProof, Bundle, Derived, Original, safe_name};
use endcheck_protocol::determination::DeterminationDocument;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{Envelope, RECORD_TYPE, public_key_to_base64};
use endcheck_protocol::ids::{DeviceId, VisitId};
use endcheck_protocol::ledger::{LedgerLine, Note};
use endcheck_protocol::record::{Anchor, Record};
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::tlog::LogEntry;
use endcheck_protocol::visit::Visit;
use endcheck_protocol::{canonical, selftest};
use serde::Serialize;
use serde_json::json;

use super::bag::{Bag, BagFile, Content};
use super::documents;
use crate::accounts;
use crate::app::App;
use crate::custody;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::evidence::{self, DerivedFile, FileState, StoredEnvelope, StoredFile};
use crate::log;
use crate::reviews::{self, Dossier};
use crate::{checklists, visits};

/// Gathers the bag of a visit.
///
/// # Errors
/// When the database fails or something stored is damaged.
pub(super) fn bag(
    conn: &mut Conn,
    app: &App,
    visit: &Visit,
    log_size: u64,
    redacted: bool,
    now: Timestamp,
) -> Result<Bag> {
    let end = i64::try_from(log_size).unwrap_or(i64::MAX);
    let mut payload = Payload::default();
    let envelopes = evidence::envelopes_of(conn, &visit.id, end)?;
    for stored in &envelopes {
        payload.add(format!("data/records/{}.dsse.json", stored.hash), stored.envelope.as_slice());
        payload.proved(stored.log_index, format!("data/proofs/{}.record.tlog-proof", stored.hash));
    }
    for receipt in evidence::receipts_of(conn, &visit.id, end)? {
        let name = format!("{}.{}", receipt.record, receipt.kind);
        payload.add(format!("data/receipts/{name}-receipt.dsse.json"), receipt.envelope);
        if receipt.kind == "file" {
            payload.proved(receipt.log_index, format!("data/proofs/{name}.tlog-proof"));
        }
    }
    devices(conn, &envelopes, end, &mut payload)?;
    let ledger = custody::ledger(conn, &visit.id, log_size)?;
    let concluded = conclusions(conn, &visit.id, end, &ledger, &mut payload)?;
    for index in ledger.iter().map(|line| line.batch.log_index).collect::<BTreeSet<u64>>() {
        let path = format!("data/proofs/custody-{index}.tlog-proof");
        payload.proved(i64::try_from(index).unwrap_or(i64::MAX), path);
    }
    payload.add(format::LEDGER, ledger_lines(&ledger)?);
    payload.add(
        "data/findings.json",
        pretty(&ledger.iter().filter_map(|line| format::finding(&line.entry)).collect::<Vec<_>>())?,
    );
    payload.add("data/log/policy", log::policy_text(app));
    payload.add("data/log/checkpoint", log::checkpoint_at(conn, &app.keys.log, log_size)?);
    payload.add(format::ANCHORS, pretty(&anchors(conn, &envelopes, log_size)?)?);
    if let Some(hash) = visits::checklist_hash(conn, &visit.id)? {
        let checklist = checklists::get(conn, &hash)?;
        payload
            .add("data/checklist.json", canonical::write(&checklist).map_err(|e| Error::Internal(e.into()))?);
    }
    let derived = evidence::derived_of(conn, &visit.id, end)?;
    let files = evidence::files_until(conn, &visit.id, end)?;
    // By their bytes, not by record: several records may name the same photo, in other visits, too. And by what
    // is redacted today: a face that was made unrecognisable later stays out of an earlier state as well.
    let withheld = if redacted { evidence::redacted_bytes(conn)? } else { BTreeSet::new() };
    let bundle = Bundle {
        schema: format::SCHEMA.to_owned(),
        org: app.config.org.clone(),
        visit: visit.id.clone(),
        log_size,
        originals: payload.originals(&files, &withheld, &derived),
        derived: payload.derived(&derived),
    };
    payload.add(format::INDEX, pretty(&bundle)?);
    payload.prove(conn, app, log_size)?;

    let last = log::entry(conn, log_size - 1)?;
    let closed_at = LogEntry::read(&last).map_err(|e| Error::Internal(e.into()))?.logged_at;
    let dossier = reviews::dossier_until(conn, &visit.id, log_size, now)?;
    shown_as_made(&dossier, &concluded)?;
    let facts = documents::Facts { app, bundle: &bundle, dossier: &dossier, ledger: &ledger, closed_at };
    payload.add("data/report.html", documents::report(&facts)?);
    payload.add("data/VERIFY.md", documents::verify(&facts)?);
    let tests = selftest::run();
    payload.add("data/CERTIFICATE-draft.md", documents::certificate(&facts, &tests, payload.hashes())?);
    let information = [
        ("Source-Organization", app.config.org.clone()),
        ("External-Identifier", visit.id.to_string()),
        ("External-Description", format!("End-use verification visit to {}", visit.site_name)),
        ("Bagging-Date", closed_at.day().to_string()),
        ("Bag-Software-Agent", format!("endcheck-server {}", env!("CARGO_PKG_VERSION"))),
        ("Endcheck-Log-Size", log_size.to_string()),
    ];
    let redaction = if redacted { "-redacted" } else { "" };
    let name = format!("endcheck-{}-{log_size}{redaction}", visit.id);
    Ok(Bag::closed(name, payload.files, &information, closed_at))
}

fn pretty<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| Error::Internal(e.into()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn ledger_lines(ledger: &[LedgerLine]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for line in ledger {
        // In canonical form, so that the entry's bytes stand in the line as they are committed to.
        text.extend(canonical::write(line).map_err(|e| Error::Internal(e.into()))?);
        text.push(b'\n');
    }
    Ok(text)
}

/// Determinations and approvals, each with its proof. One that the log holds already, but the ledger only in a
/// later batch, is of the state after this one.
fn conclusions(
    conn: &mut Conn,
    visit: &VisitId,
    end: i64,
    ledger: &[LedgerLine],
    payload: &mut Payload,
) -> Result<Vec<DeterminationDocument>> {
    let mut made = Vec::new();
    let told = |ledger: &[LedgerLine], one: &reviews::Concluded| {
        ledger.iter().any(|line| {
            matches!(&line.entry.note, Note::Concluded { determination, approval, .. }
                if *determination == one.determination && *approval == one.approval)
        })
    };
    for concluded in reviews::documents(conn, visit)?.into_iter().filter(|one| one.log_index < end) {
        if !told(ledger, &concluded) && told(&custody::ledger(conn, visit, u64::MAX)?, &concluded) {
            continue;
        }
        let kind = if concluded.approval { "approval" } else { "determination" };
        let name = format!("{}.{kind}", concluded.determination);
        let document = concluded.document.ok_or_else(|| {
            Error::Internal(anyhow::anyhow!(
                "the document of the {kind} {} is gone from the database: run `endcheck-server verify`",
                concluded.determination
            ))
        })?;
        if !concluded.approval {
            made.push(canonical::read(document.as_bytes()).map_err(|e| Error::Internal(e.into()))?);
        }
        payload.add(format!("data/determinations/{name}.json"), document);
        payload.proved(concluded.log_index, format!("data/proofs/{name}.tlog-proof"));
    }
    Ok(made)
}

/// Refuses where a determination that people read is not the one that the log commits to.
fn shown_as_made(dossier: &Dossier, made: &[DeterminationDocument]) -> Result<()> {
    for document in made {
        let same = dossier.determinations.iter().any(|shown| {
            shown.id == document.id
                && shown.outcome.as_str() == document.outcome
                && shown.reason == document.reason
                && shown.created_at == document.created_at
        });
        if !same {
            let id = &document.id;
            return Err(Error::Internal(anyhow::anyhow!(
                "the determination {id} is not in the database as it was made: run `endcheck-server verify`"
            )));
        }
    }
    Ok(())
}

/// Certificates of the devices and what revokes them, each with its proof; and those of their public keys that signed something here.
fn devices(conn: &mut Conn, envelopes: &[StoredEnvelope], end: i64, payload: &mut Payload) -> Result<()> {
    let mut used: BTreeMap<&DeviceId, BTreeSet<&str>> = BTreeMap::new();
    for stored in envelopes {
        used.entry(&stored.device_id).or_default().insert(stored.keyid.as_str());
    }
    for (device, keyids) in used {
        let papers = accounts::papers(conn, device)?;
        let certificates = papers.certificates.into_iter().map(|one| (one.certificate, "dsse"));
        for (text, form) in certificates.chain(papers.revocation.map(|text| (text, "revocation"))) {
            let hash = Sha256::of(text.as_bytes());
            let Some(index) = log::find_key_event(conn, &hash)? else {
                let lost =
                    format!("the log does not hold the key event {hash}: run `endcheck-server verify`");
                return Err(Error::Internal(anyhow::anyhow!(lost)));
            };
            // What was certified later is of a later state.
            if index < end {
                payload.add(format!("data/certificates/{hash}.{form}.json"), text);
                payload.proved(index, format!("data/proofs/{hash}.key-event.tlog-proof"));
            }
        }
        let enrolled = accounts::enrolled_device(conn, device)?;
        let keys: Vec<String> = keyids
            .iter()
            .filter_map(|keyid| Some(public_key_to_base64(&enrolled.public_key(&keyid.parse().ok()?)?)))
            .collect();
        payload
            .add(format!("data/certificates/{device}.keys.json"), pretty(&json!({ "record_keys": keys }))?);
    }
    Ok(())
}

/// That each state of the log which a record names as already there was an earlier state of ours.
fn anchors(conn: &mut Conn, envelopes: &[StoredEnvelope], log_size: u64) -> Result<Vec<AnchorProof>> {
    let mut named: BTreeMap<u64, BTreeSet<Sha256>> = BTreeMap::new();
    for stored in envelopes {
        let record: Option<Record> = Envelope::read(&stored.envelope, RECORD_TYPE)
            .ok()
            .and_then(|envelope| canonical::read(&envelope.payload).ok());
        if let Some(Anchor { size, root }) = record.and_then(|record| record.anchor) {
            named.entry(size).or_default().insert(root);
        }
    }
    let mut proofs = Vec::new();
    for (size, roots) in named.range(1..=log_size) {
        let consistency = log::consistency(conn, *size, log_size)?;
        let inclusion = log::prove(conn, &[size - 1], log_size)?.pop().unwrap_or_default();
        let last_entry =
            String::from_utf8(log::entry(conn, size - 1)?).map_err(|e| Error::Internal(e.into()))?;
        for root in roots {
            proofs.push(AnchorProof {
                anchor: Anchor { size: *size, root: root.clone() },
                consistency: consistency.clone(),
                last_entry: last_entry.clone(),
                inclusion: inclusion.clone(),
            });
        }
    }
    Ok(proofs)
}

#[derive(Default)]
struct Payload {
    files: Vec<BagFile>,
    /// Entries of the log that need a proof, and where it goes.
    wanted: Vec<(i64, String)>,
}

impl Payload {
    fn add(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.files.push(BagFile::of(path, bytes));
    }

    fn proved(&mut self, log_index: i64, path: String) {
        self.wanted.push((log_index, path));
    }

    fn hashes(&self) -> Vec<(String, Sha256, u64)> {
        self.files.iter().map(|file| (file.path.clone(), file.sha256.clone(), file.size_bytes)).collect()
    }

    fn prove(&mut self, conn: &mut Conn, app: &App, log_size: u64) -> Result<()> {
        let wanted = std::mem::take(&mut self.wanted);
        let indexes: Vec<i64> = wanted.iter().map(|(index, _)| *index).collect();
        let proofs = log::proofs_at(conn, &app.keys.log, &indexes, log_size)?;
        for ((_, path), proof) in wanted.into_iter().zip(proofs) {
            self.add(path, proof.text());
        }
        Ok(())
    }

    fn stored(&mut self, path: &str, sha256: &Sha256, size_bytes: i64) {
        self.files.push(BagFile {
            path: path.to_owned(),
            sha256: sha256.clone(),
            size_bytes: u64::try_from(size_bytes).unwrap_or(0),
            content: Content::Stored,
        });
    }

    fn originals(
        &mut self,
        files: &[StoredFile],
        withheld: &BTreeSet<Sha256>,
        derived: &[DerivedFile],
    ) -> Vec<Original> {
        let mut paths: BTreeMap<&Sha256, String> = BTreeMap::new();
        let mut originals = Vec::new();
        for file in files {
            let absent = match file.state {
                FileState::Awaited => Some("its bytes had not arrived".to_owned()),
                FileState::Unreadable => {
                    Some(format!("it does not open: {}", file.problem.as_deref().unwrap_or("unknown")))
                }
                FileState::Stored if withheld.contains(&file.sha256) => {
                    let here = files.iter().any(|same| {
                        same.sha256 == file.sha256 && derived.iter().any(|one| one.parent == same.record)
                    });
                    let why = if here { "a redacted file stands in its place" } else { format::WITHHELD };
                    Some(why.to_owned())
                }
                FileState::Stored => None,
            };
            let path = absent.is_none().then(|| {
                paths.get(&file.sha256).cloned().unwrap_or_else(|| {
                    let path = format!("data/original/{}-{}", short(&file.sha256), safe_name(&file.name));
                    self.stored(&path, &file.sha256, file.size_bytes);
                    paths.insert(&file.sha256, path.clone());
                    path
                })
            });
            originals.push(Original {
                record: file.record.clone(),
                sha256: file.sha256.clone(),
                path,
                absent,
            });
        }
        originals
    }

    fn derived(&mut self, derived: &[DerivedFile]) -> Vec<Derived> {
        let mut written = BTreeSet::new();
        derived
            .iter()
            .map(|one| {
                let name = short(&one.sha256);
                let path = format!("data/derived/{name}-{}", safe_name(&one.name));
                if written.insert(path.clone()) {
                    self.stored(&path, &one.sha256, one.size_bytes);
                }
                self.proved(one.log_index, format!("data/proofs/{}-{name}.derived.tlog-proof", one.parent));
                Derived { record: one.parent.clone(), sha256: one.sha256.clone(), path, why: one.why.clone() }
            })
            .collect()
    }
}

fn short(hash: &Sha256) -> &str {
    hash.as_str().get(..16).unwrap_or_default()
}
