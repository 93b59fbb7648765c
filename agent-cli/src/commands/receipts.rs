//! `receipts`: what proves, without headquarters, that it took something in.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use endcheck_protocol::envelope::public_key_to_base64;
use serde::Serialize;

use crate::cli::Receipts;
use crate::refusal::{ExitStatus, refuse};
use crate::session::Session;
use crate::ui;
use crate::verify::DeviceKeys;

#[derive(Serialize)]
struct Written {
    folder: PathBuf,
    receipts: usize,
}

pub(super) fn run(session: &mut Session<'_>, command: &Receipts) -> anyhow::Result<ExitStatus> {
    let folder = &command.folder;
    let cannot = || format!("{} cannot be written", folder.display());
    fs::create_dir_all(folder).with_context(cannot)?;
    if fs::read_dir(folder).with_context(cannot)?.next().is_some() {
        return Err(refuse(format!("{} is not empty", folder.display()), "Name a new folder."));
    }
    let write = |name: String, bytes: &[u8]| fs::write(folder.join(name), bytes).with_context(cannot);
    let device = &session.identity.certificate.device;
    write(format!("{device}.certificate.dsse.json"), session.identity.certificate_envelope.as_bytes())?;
    let record_keys = vec![public_key_to_base64(&session.identity.record_key.verifying_key())];
    write(format!("{device}.keys.json"), &serde_json::to_vec(&DeviceKeys { record_keys })?)?;
    let kept = session.store.receipts()?;
    for receipt in &kept {
        let kind = match session.identity.receipt(std::str::from_utf8(&receipt.envelope)?)? {
            endcheck_protocol::sync::Receipt::Record { .. } => "record",
            endcheck_protocol::sync::Receipt::File { .. } => "file",
        };
        write(format!("{}.dsse.json", receipt.record), &session.store.envelope(&receipt.record)?)?;
        write(format!("{}.{kind}-receipt.dsse.json", receipt.record), &receipt.envelope)?;
        if let Some(proof) = &receipt.proof {
            write(format!("{}.{kind}.tlog-proof", receipt.record), proof)?;
        }
    }
    let written = Written { folder: folder.clone(), receipts: kept.len() };
    session.ui.report(&written, || {
        format!("{} written to {}.", ui::count(kept.len() as u64, "receipt", "receipts"), folder.display())
    });
    Ok(ExitStatus::Success)
}
