//! `track`: a GPX file or an NMEA log of a receiver is sealed and signed. The points themselves are compared
//! at headquarters; here it is only seen that there are some.

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::place::track::{self, Track as Points};
use endcheck_protocol::record::{Act, FileFacts};
use endcheck_protocol::time::Timestamp;
use serde::Serialize;

use crate::capture_source::Source;
use crate::cli::Track;
use crate::refusal::{ExitStatus, refuse};
use crate::seal::{self, SealedFile};
use crate::session::{Recorded, Session};
use crate::ui;

#[derive(Serialize)]
struct Taken {
    file: String,
    #[serde(flatten)]
    recorded: Recorded,
    format: track::TrackFormat,
    size_bytes: u64,
    sha256: Sha256,
    points: usize,
    untimed: u64,
    rejected: u64,
    first_at: Option<Timestamp>,
    last_at: Option<Timestamp>,
}

pub(super) fn run(session: &mut Session<'_>, command: &Track) -> anyhow::Result<ExitStatus> {
    let visit = session.open_visit(&command.on)?;
    super::capture::refuse_own(session.store.home(), &command.file)?;
    let template = session.draft(Act::Note { text: String::new() }, visit.task(), &command.on)?;
    let recipients = seal::recipients(&session.identity.certificate.recipients)?;
    let _lock = session.store.lock_folder()?;
    let folder = session.store.sealed_folder();
    let mut source = Source::open(&command.file)?;
    let bytes = source.read_whole(track::MAX_TRACK_BYTES)?;
    let points = track::read(&bytes).map_err(|refused| {
        refuse(refused.to_string(), "If it proves something as it is, take it in with `capture --document`.")
    })?;
    let SealedFile { size_bytes, sha256, sealed_sha256, sealed_size_bytes } =
        seal::seal(&mut bytes.as_slice(), &recipients, &folder, track::MAX_TRACK_BYTES)?;
    let file = FileFacts {
        name: source.name.clone(),
        size_bytes,
        mime: points.format.mime().to_owned(),
        sha256: sha256.clone(),
        sealed_sha256,
        sealed_size_bytes,
    };
    // After a failure the copy stays: the sweep removes it if no record names it.
    let recorded = session.record(crate::chain::Draft { act: Act::Track { file }, ..template })?;
    let taken = taken(command, recorded, size_bytes, sha256, &points);
    session.ui.report(&taken, || human(&taken));
    Ok(ExitStatus::Success)
}

fn taken(command: &Track, recorded: Recorded, size_bytes: u64, sha256: Sha256, points: &Points) -> Taken {
    Taken {
        file: command.file.display().to_string(),
        recorded,
        format: points.format,
        size_bytes,
        sha256,
        points: points.points.len(),
        untimed: points.untimed,
        rejected: points.rejected,
        first_at: points.span().map(|(first, _)| first),
        last_at: points.span().map(|(_, last)| last),
    }
}

fn human(taken: &Taken) -> String {
    let span = match (taken.first_at, taken.last_at) {
        (Some(first), Some(last)) => format!(", {first} to {last}"),
        _ => String::new(),
    };
    let mut text = taken.recorded.told(&format!(
        "{}: taken in as a track ({}, {}, {} points{span}).",
        taken.file,
        taken.format,
        ui::size(taken.size_bytes),
        taken.points
    ));
    for (count, why) in
        [(taken.untimed, "have no time"), (taken.rejected, "were refused: no place on the globe, or damaged")]
    {
        if count > 0 {
            text.push_str(&format!("\n  {count} more points or lines {why}; they place nothing."));
        }
    }
    text
}
