//! The outbox: letters that were written down in a transaction and are sent after it.
//!
//! One worker at a time has a letter, by a lease. A letter is sent at least once: a server that dies between
//! sending and noting it leaves it to be sent again, under the same Message-ID, by which readers fold copies.
//! What cannot be delivered is dead after some tries, or once its recipient was refused; it stays to be seen, and
//! somebody may have it tried again.

mod mail;
mod store;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::db::{self, Conn};
use crate::error::{Error, Result};

pub use mail::Mailer;

/// A mail to one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    pub to: String,
    pub subject: String,
    pub body: String,
}

/// A letter that a worker has.
#[derive(Debug, Clone)]
struct Claimed {
    id: String,
    payload: String,
    /// Which try this is, from 1.
    attempt: i64,
    created_at: Timestamp,
}

/// A letter that is not sent any more.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeadLetter {
    pub id: String,
    pub to: String,
    pub subject: String,
    pub attempts: i64,
    pub error: String,
    pub dead_at: Timestamp,
}

/// How the outbox stands.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct OutboxStatus {
    pub waiting: i64,
    /// Since when the oldest one waits.
    pub oldest_at: Option<Timestamp>,
    /// The newest of them, 50 at most.
    pub dead: Vec<DeadLetter>,
    pub dead_count: i64,
    pub sent: i64,
}

/// How long a worker has a letter before another may take it.
const LEASE: TimeDelta = TimeDelta::seconds(120);
/// Tries of a letter.
const MAX_ATTEMPTS: i64 = 10;
/// From one look to the next.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Writes a letter down, once for a key.
///
/// # Errors
/// When the database fails.
pub fn put(conn: &mut Conn, once_key: &str, letter: &Letter, now: Timestamp) -> Result<()> {
    let payload = serde_json::to_string(letter).map_err(|e| Error::Internal(e.into()))?;
    store::insert(conn, once_key, &payload, now)
}

/// How the outbox stands.
///
/// # Errors
/// When the database fails.
pub fn status(conn: &mut Conn) -> Result<OutboxStatus> {
    store::status(conn)
}

/// Has a letter that was given up tried again at once. If that fails, too, the waits go on from where they were; one
/// that had all its tries has this one.
///
/// # Errors
/// 403; 404 when there is no such letter; 409 `not-dead` for one that waits or was sent.
pub fn try_again(conn: &mut Conn, actor: &Actor, id: &str, now: Timestamp) -> Result<OutboxStatus> {
    actor.require(Permission::RunJobs)?;
    match store::revive(conn, id, now)? {
        Some(true) => status(conn),
        Some(false) => {
            Err(Error::conflict("not-dead", "The letter was not given up: it waits to be sent, or was sent."))
        }
        None => Err(Error::not_found("letter")),
    }
}

/// From a failed try to the next; nothing when no more are made.
fn retry_after(attempt: i64) -> Option<TimeDelta> {
    let doublings = u32::try_from(attempt - 1).ok()?.min(10);
    (attempt < MAX_ATTEMPTS).then(|| TimeDelta::seconds((30 << doublings).min(6 * 3600)))
}

/// Sends a letter that is due, if there is one.
///
/// # Errors
/// When the database fails.
pub async fn deliver_one(app: &Arc<App>, mailer: &Mailer) -> Result<bool> {
    let offset = app.clock.offset();
    let claimed = app
        .write(move |conn| {
            let now = db::clock(conn)?.plus(offset);
            store::claim(conn, now, now.plus(LEASE))
        })
        .await?;
    let Some(claimed) = claimed else { return Ok(false) };
    let (mailer, letter) = (mailer.clone(), claimed.clone());
    let sent = actix_web::web::block(move || mailer.send(&letter))
        .await
        .map_err(|_| Error::Internal(anyhow::anyhow!("the sending was cancelled")))?;
    if let Err(refused) = &sent {
        tracing::warn!(letter = claimed.id, error = refused.why, "a letter was not sent");
    }
    app.write(move |conn| {
        let now = db::clock(conn)?.plus(offset);
        match sent {
            Ok(()) => store::sent(conn, &claimed, now),
            Err(refused) => {
                let again = if refused.for_good { None } else { retry_after(claimed.attempt) };
                store::failed(conn, &claimed, &refused.why, again.map(|wait| now.plus(wait)), now)
            }
        }
    })
    .await?;
    Ok(true)
}

/// Starts the worker where the server sends mail; it ends with the process.
pub fn start(app: &Arc<App>) {
    let Some(mailer) = app.mailer.clone() else { return };
    let app = Arc::clone(app);
    tokio::spawn(async move {
        loop {
            match deliver_one(&app, &mailer).await {
                Ok(true) => {}
                Ok(false) => tokio::time::sleep(LOOK_EVERY).await,
                Err(error) => {
                    tracing::error!(%error, "the outbox waits");
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_grow_apart_and_end() {
        let waits: Vec<Option<i64>> =
            (1..=MAX_ATTEMPTS).map(|attempt| retry_after(attempt).map(|wait| wait.num_seconds())).collect();
        assert_eq!(waits.first(), Some(&Some(30)));
        assert!(waits.windows(2).all(|pair| pair[1].is_none() || pair[1] > pair[0]), "{waits:?}");
        assert_eq!(waits.last(), Some(&None));
    }
}
