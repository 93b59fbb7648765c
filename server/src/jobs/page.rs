//! The pages of the jobs: all of them, and the runs of one.

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_TYPE, LOCATION};
use actix_web::web::{Data, Form, Path, ServiceConfig};
use askama::Template;
use endcheck_protocol::time::Timestamp;
use serde::Deserialize;

use super::Job;
use super::http::known;
use super::scrub::{self, StoreHealth};
use super::store::RunState;
use super::view::{self, JobView, Run};
use crate::accounts::{PageSession, Permission};
use crate::app::App;
use crate::error::Result;
use crate::outbox::{self, OutboxStatus};
use crate::pages::{self, Shell};
use crate::resource::resource;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/jobs").get(list))
        .service(resource("/jobs/{name}").get(show))
        .service(resource("/jobs/{name}/run").post(run))
        .service(resource("/outbox/{id}/retry").post(try_again));
}

#[derive(Template)]
#[template(path = "jobs.html")]
struct JobsPage {
    shell: Shell,
    jobs: Vec<JobView>,
    store: StoreHealth,
    outbox: OutboxStatus,
    sends_mail: bool,
    now: Timestamp,
    may_run: bool,
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    shell: Shell,
    job: &'static Job,
    runs: Vec<Run>,
    may_run: bool,
}

async fn list(app: Data<App>, session: PageSession) -> Result<HttpResponse> {
    session.actor.require(Permission::WatchJobs)?;
    let app = app.into_inner();
    let shared = app.clone();
    let (jobs, store, outbox) = app
        .read(move |conn| {
            let jobs = view::all(conn, &shared.jobs, shared.clock.offset())?;
            Ok((jobs, scrub::health(conn)?, outbox::status(conn)?))
        })
        .await?;
    pages::html(&JobsPage {
        shell: Shell::of(&session, "Jobs"),
        jobs,
        store,
        outbox,
        sends_mail: app.mailer.is_some(),
        now: app.clock.now(),
        may_run: session.actor.may(Permission::RunJobs),
    })
}

/// Runs on the page of a job.
const RUNS_SHOWN: i64 = 100;

async fn show(app: Data<App>, session: PageSession, name: Path<String>) -> Result<HttpResponse> {
    session.actor.require(Permission::WatchJobs)?;
    let job = known(&name)?;
    let runs = app.into_inner().read(move |conn| view::runs(conn, job, None, RUNS_SHOWN)).await?;
    pages::html(&JobPage {
        shell: Shell::of(&session, job.name),
        job,
        runs,
        may_run: session.actor.may(Permission::RunJobs),
    })
}

#[derive(Deserialize)]
struct RunForm {
    csrf_token: String,
}

async fn run(
    app: Data<App>,
    session: PageSession,
    name: Path<String>,
    form: Form<RunForm>,
) -> Result<HttpResponse> {
    session.check_csrf(&form.csrf_token)?;
    session.actor.require(Permission::RunJobs)?;
    let job = known(&name)?;
    let app = app.into_inner();
    let offset = app.clock.offset();
    app.write(move |conn| view::ask(conn, job, &session.actor, offset)).await?;
    app.jobs.wake.notify_one();
    Ok(HttpResponse::SeeOther()
        .insert_header((LOCATION, format!("/jobs/{}", job.name)))
        .insert_header((CONTENT_TYPE, "text/plain"))
        .finish())
}

/// Has a letter that was given up tried again.
async fn try_again(
    app: Data<App>,
    session: PageSession,
    id: Path<String>,
    form: Form<RunForm>,
) -> Result<HttpResponse> {
    session.check_csrf(&form.csrf_token)?;
    session.actor.require(Permission::RunJobs)?;
    let app = app.into_inner();
    let offset = app.clock.offset();
    app.write(move |conn| {
        let now = crate::db::clock(conn)?.plus(offset);
        outbox::try_again(conn, &session.actor, &id, now)
    })
    .await?;
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, "/jobs")).finish())
}

/// The look of a state.
fn tag(state: &RunState) -> &'static str {
    match state {
        RunState::Done => "good",
        RunState::Failed => "bad",
        RunState::Retrying => "look",
        RunState::Waiting | RunState::Running => "",
    }
}

/// Milliseconds as a person reads them.
fn span(ms: &i64) -> String {
    match *ms {
        ms if ms < 1_000 => format!("{ms} ms"),
        ms if ms < 120_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        ms if ms < 7_200_000 => format!("{} min", ms / 60_000),
        ms => format!("{} h", ms / 3_600_000),
    }
}

/// An instant to the second, without the day where that is today.
fn when(at: &Timestamp, now: &Timestamp) -> String {
    let format = if at.day() == now.day() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    at.utc().format(format).to_string()
}

/// An instant to the second.
fn shown(at: &Timestamp) -> String {
    at.utc().format("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn spans_are_told_in_the_unit_that_says_most() {
        for (ms, text) in
            [(0, "0 ms"), (999, "999 ms"), (61_240, "61.2 s"), (600_000, "10 min"), (86_400_000, "24 h")]
        {
            assert_eq!(span(&ms), text);
        }
    }
}
