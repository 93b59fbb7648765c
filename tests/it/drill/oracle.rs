//! What must be true after any number of kills and cuts.
//!
//! Headquarters is looked at through its API, and through its database and folders once it was
//! killed; the device through its own commands, its folder, and its table of sealed copies.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{Envelope, RECORD_TYPE};
use endcheck_server::db::schema::{evidence_files, log_entries, receipts, records};
use serde_json::Value;

use super::act::Mark;
use super::stage::{Stage, files_below};

/// An act that was asked for.
pub struct Asked {
    pub mark: Mark,
    /// The record's hash, where the agent acknowledged it before whatever befell it.
    pub acknowledged: Option<String>,
}

/// What headquarters holds in the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    pub records: usize,
    pub files: usize,
    /// Acts whose command was killed before it acknowledged them, and that are there all the same.
    pub whole: usize,
    /// Acts whose command was killed, and of which nothing is there.
    pub absent: usize,
    /// Parts of files that a killed server left beside its stored files.
    pub parts_left: usize,
}

struct Row {
    seq: i64,
    prev: Option<String>,
    kind: String,
    /// The texts that stand in the record.
    texts: BTreeSet<String>,
}

struct FileRow {
    sha256: String,
    size_bytes: i64,
    state: String,
}

/// Checks everything, after a clean sync. Kills the server to see what is durable, and starts it again.
pub fn check(stage: &mut Stage, asked: &[Asked]) -> Held {
    let status = stage.must(&["status"]).remove(0);
    assert_eq!(status["records"]["unsent"], 0, "{status:#}");
    assert_eq!(status["records"]["quarantined"], 0, "{status:#}");
    assert_eq!(status["files_without_receipt"]["files"], 0, "{status:#}");
    let left = files_below(&stage.home().join("sealed"));
    assert!(left.is_empty(), "sealed copies without a record, or with a receipt, are left: {left:?}");

    let seen = visits(stage);
    stage.server.kill();
    stage.server.check();
    let mut conn = stage.server.database().connect();
    let rows = record_rows(&mut conn);
    let files = file_rows(&mut conn);
    assert_eq!(status["records"]["held"], rows.len(), "records at headquarters and on the device");
    assert_eq!(seen, (rows.len(), files.len()), "what the visits show");
    chain(&rows);
    receipted(&mut conn, &rows, &files);
    let mut held = stored(&stage.server.data_folder().join("files"), &files);
    held.records = rows.len();
    held.files = files.len();
    marks(asked, &rows, &files, &mut held);
    drop(conn);
    stage.start_again();
    held
}

/// Asks for each visit; answers the records and files that they show together.
fn visits(stage: &Stage) -> (usize, usize) {
    let http = stage.manager();
    let mut seen = (0, 0);
    for visit in &stage.visits {
        let dossier = http.get(&format!("/api/v1/visits/{visit}")).expect_json(200);
        let list = |field: &str| dossier[field].as_array().unwrap().clone();
        assert_eq!(list("quarantined"), [] as [Value; 0]);
        for device in list("devices") {
            assert_eq!(device["gaps"], Value::Array(vec![]), "the chain of {}", device["id"]);
        }
        assert_eq!(list("devices").len(), 1, "{visit} was opened by one device");
        assert!(list("files").iter().all(|file| file["state"] == "stored"), "{:#}", dossier["files"]);
        seen.0 += usize::try_from(dossier["record_count"].as_u64().unwrap()).unwrap();
        seen.1 += list("files").len();
    }
    seen
}

fn record_rows(conn: &mut endcheck_server::db::Conn) -> BTreeMap<String, Row> {
    type Columns = (String, Option<i64>, Option<String>, String, Option<String>, Vec<u8>);
    let rows: Vec<Columns> = records::table
        .select((
            records::hash,
            records::seq,
            records::prev,
            records::kind,
            records::quarantine_code,
            records::envelope,
        ))
        .load(conn)
        .unwrap();
    rows.into_iter()
        .map(|(hash, seq, prev, kind, quarantine, envelope)| {
            assert_eq!(quarantine, None, "record {hash} was set aside");
            assert_eq!(Sha256::of(&envelope).as_str(), hash, "a record is stored under its hash");
            let payload = Envelope::read(&envelope, RECORD_TYPE).unwrap().payload;
            let mut texts = BTreeSet::new();
            texts_of(serde_json::from_slice(&payload).unwrap(), &mut texts);
            (hash, Row { seq: seq.unwrap(), prev, kind, texts })
        })
        .collect()
}

fn texts_of(value: Value, texts: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => drop(texts.insert(text)),
        Value::Array(values) => values.into_iter().for_each(|value| texts_of(value, texts)),
        Value::Object(fields) => fields.into_iter().for_each(|(_, value)| texts_of(value, texts)),
        _ => {}
    }
}

fn file_rows(conn: &mut endcheck_server::db::Conn) -> BTreeMap<String, FileRow> {
    let rows: Vec<(String, String, i64, String)> = evidence_files::table
        .select((
            evidence_files::record_hash,
            evidence_files::sha256,
            evidence_files::size_bytes,
            evidence_files::state,
        ))
        .load(conn)
        .unwrap();
    rows.into_iter()
        .map(|(record, sha256, size_bytes, state)| (record, FileRow { sha256, size_bytes, state }))
        .collect()
}

/// One line from 0 on: no gap, no fork, each record on the one before.
fn chain(rows: &BTreeMap<String, Row>) {
    let mut line: Vec<(&String, &Row)> = rows.iter().collect();
    line.sort_by_key(|(_, row)| row.seq);
    let mut before = None;
    for (expected, (hash, row)) in line.into_iter().enumerate() {
        assert_eq!(usize::try_from(row.seq).unwrap(), expected, "the chain goes on without gap or fork");
        assert_eq!(row.prev.as_ref(), before, "record {expected} follows the one before it");
        before = Some(hash);
    }
}

/// Exactly one receipt and one log entry for each record and each stored file.
fn receipted(
    conn: &mut endcheck_server::db::Conn,
    rows: &BTreeMap<String, Row>,
    files: &BTreeMap<String, FileRow>,
) {
    let given: Vec<(String, String)> =
        receipts::table.select((receipts::kind, receipts::record_hash)).load(conn).unwrap();
    let logged: Vec<(String, String)> =
        log_entries::table.select((log_entries::kind, log_entries::subject)).load(conn).unwrap();
    let of = |pairs: &[(String, String)], kind: &str| -> Vec<String> {
        let mut found: Vec<String> =
            pairs.iter().filter(|(found, _)| found == kind).map(|(_, subject)| subject.clone()).collect();
        found.sort();
        found
    };
    let records: Vec<String> = rows.keys().cloned().collect();
    assert_eq!(of(&given, "record"), records, "one receipt a record");
    assert_eq!(of(&logged, "record"), records, "one log entry a record");
    assert_eq!(of(&given, "file"), files.keys().cloned().collect::<Vec<_>>(), "one receipt a file");
    assert_eq!(of(&logged, "file-receipt").len(), files.len(), "one log entry a file receipt");
}

/// Every file is there whole, under its own hash, and whatever else is there is, too.
fn stored(folder: &Path, files: &BTreeMap<String, FileRow>) -> Held {
    let mut held = Held::default();
    let mut sizes = HashMap::new();
    for path in files_below(folder) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.contains('#') {
            held.parts_left += 1;
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(Sha256::of(&bytes).as_str(), name, "a stored file hashes to its name");
        sizes.insert(name, i64::try_from(bytes.len()).unwrap());
    }
    for (record, file) in files {
        assert_eq!(file.state, "stored", "the file of record {record}");
        assert_eq!(sizes.get(&file.sha256), Some(&file.size_bytes), "the file of record {record}");
    }
    held
}

/// Acknowledged acts are there once; others once or not at all; nobody else's are.
fn marks(asked: &[Asked], rows: &BTreeMap<String, Row>, files: &BTreeMap<String, FileRow>, held: &mut Held) {
    let mut by_text: HashMap<&str, Vec<&String>> = HashMap::new();
    for (hash, row) in rows {
        row.texts.iter().for_each(|text| by_text.entry(text).or_default().push(hash));
    }
    let mut accounted = BTreeSet::new();
    for Asked { mark, acknowledged } in asked {
        let found = by_text.get(mark.text.as_str()).cloned().unwrap_or_default();
        assert!(found.len() <= 1, "{mark:?} is at headquarters more than once: {found:?}");
        match (acknowledged, found.first()) {
            (Some(hash), found) => assert_eq!(found, Some(&hash), "{mark:?} was acknowledged"),
            (None, Some(_)) => held.whole += 1,
            (None, None) => held.absent += 1,
        }
        if let Some(hash) = found.first() {
            assert_eq!(files.contains_key(*hash), mark.is_file, "{mark:?}");
            accounted.insert((*hash).clone());
        }
        if let Some(source) = &mark.moved {
            assert!(source.exists() || found.len() == 1, "{mark:?} was moved away and is nowhere");
        }
    }
    let strange: Vec<&String> = rows
        .iter()
        .filter(|(hash, row)| {
            !accounted.contains(*hash) && !matches!(row.kind.as_str(), "visit-open" | "clock-set")
        })
        .map(|(hash, _)| hash)
        .collect();
    assert!(strange.is_empty(), "records that nobody asked for: {strange:?}");
}

#[derive(QueryableByName)]
struct Copy {
    #[diesel(sql_type = diesel::sql_types::Text)]
    sealed_sha256: String,
    #[diesel(sql_type = diesel::sql_types::Text)]
    state: String,
}

/// At any time, while no agent runs: each copy that the device must hold is there and whole, and
/// each that it let go is stored at headquarters.
pub fn copies(stage: &Stage) {
    let path = stage.home().join("endcheck.db");
    let mut device = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    let copies: Vec<Copy> =
        diesel::sql_query("select sealed_sha256, state from files").load(&mut device).unwrap();
    let mut conn = stage.server.database().connect();
    let stored: Vec<String> = evidence_files::table
        .filter(evidence_files::state.eq("stored"))
        .select(evidence_files::sealed_sha256)
        .load(&mut conn)
        .unwrap();
    let stored: BTreeSet<String> = stored.into_iter().collect();
    for Copy { sealed_sha256, state } in copies {
        if state == "held" {
            let bytes = std::fs::read(stage.home().join("sealed").join(format!("{sealed_sha256}.age")));
            let bytes = bytes.unwrap_or_else(|error| panic!("the copy {sealed_sha256} is lost: {error}"));
            assert_eq!(Sha256::of(&bytes).as_str(), sealed_sha256, "a sealed copy hashes to its name");
        } else {
            assert!(stored.contains(&sealed_sha256), "{sealed_sha256} was let go before it was stored");
        }
    }
}
