//! PNG: the chunks (PNG 3, section 5). Compressed text is never inflated.

use super::Container;
use crate::photo::PhotoFormat;
use crate::photo::bytes::{be32, index, only_zeros, rest, slice};
use crate::photo::refusal::{PhotoRefusal, damaged};

const SIGNATURE_BYTES: usize = 8;
/// Length, type and checksum around a chunk's data.
const FRAME_BYTES: usize = 12;
const XMP_KEYWORD: &[u8] = b"XML:com.adobe.xmp\0\0";

pub(super) fn walk(bytes: &[u8]) -> Result<Container<'_>, PhotoRefusal> {
    let mut found = Container::new(PhotoFormat::Png);
    let mut pictured = false;
    let mut at = SIGNATURE_BYTES;
    loop {
        let length = be32(bytes, at).map(index).ok_or(damaged(EARLY_END))?;
        let kind = slice(bytes, at + 4, 4).ok_or(damaged(EARLY_END))?;
        let data = slice(bytes, at + 8, length).ok_or(damaged("a chunk runs past the end of the file"))?;
        if (at == SIGNATURE_BYTES) != (kind == b"IHDR") {
            return Err(damaged("its header chunk is missing or out of place"));
        }
        at = at.saturating_add(length).saturating_add(FRAME_BYTES);
        if at > bytes.len() {
            return Err(damaged(EARLY_END));
        }
        match kind {
            b"IHDR" => header(&mut found, data)?,
            b"IDAT" => pictured = true,
            b"eXIf" => found.add_exif(data),
            b"iTXt" if data.starts_with(XMP_KEYWORD) => found.add_xmp(rest(data, XMP_KEYWORD.len())),
            b"IEND" => break,
            _ => {}
        }
    }
    if !pictured {
        return Err(damaged("it holds no picture data"));
    }
    found.trailing_data = !only_zeros(rest(bytes, at));
    Ok(found)
}

const EARLY_END: &str = "the file ends before the image does";

fn header(found: &mut Container<'_>, data: &[u8]) -> Result<(), PhotoRefusal> {
    let bad = || damaged("its header chunk makes no sense");
    let &[_, _, _, _, _, _, _, _, depth, colour, compression, filter, interlace] = data else {
        return Err(bad());
    };
    let depth_fits = match colour {
        0 => matches!(depth, 1 | 2 | 4 | 8 | 16),
        3 => matches!(depth, 1 | 2 | 4 | 8),
        2 | 4 | 6 => matches!(depth, 8 | 16),
        _ => false,
    };
    if !depth_fits || compression != 0 || filter != 0 || interlace > 1 {
        return Err(bad());
    }
    found.width = be32(data, 0).ok_or_else(bad)?;
    found.height = be32(data, 4).ok_or_else(bad)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        [&length[..], kind, data, b"\0\0\0\0"].concat()
    }

    #[test]
    fn the_chunks_are_walked_to_the_end() {
        let header = [0, 0, 0, 3, 0, 0, 0, 2, 8, 2, 0, 0, 0];
        let whole = [
            b"\x89PNG\r\n\x1A\n".to_vec(),
            chunk(b"IHDR", &header),
            chunk(b"eXIf", b"MM"),
            chunk(b"IDAT", b"x"),
            chunk(b"IEND", b""),
        ]
        .concat();
        let found = walk(&whole).unwrap();
        assert_eq!((found.width, found.height, found.exif.len(), found.trailing_data), (3, 2, 1, false));
        assert!(walk(&[whole.clone(), b"PK".to_vec()].concat()).unwrap().trailing_data);
        for cut in SIGNATURE_BYTES..whole.len() {
            assert!(walk(&whole[..cut]).is_err(), "cut at {cut}");
        }
    }
}
