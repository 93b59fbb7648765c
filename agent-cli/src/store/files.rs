//! Sealed copies: which are held, which may go, and the sweep of what a kill left behind.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::sync::UnsentFile;
use serde::Serialize;

use super::schema::files;
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
        let file = Self::file(home)?;
        file.lock().context("the store cannot be locked")?;
        Ok(Self(file))
    }

    fn shared(home: &Path) -> anyhow::Result<Self> {
        let file = Self::file(home)?;
        file.lock_shared().context("the store cannot be locked")?;
        Ok(Self(file))
    }

    /// Nothing when another agent holds the lock in any way.
    fn try_exclusive(home: &Path) -> anyhow::Result<Option<Self>> {
        let file = Self::file(home)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).context("the store cannot be locked"),
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
    /// Leaves everything while another agent is at work.
    ///
    /// # Errors
    /// When the folder or the database cannot be read.
    pub fn sweep(&mut self) -> anyhow::Result<()> {
        let folder = self.sealed_folder();
        let cannot = || format!("the folder {} cannot be swept", folder.display());
        if fs::read_dir(&folder).with_context(cannot)?.next().is_none() {
            return Ok(());
        }
        let Some(_lock) = FolderLock::try_exclusive(&self.home)? else { return Ok(()) };
        let held: Vec<Sha256> =
            files::table.filter(files::state.eq(HELD)).select(files::sealed_sha256).load(&mut self.conn)?;
        let held: BTreeSet<_> = held.iter().map(|hash| seal::path(&folder, hash)).collect();
        for entry in fs::read_dir(&folder).with_context(cannot)? {
            let path = entry.with_context(cannot)?.path();
            if !held.contains(&path) {
                remove(&path).with_context(cannot)?;
            }
        }
        Ok(())
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
        rows.into_iter()
            .map(|(sealed_sha256, record, size_bytes)| {
                let file = UnsentFile { sealed_sha256, size_bytes: u64::try_from(size_bytes)? };
                Ok(WaitingFile { file, record })
            })
            .collect()
    }

    /// How much is held without a receipt.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn unsent_files(&mut self) -> anyhow::Result<Unsent> {
        let waiting = self.waiting_files()?;
        let bytes = waiting.iter().map(|waiting| waiting.file.size_bytes).sum();
        Ok(Unsent { files: u64::try_from(waiting.len())?, bytes })
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
