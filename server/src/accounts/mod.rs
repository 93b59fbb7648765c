//! People, their devices, and the proof of who is asking.
//!
//! Answers one question for every slice: which [`Actor`] is this, and may it do that? Never looks
//! at what the request is about.

mod cameras;
mod certificates;
mod codes;
mod device_store;
mod devices;
mod http;
mod pages;
mod passwords;
mod session;
mod sign_in;
mod store;
#[cfg(test)]
mod tests;
mod throttle;
mod tokens;
mod users;
mod verified;

use std::fmt;

use actix_web::web::ServiceConfig;
use endcheck_protocol::ids::{DeviceId, UserId};
use serde::{Deserialize, Serialize};

pub use cameras::{AddCamera, Camera, of_device as cameras_of};
pub use certificates::{DevicePapers, EnrolledDevice, IssuedCertificate, enrolled_device, papers};
pub use devices::{CarryingDevice, Device, EnrolmentCode, RevokeDevice, device_by_sign_in_key, revoked_at};
pub use http::{DeviceSignIn, Me, openapi};
pub use session::{CSRF_HEADER, PageRefusal, PageSession, SESSION_COOKIE};
pub use sign_in::{RefreshToken, SignIn, Tokens, end_session, person, start_session};
pub use tokens::{AccessClaims, AssertionClaims};
pub use users::{
    AddUser, SetMail, User, add_user, find as find_user, holders, inspectors, is_active_inspector, mail_of,
    set_mail,
};
pub use verified::VerifiedTokens;

use crate::db::Conn;
use crate::error::{Error, Result};
use crate::resource::resource;

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
    /// Report losses and transfers of serials, and review such reports.
    ReportSerials,
    /// Sync: hand in records and files, pull visits.
    Inspect,
    /// Manage accounts, enrolment codes and devices.
    ManageAccounts,
    /// Load risk policies and try them.
    EditPolicy,
    /// Put a risk policy into force, together with somebody else.
    ApprovePolicy,
    /// Note red flags, tips and the outcome of screening.
    NoteSignals,
    /// See what the server does by the clock, and how it went.
    WatchJobs,
    /// Have it done now.
    RunJobs,
}

impl Permission {
    /// Who may: the one table of rights.
    #[must_use]
    pub fn held_by(self, role: Role) -> bool {
        use Role as R;
        match self {
            Self::EditProgramme | Self::ScheduleVisits => matches!(role, R::Manager),
            Self::ReadVisits => matches!(role, R::Manager | R::Investigator | R::Adjudicator | R::Auditor),
            Self::Determine | Self::ReportSerials => matches!(role, R::Manager | R::Investigator),
            Self::Inspect => matches!(role, R::Inspector),
            Self::EditPolicy | Self::ApprovePolicy => matches!(role, R::Manager | R::Adjudicator),
            Self::NoteSignals => matches!(role, R::Manager | R::Investigator),
            Self::ManageAccounts | Self::RunJobs => matches!(role, R::Admin | R::Manager),
            Self::WatchJobs => matches!(role, R::Admin | R::Manager | R::Auditor),
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

    /// # Errors
    /// 403 `not-permitted`, naming the role.
    pub fn require_role(&self, role: Role) -> Result<()> {
        if self.roles.contains(&role) {
            Ok(())
        } else {
            Err(Error::forbidden(
                "not-permitted",
                format!("This needs the role {role:?}, which {} does not hold.", self.name),
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

/// The name behind what [`Actor`]'s `Display` wrote; the text itself where it names nobody.
///
/// # Errors
/// When the database fails.
pub fn name_of(conn: &mut Conn, actor: &str) -> Result<String> {
    let found = match actor.split_once(':') {
        Some(("user", id)) => match id.parse() {
            Ok(id) => store::user(conn, &id)?.map(|row| row.name),
            Err(_) => None,
        },
        Some(("device", id)) => match id.parse() {
            Ok(id) => device_store::device(conn, &id)?.map(|row| row.name),
            Err(_) => None,
        },
        _ => None,
    };
    Ok(found.unwrap_or_else(|| actor.to_owned()))
}

/// The routes of this slice.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/api/v1/auth/login").post(http::login))
        .service(resource("/api/v1/auth/refresh").post(http::refresh))
        .service(resource("/api/v1/auth/logout").post(http::logout))
        .service(resource("/api/v1/auth/device-token").post(http::device_token))
        .service(resource("/.well-known/jwks.json").get(http::jwks))
        .service(resource("/api/v1/me").get(http::me))
        .service(resource("/api/v1/users").get(http::list_users).post(http::add_user))
        .service(resource("/api/v1/users/{id}/disable").post(http::disable_user))
        .service(resource("/api/v1/users/{id}/mail").put(http::set_mail))
        .service(resource("/api/v1/users/{id}/enrolment-codes").post(http::make_code))
        .service(resource("/api/v1/devices").get(http::list_devices))
        .service(resource("/api/v1/devices/enrol").post(http::enrol))
        .service(resource("/api/v1/devices/me/inventory").put(http::set_inventory))
        .service(
            resource("/api/v1/devices/{id}/cameras").get(cameras::list_cameras).post(cameras::add_camera),
        )
        .service(resource("/api/v1/devices/me/renew").post(http::renew))
        .service(resource("/api/v1/devices/{id}/papers").get(http::show_papers))
        .service(resource("/api/v1/devices/{id}/revoke").post(http::revoke_device))
        .service(resource("/login").get(pages::show_login).post(pages::login))
        .service(resource("/logout").post(pages::logout));
}
