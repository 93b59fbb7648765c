//! Tracks against labelled data: every fix of real receivers, and photos placed on real tracks.
//!
//! The folder is named by `ENDCHECK_TEST_DATA`; without it, the tests of real data say so and return.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it skipped"
)]

mod common;

use std::path::Path;

use chrono::TimeDelta;
use endcheck_protocol::photo;
use endcheck_protocol::place::track::{self, TrackFormat};
use endcheck_protocol::place::{Position, Track, TrackPlace, TrackRefusal};
use endcheck_protocol::time::Timestamp;
use proptest::prelude::*;

use common::data;

fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn degrees(lat: &str, lon: &str) -> Position {
    Position::from_degrees(lat.parse().unwrap(), lon.parse().unwrap()).unwrap()
}

fn file(path: &Path) -> Result<Track, TrackRefusal> {
    track::read(&std::fs::read(path).unwrap())
}

#[test]
fn photos_are_placed_on_their_tracks_as_expected() {
    let Some(folder) = data("tracks/photo_gpx") else { return };
    let rows = rows(&folder.join("groundtruth_shared.tsv"));
    assert_eq!(rows.len(), 14);
    for row in rows {
        let [name, on, taken, _, shift_s, lat, lon, kind, gap_s, tolerance_m] = row.as_slice() else {
            panic!("{row:?}")
        };
        let track = file(&folder.join("shared").join(on)).unwrap();
        let facts = photo::read(&std::fs::read(folder.join("shared").join(name)).unwrap()).unwrap();
        assert_eq!(facts.position, None, "{name}");
        let local: Timestamp = format!("{}Z", taken.replacen(':', "-", 2).replace(' ', "T")).parse().unwrap();
        let at = local.plus(TimeDelta::seconds(shift_s.parse().unwrap()));
        // The photo's own time says the same, by its offset or in the zone of the place.
        if name.starts_with("retimed") {
            let (own, _) = facts.taken_instant(Some(chrono_tz::Europe::Ljubljana)).unwrap();
            assert_eq!(own, at, "{name}");
        }
        match (track.place_at(at).unwrap(), kind.as_str()) {
            (TrackPlace::Before { by_s }, "before track start")
            | (TrackPlace::After { by_s }, "after track end") => {
                let expected_s: f64 = gap_s.parse().unwrap();
                assert!((by_s as f64 - expected_s).abs() <= 1.0, "{name}: {by_s} s");
            }
            (TrackPlace::On(on), kind) if !lat.is_empty() => {
                let apart_m = on.position.distance_m(degrees(lat, lon));
                let allowed_m =
                    if kind.contains("original EXIF") { tolerance_m.parse().unwrap() } else { 0.5 };
                assert!(apart_m <= allowed_m, "{name}: {apart_m} m");
                let expected_s: f64 = gap_s.parse().unwrap();
                if !kind.contains("original EXIF") {
                    assert!((on.gap_ms as f64 / 1000.0 - expected_s).abs() <= 1.0, "{name}: {on:?}");
                }
                assert!(on.uncertainty_mm as f64 / 1000.0 >= apart_m, "{name}: {on:?}");
            }
            (place, kind) => panic!("{name}: {place:?}, expected {kind}"),
        }
    }
}

#[test]
fn real_gpx_tracks_are_read_whole() {
    let Some(folder) = data("tracks/gpx/shared") else { return };
    for (name, points, segments) in [
        ("Mojstrovka.gpx", 184, None),
        ("cerknicko-jezero.gpx", 296, Some(7)),
        ("sf_30km_h.gpx", 49, None),
        ("track-with-less-sec-time.gpx", 2, Some(1)),
    ] {
        let track = file(&folder.join(name)).unwrap();
        assert_eq!(
            (track.format, track.points.len(), track.rejected),
            (TrackFormat::Gpx, points, 0),
            "{name}"
        );
        let mut stretches: Vec<u32> = track.points.iter().map(|point| point.segment).collect();
        stretches.sort_unstable();
        stretches.dedup();
        assert!(segments.is_none_or(|segments| segments == stretches.len()), "{name}: {stretches:?}");
    }
    let kml = file(&folder.join("Geotag.kml")).unwrap_err().to_string();
    assert!(kml.contains("not <gpx>"), "{kml}");
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        // Whatever the others are, they are read or refused.
        let _ = file(&path);
    }
}

#[test]
fn every_dated_fix_of_a_log_is_a_point_of_its_track() {
    let Some(folder) = data("tracks/nmea") else { return };
    let mut compared = 0;
    for row in rows(&folder.join("groundtruth_shared.tsv")) {
        let [log, time, lat, lon, ..] = row.as_slice() else { panic!("{row:?}") };
        let read = file(&folder.join("shared").join(log));
        let (Ok(at), Ok(track)) = (time.parse::<Timestamp>(), read) else { continue };
        let Some(TrackPlace::On(on)) = track.place_at(at) else { continue };
        // One receiver set its clock back, and so was at two places in one second.
        let mut there = track.points.iter().filter(|point| point.at == at).peekable();
        if there.peek().is_some() {
            assert_eq!(on.gap_ms, 0, "{log} {time}");
            let expected = degrees(lat, lon);
            assert!(there.any(|point| point.position.distance_m(expected) < 1.0), "{log} {time}");
            compared += 1;
        }
    }
    assert!(compared > 200, "{compared}");
}

#[test]
fn hostile_tracks_are_refused_or_read_for_what_is_sound_in_them() {
    let Some(folder) = data("hostile/built/shared") else { return };
    let gpx = |name: &str| file(&folder.join("gpx").join(name));
    assert_eq!(gpx("billion_laughs.gpx"), Err(TrackRefusal::DoctypeNotAllowed { line: 1 }));
    assert!(matches!(gpx("not_wellformed.gpx"), Err(TrackRefusal::NotWellFormed { line: 1, .. })));
    for name in ["lat_nan.gpx", "lat_95.gpx"] {
        assert_eq!(gpx(name), Err(TrackRefusal::NoPoints { untimed: 0, rejected: 1 }), "{name}");
    }
    assert_eq!(gpx("teleport.gpx").unwrap().points.len(), 2, "for a person to look at");
    let log = file(&folder.join("nmea/mixed_bad.nmea")).unwrap();
    assert_eq!(log.points.len(), 2);
    assert!(log.rejected > 3, "{}", log.rejected);
}

const SOUND: &[u8] = b"<?xml version='1.0'?><gpx xmlns='x'><trk><trkseg><trkpt lat='48' lon='16'><time>\
    2026-05-04T10:00:00Z</time></trkpt></trkseg></trk></gpx>";

proptest! {
    #[test]
    fn no_bytes_make_a_track_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = track::read(&bytes);
        let _ = track::read(&[b"<gpx>", bytes.as_slice()].concat());
    }

    #[test]
    fn no_change_of_a_track_makes_it_panic(
        at in 0..SOUND.len(), by in any::<u8>(), from in 0..SOUND.len(), length in 0..40_usize
    ) {
        let mut bytes = SOUND.to_vec();
        bytes[at] = by;
        let end = (from + length).min(bytes.len());
        let piece = bytes[from..end].to_vec();
        bytes.splice(at..at, piece);
        if let Ok(track) = track::read(&bytes) {
            let _ = track.place_at("2026-05-04T10:00:00Z".parse().unwrap());
        }
    }
}
