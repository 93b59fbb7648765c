//! The draw: which shipments of a pool are checked. Pure, and the same for everybody who has the pool and the seed.
//!
//! Three ways lead in. Whoever is in the mandatory band is checked. A share of the capacity is drawn at random
//! from all the others, so that what the rules do not know is found, too, and hit rates can be estimated. What
//! capacity is left goes to the highest risk. Chance comes from the seed alone: each shipment has a ticket, the
//! SHA-256 of the seed, a zero byte and its key, and lower tickets come first.

use endcheck_protocol::digest::Sha256;
use serde::{Deserialize, Serialize};

use super::policy::Band;

/// 32 bytes, committed to in the log before the draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed(pub [u8; 32]);

impl Seed {
    /// # Errors
    /// When it is not 64 digits of hex.
    pub fn from_hex(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|e| format!("the seed is not 64 digits of hex: {e}"))?;
        Ok(Self(bytes))
    }

    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// What the log commits to before the draw: its SHA-256.
    #[must_use]
    pub fn commitment(&self) -> Sha256 {
        Sha256::of(&self.0)
    }
}

/// The place of a name in the seed's order of chance.
#[must_use]
pub fn ticket(seed: &Seed, name: &str) -> Sha256 {
    let mut bytes = Vec::with_capacity(33 + name.len());
    bytes.extend_from_slice(&seed.0);
    bytes.push(0);
    bytes.extend_from_slice(name.as_bytes());
    Sha256::of(&bytes)
}

/// A shipment that could be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The programme's key.
    pub shipment: String,
    /// SHA-256 of its assessment.
    pub assessment: Sha256,
    pub band: Band,
    pub points: i64,
}

impl Candidate {
    /// Its line of the pool; the pool is these lines, sorted by shipment.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}\t{}\t{}\t{}\n", self.shipment, self.assessment, self.band.as_str(), self.points)
    }
}

/// Why a shipment was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Its band is always checked.
    Mandatory,
    /// Drawn at random in its band.
    Random,
    /// The highest risk that the capacity allows.
    Risk,
}

/// A shipment that the draw chose. Fields in alphabetical order: their JSON is canonical as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Chosen {
    #[schema(value_type = String)]
    pub assessment: Sha256,
    pub band: Band,
    /// Place among those chosen the same way (and in the same band, at random), from 1.
    pub place: u64,
    pub points: i64,
    pub shipment: String,
    pub way: Way,
}

/// How many of a band were drawn at random.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Stratum {
    pub band: Band,
    pub drawn: u64,
    /// Shipments of the band in the pool.
    pub size: u64,
}

/// The outcome of a draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    pub chosen: Vec<Chosen>,
    /// In the order of [`Band::ALL`], the mandatory one left out.
    pub strata: Vec<Stratum>,
}

/// Draws from a pool sorted by shipment, each once.
///
/// All mandatory shipments are chosen even beyond the capacity, and they take nothing from the random share, which is
/// `random_percent` of the capacity, rounded up. It is spread over the bands: one for each that has a shipment, as far as
/// it goes, the rest by their size (largest remainders).
#[must_use]
pub fn draw(pool: &[Candidate], capacity: u64, random_percent: u64, seed: &Seed) -> Drawn {
    let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
    let mut order: Vec<(Sha256, &Candidate)> =
        pool.iter().map(|candidate| (ticket(seed, &candidate.shipment), candidate)).collect();
    order.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let (mut mandatory, mut others): (Vec<_>, Vec<_>) = order
        .into_iter()
        .map(|(_, candidate)| candidate)
        .partition(|candidate| candidate.band == Band::Mandatory);
    // The order of chance decides between equals, for the sorts are stable.
    mandatory.sort_by_key(|candidate| std::cmp::Reverse(candidate.points));

    let percent = usize::try_from(random_percent.min(100)).unwrap_or(0);
    let share = (capacity.saturating_mul(percent)).div_ceil(100).min(others.len());
    let bands = Band::ALL.into_iter().filter(|band| *band != Band::Mandatory);
    let sizes: Vec<(Band, usize)> =
        bands.map(|band| (band, others.iter().filter(|candidate| candidate.band == band).count())).collect();
    let shares = spread(share, &sizes.iter().map(|(_, size)| *size).collect::<Vec<_>>());

    let mut random = Vec::new();
    let mut strata = Vec::new();
    for ((band, size), drawn) in sizes.into_iter().zip(shares) {
        let of_band: Vec<&Candidate> =
            others.iter().filter(|candidate| candidate.band == band).take(drawn).copied().collect();
        random.extend(of_band.into_iter().enumerate());
        strata.push(Stratum { band, drawn: drawn as u64, size: size as u64 });
    }
    let taken: std::collections::HashSet<&str> =
        random.iter().map(|(_, candidate)| candidate.shipment.as_str()).collect();
    others.retain(|candidate| !taken.contains(candidate.shipment.as_str()));
    others.sort_by_key(|candidate| std::cmp::Reverse(candidate.points));
    others.truncate(capacity.saturating_sub(mandatory.len()).saturating_sub(random.len()));

    let chosen = |way: Way| {
        move |(place, candidate): (usize, &Candidate)| Chosen {
            assessment: candidate.assessment.clone(),
            band: candidate.band,
            place: place as u64 + 1,
            points: candidate.points,
            shipment: candidate.shipment.clone(),
            way,
        }
    };
    let chosen = mandatory
        .into_iter()
        .enumerate()
        .map(chosen(Way::Mandatory))
        .chain(others.into_iter().enumerate().map(chosen(Way::Risk)))
        .chain(random.into_iter().map(chosen(Way::Random)))
        .collect();
    Drawn { chosen, strata }
}

/// Spreads `share` over strata: one for each that has any, the largest first; the rest by size.
fn spread(share: usize, sizes: &[usize]) -> Vec<usize> {
    let mut by_size: Vec<usize> = (0..sizes.len()).collect();
    by_size.sort_by_key(|place| std::cmp::Reverse(sizes.get(*place).copied()));
    let mut shares = vec![0; sizes.len()];
    let mut left = share.min(sizes.iter().sum());
    for place in by_size {
        if let (Some(given), Some(size)) = (shares.get_mut(place), sizes.get(place)) {
            *given = left.min(*size).min(1);
            left -= *given;
        }
    }
    let remaining: Vec<usize> = sizes.iter().zip(&shares).map(|(size, given)| size - given).collect();
    let total: usize = remaining.iter().sum();
    if total == 0 {
        return shares;
    }
    let wanted = left;
    for (given, size) in shares.iter_mut().zip(&remaining) {
        let part = wanted * size / total;
        *given += part;
        left -= part;
    }
    // Largest remainders; of equals the earlier. Fewer are left than there are strata.
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|place| {
        std::cmp::Reverse(remaining.get(*place).map_or(0, |size| wanted * size % total))
    });
    for place in order.into_iter().take(left) {
        if let Some(given) = shares.get_mut(place) {
            *given += 1;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(bands: &[(Band, i64, usize)]) -> Vec<Candidate> {
        let mut pool = Vec::new();
        for (band, points, count) in bands {
            for number in 0..*count {
                let shipment = format!("SH-{}-{number:04}", band.as_str());
                let assessment = Sha256::of(shipment.as_bytes());
                pool.push(Candidate {
                    shipment,
                    assessment,
                    band: *band,
                    points: *points + number as i64 % 10,
                });
            }
        }
        pool.sort_by(|a, b| a.shipment.cmp(&b.shipment));
        pool
    }

    fn counts(drawn: &Drawn) -> (usize, usize, usize) {
        let count = |way| drawn.chosen.iter().filter(|chosen| chosen.way == way).count();
        (count(Way::Mandatory), count(Way::Risk), count(Way::Random))
    }

    #[test]
    fn mandatory_all_then_the_random_share_then_the_highest_risk() {
        let pool = pool(&[
            (Band::Mandatory, 90, 4),
            (Band::High, 60, 30),
            (Band::Medium, 30, 100),
            (Band::Low, 0, 400),
        ]);
        let drawn = draw(&pool, 40, 20, &Seed([1; 32]));
        assert_eq!(counts(&drawn), (4, 28, 8));
        let strata: Vec<_> = drawn.strata.iter().map(|s| (s.band, s.drawn, s.size)).collect();
        assert_eq!(strata, [(Band::High, 1, 30), (Band::Medium, 2, 100), (Band::Low, 5, 400)]);
        let risk: Vec<_> = drawn.chosen.iter().filter(|c| c.way == Way::Risk).collect();
        assert!(risk.iter().all(|c| c.band == Band::High), "high risk first");
        assert!(risk.windows(2).all(|pair| pair[0].points >= pair[1].points));
        let mut keys: Vec<_> = drawn.chosen.iter().map(|c| &c.shipment).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), drawn.chosen.len(), "each once");
    }

    #[test]
    fn mandatory_ones_go_beyond_the_capacity_and_take_nothing_from_chance() {
        let pool = pool(&[(Band::Mandatory, 90, 50), (Band::Low, 0, 100)]);
        assert_eq!(counts(&draw(&pool, 10, 20, &Seed([1; 32]))), (50, 0, 2));
        assert_eq!(counts(&draw(&pool, 0, 20, &Seed([1; 32]))), (50, 0, 0));
        assert_eq!(counts(&draw(&[], 10, 20, &Seed([1; 32]))), (0, 0, 0));
    }

    #[test]
    fn another_seed_draws_others_and_the_same_seed_the_same() {
        let pool = pool(&[(Band::Medium, 30, 300), (Band::Low, 0, 300)]);
        let one = draw(&pool, 50, 100, &Seed([1; 32]));
        assert_eq!(one, draw(&pool, 50, 100, &Seed([1; 32])));
        assert_ne!(one, draw(&pool, 50, 100, &Seed([2; 32])));
        assert_eq!(counts(&one), (0, 0, 50));
    }

    /// Every shipment of a band has the same chance.
    #[test]
    fn chance_is_fair_within_a_band() {
        let pool = pool(&[(Band::Low, 0, 20)]);
        let mut hits = std::collections::BTreeMap::new();
        for round in 0..2_000_u32 {
            let mut seed = [0; 32];
            seed[..4].copy_from_slice(&round.to_le_bytes());
            for chosen in draw(&pool, 5, 100, &Seed(seed)).chosen {
                *hits.entry(chosen.shipment).or_insert(0) += 1;
            }
        }
        // 500 expected, a standard deviation of 19.
        assert!(hits.len() == 20 && hits.values().all(|hits| (400..600).contains(hits)), "{hits:?}");
    }

    #[test]
    fn a_share_is_spread_by_size_and_no_band_is_forgotten() {
        assert_eq!(spread(10, &[1, 9, 90]), [1, 2, 7]);
        assert_eq!(spread(2, &[1, 9, 90]), [0, 1, 1]);
        assert_eq!(spread(200, &[1, 9, 90]), [1, 9, 90]);
        assert_eq!(spread(5, &[2, 0, 1]), [2, 0, 1]);
        assert_eq!(spread(0, &[2, 3, 4]), [0, 0, 0]);
    }
}
