//! What happens once every byte is here, and when time has run out.
//!
//! Each step may be repeated: a server that dies in between finds the upload again at its next
//! sweep, or when the client asks.

use std::sync::Arc;

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::time::Timestamp;
use sha2::Sha256 as Hasher;

use super::holds::Hold;
use super::rows::{self, UploadRow};
use super::staging::{Completion, Found};
use super::{Completed, Kept, Uploads, blocking, hashed, key, storage_failed};
use crate::error::{Error, Result};

impl Uploads {
    /// Hands on an upload whose every byte is here, and ends even if the client is gone by then.
    /// With `hasher` the bytes need not be read again.
    ///
    /// # Errors
    /// 422 `content-differs` when the bytes are not those that the client named; the upload is
    /// gone then, for nothing could repair it. Whatever the hook answers.
    pub(super) async fn settle(
        self: &Arc<Self>,
        hold: Hold,
        found: Found,
        hasher: Option<Hasher>,
    ) -> Result<()> {
        let uploads = Arc::clone(self);
        let work = async move {
            let settled = uploads.settle_here(found, hasher).await;
            drop(hold);
            settled
        };
        tokio::spawn(work).await.map_err(|error| Error::Internal(error.into()))?
    }

    async fn settle_here(self: &Arc<Self>, mut found: Found, hasher: Option<Hasher>) -> Result<()> {
        let key = found.info.key();
        let hasher = match hasher {
            Some(hasher) => hasher,
            None => {
                let path = found.place.bytes();
                blocking(move || hashed(&path).map_err(Error::from)).await?
            }
        };
        let sealed_sha256 = Sha256::from_hasher(hasher);
        if let Some(named) = found.info.named_sha256.as_ref().filter(|named| **named != sealed_sha256) {
            let refused = content_differs(named, &sealed_sha256);
            let place = found.place;
            blocking(move || place.remove().map_err(Error::from)).await?;
            self.hashes.forget(&key);
            return Err(refused);
        }
        let kept = self.offer(&found, &sealed_sha256).await?;
        let completion = Completion {
            sealed_sha256: sealed_sha256.clone(),
            size_bytes: found.offset_bytes,
            completed_at: self.setup.clock.now(),
        };
        found.info.completed = Some(completion.clone());
        let uploads = Arc::clone(self);
        let done = blocking(move || {
            let done = uploads.staging.finish(found).map_err(storage_failed)?;
            match kept {
                Kept::Elsewhere => done.place.remove_bytes()?,
                Kept::Here => uploads.staging.make_durable(&done.place).map_err(storage_failed)?,
            }
            Ok(done)
        })
        .await?;
        self.hashes.forget(&key);
        match kept {
            Kept::Elsewhere => Ok(()),
            // Whoever came to want it since the first offer found no row yet.
            Kept::Here => self.list_and_offer(&done, completion).await.map(|_| ()),
        }
    }

    /// Lists a completed upload in the table, and offers it with the row in sight.
    async fn list_and_offer(self: &Arc<Self>, done: &Found, completion: Completion) -> Result<Kept> {
        let row = UploadRow {
            id: done.info.id.clone(),
            owner: done.info.owner.clone(),
            sealed_sha256: completion.sealed_sha256.clone(),
            size_bytes: i64::try_from(completion.size_bytes).unwrap_or(i64::MAX),
            completed_at: completion.completed_at,
        };
        self.with_database(move |conn| Ok(rows::insert_once(conn, &row)?)).await?;
        let kept = self.offer(done, &completion.sealed_sha256).await?;
        if kept == Kept::Elsewhere {
            let id = done.info.id.clone();
            self.with_database(move |conn| Ok(rows::delete(conn, &id)?)).await?;
            let place = done.place.clone();
            blocking(move || place.remove_bytes().map_err(Error::from)).await?;
        }
        Ok(kept)
    }

    async fn offer(&self, found: &Found, sealed_sha256: &Sha256) -> Result<Kept> {
        let Some(hook) = self.on_complete.get() else { return Ok(Kept::Here) };
        hook(Completed {
            id: found.info.id.clone(),
            owner: found.info.owner.clone(),
            sealed_sha256: sealed_sha256.clone(),
            size_bytes: found.offset_bytes,
            path: found.place.bytes(),
        })
        .await
    }

    /// Finishes what a crash interrupted, and offers again what nobody wanted: at each
    /// tick. Answers how many uploads found their place. Those that a request holds are left alone.
    ///
    /// # Errors
    /// When the staging folder cannot be read. A fault of one upload is logged and stops no other.
    pub async fn sweep(self: &Arc<Self>) -> Result<usize> {
        let mut placed = 0;
        for (owner, id) in self.everything().await? {
            match self.sweep_one(&owner, &id).await {
                Ok(Kept::Elsewhere) => placed += 1,
                Ok(Kept::Here) => {}
                Err(error) => tracing::warn!(%error, owner, upload = id, "an upload was not settled"),
            }
        }
        Ok(placed)
    }

    async fn sweep_one(self: &Arc<Self>, owner: &str, id: &str) -> Result<Kept> {
        let Some(hold) = self.holds.take_if_free(&key(owner, id)) else { return Ok(Kept::Here) };
        let Some(found) = self.staging.find(owner, id)? else { return Ok(Kept::Here) };
        match found.info.completed.clone() {
            Some(completion) if found.place.bytes().exists() => {
                let kept = self.list_and_offer(&found, completion).await;
                drop(hold);
                kept
            }
            Some(_) => Ok(Kept::Here),
            None if found.is_full() => {
                let bytes = self.staging.done_place(owner, id).bytes();
                self.settle(hold, found, None).await?;
                Ok(if bytes.exists() { Kept::Here } else { Kept::Elsewhere })
            }
            None => Ok(Kept::Here),
        }
    }

    /// Removes uploads that nobody went on with or wanted until `now`. Answers how many.
    ///
    /// # Errors
    /// When the staging folder cannot be read, or the database fails.
    pub async fn expire(self: &Arc<Self>, now: Timestamp) -> Result<usize> {
        let mut removed = 0;
        for (owner, id) in self.everything().await? {
            let Some(hold) = self.holds.take_if_free(&key(&owner, &id)) else { continue };
            let found = self.staging.find(&owner, &id)?;
            // Without info it is the remains of a creation or a removal that a crash cut short.
            if found.as_ref().is_none_or(|found| self.expires_at(&found.info) <= now) {
                self.remove(&hold, &owner, &id).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Forgets an upload altogether.
    pub(super) async fn remove(self: &Arc<Self>, _hold: &Hold, owner: &str, id: &str) -> Result<()> {
        self.hashes.forget(&key(owner, id));
        let row = id.to_owned();
        self.with_database(move |conn| Ok(rows::delete(conn, &row)?)).await?;
        let (uploads, owner, id) = (Arc::clone(self), owner.to_owned(), id.to_owned());
        blocking(move || uploads.staging.remove(&owner, &id).map_err(Error::from)).await
    }

    async fn everything(self: &Arc<Self>) -> Result<Vec<(String, String)>> {
        let uploads = Arc::clone(self);
        blocking(move || uploads.staging.all().map_err(Error::from)).await
    }

    async fn with_database<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut crate::db::Conn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let pool = self.setup.pool.clone();
        blocking(move || {
            let mut conn = pool.get().map_err(|error| {
                tracing::warn!(%error, "no database connection");
                Error::with_status(
                    503,
                    "database-busy",
                    "The database is busy",
                    "Try again in a few seconds.",
                )
            })?;
            conn.write(work)
        })
        .await
    }
}

fn content_differs(named: &Sha256, found: &Sha256) -> Error {
    Error::with_status(
        422,
        "content-differs",
        "The bytes are not those that were named",
        format!(
            "The upload was named {named} but its bytes hash to {found}. It was discarded: create it anew."
        ),
    )
}
