//! The append-only log: one entry for each thing that must not vanish.
//!
//! An entry is a salted commitment, so it can be shown to anybody without saying anything; the salt
//! stays here. Append it last in a transaction: the head row is locked from then to the commit.

mod store;

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::merkle::{CompactRange, leaf_hash};
use endcheck_protocol::record::Anchor;
use endcheck_protocol::time::Timestamp;
use serde::Serialize;

use crate::db::Conn;
use crate::error::{Error, Result};

/// What kind of thing an entry commits to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    Record,
    FileReceipt,
    Determination,
    KeyEvent,
}

impl EntryKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::FileReceipt => "file-receipt",
            Self::Determination => "determination",
            Self::KeyEvent => "key-event",
        }
    }
}

/// The bytes of an entry, in canonical form.
#[derive(Serialize)]
struct Entry {
    schema: &'static str,
    kind: EntryKind,
    logged_at: Timestamp,
    /// SHA-256(salt ‖ subject), the subject being a 32-byte SHA-256.
    commitment: Sha256,
}

/// Where an entry stands, and the salt that opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    pub index: i64,
    /// 32 bytes in hex.
    pub salt: String,
    pub at: Timestamp,
}

/// Takes the log's lock: from here to the commit nobody else appends. A transaction that also
/// locks rows which another one could hold takes this first.
///
/// # Errors
/// When the database fails.
pub fn lock(conn: &mut Conn) -> Result<()> {
    store::lock_head(conn).map(|_| ())
}

/// Appends an entry that commits to `subject`.
///
/// # Errors
/// When the database fails or the stored head does not fit its size.
pub fn append(conn: &mut Conn, kind: EntryKind, subject: &Sha256, now: Timestamp) -> Result<Logged> {
    append_all(conn, kind, std::slice::from_ref(subject), now)?
        .pop()
        .ok_or_else(|| Error::Internal(anyhow::anyhow!("the log gave no index")))
}

/// Appends an entry for each subject, in their order.
///
/// # Errors
/// As [`append`].
pub fn append_all(
    conn: &mut Conn,
    kind: EntryKind,
    subjects: &[Sha256],
    now: Timestamp,
) -> Result<Vec<Logged>> {
    let (mut size, roots) = store::lock_head(conn)?;
    let mut range = CompactRange::from_parts(u64::try_from(size).unwrap_or(0), roots)
        .ok_or_else(|| Error::Internal(anyhow::anyhow!("the log's head does not fit its size {size}")))?;
    let mut logged = Vec::with_capacity(subjects.len());
    for subject in subjects {
        let mut salt = [0_u8; 32];
        getrandom::fill(&mut salt).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
        let commitment = Sha256::of_parts(&[&salt, &subject.to_bytes()]);
        let entry = Entry { schema: "endcheck-log-entry-1", kind, logged_at: now, commitment };
        let bytes = endcheck_protocol::canonical::write(&entry).map_err(|e| Error::Internal(e.into()))?;
        let leaf = leaf_hash(&bytes);
        let salt = hex::encode(salt);
        store::insert(
            conn,
            &store::EntryRow {
                idx: size,
                kind: kind.as_str(),
                subject,
                salt: &salt,
                entry: &bytes,
                leaf_hash: &leaf,
                logged_at: now,
            },
        )?;
        range.push(leaf);
        logged.push(Logged { index: size, salt, at: now });
        size += 1;
    }
    store::set_head(conn, size, range.roots())?;
    Ok(logged)
}

/// The log's present size and tree head.
///
/// # Errors
/// When the database fails.
pub fn head(conn: &mut Conn) -> Result<Anchor> {
    let (size, roots) = store::head(conn)?;
    let size = u64::try_from(size).unwrap_or(0);
    let range = CompactRange::from_parts(size, roots)
        .ok_or_else(|| Error::Internal(anyhow::anyhow!("the log's head does not fit its size {size}")))?;
    Ok(Anchor { size, root: range.root() })
}

/// Recomputes the whole log from its entries and compares it with the head.
///
/// # Errors
/// Names the first entry that is missing or does not hash to its leaf, or the head that differs.
pub fn verify(conn: &mut Conn) -> Result<Anchor> {
    let mut range = CompactRange::default();
    for (position, (idx, entry, leaf)) in store::entries(conn)?.into_iter().enumerate() {
        let broken = |what: &str| Err(Error::Internal(anyhow::anyhow!("log entry {position}: {what}")));
        if i64::try_from(position) != Ok(idx) {
            return broken("is missing");
        }
        if leaf_hash(&entry) != leaf {
            return broken("does not hash to its leaf");
        }
        range.push(leaf);
    }
    let head = head(conn)?;
    if head.size != range.size() || head.root != range.root() {
        return Err(Error::Internal(anyhow::anyhow!("the log's head does not follow from its entries")));
    }
    Ok(head)
}
