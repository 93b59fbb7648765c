//! Receipts: kept as proof; a file receipt that fits its record lets the sealed copy go.

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::sync::Receipt;

use super::schema::{files, receipts};
use super::{Store, put_setting};
use crate::vault::Cell;

/// A receipt whose signature and place in the log were checked.
pub struct CheckedReceipt {
    /// As it came.
    pub envelope: String,
    pub receipt: Receipt,
    /// That its entry is in the log, as a C2SP tlog-proof.
    pub proof: String,
}

/// A receipt as it is kept.
pub struct KeptReceipt {
    pub record: Sha256,
    pub envelope: Vec<u8>,
    pub proof: Option<Vec<u8>>,
}

/// Hash, record, sealed envelope, sealed proof.
type ReceiptRow = (Sha256, Sha256, Vec<u8>, Option<Vec<u8>>);

fn envelope_cell(hash: &Sha256) -> Cell<'_> {
    Cell { table: "receipts", column: "sealed_envelope", row: hash.as_str() }
}

fn proof_cell(hash: &Sha256) -> Cell<'_> {
    Cell { table: "receipts", column: "sealed_proof", row: hash.as_str() }
}

impl Store {
    /// Every receipt that is kept.
    ///
    /// # Errors
    /// When the database or a receipt is damaged.
    pub fn receipts(&mut self) -> anyhow::Result<Vec<KeptReceipt>> {
        let rows: Vec<ReceiptRow> = receipts::table
            .select((receipts::hash, receipts::record, receipts::sealed_envelope, receipts::sealed_proof))
            .order((receipts::record, receipts::hash))
            .load(&mut self.conn)?;
        rows.into_iter()
            .map(|(hash, record, envelope, proof)| {
                Ok(KeptReceipt {
                    record,
                    envelope: self.key.open(envelope_cell(&hash), &envelope)?.to_vec(),
                    proof: proof
                        .map(|proof| anyhow::Ok(self.key.open(proof_cell(&hash), &proof)?.to_vec()))
                        .transpose()?,
                })
            })
            .collect()
    }

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
            for CheckedReceipt { envelope, receipt, proof } in page {
                let hash = Sha256::of(envelope.as_bytes());
                let (Receipt::Record { record, .. } | Receipt::File { record, .. }) = receipt;
                let sealed_proof = key.seal(proof_cell(&hash), proof.as_bytes())?;
                diesel::insert_into(receipts::table)
                    .values((
                        receipts::hash.eq(&hash),
                        receipts::record.eq(record),
                        receipts::sealed_envelope.eq(key.seal(envelope_cell(&hash), envelope.as_bytes())?),
                        receipts::sealed_proof.eq(&sealed_proof),
                    ))
                    .on_conflict(receipts::hash)
                    .do_update()
                    .set(receipts::sealed_proof.eq(&sealed_proof))
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
