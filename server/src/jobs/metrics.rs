//! `/metrics` in the text format of Prometheus, written plainly, and who may read it.
//!
//! Tells how the server fares, and nothing about anybody: no names, places or ids.

use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, FORWARDED};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use chrono::TimeDelta;
use endcheck_protocol::digest::Sha256;

use super::store::RunState;
use super::view;
use super::{scrub, store};
use crate::app::App;
use crate::db::{self, Conn};
use crate::error::{Error, Result};
use crate::outbox;

/// What a request was for, by its path.
const CLASSES: [&str; 5] = ["api", "sync", "log", "pages", "other"];
const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Requests answered since this process began.
#[derive(Debug, Default)]
pub struct Requests([[AtomicU64; STATUSES.len()]; CLASSES.len()]);

impl Requests {
    /// Counts one.
    pub fn count(&self, path: &str, status: u16) {
        let class = self.0.get(class(path));
        let counter = class.and_then(|class| class.get(usize::from(status / 100).saturating_sub(1)));
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Its place in [`CLASSES`].
fn class(path: &str) -> usize {
    let starts = |with: &[&str]| with.iter().any(|start| path.starts_with(start));
    if starts(&["/api/v1/sync/", "/api/v1/files"]) {
        1
    } else if starts(&["/api/"]) {
        0
    } else if starts(&["/log/"]) {
        2
    } else if starts(&["/static/", "/healthz", "/readyz", "/metrics", "/.well-known/"]) {
        4
    } else {
        3
    }
}

/// One family of numbers.
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP endcheck_{name} {help}\n# TYPE endcheck_{name} {kind}");
    }

    /// Labels are names of ours, which need no escaping.
    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(label, is)| format!("{label}=\"{is}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "endcheck_{name}{labels} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.value(name, &[], value);
    }
}

/// Whoever knows the token; without a configured token, whoever asks from this machine and through no proxy.
fn may_read(request: &HttpRequest, token: Option<&str>) -> bool {
    match token {
        Some(token) => {
            let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
            let given = given.and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
            // Digests are compared, so the time taken says nothing about the token.
            Sha256::of(given.as_bytes()) == Sha256::of(token.as_bytes())
        }
        None => {
            let local = request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
            let passed_on = request.headers().contains_key(FORWARDED)
                || request.headers().contains_key("x-forwarded-for");
            local && !passed_on
        }
    }
}

pub(super) async fn metrics(app: Data<App>, request: HttpRequest) -> Result<HttpResponse> {
    if !may_read(&request, app.config.metrics_token.as_deref()) {
        return Err(Error::forbidden(
            "not-permitted",
            "Metrics are for whoever sends the configured token as Authorization: Bearer …, or, where none is \
             configured, for this machine.",
        ));
    }
    let app = app.into_inner();
    let shared = app.clone();
    let mut text = app.read(move |conn| gather(conn, &shared)).await?;
    text.family("http_requests_total", "counter", "Requests answered by this process");
    for (class, counters) in CLASSES.iter().zip(&app.requests.0) {
        for (status, counter) in STATUSES.iter().zip(counters) {
            let labels = [("class", *class), ("status", *status)];
            text.value("http_requests_total", &labels, counter.load(Ordering::Relaxed));
        }
    }
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(text.0))
}

fn gather(conn: &mut Conn, app: &App) -> Result<Text> {
    let mut text = Text(String::new());
    let now = db::clock(conn)?;
    let ahead = app.clock.now().since(now.plus(app.clock.offset()));
    let help = "By how many seconds this server's clock is ahead of the database's";
    text.one("clock_ahead_seconds", "gauge", help, seconds(ahead));
    jobs(conn, app, &mut text)?;

    let outbox = outbox::status(conn)?;
    text.one("outbox_waiting", "gauge", "Letters that wait to be sent", outbox.waiting);
    let now = now.plus(app.clock.offset());
    let oldest = outbox.oldest_at.map_or_else(TimeDelta::zero, |at| now.since(at));
    text.one("outbox_oldest_seconds", "gauge", "For how long the oldest of them waits", seconds(oldest));
    text.one("outbox_dead", "gauge", "Letters that were given up", outbox.dead_count);
    text.one("outbox_sent_total", "counter", "Letters sent", outbox.sent);

    let files = scrub::health(conn)?;
    text.one("scrub_files_total", "counter", "Stored files that were hashed again", files.scrubbed_files);
    text.one("scrub_bytes_total", "counter", "And their bytes", files.scrubbed_bytes);
    text.one("stored_files", "gauge", "Files that must be in the store", files.named_files);
    text.family("file_faults", "gauge", "Stored files that are not what was received");
    for fault in ["missing", "changed"] {
        let count = files.faults.iter().filter(|one| one.fault == fault).count();
        text.value("file_faults", &[("fault", fault)], count);
    }
    text.one("orphan_files", "gauge", "Stored files that no row names", files.orphans);
    Ok(text)
}

fn jobs(conn: &mut Conn, app: &App, text: &mut Text) -> Result<()> {
    let jobs = view::all(conn, &app.jobs, app.clock.offset())?;
    text.family("job_late_seconds", "gauge", "For how long a tick has been due that did not end well");
    for job in &jobs {
        text.value("job_late_seconds", &[("job", job.name)], job.late_s);
    }
    text.family("job_running", "gauge", "Runs under way");
    for job in &jobs {
        let running = job.under_way.iter().filter(|run| run.state == RunState::Running).count();
        text.value("job_running", &[("job", job.name)], running);
    }
    text.family("job_last_success_timestamp_seconds", "gauge", "When it last ended well");
    for job in &jobs {
        if let Some(at) = job.last_success_at {
            text.value("job_last_success_timestamp_seconds", &[("job", job.name)], at.unix_seconds());
        }
    }
    text.family("job_runs_total", "counter", "Runs that ended, by how");
    for (job, outcome, runs) in store::totals(conn)? {
        text.value("job_runs_total", &[("job", &job), ("outcome", &outcome)], runs);
    }
    Ok(())
}

fn seconds(span: TimeDelta) -> String {
    let ms = span.num_milliseconds();
    format!("{}{}.{:03}", if ms < 0 { "-" } else { "" }, ms.abs() / 1000, ms.abs() % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_their_class_and_spans_their_sign() {
        for (path, name) in [
            ("/api/v1/sync/records", "sync"),
            ("/api/v1/files/x", "sync"),
            ("/api/v1/visits", "api"),
            ("/log/checkpoint", "log"),
            ("/visits/1", "pages"),
            ("/static/console.css", "other"),
        ] {
            assert_eq!(CLASSES[class(path)], name, "{path}");
        }
        assert_eq!(seconds(TimeDelta::milliseconds(-1_250)), "-1.250");
    }
}
