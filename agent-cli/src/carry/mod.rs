//! Carrying by hand, where there is no network or the device will not come back to one: a sealed package for
//! a stick, and the receipts that come back on it.
//!
//! What is written can be opened by headquarters and the escrow officer alone, and tells a finder no more
//! than how many parts there are and how large. Nothing on the device is removed by writing it; that is
//! what receipts are for, by the same rules as over the network.

mod receipts;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use endcheck_protocol::carry::{
    MANIFEST_FILE, PACKAGE_FILE, PACKAGE_SCHEMA, PACKAGE_TYPE, Package, manifest, package_folder, part_name,
    read_manifest,
};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope;
use endcheck_protocol::sync::{Operation, SyncHead, plan};
use serde::Serialize;

pub use receipts::{TakenIn, take_in};

use crate::hashing::hashed;
use crate::seal;
use crate::session::Session;

/// What was written.
#[derive(Debug, Serialize)]
pub struct Written {
    /// The package's own folder on the stick.
    pub folder: PathBuf,
    pub records: u64,
    pub files: u64,
    /// Files that were there already, whole.
    pub files_there: u64,
    /// Sealed bytes written now.
    pub bytes: u64,
}

/// Writes what headquarters has not confirmed into a package on `stick`. May be repeated: what is there and
/// whole is left as it is, and nothing is removed from either side.
///
/// # Errors
/// When the stick cannot be written or a sealed copy not be read.
pub fn write(session: &mut Session<'_>, stick: &Path) -> anyhow::Result<Written> {
    let key = &session.identity.sign_in_key;
    let folder = stick.join(package_folder(&envelope::fingerprint(&key.verifying_key())));
    let cannot = || format!("{} cannot be written", folder.display());
    fs::create_dir_all(&folder).with_context(cannot)?;
    anyhow::ensure!(
        fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir()),
        "{} is a link, not a folder: somebody changed this stick. Use another one.",
        folder.display()
    );
    let mut written = Written { folder: folder.clone(), records: 0, files: 0, files_there: 0, bytes: 0 };
    let mut parts: BTreeSet<Sha256> = BTreeSet::new();

    let recipients = seal::recipients(&session.identity.certificate.recipients)?;
    let (records, packages) = (session.store.unsent_records()?, session.store.unsent_packages()?);
    for operation in plan(&records, &packages, &[], &nothing_known(session)) {
        let sealed = match operation {
            Operation::SendRecords(hashes) => {
                let mut envelopes = Vec::new();
                for hash in &hashes {
                    envelopes.extend(session.store.envelope(hash)?);
                }
                let lines: Vec<&[u8]> = envelopes.iter().map(Vec::as_slice).collect();
                vec![(seal::seal_records(&lines, &recipients)?, envelopes.len())]
            }
            // Sealed when the visit was closed, in the same form; they go as they are.
            Operation::SendPackages(hashes) => {
                let package = |hash| session.store.package(hash).map(|(bytes, held)| (bytes, held.len()));
                hashes.iter().map(package).collect::<anyhow::Result<_>>()?
            }
            Operation::CreateUpload { .. } | Operation::ResumeUpload { .. } => Vec::new(),
        };
        for (bytes, count) in sealed {
            let name = Sha256::of(&bytes);
            write_durably(&folder, &part_name(&name), &bytes).with_context(cannot)?;
            written.records += u64::try_from(count)?;
            written.bytes += u64::try_from(bytes.len())?;
            parts.insert(name);
        }
    }
    let sealed_folder = session.store.sealed_folder();
    for waiting in session.store.waiting_files()? {
        if waiting.set_aside {
            continue;
        }
        let sealed = waiting.file.sealed_sha256;
        if is_whole(&folder.join(part_name(&sealed)), &sealed) {
            written.files_there += 1;
        } else {
            written.bytes += copy(&seal::path(&sealed_folder, &sealed), &folder, &sealed)?;
            written.files += 1;
        }
        parts.insert(sealed);
    }
    // What an earlier run wrote stays part of the package as long as it is whole.
    let before = folder.join(MANIFEST_FILE);
    let before =
        if is_plain(&before) { fs::read_to_string(before).unwrap_or_default() } else { String::new() };
    for part in read_manifest(&before).unwrap_or_default() {
        if !parts.contains(&part) && is_whole(&folder.join(part_name(&part)), &part) {
            parts.insert(part);
        }
    }
    let list = manifest(&parts.into_iter().collect::<Vec<_>>());
    let package = Package {
        schema: PACKAGE_SCHEMA.to_owned(),
        manifest: Sha256::of(list.as_bytes()),
        log_size: session.store.checkpoint()?.map_or(0, |held| held.size),
    };
    let signed = envelope::sign(PACKAGE_TYPE, &package, &session.identity.sign_in_key)?;
    write_durably(&folder, MANIFEST_FILE, list.as_bytes()).with_context(cannot)?;
    write_durably(&folder, PACKAGE_FILE, &signed).with_context(cannot)?;
    Ok(written)
}

/// A head of nothing: all that is unsent is to be written.
fn nothing_known(session: &Session<'_>) -> SyncHead {
    SyncHead {
        server_at: session.environment.now().device_at,
        records_held: 0,
        newest: None,
        awaited: Vec::new(),
        unreadable: Vec::new(),
        uploads: Vec::new(),
        log: endcheck_protocol::sync::LogState::default(),
    }
}

/// Whether the file is there with that content.
fn is_whole(path: &Path, expected: &Sha256) -> bool {
    is_plain(path) && File::open(path).and_then(hashed).is_ok_and(|found| found == *expected)
}

/// Whether a plain file lies there: whoever had the stick may have put a link to a file of ours there, or a pipe
/// that never ends.
fn is_plain(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

/// A new file beside the one it will replace; what lies there, such as a link, is removed and never followed.
fn fresh(part: &Path) -> std::io::Result<File> {
    match fs::remove_file(part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).open(part)
}

/// Copies a sealed copy as a part; its size.
fn copy(from: &Path, folder: &Path, sealed: &Sha256) -> anyhow::Result<u64> {
    let name = part_name(sealed);
    let part = folder.join(format!("{name}.part"));
    let copied = (|| {
        let mut source =
            File::open(from).with_context(|| format!("the sealed copy {} cannot be read", from.display()))?;
        let mut target = fresh(&part)?;
        let size_bytes = std::io::copy(&mut source, &mut target)?;
        target.sync_all()?;
        anyhow::ensure!(is_whole(&part, sealed), "the sealed copy {} is damaged", from.display());
        fs::rename(&part, folder.join(&name))?;
        File::open(folder)?.sync_all()?;
        Ok(size_bytes)
    })();
    if copied.is_err() {
        // A stick that is full keeps what was whole; the rest goes on another one.
        fs::remove_file(&part).unwrap_or_default();
    }
    copied.with_context(|| format!("{name} cannot be written into {}", folder.display()))
}

/// Writes a file so that it is either as before or whole and new.
fn write_durably(folder: &Path, name: &str, content: &[u8]) -> std::io::Result<()> {
    let part = folder.join(format!("{name}.part"));
    let mut file = fresh(&part)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&part, folder.join(name))?;
    File::open(folder)?.sync_all()
}
