//! `check-in`: the inspector is well, or says otherwise. Needs no visit.

use endcheck_protocol::record::{Act, Task};

use crate::cli::CheckIn;
use crate::refusal::ExitStatus;
use crate::session::Session;
use crate::store::LocalState;

pub(super) fn run(session: &mut Session<'_>, command: &CheckIn) -> anyhow::Result<ExitStatus> {
    let open = session.store.visit_ids()?.into_iter().filter(|(_, state)| *state == LocalState::Open).count();
    let task = if command.on.visit.is_some() || open == 1 {
        session.any_visit(command.on.visit.as_deref())?.task()
    } else {
        Task::default()
    };
    let act =
        Act::CheckIn { status: command.status, note: super::optional("the note", command.note.as_ref())? };
    let draft = session.draft(act, task, &command.on)?;
    let recorded = session.record(draft)?;
    session.ui.report(&recorded, || recorded.told("Checked in; headquarters will see it at the next sync."));
    Ok(ExitStatus::Success)
}
