//! Uploads by tus 1.0: protocol and staging folder. A ground module: it takes bytes, whatever they
//! are, and hands each complete upload on by its hash; it knows nothing of records or evidence.
//!
//! A complete upload is offered to the [`OnComplete`] hook before the last answer leaves. When the
//! hook keeps the bytes elsewhere they go from here; when nobody wants them yet they are made
//! durable, listed in the table `uploads`, and expire.

mod holds;
mod http;
mod protocol;
mod receive;
mod rows;
mod settle;
mod staging;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use actix_web::HttpRequest;
use actix_web::web;
use chrono::TimeDelta;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::sync::OpenUpload;
use endcheck_protocol::time::Timestamp;
use futures_util::future::{BoxFuture, LocalBoxFuture};
use sha2::{Digest as _, Sha256 as Hasher};

use crate::accounts::{Actor, Permission};
use crate::clock::Clock;
use crate::db::{Conn, Pool};
use crate::error::{Error, Result};

pub use http::{ApiDoc, routes};

/// Path under which uploads are made.
pub const PATH: &str = "/api/v1/files";

/// Open uploads that one owner may have.
const MAX_OPEN: usize = 256;
/// Running hashes in memory, about 150 bytes each.
const MAX_HASHES: usize = 4096;

/// An upload whose every byte is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    pub id: String,
    /// Who sent it: `device:…` or `user:…`.
    pub owner: String,
    /// SHA-256 of the bytes as sent.
    pub sealed_sha256: Sha256,
    pub size_bytes: u64,
    /// The file that holds the bytes.
    pub path: PathBuf,
}

/// What became of a completed upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The bytes are durable elsewhere: they may go from here.
    Elsewhere,
    /// Nobody wants them yet: they stay here until someone does or they expire.
    Here,
}

/// Is asked what becomes of a completed upload; may be asked again about the same one.
pub type OnComplete = Arc<dyn Fn(Completed) -> BoxFuture<'static, Result<Kept>> + Send + Sync>;

/// Finds out who sent a request.
pub type Identify = Arc<dyn Fn(&HttpRequest) -> LocalBoxFuture<'static, Result<Actor>> + Send + Sync>;

/// What uploads need to know of the server around them.
pub struct Setup {
    /// The staging folder; made when missing.
    pub folder: PathBuf,
    pub pool: Pool,
    pub clock: Clock,
    /// Bytes of one upload at most.
    pub max_bytes: u64,
    /// How long bytes stay that nobody adds to or wants.
    pub expiry: TimeDelta,
    pub identify: Identify,
}

/// The uploads of one server.
pub struct Uploads {
    setup: Setup,
    staging: staging::Staging,
    holds: holds::Holds,
    hashes: Hashes,
    on_complete: OnceLock<OnComplete>,
}

impl Uploads {
    /// Opens the staging folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(setup: Setup) -> anyhow::Result<Arc<Self>> {
        let staging = staging::Staging::open(setup.folder.clone()).map_err(|e| {
            anyhow::anyhow!("the staging folder {} cannot be made: {e}", setup.folder.display())
        })?;
        Ok(Arc::new(Self {
            setup,
            staging,
            holds: holds::Holds::default(),
            hashes: Hashes::default(),
            on_complete: OnceLock::new(),
        }))
    }

    /// Says who takes completed uploads. Without this, and before it, all of them stay here. Only
    /// the first call counts.
    pub fn on_complete(&self, hook: OnComplete) {
        let _ = self.on_complete.set(hook);
    }

    /// The uploads that `owner` may resume: those for which it named the sealed hash and the size.
    /// Where it began the same file twice, the one that has come further.
    ///
    /// Reads the staging folder: call it where blocking is allowed.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open_of(&self, owner: &str) -> Result<Vec<OpenUpload>> {
        let now = self.setup.clock.now();
        let mut furthest: HashMap<Sha256, OpenUpload> = HashMap::new();
        for found in self.staging.open_of(owner)? {
            let (Some(named), Some(size_bytes)) = (found.info.named_sha256.clone(), found.info.size_bytes)
            else {
                continue;
            };
            let further = furthest.get(&named).is_none_or(|other| other.offset_bytes < found.offset_bytes);
            if further && now < self.expires_at(&found.info) {
                let location = format!("{PATH}/{}", found.info.id);
                let open = OpenUpload {
                    sealed_sha256: named.clone(),
                    location,
                    offset_bytes: found.offset_bytes,
                    size_bytes,
                };
                furthest.insert(named, open);
            }
        }
        let mut open: Vec<_> = furthest.into_values().collect();
        open.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(open)
    }

    /// A completed upload with this hash that nobody wanted so far.
    ///
    /// # Errors
    /// When the database fails.
    pub fn find_completed(&self, conn: &mut Conn, sealed_sha256: &Sha256) -> Result<Option<Completed>> {
        let Some(row) = rows::find(conn, sealed_sha256)? else { return Ok(None) };
        let path = self.staging.done_place(&row.owner, &row.id).bytes();
        Ok(Some(Completed {
            path,
            id: row.id,
            owner: row.owner,
            sealed_sha256: row.sealed_sha256,
            size_bytes: u64::try_from(row.size_bytes).unwrap_or_default(),
        }))
    }

    /// Takes a completed upload off the list, in the transaction that binds its bytes. Its bytes go
    /// with [`Uploads::discard_bytes`] after the commit; if that is missed, the next sweep asks the
    /// hook again.
    ///
    /// # Errors
    /// When the database fails.
    pub fn release(&self, conn: &mut Conn, id: &str) -> Result<()> {
        rows::delete(conn, id).map_err(Error::from)
    }

    /// Removes the bytes of an upload that is kept elsewhere; a HEAD still answers that all arrived.
    /// Blocks.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn discard_bytes(&self, completed: &Completed) -> Result<()> {
        self.staging.done_place(&completed.owner, &completed.id).remove_bytes().map_err(Error::from)
    }

    /// When nobody will be able to go on with an upload any more.
    fn expires_at(&self, info: &staging::Info) -> Timestamp {
        info.touched_at.plus(self.setup.expiry)
    }

    /// The name under which the sender's uploads are kept.
    async fn owner(&self, request: &HttpRequest) -> Result<String> {
        let actor = (self.setup.identify)(request).await?;
        actor.require(Permission::Inspect)?;
        Ok(actor.to_string())
    }
}

impl staging::Info {
    /// Tells this upload from all others in memory.
    fn key(&self) -> String {
        key(&self.owner, &self.id)
    }
}

fn key(owner: &str, id: &str) -> String {
    format!("{owner}/{id}")
}

/// The running hashes of open uploads, so that the end of one need not read it again.
#[derive(Default)]
struct Hashes(Mutex<HashMap<String, (u64, Hasher)>>);

impl Hashes {
    fn take(&self, key: &str, offset_bytes: u64) -> Option<Hasher> {
        if offset_bytes == 0 {
            return Some(Hasher::new());
        }
        let mut hashes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.remove(key).filter(|(hashed_bytes, _)| *hashed_bytes == offset_bytes).map(|(_, hasher)| hasher)
    }

    fn keep(&self, key: &str, offset_bytes: u64, hasher: Hasher) {
        let mut hashes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hashes.len() >= MAX_HASHES {
            // Any one: it can be had again from the file.
            let some = hashes.keys().next().cloned();
            some.and_then(|key| hashes.remove(&key));
        }
        hashes.insert(key.to_owned(), (offset_bytes, hasher));
    }

    fn forget(&self, key: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// The running hash of a whole file.
fn hashed(path: &Path) -> io::Result<Hasher> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Hasher::new();
    let mut part = vec![0; 256 * 1024];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(hasher),
            count => hasher.update(part.get(..count).unwrap_or_default()),
        }
    }
}

/// Runs `work` on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    web::block(work).await.map_err(|_| Error::Internal(anyhow::anyhow!("the work was cancelled")))?
}

/// A full disk is named; any other failure is ours.
fn storage_failed(error: io::Error) -> Error {
    use io::ErrorKind as K;
    if matches!(error.kind(), K::StorageFull | K::QuotaExceeded) {
        tracing::error!(%error, "the staging folder is full");
        return Error::with_status(
            507,
            "storage-full",
            "The server's disk is full",
            "What arrived is kept. Tell headquarters, and go on later from the offset that HEAD answers.",
        );
    }
    Error::from(error)
}
