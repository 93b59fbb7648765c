//! The bag in which a visit's evidence leaves headquarters: BagIt 1.0 (RFC 8493), and what its own files say.
//!
//! Pure: whoever writes or reads a bag does the writing and reading.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::digest::Sha256;
use crate::ids::VisitId;
use crate::ledger::{LedgerEntry, Note};
use crate::record::Anchor;

/// The one schema of `data/bundle.json` that this version writes and reads.
pub const SCHEMA: &str = "endcheck-bundle-1";

pub const DECLARATION: &str = "bagit.txt";
pub const DECLARATION_TEXT: &str = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";
pub const INFO: &str = "bag-info.txt";
pub const MANIFEST: &str = "manifest-sha256.txt";
pub const TAG_MANIFEST: &str = "tagmanifest-sha256.txt";
/// Proof that the log holds the bag's hash; stands beside the bag's manifests, which cannot cover it.
pub const PROOF: &str = "bag.tlog-proof";

/// That the log in which the bag's hash stands continues the one that the bag shows; stands beside it, too.
pub const CONTINUES: &str = "bag.consistency.json";

pub const INDEX: &str = "data/bundle.json";
pub const LEDGER: &str = "data/custody.jsonl";
pub const ANCHORS: &str = "data/log/anchors.json";

/// What is in the bag, for programs: `data/bundle.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    pub schema: String,
    pub org: String,
    pub visit: VisitId,
    /// Entries of the log that it shows: everything in the bag was logged before that.
    pub log_size: u64,
    pub originals: Vec<Original>,
    pub derived: Vec<Derived>,
}

/// A file that a record names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Original {
    pub record: Sha256,
    pub sha256: Sha256,
    /// Its path in the bag; absent where its bytes are not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Why its bytes are not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
}

/// A file made from an original, never in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derived {
    /// The record that names the original.
    pub record: Sha256,
    pub sha256: Sha256,
    pub path: String,
    pub why: String,
}

/// What the log's entry about a derived file commits to.
#[must_use]
pub fn derived_subject(record: &Sha256, sha256: &Sha256) -> Sha256 {
    Sha256::of_parts(&[&record.to_bytes(), &sha256.to_bytes()])
}

/// That a state of the log which a record names as already there was indeed an earlier state of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorProof {
    pub anchor: Anchor,
    /// RFC 6962 consistency proof from the anchor to the checkpoint of the bag.
    pub consistency: Vec<Sha256>,
    /// The last entry of the log then, as text: it says when it was logged.
    pub last_entry: String,
    /// RFC 6962 inclusion proof of that entry in the checkpoint of the bag.
    pub inclusion: Vec<Sha256>,
}

/// That the checkpoint of the bag's own proof continues the checkpoint in the bag: `bag.consistency.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Continues {
    /// RFC 6962 consistency proof from the one to the other.
    pub consistency: Vec<Sha256>,
}

/// What is said of an original that stays out because of a redaction elsewhere.
pub const WITHHELD: &str = "a redacted file was made of the same bytes in another visit or later";

/// A finding of the ledger for reading, as `data/findings.json` lists it; what proves it is the ledger, by number.
#[must_use]
pub fn finding(entry: &LedgerEntry) -> Option<Value> {
    let Note::Finding { record, device, signal, weight, summary, values, uncertainty, explanations, method } =
        &entry.note
    else {
        return None;
    };
    Some(json!({
        "number": entry.number, "noted_at": entry.noted_at, "record": record,
        "device": device, "signal": signal, "weight": weight, "summary": summary,
        "values": serde_json::from_str::<Value>(values).unwrap_or_default(),
        "uncertainty": uncertainty, "innocent_explanations": explanations, "method": method,
    }))
}

/// A manifest: a line for each path, sorted.
#[must_use]
pub fn manifest<'a>(files: impl IntoIterator<Item = (&'a str, &'a Sha256)>) -> String {
    let files: BTreeMap<&str, &Sha256> = files.into_iter().collect();
    files.iter().map(|(path, sha256)| format!("{sha256}  {}\n", encoded(path))).collect()
}

/// RFC 8493 §2.1.3: CR, LF and the percent sign are written as percent escapes.
fn encoded(path: &str) -> String {
    path.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Why a bag is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BagError {
    #[error("{DECLARATION} is missing")]
    NoDeclaration,
    #[error("{DECLARATION} does not declare BagIt 1.0 in UTF-8")]
    OtherDeclaration,
    #[error("line {line} of the manifest is not a SHA-256, two spaces and a path below the bag")]
    MalformedLine { line: usize },
    #[error("{path} stands twice in the manifest")]
    Twice { path: String },
}

/// Reads a manifest: path to hash. Paths that lead out of the bag are refused.
///
/// # Errors
/// Names the first line that is malformed, or the path that stands twice.
pub fn read_manifest(text: &str) -> Result<BTreeMap<String, Sha256>, BagError> {
    let mut files = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let malformed = || BagError::MalformedLine { line: at + 1 };
        let (hash, path) = line.split_once([' ', '\t']).ok_or_else(malformed)?;
        let sha256: Sha256 = hash.to_ascii_lowercase().parse().map_err(|_| malformed())?;
        let path = decoded(path.trim_start_matches([' ', '\t', '*'])).ok_or_else(malformed)?;
        if !is_below(&path) {
            return Err(malformed());
        }
        if files.insert(path.clone(), sha256).is_some() {
            return Err(BagError::Twice { path });
        }
    }
    Ok(files)
}

fn decoded(path: &str) -> Option<String> {
    let mut plain = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        let (code, after) = after.split_at_checked(2)?;
        plain.push(match code.to_ascii_uppercase().as_str() {
            "25" => '%',
            "0D" => '\r',
            "0A" => '\n',
            _ => return None,
        });
        rest = after;
    }
    plain.push_str(rest);
    Some(plain)
}

/// Whether the path stays in the bag on any system.
#[must_use]
pub fn is_below(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\\', ':', '\0'])
        && !path.starts_with(['/', '~'])
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

/// Checks `bagit.txt`.
///
/// # Errors
/// When it is not what RFC 8493 §2.1.1 asks for, in the version that we write.
pub fn check_declaration(text: &str) -> Result<(), BagError> {
    if text.replace("\r\n", "\n").trim_end_matches('\n') == DECLARATION_TEXT.trim_end_matches('\n') {
        Ok(())
    } else {
        Err(BagError::OtherDeclaration)
    }
}

/// A file name that is safe in a bag on any system, short, and still told by its beginning and end.
#[must_use]
pub fn safe_name(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' })
        .collect();
    let (stem, end) = plain.rsplit_once('.').map_or((plain.as_str(), ""), |(stem, end)| (stem, end));
    let stem: String = stem.trim_start_matches('.').chars().take(48).collect();
    let end: String = end.chars().take(8).collect();
    match (stem.is_empty(), end.is_empty()) {
        (true, true) => "file".to_owned(),
        (true, false) => format!("file.{end}"),
        (false, true) => stem,
        (false, false) => format!("{stem}.{end}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_reads_as_it_is_written_and_nothing_leads_out_of_the_bag() {
        let (a, b) = (Sha256::of(b"a"), Sha256::of(b"b"));
        let text = manifest([("data/b%\n.jpg", &b), ("data/a", &a)]);
        assert_eq!(text, format!("{a}  data/a\n{b}  data/b%25%0A.jpg\n"));
        let read = read_manifest(&text).unwrap();
        assert_eq!(
            read.into_iter().collect::<Vec<_>>(),
            [("data/a".to_owned(), a.clone()), ("data/b%\n.jpg".to_owned(), b)]
        );
        for path in
            ["../x", "/etc/passwd", "data/../../x", "~/x", "data//x", "C:/x", "data\\x", "data/%zz", ""]
        {
            assert!(read_manifest(&format!("{a}  {path}\n")).is_err(), "{path}");
        }
        assert_eq!(
            read_manifest(&format!("{a}  data/a\n{a}  data/a\n")),
            Err(BagError::Twice { path: "data/a".to_owned() })
        );
    }

    #[test]
    fn names_are_safe_and_still_told_apart() {
        for (name, safe) in [
            ("02-sign.jpg", "02-sign.jpg"),
            ("../../etc/passwd", "_.._etc_pas"),
            ("Прибор.heic", "______.heic"),
            (".hidden", "file.hidden"),
            ("", "file"),
        ] {
            assert_eq!(safe_name(name), safe);
        }
        assert!(safe_name(&"x".repeat(500)).len() < 60);
    }
}
