//! Assessing one shipment: facts and a policy in, a document out. Pure; the same input gives the same bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use endcheck_protocol::digest::Sha256;
use serde::{Deserialize, Serialize};

use super::facts::{FactValue, Facts, VOCABULARY};
use super::language;
use super::policy::{Band, Policy, Rule};

/// What a policy makes of a shipment's facts. Fields are in alphabetical order, so that their JSON is canonical
/// (RFC 8785) as it is written; an assessment is named by the SHA-256 of these bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Assessment {
    /// Day on which the facts were gathered.
    #[schema(value_type = String)]
    pub assessed_on: NaiveDate,
    pub band: Band,
    /// For each cap group that cut something: what its rules came to, and what was counted.
    pub caps: BTreeMap<String, Capped>,
    /// Everything that was known.
    pub facts: BTreeMap<String, FactValue>,
    pub points: i64,
    #[schema(value_type = String)]
    pub policy: Sha256,
    /// The rules that held or lacked a fact, in the policy's order. All others were evaluated and did not hold.
    pub rules: Vec<RuleResult>,
    pub schema: String,
    /// The programme's key of the shipment.
    pub shipment: String,
}

pub const SCHEMA: &str = "endcheck/assessment/1";

/// Whether two documents say the same of possibly different days. The day is their first field.
pub(super) fn says_the_same(one: &str, other: &str) -> bool {
    let but_for_the_day = |document: &'_ str| document.split_once(',').map(|(_, rest)| rest.to_owned());
    but_for_the_day(one) == but_for_the_day(other)
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Capped {
    pub counted: i64,
    pub sum: i64,
}

/// A rule that counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleResult {
    /// The facts that the rule looks at, as far as they are known.
    pub facts: BTreeMap<String, FactValue>,
    pub id: String,
    /// Facts that it needs and that are not known: the rule was not evaluated.
    pub missing: Vec<String>,
    pub points: i64,
}

/// A policy made ready to assess many shipments.
pub struct Assessor<'a> {
    policy: &'a Policy,
    environment: Arc<cel::Env>,
}

impl<'a> Assessor<'a> {
    #[must_use]
    pub fn new(policy: &'a Policy) -> Self {
        Self { policy, environment: Arc::new(cel::Env::stdlib()) }
    }

    /// Assesses a shipment by its facts. A rule past its own `review_by` no longer counts.
    ///
    /// # Errors
    /// When a condition cannot be evaluated although its facts are known, which the language rules out.
    pub fn assess(&self, shipment: &str, facts: &Facts, on: NaiveDate) -> Result<Assessment, String> {
        let context = language::context(&self.environment, facts);
        let mut rules = Vec::new();
        let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
        let mut points = 0_i64;
        let mut mandatory = false;
        for rule in &self.policy.rules {
            if rule.review_by.is_some_and(|last| on > last) {
                continue;
            }
            let Some(result) = evaluate(rule, facts, &context)? else { continue };
            match &rule.cap {
                Some(cap) => *sums.entry(cap).or_default() += result.points,
                None => points += result.points,
            }
            mandatory |= rule.mandatory && result.missing.is_empty();
            rules.push(result);
        }
        let mut caps = BTreeMap::new();
        for (group, sum) in sums {
            let cap = self.policy.caps.get(group).copied().unwrap_or(0);
            let counted = sum.clamp(-cap, cap);
            points += counted;
            if counted != sum {
                caps.insert(group.to_owned(), Capped { counted, sum });
            }
        }
        let points = points.max(0);
        Ok(Assessment {
            assessed_on: on,
            band: if mandatory { Band::Mandatory } else { self.policy.band(points) },
            caps,
            facts: facts.named(),
            points,
            policy: self.policy.hash.clone(),
            rules,
            schema: SCHEMA.to_owned(),
            shipment: shipment.to_owned(),
        })
    }
}

fn evaluate(
    rule: &Rule,
    facts: &Facts,
    context: &cel::Context<'_, '_>,
) -> Result<Option<RuleResult>, String> {
    let needed =
        || rule.condition.facts().iter().filter_map(|place| Some((VOCABULARY.get(*place)?.name, *place)));
    let missing: Vec<String> =
        needed().filter(|(_, place)| facts.get(*place).is_none()).map(|(name, _)| name.to_owned()).collect();
    if missing.is_empty()
        && !rule.condition.holds(context).map_err(|error| format!("rule {}: {error}", rule.id))?
    {
        return Ok(None);
    }
    let known = needed().filter_map(|(name, place)| Some((name.to_owned(), facts.get(place)?.clone())));
    let points = if missing.is_empty() { rule.points } else { rule.if_missing };
    Ok(Some(RuleResult { facts: known.collect(), id: rule.id.clone(), missing, points }))
}

impl Assessment {
    /// Its canonical bytes.
    ///
    /// # Errors
    /// Never for an assessment that was made here; writing JSON can fail in general.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}
