//! How commands end, and refusals that say what to do next.

use std::process::ExitCode;

/// How a command ended; the number is the program's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Done.
    Success = 0,
    /// Refused or failed; the reason was printed.
    Refused = 1,
    /// The command line was not understood.
    Usage = 2,
    /// Done in part; what was not done was printed with its reason.
    Partly = 3,
}

impl ExitStatus {
    /// `verify` gives the numbers 2 and 3 its own meanings: something could not be checked …
    pub const VERIFY_NOT_CHECKED: Self = Self::Usage;
    /// … and it was called wrongly.
    pub const VERIFY_MISUSE: Self = Self::Partly;
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}

/// Something the agent will not or cannot do: what, and what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Refusal {
    pub what: String,
    pub next: String,
}

/// A [`Refusal`] as an error.
pub fn refuse(what: impl Into<String>, next: impl Into<String>) -> anyhow::Error {
    Refusal { what: what.into(), next: next.into() }.into()
}
