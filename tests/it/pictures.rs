//! Pictures handed in again, in altered copies and across sites, from the folder that `ENDCHECK_TEST_DATA` names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use endcheck_protocol::photo;
use endcheck_server::app::App;
use endcheck_tests::test_data;
use serde_json::Value;

use crate::hand::HandDevice;
use crate::office::{Office, fixture, text, tick};

const SHIPMENT: &str = "SH-2026-0101";
const OTHER_SITE: &str = "SH-2026-0103";

/// The folder of photos.
fn photos() -> Option<PathBuf> {
    test_data("photos")
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect()
}

/// Takes photos in; those that are no photos are left out.
fn hand_in(device: &mut HandDevice, visit: &str, files: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in files {
        let Ok(facts) = photo::read(bytes) else { continue };
        let (record, sealed) = device.photo(visit, name, bytes, facts);
        device.accepted(&[&record]);
        let _ = device.upload(&sealed, name).expect(201);
    }
}

/// The findings of a visit by the name of the file that they are about.
fn findings(office: &Office, visit: &str) -> BTreeMap<String, Vec<Value>> {
    let dossier = office.dossier(visit);
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut names = BTreeMap::new();
    for file in dossier["files"].as_array().unwrap() {
        names.insert(text(file, "/record"), text(file, "/name"));
        found.insert(text(file, "/name"), Vec::new());
    }
    for finding in dossier["findings"].as_array().unwrap() {
        if let Some(name) = finding["record"].as_str().and_then(|record| names.get(record)) {
            found.get_mut(name).unwrap().push(finding.clone());
        }
    }
    found
}

fn with<'a>(findings: &'a [Value], signal: &str) -> Option<&'a Value> {
    findings.iter().find(|finding| finding["signal"] == signal)
}

/// One of these signals, with this weight.
type Said = (&'static [&'static str], &'static str);

/// What must be said of each kind of altered copy, by the end of its name.
const EXPECTED: [(&str, &[Said]); 10] = [
    ("copy", &[(&["same-file-again"], "look")]),
    ("gps_moved", &[(&["same-pixels"], "look"), (&["one-picture-two-places"], "contradiction")]),
    ("date_shifted", &[(&["same-pixels"], "look"), (&["one-picture-two-times"], "contradiction")]),
    (
        "stripped",
        &[(&["same-pixels"], "look"), (&["metadata-removed"], "look"), (&["capture-time-missing"], "info")],
    ),
    ("recompressed_q60", &[(&["near-duplicate"], "look")]),
    ("scaled_50", &[(&["near-duplicate"], "look"), (&["size-differs"], "look")]),
    ("cropped_10pc", &[(&["size-differs"], "look")]),
    ("painted", &[(&["near-duplicate", "looks-alike"], "look")]),
    ("rotated_90", &[(&["near-duplicate"], "look"), (&["size-differs"], "info")]),
    ("appended", &[(&["same-pixels"], "look"), (&["trailing-data"], "info")]),
];

#[test]
fn every_altered_copy_is_told_at_another_site_and_untouched_photos_contradict_nothing() {
    let Some(photos) = photos() else { return };
    let office = Office::with_programme();
    let first = office.schedule(SHIPMENT, Some(&office.iris));
    let second = office.schedule(OTHER_SITE, Some(&office.tomas));
    let mut iris = HandDevice::enrolled(&office, &office.iris);
    let mut tomas = HandDevice::enrolled(&office, &office.tomas);
    iris.pull();
    tomas.pull();
    hand_in(&mut iris, &first, &files(&photos.join("shared")));
    office.tick();
    let untouched = findings(&office, &first);
    assert!(untouched.len() >= 30, "{}", untouched.len());
    tell_of_untouched(&untouched);

    hand_in(&mut tomas, &second, &files(&photos.join("tamper/shared")));
    office.tick();
    let altered = findings(&office, &second);
    let table = std::fs::read_to_string(photos.join("tamper/expect_shared.tsv")).unwrap();
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for name in table.lines().skip(1).map(|line| line.split('\t').next().unwrap()) {
        let (original, what) = name.strip_suffix(".jpg").unwrap().split_once("__").unwrap();
        let said = &altered[name];
        let (_, expected) = EXPECTED.iter().find(|(ending, _)| *ending == what).unwrap();
        for (signals, weight) in *expected {
            let finding = signals.iter().find_map(|signal| with(said, signal));
            let finding = finding.unwrap_or_else(|| panic!("{name}: none of {signals:?} in {said:#?}"));
            assert_eq!(finding["weight"], *weight, "{name}: {finding:#}");
            *found.entry(signals[0]).or_default() += 1;
            if ["same-file-again", "same-pixels", "near-duplicate", "looks-alike"].contains(&signals[0]) {
                let summary = text(finding, "/summary");
                assert!(summary.contains(&first), "{name}: the other visit is not named: {summary}");
                assert!(summary.contains("another site"), "{name}: {summary}");
            }
        }
        if what == "rotated_90" {
            let summary = text(with(said, "near-duplicate").unwrap(), "/summary");
            assert!(summary.contains("turned 90°"), "{summary}");
        }
        // The HTC's photo has no thumbnail.
        if what == "painted" && original.starts_with("nikon") {
            assert_eq!(with(said, "thumbnail-differs").unwrap()["weight"], "look");
        }
    }
    println!("altered copies told, by what is said first: {found:?}");
    assert_eq!(found.values().sum::<usize>(), 34);
    assert_eq!(findings(&office, &first), untouched, "what is said of a pair stands with the newer photo");
}

/// Prints how often each signal is given, and holds untouched photos to what is known of them.
fn tell_of_untouched(untouched: &BTreeMap<String, Vec<Value>>) {
    let mut counts: BTreeMap<(String, String), BTreeSet<&str>> = BTreeMap::new();
    for (name, said) in untouched {
        for finding in said {
            let key = (text(finding, "/signal"), text(finding, "/weight"));
            counts.entry(key).or_default().insert(name);
        }
    }
    println!("of {} untouched photos:", untouched.len());
    for ((signal, weight), names) in &counts {
        println!("  {signal} ({weight}): {} {names:?}", names.len());
    }
    let contradictions: Vec<_> = counts.keys().filter(|(_, weight)| weight == "contradiction").collect();
    assert!(contradictions.is_empty(), "{contradictions:?}");
    let of = |signal: &str, weight: &str| {
        counts.get(&(signal.to_owned(), weight.to_owned())).map(|names| names.len()).unwrap_or_default()
    };
    // A sample of orientations shows one picture twice, in one visit.
    assert_eq!((of("near-duplicate", "info"), of("near-duplicate", "look")), (1, 0));
    assert_eq!((of("looks-alike", "info"), of("looks-alike", "look")), (0, 0));
    assert_eq!((of("same-file-again", "info"), of("same-pixels", "info")), (0, 0));
    assert_eq!((of("thumbnail-differs", "info"), of("thumbnail-differs", "look")), (0, 1));
    // HEIC and DNG say that nobody looked.
    for name in ["apple_iphone7.heic", "canon_dng_nogps.dng"] {
        assert!(with(&untouched[name], "pixels-not-checked").is_some(), "{name}");
    }
}

#[test]
fn a_photo_that_comes_again_is_told_once_with_its_newer_record_whoever_examines_it() {
    let office = Office::with_programme();
    let first = office.schedule(SHIPMENT, Some(&office.iris));
    let again = office.schedule(SHIPMENT, Some(&office.iris));
    let elsewhere = office.schedule(OTHER_SITE, Some(&office.iris));
    let mut iris = HandDevice::enrolled(&office, &office.iris);
    iris.pull();
    let one = |name: &str| {
        BTreeMap::from([(name.to_owned(), std::fs::read(fixture("photos/02-sign.jpg")).unwrap())])
    };
    // Another server beside this one examines every other photo; each has an index of its own.
    let twin = App::open(office.server.app().config.clone(), office.server.clock().clone()).unwrap();
    hand_in(&mut iris, &first, &one("first.jpg"));
    office.tick();
    hand_in(&mut iris, &first, &one("twice.jpg"));
    tick(&twin);
    hand_in(&mut iris, &again, &one("again.jpg"));
    office.tick();
    hand_in(&mut iris, &elsewhere, &one("elsewhere.jpg"));
    tick(&twin);
    for _ in 0..2 {
        let told = |visit: &str, name: &str| {
            let said = findings(&office, visit).remove(name).unwrap();
            let alike = said.iter().filter(|finding| finding["signal"] == "same-file-again");
            alike.map(|one| (text(one, "/weight"), text(one, "/summary"))).collect::<Vec<_>>()
        };
        assert_eq!(told(&first, "first.jpg"), []);
        let [(weight, summary)] = &told(&first, "twice.jpg")[..] else { panic!("told once") };
        assert!(weight == "info" && summary.contains("in this visit"), "{weight}: {summary}");
        let [(weight, summary)] = &told(&again, "again.jpg")[..] else { panic!("told once") };
        assert!(weight == "look" && summary.contains("the same site"), "{weight}: {summary}");
        assert!(summary.contains("and 1 more"), "{summary}");
        let [(weight, summary)] = &told(&elsewhere, "elsewhere.jpg")[..] else { panic!("told once") };
        assert!(weight == "look" && summary.contains("another site"), "{weight}: {summary}");
        assert!(summary.contains("and 2 more"), "{summary}");
        // A server that starts again reads all hashes again and says nothing anew.
        tick(&App::open(office.server.app().config.clone(), office.server.clock().clone()).unwrap());
    }
}
