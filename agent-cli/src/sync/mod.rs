//! One sync: token, head, records, files, receipts, inventory, in this order, because over a slow
//! link each question costs. Carries out `protocol::sync::plan`; every step can be repeated.

mod client;
mod log;
mod renew;
mod sign_in;
#[cfg(test)]
mod tests;
mod throttle;
mod tls;
mod upload;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;
use std::time::Instant;

use anyhow::Context as _;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::package;
use endcheck_protocol::record::ServerTime;
use endcheck_protocol::sync::{
    self, Inventory, Operation, PullPage, Receipt, ReceiptPage, RecordAnswer, RecordAnswers, SyncHead,
    UnreadableFile,
};
use serde::Serialize;
use ureq::http::Method;

use client::Call;
pub use client::Client;
pub use log::{OnConflict, take_up_carried};
pub use renew::TERM_DAYS;
use throttle::Throttle;
use upload::Uploads;

use crate::seal::ZSTD_LEVEL;
use crate::session::Session;
use crate::store::{
    CheckedReceipt, Counts, Holdings, PROOFS_BARE, Quarantined, RECEIPT_CURSOR, RECEIPTS_SOUGHT, Unsent,
    WaitingFile,
};
use crate::ui;

const PULL: &str = "api/v1/sync/pull";
const HEAD: &str = "api/v1/sync/head";
const RECORDS: &str = "api/v1/sync/records";
/// The code of headquarters' refusal of a package.
const DOES_NOT_OPEN: &str = "sealed-records-do-not-open";
/// Uploads side by side: while one waits for an answer, the other fills the link.
const SIDE_BY_SIDE: usize = 2;

/// What a sync did, and what headquarters holds now.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub records_sent: u64,
    pub files_sent: u64,
    /// Sealed bytes of those files.
    pub bytes_sent: u64,
    /// Files that receipts confirmed in this sync.
    pub files_confirmed: u64,
    /// Records of this device at headquarters.
    pub records_held: u64,
    pub records: Counts,
    /// Files that another sync may hand in.
    pub files_waiting: Unsent,
    /// Files of records that headquarters set aside: another sync changes nothing about them.
    pub files_set_aside: Unsent,
    pub quarantined: Vec<Quarantined>,
    pub unreadable: Vec<UnreadableFile>,
    pub failed: Vec<String>,
    /// Until when the record keys last that were renewed in this sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys_until: Option<chrono::NaiveDate>,
}

impl Client<'_> {
    /// A page of visits after `cursor`.
    ///
    /// # Errors
    /// When headquarters refuses or cannot be reached.
    pub fn pull(&mut self, cursor: &str) -> anyhow::Result<PullPage> {
        let query: String = url::form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
        let path = if cursor.is_empty() { PULL.to_owned() } else { format!("{PULL}?cursor={query}") };
        self.call(&Call::get(&path))?.json()
    }
}

/// Hands in what headquarters does not hold.
///
/// # Errors
/// When headquarters cannot be reached, refuses the device, or the store cannot be written. Single
/// files that cannot be sent are told in the summary.
pub fn run(
    session: &mut Session<'_>,
    max_rate: Option<u64>,
    on_conflict: OnConflict,
) -> anyhow::Result<Summary> {
    let client = Client::signed_in(session)?;
    // Before the question: another sync may have more confirmed while this one waits for the answer.
    let confirmed_before = session.store.counts()?;
    let head = ask_head(session, &client)?;
    log::take_up(session, &head.log, on_conflict)?;
    ask_for_cosigned_proofs(session, &head.log)?;
    if lost_some(&confirmed_before, &head) {
        session.ui.warn("headquarters holds fewer records than it confirmed; all are sent again");
        session.store.resend_all()?;
    }
    let records = session.store.unsent_records()?;
    let packages = session.store.unsent_packages()?;
    let mut answers = Vec::new();
    let mut refused = Vec::new();
    for operation in &sync::plan(&records, &packages, &[], &head) {
        match operation {
            Operation::SendRecords(hashes) => answers.extend(send_records(session, &client, hashes)?),
            Operation::SendPackages(hashes) => {
                let sent = send_packages(session, &client, hashes)?;
                answers.extend(sent.answers);
                refused.extend(sent.refused);
            }
            Operation::CreateUpload { .. } | Operation::ResumeUpload { .. } => {}
        }
    }
    // Records are in; files may take long. Keys matter in weeks, so a failure is told and stops nothing.
    let keys_until = renew::renew_if_due(session, &client, head.server_at).unwrap_or_else(|error| {
        session.ui.warn(&format!("the record keys were not renewed: {error:#}; the next sync tries again"));
        None
    });
    let set_aside: BTreeSet<&Sha256> =
        answers.iter().filter(|answer| answer.quarantine.is_some()).map(|answer| &answer.hash).collect();
    let fresh: BTreeSet<&Sha256> = answers.iter().map(|answer| &answer.hash).collect();
    let waiting = session.store.waiting_files()?;
    let (mut wanted, mut stored) = (Vec::new(), BTreeSet::new());
    for one in waiting {
        let just_named = fresh.contains(&one.record) && !set_aside.contains(&one.record);
        if just_named || head.awaited.contains(&one.file.sealed_sha256) {
            wanted.push(one.file);
        } else if is_stored(&one, &fresh, &head) {
            stored.insert(one.file.sealed_sha256);
        }
    }
    let Sent { hashes: sent, mut failed, confirmed } =
        send_files(session, &client, &sync::plan(&[], &[], &wanted, &head), max_rate);
    failed.extend(refused);
    let mut files_confirmed = confirmed;
    if !client.is_gone() {
        files_confirmed += fetch_receipts(session, &client)?;
        for pause in upload::RECEIPT_PAUSES {
            if files_confirmed >= u64::try_from(sent.len())? {
                break;
            }
            std::thread::sleep(pause);
            files_confirmed += fetch_receipts(session, &client)?;
        }
        files_confirmed += seek_receipts(session, &client, &stored)?;
    }
    let records = session.store.counts()?;
    let Holdings { waiting: files_waiting, set_aside: files_set_aside } = session.store.holdings()?;
    let inventory = Inventory {
        unsent_records: records.unsent,
        unsent_files: files_waiting.files + files_set_aside.files,
        unsent_bytes: files_waiting.bytes + files_set_aside.bytes,
    };
    if !client.is_gone() {
        let told = client.call(&Call::json(Method::PUT, "api/v1/devices/me/inventory", &inventory)?);
        if let Err(error) = told.and_then(client::Answer::accepted) {
            session.ui.warn(&format!("headquarters did not take what this device still holds: {error}"));
        }
    }
    session.store.set("token", &client.current())?;
    let sizes: BTreeMap<&Sha256, u64> =
        wanted.iter().map(|file| (&file.sealed_sha256, file.size_bytes)).collect();
    Ok(Summary {
        records_sent: u64::try_from(answers.len())?,
        files_sent: u64::try_from(sent.len())?,
        bytes_sent: sent.iter().filter_map(|hash| sizes.get(hash)).sum(),
        files_confirmed,
        records_held: records.held + records.quarantined,
        quarantined: session.store.quarantined()?,
        unreadable: head.unreadable,
        records,
        files_waiting,
        files_set_aside,
        failed,
        keys_until,
    })
}

/// Whether headquarters lost records that it had answered for; it counts those that it set aside, too.
fn lost_some(confirmed: &Counts, head: &SyncHead) -> bool {
    head.records_held < confirmed.held + confirmed.quarantined
}

fn known_size(session: &mut Session<'_>) -> anyhow::Result<u64> {
    Ok(session.store.checkpoint()?.map_or(0, |held| held.size))
}

/// What headquarters holds; keeps its time with the bound of the round trip, for records to come.
fn ask_head(session: &mut Session<'_>, client: &Client<'_>) -> anyhow::Result<SyncHead> {
    let asked = Instant::now();
    let head: SyncHead =
        client.call(&Call::get(&format!("{HEAD}?log_size={}", known_size(session)?)))?.json()?;
    let round_trip_ms = u64::try_from(asked.elapsed().as_millis())?;
    let heard = session.environment.now();
    if !heard.boot.is_empty() {
        let server = ServerTime {
            at: head.server_at,
            boot: heard.boot,
            heard_monotonic_ns: heard.monotonic_ns.to_string(),
            round_trip_ms,
        };
        session.store.set("server-time", &server)?;
    }
    Ok(head)
}

/// Sends one batch and keeps the answers.
fn send_records(
    session: &mut Session<'_>,
    client: &Client<'_>,
    hashes: &[Sha256],
) -> anyhow::Result<Vec<RecordAnswer>> {
    let mut envelopes = Vec::new();
    for hash in hashes {
        envelopes.push(session.store.envelope(hash)?.with_context(|| {
            format!("record {hash} was sealed by another endcheck while this one synced: sync again")
        })?);
    }
    let lines = package::lines(envelopes.iter().map(Vec::as_slice));
    let call = Call {
        method: Method::POST,
        path: RECORDS,
        headers: vec![
            ("content-type", "application/x-ndjson".to_owned()),
            ("content-encoding", "zstd".to_owned()),
        ],
        body: Some(zstd::bulk::compress(&lines, ZSTD_LEVEL).context("the records cannot be packed")?),
    };
    let answered: RecordAnswers = client.call(&call)?.json()?;
    keep_answers(session, answered, hashes)
}

/// Keeps the answers to the records that were sent. One to another record counts for nothing.
fn keep_answers(
    session: &mut Session<'_>,
    answered: RecordAnswers,
    hashes: &[Sha256],
) -> anyhow::Result<Vec<RecordAnswer>> {
    let sent: BTreeSet<&Sha256> = hashes.iter().collect();
    let mut fitting: Vec<RecordAnswer> =
        answered.answers.into_iter().filter(|answer| sent.contains(&answer.hash)).collect();
    fitting.sort_by(|a, b| a.hash.cmp(&b.hash));
    fitting.dedup_by(|a, b| a.hash == b.hash);
    session.store.keep_answers(&fitting)?;
    anyhow::ensure!(
        fitting.len() == hashes.len(),
        "headquarters answered for {} of {} records; the others stay here: sync again",
        fitting.len(),
        hashes.len()
    );
    Ok(fitting)
}

/// What became of packages that were sent.
#[derive(Default)]
struct SentPackages {
    answers: Vec<RecordAnswer>,
    /// Why some stay here, in words.
    refused: Vec<String>,
}

/// Sends sealed packages in one batch and keeps the answers. Where headquarters cannot open one of them,
/// each goes by itself, so that it holds up no other; it stays here.
fn send_packages(
    session: &mut Session<'_>,
    client: &Client<'_>,
    hashes: &[Sha256],
) -> anyhow::Result<SentPackages> {
    let (mut packages, mut held) = (Vec::new(), Vec::new());
    for hash in hashes {
        let (bytes, records) = session.store.package(hash)?;
        packages.push(bytes);
        held.extend(records);
    }
    let call = Call {
        method: Method::POST,
        path: RECORDS,
        headers: vec![("content-type", package::SEALED_RECORDS_TYPE.to_owned())],
        body: Some(package::frame(packages.iter().map(Vec::as_slice))?),
    };
    let answer = client.call(&call)?;
    if answer.problem().is_some_and(|problem| problem.code == DOES_NOT_OPEN) {
        if let [hash] = hashes {
            let name = hash.as_str().get(..12).unwrap_or_default();
            let refused = vec![format!("sealed records {name}…: {:#}", answer.refusal())];
            return Ok(SentPackages { refused, ..SentPackages::default() });
        }
        let mut all = SentPackages::default();
        for hash in hashes {
            let one = send_packages(session, client, std::slice::from_ref(hash))?;
            all.answers.extend(one.answers);
            all.refused.extend(one.refused);
        }
        return Ok(all);
    }
    let answers = keep_answers(session, answer.json()?, &held)?;
    Ok(SentPackages { answers, refused: Vec::new() })
}

/// What became of the files of one sync.
#[derive(Default)]
struct Sent {
    hashes: Vec<Sha256>,
    /// What kept the others, in words.
    failed: Vec<String>,
    /// Copies that receipts confirmed meanwhile.
    confirmed: u64,
}

/// Sends files, two at a time. The way back lies idle meanwhile, so the records' receipts come over it.
fn send_files(
    session: &mut Session<'_>,
    client: &Client<'_>,
    operations: &[Operation],
    max_rate: Option<u64>,
) -> Sent {
    if operations.is_empty() {
        return Sent::default();
    }
    let total_bytes = operations.iter().map(size_of).sum();
    let folder = session.store.sealed_folder();
    let uploads = Uploads {
        client,
        folder: &folder,
        throttle: Throttle::new(max_rate),
        progress: session.ui.progress(total_bytes),
    };
    let queue = Mutex::new(operations.iter().collect::<VecDeque<_>>());
    let done = Mutex::new(Sent::default());
    let work = || {
        while !client.is_gone() {
            let Some(operation) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else {
                break;
            };
            let sent = uploads.send(operation);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            match sent {
                Ok(()) => done.hashes.extend(hash_of(operation).cloned()),
                Err(error) => {
                    let name = hash_of(operation).map(Sha256::as_str).unwrap_or_default();
                    done.failed.push(format!("file {}…: {error:#}", name.get(..12).unwrap_or_default()));
                }
            }
        }
    };
    let confirmed = std::thread::scope(|scope| {
        let wanted = SIDE_BY_SIDE.min(operations.len());
        let begun = (0..wanted).filter(|_| Builder::new().spawn_scoped(scope, work).is_ok()).count();
        // What fails here is fetched after the files, and told then.
        let confirmed = fetch_receipts(session, client).unwrap_or_default();
        if begun == 0 {
            // The system has no thread to give: then one after the other, here.
            work();
        }
        confirmed
    });
    uploads.progress.finish_and_clear();
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let left = queue.into_inner().unwrap_or_else(PoisonError::into_inner).len();
    if left > 0 {
        let files = ui::count(u64::try_from(left).unwrap_or(u64::MAX), "more file was", "more files were");
        done.failed.push(format!("{files} not tried, since headquarters is out of reach; sync again later"));
    }
    Sent { confirmed, ..done }
}

fn size_of(operation: &Operation) -> u64 {
    match operation {
        Operation::CreateUpload { size_bytes, .. } | Operation::ResumeUpload { size_bytes, .. } => {
            *size_bytes
        }
        Operation::SendRecords(_) | Operation::SendPackages(_) => 0,
    }
}

fn hash_of(operation: &Operation) -> Option<&Sha256> {
    match operation {
        Operation::CreateUpload { sealed_sha256, .. } | Operation::ResumeUpload { sealed_sha256, .. } => {
            Some(sealed_sha256)
        }
        Operation::SendRecords(_) | Operation::SendPackages(_) => None,
    }
}

/// Has the receipts fetched again whose proofs lack cosignatures, once headquarters has some to offer.
fn ask_for_cosigned_proofs(session: &mut Session<'_>, log: &sync::LogState) -> anyhow::Result<()> {
    let Some(from) = session.store.setting::<i64>(PROOFS_BARE)? else { return Ok(()) };
    if log::is_cosigned(&log.checkpoint) {
        let cursor: i64 = session.store.setting(RECEIPT_CURSOR)?.unwrap_or_default();
        session.store.set(RECEIPT_CURSOR, &cursor.min(from))?;
        session.store.unset(PROOFS_BARE)?;
    }
    Ok(())
}

/// Fetches receipts, keeps them, and lets go of the copies that they confirm; answers how many.
fn fetch_receipts(session: &mut Session<'_>, client: &Client<'_>) -> anyhow::Result<u64> {
    let mut confirmed = 0;
    let mut restarted = false;
    loop {
        let cursor: i64 = session.store.setting(RECEIPT_CURSOR)?.unwrap_or_default();
        let path = format!("api/v1/sync/receipts?cursor={cursor}&log_size={}", known_size(session)?);
        let page: ReceiptPage = client.call(&Call::get(&path))?.json()?;
        log::take_up(session, &page.log, OnConflict::Stop)?;
        if page.receipts.is_empty() && page.cursor == cursor {
            break;
        }
        if page.cursor < cursor && !restarted {
            // Headquarters numbers its receipts anew.
            restarted = true;
            session.store.unset(RECEIPT_CURSOR)?;
            continue;
        }
        let kept = keep_page(session, &page, page.cursor)?;
        confirmed += kept.confirmed;
        if !log::is_cosigned(&page.log.checkpoint) && !kept.receipts.is_empty() {
            let bare: Option<i64> = session.store.setting(PROOFS_BARE)?;
            session.store.set(PROOFS_BARE, &bare.map_or(cursor, |bare| bare.min(cursor)))?;
        }
        if !page.more || page.cursor == cursor {
            break;
        }
    }
    Ok(confirmed)
}

/// What came of a page of receipts.
pub struct KeptPage {
    /// Those that hold.
    pub receipts: Vec<Receipt>,
    /// Copies that they confirmed.
    pub confirmed: u64,
}

/// Checks the receipts of a page against the checkpoint that was taken up with it, keeps those that hold, and
/// lets go of the copies that they confirm.
///
/// # Errors
/// When the store cannot be written.
pub fn keep_page(session: &mut Session<'_>, page: &ReceiptPage, cursor: i64) -> anyhow::Result<KeptPage> {
    let mut checked = Vec::new();
    let mut released = Vec::new();
    let held = session.store.checkpoint()?.context("no checkpoint is held")?;
    for (at, envelope) in page.receipts.iter().enumerate() {
        let receipt = session.identity.receipt(envelope);
        match receipt.and_then(|receipt| Ok((log::proof(page, at, &receipt, &held)?, receipt))) {
            Ok((proof, receipt)) => {
                released.extend(confirmed_copy(session, &receipt)?);
                checked.push(CheckedReceipt { envelope: envelope.clone(), receipt, proof });
            }
            // Kept nowhere and acted on never; the copies stay.
            Err(error) => session.ui.warn(&format!("{error:#}; it is ignored")),
        }
    }
    let confirmed = session.store.keep_receipts(&checked, &released, cursor)?;
    session.store.remove_released(&released)?;
    Ok(KeptPage { receipts: checked.into_iter().map(|checked| checked.receipt).collect(), confirmed })
}

/// Whether headquarters says that it holds the file of a record it held before: it neither awaits it
/// nor failed to open it.
fn is_stored(file: &WaitingFile, fresh: &BTreeSet<&Sha256>, head: &SyncHead) -> bool {
    let sealed = &file.file.sealed_sha256;
    !file.set_aside
        && !fresh.contains(&file.record)
        && !head.awaited.contains(sealed)
        && !head.unreadable.iter().any(|unreadable| unreadable.sealed_sha256 == *sealed)
}

/// Fetches all receipts from the first on, where headquarters holds files whose receipts were not among
/// the new ones: once for each such file.
fn seek_receipts(
    session: &mut Session<'_>,
    client: &Client<'_>,
    stored: &BTreeSet<Sha256>,
) -> anyhow::Result<u64> {
    let waiting = session.store.waiting_files()?;
    let mut sought: BTreeSet<Sha256> = session.store.setting(RECEIPTS_SOUGHT)?.unwrap_or_default();
    let lacking = waiting.into_iter().map(|waiting| waiting.file.sealed_sha256);
    let lacking: Vec<Sha256> =
        lacking.filter(|hash| stored.contains(hash) && !sought.contains(hash)).collect();
    if lacking.is_empty() {
        return Ok(0);
    }
    session.store.unset(RECEIPT_CURSOR)?;
    let confirmed = fetch_receipts(session, client)?;
    sought.extend(lacking);
    session.store.set(RECEIPTS_SOUGHT, &sought)?;
    Ok(confirmed)
}

/// The sealed copy that a file receipt confirms: only where the receipt fits the record it names.
fn confirmed_copy(session: &mut Session<'_>, receipt: &Receipt) -> anyhow::Result<Option<Sha256>> {
    let Receipt::File { record, sha256, sealed_sha256, size_bytes, .. } = receipt else { return Ok(None) };
    let fits = match session.store.record(record)? {
        Some(held) => held.record.act.file().is_some_and(|file| {
            file.sha256 == *sha256 && file.sealed_sha256 == *sealed_sha256 && file.size_bytes == *size_bytes
        }),
        None if session.store.visit_of_sealed(record)?.is_some() => {
            session.store.fits_sealed(receipt)?.unwrap_or(false)
        }
        None => {
            session.ui.warn(&format!(
                "a receipt is about record {record}, which is not this device's; it is ignored"
            ));
            return Ok(None);
        }
    };
    if !fits {
        session
            .ui
            .warn(&format!("a file receipt does not fit record {record}; the copy stays on this device"));
    }
    Ok(fits.then(|| sealed_sha256.clone()))
}
