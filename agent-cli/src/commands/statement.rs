//! `statement`: what somebody said, in their language.

use endcheck_protocol::record::{Act, Statement as Said};

use crate::cli::Statement;
use crate::refusal::ExitStatus;
use crate::session::Session;

/// More than a record takes, in any script.
const MAX_TEXT_BYTES: u64 = 1024 * 1024;

pub(super) fn run(session: &mut Session<'_>, command: &Statement) -> anyhow::Result<ExitStatus> {
    let visit = session.open_visit(&command.on)?;
    let words = match (&command.text, &command.from) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => super::text_file(path, MAX_TEXT_BYTES)?,
        (None, None) => String::new(),
    };
    let act = Act::Statement(Said {
        by: super::text("the speaker's name", &command.by)?,
        role: super::text("the speaker's role", &command.role)?,
        language: super::text("the language", &command.language)?,
        interpreter: super::optional("the interpreter's name", command.interpreter.as_ref())?,
        text: super::text("the statement", &words)?,
        read_back: command.read_back,
        signature: command.signature,
    });
    let draft = session.draft(act, visit.task(), &command.on)?;
    let recorded = session.record(draft)?;
    session.ui.report(&recorded, || recorded.told(&format!("Statement of {} taken down.", command.by)));
    Ok(ExitStatus::Success)
}
