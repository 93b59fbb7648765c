//! What a person concluded from a visit, as the log commits to it.

use serde::{Deserialize, Serialize};

use crate::canonical::{self, CanonicalError};
use crate::digest::Sha256;
use crate::ids::{DeterminationId, UserId, VisitId};
use crate::record::Contents;
use crate::time::Timestamp;

/// The one schema of determinations that this version writes and reads.
pub const SCHEMA: &str = "endcheck-determination-1";
/// The one schema of approvals that this version writes and reads.
pub const APPROVAL_SCHEMA: &str = "endcheck-approval-1";

/// A determination: the log's entry commits to the SHA-256 of its canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeterminationDocument {
    pub schema: String,
    pub id: DeterminationId,
    pub visit: VisitId,
    /// `favourable`, `unfavourable` or `unverified`.
    pub outcome: String,
    pub reasons: Vec<String>,
    pub reason: String,
    pub author: UserId,
    pub author_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<DeterminationId>,
    pub created_at: Timestamp,
    /// Every record of the visit that was held, in the order of the log: none of them can be left out later.
    pub considered: Contents,
}

/// A second person's approval of a determination that changes another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalDocument {
    pub schema: String,
    pub determination: DeterminationId,
    pub approver: UserId,
    pub approver_name: String,
    pub approved_at: Timestamp,
}

/// What the log's entry about such a document commits to.
///
/// # Errors
/// None that these types can cause.
pub fn subject<T: Serialize>(document: &T) -> Result<(Vec<u8>, Sha256), CanonicalError> {
    let bytes = canonical::write(document)?;
    let subject = Sha256::of(&bytes);
    Ok((bytes, subject))
}
