//! Positions, fences and receiver logs against the ground truth in the data folder, and against noise.
//!
//! The folder is named by `ENDCHECK_TEST_DATA`; without it, the tests of real data say so and return.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it skipped"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use endcheck_protocol::place::nmea::{self, NmeaReading, Rejection};
use endcheck_protocol::place::{Fence, Position, gpsd, manual, termux};
use proptest::prelude::*;
use serde_json::Value;

use common::data;

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The rows of a table without its heading.
fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn check_labelled_points(sites: &str, points: &str) {
    let (Some(sites), Some(points)) = (data(sites), data(points)) else { return };
    let features = json(&sites)["features"].as_array().unwrap().clone();
    let fences: BTreeMap<String, Fence> = features
        .iter()
        .map(|feature| (feature["id"].as_str().unwrap().to_owned(), Fence::from_geojson(feature).unwrap()))
        .collect();
    let rows = rows(&points);
    assert!(rows.len() > 500, "only {} rows", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let fence = &fences[&row[0]];
        let position = Position::from_degrees_text(&row[1], &row[2]).unwrap();
        let expected_m: f64 = row[4].parse().unwrap();
        let actual_m = fence.signed_distance_m(position);
        let side_agrees = fence.contains(position) == (row[3] == "inside");
        if !side_agrees || (actual_m - expected_m).abs() > (expected_m.abs() * 0.005).max(0.5) {
            wrong.push(format!("{row:?}: {actual_m:.2}"));
        }
        // What is written and read again measures the same.
        let again = Fence::from_geojson(&fence.to_geojson()).unwrap();
        assert!((again.signed_distance_m(position) - actual_m).abs() < 1e-6, "{row:?}");
    }
    assert!(wrong.is_empty(), "{} of {} rows disagree:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn real_sites_agree_with_every_labelled_point() {
    check_labelled_points(
        "sites/liechtenstein_industrial_shared.geojson",
        "sites/liechtenstein_points_shared.tsv",
    );
}

#[test]
fn invented_sites_agree_with_every_labelled_point() {
    check_labelled_points("sites/synthetic_sites_shared.geojson", "sites/synthetic_points_shared.tsv");
}

#[test]
fn hostile_geojson_is_refused_for_the_stated_reason() {
    let Some(folder) = data("hostile/built/shared/geojson") else { return };
    for (name, code) in [
        ("bowtie", "ring-crosses-itself"),
        ("unclosed", "unclosed-ring"),
        ("swapped_axes", "latitude-out-of-range"),
        ("whole_world", "too-large"),
        ("radius_negative", "radius-not-positive"),
    ] {
        let refused = Fence::from_geojson(&json(&folder.join(format!("{name}.geojson")))).unwrap_err();
        assert_eq!(refused.code(), code, "{name}: {refused}");
    }
}

#[test]
fn a_log_of_mostly_rubbish_gives_its_two_good_positions() {
    let Some(path) = data("hostile/built/shared/nmea/mixed_bad.nmea") else { return };
    let reading = nmea::read(&fs::read(path).unwrap());
    let instants: Vec<String> = reading.fixes.iter().map(|fix| fix.at.unwrap().to_string()).collect();
    assert_eq!(instants, ["2026-05-04T10:11:12Z", "2026-05-04T10:11:20Z"]);
    for reason in [
        Rejection::BadChecksum,
        Rejection::LineTooLong,
        Rejection::NoFix,
        Rejection::OutOfRange,
        Rejection::BadHemisphere,
        Rejection::BadTime,
    ] {
        assert_eq!(reading.rejected.get(&reason), Some(&1), "{reason}: {:?}", reading.rejected);
    }
    assert!(reading.rejected.contains_key(&Rejection::NotNmea), "{:?}", reading.rejected);
}

/// Logs in the receiver's own binary protocol, which gpsd translates and this reader does not speak.
const BINARY_LOGS: [&str; 2] = ["bu303-moving.log", "bu303-nofix.log"];
/// Logs whose GGA lacks the height of the geoid; the truth there comes from gpsd's own geoid model.
const LOGS_WITHOUT_GEOID: [&str; 3] = ["humminbird-M37.log", "iTrek.log", "myguide-3100.log"];
/// The one row whose day gpsd assumes: 18 minutes after the last dated sentence, in a log put together from
/// pieces, a GGA and a GLL (neither has a date) end it. The place must agree, the instant stays unknown.
const ASSUMED_DAY: (&str, &str) = ("ublox-lea-5h.log", "2010-08-21T08:55:15.000Z");

#[test]
fn real_receivers_agree_with_gpsd() {
    let (Some(truth), Some(folder)) =
        (data("tracks/nmea/groundtruth_shared.tsv"), data("tracks/nmea/shared"))
    else {
        return;
    };
    let mut readings: BTreeMap<String, NmeaReading> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut checked = BTreeSet::new();
    for row in rows(&truth) {
        let [log, at, lat, lon, _, altitude, ..] = row.as_slice() else { panic!("{row:?}") };
        let reading =
            readings.entry(log.clone()).or_insert_with(|| nmea::read(&fs::read(folder.join(log)).unwrap()));
        if BINARY_LOGS.contains(&log.as_str()) {
            assert!(reading.fixes.is_empty(), "{log} holds no NMEA");
            continue;
        }
        let (lat, lon): (f64, f64) = (lat.parse().unwrap(), lon.parse().unwrap());
        let altitude_m = Some(altitude.as_str())
            .filter(|text| !text.is_empty() && !LOGS_WITHOUT_GEOID.contains(&log.as_str()))
            .map(|text| text.parse::<f64>().unwrap());
        let agrees = reading.fixes.iter().any(|fix| {
            // gpsd's first report of some logs has no time yet.
            let dated = (log.as_str(), at.as_str()) != ASSUMED_DAY;
            (at.is_empty() || fix.at == dated.then(|| at.parse().unwrap()))
                && (fix.fix.position.lat() - lat).abs() < 1.1e-7
                && (fix.fix.position.lon() - lon).abs() < 1.1e-7
                && altitude_m.is_none_or(|expected_m| {
                    fix.fix.altitude_mm.is_some_and(|mm| (mm as f64 / 1000.0 - expected_m).abs() < 0.002)
                })
        });
        checked.insert(log.clone());
        if !agrees {
            wrong.push(format!("{row:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} rows disagree:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(checked.len(), 11);
}

#[test]
fn what_gpsd_says_is_read_as_it_says_it() {
    let Some(folder) = data("tracks/nmea/shared") else { return };
    let mut fixes = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "chk") {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{")) {
            match gpsd::read_line(line) {
                Ok(gpsd::Report::Fix(_)) => fixes += 1,
                Ok(_) => {}
                Err(error) => panic!("{}: {error}: {}", path.display(), String::from_utf8_lossy(line)),
            }
        }
    }
    assert!(fixes > 300, "{fixes}");
}

/// A log of which single bytes are changed.
const LOG: &str = "$GPGGA,083723.00,5155.55442,N,00434.65873,E,1,06,2.51,-4.0,M,46.0,M,,*70\r\n\
    $GPGSA,A,3,27,15,09,28,18,08,,,,,,,3.33,2.51,2.20*04\r\n\
    $GPRMC,083723.00,A,5155.55442,N,00434.65873,E,0.211,,210810,,,A*7F\r\n\
    $GPGLL,5155.55442,N,00434.65873,E,083723.00,A,A*6E\r\n";

const SITE: &str = r#"{"type":"Feature","properties":{"radius_m":5},"geometry":{"type":"MultiPolygon","coordinates":
    [[[[16,48],[16.1,48],[16.1,48.1],[16,48.1],[16,48]],[[16.02,48.02],[16.05,48.02],[16.05,48.05],[16.02,48.02]]]]}}"#;

/// Checksums made right again, so that mutations reach the fields.
fn with_checksums(log: &[u8]) -> Vec<u8> {
    let mut signed = Vec::new();
    for line in log.split(|byte| *byte == b'\n') {
        let body = line.split(|byte| *byte == b'*').next().unwrap_or_default();
        let sum = body.iter().skip(1).fold(0, |sum, byte| sum ^ byte);
        signed.extend_from_slice(body);
        signed.extend_from_slice(format!("*{sum:02X}\r\n").as_bytes());
    }
    signed
}

fn mutated(original: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let change = (0..original.len(), any::<u8>());
    prop::collection::vec(change, 0..12).prop_map(move |changes| {
        let mut bytes = original.as_bytes().to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = nmea::read(&bytes);
        let _ = gpsd::read_line(&bytes);
        let _ = termux::parse(&bytes);
        let _ = manual::parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_change_of_a_log_makes_it_panic_or_leave_the_globe(bytes in mutated(LOG)) {
        for log in [with_checksums(&bytes), bytes] {
            for fix in nmea::read(&log).fixes {
                prop_assert!(fix.fix.position.lat().abs() <= 90.0);
                prop_assert!(fix.fix.accuracy_mm.is_none_or(|mm| mm > 0));
            }
        }
    }

    #[test]
    fn no_change_of_a_site_makes_it_panic(bytes in mutated(SITE), lat in -90.0..90.0, lon in -180.0..180.0) {
        if let Ok(value) = serde_json::from_slice::<Value>(&bytes)
            && let Ok(fence) = Fence::from_geojson(&value)
        {
            let distance_m = fence.signed_distance_m(Position::from_degrees(lat, lon).unwrap());
            prop_assert!(distance_m.is_finite() && distance_m < 20_100_000.0);
        }
    }

    #[test]
    fn any_ring_is_refused_or_measured(
        ring in prop::collection::vec((-60i32..60, -60i32..60), 3..9),
        lat in -89i32..89,
        lon in -180i32..180,
    ) {
        let corner = |(x, y): &(i32, i32)| {
            let (lat, lon) = (f64::from(lat) + f64::from(*y) * 0.001, f64::from(lon) + f64::from(*x) * 0.001);
            [if lon < -180.0 { lon + 360.0 } else { lon }, lat]
        };
        let mut corners: Vec<[f64; 2]> = ring.iter().map(corner).collect();
        corners.push(corners[0]);
        let value = serde_json::json!({"type": "Polygon", "coordinates": [corners]});
        if let Ok(fence) = Fence::from_geojson(&value) {
            for [lon, lat] in corners {
                let on_corner_m = fence.signed_distance_m(Position::from_degrees(lat, lon).unwrap());
                prop_assert!(on_corner_m.abs() < 0.05, "{on_corner_m}");
            }
        }
    }
}
