//! A first look over a TIFF block, before any parser may touch it: are its directories inside the block,
//! few and not circular? The libraries behind this trust the counts in the block (a 64 KiB block of
//! overlapping directories can make one list a hundred million entries, another panic), so what the
//! survey finds too large is not given to them. Follows pointers at least as far as they do.

use super::bytes::{be16, be32, index, le16, le32, slice};

/// Entries of all directories together; real photos have about a hundred.
const MAX_ENTRIES: usize = 1_000;
/// Directories in one block; real photos have five.
const MAX_DIRECTORIES: usize = 16;
/// Bytes of one value that we would read.
const MAX_VALUE_BYTES: usize = 64 * 1024;
/// Bytes of all values that the second parser would copy.
const MAX_COPIED_BYTES: usize = 1024 * 1024;
/// Largest block for the second parser, which needs a copy of its own: twice what fits into a JPEG segment.
/// Whole TIFF files are mostly picture.
const MAX_SECOND_BLOCK_BYTES: usize = 128 * 1024;

/// Entries of the thumbnail's directory.
const MAX_LINKED_ENTRIES: usize = 200;
const NO_LINK: &[u8] = &[0; 4];
const ENTRY_BYTES: usize = 12;
const WIDTH: u16 = 0x0100;
const HEIGHT: u16 = 0x0101;
const XMP: u16 = 0x02BC;
const EXIF_POINTER: u16 = 0x8769;
const GPS_POINTER: u16 = 0x8825;
const INTEROP_POINTER: u16 = 0xA005;
const POINTERS: [u16; 3] = [EXIF_POINTER, GPS_POINTER, INTEROP_POINTER];
/// TIFF Supplement 1: a LONG that points to a directory.
const IFD_TYPE: u16 = 13;
const DNG_VERSION: u16 = 0xC612;
/// Make, model, orientation, software, capture time, its subseconds and offset, body serial, lens.
const READ_TAGS: &[u16] = &[0x010F, 0x0110, 0x0112, 0x0131, 0x9003, 0x9011, 0x9291, 0xA431, 0xA434];

/// Where the pointer to the GPS directory leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum GpsPointer {
    #[default]
    Absent,
    /// A pointer without a value, as some software leaves behind.
    Empty,
    Broken,
    Followed,
}

#[derive(Debug, Default)]
pub(super) struct Survey<'a> {
    /// Something lies outside the block, or points in a circle.
    pub damaged: bool,
    /// Too much for the parsers.
    pub oversized: bool,
    pub gps: GpsPointer,
    /// From the first directory.
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub is_dng: bool,
    pub xmp: Option<&'a [u8]>,
    /// A directory goes on where only the second parser follows.
    stray: bool,
    /// What the parsers must not see as it is: where, and what instead.
    patches: Vec<(usize, &'static [u8])>,
    entries: usize,
    copied_bytes: usize,
    visited: Vec<u32>,
}

impl Survey<'_> {
    /// True where the stricter second parser may read `block` too.
    pub fn is_sound(&self, block: &[u8]) -> bool {
        let small = block.len() <= MAX_SECOND_BLOCK_BYTES && self.copied_bytes <= MAX_COPIED_BYTES;
        small && !self.damaged && !self.oversized && !self.stray
    }

    /// A working copy of `block` for the parsers: pointers have the type LONG, as Exif asks, and a link to
    /// directories that are circular, crowded or outside the block is cut.
    pub fn working_copy(&self, block: &[u8]) -> Vec<u8> {
        let mut copy = block.to_vec();
        for (at, bytes) in &self.patches {
            if let Some(place) = copy.get_mut(*at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        }
        copy
    }
}

pub(super) fn survey(block: &[u8]) -> Survey<'_> {
    let little = block.starts_with(b"II*\0");
    let mut survey = Survey::default();
    if !little && !block.starts_with(b"MM\0*") {
        survey.damaged = true;
        return survey;
    }
    let reader = Reader { block, little };
    let Some(first) = reader.u32(4) else {
        survey.damaged = true;
        return survey;
    };
    // Directories still to read: where, whether it is the first, whether it holds GPS tags.
    let mut waiting = vec![(first, Directory::First)];
    while let Some((offset, directory)) = waiting.pop() {
        if survey.visited.contains(&offset) {
            survey.damaged = true;
            survey.broken(directory);
            continue;
        }
        if survey.visited.len() == MAX_DIRECTORIES {
            survey.oversized = true;
            break;
        }
        survey.visited.push(offset);
        if survey.directory(reader, offset, directory, &mut waiting).is_none() {
            survey.damaged = true;
            survey.broken(directory);
        }
    }
    survey
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Directory {
    First,
    Gps,
    Other,
}

impl<'a> Survey<'a> {
    fn broken(&mut self, directory: Directory) {
        if directory == Directory::Gps {
            self.gps = GpsPointer::Broken;
        }
    }

    /// Reads one directory; `None` where it runs out of the block.
    fn directory(
        &mut self,
        reader: Reader<'a>,
        offset: u32,
        directory: Directory,
        waiting: &mut Vec<(u32, Directory)>,
    ) -> Option<()> {
        let count = usize::from(reader.u16(index(offset))?);
        let mut at = index(offset).checked_add(2)?;
        for _ in 0..count {
            slice(reader.block, at, ENTRY_BYTES)?;
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                self.oversized = true;
                return Some(());
            }
            self.entry(reader, at, directory, waiting);
            at += ENTRY_BYTES;
        }
        // A link behind any directory but the first is noise: many writers leave no room for it.
        match reader.u32(at).filter(|next| *next != 0) {
            None => {}
            Some(_) if directory != Directory::First => self.stray = true,
            Some(next) => self.link(reader, at, next),
        }
        Some(())
    }

    /// Judges the link from the first directory (to a thumbnail or another page, neither of which is read).
    fn link(&mut self, reader: Reader<'a>, at: usize, next: u32) {
        let Some(count) = reader.u16(index(next)).map(usize::from).filter(|_| !self.visited.contains(&next))
        else {
            self.damaged = true;
            self.patches.push((at, NO_LINK));
            return;
        };
        let entries = index(next).saturating_add(2);
        let end = entries.saturating_add(count * ENTRY_BYTES);
        let plain = count <= MAX_LINKED_ENTRIES
            && reader.u32(end).unwrap_or(0) == 0
            && (0..count).all(|nth| self.is_plain(reader, entries.saturating_add(nth * ENTRY_BYTES)));
        if !plain {
            self.patches.push((at, NO_LINK));
        }
    }

    /// True for an entry that leads nowhere.
    fn is_plain(&mut self, reader: Reader<'a>, at: usize) -> bool {
        let fields = || Some((reader.u16(at)?, reader.u16(at + 2)?, reader.u32(at + 4)?));
        fields().is_some_and(|(tag, kind, count)| {
            let size = index(count).saturating_mul(unit_bytes(kind)).min(reader.block.len());
            self.copied_bytes = self.copied_bytes.saturating_add(size);
            !POINTERS.contains(&tag)
        })
    }

    fn entry(
        &mut self,
        reader: Reader<'a>,
        at: usize,
        directory: Directory,
        waiting: &mut Vec<(u32, Directory)>,
    ) -> Option<()> {
        let (tag, kind, count) = (reader.u16(at)?, reader.u16(at + 2)?, reader.u32(at + 4)?);
        let size = index(count).saturating_mul(unit_bytes(kind));
        let wanted = directory == Directory::Gps || READ_TAGS.contains(&tag);
        let value = if size <= 4 {
            slice(reader.block, at + 8, size)
        } else {
            slice(reader.block, index(reader.u32(at + 8)?), size)
        };
        let Some(value) = value else {
            self.damaged = true;
            return None;
        };
        self.copied_bytes = self.copied_bytes.saturating_add(value.len());
        self.oversized |= wanted && value.len() > MAX_VALUE_BYTES;
        let number = || Reader { block: value, little: reader.little }.number(kind);
        if kind == IFD_TYPE && POINTERS.contains(&tag) {
            self.patches.push((at + 2, if reader.little { &[4, 0] } else { &[0, 4] }));
        }
        match tag {
            EXIF_POINTER | INTEROP_POINTER => waiting.push((number()?, Directory::Other)),
            GPS_POINTER if directory == Directory::First => match number() {
                None => self.gps = GpsPointer::Empty,
                Some(offset) => {
                    self.gps = GpsPointer::Followed;
                    waiting.push((offset, Directory::Gps));
                }
            },
            GPS_POINTER => waiting.push((number()?, Directory::Other)),
            WIDTH if directory == Directory::First => self.width = number(),
            HEIGHT if directory == Directory::First => self.height = number(),
            XMP if directory == Directory::First => self.xmp = Some(value),
            DNG_VERSION if directory == Directory::First => self.is_dng = true,
            _ => {}
        }
        Some(())
    }
}

/// TIFF 6.0, section 2: bytes of one value of each type.
fn unit_bytes(kind: u16) -> usize {
    match kind {
        1 | 2 | 6 | 7 | 129 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | IFD_TYPE => 4,
        5 | 10 | 12 => 8,
        _ => 0,
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    block: &'a [u8],
    little: bool,
}

impl Reader<'_> {
    fn u16(self, at: usize) -> Option<u16> {
        if self.little { le16(self.block, at) } else { be16(self.block, at) }
    }

    fn u32(self, at: usize) -> Option<u32> {
        if self.little { le32(self.block, at) } else { be32(self.block, at) }
    }

    /// The first number of an unsigned value.
    fn number(self, kind: u16) -> Option<u32> {
        match kind {
            1 => self.block.first().map(|byte| u32::from(*byte)),
            3 => self.u16(0).map(u32::from),
            4 | IFD_TYPE => self.u32(0),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(tag: u16, kind: u16, count: u32, value: u32) -> Vec<u8> {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
    }

    fn block(entries: &[Vec<u8>], next: u32) -> Vec<u8> {
        let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
        [b"II*\0\x08\0\0\0", &count[..], &entries.concat(), &next.to_le_bytes()].concat()
    }

    #[test]
    fn a_whole_block_is_sound() {
        let block = block(&[entry(WIDTH, 3, 1, 640), entry(HEIGHT, 4, 1, 480)], 0);
        let survey = survey(&block);
        assert!(survey.is_sound(&block));
        assert_eq!((survey.width, survey.height, survey.gps), (Some(640), Some(480), GpsPointer::Absent));
    }

    #[test]
    fn pointers_of_their_own_type_become_plain() {
        let typed = block(&[entry(GPS_POINTER, IFD_TYPE, 1, 26), entry(WIDTH, IFD_TYPE, 1, 1)], 0);
        let plain = block(&[entry(GPS_POINTER, 4, 1, 26), entry(WIDTH, IFD_TYPE, 1, 1)], 0);
        assert_eq!(survey(&typed).working_copy(&typed), plain);
    }

    #[test]
    fn circles_overruns_and_crowds_are_told() {
        assert!(survey(&block(&[], 8)).damaged, "next directory is itself");
        assert!(survey(&block(&[entry(0x010F, 2, u32::MAX, 0)], 0)).damaged, "value beyond the block");
        assert!(survey(b"II*").damaged);
        assert_eq!(survey(&block(&[entry(GPS_POINTER, 4, 1, 8)], 0)).gps, GpsPointer::Broken);
        assert_eq!(survey(&block(&[entry(GPS_POINTER, 4, 1, 0xFFFF_FFF0)], 0)).gps, GpsPointer::Broken);
        assert_eq!(survey(&block(&[entry(GPS_POINTER, 4, 0, 0)], 0)).gps, GpsPointer::Empty);
        let crowd = vec![entry(0x9000, 3, 1, 1); MAX_ENTRIES + 1];
        assert!(survey(&block(&crowd, 0)).oversized);
        // Pointers to overlapping directories, each a few bytes further on.
        let overlapping: Vec<_> = (0..200).map(|nth| entry(EXIF_POINTER, 4, 1, 10 + nth * 2)).collect();
        assert!(survey(&block(&overlapping, 0)).oversized);
    }
}
