//! Bytes to text, and offsets to lines.

use std::borrow::Cow;

use super::faults::{Faults, Place};

/// The text without its byte order mark. Each line with bytes that are not UTF-8 is a fault; the
/// rest stays readable, so that its faults are found as well.
pub(super) fn decode<'t>(bytes: &'t [u8], faults: &mut Faults) -> Cow<'t, str> {
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        faults.add(&Place::line(1), "file", "is UTF-16; save it as UTF-8");
        return Cow::Borrowed("");
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            for (line, content) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
                if let Err(error) = std::str::from_utf8(content) {
                    let column = error.valid_up_to() + 1;
                    faults.add(&Place::line(line), "file", format!("byte {column} of the line is not UTF-8"));
                }
            }
            Cow::Owned(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

/// Turns byte offsets, asked for in ascending order, into lines counted from 1.
pub(super) struct LineCounter<'t> {
    bytes: &'t [u8],
    offset: usize,
    line: u64,
}

impl<'t> LineCounter<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { bytes: text.as_bytes(), offset: 0, line: 1 }
    }

    /// The line on which the byte at `offset` stands, line ends before it skipped.
    pub fn line_at(&mut self, offset: usize) -> u64 {
        let rest = self.bytes.get(offset..).unwrap_or_default();
        let skipped = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let target = (offset + skipped).min(self.bytes.len());
        let passed = self.bytes.get(self.offset..target).unwrap_or_default();
        self.line += passed.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        self.offset = self.offset.max(target);
        self.line
    }
}
