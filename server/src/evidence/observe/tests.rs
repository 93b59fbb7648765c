use chrono::TimeDelta;
use endcheck_protocol::checklist::VisitOutcome;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{CameraId, DeviceId, SiteId, UserId};
use endcheck_protocol::photo::{PhotoFacts, PhotoFormat};
use endcheck_protocol::place::{Fence, Fix, Mock, Position, Provider};
use endcheck_protocol::record::{
    Act, ClockReadings, FileFacts, Record, SCHEMA, ServerTime, Task, VerificationMethod,
};
use endcheck_protocol::time::Timestamp;

use super::*;
use crate::evidence::findings::Weight;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn hash(name: &str) -> Sha256 {
    Sha256::of(name.as_bytes())
}

fn device() -> DeviceId {
    "0190b3c8-5f4e-7c1a-9d2e-3f4a5b6c7d8e".parse().unwrap()
}

/// A note at noon, second 1000 of its boot.
fn note(seq: u64) -> Record {
    Record {
        schema: SCHEMA.to_owned(),
        org: "o".to_owned(),
        device: device(),
        agent: "a 1".to_owned(),
        seq,
        prev: None,
        boot: "b".to_owned(),
        monotonic_ns: "1000000000000".to_owned(),
        clock: ClockReadings { device_at: at("2026-05-04T12:00:00Z"), gnss_at: None, server: None },
        place: None,
        anchor: None,
        task: Task::default(),
        replaces: None,
        act: Act::Note { text: "x".to_owned() },
    }
}

fn facts() -> PhotoFacts {
    PhotoFacts {
        format: PhotoFormat::Jpeg,
        width: 4000,
        height: 3000,
        orientation: None,
        position: None,
        position_absent_reason: None,
        taken_at: Some("2026-05-04T11:59:00Z".to_owned()),
        gps_at: None,
        make: Some("Apple".to_owned()),
        model: Some("iPhone 4".to_owned()),
        serial: None,
        lens: None,
        software: None,
        flags: Vec::new(),
    }
}

fn photo(seq: u64, facts: PhotoFacts) -> Record {
    let file = FileFacts {
        name: "p.jpg".to_owned(),
        size_bytes: 1,
        mime: "image/jpeg".to_owned(),
        sha256: hash("p"),
        sealed_sha256: hash("s"),
        sealed_size_bytes: 1,
    };
    Record { act: Act::Photo { file, purpose: None, caption: None, facts: Box::new(facts) }, ..note(seq) }
}

struct World {
    previous: Option<Record>,
    fence: Option<Fence>,
    fixed: Option<Fixed>,
    neighbours: Vec<Fixed>,
    cameras: Vec<Camera>,
    received_at: Timestamp,
}

impl Default for World {
    fn default() -> Self {
        Self {
            previous: None,
            fence: None,
            fixed: None,
            neighbours: Vec::new(),
            cameras: Vec::new(),
            received_at: at("2026-05-04T13:00:00Z"),
        }
    }
}

const LIMITS: TravelLimits = TravelLimits { look_kmh: 250, contradiction_kmh: 1_200 };

impl World {
    fn say(&self, record: &Record) -> Vec<NewFinding> {
        let holder = UserId::mint();
        observe(
            record,
            &Context {
                visit: None,
                corrected: None,
                root_at_anchor: None,
                fence: self.fence.as_ref(),
                holder: &holder,
                certificate_expires_at: at("2027-01-01T00:00:00Z"),
                key: None,
                received_at: self.received_at,
                predecessor_held: true,
                previous: self.previous.as_ref(),
                number_taken: false,
                fixed: self.fixed.as_ref(),
                neighbours: &self.neighbours,
                limits: LIMITS,
                cameras: &self.cameras,
            },
        )
    }

    fn signals(&self, record: &Record) -> Vec<(&'static str, Weight)> {
        self.say(record).into_iter().map(|finding| (finding.signal, finding.weight)).collect()
    }
}

/// Every finding says how far off it may be, and how it can be innocent.
#[track_caller]
fn whole(finding: &NewFinding) {
    assert!(!finding.uncertainty.is_empty() && !finding.explanations.is_empty(), "{finding:?}");
    assert!(finding.summary.ends_with('.') && finding.values.is_object(), "{finding:?}");
}

#[test]
fn clocks_that_go_back_or_jump_are_told() {
    let later = |seconds: i64, running_s: i64| {
        let mut record = note(1);
        record.clock.device_at = record.clock.device_at.plus(TimeDelta::seconds(seconds));
        record.monotonic_ns = ((1000 + running_s) * 1_000_000_000).to_string();
        record
    };
    let other_boot = |record: Record| Record { boot: "c".to_owned(), ..record };
    let said = |record: Record| Record { act: Act::ClockSet { moved_by_ms: -60_000 }, ..record };
    use Weight::{Contradiction, Info, Look};
    for (name, record, expected) in [
        ("in step", later(60, 60), vec![]),
        ("drift", later(3601, 3600), vec![]),
        ("running time back", later(60, -1), vec![("running-time-rollback", Contradiction)]),
        ("wall clock back", later(-60, 60), vec![("clock-rollback", Look)]),
        ("wall clock back and said", said(later(-60, 60)), vec![("clock-rollback", Info)]),
        ("another boot, forward", other_boot(later(600, -900)), vec![]),
        ("another boot, back", other_boot(later(-600, -900)), vec![("clock-rollback", Look)]),
        ("jump in silence", later(600, 60), vec![("clock-moved-unsaid", Look)]),
        ("jump that is said", said(later(600, 60)), vec![]),
    ] {
        let world = World { previous: Some(note(0)), ..World::default() };
        assert_eq!(world.signals(&record), expected, "{name}");
        world.say(&record).iter().for_each(whole);
    }
}

#[test]
fn the_server_s_time_that_was_heard_bounds_the_clock() {
    let heard = |server_at: &str, boot: &str, heard_s: i64| {
        let mut record = note(0);
        record.clock.server = Some(ServerTime {
            at: at(server_at),
            boot: boot.to_owned(),
            heard_monotonic_ns: (heard_s * 1_000_000_000).to_string(),
            round_trip_ms: 400,
        });
        record
    };
    for (name, record, told) in [
        ("same boot, in step", heard("2026-05-04T11:50:00Z", "b", 400), false),
        ("same boot, an hour behind", heard("2026-05-04T12:50:00Z", "b", 400), true),
        ("same boot, an hour ahead", heard("2026-05-04T10:50:00Z", "b", 400), true),
        ("another boot, long ago", heard("2026-05-01T10:50:00Z", "z", 400), false),
        ("another boot, in the future", heard("2026-05-04T12:50:00Z", "z", 400), true),
        ("heard after it was signed", heard("2026-05-04T12:00:00Z", "b", 2000), false),
    ] {
        let expected = if told { vec![("clock-against-server", Weight::Look)] } else { vec![] };
        assert_eq!(World::default().signals(&record), expected, "{name}");
    }
    let late = World { received_at: at("2026-05-08T12:00:00Z"), ..World::default() };
    assert_eq!(late.signals(&note(0)), [("came-late", Weight::Info)]);
}

#[test]
fn a_fix_outside_the_fence_is_measured_with_accuracy_and_age() {
    let fence = Fence::circle(Position::from_degrees(48.0, 16.0).unwrap(), 500.0).unwrap();
    let world = World { fence: Some(fence), ..World::default() };
    let placed = |lat: f64, accuracy_mm, fix_age_ms, mock| Record {
        place: Some(Fix {
            accuracy_mm,
            fix_age_ms,
            mock,
            ..Fix::bare(Position::from_degrees(lat, 16.0).unwrap(), Provider::Termux)
        }),
        ..note(0)
    };
    let unknown = Mock::Unknown;
    for (record, expected) in [
        (placed(48.0, Some(5_000), None, unknown), vec![]),
        (placed(48.009, Some(5_000), Some(2_000), unknown), vec![("device-outside-fence", Weight::Look)]),
        (placed(48.009, None, None, unknown), vec![("device-outside-fence", Weight::Look)]),
        (placed(48.009, Some(600_000), None, unknown), vec![]),
        (
            placed(48.009, Some(5_000), Some(600_000), unknown),
            vec![("device-outside-fence-by-an-old-fix", Weight::Info)],
        ),
        (placed(48.0, Some(5_000), None, Mock::Yes), vec![("position-simulated", Weight::Look)]),
    ] {
        assert_eq!(world.signals(&record), expected, "{:?}", record.place);
        world.say(&record).iter().for_each(whole);
    }
    let said = &world.say(&placed(48.009, Some(5_000), Some(2_000), unknown))[0];
    assert_eq!(said.summary, "The device's own fix is outside by 500 m, accuracy 5 m, fix 2 s old.");
}

fn fixed(lat: f64, minutes: i64, running_s: Option<i64>) -> Fixed {
    Fixed {
        record: hash(&format!("{lat} {minutes}")),
        device: device(),
        seq: minutes,
        taken_at: at("2026-05-04T12:00:00Z").plus(TimeDelta::minutes(minutes)),
        position: Position::from_degrees(lat, 16.0).unwrap(),
        accuracy_mm: Some(10_000),
        boot: "b".to_owned(),
        monotonic_ms: running_s.map(|seconds| seconds * 1000),
    }
}

#[test]
fn travel_is_measured_against_accuracy_and_time() {
    use Weight::{Contradiction, Look};
    let elsewhere = |other: Fixed| Fixed { device: DeviceId::mint(), ..other };
    // One degree of latitude is 111 km.
    for (name, other, expected) in [
        ("a walk", fixed(48.001, 5, None), vec![]),
        ("a drive", fixed(49.0, 60, None), vec![]),
        ("a jump of the receiver", fixed(48.003, 0, None), vec![]),
        ("a flight", fixed(53.0, 60, None), vec![("travel-too-fast", Look)]),
        ("a teleport", fixed(53.0, 5, None), vec![("travel-too-fast", Contradiction)]),
        ("at once", fixed(53.0, 0, None), vec![("travel-too-fast", Contradiction)]),
        (
            "a clock set by a day, running time apart",
            fixed(53.0, 1440, Some(1_600)),
            vec![("travel-too-fast", Contradiction)],
        ),
        ("the other way about", fixed(49.0, 1, Some(8_200)), vec![]),
        ("another device, clocks within minutes", elsewhere(fixed(48.1, 0, None)), vec![]),
        (
            "another device, far",
            elsewhere(fixed(53.0, 5, None)),
            vec![("inspector-travel-too-fast", Contradiction)],
        ),
        ("another device, running times do not compare", elsewhere(fixed(49.0, 120, Some(1_001))), vec![]),
    ] {
        let here = fixed(48.0, 0, Some(1_000));
        let world = World { fixed: Some(here), neighbours: vec![other], ..World::default() };
        assert_eq!(world.signals(&note(0)), expected, "{name}");
        world.say(&note(0)).iter().for_each(whole);
    }
}

fn enrolled(model: &str, serial: Option<&str>, sides: Option<(i64, i64)>) -> Camera {
    Camera {
        id: CameraId::mint(),
        device: device(),
        make: "APPLE ".to_owned(),
        model: model.to_owned(),
        serial: serial.map(str::to_owned),
        lens: None,
        width_px: sides.map(|(width_px, _)| width_px),
        height_px: sides.map(|(_, height_px)| height_px),
        quantisation: Vec::new(),
        note: None,
        added_by: UserId::mint(),
        added_at: at("2026-05-01T00:00:00Z"),
    }
}

#[test]
fn photos_are_held_against_the_enrolled_cameras() {
    use Weight::{Info, Look};
    let stripped = PhotoFacts { make: None, model: None, ..facts() };
    let numbered = PhotoFacts { serial: Some("77".to_owned()), ..facts() };
    for (name, facts, cameras, expected) in [
        ("no profile", facts(), vec![], vec![("camera-not-checked", Info)]),
        ("the same", facts(), vec![enrolled("iphone 4", None, None)], vec![]),
        ("one of two", facts(), vec![enrolled("X", None, None), enrolled("iPhone 4", None, None)], vec![]),
        (
            "another model",
            facts(),
            vec![enrolled("iPhone 5", None, None)],
            vec![("camera-not-enrolled", Look)],
        ),
        (
            "nothing stated",
            stripped,
            vec![enrolled("iPhone 4", None, None)],
            vec![("camera-not-stated", Info)],
        ),
        ("serial left out", facts(), vec![enrolled("iPhone 4", Some("77"), None)], vec![]),
        ("serial alike", numbered.clone(), vec![enrolled("iPhone 4", Some("77"), None)], vec![]),
        (
            "serial differs",
            numbered,
            vec![enrolled("iPhone 4", Some("78"), None)],
            vec![("camera-not-enrolled", Look)],
        ),
        ("turned", facts(), vec![enrolled("iPhone 4", None, Some((3000, 4000)))], vec![]),
        (
            "other size",
            facts(),
            vec![enrolled("iPhone 4", None, Some((300, 400)))],
            vec![("camera-not-enrolled", Look)],
        ),
    ] {
        let world = World { cameras, ..World::default() };
        assert_eq!(world.signals(&photo(0, facts.clone())), expected, "{name}");
        world.say(&photo(0, facts)).iter().for_each(whole);
    }
}

#[test]
fn a_serial_is_told_at_both_places() {
    let sighting = |name: &str, lat: f64, days: i64| Sighting {
        record: hash(name),
        visit: None,
        site: Some(SiteId::mint()),
        site_name: Some(name.to_owned()),
        position: Position::from_degrees(lat, 16.0).ok(),
        seen_at: at("2026-05-04T12:00:00Z").plus(TimeDelta::days(days)),
    };
    let (here, there) = (sighting("Here", 48.0, 10), sighting("There", 49.0, 0));
    assert!(elsewhere(&here, &there) && !elsewhere(&here, &Sighting { position: None, ..here.clone() }));
    assert!(!elsewhere(&here, &Sighting { site: None, ..there.clone() }));
    let said = seen_elsewhere("SN-1", &here, &there);
    whole(&said);
    assert_eq!(said.summary, "The same serial was read at There, 111 km away, 10 days before.");
    assert_eq!(
        seen_elsewhere("SN-1", &there, &here).summary,
        "The same serial was read at Here, 111 km away, 10 days after."
    );
    assert_eq!(
        (&said.values["other_record"], &said.values["distance_m"]),
        (&serde_json::json!(there.record), &serde_json::json!(111_200))
    );
}

fn visit_of(photos: &[(&str, Option<&str>)]) -> Vec<(Sha256, Record)> {
    let open = Record { act: Act::VisitOpen { method: VerificationMethod::InPerson }, ..note(0) };
    let shots = photos.iter().enumerate().map(|(nth, (taken_at, gps_at))| {
        let facts = PhotoFacts { taken_at: Some((*taken_at).to_owned()), gps_at: gps_at.map(at), ..facts() };
        photo(nth as u64 + 1, facts)
    });
    std::iter::once(open).chain(shots).map(|record| (hash(&record.seq.to_string()), record)).collect()
}

#[test]
fn one_estimate_of_the_clocks_is_made_for_a_visit() {
    let signals = |photos: &[(&str, Option<&str>)], zone| {
        let found = offsets(&visit_of(photos), zone);
        found.iter().for_each(|said| whole(&said.finding));
        found.into_iter().map(|said| (said.finding.signal, said.finding.weight)).collect::<Vec<_>>()
    };
    use Weight::{Info, Look};
    let vienna = Some(chrono_tz::Europe::Vienna);
    let good = ("2026-05-04T14:00:10", Some("2026-05-04T12:00:05Z"));
    assert_eq!(signals(&[], vienna), []);
    assert_eq!(signals(&[good], vienna), [("clock-offsets", Info)]);
    // Without a zone a local time is no instant.
    assert_eq!(signals(&[good], None), []);
    // A camera a day behind is one finding for the visit, none for each photo.
    let behind = |second: u8| format!("2026-05-03T14:00:{second}");
    let texts = [behind(10), behind(20), behind(30)];
    let photos: Vec<_> = texts.iter().map(|text| (text.as_str(), good.1)).collect();
    assert_eq!(signals(&photos, vienna), [("clock-offsets", Look)]);
    // One photo that does not follow the others is named.
    let stray = [good, good, good, ("2025-05-04T14:00:10", good.1)];
    assert_eq!(signals(&stray, vienna), [("photo-clock-differs", Look), ("clock-offsets", Info)]);
    let old = [good, ("2026-05-03T14:00:10", Some("2026-05-03T12:00:05Z"))];
    assert_eq!(signals(&old, vienna), [("photo-older-than-visit", Look), ("clock-offsets", Info)]);
    // Without satellite time, the device's clock at intake has to do.
    let blind =
        [("2026-05-04T11:59:00Z", None), ("2026-05-04T11:58:00Z", None), ("2026-05-04T11:57:00Z", None)];
    assert_eq!(signals(&blind, None), [("clock-offsets", Info)]);
    let ahead = [("2026-05-04T12:09:00Z", None)];
    assert_eq!(signals(&ahead, None), [("clock-offsets", Look)]);
    let found = offsets(&visit_of(&[good]), vienna);
    assert_eq!(found[0].finding.values["cameras"][0]["against_satellites"]["median_s"], 5);
}

#[test]
fn missing_numbers_are_listed_and_their_arrival_is_told() {
    let open = Record { act: Act::VisitOpen { method: VerificationMethod::InPerson }, ..note(2) };
    let close = Record {
        act: Act::VisitClose {
            outcome: VisitOutcome::Completed,
            missing: Vec::new(),
            note: None,
            contents: None,
        },
        ..note(9)
    };
    let records = [(hash("open"), open), (hash("5"), note(5)), (hash("close"), close)];
    let held = |seqs: &[u64]| seqs.iter().copied().collect();
    for (seqs, expected) in [
        (&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9][..], None),
        (&[2, 5, 9], Some("3 to 4, 6 to 8")),
        // What belongs to another visit of the device is held, and is no hole.
        (&[2, 3, 4, 5, 6, 8, 9], Some("7")),
        (&[2, 3, 4, 5, 6, 7, 8, 9, 12], None),
    ] {
        let said = missing(&records, &held(seqs));
        assert_eq!(said.as_ref().map(|said| said.about.as_str()), expected);
        said.iter().for_each(|said| whole(&said.finding));
    }
    assert_eq!(missing(&records[..2], &held(&[2])), None, "an open visit has no holes yet");
    let said = missing(&records, &held(&[2, 5, 9])).unwrap();
    let hole = Hole::told(None, said.record, said.finding.signal, &said.finding.values).unwrap();
    let gap = Hole::told(None, None, GAP, &serde_json::json!({ "seq": 5, "prev": hash("4") })).unwrap();
    let holes = [hole, gap];
    let signals = |name: &str, seq| {
        filled(&hash(name), seq, &holes).iter().map(|(_, finding)| finding.signal).collect::<Vec<_>>()
    };
    assert_eq!(signals("3", 3), ["record-arrived-late"]);
    assert_eq!(signals("4", 4), ["record-arrived-late", "chain-gap-filled"]);
    assert_eq!(signals("5", 5), Vec::<&str>::new());
    // A claimed number costs nothing.
    let far = Record { seq: u64::MAX >> 11, ..records[2].1.clone() };
    let far = [records[0].clone(), (hash("far"), far)];
    assert!(missing(&far, &held(&[2])).unwrap().about.starts_with("3 to "));
}

#[test]
fn records_are_compared_with_the_track_and_photos_are_placed_on_it() {
    // North at 111 m a minute from 48.0 at noon, for ten minutes.
    let points: String = (0..=10)
        .map(|minute| {
            format!(
                "<trkpt lat='48.0{minute:02}' lon='16'><time>2026-05-04T12:{minute:02}:00Z</time></trkpt>"
            )
        })
        .collect();
    let track = endcheck_protocol::place::track::read(
        format!("<gpx><trk><trkseg>{points}</trkseg></trk></gpx>").as_bytes(),
    )
    .unwrap();
    let placed = |lat: f64, gnss_at: Option<&str>| {
        let position = Position::from_degrees(lat, 16.0).unwrap();
        let fix =
            Fix { accuracy_mm: Some(5_000), gnss_at: gnss_at.map(at), ..Fix::bare(position, Provider::Gpsd) };
        Record { place: Some(fix), ..note(0) }
    };
    let shot = |gps_at: Option<&str>, position: Option<f64>| {
        photo(
            0,
            PhotoFacts {
                gps_at: gps_at.map(at),
                taken_at: Some("2026-05-04T14:05:30".to_owned()),
                position: position.map(|lat| {
                    serde_json::from_value(
                        serde_json::json!({ "lat_e7": (lat * 1e7) as i64, "lon_e7": 160_000_000 }),
                    )
                    .unwrap()
                }),
                ..facts()
            },
        )
    };
    let vienna = Some(chrono_tz::Europe::Vienna);
    let say = |record: &Record| against_track(&[(hash("r"), record.clone())], &track, &hash("t"), vienna);
    use Weight::{Info, Look};
    for (name, record, expected) in [
        ("no place", note(0), None),
        ("on it", placed(48.0031, Some("2026-05-04T12:03:00Z")), None),
        ("off it", placed(48.02, Some("2026-05-04T12:03:00Z")), Some(("off-track", Look))),
        (
            "where it was four minutes later, by satellites",
            placed(48.007, Some("2026-05-04T12:03:00Z")),
            Some(("off-track", Look)),
        ),
        ("where it was four minutes later, by a clock that may be wrong", placed(48.004, None), None),
        ("after it ended", placed(48.5, Some("2026-05-04T13:00:00Z")), None),
        (
            "at 0, 0",
            Record {
                place: Some(Fix::bare(Position::from_degrees(0.0, 0.0).unwrap(), Provider::Nmea)),
                ..note(0)
            },
            None,
        ),
        ("photo on it", shot(None, Some(48.0055)), None),
        ("photo off it", shot(None, Some(48.5)), Some(("off-track", Look))),
        ("photo without a position", shot(None, None), Some(("position-from-track", Info))),
        ("photo before it began", shot(Some("2026-05-04T11:00:00Z"), None), None),
    ] {
        let found = say(&record);
        let signals: Vec<_> = found.iter().map(|said| (said.finding.signal, said.finding.weight)).collect();
        assert_eq!(signals, expected.into_iter().collect::<Vec<_>>(), "{name}");
        found.iter().for_each(|said| whole(&said.finding));
    }
    let found = say(&shot(None, None));
    assert_eq!(found[0].finding.values["position"]["lat_e7"], 480_055_000);
    assert_eq!(found[0].finding.values["gap_ms"], 60_000);
    // A camera that its other photos show to be an hour ahead is set right by them.
    let other = photo(
        1,
        PhotoFacts {
            gps_at: Some(at("2026-05-04T11:05:30Z")),
            ..match shot(None, None).act {
                Act::Photo { facts, .. } => *facts,
                _ => panic!(),
            }
        },
    );
    let found =
        against_track(&[(hash("r"), shot(None, None)), (hash("o"), other)], &track, &hash("t"), vienna);
    assert!(
        found.iter().all(|said| said.record != Some(hash("r"))),
        "it would have been before the track: {found:#?}"
    );
    let said = track_itself(&track, LIMITS);
    assert_eq!(said.iter().map(|said| said.signal).collect::<Vec<_>>(), ["track-read"]);
    let jump = b"<gpx><trk><trkseg><trkpt lat='48' lon='16'><time>2026-05-04T10:00:00Z</time></trkpt>\
        <trkpt lat='35' lon='51'><time>2026-05-04T10:00:10Z</time></trkpt></trkseg></trk></gpx>";
    let said = track_itself(&endcheck_protocol::place::track::read(jump).unwrap(), LIMITS);
    assert_eq!(said.iter().map(|said| said.signal).collect::<Vec<_>>(), ["track-read", "track-too-fast"]);
    said.iter().for_each(whole);
}
