//! Serials are typed twice, or scanned: one slip of a finger is another machine.

use endcheck_protocol::record::SerialEntry;

use crate::cli::SerialArgs;
use crate::refusal::refuse;
use crate::ui::Ui;

/// How `serial` came in; asks for it again where somebody can answer.
///
/// # Errors
/// When the second reading is missing or another one.
pub(super) fn entry(serial: &str, args: &SerialArgs, ui: &Ui<'_>) -> anyhow::Result<SerialEntry> {
    if args.scanned {
        return Ok(SerialEntry::Scanned);
    }
    let again = match &args.serial_again {
        Some(again) => Some(again.clone()),
        None if ui.interactive() => ui.ask("Serial again, from the plate:"),
        None => None,
    };
    match again {
        Some(again) if again.trim() == serial.trim() => Ok(SerialEntry::KeyedTwice),
        Some(again) => Err(refuse(
            format!("the two readings differ: {:?} and {:?}", serial.trim(), again.trim()),
            "Read the plate again and type it twice.",
        )),
        None => Err(refuse(
            "a typed serial is needed twice",
            "Read the plate again and give it with --serial-again, or say --scanned.",
        )),
    }
}
