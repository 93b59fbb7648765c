//! Skip rules: a tree of all, any and not over answers, item statuses and facts.
//!
//! Two-valued on purpose: a question that nobody answered equals nothing. A rule about an answer is
//! therefore false until the answer is there, and `not` makes it the cautious way round.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::answer::{Answer, serials_match};
use super::state::ItemStatus;
use super::words::QuestionId;

/// How deep a rule may nest.
pub const MAX_CONDITION_DEPTH: usize = 16;

/// A rule that says when a question is asked or evidence demanded.
///
/// A rule of an item's question may look at that item and at the visit; a rule of a visit's question
/// looks at the visit only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// The answer is one of these: `yes`, `no`, `unknown`, a choice code (one of several given is
    /// enough), a text, serial or number as written.
    Answer {
        question: QuestionId,
        #[serde(rename = "in")]
        one_of: Vec<String>,
    },
    /// There is an answer, which is not a skip.
    Answered(QuestionId),
    /// The question was skipped, for whatever reason.
    Skipped(QuestionId),
    /// The serial read differs from the one the shipment declares. False where none is declared.
    SerialDiffers(QuestionId),
    ItemStatus(Vec<ItemStatus>),
    /// A fact frozen with the item, such as `sealed`.
    ItemFact {
        name: String,
        #[serde(rename = "in")]
        one_of: Vec<String>,
    },
    /// A fact frozen with the visit, such as `tier`.
    VisitFact {
        name: String,
        #[serde(rename = "in")]
        one_of: Vec<String>,
    },
}

/// What a rule can see. Answers of questions that do not apply are not in it.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub visit_facts: &'a BTreeMap<String, String>,
    pub visit_answers: &'a BTreeMap<&'a QuestionId, &'a Answer>,
    pub item: Option<ItemScene<'a>>,
}

#[derive(Clone, Copy)]
pub(super) struct ItemScene<'a> {
    pub facts: &'a BTreeMap<String, String>,
    pub serial: Option<&'a str>,
    pub status: Option<ItemStatus>,
    pub answers: &'a BTreeMap<&'a QuestionId, &'a Answer>,
}

impl Scene<'_> {
    fn answer(&self, question: &QuestionId) -> Option<&Answer> {
        self.item
            .and_then(|item| item.answers.get(question).copied())
            .or_else(|| self.visit_answers.get(question).copied())
    }
}

impl Condition {
    pub(super) fn holds(&self, scene: &Scene<'_>) -> bool {
        let listed = |values: &[String], value: Option<&String>| value.is_some_and(|v| values.contains(v));
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(scene)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(scene)),
            Self::Not(part) => !part.holds(scene),
            Self::Answer { question, one_of } => scene.answer(question).is_some_and(|answer| {
                !answer.is_skip() && answer.tokens().iter().any(|token| one_of.contains(token))
            }),
            Self::Answered(question) => scene.answer(question).is_some_and(|answer| !answer.is_skip()),
            Self::Skipped(question) => scene.answer(question).is_some_and(Answer::is_skip),
            Self::SerialDiffers(question) => {
                match (scene.answer(question), scene.item.and_then(|item| item.serial)) {
                    (Some(Answer::Serial(read)), Some(declared)) => !serials_match(read, declared),
                    _ => false,
                }
            }
            Self::ItemStatus(statuses) => {
                scene.item.and_then(|item| item.status).is_some_and(|status| statuses.contains(&status))
            }
            Self::ItemFact { name, one_of } => {
                listed(one_of, scene.item.and_then(|item| item.facts.get(name)))
            }
            Self::VisitFact { name, one_of } => listed(one_of, scene.visit_facts.get(name)),
        }
    }

    /// Levels of nesting; a leaf is 1. Stops counting just past the limit.
    pub(super) fn depth(&self) -> usize {
        let mut deepest = 0;
        let mut ahead = vec![(self, 1)];
        while let Some((condition, depth)) = ahead.pop() {
            deepest = deepest.max(depth);
            if depth <= MAX_CONDITION_DEPTH {
                ahead.extend(condition.parts().iter().map(|part| (part, depth + 1)));
            }
        }
        deepest
    }

    fn parts(&self) -> &[Condition] {
        match self {
            Self::All(parts) | Self::Any(parts) => parts,
            Self::Not(part) => std::slice::from_ref(part.as_ref()),
            _ => &[],
        }
    }

    /// Every leaf of the tree.
    pub(super) fn leaves(&self) -> Vec<&Condition> {
        let mut leaves = Vec::new();
        let mut ahead = vec![self];
        while let Some(condition) = ahead.pop() {
            match condition {
                Self::All(_) | Self::Any(_) | Self::Not(_) => ahead.extend(condition.parts().iter().rev()),
                leaf => leaves.push(leaf),
            }
        }
        leaves
    }

    /// The questions whose answers it looks at.
    pub(super) fn questions(&self) -> Vec<&QuestionId> {
        self.leaves().into_iter().filter_map(Condition::question).collect()
    }

    pub(super) fn question(&self) -> Option<&QuestionId> {
        match self {
            Self::Answer { question, .. }
            | Self::Answered(question)
            | Self::Skipped(question)
            | Self::SerialDiffers(question) => Some(question),
            _ => None,
        }
    }

    /// The rule in English words.
    #[must_use]
    pub fn describe(&self) -> String {
        let joined = |parts: &[Condition], word: &str| match parts {
            [one] => one.describe(),
            _ => {
                let parts: Vec<String> = parts.iter().map(Condition::describe).collect();
                format!("({})", parts.join(word))
            }
        };
        match self {
            Self::All(parts) => joined(parts, " and "),
            Self::Any(parts) => joined(parts, " or "),
            Self::Not(part) => format!("not {}", part.describe()),
            Self::Answer { question, one_of } => format!("{question} is {}", one_of.join(" or ")),
            Self::Answered(question) => format!("{question} is answered"),
            Self::Skipped(question) => format!("{question} is skipped"),
            Self::SerialDiffers(question) => format!("{question} differs from the declared serial"),
            Self::ItemStatus(statuses) => {
                let names: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
                format!("the item's status is {}", names.join(" or "))
            }
            Self::ItemFact { name, one_of } => format!("the item's {name} is {}", one_of.join(" or ")),
            Self::VisitFact { name, one_of } => format!("the visit's {name} is {}", one_of.join(" or ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checklist::YesNo;

    fn holds(json: &str) -> bool {
        let id: QuestionId = "seen".parse().unwrap();
        let read: QuestionId = "serial".parse().unwrap();
        let gone: QuestionId = "gone".parse().unwrap();
        let (yes, serial) = (Answer::YesNo(YesNo::Yes), Answer::Serial("sn 44-12".to_owned()));
        let skip = Answer::Skipped { reason: "no-plate".parse().unwrap() };
        let visit_answers = BTreeMap::from([(&id, &yes)]);
        let answers = BTreeMap::from([(&read, &serial), (&gone, &skip)]);
        let visit_facts = BTreeMap::from([("tier".to_owned(), "2".to_owned())]);
        let facts = BTreeMap::from([("sealed".to_owned(), "yes".to_owned())]);
        let item = ItemScene {
            facts: &facts,
            serial: Some("SN4411"),
            status: Some(ItemStatus::Sighted),
            answers: &answers,
        };
        let scene = Scene { visit_facts: &visit_facts, visit_answers: &visit_answers, item: Some(item) };
        serde_json::from_str::<Condition>(json).unwrap().holds(&scene)
    }

    #[test]
    fn each_rule_holds_or_not() {
        let table = [
            (r#"{"all":[]}"#, true),
            (r#"{"any":[]}"#, false),
            (r#"{"answer":{"question":"seen","in":["no","yes"]}}"#, true),
            (r#"{"answer":{"question":"seen","in":["no"]}}"#, false),
            (r#"{"answer":{"question":"nowhere","in":["yes"]}}"#, false),
            (r#"{"not":{"answer":{"question":"nowhere","in":["yes"]}}}"#, true),
            (r#"{"answer":{"question":"gone","in":["no-plate"]}}"#, false),
            (r#"{"answered":"seen"}"#, true),
            (r#"{"answered":"gone"}"#, false),
            (r#"{"skipped":"gone"}"#, true),
            (r#"{"skipped":"seen"}"#, false),
            (r#"{"serial-differs":"serial"}"#, true),
            (r#"{"serial-differs":"seen"}"#, false),
            (r#"{"item-status":["sighted"]}"#, true),
            (r#"{"item-status":["absent"]}"#, false),
            (r#"{"item-fact":{"name":"sealed","in":["yes"]}}"#, true),
            (r#"{"item-fact":{"name":"colour","in":["yes"]}}"#, false),
            (r#"{"visit-fact":{"name":"tier","in":["1","2"]}}"#, true),
            (r#"{"all":[{"answered":"seen"},{"answered":"gone"}]}"#, false),
            (r#"{"any":[{"answered":"gone"},{"answered":"seen"}]}"#, true),
        ];
        for (json, expected) in table {
            assert_eq!(holds(json), expected, "{json}");
        }
    }

    #[test]
    fn a_rule_with_an_unknown_word_is_refused() {
        for json in [r#"{"xor":[]}"#, r#"{"answer":{"question":"a","in":[],"x":1}}"#, r#"{"answered":"A b"}"#]
        {
            assert!(serde_json::from_str::<Condition>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_rule_says_itself_in_words() {
        let rule: Condition = serde_json::from_str(
            r#"{"all":[{"answer":{"question":"a","in":["yes"]}},{"not":{"item-status":["absent","lost"]}}]}"#,
        )
        .unwrap();
        assert_eq!(rule.describe(), "(a is yes and not the item's status is absent or lost)");
        assert_eq!(rule.depth(), 3);
    }
}
