//! The search as a chore of this server: a thread that notes how far it is, stops when it is asked to, and leaves what it
//! found in the database.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use endcheck_protocol::ids::PlanId;

use super::case::Case;
use super::solve::{self, Budget};
use super::{reasons, store};
use crate::app::App;
use crate::error::{Error, Result};

/// How often the search is heard of.
const EVERY: Duration = Duration::from_millis(500);

/// Begins to search for a plan that was asked for.
///
/// # Errors
/// When no thread can be had.
pub fn start(app: &Arc<App>, id: PlanId) -> Result<()> {
    let app = Arc::clone(app);
    let work = move || {
        if let Err(error) = search(&app, &id) {
            tracing::error!(plan = %id, %error, "no plan was found");
            let why = error.problem().detail;
            let noted = app
                .connection()
                .and_then(|mut conn| conn.write(|conn| store::failed(conn, &id, &why, app.clock.now())));
            if let Err(error) = noted {
                tracing::error!(plan = %id, %error, "that could not be noted either");
            }
        }
    };
    std::thread::Builder::new()
        .name("planner".to_owned())
        .spawn(work)
        .map(drop)
        .map_err(|e| Error::Internal(e.into()))
}

/// Searches for a plan that was asked for, and keeps what was found.
///
/// # Errors
/// What cannot be planned with; or when the database fails.
pub fn search(app: &App, id: &PlanId) -> Result<()> {
    let row = store::plan(&mut *app.connection()?, id)?;
    let case = Case::read(&row.case_document)?;
    let budget = Budget::of(&row);
    let heard = Heard {
        app,
        id,
        last: Mutex::new(Instant::now()),
        stop: AtomicBool::new(false),
        done: AtomicU64::new(0),
    };
    let outcome = solve::solve(&case, &budget, &|done| {
        heard.done.store(done, Ordering::Relaxed);
        heard.goes_on()
    })?;
    let problem = case.problem().map_err(solve::refused)?;
    heard.done.store(outcome.iterations_done.iter().sum(), Ordering::Relaxed);
    let left_out = reasons::left_out(&case, &problem, &outcome, || {
        heard.goes_on();
    });
    let document = outcome.document()?;
    let reasons = serde_json::to_string(&left_out).map_err(|e| Error::Internal(e.into()))?;
    let done = i64::try_from(heard.done.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
    app.connection()?.write(|conn| {
        let now = app.clock.now();
        store::heard(conn, id, done, now)?;
        store::insert_result(conn, id, (&document, &reasons), now)
    })
}

/// Tells the database how far the search is, now and then.
struct Heard<'a> {
    app: &'a App,
    id: &'a PlanId,
    last: Mutex<Instant>,
    stop: AtomicBool,
    done: AtomicU64,
}

impl Heard<'_> {
    /// Whether nobody asked to stop. A database that cannot be reached stops nothing.
    fn goes_on(&self) -> bool {
        // Whoever comes while another thread tells goes on with what is known.
        if let Ok(mut last) = self.last.try_lock()
            && last.elapsed() >= EVERY
        {
            *last = Instant::now();
            let done = i64::try_from(self.done.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
            let now = self.app.clock.now();
            let told = self
                .app
                .connection()
                .and_then(|mut conn| conn.write(|conn| store::heard(conn, self.id, done, now)));
            match told {
                Ok(stop) => self.stop.store(stop, Ordering::Relaxed),
                Err(error) => {
                    tracing::warn!(plan = %self.id, %error, "how far the search is could not be noted")
                }
            }
        }
        !self.stop.load(Ordering::Relaxed)
    }
}
