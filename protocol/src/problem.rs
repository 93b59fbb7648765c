//! The wire form of every refusal: RFC 9457 problem documents with stable kebab-case codes.

use serde::{Deserialize, Serialize};

/// A refusal: what was wrong, where, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `urn:endcheck:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// HTTP status.
    pub status: u16,
    /// Stable, kebab-case: programs decide by it.
    pub code: String,
    /// A short human title.
    pub title: String,
    /// What exactly, and what to do next.
    pub detail: String,
    /// The fields or rows at fault, when there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
}

/// One fault of one field of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldProblem {
    /// Where: a line of a file, an index of a list.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<u64>,
    /// Which field.
    pub field: String,
    /// What is wrong and what is expected.
    pub reason: String,
}

impl Problem {
    #[must_use]
    pub fn new(status: u16, code: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:endcheck:problem:{code}"),
            status,
            code: code.to_owned(),
            title: title.to_owned(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }
}
