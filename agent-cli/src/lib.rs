//! The field agent of Endcheck: records a site visit with no network, and hands it in later.
//!
//! [`run`] is the whole program, callable in process: it touches no global state, reads no
//! environment variable and never exits. Everything it needs of the world is in [`Environment`].

mod capture_source;
mod carry;
mod chain;
mod cli;
mod commands;
#[cfg(test)]
mod days;
mod dossier;
mod environment;
#[cfg(test)]
mod flows;
mod hashing;
mod identity;
mod locate;
mod refusal;
mod seal;
#[cfg(test)]
mod sealing;
mod session;
mod store;
mod sync;
#[cfg(test)]
mod testing;
mod ui;
mod vault;
mod verify;

use std::ffi::OsString;

use clap::Parser as _;

pub use environment::{Clock, ClockReading, Environment, PassphraseCost};
pub use refusal::ExitStatus;

/// Runs the agent with `args` (the program's name first) and says how it ended. Everything that is
/// acknowledged on the way is durable before it is printed.
pub fn run<I, T>(args: I, environment: &Environment) -> ExitStatus
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let json = args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--json");
    let mut words = args.iter().skip(1).filter(|word| !word.to_string_lossy().starts_with('-'));
    let verifies = words.next().is_some_and(|verb| verb == "verify");
    let cli = match cli::Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let ui = ui::Ui::new(environment, json);
            let status = match ui.usage(&error) {
                ExitStatus::Usage if verifies => ExitStatus::VERIFY_MISUSE,
                status => status,
            };
            return ui.end(status);
        }
    };
    let ui = ui::Ui::new(environment, cli.json);
    let status = match commands::run(cli, environment, &ui) {
        Ok(status) => status,
        Err(error) => ui.failure(&error),
    };
    ui.end(status)
}
