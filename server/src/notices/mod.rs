//! Notices: what a person is told, once each. By mail where the server sends mail and the person has an
//! address; on a page and over the API in any case.
//!
//! Says nothing of its own: jobs and slices say what.

mod http;
mod store;

use endcheck_protocol::ids::{UserId, VisitId};
use endcheck_protocol::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::accounts;
use crate::db::Conn;
use crate::error::Result;
use crate::outbox::{self, Letter};

pub use http::{ApiDoc, routes};

/// Tells a person something.
#[derive(Debug, Clone)]
pub struct Tell {
    /// The same thing has the same key, and is told once.
    pub once_key: String,
    pub user: UserId,
    pub visit: Option<VisitId>,
    pub kind: &'static str,
    /// One line.
    pub title: String,
    pub body: String,
}

/// What a person was told.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Notice {
    pub id: String,
    pub kind: String,
    pub visit: Option<VisitId>,
    pub title: String,
    pub body: String,
    pub created_at: Timestamp,
}

/// Tells it unless it was told; with `by_mail` also a letter is to be sent. Answers whether it is new.
///
/// # Errors
/// When the database fails.
pub fn tell(conn: &mut Conn, tell: &Tell, by_mail: bool, now: Timestamp) -> Result<bool> {
    let id = uuid::Uuid::now_v7().to_string();
    if !store::insert(conn, &id, tell, now)? {
        return Ok(false);
    }
    if by_mail && let Some(to) = accounts::mail_of(conn, &tell.user)? {
        let letter = Letter { to, subject: tell.title.clone(), body: tell.body.clone() };
        outbox::put(conn, &format!("notice:{id}"), &letter, now)?;
    }
    Ok(true)
}

/// Of these keys, those that were told.
///
/// # Errors
/// When the database fails.
pub fn told(conn: &mut Conn, keys: &[String]) -> Result<Vec<String>> {
    store::told(conn, keys)
}
