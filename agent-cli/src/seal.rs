//! Seals what is captured to headquarters and escrow, so that the device cannot open it again.
//!
//! The plaintext is read once, hashed and sealed as it streams by; the sealed copy is durable under
//! its own hash before anybody hears of it. Knows nothing of the database.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::package;
use sha2::Digest as _;

use crate::refusal::refuse;

const CHUNK_BYTES: usize = 64 * 1024;
/// Hard enough to pay over a slow link, easy enough for a phone.
pub const ZSTD_LEVEL: i32 = 12;

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
/// When there is more than the limit, or reading, sealing or writing fails. A copy that is left then
/// has no record, and the sweep takes it.
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

/// Why a file of more than `limit_bytes` is not taken in.
pub fn too_large(limit_bytes: u64) -> anyhow::Error {
    refuse(format!("the file has more than {limit_bytes} bytes"), "Split it, or hand it in by another route.")
}

/// Packs records and seals them; `protocol::package` says how. Sealed as a whole, so by the few.
///
/// # Errors
/// When they cannot be sealed to these recipients.
pub fn seal_records(envelopes: &[&[u8]], recipients: &[age::x25519::Recipient]) -> anyhow::Result<Vec<u8>> {
    let lines = package::lines(envelopes.iter().copied());
    let packed = zstd::bulk::compress(&lines, ZSTD_LEVEL).context("the records cannot be packed")?;
    let encryptor = age::Encryptor::with_recipients(recipients.iter().map(|one| one as &dyn age::Recipient))
        .context("the certificate's recipients cannot be sealed to")?;
    let mut writer = encryptor.wrap_output(Vec::new())?;
    writer.write_all(&packed)?;
    Ok(writer.finish()?)
}

fn seal_into(
    part: &Path,
    source: &mut dyn Read,
    recipients: &[age::x25519::Recipient],
    folder: &Path,
    limit_bytes: u64,
) -> anyhow::Result<SealedFile> {
    let no_room =
        || format!("the sealed copy cannot be written into {}, so nothing was taken in", folder.display());
    let file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(part).with_context(no_room)?;
    let sink = Counting { inner: file, hash: sha2::Sha256::new(), size_bytes: 0 };
    let encryptor = age::Encryptor::with_recipients(recipients.iter().map(|one| one as &dyn age::Recipient))
        .context("the certificate's recipients cannot be sealed to")?;
    let mut writer = encryptor.wrap_output(sink).with_context(no_room)?;
    let mut hash = sha2::Sha256::new();
    let mut size_bytes: u64 = 0;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("the file cannot be read to its end"),
        };
        let chunk = buffer.get(..read).unwrap_or_default();
        size_bytes = size_bytes.saturating_add(u64::try_from(read)?);
        if size_bytes > limit_bytes {
            return Err(too_large(limit_bytes));
        }
        hash.update(chunk);
        writer.write_all(chunk).with_context(no_room)?;
    }
    let sink = writer.finish().with_context(no_room)?;
    sink.inner.sync_data().with_context(no_room)?;
    let sealed = SealedFile {
        size_bytes,
        sha256: Sha256::from_hasher(hash),
        sealed_sha256: Sha256::from_hasher(sink.hash),
        sealed_size_bytes: sink.size_bytes,
    };
    fs::rename(part, path(folder, &sealed.sealed_sha256)).with_context(no_room)?;
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(no_room)?;
    Ok(sealed)
}

/// Hashes and counts what passes through.
struct Counting {
    inner: File,
    hash: sha2::Sha256,
    size_bytes: u64,
}

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        self.size_bytes = self.size_bytes.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        Ok(written)
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
