//! Changes that can be sent again: the answer to a key is kept in the transaction of the work, and
//! given again to the same request.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::time::Timestamp;
use serde::Serialize;

use crate::db::schema::idempotency_keys;
use crate::db::{Both, Conn};
use crate::error::{Error, Result};

const MAX_KEY_CHARS: usize = 200;

/// The header `Idempotency-Key` of a request, if it has one, and what was asked with it.
#[derive(Debug, Clone)]
pub struct OnceKey {
    key: Option<String>,
    /// Method and path.
    target: String,
}

impl FromRequest for OnceKey {
    type Error = Error;
    type Future = Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let target = format!("{} {}", request.method(), request.uri().path());
        let key = request.headers().get("Idempotency-Key").map(|value| value.to_str().unwrap_or_default());
        ready(Self::new(key, target))
    }
}

impl OnceKey {
    /// # Errors
    /// 400 when the key is empty, too long or not visible ASCII.
    pub fn new(key: Option<&str>, target: String) -> Result<Self> {
        let fits = |key: &str| {
            (1..=MAX_KEY_CHARS).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match key {
            Some(key) if !fits(key) => Err(Error::malformed(
                "malformed-idempotency-key",
                format!("Idempotency-Key takes 1 to {MAX_KEY_CHARS} visible ASCII characters."),
            )),
            key => Ok(Self { key: key.map(str::to_owned), target }),
        }
    }
}

/// An answer as it is sent, now and to every repetition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// JSON.
    pub body: String,
}

impl Answer {
    /// 201 with a body.
    ///
    /// # Errors
    /// When the body has no JSON form.
    pub fn created<T: Serialize>(body: &T) -> Result<Self> {
        Self::with(201, body)
    }

    /// 200 with a body.
    ///
    /// # Errors
    /// When the body has no JSON form.
    pub fn done<T: Serialize>(body: &T) -> Result<Self> {
        Self::with(200, body)
    }

    fn with<T: Serialize>(status: u16, body: &T) -> Result<Self> {
        let body = serde_json::to_string(body).map_err(|e| Error::Internal(e.into()))?;
        Ok(Self { status, body })
    }
}

impl From<Answer> for HttpResponse {
    fn from(answer: Answer) -> Self {
        let status = actix_web::http::StatusCode::from_u16(answer.status)
            .unwrap_or(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR);
        Self::build(status).content_type("application/json").body(answer.body)
    }
}

/// Does `work` once for a key of an actor. Call it as the whole of a [`Conn::write`]: when the work
/// fails, the key is free again.
///
/// # Errors
/// Whatever `work` answers; 409 `idempotency-key-reused` when the key came with another request.
pub fn once(
    conn: &mut Conn,
    actor: &impl std::fmt::Display,
    key: &OnceKey,
    body: &[u8],
    now: Timestamp,
    work: impl FnOnce(&mut Conn) -> Result<Answer>,
) -> Result<Answer> {
    use idempotency_keys as t;
    let Some(name) = &key.key else { return work(conn) };
    let actor = actor.to_string();
    let request_hash = Sha256::of_parts(&[key.target.as_bytes(), b"\n", body]).to_string();
    let row = (
        t::actor.eq(&actor),
        t::idempotency_key.eq(name),
        t::request_hash.eq(&request_hash),
        t::status.eq(0_i64),
        t::body.eq(""),
        t::created_at.eq(now),
    );
    let fresh = Both(
        diesel::insert_into(t::table).values(row).on_conflict((t::actor, t::idempotency_key)).do_nothing(),
    )
    .execute(conn)?;
    let mine = t::table.filter(t::actor.eq(&actor)).filter(t::idempotency_key.eq(name));
    if fresh == 1 {
        let answer = work(conn)?;
        diesel::update(mine)
            .set((t::status.eq(i64::from(answer.status)), t::body.eq(&answer.body)))
            .execute(conn)?;
        return Ok(answer);
    }
    let (held_hash, status, body): (String, i64, String) =
        mine.select((t::request_hash, t::status, t::body)).first(conn)?;
    if held_hash != request_hash {
        return Err(Error::conflict(
            "idempotency-key-reused",
            "This Idempotency-Key came with another request before. Take a new key for a new request.",
        ));
    }
    Ok(Answer { status: u16::try_from(status).unwrap_or(500), body })
}

/// Forgets keys that were used before an instant.
///
/// # Errors
/// When the database fails.
pub fn forget_before(conn: &mut Conn, before: Timestamp) -> Result<usize> {
    let old = idempotency_keys::table.filter(idempotency_keys::created_at.lt(before));
    Ok(diesel::delete(old).execute(conn)?)
}
