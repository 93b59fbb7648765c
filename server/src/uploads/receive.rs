//! Takes the bytes of one request into the staged file as they come.
//!
//! What arrived stays when the connection breaks, unless a checksum covers it: then the chunk is
//! whole and right, or it never was.

use std::fs::File;
use std::io::{self, Write as _};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256 as Hasher};

use super::holds::Hold;
use super::protocol::Check;
use super::staging::{Found, Place};
use super::{Uploads, blocking, hashed, storage_failed};
use crate::error::{Error, Result};

/// A connection that sends nothing for this long is given up.
const IDLE: Duration = Duration::from_secs(120);
/// A request that is taken over has this long to take in what its connection already delivered.
const LAST_BYTES: Duration = Duration::from_millis(50);

/// The end of a staged file, and the running hash of all before it. Dropped at any point it leaves
/// bytes, offset and hash in agreement.
struct Writer {
    uploads: Arc<Uploads>,
    key: String,
    place: Place,
    file: File,
    start_bytes: u64,
    offset_bytes: u64,
    hasher: Hasher,
    /// The hash before this request, as long as its chunk has yet to prove itself.
    unverified: Option<Hasher>,
    check: Option<Check>,
}

/// Appends `payload` to an upload. With the bytes down, gives back the hold, the upload with its new
/// offset, and the running hash of all its bytes.
///
/// # Errors
/// 400 when the connection breaks, 408 when it goes silent, 413 when more comes than `limit_bytes` in
/// all, 423 when a newer request takes over, 460 when the chunk is not what its checksum says, 507
/// when the disk is full.
pub(super) async fn append(
    uploads: &Arc<Uploads>,
    hold: Hold,
    found: Found,
    check: Option<Check>,
    limit_bytes: u64,
    payload: web::Payload,
) -> Result<(Hold, Found, Hasher)> {
    // Dropped before `hold`, wherever this ends: nobody else writes until then.
    let mut writer = Writer::open(uploads, &found, check).await?;
    let received = writer.receive(&hold, payload, limit_bytes).await;
    let checked = received.and_then(|()| writer.verify());
    let (offset_bytes, hasher) = (writer.offset_bytes, writer.hasher.clone());
    drop(writer);
    checked?;
    Ok((hold, Found { offset_bytes, ..found }, hasher))
}

impl Writer {
    async fn open(uploads: &Arc<Uploads>, found: &Found, check: Option<Check>) -> Result<Self> {
        let offset_bytes = found.offset_bytes;
        let key = found.info.key();
        let file = found.place.open_to_append(offset_bytes).map_err(storage_failed)?;
        let hasher = match uploads.hashes.take(&key, offset_bytes) {
            Some(hasher) => hasher,
            None => {
                let path = found.place.bytes();
                blocking(move || hashed(&path).map_err(Error::from)).await?
            }
        };
        if check.is_some() {
            found.place.distrust_after(offset_bytes).map_err(storage_failed)?;
        }
        Ok(Self {
            uploads: Arc::clone(uploads),
            key,
            place: found.place.clone(),
            file,
            start_bytes: offset_bytes,
            offset_bytes,
            unverified: check.is_some().then(|| hasher.clone()),
            hasher,
            check,
        })
    }

    async fn receive(&mut self, hold: &Hold, mut payload: web::Payload, limit_bytes: u64) -> Result<()> {
        let mut superseded = pin!(hold.superseded());
        let mut last_at = None;
        loop {
            let next = match last_at {
                None => tokio::select! {
                    biased;
                    () = &mut superseded => {
                        last_at = Some(tokio::time::Instant::now() + LAST_BYTES);
                        continue;
                    }
                    next = tokio::time::timeout(IDLE, payload.next()) => next.map_err(|_| silent())?,
                },
                Some(at) if at <= tokio::time::Instant::now() => return Err(taken_over()),
                Some(at) => tokio::time::timeout_at(at, payload.next()).await.map_err(|_| taken_over())?,
            };
            let Some(chunk) = next else { return Ok(()) };
            let chunk = chunk.map_err(|error| {
                Error::malformed(
                    "body-broken-off",
                    format!(
                        "The body broke off ({error}). Ask with HEAD how much arrived and go on from there."
                    ),
                )
            })?;
            if self.offset_bytes.saturating_add(chunk.len() as u64) > limit_bytes {
                self.roll_back()?;
                return Err(too_long(limit_bytes));
            }
            self.write(&chunk).map_err(storage_failed)?;
        }
    }

    /// Writes on the calling thread: into the page cache this is faster than any hand-over.
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if let Some(check) = &mut self.check {
            check.update(bytes);
        }
        while !bytes.is_empty() {
            let count = match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let (written, rest) = bytes.split_at(count);
            self.hasher.update(written);
            self.offset_bytes += count as u64;
            bytes = rest;
        }
        Ok(())
    }

    fn verify(&mut self) -> Result<()> {
        let Some(check) = self.check.take() else { return Ok(()) };
        if !check.holds() {
            return Err(Error::with_status(
                460,
                "checksum-mismatch",
                "The chunk is not what its checksum says",
                "The chunk was discarded; send it again from the same offset.",
            ));
        }
        self.place.trust()?;
        self.unverified = None;
        Ok(())
    }

    /// Back to where this request began.
    fn roll_back(&mut self) -> Result<()> {
        if self.offset_bytes > self.start_bytes {
            self.file.set_len(self.start_bytes)?;
            self.offset_bytes = self.start_bytes;
            // Rehashed from the file when it is next needed.
            self.key.clear();
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(before) = self.unverified.take() {
            if let Err(error) = self.file.set_len(self.start_bytes).and_then(|()| self.place.trust()) {
                // The note of what is unverified stays, and the next request makes good.
                tracing::warn!(%error, upload = self.key, "a refused chunk was not removed");
                return;
            }
            (self.offset_bytes, self.hasher) = (self.start_bytes, before);
        }
        if !self.key.is_empty() {
            self.uploads.hashes.keep(&self.key, self.offset_bytes, self.hasher.clone());
        }
    }
}

pub(super) fn too_long(limit_bytes: u64) -> Error {
    Error::with_status(
        413,
        "upload-too-large",
        "The upload is too large",
        format!("At most {limit_bytes} bytes are taken here; nothing of this request was kept."),
    )
}

fn taken_over() -> Error {
    Error::with_status(
        423,
        "upload-taken-over",
        "A newer request goes on with this upload",
        "What arrived is kept. Ask with HEAD how much that is.",
    )
}

fn silent() -> Error {
    Error::with_status(
        408,
        "upload-silent",
        "Nothing came for too long",
        "What arrived is kept. Ask with HEAD how much that is and go on from there.",
    )
}
