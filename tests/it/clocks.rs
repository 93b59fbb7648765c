//! The clock drill: three server processes on one database, every job ticking every second, while they are
//! killed with SIGKILL, or stopped for longer than a lease and woken again, at random instants. Every tick is
//! run once or told as missed, and every effect is there once.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp as SqlTimestamp};
use endcheck_protocol::time::Timestamp;
use endcheck_server::accounts::Role;
use endcheck_server::clock::Clock;
use endcheck_server::db::Conn;
use endcheck_server::jobs::JOBS;
use endcheck_tests::{DatabaseKind, Http, ServerProcess, random};
use serde_json::json;

use crate::office::{add_user, import_programme, shipment, signed_in, text, until};

const SHIPMENT: &str = "SH-2026-0101";
const SERVERS: usize = 3;
const LEASE_S: u64 = 3;

#[derive(Debug, QueryableByName)]
struct Ran {
    #[diesel(sql_type = Text)]
    job: String,
    #[diesel(sql_type = SqlTimestamp)]
    tick_at: Timestamp,
    #[diesel(sql_type = BigInt)]
    missed: i64,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = BigInt)]
    attempts: i64,
    #[diesel(sql_type = Nullable<Text>)]
    outcome: Option<String>,
}

#[derive(Debug, QueryableByName)]
struct Counted {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = BigInt)]
    number: i64,
}

fn ran(conn: &mut Conn) -> Vec<Ran> {
    let query = "select job, tick_at, missed, state, attempts, outcome from job_runs order by job, tick_at";
    diesel::sql_query(query).load(conn).unwrap()
}

fn counted(conn: &mut Conn, query: &str) -> Vec<Counted> {
    diesel::sql_query(query).load(conn).unwrap()
}

/// The process that a run is with right now, waiting a second for one.
fn holder_at_work(conn: &mut Conn) -> Option<u32> {
    let query =
        "select job as name, holder as kind, attempts as number from job_runs where state = 'running'";
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        if let Some(run) = counted(conn, query).first() {
            return run.kind.split('-').next()?.parse().ok();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    None
}

/// Visits that fall due one after the other while the drill goes on.
fn schedule_visits(manager: &Http, visits: u64, within: Duration) -> Vec<String> {
    let now = Clock::default().now();
    let shipment = shipment(manager, SHIPMENT);
    (0..visits)
        .map(|n| {
            let wait = within.as_millis() as u64 * n / visits;
            let due_at = now.plus(TimeDelta::milliseconds(wait as i64));
            let check = json!({ "shipment": shipment, "kind": "post_shipment", "trigger": "tip",
                "reason": "To be drilled.", "due_at": due_at });
            let check = text(&manager.post("/api/v1/checks", &check).expect_json(201), "/id");
            let visit = json!({ "check": check, "window_start": format!("{}T00:00", now.day()),
                "window_end": format!("{}T23:59", now.day()) });
            text(&manager.post("/api/v1/visits", &visit).expect_json(201), "/id")
        })
        .collect()
}

#[test]
fn every_tick_of_three_servers_takes_effect_once() {
    let wanted: u64 = std::env::var("ENDCHECK_DRILL_TICKS").map_or(200, |ticks| ticks.parse().unwrap());
    let mut random = random::generator("the clock drill");
    let mut arguments = vec!["--job-lease-s".to_owned(), LEASE_S.to_string()];
    for job in JOBS {
        arguments.extend(["--job".to_owned(), format!("{}=* * * * * *", job.name)]);
    }
    let first = ServerProcess::start_with(DatabaseKind::of_this_run(), &arguments);
    let mut conn = first.database().connect();
    add_user(&mut conn, "ada", "Ada Brandt", &[Role::Manager], Clock::default().now());
    let manager = signed_in(&first, "ada");
    import_programme(&manager);
    let takes = Duration::from_secs(wanted / JOBS.len() as u64);
    let visits = schedule_visits(&manager, (wanted / 20).clamp(20, 300), takes);
    let mut servers = vec![first];
    while servers.len() < SERVERS {
        servers.push(servers[0].another());
    }

    let (begun, mut kills, mut stops) = (Instant::now(), 0, 0);
    while (ran(&mut conn).iter().filter(|run| run.state == "done").count() as u64) < wanted {
        // Between runs a strike hits nothing: half of them wait for a server that is at one.
        let busy = if random.bool() { holder_at_work(&mut conn) } else { None };
        let busy = busy.and_then(|id| servers.iter().position(|server| server.id() == Some(id)));
        std::thread::sleep(Duration::from_millis(if busy.is_some() { 0 } else { random.u64(0..900) }));
        let server = &mut servers[busy.unwrap_or_else(|| random.usize(0..SERVERS))];
        match random.u32(0..3) {
            0 => {
                server.kill();
                kills += 1;
                std::thread::sleep(Duration::from_millis(random.u64(0..500)));
                server.start_again();
            }
            1 => {
                server.signal("STOP");
                stops += 1;
                std::thread::sleep(Duration::from_millis(LEASE_S * 1000 + random.u64(100..1500)));
                server.signal("CONT");
            }
            _ => {}
        }
        assert!(begun.elapsed() < takes * 5 + Duration::from_secs(120), "too slow: {}", ran(&mut conn).len());
    }
    // What was struck last is taken up within a lease.
    let calm = Clock::default().now();
    until("an end of every run", || {
        let runs = ran(&mut conn);
        JOBS.iter().all(|job| {
            let mut mine = runs.iter().filter(|run| run.job == job.name && run.tick_at <= calm);
            mine.all(|run| matches!(run.state.as_str(), "done" | "failed"))
                && runs.iter().any(|run| run.job == job.name && run.tick_at > calm && run.state == "done")
        })
    });
    for server in &mut servers {
        server.kill();
    }

    let runs = ran(&mut conn);
    // Each end counts itself in its own transaction. One statement, since a database may still be committing for
    // a process that is gone.
    let doubled = counted(
        &mut conn,
        "select t.job as name, t.outcome as kind, t.runs - (select count(*) from job_runs r where r.job = t.job \
         and r.state = t.outcome) as number from job_totals t",
    );
    assert!(doubled.len() >= JOBS.len() && doubled.iter().all(|one| one.number == 0), "{doubled:#?}");
    let mut missed = 0;
    for job in JOBS {
        let mine: Vec<&Ran> = runs.iter().filter(|run| run.job == job.name).collect();
        assert!(mine.iter().all(|run| run.tick_at.unix_micros() % 1_000_000 == 0), "{mine:#?}");
        for pair in mine.windows(2) {
            let seconds = pair[1].tick_at.since(pair[0].tick_at).num_seconds();
            assert_eq!(seconds, 1 + pair[1].missed, "a tick is neither run nor told as missed: {pair:?}");
            missed += pair[1].missed;
        }
    }
    // Where leases end all the time a run may be given up and left to the next tick; none fails of itself.
    let failed: Vec<&Ran> = runs.iter().filter(|run| run.state == "failed").collect();
    let given_up = |run: &&Ran| run.outcome.as_ref().is_some_and(|why| why.starts_with("given up"));
    assert!(failed.iter().all(given_up), "{failed:#?}");
    let events = counted(
        &mut conn,
        "select visit_id as name, verb as kind, count(*) as number from visit_events where verb = 'overdue' \
         group by visit_id, verb",
    );
    for visit in &visits {
        let raised = events.iter().find(|event| event.name == *visit).map_or(0, |event| event.number);
        assert_eq!(raised, 1, "the visit {visit} was to be raised once");
    }
    let fenced: usize = servers.iter().map(|server| server.words().matches("lost the run").count()).sum();
    let again = runs.iter().filter(|run| run.attempts > 1).count();
    eprintln!(
        "{} ticks run by {SERVERS} servers in {} s, {missed} told as missed; {kills} kills, {stops} stops, {again} \
         runs taken up again, {fenced} late holders kept out, {} given up; {} visits raised once each",
        runs.iter().filter(|run| run.state == "done").count(),
        begun.elapsed().as_secs(),
        failed.len(),
        visits.len()
    );
}
