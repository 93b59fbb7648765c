//! The marker segments of a JPEG (ITU T.81 annex B), each with the scan that follows it.

/// One segment; the scan is there only after a start of scan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'a> {
    pub marker: u8,
    pub body: &'a [u8],
    pub scan: &'a [u8],
}

impl Segment<'_> {
    /// Width and height in pixels, of a frame header.
    pub fn frame_size(&self) -> Option<(u32, u32)> {
        let frame = matches!(self.marker, 0xC0..=0xCF) && !matches!(self.marker, 0xC4 | 0xC8 | 0xCC);
        let [_, height_high, height_low, width_high, width_low] = *self.body.first_chunk::<5>()?;
        let size = |high, low| u32::from(u16::from_be_bytes([high, low]));
        frame.then(|| (size(width_high, width_low), size(height_high, height_low)))
    }
}

/// Walks to the end of the image or of what can be read, whichever comes first.
#[derive(Debug, Clone)]
pub(super) struct Segments<'a> {
    rest: &'a [u8],
    head_only: bool,
}

const SCAN: u8 = 0xDA;
/// How much is searched for a marker at a time.
const STRIDE: usize = 64;

impl<'a> Segments<'a> {
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes.get(2..).unwrap_or_default(), head_only: false }
    }

    /// Only what stands before the first scan, which is long.
    pub fn before_scan(bytes: &'a [u8]) -> Self {
        Self { head_only: true, ..Self::of(bytes) }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        loop {
            let at = self.rest.iter().position(|byte| *byte == 0xFF)?;
            let after = self.rest.get(at..)?;
            let fill = after.iter().take_while(|byte| **byte == 0xFF).count();
            let (marker, after) = after.get(fill..)?.split_first()?;
            match marker {
                0x00 | 0x01 | 0xD0..=0xD8 => {
                    self.rest = after;
                    continue;
                }
                0xD9 => return None,
                _ => {}
            }
            let (length, _) = after.split_first_chunk::<2>()?;
            let (segment, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            let body = segment.get(2..)?;
            let end = match *marker {
                SCAN if self.head_only => return None,
                SCAN => scan_end(after),
                _ => 0,
            };
            let (scan, after) = after.split_at_checked(end)?;
            self.rest = after;
            return Some(Segment { marker: *marker, body, scan });
        }
    }
}

/// Where the entropy-coded data ends: at a marker that is neither a stuffed byte nor a restart.
fn scan_end(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        // Looking for a byte in a whole stride is fast; where in it is asked only when it is there.
        let stride = rest.get(..STRIDE).unwrap_or(rest);
        if !stride.contains(&0xFF) {
            at += stride.len();
            continue;
        }
        at += stride.iter().take_while(|byte| **byte != 0xFF).count();
        match bytes.get(at + 1) {
            Some(0x00 | 0xD0..=0xD7) => at += 2,
            Some(0xFF) => at += 1,
            Some(_) => return at,
            None => break,
        }
    }
    bytes.len()
}
