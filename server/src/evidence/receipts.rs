//! Receipts: what headquarters signs for the records and files that it holds.

use diesel::prelude::*;
use ed25519_dalek::SigningKey;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{self, RECEIPT_TYPE};
use endcheck_protocol::ids::DeviceId;
use endcheck_protocol::sync::Receipt;

use crate::db::schema::receipts;
use crate::db::{Conn, insert_rows};
use crate::error::Result;

/// A receipt as it is kept.
#[derive(Insertable)]
#[diesel(table_name = receipts, treat_none_as_default_value = false)]
pub struct ReceiptRow<'a> {
    pub log_index: i64,
    pub device_id: &'a DeviceId,
    pub record_hash: &'a Sha256,
    /// `record` or `file`.
    pub kind: &'static str,
    pub envelope: &'a str,
}

impl<'a> ReceiptRow<'a> {
    fn of(receipt: &'a Receipt, envelope: &'a str) -> Self {
        let (kind, device_id, record_hash, log_index) = match receipt {
            Receipt::Record { device, record, log_index, .. } => ("record", device, record, *log_index),
            Receipt::File { device, record, log_index, .. } => ("file", device, record, *log_index),
        };
        let log_index = i64::try_from(log_index).unwrap_or(i64::MAX);
        Self { log_index, device_id, record_hash, kind, envelope }
    }
}

/// Signs receipts and keeps them.
///
/// # Errors
/// When the database fails.
pub fn keep(conn: &mut Conn, receipts: &[Receipt], authority: &SigningKey) -> Result<()> {
    insert_all(conn, receipts, &sign_all(receipts, authority)?)
}

/// Does `work` while another thread signs, which takes as long; then keeps the receipts.
///
/// # Errors
/// Those of the work; when the database fails.
pub fn keep_after<T>(
    conn: &mut Conn,
    receipts: &[Receipt],
    authority: &SigningKey,
    work: impl FnOnce(&mut Conn) -> Result<T>,
) -> Result<T> {
    let (done, signed) = std::thread::scope(|scope| {
        let signing = scope.spawn(|| sign_all(receipts, authority));
        (work(conn), signing.join())
    });
    let (done, signed) = (done?, signed.map_err(|_| anyhow::anyhow!("signing receipts panicked"))?);
    insert_all(conn, receipts, &signed?)?;
    Ok(done)
}

fn sign_all(receipts: &[Receipt], authority: &SigningKey) -> Result<Vec<String>> {
    let sign = |receipt| -> anyhow::Result<String> {
        Ok(String::from_utf8(envelope::sign(RECEIPT_TYPE, receipt, authority)?)?)
    };
    Ok(receipts.iter().map(sign).collect::<anyhow::Result<_>>()?)
}

fn insert_all(conn: &mut Conn, receipts: &[Receipt], signed: &[String]) -> Result<()> {
    let rows: Vec<_> =
        receipts.iter().zip(signed).map(|(receipt, envelope)| ReceiptRow::of(receipt, envelope)).collect();
    insert(conn, &rows)
}

/// Keeps signed receipts.
///
/// # Errors
/// When the database fails.
pub fn insert(conn: &mut Conn, rows: &[ReceiptRow<'_>]) -> Result<()> {
    insert_rows!(conn, receipts::table, rows);
    Ok(())
}
