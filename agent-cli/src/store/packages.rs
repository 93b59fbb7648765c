//! What is sealed to headquarters and escrow once a visit is closed: from then on this device cannot read it.
//!
//! Sealing is one transaction: the packages stand, and the records, the checklist and the rest of the visit are
//! gone, or nothing has changed. A kill in between leaves the sealing to the next command.

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::sync::{MAX_RECORDS, MAX_RECORDS_BYTES, Receipt, UnsentPackage};

use super::Store;
use super::keys::mark_erased;
use super::put_setting;
use super::records::{CHAIN_HEAD, UNSENT, envelope_cell, open_record};
use super::schema::{files, packages, records, visits};
use super::visits::{LocalState, strip_closed};
use crate::chain::Head;
use crate::seal;
use crate::vault::StoreKey;

/// Bytes of records that one package holds at most: what sealing has in memory at once.
const MAX_PACKAGE_BYTES: usize = MAX_RECORDS_BYTES / 2;

/// Seq, hash, visit, sealed envelope.
type Readable = (i64, Sha256, Option<String>, Vec<u8>);

impl Store {
    /// Seals to `recipients` every record that no visit in hand needs any more: of closed visits, and of none
    /// while no visit is open. Takes all but its line in the list from each closed visit. Answers how many
    /// records were sealed.
    ///
    /// # Errors
    /// When sealing fails or the database cannot be written; then nothing changed.
    pub fn seal_closed(&mut self, recipients: &[age::x25519::Recipient]) -> anyhow::Result<usize> {
        let Self { conn, key, .. } = self;
        if !has_closed(conn)? && sealable(conn, 1)?.is_empty() {
            return Ok(0);
        }
        let sealed = conn.immediate_transaction(|conn| {
            let mut sealed = 0;
            loop {
                let run = run(sealable(conn, MAX_RECORDS)?, key)?;
                if run.is_empty() {
                    break;
                }
                sealed += run.len();
                seal_run(conn, key, &run, recipients)?;
            }
            strip_closed(conn, key)?;
            mark_erased(conn, key)?;
            anyhow::Ok(sealed)
        })?;
        self.empty_log().unwrap_or_default();
        Ok(sealed)
    }

    /// Packages of which headquarters has not answered for every record.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn unsent_packages(&mut self) -> anyhow::Result<Vec<UnsentPackage>> {
        let unsent = records::table
            .filter(records::state.eq(UNSENT).and(records::package.is_not_null()))
            .select(records::package.assume_not_null());
        let rows: Vec<(Sha256, i64, i64, i64)> = packages::table
            .filter(packages::hash.eq_any(unsent))
            .order(packages::first_seq)
            .select((packages::hash, packages::first_seq, packages::records, packages::size_bytes))
            .load(&mut self.conn)?;
        rows.into_iter()
            .map(|(hash, first_seq, records, size_bytes)| {
                Ok(UnsentPackage {
                    hash,
                    first_seq: u64::try_from(first_seq)?,
                    records: usize::try_from(records)?,
                    size_bytes: usize::try_from(size_bytes)?,
                })
            })
            .collect()
    }

    /// A package's sealed bytes, and the hashes of the records in it.
    ///
    /// # Errors
    /// When there is no such package.
    pub fn package(&mut self, hash: &Sha256) -> anyhow::Result<(Vec<u8>, Vec<Sha256>)> {
        let bytes = packages::table.find(hash.as_str()).select(packages::bytes).first(&mut self.conn)?;
        let held = records::table
            .filter(records::package.eq(hash.as_str()))
            .order(records::seq)
            .select(records::hash)
            .load(&mut self.conn)?;
        Ok((bytes, held))
    }

    /// Whether a file receipt fits what was noted of the file when its record was sealed; nothing where
    /// no such record was.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn fits_sealed(&mut self, receipt: &Receipt) -> anyhow::Result<Option<bool>> {
        let Receipt::File { record, sha256, sealed_sha256, size_bytes, .. } = receipt else {
            return Ok(None);
        };
        let noted: Option<Option<Sha256>> = files::table
            .filter(files::sealed_sha256.eq(sealed_sha256).and(files::record.eq(record)))
            .select(files::receipt_check)
            .first(&mut self.conn)
            .optional()?;
        Ok(noted.flatten().map(|noted| noted == receipt_check(record, sha256, sealed_sha256, *size_bytes)))
    }
}

/// What a receipt about a file must come to.
fn receipt_check(record: &Sha256, sha256: &Sha256, sealed_sha256: &Sha256, size_bytes: u64) -> Sha256 {
    let subject = Receipt::file_subject(record, sha256, sealed_sha256);
    Sha256::of_parts(&[&subject.to_bytes(), &size_bytes.to_be_bytes()])
}

fn has_closed(conn: &mut SqliteConnection) -> QueryResult<bool> {
    let closed = visits::table.filter(visits::state.eq(LocalState::Closed.name()));
    diesel::select(diesel::dsl::exists(closed)).get_result(conn)
}

/// The oldest records, so many at most, that no visit in hand needs any more.
fn sealable(conn: &mut SqliteConnection, at_most: usize) -> anyhow::Result<Vec<Readable>> {
    let over = visits::table
        .filter(visits::state.eq_any([LocalState::Closed.name(), LocalState::Sealed.name()]))
        .select(visits::id.nullable());
    let open = visits::table.filter(visits::state.eq(LocalState::Open.name()));
    let rows = records::table
        .filter(records::package.is_null())
        .filter(
            records::visit
                .eq_any(over)
                .or(records::visit.is_null().and(diesel::dsl::not(diesel::dsl::exists(open)))),
        )
        .order(records::seq)
        .limit(i64::try_from(at_most)?)
        .select((records::seq, records::hash, records::visit, records::sealed_envelope))
        .load(conn)?;
    Ok(rows)
}

/// A record that is about to be sealed.
struct Opened {
    head: Head,
    envelope: Vec<u8>,
    /// Its sealed file, and what a receipt for it must come to.
    file: Option<(Sha256, Sha256)>,
}

/// The beginning of `rows` that one package takes: without a hole in the chain, and not too large.
fn run(rows: Vec<Readable>, key: &StoreKey) -> anyhow::Result<Vec<Opened>> {
    let (mut run, mut size_bytes, mut expected) = (Vec::new(), 0_usize, None);
    for (seq, hash, _, sealed) in rows {
        if expected.is_some_and(|expected| expected != seq) {
            break;
        }
        expected = Some(seq + 1);
        let envelope = key.open(envelope_cell(&hash), &sealed)?.to_vec();
        size_bytes = size_bytes.saturating_add(envelope.len() + 1);
        if size_bytes > MAX_PACKAGE_BYTES && !run.is_empty() {
            break;
        }
        let held = open_record(key, hash, &sealed)?;
        let file = held.record.act.file().map(|file| {
            let check = receipt_check(&held.hash, &file.sha256, &file.sealed_sha256, file.size_bytes);
            (file.sealed_sha256.clone(), check)
        });
        run.push(Opened { head: Head::of(&held.hash, &held.record), envelope, file });
    }
    Ok(run)
}

fn seal_run(
    conn: &mut SqliteConnection,
    key: &StoreKey,
    run: &[Opened],
    recipients: &[age::x25519::Recipient],
) -> anyhow::Result<()> {
    let Some(newest) = run.last() else { return Ok(()) };
    let envelopes: Vec<&[u8]> = run.iter().map(|opened| opened.envelope.as_slice()).collect();
    let bytes = seal::seal_records(&envelopes, recipients)?;
    let hash = Sha256::of(&bytes);
    let size_bytes: usize = envelopes.iter().map(|envelope| envelope.len() + 1).sum();
    let first_seq = run.first().map_or(newest.head.seq, |opened| opened.head.seq);
    diesel::insert_into(packages::table)
        .values((
            packages::hash.eq(hash.as_str()),
            packages::first_seq.eq(i64::try_from(first_seq)?),
            packages::records.eq(i64::try_from(run.len())?),
            packages::size_bytes.eq(i64::try_from(size_bytes)?),
            packages::bytes.eq(bytes),
        ))
        .execute(conn)?;
    for opened in run {
        diesel::update(records::table.filter(records::hash.eq(&opened.head.hash)))
            .set((records::package.eq(hash.as_str()), records::sealed_envelope.eq(Vec::<u8>::new())))
            .execute(conn)?;
        if let Some((sealed_sha256, check)) = &opened.file {
            diesel::update(files::table.find(sealed_sha256))
                .set(files::receipt_check.eq(check.as_str()))
                .execute(conn)?;
        }
    }
    // The chain goes on after the newest record, even where that can no longer be read.
    let is_head: Option<i64> = records::table.select(diesel::dsl::max(records::seq)).first(conn)?;
    if is_head == i64::try_from(newest.head.seq).ok() {
        put_setting(conn, key, CHAIN_HEAD, &newest.head)?;
    }
    Ok(())
}

#[cfg(test)]
impl Store {
    /// Everything that can be read with the passphrase, from every column that is sealed under the store key.
    pub fn readable(&mut self) -> Vec<Vec<u8>> {
        use super::schema::{day_keys, receipts, settings};
        use crate::vault::Cell;
        let mut cells: Vec<(&'static str, &'static str, String, Vec<u8>)> = Vec::new();
        macro_rules! collect {
            ($table:ident, $id:ident, $column:ident) => {
                let rows: Vec<(String, Option<Vec<u8>>)> = $table::table
                    .select(($table::$id, $table::$column.nullable()))
                    .load(&mut self.conn)
                    .unwrap();
                let named = |(row, sealed): (String, Option<Vec<u8>>)| {
                    (stringify!($table), stringify!($column), row, sealed.unwrap_or_default())
                };
                cells.extend(rows.into_iter().map(named));
            };
        }
        collect!(settings, name, sealed_value);
        collect!(day_keys, fingerprint, sealed_secret);
        collect!(visits, id, sealed_packet);
        collect!(records, hash, sealed_envelope);
        collect!(records, hash, sealed_quarantine);
        collect!(receipts, hash, sealed_envelope);
        collect!(receipts, hash, sealed_proof);
        cells
            .into_iter()
            .filter(|(_, _, _, sealed)| !sealed.is_empty())
            .map(|(table, column, row, sealed)| {
                self.key.open(Cell { table, column, row: &row }, &sealed).unwrap().to_vec()
            })
            .collect()
    }

    /// The sealed bytes of every record and packet that is still here.
    pub fn sealed_cells(&mut self) -> Vec<Vec<u8>> {
        let mut cells: Vec<Vec<u8>> =
            records::table.select(records::sealed_envelope).load(&mut self.conn).unwrap();
        cells.extend(visits::table.select(visits::sealed_packet).load::<Vec<u8>>(&mut self.conn).unwrap());
        cells
    }

    /// Every package, oldest first.
    pub fn packages(&mut self) -> Vec<Vec<u8>> {
        packages::table.order(packages::first_seq).select(packages::bytes).load(&mut self.conn).unwrap()
    }
}
