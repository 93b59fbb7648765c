//! Rows of notices.

use diesel::prelude::*;
use endcheck_protocol::ids::UserId;
use endcheck_protocol::time::Timestamp;

use super::{Notice, Tell};
use crate::db::schema::notices;
use crate::db::{Both, CHUNK, Conn};
use crate::error::Result;

pub(super) fn insert(conn: &mut Conn, id: &str, tell: &Tell, now: Timestamp) -> Result<bool> {
    let row = (
        notices::id.eq(id),
        notices::once_key.eq(&tell.once_key),
        notices::user_id.eq(&tell.user),
        notices::visit_id.eq(&tell.visit),
        notices::kind.eq(tell.kind),
        notices::title.eq(&tell.title),
        notices::body.eq(&tell.body),
        notices::created_at.eq(now),
    );
    let inserted =
        Both(diesel::insert_into(notices::table).values(row).on_conflict(notices::once_key).do_nothing())
            .execute(conn)?;
    Ok(inserted == 1)
}

pub(super) fn told(conn: &mut Conn, keys: &[String]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for keys in keys.chunks(CHUNK) {
        let some: Vec<String> =
            notices::table.filter(notices::once_key.eq_any(keys)).select(notices::once_key).load(conn)?;
        found.extend(some);
    }
    Ok(found)
}

/// What a person was told, the newest first, after a cursor.
pub(super) fn of_user(
    conn: &mut Conn,
    user: &UserId,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Notice>> {
    let mut query = notices::table.filter(notices::user_id.eq(user)).into_boxed();
    if let Some(after) = after {
        query = query.filter(notices::id.lt(after));
    }
    let rows = query
        .select((
            notices::id,
            notices::kind,
            notices::visit_id,
            notices::title,
            notices::body,
            notices::created_at,
        ))
        .order(notices::id.desc())
        .limit(limit)
        .load(conn)?;
    let notice =
        |(id, kind, visit, title, body, created_at)| Notice { id, kind, visit, title, body, created_at };
    Ok(rows.into_iter().map(notice).collect())
}
