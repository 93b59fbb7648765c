//! The world of the simulation: parties, shipments, diversions, and what checks find. Diversions follow risk as a policy
//! sees it, but for a part that no rule knows: from the third year on some come from parties that look harmless.

use std::collections::HashSet;

use chrono::NaiveDate;
use endcheck_protocol::digest::Sha256;
use endcheck_server::risk::assess::Assessor;
use endcheck_server::risk::draw::{self, Candidate, Seed, ticket};
use endcheck_server::risk::facts::{FactValue, Facts};
use endcheck_server::risk::policy::{Band, Policy};

const PARTIES: usize = 6_000;
/// How likely a check finds a diversion that there is.
const DETECTION: f64 = 0.8;

/// A way of choosing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Endcheck,
    Random,
    MostPoints,
}

impl Method {
    pub const ALL: [Self; 3] = [Self::Endcheck, Self::Random, Self::MostPoints];

    pub fn name(self) -> &'static str {
        match self {
            Self::Endcheck => "mandatory, 20 % by chance, rest by risk",
            Self::Random => "all by chance",
            Self::MostPoints => "all by most points",
        }
    }
}

/// What came of a year.
#[derive(Debug, Clone)]
pub struct Year {
    pub checks: usize,
    pub found: usize,
    pub diverted: usize,
    /// Diversions by parties that no rule knows anything of.
    pub found_new: usize,
    pub diverted_new: usize,
    /// Share of the parties that were checked at least once so far.
    pub reached: f64,
    /// What the checks say about the rate of diversions among all shipments that can be drawn, if they can say
    /// anything: from those drawn by chance, weighted by band; without any from all checks.
    pub estimate: Option<f64>,
}

struct Party {
    country: &'static str,
    kind: &'static str,
    registered: bool,
    known_since: i64,
    /// How inclined it is to divert, from 0 to 1.
    inclined: f64,
    /// Inclined although nothing speaks for it.
    hidden: bool,
    favourable: i64,
    unfavourable: i64,
}

/// Countries with how many parties are in each.
const COUNTRIES: [(&str, u64); 12] = [
    ("DE", 18),
    ("FR", 12),
    ("JP", 10),
    ("KR", 9),
    ("IN", 9),
    ("BR", 7),
    ("AE", 7),
    ("TR", 7),
    ("AM", 5),
    ("KG", 5),
    ("CN", 8),
    ("VN", 3),
];
const GOODS: [(&str, &str, u64); 6] = [
    ("2B999", "845931", 22),
    ("3A991", "854231", 24),
    ("4A994", "847150", 20),
    ("5A992", "851762", 18),
    ("2B001", "845710", 14),
    ("1C350", "292090", 2),
];

pub struct World {
    random: fastrand::Rng,
    parties: Vec<Party>,
    reached: HashSet<usize>,
}

struct Shipment {
    key: String,
    party: usize,
    facts: Facts,
    diverted: bool,
    hidden: bool,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let parties = (0..PARTIES)
            .map(|_| {
                let country = weighted(&mut random, &COUNTRIES.map(|(name, weight)| (name, weight)));
                let of_concern = ["AE", "TR", "AM", "KG", "CN"].contains(&country);
                let registered = random.f64() < 0.85;
                let known_since = random.i64(-60..36);
                let mut inclined = if of_concern { 0.08 } else { 0.01 };
                if !registered {
                    inclined += 0.10;
                }
                let hidden = random.f64() < 0.03;
                if random.f64() > 0.25 && !hidden {
                    inclined *= 0.1;
                }
                Party {
                    country,
                    kind: if random.f64() < 0.8 { "company" } else { "university" },
                    registered,
                    known_since,
                    inclined,
                    hidden,
                    favourable: 0,
                    unfavourable: 0,
                }
            })
            .collect();
        Self { random, parties, reached: HashSet::new() }
    }

    /// Plays the years.
    ///
    /// # Errors
    /// When the policy cannot assess what the world makes.
    pub fn play(
        mut self,
        policy: &Policy,
        method: Method,
        years: usize,
        shipments: usize,
        capacity: u64,
    ) -> anyhow::Result<Vec<Year>> {
        (0..years).map(|year| self.year(policy, method, year, shipments, capacity)).collect()
    }

    fn year(
        &mut self,
        policy: &Policy,
        method: Method,
        year: usize,
        count: usize,
        capacity: u64,
    ) -> anyhow::Result<Year> {
        let on = NaiveDate::from_ymd_opt(2026, 12, 31).unwrap_or_default();
        let assessor = Assessor::new(policy);
        let mut shipments = Vec::with_capacity(count);
        let mut pool = Vec::with_capacity(count);
        for number in 0..count {
            let shipment = self.ship(policy, year, number).map_err(|e| anyhow::anyhow!(e))?;
            let assessed =
                assessor.assess(&shipment.key, &shipment.facts, on).map_err(|e| anyhow::anyhow!(e))?;
            pool.push(Candidate {
                shipment: shipment.key.clone(),
                assessment: Sha256::of(shipment.key.as_bytes()),
                band: assessed.band,
                points: assessed.points,
            });
            shipments.push(shipment);
        }
        let seed =
            Seed(*Sha256::of(format!("year {year}").as_bytes()).to_bytes().first_chunk().unwrap_or(&[0; 32]));
        let chosen = choose(method, &pool, capacity, policy.selection.random_percent, &seed);
        Ok(self.check(&shipments, &pool, &chosen))
    }

    fn ship(&mut self, policy: &Policy, year: usize, number: usize) -> Result<Shipment, String> {
        let place = self.random.usize(..self.parties.len());
        let goods = weighted(&mut self.random, &GOODS.map(|(entry, hs6, weight)| ((entry, hs6), weight)));
        let through_forwarder = self.random.f64() < 0.3;
        let (chance, transit, flagged) = (self.random.f64(), self.random.f64(), self.random.f64());
        let party = self.parties.get(place).ok_or("a party is missing")?;
        let mut inclined =
            party.inclined * if goods.1.starts_with("8542") || goods.1 == "851762" { 1.6 } else { 0.8 };
        let from_hidden = party.hidden && year >= 2;
        if from_hidden {
            inclined += 0.25;
        }
        let diverted = chance < inclined;
        let mut facts = Facts::default();
        let text = |text: &str| FactValue::Text(text.to_owned());
        let transit: Vec<String> =
            if through_forwarder && transit < 0.4 { vec!["AE".to_owned()] } else { Vec::new() };
        let transit_groups = transit.iter().flat_map(|country| policy.groups_of(country)).cloned().collect();
        // A diversion is more often flagged than anything else, and seldom flagged at all.
        let flags = if flagged < if diverted && !from_hidden { 0.15 } else { 0.02 } {
            vec!["vague_delivery".to_owned()]
        } else {
            Vec::new()
        };
        let known = (i64::try_from(year).unwrap_or(0) * 12 - party.known_since).max(0);
        for (name, value) in [
            ("control_entry", text(goods.0)),
            ("item_tier", FactValue::Number(policy.tier(goods.0))),
            ("hs6", text(goods.1)),
            ("hs_tier", FactValue::Number(policy.hs_tier(goods.1))),
            ("conditions", FactValue::Number(1)),
            ("destination", text(party.country)),
            ("destination_groups", FactValue::Words(policy.groups_of(party.country).to_vec())),
            ("intermediates", FactValue::Number(i64::try_from(transit.len()).unwrap_or(0))),
            ("transit", FactValue::Words(transit)),
            ("transit_groups", FactValue::Words(transit_groups)),
            ("end_user_kind", text(party.kind)),
            ("end_user_registered", FactValue::Flag(party.registered)),
            ("end_user_months_known", FactValue::Number(known)),
            ("end_user_favourable", FactValue::Number(party.favourable)),
            ("end_user_unfavourable", FactValue::Number(party.unfavourable)),
            ("end_user_unverified", FactValue::Number(0)),
            ("end_user_denied", FactValue::Number(0)),
            ("end_user_denied_by_state", FactValue::Number(0)),
            ("end_user_is_consignee", FactValue::Flag(!through_forwarder)),
            ("consignee_unfavourable", FactValue::Number(0)),
            ("consignee_denied", FactValue::Number(0)),
            ("exporter_unfavourable", FactValue::Number(0)),
            ("red_flags", FactValue::Words(flags)),
            ("tips", FactValue::Number(0)),
            ("months_since_arrival", FactValue::Number(3)),
        ] {
            facts.set(name, value)?;
        }
        let key = format!("Y{year}-{number:05}");
        Ok(Shipment { key, party: place, facts, diverted, hidden: from_hidden })
    }

    /// What the checks find, and what is learnt from it about the parties.
    fn check(&mut self, shipments: &[Shipment], pool: &[Candidate], chosen: &[(usize, bool)]) -> Year {
        let mut found = 0;
        let mut found_new = 0;
        // By band: drawn by chance, and of these how many were diverted as far as the check saw.
        let mut drawn = [(0_usize, 0_usize); 4];
        for (place, by_chance) in chosen {
            let (Some(shipment), Some(candidate)) = (shipments.get(*place), pool.get(*place)) else {
                continue;
            };
            let seen = shipment.diverted && self.random.f64() < DETECTION;
            found += usize::from(seen);
            found_new += usize::from(seen && shipment.hidden);
            self.reached.insert(shipment.party);
            if let Some(party) = self.parties.get_mut(shipment.party) {
                party.unfavourable += i64::from(seen);
                party.favourable += i64::from(!seen);
            }
            if *by_chance && let Some((checks, hits)) = drawn.get_mut(index(candidate.band)) {
                *checks += 1;
                *hits += usize::from(seen);
            }
        }
        let mut sizes = [0_usize; 4];
        for candidate in pool {
            if let Some(size) = sizes.get_mut(index(candidate.band)) {
                *size += 1;
            }
        }
        let weighted: f64 = sizes
            .iter()
            .zip(drawn)
            .filter(|(_, (checks, _))| *checks > 0)
            .map(|(size, (checks, hits))| *size as f64 * hits as f64 / checks as f64)
            .sum();
        let covered: usize =
            sizes.iter().zip(drawn).filter(|(_, (checks, _))| *checks > 0).map(|(size, _)| size).sum();
        let estimate = if covered > 0 {
            Some(weighted / covered as f64 / DETECTION)
        } else if chosen.is_empty() {
            None
        } else {
            Some(found as f64 / chosen.len() as f64 / DETECTION)
        };
        Year {
            checks: chosen.len(),
            found,
            found_new,
            diverted: shipments.iter().filter(|shipment| shipment.diverted).count(),
            diverted_new: shipments.iter().filter(|shipment| shipment.diverted && shipment.hidden).count(),
            reached: self.reached.len() as f64 / self.parties.len() as f64,
            estimate,
        }
    }
}

fn index(band: Band) -> usize {
    Band::ALL.iter().position(|one| *one == band).unwrap_or(0)
}

/// Positions in the pool, and whether each was drawn by chance.
fn choose(
    method: Method,
    pool: &[Candidate],
    capacity: u64,
    random_percent: u64,
    seed: &Seed,
) -> Vec<(usize, bool)> {
    let room = usize::try_from(capacity).unwrap_or(usize::MAX);
    let mut order: Vec<usize> = (0..pool.len()).collect();
    order.sort_by_cached_key(|place| pool.get(*place).map(|candidate| ticket(seed, &candidate.shipment)));
    match method {
        Method::Random => order.into_iter().take(room).map(|place| (place, true)).collect(),
        Method::MostPoints => {
            order.sort_by_key(|place| std::cmp::Reverse(pool.get(*place).map(|candidate| candidate.points)));
            order.into_iter().take(room).map(|place| (place, false)).collect()
        }
        Method::Endcheck => {
            let places: std::collections::HashMap<&str, usize> = pool
                .iter()
                .enumerate()
                .map(|(place, candidate)| (candidate.shipment.as_str(), place))
                .collect();
            let drawn = draw::draw(pool, capacity, random_percent, seed);
            drawn
                .chosen
                .iter()
                .filter_map(|one| Some((*places.get(one.shipment.as_str())?, one.way == draw::Way::Random)))
                .collect()
        }
    }
}

fn weighted<T: Copy, const N: usize>(random: &mut fastrand::Rng, of: &[(T, u64); N]) -> T {
    let total: u64 = of.iter().map(|(_, weight)| weight).sum();
    let mut place = random.u64(..total.max(1));
    for (value, weight) in of {
        if place < *weight {
            return *value;
        }
        place -= weight;
    }
    of[0].0
}
