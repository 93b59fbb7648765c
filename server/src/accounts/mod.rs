//! People, their devices, and the proof of who is asking.
//!
//! Answers one question for every slice: which [`Actor`] is this, and may it do that? Never looks
//! at what the request is about.

use std::fmt;

use actix_web::web::ServiceConfig;
use endcheck_protocol::ids::{DeviceId, UserId};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A duty that a person holds.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Inspector,
    Manager,
    Investigator,
    Adjudicator,
    Auditor,
    Admin,
}

/// Something that not everybody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Import and read parties, sites, licences, shipments.
    EditProgramme,
    /// Open checks; schedule, move and cancel visits.
    ScheduleVisits,
    /// Read every visit and its evidence.
    ReadVisits,
    /// Record a determination.
    Determine,
    /// Sync: hand in records and files, pull visits.
    Inspect,
    /// Manage accounts, enrolment codes and devices.
    ManageAccounts,
}

impl Permission {
    /// Who may: the one table of rights.
    #[must_use]
    pub fn held_by(self, role: Role) -> bool {
        use Role as R;
        match self {
            Self::EditProgramme | Self::ScheduleVisits => matches!(role, R::Manager),
            Self::ReadVisits => matches!(role, R::Manager | R::Investigator | R::Adjudicator | R::Auditor),
            Self::Determine => matches!(role, R::Manager | R::Investigator),
            Self::Inspect => matches!(role, R::Inspector),
            Self::ManageAccounts => matches!(role, R::Admin | R::Manager),
        }
    }
}

/// Who is asking: a person, perhaps through an enrolled device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub user: UserId,
    pub name: String,
    pub roles: Vec<Role>,
    /// Set when the request is signed in by a device's own key.
    pub device: Option<DeviceId>,
}

impl Actor {
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.roles.iter().any(|role| permission.held_by(*role))
    }

    /// # Errors
    /// 403 `not-permitted`, naming what was asked.
    pub fn require(&self, permission: Permission) -> Result<()> {
        if self.may(permission) {
            Ok(())
        } else {
            Err(Error::forbidden(
                "not-permitted",
                format!("{permission:?} needs a role that {} does not hold.", self.name),
            ))
        }
    }

    /// The device that signed in, for what only a device may do.
    ///
    /// # Errors
    /// 403 `device-required` when a person signed in without one.
    pub fn require_device(&self) -> Result<&DeviceId> {
        self.device.as_ref().ok_or_else(|| {
            Error::forbidden(
                "device-required",
                "Only an enrolled device may do this: sign in with its own key.",
            )
        })
    }
}

impl fmt::Display for Actor {
    /// As written into histories: `user:…`, or `device:…` where one signed in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.device {
            Some(device) => write!(f, "device:{device}"),
            None => write!(f, "user:{}", self.user),
        }
    }
}

/// Access tokens that were verified before, until they expire or are revoked.
#[derive(Default)]
pub struct VerifiedTokens {}

/// The routes of this slice.
pub fn routes(_config: &mut ServiceConfig) {}
