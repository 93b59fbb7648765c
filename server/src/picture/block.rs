//! Two things of a TIFF block that the facts of a photo leave out: the small picture in it, and the size that the
//! camera wrote down. Reads three directories at most, and nothing by a count that it does not check.

/// What one metadata block holds of the picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Block<'a> {
    /// A whole JPEG.
    pub thumbnail: Option<&'a [u8]>,
    /// Width and height in pixels.
    pub declared: Option<(u32, u32)>,
}

const EXIF_POINTER: u16 = 0x8769;
const PIXEL_WIDTH: u16 = 0xA002;
const PIXEL_HEIGHT: u16 = 0xA003;
const THUMBNAIL_OFFSET: u16 = 0x0201;
const THUMBNAIL_LENGTH: u16 = 0x0202;
const ENTRY_BYTES: usize = 12;

pub(super) fn read(block: &[u8]) -> Block<'_> {
    let little = block.starts_with(b"II*\0");
    if !little && !block.starts_with(b"MM\0*") {
        return Block::default();
    }
    let reader = Reader { block, little };
    let Some(first) = reader.u32(4).and_then(|offset| reader.directory(offset)) else {
        return Block::default();
    };
    let exif = first.number(EXIF_POINTER).and_then(|offset| reader.directory(offset));
    let second = first.next().and_then(|offset| reader.directory(offset));
    let thumbnail = second.and_then(|second| {
        let from = usize::try_from(second.number(THUMBNAIL_OFFSET)?).ok()?;
        let length = usize::try_from(second.number(THUMBNAIL_LENGTH)?).ok()?;
        block.get(from..from.checked_add(length)?).filter(|bytes| bytes.starts_with(b"\xFF\xD8\xFF"))
    });
    let declared = exif.and_then(|exif| exif.number(PIXEL_WIDTH).zip(exif.number(PIXEL_HEIGHT)));
    Block { thumbnail, declared: declared.filter(|(width, height)| *width > 0 && *height > 0) }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    block: &'a [u8],
    little: bool,
}

impl<'a> Reader<'a> {
    fn bytes<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.block.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    fn u16(self, at: usize) -> Option<u16> {
        let bytes = self.bytes(at)?;
        Some(if self.little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn u32(self, at: usize) -> Option<u32> {
        let bytes = self.bytes(at)?;
        Some(if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn directory(self, offset: u32) -> Option<Directory<'a>> {
        let at = usize::try_from(offset).ok()?;
        let count = usize::from(self.u16(at)?);
        Some(Directory { reader: self, from: at + 2, count })
    }
}

#[derive(Clone, Copy)]
struct Directory<'a> {
    reader: Reader<'a>,
    from: usize,
    count: usize,
}

impl Directory<'_> {
    /// The one number of a tag.
    fn number(&self, tag: u16) -> Option<u32> {
        let entries = (0..self.count).map(|nth| self.from + nth * ENTRY_BYTES);
        let at = entries
            .take_while(|at| *at < self.reader.block.len())
            .find(|at| self.reader.u16(*at) == Some(tag))?;
        match self.reader.u16(at + 2)? {
            3 => self.reader.u16(at + 8).map(u32::from),
            4 | 13 => self.reader.u32(at + 8),
            _ => None,
        }
    }

    /// Where the directory behind this one lies.
    fn next(&self) -> Option<u32> {
        self.reader.u32(self.from + self.count * ENTRY_BYTES).filter(|offset| *offset != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(tag: u16, kind: u16, value: u32) -> Vec<u8> {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &1_u32.to_le_bytes(), &value.to_le_bytes()].concat()
    }

    fn directory(entries: &[Vec<u8>], next: u32) -> Vec<u8> {
        let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
        [&count[..], &entries.concat(), &next.to_le_bytes()].concat()
    }

    /// First directory at 8, its Exif part at 26, the thumbnail's at 56 and the thumbnail itself at 86.
    fn whole() -> Vec<u8> {
        [
            b"II*\0\x08\0\0\0".to_vec(),
            directory(&[entry(EXIF_POINTER, 4, 26)], 56),
            directory(&[entry(PIXEL_WIDTH, 3, 640), entry(PIXEL_HEIGHT, 4, 480)], 0),
            directory(&[entry(THUMBNAIL_OFFSET, 4, 86), entry(THUMBNAIL_LENGTH, 4, 5)], 0),
            b"\xFF\xD8\xFF\x01\x02".to_vec(),
        ]
        .concat()
    }

    #[test]
    fn thumbnail_and_size_are_found() {
        let bytes = whole();
        assert_eq!(
            read(&bytes),
            Block { thumbnail: Some(b"\xFF\xD8\xFF\x01\x02"), declared: Some((640, 480)) }
        );
    }

    #[test]
    fn what_is_cut_or_points_outside_is_not_there() {
        let bytes = whole();
        assert_eq!(read(&bytes[..bytes.len() - 1]).thumbnail, None);
        for cut in 0..bytes.len() {
            let _ = read(&bytes[..cut]);
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0xFF;
            let _ = read(&changed);
        }
        assert_eq!(read(b"Exif"), Block::default());
    }
}
