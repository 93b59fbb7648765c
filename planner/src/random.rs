//! Random numbers that are the same everywhere: xoshiro256++ seeded by SplitMix64 (Blackman and Vigna, 2019).
//! Not for secrets.

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut from = seed;
        let mut next = || {
            from = from.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = from;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        Self { state: [next(), next(), next(), next()] }
    }

    /// The next 64 bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let shifted = b << 17;
        let c2 = c ^ a;
        let d2 = d ^ b;
        self.state = [a ^ d2, b ^ c2, c2 ^ shifted, d2.rotate_left(45)];
        result
    }

    /// A number below `bound`; 0 where `bound` is 0.
    #[inline]
    pub fn below(&mut self, bound: usize) -> usize {
        // The high half of a product (Lemire): off by less than one in 2^32 for bounds of our size.
        (((self.bits() >> 32) * bound as u64) >> 32) as usize
    }

    /// A number in [0, 1).
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// True in `per_65536` of 65,536 cases.
    #[inline]
    pub fn chance(&mut self, per_65536: u64) -> bool {
        self.bits() >> 48 < per_65536
    }

    /// Puts the items in a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_seed_gives_its_stream_and_no_other() {
        let take = |seed| {
            let mut random = Random::new(seed);
            (random.bits(), random.below(1000), random.chance(32768))
        };
        assert_eq!(take(7), take(7));
        assert_ne!(take(7).0, take(8).0);
        let mut random = Random::new(1);
        assert!((0..10_000).all(|_| random.below(7) < 7 && random.unit() < 1.0));
        assert_eq!(random.below(0), 0);
    }
}
