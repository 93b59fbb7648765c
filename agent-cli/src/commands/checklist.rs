//! `checklist`: what is open; question by question with a person; or answers from a file, all or none.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use endcheck_protocol::checklist::{
    self, Answer as Value, AnswerType, Evaluation, Question, Status, Text, validate,
};
use endcheck_protocol::ids::ItemId;
use serde::{Deserialize, Serialize};

use super::answer::{self, Given};
use crate::cli::Checklist;
use crate::dossier;
use crate::refusal::{ExitStatus, refuse};
use crate::session::{OpenVisit, Session};
use crate::ui;

/// Hundreds of questions for hundreds of items.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// One answer of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    question: String,
    item: Option<String>,
    answer: Written,
    /// A typed serial, as read from the plate again.
    serial_again: Option<String>,
    /// The serial was scanned, not typed.
    #[serde(default)]
    scanned: bool,
    note: Option<String>,
}

/// An answer as people write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Number(serde_json::Number),
    Choice(Vec<String>),
    Skipped { skipped: String },
}

pub(super) fn run(session: &mut Session<'_>, command: &Checklist) -> anyhow::Result<ExitStatus> {
    if let Some(path) = &command.from {
        let visit = session.open_visit(&command.on)?.readable()?;
        return from_file(session, command, &visit, path);
    }
    if session.ui.interactive() {
        let visit = session.open_visit(&command.on)?.readable()?;
        return ask(session, command, &visit);
    }
    let visit = session.any_visit(command.on.visit.as_deref())?.readable()?;
    show(session, command, &visit)
}

fn evaluate(session: &mut Session<'_>, visit: &OpenVisit) -> anyhow::Result<Evaluation> {
    let records = session.store.records_of(&visit.packet.visit.id)?;
    Ok(checklist::evaluate(&visit.packet.checklist, &dossier::state(&records)))
}

#[derive(Serialize)]
struct Standing<'a> {
    visit: &'a str,
    may_complete: bool,
    missing: Vec<String>,
    #[serde(flatten)]
    evaluation: Questions<'a>,
}

#[derive(Serialize)]
struct Questions<'a> {
    questions: &'a [checklist::QuestionState],
}

fn show(session: &mut Session<'_>, command: &Checklist, visit: &OpenVisit) -> anyhow::Result<ExitStatus> {
    let evaluation = evaluate(session, visit)?;
    let standing = Standing {
        visit: visit.packet.visit.id.as_str(),
        may_complete: evaluation.may_complete(),
        missing: evaluation.missing.iter().map(|missing| visit.sentence(missing)).collect(),
        evaluation: Questions { questions: &evaluation.questions },
    };
    session.ui.report(&standing, || human(visit, &evaluation, &command.language));
    Ok(ExitStatus::Success)
}

fn human(visit: &OpenVisit, evaluation: &Evaluation, language: &str) -> String {
    let open: Vec<_> = evaluation.questions.iter().filter(|state| state.status == Status::Open).collect();
    let answered = evaluation
        .questions
        .iter()
        .filter(|state| matches!(state.status, Status::Answered | Status::Skipped { .. }))
        .count();
    let mut lines = vec![format!("{answered} answered, {} open", open.len())];
    for state in open {
        let Some(question) = visit.packet.checklist.question(&state.question) else { continue };
        let item = state.item.as_ref().map(|id| format!(" [{}]", key(visit, id))).unwrap_or_default();
        let takes = takes(question, language);
        lines.push(format!(
            "  {:>4} {}{item}: {} ({takes})",
            question.number.as_deref().unwrap_or("–"),
            question.id,
            question.text_in(language)
        ));
    }
    if evaluation.missing.is_empty() {
        lines.push("Nothing is missing: the visit can be closed as completed.".to_owned());
    } else {
        lines.push("Missing:".to_owned());
        lines.extend(evaluation.missing.iter().map(|missing| format!("  - {}", visit.sentence(missing))));
    }
    lines.join("\n")
}

fn key<'a>(visit: &'a OpenVisit, item: &'a ItemId) -> &'a str {
    let found = visit.packet.items.iter().find(|expected| expected.id == *item);
    found.map_or(item.as_str(), |expected| expected.key.as_str())
}

fn takes(question: &Question, language: &str) -> String {
    let say = |text: &Text| text.text_in(language).to_owned();
    match &question.answer {
        AnswerType::YesNoUnknown => "yes, no, unknown".to_owned(),
        AnswerType::Text => "text".to_owned(),
        AnswerType::Number { unit } if unit.is_empty() => "number".to_owned(),
        AnswerType::Number { unit } => format!("number, {unit}"),
        AnswerType::Serial => "serial, twice".to_owned(),
        AnswerType::Choice { multiple, options } => {
            let options: Vec<String> =
                options.iter().map(|option| format!("{}: {}", option.code, say(&option.text))).collect();
            format!("{} {}", if *multiple { "any of" } else { "one of" }, options.join("; "))
        }
        AnswerType::Position => "LAT,LON".to_owned(),
        AnswerType::Photo => "a photo".to_owned(),
        AnswerType::Document => "a document".to_owned(),
    }
}

fn from_file(
    session: &mut Session<'_>,
    command: &Checklist,
    visit: &OpenVisit,
    path: &Path,
) -> anyhow::Result<ExitStatus> {
    let text = super::text_file(path, MAX_FILE_BYTES)?;
    let rows: Vec<Row> = serde_json::from_str(&text).with_context(|| {
        format!("{} is not a list of {{question, item, answer, serial_again, note}}", path.display())
    })?;
    let mut given: Vec<Given<'_>> = Vec::new();
    let mut wrong = Vec::new();
    let mut places = BTreeMap::new();
    for (place, row) in rows.iter().enumerate() {
        match read_row(visit, row) {
            Ok(answer) => {
                let first = *places.entry((answer.question.id.clone(), answer.item.clone())).or_insert(place);
                if first != place {
                    let (this, first) = (place + 1, first + 1);
                    wrong.push(format!("\n  row {this} ({}): row {first} answers the same", row.question));
                }
                given.push(answer);
            }
            Err(error) => wrong.push(format!("\n  row {} ({}): {error:#}", place + 1, row.question)),
        }
    }
    if !wrong.is_empty() {
        return Err(refuse(
            format!(
                "{} of {} answers do not fit; none was recorded{}",
                wrong.len(),
                rows.len(),
                wrong.concat()
            ),
            "Mend the file and take it in again.",
        ));
    }
    let records = session.store.records_of(&visit.packet.visit.id)?;
    let place = crate::locate::fix(&command.on.place, session.ui)?;
    let drafts = given.iter().map(|answer| {
        let mut draft = answer.draft(visit, &records);
        draft.place.clone_from(&place);
        draft
    });
    let recorded = session.record_all(drafts.collect())?;
    // A record of a clock that was set may stand before the answers.
    let answers = recorded.iter().filter(|one| one.kind == "answer");
    for (one, answer) in answers.zip(&given) {
        session.ui.report(one, || one.told(&answer::answered(answer.question)));
    }
    let count = u64::try_from(given.len())?;
    session.ui.note(&format!("{} recorded.", ui::count(count, "answer", "answers")));
    Ok(ExitStatus::Success)
}

fn read_row<'a>(visit: &'a OpenVisit, row: &Row) -> anyhow::Result<Given<'a>> {
    let question = answer::question(visit, &row.question)?;
    let item = answer::item(visit, question, row.item.as_deref())?;
    let value = match &row.answer {
        Written::Text(text) => answer::value(question, text)?,
        Written::Number(number) => answer::value(question, &number.to_string())?,
        Written::Choice(codes) => answer::value(question, &codes.join(","))?,
        Written::Skipped { skipped } => Value::Skipped { reason: skipped.parse()? },
    };
    let note = super::optional("the note", row.note.as_ref())?;
    validate(question, &value, note.as_deref())?;
    if let Value::Serial(serial) = &value {
        let again = row.serial_again.as_deref().map(str::trim);
        ensure!(
            row.scanned || again.is_some(),
            "a typed serial is needed twice: add serial_again, or scanned"
        );
        ensure!(row.scanned || again == Some(serial.trim()), "answer and serial_again differ");
    }
    Ok(Given { question, item, value, note })
}

/// Goes through what is open. Every answer is recorded as it is given; an empty line leaves a
/// question open; the end of input ends the round.
fn ask(session: &mut Session<'_>, command: &Checklist, visit: &OpenVisit) -> anyhow::Result<ExitStatus> {
    let mut passed = Vec::new();
    loop {
        let evaluation = evaluate(session, visit)?;
        let next = evaluation.questions.iter().find(|state| {
            state.status == Status::Open && !passed.contains(&(state.question.clone(), state.item.clone()))
        });
        let Some(state) = next else { break };
        passed.push((state.question.clone(), state.item.clone()));
        let Some(question) = visit.packet.checklist.question(&state.question) else { continue };
        if question.answered_by_evidence() {
            continue;
        }
        let item = state.item.as_ref().map(|id| format!(" [{}]", key(visit, id))).unwrap_or_default();
        let number = question.number.as_deref().unwrap_or("–");
        let skip = if question.skip_reasons.is_empty() {
            String::new()
        } else {
            let reasons: Vec<&str> = question.skip_reasons.iter().map(|reason| reason.as_str()).collect();
            format!("; or skip REASON: {}", reasons.join(", "))
        };
        let heading = format!(
            "\n{number}{item} {}\n({}{skip})\n>",
            question.text_in(&command.language),
            takes(question, &command.language)
        );
        let Some(line) = session.ui.ask(&heading) else { break };
        if line.is_empty() {
            continue;
        }
        if let Err(error) = take(session, visit, question, state.item.clone(), &line) {
            session.ui.problem(None, &error);
            passed.pop();
        }
    }
    show(session, command, visit)
}

fn take(
    session: &mut Session<'_>,
    visit: &OpenVisit,
    question: &Question,
    item: Option<ItemId>,
    line: &str,
) -> anyhow::Result<()> {
    let value = match line.strip_prefix("skip ") {
        Some(reason) => Value::Skipped { reason: reason.trim().parse()? },
        None => answer::value(question, line)?,
    };
    if let Value::Serial(typed) = &value {
        super::serial::entry(typed, &crate::cli::SerialArgs::default(), session.ui)?;
    }
    let note = match validate(question, &value, None) {
        Ok(()) => None,
        Err(checklist::AnswerError::NoteDemanded { .. }) => {
            session.ui.ask("Why?").filter(|note| !note.is_empty())
        }
        Err(other) => return Err(other.into()),
    };
    validate(question, &value, note.as_deref())?;
    let records = session.store.records_of(&visit.packet.visit.id)?;
    let draft = Given { question, item, value, note }.draft(visit, &records);
    let recorded = session.record(draft)?;
    session.ui.report(&recorded, || recorded.told(&answer::answered(question)));
    Ok(())
}
