//! Runs a command with one throwaway PostgreSQL cluster for all the tests it starts.
//!
//! `with-postgres COMMAND…`; the command's exit status is the answer.
#![expect(clippy::print_stderr, reason = "a command line")]

use std::process::{Command, ExitCode};

use anyhow::Context as _;
use endcheck_tests::postgres::{Cluster, SOCKET_VARIABLE};

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("with-postgres: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<u8> {
    let mut words = std::env::args_os().skip(1);
    let program = words.next().context("say which command to run")?;
    let cluster = Cluster::start()?;
    let status = Command::new(&program)
        .args(words)
        .env(SOCKET_VARIABLE, cluster.folder())
        .status()
        .with_context(|| program.to_string_lossy().into_owned())?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
