//! Reasons that people give: kept, shown, and perhaps to be defended.

use crate::error::{Error, Result};

/// Longest reason, in characters.
const MAX_REASON_CHARS: usize = 4000;

/// A reason that says something.
///
/// # Errors
/// 422 when it is empty, beyond all measure, or has control characters other than line ends and tabs.
pub fn require(reason: String) -> Result<String> {
    // A browser sends line ends as CR LF.
    let reason = reason.trim().replace("\r\n", "\n");
    if let Some(control) = reason.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(Error::invalid_field(
            "reason",
            format!(
                "holds the control character U+{:04X}; only line ends and tabs may stand in it",
                u32::from(control)
            ),
        ));
    }
    if reason.is_empty() {
        return Err(Error::invalid_field(
            "reason",
            "say why; the reason is kept and may have to be defended",
        ));
    }
    if reason.chars().count() > MAX_REASON_CHARS {
        return Err(Error::invalid_field("reason", format!("may have {MAX_REASON_CHARS} characters")));
    }
    Ok(reason)
}
