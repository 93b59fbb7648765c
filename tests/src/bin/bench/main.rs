//! `make bench`: the figures that Endcheck is held to, each beside a peer or a limit of the same run.
//!
//! Arguments choose figures (`exif capture ingest list serials link log bundle analysis duplicates risk`); none is all of
//! them. Prints one table and writes `target/bench/results.json`. These are not tests: a missed goal is shown,
//! not an error.

mod analysis;
mod bundle;
mod capture;
mod counter;
mod device;
mod duplicates;
mod exif;
mod ingest;
mod link;
mod list;
mod log;
mod measure;
mod programs;
mod risk;
mod serials;
mod table;
mod world;

use std::path::PathBuf;

use anyhow::Context as _;
use table::Row;

type Figure = fn() -> anyhow::Result<Vec<Row>>;

const FIGURES: [(&str, Figure); 11] = [
    ("exif", exif::run),
    ("capture", capture::run),
    ("ingest", ingest::run),
    ("list", list::run),
    ("serials", serials::run),
    ("link", link::run),
    ("log", log::run),
    ("bundle", bundle::run),
    ("analysis", analysis::run),
    ("duplicates", duplicates::run),
    ("risk", risk::run),
];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((exif::READER, files)) = arguments.split_first().map(|(verb, files)| (verb.as_str(), files)) {
        return exif::read_all(files);
    }
    if let Some((analysis::LOOKER, files)) =
        arguments.split_first().map(|(verb, files)| (verb.as_str(), files))
    {
        return analysis::look_at_all(files);
    }
    if let Some(unknown) = arguments.iter().find(|name| !FIGURES.iter().any(|(known, _)| known == name)) {
        let known: Vec<&str> = FIGURES.iter().map(|(name, _)| *name).collect();
        anyhow::bail!("there is no figure {unknown:?}: choose from {}", known.join(", "));
    }
    let chosen =
        FIGURES.iter().filter(|(name, _)| arguments.is_empty() || arguments.iter().any(|a| a == name));
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for (name, figure) in chosen {
        table::say(&format!("measuring {name} …"));
        match figure() {
            Ok(measured) => {
                table::say(&table::printed(&measured));
                rows.extend(measured);
            }
            Err(error) => {
                table::say(&format!("{name} could not be measured: {error:?}"));
                failed.push(*name);
            }
        }
    }
    table::say(&table::printed(&rows));
    let folder = results_folder()?;
    std::fs::write(folder.join("results.json"), serde_json::to_vec_pretty(&table::document(&rows))?)?;
    anyhow::ensure!(failed.is_empty(), "could not be measured: {}", failed.join(", "));
    Ok(())
}

/// `bench` in the folder that cargo builds into, wherever that is: this program is in its `release`.
fn results_folder() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).context("the bench is in a build folder")?;
    let folder = target.join("bench");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
