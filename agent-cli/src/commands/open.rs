//! `open`: the visit begins, on site.

use endcheck_protocol::record::Act;

use crate::chain::Draft;
use crate::cli::Open;
use crate::locate;
use crate::refusal::{ExitStatus, refuse};
use crate::session::Session;
use crate::store::LocalState;
use crate::ui;

pub(super) fn run(session: &mut Session<'_>, command: &Open) -> anyhow::Result<ExitStatus> {
    let visit = session.any_visit(Some(&command.visit))?;
    let id = &visit.packet.visit.id;
    match visit.state {
        LocalState::Waiting => {}
        LocalState::Open => return Err(refuse(format!("visit {id} is open already"), "Go on with it.")),
        LocalState::Closed | LocalState::Sealed => {
            return Err(refuse(
                format!("visit {id} is closed"),
                format!(
                    "What was forgotten can still be added with `endcheck note --visit {id}` or `endcheck capture \
                     --visit {id}`."
                ),
            ));
        }
    }
    if visit.packet.withdrawn {
        session
            .ui
            .warn("headquarters withdrew this visit or gave it to somebody else; the record will say so");
    }
    let place = locate::fix(&command.place, session.ui)?;
    let act = Act::VisitOpen { method: command.method };
    let recorded = session.record(Draft { act, task: visit.task(), place, replaces: None })?;
    session.ui.report(&recorded, || {
        let packet = &visit.packet;
        let items = u64::try_from(packet.items.len()).unwrap_or(u64::MAX);
        recorded.told(&format!(
            "Visit {id} is open: {}, {}\n{}\n{} expected. See what is asked with `endcheck checklist`.",
            packet.visit.site_name,
            packet.site_address,
            packet.check_reason,
            ui::count(items, "item is", "items are"),
        ))
    });
    Ok(ExitStatus::Success)
}
