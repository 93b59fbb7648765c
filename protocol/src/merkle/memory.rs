//! A small tree held in memory: what a few thousand leaves at most are committed by at once.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Range;

use super::{CompactRange, Tiles, inclusion};
use crate::digest::Sha256;

/// A tree whose leaves are all there.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    hashes: BTreeMap<(u32, u64), Sha256>,
    range: CompactRange,
}

impl Tree {
    /// Appends a leaf hash.
    pub fn push(&mut self, leaf: Sha256) {
        self.hashes.insert((0, self.range.size()), leaf.clone());
        for (level, position, root) in self.range.push(leaf) {
            self.hashes.insert((level, position), root);
        }
    }

    #[must_use]
    pub fn size(&self) -> u64 {
        self.range.size()
    }

    #[must_use]
    pub fn root(&self) -> Sha256 {
        self.range.root()
    }

    /// The hashes that lead from the leaf at `index` to the root. `None` where there is no such leaf.
    #[must_use]
    pub fn path(&mut self, index: u64) -> Option<Vec<Sha256>> {
        let size = self.size();
        inclusion(self, index, size).ok()
    }
}

impl FromIterator<Sha256> for Tree {
    fn from_iter<I: IntoIterator<Item = Sha256>>(leaves: I) -> Self {
        let mut tree = Self::default();
        leaves.into_iter().for_each(|leaf| tree.push(leaf));
        tree
    }
}

impl Tiles for Tree {
    type Error = Infallible;

    fn hashes(&mut self, level: u32, positions: Range<u64>) -> Result<Vec<Sha256>, Infallible> {
        Ok(positions.filter_map(|at| self.hashes.get(&(level, at)).cloned()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{leaf_hash, verify_inclusion};
    use super::*;

    #[test]
    fn every_leaf_of_a_tree_has_a_path_to_its_root() {
        let leaf = |at: u64| leaf_hash(&at.to_be_bytes());
        for size in [1, 2, 3, 255, 256, 257, 1000] {
            let mut tree: Tree = (0..size).map(leaf).collect();
            for at in [0, size / 2, size - 1] {
                let path = tree.path(at).unwrap();
                verify_inclusion(&leaf(at), at, size, &path, &tree.root()).unwrap();
                assert!(verify_inclusion(&leaf(at + 1), at, size, &path, &tree.root()).is_err());
            }
            assert_eq!(tree.path(size), None);
        }
    }
}
