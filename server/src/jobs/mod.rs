//! What time alone brings about: a closed list of jobs, each with a schedule.
//!
//! The scheduler and the watch say when to look; which tick is run by whom is the database's business
//! ([`runs`]), so that any number of servers may tick together. A job calls slices; it decides nothing itself.
//!
//! To add one: a line in [`JOBS`], and its function.

mod chores;
mod drive;
mod http;
mod metrics;
mod page;
mod reminders;
pub mod runs;
pub mod schedule;
mod scrub;
mod store;
mod view;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use chrono::TimeDelta;
use endcheck_protocol::time::Timestamp;

use crate::app::App;
use crate::db::Conn;
use crate::error::Result;

pub use chores::{Ticked, tick};
pub use drive::{attend, start};
pub use http::{ApiDoc, routes};
pub use metrics::Requests;
use runs::{Claim, Holder};
use schedule::Schedule;
pub use store::RunState;

/// A job under way.
type Doing = Pin<Box<dyn Future<Output = Result<Outcome>> + Send>>;

/// One of the jobs.
pub struct Job {
    pub name: &'static str,
    /// What it does, for the page.
    pub purpose: &'static str,
    /// When it ticks where nothing else is configured: cron, seconds first, UTC.
    pub cron: &'static str,
    run: fn(Arc<App>, Tick) -> Doing,
}

/// Every job there is.
pub static JOBS: &[Job] = &[
    Job {
        name: "overdue",
        purpose: "Raises visits past their due date; visits that nothing was heard of count as interrupted",
        cron: "0 * * * * *",
        run: |app, tick| Box::pin(chores::overdue(app, tick)),
    },
    Job {
        name: "reminders",
        purpose: "Reminds inspectors before a window begins and before a check falls due",
        cron: "50 * * * * *",
        run: |app, tick| Box::pin(reminders::run(app, tick)),
    },
    Job {
        name: "routine-checks",
        purpose: "Follows each serial, and opens a routine check where one falls due or a shipment arrived",
        cron: "10 * * * * *",
        run: |app, tick| Box::pin(chores::routine_checks(app, tick)),
    },
    Job {
        name: "evidence",
        purpose: "Settles files that came before their records, and looks into photos that wait",
        cron: "20 * * * * *",
        run: |app, tick| Box::pin(chores::evidence(app, tick)),
    },
    Job {
        name: "expiry",
        purpose: "Forgets uploads without a record, used request keys, and old runs of this list",
        cron: "30 * * * * *",
        run: |app, tick| Box::pin(chores::expiry(app, tick)),
    },
    Job {
        name: "custody",
        purpose: "Commits the notes of custody to the log, a batch at a time",
        cron: "*/5 * * * * *",
        run: |app, tick| Box::pin(chores::custody(app, tick)),
    },
    Job {
        name: "checkpoint",
        purpose: "Notes how far the log is, and how far its witnesses cosigned it",
        cron: "40 * * * * *",
        run: |app, tick| Box::pin(chores::checkpoint(app, tick)),
    },
    Job {
        name: "re-scoring",
        purpose: "Assesses every shipment by the policy in force, once a day and when a policy came into force",
        cron: "25 * * * * *",
        run: |app, tick| Box::pin(chores::rescoring(app, tick)),
    },
    Job {
        name: "policy-expiry",
        purpose: "Tells those who approve policies when the one in force is to be reviewed, and that it expired",
        cron: "0 10 4 * * *",
        run: |app, tick| Box::pin(chores::policy_expiry(app, tick)),
    },
    Job {
        name: "scrub",
        purpose: "Reads and hashes stored files again, a slice at a time, all of them within a round",
        cron: "15 */10 * * * *",
        run: |app, tick| Box::pin(scrub::run(app, tick)),
    },
    Job {
        name: "orphans",
        purpose: "Removes parts of files that a killed server left, and tells of files that no row names",
        cron: "0 20 3 * * *",
        run: |app, tick| Box::pin(scrub::orphans(app, tick)),
    },
];

/// The job of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Job> {
    JOBS.iter().find(|job| job.name == name)
}

/// One tick, as its job sees it.
#[derive(Debug, Clone)]
pub struct Tick {
    /// The instant that the schedule named.
    pub at: Timestamp,
    /// When this try of it began.
    pub now: Timestamp,
    claim: Claim,
    lease: TimeDelta,
}

impl Tick {
    /// Runs `work` in a write transaction behind the fence: it commits only while the run is this one's.
    ///
    /// # Errors
    /// Whatever `work` answers; [`runs::lost`].
    pub async fn write<T: Send + 'static>(
        &self,
        app: &Arc<App>,
        work: impl FnOnce(&mut Conn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (claim, lease, offset) = (self.claim.clone(), self.lease, app.clock.offset());
        app.write(move |conn| {
            let now = crate::db::clock(conn)?.plus(offset);
            runs::hold(conn, &claim, lease, now)?;
            work(conn)
        })
        .await
    }
}

/// What is still to be written when a run ends.
type LastWrite = Box<dyn FnOnce(&mut Conn) -> Result<String> + Send>;

/// What came of a run, in a few words for the page.
pub enum Outcome {
    Done(String),
    /// To be written in the transaction that ends the run: happens exactly once. Answers the words.
    InCommit(LastWrite),
}

impl Outcome {
    /// # Errors
    /// Never; for the end of a job.
    pub fn done(words: impl Into<String>) -> Result<Self> {
        Ok(Self::Done(words.into()))
    }

    /// # Errors
    /// Never; for the end of a job.
    pub fn in_commit(work: impl FnOnce(&mut Conn) -> Result<String> + Send + 'static) -> Result<Self> {
        Ok(Self::InCommit(Box::new(work)))
    }
}

/// The jobs as this server runs them.
pub struct Desk {
    /// By name; `None` is switched off.
    schedules: BTreeMap<&'static str, Option<Schedule>>,
    holder: Holder,
    /// Wakes the watch.
    wake: tokio::sync::Notify,
}

/// What a schedule says to switch its job off.
pub const OFF: &str = "off";

/// Each job's cron expression, or [`OFF`]: as configured, else its own.
///
/// # Errors
/// When a name is no job's.
pub fn configured(given: &BTreeMap<String, String>) -> anyhow::Result<BTreeMap<String, String>> {
    let mut all: BTreeMap<String, String> =
        JOBS.iter().map(|job| (job.name.to_owned(), job.cron.to_owned())).collect();
    for (name, cron) in given {
        let Some(slot) = all.get_mut(name) else {
            let names: Vec<&str> = JOBS.iter().map(|job| job.name).collect();
            anyhow::bail!("there is no job {name:?}; there are {}", names.join(", "));
        };
        slot.clone_from(cron);
    }
    Ok(all)
}

impl Desk {
    /// # Errors
    /// When a name is no job's, or an expression is none.
    pub fn new(given: &BTreeMap<String, String>, lease_s: u32) -> anyhow::Result<Self> {
        let crons = configured(given)?;
        let mut schedules = BTreeMap::new();
        for job in JOBS {
            let cron = crons.get(job.name).map_or(job.cron, String::as_str);
            let schedule = match cron {
                OFF => None,
                cron => Some(
                    Schedule::parse(cron)
                        .map_err(|error| anyhow::anyhow!("the job {}: {error}", job.name))?,
                ),
            };
            schedules.insert(job.name, schedule);
        }
        let holder = Holder {
            name: format!("{}-{}", std::process::id(), uuid::Uuid::now_v7().simple()),
            lease: TimeDelta::seconds(i64::from(lease_s.max(1))),
        };
        Ok(Self { schedules, holder, wake: tokio::sync::Notify::new() })
    }

    fn names(&self) -> Vec<&'static str> {
        self.schedules.keys().copied().collect()
    }

    fn schedule(&self, job: &str) -> Option<&Schedule> {
        self.schedules.get(job).and_then(Option::as_ref)
    }
}
