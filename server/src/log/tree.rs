//! Proofs from the stored tiles: at most one read for each level of tiles on the way to the root.

use std::collections::BTreeMap;
use std::ops::Range;

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::merkle::{self, CompactRange, TILE_WIDTH, Tiles, TreeError};

use super::store;
use crate::db::Conn;
use crate::error::{Error, Result};

/// The tiles of the database, each read once.
struct StoredTiles<'a> {
    conn: &'a mut Conn,
    read: BTreeMap<(u32, u64), Vec<Sha256>>,
}

impl Tiles for StoredTiles<'_> {
    type Error = Error;

    /// Positions that lie in one tile, as those of a full subtree do.
    fn hashes(&mut self, level: u32, positions: Range<u64>) -> Result<Vec<Sha256>> {
        let tile = positions.start / TILE_WIDTH;
        let start = tile * TILE_WIDTH;
        let hashes = match self.read.entry((level, tile)) {
            std::collections::btree_map::Entry::Occupied(held) => held.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                let bound = |position: u64| i64::try_from(position).unwrap_or(i64::MAX);
                place.insert(store::hashes(self.conn, level, bound(start), bound(start + TILE_WIDTH))?)
            }
        };
        let within = |position: u64| usize::try_from(position - start).unwrap_or(usize::MAX);
        Ok(hashes.get(within(positions.start)..within(positions.end)).unwrap_or_default().to_vec())
    }
}

fn with<T>(
    conn: &mut Conn,
    work: impl FnOnce(&mut StoredTiles<'_>) -> std::result::Result<T, TreeError<Error>>,
) -> Result<T> {
    work(&mut StoredTiles { conn, read: BTreeMap::new() }).map_err(|error| match error {
        TreeError::Tiles(error) => error,
        other => Error::Internal(anyhow::anyhow!("the log: {other}")),
    })
}

/// The root over the first `size` entries.
///
/// # Errors
/// When the log is shorter or the database fails.
pub fn root_at(conn: &mut Conn, size: u64) -> Result<Sha256> {
    with(conn, |tiles| merkle::root(tiles, size))
}

/// What appends to the log of `size` entries need to know of it.
///
/// # Errors
/// When the log is shorter or the database fails.
pub fn compact_range(conn: &mut Conn, size: u64) -> Result<CompactRange> {
    with(conn, |tiles| merkle::compact_range(tiles, size))
}

/// For each entry, the hashes that lead from it to the root over `size` entries.
///
/// # Errors
/// When there is no such entry or the database fails.
pub fn prove(conn: &mut Conn, indexes: &[u64], size: u64) -> Result<Vec<Vec<Sha256>>> {
    with(conn, |tiles| indexes.iter().map(|index| merkle::inclusion(tiles, *index, size)).collect())
}

/// The hashes that show the log of `old` entries to be the beginning of the one of `new`.
///
/// # Errors
/// When `old` is larger than `new`, the log is shorter, or the database fails.
pub fn consistency(conn: &mut Conn, old: u64, new: u64) -> Result<Vec<Sha256>> {
    with(conn, |tiles| merkle::consistency(tiles, old, new))
}
