//! The receipts that go back with a stick: those of what was carried, with proofs, and how the log grew since
//! the device last heard of it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use ed25519_dalek::SigningKey;
use endcheck_protocol::carry::{
    CarriedReceipts, RECEIPTS_FILE, RECEIPTS_SCHEMA, RECEIPTS_TYPE, ReceiptsHead, SetAside,
};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope;
use endcheck_protocol::ids::DeviceId;
use endcheck_protocol::sync::{Quarantine, ReceiptPage};

use super::super::http::shared_hashes;
use super::super::store;
use crate::app::App;
use crate::db::{CHUNK, Conn};
use crate::error::Result;
use crate::log;

/// Receipts of the device for these records, and for those that name these sealed files.
pub(super) fn of(
    conn: &mut Conn,
    app: &App,
    device: &DeviceId,
    records: &BTreeSet<Sha256>,
    sealed: &BTreeSet<Sha256>,
    log_size: u64,
) -> Result<CarriedReceipts> {
    let mut wanted = records.clone();
    let sealed: Vec<Sha256> = sealed.iter().cloned().collect();
    for sealed in sealed.chunks(CHUNK) {
        wanted.extend(store::records_naming(conn, device, sealed)?);
    }
    let wanted: Vec<Sha256> = wanted.into_iter().collect();
    let mut found = Vec::new();
    let mut set_aside = Vec::new();
    for wanted in wanted.chunks(CHUNK) {
        found.extend(store::receipts_for(conn, device, wanted)?);
        set_aside.extend(store::held(conn, wanted)?.into_iter().filter_map(|held| {
            let (code, detail) = held.quarantine?;
            Some(SetAside { record: held.hash, quarantine: Quarantine { code, detail } })
        }));
    }
    found.sort();
    let indexes: Vec<u64> = found.iter().map(|(index, _)| u64::try_from(*index).unwrap_or(0)).collect();
    // What the device holds is not larger than the log; a package may say anything.
    let log_size = log_size.min(log::head(conn)?.size);
    let covers = indexes.last().map_or(0, |index| index + 1);
    let (size, state) = log::state(conn, &app.keys.log, &app.witnesses, log_size, covers)?;
    let (hashes, paths) = shared_hashes(log::prove(conn, &indexes, size)?);
    Ok(CarriedReceipts {
        device: device.clone(),
        growth: log::growth(conn, log_size, size)?,
        page: ReceiptPage {
            cursor: 0,
            more: false,
            receipts: found.into_iter().map(|(_, envelope)| envelope).collect(),
            log: state,
            hashes,
            paths,
        },
        set_aside,
    })
}

/// Writes the receipts into the package's folder, signed, whole or not at all.
pub(super) fn write(folder: &Path, receipts: &CarriedReceipts, authority: &SigningKey) -> anyhow::Result<()> {
    let content = serde_json::to_vec(receipts)?;
    let head = ReceiptsHead { schema: RECEIPTS_SCHEMA.to_owned(), content: Sha256::of(&content) };
    let head = envelope::sign(RECEIPTS_TYPE, &head, authority)?;
    let part = folder.join(format!("{RECEIPTS_FILE}.part"));
    // A link that somebody left on the stick is removed, never followed.
    match fs::remove_file(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&part)?;
    file.write_all(&[head.as_slice(), b"\n", &content, b"\n"].concat())?;
    file.sync_all()?;
    fs::rename(&part, folder.join(RECEIPTS_FILE))?;
    File::open(folder)?.sync_all()?;
    Ok(())
}
