//! Everything that headquarters looks at in one photo, from its bytes on, beside `vipsthumbnail` making the thumbnail
//! alone: CPU time of all threads, the same photos as often in one process each, rounds taken in turn.
//!
//! Ours reads the file, hashes it, reads its facts with both parsers, decodes it once, and makes the thumbnail,
//! PDQ in eight orientations, the coarse hashes, the digest of the picture, and the comparison with the thumbnail in
//! the metadata.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::photo::{self, PhotoFormat};
use endcheck_server::picture;

use crate::measure::{children_cpu_s, median};
use crate::programs::run as run_program;
use crate::table::Row;

/// The hidden argument that makes this program the one that looks.
pub const LOOKER: &str = "look-at-photos";

const ROUNDS: usize = 7;
/// How often each photo stands on a command line, so that starting a process does not count.
const REPEATS: usize = 12;
/// Photos with fewer pixels than a phone's are not what this is about.
const MIN_PIXELS: u64 = 5_000_000;

pub fn run() -> anyhow::Result<Vec<Row>> {
    let shared =
        endcheck_tests::test_data("").context("the shared photos are needed: set ENDCHECK_TEST_DATA")?;
    let folder = tempfile::tempdir()?;
    let mut photos = photos(&shared.join("photos/shared"))?;
    let whole_set = photos.len();
    photos = photos.into_iter().cycle().take(whole_set * REPEATS).collect();
    let mut ours = Command::new(std::env::current_exe()?);
    ours.arg(LOOKER).args(&photos);
    let mut peer = Command::new("vipsthumbnail");
    peer.env("VIPS_CONCURRENCY", "1").args(["--size", "512x512", "--output"]);
    peer.arg(folder.path().join("%s.jpg[Q=80]")).args(&photos);
    let mut contestants = [(ours, Vec::new()), (peer, Vec::new())];
    for round in 0..=ROUNDS {
        for (command, times) in &mut contestants {
            let before_s = children_cpu_s()?;
            run_program(command)?;
            let took_s = children_cpu_s()? - before_s;
            // The first round brings the files into memory.
            if round > 0 {
                times.push(took_s * 1e3 / photos.len() as f64);
            }
        }
    }
    let [ours, peer] = contestants.map(|(_, times)| median(&times));
    Ok(vec![
        Row::new(
            format!("all that is looked at in a photo, CPU ({whole_set} photos of 5 megapixels and more)"),
            format!("{ours:.1} ms"),
            format!("vipsthumbnail, the thumbnail alone: {peer:.1} ms"),
        )
        .at_most(ours / peer, 1.2),
    ])
}

fn photos(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let Ok(facts) = photo::read(&std::fs::read(&path)?) else { continue };
        if facts.format == PhotoFormat::Jpeg && u64::from(facts.width) * u64::from(facts.height) >= MIN_PIXELS
        {
            found.push(path);
        }
    }
    found.sort();
    ensure!(!found.is_empty(), "{} holds no photo of that size", folder.display());
    Ok(found)
}

/// Looks at each file as the server does once it holds it.
pub fn look_at_all(files: &[String]) -> anyhow::Result<()> {
    for file in files {
        let bytes = std::fs::read(file)?;
        let sha256 = Sha256::of(&bytes);
        let facts = photo::read(&bytes)?;
        let analysis = picture::analyse(&bytes, &facts);
        let pixels = analysis.pixels.with_context(|| format!("{file} ({sha256})"))?;
        ensure!(pixels.hashes.is_some() && analysis.digest.is_some(), "{file} was not looked at whole");
    }
    Ok(())
}
