//! Headquarters' log as this device sees it: each checkpoint must continue the one before, and each
//! receipt must be in it. Otherwise headquarters shows different histories to different people, or
//! changed its own.

use endcheck_protocol::carry::CarriedReceipts;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::merkle::{leaf_hash, verify_consistency, verify_inclusion};
use endcheck_protocol::sync::{LogState, Receipt, ReceiptPage};
use endcheck_protocol::tlog::{SignedCheckpoint, TlogProof};

use crate::refusal::refuse;
use crate::session::Session;
use crate::store::{HeldCheckpoint, LogConflict};

/// What to do when the log does not continue the one that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// Hand in nothing.
    Stop,
    /// Go on with the log that is offered; both checkpoints stay kept.
    Accept,
}

/// Takes up the checkpoint that headquarters offers, if it continues the one held.
///
/// # Errors
/// When it does not: both are kept then, and nothing may be handed in.
pub fn take_up(session: &mut Session<'_>, offered: &LogState, on: OnConflict) -> anyhow::Result<()> {
    let held = session.store.checkpoint()?;
    let judged = continues(session, held.as_ref(), offered);
    settle(session, held, offered, judged, on)
}

/// Takes up the checkpoint that came with carried receipts; `false` where the device knows a newer one, with
/// which newer receipts came.
///
/// # Errors
/// As [`take_up`]; and when what was carried does not tell whether the log went on.
pub fn take_up_carried(
    session: &mut Session<'_>,
    carried: &CarriedReceipts,
    on: OnConflict,
) -> anyhow::Result<bool> {
    let offered = &carried.page.log;
    let held = session.store.checkpoint()?.filter(|held| held.size > 0);
    let checkpoint = signed(session, offered)
        .map_err(|why| refuse(format!("the carried receipts do not hold: {why}"), WRITE_AGAIN))?;
    let judged = match (&held, &carried.growth) {
        (None, _) => Ok(checkpoint),
        (Some(held), _) if held.size > checkpoint.size => return Ok(false),
        (Some(held), Some(growth)) if growth.size <= held.size => {
            let [at_held, at_offered] = growth.roots_at([held.size, checkpoint.size]);
            if at_offered.as_ref() != Some(&checkpoint.root) {
                // Not signed by anybody: it may have been damaged on the way.
                return Err(refuse("the growth of the log in the carried receipts is damaged", WRITE_AGAIN));
            }
            if at_held.as_ref() == Some(&held.root) {
                Ok(checkpoint)
            } else {
                Err(format!("its {} entries do not continue the {} of before", checkpoint.size, held.size))
            }
        }
        (Some(held), _) => {
            let proved = verify_consistency(
                (held.size, &held.root),
                (checkpoint.size, &checkpoint.root),
                &offered.consistency,
            );
            if proved.is_err() {
                return Err(refuse(
                    "the carried receipts do not tell whether headquarters' log went on from where this device \
                     knows it",
                    WRITE_AGAIN,
                ));
            }
            Ok(checkpoint)
        }
    };
    settle(session, held, offered, judged, on)?;
    Ok(true)
}

const WRITE_AGAIN: &str = "Nothing was taken in and all stays here. Sync over the network once, or write the package \
                           again with `endcheck sync --to` and have it imported.";

/// Keeps the checkpoint that continues the one held, or both.
fn settle(
    session: &mut Session<'_>,
    held: Option<HeldCheckpoint>,
    offered: &LogState,
    judged: Result<HeldCheckpoint, String>,
    on: OnConflict,
) -> anyhow::Result<()> {
    let why = match judged {
        Ok(checkpoint) => {
            if held.as_ref() != Some(&checkpoint) {
                session.store.keep_checkpoint(&checkpoint)?;
            }
            return Ok(());
        }
        Err(why) => why,
    };
    session.store.keep_log_conflict(LogConflict {
        held: held.map(|held| held.note).unwrap_or_default(),
        offered: offered.checkpoint.clone(),
        why: why.clone(),
        noticed_at: session.environment.now().device_at,
    })?;
    match (on, signed(session, offered)) {
        (OnConflict::Accept, Ok(checkpoint)) => {
            session
                .ui
                .warn(&format!("{why}; both checkpoints are kept, and the new one is gone by from here"));
            session.store.keep_checkpoint(&checkpoint)
        }
        _ => Err(refuse(
            format!("headquarters' log is not the one that this device knows: {why}"),
            "Nothing was handed in; all stays here, and both checkpoints are kept (`endcheck status --json`). \
             Show them to somebody who does not run the server. Only if headquarters explains it, as by a \
             restored backup, hand in with `endcheck sync --accept-log`.",
        )),
    }
}

fn signed(session: &Session<'_>, offered: &LogState) -> Result<HeldCheckpoint, String> {
    let read = SignedCheckpoint::read(&offered.checkpoint, &session.identity.log_key)
        .map_err(|error| error.to_string())?;
    let note = offered.checkpoint.clone();
    Ok(HeldCheckpoint { size: read.checkpoint.size, root: read.checkpoint.root, note })
}

fn continues(
    session: &Session<'_>,
    held: Option<&HeldCheckpoint>,
    offered: &LogState,
) -> Result<HeldCheckpoint, String> {
    let checkpoint = signed(session, offered)?;
    // Any log continues an empty one.
    let Some(held) = held.filter(|held| held.size > 0) else { return Ok(checkpoint) };
    if checkpoint.size < held.size {
        return Err(format!("it has {} entries, and had {} before", checkpoint.size, held.size));
    }
    verify_consistency((held.size, &held.root), (checkpoint.size, &checkpoint.root), &offered.consistency)
        .map_err(|error| {
            format!("its {} entries do not continue the {} of before: {error}", checkpoint.size, held.size)
        })?;
    Ok(checkpoint)
}

/// Whether somebody beside the log signed a checkpoint. Who, is for the verifier to judge.
pub(super) fn is_cosigned(checkpoint: &str) -> bool {
    checkpoint.rsplit_once("\n\n").is_some_and(|(_, signatures)| signatures.lines().count() > 1)
}

/// The proof that the receipt at `at` of a page is in the log, checked against the checkpoint that was
/// taken up with the page.
///
/// # Errors
/// When it is not there.
pub fn proof(
    page: &ReceiptPage,
    at: usize,
    receipt: &Receipt,
    held: &HeldCheckpoint,
) -> anyhow::Result<String> {
    let hashes: Option<Vec<Sha256>> = page
        .paths
        .get(at)
        .and_then(|path| path.iter().map(|place| page.hashes.get(*place).cloned()).collect());
    let (Some(hashes), Some((index, opening))) = (hashes, receipt.logged()) else {
        anyhow::bail!("a receipt comes without a proof that it is in the log");
    };
    let leaf = leaf_hash(&opening.entry.to_bytes()?);
    verify_inclusion(&leaf, index, held.size, &hashes, &held.root)
        .map_err(|error| anyhow::anyhow!("a receipt is not in headquarters' log: {error}"))?;
    let extra = Some(endcheck_protocol::canonical::write(&opening)?);
    Ok(TlogProof { extra, index, hashes, checkpoint: held.note.clone() }.text())
}
