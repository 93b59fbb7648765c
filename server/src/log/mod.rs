//! The append-only log: one entry for each thing that must not vanish.
//!
//! An entry is a salted commitment, so it can be shown to anybody without saying anything; the salt
//! stays here. Append it last in a transaction: the head row is locked from then to the commit. A
//! checkpoint is signed from the committed head alone, so no size ever has two roots.

mod http;
mod store;
mod tree;
mod witnesses;

use endcheck_protocol::carry::LogGrowth;
use std::time::{Duration, Instant};

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::merkle::{CompactRange, TILE_WIDTH, leaf_hash};
use endcheck_protocol::record::Anchor;
use endcheck_protocol::sync::LogState;
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::tlog::{Checkpoint, LogEntry, LogSigner, Opening, TlogProof};

use crate::db::Conn;
use crate::error::{Error, Result};

pub use endcheck_protocol::tlog::EntryKind;
pub use http::{ApiDoc, policy_text, routes};
pub use tree::{consistency, prove, root_at};
pub use witnesses::{Witnesses, start as start_witnesses};

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
    let mut salts = vec![[0_u8; 32]; subjects.len()];
    getrandom::fill(salts.as_flattened_mut()).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
    let mut rows = Vec::with_capacity(subjects.len());
    for (subject, salt) in subjects.iter().zip(&salts) {
        let entry = LogEntry::new(kind, now, salt, subject);
        let bytes = entry.to_bytes().map_err(|e| Error::Internal(e.into()))?;
        let leaf = leaf_hash(&bytes);
        for (level, position, root) in range.push(leaf.clone()) {
            store::insert_node(conn, level, position, &root)?;
        }
        rows.push(store::EntryRow {
            idx: size,
            kind: kind.as_str(),
            subject,
            salt: hex::encode(salt),
            entry: bytes,
            leaf_hash: leaf,
            logged_at: now,
        });
        size += 1;
    }
    store::insert(conn, &rows)?;
    store::set_head(conn, size, range.roots())?;
    Ok(rows.into_iter().map(|row| Logged { index: row.idx, salt: row.salt, at: now }).collect())
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

/// The present checkpoint, signed, with the cosignatures that it has.
///
/// # Errors
/// When the database fails.
pub fn checkpoint(conn: &mut Conn, signer: &LogSigner) -> Result<String> {
    let head = head(conn)?;
    cosigned(conn, signer, &head)
}

/// The checkpoint of a state of the log with the cosignatures that it has.
fn cosigned(conn: &mut Conn, signer: &LogSigner, Anchor { size, root }: &Anchor) -> Result<String> {
    let lines = witnesses::lines(conn, *size, root)?;
    Ok(Checkpoint::signed(*size, root.clone(), signer) + &lines)
}

/// The state of at least `covers` entries that most witnesses cosigned, of these the newest; the present one
/// where there is none.
fn best(conn: &mut Conn, witnesses: &Witnesses, covers: u64) -> Result<Anchor> {
    let head = head(conn)?;
    match witnesses::best_size(conn, witnesses, covers, head.size)? {
        Some((size, _)) => Ok(Anchor { size, root: root_at(conn, size)? }),
        None => Ok(head),
    }
}

/// A checkpoint of at least `covers` entries, cosigned where there is one; its size, and that it continues
/// the log of `known` entries.
///
/// # Errors
/// When the database fails.
pub fn state(
    conn: &mut Conn,
    signer: &LogSigner,
    witnesses: &Witnesses,
    known: u64,
    covers: u64,
) -> Result<(u64, LogState)> {
    let best = best(conn, witnesses, known.max(covers))?;
    let consistency = if known <= best.size { consistency(conn, known, best.size)? } else { Vec::new() };
    Ok((best.size, LogState { checkpoint: cosigned(conn, signer, &best)?, consistency }))
}

/// Entries that the growth of the log is told for at most: 64 bytes for each.
const MAX_GROWTH: u64 = 1 << 16;

/// How the log grew from one size to another; `None` where that is by too much.
///
/// # Errors
/// When the log is shorter or the database fails.
pub fn growth(conn: &mut Conn, from: u64, to: u64) -> Result<Option<LogGrowth>> {
    if from > to || to - from > MAX_GROWTH {
        return Ok(None);
    }
    let bound = |position: u64| i64::try_from(position).unwrap_or(i64::MAX);
    let roots = tree::compact_range(conn, from)?.roots().to_vec();
    let leaves = store::hashes(conn, 0, bound(from), bound(to))?;
    Ok(Some(LogGrowth { size: from, roots, leaves }))
}

/// A proof that the entry at `index` is in the log, with what opens it: against the newest cosigned
/// checkpoint that covers it, else the present one.
///
/// # Errors
/// When there is no such entry or the database fails.
pub fn proof(conn: &mut Conn, signer: &LogSigner, witnesses: &Witnesses, index: i64) -> Result<TlogProof> {
    let (entry, salt, subject) = store::opening(conn, index)?;
    let entry = LogEntry::read(&entry).map_err(|e| Error::Internal(e.into()))?;
    let opening = Opening { entry, salt, subject };
    let extra = endcheck_protocol::canonical::write(&opening).map_err(|e| Error::Internal(e.into()))?;
    let index = u64::try_from(index).unwrap_or(0);
    let best = best(conn, witnesses, index + 1)?;
    let hashes = prove(conn, &[index], best.size)?.pop().unwrap_or_default();
    let checkpoint = cosigned(conn, signer, &best)?;
    Ok(TlogProof { extra: Some(extra), index, hashes, checkpoint })
}

/// Proofs that the entries at `indexes` are among the first `size` of the log, each with what opens it. All
/// carry the same checkpoint, of that size.
///
/// # Errors
/// When there is no such entry or the database fails.
pub fn proofs_at(conn: &mut Conn, signer: &LogSigner, indexes: &[i64], size: u64) -> Result<Vec<TlogProof>> {
    let checkpoint = checkpoint_at(conn, signer, size)?;
    let places: Vec<u64> = indexes.iter().map(|index| u64::try_from(*index).unwrap_or(0)).collect();
    let paths = prove(conn, &places, size)?;
    let mut proofs = Vec::with_capacity(indexes.len());
    for ((index, place), hashes) in indexes.iter().zip(places).zip(paths) {
        let (entry, salt, subject) = store::opening(conn, *index)?;
        let entry = LogEntry::read(&entry).map_err(|e| Error::Internal(e.into()))?;
        let opening = Opening { entry, salt, subject };
        let extra = endcheck_protocol::canonical::write(&opening).map_err(|e| Error::Internal(e.into()))?;
        proofs.push(TlogProof { extra: Some(extra), index: place, hashes, checkpoint: checkpoint.clone() });
    }
    Ok(proofs)
}

/// The checkpoint of the first `size` entries, signed, with the cosignatures that it has.
///
/// # Errors
/// When the log has fewer or the database fails.
pub fn checkpoint_at(conn: &mut Conn, signer: &LogSigner, size: u64) -> Result<String> {
    let root = root_at(conn, size)?;
    cosigned(conn, signer, &Anchor { size, root })
}

/// Fewer witnesses cosigned a state of the log than the published policy asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uncosigned {
    pub have: usize,
    pub of: usize,
    pub asked: usize,
    /// A later state that enough cosigned.
    pub later: Option<u64>,
}

impl std::fmt::Display for Uncosigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { have, of, asked, later } = self;
        write!(
            f,
            "only {have} of {of} witnesses cosigned this state of the log and the policy asks for {asked}: \
             verification with the policy will fail; "
        )?;
        match later {
            Some(size) => write!(f, "export again with --as-of {size}, which enough of them cosigned"),
            None => write!(f, "export again once they answer: GET /api/v1/log/witnesses shows how they fare"),
        }
    }
}

/// What stands against showing the state of `size` entries.
///
/// # Errors
/// When the database fails.
pub fn uncosigned(conn: &mut Conn, witnesses: &Witnesses, size: u64) -> Result<Option<Uncosigned>> {
    let asked = witnesses.quorum();
    let have = witnesses::best_size(conn, witnesses, size, size)?.map_or(0, |(_, have)| have);
    if have >= asked {
        return Ok(None);
    }
    let newest = head(conn)?.size;
    let later = witnesses::best_size(conn, witnesses, size, newest)?;
    let later = later.filter(|(_, cosignatures)| *cosignatures >= asked).map(|(size, _)| size);
    Ok(Some(Uncosigned { have, of: witnesses.count(), asked, later }))
}

/// The size of a checkpoint over at least `least` entries that as many witnesses cosigned as the published policy
/// asks for, as soon as there is one. Without witnesses `least` itself; when too few answer in time, the size that
/// most of them cosigned, else `least`. Blocks.
///
/// # Errors
/// When the database fails.
pub fn await_cosigned(conn: &mut Conn, witnesses: &Witnesses, least: u64, wait: Duration) -> Result<u64> {
    if witnesses.is_none() {
        return Ok(least);
    }
    let begun = Instant::now();
    loop {
        let newest = head(conn)?.size;
        let best = witnesses::best_size(conn, witnesses, least, newest)?;
        match best {
            Some((size, cosignatures)) if cosignatures >= witnesses.quorum() => return Ok(size),
            _ if begun.elapsed() >= wait => return Ok(best.map_or(least, |(size, _)| size)),
            _ => std::thread::sleep(COSIGNING_WAIT / 100),
        }
    }
}

/// How far the log is, and how far its witnesses cosigned it, in words.
///
/// # Errors
/// When the database fails.
pub fn told(conn: &mut Conn, witnesses: &Witnesses) -> Result<String> {
    let Anchor { size, root } = head(conn)?;
    let root = root.as_str().get(..16).unwrap_or_default().to_owned();
    if witnesses.is_none() {
        return Ok(format!("{size} entries, root {root}…; nobody is asked to cosign"));
    }
    let (cosigned, by) = witnesses::best_size(conn, witnesses, 0, size)?.unwrap_or_default();
    Ok(format!("{size} entries, root {root}…; cosigned up to {cosigned} by {by} of those asked"))
}

/// How long an export waits for the witnesses.
pub const COSIGNING_WAIT: Duration = Duration::from_secs(10);

/// The entry at `index`, as its bytes, which anybody may see.
///
/// # Errors
/// When there is none or the database fails.
pub fn entry(conn: &mut Conn, index: u64) -> Result<Vec<u8>> {
    Ok(store::opening(conn, i64::try_from(index).unwrap_or(i64::MAX))?.0)
}

/// Where the log holds the event of a key that `subject` is the hash of; the first of several.
///
/// # Errors
/// When the database fails.
pub fn find_key_event(conn: &mut Conn, subject: &Sha256) -> Result<Option<i64>> {
    store::find_key_event(conn, subject)
}

/// Fills in the roots of tiles that were completed before they were stored.
///
/// # Errors
/// When the database fails.
pub fn complete_nodes(conn: &mut Conn) -> Result<()> {
    let (size, _) = store::lock_head(conn)?;
    let tiles = u64::try_from(size).unwrap_or(0) / TILE_WIDTH;
    if tiles == 0 || store::node(conn, 1, tiles - 1)?.is_some() {
        return Ok(());
    }
    let mut range = CompactRange::default();
    for leaf in store::leaves(conn)? {
        for (level, position, root) in range.push(leaf) {
            if store::node(conn, level, position)?.is_none() {
                store::insert_node(conn, level, position, &root)?;
            }
        }
    }
    Ok(())
}

/// Recomputes the whole log from its entries and compares it with the head and the stored tiles.
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
        for (level, position, root) in range.push(leaf) {
            if store::node(conn, level, position)?.as_ref() != Some(&root) {
                return broken("completes a tile whose stored root differs");
            }
        }
    }
    let head = head(conn)?;
    if head.size != range.size() || head.root != range.root() {
        return Err(Error::Internal(anyhow::anyhow!("the log's head does not follow from its entries")));
    }
    Ok(head)
}
