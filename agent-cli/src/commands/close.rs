//! `close`: the visit ends; what is missing is said, and `completed` is refused while anything is. What was
//! recorded is sealed to headquarters right after the record of the close.

use endcheck_protocol::checklist::{self, VisitOutcome};
use endcheck_protocol::record::{Act, Contents};
use serde::Serialize;

use crate::cli::Close;
use crate::dossier;
use crate::refusal::{ExitStatus, refuse};
use crate::session::{Recorded, Session};
use crate::store::LocalState;
use crate::ui;

/// Sentences that one record carries; the count stands in for the rest.
const MAX_SENTENCES: usize = 100;

#[derive(Serialize)]
struct Closed {
    #[serde(flatten)]
    recorded: Recorded,
    outcome: VisitOutcome,
    missing: Vec<String>,
}

pub(super) fn run(session: &mut Session<'_>, command: &Close) -> anyhow::Result<ExitStatus> {
    let visit = session.any_visit(command.on.visit.as_deref())?.readable()?;
    let records = session.store.records_of(&visit.packet.visit.id)?;
    let state = dossier::state(&records);
    let evaluation = checklist::evaluate(&visit.packet.checklist, &state);
    let closing = evaluation.closing(command.outcome, &state);
    let mut missing: Vec<String> = closing.missing.iter().map(|need| visit.sentence(need)).collect();
    if !closing.allowed {
        return Err(refuse(
            format!("the visit cannot be closed as completed: {} missing", missing.len())
                + &missing.iter().map(|sentence| format!("\n  - {sentence}")).collect::<String>(),
            "Supply what is missing, or close as `partial` with a --note that says why.",
        ));
    }
    if visit.state == LocalState::Waiting && command.outcome == VisitOutcome::Partial {
        session.ui.warn("the visit was never opened");
    }
    let all = missing.len();
    if all > MAX_SENTENCES {
        missing.truncate(MAX_SENTENCES);
        missing.push(format!("and {} more", all.saturating_sub(MAX_SENTENCES)));
    }
    let note = super::optional("the note", command.note.as_ref())?;
    let contents = Some(Contents::of(records.iter().map(|held| &held.hash)));
    let act = Act::VisitClose { outcome: command.outcome, missing: missing.clone(), note, contents };
    let mut draft = session.draft(act, visit.task(), &command.on)?;
    draft.replaces = draft.replaces.or_else(|| dossier::closed_by(&records));
    let recorded = session.record(draft)?;
    let unsent = session.store.counts()?.unsent;
    let closed = Closed { recorded, outcome: command.outcome, missing };
    session.ui.report(&closed, || {
        let lacking: String = closed.missing.iter().map(|sentence| format!("\n  - {sentence}")).collect();
        let heading = if lacking.is_empty() {
            String::new()
        } else {
            format!("\nMissing, and said so in the record:{lacking}")
        };
        let ended = format!("Visit {} is closed as {}.", visit.packet.visit.id, closed.outcome.as_str());
        format!(
            "{}{heading}\nWhat was recorded is sealed to headquarters; this device cannot read it again.\n{} to be \
             handed in with `endcheck sync`.",
            closed.recorded.told(&ended),
            ui::count(unsent, "record waits", "records wait"),
        )
    });
    Ok(ExitStatus::Success)
}
