//! Records and answers in words, for whoever reads the dossier.

use endcheck_protocol::checklist::{Answer, AnswerType, Checklist, Question};
use endcheck_protocol::ids::ItemId;
use endcheck_protocol::place::Position;
use endcheck_protocol::record::{Act, Record};
use serde::Serialize;

use crate::shipments::Shipment;

/// What a record said, in a line.
pub(super) fn in_short(record: &Record, checklist: Option<&Checklist>, shipment: &Shipment) -> String {
    let question = record.task.question.as_ref();
    let item = label(shipment, record.task.item.as_ref());
    let about: Vec<String> = question.map(ToString::to_string).into_iter().chain(item).collect();
    let said = match &record.act {
        Act::Answer { value, note } => {
            let asked = checklist.zip(question).and_then(|(list, id)| list.question(id));
            let answer = asked.map_or_else(|| json_text(value), |asked| in_words(asked, value));
            note.as_ref().map_or(answer.clone(), |note| format!("{answer} ({note})"))
        }
        Act::Item(sighting) => {
            let status = code(&sighting.status).unwrap_or_default();
            sighting.serial.as_ref().map_or(status.clone(), |serial| format!("{status}, {serial}"))
        }
        Act::Photo { file, .. } | Act::Document { file, .. } | Act::Track { file } => file.name.clone(),
        Act::Note { text } => text.clone(),
        Act::Statement(statement) => format!("{}: {}", statement.by, statement.text),
        Act::Denied(denial) => format!("{}: {}", denial.who, denial.words),
        Act::CheckIn { status, note } => {
            [code(status), note.clone()].into_iter().flatten().collect::<Vec<_>>().join(": ")
        }
        Act::VisitClose { outcome, .. } => code(outcome).unwrap_or_default(),
        Act::VisitOpen { method } => code(method).unwrap_or_default(),
        Act::ClockSet { moved_by_ms } => format!("{moved_by_ms} ms"),
        Act::Transfer { to, reason } => format!("{to}: {reason}"),
    };
    if about.is_empty() { said } else { format!("{}: {said}", about.join(", ")) }
}

fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The word that stands for a value in JSON.
pub(super) fn code(value: &impl Serialize) -> Option<String> {
    serde_json::to_value(value).ok()?.as_str().map(str::to_owned)
}

/// An item by its description and serial.
pub(super) fn label(shipment: &Shipment, item: Option<&ItemId>) -> Option<String> {
    let item = shipment.items.iter().find(|candidate| Some(&candidate.id) == item)?;
    Some(match &item.serial {
        Some(serial) => format!("{} {serial}", item.description),
        None => item.description.clone(),
    })
}

/// An answer as a reader wants it: choices by their text, numbers with their unit.
pub(super) fn in_words(question: &Question, answer: &Answer) -> String {
    match (answer, &question.answer) {
        (Answer::YesNo(value), _) => value.as_str().to_owned(),
        (Answer::Text(text) | Answer::Serial(text), _) => text.clone(),
        (Answer::Number(number), AnswerType::Number { unit }) => {
            format!("{} {unit}", number.as_str()).trim_end().to_owned()
        }
        (Answer::Number(number), _) => number.as_str().to_owned(),
        (Answer::Choice(codes), AnswerType::Choice { options, .. }) => codes
            .iter()
            .map(|code| {
                options
                    .iter()
                    .find(|option| &option.code == code)
                    .map_or_else(|| code.to_string(), |option| option.text.text_in("en").to_owned())
            })
            .collect::<Vec<_>>()
            .join("; "),
        (Answer::Choice(codes), _) => codes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        (Answer::Position { lat_e7, lon_e7 }, _) => Position::from_e7(i64::from(*lat_e7), i64::from(*lon_e7))
            .map_or_else(|e| e.to_string(), |position| position.to_string()),
        (Answer::Skipped { reason }, _) => format!("skipped: {reason}"),
    }
}
