//! JPEG: the marker segments up to the picture data (ITU T.81 annex B), then the tail of the file.
//! The picture data itself is not searched unless the file does not end with the end marker.

use super::Container;
use crate::photo::PhotoFormat;
use crate::photo::bytes::{be16, only_zeros, rest, slice};
use crate::photo::refusal::{PhotoRefusal, damaged};

const EXIF: &[u8] = b"Exif\0";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const END: &[u8] = b"\xFF\xD9";

pub(super) fn walk(bytes: &[u8]) -> Result<Container<'_>, PhotoRefusal> {
    let mut found = Container::new(PhotoFormat::Jpeg);
    let mut framed = false;
    let mut at = 2;
    loop {
        let next = rest(bytes, at).iter().position(|byte| *byte == 0xFF).ok_or(damaged(EARLY_END))?;
        found.damaged |= next > 0;
        at += next;
        at += rest(bytes, at).iter().take_while(|byte| **byte == 0xFF).count();
        let marker = *bytes.get(at).ok_or(damaged(EARLY_END))?;
        at += 1;
        match marker {
            0x00 | 0x01 | 0xD0..=0xD8 => continue,
            0xD9 => return Err(damaged("it ends before any picture data")),
            _ => {}
        }
        let length = usize::from(be16(bytes, at).ok_or(damaged(EARLY_END))?);
        let body_length = length.checked_sub(2).ok_or(damaged("a segment has an impossible length"))?;
        let body =
            slice(bytes, at + 2, body_length).ok_or(damaged("a segment runs past the end of the file"))?;
        at += length;
        match marker {
            0xC4 | 0xC8 | 0xCC => {}
            0xC0..=0xCF => {
                let (height, width) =
                    be16(body, 1).zip(be16(body, 3)).ok_or(damaged("its frame header is short"))?;
                // Should a file declare several frames, the largest is what a decoder might allocate.
                found.width = found.width.max(width.into());
                found.height = found.height.max(height.into());
                framed = true;
            }
            0xDB => found.tables.add(body),
            0xE1 if body.starts_with(EXIF) => found.add_exif(rest(body, EXIF.len() + 1)),
            0xE1 if body.starts_with(XMP) => found.add_xmp(rest(body, XMP.len())),
            0xDA => break,
            _ => {}
        }
    }
    if !framed {
        return Err(damaged("it has picture data but no frame header"));
    }
    tail(&mut found, rest(bytes, at))?;
    Ok(found)
}

const EARLY_END: &str = "the file ends before any picture data";

fn tail(found: &mut Container<'_>, picture: &[u8]) -> Result<(), PhotoRefusal> {
    if picture.is_empty() {
        return Err(damaged(EARLY_END));
    }
    if picture.ends_with(END) {
        return Ok(());
    }
    // Inside picture data 0xFF is always followed by 0 or a restart marker, so this is a real end.
    match picture.windows(END.len()).rposition(|window| window == END) {
        Some(end) => found.trailing_data = !only_zeros(rest(picture, end + END.len())),
        None => found.truncated_tail = true,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] =
        b"\xFF\xD8\xFF\xE1\0\x0AExif\0\0II\xFF\xC0\0\x0B\x08\0\x10\0\x20\x01\x01\x11\0\xFF\xDA\0\x02";

    fn with(tail: &[u8]) -> Vec<u8> {
        [HEAD, tail].concat()
    }

    #[test]
    fn the_segments_are_walked_up_to_the_picture() {
        let file = with(b"\x01\x02\xFF\xD9");
        let found = walk(&file).unwrap();
        assert_eq!((found.width, found.height, found.exif.as_slice()), (32, 16, &[&b"II"[..]][..]));
        assert!(!found.trailing_data && !found.truncated_tail && !found.damaged);
    }

    #[test]
    fn the_tail_is_judged() {
        assert!(walk(&with(b"\x01\xFF\xD9PK")).unwrap().trailing_data);
        assert!(!walk(&with(b"\x01\xFF\xD9\0\0")).unwrap().trailing_data);
        assert!(walk(&with(b"\x01\x02")).unwrap().truncated_tail);
        for cut in 2..HEAD.len() {
            assert!(walk(&HEAD[..cut]).is_err(), "cut at {cut}");
        }
        assert!(walk(b"\xFF\xD8\xFF\xDA\0\x02\x01\xFF\xD9").is_err(), "no frame header");
    }
}
