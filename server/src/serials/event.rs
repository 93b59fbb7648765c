//! What happened to a serial: events that are added and never changed. A correction is another event that
//! names the old one.

use endcheck_protocol::checklist::{ItemStatus, serials_match};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{ItemId, PartyId, SerialEventId, SiteId, VisitId};
use endcheck_protocol::record::VerificationMethod;
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What became of a serial that is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LossKind {
    Lost,
    Stolen,
    Destroyed,
    Expended,
    Demilitarised,
}

impl LossKind {
    pub const ALL: [Self; 5] =
        [Self::Lost, Self::Stolen, Self::Destroyed, Self::Expended, Self::Demilitarised];

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether nothing is left that could be looked for.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Destroyed | Self::Expended | Self::Demilitarised)
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Stolen => "stolen",
            Self::Destroyed => "destroyed",
            Self::Expended => "expended",
            Self::Demilitarised => "demilitarised",
        }
    }
}

/// Why a record of an item is not one of somebody who was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unsent {
    /// The visit was never that person's.
    NotAssigned,
    /// The visit was cancelled when the record came in.
    Cancelled,
}

impl Unsent {
    /// Why that does not count as seen.
    #[must_use]
    pub fn told(self) -> &'static str {
        match self {
            Self::NotAssigned => "whoever recorded it was not sent there",
            Self::Cancelled => "the visit was cancelled",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Happening {
    /// The papers say that its shipment arrived.
    Arrival {
        /// `YYYY-MM-DD`.
        arrived_on: String,
    },
    /// A record of a visit says what became of it.
    Sighting {
        status: ItemStatus,
        method: VerificationMethod,
        /// As read on the plate.
        serial_read: Option<String>,
        /// The site of the visit.
        site: Option<SiteId>,
        /// Why whoever recorded it could not see it for the programme; absent where they were sent there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unsent: Option<Unsent>,
    },
    /// Somebody reported that it is lost or no more.
    Loss {
        what: LossKind,
        /// Day of the loss, `YYYY-MM-DD`.
        lost_on: String,
        circumstances: String,
        /// What proves it: a certificate, a police report, each with where it is kept.
        proof: String,
        reported_by: String,
    },
    /// Somebody other than who reported a loss looked into it.
    LossReview { loss: SerialEventId, accepted: bool, reason: String },
    /// Somebody other than who reported a find or a transfer looked into it.
    Review { of: SerialEventId, accepted: bool, reason: String },
    /// It turned up again.
    Found { found_on: String, circumstances: String },
    /// It passed to another party or place.
    Transfer {
        transferred_on: String,
        losing_office: String,
        gaining_office: String,
        losing_party: PartyId,
        gaining_party: PartyId,
        losing_site: SiteId,
        gaining_site: SiteId,
        /// Country of the gaining site, ISO 3166-1 alpha-2.
        gaining_country: String,
        /// The consent that permits it, as it can be looked up; absent where there is none.
        consent: Option<String>,
    },
    /// The event that this one corrects did not happen, and nothing else in its place.
    Withdrawn { reason: String },
}

impl Happening {
    /// The kind as stored and sent.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Arrival { .. } => "arrival",
            Self::Sighting { .. } => "sighting",
            Self::Loss { .. } => "loss",
            Self::LossReview { .. } => "loss-review",
            Self::Review { .. } => "review",
            Self::Found { .. } => "found",
            Self::Transfer { .. } => "transfer",
            Self::Withdrawn { .. } => "withdrawn",
        }
    }
}

/// One event of a serial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Event {
    pub id: SerialEventId,
    pub item: ItemId,
    #[serde(flatten)]
    pub what: Happening,
    /// When it happened, by whoever says so: for a record, the device's clock.
    pub happened_at: Timestamp,
    /// When headquarters heard of it.
    pub recorded_at: Timestamp,
    /// `user:…`, `device:…` or `papers`.
    pub actor: String,
    pub visit: Option<VisitId>,
    /// The record that says it.
    pub record: Option<Sha256>,
    /// The record that its record corrects.
    pub replaces_record: Option<Sha256>,
    /// The event that it stands in for.
    pub corrects: Option<SerialEventId>,
    /// Where the log commits to it; absent where a record or the papers say it.
    pub log_index: Option<i64>,
}

impl Event {
    /// The instant that counts. A device whose clock is ahead cannot push a due date away.
    #[must_use]
    pub fn counts_at(&self) -> Timestamp {
        self.happened_at.min(self.recorded_at)
    }
}

/// What each verification method counts for.
///
/// | Method | Counts as seen | Why |
/// |---|---|---|
/// | `in-person` | yes | an inspector stood before it |
/// | `third-party` | yes, where the clock says so | somebody sent by the authority stood before it |
/// | `virtual` | yes, where the clock says so | it was shown on a live picture |
/// | `documentary` | never | papers show what was booked, not what is there |
/// | `host-self-report` | never | the host's own word is what is to be verified |
#[must_use]
pub fn can_count_as_seen(method: VerificationMethod) -> bool {
    use VerificationMethod as M;
    match method {
        M::InPerson | M::ThirdParty | M::Virtual => true,
        M::Documentary | M::HostSelfReport => false,
    }
}

/// Why a sighting does not count as seen; `None` where it does.
#[must_use]
pub fn why_not_seen(
    declared: &str,
    status: ItemStatus,
    method: VerificationMethod,
    serial_read: Option<&str>,
    seen_by: &[VerificationMethod],
) -> Option<&'static str> {
    if status != ItemStatus::Sighted {
        return Some("it was not recorded as sighted");
    }
    if !can_count_as_seen(method) {
        return Some("papers and the host's own word never count as seen");
    }
    if !seen_by.contains(&method) {
        return Some("its clock does not count this verification method");
    }
    match serial_read {
        None => Some("no serial was read on it"),
        Some(read) if !serials_match(read, declared) => Some("another serial was read on it"),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_read_the_serial_on_the_thing_itself_has_seen_it() {
        use ItemStatus as S;
        use VerificationMethod as M;
        let all = [M::InPerson, M::ThirdParty, M::Virtual];
        for (status, method, read, seen_by, seen) in [
            (S::Sighted, M::InPerson, Some("AB 12-3"), &all[..], true),
            (S::Sighted, M::ThirdParty, Some("ab123"), &all, true),
            (S::Sighted, M::Virtual, Some("AB123"), &all, true),
            (S::Sighted, M::Virtual, Some("AB123"), &all[..2], false),
            (S::Sighted, M::Documentary, Some("AB123"), &all, false),
            (S::Sighted, M::HostSelfReport, Some("AB123"), &[M::HostSelfReport], false),
            (S::Sighted, M::InPerson, None, &all, false),
            (S::Sighted, M::InPerson, Some("AB124"), &all, false),
            (S::SerialUnreadable, M::InPerson, Some("AB123"), &all, false),
            (S::Absent, M::InPerson, None, &all, false),
        ] {
            let why = why_not_seen("AB-123", status, method, read, seen_by);
            assert_eq!(why.is_none(), seen, "{status:?} {method:?} {read:?}: {why:?}");
        }
    }
}
