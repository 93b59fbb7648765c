//! Rows of cosignatures: inserted once they were checked, never changed.

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::time::Timestamp;

use crate::db::schema::log_cosignatures;
use crate::db::{Both, Conn};
use crate::error::Result;

/// How far back a better cosigned checkpoint is looked for, in cosignatures.
const WINDOW: i64 = 100;

#[derive(Insertable)]
#[diesel(table_name = log_cosignatures)]
pub(super) struct Cosignature<'a> {
    /// Name and key id.
    pub witness: &'a str,
    pub size: i64,
    pub root: &'a Sha256,
    /// By the witness's clock, in seconds since 1970.
    pub cosigned_at_s: i64,
    /// With its newline.
    pub line: &'a str,
    pub received_at: Timestamp,
}

/// Keeps a cosignature, unless the witness cosigned that size before.
pub(super) fn insert(conn: &mut Conn, cosignature: &Cosignature<'_>) -> Result<()> {
    Both(
        diesel::insert_into(log_cosignatures::table)
            .values(cosignature)
            .on_conflict((log_cosignatures::witness, log_cosignatures::size))
            .do_nothing(),
    )
    .execute(conn)?;
    Ok(())
}

/// The lines for a size and root, by witness.
pub(super) fn lines(conn: &mut Conn, size: i64, root: &Sha256) -> Result<Vec<String>> {
    Ok(log_cosignatures::table
        .filter(log_cosignatures::size.eq(size).and(log_cosignatures::root.eq(root)))
        .order(log_cosignatures::witness)
        .select(log_cosignatures::line)
        .load(conn)?)
}

/// The sizes of the newest cosignatures by these witnesses from `least` up to `most`, newest first; one for
/// each cosignature.
pub(super) fn sizes(conn: &mut Conn, by: &[&str], least: i64, most: i64) -> Result<Vec<i64>> {
    Ok(log_cosignatures::table
        .filter(log_cosignatures::witness.eq_any(by.iter().copied()))
        .filter(log_cosignatures::size.ge(least).and(log_cosignatures::size.le(most)))
        .order(log_cosignatures::size.desc())
        .limit(WINDOW)
        .select(log_cosignatures::size)
        .load(conn)?)
}

/// The largest size from `least` up to `most` that as many of these witnesses cosigned.
pub(super) fn largest_with(
    conn: &mut Conn,
    by: &[&str],
    least: i64,
    most: i64,
    cosignatures: i64,
) -> Result<Option<i64>> {
    Ok(log_cosignatures::table
        .filter(log_cosignatures::witness.eq_any(by.iter().copied()))
        .filter(log_cosignatures::size.ge(least).and(log_cosignatures::size.le(most)))
        .group_by(log_cosignatures::size)
        .having(diesel::dsl::count_star().ge(cosignatures))
        .select(log_cosignatures::size)
        .order(log_cosignatures::size.desc())
        .first(conn)
        .optional()?)
}

/// The largest size that a witness cosigned, and when by its clock.
pub(super) fn newest(conn: &mut Conn, witness: &str) -> Result<Option<(i64, i64)>> {
    Ok(log_cosignatures::table
        .filter(log_cosignatures::witness.eq(witness))
        .order(log_cosignatures::size.desc())
        .select((log_cosignatures::size, log_cosignatures::cosigned_at_s))
        .first(conn)
        .optional()?)
}
