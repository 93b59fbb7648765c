//! Jobs: who runs a tick, what becomes of one whose server dies, what a late holder may still do, and what
//! people are shown.

use std::sync::Arc;

use chrono::TimeDelta;
use endcheck_protocol::time::Timestamp;
use endcheck_server::app::App;
use endcheck_server::db::{self, Conn};
use endcheck_server::jobs;
use endcheck_server::jobs::runs::{self, Claim, Holder};
use endcheck_server::jobs::schedule::Schedule;
use endcheck_tests::{DatabaseKind, TestDatabase};
use serde_json::{Value, json};

use crate::office::{Office, fixture, text};
use crate::tablet::Tablet;

const JOB: &str = "overdue";

/// Two servers on one database, without their processes.
struct Table {
    conn: db::PooledConn,
    schedule: Schedule,
    start: Timestamp,
    database: TestDatabase,
}

fn holder(name: &str) -> Holder {
    Holder { name: name.to_owned(), lease: TimeDelta::seconds(60) }
}

impl Table {
    fn set() -> Self {
        let database = TestDatabase::new(DatabaseKind::of_this_run());
        let mut conn = database.connect();
        let start = "2026-05-04T08:00:00Z".parse().unwrap();
        let schedule = Schedule::parse("0 * * * * *").unwrap();
        let nothing = conn.write(|conn| runs::claim(conn, JOB, Some(&schedule), &holder("a"), start));
        assert_eq!(nothing.unwrap(), None, "a job that was not known before has missed nothing");
        Self { conn, schedule, start, database }
    }

    fn at(&self, seconds: i64) -> Timestamp {
        self.start.plus(TimeDelta::seconds(seconds))
    }

    fn claim(&mut self, name: &str, seconds: i64) -> Option<Claim> {
        let (now, schedule) = (self.at(seconds), &self.schedule);
        self.conn.write(|conn| runs::claim(conn, JOB, Some(schedule), &holder(name), now)).unwrap()
    }

    fn finish(&mut self, claim: &Claim, seconds: i64) -> endcheck_server::error::Result<String> {
        let now = self.at(seconds);
        self.conn.write(|conn| {
            runs::finish(conn, claim, now, |conn| Ok(db::next_value(conn, "visit_changes")?.to_string()))
        })
    }
}

/// What the effects of the runs counted up to.
fn effects(conn: &mut Conn) -> i64 {
    db::next_value(conn, "visit_changes").unwrap()
}

#[test]
fn a_tick_has_one_holder_and_the_next_waits_for_its_end() {
    let mut table = Table::set();
    assert_eq!(table.claim("a", 59), None);
    let claim = table.claim("a", 61).unwrap();
    assert_eq!((claim.tick_at, claim.attempt, claim.missed), (table.at(60), 1, 0));
    assert_eq!(table.claim("b", 61), None);
    // It takes its time; the ticks meanwhile are one tick that stands for them.
    let now = table.at(110);
    table.conn.write(|conn| runs::hold(conn, &claim, TimeDelta::seconds(120), now)).unwrap();
    assert_eq!(table.claim("b", 200), None);
    table.finish(&claim, 205).unwrap();
    let next = table.claim("b", 205).unwrap();
    assert_eq!((next.tick_at, next.missed), (table.at(180), 1));
}

#[test]
fn a_holder_that_comes_back_late_commits_nothing() {
    let mut table = Table::set();
    let before = effects(&mut table.conn);
    let late = table.claim("a", 60).unwrap();
    assert_eq!(table.claim("b", 119), None, "its lease is not over");
    let taken = table.claim("b", 121).unwrap();
    assert_eq!((taken.tick_at, taken.attempt), (late.tick_at, 2));
    // The first comes back while the second is at it, and once more after its end.
    assert!(runs::is_lost(&table.finish(&late, 122).unwrap_err()));
    let now = table.at(122);
    let held = table.conn.write(|conn| runs::hold(conn, &late, TimeDelta::seconds(60), now));
    assert!(runs::is_lost(&held.unwrap_err()));
    table.finish(&taken, 123).unwrap();
    assert!(runs::is_lost(&table.finish(&late, 124).unwrap_err()));
    let failed = table.conn.write(|conn| runs::fail(conn, &late, "late", now));
    assert!(runs::is_lost(&failed.unwrap_err()));
    assert!(runs::is_lost(&table.finish(&taken, 125).unwrap_err()), "and nobody ends a run twice");
    assert_eq!(effects(&mut table.conn), before + 2, "one effect, and the question");
}

#[test]
fn a_clock_that_is_wrong_doubles_nothing() {
    let mut table = Table::set();
    // An hour ahead: the run begins early and has the name of its tick.
    let ahead = table.claim("ahead", 3_660).unwrap();
    assert_eq!((ahead.tick_at, ahead.missed), (table.at(3_660), 60));
    table.finish(&ahead, 3_661).unwrap();
    // Right again: nothing is run a second time until the schedule has passed where it was.
    for seconds in [61, 600, 3_661] {
        assert_eq!(table.claim("right", seconds), None, "{seconds}");
    }
    assert_eq!(table.claim("right", 3_720).unwrap().tick_at, table.at(3_720));
}

#[test]
fn what_kills_every_server_is_given_up_and_what_fails_is_tried_again() {
    let mut table = Table::set();
    let mut now = 60;
    for attempt in 1..=runs::MAX_ATTEMPTS {
        assert_eq!(table.claim("a", now).unwrap().attempt, attempt);
        now += 61;
    }
    let next = table.claim("a", now).unwrap();
    assert_eq!((next.attempt, next.tick_at), (1, table.at(now / 60 * 60)), "the next tick starts afresh");

    let mut table = Table::set();
    table.schedule = Schedule::parse("0 0 * * * *").unwrap();
    let first = table.claim("a", 3_600).unwrap();
    let failed_at = table.at(3_601);
    table.conn.write(|conn| runs::fail(conn, &first, "no room", failed_at)).unwrap();
    assert_eq!(table.claim("b", 3_630), None, "not at once");
    let again = table.claim("b", 3_631).unwrap();
    assert_eq!((again.tick_at, again.attempt), (first.tick_at, 2));
}

/// Looks after one job on a runtime of its own.
fn attend(app: &Arc<App>, name: &str) {
    let job = jobs::find(name).unwrap();
    actix_web::rt::System::new().block_on(jobs::attend(app, job)).unwrap();
}

fn job(office: &Office, name: &str) -> Value {
    let all = office.manager().get("/api/v1/jobs").expect_json(200);
    all.as_array().unwrap().iter().find(|job| job["name"] == name).unwrap().clone()
}

fn runs_of(office: &Office, name: &str) -> Vec<Value> {
    let page = office.manager().get(&format!("/api/v1/jobs/{name}/runs")).expect_json(200);
    page["items"].as_array().unwrap().clone()
}

#[test]
fn servers_that_look_at_once_run_a_tick_once_and_tell_what_was_missed() {
    let office = Office::with_programme();
    let visit = office.schedule("SH-2026-0101", None);
    attend(office.server.app(), JOB);
    assert!(job(&office, JOB)["last"].is_null());
    office.server.clock().advance(TimeDelta::days(30));
    assert!(job(&office, JOB)["late_s"].as_i64().unwrap() > 29 * 86_400);
    let twin = App::open(office.server.app().config.clone(), office.server.clock().clone()).unwrap();
    let apps = [office.server.app().clone(), twin.clone(), office.server.app().clone(), twin];
    let looks: Vec<_> = apps.into_iter().map(|app| std::thread::spawn(move || attend(&app, JOB))).collect();
    for look in looks {
        look.join().unwrap();
    }
    let ran = runs_of(&office, JOB);
    // A minute may have passed meanwhile.
    assert!(ran.len() <= 2, "{ran:#?}");
    let first = ran.last().unwrap();
    assert_eq!((&first["state"], &first["attempts"]), (&json!("done"), &json!(1)));
    assert!(first["missed"].as_i64().unwrap() >= 30 * 24 * 60 - 2, "{first}");
    assert!(text(first, "/outcome").starts_with("1 raised as overdue"), "{first}");
    assert_eq!(job(&office, JOB)["late_s"], 0);
    let overdue = office.manager().get("/api/v1/visits?overdue=true").expect_json(200);
    assert_eq!(text(&overdue, "/items/0/id"), visit);
}

#[test]
fn a_run_by_hand_is_asked_for_once_by_who_may() {
    let office = Office::open();
    let path = "/api/v1/jobs/custody/run";
    office.as_person(&office.iris).post(path, &json!({})).expect_problem(403, "not-permitted");
    office.investigator().get("/api/v1/jobs").expect_problem(403, "not-permitted");
    office.manager().post("/api/v1/jobs/no-job/run", &json!({})).expect_problem(404, "not-found");
    let ask = || office.manager().send("POST", path, &[("Idempotency-Key", "k1")], None).expect_json(201);
    let asked = ask();
    assert_eq!((&asked["state"], &asked["asked_by"]), (&json!("waiting"), &json!("Ada Brandt")));
    let second = office.manager().post(path, &json!({})).expect_json(201);
    assert_eq!(second["tick_at"], asked["tick_at"], "one that waits is enough");
    attend(office.server.app(), "custody");
    assert_eq!(ask(), asked, "a retry is answered as the first time, and asks for nothing");
    let ran = runs_of(&office, "custody");
    assert_eq!(ran.iter().filter(|run| run["asked_by"] == "Ada Brandt").count(), 1, "{ran:#?}");
    assert_eq!(ran[0]["state"], "done");
}

/// The value of a line of `/metrics`.
fn metric(office: &Office, line: &str) -> String {
    let text = office.server.get("/metrics").expect(200).text();
    let found = text.lines().find_map(|one| one.strip_prefix(line)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {line} in\n{text}")).to_owned()
}

#[test]
fn a_stored_file_that_changes_or_goes_is_told_until_it_is_back() {
    let office = Office::with_programme();
    let visit = office.schedule("SH-2026-0101", Some(&office.iris));
    let tablet = Tablet::enrolled(&office, &office.iris);
    tablet.done(&["pull"]);
    tablet.done(&["open", &visit]);
    for photo in ["photos/01-exterior.jpg", "photos/02-sign.jpg"] {
        tablet.done(&["capture", &fixture(photo).display().to_string()]);
    }
    tablet.done(&["sync"]);
    office.tick();
    let hashes: Vec<String> = office.dossier(&visit)["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| text(file, "/sha256"))
        .collect();
    let store = || office.manager().get("/api/v1/jobs/store").expect_json(200);
    let scrub = || {
        office.server.clock().advance(TimeDelta::days(1));
        attend(office.server.app(), "scrub");
        store()
    };
    attend(office.server.app(), "scrub");
    let held = scrub();
    // Two photos and their small pictures.
    assert_eq!((&held["scrubbed_files"], &held["faults"]), (&json!(4), &json!([])), "{held:#}");
    assert!(held["whole_at"].is_string());

    let path = |hash: &String| office.server.data_folder().join("files").join(&hash[..2]).join(hash);
    let originals = [std::fs::read(path(&hashes[0])).unwrap(), std::fs::read(path(&hashes[1])).unwrap()];
    let mut changed = originals[0].clone();
    changed[1000] ^= 1;
    std::fs::write(path(&hashes[0]), changed).unwrap();
    std::fs::remove_file(path(&hashes[1])).unwrap();
    let held = scrub();
    let mut faults: Vec<(String, String)> = held["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| (text(fault, "/sha256"), text(fault, "/fault")))
        .collect();
    faults.sort();
    let mut expected =
        vec![(hashes[0].clone(), "changed".to_owned()), (hashes[1].clone(), "missing".to_owned())];
    expected.sort();
    assert_eq!(faults, expected);
    assert_eq!(metric(&office, "endcheck_file_faults{fault=\"changed\"}"), "1");
    assert_eq!(metric(&office, "endcheck_scrub_files_total"), "8");
    let signals = office.signals(&visit);
    assert!(signals.iter().any(|signal| signal == "file-changed"), "{signals:?}");
    assert!(signals.iter().any(|signal| signal == "file-missing"), "{signals:?}");
    assert_eq!(scrub()["faults"].as_array().unwrap().len(), 2, "it stays told");

    for (hash, original) in hashes.iter().zip(&originals) {
        std::fs::write(path(hash), original).unwrap();
    }
    assert_eq!(scrub()["faults"], json!([]));

    // A whole file that no row names is told of and stays; a part that nobody writes any more goes.
    let folder = office.server.data_folder().join("files").join("00");
    std::fs::create_dir_all(&folder).unwrap();
    let (orphan, part) = (folder.join("0".repeat(64)), folder.join(format!("{}#1", "0".repeat(64))));
    for path in [&orphan, &part] {
        std::fs::write(path, b"left").unwrap();
        let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }
    attend(office.server.app(), "orphans");
    office.server.clock().advance(TimeDelta::days(1));
    attend(office.server.app(), "orphans");
    assert_eq!((&store()["orphans"], &store()["orphan_bytes"]), (&json!(1), &json!(4)));
    assert!(orphan.exists() && !part.exists());
}

#[test]
fn metrics_are_for_this_machine_or_for_whoever_knows_the_token() {
    let office = Office::open();
    attend(office.server.app(), JOB);
    office.server.clock().advance(TimeDelta::minutes(5));
    assert!(metric(&office, "endcheck_job_late_seconds{job=\"overdue\"}").parse::<i64>().unwrap() > 200);
    attend(office.server.app(), JOB);
    assert_eq!(metric(&office, "endcheck_job_late_seconds{job=\"overdue\"}"), "0");
    assert_eq!(metric(&office, "endcheck_job_runs_total{job=\"overdue\",outcome=\"done\"}"), "1");
    assert_eq!(metric(&office, "endcheck_job_running{job=\"overdue\"}"), "0");
    assert_eq!(metric(&office, "endcheck_outbox_waiting"), "0");
    office.server.get("/api/v1/no-such-thing").expect_problem(404, "not-found");
    assert_eq!(metric(&office, "endcheck_http_requests_total{class=\"api\",status=\"4xx\"}"), "1");
    let passed_on = office.server.with_header("X-Forwarded-For", "203.0.113.9");
    passed_on.get("/metrics").expect_problem(403, "not-permitted");

    let office = Office::open_with(|config| config.metrics_token = Some("a token of a test".to_owned()));
    office.server.get("/metrics").expect_problem(403, "not-permitted");
    office.server.with_token("another").get("/metrics").expect_problem(403, "not-permitted");
    let known = office.server.with_token("a token of a test").get("/metrics").expect(200);
    assert!(known.text().starts_with("# HELP "));
}

#[test]
fn a_schedule_that_is_none_or_of_no_job_is_refused_at_the_start() {
    let office = Office::open();
    for (setting, words) in [
        ("overdue=every minute", "not a cron expression"),
        ("overdues=0 * * * * *", "there is no job \"overdues\""),
    ] {
        let done = office.server.run_program(&["serve", "--job", setting]);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && said.contains(words), "{said}");
    }
    let done = office.server.run_program(&["config", "--job", "overdue=off;custody=0 0 * * * *"]);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.contains("overdue = \"off\"") && said.contains("custody = \"0 0 * * * *\""), "{said}");
}

#[test]
fn a_run_that_ends_while_another_is_about_to_take_it_up_is_not_run_again() {
    // Only where two transactions run side by side; on SQLite the second does not begin before the first ends.
    if DatabaseKind::of_this_run() != DatabaseKind::Postgres {
        return;
    }
    let mut table = Table::set();
    let late = table.claim("a", 60).unwrap();
    let mut other = table.database.connect();
    let (now, schedule) = (table.at(121), table.schedule.clone());
    let (begun, waits) = std::sync::mpsc::channel();
    let taker = std::thread::spawn(move || {
        waits.recv().unwrap();
        other.write(|conn| runs::claim(conn, JOB, Some(&schedule), &holder("b"), now)).unwrap()
    });
    // The late holder ends its run just as its lease is over; the taker has read the row and waits for its lock.
    table
        .conn
        .write(|conn| {
            runs::finish(conn, &late, now, |_| {
                begun.send(()).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(500));
                Ok("done after all".to_owned())
            })
        })
        .unwrap();
    let taken = taker.join().unwrap();
    assert!(taken.is_none_or(|claim| claim.tick_at != late.tick_at), "the run was over");
}
