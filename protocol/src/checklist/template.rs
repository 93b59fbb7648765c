//! A checklist template: versioned questions with their answers, evidence, skip rules and texts.

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::error::TemplateError;
use super::words::{QuestionId, Slug, Text};

/// A versioned list of questions, written at headquarters. Never edited: a change is a new version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    pub id: Slug,
    pub version: u32,
    pub title: Text,
    /// BCP 47 tags; every text of the template must exist in each of them. `en` must be among them.
    pub languages: Vec<String>,
    /// The coded reasons for which questions may be skipped; a question names those it allows.
    #[serde(default)]
    pub skip_reasons: Vec<CodedText>,
    pub questions: Vec<Question>,
}

/// A code that records carry, with the words that people read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodedText {
    pub code: Slug,
    pub text: Text,
}

/// One question. Composite questions of the source are split, so that each has one answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    pub id: QuestionId,
    /// What people call it, such as `4a`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    pub scope: Scope,
    pub text: Text,
    pub answer: AnswerType,
    /// A required question must be answered, or skipped for an allowed reason, before a visit is complete.
    pub required: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<EvidenceRule>,
    /// The answers that need a note: `yes`, `no`, `unknown`, or choice codes. Absent: `no` and
    /// `unknown` where the question is a yes/no one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note_required_on: Option<Vec<String>>,
    /// Codes of the template's skip reasons; none means that the question is never skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip_reasons: Vec<Slug>,
    /// Absent: always asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask_when: Option<Condition>,
    #[serde(default)]
    pub source: Source,
}

/// Whether a question is asked once a visit or once for each item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    Visit,
    Item,
}

/// What an answer looks like. Photo and document questions are answered by their evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AnswerType {
    YesNoUnknown,
    Text,
    /// A decimal number; `unit` as written beside the field (`h`, `pieces`), empty for none.
    Number {
        unit: String,
    },
    Serial,
    Choice {
        /// Whether several options may be given together.
        multiple: bool,
        options: Vec<ChoiceOption>,
    },
    /// WGS84.
    Position,
    Photo,
    Document,
}

/// One option of a choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChoiceOption {
    pub code: Slug,
    pub text: Text,
    /// Cannot be given together with another option ("none of these").
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exclusive: bool,
}

/// Evidence that a question demands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceRule {
    pub kind: EvidenceKind,
    /// What it shows: `exterior`, `plate-close-up`.
    pub purpose: Slug,
    pub at_least: u32,
    /// Absent: always demanded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
    /// The skip reasons that do not waive it: an illegible plate is still photographed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_skip: Vec<Slug>,
}

/// What kind of record proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EvidenceKind {
    Photo,
    Document,
    Statement,
    Track,
}

impl EvidenceKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Photo => "photo",
            Self::Document => "document",
            Self::Statement => "statement",
            Self::Track => "track",
        }
    }
}

/// Where a question comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Source {
    #[default]
    Template,
    /// A condition of the licence under which the items were shipped.
    LicenceCondition { licence: String, condition: String },
}

impl Template {
    /// The end-use visit checklist that comes with Endcheck: 34 numbered rows, composite ones split.
    ///
    /// # Errors
    /// None while the embedded file is sound, which a test holds.
    pub fn default_end_use() -> Result<Self, TemplateError> {
        Self::from_json(include_str!("../../checklists/end-use-visit.json"))
    }

    /// Reads and checks a template.
    ///
    /// # Errors
    /// Says what is wrong, and of which question.
    pub fn from_json(json: &str) -> Result<Self, TemplateError> {
        let template: Self =
            serde_json::from_str(json).map_err(|e| TemplateError::Unreadable(e.to_string()))?;
        template.check()?;
        Ok(template)
    }
}

impl Question {
    /// The question in `language`, falling back to English.
    #[must_use]
    pub fn text_in(&self, language: &str) -> &str {
        self.text.text_in(language)
    }

    /// Whether the answer written as `token` needs a note.
    #[must_use]
    pub fn needs_note_on(&self, token: &str) -> bool {
        match &self.note_required_on {
            Some(tokens) => tokens.iter().any(|t| t == token),
            None => self.answer == AnswerType::YesNoUnknown && matches!(token, "no" | "unknown"),
        }
    }

    /// Whether evidence alone answers it.
    #[must_use]
    pub fn answered_by_evidence(&self) -> bool {
        matches!(self.answer, AnswerType::Photo | AnswerType::Document)
    }

    /// How messages call it: `question 12 (serial-read)`.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.number {
            Some(number) => format!("question {number} ({})", self.id),
            None => format!("question {}", self.id),
        }
    }
}
