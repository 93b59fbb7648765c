//! What the log costs: records appended and receipted, beside the same rows inserted with neither; and one
//! append and one proof at three sizes of the log.

use anyhow::Context as _;
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use ed25519_dalek::SigningKey;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::DeviceId;
use endcheck_protocol::sync::Receipt;
use endcheck_server::db::Conn;
use endcheck_server::db::schema::records;
use endcheck_server::evidence::receipts::{self, ReceiptRow};
use endcheck_server::log::{self, EntryKind, Logged};
use endcheck_tests::{DatabaseKind, TestDatabase};

use crate::measure::{median, now, timed};
use crate::table::Row;

/// What a device hands in at once.
const BATCH: usize = 200;
const ROUNDS: usize = 25;
const SIZES: [u64; 3] = [1_000, 100_000, 1_000_000];

pub fn run() -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (kind, name) in [(DatabaseKind::Sqlite, "SQLite"), (DatabaseKind::Postgres, "PostgreSQL")] {
        let database = TestDatabase::new(kind);
        let mut conn = database.connect();
        conn.batch_execute(database.without_references())?;
        let device = DeviceId::mint();
        let key = SigningKey::from_bytes(&[5; 32]);
        let (mut logged, mut plain) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let (took, ()) = timed(|| append(&mut conn, &device, &key))?;
            let (plainly, ()) = timed(|| without(&mut conn, &device))?;
            // The first round makes files and plans.
            if round > 0 {
                logged.push(took.as_secs_f64());
                plain.push(plainly.as_secs_f64());
            }
        }
        let per_second = |times: &[f64]| BATCH as f64 / median(times);
        let (ours, plainly) = (per_second(&logged), per_second(&plain));
        rows.push(
            Row::new(
                format!("records appended to the log and receipted, {name}"),
                format!("{ours:.0} a second"),
                format!("the same rows without log and signature: {plainly:.0} a second"),
            )
            .at_least(ours / plainly, 0.7),
        );
        rows.extend(growth(&mut conn, name)?);
    }
    Ok(rows)
}

fn subjects() -> Vec<(Sha256, Vec<u8>)> {
    (0..BATCH)
        .map(|_| {
            // As long as an envelope of a short record.
            let bytes: Vec<u8> =
                std::iter::repeat_with(|| fastrand::alphanumeric() as u8).take(1400).collect();
            (Sha256::of(&bytes), bytes)
        })
        .collect()
}

fn append(conn: &mut Conn, device: &DeviceId, authority: &SigningKey) -> anyhow::Result<()> {
    let batch = subjects();
    let hashes: Vec<Sha256> = batch.iter().map(|(hash, _)| hash.clone()).collect();
    conn.write(|conn| {
        let logged = log::append_all(conn, EntryKind::Record, &hashes, now().into())?;
        let given: Vec<Receipt> =
            hashes.iter().zip(&logged).map(|(hash, logged)| receipt(device, hash, logged)).collect();
        receipts::keep_after(conn, &given, authority, |conn| {
            let indexes = logged.iter().map(|logged| logged.index);
            batch.iter().zip(indexes).try_for_each(|(record, index)| insert(conn, device, record, index))
        })
    })
    .context("appending")
}

/// The same rows, with neither the log's nor a signature.
fn without(conn: &mut Conn, device: &DeviceId) -> anyhow::Result<()> {
    let batch = subjects();
    // As long as a receipt.
    let text = "r".repeat(800);
    conn.write(|conn| {
        let before = -i64::from(fastrand::u32(1..)) * 4096;
        let mut given = Vec::new();
        for (record, index) in batch.iter().zip(before..) {
            insert(conn, device, record, index)?;
            given.push(ReceiptRow {
                log_index: index,
                device_id: device,
                record_hash: &record.0,
                kind: "record",
                envelope: &text,
            });
        }
        receipts::insert(conn, &given)
    })
    .context("inserting")
}

fn receipt(device: &DeviceId, record: &Sha256, logged: &Logged) -> Receipt {
    Receipt::Record {
        device: device.clone(),
        record: record.clone(),
        quarantined: false,
        log_index: u64::try_from(logged.index).unwrap_or(0),
        salt: logged.salt.clone(),
        logged_at: logged.at,
    }
}

fn insert(
    conn: &mut Conn,
    device: &DeviceId,
    (hash, bytes): &(Sha256, Vec<u8>),
    index: i64,
) -> endcheck_server::error::Result<()> {
    diesel::insert_into(records::table)
        .values((
            records::hash.eq(hash),
            records::device_id.eq(device),
            records::keyid.eq(hash.as_str()),
            records::kind.eq("note"),
            records::received_at.eq(endcheck_protocol::time::Timestamp::from(now())),
            records::log_index.eq(index),
            records::envelope.eq(bytes),
        ))
        .execute(conn)?;
    Ok(())
}

/// One append of a batch and one proof, at each size.
fn growth(conn: &mut Conn, name: &str) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for size in SIZES {
        fill(conn, size)?;
        let mut appends = Vec::new();
        let mut proofs = Vec::new();
        for _ in 0..ROUNDS {
            let hashes: Vec<Sha256> = subjects().into_iter().map(|(hash, _)| hash).collect();
            let (took, _) = timed(|| {
                Ok(conn.write(|conn| log::append_all(conn, EntryKind::Record, &hashes, now().into()))?)
            })?;
            appends.push(took.as_secs_f64() * 1e6 / BATCH as f64);
            let head = log::head(conn)?.size;
            let (took, _) = timed(|| Ok(log::prove(conn, &[fastrand::u64(..head)], head)?))?;
            proofs.push(took.as_secs_f64() * 1e6);
        }
        rows.push(Row::new(
            format!("log of {size} entries, {name}"),
            format!("append {:.0} µs an entry, proof {:.0} µs", median(&appends), median(&proofs)),
            "",
        ));
    }
    Ok(rows)
}

/// Appends until the log has so many entries.
fn fill(conn: &mut Conn, size: u64) -> anyhow::Result<()> {
    loop {
        let left = size.saturating_sub(log::head(conn)?.size);
        if left == 0 {
            return Ok(());
        }
        let count = usize::try_from(left.min(20_000))?;
        let subject = Sha256::of(b"filling");
        let subjects = vec![subject; count];
        conn.write(|conn| log::append_all(conn, EntryKind::Custody, &subjects, now().into()))?;
    }
}
