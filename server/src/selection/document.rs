//! What the log commits to before and after a draw. Fields are in alphabetical order, so that their JSON is canonical
//! (RFC 8785) as it is written.

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{CheckId, SelectionId, ShipmentId, UserId};
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Override, OverrideAct};
use crate::risk::draw::{Chosen, Stratum};

pub const SEED_SCHEMA: &str = "endcheck/seed/1";
pub const SELECTION_SCHEMA: &str = "endcheck/selection/1";

/// What a draw will be made with; logged before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SeedDocument {
    pub capacity: u64,
    pub committed_at: Timestamp,
    pub committed_by: UserId,
    pub id: SelectionId,
    #[schema(value_type = String)]
    pub policy: Sha256,
    pub schema: String,
    /// SHA-256 of the seed's 32 bytes.
    #[schema(value_type = String)]
    pub seed_sha256: Sha256,
}

/// The outcome of a draw; logged with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectionDocument {
    pub capacity: u64,
    pub chosen: Vec<Selected>,
    pub drawn_at: Timestamp,
    pub drawn_by: UserId,
    pub id: SelectionId,
    /// Shipments that would have been in the pool but for a check that a person opened by hand and that is still
    /// under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept_out: Vec<KeptOut>,
    #[schema(value_type = String)]
    pub policy: Sha256,
    /// SHA-256 of the pool: a line for each shipment, sorted by its key, with its assessment, band and points,
    /// parted by tabs.
    #[schema(value_type = String)]
    pub pool_sha256: Sha256,
    pub pool_size: u64,
    pub random_percent: u64,
    pub schema: String,
    /// 64 digits of hex.
    pub seed: String,
    /// Where the log commits to the seed.
    pub seed_index: u64,
    pub strata: Vec<Stratum>,
}

/// A check opened by hand that kept a shipment out of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeptOut {
    pub check: CheckId,
    pub opened_at: Timestamp,
    pub opened_by: UserId,
    pub reason: String,
    /// The shipment's key.
    pub shipment: String,
}

/// A shipment chosen, and which of its items are to be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Selected {
    pub chosen: Chosen,
    pub sample: ItemSample,
}

/// A sample of a shipment's items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemSample {
    pub confidence_percent: u64,
    /// Items not as declared that the sample is to find.
    pub defects: u64,
    /// Keys of the items to be seen, in the shipment's order.
    pub items: Vec<String>,
    /// Keys of the others, in the shipment's order.
    pub left_out: Vec<String>,
    /// Items of the shipment.
    pub population: u64,
}

pub(super) const OVERRIDE_SCHEMA: &str = "endcheck-selection-override-1";

/// A departure as the log commits to it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OverrideDocument {
    pub act: OverrideAct,
    pub author: UserId,
    pub id: String,
    pub noted_at: Timestamp,
    pub reason: String,
    pub schema: String,
    pub selection: SelectionId,
    pub shipment: ShipmentId,
}

impl OverrideDocument {
    pub fn of(id: &str, selection: &SelectionId, shipment: &ShipmentId, made: &Override) -> Self {
        Self {
            act: made.act,
            author: made.author.clone(),
            id: id.to_owned(),
            noted_at: made.noted_at,
            reason: made.reason.clone(),
            schema: OVERRIDE_SCHEMA.to_owned(),
            selection: selection.clone(),
            shipment: shipment.clone(),
        }
    }
}
