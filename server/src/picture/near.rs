//! Finding all hashes within a few bits of a given one among very many, exactly.
//!
//! Multi-index hashing: the hash is cut into bands of 16 bits. Two hashes that differ in few bits differ in some
//! band by no more than their share, so that looking up each band with that much tolerance misses none.

/// Bits of one band.
const BAND_BITS: u32 = 16;
const BANDS_A_WORD: usize = 4;
const KEYS: usize = 1 << BAND_BITS;
/// How many hashes may wait outside the bands, compared one by one, before all are sorted in again.
const MIN_WAITING: usize = 2048;
/// Of what is sorted in, this part may wait.
const WAITING_PART: usize = 64;

/// Hashes of `WORDS` × 64 bits, numbered in the order in which they were added.
#[derive(Debug, Clone)]
pub struct Near<const WORDS: usize> {
    hashes: Vec<[u64; WORDS]>,
    bands: Vec<Band>,
    /// How many are sorted in.
    sorted: usize,
    limit: u32,
    /// What a band may differ by: all patterns of so few bits.
    masks: Vec<u16>,
}

/// The numbers of hashes, by the value of one band: those of value `k` lie from `starts[k]` to `starts[k + 1]`.
#[derive(Debug, Clone, Default)]
struct Band {
    starts: Vec<u32>,
    numbers: Vec<u32>,
}

/// One that is near.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// In how many bits it differs.
    pub distance: u32,
    pub number: u32,
}

impl<const WORDS: usize> Near<WORDS> {
    /// Nothing yet; finds hashes that differ in at most `limit` bits.
    #[must_use]
    pub fn within(limit: u32) -> Self {
        let tolerance = limit / (WORDS * BANDS_A_WORD) as u32;
        let masks = (0..=u16::MAX).filter(|mask| mask.count_ones() <= tolerance).collect();
        Self { hashes: Vec::new(), bands: Vec::new(), sorted: 0, limit, masks }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Adds a hash under the next number.
    pub fn add(&mut self, hash: [u64; WORDS]) {
        self.hashes.push(hash);
        if self.hashes.len() - self.sorted > MIN_WAITING.max(self.sorted / WAITING_PART) {
            self.sort_in();
        }
    }

    /// Adds many, sorting in once.
    pub fn extend(&mut self, hashes: impl IntoIterator<Item = [u64; WORDS]>) {
        self.hashes.extend(hashes);
        if self.hashes.len() - self.sorted > MIN_WAITING {
            self.sort_in();
        }
    }

    fn sort_in(&mut self) {
        self.sorted = self.hashes.len();
        self.bands = (0..WORDS * BANDS_A_WORD).map(|nth| Band::of(&self.hashes, nth)).collect();
    }

    /// All that differ from `hash` in no more bits than the limit, the nearest first.
    #[must_use]
    pub fn find(&self, hash: &[u64; WORDS]) -> Vec<Found> {
        // All candidates first, then all comparisons: short loops without surprises, so that the processor can
        // fetch many of them from memory at the same time.
        let mut candidates: Vec<u32> = Vec::new();
        for (nth, band) in self.bands.iter().enumerate() {
            let key = key(hash, nth);
            for mask in &self.masks {
                candidates.extend_from_slice(band.of_value(key ^ mask));
            }
        }
        let mut found: Vec<Found> = candidates
            .into_iter()
            .filter_map(|number| {
                let distance = apart(hash, self.hashes.get(number as usize)?, self.limit)?;
                Some(Found { distance, number })
            })
            .collect();
        let waiting = self.hashes.iter().enumerate().skip(self.sorted);
        found.extend(waiting.filter_map(|(number, other)| {
            Some(Found { distance: apart(hash, other, self.limit)?, number: u32::try_from(number).ok()? })
        }));
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl Band {
    /// Sorts by counting.
    fn of<const WORDS: usize>(hashes: &[[u64; WORDS]], nth: usize) -> Self {
        let mut starts = vec![0_u32; KEYS + 1];
        for hash in hashes {
            if let Some(count) = starts.get_mut(usize::from(key(hash, nth)) + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut next = starts.clone();
        let mut numbers = vec![0_u32; hashes.len()];
        for (number, hash) in (0_u32..).zip(hashes) {
            if let Some(at) = next.get_mut(usize::from(key(hash, nth))) {
                if let Some(place) = numbers.get_mut(*at as usize) {
                    *place = number;
                }
                *at += 1;
            }
        }
        Self { starts, numbers }
    }

    fn of_value(&self, value: u16) -> &[u32] {
        let at = usize::from(value);
        let range = self.starts.get(at).zip(self.starts.get(at + 1));
        range.and_then(|(from, to)| self.numbers.get(*from as usize..*to as usize)).unwrap_or_default()
    }
}

/// The value of a band.
fn key<const WORDS: usize>(hash: &[u64; WORDS], nth: usize) -> u16 {
    let word = hash.get(nth / BANDS_A_WORD).copied().unwrap_or_default();
    (word >> (nth % BANDS_A_WORD * BAND_BITS as usize)) as u16
}

/// In how many bits two hashes differ, if not in more than `limit`. Half of the words nearly always tell, and a test
/// that nearly always ends in the same way costs nothing.
fn apart<const WORDS: usize>(one: &[u64; WORDS], other: &[u64; WORDS], limit: u32) -> Option<u32> {
    let words = || one.iter().zip(other).map(|(one, other)| (one ^ other).count_ones());
    let half = WORDS.div_ceil(2);
    let first: u32 = words().take(half).sum();
    if first > limit {
        return None;
    }
    let distance = first + words().skip(half).sum::<u32>();
    (distance <= limit).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sequence that is the same in each run (splitmix64).
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ (mixed >> 31)
        }

        fn hash<const WORDS: usize>(&mut self) -> [u64; WORDS] {
            std::array::from_fn(|_| self.next())
        }

        /// `hash` with so many of its bits turned over.
        fn flipped<const WORDS: usize>(&mut self, hash: [u64; WORDS], bits: usize) -> [u64; WORDS] {
            let mut places: Vec<usize> = (0..WORDS * 64).collect();
            let mut changed = hash;
            for _ in 0..bits {
                let place = places.swap_remove(self.next() as usize % places.len());
                changed[place / 64] ^= 1 << (place % 64);
            }
            changed
        }
    }

    /// The index finds what looking at each one finds, whether all are sorted in or some still wait.
    fn agrees<const WORDS: usize>(limit: u32, seed: u64) {
        let mut numbers = Numbers(seed);
        let mut near = Near::<WORDS>::within(limit);
        let centres: Vec<[u64; WORDS]> = (0..20).map(|_| numbers.hash()).collect();
        let mut all = Vec::new();
        let mut hits = 0;
        for nth in 0..6_000 {
            let hash = match nth % 3 {
                // Anywhere; around a centre up to beyond the limit; in one corner, so that bands are crowded.
                0 => numbers.hash(),
                1 => {
                    let centre = centres[numbers.next() as usize % centres.len()];
                    let bits = numbers.next() as usize % (limit as usize * 3 / 2);
                    numbers.flipped(centre, bits)
                }
                _ => std::array::from_fn(|_| numbers.next() & 0x0101_0101_0101_0101),
            };
            near.add(hash);
            all.push(hash);
            if nth % 1_000 == 999 {
                for asked in centres.iter().chain(&all[nth - 9..=nth]) {
                    let mut expected: Vec<Found> = (0..)
                        .zip(&all)
                        .map(|(number, other)| {
                            let distance = asked.iter().zip(other).map(|(a, b)| (a ^ b).count_ones()).sum();
                            Found { distance, number }
                        })
                        .filter(|found| found.distance <= limit)
                        .collect();
                    expected.sort_unstable();
                    hits += expected.len();
                    assert_eq!(near.find(asked), expected, "{nth} of seed {seed}");
                }
            }
        }
        assert!(hits > 1_000, "{hits} is too little to compare");
    }

    #[test]
    fn the_index_finds_what_looking_at_each_finds() {
        for seed in 0..3 {
            agrees::<4>(31, seed);
            agrees::<1>(10, seed);
        }
    }

    #[test]
    fn the_last_bit_within_the_limit_is_found_and_the_next_is_not() {
        let mut numbers = Numbers(7);
        for _ in 0..200 {
            let hash: [u64; 4] = numbers.hash();
            let mut near = Near::<4>::within(31);
            near.extend((0..MIN_WAITING + 1).map(|_| numbers.hash()));
            near.add(numbers.flipped(hash, 31));
            near.add(numbers.flipped(hash, 32));
            near.sort_in();
            assert_eq!(near.find(&hash).iter().map(|found| found.distance).collect::<Vec<_>>(), [31]);
        }
    }
}
