//! Checklists: the template, the frozen document of one visit, and what is still missing from it.
//!
//! A [`Template`] is frozen at dispatch with the questions that the licence's conditions add
//! ([`freeze()`]); the device and headquarters then judge the same [`Checklist`] with the same
//! [`evaluate()`]. Everything here is pure: no file, clock or database. It states facts (what is
//! answered, what is missing, what stands against a favourable determination) and decides nothing.

mod answer;
mod condition;
mod error;
mod evaluate;
mod freeze;
mod obstacles;
mod order;
mod sentences;
mod state;
mod template;
mod words;

pub use answer::{
    Answer, AnswerError, Decimal, InvalidDecimal, MAX_TEXT_CHARS, YesNo, serial_key, serials_match, validate,
};
pub use condition::{Condition, MAX_CONDITION_DEPTH};
pub use error::TemplateError;
pub use evaluate::{Closing, Evaluation, Missing, Need, QuestionState, Status, evaluate};
pub use freeze::{Checklist, ChecklistItem, LicenceCondition, MAX_ITEMS, MAX_QUESTIONS, TemplateRef, freeze};
pub use obstacles::{Obstacle, ObstacleKind, favourable_obstacles};
pub use state::{EvidenceHeld, GivenAnswer, ItemStatus, State, VisitOutcome};
pub use template::{
    AnswerType, ChoiceOption, CodedText, EvidenceKind, EvidenceRule, Question, Scope, Source, Template,
};
pub use words::{InvalidSlug, QuestionId, Slug, Text};
