//! A risk policy: an immutable document that says which facts count how much, and how checks are chosen.
//! Pure: reads the document, refuses what is wrong with rule, line and reason.
//!
//! The document is TOML, so that a lawyer can read it; its identity is the SHA-256 of its bytes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use endcheck_protocol::digest::Sha256;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::facts::{FactValue, VOCABULARY, VOCABULARY_VERSION, position};
use super::language::Condition;

/// Largest policy document, in bytes.
pub const MAX_POLICY_BYTES: usize = 1 << 20;
const MAX_RULES: usize = 200;
/// Most points that one rule may give, either way.
const MAX_POINTS: i64 = 1_000;

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

/// The document, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    id: String,
    version: Spanned<i64>,
    facts: Spanned<i64>,
    title: String,
    legal_basis: String,
    review_by: Spanned<String>,
    bands: BandPoints,
    due_days: PerBand,
    selection: SelectionRules,
    sampling: Sampling,
    #[serde(default)]
    groups: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    tier: Vec<Tier>,
    #[serde(default)]
    hs_tier: Vec<HsTier>,
    #[serde(default)]
    caps: BTreeMap<String, Spanned<i64>>,
    #[serde(default)]
    rule: Vec<RuleEntry>,
    #[serde(default)]
    case: Vec<CaseEntry>,
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tier {
    tier: Spanned<i64>,
    /// Entries of the control list; one stands for all that are below it.
    entries: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HsTier {
    tier: Spanned<i64>,
    hs6: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    id: Spanned<String>,
    when: Spanned<String>,
    points: Spanned<i64>,
    cap: Option<Spanned<String>>,
    if_missing: Spanned<i64>,
    reason: Spanned<String>,
    #[serde(default)]
    mandatory: bool,
    review_by: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseEntry {
    name: String,
    facts: Spanned<BTreeMap<String, FactValue>>,
    points: i64,
    band: Band,
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
        Reader { line_at: &line_at, faults: Vec::new() }.policy(written, Sha256::of(document))
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

struct Reader<'a> {
    line_at: &'a dyn Fn(usize) -> usize,
    faults: Vec<PolicyFault>,
}

impl Reader<'_> {
    fn fault(&mut self, offset: usize, rule: Option<&str>, message: impl Into<String>) {
        let line = (self.line_at)(offset);
        self.faults.push(PolicyFault { line, rule: rule.map(str::to_owned), message: message.into() });
    }

    fn day(&mut self, text: &Spanned<String>, rule: Option<&str>) -> NaiveDate {
        text.get_ref().parse().unwrap_or_else(|_| {
            self.fault(
                text.span().start,
                rule,
                format!("{:?} is not a day such as 2027-06-30", text.get_ref()),
            );
            NaiveDate::MIN
        })
    }

    fn policy(mut self, written: Document, hash: Sha256) -> Result<Policy, Vec<PolicyFault>> {
        if *written.version.get_ref() < 1 {
            self.fault(written.version.span().start, None, "the version is a number from 1");
        }
        if *written.facts.get_ref() != VOCABULARY_VERSION {
            self.fault(
                written.facts.span().start,
                None,
                format!(
                    "it is written against the facts {}; this server knows the facts {VOCABULARY_VERSION}",
                    written.facts.get_ref()
                ),
            );
        }
        for (name, text) in
            [("id", &written.id), ("title", &written.title), ("legal_basis", &written.legal_basis)]
        {
            if text.trim().is_empty() {
                self.fault(0, None, format!("{name} says nothing"));
            }
        }
        let bands = written.bands;
        if !(bands.mandatory > bands.high && bands.high > bands.medium && bands.medium > 0) {
            self.fault(0, None, "the bands must fall: mandatory > high > medium > 0");
        }
        if written.selection.random_percent > 100 || written.sampling.confidence_percent > 100 {
            self.fault(0, None, "a share or confidence in percent is from 0 to 100");
        }
        for (group, cap) in &written.caps {
            if !(0..=MAX_POINTS).contains(cap.get_ref()) {
                self.fault(cap.span().start, None, format!("the cap of {group} is from 0 to {MAX_POINTS}"));
            }
        }
        let caps: BTreeMap<String, i64> =
            written.caps.into_iter().map(|(group, cap)| (group, cap.into_inner())).collect();
        let tiers = written.tier.into_iter().map(|tier| (tier.tier, tier.entries)).collect();
        let tiers = self.tiers(tiers);
        let hs_tiers = written.hs_tier.into_iter().map(|tier| (tier.tier, tier.hs6)).collect();
        let hs_tiers = self.tiers(hs_tiers);
        if written.rule.is_empty() || written.rule.len() > MAX_RULES {
            self.fault(0, None, format!("a policy has 1 to {MAX_RULES} rules, not {}", written.rule.len()));
        }
        let mut seen = BTreeSet::new();
        let mut rules = Vec::new();
        for entry in written.rule {
            if !seen.insert(entry.id.get_ref().clone()) {
                self.fault(
                    entry.id.span().start,
                    Some(entry.id.get_ref()),
                    "there is another rule of that id",
                );
            }
            rules.extend(self.rule(entry, &caps));
        }
        let mut cases = Vec::new();
        for CaseEntry { name, facts, points, band } in written.case {
            if let Err(error) = super::facts::Facts::from_named(facts.get_ref()) {
                self.fault(facts.span().start, None, format!("case {name:?}: {error}"));
            }
            cases.push(Case { name, facts: facts.into_inner(), points, band });
        }
        let mut groups_of: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (group, countries) in written.groups {
            for country in countries {
                groups_of.entry(country).or_default().push(group.clone());
            }
        }
        let review_by = self.day(&written.review_by, None);
        if !self.faults.is_empty() {
            self.faults.sort_by_key(|fault| fault.line);
            return Err(self.faults);
        }
        Ok(Policy {
            hash,
            id: written.id,
            version: written.version.into_inner(),
            title: written.title,
            legal_basis: written.legal_basis,
            review_by,
            bands,
            due_days: written.due_days,
            selection: written.selection,
            sampling: written.sampling,
            caps,
            rules,
            cases,
            groups_of,
            tiers,
            hs_tiers,
        })
    }

    fn tiers(&mut self, written: Vec<(Spanned<i64>, Vec<String>)>) -> BTreeMap<String, i64> {
        let mut tiers = BTreeMap::new();
        for (tier, names) in written {
            if !(1..=9).contains(tier.get_ref()) {
                self.fault(tier.span().start, None, "a tier is a number from 1 to 9");
            }
            for name in names {
                if tiers.insert(name.clone(), *tier.get_ref()).is_some() {
                    self.fault(tier.span().start, None, format!("{name} is listed twice"));
                }
            }
        }
        tiers
    }

    fn rule(&mut self, entry: RuleEntry, caps: &BTreeMap<String, i64>) -> Option<Rule> {
        let id = entry.id.get_ref().clone();
        for points in [&entry.points, &entry.if_missing] {
            if !(-MAX_POINTS..=MAX_POINTS).contains(points.get_ref()) {
                let message = format!("points are from -{MAX_POINTS} to {MAX_POINTS}");
                self.fault(points.span().start, Some(&id), message);
            }
        }
        if let Some(cap) = &entry.cap
            && !caps.contains_key(cap.get_ref())
        {
            let message = format!("there is no cap {:?}: add it to [caps]", cap.get_ref());
            self.fault(cap.span().start, Some(&id), message);
        }
        if let Err(message) = check_template(entry.reason.get_ref()) {
            self.fault(entry.reason.span().start, Some(&id), message);
        }
        let review_by = entry.review_by.as_ref().map(|day| self.day(day, Some(&id)));
        let condition = match Condition::read(entry.when.get_ref()) {
            Ok(condition) => condition,
            Err(fault) => {
                let line = (self.line_at)(entry.when.span().start) + fault.line - 1;
                self.faults.push(PolicyFault { line, rule: Some(id), message: fault.message });
                return None;
            }
        };
        Some(Rule {
            id,
            when: entry.when.into_inner(),
            condition,
            points: entry.points.into_inner(),
            cap: entry.cap.map(Spanned::into_inner),
            if_missing: entry.if_missing.into_inner(),
            reason: entry.reason.into_inner(),
            mandatory: entry.mandatory,
            review_by,
        })
    }
}

fn check_template(template: &str) -> Result<(), String> {
    if template.trim().is_empty() {
        return Err("the reason says nothing".to_owned());
    }
    for part in template.split('{').skip(1) {
        let name = part.split_once('}').map(|(name, _)| name).ok_or("a { in the reason is not closed")?;
        if position(name).is_none() {
            return Err(format!("the reason speaks of {{{name}}}, which is not a fact"));
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::risk::assess::Assessor;
    use crate::risk::facts::Facts;

    pub(crate) const SHORT: &str = r#"
id = "short"
version = 3
facts = 1
title = "A short policy"
legal_basis = "Section 1"
review_by = "2027-06-30"
due_days = { mandatory = 30, high = 60, medium = 90, low = 120 }
caps = { goods = 20 }
selection = { random_percent = 20 }
bands = { mandatory = 80, high = 50, medium = 25 }

[sampling]
confidence_percent = 95
defect_percent = { mandatory = 5, high = 5, medium = 10, low = 10 }

[groups]
"D:1" = ["XA", "XB"]
"A:1" = ["XC"]

[[tier]]
tier = 1
entries = ["1A001", "3A001.a"]

[[rule]]
id = "tier"
when = "item_tier == 1"
points = 30
if_missing = 12
cap = "goods"
reason = "Tier {item_tier}."
"#;

    fn faults(document: &str) -> Vec<String> {
        Policy::read(document.as_bytes()).expect_err(document).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_policy_knows_its_tables() {
        let policy = Policy::read(SHORT.as_bytes()).unwrap();
        assert_eq!((policy.id.as_str(), policy.version), ("short", 3));
        assert_eq!(policy.groups_of("XB"), ["D:1"]);
        assert!(policy.groups_of("ZZ").is_empty());
        for (entry, tier) in
            [("1A001", 1), ("1A001.b.3", 1), ("3A001.a.2", 1), ("3A001", 0), ("3A0011", 0), ("", 0)]
        {
            assert_eq!(policy.tier(entry), tier, "{entry}");
        }
        for (points, band) in
            [(0, Band::Low), (25, Band::Medium), (49, Band::Medium), (50, Band::High), (80, Band::Mandatory)]
        {
            assert_eq!(policy.band(points), band);
        }
        let last: NaiveDate = "2027-06-30".parse().unwrap();
        assert!(!policy.is_expired(last) && policy.is_expired(last.succ_opt().unwrap()));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_rule() {
        for (from, to, said) in [
            ("item_tier == 1", "item_teir == 1", "line 27, rule tier: there is no fact \"item_teir\""),
            ("item_tier == 1", "tips / 0 == 1", "line 27, rule tier: division"),
            ("cap = \"goods\"", "cap = \"god\"", "line 30, rule tier: there is no cap \"god\""),
            ("Tier {item_tier}.", "Tier {colour}.", "line 31, rule tier: the reason speaks of {colour}"),
            ("points = 30", "points = 30000", "line 28, rule tier: points are from -1000 to 1000"),
            ("points = 30", "points = 3.5", "line 28:"),
            ("if_missing = 12\n", "", "line 25: missing field `if_missing`"),
            ("version = 3", "version = 0", "line 3: the version"),
            ("facts = 1", "facts = 2", "line 4: it is written against the facts 2"),
            ("2027-06-30", "someday", "line 7: \"someday\" is not a day"),
            ("medium = 25", "medium = 50", "the bands must fall"),
            ("entries = [\"1A001\"", "entries = [\"3A001.a\", \"1A001\"", "3A001.a is listed twice"),
            ("[sampling]", "[sampling]\ncolour = 1", "unknown field `colour`"),
        ] {
            assert!(SHORT.contains(from), "{from}");
            let said_of = faults(&SHORT.replacen(from, to, 1));
            assert!(said_of.iter().any(|fault| fault.contains(said)), "{to}: {said_of:?}");
        }
        let twice = format!("{SHORT}{}", &SHORT[SHORT.find("[[rule]]").unwrap()..]);
        assert!(faults(&twice)[0].contains("another rule of that id"));
        assert!(faults(&"#".repeat(MAX_POLICY_BYTES + 1))[0].contains("bytes"));
        assert!(faults("id = 1")[0].starts_with("line 1"));
    }

    #[test]
    fn facts_points_caps_and_what_is_missing() {
        let policy = Policy::read(SHORT.as_bytes()).unwrap();
        let assessor = Assessor::new(&policy);
        let on = "2026-11-23".parse().unwrap();
        let mut facts = Facts::default();
        let unknown = assessor.assess("SH-1", &facts, on).unwrap();
        assert_eq!((unknown.points, &unknown.rules[0].missing), (12, &vec!["item_tier".to_owned()]));
        facts.set("item_tier", FactValue::Number(2)).unwrap();
        assert!(assessor.assess("SH-1", &facts, on).unwrap().rules.is_empty());
        facts.set("item_tier", FactValue::Number(1)).unwrap();
        let first = assessor.assess("SH-1", &facts, on).unwrap();
        assert_eq!(first.points, 20, "the cap of its group");
        assert_eq!(first.caps["goods"], crate::risk::assess::Capped { counted: 20, sum: 30 });
        let bytes = first.to_bytes().unwrap();
        let canonical = endcheck_protocol::canonical::write(&first).unwrap();
        assert_eq!(bytes, canonical, "canonical as it is written");
        assert_eq!(fill(&policy.rules[0].reason, &first.facts), "Tier 1.");
        assert_eq!(fill(&policy.rules[0].reason, &unknown.facts), "Tier not known.");
    }

    #[test]
    fn the_policy_that_is_brought_along_is_whole_and_its_examples_hold() {
        let policy = Policy::read(crate::risk::DEFAULT_POLICY).unwrap_or_else(|faults| panic!("{faults:#?}"));
        assert_eq!(crate::risk::failing_cases(&policy), Vec::<String>::new());
        assert_eq!((policy.tier("3A001.a.2"), policy.tier("0A001"), policy.hs_tier("854231")), (1, 1, 1));
        assert_eq!(policy.groups_of("KP"), ["D:1", "D:2", "D:3", "D:4", "D:5", "E:1"]);
    }
}
