//! Whole visits without a network, on a device that was enrolled without a server.

use std::fs;

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use endcheck_protocol::canonical;
use endcheck_protocol::checklist::VisitOutcome;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{Envelope, RECORD_TYPE};
use endcheck_protocol::record::{Act, Record, SerialEntry};

use crate::refusal::ExitStatus;
use crate::testing::Device;

/// Every record on the device, oldest first, its links and signatures checked.
fn chain(device: &Device) -> Vec<Record> {
    let mut previous = None;
    let mut records = Vec::new();
    for bytes in device.envelopes() {
        let record: Record = canonical::read(&Envelope::read(&bytes, RECORD_TYPE).unwrap().payload).unwrap();
        assert_eq!((record.seq, &record.prev), (records.len() as u64, &previous));
        previous = Some(Sha256::of(&bytes));
        records.push(record);
    }
    records
}

fn chain_hashes(device: &Device) -> Vec<Sha256> {
    device.envelopes().iter().map(|envelope| Sha256::of(envelope)).collect()
}

#[test]
fn a_visit_is_recorded_from_open_to_close() {
    let device = Device::enrolled();
    let visit = device.visit.as_str();
    let (status, _, complained) = device.run(&["note", "too early"]);
    assert_eq!(status, ExitStatus::Refused);
    assert!(complained.contains("no visit is open") && complained.contains("endcheck open"), "{complained}");

    device.json(&["open", &visit[..13], "--at", "51.7,8.3,10"]);
    let (status, _, complained) = device.run(&["close", "completed"]);
    assert_eq!(status, ExitStatus::Refused);
    assert!(complained.contains("question 1 (host)") && complained.contains("SN-2"), "{complained}");

    device.json(&["answer", "host", "Jörn Hammoorbeck"]);
    let (status, _, complained) = device.run(&["answer", "2", "no"]);
    assert!(status == ExitStatus::Refused && complained.contains("needs a note"), "{complained}");
    device.json(&["answer", "2", "yes"]);
    let photo = device.photo("plate one.png");
    let before = fs::read(&photo).unwrap();
    let captured = device.json(&["capture", &photo, "--question", "use-matches"]);
    assert_eq!(
        (captured[0]["purpose"].as_str(), captured[0]["mime"].as_str()),
        (Some("use"), Some("image/png"))
    );
    assert_eq!(fs::read(&photo).unwrap(), before);
    let (status, _, complained) = device.run(&["item", "i1", "sighted", "--serial", "SN-1"]);
    assert!(status == ExitStatus::Refused && complained.contains("--serial-again"), "{complained}");
    let (status, _, complained) =
        device.run(&["item", "i1", "sighted", "--serial", "SN-1", "--serial-again", "SN-7"]);
    assert!(status == ExitStatus::Refused && complained.contains("differ"), "{complained}");
    device.json(&["item", "i1", "sighted", "--serial", "SN-1", "--serial-again", "SN-1"]);
    device.json(&["item", "SN-2", "absent", "--note", "sold, says the host"]);
    device.json(&["close", "completed"]);

    let records = chain(&device);
    let kinds: Vec<_> = records.iter().map(|record| record.act.kind()).collect();
    assert_eq!(kinds, ["visit-open", "answer", "answer", "photo", "item", "item", "visit-close"]);
    assert_eq!(records[0].place.as_ref().unwrap().accuracy_mm, Some(10_000));
    assert!(matches!(&records[4].act, Act::Item(item) if item.serial_entry == Some(SerialEntry::KeyedTwice)));
    assert!(
        matches!(&records[6].act, Act::VisitClose { outcome: VisitOutcome::Completed, missing, .. } if missing.is_empty())
    );

    let file = records[3].act.file().unwrap();
    let sealed =
        fs::read(crate::seal::path(&device.environment.home.join("sealed"), &file.sealed_sha256)).unwrap();
    assert_eq!(Sha256::of(&sealed), file.sealed_sha256);
    assert_eq!(age::decrypt(&device.hq, &sealed).unwrap(), before);
    assert_eq!(file.name, "plate one.png");

    let (status, _, complained) = device.run(&["note", "afterwards"]);
    assert!(status == ExitStatus::Refused && complained.contains("no visit is open"));
    let (status, _, complained) = device.run(&["note", "afterwards", "--visit", visit]);
    assert!(status == ExitStatus::Success && complained.contains("is closed"), "{complained}");
}

#[test]
fn nothing_of_a_visit_can_be_read_from_a_seized_device() {
    let device = Device::enrolled();
    device.json(&["open", device.visit.as_str()]);
    device.json(&["note", "the informant is Ada"]);
    drop(device.store());
    for entry in fs::read_dir(&device.environment.home).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            for secret in ["informant", "Relay yard", "SN-1", "test authority", "sign_in_secret"] {
                assert!(
                    !bytes.windows(secret.len()).any(|window| window == secret.as_bytes()),
                    "{secret} in {path:?}"
                );
            }
        }
    }
    let mut device = device;
    device.environment.passphrase = Some("wrong".to_owned().into());
    let (status, _, complained) = device.run(&["status"]);
    assert!(status == ExitStatus::Refused && complained.contains("passphrase does not open"), "{complained}");
    device.environment.passphrase = None;
    let (status, _, complained) = device.run(&["status"]);
    assert!(status == ExitStatus::Refused && complained.contains("ENDCHECK_PASSPHRASE"), "{complained}");
}

#[test]
fn a_correction_replaces_and_never_edits() {
    let device = Device::enrolled();
    device.json(&["open", device.visit.as_str()]);
    device.json(&["answer", "host", "Jorn"]);
    device.json(&["answer", "host", "Jörn"]);
    device.json(&["close", "partial", "--note", "gate closes"]);
    let records = chain(&device);
    assert_eq!(records[2].replaces, records[2].prev);
    let (status, _, complained) =
        device.run(&["close", "access_denied_party", "--visit", device.visit.as_str()]);
    assert!(status == ExitStatus::Refused && complained.contains("endcheck note --visit"), "{complained}");
}

#[test]
fn a_denial_at_the_gate_needs_no_open_visit() {
    let device = Device::enrolled();
    let visit = device.visit.as_str();
    device.json(&[
        "denied",
        "--visit",
        visit,
        "--by",
        "site-guard",
        "--who",
        "guard at gate 2",
        "--words",
        "Nobody enters today.",
        "--when",
        "2026-11-23T08:00:00Z",
    ]);
    device.json(&["close", "access_denied_party", "--visit", visit]);
    let kinds: Vec<_> = chain(&device).iter().map(|record| record.act.kind()).collect();
    assert_eq!(kinds, ["denied", "visit-close"]);
}

#[test]
fn answers_from_a_file_are_taken_all_or_none() {
    let device = Device::enrolled();
    device.json(&["open", device.visit.as_str()]);
    let path = device.folder.path().join("answers.json");
    let file = path.to_str().unwrap();
    fs::write(&path, r#"[{"question":"host","answer":"Ada"},{"question":"use-matches","answer":"maybe"},{"question":"nope","answer":"x"}]"#).unwrap();
    let (status, _, complained) = device.run(&["checklist", "--from", file]);
    assert_eq!(status, ExitStatus::Refused);
    assert!(
        complained.contains("row 2 (use-matches)") && complained.contains("row 3 (nope)"),
        "{complained}"
    );
    assert_eq!(chain(&device).len(), 1);
    fs::write(&path, r#"[{"question":"host","answer":"Ada"},{"question":"use-matches","answer":{"skipped":"no-time"}},{"question":"serial-read","item":"i2","answer":"SN-2","serial_again":"SN-2"}]"#).unwrap();
    let lines = device.json(&["checklist", "--from", file]);
    assert!(
        lines.len() == 3 && lines.iter().all(|line| line["kind"] == "answer"),
        "an object a line: {lines:?}"
    );
    assert_eq!(chain(&device).len(), 4);
    for (rows, expected) in [
        (r#"[{"question":"serial-read","item":"i2","answer":"SN-2"}]"#, "needed twice"),
        (r#"[{"question":"serial-read","item":"i2","answer":"SN-2","serial_again":"SN-3"}]"#, "differ"),
        (
            r#"[{"question":"host","answer":"A"},{"question":"1","answer":"B"}]"#,
            "row 2 (1): row 1 answers the same",
        ),
    ] {
        fs::write(&path, rows).unwrap();
        let (status, _, complained) = device.run(&["checklist", "--from", file]);
        assert!(status == ExitStatus::Refused && complained.contains(expected), "{complained}");
    }
    fs::write(&path, r#"[{"question":"serial-read","item":"i2","answer":"SN-2","scanned":true}]"#).unwrap();
    let (_, _, complained) = device.run(&["checklist", "--from", file]);
    assert!(complained.contains("1 answer recorded."), "{complained}");
    fs::write(&path, vec![b' '; 17 * 1024 * 1024]).unwrap();
    let (status, _, complained) = device.run(&["checklist", "--from", file]);
    assert!(status == ExitStatus::Refused && complained.contains("longer than"), "{complained}");
    let shown = device.json(&["checklist"]);
    assert_eq!(shown[0]["questions"][0]["status"], "answered");
    assert_eq!(shown[0]["may_complete"], false);
}

#[test]
fn what_cannot_be_taken_in_is_refused_and_the_rest_is_kept() {
    let device = Device::enrolled();
    device.json(&["open", device.visit.as_str()]);
    let good = device.photo("a.png");
    let page = device.folder.path().join("b.jpg");
    fs::write(&page, "<html><body>not found</body></html>").unwrap();
    let page = page.to_str().unwrap();
    let missing = device.folder.path().join("c.jpg");
    let (status, printed, complained) = device.run(&["capture", &good, page, missing.to_str().unwrap()]);
    assert_eq!(status, ExitStatus::Partly);
    assert!(printed.contains("a.png: taken in"), "{printed}");
    assert!(complained.contains("not an image") && complained.contains("--document"), "{complained}");
    assert!(complained.contains("c.jpg"), "{complained}");
    device.json(&["capture", "--document", "--move", page]);
    assert!(!std::path::Path::new(page).exists());
    let sealed = fs::read_dir(device.environment.home.join("sealed")).unwrap().count();
    assert_eq!((chain(&device).len(), sealed), (3, 2));
}

#[test]
fn leftovers_of_a_kill_are_swept_and_rows_keep_their_copies() {
    let device = Device::enrolled();
    device.json(&["open", device.visit.as_str()]);
    device.json(&["capture", &device.photo("a.png")]);
    let sealed = device.environment.home.join("sealed");
    fs::write(sealed.join("0011.part"), "half").unwrap();
    fs::write(sealed.join(format!("{}.age", Sha256::of(b"x"))), "no row").unwrap();
    let lock = device.store();
    let held = lock.lock_folder().unwrap();
    device.json(&["status"]);
    assert_eq!(fs::read_dir(&sealed).unwrap().count(), 3, "another agent is at work");
    drop(held);
    let status = device.json(&["status"]);
    assert_eq!(fs::read_dir(&sealed).unwrap().count(), 1);
    assert_eq!(status[0]["files_without_receipt"]["files"], 1);
}

#[test]
fn a_capture_that_fails_to_be_recorded_leaves_its_copy_to_the_sweep() {
    let device = Device::enrolled();
    device.json(&["open", device.visit.as_str()]);
    let database = device.environment.home.join("endcheck.db");
    let mut conn = SqliteConnection::establish(database.to_str().unwrap()).unwrap();
    conn.batch_execute(
        "CREATE TRIGGER fault BEFORE INSERT ON files BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END",
    )
    .unwrap();
    let sealed = || fs::read_dir(device.environment.home.join("sealed")).unwrap().count();
    let (status, _, complained) = device.run(&["capture", &device.photo("a.png")]);
    assert!(
        status == ExitStatus::Refused && complained.contains("cannot be written: disk I/O error"),
        "{complained}"
    );
    assert_eq!(sealed(), 1, "the sweep decides by rows, nobody else");
    conn.batch_execute("DROP TRIGGER fault").unwrap();
    device.json(&["status"]);
    assert_eq!((sealed(), chain(&device).len()), (0, 1));
}

#[test]
fn what_is_not_ours_in_the_folder_stops_nothing_and_stays() {
    let device = Device::enrolled();
    let sealed = device.environment.home.join("sealed");
    fs::create_dir(sealed.join("lost+found")).unwrap();
    fs::create_dir(sealed.join("odd.age")).unwrap();
    fs::write(sealed.join(".nomedia"), "").unwrap();
    fs::write(sealed.join("0011.part"), "half").unwrap();
    let (status, _, complained) = device.run(&["open", device.visit.as_str()]);
    assert_eq!(status, ExitStatus::Success, "{complained}");
    assert_eq!(complained.matches("is not endcheck's").count(), 3, "{complained}");
    assert_eq!(fs::read_dir(&sealed).unwrap().count(), 3);
    fs::remove_dir_all(&sealed).unwrap();
    let (status, _, complained) = device.run(&["capture", &device.photo("a.png")]);
    assert!(status == ExitStatus::Success && !complained.contains("missing"), "{complained}");
    assert_eq!(fs::read_dir(&sealed).unwrap().count(), 1);
    fs::remove_dir_all(&sealed).unwrap();
    let (status, _, complained) = device.run(&["status"]);
    assert!(status == ExitStatus::Success && complained.contains("1 sealed copies"), "{complained}");
}

#[test]
fn evidence_that_will_not_count_is_told() {
    let device = Device::enrolled();
    device.json(&["open", device.visit.as_str()]);
    let photo = device.photo("a.png");
    for (options, expected) in [
        (&["--purpose", "nonsense"][..], Some("the checklist asks for no photo of nonsense")),
        (&["--question", "host"], Some("question host asks for no photo")),
        (
            &["--question", "use-matches", "--purpose", "sign"],
            Some("question use-matches asks for no photo of sign"),
        ),
        (&["--purpose", "plate"], Some("counts for none without --item (i1, i2)")),
        (&["--purpose", "plate", "--item", "i1"], None),
        (&["--question", "use-matches"], None),
        (&[], None),
    ] {
        let line = [&["capture", &photo], options].concat();
        let (_, _, complained) = device.run(&line);
        assert_eq!(complained.contains("warning"), expected.is_some(), "{line:?}: {complained}");
        let captured = device.json(&line);
        let warned = captured[0]["warnings"][0].as_str();
        assert_eq!(warned.is_some(), expected.is_some(), "{captured:?}");
        assert!(expected.is_none_or(|expected| warned.unwrap().contains(expected)), "{warned:?}");
    }
}

#[test]
fn a_source_that_stays_despite_move_is_no_success() {
    let device = Device::enrolled();
    device.json(&["open", device.visit.as_str()]);
    let photo = device.photo("a.png");
    let link = device.folder.path().join("link.png");
    std::os::unix::fs::symlink(&photo, &link).unwrap();
    let (status, printed, complained) = device.run(&["capture", "--move", link.to_str().unwrap()]);
    assert_eq!(status, ExitStatus::Partly);
    assert!(printed.contains("taken in") && complained.contains("was not removed"), "{printed}{complained}");
}

#[test]
fn what_is_wrong_is_said_once_and_where() {
    let device = Device::enrolled();
    device.json(&["open", device.visit.as_str()]);
    let (_, _, complained) = device.run(&["note", "x", "--at", "91,8"]);
    assert_eq!(complained.matches("is outside").count(), 1, "{complained}");
    let (status, _, complained) = device.run(&["note", "x", "--visit", ""]);
    assert!(status == ExitStatus::Refused && complained.contains("empty"), "{complained}");
    let (_, _, complained) = device.run(&["close", "completed"]);
    assert!(
        complained.contains("- [i1] item") && complained.contains("`endcheck item i1 STATUS`"),
        "{complained}"
    );
    let (status, printed, complained) = device.run(&["close", "finished", "--json"]);
    assert_eq!((status, complained.as_str()), (ExitStatus::Usage, ""));
    let told: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert!(told["error"].as_str().unwrap().contains("finished"), "{told}");
}

#[test]
fn output_that_goes_nowhere_is_no_success() {
    let mut device = Device::enrolled();
    device.environment.output =
        std::sync::Mutex::new(Box::new(fs::File::options().write(true).open("/dev/full").unwrap()));
    let (status, _, complained) = device.run(&["visits"]);
    assert!(status == ExitStatus::Partly && complained.contains("output cannot be written"), "{complained}");
}

#[test]
fn the_store_is_no_evidence() {
    let device = Device::enrolled();
    device.json(&["open", device.visit.as_str()]);
    let database = device.environment.home.join("endcheck.db");
    let link = device.folder.path().join("link.pdf");
    std::os::unix::fs::symlink(&database, &link).unwrap();
    for path in [&database, &link] {
        let line = ["capture", "--document", "--move", path.to_str().unwrap()];
        let (status, _, complained) = device.run(&line);
        assert!(status == ExitStatus::Refused && complained.contains("own store"), "{complained}");
    }
    assert_eq!(chain(&device).len(), 1);
}

#[test]
fn what_is_printed_of_a_record_names_it_for_a_correction() {
    let device = Device::enrolled();
    let visit = device.visit.as_str();
    let photo = device.photo("a.png");
    let lines: [&[&str]; 8] = [
        &["open", visit],
        &["note", "a"],
        &["answer", "host", "Ada"],
        &["item", "i1", "absent"],
        &["check-in"],
        &["statement", "--by", "A", "--role", "B", "--language", "en", "--text", "C"],
        &["capture", &photo],
        &["denied", "--by", "party", "--who", "A", "--words", "no"],
    ];
    for line in lines {
        let (_, printed, _) = device.run(line);
        let digits = printed.split("Record ").nth(1).unwrap().split('.').next().unwrap().to_owned();
        assert_eq!(chain_hashes(&device).last().unwrap().as_str()[..12], digits, "{printed}");
    }
    let note = chain_hashes(&device)[1].clone();
    let (status, _, complained) = device.run(&["note", "b", "--replaces", &note.as_str()[..5]]);
    assert!(status == ExitStatus::Refused && complained.contains("too short"), "{complained}");
    let (status, _, complained) = device.run(&["note", "b", "--replaces", "abcdefabcdef"]);
    assert!(status == ExitStatus::Refused && complained.contains("no record"), "{complained}");
    let digits = note.as_str()[..12].to_uppercase();
    device.json(&["note", "b", "--replaces", &digits]);
    assert_eq!(chain(&device).last().unwrap().replaces, Some(note));
}

#[test]
fn agents_at_once_take_turns() {
    let device = Device::enrolled();
    device.json(&["open", device.visit.as_str()]);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let device = &device;
            scope.spawn(move || {
                for note in 0..5 {
                    let text = format!("{writer} {note}");
                    let line = ["endcheck", "note", &text];
                    assert_eq!(crate::run(line, &device.environment), ExitStatus::Success);
                }
            });
        }
    });
    assert_eq!(chain(&device).len(), 21);
}

#[test]
fn a_track_is_sealed_and_what_is_none_is_refused() {
    let device = Device::enrolled();
    let visit = device.visit.as_str();
    device.json(&["open", &visit[..13], "--at", "51.7,8.3,10"]);
    let file = |name: &str, content: &str| {
        let path = device.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let point = |time: &str| format!("<trkpt lat='51.7' lon='8.3'><time>2026-05-04T{time}</time></trkpt>");
    let points = [point("10:00:00Z"), point("10:00:10Z"), "<trkpt lat='95' lon='1'/>".to_owned()].concat();
    let good = file("walk.gpx", &format!("<gpx><trk><trkseg>{points}</trkseg></trk></gpx>"));
    let taken = device.json(&["track", &good]);
    assert_eq!((&taken[0]["points"], &taken[0]["rejected"]), (&2.into(), &1.into()));
    assert_eq!(taken[0]["last_at"], "2026-05-04T10:00:10Z");
    let records = chain(&device);
    let Some(Act::Track { file: facts }) = records.last().map(|record| &record.act) else {
        panic!("{records:?}")
    };
    assert_eq!((facts.name.as_str(), facts.mime.as_str()), ("walk.gpx", "application/gpx+xml"));
    assert_eq!(facts.sha256, Sha256::of(&fs::read(&good).unwrap()));
    let bomb = file("bomb.gpx", "<!DOCTYPE g [<!ENTITY a 'aa'>]><gpx>&a;</gpx>");
    for (path, part) in [(bomb, "document type"), (file("empty.gpx", "<gpx/>"), "no point has both")] {
        let (status, _, complained) = device.run(&["track", &path]);
        assert_eq!(status, ExitStatus::Refused);
        assert!(complained.contains(part) && complained.contains("--document"), "{complained}");
    }
    assert_eq!(chain(&device).len(), records.len());
}
