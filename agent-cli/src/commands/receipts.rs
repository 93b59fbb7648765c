//! `receipts`: what proves, without headquarters, that it took something in.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{Envelope, RECORD_TYPE};
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
    let kept = session.store.receipts()?;
    let mut signed_by = BTreeSet::new();
    for receipt in &kept {
        let kind = match session.identity.receipt(std::str::from_utf8(&receipt.envelope)?)? {
            endcheck_protocol::sync::Receipt::Record { .. } => "record",
            endcheck_protocol::sync::Receipt::File { .. } => "file",
        };
        // A record that is sealed is named by its receipt alone.
        if let Some(envelope) = session.store.envelope(&receipt.record)? {
            signed_by.insert(Envelope::read(&envelope, RECORD_TYPE)?.keyid);
            write(format!("{}.dsse.json", receipt.record), &envelope)?;
        }
        write(format!("{}.{kind}-receipt.dsse.json", receipt.record), &receipt.envelope)?;
        if let Some(proof) = &receipt.proof {
            write(format!("{}.{kind}.tlog-proof", receipt.record), proof)?;
        }
    }
    let signed_by: Vec<Sha256> = signed_by.into_iter().collect();
    for (number, (certificate, envelope)) in session.identity.certificates.iter().enumerate() {
        if certificate.record_keys.iter().any(|key| signed_by.contains(&key.fingerprint)) {
            write(format!("{device}.certificate-{number}.dsse.json"), envelope.as_bytes())?;
        }
    }
    let record_keys = session.store.public_keys(&signed_by)?;
    write(format!("{device}.keys.json"), &serde_json::to_vec(&DeviceKeys { record_keys })?)?;
    let written = Written { folder: folder.clone(), receipts: kept.len() };
    session.ui.report(&written, || {
        format!("{} written to {}.", ui::count(kept.len() as u64, "receipt", "receipts"), folder.display())
    });
    Ok(ExitStatus::Success)
}
