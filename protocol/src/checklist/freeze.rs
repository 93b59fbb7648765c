//! Checking a template, and freezing it into the checklist of one visit.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::condition::{Condition, MAX_CONDITION_DEPTH};
use super::error::TemplateError;
use super::order;
use super::template::{AnswerType, CodedText, EvidenceRule, Question, Scope, Source, Template};
use super::words::{QuestionId, Slug, Text};
use crate::digest::Sha256;
use crate::ids::ItemId;

/// The most questions of a checklist.
pub const MAX_QUESTIONS: usize = 500;
/// How the questions begin that come from the conditions of licences; no template may use it.
const CONDITION_PREFIX: &str = "condition-";
/// The most items of a visit.
pub const MAX_ITEMS: usize = 2_000;

/// A condition of the licence, asked as a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LicenceCondition {
    /// The licence's number.
    pub licence: String,
    /// The condition's own id on the licence, such as `7(b)`.
    pub id: String,
    /// At least in English; conditions are rarely translated.
    pub text: Text,
    pub scope: Scope,
    pub answer: AnswerType,
    #[serde(default = "yes")]
    pub required: bool,
    #[serde(default)]
    pub evidence: Vec<EvidenceRule>,
    #[serde(default)]
    pub skip_reasons: Vec<Slug>,
    #[serde(default)]
    pub ask_when: Option<Condition>,
}

fn yes() -> bool {
    true
}

/// An item that the visit is about, with what was declared of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChecklistItem {
    pub id: ItemId,
    pub description: String,
    /// The declared serial, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// False where the sample drawn at headquarters leaves the item out: it may stay without a status.
    #[serde(default = "yes")]
    pub in_sample: bool,
    /// What rules may look at, such as `sealed`: `yes`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

impl ChecklistItem {
    /// How messages call it: its serial, else its id.
    #[must_use]
    pub fn label(&self) -> &str {
        self.serial.as_deref().unwrap_or_else(|| self.id.as_str())
    }
}

/// Which template a checklist was frozen from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateRef {
    pub id: Slug,
    pub version: u32,
}

/// All that is needed on site to know what to ask: one document, named in records by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checklist {
    pub template: TemplateRef,
    pub title: Text,
    pub languages: Vec<String>,
    pub skip_reasons: Vec<CodedText>,
    pub questions: Vec<Question>,
    pub items: Vec<ChecklistItem>,
    /// What rules may look at, such as `tier`: `2`.
    pub facts: BTreeMap<String, String>,
}

impl Checklist {
    /// The bytes that are hashed: JSON in the form of RFC 8785 (JCS).
    ///
    /// # Errors
    /// Only if JSON itself refuses, which no checklist gives reason to.
    pub fn canonical_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json_canonicalizer::to_vec(self)
    }

    /// SHA-256 of [`Self::canonical_bytes`].
    ///
    /// # Errors
    /// As there.
    pub fn hash(&self) -> Result<Sha256, serde_json::Error> {
        self.canonical_bytes().map(|bytes| Sha256::of(&bytes))
    }

    #[must_use]
    pub fn question(&self, id: &QuestionId) -> Option<&Question> {
        self.questions.iter().find(|question| question.id == *id)
    }

    #[must_use]
    pub fn item(&self, id: &ItemId) -> Option<&ChecklistItem> {
        self.items.iter().find(|item| item.id == *id)
    }
}

/// Freezes a template, the licence's conditions and the visit's items into one checklist.
///
/// Conditions become questions numbered C1, C2, … after the template's own. The same arguments give
/// the same bytes.
///
/// # Errors
/// The first thing that is wrong, naming the question or item.
pub fn freeze(
    template: &Template,
    conditions: &[LicenceCondition],
    items: &[ChecklistItem],
    facts: &BTreeMap<String, String>,
) -> Result<Checklist, TemplateError> {
    template.check_form()?;
    let mut questions = template.questions.clone();
    for (position, condition) in conditions.iter().enumerate() {
        questions.push(condition.question(position + 1)?);
    }
    check_questions(&questions, &template.skip_reasons, &template.languages)?;
    if items.len() > MAX_ITEMS {
        return Err(TemplateError::TooManyItems { count: items.len(), limit: MAX_ITEMS });
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = items.iter().find(|item| !seen.insert(&item.id)) {
        return Err(TemplateError::DuplicateItem { item: twice.id.to_string() });
    }
    Ok(Checklist {
        template: TemplateRef { id: template.id.clone(), version: template.version },
        title: template.title.clone(),
        languages: template.languages.clone(),
        skip_reasons: template.skip_reasons.clone(),
        questions,
        items: items.to_vec(),
        facts: facts.clone(),
    })
}

impl LicenceCondition {
    fn question(&self, position: usize) -> Result<Question, TemplateError> {
        let unnamable = || TemplateError::UnnamableCondition {
            licence: self.licence.clone(),
            condition: self.id.clone(),
        };
        let plain: String = self
            .id
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' })
            .collect();
        let words: Vec<&str> = plain.split_whitespace().collect();
        if words.is_empty() {
            return Err(unnamable());
        }
        let id = format!("{CONDITION_PREFIX}{}", words.join("-")).parse().map_err(|_| unnamable())?;
        Ok(Question {
            id,
            number: Some(format!("C{position}")),
            scope: self.scope,
            text: self.text.clone(),
            answer: self.answer.clone(),
            required: self.required,
            evidence: self.evidence.clone(),
            note_required_on: None,
            skip_reasons: self.skip_reasons.clone(),
            ask_when: self.ask_when.clone(),
            source: Source::LicenceCondition { licence: self.licence.clone(), condition: self.id.clone() },
        })
    }
}

impl Template {
    /// Checks everything that [`freeze`] relies on, and that no question has a name which a licence's
    /// condition could take.
    ///
    /// # Errors
    /// The first thing that is wrong, naming the question.
    pub fn check(&self) -> Result<(), TemplateError> {
        match self.questions.iter().find(|question| question.id.as_str().starts_with(CONDITION_PREFIX)) {
            Some(reserved) => Err(TemplateError::ReservedQuestion { question: reserved.id.clone() }),
            None => self.check_form(),
        }
    }

    /// What [`freeze`] relies on. A template that was kept before names were reserved may still do.
    fn check_form(&self) -> Result<(), TemplateError> {
        if !self.languages.iter().any(|language| language == "en") {
            return Err(TemplateError::NoEnglish { languages: self.languages.join(", ") });
        }
        speaks_all(&self.title, &self.languages, || "the title".to_owned())?;
        let mut seen = BTreeSet::new();
        for reason in &self.skip_reasons {
            if !seen.insert(&reason.code) {
                return Err(TemplateError::DuplicateSkipReason { reason: reason.code.clone() });
            }
            speaks_all(&reason.text, &self.languages, || format!("skip reason {}", reason.code))?;
        }
        check_questions(&self.questions, &self.skip_reasons, &self.languages)
    }
}

fn speaks_all(text: &Text, languages: &[String], place: impl Fn() -> String) -> Result<(), TemplateError> {
    match languages.iter().find(|language| !text.speaks(language)) {
        Some(language) => Err(TemplateError::MissingText { place: place(), language: language.clone() }),
        None => Ok(()),
    }
}

fn check_questions(
    questions: &[Question],
    skip_reasons: &[CodedText],
    languages: &[String],
) -> Result<(), TemplateError> {
    if questions.len() > MAX_QUESTIONS {
        return Err(TemplateError::TooManyQuestions { count: questions.len(), limit: MAX_QUESTIONS });
    }
    let mut by_id = BTreeMap::new();
    for question in questions {
        if by_id.insert(&question.id, question).is_some() {
            return Err(TemplateError::DuplicateQuestion { question: question.id.clone() });
        }
    }
    for question in questions {
        check_texts(question, languages)?;
        check_answers(question, skip_reasons)?;
        check_evidence(question)?;
        let rules = question.ask_when.iter().chain(question.evidence.iter().filter_map(|e| e.when.as_ref()));
        for rule in rules {
            check_rule(question, rule, &by_id)?;
        }
    }
    match order::cycle(questions) {
        Some(cycle) => Err(cycle_error(&cycle)),
        None => Ok(()),
    }
}

fn cycle_error(cycle: &[&QuestionId]) -> TemplateError {
    let names: Vec<&str> = cycle.iter().chain(cycle.first()).map(|id| id.as_str()).collect();
    match cycle.first() {
        Some(first) => TemplateError::Cycle { question: (*first).clone(), path: names.join(" → ") },
        None => TemplateError::Unreadable("an empty cycle".to_owned()),
    }
}

fn check_texts(question: &Question, languages: &[String]) -> Result<(), TemplateError> {
    let english = ["en".to_owned()];
    let languages = if question.source == Source::Template { languages } else { &english };
    speaks_all(&question.text, languages, || question.label())?;
    let AnswerType::Choice { options, .. } = &question.answer else { return Ok(()) };
    let mut seen = BTreeSet::new();
    for option in options {
        if !seen.insert(&option.code) {
            let (question, option) = (question.id.clone(), option.code.clone());
            return Err(TemplateError::DuplicateOption { question, option });
        }
        speaks_all(&option.text, languages, || format!("option {} of {}", option.code, question.label()))?;
    }
    if options.is_empty() { Err(TemplateError::NoOptions { question: question.id.clone() }) } else { Ok(()) }
}

/// The answers that rules and notes can name, where they can be listed.
fn answers_of(question: &Question) -> Option<Vec<&str>> {
    match &question.answer {
        AnswerType::YesNoUnknown => Some(vec!["yes", "no", "unknown"]),
        AnswerType::Choice { options, .. } => Some(options.iter().map(|o| o.code.as_str()).collect()),
        _ => None,
    }
}

fn check_answers(question: &Question, skip_reasons: &[CodedText]) -> Result<(), TemplateError> {
    if let Some(reason) = question.skip_reasons.iter().find(|r| !skip_reasons.iter().any(|s| s.code == **r)) {
        let question = question.id.clone();
        return Err(TemplateError::UnknownSkipReason { question, reason: reason.clone() });
    }
    let kept = question.evidence.iter().flat_map(|rule| &rule.on_skip);
    if let Some(reason) = kept.into_iter().find(|reason| !question.skip_reasons.contains(reason)) {
        let question = question.id.clone();
        return Err(TemplateError::UnknownSkipReason { question, reason: reason.clone() });
    }
    let answers = answers_of(question).unwrap_or_default();
    let tokens = question.note_required_on.as_deref().unwrap_or_default();
    match tokens.iter().find(|token| !answers.contains(&token.as_str())) {
        Some(token) => Err(TemplateError::UnknownNoteToken {
            question: question.id.clone(),
            token: token.clone(),
            answers: answers.join(", "),
        }),
        None => Ok(()),
    }
}

fn check_evidence(question: &Question) -> Result<(), TemplateError> {
    if let Some(rule) = question.evidence.iter().find(|rule| rule.at_least == 0) {
        let (question, purpose) = (question.id.clone(), rule.purpose.clone());
        return Err(TemplateError::EvidenceOfNothing { question, purpose });
    }
    if question.answered_by_evidence() && !question.evidence.iter().any(|rule| rule.when.is_none()) {
        return Err(TemplateError::NoEvidenceRule { question: question.id.clone() });
    }
    Ok(())
}

fn check_rule(
    question: &Question,
    rule: &Condition,
    by_id: &BTreeMap<&QuestionId, &Question>,
) -> Result<(), TemplateError> {
    let id = || question.id.clone();
    if rule.depth() > MAX_CONDITION_DEPTH {
        return Err(TemplateError::TooDeep { question: id(), limit: MAX_CONDITION_DEPTH });
    }
    for leaf in rule.leaves() {
        if question.scope == Scope::Visit
            && matches!(
                leaf,
                Condition::ItemStatus(_) | Condition::ItemFact { .. } | Condition::SerialDiffers(_)
            )
        {
            return Err(TemplateError::LooksAtItem { question: id(), sees: leaf.describe() });
        }
        let Some(names) = leaf.question() else { continue };
        let Some(target) = by_id.get(names) else {
            return Err(TemplateError::UnknownQuestion { question: id(), names: names.clone() });
        };
        if question.scope == Scope::Visit && target.scope == Scope::Item {
            return Err(TemplateError::LooksAtItem { question: id(), sees: target.label() });
        }
        let (Condition::Answer { one_of, .. }, Some(answers)) = (leaf, answers_of(target)) else { continue };
        if let Some(answer) = one_of.iter().find(|answer| !answers.contains(&answer.as_str())) {
            let (names, answer) = (names.clone(), answer.clone());
            return Err(TemplateError::UnknownAnswer { question: id(), names, answer });
        }
    }
    Ok(())
}
