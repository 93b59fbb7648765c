//! `status`: what would be lost with the device, and what headquarters set aside.

use endcheck_protocol::ids::DeviceId;
use endcheck_protocol::time::Timestamp;
use serde::Serialize;

use crate::refusal::ExitStatus;
use crate::session::Session;
use crate::store::{Counts, KeyTerm, LocalState, LogConflict, Quarantined, Unsent};
use crate::ui;

#[derive(Serialize)]
struct Status {
    device: DeviceId,
    inspector: String,
    org: String,
    server: String,
    certificate_expires_at: Timestamp,
    record_keys: KeyTerm,
    home: std::path::PathBuf,
    records: Counts,
    files_without_receipt: Unsent,
    /// Of records that headquarters set aside; not among the others.
    files_set_aside: Unsent,
    open_visits: Vec<String>,
    quarantined: Vec<Quarantined>,
    log_conflicts: Vec<LogConflict>,
}

pub(super) fn run(session: &mut Session<'_>) -> anyhow::Result<ExitStatus> {
    let visits = session.store.visit_ids()?;
    let holdings = session.store.holdings()?;
    let record_keys = session.store.key_term(session.environment.now().device_at.day())?;
    let certificate = &session.identity.certificate;
    let status = Status {
        device: certificate.device.clone(),
        inspector: certificate.inspector_name.clone(),
        org: certificate.org.clone(),
        server: session.identity.server.to_string(),
        certificate_expires_at: certificate.expires_at,
        record_keys,
        home: session.store.home().to_owned(),
        records: session.store.counts()?,
        files_without_receipt: holdings.waiting,
        files_set_aside: holdings.set_aside,
        open_visits: visits.into_iter().filter(|(_, s)| *s == LocalState::Open).map(|(id, _)| id).collect(),
        quarantined: session.store.quarantined()?,
        log_conflicts: session.store.log_conflicts()?,
    };
    if let Some(warning) = keys_warning(&status.record_keys) {
        session.ui.warn(&warning);
    }
    session.ui.report(&status, || human(&status));
    Ok(ExitStatus::Success)
}

/// Days of keys below which people are told.
const FEW_DAYS: u64 = 14;

fn keys_warning(term: &KeyTerm) -> Option<String> {
    let sync = "run `endcheck sync` while there is a network: it fetches new ones";
    if !term.today {
        return Some(format!(
            "this device holds no record key for today. It goes on recording, and headquarters will see that; set \
             the clock right if it is wrong, and {sync}"
        ));
    }
    (term.days_left < FEW_DAYS)
        .then(|| format!("this device holds record keys for {} more days; {sync}", term.days_left))
}

fn human(status: &Status) -> String {
    let keys = status.record_keys.last_day.map_or("none".to_owned(), |day| format!("until {day}"));
    let mut lines = vec![
        format!("Device {} of {}, {}", status.device, status.inspector, status.org),
        format!("Headquarters: {}", status.server),
        format!("Record keys: {keys}"),
        format!(
            "Records: {} to hand in, {} at headquarters, {} set aside there",
            status.records.unsent, status.records.held, status.records.quarantined
        ),
        format!(
            "Files without a receipt: {} ({})",
            status.files_without_receipt.files,
            ui::size(status.files_without_receipt.bytes)
        ),
    ];
    lines.extend(files_set_aside(&status.files_set_aside));
    lines.extend(status.open_visits.iter().map(|id| format!("Open visit: {id}")));
    lines.extend(status.log_conflicts.iter().map(|conflict| {
        format!(
            "Headquarters' log did not continue the one known, noticed {}: {}",
            conflict.noticed_at, conflict.why
        )
    }));
    lines.extend(status.quarantined.iter().map(quarantined));
    lines.join("\n")
}

/// The files whose records were set aside, where there are any.
pub(super) fn files_set_aside(files: &Unsent) -> Option<String> {
    (files.files > 0).then(|| {
        format!(
            "{} ({}) to records that were set aside: kept here until headquarters has looked at those.",
            ui::count(files.files, "file belongs", "files belong"),
            ui::size(files.bytes)
        )
    })
}

/// One record that was set aside, as people read it.
pub(super) fn quarantined(one: &Quarantined) -> String {
    format!(
        "Set aside: record {} ({}…): {} [{}]",
        one.seq,
        one.record.as_str().get(..12).unwrap_or_default(),
        one.detail,
        one.code
    )
}
