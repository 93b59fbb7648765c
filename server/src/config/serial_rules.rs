//! By when a serial is to be seen, and which tier it belongs to: the programme's settings, each with its legal
//! basis. Reads and checks them; knows no serial.

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::record::VerificationMethod;
use serde::{Deserialize, Serialize};

/// The rules as shipped.
const SHIPPED: &str = include_str!("../../serial-rules.toml");

/// Longest span of a clock, in days.
const MAX_DAYS: u32 = 3660;

/// How much time a programme gives for what is done about a serial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SerialClock {
    pub name: String,
    /// Tiers that it holds for; all where none is named.
    #[serde(default)]
    pub tiers: Vec<u8>,
    /// Beginnings of control entries that it holds for, `?` for any one character; all where none is named.
    #[serde(default)]
    pub control_entries: Vec<String>,
    /// Authorities that licensed the goods, as the licences name them: each runs a programme of its own. All where none
    /// is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorities: Vec<String>,
    /// Days after arrival, after a transfer and after it was found again, in which it is to be seen.
    pub first_days: u32,
    /// Days after it was last seen, in which it is to be seen again.
    pub then_days: u32,
    /// Days before the due date at which the routine check of its shipment is opened.
    pub lead_days: u32,
    /// Days after a loss in which it is to be reported; later is late.
    pub report_days: u32,
    /// Days after an accepted report of a loss or theft, in which one is to have looked for it.
    pub search_days: u32,
    /// Verification methods that count as seen. Papers and the host's own word never do.
    pub seen_by: Vec<VerificationMethod>,
    /// Where it is written, in words that may be quoted to the host.
    pub basis: String,
}

/// Which control entries belong to a tier; 1 is the most sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SerialTier {
    pub tier: u8,
    /// Beginnings of control entries, `?` for any one character; all where none is named.
    pub control_entries: Vec<String>,
}

/// The clocks and tiers that are in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SerialRules {
    pub serial_clock: Vec<SerialClock>,
    pub serial_tier: Vec<SerialTier>,
}

impl SerialRules {
    /// The clocks and tiers given; the shipped ones where none are.
    ///
    /// # Errors
    /// Names the clock or tier that cannot be used, and why.
    pub fn new(clocks: &[SerialClock], tiers: &[SerialTier]) -> anyhow::Result<Self> {
        let mut rules: Self = toml::from_str(SHIPPED)
            .map_err(|e| anyhow::anyhow!("the shipped rules of serials cannot be read: {e}"))?;
        if !clocks.is_empty() {
            rules.serial_clock = clocks.to_vec();
        }
        if !tiers.is_empty() {
            rules.serial_tier = tiers.to_vec();
        }
        rules.check()?;
        Ok(rules)
    }

    fn check(&self) -> anyhow::Result<()> {
        for clock in &self.serial_clock {
            let name = &clock.name;
            let spans =
                [clock.first_days, clock.then_days, clock.lead_days, clock.report_days, clock.search_days];
            anyhow::ensure!(
                spans.iter().all(|days| (1..=MAX_DAYS).contains(days)),
                "[[serial_clock]] {name:?}: each span takes 1 to {MAX_DAYS} days"
            );
            anyhow::ensure!(
                clock.basis.trim().chars().count() >= 10,
                "[[serial_clock]] {name:?}: basis is to say on what legal basis the clock runs"
            );
            anyhow::ensure!(
                clock.authorities.iter().all(|authority| !authority.trim().is_empty()),
                "[[serial_clock]] {name:?}: authorities takes names as the licences write them, not blanks"
            );
            let hearsay = [VerificationMethod::HostSelfReport, VerificationMethod::Documentary];
            anyhow::ensure!(
                !clock.seen_by.is_empty() && !clock.seen_by.iter().any(|method| hearsay.contains(method)),
                "[[serial_clock]] {name:?}: seen_by takes in-person, third-party and virtual; papers and the \
                 host's own word never count as seen"
            );
        }
        let last = self.serial_clock.last();
        anyhow::ensure!(
            last.is_some_and(|clock| {
                clock.tiers.is_empty() && clock.control_entries.is_empty() && clock.authorities.is_empty()
            }),
            "the last [[serial_clock]] must name no tiers, control_entries and authorities, so that it fits every \
             serial"
        );
        anyhow::ensure!(
            self.serial_tier.iter().all(|tier| (1..=9).contains(&tier.tier)),
            "[[serial_tier]]: a tier is a number from 1 to 9"
        );
        anyhow::ensure!(
            self.serial_tier.last().is_some_and(|tier| tier.control_entries.is_empty()),
            "the last [[serial_tier]] must name no control_entries, so that it fits every serial"
        );
        Ok(())
    }

    /// The tier of a control entry, 1 being the most sensitive.
    #[must_use]
    pub fn tier(&self, control_entry: &str) -> u8 {
        let fitting = self.serial_tier.iter().find(|tier| fits_any(&tier.control_entries, control_entry));
        fitting.map_or(9, |tier| tier.tier)
    }

    /// The clock of a serial. There always is one: the last fits everything.
    #[must_use]
    pub fn clock(&self, tier: u8, control_entry: &str, authority: &str) -> Option<&SerialClock> {
        self.serial_clock.iter().find(|clock| {
            (clock.tiers.is_empty() || clock.tiers.contains(&tier))
                && fits_any(&clock.control_entries, control_entry)
                && (clock.authorities.is_empty()
                    || clock.authorities.iter().any(|one| is_same_name(one, authority)))
        })
    }

    /// Authorities that a clock names and none of `licensing` is: written wrongly, or with no licence yet.
    #[must_use]
    pub fn strangers(&self, licensing: &[String]) -> Vec<&str> {
        let named = self.serial_clock.iter().flat_map(|clock| &clock.authorities);
        named
            .filter(|one| !licensing.iter().any(|other| is_same_name(one, other)))
            .map(String::as_str)
            .collect()
    }

    /// The rules as they are kept, and their hash: what a state says it was judged by.
    ///
    /// # Errors
    /// When they have no JSON form.
    pub fn document(&self) -> anyhow::Result<(String, Sha256)> {
        let text = serde_json::to_string(self)?;
        let hash = Sha256::of(text.as_bytes());
        Ok((text, hash))
    }
}

/// Whether two names are one, but for case and blanks.
fn is_same_name(one: &str, other: &str) -> bool {
    let words = |name: &str| name.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    words(one) == words(other)
}

fn fits_any(patterns: &[String], entry: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| begins(entry, pattern))
}

/// Whether `entry` begins as `pattern` says.
fn begins(entry: &str, pattern: &str) -> bool {
    let mut entry = entry.chars();
    pattern.chars().all(|wanted| entry.next().is_some_and(|c| wanted == '?' || wanted == c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rules_put_each_entry_into_a_tier() {
        let rules = SerialRules::new(&[], &[]).unwrap();
        for (entry, tier) in [
            ("0A001", 1),
            ("3A101", 1),
            ("2B201", 1),
            ("1C350", 1),
            ("1C450", 1),
            ("ML4", 1),
            ("3A001.b.4", 2),
            ("5A002", 2),
            ("3B001", 3),
            ("2B001", 3),
            ("x", 3),
            ("", 3),
        ] {
            assert_eq!(rules.tier(entry), tier, "{entry}");
            let clock = rules.clock(tier, entry, "BAFA").unwrap();
            assert_eq!((clock.first_days, clock.then_days), (90, 365));
        }
    }

    #[test]
    fn the_first_clock_that_fits_counts() {
        let standard = SerialRules::new(&[], &[]).unwrap().serial_clock.pop().unwrap();
        let night = SerialClock {
            name: "night vision".into(),
            control_entries: vec!["6A00".into()],
            then_days: 180,
            ..standard.clone()
        };
        let first = SerialClock { name: "tier 1".into(), tiers: vec![1], then_days: 90, ..standard.clone() };
        let abroad = SerialClock {
            name: "abroad".into(),
            authorities: vec!["Other über Authority".into()],
            ..standard.clone()
        };
        let rules = SerialRules::new(&[night, abroad, first, standard], &[]).unwrap();
        for (entry, authority, name) in [
            ("6A002", "BAFA", "night vision"),
            ("3A101", "BAFA", "tier 1"),
            ("5A001", "BAFA", "standard"),
            ("3A101", " other  ÜBER authority", "abroad"),
            ("6A002", "Other über Authority", "night vision"),
        ] {
            assert_eq!(
                rules.clock(rules.tier(entry), entry, authority).unwrap().name,
                name,
                "{entry} {authority}"
            );
        }
    }

    #[test]
    fn authorities_that_license_nothing_are_named() {
        let standard = SerialRules::new(&[], &[]).unwrap().serial_clock.pop().unwrap();
        let authorities = vec!["BAFA".to_owned(), "Bundesamt".to_owned()];
        let own = SerialClock { authorities, ..standard.clone() };
        let rules = SerialRules::new(&[own, standard], &[]).unwrap();
        assert_eq!(rules.strangers(&["bafa".to_owned(), "SECO".to_owned()]), ["Bundesamt"]);
    }

    #[test]
    fn rules_that_cannot_be_used_are_refused_by_name() {
        let good = SerialRules::new(&[], &[]).unwrap().serial_clock.pop().unwrap();
        let with = |change: fn(&mut SerialClock)| {
            let mut clock = good.clone();
            change(&mut clock);
            SerialRules::new(&[clock], &[]).unwrap_err().to_string()
        };
        assert!(with(|clock| clock.then_days = 0).contains("1 to 3660"));
        assert!(with(|clock| clock.basis = " ".into()).contains("legal basis"));
        assert!(with(|clock| clock.seen_by.push(VerificationMethod::HostSelfReport)).contains("never"));
        assert!(with(|clock| clock.seen_by = vec![VerificationMethod::Documentary]).contains("never"));
        assert!(with(|clock| clock.tiers = vec![1]).contains("fits every serial"));
        assert!(with(|clock| clock.authorities = vec![" ".into()]).contains("not blanks"));
        assert!(with(|clock| clock.authorities = vec!["BAFA".into()]).contains("fits every serial"));
        let tier = SerialTier { tier: 1, control_entries: vec!["0".into()] };
        assert!(SerialRules::new(&[], &[tier]).unwrap_err().to_string().contains("fits every serial"));
    }
}
