//! The hashes of all photos held, in memory, and what is near to given ones.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Likeness, store};
use crate::db::Conn;
use crate::error::Result;
use crate::picture::near::Near;
use crate::picture::{
    Hashes, LOOKS_ALIKE_BITS, MIN_QUALITY, MIN_TELLING_QUALITY, Pdq, SAME_PICTURE_BITS, Symmetry,
};

/// The most that one photo is compared with; the nearest count.
const MAX_NEAR: usize = 500;
/// Rows read at a time.
const PAGE: i64 = 20_000;

/// What a server has read of the photos held. Starts empty; reads all at the first question.
#[derive(Debug)]
pub struct Pictures {
    held: Mutex<Held>,
    looked_back: AtomicBool,
}

#[derive(Debug)]
struct Held {
    /// Everything up to this position is in.
    seen: i64,
    pdq: Near<4>,
    /// Position of each hash in `pdq`.
    pdq_positions: Vec<i64>,
    dhash: Near<1>,
    /// Position and second hash of each in `dhash`.
    coarse: Vec<(i64, u64)>,
}

/// One row's hashes.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeldHashes {
    pub position: i64,
    pub pdq: Pdq,
    pub quality: u8,
    pub dhash: u64,
    pub phash: u64,
}

impl Default for Pictures {
    fn default() -> Self {
        let held = Held {
            seen: 0,
            pdq: Near::within(SAME_PICTURE_BITS),
            pdq_positions: Vec::new(),
            dhash: Near::within(LOOKS_ALIKE_BITS),
            coarse: Vec::new(),
        };
        Self { held: Mutex::new(held), looked_back: AtomicBool::new(false) }
    }
}

impl Pictures {
    /// True once, for the first who asks: photos examined by an older version are still to be looked at.
    pub fn looks_back(&self) -> bool {
        !self.looked_back.swap(true, Ordering::Relaxed)
    }

    /// Reads what was kept since the last time.
    ///
    /// # Errors
    /// When the database fails; what was read until then stays.
    pub fn catch_up(&self, conn: &mut Conn) -> Result<()> {
        let mut held = self.lock();
        loop {
            let (rows, last) = store::hashes_after(conn, held.seen, PAGE)?;
            let Some(last) = last else { return Ok(()) };
            held.add(&rows);
            held.seen = last;
        }
    }

    /// The positions of the photos that are like this one in one of its eight orientations, with how.
    pub(super) fn find(&self, hashes: &Hashes) -> Vec<(i64, Likeness)> {
        self.lock().find(hashes)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // A reader that panicked between two lines leaves at worst a hash that has no position.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn add(&mut self, rows: &[HeldHashes]) {
        let clear: Vec<&HeldHashes> = rows.iter().filter(|row| row.quality >= MIN_QUALITY).collect();
        self.pdq_positions.extend(clear.iter().map(|row| row.position));
        self.pdq.extend(clear.iter().map(|row| row.pdq.0));
        let some: Vec<&HeldHashes> = rows.iter().filter(|row| row.quality >= MIN_TELLING_QUALITY).collect();
        self.coarse.extend(some.iter().map(|row| (row.position, row.phash)));
        self.dhash.extend(some.iter().map(|row| [row.dhash]));
    }

    fn find(&self, hashes: &Hashes) -> Vec<(i64, Likeness)> {
        // The nearest orientation of each counts.
        let mut near: BTreeMap<i64, (u32, Symmetry)> = BTreeMap::new();
        let mut alike: BTreeMap<i64, (u32, u32, Symmetry)> = BTreeMap::new();
        for ((symmetry, pdq), coarse) in Symmetry::ALL.into_iter().zip(hashes.pdq).zip(hashes.coarse) {
            if hashes.quality >= MIN_QUALITY {
                for found in self.pdq.find(&pdq.0) {
                    let Some(position) = self.pdq_positions.get(found.number as usize) else { continue };
                    let best = near.entry(*position).or_insert((found.distance, symmetry));
                    if found.distance < best.0 {
                        *best = (found.distance, symmetry);
                    }
                }
            }
            if hashes.quality >= MIN_TELLING_QUALITY {
                for found in self.dhash.find(&[coarse.dhash]) {
                    let Some((position, other)) = self.coarse.get(found.number as usize) else { continue };
                    let phash = (coarse.phash ^ other).count_ones();
                    if phash > LOOKS_ALIKE_BITS {
                        continue;
                    }
                    let best = alike.entry(*position).or_insert((found.distance, phash, symmetry));
                    if found.distance + phash < best.0 + best.1 {
                        *best = (found.distance, phash, symmetry);
                    }
                }
            }
        }
        alike.retain(|position, _| !near.contains_key(position));
        let mut near: Vec<_> =
            near.into_iter().map(|(position, (distance, symmetry))| (distance, position, symmetry)).collect();
        near.sort_unstable_by_key(|(distance, position, _)| (*distance, *position));
        let near = near
            .into_iter()
            .map(|(distance, position, symmetry)| (position, Likeness::NearDuplicate { distance, symmetry }));
        let alike = alike.into_iter().map(|(position, (dhash, phash, symmetry))| {
            (position, Likeness::LooksAlike { dhash, phash, symmetry })
        });
        near.take(MAX_NEAR).chain(alike.take(MAX_NEAR)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Coarse;

    fn held(position: i64, quality: u8) -> HeldHashes {
        HeldHashes {
            position,
            pdq: Pdq([(position as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15); 4]),
            quality,
            dhash: 0,
            phash: 0,
        }
    }

    fn asked(pdq: Pdq, quality: u8) -> Hashes {
        let far = Pdq(pdq.0.map(|word| word ^ 0x5555_5555_5555_5555));
        let other = Coarse { dhash: u64::MAX, phash: u64::MAX };
        Hashes { pdq: [far, far, pdq, far, far, far, far, far], quality, coarse: [other; 8] }
    }

    #[test]
    fn only_clear_pictures_are_near_duplicates_and_the_orientation_is_told() {
        let mut all = Pictures::default().held.into_inner().unwrap();
        all.add(&[held(7, 100), held(9, 49), held(11, 50)]);
        let turned = Symmetry::ALL[2];
        let near =
            |position: i64| vec![(position, Likeness::NearDuplicate { distance: 0, symmetry: turned })];
        assert_eq!(all.find(&asked(held(7, 0).pdq, 100)), near(7));
        assert_eq!(all.find(&asked(held(7, 0).pdq, 49)), [], "too little to be seen in the asked one");
        assert_eq!(all.find(&asked(held(9, 0).pdq, 100)), [], "too little to be seen in the held one");
        assert_eq!(all.find(&asked(held(11, 0).pdq, 50)), near(11));
    }

    #[test]
    fn both_coarse_hashes_must_agree_and_the_stronger_likeness_is_told() {
        let mut all = Pictures::default().held.into_inner().unwrap();
        all.add(&[
            HeldHashes { dhash: 0b111, phash: 0b11, ..held(1, 60) },
            HeldHashes { dhash: 0, phash: 0x7FF, ..held(2, 60) },
            HeldHashes { dhash: 0, phash: 0, ..held(3, 9) },
            held(4, 60),
        ]);
        let mut hashes = asked(held(4, 0).pdq, 60);
        hashes.coarse[5] = Coarse { dhash: 0, phash: 0 };
        assert_eq!(
            all.find(&hashes),
            [
                (4, Likeness::NearDuplicate { distance: 0, symmetry: Symmetry::ALL[2] }),
                (1, Likeness::LooksAlike { dhash: 3, phash: 2, symmetry: Symmetry::ALL[5] }),
            ]
        );
    }
}
