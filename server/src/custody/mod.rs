//! Custody: who did what with the evidence, when and why; and what headquarters found in it.
//!
//! A note is a row at once, in the caller's transaction, and takes no lock: reading never waits for whoever
//! writes the log. Every few seconds a batch of notes is numbered within their visits and committed to the
//! log as one leaf.

mod http;
mod store;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{DeviceId, NoteId, VisitId};
use endcheck_protocol::ledger::{self, Batched, LedgerEntry, LedgerLine};
use endcheck_protocol::merkle::{Tree, leaf_hash};
use endcheck_protocol::time::Timestamp;

use crate::accounts::Actor;
use crate::app::App;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::log::{self, EntryKind};

pub use endcheck_protocol::ledger::{CustodyAct, Note};
pub use http::{ApiDoc, routes};

/// Notes that one leaf commits to at most: a path has eight hashes then.
const BATCH: usize = 256;

/// Something done with the evidence of a visit.
pub struct Deed<'a> {
    pub act: CustodyAct,
    pub visit: Option<&'a VisitId>,
    /// The record, file or bag; absent for the visit as a whole.
    pub subject: Option<&'a Sha256>,
    pub why: &'a str,
}

impl Deed<'_> {
    fn note(&self, by: String, name: &str) -> Note {
        Note::Custody {
            act: self.act,
            by,
            name: name.to_owned(),
            subject: self.subject.cloned(),
            why: self.why.to_owned(),
        }
    }
}

/// Notes what a person did.
///
/// # Errors
/// When the database fails.
pub fn by_person(conn: &mut Conn, actor: &Actor, deed: &Deed<'_>, now: Timestamp) -> Result<()> {
    note(conn, deed.visit, &deed.note(actor.to_string(), &actor.name), None, now)
}

/// Notes what a device did, by its own account and clock.
///
/// # Errors
/// When the database fails.
pub fn by_device(
    conn: &mut Conn,
    device: &DeviceId,
    deed: &Deed<'_>,
    at: Timestamp,
    now: Timestamp,
) -> Result<()> {
    let why = format!("{} (by the device's clock at {at})", deed.why);
    let note_of = Deed { why: &why, ..*deed }.note(format!("device:{device}"), "");
    note(conn, deed.visit, &note_of, None, now)
}

/// Notes what headquarters did by itself.
///
/// # Errors
/// When the database fails.
pub fn by_headquarters(conn: &mut Conn, deed: &Deed<'_>, now: Timestamp) -> Result<()> {
    note(conn, deed.visit, &deed.note("headquarters".to_owned(), ""), None, now)
}

/// Notes that a person looks at something, or asked in vain, in a write of its own: what is not noted is not
/// shown. A picture that is looked at again within the hour is noted once.
///
/// # Errors
/// When the database fails.
pub async fn looked(app: &Arc<App>, actor: &Actor, deed: Deed<'_>) -> Result<()> {
    let now = app.clock.now();
    let (visit, subject) = (deed.visit.map_or("", VisitId::as_str), deed.subject.map_or("", Sha256::as_str));
    let hour = now.unix_seconds() / 3600;
    let key = format!("{}:{actor}:{visit}:{subject}:{hour}:{}", deed.act.as_str(), deed.why);
    let key = matches!(deed.act, CustodyAct::Viewed).then_some(key);
    let (visit, said) = (deed.visit.cloned(), deed.note(actor.to_string(), &actor.name));
    if let Some(key) = key.clone()
        && app.read(move |conn| store::is_noted(conn, &key)).await?
    {
        return Ok(());
    }
    app.write(move |conn| note(conn, visit.as_ref(), &said, key.as_deref(), now)).await
}

/// Keeps a note until a batch commits to it. With a key, a second note of the same key is none.
///
/// # Errors
/// When the database fails.
pub fn note(
    conn: &mut Conn,
    visit: Option<&VisitId>,
    note: &Note,
    key: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    let text = serde_json::to_string(note).map_err(|e| Error::Internal(e.into()))?;
    store::insert_note(conn, &NoteId::mint(), key, visit, &text, now)
}

/// Commits every note so far to the log. Answers how many there were.
///
/// # Errors
/// When the database fails.
pub fn commit(conn: &mut Conn, now: Timestamp) -> Result<u64> {
    if !store::any_pending(conn)? {
        return Ok(0);
    }
    log::lock(conn)?;
    let mut ends: BTreeMap<Option<VisitId>, (u64, Option<Sha256>)> = BTreeMap::new();
    let mut committed = 0;
    loop {
        let pending = store::pending(conn, BATCH)?;
        if pending.is_empty() {
            return Ok(committed);
        }
        let mut entries = Vec::with_capacity(pending.len());
        for row in pending {
            let end = match ends.remove(&row.visit_id) {
                Some(end) => end,
                None => next(conn, row.visit_id.as_ref())?,
            };
            let entry = LedgerEntry {
                schema: ledger::SCHEMA.to_owned(),
                id: row.id,
                visit: row.visit_id.clone(),
                number: end.0,
                prev: end.1,
                noted_at: row.noted_at,
                note: serde_json::from_str(&row.note).map_err(|e| Error::Internal(e.into()))?,
            };
            let bytes = entry.to_bytes().map_err(|e| Error::Internal(e.into()))?;
            ends.insert(row.visit_id, (entry.number + 1, Some(Sha256::of(&bytes))));
            entries.push((entry, bytes));
        }
        let tree: Tree = entries.iter().map(|(_, bytes)| leaf_hash(bytes)).collect();
        let logged = log::append(conn, EntryKind::Custody, &tree.root(), now)?;
        for (position, (entry, bytes)) in entries.iter().enumerate() {
            let text = std::str::from_utf8(bytes).map_err(|e| Error::Internal(e.into()))?;
            store::insert_entry(conn, logged.index, position, entry, text)?;
        }
        committed += entries.len() as u64;
    }
}

/// The number of the visit's next entry, and the hash of its last one.
fn next(conn: &mut Conn, visit: Option<&VisitId>) -> Result<(u64, Option<Sha256>)> {
    Ok(match store::last(conn, visit)? {
        None => (0, None),
        Some((number, text)) => (u64::try_from(number).unwrap_or(0) + 1, Some(Sha256::of(text.as_bytes()))),
    })
}

/// Whether there is such a visit: of another nothing can be noted.
fn is_visit(conn: &mut Conn, visit: &VisitId) -> Result<bool> {
    store::is_visit(conn, visit)
}

/// The visit's ledger as far as the log's first `log_size` entries commit to it.
///
/// # Errors
/// When the database fails, or a stored entry is none.
pub fn ledger(conn: &mut Conn, visit: &VisitId, log_size: u64) -> Result<Vec<LedgerLine>> {
    let rows = store::of_visit(conn, visit, i64::try_from(log_size).unwrap_or(i64::MAX))?;
    let mut trees: BTreeMap<i64, Tree> = BTreeMap::new();
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows {
        let tree = match trees.entry(row.log_index) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(free) => {
                let leaves = store::batch(conn, row.log_index)?;
                free.insert(leaves.iter().map(|text| leaf_hash(text.as_bytes())).collect())
            }
        };
        let entry: LedgerEntry = serde_json::from_str(&row.entry).map_err(|e| Error::Internal(e.into()))?;
        let position = u64::try_from(row.position).unwrap_or(0);
        lines.push(LedgerLine {
            entry,
            batch: Batched {
                log_index: u64::try_from(row.log_index).unwrap_or(0),
                position,
                size: tree.size(),
                root: tree.root(),
                path: tree.path(position).unwrap_or_default(),
            },
        });
    }
    Ok(lines)
}
