//! `sync`: hands in what headquarters does not hold, over the network or by hand, and says what it holds now.

use crate::carry::{self, TakenIn, Written};
use crate::cli::Sync;
use crate::refusal::ExitStatus;
use crate::session::Session;
use crate::sync::{self, OnConflict, Summary};
use crate::ui;

pub(super) fn run(session: &mut Session<'_>, command: &Sync) -> anyhow::Result<ExitStatus> {
    let on_conflict = if command.accept_log { OnConflict::Accept } else { OnConflict::Stop };
    if let Some(stick) = &command.to {
        let written = carry::write(session, stick)?;
        session.ui.report(&written, || carried_away(&written));
        return Ok(ExitStatus::Success);
    }
    if let Some(stick) = &command.from {
        let taken = carry::take_in(session, stick, on_conflict)?;
        session.ui.report(&taken, || carried_back(&taken));
        let whole = taken.files_waiting.files == 0 && taken.records.unsent == 0;
        return Ok(if whole { ExitStatus::Success } else { ExitStatus::Partly });
    }
    let summary = sync::run(session, command.max_rate, on_conflict)?;
    session.ui.report(&summary, || human(&summary));
    let whole = summary.failed.is_empty() && summary.files_waiting.files == 0 && summary.records.unsent == 0;
    Ok(if whole { ExitStatus::Success } else { ExitStatus::Partly })
}

fn carried_away(written: &Written) -> String {
    let there = match written.files_there {
        0 => String::new(),
        files => format!("; {} there already", ui::count(files, "file was", "files were")),
    };
    format!(
        "Written to {}: {}, {} ({}){there}.\nAll of it stays on this device. Have headquarters import it \
         (`endcheck-server import evidence`), bring the stick back, and run `endcheck sync --from`.",
        written.folder.display(),
        ui::count(written.records, "record", "records"),
        ui::count(written.files, "file", "files"),
        ui::size(written.bytes)
    )
}

fn carried_back(taken: &TakenIn) -> String {
    let mut lines = vec![format!(
        "{} taken in; {} confirmed now, their copies removed from this device.",
        ui::count(taken.receipts, "receipt", "receipts"),
        ui::count(taken.files_confirmed, "file", "files")
    )];
    if taken.files_waiting.files > 0 || taken.records.unsent > 0 {
        lines.push(format!(
            "Not confirmed yet, and kept here: {}, {} ({}).",
            ui::count(taken.records.unsent, "record", "records"),
            ui::count(taken.files_waiting.files, "file", "files"),
            ui::size(taken.files_waiting.bytes)
        ));
    }
    lines.join("\n")
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
