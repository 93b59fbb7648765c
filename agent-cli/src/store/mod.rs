//! The device's own database: every payload column sealed, every acknowledged act durable.
//!
//! Each change is one `BEGIN IMMEDIATE` transaction with `synchronous = FULL`, so that two agents at
//! once take turns and a kill leaves all of a change or none. Only this folder writes SQL.

mod files;
mod keys;
mod log;
mod packages;
mod receipts;
mod records;
pub mod schema;
mod visits;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::environment::Environment;
use crate::refusal::refuse;
use crate::ui::Ui;
use crate::vault::{self, Cell, StoreKey};
use schema::settings;

pub use files::{Holdings, Unsent, WaitingFile};
#[cfg(test)]
pub use keys::FreshKey;
pub use keys::KeyTerm;
pub use log::{HeldCheckpoint, LogConflict};
pub use receipts::CheckedReceipt;
pub use records::{Appended, Counts, HeldRecord, Quarantined};
pub use visits::{HeldVisit, LocalState};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations/agent");
/// `PRAGMA user_version` that the newest migration sets.
const VERSION: i32 = 3;

/// The setting that says where the next page of receipts begins.
pub const RECEIPT_CURSOR: &str = "receipt-cursor";
/// The setting that says from which receipt on proofs lack the cosignatures of witnesses.
pub const PROOFS_BARE: &str = "proofs-bare";
/// The setting that names the files whose receipts were sought from the first page on.
pub const RECEIPTS_SOUGHT: &str = "receipts-sought";

/// The database before it is unlocked: only the vault can be used.
pub struct Database {
    pub conn: SqliteConnection,
    home: PathBuf,
}

/// The unlocked store.
pub struct Store {
    conn: SqliteConnection,
    key: StoreKey,
    home: PathBuf,
}

/// What is said when there is no store yet.
pub fn not_enrolled() -> anyhow::Error {
    refuse(
        "this device is not enrolled",
        "Ask headquarters for a one-time code and run `endcheck enrol URL --code CODE`; if the store lies \
         elsewhere, set ENDCHECK_HOME.",
    )
}

impl Database {
    /// Opens the store of `home`.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened.
    pub fn open(home: &Path) -> anyhow::Result<Self> {
        if !database_path(home).exists() {
            return Err(not_enrolled());
        }
        Self::connect(home)
    }

    /// Opens the store of `home`, making the folder and the database where there are none.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn create(home: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("the folder {} cannot be used for the store", home.display());
        for folder in [home.to_owned(), sealed_folder(home)] {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(cannot)?;
        }
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(database_path(home))
            .with_context(cannot)?;
        Self::connect(home)
    }

    fn connect(home: &Path) -> anyhow::Result<Self> {
        let path = database_path(home);
        let text = path.to_str().ok_or_else(|| {
            refuse(format!("the path {} is not UTF-8", path.display()), "Set ENDCHECK_HOME to one that is.")
        })?;
        let cannot = || format!("the store {} cannot be opened", path.display());
        let mut conn = SqliteConnection::establish(text).with_context(cannot)?;
        conn.batch_execute(
            "PRAGMA busy_timeout = 20000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             PRAGMA wal_autocheckpoint = 100; PRAGMA journal_size_limit = 1048576; \
             PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;",
        )
        .with_context(cannot)?;
        let mut database = Self { conn, home: home.to_owned() };
        database.migrate().with_context(cannot)?;
        Ok(database)
    }

    fn migrate(&mut self) -> anyhow::Result<()> {
        match self.version()? {
            VERSION => return Ok(()),
            newer if newer > VERSION => {
                return Err(refuse("a newer endcheck wrote this store", "Update endcheck on this device."));
            }
            _ => {}
        }
        // Two agents that start at once migrate one after the other.
        let _lock = files::FolderLock::exclusive(&self.home)?;
        if self.version()? < VERSION {
            self.conn
                .run_pending_migrations(MIGRATIONS)
                .map_err(|error| anyhow::anyhow!("the store cannot be brought up to date: {error}"))?;
        }
        Ok(())
    }

    fn version(&mut self) -> anyhow::Result<i32> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::Integer)]
            user_version: i32,
        }
        Ok(diesel::sql_query("PRAGMA user_version").get_result::<Row>(&mut self.conn)?.user_version)
    }

    /// Unlocks the store.
    ///
    /// # Errors
    /// When the passphrase is missing or wrong.
    pub fn unlock(mut self, environment: &Environment, ui: &Ui<'_>) -> anyhow::Result<Store> {
        let key = vault::unlock(&mut self.conn, environment, ui)?;
        Ok(Store { conn: self.conn, key, home: self.home })
    }
}

impl Store {
    /// The folder that holds the sealed copies.
    #[must_use]
    pub fn sealed_folder(&self) -> PathBuf {
        sealed_folder(&self.home)
    }

    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Closes the database and opens it again, so that what is read next is what stands on the disk.
    fn reopen(&mut self) -> anyhow::Result<()> {
        self.conn = SqliteConnection::establish(":memory:")?;
        self.conn = Database::connect(&self.home)?.conn;
        Ok(())
    }

    /// Leaves the database as a kill would. To close it would write the log back and remove it, only for
    /// the next command to make it anew: four flushes more for each command, which protect nothing.
    pub fn leave(self) {
        std::mem::forget(self.conn);
    }

    /// A setting, if it was ever written.
    ///
    /// # Errors
    /// When the database or the sealed value is damaged.
    pub fn setting<T: DeserializeOwned>(&mut self, name: &'static str) -> anyhow::Result<Option<T>> {
        get_setting(&mut self.conn, &self.key, name)
    }

    /// Writes a setting.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn set<T: Serialize>(&mut self, name: &'static str, value: &T) -> anyhow::Result<()> {
        put_setting(&mut self.conn, &self.key, name, value)
    }

    /// Forgets a setting.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn unset(&mut self, name: &'static str) -> anyhow::Result<()> {
        diesel::delete(settings::table.find(name)).execute(&mut self.conn)?;
        Ok(())
    }
}

fn get_setting<T: DeserializeOwned>(
    conn: &mut SqliteConnection,
    key: &StoreKey,
    name: &'static str,
) -> anyhow::Result<Option<T>> {
    let sealed: Option<Vec<u8>> =
        settings::table.find(name).select(settings::sealed_value).first(conn).optional()?;
    sealed.map(|sealed| open_json(key, setting_cell(name), &sealed)).transpose()
}

fn put_setting<T: Serialize>(
    conn: &mut SqliteConnection,
    key: &StoreKey,
    name: &'static str,
    value: &T,
) -> anyhow::Result<()> {
    let sealed = seal_json(key, setting_cell(name), value)?;
    diesel::insert_into(settings::table)
        .values((settings::name.eq(name), settings::sealed_value.eq(&sealed)))
        .on_conflict(settings::name)
        .do_update()
        .set(settings::sealed_value.eq(&sealed))
        .execute(conn)?;
    Ok(())
}

fn setting_cell(name: &str) -> Cell<'_> {
    Cell { table: "settings", column: "sealed_value", row: name }
}

fn seal_json<T: Serialize>(key: &StoreKey, cell: Cell<'_>, value: &T) -> anyhow::Result<Vec<u8>> {
    key.seal(cell, &zeroize::Zeroizing::new(serde_json::to_vec(value)?))
}

fn open_json<T: DeserializeOwned>(key: &StoreKey, cell: Cell<'_>, sealed: &[u8]) -> anyhow::Result<T> {
    serde_json::from_slice(&key.open(cell, sealed)?)
        .with_context(|| format!("{}.{} of {} is damaged", cell.table, cell.column, cell.row))
}

fn database_path(home: &Path) -> PathBuf {
    home.join("endcheck.db")
}

fn sealed_folder(home: &Path) -> PathBuf {
    home.join("sealed")
}

/// Makes what is in `folder` durable as to names.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes a file that may be gone already.
fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
