//! What a risk policy may speak of: a fixed list of facts about a shipment, each with its type and
//! bounds. Pure; where the facts come from is `gather`'s business.
//!
//! A fact that is not known is absent, never zero: a rule that needs it is then not evaluated, and the
//! assessment says which fact was missing.

use std::collections::BTreeMap;

use cel::common::types::{CelBool, CelInt, CelList, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use serde::{Deserialize, Serialize};

/// Version of the vocabulary below; a policy names the one that it is written against.
pub const VOCABULARY_VERSION: i64 = 1;

/// Longest list that a fact may be; longer ones are cut in their sorted order.
pub const MAX_WORDS: usize = 64;

/// What a fact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactType {
    /// A whole number within these bounds; whatever lies beyond is set to the bound.
    Number(i64, i64),
    Flag,
    Text,
    /// Words in their sorted order, each once; at most [`MAX_WORDS`].
    Words,
}

/// One entry of the vocabulary.
#[derive(Debug, Clone, Copy)]
pub struct FactDefinition {
    pub name: &'static str,
    pub fact_type: FactType,
    /// What it says, for those who write policies and those whom a check concerns.
    pub meaning: &'static str,
}

const fn fact(name: &'static str, fact_type: FactType, meaning: &'static str) -> FactDefinition {
    FactDefinition { name, fact_type, meaning }
}

const COUNT: FactType = FactType::Number(0, 1_000_000);
const MONTHS: FactType = FactType::Number(0, 1_200);
const TIER: FactType = FactType::Number(0, 9);

/// Every fact, sorted by name.
pub const VOCABULARY: [FactDefinition; 36] = [
    fact("conditions", COUNT, "conditions of the licence"),
    fact("consignee_denied", COUNT, "visits that the consignee refused"),
    fact("consignee_favourable", COUNT, "favourable determinations about the consignee"),
    fact(
        "consignee_kind",
        FactType::Text,
        "what the consignee is: company, government, university, person or other",
    ),
    fact("consignee_months_known", MONTHS, "full months since the consignee was first entered"),
    fact("consignee_registered", FactType::Flag, "whether the consignee's register number is known"),
    fact("consignee_unfavourable", COUNT, "unfavourable determinations about the consignee"),
    fact("consignee_unverified", COUNT, "determinations that left the consignee unverified"),
    fact("control_entry", FactType::Text, "entry of the control list, such as 3A001.a.2"),
    fact("destination", FactType::Text, "country of the declared site, ISO 3166-1 alpha-2"),
    fact("destination_groups", FactType::Words, "the policy's country groups that the destination is in"),
    fact("end_user_denied", COUNT, "visits that the end user refused"),
    fact("end_user_denied_by_state", COUNT, "visits to the end user that a host government refused"),
    fact("end_user_favourable", COUNT, "favourable determinations about the end user"),
    fact("end_user_is_consignee", FactType::Flag, "whether the goods were consigned to the end user itself"),
    fact(
        "end_user_kind",
        FactType::Text,
        "what the end user is: company, government, university, person or other",
    ),
    fact("end_user_months_known", MONTHS, "full months since the end user was first entered"),
    fact("end_user_registered", FactType::Flag, "whether the end user's register number is known"),
    fact("end_user_unfavourable", COUNT, "unfavourable determinations about the end user"),
    fact("end_user_unverified", COUNT, "determinations that left the end user unverified"),
    fact("exporter_favourable", COUNT, "favourable determinations about goods of the exporter"),
    fact("exporter_unfavourable", COUNT, "unfavourable determinations about goods of the exporter"),
    fact("exporter_unverified", COUNT, "determinations that left goods of the exporter unverified"),
    fact("hs6", FactType::Text, "six digits of the Harmonized System"),
    fact("hs_tier", TIER, "the policy's tier of the HS code; 0 in none"),
    fact("intermediates", COUNT, "parties between exporter and consignee"),
    fact("item_tier", TIER, "the policy's tier of the control entry; 0 in none"),
    fact("months_since_arrival", MONTHS, "full months since arrival; absent before it"),
    fact(
        "months_since_sighting",
        MONTHS,
        "full months since all items were seen; absent while one never was",
    ),
    fact("pieces", COUNT, "items listed in the shipment"),
    fact("red_flags", FactType::Words, "codes of red flags raised and not withdrawn"),
    fact("screening_hits", COUNT, "hits of list screening not yet cleared; absent until it was screened"),
    fact("serials", COUNT, "items with a serial number"),
    fact("tips", COUNT, "tips received about the shipment or its parties, not withdrawn"),
    fact("transit", FactType::Words, "countries of the intermediates"),
    fact(
        "transit_groups",
        FactType::Words,
        "the policy's country groups that an intermediate's country is in",
    ),
];

/// Where a fact stands in the vocabulary.
#[must_use]
pub fn position(name: &str) -> Option<usize> {
    VOCABULARY.binary_search_by(|fact| fact.name.cmp(name)).ok()
}

/// The value of a fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum FactValue {
    Flag(bool),
    Number(i64),
    Text(String),
    Words(Vec<String>),
}

impl std::fmt::Display for FactValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(true) => f.write_str("yes"),
            Self::Flag(false) => f.write_str("no"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::Words(words) => f.write_str(&words.join(", ")),
        }
    }
}

/// The facts known about one shipment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    values: Vec<Option<FactValue>>,
}

impl Default for Facts {
    fn default() -> Self {
        Self { values: vec![None; VOCABULARY.len()] }
    }
}

impl Facts {
    /// Sets a fact; a number is held within its bounds, words are sorted and counted once.
    ///
    /// # Errors
    /// When there is no such fact or it is of another type.
    pub fn set(&mut self, name: &str, value: FactValue) -> Result<(), String> {
        let unknown = || format!("there is no fact {name:?} in the vocabulary {VOCABULARY_VERSION}");
        let place = position(name).ok_or_else(unknown)?;
        let definition = VOCABULARY.get(place).ok_or_else(unknown)?;
        let value = match (definition.fact_type, value) {
            (FactType::Number(least, most), FactValue::Number(number)) => {
                FactValue::Number(number.clamp(least, most))
            }
            (FactType::Flag, FactValue::Flag(flag)) => FactValue::Flag(flag),
            (FactType::Text, FactValue::Text(text)) => FactValue::Text(text),
            (FactType::Words, FactValue::Words(mut words)) => {
                words.sort_unstable();
                words.dedup();
                words.truncate(MAX_WORDS);
                FactValue::Words(words)
            }
            (expected, other) => return Err(format!("the fact {name} is a {expected:?}, not {other:?}")),
        };
        if let Some(slot) = self.values.get_mut(place) {
            *slot = Some(value);
        }
        Ok(())
    }

    #[must_use]
    pub fn get(&self, place: usize) -> Option<&FactValue> {
        self.values.get(place).and_then(Option::as_ref)
    }

    /// All known facts by name.
    #[must_use]
    pub fn named(&self) -> BTreeMap<String, FactValue> {
        let known = VOCABULARY.iter().zip(&self.values);
        known.filter_map(|(fact, value)| Some((fact.name.to_owned(), value.clone()?))).collect()
    }

    /// # Errors
    /// Names the first that is not a fact or is of another type.
    pub fn from_named(named: &BTreeMap<String, FactValue>) -> Result<Self, String> {
        let mut facts = Self::default();
        for (name, value) in named {
            facts.set(name, value.clone())?;
        }
        Ok(facts)
    }
}

impl VariableResolver for Facts {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let value: Box<dyn Val + 'b> = match self.get(position(variable)?)? {
            FactValue::Flag(flag) => Box::new(CelBool::from(*flag)),
            FactValue::Number(number) => Box::new(CelInt::from(*number)),
            FactValue::Text(text) => Box::new(CelString::from(text.as_str())),
            FactValue::Words(words) => {
                let words =
                    words.iter().map(|word| Box::new(CelString::from(word.as_str())) as Box<dyn Val + 'b>);
                Box::new(CelList::from(words.collect::<Vec<_>>()))
            }
        };
        Some(CowVal::Owned(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vocabulary_is_sorted_so_that_every_fact_is_found() {
        for (place, fact) in VOCABULARY.iter().enumerate() {
            assert_eq!(position(fact.name), Some(place), "{}", fact.name);
        }
    }

    #[test]
    fn a_fact_is_held_within_its_bounds_and_its_type() {
        let mut facts = Facts::default();
        facts.set("item_tier", FactValue::Number(77)).unwrap();
        facts.set("transit", FactValue::Words(vec!["TR".into(), "AE".into(), "TR".into()])).unwrap();
        let named = facts.named();
        assert_eq!(named["item_tier"], FactValue::Number(9));
        assert_eq!(named["transit"], FactValue::Words(vec!["AE".into(), "TR".into()]));
        assert_eq!(Facts::from_named(&named).unwrap(), facts);
        assert!(facts.set("item_tier", FactValue::Flag(true)).unwrap_err().contains("item_tier"));
        assert!(facts.set("colour", FactValue::Flag(true)).unwrap_err().contains("colour"));
    }
}
