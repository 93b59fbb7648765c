//! One file a verb: read what is needed, decide, record, report.

mod answer;
mod capture;
mod check_in;
mod checklist;
mod close;
mod denied;
mod enrol;
mod inspect;
mod item;
mod lock;
mod note;
mod open;
mod pull;
mod serial;
mod statement;
mod status;
mod sync;
mod visits;

use endcheck_protocol::checklist::MAX_TEXT_CHARS;

use crate::cli::{Cli, Command};
use crate::environment::Environment;
use crate::refusal::{ExitStatus, refuse};
use crate::session::Session;
use crate::ui::Ui;

/// Carries a command out.
///
/// # Errors
/// Why it was refused or failed.
pub fn run(cli: Cli, environment: &Environment, ui: &Ui<'_>) -> anyhow::Result<ExitStatus> {
    let session = || Session::open(environment, ui);
    match cli.command {
        Command::Enrol(command) => enrol::run(&command, environment, ui),
        Command::Inspect(command) => inspect::run(&command, environment, ui),
        Command::Lock => lock::run(environment, ui),
        Command::Pull => pull::run(&mut session()?),
        Command::Visits => visits::run(&mut session()?),
        Command::Open(command) => open::run(&mut session()?, &command),
        Command::Capture(command) => capture::run(&mut session()?, &command),
        Command::Answer(command) => answer::run(&mut session()?, &command),
        Command::Checklist(command) => checklist::run(&mut session()?, &command),
        Command::Item(command) => item::run(&mut session()?, &command),
        Command::Note(command) => note::run(&mut session()?, &command),
        Command::Statement(command) => statement::run(&mut session()?, &command),
        Command::Denied(command) => denied::run(&mut session()?, &command),
        Command::CheckIn(command) => check_in::run(&mut session()?, &command),
        Command::Close(command) => close::run(&mut session()?, &command),
        Command::Sync(command) => sync::run(&mut session()?, &command),
        Command::Status => status::run(&mut session()?),
    }
}

/// A text that must say something, within what a record takes.
fn text(what: &str, text: &str) -> anyhow::Result<String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(refuse(format!("{what} is empty"), "Write at least a word."));
    }
    if trimmed.chars().count() > MAX_TEXT_CHARS {
        return Err(refuse(
            format!("{what} is longer than {MAX_TEXT_CHARS} characters"),
            "Put it into a file and capture that with --document.",
        ));
    }
    Ok(trimmed.to_owned())
}

/// As [`text`], for what may be left out.
fn optional(what: &str, given: Option<&String>) -> anyhow::Result<Option<String>> {
    given.map(|given| text(what, given)).transpose()
}
