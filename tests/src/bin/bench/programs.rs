//! Running other programs: ours and the peers.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

/// Runs a program to its end and gives back what it printed.
///
/// # Errors
/// When it does not start, or fails.
pub fn run(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let done =
        command.stdin(Stdio::null()).output().with_context(|| format!("{command:?} does not start"))?;
    ensure!(
        done.status.success(),
        "{:?} ended with {}: {}{}",
        command.get_program(),
        done.status,
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(done.stdout)
}

/// Runs a program whose exit code and words do not matter, its output thrown away.
///
/// # Errors
/// When it does not start.
pub fn run_quietly(command: &mut Command) -> anyhow::Result<()> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .with_context(|| format!("{:?} is missing: run scripts/bench.sh", command.get_program()))?;
    Ok(())
}
