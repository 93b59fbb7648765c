//! The only file that prints, asks and draws: for people by default, JSON lines with `--json`.
//!
//! What comes from files and servers is stripped of control characters before a terminal sees it.

use std::io::{BufRead as _, Write as _};
use std::sync::{Mutex, PoisonError};

use endcheck_protocol::terminal;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::environment::Environment;
use crate::refusal::{ExitStatus, Refusal, refuse};

/// Output and input of one command.
pub struct Ui<'a> {
    environment: &'a Environment,
    json: bool,
    /// What first kept the output from being written.
    unwritten: Mutex<Option<std::io::Error>>,
}

type Stream = Mutex<Box<dyn std::io::Write + Send>>;

fn write(stream: &Stream, text: &str) -> std::io::Result<()> {
    let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
    stream.write_all(text.as_bytes()).and_then(|()| stream.flush())
}

/// The error and its causes; a cause that only repeats what was said is left out.
fn sentence(error: &anyhow::Error) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.last().is_none_or(|last| !last.ends_with(&cause)) {
            said.push(cause);
        }
    }
    said.join(": ")
}

impl<'a> Ui<'a> {
    #[must_use]
    pub fn new(environment: &'a Environment, json: bool) -> Self {
        Self { environment, json, unwritten: Mutex::default() }
    }

    /// Prints what clap has to say: help and versions on the output, mistakes on the errors, or as one
    /// object on the output with `--json`.
    pub fn usage(&self, error: &clap::Error) -> ExitStatus {
        let rendered = error.render();
        if !error.use_stderr() {
            let ansi = self.environment.interactive;
            self.print(&if ansi { rendered.ansi().to_string() } else { rendered.to_string() });
            return ExitStatus::Success;
        }
        if self.json {
            let text = rendered.to_string();
            let line = serde_json::json!({
                "error": text.trim().trim_start_matches("error: "),
                "next": "See `endcheck help`.",
                "subject": null,
            });
            self.print(&format!("{line}\n"));
        } else {
            let ansi = self.environment.interactive;
            self.complain(&if ansi { rendered.ansi().to_string() } else { rendered.to_string() });
        }
        ExitStatus::Usage
    }

    fn print(&self, text: &str) {
        if let Err(error) = write(&self.environment.output, text) {
            self.unwritten.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    }

    /// Where even this cannot be written, there is nobody left to tell.
    fn complain(&self, text: &str) {
        write(&self.environment.errors, text).unwrap_or_default();
    }

    /// How a command ends that ended with `status`: one whose output went nowhere is not done.
    pub fn end(&self, status: ExitStatus) -> ExitStatus {
        let unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner).take();
        match unwritten {
            Some(error) => {
                self.problem(
                    None,
                    &refuse(
                        format!("the output cannot be written: {error}"),
                        "What the command did stands; see it with `endcheck status`.",
                    ),
                );
                if status == ExitStatus::Success { ExitStatus::Partly } else { status }
            }
            None => status,
        }
    }

    /// Whether a person can be asked.
    #[must_use]
    pub fn interactive(&self) -> bool {
        self.environment.interactive && !self.json
    }

    /// One result: a JSON object on a line of its own, or `human` as text.
    pub fn report<T: Serialize>(&self, value: &T, human: impl FnOnce() -> String) {
        if self.json {
            let line =
                serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
            self.print(&format!("{line}\n"));
        } else {
            let text = terminal::lines(&human());
            if !text.is_empty() {
                self.print(&format!("{}\n", text.trim_end_matches('\n')));
            }
        }
    }

    /// Something that the person should know and a program need not.
    pub fn note(&self, text: &str) {
        if !self.json {
            self.complain(&format!("{}\n", terminal::lines(text)));
        }
    }

    /// Something that may be wrong though the command went on.
    pub fn warn(&self, text: &str) {
        if self.json {
            let line = serde_json::json!({ "warning": text });
            self.complain(&format!("{line}\n"));
        } else {
            self.complain(&format!("endcheck: warning: {}\n", terminal::lines(text)));
        }
    }

    /// Tells why a command failed, and what to do next.
    pub fn failure(&self, error: &anyhow::Error) -> ExitStatus {
        self.problem(None, error);
        ExitStatus::Refused
    }

    /// Tells what is wrong with one of several things, named by `subject`.
    pub fn problem(&self, subject: Option<&str>, error: &anyhow::Error) {
        let (what, next) = match error.chain().find_map(|cause| cause.downcast_ref::<Refusal>()) {
            Some(refusal) => (refusal.what.clone(), Some(refusal.next.clone())),
            None => (sentence(error), None),
        };
        if self.json {
            let line = serde_json::json!({ "error": what, "next": next, "subject": subject });
            self.complain(&format!("{line}\n"));
        } else {
            let subject = subject.map(|subject| format!("{}: ", subject)).unwrap_or_default();
            let next = next.map(|next| format!("  {next}\n")).unwrap_or_default();
            self.complain(&terminal::lines(&format!("endcheck: {subject}{what}\n{next}")));
        }
    }

    /// One line from the person; nothing at the end of input.
    pub fn ask(&self, prompt: &str) -> Option<String> {
        self.print(&format!("{} ", terminal::lines(prompt)));
        let mut input = self.environment.input.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = String::new();
        match input.read_line(&mut line) {
            Ok(1..) => Some(line.trim().to_owned()),
            _ => None,
        }
    }

    /// Everything that stands on the input.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_input(&self, limit_bytes: u64) -> std::io::Result<Vec<u8>> {
        use std::io::Read as _;
        let mut input = self.environment.input.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        input.by_ref().take(limit_bytes).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// A passphrase typed without echo.
    ///
    /// # Errors
    /// When nobody sits at the terminal, or nothing was typed.
    pub fn passphrase(&self, prompt: &str) -> anyhow::Result<Zeroizing<String>> {
        if !self.environment.interactive {
            return Err(refuse(
                "the store is locked and there is nobody to ask for the passphrase",
                "Set ENDCHECK_PASSPHRASE, or run the command in a terminal.",
            ));
        }
        let typed = rpassword::prompt_password(format!("{prompt}: ")).map(Zeroizing::new)?;
        if typed.is_empty() {
            return Err(refuse("no passphrase was typed", "Try again."));
        }
        Ok(typed)
    }

    /// A bar for `total_bytes`, drawn only where somebody can see it.
    #[must_use]
    pub fn progress(&self, total_bytes: u64) -> ProgressBar {
        let drawn = self.environment.progress && !self.json && total_bytes > 0;
        let target = if drawn { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style =
            ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} left {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::with_draw_target(Some(total_bytes), target).with_style(style)
    }
}

/// `1 photo`, `2 photos`.
#[must_use]
pub fn count(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// A size as people read it.
#[must_use]
pub fn size(size_bytes: u64) -> String {
    indicatif::HumanBytes(size_bytes).to_string()
}
