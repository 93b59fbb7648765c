//! `sync`: hands in what headquarters does not hold, and says what it holds now.

use crate::cli::Sync;
use crate::refusal::ExitStatus;
use crate::session::Session;
use crate::sync::{self, OnConflict, Summary};
use crate::ui;

pub(super) fn run(session: &mut Session<'_>, command: &Sync) -> anyhow::Result<ExitStatus> {
    let on_conflict = if command.accept_log { OnConflict::Accept } else { OnConflict::Stop };
    let summary = sync::run(session, command.max_rate, on_conflict)?;
    session.ui.report(&summary, || human(&summary));
    let whole = summary.failed.is_empty() && summary.files_waiting.files == 0 && summary.records.unsent == 0;
    Ok(if whole { ExitStatus::Success } else { ExitStatus::Partly })
}

fn human(summary: &Summary) -> String {
    let mut lines = vec![format!(
        "Handed in: {}, {} ({}).",
        ui::count(summary.records_sent, "record", "records"),
        ui::count(summary.files_sent, "file", "files"),
        ui::size(summary.bytes_sent)
    )];
    lines.push(format!(
        "Headquarters holds {}; {} confirmed now, their copies removed from this device.",
        ui::count(summary.records_held, "record of this device", "records of this device"),
        ui::count(summary.files_confirmed, "file", "files"),
    ));
    if summary.files_waiting.files > 0 {
        lines.push(format!(
            "{} ({}) not confirmed yet: kept here; sync again.",
            ui::count(summary.files_waiting.files, "file is", "files are"),
            ui::size(summary.files_waiting.bytes)
        ));
    }
    lines.extend(super::status::files_set_aside(&summary.files_set_aside));
    lines.extend(summary.failed.iter().map(|failure| format!("Not sent: {failure}")));
    lines.extend(summary.unreadable.iter().map(|file| {
        format!(
            "Headquarters could not open file {}…: {}",
            file.sealed_sha256.as_str().get(..12).unwrap_or_default(),
            file.problem
        )
    }));
    lines.extend(summary.quarantined.iter().map(super::status::quarantined));
    lines.extend(summary.keys_until.map(|day| format!("This device's record keys now last until {day}.")));
    lines.join("\n")
}
