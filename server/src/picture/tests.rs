//! Real photos, their altered copies and PDQ's published hashes, from the folder that `ENDCHECK_TEST_DATA` names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;

/// A folder of test data; nothing, with a message, where it is not.
fn data(below: &str) -> Option<PathBuf> {
    let data = std::env::var_os("ENDCHECK_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let folder = data.join(below);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {} is not there; ENDCHECK_TEST_DATA names the folder of test data", folder.display());
    None
}

/// Every photo of a folder, by name.
fn photos(folder: &Path) -> BTreeMap<String, (PhotoFacts, Analysis)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        if let Ok(facts) = photo::read(&bytes) {
            let analysis = analyse(&bytes, &facts);
            found.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), (facts, analysis));
        }
    }
    found
}

fn hashes(analysis: &Analysis) -> Option<&Hashes> {
    analysis.pixels.as_ref().ok()?.hashes.as_ref()
}

/// The least distance over the eight orientations, by PDQ, and by the coarser of the two coarse hashes.
fn distances(one: &Hashes, other: &Hashes) -> (u32, u32) {
    let pdq = one.pdq.iter().map(|hash| hash.distance(other.pdq[0])).min().unwrap();
    let coarse = one.coarse.iter().map(|hash| {
        let dhash = (hash.dhash ^ other.coarse[0].dhash).count_ones();
        dhash.max((hash.phash ^ other.coarse[0].phash).count_ones())
    });
    (pdq, coarse.min().unwrap())
}

/// Published implementations count as the same when they are within so many bits (of pictures of quality 50 or
/// more).
const PUBLISHED_BITS: u32 = 10;

#[test]
fn the_published_pdq_hashes_are_met_from_the_scaled_decoding() {
    let Some(folder) = data("vectors/pdq") else { return };
    let found = photos(&folder);
    let table = std::fs::read_to_string(folder.join("REFERENCE.tsv")).unwrap();
    let reference: Vec<(&str, Pdq)> = table
        .lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(name, hash)| (name, hash.parse().unwrap()))
        .collect();
    assert_eq!(reference.len(), 8);
    let own: Vec<u32> = reference
        .iter()
        .map(|(name, hash)| {
            let hashes = hashes(&found[*name].1).unwrap();
            assert!(hashes.quality >= MIN_QUALITY, "{name}");
            hashes.pdq[0].distance(*hash)
        })
        .collect();
    println!("distance to each published hash: {own:?}");
    assert!(own.iter().all(|distance| *distance <= PUBLISHED_BITS), "{own:?}");
    // The eight orientations of the one picture are the published hashes of the eight.
    let turned = hashes(&found["bridge-1-original.jpg"].1)
        .unwrap()
        .pdq
        .map(|hash| reference.iter().map(|(name, other)| (hash.distance(*other), *name)).min().unwrap());
    println!("each orientation of the first to the nearest published hash: {turned:?}");
    assert!(turned.iter().all(|(distance, _)| *distance <= PUBLISHED_BITS), "{turned:?}");
    let names: std::collections::BTreeSet<&str> = turned.iter().map(|(_, name)| *name).collect();
    assert_eq!(names.len(), 8);
    // What only sharpens, blurs, colours or scales is the same picture.
    let original = hashes(&found["aaa-orig.jpg"].1).unwrap();
    for name in [
        "blur-a-little",
        "blur-a-lot",
        "high-contrast",
        "high-saturation",
        "sharpen-a-little",
        "sharpen-a-lot",
    ]
    .into_iter()
    .chain(["shrink-a-little", "shrink-a-lot"])
    {
        let (pdq, _) = distances(hashes(&found[&format!("{name}.jpg")].1).unwrap(), original);
        println!("{name}: {pdq}");
        assert!(pdq <= SAME_PICTURE_BITS, "{name}: {pdq}");
    }
}

#[test]
fn altered_copies_are_found_and_what_was_done_to_them_is_seen() {
    let Some(folder) = data("photos") else { return };
    let untouched = photos(&folder.join("shared"));
    let altered = photos(&folder.join("tamper/shared"));
    let table = std::fs::read_to_string(folder.join("tamper/expect_shared.tsv")).unwrap();
    let mut rows = 0;
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let (name, original, must) = (fields[0], fields[1], fields[4]);
        let (facts, analysis) = &altered[name];
        let (_, before) = &untouched[original];
        let (pdq, coarse) = distances(hashes(analysis).unwrap(), hashes(before).unwrap());
        let same = analysis.digest == before.digest && analysis.digest.is_some();
        let preview = analysis.pixels.as_ref().unwrap().preview;
        println!("{name}: same pixels {same}, PDQ {pdq}, coarse {coarse}, thumbnail {preview:?}");
        let optional = must.contains("optional");
        if must.contains("same pixels") || must.contains("same SHA-256") {
            assert!(same, "{name}");
        } else if must.contains("near-duplicate") && !optional {
            assert!(same || pdq <= SAME_PICTURE_BITS || coarse <= LOOKS_ALIKE_BITS, "{name}: {pdq} {coarse}");
        }
        if must.contains("pixel size differs") {
            assert!(analysis.declared.is_some_and(|size| size != (facts.width, facts.height)), "{name}");
        }
        if must.contains("thumbnail") && before.pixels.as_ref().unwrap().preview.is_some() {
            assert!(preview.is_some_and(|preview| preview.spot >= 40.0), "{name}: {preview:?}");
        }
        if name.contains("rotated") {
            assert!(pdq <= SAME_PICTURE_BITS, "{name}: optional, but the eight orientations find it");
        }
        rows += 1;
    }
    assert_eq!(rows, 20);
}

/// The one pair of untouched photos that shows one picture: a sample of Exif orientations.
const ONE_PICTURE: [&str; 2] = ["orient_landscape_2.jpg", "orient_landscape_6.jpg"];

#[test]
fn untouched_photos_are_hardly_taken_for_each_other() {
    let Some(folder) = data("photos/shared") else { return };
    let found = photos(&folder);
    let hashed: Vec<(&str, &Hashes)> =
        found.iter().filter_map(|(name, (_, analysis))| Some((name.as_str(), hashes(analysis)?))).collect();
    let (mut pairs, mut near, mut alike, mut closest) = (0, Vec::new(), Vec::new(), 256);
    for (nth, (name, one)) in hashed.iter().enumerate() {
        for (other_name, other) in &hashed[..nth] {
            let (pdq, coarse) = distances(one, other);
            pairs += 1;
            if pdq <= SAME_PICTURE_BITS {
                near.push([*other_name, *name]);
            } else if coarse <= LOOKS_ALIKE_BITS {
                alike.push([*other_name, *name]);
            } else {
                closest = closest.min(pdq);
            }
        }
    }
    println!(
        "{pairs} pairs: near duplicates {near:?}, look alike {alike:?}, else at least {closest} bits apart"
    );
    assert_eq!(near, [ONE_PICTURE]);
    assert!(alike.is_empty(), "{alike:?}");
    let thumbnails: Vec<(&str, Likeness)> = found
        .iter()
        .filter_map(|(name, (_, analysis))| Some((name.as_str(), analysis.pixels.as_ref().ok()?.preview?)))
        .collect();
    for (name, likeness) in &thumbnails {
        println!("thumbnail of {name}: {} bits, spot {:.0}", likeness.distance, likeness.spot);
    }
    // A sample for programmers: it shows leaves, its thumbnail the castle of the photo that it was made from.
    let differ: Vec<&str> = thumbnails
        .iter()
        .filter(|(_, likeness)| likeness.distance >= 23 || likeness.spot >= 40.0)
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(differ, ["canon_40d_gps.jpg"]);
    assert!(thumbnails.len() >= 14);
}

#[test]
fn no_change_to_a_photo_makes_looking_at_it_panic() {
    let Some(folder) = data("photos/shared") else { return };
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize % below
    };
    for name in ["canon_40d_gps.jpg", "fujifilm_s1pro.jpg", "png_exif_gps.png", "apple_iphone_x.webp"] {
        let whole = std::fs::read(folder.join(name)).unwrap();
        let facts = photo::read(&whole).unwrap();
        for _ in 0..25 {
            let mut bytes = whole.clone();
            for _ in 0..1 + next(8) {
                // Metadata stands at the beginning.
                let end = if next(2) == 0 { bytes.len() } else { bytes.len().min(4096) };
                let at = next(end);
                bytes[at] = next(256) as u8;
            }
            bytes.truncate(bytes.len() - next(4) * next(bytes.len() / 4));
            let _ = analyse(&bytes, &facts);
        }
    }
}
