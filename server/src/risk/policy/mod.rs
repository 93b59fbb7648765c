//! A risk policy: an immutable document that says which facts count how much, and how checks are chosen.
//! Pure: reads the document, refuses what is wrong with rule, line and reason.
//!
//! The document is TOML, so that a lawyer can read it; its identity is the SHA-256 of its bytes.

mod difference;
mod document;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use endcheck_protocol::digest::Sha256;
use serde::{Deserialize, Serialize};

use super::facts::{FactValue, VOCABULARY};
use super::language::Condition;
pub use difference::differences;
use document::{Document, Reader};

/// Largest policy document, in bytes.
pub const MAX_POLICY_BYTES: usize = 1 << 20;

/// How closely a shipment is followed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Band {
    Mandatory,
    High,
    Medium,
    Low,
}

impl Band {
    /// From the closest followed to the least.
    pub const ALL: [Self; 4] = [Self::Mandatory, Self::High, Self::Medium, Self::Low];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mandatory => "mandatory",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|band| band.as_str() == word)
    }
}

/// The lowest points of each band; what has fewer is low.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BandPoints {
    pub mandatory: i64,
    pub high: i64,
    pub medium: i64,
}

/// A number for each band.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PerBand {
    pub mandatory: u32,
    pub high: u32,
    pub medium: u32,
    pub low: u32,
}

impl PerBand {
    #[must_use]
    pub fn of(self, band: Band) -> u32 {
        match band {
            Band::Mandatory => self.mandatory,
            Band::High => self.high,
            Band::Medium => self.medium,
            Band::Low => self.low,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SelectionRules {
    /// Share of the capacity that is drawn at random.
    pub random_percent: u64,
}

/// How many items of a shipment are to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    pub confidence_percent: u64,
    /// The share of items not as declared that the sample is to find.
    pub defect_percent: PerBand,
}

/// A rule of a policy that was read.
#[derive(Debug)]
pub struct Rule {
    pub id: String,
    /// As it is written.
    pub when: String,
    pub condition: Condition,
    pub points: i64,
    /// The cap group, a key of [`Policy::caps`].
    pub cap: Option<String>,
    /// Points where a fact that it needs is not known.
    pub if_missing: i64,
    /// The sentence for whoever is checked; `{fact}` stands for the fact's value.
    pub reason: String,
    /// Whether the sentence may leave headquarters; where not, it is only said that there are further reasons.
    pub shown: bool,
    /// Puts the shipment into the mandatory band whatever its points.
    pub mandatory: bool,
    /// The rule counts up to and including this day.
    pub review_by: Option<NaiveDate>,
}

/// An example that the policy brings along: what these facts must come to.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    pub facts: BTreeMap<String, FactValue>,
    pub points: i64,
    pub band: Band,
}

/// A policy that was read and found whole.
#[derive(Debug)]
pub struct Policy {
    pub hash: Sha256,
    pub id: String,
    pub version: i64,
    pub title: String,
    pub legal_basis: String,
    /// The policy selects up to and including this day.
    pub review_by: NaiveDate,
    pub bands: BandPoints,
    pub due_days: PerBand,
    pub selection: SelectionRules,
    pub sampling: Sampling,
    /// The most that the rules of a group may add together, either way.
    pub caps: BTreeMap<String, i64>,
    pub rules: Vec<Rule>,
    pub cases: Vec<Case>,
    groups_of: BTreeMap<String, Vec<String>>,
    tiers: BTreeMap<String, i64>,
    hs_tiers: BTreeMap<String, i64>,
}

/// Something wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct PolicyFault {
    /// Line of the document, from 1.
    pub line: usize,
    /// The rule that it is about, if it is about one.
    pub rule: Option<String>,
    pub message: String,
}

impl std::fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.rule {
            Some(rule) => write!(f, "line {}, rule {rule}: {}", self.line, self.message),
            None => write!(f, "line {}: {}", self.line, self.message),
        }
    }
}

impl Policy {
    /// Reads a document.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of its lines.
    pub fn read(document: &[u8]) -> Result<Self, Vec<PolicyFault>> {
        let one = |line, message: String| vec![PolicyFault { line, rule: None, message }];
        if document.len() > MAX_POLICY_BYTES {
            return Err(one(1, format!("it has {} bytes; {MAX_POLICY_BYTES} are allowed", document.len())));
        }
        let text = std::str::from_utf8(document).map_err(|e| one(1, format!("it is not UTF-8: {e}")))?;
        let line_at = |offset: usize| 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
        let written: Document = toml::from_str(text)
            .map_err(|e| one(e.span().map_or(1, |span| line_at(span.start)), e.message().to_owned()))?;
        Reader::new(&line_at).policy(written, Sha256::of(document))
    }

    /// The country groups that a country is in, sorted.
    #[must_use]
    pub fn groups_of(&self, country: &str) -> &[String] {
        self.groups_of.get(country).map_or(&[], Vec::as_slice)
    }

    /// The tier of a control entry: that of the longest listed entry that it is or stands below; 0 in none.
    #[must_use]
    pub fn tier(&self, control_entry: &str) -> i64 {
        let mut entry = control_entry.trim();
        loop {
            if let Some(tier) = self.tiers.get(entry) {
                return *tier;
            }
            match entry.rsplit_once('.') {
                Some((above, _)) => entry = above,
                None => return 0,
            }
        }
    }

    /// The tier of an HS code; 0 in none.
    #[must_use]
    pub fn hs_tier(&self, hs6: &str) -> i64 {
        self.hs_tiers.get(hs6).copied().unwrap_or(0)
    }

    /// The band of so many points.
    #[must_use]
    pub fn band(&self, points: i64) -> Band {
        match points {
            points if points >= self.bands.mandatory => Band::Mandatory,
            points if points >= self.bands.high => Band::High,
            points if points >= self.bands.medium => Band::Medium,
            _ => Band::Low,
        }
    }

    /// Whether it may no longer select on this day.
    #[must_use]
    pub fn is_expired(&self, on: NaiveDate) -> bool {
        on > self.review_by
    }
}

/// A reason with the facts filled in; one that is not known reads "not known".
#[must_use]
pub fn fill(template: &str, facts: &BTreeMap<String, FactValue>) -> String {
    VOCABULARY.iter().fold(template.to_owned(), |text, fact| {
        let slot = format!("{{{}}}", fact.name);
        if text.contains(&slot) {
            let value = facts.get(fact.name).map_or_else(|| "not known".to_owned(), ToString::to_string);
            text.replace(&slot, &value)
        } else {
            text
        }
    })
}
