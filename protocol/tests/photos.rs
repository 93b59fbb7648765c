//! What `photo::read` says of real photos (judged by an independent tool), of hostile files and of files
//! changed at random. Reads the shared data through `ENDCHECK_TEST_DATA`; says so and passes where it is absent.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the helpers of a test fail by panicking, and a skipped test says so"
)]

mod common;

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use endcheck_protocol::photo::{self, PhotoFlag as Flag, PositionAbsence as Absence};
use proptest::prelude::*;

/// A tab-separated table with quoted fields, as rows of column name → field.
fn table(path: &Path) -> Vec<HashMap<String, String>> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| line.split('\t').map(|field| field.trim_matches('"').to_owned()));
    let names: Vec<String> = lines.next().unwrap().collect();
    lines.map(|fields| names.iter().cloned().zip(fields).collect()).collect()
}

#[test]
fn every_real_photo_reads_as_the_independent_tool_says() {
    let Some(data) = common::data("") else { return };
    let rows = table(&data.join("photos/groundtruth_shared.tsv"));
    assert_eq!(rows.len(), 34);
    for row in rows {
        let file = &row["file"];
        let facts = photo::read(&std::fs::read(data.join("photos/shared").join(file)).unwrap()).unwrap();
        let format = row["file_type"].to_lowercase().replace("extended ", "");
        assert_eq!(facts.format.name(), format, "{file}");
        assert_eq!(
            [facts.width.to_string(), facts.height.to_string()],
            [&*row["width"], &*row["height"]],
            "{file}"
        );
        assert_eq!(
            facts.orientation.map_or(String::new(), |turn| turn.to_string()),
            row["orientation"],
            "{file}"
        );
        assert_eq!(facts.make.as_deref().unwrap_or(""), row["make"], "{file}");
        assert_eq!(facts.model.as_deref().unwrap_or(""), row["model"], "{file}");
        assert_eq!(facts.software.as_deref().unwrap_or(""), row["software"], "{file}");
        assert_eq!(facts.taken_at.as_deref().unwrap_or(""), iso(&row), "{file}");
        if row["gps_source"] == "EXIF" {
            let position =
                facts.position.unwrap_or_else(|| panic!("{file}: {:?}", facts.position_absent_reason));
            for (e7, told) in [(position.lat_e7, &row["lat"]), (position.lon_e7, &row["lon"])] {
                let off = (e7 as f64 / 1e7 - told.parse::<f64>().unwrap()).abs();
                assert!(off <= 1e-6, "{file}: {e7} against {told}");
            }
            if let (Ok(altitude_m), Some(altitude_mm)) =
                (row["altitude_m"].parse::<f64>(), position.altitude_mm)
            {
                assert!((altitude_mm as f64 / 1e3 - altitude_m).abs() <= 1e-3, "{file}: altitude");
            }
            assert_eq!(facts.position_absent_reason, None, "{file}");
        } else {
            assert_eq!(facts.position, None, "{file}");
            assert!(facts.position_absent_reason.is_some(), "{file}");
        }
        if !row["gps_date"].is_empty() && !row["gps_time_utc"].is_empty() {
            let told = format!("{}T{}Z", row["gps_date"].replace(':', "-"), row["gps_time_utc"]);
            assert_eq!(facts.gps_at, Some(told.parse().unwrap()), "{file}");
        }
        let clocks_differ =
            ["htc_legend.jpg", "png_exif_gps.png"].contains(&&**file) || file.starts_with("nikon_p6000_walk");
        assert_eq!(
            facts.flags.contains(&Flag::CaptureTimeVsGpsTime),
            clocks_differ,
            "{file}: {:?}",
            facts.flags
        );
        let doubts = [Flag::MetadataDamaged, Flag::PositionsConflict, Flag::TruncatedTail, Flag::NullIsland];
        assert!(!facts.flags.iter().any(|flag| doubts.contains(flag)), "{file}: {:?}", facts.flags);

        let json = serde_json::to_string(&facts).unwrap();
        assert_eq!(serde_json::from_str::<photo::PhotoFacts>(&json).unwrap(), facts, "{file}");
    }
}

/// The capture time of a row as ISO 8601, with subseconds and offset only where the file has them.
fn iso(row: &HashMap<String, String>) -> String {
    let Some((date, time)) = row["datetime_original"].split_once(' ') else { return String::new() };
    let subseconds = if row["subsec"].is_empty() { String::new() } else { format!(".{}", row["subsec"]) };
    format!("{}T{time}{subseconds}{}", date.replace(':', "-"), row["offset_original"])
}

/// What must come of a hostile file.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// Refused with this code.
    Refused(&'static str),
    /// Taken with the position of the control photo, 48.2083333 N 16.37 E.
    Placed(&'static [Flag]),
    /// Taken with this position.
    At(i64, i64, &'static [Flag]),
    /// Taken without position.
    Unplaced(Absence, &'static [Flag]),
}

use Fate::{At, Placed, Refused, Unplaced};

const HOSTILE: &[(&str, Fate)] = &[
    ("png/bomb_1bit_50000x50000.png", Refused("photo-too-many-pixels")),
    ("png/header_lies_100000x100000.png", Refused("photo-too-many-pixels")),
    ("png/zero_dimension.png", Refused("photo-damaged")),
    ("png/ok_small.png", Unplaced(Absence::NoExif, &[Flag::CaptureTimeMissing])),
    ("png/truncated_idat.png", Refused("photo-damaged")),
    ("png/ztxt_bomb_200MB.png", Unplaced(Absence::NoExif, &[Flag::CaptureTimeMissing])),
    ("png/trailing_zip.png", Unplaced(Absence::NoExif, &[Flag::CaptureTimeMissing, Flag::TrailingData])),
    ("exif/ok_control.jpg", Placed(&[])),
    ("exif/ok_control_bigendian.jpg", Placed(&[])),
    ("exif/gps_zero_denominator.jpg", Unplaced(Absence::ZeroDenominator, &[])),
    ("exif/gps_all_zero_over_zero.jpg", Unplaced(Absence::ZeroDenominator, &[])),
    ("exif/gps_null_island.jpg", At(0, 0, &[Flag::NullIsland])),
    ("exif/gps_lat_91.jpg", Unplaced(Absence::OutOfRange, &[Flag::PositionOutOfRange])),
    ("exif/gps_seconds_75.jpg", At(482_208_333, 163_700_000, &[Flag::PositionSecondsOverflow])),
    ("exif/gps_huge_rational.jpg", Unplaced(Absence::OutOfRange, &[Flag::PositionOutOfRange])),
    ("exif/gps_no_ref.jpg", Unplaced(Absence::HemisphereMissing, &[Flag::HemisphereMissing])),
    ("exif/gps_decimal_degree_only.jpg", Placed(&[])),
    ("exif/gps_lat_only.jpg", Unplaced(Absence::Incomplete, &[])),
    ("exif/gps_bad_date.jpg", Placed(&[Flag::GpsTimeInvalid])),
    ("exif/datetime_blank.jpg", Placed(&[Flag::CaptureTimeBlank])),
    ("exif/datetime_zeros.jpg", Placed(&[Flag::CaptureTimeBlank])),
    ("exif/datetime_future.jpg", Placed(&[Flag::CaptureTimeInFuture])),
    ("exif/ifd_next_loop.jpg", Placed(&[Flag::MetadataDamaged])),
    ("exif/gps_ifd_points_to_ifd0.jpg", Unplaced(Absence::Damaged, &[Flag::MetadataDamaged])),
    ("exif/gps_ifd_offset_beyond.jpg", Unplaced(Absence::Damaged, &[Flag::MetadataDamaged])),
    ("exif/count_overflow.jpg", Placed(&[Flag::MetadataDamaged])),
    (
        "exif/ifd_65535_entries_truncated.jpg",
        Unplaced(Absence::Damaged, &[Flag::CaptureTimeMissing, Flag::MetadataDamaged]),
    ),
    (
        "exif/truncated_header.jpg",
        Unplaced(Absence::Damaged, &[Flag::CaptureTimeMissing, Flag::MetadataDamaged]),
    ),
    ("exif/app1_length_overrun.jpg", Refused("photo-damaged")),
    ("exif/two_exif_segments_conflict.jpg", Placed(&[Flag::PositionsConflict, Flag::MetadataRepeated])),
    ("exif/xmp_billion_laughs.jpg", Unplaced(Absence::NoExif, &[Flag::CaptureTimeMissing])),
    ("exif/strings_hostile.jpg", Placed(&[Flag::TextCleaned])),
    ("jpeg/dims_65500x65500.jpg", Refused("photo-too-many-pixels")),
    ("jpeg/valid_16000x16000_gray.jpg", Refused("photo-too-many-pixels")),
    ("jpeg/truncated_at_20.jpg", Refused("photo-damaged")),
    ("jpeg/truncated_at_200.jpg", Refused("photo-damaged")),
    ("jpeg/empty.jpg", Refused("photo-empty")),
    ("jpeg/only_soi.jpg", Refused("photo-damaged")),
    ("polyglot/jpeg_html.jpg", Unplaced(Absence::NoExif, &[Flag::CaptureTimeMissing])),
    ("polyglot/html_named.jpg", Refused("photo-not-an-image")),
    ("polyglot/svg_script.svg", Refused("photo-format-not-accepted")),
    ("polyglot/svg_xxe.svg", Refused("photo-format-not-accepted")),
    ("polyglot/elf_named.jpg", Refused("photo-not-an-image")),
];

#[test]
fn every_hostile_photo_meets_its_fate() {
    let Some(data) = common::data("") else { return };
    let now = "2026-08-01T00:00:00Z".parse().unwrap();
    for row in table(&data.join("hostile/EXPECT_shared.tsv")) {
        let Some(name) = row["file"].strip_prefix("built/shared/") else { continue };
        let of_photos = ["png/", "exif/", "jpeg/", "polyglot/"].iter().any(|folder| name.starts_with(folder));
        assert!(
            !of_photos || HOSTILE.iter().any(|(listed, _)| *listed == name),
            "{name} is not in the table"
        );
    }
    for (name, fate) in HOSTILE {
        let bytes = std::fs::read(data.join("hostile/built/shared").join(name)).unwrap();
        let started = Instant::now();
        let read = photo::read(&bytes);
        assert!(started.elapsed() < Duration::from_secs(1), "{name} took {:?}", started.elapsed());
        let (place, reason, expected_flags) = match *fate {
            Refused(code) => {
                let refusal = read.expect_err(name);
                assert_eq!(refusal.code(), code, "{name}: {refusal}");
                continue;
            }
            Placed(flags) => (Some((482_083_333, 163_700_000)), None, flags),
            At(lat_e7, lon_e7, flags) => (Some((lat_e7, lon_e7)), None, flags),
            Unplaced(reason, flags) => (None, Some(reason), flags),
        };
        let facts = read.unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        let mut flags = expected_flags.to_vec();
        flags.sort_unstable();
        assert_eq!(facts.position.map(|at| (at.lat_e7, at.lon_e7)), place, "{name}: {facts:?}");
        assert_eq!(facts.position_absent_reason, reason, "{name}");
        assert_eq!(facts.flags_at(now), flags, "{name}");
        let timeless = [Flag::CaptureTimeBlank, Flag::CaptureTimeMissing, Flag::CaptureTimeInvalid];
        assert_eq!(facts.taken_at.is_none(), flags.iter().any(|flag| timeless.contains(flag)), "{name}");
        assert!(facts.gps_at.is_none() || !flags.contains(&Flag::GpsTimeInvalid), "{name}");
        let names = [&facts.make, &facts.model, &facts.serial, &facts.lens, &facts.software];
        assert!(names.into_iter().flatten().all(|name| !name.chars().any(char::is_control)), "{name}");
    }
}

#[test]
fn refusals_say_what_and_what_next() {
    let Some(data) = common::data("") else { return };
    let refused = |name: &str| {
        photo::read(&std::fs::read(data.join("hostile/built/shared").join(name)).unwrap())
            .unwrap_err()
            .to_string()
    };
    assert!(refused("png/bomb_1bit_50000x50000.png").contains("over the limit of 128000000 pixels"));
    assert!(refused("jpeg/empty.jpg").contains("damaged"));
    assert!(refused("polyglot/elf_named.jpg").contains("ELF"));
    assert!(refused("polyglot/html_named.jpg").contains("HTML"));
}

#[test]
fn positions_in_doubt_are_used_for_no_verdict() {
    let Some(data) = common::data("") else { return };
    let verdict = |name: &str| {
        let facts =
            photo::read(&std::fs::read(data.join("hostile/built/shared/exif").join(name)).unwrap()).unwrap();
        facts.position_for_verdict().is_some()
    };
    assert!(verdict("ok_control.jpg"));
    assert!(!verdict("gps_null_island.jpg"));
    assert!(!verdict("two_exif_segments_conflict.jpg"));
}

#[test]
fn every_file_of_the_malformed_corpus_ends_soon() {
    let Some(data) = common::data("") else { return };
    let rows = table(&data.join("hostile/CORPUS_shared.tsv"));
    assert!(rows.len() > 200);
    let mut taken = 0;
    for row in rows {
        let bytes = std::fs::read(data.join("hostile").join(&row["file"])).unwrap();
        let started = Instant::now();
        taken += usize::from(photo::read(&bytes).is_ok());
        assert!(started.elapsed() < Duration::from_secs(2), "{} took {:?}", row["file"], started.elapsed());
    }
    println!("{taken} of the corpus are taken as photos");
    assert!(taken > 0);
}

/// A little-endian directory entry.
fn entry(tag: u16, kind: u16, count: u32, value: u32) -> Vec<u8> {
    [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
}

fn directory(entries: &[Vec<u8>]) -> Vec<u8> {
    [&u16::try_from(entries.len()).unwrap().to_le_bytes()[..], &entries.concat(), &[0; 4]].concat()
}

/// A small JPEG with a position and a capture time.
fn small_jpeg() -> Vec<u8> {
    let rational = |parts: [u32; 6]| parts.iter().flat_map(|part| part.to_le_bytes()).collect::<Vec<_>>();
    // Directories at 8 (2 entries, 30 bytes), 38 (1 entry, 18 bytes) and 56 (4 entries, 54 bytes); values from 110.
    let block = [
        b"II*\0\x08\0\0\0".to_vec(),
        directory(&[entry(0x8769, 4, 1, 38), entry(0x8825, 4, 1, 56)]),
        directory(&[entry(0x9003, 2, 20, 110)]),
        directory(&[
            entry(1, 2, 2, u32::from(b'N')),
            entry(2, 5, 3, 130),
            entry(3, 2, 2, u32::from(b'E')),
            entry(4, 5, 3, 154),
        ]),
        b"2026:05:04 10:11:12\0".to_vec(),
        rational([48, 1, 12, 1, 30, 1]),
        rational([16, 1, 22, 1, 12, 1]),
    ]
    .concat();
    let length = u16::try_from(block.len() + 8).unwrap().to_be_bytes();
    [
        &b"\xFF\xD8\xFF\xE1"[..],
        &length,
        b"Exif\0\0",
        &block,
        b"\xFF\xC0\0\x0B\x08\0\x10\0\x20\x01\x01\x11\0\xFF\xDA\0\x08\x01\x01\0\0\x3F\0\x55\xFF\xD9",
    ]
    .concat()
}

#[test]
fn the_small_jpeg_is_whole() {
    let facts = photo::read(&small_jpeg()).unwrap();
    assert_eq!(facts.position.map(|at| (at.lat_e7, at.lon_e7)), Some((482_083_333, 163_700_000)));
    assert_eq!(facts.taken_at.as_deref(), Some("2026-05-04T10:11:12"));
    assert_eq!(facts.flags, []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_change_to_a_photo_makes_reading_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = small_jpeg();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(facts) = photo::read(&bytes) {
            prop_assert_eq!(facts.position.is_none(), facts.position_absent_reason.is_some());
            let json = serde_json::to_string(&facts).unwrap();
            prop_assert_eq!(serde_json::from_str::<photo::PhotoFacts>(&json).unwrap(), facts);
        }
    }
}
