//! The audit: every row that the log commits to is looked up and compared with the log, and every entry of
//! the log with its row. What somebody edited, removed, added or dated back in the database shows here.

mod store;

use std::collections::BTreeMap;

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::merkle::{Tree, leaf_hash};
use endcheck_protocol::sync::Receipt;
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::tlog::{EntryKind, LogEntry, Opening};

use crate::db::Conn;
use crate::error::Result;
use crate::{log, risk, selection, serials};

/// What an audit found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Entries of the log.
    pub entries: u64,
    /// Rows that were compared with the log.
    pub rows: u64,
    /// What does not agree, a sentence each.
    pub faults: Vec<String>,
}

impl Audit {
    #[must_use]
    pub fn holds(&self) -> bool {
        self.faults.is_empty()
    }

    /// In words.
    #[must_use]
    pub fn told(&self) -> String {
        let mut text: String = self.faults.iter().map(|fault| format!("FAILED: {fault}\n")).collect();
        text.push_str(&format!(
            "{} entries of the log and {} rows compared: {} do not agree.",
            self.entries,
            self.rows,
            self.faults.len()
        ));
        text
    }
}

/// What says that an entry of the log is about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claimant {
    Record,
    RecordReceipt,
    FileReceipt,
    Document,
    Redaction,
    Export,
    KeyEvent,
    Batch,
    Policy,
    Seed,
    Selection,
    Serial,
    Signal,
    Override,
}

impl Claimant {
    fn kind(self) -> EntryKind {
        match self {
            Self::Record | Self::RecordReceipt => EntryKind::Record,
            Self::FileReceipt => EntryKind::FileReceipt,
            Self::Document => EntryKind::Determination,
            Self::Redaction | Self::Batch => EntryKind::Custody,
            Self::Export => EntryKind::Export,
            Self::KeyEvent => EntryKind::KeyEvent,
            Self::Policy => EntryKind::Policy,
            Self::Seed => EntryKind::Seed,
            Self::Selection => EntryKind::Selection,
            Self::Serial => EntryKind::SerialEvent,
            Self::Signal => EntryKind::RiskSignal,
            Self::Override => EntryKind::SelectionOverride,
        }
    }

    /// Whether both may be about one entry: a record and its receipt share one, and so do all exports of one
    /// state. Of anything else each has its own.
    fn shares_with(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Record, Self::RecordReceipt)
                | (Self::RecordReceipt, Self::Record)
                | (Self::Export, Self::Export)
        )
    }
}

/// The log's entries, opened, and what has claimed each.
struct Entries {
    open: BTreeMap<i64, Opening>,
    claimed: BTreeMap<i64, Vec<Claimant>>,
}

impl Entries {
    fn logged_at(&self, index: i64) -> Option<Timestamp> {
        self.open.get(&index).map(|opening| opening.entry.logged_at)
    }

    /// A row says that the log holds it at `index`. Without a subject the row has lost what it must commit to.
    fn claim(&mut self, audit: &mut Audit, row: &str, by: Claimant, index: i64, subject: Option<&Sha256>) {
        audit.rows += 1;
        let claimed = self.claimed.entry(index).or_default();
        if !claimed.iter().all(|other| by.shares_with(*other)) {
            audit
                .faults
                .push(format!("{row} claims entry {index} of the log, which something else claims too"));
        }
        claimed.push(by);
        let entry = self.open.get(&index).filter(|opening| opening.entry.kind == by.kind());
        if entry.is_none_or(|opening| subject != Some(&opening.subject)) {
            audit.faults.push(format!("{row} is not what entry {index} of the log commits to"));
        }
    }

    fn unclaimed(&self) -> impl Iterator<Item = i64> {
        self.open.keys().copied().filter(|index| !self.claimed.contains_key(index))
    }
}

/// Compares everything.
///
/// # Errors
/// When the database fails; what does not agree is no error.
pub fn run(conn: &mut Conn) -> Result<Audit> {
    let mut audit = Audit::default();
    if let Err(error) = log::verify(conn) {
        audit.faults.push(format!("the log itself: {error:#}"));
    }
    let mut open = BTreeMap::new();
    for row in store::entries(conn)? {
        audit.entries += 1;
        let opening = LogEntry::read(&row.entry).ok().and_then(|entry| {
            let opening = Opening::of(entry.kind, entry.logged_at, &row.salt, &row.subject)?;
            (opening.entry == entry && entry.logged_at == row.logged_at).then_some(opening)
        });
        match opening {
            Some(opening) => {
                open.insert(row.idx, opening);
            }
            None => audit.faults.push(format!("entry {} of the log cannot be opened any more", row.idx)),
        }
    }
    let mut log = Entries { open, claimed: BTreeMap::new() };
    let records = store::records(conn)?;
    for row in &records {
        let what = format!("record {}", row.hash);
        let subject = Sha256::of(&row.envelope);
        if subject != row.hash {
            audit.faults.push(format!("{what} is not the bytes that its name says"));
        }
        if log.logged_at(row.log_index).is_some_and(|at| at != row.received_at) {
            audit.faults.push(format!("{what} says another time of arrival than the log"));
        }
        log.claim(&mut audit, &what, Claimant::Record, row.log_index, Some(&subject));
    }
    let receipts = store::receipts(conn)?;
    for row in &receipts {
        let what = format!("the {} receipt for {}", row.kind, row.record);
        match store::receipt(&row.envelope) {
            Some(receipt) => {
                let by = match receipt {
                    Receipt::Record { .. } => Claimant::RecordReceipt,
                    Receipt::File { .. } => Claimant::FileReceipt,
                };
                let logged = receipt.logged().filter(|(at, _)| i64::try_from(*at) == Ok(row.log_index));
                let subject = logged.map_or_else(|| Sha256::of(b""), |(_, opening)| opening.subject);
                log.claim(&mut audit, &what, by, row.log_index, Some(&subject));
            }
            None => audit.faults.push(format!("{what} cannot be read")),
        }
    }
    let (serial_events, rows, faults) = serials::verify(conn)?;
    audit.rows += rows;
    audit.faults.extend(faults);
    let (signals, faults) = risk::verify_signals(conn)?;
    audit.faults.extend(faults);
    let (overrides, faults) = selection::verify_overrides(conn)?;
    audit.faults.extend(faults);
    let committed = [
        (Claimant::Serial, serial_events),
        (Claimant::Signal, signals),
        (Claimant::Override, overrides),
        (Claimant::Document, store::determinations(conn)?),
        (Claimant::Redaction, store::derived(conn)?),
        (Claimant::Export, store::exports(conn)?),
        (Claimant::Policy, store::activations(conn)?),
        (Claimant::Seed, store::seeds(conn)?),
        (Claimant::Selection, store::draws(conn)?),
    ];
    for (by, rows) in committed {
        for (what, index, subject) in rows {
            log.claim(&mut audit, &what, by, index, subject.as_ref());
        }
    }
    for (what, subject) in store::key_events(conn)? {
        log.claim_subject(&mut audit, &what, Claimant::KeyEvent, &subject);
    }
    ledger(conn, &mut audit, &mut log)?;
    for index in log.unclaimed() {
        audit.faults.push(format!("entry {index} of the log commits to something that is not here any more"));
    }
    differing(conn, &mut audit, &records, &receipts)?;
    Ok(audit)
}

impl Entries {
    /// A row that does not say where the log holds it.
    fn claim_subject(&mut self, audit: &mut Audit, row: &str, by: Claimant, subject: &Sha256) {
        audit.rows += 1;
        let index = self.unclaimed().find(|index| {
            self.open
                .get(index)
                .is_some_and(|opening| opening.entry.kind == by.kind() && opening.subject == *subject)
        });
        match index {
            Some(index) => self.claimed.entry(index).or_default().push(by),
            None => audit.faults.push(format!("{row} is not in the log as it stands")),
        }
    }
}

/// The ledger's batches, and that each visit's entries follow each other.
fn ledger(conn: &mut Conn, audit: &mut Audit, log: &mut Entries) -> Result<()> {
    let rows = store::ledger(conn)?;
    let mut batches: BTreeMap<i64, Tree> = BTreeMap::new();
    let mut ends: BTreeMap<String, (u64, Option<Sha256>)> = BTreeMap::new();
    for row in &rows {
        batches.entry(row.log_index).or_default().push(leaf_hash(row.entry.as_bytes()));
    }
    for (index, tree) in batches {
        let what = format!("the batch of {} ledger entries at {index}", tree.size());
        log.claim(audit, &what, Claimant::Batch, index, Some(&tree.root()));
    }
    for row in rows {
        let what = format!("entry {} of the ledger of visit {:?}", row.number, row.visit);
        let entry: endcheck_protocol::ledger::LedgerEntry = match serde_json::from_str(&row.entry) {
            Ok(entry) => entry,
            Err(_) => {
                audit.faults.push(format!("{what} cannot be read"));
                continue;
            }
        };
        let (number, prev) = ends.remove(&row.visit).unwrap_or((0, None));
        if entry.number != number || i64::try_from(number) != Ok(row.number) || entry.prev != prev {
            audit.faults.push(format!("{what} does not follow the one before it"));
        }
        ends.insert(row.visit, (entry.number + 1, Some(Sha256::of(row.entry.as_bytes()))));
    }
    Ok(())
}

/// Rows that people read, against the exact bytes that the log commits to.
fn differing(
    conn: &mut Conn,
    audit: &mut Audit,
    records: &[store::RecordRow],
    receipts: &[store::ReceiptRow],
) -> Result<()> {
    audit.faults.extend(store::differing_records(conn, records)?);
    audit.faults.extend(store::differing_quarantine(records, receipts));
    audit.faults.extend(store::differing_files(conn, records, receipts)?);
    audit.faults.extend(store::differing_determinations(conn)?);
    audit.faults.extend(store::differing_notes(conn)?);
    audit.faults.extend(store::differing_policies(conn)?);
    audit.faults.extend(store::differing_assessments(conn)?);
    audit.faults.extend(store::differing_draws(conn)?);
    audit.faults.extend(store::differing_conclusions(conn)?);
    Ok(())
}
