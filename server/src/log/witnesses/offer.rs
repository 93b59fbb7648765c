//! One offer to one witness: the checkpoint of a size, proved to continue what the witness holds.

use endcheck_protocol::tlog::{AddCheckpoint, Checkpoint, SignedNote};

use super::Member;
use super::client::{Answered, Client};
use super::store::{self, Cosignature};
use crate::app::App;
use crate::error::Error;

/// Exchanges of one offer at most: to learn the size held, to prove growth from it, and once more where
/// another server was quicker.
const EXCHANGES: u32 = 3;

/// Has the checkpoint of `size` entries cosigned, and keeps the cosignature.
///
/// # Errors
/// Why it is not, in words.
pub(super) fn offer(app: &App, member: &Member, client: &Client, size: u64) -> Result<(), String> {
    let database = |error: Error| format!("the database: {error}");
    let stored = app.connection().and_then(|mut conn| store::newest(&mut conn, &member.id));
    let stored = stored.map_err(database)?.and_then(|(size, _)| u64::try_from(size).ok()).unwrap_or(0);
    if stored >= size {
        return Ok(());
    }
    let mut old_size = stored;
    for _ in 0..EXCHANGES {
        let request = request(app, old_size, size).map_err(database)?;
        match client.add_checkpoint(&member.address.url, &request.text())? {
            Answered::Lines(lines) => return keep(app, member, &request.checkpoint, size, &lines),
            Answered::Holds(held) if held == old_size => {
                return Err(format!(
                    "it holds another checkpoint of {held} entries than this log has: two histories were shown"
                ));
            }
            Answered::Holds(held) if held > size => {
                let have = app.connection().and_then(|mut conn| crate::log::head(&mut conn));
                let have = have.map_err(database)?.size;
                if held <= have {
                    // Another server offered more meanwhile; the next round is for both.
                    return Ok(());
                }
                return Err(format!(
                    "it cosigned {held} entries, and this log has {have}: the log was cut back, as by a restored \
                     backup"
                ));
            }
            Answered::Holds(held) => old_size = held,
            Answered::Refused(why) => return Err(why),
        }
    }
    Err("it names another size each time".to_owned())
}

/// The request that proves growth from `old_size`. The connection is given back before anything is sent.
fn request(app: &App, old_size: u64, size: u64) -> Result<AddCheckpoint, Error> {
    let mut conn = app.connection()?;
    let root = crate::log::root_at(&mut conn, size)?;
    Ok(AddCheckpoint {
        old_size,
        consistency: crate::log::consistency(&mut conn, old_size, size)?,
        checkpoint: Checkpoint::signed(size, root, &app.keys.log),
    })
}

/// Keeps the line of this witness, if it verifies; lines of others count for nothing.
fn keep(app: &App, member: &Member, checkpoint: &str, size: u64, lines: &str) -> Result<(), String> {
    let key = &member.address.key;
    let unusable = |error: &dyn std::fmt::Display| format!("its cosignature cannot be relied on: {error}");
    let note = SignedNote::read(&format!("{checkpoint}{lines}")).map_err(|error| unusable(&error))?;
    let at_s = note
        .signed_by(key)
        .map_err(|error| unusable(&error))?
        .flatten()
        .and_then(|at_s| i64::try_from(at_s).ok())
        .ok_or_else(|| unusable(&"it is not by the key that is configured"))?;
    let line = note.lines_by(key).next().unwrap_or_default();
    let now = app.clock.now();
    let kept = app.connection().and_then(|mut conn| {
        conn.write(|conn| {
            let root = crate::log::root_at(conn, size)?;
            store::insert(
                conn,
                &Cosignature {
                    witness: &member.id,
                    size: i64::try_from(size).unwrap_or(i64::MAX),
                    root: &root,
                    cosigned_at_s: at_s,
                    line: &line,
                    received_at: now,
                },
            )
        })
    });
    kept.map_err(|error| format!("the database: {error}"))
}
