//! One writer an upload, and the newest request wins.
//!
//! A client that lost its connection comes back before the server has noticed the loss. Its new
//! request tells the older one to stop, waits until that has put down what it holds, and goes on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, watch};

use crate::error::{Error, Result};

/// How long a request waits for the one before it, which may be flushing or decrypting.
const PATIENCE: Duration = Duration::from_secs(30);
/// Above this many slots, those that nobody uses are dropped.
const IDLE_SLOTS: usize = 1024;

/// Who holds which upload.
#[derive(Default)]
pub(super) struct Holds(Mutex<HashMap<String, Arc<Slot>>>);

struct Slot {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Ticket of the newest request.
    newest: watch::Sender<u64>,
}

/// The right to change one upload, until dropped.
pub(super) struct Hold {
    _turn: OwnedMutexGuard<()>,
    newest: watch::Receiver<u64>,
    ticket: u64,
}

impl Holds {
    fn slot(&self, upload: &str) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= IDLE_SLOTS {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || Arc::strong_count(&slot.turn) > 1);
        }
        let fresh =
            || Arc::new(Slot { turn: Arc::new(tokio::sync::Mutex::new(())), newest: watch::Sender::new(0) });
        Arc::clone(slots.entry(upload.to_owned()).or_insert_with(fresh))
    }

    /// Takes the upload, from an older request if need be.
    ///
    /// # Errors
    /// 423 when the older one does not let go in time.
    pub(super) async fn take(&self, upload: &str) -> Result<Hold> {
        let slot = self.slot(upload);
        let mut ticket = 0;
        slot.newest.send_modify(|newest| {
            *newest += 1;
            ticket = *newest;
        });
        let newest = slot.newest.subscribe();
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&slot.turn).lock_owned()).await;
        let turn = turn.map_err(|_| {
            Error::with_status(
                423,
                "upload-held",
                "The upload is busy",
                "Another request is still finishing this upload. Try again in a few seconds.",
            )
        })?;
        Ok(Hold { _turn: turn, newest, ticket })
    }

    /// Takes the upload only if nobody holds it, and breaks nobody.
    pub(super) fn take_if_free(&self, upload: &str) -> Option<Hold> {
        let slot = self.slot(upload);
        let turn = Arc::clone(&slot.turn).try_lock_owned().ok()?;
        let newest = slot.newest.subscribe();
        let ticket = *newest.borrow();
        Some(Hold { _turn: turn, newest, ticket })
    }
}

impl Hold {
    /// Ends when a newer request wants the upload.
    pub(super) fn superseded(&self) -> impl Future<Output = ()> + use<> {
        let mut newest = self.newest.clone();
        let ticket = self.ticket;
        async move {
            // The sender may go when the slot is dropped as idle: then nobody newer can come.
            if newest.wait_for(|newest| *newest > ticket).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_request_breaks_every_older_one() {
        let holds = Arc::new(Holds::default());
        let first = holds.take("a").await.unwrap();
        assert!(holds.take_if_free("a").is_none());
        assert!(holds.take_if_free("b").is_some(), "another upload is free");
        let later = |holds: &Arc<Holds>| {
            let holds = Arc::clone(holds);
            tokio::spawn(async move { holds.take("a").await.unwrap() })
        };
        let (second, third) = (later(&holds), later(&holds));
        first.superseded().await;
        drop(first);
        let second = second.await.unwrap();
        second.superseded().await;
        drop(second);
        let third = third.await.unwrap();
        let undisturbed = tokio::time::timeout(Duration::from_millis(20), third.superseded()).await;
        assert!(undisturbed.is_err());
    }
}
