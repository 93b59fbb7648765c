//! How two policies differ: every field of the one that is not the same in the other. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::{Band, Case, PerBand, Policy, Rule};

/// The differences, a line each: `-` for what is gone, `+` for what is new, `~` for what changed.
#[must_use]
pub fn differences(old: &Policy, new: &Policy) -> Vec<String> {
    // Both are taken apart by name, so that no field that is added later is forgotten here.
    let Policy {
        hash: _,
        id,
        version,
        title,
        legal_basis,
        review_by,
        bands,
        due_days,
        selection,
        sampling,
        caps,
        rules,
        cases,
        groups_of,
        tiers,
        hs_tiers,
    } = old;
    let mut lines = Lines(Vec::new());
    lines.field("id", id, &new.id);
    lines.field("version", version, &new.version);
    lines.field("title", title, &new.title);
    lines.field("legal basis", legal_basis, &new.legal_basis);
    lines.field("review_by", review_by, &new.review_by);
    for (band, from, to) in [
        ("mandatory", bands.mandatory, new.bands.mandatory),
        ("high", bands.high, new.bands.high),
        ("medium", bands.medium, new.bands.medium),
    ] {
        lines.field(&format!("points of the band {band}"), &from, &to);
    }
    lines.per_band("due_days", *due_days, new.due_days);
    lines.field("random_percent", &selection.random_percent, &new.selection.random_percent);
    lines.field("confidence_percent", &sampling.confidence_percent, &new.sampling.confidence_percent);
    lines.per_band("defect_percent", sampling.defect_percent, new.sampling.defect_percent);
    lines.map("cap", caps, &new.caps);
    let joined = |groups: &BTreeMap<String, Vec<String>>| -> BTreeMap<String, String> {
        groups.iter().map(|(country, groups)| (country.clone(), groups.join(", "))).collect()
    };
    lines.map("groups of", &joined(groups_of), &joined(&new.groups_of));
    lines.map("tier of", tiers, &new.tiers);
    lines.map("tier of HS code", hs_tiers, &new.hs_tiers);
    let by_id = |rules: &[Rule]| -> BTreeMap<String, BTreeMap<&'static str, String>> {
        rules.iter().map(|rule| (rule.id.clone(), parts_of_rule(rule))).collect()
    };
    lines.things("rule", &by_id(rules), &by_id(&new.rules));
    let order = |rules: &[Rule]| -> Vec<String> { rules.iter().map(|rule| rule.id.clone()).collect() };
    let (old_order, new_order) = (order(rules), order(&new.rules));
    let same: BTreeSet<&String> = old_order.iter().filter(|id| new_order.contains(id)).collect();
    if !old_order.iter().filter(|id| same.contains(id)).eq(new_order.iter().filter(|id| same.contains(id))) {
        lines.0.push("~ the order of the rules".to_owned());
    }
    let by_name = |cases: &[Case]| -> BTreeMap<String, BTreeMap<&'static str, String>> {
        cases.iter().map(|case| (case.name.clone(), parts_of_case(case))).collect()
    };
    lines.things("example", &by_name(cases), &by_name(&new.cases));
    lines.0
}

fn parts_of_rule(rule: &Rule) -> BTreeMap<&'static str, String> {
    // The condition is what `when` says.
    let Rule { id: _, when, condition: _, points, cap, if_missing, reason, shown, mandatory, review_by } =
        rule;
    let none = || "none".to_owned();
    BTreeMap::from([
        ("when", when.clone()),
        ("points", points.to_string()),
        ("if_missing", if_missing.to_string()),
        ("cap", cap.clone().unwrap_or_else(none)),
        ("reason", reason.clone()),
        ("shown", shown.to_string()),
        ("mandatory", mandatory.to_string()),
        ("review_by", review_by.map_or_else(none, |day| day.to_string())),
    ])
}

fn parts_of_case(case: &Case) -> BTreeMap<&'static str, String> {
    let Case { name: _, facts, points, band } = case;
    let facts: Vec<String> = facts.iter().map(|(name, value)| format!("{name} {value}")).collect();
    BTreeMap::from([
        ("facts", facts.join(", ")),
        ("points", points.to_string()),
        ("band", band.as_str().to_owned()),
    ])
}

struct Lines(Vec<String>);

impl Lines {
    fn field<T: PartialEq + Display>(&mut self, name: &str, old: &T, new: &T) {
        if old != new {
            self.0.push(format!("~ {name}: {old} → {new}"));
        }
    }

    fn per_band(&mut self, name: &str, old: PerBand, new: PerBand) {
        for band in Band::ALL {
            self.field(&format!("{name} of {}", band.as_str()), &old.of(band), &new.of(band));
        }
    }

    fn map<T: PartialEq + Display>(
        &mut self,
        name: &str,
        old: &BTreeMap<String, T>,
        new: &BTreeMap<String, T>,
    ) {
        for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
            match (old.get(key), new.get(key)) {
                (Some(old), Some(new)) => self.field(&format!("{name} {key}"), old, new),
                (Some(old), None) => self.0.push(format!("- {name} {key}: {old}")),
                (None, Some(new)) => self.0.push(format!("+ {name} {key}: {new}")),
                (None, None) => {}
            }
        }
    }

    fn things(
        &mut self,
        name: &str,
        old: &BTreeMap<String, BTreeMap<&'static str, String>>,
        new: &BTreeMap<String, BTreeMap<&'static str, String>>,
    ) {
        for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
            match (old.get(key), new.get(key)) {
                (Some(old), Some(new)) => {
                    for (part, old) in old {
                        self.field(&format!("{name} {key}, {part}"), old, new.get(part).unwrap_or(old));
                    }
                }
                (Some(parts), None) => self.0.push(format!("- {name} {key}: {}", told(parts))),
                (None, Some(parts)) => self.0.push(format!("+ {name} {key}: {}", told(parts))),
                (None, None) => {}
            }
        }
    }
}

fn told(parts: &BTreeMap<&'static str, String>) -> String {
    parts.iter().map(|(part, value)| format!("{part} {value}")).collect::<Vec<_>>().join("; ")
}
