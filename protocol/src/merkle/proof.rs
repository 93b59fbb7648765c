//! Inclusion and consistency proofs (RFC 6962 §2.1.1 and §2.1.2): made from tiles, checked against roots.

use super::{CompactRange, TILE_HEIGHT, node_hash};
use crate::digest::Sha256;

/// Where the hashes of a tree are kept.
pub trait Tiles {
    type Error;

    /// The hashes at `positions` of a tile level: leaf hashes at level 0, above that the roots of full
    /// tiles of the level below. Only those of full subtrees within the tree are asked for.
    ///
    /// # Errors
    /// When they cannot be had.
    fn hashes(&mut self, level: u32, positions: std::ops::Range<u64>) -> Result<Vec<Sha256>, Self::Error>;
}

/// Why a proof was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError<E> {
    #[error("entry {index} is not in a tree of {size}")]
    NoSuchEntry { index: u64, size: u64 },
    #[error("a tree of {old} entries is no beginning of one of {new}")]
    NotABeginning { old: u64, new: u64 },
    #[error("the tree lacks hashes at level {level}")]
    Missing { level: u32 },
    #[error(transparent)]
    Tiles(E),
}

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("the proof is about no entry of the tree")]
    OutOfRange,
    #[error("the proof has too few or too many hashes")]
    WrongLength,
    #[error("the proof leads to another root")]
    OtherRoot,
}

/// The root over the first `size` entries.
///
/// # Errors
/// When the tiles cannot be read.
pub fn root<T: Tiles>(tiles: &mut T, size: u64) -> Result<Sha256, TreeError<T::Error>> {
    if size == 0 { Ok(Sha256::of(b"")) } else { subtree(tiles, 0, size) }
}

/// What appends to a tree of `size` entries need to know of it.
///
/// # Errors
/// When the tiles cannot be read.
pub fn compact_range<T: Tiles>(tiles: &mut T, size: u64) -> Result<CompactRange, TreeError<T::Error>> {
    let mut roots = Vec::new();
    let mut start = 0;
    for height in (0..u64::BITS).rev().filter(|height| size >> height & 1 == 1) {
        let end = start + (1 << height);
        roots.push(subtree(tiles, start, end)?);
        start = end;
    }
    CompactRange::from_parts(size, roots).ok_or(TreeError::Missing { level: 0 })
}

/// The hashes that lead from entry `index` to the root over `size` entries, from the leaf upwards.
///
/// # Errors
/// When there is no such entry or the tiles cannot be read.
pub fn inclusion<T: Tiles>(tiles: &mut T, index: u64, size: u64) -> Result<Vec<Sha256>, TreeError<T::Error>> {
    if index >= size {
        return Err(TreeError::NoSuchEntry { index, size });
    }
    let (mut start, mut end) = (0, size);
    let mut proof = Vec::new();
    while end - start > 1 {
        let middle = split(start, end);
        if index < middle {
            proof.push(subtree(tiles, middle, end)?);
            end = middle;
        } else {
            proof.push(subtree(tiles, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The hashes that show the tree of `old` entries to be the beginning of the one of `new`. Empty where
/// `old` is 0 or both are equal.
///
/// # Errors
/// When `old` is larger than `new` or the tiles cannot be read.
pub fn consistency<T: Tiles>(tiles: &mut T, old: u64, new: u64) -> Result<Vec<Sha256>, TreeError<T::Error>> {
    if old > new {
        return Err(TreeError::NotABeginning { old, new });
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let (mut start, mut end) = (0, new);
    let mut proof = Vec::new();
    while old != end {
        let middle = split(start, end);
        if old <= middle {
            proof.push(subtree(tiles, middle, end)?);
            end = middle;
        } else {
            proof.push(subtree(tiles, start, middle)?);
            start = middle;
        }
    }
    // The old tree's last full part; known to the verifier where that is the whole old tree.
    if start > 0 {
        proof.push(subtree(tiles, start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Where a tree over `start..end` is split: the largest power of two below its size.
fn split(start: u64, end: u64) -> u64 {
    start + ((end - start).next_power_of_two() >> 1)
}

/// The root over `start..end`, whose start is where such a subtree may begin.
fn subtree<T: Tiles>(tiles: &mut T, start: u64, end: u64) -> Result<Sha256, TreeError<T::Error>> {
    let size = end - start;
    if !size.is_power_of_two() {
        let middle = split(start, end);
        let left = subtree(tiles, start, middle)?;
        let right = subtree(tiles, middle, end)?;
        return Ok(node_hash(&left, &right));
    }
    let height = size.trailing_zeros();
    let level = height / TILE_HEIGHT;
    let below = TILE_HEIGHT * level;
    let mut hashes = tiles.hashes(level, start >> below..end >> below).map_err(TreeError::Tiles)?;
    if hashes.len() as u64 != size >> below {
        return Err(TreeError::Missing { level });
    }
    while hashes.len() > 1 {
        hashes = hashes
            .chunks(2)
            .filter_map(|pair| match pair {
                [left, right] => Some(node_hash(left, right)),
                _ => None,
            })
            .collect();
    }
    hashes.pop().ok_or(TreeError::Missing { level })
}

/// Checks that the leaf hash stands at `index` in the tree of `size` entries with this root
/// (RFC 9162 §2.1.3.2).
///
/// # Errors
/// Says what does not fit.
pub fn verify_inclusion(
    leaf: &Sha256,
    index: u64,
    size: u64,
    proof: &[Sha256],
    root: &Sha256,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange);
    }
    let (mut at, mut last) = (index, size - 1);
    let mut hash = leaf.clone();
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            // Levels at which the last entry has no sibling.
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    match last {
        0 if hash == *root => Ok(()),
        0 => Err(ProofError::OtherRoot),
        _ => Err(ProofError::WrongLength),
    }
}

/// Checks that the tree of `old` entries with `old_root` is the beginning of the one of `new` with
/// `new_root` (RFC 9162 §2.1.4.2).
///
/// # Errors
/// Says what does not fit. An empty tree is the beginning of any, so no proof is about it: `OutOfRange`.
pub fn verify_consistency(
    (old, old_root): (u64, &Sha256),
    (new, new_root): (u64, &Sha256),
    proof: &[Sha256],
) -> Result<(), ProofError> {
    if old == 0 || old > new {
        return Err(ProofError::OutOfRange);
    }
    let agree = |holds: bool| if holds { Ok(()) } else { Err(ProofError::OtherRoot) };
    if old == new {
        return if proof.is_empty() { agree(old_root == new_root) } else { Err(ProofError::WrongLength) };
    }
    let mut hashes = proof.iter();
    let (mut at, mut last) = (old - 1, new - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let first = if at == 0 { old_root } else { hashes.next().ok_or(ProofError::WrongLength)? };
    let (mut old_hash, mut new_hash) = (first.clone(), first.clone());
    for sibling in hashes {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if at & 1 == 1 || at == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::WrongLength);
    }
    agree(old_hash == *old_root && new_hash == *new_root)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use super::super::{CompactRange, leaf_hash};
    use super::*;

    #[derive(Default)]
    struct Stored(BTreeMap<(u32, u64), Sha256>);

    impl Tiles for Stored {
        type Error = Infallible;

        fn hashes(&mut self, level: u32, positions: std::ops::Range<u64>) -> Result<Vec<Sha256>, Infallible> {
            Ok(positions.filter_map(|at| self.0.get(&(level, at)).cloned()).collect())
        }
    }

    fn tree(size: u64) -> (Stored, Vec<Sha256>) {
        let (mut stored, mut range, mut roots) = (Stored::default(), CompactRange::default(), Vec::new());
        roots.push(range.root());
        for index in 0..size {
            let leaf = leaf_hash(&index.to_be_bytes());
            stored.0.insert((0, index), leaf.clone());
            for (level, position, root) in range.push(leaf) {
                stored.0.insert((level, position), root);
            }
            roots.push(range.root());
        }
        (stored, roots)
    }

    #[test]
    fn proofs_made_hold_at_every_size_and_for_nothing_else() {
        let (mut stored, roots) = tree(70);
        for size in 1..=70_u64 {
            let head = &roots[size as usize];
            assert_eq!(root(&mut stored, size).unwrap(), *head);
            for index in 0..size {
                let proof = inclusion(&mut stored, index, size).unwrap();
                let leaf = leaf_hash(&index.to_be_bytes());
                verify_inclusion(&leaf, index, size, &proof, head).unwrap();
                assert!(verify_inclusion(&leaf, index ^ 1, size, &proof, head).is_err() || size == 1);
                assert!(verify_inclusion(&leaf_hash(b"x"), index, size, &proof, head).is_err());
            }
            assert!(consistency(&mut stored, 0, size).unwrap().is_empty());
            assert!(verify_consistency((0, &roots[0]), (size, head), &[]).is_err());
            for old in 1..=size {
                let proof = consistency(&mut stored, old, size).unwrap();
                let before = &roots[old as usize];
                verify_consistency((old, before), (size, head), &proof).unwrap();
                assert!(verify_consistency((old, &leaf_hash(b"x")), (size, head), &proof).is_err());
                assert!(verify_consistency((old, before), (size, &leaf_hash(b"x")), &proof).is_err());
            }
        }
        assert!(inclusion(&mut stored, 70, 70).is_err());
        assert!(consistency(&mut stored, 71, 70).is_err());
    }

    #[test]
    fn a_large_tree_is_proved_from_its_tiles() {
        let (mut stored, roots) = tree(70_000);
        for (index, size) in [(0, 70_000), (65_535, 65_536), (65_536, 70_000), (69_999, 70_000), (255, 257)] {
            let proof = inclusion(&mut stored, index, size).unwrap();
            verify_inclusion(&leaf_hash(&index.to_be_bytes()), index, size, &proof, &roots[size as usize])
                .unwrap();
        }
        for (old, new) in [(1, 70_000), (256, 70_000), (65_537, 69_999)] {
            let proof = consistency(&mut stored, old, new).unwrap();
            verify_consistency((old, &roots[old as usize]), (new, &roots[new as usize]), &proof).unwrap();
        }
        stored.0.remove(&(2, 0));
        assert_eq!(inclusion(&mut stored, 69_000, 70_000), Err(TreeError::Missing { level: 2 }));
    }
}
