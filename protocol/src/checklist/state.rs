//! What is known of a visit: the input of the evaluation, gathered from records by whoever holds them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::template::EvidenceKind;
use super::words::{QuestionId, Slug};
use crate::ids::ItemId;

/// What is known of a visit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// In the order given; a later answer to the same question replaces the earlier.
    #[serde(default)]
    pub answers: Vec<GivenAnswer>,
    #[serde(default)]
    pub evidence: Vec<EvidenceHeld>,
    #[serde(default)]
    pub items: BTreeMap<ItemId, ItemStatus>,
    /// Statement records; they also count as evidence of the kind `statement`.
    #[serde(default)]
    pub statements: u32,
    /// Records of denied access.
    #[serde(default)]
    pub denials: u32,
    /// How the visit was closed, once it is.
    #[serde(default)]
    pub outcome: Option<VisitOutcome>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenAnswer {
    pub question: QuestionId,
    /// The item it is about; absent for questions of the visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemId>,
    pub answer: Answer,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// So many photos, documents or statements for one purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceHeld {
    pub kind: EvidenceKind,
    pub purpose: Slug,
    /// Absent: for any question with this purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<QuestionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemId>,
    pub count: u32,
}

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $code)] $variant),+
        }

        impl $name {
            /// Every value, in the order of the vocabulary.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code that records carry.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }
        }
    };
}

codes! {
    /// What became of an item, as the inspector records it.
    ItemStatus {
        Sighted = "sighted",
        SerialMismatch = "serial_mismatch",
        SerialUnreadable = "serial_unreadable",
        Absent = "absent",
        Relocated = "relocated",
        Transferred = "transferred",
        Lost = "lost",
        Stolen = "stolen",
        Destroyed = "destroyed",
        Expended = "expended",
        Demilitarised = "demilitarised",
        /// Left out by the sample that headquarters drew.
        NotSampled = "not_sampled",
        AccessRefused = "access_refused",
    }
}

codes! {
    /// How a visit ended.
    VisitOutcome {
        Completed = "completed",
        Partial = "partial",
        AccessDeniedState = "access_denied_state",
        AccessDeniedParty = "access_denied_party",
        NotLocated = "not_located",
        AbortedSafety = "aborted_safety",
        Postponed = "postponed",
    }
}

impl ItemStatus {
    /// Whether the item was looked for and is not as declared.
    #[must_use]
    pub fn is_defect(self) -> bool {
        matches!(
            self,
            Self::SerialMismatch
                | Self::SerialUnreadable
                | Self::Absent
                | Self::Relocated
                | Self::Transferred
                | Self::Lost
                | Self::Stolen
        )
    }
}

impl VisitOutcome {
    /// Whether somebody refused access.
    #[must_use]
    pub fn is_denial(self) -> bool {
        matches!(self, Self::AccessDeniedState | Self::AccessDeniedParty)
    }
}
