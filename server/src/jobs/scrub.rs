//! The scrub: every stored file is read and hashed again within so many days, a slice at a time.
//!
//! A round goes through the files by name and resumes where it stopped, on whichever server. Each slice's
//! progress stands behind the fence: no file is counted twice in a round.

use std::sync::Arc;

use chrono::TimeDelta;
use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Outcome, Tick};
use crate::app::App;
use crate::db::schema::{file_faults, orphan_files, scrub_rounds};
use crate::db::{Both, Conn, MultiBackend};
use crate::error::{Error, Result};
use crate::evidence::{self, Fault};
use crate::selection;

/// Files between two notes of how far the round is.
const SLICE: i64 = 32;

/// A way through all files.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = scrub_rounds, check_for_backend(MultiBackend))]
struct Round {
    number: i64,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
    reached: String,
    files: i64,
    size_bytes: i64,
}

/// A stored file that is gone or changed.
#[derive(Debug, Clone, Queryable, Serialize, ToSchema)]
pub struct FileFault {
    pub sha256: Sha256,
    /// `missing` or `changed`.
    pub fault: String,
    pub detail: String,
    pub found_at: Timestamp,
    pub last_seen_at: Timestamp,
}

/// What the scrub knows of the file store.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StoreHealth {
    /// Files hashed again, over all rounds.
    pub scrubbed_files: i64,
    pub scrubbed_bytes: i64,
    /// When every file was last hashed again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whole_at: Option<Timestamp>,
    /// Of the round under way.
    pub round_files: i64,
    pub named_files: i64,
    /// Files at fault now.
    pub faults: Vec<FileFault>,
    /// Files that no row names, and their bytes together.
    pub orphans: i64,
    pub orphan_bytes: i64,
}

/// How many files of a round are to be done by now, so that the round ends in time.
fn share(named: i64, begun_for: TimeDelta, round: TimeDelta) -> i64 {
    let (begun, whole) = (begun_for.num_seconds().max(0), round.num_seconds().max(1));
    if begun >= whole {
        return i64::MAX;
    }
    i64::try_from(i128::from(named) * i128::from(begun) / i128::from(whole)).unwrap_or(i64::MAX)
}

/// From the beginning of a round to that of the next, at least.
const ROUND_AT_LEAST: TimeDelta = TimeDelta::days(1);

/// Hashes as many files as are due by now, and those again that were at fault.
pub(super) async fn run(app: Arc<App>, tick: Tick) -> Result<Outcome> {
    let now = tick.now;
    let suspects = app.read(at_fault).await?;
    let seen = hash(&app, suspects).await;
    let mut faulty = tick.write(&app, move |conn| judge(conn, &seen, now)).await?;
    let (round, named) = tick.write(&app, move |conn| Ok((current(conn, now)?, count_named(conn)?))).await?;
    let Some(mut round) = round else {
        return Outcome::done(format!(
            "{faulty} files at fault; the last round is whole, the next begins later"
        ));
    };
    let days = TimeDelta::days(i64::from(app.config.scrub_days));
    let due = share(named, now.since(round.started_at), days).saturating_add(SLICE);
    while round.files < due {
        let reached = round.reached.clone();
        let names = app.read(move |conn| next_named(conn, &reached)).await?;
        let seen = hash(&app, names).await;
        let (next, faults) = tick.write(&app, move |conn| keep(conn, round, &seen, now)).await?;
        faulty += faults;
        if next.finished_at.is_some() {
            return Outcome::done(format!("the round is whole: {} files, {faulty} at fault", next.files));
        }
        round = next;
    }
    Outcome::done(format!("{} of about {named} files of this round, {faulty} at fault", round.files))
}

/// The next files that evidence or a draw names, by name.
fn next_named(conn: &mut Conn, after: &str) -> Result<Vec<Sha256>> {
    let mut names = evidence::named_files(conn, after, SLICE)?;
    names.extend(selection::pools(conn, after, SLICE)?);
    names.sort_unstable();
    names.dedup();
    names.truncate(usize::try_from(SLICE).unwrap_or(usize::MAX));
    Ok(names)
}

fn count_named(conn: &mut Conn) -> Result<i64> {
    Ok(evidence::count_named(conn)? + selection::count_pools(conn)?)
}

type Hashed = (Sha256, object_store::Result<Option<(Sha256, u64)>>);

async fn hash(app: &App, names: Vec<Sha256>) -> Vec<Hashed> {
    let mut seen = Vec::new();
    for name in names {
        let found = app.files.hash(&name).await;
        seen.push((name, found));
    }
    seen
}

fn at_fault(conn: &mut Conn) -> Result<Vec<Sha256>> {
    Ok(file_faults::table.filter(file_faults::mended_at.is_null()).select(file_faults::sha256).load(conn)?)
}

/// The round under way, or a new one once its time has come.
fn current(conn: &mut Conn, now: Timestamp) -> Result<Option<Round>> {
    let newest: Option<Round> = scrub_rounds::table
        .select(Round::as_select())
        .order(scrub_rounds::number.desc())
        .first(conn)
        .optional()?;
    let number = match newest {
        Some(round) if round.finished_at.is_none() => return Ok(Some(round)),
        Some(round) if now.since(round.started_at) < ROUND_AT_LEAST => return Ok(None),
        Some(round) => round.number + 1,
        None => 1,
    };
    let round =
        Round { number, started_at: now, finished_at: None, reached: String::new(), files: 0, size_bytes: 0 };
    diesel::insert_into(scrub_rounds::table).values(&round).execute(conn)?;
    Ok(Some(round))
}

/// Notes what is at fault and what is mended; answers how many are at fault.
fn judge(conn: &mut Conn, seen: &[Hashed], now: Timestamp) -> Result<i64> {
    let mut faults = 0;
    for (name, found) in seen {
        let fault = match found {
            Ok(Some((hash, _))) if hash == name => None,
            Ok(Some((hash, size_bytes))) => {
                Some((Fault::Changed, format!("its {size_bytes} bytes hash to {hash}")))
            }
            Ok(None) => Some((Fault::Missing, "the file is not in the store".to_owned())),
            Err(error) => Some((Fault::Changed, format!("it cannot be read: {error}"))),
        };
        match fault {
            Some((fault, detail)) => {
                faults += 1;
                note(conn, name, fault, &detail, now)?;
            }
            None => {
                diesel::update(
                    file_faults::table.find(name.as_str()).filter(file_faults::mended_at.is_null()),
                )
                .set(file_faults::mended_at.eq(Some(now)))
                .execute(conn)?;
            }
        }
    }
    Ok(faults)
}

/// Notes a slice, and how far the round is.
fn keep(conn: &mut Conn, mut round: Round, seen: &[Hashed], now: Timestamp) -> Result<(Round, i64)> {
    let faults = judge(conn, seen, now)?;
    let slice = i64::try_from(seen.len()).unwrap_or(SLICE);
    round.finished_at = (slice < SLICE).then_some(now);
    round.files += slice;
    for (name, found) in seen {
        if let Ok(Some((_, size_bytes))) = found {
            round.size_bytes += i64::try_from(*size_bytes).unwrap_or(0);
        }
        name.as_str().clone_into(&mut round.reached);
    }
    diesel::update(scrub_rounds::table.find(round.number))
        .set((
            scrub_rounds::finished_at.eq(round.finished_at),
            scrub_rounds::reached.eq(&round.reached),
            scrub_rounds::files.eq(round.files),
            scrub_rounds::size_bytes.eq(round.size_bytes),
        ))
        .execute(conn)?;
    Ok((round, faults))
}

/// Keeps a fault; a file that was mended in between is at fault anew, and said so of its records.
fn note(conn: &mut Conn, name: &Sha256, fault: Fault, detail: &str, now: Timestamp) -> Result<()> {
    let known = file_faults::table.find(name.as_str());
    let seen_before = diesel::update(known.filter(file_faults::mended_at.is_null()))
        .set((
            file_faults::fault.eq(fault.as_str()),
            file_faults::detail.eq(detail),
            file_faults::last_seen_at.eq(now),
        ))
        .execute(conn)?;
    if seen_before == 1 {
        return Ok(());
    }
    tracing::error!(file = %name, fault = fault.as_str(), detail, "a stored file is not what was received");
    diesel::delete(known).execute(conn)?;
    diesel::insert_into(file_faults::table)
        .values((
            file_faults::sha256.eq(name.as_str()),
            file_faults::fault.eq(fault.as_str()),
            file_faults::detail.eq(detail),
            file_faults::found_at.eq(now),
            file_faults::last_seen_at.eq(now),
        ))
        .execute(conn)?;
    evidence::note_fault(conn, name, fault, detail, now)
}

/// How long a file without a row is taken for one whose row is still being written, and a part for one that
/// somebody is still writing.
const LEFT_AFTER: std::time::Duration = std::time::Duration::from_secs(3600);

/// Removes parts that a killed server left, and tells of whole files that no row names. Those stay: after an
/// older database was restored, the newest evidence looks just like that.
pub(super) async fn orphans(app: Arc<App>, tick: Tick) -> Result<Outcome> {
    let files = app.files.clone();
    let (parts, found) = actix_web::web::block(move || {
        Ok::<_, std::io::Error>((files.sweep(LEFT_AFTER)?, files.untouched(LEFT_AFTER)?))
    })
    .await
    .map_err(|_| Error::Internal(anyhow::anyhow!("the sweep was cancelled")))??;
    let now = tick.now;
    let whole = found.len();
    let unnamed = app
        .read(move |conn| {
            let mut unnamed = Vec::new();
            for (sha256, size_bytes) in found {
                if !evidence::is_named(conn, &sha256)? && !selection::is_pool(conn, &sha256)? {
                    unnamed.push((sha256, i64::try_from(size_bytes).unwrap_or(i64::MAX)));
                }
            }
            Ok(unnamed)
        })
        .await?;
    Outcome::in_commit(move |conn| {
        for (sha256, size_bytes) in &unnamed {
            let row = (
                orphan_files::sha256.eq(sha256.as_str()),
                orphan_files::size_bytes.eq(size_bytes),
                orphan_files::found_at.eq(now),
                orphan_files::last_seen_at.eq(now),
            );
            Both(
                diesel::insert_into(orphan_files::table)
                    .values(row)
                    .on_conflict(orphan_files::sha256)
                    .do_nothing(),
            )
            .execute(conn)?;
            diesel::update(orphan_files::table.find(sha256.as_str()))
                .set(orphan_files::last_seen_at.eq(now))
                .execute(conn)?;
        }
        diesel::delete(orphan_files::table.filter(orphan_files::last_seen_at.lt(now))).execute(conn)?;
        Ok(format!(
            "{} of {whole} files are named by no row; {parts} parts left behind were removed",
            unnamed.len()
        ))
    })
}

/// What the scrub knows.
///
/// # Errors
/// When the database fails.
pub fn health(conn: &mut Conn) -> Result<StoreHealth> {
    let rounds: Vec<Round> =
        scrub_rounds::table.select(Round::as_select()).order(scrub_rounds::number).load(conn)?;
    let faults = file_faults::table
        .filter(file_faults::mended_at.is_null())
        .select((
            file_faults::sha256,
            file_faults::fault,
            file_faults::detail,
            file_faults::found_at,
            file_faults::last_seen_at,
        ))
        .order(file_faults::found_at)
        .load(conn)?;
    let orphans: Vec<i64> = orphan_files::table.select(orphan_files::size_bytes).load(conn)?;
    Ok(StoreHealth {
        scrubbed_files: rounds.iter().map(|round| round.files).sum(),
        scrubbed_bytes: rounds.iter().map(|round| round.size_bytes).sum(),
        whole_at: rounds.iter().filter_map(|round| round.finished_at).max(),
        round_files: rounds.last().filter(|round| round.finished_at.is_none()).map_or(0, |round| round.files),
        named_files: count_named(conn)?,
        faults,
        orphans: i64::try_from(orphans.len()).unwrap_or(i64::MAX),
        orphan_bytes: orphans.iter().sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_paced_over_its_days() {
        for (named, hours, days, files) in [
            (1_000, 0, 10, 0),
            (1_000, 24, 10, 100),
            (1_000, 120, 10, 500),
            (3, 1, 30, 0),
            (5, 240, 10, i64::MAX),
        ] {
            assert_eq!(share(named, TimeDelta::hours(hours), TimeDelta::days(days)), files);
        }
    }
}
