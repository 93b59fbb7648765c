//! What can be wrong with a template, and with the conditions and items frozen beside it.

use super::words::{QuestionId, Slug};

/// A template that cannot be used, or cannot be frozen with what it is given. Names the question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("the template cannot be read: {0}")]
    Unreadable(String),
    #[error("the template names no language en among its languages ({languages}); texts fall back to it")]
    NoEnglish { languages: String },
    #[error("the template has {count} questions; the limit is {limit}")]
    TooManyQuestions { count: usize, limit: usize },
    #[error("the visit has {count} items; the limit is {limit}: split the visit")]
    TooManyItems { count: usize, limit: usize },
    #[error("question {question} is there twice; rename one")]
    DuplicateQuestion { question: QuestionId },
    #[error(
        "question {question} begins with condition-, which is kept for the conditions of licences; rename it"
    )]
    ReservedQuestion { question: QuestionId },
    #[error("item {item} is there twice")]
    DuplicateItem { item: String },
    #[error("{place} has no text in {language}; add one")]
    MissingText { place: String, language: String },
    #[error("question {question} has no options to choose from")]
    NoOptions { question: QuestionId },
    #[error("question {question} has option {option} twice")]
    DuplicateOption { question: QuestionId, option: Slug },
    #[error("question {question} demands a note on {token:?}, which is none of its answers ({answers})")]
    UnknownNoteToken { question: QuestionId, token: String, answers: String },
    #[error(
        "question {question} names the skip reason {reason}, which the template or the question does not define"
    )]
    UnknownSkipReason { question: QuestionId, reason: Slug },
    #[error("skip reason {reason} is there twice")]
    DuplicateSkipReason { reason: Slug },
    #[error("question {question} is answered by its evidence but demands none unconditionally")]
    NoEvidenceRule { question: QuestionId },
    #[error(
        "question {question} demands evidence {purpose} zero times; drop the rule or ask for at least one"
    )]
    EvidenceOfNothing { question: QuestionId, purpose: Slug },
    #[error("question {question} has a rule about question {names}, which does not exist")]
    UnknownQuestion { question: QuestionId, names: QuestionId },
    #[error(
        "question {question} has a rule that expects {names} to be {answer:?}, which is none of its answers"
    )]
    UnknownAnswer { question: QuestionId, names: QuestionId, answer: String },
    #[error("question {question} is asked once a visit, but its rule looks at {sees}, which each item has")]
    LooksAtItem { question: QuestionId, sees: String },
    #[error("question {question} has a rule nested deeper than {limit} levels")]
    TooDeep { question: QuestionId, limit: usize },
    #[error("question {question} is asked depending on itself: {path}")]
    Cycle { question: QuestionId, path: String },
    #[error("condition {condition:?} of licence {licence} makes no question name; give it letters or digits")]
    UnnamableCondition { licence: String, condition: String },
}
