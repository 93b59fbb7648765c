//! EXIF reading: the same photos, each reader in one process, rounds taken in turn, by CPU time.
//!
//! Ours prints what the peers print: position, time, make and model. It reads whole files, to say
//! whether something was appended or cut off, where the peers look at the beginning; so parsing alone
//! has rows of its own, and `endcheck inspect`, which hashes the files too.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use endcheck_protocol::photo;
use endcheck_tests::process::program;

use crate::measure::{children_cpu_s, median, timed};
use crate::programs::run_quietly;
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
    let mut parsing = Vec::new();
    for round in 0..=ROUNDS {
        for (command, count, times) in &mut contestants {
            let before_s = children_cpu_s()?;
            run_quietly(command)?;
            let took_s = children_cpu_s()? - before_s;
            // The first round brings the files into memory.
            if round > 0 {
                times.push(took_s * 1e6 / *count as f64);
            }
        }
        parsing.push(parse_in_memory(&files)?);
    }
    let [reader, inspect, exiv2, exiftool] = contestants.map(|(_, _, times)| median(&times));
    let parsing = median(&parsing);
    let row = |figure: &str, ours: f64, name: &str, peer: f64| {
        Row::new(figure, format!("{ours:.0} µs a file"), format!("{name} {peer:.0} µs a file"))
    };
    let in_memory = "EXIF of the shared photos, CPU, files in memory";
    let from_disk = "EXIF of the shared photos, CPU, whole files read";
    let inspected = "  endcheck inspect --json, which hashes them too";
    Ok(vec![
        row(in_memory, parsing, "exiftool -fast2", exiftool).at_least(exiftool / parsing, 100.0),
        row(in_memory, parsing, "exiv2", exiv2).at_least(exiv2 / parsing, 5.0),
        row(from_disk, reader, "exiftool -fast2", exiftool).at_least(exiftool / reader, 100.0),
        row(from_disk, reader, "exiv2", exiv2).at_least(exiv2 / reader, 5.0),
        row(inspected, inspect, "exiftool -fast2", exiftool).ratio(exiftool / inspect),
        row(inspected, inspect, "exiv2", exiv2).ratio(exiv2 / inspect),
    ])
}

/// Microseconds a file, in this process, with the files in memory already: the fastest of some passes,
/// which a busy neighbour disturbs least.
fn parse_in_memory(files: &[PathBuf]) -> anyhow::Result<f64> {
    let contents = files.iter().map(std::fs::read).collect::<std::io::Result<Vec<_>>>()?;
    let mut fastest = f64::INFINITY;
    for _ in 0..REPEATS {
        let (took, refused) =
            timed(|| Ok(contents.iter().filter(|bytes| photo::read(bytes).is_err()).count()))?;
        ensure!(refused < files.len(), "no photo can be read");
        fastest = fastest.min(took.as_secs_f64() * 1e6 / files.len() as f64);
    }
    Ok(fastest)
}

fn photos() -> anyhow::Result<Vec<PathBuf>> {
    let folder = endcheck_tests::test_data("")
        .context("the shared photos are needed: set ENDCHECK_TEST_DATA")?
        .join("photos/shared");
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
