//! Rows as the audit compares them.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use endcheck_protocol::canonical;
use endcheck_protocol::determination::{ApprovalDocument, DeterminationDocument};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{Envelope, RECEIPT_TYPE, RECORD_TYPE};
use endcheck_protocol::ids::{DeterminationId, DeviceId, FindingId, NoteId, SelectionId, UserId, VisitId};
use endcheck_protocol::ledger::{LedgerEntry, Note};
use endcheck_protocol::record::Record;
use endcheck_protocol::sync::Receipt;
use endcheck_protocol::time::Timestamp;

use crate::accounts;
use crate::db::schema::{
    assessments, checks, custody_ledger, custody_notes, custody_pending, derived_files,
    determination_approvals, determinations, devices, evidence_files, exports, findings, log_entries,
    policies, policy_activations, receipts, records, selection_draws, selections, shipments, visits,
};
use crate::db::{Conn, MultiBackend};
use crate::error::Result;
use crate::risk::draw::Seed;
use crate::selection::{SeedDocument, SelectionDocument};

#[derive(Queryable, Selectable)]
#[diesel(table_name = log_entries, check_for_backend(MultiBackend))]
pub(super) struct EntryRow {
    pub idx: i64,
    pub subject: Sha256,
    pub salt: String,
    pub entry: Vec<u8>,
    pub logged_at: Timestamp,
}

pub(super) fn entries(conn: &mut Conn) -> Result<Vec<EntryRow>> {
    Ok(log_entries::table.order(log_entries::idx).select(EntryRow::as_select()).load(conn)?)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = records, check_for_backend(MultiBackend))]
pub(super) struct RecordRow {
    pub hash: Sha256,
    pub device_id: DeviceId,
    pub seq: Option<i64>,
    pub prev: Option<Sha256>,
    pub keyid: String,
    pub visit_id: Option<VisitId>,
    pub kind: String,
    pub device_at: Option<Timestamp>,
    pub quarantine_code: Option<String>,
    pub received_at: Timestamp,
    pub log_index: i64,
    pub envelope: Vec<u8>,
}

impl RecordRow {
    pub(super) fn record(&self) -> Option<Record> {
        canonical::read(&Envelope::read(&self.envelope, RECORD_TYPE).ok()?.payload).ok()
    }
}

pub(super) fn records(conn: &mut Conn) -> Result<Vec<RecordRow>> {
    Ok(records::table.order(records::log_index).select(RecordRow::as_select()).load(conn)?)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = receipts, check_for_backend(MultiBackend))]
pub(super) struct ReceiptRow {
    pub log_index: i64,
    #[diesel(column_name = record_hash)]
    pub record: Sha256,
    pub kind: String,
    pub envelope: String,
}

pub(super) fn receipts(conn: &mut Conn) -> Result<Vec<ReceiptRow>> {
    Ok(receipts::table.order(receipts::log_index).select(ReceiptRow::as_select()).load(conn)?)
}

pub(super) fn receipt(envelope: &str) -> Option<Receipt> {
    canonical::read(&Envelope::read(envelope.as_bytes(), RECEIPT_TYPE).ok()?.payload).ok()
}

/// What a row is called, where the log holds it, and what it must commit to; `None` where the row has lost it,
/// which no version of the program ever did.
pub(super) type Committed = (String, i64, Option<Sha256>);

pub(super) fn determinations(conn: &mut Conn) -> Result<Vec<Committed>> {
    let subject = |document: Option<String>| document.map(|text| Sha256::of(text.as_bytes()));
    let made: Vec<(DeterminationId, i64, Option<String>)> = determinations::table
        .select((determinations::id, determinations::log_index, determinations::document))
        .load(conn)?;
    let approved: Vec<(DeterminationId, i64, Option<String>)> = determination_approvals::table
        .select((
            determination_approvals::determination_id,
            determination_approvals::log_index,
            determination_approvals::document,
        ))
        .load(conn)?;
    let made =
        made.into_iter().map(|(id, index, text)| (format!("determination {id}"), index, subject(text)));
    let approved =
        approved.into_iter().map(|(id, index, text)| (format!("approval of {id}"), index, subject(text)));
    Ok(made.chain(approved).collect())
}

/// Certificates and revocations of devices.
pub(super) fn key_events(conn: &mut Conn) -> Result<Vec<(String, Sha256)>> {
    let all: Vec<DeviceId> = devices::table.select(devices::id).order(devices::id).load(conn)?;
    let mut events = Vec::new();
    for device in all {
        let papers = accounts::papers(conn, &device)?;
        let subject = |text: &str| Sha256::of(text.as_bytes());
        let certificates = papers.certificates.iter().map(|one| subject(&one.certificate));
        events.extend(certificates.map(|subject| (format!("a certificate of device {device}"), subject)));
        if let Some(text) = &papers.revocation {
            events.push((format!("the revocation of device {device}"), subject(text)));
        }
    }
    Ok(events)
}

pub(super) fn derived(conn: &mut Conn) -> Result<Vec<Committed>> {
    let rows: Vec<(Sha256, Sha256, i64)> = derived_files::table
        .select((derived_files::parent_record, derived_files::sha256, derived_files::log_index))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(parent, sha256, index)| {
            let subject = endcheck_protocol::bag::derived_subject(&parent, &sha256);
            (format!("redacted file {sha256}"), index, Some(subject))
        })
        .collect())
}

pub(super) fn exports(conn: &mut Conn) -> Result<Vec<Committed>> {
    let rows: Vec<(Sha256, i64)> =
        exports::table.select((exports::bag_sha256, exports::log_index)).load(conn)?;
    Ok(rows.into_iter().map(|(bag, index)| (format!("export {bag}"), index, Some(bag))).collect())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = custody_ledger, check_for_backend(MultiBackend))]
pub(super) struct LedgerRow {
    pub log_index: i64,
    pub visit: String,
    pub number: i64,
    pub entry: String,
}

/// The ledger in the order in which it was committed.
pub(super) fn ledger(conn: &mut Conn) -> Result<Vec<LedgerRow>> {
    Ok(custody_ledger::table
        .order((custody_ledger::log_index, custody_ledger::position))
        .select(LedgerRow::as_select())
        .load(conn)?)
}

/// Records whose columns say other things than the signed bytes do.
pub(super) fn differing_records(conn: &mut Conn, rows: &[RecordRow]) -> Result<Vec<String>> {
    let known: Vec<VisitId> = visits::table.select(visits::id).load(conn)?;
    let known: BTreeSet<VisitId> = known.into_iter().collect();
    let mut faults = Vec::new();
    for row in rows {
        let Some(record) = row.record() else { continue };
        let set_aside = row.quarantine_code.is_some();
        let keyid = Envelope::read(&row.envelope, RECORD_TYPE).map(|envelope| envelope.keyid);
        // A visit that is not known here stays unnamed.
        let visit = record.task.visit.filter(|visit| known.contains(visit));
        // What its device did not sign takes no number; only what was set aside may have none.
        let unsigned = set_aside && row.seq.is_none() && row.prev.is_none() && row.device_at.is_none();
        let as_signed = row.seq == i64::try_from(record.seq).ok()
            && row.device_at == Some(record.clock.device_at)
            && row.prev == record.prev
            && row.kind == record.act.kind();
        let same = (unsigned || as_signed)
            && row.visit_id == visit
            && keyid.is_ok_and(|keyid| row.keyid == keyid.as_str())
            // What was set aside may name another device than the one that handed it in.
            && (set_aside || row.device_id == record.device);
        if !same {
            faults.push(format!(
                "record {} stands under another number, device, visit, kind or time than it says",
                row.hash
            ));
        }
    }
    Ok(faults)
}

/// Records that are set aside although their signed receipt says that they were taken in, or the other way.
pub(super) fn differing_quarantine(rows: &[RecordRow], receipts: &[ReceiptRow]) -> Vec<String> {
    let mut said = BTreeMap::new();
    for row in receipts {
        if let Some(Receipt::Record { record, quarantined, .. }) = receipt(&row.envelope) {
            said.insert(record, quarantined);
        }
    }
    let mut faults = Vec::new();
    for row in rows {
        match said.get(&row.hash) {
            Some(quarantined) if *quarantined == row.quarantine_code.is_some() => {}
            Some(true) => faults.push(format!("record {} was set aside, but stands as taken in", row.hash)),
            Some(false) => faults.push(format!("record {} was taken in, but stands as set aside", row.hash)),
            None => faults.push(format!("record {} has no receipt any more", row.hash)),
        }
    }
    faults
}

/// Determinations and approvals whose row says other things than its document.
pub(super) fn differing_determinations(conn: &mut Conn) -> Result<Vec<String>> {
    type Row = (
        DeterminationId,
        VisitId,
        String,
        String,
        String,
        UserId,
        Option<DeterminationId>,
        Timestamp,
        Option<String>,
    );
    let rows: Vec<Row> = determinations::table
        .select((
            determinations::id,
            determinations::visit_id,
            determinations::outcome,
            determinations::reasons,
            determinations::reason,
            determinations::author_id,
            determinations::replaces,
            determinations::created_at,
            determinations::document,
        ))
        .load(conn)?;
    let mut faults = Vec::new();
    for (id, visit, outcome, reasons, reason, author, replaces, created_at, document) in rows {
        let Some(text) = document else {
            faults.push(format!("determination {id} has lost its document"));
            continue;
        };
        let same = canonical::read(text.as_bytes()).is_ok_and(|document: DeterminationDocument| {
            document.id == id
                && document.visit == visit
                && document.outcome == outcome
                && serde_json::from_str::<Vec<String>>(&reasons).is_ok_and(|said| said == document.reasons)
                && document.reason == reason
                && document.replaces == replaces
                && document.author == author
                && document.created_at == created_at
        });
        if !same {
            faults.push(format!("determination {id} says other things than its document"));
        }
    }
    let rows: Vec<(DeterminationId, UserId, Timestamp, Option<String>)> = determination_approvals::table
        .select((
            determination_approvals::determination_id,
            determination_approvals::approver_id,
            determination_approvals::approved_at,
            determination_approvals::document,
        ))
        .load(conn)?;
    for (id, approver, approved_at, document) in rows {
        let Some(text) = document else {
            faults.push(format!("the approval of {id} has lost its document"));
            continue;
        };
        let same = canonical::read(text.as_bytes()).is_ok_and(|document: ApprovalDocument| {
            document.determination == id
                && document.approver == approver
                && document.approved_at == approved_at
        });
        if !same {
            faults.push(format!("the approval of {id} says other things than its document"));
        }
    }
    Ok(faults)
}

/// Determinations and approvals that the ledger does not tell of, and those of which it alone still tells.
pub(super) fn differing_conclusions(conn: &mut Conn) -> Result<Vec<String>> {
    let notes: Vec<(Option<VisitId>, String)> =
        custody_notes::table.select((custody_notes::visit_id, custody_notes::note)).load(conn)?;
    let mut told = BTreeSet::new();
    for (visit, text) in notes {
        // A note that cannot be read is told by the comparison of notes.
        if let Ok(Note::Concluded { determination, subject, approval }) = serde_json::from_str(&text) {
            told.insert((visit, determination, approval, Some(subject)));
        }
    }
    let subject = |document: Option<String>| document.map(|text| Sha256::of(text.as_bytes()));
    let made: Vec<(VisitId, DeterminationId, Option<String>)> = determinations::table
        .select((determinations::visit_id, determinations::id, determinations::document))
        .load(conn)?;
    let approved: Vec<(VisitId, DeterminationId, Option<String>)> = determination_approvals::table
        .inner_join(
            determinations::table.on(determinations::id.eq(determination_approvals::determination_id)),
        )
        .select((determinations::visit_id, determinations::id, determination_approvals::document))
        .load(conn)?;
    let rows = made.into_iter().map(|row| (false, row)).chain(approved.into_iter().map(|row| (true, row)));
    let mut faults = Vec::new();
    for (approval, (visit, id, document)) in rows {
        let what = if approval { "the approval of" } else { "determination" };
        if !told.remove(&(Some(visit), id.clone(), approval, subject(document))) {
            faults.push(format!("{what} {id} is not what the ledger tells of"));
        }
    }
    faults.extend(told.into_iter().map(|(_, id, approval, _)| {
        let what = if approval { "an approval of" } else { "determination" };
        format!("the ledger tells of {what} {id}, which is not here")
    }));
    Ok(faults)
}

/// Visit, device and record of a finding, and its texts.
type FindingSays = (Option<VisitId>, Option<DeviceId>, Option<Sha256>, [String; 7]);

#[derive(Queryable, Selectable)]
#[diesel(table_name = findings, check_for_backend(MultiBackend))]
struct FindingRow {
    id: FindingId,
    visit_id: Option<VisitId>,
    device_id: Option<DeviceId>,
    record_hash: Option<Sha256>,
    signal: String,
    weight: String,
    summary: String,
    detail: String,
    uncertainty: String,
    explanations: String,
    method: String,
}

/// Notes and findings that say other things than the ledger, or are in it without a row, or the other way.
pub(super) fn differing_notes(conn: &mut Conn) -> Result<Vec<String>> {
    let notes: Vec<(NoteId, Option<VisitId>, Timestamp, String)> = custody_notes::table
        .select((custody_notes::id, custody_notes::visit_id, custody_notes::noted_at, custody_notes::note))
        .load(conn)?;
    let pending: Vec<NoteId> = custody_pending::table.select(custody_pending::note_id).load(conn)?;
    let pending: BTreeSet<NoteId> = pending.into_iter().collect();
    let ledger: Vec<(NoteId, String)> =
        custody_ledger::table.select((custody_ledger::note_id, custody_ledger::entry)).load(conn)?;
    let mut ledger: BTreeMap<NoteId, String> = ledger.into_iter().collect();
    let mut faults = Vec::new();
    // What a finding says, and how often it was noted.
    let mut found: BTreeMap<FindingSays, u64> = BTreeMap::new();
    for (id, visit, noted_at, text) in notes {
        let Ok(note) = serde_json::from_str::<Note>(&text) else {
            faults.push(format!("note {id} cannot be read"));
            continue;
        };
        if let Note::Finding {
            record,
            device,
            signal,
            weight,
            summary,
            values,
            uncertainty,
            explanations,
            method,
        } = note.clone()
        {
            let texts = [signal, weight, summary, values, uncertainty, explanations, method];
            *found.entry((visit.clone(), device, record, texts)).or_default() += 1;
        }
        let entry = ledger.remove(&id).and_then(|text| serde_json::from_str::<LedgerEntry>(&text).ok());
        match entry {
            None if pending.contains(&id) => {}
            None => faults.push(format!("note {id} is in no batch and waits for none")),
            Some(entry) if entry.visit == visit && entry.noted_at == noted_at && entry.note == note => {}
            Some(_) => faults.push(format!("note {id} says other things than the ledger")),
        }
    }
    faults.extend(ledger.into_keys().map(|id| format!("note {id} is in the ledger but not here any more")));
    let rows: Vec<FindingRow> =
        findings::table.order(findings::id).select(FindingRow::as_select()).load(conn)?;
    for row in rows {
        let (id, signal) = (row.id, row.signal.clone());
        let texts =
            [row.signal, row.weight, row.summary, row.detail, row.uncertainty, row.explanations, row.method];
        match found.get_mut(&(row.visit_id, row.device_id, row.record_hash, texts)) {
            Some(count) if *count > 0 => *count -= 1,
            _ => faults
                .push(format!("finding {id} ({signal}) was never noted, or says other things than its note")),
        }
    }
    for ((_, _, _, [signal, ..]), count) in found {
        if count > 0 {
            faults.push(format!("a finding {signal} was noted but is not here any more"));
        }
    }
    Ok(faults)
}

/// Files whose row says other things than the record that names them, or than their signed receipt.
pub(super) fn differing_files(
    conn: &mut Conn,
    rows: &[RecordRow],
    receipts: &[ReceiptRow],
) -> Result<Vec<String>> {
    let mut receipted: BTreeSet<&Sha256> =
        receipts.iter().filter(|row| row.kind == "file").map(|row| &row.record).collect();
    let mut faults = Vec::new();
    let states: Vec<(Sha256, String)> =
        evidence_files::table.select((evidence_files::record_hash, evidence_files::state)).load(conn)?;
    for (record, state) in &states {
        match (receipted.remove(record), state == "stored") {
            (true, false) => {
                faults.push(format!("the file of record {record} has a receipt, but stands as {state}"));
            }
            (false, true) => faults.push(format!("the file of record {record} is stored without a receipt")),
            _ => {}
        }
    }
    faults
        .extend(receipted.into_iter().map(|record| format!("the receipted file of record {record} is gone")));
    let files: Vec<(Sha256, Sha256, Sha256, i64)> = evidence_files::table
        .select((
            evidence_files::record_hash,
            evidence_files::sha256,
            evidence_files::sealed_sha256,
            evidence_files::size_bytes,
        ))
        .load(conn)?;
    let mut files: BTreeMap<Sha256, (Sha256, Sha256, i64)> =
        files.into_iter().map(|(record, sha256, sealed, size)| (record, (sha256, sealed, size))).collect();
    for row in rows {
        let Some(record) = row.record() else { continue };
        let (Some(facts), Some((sha256, sealed, size))) = (record.act.file(), files.remove(&row.hash)) else {
            continue;
        };
        if facts.sha256 != sha256
            || facts.sealed_sha256 != sealed
            || i64::try_from(facts.size_bytes) != Ok(size)
        {
            faults.push(format!(
                "the file of record {} stands under another hash than the record says",
                row.hash
            ));
        }
    }
    faults
        .extend(files.into_keys().map(|record| format!("a file names record {record}, which names no file")));
    Ok(faults)
}

/// Policies put into force.
pub(super) fn activations(conn: &mut Conn) -> Result<Vec<Committed>> {
    let rows: Vec<(i64, i64, String)> = policy_activations::table
        .select((policy_activations::number, policy_activations::log_index, policy_activations::document))
        .load(conn)?;
    let told = |(number, index, text): (i64, i64, String)| {
        (format!("activation {number} of a policy"), index, Some(Sha256::of(text.as_bytes())))
    };
    Ok(rows.into_iter().map(told).collect())
}

/// What draws were committed to.
pub(super) fn seeds(conn: &mut Conn) -> Result<Vec<Committed>> {
    let rows: Vec<(SelectionId, i64, String)> =
        selections::table.select((selections::id, selections::log_index, selections::document)).load(conn)?;
    let told = |(id, index, text): (SelectionId, i64, String)| {
        (format!("the seed of draw {id}"), index, Some(Sha256::of(text.as_bytes())))
    };
    Ok(rows.into_iter().map(told).collect())
}

/// Draws that were made.
pub(super) fn draws(conn: &mut Conn) -> Result<Vec<Committed>> {
    let rows: Vec<(SelectionId, i64, String)> = selection_draws::table
        .select((selection_draws::selection_id, selection_draws::log_index, selection_draws::document))
        .load(conn)?;
    let told = |(id, index, text): (SelectionId, i64, String)| {
        (format!("draw {id}"), index, Some(Sha256::of(text.as_bytes())))
    };
    Ok(rows.into_iter().map(told).collect())
}

/// Policies that are not the bytes that their name says, or that came into force under another name.
pub(super) fn differing_policies(conn: &mut Conn) -> Result<Vec<String>> {
    let held: Vec<(Sha256, Vec<u8>)> =
        policies::table.select((policies::hash, policies::document)).load(conn)?;
    let mut faults: Vec<String> = held
        .into_iter()
        .filter(|(hash, document)| Sha256::of(document) != *hash)
        .map(|(hash, _)| format!("policy {hash} is not the bytes that its name says"))
        .collect();
    let activated: Vec<(i64, Sha256, String)> = policy_activations::table
        .select((policy_activations::number, policy_activations::policy_hash, policy_activations::document))
        .load(conn)?;
    for (number, hash, document) in activated {
        let read = serde_json::from_str::<crate::risk::ActivationDocument>(&document).ok();
        if read.is_none_or(|document| document.policy != hash) {
            faults.push(format!("activation {number} names another policy than its document"));
        }
    }
    Ok(faults)
}

/// Assessments that are not the documents that their names say, a page at a time.
pub(super) fn differing_assessments(conn: &mut Conn) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut after = String::new();
    loop {
        let rows: Vec<(Sha256, String, i64, String)> = assessments::table
            .filter(assessments::hash.gt(&after))
            .order(assessments::hash)
            .limit(2_000)
            .select((assessments::hash, assessments::document, assessments::points, assessments::band))
            .load(conn)?;
        let Some(last) = rows.last() else { return Ok(faults) };
        after = last.0.to_string();
        for (hash, document, points, band) in &rows {
            let read = serde_json::from_str::<crate::risk::assess::Assessment>(document).ok();
            let same = read.is_some_and(|read| (read.points, read.band.as_str()) == (*points, band.as_str()));
            if Sha256::of(document.as_bytes()) != *hash || !same {
                faults.push(format!("assessment {hash} is not the document that its name says"));
            }
        }
    }
}

/// Draws whose rows say something else than their documents: the seed, the policy, or the checks that were opened.
pub(super) fn differing_draws(conn: &mut Conn) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let rows: Vec<(SelectionId, Sha256, i64, String, String)> = selections::table
        .select((
            selections::id,
            selections::policy_hash,
            selections::capacity,
            selections::seed,
            selections::document,
        ))
        .load(conn)?;
    for (id, policy, capacity, seed, document) in rows {
        let read = serde_json::from_str::<SeedDocument>(&document).ok();
        let same = read.is_some_and(|read| {
            read.policy == policy
                && i64::try_from(read.capacity) == Ok(capacity)
                && Seed::from_hex(&seed).is_ok_and(|seed| seed.commitment() == read.seed_sha256)
        });
        if !same {
            faults.push(format!("the seed of draw {id} is not the one that was committed to"));
        }
        let opened: BTreeSet<String> = checks::table
            .inner_join(shipments::table.on(shipments::id.eq(checks::shipment_id)))
            .filter(checks::selection_id.eq(&id).and(checks::assessment_hash.is_not_null()))
            .select(shipments::key)
            .load::<String>(conn)?
            .into_iter()
            .collect();
        type Drawn = (String, Sha256, i64, i64);
        let drawn: Option<Drawn> = selection_draws::table
            .find(&id)
            .select((
                selection_draws::document,
                selection_draws::pool_sha256,
                selection_draws::pool_size,
                selection_draws::chosen,
            ))
            .first(conn)
            .optional()?;
        let read = drawn.as_ref().and_then(|drawn| serde_json::from_str::<SelectionDocument>(&drawn.0).ok());
        if let (Some((_, pool, size, count)), Some(read)) = (&drawn, &read)
            && (&read.pool_sha256 != pool
                || i64::try_from(read.pool_size) != Ok(*size)
                || i64::try_from(read.chosen.len()) != Ok(*count))
        {
            faults.push(format!("the list says other things of draw {id} than its document"));
        }
        let chosen: BTreeSet<String> = read
            .map(|drawn| drawn.chosen.into_iter().map(|selected| selected.chosen.shipment).collect())
            .unwrap_or_default();
        if opened != chosen {
            faults.push(format!("the checks of draw {id} are not those that it chose"));
        }
    }
    Ok(faults)
}
