//! Seals what is captured to headquarters and escrow, so that the device cannot open it again.
//!
//! The plaintext is read once and sealed as it streams by, while other threads hash both sides; the sealed
//! copy is durable under its own hash before anybody hears of it. Knows nothing of records or the database.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, SyncSender};
use std::thread::{self, Scope, ScopedJoinHandle};

use anyhow::Context as _;
use endcheck_protocol::digest::Sha256;
use sha2::Digest as _;

use crate::refusal::refuse;

const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks that the hashing may lie behind the sealing.
const CHUNKS_BEHIND: usize = 16;

/// A sealed copy that is durable on this device.
#[derive(Debug, Clone)]
pub struct SealedFile {
    pub size_bytes: u64,
    /// Of the plaintext.
    pub sha256: Sha256,
    pub sealed_sha256: Sha256,
    pub sealed_size_bytes: u64,
}

/// Where the sealed copy with this hash lies in `folder`.
#[must_use]
pub fn path(folder: &Path, sealed_sha256: &Sha256) -> PathBuf {
    folder.join(format!("{sealed_sha256}.age"))
}

/// Reads age recipients.
///
/// # Errors
/// Names the one that is none.
pub fn recipients(texts: &[String]) -> anyhow::Result<Vec<age::x25519::Recipient>> {
    let read = |text: &String| {
        text.parse().map_err(|error| anyhow::anyhow!("{text:?} is not an age recipient: {error}"))
    };
    texts.iter().map(read).collect()
}

/// Seals everything `source` gives, up to `limit_bytes`, into `folder`.
///
/// # Errors
/// When there is more than the limit, or reading, sealing or writing fails; then nothing is left.
pub fn seal(
    source: &mut dyn Read,
    recipients: &[age::x25519::Recipient],
    folder: &Path,
    limit_bytes: u64,
) -> anyhow::Result<SealedFile> {
    let part = folder.join(format!("{}.part", hex::encode(crate::vault::random::<8>()?)));
    let sealed = seal_into(&part, source, recipients, folder, limit_bytes);
    if sealed.is_err() {
        // The sweep takes what cannot be removed now.
        fs::remove_file(&part).unwrap_or_default();
    }
    sealed
}

fn seal_into(
    part: &Path,
    source: &mut dyn Read,
    recipients: &[age::x25519::Recipient],
    folder: &Path,
    limit_bytes: u64,
) -> anyhow::Result<SealedFile> {
    let no_room = || {
        format!(
            "the sealed copy cannot be written into {}: free some space and capture again",
            folder.display()
        )
    };
    let file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(part).with_context(no_room)?;
    let encryptor = age::Encryptor::with_recipients(recipients.iter().map(|one| one as &dyn age::Recipient))
        .context("the certificate's recipients cannot be sealed to")?;
    let sealed = thread::scope(|scope| {
        let sink = Sink { inner: file, hashing: Hashing::start(scope), size_bytes: 0 };
        let mut writer = encryptor.wrap_output(sink).with_context(no_room)?;
        let plaintext = Hashing::start(scope);
        let mut size_bytes: u64 = 0;
        loop {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            Read::take(&mut *source, u64::try_from(CHUNK_BYTES)?)
                .read_to_end(&mut chunk)
                .context("the file cannot be read to its end")?;
            if chunk.is_empty() {
                break;
            }
            size_bytes = size_bytes.saturating_add(u64::try_from(chunk.len())?);
            if size_bytes > limit_bytes {
                return Err(refuse(
                    format!("the file has more than {limit_bytes} bytes"),
                    "Split it, or hand it in by another route.",
                ));
            }
            writer.write_all(&chunk).with_context(no_room)?;
            plaintext.update(chunk)?;
        }
        let sink = writer.finish().with_context(no_room)?;
        sink.inner.sync_data().with_context(no_room)?;
        Ok(SealedFile {
            size_bytes,
            sha256: plaintext.finish()?,
            sealed_sha256: sink.hashing.finish()?,
            sealed_size_bytes: sink.size_bytes,
        })
    })?;
    fs::rename(part, path(folder, &sealed.sealed_sha256)).with_context(no_room)?;
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(no_room)?;
    Ok(sealed)
}

/// A SHA-256 computed on a thread of its own.
struct Hashing<'scope> {
    chunks: SyncSender<Vec<u8>>,
    thread: ScopedJoinHandle<'scope, Sha256>,
}

impl<'scope> Hashing<'scope> {
    fn start(scope: &'scope Scope<'scope, '_>) -> Self {
        let (chunks, arriving) = mpsc::sync_channel::<Vec<u8>>(CHUNKS_BEHIND);
        let thread = scope.spawn(move || {
            let mut hash = sha2::Sha256::new();
            arriving.iter().for_each(|chunk| hash.update(chunk));
            Sha256::from_hasher(hash)
        });
        Self { chunks, thread }
    }

    fn update(&self, chunk: Vec<u8>) -> io::Result<()> {
        self.chunks.send(chunk).map_err(|_| io::Error::other("the hashing ended early"))
    }

    fn finish(self) -> io::Result<Sha256> {
        drop(self.chunks);
        self.thread.join().map_err(|_| io::Error::other("the hashing failed"))
    }
}

/// The sealed copy: hashes and counts what passes through.
struct Sink<'scope> {
    inner: File,
    hashing: Hashing<'scope>,
    size_bytes: u64,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hashing.update(bytes.get(..count).unwrap_or_default().to_vec())?;
        self.size_bytes = self.size_bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_copy_opens_with_either_identity_and_is_what_was_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let identities = [age::x25519::Identity::generate(), age::x25519::Identity::generate()];
        let recipients: Vec<_> = identities.iter().map(age::x25519::Identity::to_public).collect();
        let plaintext = vec![3; 200_000];
        let sealed = seal(&mut plaintext.as_slice(), &recipients, folder.path(), 1_000_000).unwrap();
        assert_eq!((sealed.size_bytes, &sealed.sha256), (200_000, &Sha256::of(&plaintext)));
        let bytes = fs::read(path(folder.path(), &sealed.sealed_sha256)).unwrap();
        assert_eq!(
            (bytes.len() as u64, Sha256::of(&bytes)),
            (sealed.sealed_size_bytes, sealed.sealed_sha256)
        );
        for identity in &identities {
            assert_eq!(age::decrypt(identity, &bytes).unwrap(), plaintext);
        }
    }

    #[test]
    fn what_is_too_large_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let recipients = [age::x25519::Identity::generate().to_public()];
        let error = seal(&mut [1; 100].as_slice(), &recipients, folder.path(), 99).unwrap_err();
        assert!(error.to_string().contains("more than 99 bytes"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
