//! Reasons that people give: kept, shown, and perhaps to be defended.

use crate::error::{Error, Result};

/// Longest reason, in characters.
const MAX_REASON_CHARS: usize = 4000;

/// A reason that says something.
///
/// # Errors
/// 422 when it says nothing, is beyond all measure, or has control characters other than line ends and tabs or such as
/// turn text around.
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
    if let Some(turning) =
        reason.chars().find(|c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
    {
        return Err(Error::invalid_field(
            "reason",
            format!(
                "holds U+{:04X}, which turns around how the text reads; leave it out",
                u32::from(turning)
            ),
        ));
    }
    if !reason.chars().any(char::is_alphanumeric) {
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
