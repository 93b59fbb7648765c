//! What of a TIFF block the facts of a photo leave out: the small picture in it, the size that the camera wrote down,
//! and how it exposed. Reads three directories at most, and nothing by a count that it does not check.

use super::light::Exposure;

/// What one metadata block holds of the picture.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Block<'a> {
    /// A whole JPEG.
    pub thumbnail: Option<&'a [u8]>,
    /// Width and height in pixels.
    pub declared: Option<(u32, u32)>,
    pub exposure: Option<Exposure>,
}

const EXIF_POINTER: u16 = 0x8769;
const EXPOSURE_TIME: u16 = 0x829A;
const F_NUMBER: u16 = 0x829D;
const ISO_SPEED: u16 = 0x8827;
const FLASH: u16 = 0x9209;
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
    Block {
        thumbnail,
        declared: declared.filter(|(width, height)| *width > 0 && *height > 0),
        exposure: exif.and_then(|exif| exif.exposure()),
    }
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
    /// Where the entry of a tag lies.
    fn entry(&self, tag: u16) -> Option<usize> {
        let entries = (0..self.count).map(|nth| self.from + nth * ENTRY_BYTES);
        entries.take_while(|at| *at < self.reader.block.len()).find(|at| self.reader.u16(*at) == Some(tag))
    }

    /// The one number of a tag, or the first of two that are small enough to stand in the entry itself.
    fn number(&self, tag: u16) -> Option<u32> {
        let at = self.entry(tag)?;
        match (self.reader.u16(at + 2)?, self.reader.u32(at + 4)?) {
            (3, 1 | 2) => self.reader.u16(at + 8).map(u32::from),
            (4 | 13, 1) => self.reader.u32(at + 8),
            _ => None,
        }
    }

    /// The one quotient of a tag; a divisor of zero makes none.
    fn quotient(&self, tag: u16) -> Option<f64> {
        let at = self.entry(tag)?;
        let is_one = self.reader.u16(at + 2) == Some(5) && self.reader.u32(at + 4) == Some(1);
        let from = usize::try_from(self.reader.u32(at + 8)?).ok().filter(|_| is_one)?;
        let divisor = self.reader.u32(from.checked_add(4)?).filter(|divisor| *divisor != 0)?;
        Some(f64::from(self.reader.u32(from)?) / f64::from(divisor))
    }

    fn exposure(&self) -> Option<Exposure> {
        Some(Exposure {
            f_number: self.quotient(F_NUMBER)?,
            seconds: self.quotient(EXPOSURE_TIME)?,
            iso: self.number(ISO_SPEED).map(f64::from)?,
            // The lowest bit says that it fired (Exif 2.32, tag 37385). Where nothing is said, it may have.
            flash: self.number(FLASH).is_none_or(|flash| flash & 1 == 1),
        })
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

    /// First directory at 8, its Exif part at 26, the thumbnail's at 104, the thumbnail itself at 134 and quotients at
    /// 139.
    fn whole() -> Vec<u8> {
        let exif = [
            entry(EXPOSURE_TIME, 5, 139),
            entry(F_NUMBER, 5, 147),
            entry(ISO_SPEED, 3, 200),
            entry(FLASH, 3, 0x19),
            entry(PIXEL_WIDTH, 3, 640),
            entry(PIXEL_HEIGHT, 4, 480),
        ];
        let quotients = [1_u32, 60, 28, 10].map(u32::to_le_bytes).concat();
        [
            b"II*\0\x08\0\0\0".to_vec(),
            directory(&[entry(EXIF_POINTER, 4, 26)], 104),
            directory(&exif, 0),
            directory(&[entry(THUMBNAIL_OFFSET, 4, 134), entry(THUMBNAIL_LENGTH, 4, 5)], 0),
            b"\xFF\xD8\xFF\x01\x02".to_vec(),
            quotients,
        ]
        .concat()
    }

    #[test]
    fn thumbnail_size_and_exposure_are_found() {
        let bytes = whole();
        assert_eq!(
            read(&bytes),
            Block {
                thumbnail: Some(b"\xFF\xD8\xFF\x01\x02"),
                declared: Some((640, 480)),
                exposure: Some(Exposure { f_number: 2.8, seconds: 1.0 / 60.0, iso: 200.0, flash: true }),
            }
        );
    }

    #[test]
    fn what_is_cut_or_points_outside_is_not_there() {
        let bytes = whole();
        assert_eq!(read(&bytes[..bytes.len() - 1]).exposure, None);
        assert_eq!(read(&bytes[..138]).thumbnail, None);
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
