//! The policy's document: its shape, and all that can be wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use endcheck_protocol::digest::Sha256;
use serde::Deserialize;
use toml::Spanned;

use super::{Band, BandPoints, Case, PerBand, Policy, PolicyFault, Rule, Sampling, SelectionRules};
use crate::risk::facts::{FactValue, Facts, VOCABULARY_VERSION, position};
use crate::risk::language::Condition;

const MAX_RULES: usize = 200;
/// Steps that all rules together may take on a shipment.
const MAX_POLICY_STEPS: u64 = 100_000;
const MAX_CASES: usize = 100;
/// Longest text that people read, in characters.
const MAX_TEXT_CHARS: usize = 500;
/// Most days from a draw to a due date.
const MAX_DUE_DAYS: u32 = 3_660;
/// Most points that one rule may give, either way.
const MAX_POINTS: i64 = 1_000;

/// The document, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
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
    #[serde(default = "yes")]
    shown: bool,
    #[serde(default)]
    mandatory: bool,
    review_by: Option<Spanned<String>>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseEntry {
    name: String,
    facts: Spanned<BTreeMap<String, FactValue>>,
    points: i64,
    band: Band,
}

/// Reads what is written and notes all that is wrong.
pub(super) struct Reader<'a> {
    line_at: &'a dyn Fn(usize) -> usize,
    faults: Vec<PolicyFault>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(line_at: &'a dyn Fn(usize) -> usize) -> Self {
        Self { line_at, faults: Vec::new() }
    }

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

    pub(super) fn policy(mut self, written: Document, hash: Sha256) -> Result<Policy, Vec<PolicyFault>> {
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
            if let Err(message) = check_text(text) {
                self.fault(0, None, format!("{name} {message}"));
            }
        }
        let bands = written.bands;
        if !(bands.mandatory > bands.high && bands.high > bands.medium && bands.medium > 0) {
            self.fault(0, None, "the bands must fall: mandatory > high > medium > 0");
        }
        self.shares(&written);
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
        let steps: u64 = rules.iter().map(|rule| rule.condition.steps()).sum();
        if steps > MAX_POLICY_STEPS {
            self.fault(
                0,
                None,
                format!("all rules together may take {steps} steps; {MAX_POLICY_STEPS} are allowed"),
            );
        }
        if written.case.len() > MAX_CASES {
            self.fault(0, None, format!("it has {} examples; {MAX_CASES} are allowed", written.case.len()));
        }
        let mut cases = Vec::new();
        for CaseEntry { name, facts, points, band } in written.case {
            if let Err(message) = check_text(&name) {
                self.fault(facts.span().start, None, format!("the name of a case {message}"));
            }
            if let Err(error) = Facts::from_named(facts.get_ref()) {
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

    /// Numbers that only make sense between others.
    fn shares(&mut self, written: &Document) {
        if written.selection.random_percent > 100 {
            self.fault(0, None, "random_percent is from 0 to 100");
        }
        if !(50..=99).contains(&written.sampling.confidence_percent) {
            self.fault(0, None, "confidence_percent is from 50 to 99");
        }
        for band in Band::ALL {
            if !(1..=MAX_DUE_DAYS).contains(&written.due_days.of(band)) {
                self.fault(0, None, format!("due_days of {} are from 1 to {MAX_DUE_DAYS}", band.as_str()));
            }
            if !(1..=100).contains(&written.sampling.defect_percent.of(band)) {
                self.fault(0, None, format!("defect_percent of {} is from 1 to 100", band.as_str()));
            }
        }
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
        if let Err(message) = check_text(&id) {
            self.fault(entry.id.span().start, Some(&id), format!("its id {message}"));
        }
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
            shown: entry.shown,
            mandatory: entry.mandatory,
            review_by,
        })
    }
}

/// A text that people read on pages and devices: says something, in one line that is not beyond all measure.
fn check_text(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("says nothing".to_owned());
    }
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        return Err(format!("holds the control character U+{:04X}; write one line", u32::from(control)));
    }
    if text.chars().count() > MAX_TEXT_CHARS {
        return Err(format!("may have {MAX_TEXT_CHARS} characters"));
    }
    Ok(())
}

fn check_template(template: &str) -> Result<(), String> {
    check_text(template).map_err(|message| format!("the reason {message}"))?;
    for part in template.split('{').skip(1) {
        let name = part.split_once('}').map(|(name, _)| name).ok_or("a { in the reason is not closed")?;
        if position(name).is_none() {
            return Err(format!("the reason speaks of {{{name}}}, which is not a fact"));
        }
    }
    Ok(())
}
