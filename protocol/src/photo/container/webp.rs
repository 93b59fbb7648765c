//! WebP: the RIFF chunks (RFC 9649) and the three places where a width may stand.

use super::Container;
use crate::photo::PhotoFormat;
use crate::photo::bytes::{index, le16, le32, only_zeros, rest, slice};
use crate::photo::refusal::{PhotoRefusal, damaged};

pub(super) fn walk(bytes: &[u8]) -> Result<Container<'_>, PhotoRefusal> {
    let mut found = Container::new(PhotoFormat::Webp);
    let end = le32(bytes, 4).map(|size| index(size).saturating_add(8)).ok_or(damaged(EARLY_END))?;
    let riff = bytes.get(..end).ok_or(damaged(EARLY_END))?;
    let mut pictured = false;
    let mut at = 12;
    while at < riff.len() {
        let kind = slice(riff, at, 4).ok_or(damaged(EARLY_END))?;
        let length = le32(riff, at + 4).map(index).ok_or(damaged(EARLY_END))?;
        let data = slice(riff, at + 8, length).ok_or(damaged("a chunk runs past the end of the file"))?;
        let size = match kind {
            b"VP8X" => extended(data),
            b"VP8 " => lossy(data),
            b"VP8L" => lossless(data),
            b"ANMF" => Some((0, 0)),
            b"EXIF" => {
                found.add_exif(data);
                None
            }
            b"XMP " => {
                found.add_xmp(data);
                None
            }
            _ => None,
        };
        if let Some((width, height)) = size {
            found.width = found.width.max(width);
            found.height = found.height.max(height);
        }
        pictured |= matches!(kind, b"VP8 " | b"VP8L" | b"ANMF");
        at = at.saturating_add(8).saturating_add(length).saturating_add(length % 2);
    }
    if !pictured {
        return Err(damaged("it holds no picture data"));
    }
    found.trailing_data = !only_zeros(rest(bytes, end));
    Ok(found)
}

const EARLY_END: &str = "the file ends before the image does";

fn extended(data: &[u8]) -> Option<(u32, u32)> {
    let (width, height) = (slice(data, 4, 3)?, slice(data, 7, 3)?);
    let from = |three: &[u8]| three.iter().rev().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)) + 1;
    Some((from(width), from(height)))
}

fn lossy(data: &[u8]) -> Option<(u32, u32)> {
    if slice(data, 3, 3)? != b"\x9D\x01\x2A" {
        return None;
    }
    Some((u32::from(le16(data, 6)? & 0x3FFF), u32::from(le16(data, 8)? & 0x3FFF)))
}

fn lossless(data: &[u8]) -> Option<(u32, u32)> {
    let bits = data.strip_prefix(b"\x2F").and_then(|rest| le32(rest, 0))?;
    Some(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_headers_tell_the_size() {
        assert_eq!(extended(&[0, 0, 0, 0, 0x3F, 1, 0, 0xEF, 0, 0]), Some((320, 240)));
        assert_eq!(lossy(b"\0\0\0\x9D\x01\x2A\x40\x01\xF0\x00"), Some((320, 240)));
        assert_eq!(lossless(&[0x2F, 0x3F, 0xC1, 0x3B, 0x00]), Some((320, 240)));
        assert_eq!(lossy(b"\0\0\0\0\0\0\0\0\0\0"), None);
    }
}
