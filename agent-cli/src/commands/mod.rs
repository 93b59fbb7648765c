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
mod receipts;
mod serial;
mod statement;
mod status;
mod sync;
mod track;
mod verify;
mod visits;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use endcheck_protocol::checklist::MAX_TEXT_CHARS;

use crate::cli::{Cli, Command};
use crate::environment::Environment;
use crate::refusal::{ExitStatus, refuse};
use crate::session::Session;
use crate::ui::{self, Ui};

/// Carries a command out.
///
/// # Errors
/// Why it was refused or failed.
pub fn run(cli: Cli, environment: &Environment, ui: &Ui<'_>) -> anyhow::Result<ExitStatus> {
    let within = |verb: &dyn Fn(&mut Session<'_>) -> anyhow::Result<ExitStatus>| {
        let mut session = Session::open(environment, ui)?;
        let status = verb(&mut session);
        session.end();
        status
    };
    match cli.command {
        Command::Enrol(command) => enrol::run(&command, environment, ui),
        Command::Inspect(command) => inspect::run(&command, environment, ui),
        Command::Lock => lock::run(environment, ui),
        Command::Verify(command) => Ok(verify::run(&command, ui)),
        Command::Pull => within(&pull::run),
        Command::Visits => within(&visits::run),
        Command::Open(command) => within(&|session| open::run(session, &command)),
        Command::Capture(command) => within(&|session| capture::run(session, &command)),
        Command::Track(command) => within(&|session| track::run(session, &command)),
        Command::Answer(command) => within(&|session| answer::run(session, &command)),
        Command::Checklist(command) => within(&|session| checklist::run(session, &command)),
        Command::Item(command) => within(&|session| item::run(session, &command)),
        Command::Note(command) => within(&|session| note::run(session, &command)),
        Command::Statement(command) => within(&|session| statement::run(session, &command)),
        Command::Denied(command) => within(&|session| denied::run(session, &command)),
        Command::CheckIn(command) => within(&|session| check_in::run(session, &command)),
        Command::Close(command) => within(&|session| close::run(session, &command)),
        Command::Sync(command) => within(&|session| sync::run(session, &command)),
        Command::Receipts(command) => within(&|session| receipts::run(session, &command)),
        Command::Status => within(&status::run),
    }
}

/// The text of a file that people wrote, of `limit_bytes` at most.
fn text_file(path: &Path, limit_bytes: u64) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(limit_bytes + 1).read_to_string(&mut text));
    let over = u64::try_from(text.len())? > limit_bytes;
    match read {
        Ok(_) if !over => Ok(text),
        Ok(_) => Err(refuse(
            format!("{} is longer than {}", path.display(), ui::size(limit_bytes)),
            "Is it the right file?",
        )),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read as UTF-8 text", path.display())),
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
