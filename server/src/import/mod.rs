//! The import of programme data, from the command line and over the API: which kind of file goes to
//! which slice.

mod http;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use endcheck_protocol::time::Timestamp;
use serde::Deserialize;

pub use http::{Api, routes};

use crate::db::Conn;
use crate::error::{Error, Result};
use crate::rows::{Format, Imported, MAX_FILE_BYTES, read};
use crate::{parties, shipments, sites};

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Parties,
    Sites,
    Licences,
    Shipments,
}

/// Reads and checks every row, then writes all or nothing in one transaction.
///
/// # Errors
/// 422 with every bad row.
pub fn run(conn: &mut Conn, kind: Kind, format: Format, bytes: &[u8], now: Timestamp) -> Result<Imported> {
    match kind {
        Kind::Parties => {
            let (rows, faults) = read(bytes, format, &parties::SHAPE, parties::parse);
            conn.write(|conn| parties::import(conn, &rows, faults, now))
        }
        Kind::Sites => {
            let (rows, faults) = read(bytes, format, &sites::SHAPE, sites::parse);
            conn.write(|conn| sites::import(conn, &rows, faults, now))
        }
        Kind::Licences => {
            let (rows, faults) = read(bytes, format, &shipments::LICENCE_SHAPE, shipments::parse_licence);
            conn.write(|conn| shipments::import_licences(conn, &rows, faults, now))
        }
        Kind::Shipments => {
            let (rows, faults) = read(bytes, format, &shipments::SHAPE, shipments::parse);
            conn.write(|conn| shipments::import(conn, &rows, faults, now))
        }
    }
}

/// Imports a file and says what was done, or lists what is wrong with it: the words for the terminal.
///
/// # Errors
/// When the file cannot be read or has faults; the text of the error lists them, a line each.
pub fn file(conn: &mut Conn, kind: Kind, path: &Path, now: Timestamp) -> anyhow::Result<String> {
    let name = path.display();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .with_context(|| format!("{name} cannot be read"))?;
    anyhow::ensure!(
        bytes.len() as u64 <= MAX_FILE_BYTES,
        "{name} is larger than {MAX_FILE_BYTES} bytes; split it"
    );
    match run(conn, kind, format(path, &bytes), &bytes, now) {
        Ok(imported) => Ok(told(&imported)),
        Err(Error::Refused(problem)) => {
            let mut text = format!("{name}: {}", problem.detail);
            for fault in &problem.errors {
                let line = fault.line.map_or_else(String::new, |line| format!(":{line}"));
                text.push_str(&format!("\n{name}{line}: {}: {}", fault.field, fault.reason));
            }
            Err(anyhow::anyhow!(text))
        }
        Err(Error::Internal(error)) => Err(error),
    }
}

/// By the extension, and where it says nothing, by the first character.
fn format(path: &Path, bytes: &[u8]) -> Format {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref() {
        Some("csv") => Format::Csv,
        Some("json" | "geojson") => Format::Json,
        _ => {
            let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
            match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
                Some(b'[' | b'{') => Format::Json,
                _ => Format::Csv,
            }
        }
    }
}

fn told(imported: &Imported) -> String {
    let mut text = String::new();
    for change in &imported.changes {
        text.push_str(&format!("changed {}: {}\n", change.key, change.fields.join(", ")));
    }
    let hidden = imported.changed.saturating_sub(imported.changes.len() as u64);
    if hidden > 0 {
        text.push_str(&format!("changed {hidden} more\n"));
    }
    let Imported { added, changed, unchanged, .. } = imported;
    text.push_str(&format!("{added} added, {changed} changed, {unchanged} unchanged"));
    text
}

#[cfg(test)]
mod tests;
