//! Rows of the outbox.

use diesel::prelude::*;
use endcheck_protocol::time::Timestamp;

use super::{Claimed, DeadLetter, Letter, OutboxStatus};
use crate::db::schema::outbox;
use crate::db::{Both, Conn};
use crate::error::Result;

const MAIL: &str = "mail";

pub(super) fn insert(conn: &mut Conn, once_key: &str, payload: &str, now: Timestamp) -> Result<()> {
    let row = (
        outbox::id.eq(uuid::Uuid::now_v7().to_string()),
        outbox::once_key.eq(once_key),
        outbox::kind.eq(MAIL),
        outbox::payload.eq(payload),
        outbox::due_at.eq(now),
        outbox::attempts.eq(0),
        outbox::created_at.eq(now),
    );
    Both(diesel::insert_into(outbox::table).values(row).on_conflict(outbox::once_key).do_nothing())
        .execute(conn)?;
    Ok(())
}

/// Takes the letter that has been due for longest.
pub(super) fn claim(conn: &mut Conn, now: Timestamp, until: Timestamp) -> Result<Option<Claimed>> {
    let found: Option<(String, String, i64, Timestamp)> = outbox::table
        .filter(outbox::done_at.is_null().and(outbox::dead_at.is_null()).and(outbox::due_at.le(now)))
        .filter(outbox::claimed_until.is_null().or(outbox::claimed_until.lt(now)))
        .order((outbox::due_at, outbox::id))
        .select((outbox::id, outbox::payload, outbox::attempts, outbox::created_at))
        .first(conn)
        .optional()?;
    let Some((id, payload, attempts, created_at)) = found else { return Ok(None) };
    // Another server may have taken it since; then the next look finds another.
    let taken = diesel::update(outbox::table.find(&id).filter(outbox::attempts.eq(attempts)))
        .set((outbox::attempts.eq(attempts + 1), outbox::claimed_until.eq(Some(until))))
        .execute(conn)?;
    Ok((taken == 1).then_some(Claimed { id, payload, attempt: attempts + 1, created_at }))
}

pub(super) fn sent(conn: &mut Conn, claimed: &Claimed, now: Timestamp) -> Result<()> {
    // Whoever sent it: it is sent.
    diesel::update(outbox::table.find(&claimed.id))
        .set((outbox::done_at.eq(Some(now)), outbox::claimed_until.eq(None::<Timestamp>)))
        .execute(conn)?;
    Ok(())
}

/// Leaves it for `again_at`, or for good.
pub(super) fn failed(
    conn: &mut Conn,
    claimed: &Claimed,
    why: &str,
    again_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<()> {
    let mine = outbox::table.find(&claimed.id).filter(outbox::attempts.eq(claimed.attempt));
    diesel::update(mine.filter(outbox::done_at.is_null()))
        .set((
            outbox::last_error.eq(Some(why)),
            outbox::claimed_until.eq(None::<Timestamp>),
            outbox::due_at.eq(again_at.unwrap_or(now)),
            outbox::dead_at.eq(again_at.is_none().then_some(now)),
        ))
        .execute(conn)?;
    Ok(())
}

/// Makes a dead letter due; false when it is not dead, `None` when it is not there.
pub(super) fn revive(conn: &mut Conn, id: &str, now: Timestamp) -> Result<Option<bool>> {
    let dead = outbox::table.find(id).filter(outbox::dead_at.is_not_null().and(outbox::done_at.is_null()));
    let revived = diesel::update(dead)
        .set((outbox::dead_at.eq(None::<Timestamp>), outbox::due_at.eq(now)))
        .execute(conn)?;
    if revived == 1 {
        return Ok(Some(true));
    }
    let held: Option<String> = outbox::table.find(id).select(outbox::id).first(conn).optional()?;
    Ok(held.map(|_| false))
}

pub(super) fn status(conn: &mut Conn) -> Result<OutboxStatus> {
    let waiting = outbox::done_at.is_null().and(outbox::dead_at.is_null());
    type Dead = (String, String, i64, Option<String>, Option<Timestamp>);
    let dead: Vec<Dead> = outbox::table
        .filter(outbox::dead_at.is_not_null())
        .order(outbox::dead_at.desc())
        .limit(50)
        .select((outbox::id, outbox::payload, outbox::attempts, outbox::last_error, outbox::dead_at))
        .load(conn)?;
    Ok(OutboxStatus {
        waiting: outbox::table.filter(waiting).count().get_result(conn)?,
        oldest_at: outbox::table.filter(waiting).select(diesel::dsl::min(outbox::created_at)).first(conn)?,
        dead_count: outbox::table.filter(outbox::dead_at.is_not_null()).count().get_result(conn)?,
        sent: outbox::table.filter(outbox::done_at.is_not_null()).count().get_result(conn)?,
        dead: dead
            .into_iter()
            .filter_map(|(id, payload, attempts, error, dead_at)| {
                let letter: Option<Letter> = serde_json::from_str(&payload).ok();
                let (to, subject) =
                    letter.map_or_else(Default::default, |letter| (letter.to, letter.subject));
                Some(DeadLetter {
                    id,
                    to,
                    subject,
                    attempts,
                    error: error.unwrap_or_default(),
                    dead_at: dead_at?,
                })
            })
            .collect(),
    })
}
