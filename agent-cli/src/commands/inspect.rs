//! `inspect`: what a photo file says of itself, and why it would be flagged. Needs no store.

use std::path::Path;

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::photo::{self, PhotoFacts, PhotoFlag, PhotoFormat, PositionAbsence};
use endcheck_protocol::time::Timestamp;
use serde::Serialize;

use crate::capture_source::Source;
use crate::cli::Inspect;
use crate::environment::Environment;
use crate::refusal::ExitStatus;
use crate::ui::Ui;

/// One line of `--json`; the keys are part of the contract.
#[derive(Serialize)]
struct Inspected {
    file: String,
    sha256: Sha256,
    format: &'static str,
    width: u32,
    height: u32,
    /// Degrees on WGS 84, seven decimals.
    lat: Option<serde_json::Number>,
    lon: Option<serde_json::Number>,
    position_absent_reason: Option<PositionAbsence>,
    taken_at: Option<String>,
    make: Option<String>,
    model: Option<String>,
    /// What tells the quantisation tables of a JPEG from others, to enrol a camera by.
    quantisation: Option<Sha256>,
    flags: Vec<PhotoFlag>,
}

pub(super) fn run(command: &Inspect, environment: &Environment, ui: &Ui<'_>) -> anyhow::Result<ExitStatus> {
    let now = environment.now().device_at;
    let mut refused = 0;
    for path in &command.files {
        match inspect(path, now) {
            Ok(inspected) => ui.report(&inspected, || human(&inspected)),
            Err(error) => {
                refused += 1;
                ui.problem(Some(&path.display().to_string()), &error);
            }
        }
    }
    Ok(match refused {
        0 => ExitStatus::Success,
        all if all == command.files.len() => ExitStatus::Refused,
        _ => ExitStatus::Partly,
    })
}

fn inspect(path: &Path, now: Timestamp) -> anyhow::Result<Inspected> {
    let bytes = Source::open(path)?.read_photo()?;
    let facts = photo::read(&bytes)?;
    let flags = facts.flags_at(now);
    let quantisation = photo::metadata(&bytes)?.tables.digest();
    let PhotoFacts { format, width, height, position, position_absent_reason, taken_at, make, model, .. } =
        facts;
    Ok(Inspected {
        file: path.display().to_string(),
        sha256: Sha256::of(&bytes),
        format: format.name(),
        width,
        height,
        lat: position.and_then(|at| degrees(at.lat_e7)),
        lon: position.and_then(|at| degrees(at.lon_e7)),
        position_absent_reason,
        taken_at,
        make,
        model,
        quantisation,
        flags,
    })
}

fn degrees(e7: i64) -> Option<serde_json::Number> {
    let whole = i32::try_from(e7).ok()?;
    serde_json::Number::from_f64(f64::from(whole) / 1e7)
}

fn human(inspected: &Inspected) -> String {
    let mut lines = vec![
        inspected.file.clone(),
        format!(
            "  {} {} × {}, sha256 {}",
            inspected.format, inspected.width, inspected.height, inspected.sha256
        ),
    ];
    match (&inspected.lat, &inspected.lon, inspected.position_absent_reason) {
        (Some(lat), Some(lon), _) => lines.push(format!("  position {lat}, {lon}")),
        (_, _, Some(reason)) => lines.push(format!("  no position: {}", reason.why())),
        _ => {}
    }
    lines.push(match &inspected.taken_at {
        Some(taken_at) => format!("  taken {taken_at}, by the camera's clock"),
        None => "  no capture time".to_owned(),
    });
    let camera: Vec<&str> =
        [&inspected.make, &inspected.model].into_iter().flatten().map(String::as_str).collect();
    if !camera.is_empty() {
        lines.push(format!("  camera {}", camera.join(" ")));
    }
    match &inspected.quantisation {
        Some(quantisation) => lines.push(format!("  quantisation tables {quantisation}")),
        None if inspected.format == PhotoFormat::Jpeg.name() => {
            lines.push("  no quantisation tables that can be read".to_owned());
        }
        None => {}
    }
    for flag in &inspected.flags {
        lines.push(format!("  {flag}: {} {}", flag.why(), flag.innocent_explanation()));
    }
    lines.join("\n")
}
