//! One visit over a bad link: 60 records and 256 KiB of files at 64 kbit/s with a round trip of 600 ms,
//! by the real agent through a relay; once undisturbed, once through ten cuts.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};
use endcheck_server::db::PooledConn;
use endcheck_tests::{DatabaseKind, Link, Relay};

use crate::counter::Counter;
use crate::table::Row;
use crate::world::{Agent, World};

const RATE_BITS_PER_S: u64 = 64_000;
const ROUND_TRIP: Duration = Duration::from_millis(600);
const RECORDS: i64 = 60;
/// Of different sizes, as photos and scans are: 256 KiB together.
const FILES_BYTES: [usize; 8] =
    [8 << 10, 14 << 10, 20 << 10, 26 << 10, 34 << 10, 44 << 10, 52 << 10, 58 << 10];
const FILES: i64 = FILES_BYTES.len() as i64;
const CUTS: u64 = 10;
/// As the agent packs records.
const ZSTD_LEVEL: i32 = 12;
const GIVEN_UP_AFTER: Duration = Duration::from_secs(600);

pub fn run() -> anyhow::Result<Vec<Row>> {
    let undisturbed = sync_one_visit(0)?;
    let cut = sync_one_visit(CUTS)?;
    let ideal_s = undisturbed.payload_bytes() as f64 * 8.0 / RATE_BITS_PER_S as f64;
    let whole_s = undisturbed.whole.as_secs_f64();
    let records_s = undisturbed.records_held_after.as_secs_f64();
    let shape = "64 kbit/s, 600 ms";
    let bytes = |sync: &Sync| format!("{} B of files + {} B of records", sync.file_bytes, sync.record_bytes);
    Ok(vec![
        Row::new(
            format!("60 records at headquarters over {shape}"),
            format!("{records_s:.1} s"),
            format!(
                "{} B of records ÷ rate: {:.1} s",
                undisturbed.record_bytes,
                undisturbed.record_bytes as f64 * 8.0 / RATE_BITS_PER_S as f64
            ),
        )
        .within(records_s, 10.0, "s"),
        Row::new(
            format!("the whole visit over {shape}, receipts held"),
            format!("{whole_s:.1} s"),
            format!("{} ÷ rate: {ideal_s:.1} s", bytes(&undisturbed)),
        )
        .at_most(whole_s / ideal_s, 1.25),
        Row::new(
            format!("the same through {} cuts: content delivered", cut.cuts),
            format!("{} B in {:.0} s", cut.content_bytes, cut.whole.as_secs_f64()),
            bytes(&cut),
        )
        .at_most(cut.content_bytes as f64 / cut.payload_bytes() as f64, 1.02),
        Row::new(
            "  all that went up, with every request's head",
            format!("{} B up, {} B down", cut.up_bytes, cut.down_bytes),
            format!("uncut: {} B up, {} B down", undisturbed.up_bytes, undisturbed.down_bytes),
        )
        .ratio(cut.up_bytes as f64 / cut.payload_bytes() as f64),
    ])
}

/// What one sync took.
struct Sync {
    records_held_after: Duration,
    whole: Duration,
    /// Sealed.
    file_bytes: u64,
    /// Packed, as they are sent.
    record_bytes: u64,
    up_bytes: u64,
    down_bytes: u64,
    /// Bytes of files and records that arrived, those that arrived twice counted twice.
    content_bytes: u64,
    cuts: u64,
}

impl Sync {
    fn payload_bytes(&self) -> u64 {
        self.file_bytes + self.record_bytes
    }
}

fn sync_one_visit(cuts: u64) -> anyhow::Result<Sync> {
    let world = World::start(DatabaseKind::Sqlite)?;
    let visit = world.schedule_visit()?;
    let link = Link { rate_bits_per_s: Some(RATE_BITS_PER_S), round_trip: ROUND_TRIP, ..Link::default() };
    let counter = Counter::start(world.server.address())?;
    let relay = Relay::start(counter.address, link);
    let agent = Agent::enrolled(&relay.base_url(), &world.enrolment_code())?;
    record_visit(&agent, &visit)?;
    let mut conn = world.server.database().connect();
    let (up_before, down_before) = (relay.bytes_up(), relay.bytes_down());
    let content_before = counter.content_bytes();
    let expected_bytes = FILES_BYTES.iter().sum::<usize>() as u64;
    let mut cuts_left: Vec<u64> =
        (1..=cuts).rev().map(|nth| up_before + nth * expected_bytes / (cuts + 1)).collect();
    let mut records_held_after = None;
    let begun = Instant::now();
    let mut syncing = agent.command(&["sync"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    while syncing.try_wait()?.is_none() {
        ensure!(begun.elapsed() < GIVEN_UP_AFTER, "the sync does not end");
        if cuts_left.last().is_some_and(|at| relay.bytes_up() >= *at) {
            cuts_left.pop();
            relay.cut();
        }
        if records_held_after.is_none()
            && count(&mut conn, "select count(*) as value from records")? == RECORDS
        {
            records_held_after = Some(begun.elapsed());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let whole = begun.elapsed();
    let done = syncing.wait_with_output()?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    ensure!(done.status.success(), "sync ended with {}: {said}", done.status);
    ensure!(cuts_left.is_empty(), "the sync ended before {} cuts", cuts_left.len());
    let stored = count(&mut conn, "select count(*) as value from evidence_files where state = 'stored'")?;
    ensure!(stored == FILES, "{stored} of {FILES} files are stored");
    let file_bytes = count(&mut conn, "select sum(sealed_size_bytes) as value from evidence_files")?;
    let sync = Sync {
        records_held_after: records_held_after.context("the records are not at headquarters")?,
        whole,
        file_bytes: u64::try_from(file_bytes)?,
        record_bytes: packed_records(&mut conn)?,
        up_bytes: relay.bytes_up() - up_before,
        down_bytes: relay.bytes_down() - down_before,
        content_bytes: counter.content_bytes() - content_before,
        cuts: relay.cuts(),
    };
    Ok(sync)
}

/// A visit of exactly so many records and files.
fn record_visit(agent: &Agent, visit: &str) -> anyhow::Result<()> {
    let place = ["--at", "52.5000,13.4000,8"];
    let with =
        |arguments: &[&str]| -> anyhow::Result<()> { agent.run(&[arguments, &place].concat()).map(|_| ()) };
    with(&["open", visit])?;
    let mut random = fastrand::Rng::with_seed(5);
    for size_bytes in FILES_BYTES {
        let path = agent.file(&format!("document-{size_bytes}.bin"));
        std::fs::write(&path, (0..size_bytes).map(|_| random.u8(..)).collect::<Vec<_>>())?;
        with(&["capture", "--document", &path.display().to_string()])?;
    }
    for number in 0..RECORDS - FILES - 2 {
        let text = format!(
            "Observation {number}: cabinet {} was opened by the host and looked into.",
            random.u16(..)
        );
        with(&["note", &text])?;
    }
    with(&["close", "partial"])
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

fn count(conn: &mut PooledConn, query: &str) -> anyhow::Result<i64> {
    Ok(diesel::sql_query(query).get_result::<Number>(&mut **conn)?.value)
}

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Binary)]
    envelope: Vec<u8>,
}

/// The size of all records in one packed batch, which is how they are sent.
fn packed_records(conn: &mut PooledConn) -> anyhow::Result<u64> {
    let kept: Vec<Kept> = diesel::sql_query("select seq, envelope from records").load(&mut **conn)?;
    let in_order: BTreeMap<i64, Vec<u8>> = kept.into_iter().map(|kept| (kept.seq, kept.envelope)).collect();
    let lines: Vec<u8> = in_order
        .into_values()
        .flat_map(|envelope| envelope.into_iter().chain(std::iter::once(b'\n')))
        .collect();
    Ok(zstd::bulk::compress(&lines, ZSTD_LEVEL)?.len() as u64)
}
