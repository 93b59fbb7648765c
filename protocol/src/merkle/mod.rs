//! RFC 6962 tree hashing: leaf and node hashes, the compact range that appends to a tree of any size
//! while keeping only the roots of its full subtrees, and proofs about trees.

mod memory;
mod proof;

use crate::digest::Sha256;

pub use memory::Tree;

pub use proof::{
    ProofError, Tiles, TreeError, compact_range, consistency, inclusion, root, verify_consistency,
    verify_inclusion,
};

/// Levels of the tree between two levels of stored hashes: a tile is 2^8 hashes wide (C2SP tlog-tiles).
pub const TILE_HEIGHT: u32 = 8;
/// Hashes in a full tile.
pub const TILE_WIDTH: u64 = 1 << TILE_HEIGHT;

/// SHA-256(0x00 ‖ entry).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Sha256 {
    Sha256::of_parts(&[&[0], entry])
}

/// SHA-256(0x01 ‖ left ‖ right).
#[must_use]
pub fn node_hash(left: &Sha256, right: &Sha256) -> Sha256 {
    Sha256::of_parts(&[&[1], &left.to_bytes(), &right.to_bytes()])
}

/// The roots of the full subtrees of a tree of `size` leaves, left (largest) to right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactRange {
    size: u64,
    roots: Vec<Sha256>,
}

impl CompactRange {
    /// Takes up a stored range; `None` when the number of roots does not fit the size.
    #[must_use]
    pub fn from_parts(size: u64, roots: Vec<Sha256>) -> Option<Self> {
        (roots.len() == size.count_ones() as usize).then_some(Self { size, roots })
    }

    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    #[must_use]
    pub fn roots(&self) -> &[Sha256] {
        &self.roots
    }

    /// Appends a leaf. Gives back the roots of the tiles that it completes: level (1 for a tile of
    /// leaves), position within the level, root.
    pub fn push(&mut self, leaf: Sha256) -> Vec<(u32, u64, Sha256)> {
        let mut node = leaf;
        let mut completed = Vec::new();
        // Each trailing one bit of the old size is a full subtree that the new leaf completes.
        for height in 1..=self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                node = node_hash(&left, &node);
            }
            if height % TILE_HEIGHT == 0 {
                completed.push((height / TILE_HEIGHT, self.size >> height, node.clone()));
            }
        }
        self.roots.push(node);
        self.size += 1;
        completed
    }

    /// The tree head: SHA-256 of nothing for the empty tree.
    #[must_use]
    pub fn root(&self) -> Sha256 {
        let mut roots = self.roots.iter().rev();
        match roots.next() {
            None => Sha256::of(b""),
            Some(last) => roots.fold(last.clone(), |right, left| node_hash(left, &right)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of RFC 6962 §2.1, word for word.
    fn tree_head(leaves: &[&[u8]]) -> Sha256 {
        match leaves {
            [] => Sha256::of(b""),
            [one] => leaf_hash(one),
            many => {
                let split = many.len().next_power_of_two() / 2;
                node_hash(&tree_head(&many[..split]), &tree_head(&many[split..]))
            }
        }
    }

    #[test]
    fn the_compact_range_agrees_with_the_definition_at_every_size() {
        let leaves: Vec<Vec<u8>> = (0_u8..130).map(|n| vec![n; usize::from(n % 5)]).collect();
        let mut range = CompactRange::default();
        for size in 0..=leaves.len() {
            let upto: Vec<&[u8]> = leaves[..size].iter().map(Vec::as_slice).collect();
            assert_eq!(range.root(), tree_head(&upto), "size {size}");
            let stored = CompactRange::from_parts(range.size(), range.roots().to_vec()).unwrap();
            assert_eq!(stored, range);
            if let Some(leaf) = leaves.get(size) {
                range.push(leaf_hash(leaf));
            }
        }
        assert_eq!(CompactRange::from_parts(3, vec![Sha256::of(b"")]), None);
    }

    #[test]
    fn the_published_tree_heads_come_out() {
        // Google's Certificate Transparency test data: tree heads of the first and the eight leaves.
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        assert_eq!(
            tree_head(&leaves[..1]).as_str(),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
        assert_eq!(
            tree_head(&leaves).as_str(),
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
        );
    }
}
