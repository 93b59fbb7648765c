//! `answer`: one question, answered or skipped for a reason. A later answer corrects the earlier.

use endcheck_protocol::checklist::{Answer as Value, AnswerType, Question, Scope, Slug, YesNo, validate};
use endcheck_protocol::ids::ItemId;
use endcheck_protocol::place::manual;
use endcheck_protocol::record::{Act, Task};

use super::serial;
use crate::chain::Draft;
use crate::cli::Answer;
use crate::dossier;
use crate::refusal::{ExitStatus, refuse};
use crate::session::{OpenVisit, Session};
use crate::store::HeldRecord;

pub(super) fn run(session: &mut Session<'_>, command: &Answer) -> anyhow::Result<ExitStatus> {
    let visit = session.open_visit(&command.on)?.readable()?;
    let question = question(&visit, &command.question)?;
    let item = item(&visit, question, command.item.as_deref())?;
    let value = match (&command.skip, &command.value) {
        (Some(reason), _) => Value::Skipped { reason: reason.parse()? },
        (None, Some(text)) => value(question, text)?,
        (None, None) => return Err(refuse("there is no answer", "Give one, or --skip with a reason.")),
    };
    let note = super::optional("the note", command.note.as_ref())?;
    validate(question, &value, note.as_deref())?;
    if let Value::Serial(typed) = &value {
        serial::entry(typed, &command.serial, session.ui)?;
    }
    let records = session.store.records_of(&visit.packet.visit.id)?;
    let given = Given { question, item, value, note };
    let drafted = given.draft(&visit, &records);
    let placed = session.draft(drafted.act, drafted.task, &command.on)?;
    let replaces = placed.replaces.or(drafted.replaces);
    let recorded = session.record(Draft { replaces, ..placed })?;
    session.ui.report(&recorded, || recorded.told(&answered(question)));
    Ok(ExitStatus::Success)
}

/// An answer that was found to fit.
pub(super) struct Given<'a> {
    pub question: &'a Question,
    pub item: Option<ItemId>,
    pub value: Value,
    pub note: Option<String>,
}

impl Given<'_> {
    /// The act, correcting an earlier answer to the same question where there is one.
    pub(super) fn draft(&self, visit: &OpenVisit, records: &[HeldRecord]) -> Draft {
        let replaces = dossier::answered_by(records, &self.question.id, self.item.as_ref());
        let task = Task { question: Some(self.question.id.clone()), item: self.item.clone(), ..visit.task() };
        let act = Act::Answer { value: self.value.clone(), note: self.note.clone() };
        Draft { act, task, place: None, replaces }
    }
}

/// The question that `selector` means: its name or its number.
///
/// # Errors
/// When there is none, or several share the number.
pub(super) fn question<'a>(visit: &'a OpenVisit, selector: &str) -> anyhow::Result<&'a Question> {
    let wanted = selector.trim();
    let questions = &visit.packet.checklist.questions;
    if let Some(named) = questions.iter().find(|question| question.id.as_str() == wanted) {
        return Ok(named);
    }
    let mut numbered = questions.iter().filter(|question| question.number.as_deref() == Some(wanted));
    match (numbered.next(), numbered.next()) {
        (Some(question), None) => Ok(question),
        (None, _) => Err(refuse(
            format!("the checklist has no question {wanted:?}"),
            "See the questions with `endcheck checklist`.",
        )),
        (Some(_), Some(_)) => {
            Err(refuse(format!("several questions have the number {wanted:?}"), "Give the question's name."))
        }
    }
}

/// The item that the answer is about, where the question is asked for each item.
///
/// # Errors
/// When an item is needed and missing, or given and not wanted.
pub(super) fn item(
    visit: &OpenVisit,
    question: &Question,
    selector: Option<&str>,
) -> anyhow::Result<Option<ItemId>> {
    match (question.scope, selector) {
        (Scope::Visit, None) => Ok(None),
        (Scope::Item, Some(selector)) => visit.item(selector).map(Some),
        (Scope::Visit, Some(_)) => Err(refuse(
            format!("{} is asked once a visit, not for an item", question.label()),
            "Leave --item out.",
        )),
        (Scope::Item, None) => match visit.packet.items.as_slice() {
            [only] => Ok(Some(only.id.clone())),
            items => {
                let keys: Vec<&str> = items.iter().map(|item| item.key.as_str()).collect();
                Err(refuse(
                    format!("{} is asked for each item", question.label()),
                    format!("Say which with --item: {}.", keys.join(", ")),
                ))
            }
        },
    }
}

/// Reads an answer as the question takes it.
///
/// # Errors
/// Says what the question takes.
pub(super) fn value(question: &Question, text: &str) -> anyhow::Result<Value> {
    let text = text.trim();
    match &question.answer {
        AnswerType::YesNoUnknown => match text.to_lowercase().as_str() {
            "yes" | "y" => Ok(Value::YesNo(YesNo::Yes)),
            "no" | "n" => Ok(Value::YesNo(YesNo::No)),
            "unknown" | "?" => Ok(Value::YesNo(YesNo::Unknown)),
            _ => Err(refuse(
                format!("{text:?} is not an answer to {}", question.label()),
                "Answer yes, no or unknown.",
            )),
        },
        AnswerType::Text => Ok(Value::Text(text.to_owned())),
        AnswerType::Number { .. } => Ok(Value::Number(text.parse()?)),
        AnswerType::Serial => Ok(Value::Serial(text.to_owned())),
        AnswerType::Choice { .. } => {
            let codes: Result<Vec<Slug>, _> = text.split(',').map(|code| code.trim().parse()).collect();
            Ok(Value::Choice(codes?))
        }
        AnswerType::Position => {
            let position = manual::parse(text)?.position;
            let (lat_e7, lon_e7) = (i32::try_from(position.lat_e7())?, i32::try_from(position.lon_e7())?);
            Ok(Value::Position { lat_e7, lon_e7 })
        }
        AnswerType::Photo | AnswerType::Document => Err(refuse(
            format!("{} is answered by its evidence", question.label()),
            format!("Take it in with `endcheck capture --question {} FILE`.", question.id),
        )),
    }
}

/// The sentence about an answer that was recorded.
pub(super) fn answered(question: &Question) -> String {
    format!("{} answered.", capitalised(&question.label()))
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}
