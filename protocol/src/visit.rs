//! Visits as the wire knows them: states, verbs, and the packet an inspector takes along.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::checklist::{Checklist, VisitOutcome};
use crate::ids::{CheckId, ItemId, SiteId, UserId, VisitId};
use crate::time::Timestamp;

/// Where a visit stands. Overdue and unassigned are derived, not states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum VisitState {
    Planned,
    Announced,
    Dispatched,
    Open,
    Closed,
    Reviewed,
    Cancelled,
    Interrupted,
}

/// What can happen to a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VisitVerb {
    Announce,
    Reassign,
    Reschedule,
    /// An assigned device fetched it; the checklist is frozen.
    Pull,
    /// A `visit-open` record came in.
    Open,
    /// A `visit-close` record came in.
    Close,
    /// No sync past the window and its grace.
    Interrupt,
    Cancel,
    Determine,
}

/// A verb that the visit's state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a visit that is {from} cannot {verb}")]
pub struct RefusedTransition {
    pub from: VisitState,
    pub verb: VisitVerb,
}

impl VisitState {
    pub const ALL: [Self; 8] = [
        Self::Planned,
        Self::Announced,
        Self::Dispatched,
        Self::Open,
        Self::Closed,
        Self::Reviewed,
        Self::Cancelled,
        Self::Interrupted,
    ];

    /// The one state table.
    ///
    /// # Errors
    /// Names the verb and the state that does not allow it.
    pub fn after(self, verb: VisitVerb) -> Result<Self, RefusedTransition> {
        use VisitState as S;
        use VisitVerb as V;
        match (self, verb) {
            (S::Planned, V::Announce) => Ok(S::Announced),
            (S::Planned | S::Announced | S::Dispatched, V::Reassign | V::Reschedule) => Ok(self),
            (S::Planned | S::Announced | S::Dispatched, V::Pull) => Ok(S::Dispatched),
            (S::Dispatched | S::Interrupted, V::Open) => Ok(S::Open),
            (S::Dispatched | S::Open | S::Interrupted, V::Close) => Ok(S::Closed),
            (S::Dispatched | S::Open, V::Interrupt) => Ok(S::Interrupted),
            (S::Planned | S::Announced | S::Dispatched, V::Cancel) => Ok(S::Cancelled),
            (S::Closed | S::Reviewed, V::Determine) => Ok(S::Reviewed),
            (from, verb) => Err(RefusedTransition { from, verb }),
        }
    }

    /// The name as stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Announced => "announced",
            Self::Dispatched => "dispatched",
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Reviewed => "reviewed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl fmt::Display for VisitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for VisitVerb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Announce => "be announced",
            Self::Reassign => "be reassigned",
            Self::Reschedule => "be rescheduled",
            Self::Pull => "be pulled",
            Self::Open => "be opened",
            Self::Close => "be closed",
            Self::Interrupt => "be interrupted",
            Self::Cancel => "be cancelled",
            Self::Determine => "be determined",
        })
    }
}

/// A visit as listed and returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Visit {
    pub id: VisitId,
    pub check: CheckId,
    pub site: SiteId,
    pub site_name: String,
    pub country: String,
    pub state: VisitState,
    /// Counts reassignments and moves; the value of `ETag`.
    pub version: i64,
    pub inspector: Option<UserId>,
    pub inspector_name: Option<String>,
    /// The second person, of a visit of two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_name: Option<String>,
    pub window_start_at: Timestamp,
    pub window_end_at: Timestamp,
    /// IANA zone of the site, in which the window is read.
    pub time_zone: String,
    /// The check's due date.
    pub due_at: Timestamp,
    pub overdue: bool,
    pub outcome: Option<VisitOutcome>,
    pub reason: Option<String>,
}

impl Visit {
    /// Whether that person is sent, alone or as one of two.
    #[must_use]
    pub fn is_for(&self, user: &UserId) -> bool {
        self.inspector.as_ref() == Some(user) || self.second.as_ref() == Some(user)
    }
}

/// All that an inspector needs on site, without a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VisitPacket {
    pub visit: Visit,
    /// Why this check is made.
    pub check_reason: String,
    pub check_kind: String,
    pub site_address: String,
    /// GeoJSON of the site's fence.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub fence: Option<serde_json::Value>,
    pub shipment: ShipmentSummary,
    pub items: Vec<ExpectedItem>,
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub checklist: Checklist,
    /// Whether the visit was taken away from this inspector or cancelled.
    pub withdrawn: bool,
}

/// What the papers say about the shipment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ShipmentSummary {
    pub key: String,
    pub licence_number: String,
    pub control_entry: String,
    pub exporter: String,
    pub consignee: String,
    pub end_user: String,
    pub declared_use: String,
    pub hs6: String,
    pub shipped_on: Option<String>,
    pub arrived_on: Option<String>,
}

/// An item that should be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExpectedItem {
    pub id: ItemId,
    pub key: String,
    pub description: String,
    pub manufacturer: String,
    pub part_number: String,
    /// The serial, or the lot where items carry none of their own.
    pub serial: Option<String>,
    pub lot: Option<String>,
    pub quantity: String,
    pub unit: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_table_allows_these_moves_and_no_others() {
        use VisitState as S;
        use VisitVerb as V;
        let verbs = [
            V::Announce,
            V::Reassign,
            V::Reschedule,
            V::Pull,
            V::Open,
            V::Close,
            V::Interrupt,
            V::Cancel,
            V::Determine,
        ];
        let allowed = [
            (S::Planned, V::Announce, S::Announced),
            (S::Planned, V::Reassign, S::Planned),
            (S::Planned, V::Reschedule, S::Planned),
            (S::Planned, V::Pull, S::Dispatched),
            (S::Planned, V::Cancel, S::Cancelled),
            (S::Announced, V::Reassign, S::Announced),
            (S::Announced, V::Reschedule, S::Announced),
            (S::Announced, V::Pull, S::Dispatched),
            (S::Announced, V::Cancel, S::Cancelled),
            (S::Dispatched, V::Reassign, S::Dispatched),
            (S::Dispatched, V::Reschedule, S::Dispatched),
            (S::Dispatched, V::Pull, S::Dispatched),
            (S::Dispatched, V::Open, S::Open),
            (S::Dispatched, V::Close, S::Closed),
            (S::Dispatched, V::Interrupt, S::Interrupted),
            (S::Dispatched, V::Cancel, S::Cancelled),
            (S::Open, V::Close, S::Closed),
            (S::Open, V::Interrupt, S::Interrupted),
            (S::Interrupted, V::Open, S::Open),
            (S::Interrupted, V::Close, S::Closed),
            (S::Closed, V::Determine, S::Reviewed),
            (S::Reviewed, V::Determine, S::Reviewed),
        ];
        for from in S::ALL {
            for verb in verbs {
                let expected =
                    allowed.iter().find(|(f, v, _)| (*f, *v) == (from, verb)).map(|(_, _, to)| *to);
                assert_eq!(from.after(verb).ok(), expected, "{from} {verb}");
            }
        }
        let refused = S::Cancelled.after(V::Open).unwrap_err();
        assert_eq!(refused.to_string(), "a visit that is cancelled cannot be opened");
    }
}
