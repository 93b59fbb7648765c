//! EXIF reading: the same photos, each reader in one process, rounds taken in turn.
//!
//! The reader of ours that counts does what the peers do, position, time, make and model, and prints
//! them. `endcheck inspect` also hashes the whole file, which the peers do not; it stands in a row of
//! its own.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use endcheck_protocol::photo;
use endcheck_tests::process::program;

use crate::measure::{median, timed};
use crate::programs::{data_folder, run_quietly};
use crate::table::Row;

/// The hidden argument that makes this program the reader.
pub const READER: &str = "read-exif";

const ROUNDS: usize = 7;
/// How often each file stands on a command line, so that starting a process does not count.
const REPEATS: usize = 40;
/// exiftool is slow enough that fewer do.
const REPEATS_EXIFTOOL: usize = 4;

pub fn run() -> anyhow::Result<Vec<Row>> {
    let files = photos()?;
    let many =
        |repeats: usize| -> Vec<PathBuf> { (0..repeats).flat_map(|_| files.iter().cloned()).collect() };
    let (long, short) = (many(REPEATS), many(REPEATS_EXIFTOOL));
    let mut reader = Command::new(std::env::current_exe()?);
    reader.arg(READER).args(&long);
    let mut inspect = Command::new(program("endcheck"));
    inspect.args(["inspect", "--json"]).args(&long);
    let mut exiv2 = Command::new("exiv2");
    exiv2.args(["-g", "GPSInfo", "-g", "DateTimeOriginal", "-g", "Image.Make", "-g", "Image.Model", "-Pkv"]);
    exiv2.args(&long);
    let mut exiftool = Command::new("exiftool");
    exiftool.args([
        "-fast2",
        "-json",
        "-n",
        "-GPSLatitude",
        "-GPSLongitude",
        "-DateTimeOriginal",
        "-Make",
        "-Model",
    ]);
    exiftool.args(&short);
    let mut contestants = [
        (reader, long.len(), Vec::new()),
        (inspect, long.len(), Vec::new()),
        (exiv2, long.len(), Vec::new()),
        (exiftool, short.len(), Vec::new()),
    ];
    for round in 0..=ROUNDS {
        for (command, count, times) in &mut contestants {
            let (took, ()) = timed(|| run_quietly(command))?;
            // The first round brings the files into memory.
            if round > 0 {
                times.push(took.as_secs_f64() * 1e6 / *count as f64);
            }
        }
    }
    let [ours, inspect, exiv2, exiftool] = contestants.map(|(_, _, times)| median(&times));
    let shown = |name: &str, microseconds: f64| format!("{name} {microseconds:.1} µs a file");
    let row = |figure: &str, ours: f64, name: &str, peer: f64| {
        Row::new(figure, shown("", ours).trim(), shown(name, peer))
    };
    Ok(vec![
        row("EXIF of the shared photos", ours, "exiftool -fast2", exiftool).at_least(exiftool / ours, 100.0),
        row("EXIF of the shared photos", ours, "exiv2", exiv2).at_least(exiv2 / ours, 5.0),
        row("  endcheck inspect --json, with SHA-256", inspect, "exiftool -fast2", exiftool)
            .ratio(exiftool / inspect),
        row("  endcheck inspect --json, with SHA-256", inspect, "exiv2", exiv2).ratio(exiv2 / inspect),
    ])
}

fn photos() -> anyhow::Result<Vec<PathBuf>> {
    let folder =
        data_folder().context("the shared photos are needed: set ENDCHECK_DATA")?.join("photos/shared");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension != "xmp") {
            files.push(path);
        }
    }
    files.sort();
    ensure!(!files.is_empty(), "{} is empty", folder.display());
    Ok(files)
}

/// Reads each file and prints what it says, as the peers do.
pub fn read_all(files: &[String]) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut bytes = Vec::new();
    for file in files {
        bytes.clear();
        std::fs::File::open(file)?.read_to_end(&mut bytes)?;
        match photo::read(&bytes) {
            Ok(facts) => serde_json::to_writer(&mut out, &facts)?,
            Err(refused) => write!(out, "{file}: {refused}")?,
        }
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
}
