//! Two who move one visit in the same moment: the second one sees what the first one did.

use std::sync::mpsc;
use std::time::Duration;

use chrono::TimeDelta;
use endcheck_protocol::checklist::VisitOutcome;
use endcheck_protocol::ids::VisitId;
use endcheck_protocol::record::{Act, VerificationMethod};
use endcheck_server::accounts::{Actor, Role};
use endcheck_server::db::Conn;
use endcheck_server::error::Result;
use endcheck_server::visits::{self, CancelVisit, Change, Progress, RescheduleVisit};
use serde_json::{Value, json};

use crate::hand::{HandDevice, task};
use crate::office::{Office, text};

const SHIPMENT: &str = "SH-2026-0101";

/// Does `first` in a transaction that is not committed before `second` had time to run into it.
fn in_one_moment<T>(
    office: &Office,
    first: impl FnOnce(&mut Conn) -> Result<()> + Send,
    second: impl FnOnce() -> T,
) -> T {
    let app = office.server.app().clone();
    let (done, wait) = mpsc::channel();
    std::thread::scope(|scope| {
        let holder = scope.spawn(move || {
            app.connection().unwrap().write(|conn| {
                first(conn)?;
                done.send(()).unwrap();
                std::thread::sleep(Duration::from_millis(500));
                Ok(())
            })
        });
        wait.recv().unwrap();
        let answer = second();
        holder.join().unwrap().unwrap();
        answer
    })
}

fn manager(office: &Office) -> Actor {
    Actor {
        user: office.ada.id.parse().unwrap(),
        name: office.ada.name.clone(),
        roles: vec![Role::Manager],
        device: None,
    }
}

fn planned() -> (Office, VisitId, HandDevice) {
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris)).parse().unwrap();
    let device = HandDevice::enrolled(&office, &office.iris);
    (office, visit, device)
}

fn events(dossier: &Value, verb: &str) -> usize {
    dossier["events"].as_array().unwrap().iter().filter(|event| event["verb"] == verb).count()
}

#[test]
fn a_visit_that_is_closed_while_it_is_moved_is_closed_and_moved() {
    let (office, visit, mut device) = planned();
    device.pull();
    let opened = device.add(task(visit.as_str()), Act::VisitOpen { method: VerificationMethod::InPerson });
    let outcome = VisitOutcome::NotLocated;
    let closed = device.add(
        task(visit.as_str()),
        Act::VisitClose { outcome, missing: Vec::new(), note: None, contents: None },
    );
    let (actor, now, id) = (manager(&office), office.server.clock().now(), visit.clone());
    let moved = Change::Reschedule(RescheduleVisit {
        window_start: "2026-12-01T08:30".to_owned(),
        window_end: "2026-12-01T12:00".to_owned(),
        reason: "The host asked for it.".to_owned(),
    });
    in_one_moment(
        &office,
        move |conn| visits::change(conn, &actor, &id, moved, None, now).map(drop),
        || device.accepted(&[&opened, &closed]),
    );
    let dossier = office.dossier(visit.as_str());
    assert_eq!(text(&dossier, "/visit/state"), "closed");
    assert_eq!(text(&dossier, "/visit/outcome"), "not_located");
    assert_eq!(text(&dossier, "/visit/window_start_at"), "2026-12-01T07:30:00Z");
    assert_eq!([events(&dossier, "open"), events(&dossier, "close")], [1, 1]);
}

#[test]
fn a_visit_that_is_opened_while_it_is_called_off_stays_open() {
    let (office, visit, device) = planned();
    device.pull();
    let (now, id) = (office.server.clock().now(), visit.clone());
    let answer = in_one_moment(
        &office,
        move |conn| visits::progress(conn, &id, Progress::Opened, "device:x", now).map(drop),
        || {
            let reason = json!({ "reason": "The goods went back." });
            office.manager().post(&format!("/api/v1/visits/{visit}/cancel"), &reason)
        },
    );
    answer.expect_problem(409, "visit-state");
    assert_eq!(office.state(visit.as_str()), "open");
    assert_eq!(events(&office.dossier(visit.as_str()), "cancel"), 0);
}

#[test]
fn a_visit_that_is_closed_while_time_runs_out_is_not_interrupted() {
    let (office, visit, device) = planned();
    device.pull();
    office.server.clock().advance(TimeDelta::days(30));
    let (now, id) = (office.server.clock().now(), visit.clone());
    let closed = Progress::Closed(VisitOutcome::Partial);
    let ticked = in_one_moment(
        &office,
        move |conn| visits::progress(conn, &id, closed, "device:x", now).map(drop),
        || office.tick(),
    );
    assert_eq!(ticked.visits.interrupted, 0);
    assert_eq!(office.state(visit.as_str()), "closed");
    assert_eq!(events(&office.dossier(visit.as_str()), "interrupt"), 0);
}

#[test]
fn a_visit_that_is_called_off_while_it_is_pulled_is_not_dispatched() {
    let (office, visit, device) = planned();
    let (actor, now, id) = (manager(&office), office.server.clock().now(), visit.clone());
    let off = Change::Cancel(CancelVisit { reason: "The goods went back.".to_owned() });
    let page = in_one_moment(
        &office,
        move |conn| visits::change(conn, &actor, &id, off, None, now).map(drop),
        || device.http().get("/api/v1/sync/pull").expect_json(200),
    );
    assert_eq!(page["visits"], json!([]));
    assert_eq!(office.state(visit.as_str()), "cancelled");
    assert_eq!(events(&office.dossier(visit.as_str()), "dispatch"), 0);
}
