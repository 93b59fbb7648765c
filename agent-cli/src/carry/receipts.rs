//! Receipts that were carried back: taken in by the same checks as those that the network brings.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use endcheck_protocol::canonical;
use endcheck_protocol::carry::{
    CarriedReceipts, RECEIPTS_FILE, RECEIPTS_SCHEMA, RECEIPTS_TYPE, ReceiptsHead, package_folder,
};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{self, Envelope};
use endcheck_protocol::sync::{Receipt, RecordAnswer, RecordOutcome};
use serde::Serialize;

use crate::refusal::refuse;
use crate::session::Session;
use crate::store::{Counts, RECEIPT_CURSOR, Unsent};
use crate::sync::{self, OnConflict};

/// No receipts are larger.
const MAX_RECEIPTS_BYTES: u64 = 256 * 1024 * 1024;

/// What the receipts changed.
#[derive(Debug, Serialize)]
pub struct TakenIn {
    /// Receipts that were kept.
    pub receipts: u64,
    /// Files that they confirmed: their copies are removed from this device.
    pub files_confirmed: u64,
    pub records: Counts,
    /// Files that are not confirmed yet.
    pub files_waiting: Unsent,
}

/// Takes in the receipts on `stick`.
///
/// # Errors
/// When there are none, they are about another device, or the log in them is not the one that this device
/// knows.
pub fn take_in(session: &mut Session<'_>, stick: &Path, on_conflict: OnConflict) -> anyhow::Result<TakenIn> {
    let carried = read(session, stick)?;
    let mut taken = TakenIn {
        receipts: 0,
        files_confirmed: 0,
        records: Counts::default(),
        files_waiting: Unsent::default(),
    };
    if sync::take_up_carried(session, &carried, on_conflict)? {
        let cursor: i64 = session.store.setting(RECEIPT_CURSOR)?.unwrap_or_default();
        let kept = sync::keep_page(session, &carried.page, cursor)?;
        // Over the network an answer says so; here the receipts do, which are signed.
        let answers: Vec<RecordAnswer> =
            kept.receipts.iter().filter_map(|receipt| answer(receipt, &carried)).collect();
        session.store.keep_answers(&answers)?;
        taken.receipts = u64::try_from(kept.receipts.len())?;
        taken.files_confirmed = kept.confirmed;
    } else {
        session.ui.note(
            "Headquarters was heard after these receipts were written: what they confirm came with that sync.",
        );
    }
    taken.records = session.store.counts()?;
    taken.files_waiting = session.store.holdings()?.waiting;
    Ok(taken)
}

fn read(session: &Session<'_>, stick: &Path) -> anyhow::Result<CarriedReceipts> {
    let fingerprint = envelope::fingerprint(&session.identity.sign_in_key.verifying_key());
    let places = [stick.join(package_folder(&fingerprint)).join(RECEIPTS_FILE), stick.join(RECEIPTS_FILE)];
    let Some(path) = places.iter().find(|path| super::is_plain(path)) else {
        return Err(refuse(
            format!("there are no receipts for this device in {}", stick.display()),
            "Headquarters writes them there with `endcheck-server import evidence`.",
        ));
    };
    let cannot = || format!("{} cannot be read", path.display());
    if fs::metadata(path).with_context(cannot)?.len() > MAX_RECEIPTS_BYTES {
        return Err(refuse(format!("{} is too large", path.display()), "Is it the right stick?"));
    }
    let bytes = fs::read(path).with_context(cannot)?;
    let damaged = |why: String| {
        refuse(
            format!("{} is damaged: {why}", path.display()),
            "Have headquarters write it again: the same stick may be imported twice.",
        )
    };
    let carried = open(session, &bytes).map_err(damaged)?;
    if carried.device != session.identity.certificate.device {
        return Err(refuse(
            format!("{} is about device {}, not this one", path.display(), carried.device),
            "Take it to the device that it is for.",
        ));
    }
    Ok(carried)
}

/// The content of the file, if the authority signed it as it is.
fn open(session: &Session<'_>, bytes: &[u8]) -> Result<CarriedReceipts, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let (Some(head), Some(content), Some([]), None) =
        (lines.next(), lines.next(), lines.next(), lines.next())
    else {
        return Err("it has not two lines".to_owned());
    };
    let envelope = Envelope::read(head, RECEIPTS_TYPE).map_err(|error| text(&error))?;
    envelope.verify(&session.identity.authority).map_err(|error| text(&error))?;
    let head: ReceiptsHead = canonical::read(&envelope.payload).map_err(|error| text(&error))?;
    if head.schema != RECEIPTS_SCHEMA {
        return Err(format!("its schema {:?} is not known; update endcheck", head.schema));
    }
    if Sha256::of(content) != head.content {
        return Err("its content is not what was signed".to_owned());
    }
    serde_json::from_slice(content).map_err(|error| text(&error))
}

/// What a signed receipt says of a record.
fn answer(receipt: &Receipt, carried: &CarriedReceipts) -> Option<RecordAnswer> {
    let Receipt::Record { record, quarantined, log_index, .. } = receipt else { return None };
    let why = carried.set_aside.iter().find(|set_aside| set_aside.record == *record);
    Some(RecordAnswer {
        hash: record.clone(),
        outcome: if *quarantined { RecordOutcome::Quarantined } else { RecordOutcome::Held },
        log_index: *log_index,
        quarantine: why.filter(|_| *quarantined).map(|why| why.quarantine.clone()),
    })
}
