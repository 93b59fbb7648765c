//! `denied`: a refusal of access is an act to be recorded, not a failure. Needs no open visit.

use endcheck_protocol::record::{Act, Denial};

use crate::cli::Denied;
use crate::refusal::ExitStatus;
use crate::session::Session;

pub(super) fn run(session: &mut Session<'_>, command: &Denied) -> anyhow::Result<ExitStatus> {
    let visit = session.any_visit(command.on.visit.as_deref())?;
    let act = Act::Denied(Denial {
        by: command.by,
        who: super::text("who denied access", &command.who)?,
        at: command.when.unwrap_or_else(|| session.environment.now().device_at),
        words: super::text("the words used", &command.words)?,
        scope: super::text("what was refused", &command.scope)?,
    });
    let draft = session.draft(act, visit.task(), &command.on)?;
    let recorded = session.record(draft)?;
    session.ui.report(&recorded, || {
        recorded.told(&format!(
            "Denial by {} recorded. End the visit with `endcheck close` when you leave.",
            command.who
        ))
    });
    Ok(ExitStatus::Success)
}
