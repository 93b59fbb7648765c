//! Text that others wrote, before it is shown at a terminal. Must not print anything itself.

/// The text with U+FFFD in place of whatever steers a terminal or turns around how a line reads; line ends count
/// among that, too.
#[must_use]
pub fn line(text: &str) -> String {
    text.chars().map(|c| if steers(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The same of several lines, whose ends stay.
#[must_use]
pub fn lines(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_and_nothing_else_is_changed() {
        assert_eq!(
            line("a\u{1b}[31m\u{202e}b\r\nc\u{9b}"),
            "a\u{fffd}[31m\u{fffd}b\u{fffd}\u{fffd}c\u{fffd}"
        );
        assert_eq!(lines("один\nдва\tтри\n"), "один\nдва\u{fffd}три\n");
        assert_eq!(line("\u{61c}a\u{2028}b\u{2029}"), "\u{fffd}a\u{fffd}b\u{fffd}");
        assert_eq!(line("ſß漢 ‘’"), "ſß漢 ‘’");
    }
}
