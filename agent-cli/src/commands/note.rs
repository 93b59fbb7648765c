//! `note`: an observation in words.

use endcheck_protocol::record::Act;

use crate::cli::Note;
use crate::refusal::ExitStatus;
use crate::session::Session;

pub(super) fn run(session: &mut Session<'_>, command: &Note) -> anyhow::Result<ExitStatus> {
    let visit = session.open_visit(&command.on)?;
    let act = Act::Note { text: super::text("the note", &command.text)? };
    let draft = session.draft(act, visit.task(), &command.on)?;
    let recorded = session.record(draft)?;
    session.ui.report(&recorded, || recorded.told("Noted."));
    Ok(ExitStatus::Success)
}
