//! The evaluation of a checklist: which questions apply, how they stand, and what is missing.
//!
//! Total: any checklist and any state give an evaluation, also those that no honest device sends.

use std::collections::BTreeMap;

use serde::Serialize;

use super::answer::{Answer, validate};
use super::condition::{ItemScene, Scene};
use super::freeze::{Checklist, ChecklistItem};
use super::order::{Order, order};
use super::sentences;
use super::state::{EvidenceHeld, GivenAnswer, ItemStatus, State, VisitOutcome};
use super::template::{EvidenceKind, EvidenceRule, Question, Scope};
use super::words::{QuestionId, Slug};
use crate::ids::ItemId;

/// How a checklist stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evaluation {
    /// The visit's questions in the order of the checklist, then those of each item.
    pub questions: Vec<QuestionState>,
    pub missing: Vec<Missing>,
}

/// How one question stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuestionState {
    pub question: QuestionId,
    pub number: Option<String>,
    pub item: Option<ItemId>,
    pub status: Status,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Answered,
    Skipped {
        reason: Slug,
    },
    Open,
    /// The skip rule says that it is not asked; `because` is the rule that does not hold.
    NotApplicable {
        because: String,
    },
}

/// One thing that a complete visit still needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    pub need: Need,
    pub question: Option<QuestionId>,
    pub number: Option<String>,
    pub item: Option<ItemId>,
    /// What is missing, where, and what to do, in English.
    pub sentence: String,
}

/// What is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    Answer,
    /// There is an answer, but it does not fit the question.
    SoundAnswer {
        wrong: String,
    },
    Evidence {
        kind: EvidenceKind,
        purpose: Slug,
        at_least: u32,
        held: u32,
    },
    ItemStatus,
    /// The visit ends in a denial that no record describes.
    Denial,
}

/// Whether a visit may be closed with an outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Closing {
    pub allowed: bool,
    /// What is missing, also where closing is allowed nonetheless.
    pub missing: Vec<Missing>,
}

impl Evaluation {
    /// Whether the outcome `completed` is open: nothing is missing.
    #[must_use]
    pub fn may_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// Whether a visit may be closed with `outcome`. Everything but `completed` always may.
    #[must_use]
    pub fn closing(&self, outcome: VisitOutcome, state: &State) -> Closing {
        let mut missing = self.missing.clone();
        if outcome.is_denial() && state.denials == 0 {
            missing.push(Missing::new(Need::Denial, None, None));
        }
        Closing { allowed: outcome != VisitOutcome::Completed || self.may_complete(), missing }
    }
}

impl Missing {
    fn new(need: Need, question: Option<&Question>, item: Option<&ChecklistItem>) -> Self {
        let sentence = sentences::missing(&need, question, item);
        Self {
            need,
            question: question.map(|q| q.id.clone()),
            number: question.and_then(|q| q.number.clone()),
            item: item.map(|i| i.id.clone()),
            sentence,
        }
    }
}

/// The item's recorded status; `not_sampled` where the sample leaves it out and nothing is recorded. One item that is
/// not as declared ends the sample: then all are to be seen.
pub(super) fn status_of(item: &ChecklistItem, state: &State) -> Option<ItemStatus> {
    let left_out = is_left_out(item, state).then_some(ItemStatus::NotSampled);
    state.items.get(&item.id).copied().or(left_out)
}

/// Whether the sample leaves the item out, as things stand.
pub(super) fn is_left_out(item: &ChecklistItem, state: &State) -> bool {
    !item.in_sample && !state.items.values().any(|status| status.is_defect())
}

type Answers<'a> = BTreeMap<&'a QuestionId, &'a Answer>;

/// Evaluates `state` against `checklist`. Answers and evidence of unknown questions or items count
/// for nothing; answers to questions that do not apply are not looked at.
#[must_use]
pub fn evaluate(checklist: &Checklist, state: &State) -> Evaluation {
    let given: BTreeMap<_, _> =
        state.answers.iter().map(|given| ((&given.question, given.item.as_ref()), given)).collect();
    let mut evidence: BTreeMap<_, Vec<&EvidenceHeld>> = BTreeMap::new();
    for held in &state.evidence {
        evidence.entry((held.kind, &held.purpose)).or_default().push(held);
    }
    let run = Run { checklist, state, given, evidence, order: order(&checklist.questions) };
    let mut evaluation = Evaluation { questions: Vec::new(), missing: Vec::new() };
    let mut visit_answers = Answers::new();
    run.pass(None, &mut visit_answers, &Answers::new(), &mut evaluation);
    for item in &checklist.items {
        if status_of(item, state).is_none() {
            evaluation.missing.push(Missing::new(Need::ItemStatus, None, Some(item)));
        }
        run.pass(Some(item), &mut Answers::new(), &visit_answers, &mut evaluation);
    }
    evaluation
}

struct Run<'a> {
    checklist: &'a Checklist,
    state: &'a State,
    given: BTreeMap<(&'a QuestionId, Option<&'a ItemId>), &'a GivenAnswer>,
    evidence: BTreeMap<(EvidenceKind, &'a Slug), Vec<&'a EvidenceHeld>>,
    order: Order,
}

impl<'a> Run<'a> {
    /// The questions of the visit (`item` absent) or of one item; fills `answers` with those that count.
    fn pass(
        &self,
        item: Option<&'a ChecklistItem>,
        answers: &mut Answers<'a>,
        visit_answers: &Answers<'a>,
        evaluation: &mut Evaluation,
    ) {
        let scope = if item.is_some() { Scope::Item } else { Scope::Visit };
        let mut statuses = BTreeMap::new();
        for place in self.order.sorted.iter().chain(&self.order.stuck) {
            let Some(question) = self.checklist.questions.get(*place).filter(|q| q.scope == scope) else {
                continue;
            };
            let scene = self.scene(item, answers, visit_answers);
            let status = match &question.ask_when {
                Some(rule) if !rule.holds(&scene) => Standing::NotAsked(rule.describe()),
                _ => self.standing(question, item),
            };
            if let Standing::Given(answer) = &status {
                answers.insert(&question.id, answer);
            }
            statuses.insert(*place, (question, status));
        }
        let scene = self.scene(item, answers, visit_answers);
        for (question, standing) in statuses.into_values() {
            let status = self.judge(question, item, standing, &scene, &mut evaluation.missing);
            let (id, number) = (question.id.clone(), question.number.clone());
            let item = item.map(|item| item.id.clone());
            evaluation.questions.push(QuestionState { question: id, number, item, status });
        }
    }

    fn scene<'s>(
        &'s self,
        item: Option<&'s ChecklistItem>,
        answers: &'s Answers<'a>,
        visit_answers: &'s Answers<'a>,
    ) -> Scene<'s> {
        Scene {
            visit_facts: &self.checklist.facts,
            visit_answers: if item.is_some() { visit_answers } else { answers },
            item: item.map(|item| ItemScene {
                facts: &item.facts,
                serial: item.serial.as_deref(),
                status: status_of(item, self.state),
                answers,
            }),
        }
    }

    fn standing(&self, question: &'a Question, item: Option<&ChecklistItem>) -> Standing<'a> {
        let Some(given) = self.given.get(&(&question.id, item.map(|item| &item.id))) else {
            return Standing::NotGiven;
        };
        match validate(question, &given.answer, given.note.as_deref()) {
            Ok(()) => Standing::Given(&given.answer),
            Err(wrong) => Standing::Wrong(wrong.to_string()),
        }
    }

    /// Turns a standing into a status, noting what is missing.
    fn judge(
        &self,
        question: &Question,
        item: Option<&ChecklistItem>,
        standing: Standing<'_>,
        scene: &Scene<'_>,
        missing: &mut Vec<Missing>,
    ) -> Status {
        let (answer, wrong) = match standing {
            Standing::NotAsked(because) => return Status::NotApplicable { because },
            Standing::Wrong(wrong) => (None, Some(wrong)),
            Standing::NotGiven => (None, None),
            Standing::Given(answer) => (Some(answer), None),
        };
        let waived = |rule: &EvidenceRule| matches!(answer, Some(Answer::Skipped { reason }) if !rule.on_skip.contains(reason));
        let due =
            |rule: &&EvidenceRule| !waived(rule) && rule.when.as_ref().is_none_or(|when| when.holds(scene));
        let lacking: Vec<Need> = question
            .evidence
            .iter()
            .filter(due)
            .filter_map(|rule| self.lacking(rule, question, item))
            .collect();
        let status = match answer {
            Some(Answer::Skipped { reason }) => Status::Skipped { reason: reason.clone() },
            Some(_) => Status::Answered,
            None if question.answered_by_evidence() && lacking.is_empty() => Status::Answered,
            None => Status::Open,
        };
        let need = match wrong {
            Some(wrong) => Some(Need::SoundAnswer { wrong }),
            None if answer.is_some() || !question.required || question.answered_by_evidence() => None,
            None => Some(Need::Answer),
        };
        missing.extend(need.map(|need| Missing::new(need, Some(question), item)));
        if question.required || answer.is_some() {
            missing.extend(lacking.into_iter().map(|need| Missing::new(need, Some(question), item)));
        }
        status
    }

    fn lacking(
        &self,
        rule: &EvidenceRule,
        question: &Question,
        item: Option<&ChecklistItem>,
    ) -> Option<Need> {
        let fits = |held: &&&EvidenceHeld| {
            held.question.as_ref().is_none_or(|q| *q == question.id)
                && item.is_none_or(|item| held.item.as_ref() == Some(&item.id))
        };
        let named = self.evidence.get(&(rule.kind, &rule.purpose)).into_iter().flatten();
        let spoken = if rule.kind == EvidenceKind::Statement { self.state.statements } else { 0 };
        let held = named.filter(fits).fold(spoken, |sum, held| sum.saturating_add(held.count));
        (held < rule.at_least).then(|| Need::Evidence {
            kind: rule.kind,
            purpose: rule.purpose.clone(),
            at_least: rule.at_least,
            held,
        })
    }
}

enum Standing<'a> {
    NotAsked(String),
    NotGiven,
    Wrong(String),
    Given(&'a Answer),
}
