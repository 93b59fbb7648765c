//! Stored files: plaintext under its own SHA-256, written once, never changed.
//!
//! A file becomes visible only whole and durable; what is under way has another name and vanishes
//! when it is given up.

use std::io::Read;
use std::path::{Path as FolderPath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use endcheck_protocol::digest::Sha256;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{MultipartUpload as _, ObjectStore, ObjectStoreExt as _, PutPayload};
use sha2::Digest as _;

/// Bytes that are in memory for one file under way.
const PART_BYTES: usize = 1024 * 1024;

/// Stands between a file's name and a number while the file is under way.
const UNDER_WAY: char = '#';

/// The file store.
#[derive(Debug, Clone)]
pub struct Files {
    store: Arc<dyn ObjectStore>,
    folder: PathBuf,
}

/// Why a file was not stored.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The bytes are not those that were announced.
    #[error("the content hashes to {found} ({size_bytes} bytes), not to {expected}")]
    OtherContent { expected: Sha256, found: Sha256, size_bytes: u64 },
    /// The source could not be read to its end.
    #[error("the content cannot be read: {0}")]
    Unreadable(#[source] std::io::Error),
    #[error("the file store failed: {0}")]
    Store(#[from] object_store::Error),
}

impl Files {
    /// A store in a local folder, made when missing. Every file is flushed to disk before it counts.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn local(folder: &FolderPath) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        Ok(Self { store: Arc::new(store), folder: folder.to_path_buf() })
    }

    /// Removes what a killed server left of files under way, once nobody wrote to it for
    /// `untouched_for`: another server may be at work in the same folder. Answers how many. Blocks.
    ///
    /// # Errors
    /// When the folder cannot be read or a part cannot be removed.
    pub fn sweep(&self, untouched_for: Duration) -> std::io::Result<u64> {
        let mut removed = 0;
        for shelf in std::fs::read_dir(&self.folder)? {
            let shelf = shelf?;
            if !shelf.file_type()?.is_dir() {
                continue;
            }
            for entry in std::fs::read_dir(shelf.path())? {
                let entry = entry?;
                if !entry.file_name().to_string_lossy().contains(UNDER_WAY) {
                    continue;
                }
                let touched_at = entry.metadata()?.modified()?;
                if SystemTime::now().duration_since(touched_at).is_ok_and(|age| age >= untouched_for) {
                    std::fs::remove_file(entry.path())?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// Stores what `source` yields if it hashes to `expected`. Storing the same content again
    /// changes nothing.
    ///
    /// Reads `source` on the calling thread: call it where blocking is allowed.
    ///
    /// # Errors
    /// When the content is another one, the source breaks off, or the store fails; nothing is kept.
    pub fn put(
        &self,
        expected: &Sha256,
        mut source: impl Read,
        runtime: &tokio::runtime::Handle,
    ) -> Result<u64, PutError> {
        let path = path_of(expected);
        let mut upload = runtime.block_on(self.store.put_multipart(&path))?;
        let mut hasher = sha2::Sha256::new();
        let mut size_bytes = 0;
        let outcome = loop {
            let part = match read_part(&mut source) {
                Ok(part) => part,
                Err(error) => break Err(PutError::Unreadable(error)),
            };
            if part.is_empty() {
                break Ok(());
            }
            hasher.update(&part);
            size_bytes += part.len() as u64;
            if let Err(error) = runtime.block_on(upload.put_part(PutPayload::from(part))) {
                break Err(PutError::Store(error));
            }
        };
        let found = Sha256::from_hasher(hasher);
        let outcome = outcome.and_then(|()| {
            if &found == expected {
                Ok(())
            } else {
                Err(PutError::OtherContent { expected: expected.clone(), found, size_bytes })
            }
        });
        match outcome {
            Ok(()) => {
                runtime.block_on(upload.complete())?;
                Ok(size_bytes)
            }
            Err(error) => {
                // The sweep takes what was under way if even this fails.
                let _ = runtime.block_on(upload.abort());
                Err(error)
            }
        }
    }

    /// The whole of a file as a stream, and its size.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub async fn stream(
        &self,
        sha256: &Sha256,
    ) -> object_store::Result<(u64, BoxStream<'static, object_store::Result<Bytes>>)> {
        let found = self.store.get(&path_of(sha256)).await?;
        Ok((found.meta.size, found.into_stream()))
    }

    /// The whole of a file in memory, unless it is larger than `limit_bytes`.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub async fn read(&self, sha256: &Sha256, limit_bytes: u64) -> object_store::Result<Option<Bytes>> {
        let found = self.store.get(&path_of(sha256)).await?;
        if found.meta.size > limit_bytes {
            return Ok(None);
        }
        found.bytes().await.map(Some)
    }

    /// What the file hashes to now, and its size in bytes; nothing where it is not there.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub async fn hash(&self, sha256: &Sha256) -> object_store::Result<Option<(Sha256, u64)>> {
        let found = match self.store.get(&path_of(sha256)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut content = found.into_stream();
        let (mut hasher, mut size_bytes) = (sha2::Sha256::new(), 0);
        while let Some(part) = content.next().await {
            let part = part?;
            hasher.update(&part);
            size_bytes += part.len() as u64;
        }
        Ok(Some((Sha256::from_hasher(hasher), size_bytes)))
    }

    /// Whole files that nobody touched for so long, with their sizes in bytes. Blocks.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn untouched(&self, for_at_least: Duration) -> std::io::Result<Vec<(Sha256, u64)>> {
        let mut found = Vec::new();
        for shelf in std::fs::read_dir(&self.folder)? {
            let shelf = shelf?;
            if !shelf.file_type()?.is_dir() {
                continue;
            }
            for entry in std::fs::read_dir(shelf.path())? {
                let entry = entry?;
                let Ok(sha256) = entry.file_name().to_string_lossy().parse::<Sha256>() else { continue };
                let metadata = entry.metadata()?;
                let age = SystemTime::now().duration_since(metadata.modified()?);
                if age.is_ok_and(|age| age >= for_at_least) {
                    found.push((sha256, metadata.len()));
                }
            }
        }
        Ok(found)
    }

    /// Whether the file is there.
    pub async fn holds(&self, sha256: &Sha256) -> bool {
        self.store.head(&path_of(sha256)).await.is_ok()
    }
}

fn path_of(sha256: &Sha256) -> Path {
    let hex = sha256.as_str();
    Path::from_iter([hex.get(..2).unwrap_or("00"), hex])
}

fn read_part(source: &mut impl Read) -> std::io::Result<Bytes> {
    let mut part = Vec::with_capacity(PART_BYTES);
    source.take(PART_BYTES as u64).read_to_end(&mut part)?;
    Ok(part.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_announced_content_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::local(folder.path()).unwrap();
        let runtime = tokio::runtime::Handle::current();
        let content = vec![7_u8; PART_BYTES * 2 + 5];
        let sha256 = Sha256::of(&content);
        let other = Sha256::of(b"other");
        let (files, sha256, other) = tokio::task::spawn_blocking(move || {
            assert_eq!(files.put(&sha256, content.as_slice(), &runtime).unwrap(), content.len() as u64);
            assert_eq!(files.put(&sha256, content.as_slice(), &runtime).unwrap(), content.len() as u64);
            let refused = files.put(&other, content.as_slice(), &runtime);
            assert!(matches!(refused, Err(PutError::OtherContent { .. })));
            (files, sha256, other)
        })
        .await
        .unwrap();
        assert!(files.holds(&sha256).await && !files.holds(&other).await);
        assert_eq!(files.read(&sha256, 10).await.unwrap(), None);
        assert_eq!(files.read(&sha256, u64::MAX).await.unwrap().unwrap().len(), PART_BYTES * 2 + 5);
    }

    #[tokio::test]
    async fn what_a_killed_server_left_of_a_file_goes_and_the_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::local(folder.path()).unwrap();
        let sha256 = Sha256::of(b"whole");
        files.store.put(&path_of(&sha256), PutPayload::from_static(b"whole")).await.unwrap();
        let mut left = files.store.put_multipart(&path_of(&sha256)).await.unwrap();
        left.put_part(PutPayload::from_static(b"wh")).await.unwrap();
        // As if the program had ended here.
        std::mem::forget(left);
        assert_eq!(files.sweep(Duration::from_secs(3600)).unwrap(), 0);
        assert_eq!(files.sweep(Duration::ZERO).unwrap(), 1);
        assert_eq!(files.sweep(Duration::ZERO).unwrap(), 0);
        assert!(files.holds(&sha256).await);
    }
}
