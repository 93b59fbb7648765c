//! Records: one signed statement an act, chained per device, never edited.
//!
//! A correction is a new record whose `replaces` names the old one. Times, positions and verdicts
//! are what the device says; headquarters keeps its own beside them.

use serde::{Deserialize, Serialize};

use crate::checklist::{Answer, ItemStatus, QuestionId, VisitOutcome};
use crate::digest::Sha256;
use crate::ids::{DeviceId, ItemId, SiteId, VisitId};
use crate::merkle::{CompactRange, leaf_hash};
use crate::photo::PhotoFacts;
use crate::place::Fix;
use crate::time::Timestamp;

/// The one schema of records that this version writes and reads.
pub const SCHEMA: &str = "endcheck-record-1";

/// What a device signs about one act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub schema: String,
    /// The authority that enrolled the device.
    pub org: String,
    pub device: DeviceId,
    /// Program and version, such as `endcheck 0.1.0`.
    pub agent: String,
    /// Place in the device's chain, from 0 without gaps.
    pub seq: u64,
    /// SHA-256 of the previous envelope's bytes; absent at `seq` 0 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<Sha256>,
    /// The operating system's id of this boot.
    pub boot: String,
    /// Nanoseconds since that boot, a 64-bit count as text.
    pub monotonic_ns: String,
    pub clock: ClockReadings,
    /// The device's own fix; never the photo's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Fix>,
    /// The newest log checkpoint the device held: the record was made after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Anchor>,
    pub task: Task,
    /// The record that this one corrects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Sha256>,
    pub act: Act,
}

/// Every clock that had something to say, each with its source, never merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockReadings {
    /// The device's wall clock.
    pub device_at: Timestamp,
    /// The satellite time of the fix used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gnss_at: Option<Timestamp>,
    /// The last time heard from the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerTime>,
}

/// A time that the server told, and how long the answer was under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerTime {
    pub at: Timestamp,
    /// Boot in which it was heard.
    pub boot: String,
    /// Monotonic reading when it was heard, a 64-bit count as text.
    pub heard_monotonic_ns: String,
    /// Upper bound of the error.
    pub round_trip_ms: u64,
}

/// A state of the server's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// Entries in the log.
    pub size: u64,
    /// RFC 6962 tree head over them.
    pub root: Sha256,
}

/// What the act belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit: Option<VisitId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<QuestionId>,
    /// Hash of the frozen checklist that the inspector worked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checklist: Option<Sha256>,
}

/// What was done. Closed: an unknown kind is refused by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Act {
    /// The inspector began the visit.
    VisitOpen {
        method: VerificationMethod,
    },
    /// A photo was taken in; `facts` is what the file says of itself.
    Photo {
        file: FileFacts,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        purpose: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        caption: Option<String>,
        facts: Box<PhotoFacts>,
    },
    /// A document was taken in.
    Document {
        file: FileFacts,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        purpose: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        caption: Option<String>,
    },
    /// A track was taken in.
    Track {
        file: FileFacts,
    },
    /// A question of the checklist was answered.
    Answer {
        value: Answer,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// An item of the shipment was looked for.
    Item(ItemSighting),
    Note {
        text: String,
    },
    Statement(Statement),
    Denied(Denial),
    /// The inspector is well, or says otherwise.
    CheckIn {
        status: CheckInStatus,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    VisitClose {
        outcome: VisitOutcome,
        /// What the device judged to be missing, one sentence each.
        missing: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// Every record that this device made of the visit until then, in the order of their numbers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contents: Option<Contents>,
    },
    /// The wall clock moved against the monotonic clock within one boot.
    ClockSet {
        /// New minus old reading, in milliseconds.
        moved_by_ms: i64,
    },
    /// The device and what it holds passed to another person.
    Transfer {
        to: String,
        reason: String,
    },
}

/// A list of records in an order that is agreed: none can be left out, added or exchanged later without
/// that its root shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Contents {
    pub records: u64,
    /// RFC 6962 tree head over the envelopes' 32-byte hashes.
    pub root: Sha256,
}

impl Contents {
    /// The records of these hashes.
    #[must_use]
    pub fn of<'a>(hashes: impl IntoIterator<Item = &'a Sha256>) -> Self {
        let mut range = CompactRange::default();
        for hash in hashes {
            range.push(leaf_hash(&hash.to_bytes()));
        }
        Self { records: range.size(), root: range.root() }
    }
}

/// A file sealed on the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileFacts {
    /// The source file's name: a label, never a path.
    pub name: String,
    pub size_bytes: u64,
    /// Media type by content, not by name.
    pub mime: String,
    /// Of the plaintext.
    pub sha256: Sha256,
    /// Of the age file that is uploaded.
    pub sealed_sha256: Sha256,
    pub sealed_size_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemSighting {
    pub status: ItemStatus,
    pub method: VerificationMethod,
    /// The serial or lot as read on the plate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_entry: Option<SerialEntry>,
    /// How many were counted, in the shipment line's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How a serial came into the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SerialEntry {
    /// Typed twice, both times alike.
    KeyedTwice,
    Scanned,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    pub by: String,
    pub role: String,
    /// Language it was made in.
    pub language: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    pub text: String,
    pub read_back: bool,
    pub signature: SignatureGiven,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SignatureGiven {
    Signed,
    Refused,
    NotAsked,
}

/// Access that was refused, in whole or in part: an act to be recorded, not a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denial {
    pub by: DeniedBy,
    /// Name and function as given.
    pub who: String,
    /// When it was said, by the inspector's account.
    pub at: Timestamp,
    /// The words used.
    pub words: String,
    /// What was refused: the site, an area, an item, a question.
    pub scope: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DeniedBy {
    HostGovernment,
    Party,
    SiteGuard,
    ThirdParty,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckInStatus {
    Well,
    Delayed,
    Aborting,
}

/// How an item or a visit was verified; `host-self-report` never counts as seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum VerificationMethod {
    InPerson,
    ThirdParty,
    Virtual,
    Documentary,
    HostSelfReport,
}

impl Act {
    /// The kind as written in the record.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::VisitOpen { .. } => "visit-open",
            Self::Photo { .. } => "photo",
            Self::Document { .. } => "document",
            Self::Track { .. } => "track",
            Self::Answer { .. } => "answer",
            Self::Item(_) => "item",
            Self::Note { .. } => "note",
            Self::Statement(_) => "statement",
            Self::Denied(_) => "denied",
            Self::CheckIn { .. } => "check-in",
            Self::VisitClose { .. } => "visit-close",
            Self::ClockSet { .. } => "clock-set",
            Self::Transfer { .. } => "transfer",
        }
    }

    /// The file that the act takes in, if it takes one in.
    #[must_use]
    pub fn file(&self) -> Option<&FileFacts> {
        match self {
            Self::Photo { file, .. } | Self::Document { file, .. } | Self::Track { file } => Some(file),
            _ => None,
        }
    }
}
