//! Sealed copies: which are held, which may go, and the sweep of what a kill left behind.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::Context as _;
use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::sync::UnsentFile;
use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};
use serde::Serialize;

use super::schema::{files, records};
use super::{Store, remove, sync_folder};
use crate::seal;

pub(super) const HELD: &str = "held";
pub(super) const RELEASED: &str = "released";

/// Keeps the sweep away while sealed copies without rows are being made; freed when dropped.
pub struct FolderLock(#[expect(dead_code, reason = "holds the lock while it lives")] File);

impl FolderLock {
    fn file(home: &Path) -> anyhow::Result<File> {
        let path = home.join("lock");
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("the lock {} cannot be opened", path.display()))
    }

    pub(super) fn exclusive(home: &Path) -> anyhow::Result<Self> {
        Self::wait(home, FlockOperation::LockExclusive)
    }

    fn shared(home: &Path) -> anyhow::Result<Self> {
        Self::wait(home, FlockOperation::LockShared)
    }

    // Not `File::lock`: the standard library has it for Android only since Rust 1.98.
    fn wait(home: &Path, operation: FlockOperation) -> anyhow::Result<Self> {
        let file = Self::file(home)?;
        retry_on_intr(|| flock(&file, operation)).context("the store cannot be locked")?;
        Ok(Self(file))
    }

    /// Nothing when another agent holds the lock in any way.
    fn try_exclusive(home: &Path) -> anyhow::Result<Option<Self>> {
        let file = Self::file(home)?;
        match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => Ok(Some(Self(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error).context("the store cannot be locked"),
        }
    }
}

/// What would be lost with the device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Unsent {
    pub files: u64,
    pub bytes: u64,
}

/// A file without a receipt, and the record that names it.
#[derive(Debug, Clone)]
pub struct WaitingFile {
    pub file: UnsentFile,
    pub record: Sha256,
    /// Headquarters set its record aside: no receipt can come before a person looked at that.
    pub set_aside: bool,
}

/// What would be lost with the device, by what can still be done about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// A sync can hand these in.
    pub waiting: Unsent,
    /// Of records that headquarters set aside.
    pub set_aside: Unsent,
}

impl Store {
    /// To be held from before a sealed copy is made until its record stands.
    ///
    /// # Errors
    /// When the lock cannot be had.
    pub fn lock_folder(&self) -> anyhow::Result<FolderLock> {
        FolderLock::shared(&self.home)
    }

    /// Removes what no row holds: parts and copies that a kill left, copies that a receipt released.
    /// Leaves everything while another agent is at work. What is none of these stays and is told: the
    /// answer is a sentence for each.
    ///
    /// # Errors
    /// When the folder or the database cannot be read.
    pub fn sweep(&mut self) -> anyhow::Result<Vec<String>> {
        let folder = self.sealed_folder();
        let cannot = || format!("the folder {} cannot be read: look at its permissions", folder.display());
        match fs::read_dir(&folder).map(|mut entries| entries.next().is_none()) {
            Ok(true) => return Ok(Vec::new()),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.make_sealed_folder(),
            Err(error) => return Err(error).with_context(cannot),
        }
        let Some(_lock) = FolderLock::try_exclusive(&self.home)? else { return Ok(Vec::new()) };
        let held: Vec<Sha256> =
            files::table.filter(files::state.eq(HELD)).select(files::sealed_sha256).load(&mut self.conn)?;
        let held: BTreeSet<_> = held.iter().map(|hash| seal::path(&folder, hash)).collect();
        let mut odd = Vec::new();
        for entry in fs::read_dir(&folder).with_context(cannot)? {
            let entry = entry.with_context(cannot)?;
            let path = entry.path();
            if held.contains(&path) {
                continue;
            }
            let ours = entry.file_type().is_ok_and(|kind| kind.is_file())
                && path.extension().and_then(OsStr::to_str).is_some_and(|end| matches!(end, "age" | "part"));
            if !ours {
                odd.push(format!("{} is not endcheck's; it is left alone", path.display()));
            } else if let Err(error) = remove(&path) {
                odd.push(format!("the leftover {} cannot be removed: {error}", path.display()));
            }
        }
        Ok(odd)
    }

    fn make_sealed_folder(&mut self) -> anyhow::Result<Vec<String>> {
        let folder = self.sealed_folder();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.and_then(|()| sync_folder(&self.home))
            .with_context(|| format!("the folder {} is missing and cannot be made", folder.display()))?;
        let lost = self.waiting_files()?.len();
        let told = format!(
            "the folder {} was missing and is made anew; {lost} sealed copies without a receipt were in it",
            folder.display()
        );
        Ok(if lost == 0 { Vec::new() } else { vec![told] })
    }

    /// Files without a receipt, smallest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn waiting_files(&mut self) -> anyhow::Result<Vec<WaitingFile>> {
        let rows: Vec<(Sha256, Sha256, i64)> = files::table
            .filter(files::state.eq(HELD))
            .order((files::sealed_size_bytes, files::sealed_sha256))
            .select((files::sealed_sha256, files::record, files::sealed_size_bytes))
            .load(&mut self.conn)?;
        let set_aside: Vec<Sha256> = records::table
            .filter(records::state.eq(super::records::QUARANTINED))
            .select(records::hash)
            .load(&mut self.conn)?;
        let set_aside: BTreeSet<Sha256> = set_aside.into_iter().collect();
        rows.into_iter()
            .map(|(sealed_sha256, record, size_bytes)| {
                let file = UnsentFile { sealed_sha256, size_bytes: u64::try_from(size_bytes)? };
                Ok(WaitingFile { file, set_aside: set_aside.contains(&record), record })
            })
            .collect()
    }

    /// How much is held without a receipt.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn holdings(&mut self) -> anyhow::Result<Holdings> {
        let mut holdings = Holdings::default();
        for one in self.waiting_files()? {
            let sum = if one.set_aside { &mut holdings.set_aside } else { &mut holdings.waiting };
            sum.files += 1;
            sum.bytes += one.file.size_bytes;
        }
        Ok(holdings)
    }

    /// Removes the sealed copies that receipts released. Safe to repeat; the sweep does the same.
    ///
    /// # Errors
    /// When a copy cannot be removed.
    pub fn remove_released(&mut self, released: &[Sha256]) -> anyhow::Result<()> {
        let folder = self.sealed_folder();
        for sealed_sha256 in released {
            let path = seal::path(&folder, sealed_sha256);
            remove(&path).with_context(|| format!("{} cannot be removed", path.display()))?;
        }
        if !released.is_empty() {
            sync_folder(&folder)?;
        }
        Ok(())
    }
}
