//! What a device still knows once a visit is closed, without a server.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};

use endcheck_protocol::canonical;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{Envelope, RECORD_TYPE};
use endcheck_protocol::record::Record;

use crate::refusal::ExitStatus;
use crate::testing::{self, Device};

/// What was said, seen and known beforehand of the visit; none of it may be read after the close.
const SECRETS: [&str; 9] = [
    "the informant is Ada",
    "Hammoorbeck",
    "so he said",
    "a caption",
    "Who received you",
    "SN-1",
    "Yard 1",
    "517000000",
    "routine",
];

fn recorded() -> Device {
    let device = Device::enrolled();
    device.json(&["open", device.visit.as_str(), "--at", "51.7,8.3,10"]);
    device.json(&["note", "the informant is Ada"]);
    device.json(&["answer", "host", "Hammoorbeck"]);
    device.json(&["capture", &device.photo("a.png"), "--caption", "a caption"]);
    device.json(&["statement", "--by", "A", "--role", "B", "--language", "en", "--text", "so he said"]);
    device.json(&["check-in"]);
    device
}

fn readable(device: &Device) -> Vec<&'static str> {
    // An envelope holds its payload in base64: whoever reads it takes it out.
    let payload = |value: Vec<u8>| match Envelope::read(&value, RECORD_TYPE) {
        Ok(envelope) => envelope.payload,
        Err(_) => value,
    };
    let readable: Vec<Vec<u8>> = device.store().readable().into_iter().map(payload).collect();
    let held = |secret: &&str| {
        readable.iter().any(|value| value.windows(secret.len()).any(|window| window == secret.as_bytes()))
    };
    SECRETS.into_iter().filter(held).collect()
}

#[test]
fn after_the_close_nothing_of_a_visit_can_be_read_even_with_the_passphrase() {
    let device = recorded();
    assert_eq!(readable(&device), SECRETS, "the search finds what is there");
    let before = device.store().sealed_cells();
    assert!(before.iter().all(|cell| device.holds(cell)));
    let photo = device.store().waiting_files().unwrap().len();
    let (status, printed, complained) = device.run(&["close", "partial", "--note", "gate closes"]);
    assert!(
        status == ExitStatus::Success && printed.contains("cannot read it again"),
        "{printed}{complained}"
    );
    assert!(readable(&device).is_empty(), "{:?}", readable(&device));
    assert!(device.store().sealed_cells().iter().all(|cell| cell.is_empty() || !before.contains(cell)));
    for cell in &before {
        assert!(!device.holds(cell), "the bytes of a sealed cell are still in a file of the store");
    }

    let envelopes = device.envelopes();
    assert_eq!(envelopes.len(), 7);
    let status = device.json(&["status"]).remove(0);
    assert_eq!(status["records"]["unsent"], 7);
    assert_eq!(status["files_without_receipt"]["files"], photo);
    let listed = device.json(&["visits"]).remove(0);
    assert_eq!((&listed["state"], &listed["sealed"]), (&"closed".into(), &true.into()), "{listed}");
    assert_eq!((&listed["site"], &listed["items"]), (&"Relay yard".into(), &serde_json::Value::Null));

    let visit = device.visit.as_str();
    let photo = device.photo("b.png");
    for line in [
        &["checklist"][..],
        &["answer", "host", "Ada"],
        &["item", "i1", "absent"],
        &["close", "completed"],
        &["capture", &photo, "--item", "i1"],
    ] {
        let (status, _, complained) = device.run(&[line, &["--visit", visit]].concat());
        assert!(status == ExitStatus::Refused, "{line:?}");
        assert!(
            complained.contains("sealed to headquarters") && complained.contains("endcheck note"),
            "{complained}"
        );
    }
    let (status, _, complained) = device.run(&["open", visit]);
    assert!(status == ExitStatus::Refused && complained.contains("is closed"), "{complained}");
}

#[test]
fn what_is_added_after_the_close_is_sealed_at_once_and_the_chain_goes_on() {
    let device = recorded();
    let visit = device.visit.as_str();
    let noted = device.json(&["note", "as first seen"]).remove(0);
    device.json(&["close", "partial"]);
    let digits = &noted["record"].as_str().unwrap()[..12];
    let (status, _, complained) =
        device.run(&["note", "the informant is Ada", "--visit", visit, "--replaces", digits]);
    assert!(status == ExitStatus::Success && complained.contains("is sealed"), "{complained}");
    device.json(&["capture", &device.photo("b.png"), "--visit", visit, "--purpose", "use"]);
    device.json(&["check-in", "--note", "so he said"]);
    assert!(readable(&device).is_empty(), "{:?}", readable(&device));
    let mut previous = None;
    for (seq, envelope) in device.envelopes().iter().enumerate() {
        let payload = Envelope::read(envelope, RECORD_TYPE).unwrap().payload;
        let record: Record = canonical::read(&payload).unwrap();
        assert_eq!((record.seq, &record.prev), (seq as u64, &previous));
        previous = Some(Sha256::of(envelope));
    }
    assert_eq!(device.envelopes().len(), 11);
    // A pull that brings the visit again brings back nothing of it.
    let held = device.store().visit(&device.visit).unwrap().unwrap();
    let mut again = testing::packet();
    again.visit.id = device.visit.clone();
    device.store().keep_visits(&[again], "2").unwrap();
    assert!(readable(&device).is_empty(), "{:?}", readable(&device));
    assert_eq!(device.store().visit(&device.visit).unwrap().unwrap().packet.visit.id, held.packet.visit.id);
}

#[test]
fn a_sealing_that_fails_changes_nothing_and_the_next_command_does_it() {
    let device = recorded();
    let database = device.environment.home.join("endcheck.db");
    let mut conn = SqliteConnection::establish(database.to_str().unwrap()).unwrap();
    for (table, event) in [("packages", "INSERT"), ("visits", "UPDATE OF sealed_packet")] {
        conn.batch_execute(&format!(
            "CREATE TRIGGER fault BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
        ))
        .unwrap();
        let line: &[&str] = if table == "packages" { &["close", "partial"] } else { &["status"] };
        let (status, _, complained) = device.run(line);
        assert_eq!(status, ExitStatus::Success, "{complained}");
        assert!(complained.contains("could not be sealed"), "{complained}");
        assert!(!readable(&device).is_empty());
        assert_eq!((device.store().packages().len(), device.envelopes().len()), (0, 7));
        conn.batch_execute("DROP TRIGGER fault").unwrap();
    }
    device.json(&["status"]);
    assert!(readable(&device).is_empty());
    assert_eq!((device.store().packages().len(), device.envelopes().len()), (1, 7));
}
