//! Receipts: kept as proof; a file receipt that fits its record lets the sealed copy go.

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::sync::Receipt;

use super::schema::{files, receipts};
use super::{Store, put_setting};
use crate::vault::Cell;

/// A receipt whose signature was checked, with the envelope it came in.
pub struct CheckedReceipt {
    pub envelope: String,
    pub receipt: Receipt,
}

impl Store {
    /// Keeps a page of receipts and where the next one begins, all or none; releases the copies
    /// named in `released`, which the caller checked against their records, and answers how many of
    /// them were held until now.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn keep_receipts(
        &mut self,
        page: &[CheckedReceipt],
        released: &[Sha256],
        cursor: i64,
    ) -> anyhow::Result<u64> {
        let Self { conn, key, .. } = self;
        conn.immediate_transaction(|conn| {
            for CheckedReceipt { envelope, receipt } in page {
                let hash = Sha256::of(envelope.as_bytes());
                let (Receipt::Record { record, .. } | Receipt::File { record, .. }) = receipt;
                let cell = Cell { table: "receipts", column: "sealed_envelope", row: hash.as_str() };
                diesel::insert_into(receipts::table)
                    .values((
                        receipts::hash.eq(&hash),
                        receipts::record.eq(record),
                        receipts::sealed_envelope.eq(key.seal(cell, envelope.as_bytes())?),
                    ))
                    .on_conflict_do_nothing()
                    .execute(conn)?;
            }
            let mut let_go = 0;
            for sealed_sha256 in released {
                let row = files::table.find(sealed_sha256).filter(files::state.eq(super::files::HELD));
                let_go += diesel::update(row).set(files::state.eq(super::files::RELEASED)).execute(conn)?;
            }
            put_setting(conn, key, super::RECEIPT_CURSOR, &cursor)?;
            Ok(u64::try_from(let_go)?)
        })
    }
}
