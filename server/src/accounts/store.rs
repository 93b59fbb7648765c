//! Rows of people, their sessions and their tries to sign in.

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::UserId;
use endcheck_protocol::time::Timestamp;

use super::Role;
use crate::db::schema::{login_attempts, page_sessions, refresh_tokens, users};
use crate::db::{Both, Conn};
use crate::error::{Error, Result};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = users)]
pub(super) struct UserRow {
    pub id: UserId,
    pub login: String,
    pub name: String,
    pub password_hash: String,
    roles: String,
    pub created_at: Timestamp,
    pub disabled_at: Option<Timestamp>,
    pub mail: Option<String>,
}

impl UserRow {
    pub fn new(
        login: String,
        name: String,
        password_hash: String,
        roles: &[Role],
        now: Timestamp,
    ) -> Result<Self> {
        let roles = serde_json::to_string(roles).map_err(|e| Error::Internal(e.into()))?;
        Ok(Self {
            id: UserId::mint(),
            login,
            name,
            password_hash,
            roles,
            created_at: now,
            disabled_at: None,
            mail: None,
        })
    }

    pub fn roles(&self) -> Result<Vec<Role>> {
        serde_json::from_str(&self.roles).map_err(|e| Error::Internal(e.into()))
    }
}

pub(super) fn insert_user(conn: &mut Conn, row: &UserRow) -> Result<bool> {
    let inserted = Both(diesel::insert_into(users::table).values(row).on_conflict(users::login).do_nothing())
        .execute(conn)?;
    Ok(inserted == 1)
}

pub(super) fn user(conn: &mut Conn, id: &UserId) -> Result<Option<UserRow>> {
    Ok(users::table.find(id).select(UserRow::as_select()).first(conn).optional()?)
}

pub(super) fn user_by_login(conn: &mut Conn, login: &str) -> Result<Option<UserRow>> {
    Ok(users::table.filter(users::login.eq(login)).select(UserRow::as_select()).first(conn).optional()?)
}

pub(super) fn all_users(conn: &mut Conn) -> Result<Vec<UserRow>> {
    Ok(users::table.select(UserRow::as_select()).order(users::login).load(conn)?)
}

pub(super) fn set_mail(conn: &mut Conn, id: &UserId, mail: Option<&str>) -> Result<()> {
    diesel::update(users::table.filter(users::id.eq(id))).set(users::mail.eq(mail)).execute(conn)?;
    Ok(())
}

/// Disables the account unless it is, and ends everything that was signed in with it.
pub(super) fn disable_user(conn: &mut Conn, id: &UserId, now: Timestamp) -> Result<()> {
    diesel::update(users::table.filter(users::id.eq(id)).filter(users::disabled_at.is_null()))
        .set(users::disabled_at.eq(Some(now)))
        .execute(conn)?;
    diesel::update(
        refresh_tokens::table
            .filter(refresh_tokens::user_id.eq(id))
            .filter(refresh_tokens::revoked_at.is_null()),
    )
    .set(refresh_tokens::revoked_at.eq(Some(now)))
    .execute(conn)?;
    diesel::delete(page_sessions::table.filter(page_sessions::user_id.eq(id))).execute(conn)?;
    Ok(())
}

/// What was tried before under `key`; the row stays locked until the commit.
pub(super) fn lock_attempts(conn: &mut Conn, key: &str, now: Timestamp) -> Result<(i64, Timestamp)> {
    let fresh = (
        login_attempts::login.eq(key),
        login_attempts::failures.eq(0_i64),
        login_attempts::blocked_until.eq(now),
    );
    Both(
        diesel::insert_into(login_attempts::table)
            .values(fresh)
            .on_conflict(login_attempts::login)
            .do_nothing(),
    )
    .execute(conn)?;
    Ok(diesel::update(login_attempts::table.filter(login_attempts::login.eq(key)))
        .set(login_attempts::failures.eq(login_attempts::failures))
        .returning((login_attempts::failures, login_attempts::blocked_until))
        .get_result(conn)?)
}

pub(super) fn set_attempts(
    conn: &mut Conn,
    key: &str,
    failures: i64,
    blocked_until: Timestamp,
) -> Result<()> {
    diesel::update(login_attempts::table.filter(login_attempts::login.eq(key)))
        .set((login_attempts::failures.eq(failures), login_attempts::blocked_until.eq(blocked_until)))
        .execute(conn)?;
    Ok(())
}

pub(super) fn clear_attempts(conn: &mut Conn, key: &str) -> Result<()> {
    diesel::delete(login_attempts::table.filter(login_attempts::login.eq(key))).execute(conn)?;
    Ok(())
}

/// Drops the counts that nobody added to since `before`.
pub(super) fn forget_attempts(conn: &mut Conn, before: Timestamp) -> Result<()> {
    diesel::delete(login_attempts::table.filter(login_attempts::blocked_until.lt(before))).execute(conn)?;
    Ok(())
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = refresh_tokens)]
pub(super) struct RefreshRow {
    pub token_hash: Sha256,
    pub family: String,
    pub user_id: UserId,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

pub(super) fn insert_refresh(conn: &mut Conn, row: &RefreshRow) -> Result<()> {
    diesel::insert_into(refresh_tokens::table).values(row).execute(conn)?;
    Ok(())
}

/// The row of a refresh token, locked until the commit.
pub(super) fn lock_refresh(conn: &mut Conn, hash: &Sha256) -> Result<Option<RefreshRow>> {
    diesel::update(refresh_tokens::table.filter(refresh_tokens::token_hash.eq(hash)))
        .set(refresh_tokens::family.eq(refresh_tokens::family))
        .execute(conn)?;
    Ok(refresh_tokens::table.find(hash).select(RefreshRow::as_select()).first(conn).optional()?)
}

pub(super) fn use_refresh(conn: &mut Conn, hash: &Sha256, now: Timestamp) -> Result<()> {
    diesel::update(refresh_tokens::table.filter(refresh_tokens::token_hash.eq(hash)))
        .set(refresh_tokens::used_at.eq(Some(now)))
        .execute(conn)?;
    Ok(())
}

pub(super) fn revoke_family(conn: &mut Conn, family: &str, now: Timestamp) -> Result<()> {
    diesel::update(
        refresh_tokens::table
            .filter(refresh_tokens::family.eq(family))
            .filter(refresh_tokens::revoked_at.is_null()),
    )
    .set(refresh_tokens::revoked_at.eq(Some(now)))
    .execute(conn)?;
    Ok(())
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = page_sessions)]
pub(super) struct PageSessionRow {
    pub token_hash: Sha256,
    pub user_id: UserId,
    pub csrf_token: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

pub(super) fn insert_page_session(conn: &mut Conn, row: &PageSessionRow) -> Result<()> {
    diesel::insert_into(page_sessions::table).values(row).execute(conn)?;
    Ok(())
}

pub(super) fn page_session(conn: &mut Conn, hash: &Sha256) -> Result<Option<(PageSessionRow, UserRow)>> {
    Ok(page_sessions::table
        .inner_join(users::table.on(users::id.eq(page_sessions::user_id)))
        .filter(page_sessions::token_hash.eq(hash))
        .select((PageSessionRow::as_select(), UserRow::as_select()))
        .first(conn)
        .optional()?)
}

pub(super) fn delete_page_session(conn: &mut Conn, hash: &Sha256) -> Result<()> {
    diesel::delete(page_sessions::table.filter(page_sessions::token_hash.eq(hash))).execute(conn)?;
    Ok(())
}

/// Drops sessions and refresh tokens that expired before `now`.
pub(super) fn forget_expired(conn: &mut Conn, now: Timestamp) -> Result<()> {
    diesel::delete(page_sessions::table.filter(page_sessions::expires_at.lt(now))).execute(conn)?;
    diesel::delete(refresh_tokens::table.filter(refresh_tokens::expires_at.lt(now))).execute(conn)?;
    Ok(())
}
