//! Signing in with a password, staying signed in, and signing out.

use chrono::TimeDelta;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{DeviceId, UserId};
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::store::{self, PageSessionRow, RefreshRow, UserRow};
use super::throttle::{self, Attempt};
use super::tokens::{self, AccessClaims};
use super::{Actor, PageSession, Role, passwords};
use crate::app::App;
use crate::db::Conn;
use crate::error::{Error, Result};

/// Days that a refresh token lasts, counted anew with each refresh.
const REFRESH_DAYS: i64 = 14;
/// Seconds in which a refresh that was repeated is taken for a lost answer, not for theft.
const REPEAT_S: i64 = 30;
/// Hours that a page session lasts.
const PAGE_SESSION_HOURS: i64 = 12;

/// Signs a person in.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    pub login: String,
    pub password: String,
}

/// Trades a refresh token for its successor and a fresh access token, or ends its family.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshToken {
    pub refresh_token: String,
}

/// Tokens as OAuth 2.0 writes them (RFC 6749 §5.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Tokens {
    pub access_token: String,
    /// `Bearer`.
    pub token_type: &'static str,
    /// Seconds.
    pub expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

/// Counts one more try under `key`; `Err(seconds)` when it has to wait, and nothing was written.
pub(super) fn begin_attempt(
    conn: &mut Conn,
    key: &str,
    free: i64,
    now: Timestamp,
) -> Result<Result<(), i64>> {
    store::forget_attempts(conn, now.plus(TimeDelta::seconds(-throttle::FORGET_AFTER_S)))?;
    let (failures, blocked_until) = store::lock_attempts(conn, key, now)?;
    match throttle::attempt(failures, blocked_until, free, now) {
        Attempt::Blocked { wait_s } => Ok(Err(wait_s)),
        Attempt::Allowed { failures, blocked_until } => {
            store::set_attempts(conn, key, failures, blocked_until)?;
            Ok(Ok(()))
        }
    }
}

/// A login as it is stored and compared.
pub(super) fn normal_login(login: &str) -> String {
    login.trim().to_lowercase()
}

/// The key of a login in the table of tries; hashed, since anybody can send any text.
pub(super) fn attempt_key(kind: &str, text: &str) -> String {
    format!("{kind}:{}", Sha256::of(text.as_bytes()))
}

/// The person with this login and password. Slow, whatever the answer.
pub(super) fn check_password(conn: &mut Conn, login: &str, password: &str) -> Result<UserRow> {
    let user = store::user_by_login(conn, login)?;
    let right = passwords::matches(password, user.as_ref().map(|user| user.password_hash.as_str()))?;
    match user {
        Some(user) if right && user.disabled_at.is_none() => Ok(user),
        _ => Err(Error::unauthenticated("bad-credentials", "The login or the password is wrong.")),
    }
}

/// The person who gives their password at the command line.
///
/// # Errors
/// 401 when the login or the password is wrong.
pub fn person(conn: &mut Conn, login: &str, password: &str) -> Result<Actor> {
    let user = check_password(conn, &normal_login(login), password)?.id;
    actor_of(conn, &user, None)
}

/// Begins a family of refresh tokens for a person whose password was right.
pub(super) fn issue(conn: &mut Conn, app: &App, user: &UserId, now: Timestamp) -> Result<Tokens> {
    store::forget_expired(conn, now)?;
    let user = active_user(conn, user)?;
    let refresh = tokens::fresh_secret()?;
    let row = refresh_row(&refresh, tokens::fresh_secret()?, user.id.clone(), now);
    store::insert_refresh(conn, &row)?;
    tokens_for(app, &user, Some(refresh), now)
}

fn refresh_row(token: &str, family: String, user_id: UserId, now: Timestamp) -> RefreshRow {
    RefreshRow {
        token_hash: Sha256::of(token.as_bytes()),
        family,
        user_id,
        issued_at: now,
        expires_at: now.plus(TimeDelta::days(REFRESH_DAYS)),
        used_at: None,
        revoked_at: None,
    }
}

/// Rotates a refresh token. The inner refusal is to be told after the commit: a token used twice
/// ends its family.
pub(super) fn refresh(conn: &mut Conn, app: &App, token: &str, now: Timestamp) -> Result<Result<Tokens>> {
    let refused =
        |code: &str, detail: &str| Ok(Err(Error::unauthenticated(code, format!("{detail} Sign in again."))));
    let hash = Sha256::of(token.as_bytes());
    let Some(row) = store::lock_refresh(conn, &hash)? else {
        return refused("refresh-invalid", "This refresh token is not known.");
    };
    if row.revoked_at.is_some() {
        return refused("refresh-revoked", "This refresh token was revoked.");
    }
    if row.expires_at <= now {
        return refused("refresh-expired", "This refresh token has expired.");
    }
    let user = active_user(conn, &row.user_id)?;
    let next = tokens::successor(&app.keys, token)?;
    match row.used_at {
        None => {
            store::use_refresh(conn, &hash, now)?;
            store::insert_refresh(conn, &refresh_row(&next, row.family, row.user_id, now))?;
        }
        Some(used_at) if now.since(used_at) <= TimeDelta::seconds(REPEAT_S) => {}
        Some(_) => {
            store::revoke_family(conn, &row.family, now)?;
            return refused(
                "refresh-reused",
                "This refresh token was used before, so somebody may have copied it; all that followed from it \
                 is revoked.",
            );
        }
    }
    tokens_for(app, &user, Some(next), now).map(Ok)
}

/// Revokes the family of a refresh token; an unknown one is as good as revoked.
pub(super) fn sign_out(conn: &mut Conn, token: &str, now: Timestamp) -> Result<()> {
    match store::lock_refresh(conn, &Sha256::of(token.as_bytes()))? {
        Some(row) => store::revoke_family(conn, &row.family, now),
        None => Ok(()),
    }
}

/// The account, unless it is gone or disabled.
pub(super) fn active_user(conn: &mut Conn, id: &UserId) -> Result<UserRow> {
    store::user(conn, id)?.filter(|user| user.disabled_at.is_none()).ok_or_else(|| {
        Error::unauthenticated(
            "account-disabled",
            "This account is disabled. Ask an administrator of the authority.",
        )
    })
}

fn tokens_for(app: &App, user: &UserRow, refresh_token: Option<String>, now: Timestamp) -> Result<Tokens> {
    let actor = Actor { user: user.id.clone(), name: user.name.clone(), roles: user.roles()?, device: None };
    access(app, &actor, refresh_token, now)
}

/// An access token for `actor`.
pub(super) fn access(
    app: &App,
    actor: &Actor,
    refresh_token: Option<String>,
    now: Timestamp,
) -> Result<Tokens> {
    let claims = AccessClaims {
        iss: app.config.org.clone(),
        aud: app.config.org.clone(),
        sub: actor.user.clone(),
        name: actor.name.clone(),
        roles: actor.roles.clone(),
        device: actor.device.clone(),
        iat: now.unix_seconds(),
        exp: now.unix_seconds() + tokens::ACCESS_TOKEN_S,
    };
    Ok(Tokens {
        access_token: tokens::sign_access(&app.keys, &claims)?,
        token_type: "Bearer",
        expires_in: tokens::ACCESS_TOKEN_S,
        refresh_token,
    })
}

/// Who a verified token stands for now: the account and the device are asked, not the token.
pub(super) fn actor_of(conn: &mut Conn, user: &UserId, device: Option<&DeviceId>) -> Result<Actor> {
    let user = active_user(conn, user)?;
    let mut roles = user.roles()?;
    if let Some(device) = device {
        super::devices::require_active(conn, device)?;
        roles.retain(|role| *role == Role::Inspector);
    }
    Ok(Actor { user: user.id, name: user.name, roles, device: device.cloned() })
}

/// Begins a page session; returns the secret for the cookie.
///
/// # Errors
/// When the database fails.
pub fn start_session(conn: &mut Conn, user: &UserId, now: Timestamp) -> Result<String> {
    store::forget_expired(conn, now)?;
    let secret = tokens::fresh_secret()?;
    let row = PageSessionRow {
        token_hash: Sha256::of(secret.as_bytes()),
        user_id: user.clone(),
        csrf_token: tokens::fresh_secret()?,
        created_at: now,
        expires_at: now.plus(TimeDelta::hours(PAGE_SESSION_HOURS)),
    };
    store::insert_page_session(conn, &row)?;
    Ok(secret)
}

/// The session behind a cookie, if it still stands.
pub(super) fn find_session(conn: &mut Conn, secret: &str, now: Timestamp) -> Result<Option<PageSession>> {
    let Some((row, user)) = store::page_session(conn, &Sha256::of(secret.as_bytes()))? else {
        return Ok(None);
    };
    if row.expires_at <= now || user.disabled_at.is_some() {
        return Ok(None);
    }
    let roles = user.roles()?;
    let actor = Actor { user: user.id, name: user.name, roles, device: None };
    Ok(Some(PageSession { actor, csrf_token: row.csrf_token }))
}

/// Ends the session behind a cookie, if there is one.
///
/// # Errors
/// When the database fails.
pub fn end_session(conn: &mut Conn, secret: &str) -> Result<()> {
    store::delete_page_session(conn, &Sha256::of(secret.as_bytes()))
}
