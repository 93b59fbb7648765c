//! `item`: what became of one item of the shipment.

use endcheck_protocol::checklist::{ItemStatus, serials_match};
use endcheck_protocol::record::{Act, ItemSighting, Task};

use super::serial;
use crate::cli::Item;
use crate::dossier;
use crate::refusal::ExitStatus;
use crate::session::Session;

pub(super) fn run(session: &mut Session<'_>, command: &Item) -> anyhow::Result<ExitStatus> {
    let visit = session.open_visit(&command.on)?.readable()?;
    let item = visit.item(&command.item)?;
    let read = super::optional("the serial", command.serial.as_ref())?;
    let serial_entry = match &read {
        Some(read) => Some(serial::entry(read, &command.entry, session.ui)?),
        None => None,
    };
    let expected = visit.packet.items.iter().find(|expected| expected.id == item);
    let declared = expected.and_then(|expected| expected.serial.as_deref().or(expected.lot.as_deref()));
    if let (ItemStatus::Sighted, Some(read), Some(declared)) = (command.status, &read, declared)
        && !serials_match(read, declared)
    {
        session.ui.warn(&format!(
            "the plate reads {read:?} and the papers say {declared:?}: if that is so, record serial_mismatch"
        ));
    }
    let act = Act::Item(ItemSighting {
        status: command.status,
        method: command.method,
        serial: read,
        serial_entry,
        quantity: super::optional("the quantity", command.quantity.as_ref())?,
        note: super::optional("the note", command.note.as_ref())?,
    });
    let records = session.store.records_of(&visit.packet.visit.id)?;
    let task = Task { item: Some(item.clone()), ..visit.task() };
    let mut draft = session.draft(act, task, &command.on)?;
    draft.replaces = draft.replaces.or_else(|| dossier::sighted_by(&records, &item));
    let recorded = session.record(draft)?;
    let label = expected.map_or(command.item.as_str(), |expected| expected.key.as_str());
    session.ui.report(&recorded, || recorded.told(&format!("Item {label}: {}.", command.status.as_str())));
    Ok(ExitStatus::Success)
}
