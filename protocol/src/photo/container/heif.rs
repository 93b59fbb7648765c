//! HEIC: the boxes that name the primary item, its dimensions and the Exif item (ISO/IEC 23008-12).
//! Loops are bounded by the bytes present, never by a declared count.

use super::Container;
use crate::photo::PhotoFormat;
use crate::photo::bytes::{be16, be32, be64, contains, index, rest, slice};
use crate::photo::refusal::{PhotoRefusal, damaged};

/// One box: its four-letter kind and its body.
struct IsoBox<'a> {
    kind: &'a [u8],
    body: &'a [u8],
    /// The box says that it is longer than the bytes around it.
    cut: bool,
}

/// The boxes that lie one after the other in `bytes`; ends at the first that makes no sense.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = IsoBox<'_>> {
    let mut left = bytes;
    std::iter::from_fn(move || {
        let kind = slice(left, 4, 4)?;
        let (header, size) = match be32(left, 0)? {
            0 => (8, left.len()),
            1 => (16, usize::try_from(be64(left, 8)?).unwrap_or(usize::MAX)),
            size => (8, index(size)),
        };
        if size < header {
            return None;
        }
        let cut = size > left.len();
        let body = left.get(header..size.min(left.len())).unwrap_or_default();
        left = rest(left, size);
        Some(IsoBox { kind, body, cut })
    })
}

fn body_of<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes).find(|found| found.kind == kind).map(|found| found.body)
}

pub(super) fn walk(bytes: &[u8]) -> Result<Container<'_>, PhotoRefusal> {
    let mut found = Container::new(PhotoFormat::Heic);
    let mut meta = None;
    for top in boxes(bytes) {
        match top.kind {
            b"meta" if top.cut => return Err(damaged("the file ends before its description does")),
            b"meta" => meta = meta.or(Some(rest(top.body, 4))),
            _ => found.truncated_tail |= top.cut,
        }
    }
    let meta = meta.ok_or(damaged("it has no description of its items"))?;
    let primary = body_of(meta, b"pitm").and_then(primary_item).ok_or(damaged("it names no primary item"))?;
    let properties = body_of(meta, b"iprp").ok_or(damaged("it has no item properties"))?;
    let (width, height) = dimensions(properties, primary).ok_or(damaged("it does not say its dimensions"))?;
    found.width = width;
    found.height = height;

    let items = body_of(meta, b"iinf").unwrap_or_default();
    let places = body_of(meta, b"iloc").unwrap_or_default();
    let inside = body_of(meta, b"idat").unwrap_or_default();
    for (id, holds) in metadata_items(items) {
        let Some(data) = item_bytes(places, id, bytes, inside) else {
            found.damaged = true;
            continue;
        };
        match holds {
            Holds::Xmp => found.add_xmp(data),
            // Four bytes say how far behind them the TIFF header is.
            Holds::Exif => {
                match be32(data, 0).map(|gap| index(gap).saturating_add(4)).and_then(|at| data.get(at..)) {
                    Some(block) => found.add_exif(block),
                    None => found.damaged = true,
                }
            }
        }
    }
    Ok(found)
}

/// The version in the first byte of a full box.
fn version(body: &[u8]) -> Option<u8> {
    body.first().copied()
}

fn primary_item(body: &[u8]) -> Option<u32> {
    if version(body)? == 0 { be16(body, 4).map(u32::from) } else { be32(body, 4) }
}

fn dimensions(properties: &[u8], primary: u32) -> Option<(u32, u32)> {
    let container = body_of(properties, b"ipco")?;
    let own = associated(body_of(properties, b"ipma").unwrap_or_default(), primary).unwrap_or_default();
    let sizes = || {
        boxes(container)
            .enumerate()
            .filter(|(_, property)| property.kind == b"ispe")
            .filter_map(|(nth, property)| Some((nth + 1, (be32(property.body, 4)?, be32(property.body, 8)?))))
    };
    // A file that ties no size to its primary item still has one: the largest.
    sizes()
        .find(|(nth, _)| own.contains(nth))
        .or_else(|| sizes().max_by_key(|(_, (width, height))| u64::from(*width) * u64::from(*height)))
        .map(|(_, size)| size)
}

/// The 1-based property numbers of `item`.
fn associated(body: &[u8], item: u32) -> Option<Vec<usize>> {
    let wide_ids = version(body)? > 0;
    let wide_numbers = be32(body, 0)? & 1 == 1;
    let step = if wide_numbers { 2 } else { 1 };
    let mut at = 8;
    loop {
        let id = if wide_ids { be32(body, at)? } else { be16(body, at)?.into() };
        at += if wide_ids { 4 } else { 2 };
        let count = usize::from(*body.get(at)?);
        let numbers = slice(body, at + 1, count * step)?;
        at += 1 + count * step;
        if id == item {
            return Some(numbers.chunks_exact(step).filter_map(property_number).collect());
        }
    }
}

/// A property number without its "essential" bit.
fn property_number(bytes: &[u8]) -> Option<usize> {
    match *bytes {
        [one] => Some(usize::from(one & 0x7F)),
        [high, low] => Some(usize::from(u16::from_be_bytes([high & 0x7F, low]))),
        _ => None,
    }
}

#[derive(Clone, Copy)]
enum Holds {
    Exif,
    Xmp,
}

fn metadata_items(items: &[u8]) -> impl Iterator<Item = (u32, Holds)> {
    let head = if version(items) == Some(0) { 6 } else { 8 };
    boxes(rest(items, head))
        .filter(|entry| entry.kind == b"infe")
        .filter_map(|entry| {
            let (id, at) = match version(entry.body)? {
                2 => (be16(entry.body, 4)?.into(), 8),
                3 => (be32(entry.body, 4)?, 10),
                _ => return None,
            };
            match slice(entry.body, at, 4)? {
                b"Exif" => Some((id, Holds::Exif)),
                b"mime" if contains(rest(entry.body, at), b"application/rdf+xml") => Some((id, Holds::Xmp)),
                _ => None,
            }
        })
        .take(super::MAX_BLOCKS)
}

/// The bytes of `item`, if they lie in one piece in the file or in the description's own data box.
fn item_bytes<'a>(places: &[u8], item: u32, file: &'a [u8], inside: &'a [u8]) -> Option<&'a [u8]> {
    let version = version(places)?;
    let sizes = be16(places, 4)?;
    let width = |shift: u16| usize::from(sizes >> shift & 0xF);
    let (offset_width, length_width, base_width) = (width(12), width(8), width(4));
    let index_width = if version == 0 { 0 } else { width(0) };
    let id_width = if version < 2 { 2 } else { 4 };
    let mut at = 6 + id_width;
    loop {
        let id = number(places, &mut at, id_width)?;
        let method = if version == 0 { 0 } else { number(places, &mut at, 2)? & 0xF };
        at += 2;
        let base = number(places, &mut at, base_width)?;
        let pieces = usize::try_from(number(places, &mut at, 2)?).ok()?;
        let piece_width = index_width + offset_width + length_width;
        if id == u64::from(item) {
            at += index_width;
            let offset = number(places, &mut at, offset_width)?;
            let length = number(places, &mut at, length_width)?;
            let from = usize::try_from(base.checked_add(offset)?).ok()?;
            let source = match method {
                0 => file,
                1 => inside,
                _ => return None,
            };
            return if pieces == 1 { slice(source, from, usize::try_from(length).ok()?) } else { None };
        }
        // Stepped over in one go: a million pieces of no bytes each must not be counted.
        at = at.checked_add(pieces.checked_mul(piece_width)?)?;
    }
}

/// A big-endian number of `width` bytes (0, 2, 4 or 8), moving `at` behind it.
fn number(bytes: &[u8], at: &mut usize, width: usize) -> Option<u64> {
    if width > 8 {
        return None;
    }
    let digits = slice(bytes, *at, width)?;
    *at += width;
    Some(digits.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
        [&size[..], kind, body].concat()
    }

    fn file() -> Vec<u8> {
        let small = iso(b"ispe", &[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 9]);
        let large = iso(b"ispe", &[0, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0, 30]);
        let ipco = iso(b"ipco", &[small, large].concat());
        let ipma = iso(b"ipma", &[0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 0x82]);
        let infe = iso(b"infe", b"\x02\0\0\0\0\x02\0\0Exif\0");
        let iinf = iso(b"iinf", &[&b"\0\0\0\0\0\x01"[..], &infe].concat());
        // One item, held in idat, 8 bytes from 0.
        let iloc = iso(b"iloc", b"\x01\0\0\0\x44\0\0\x01\0\x02\0\x01\0\0\0\x01\0\0\0\0\0\0\0\x08");
        let idat = iso(b"idat", b"\0\0\0\x02\0\0II");
        let pitm = iso(b"pitm", &[0, 0, 0, 0, 0, 1]);
        let iprp = iso(b"iprp", &[ipco, ipma].concat());
        let meta = iso(b"meta", &[vec![0; 4], pitm, iprp, iinf, iloc, idat].concat());
        [iso(b"ftyp", b"heic\0\0\0\0heic"), meta, iso(b"mdat", b"picture")].concat()
    }

    #[test]
    fn the_primary_item_and_its_exif_are_found() {
        let file = file();
        let found = walk(&file).unwrap();
        assert_eq!((found.width, found.height, found.exif.as_slice()), (40, 30, &[&b"II"[..]][..]));
        assert!(!found.truncated_tail && !found.damaged);
        assert!(walk(&file[..file.len() - 3]).unwrap().truncated_tail);
        assert_eq!(walk(&file[..60]).unwrap_err(), damaged("the file ends before its description does"));
    }

    #[test]
    fn countless_empty_pieces_are_not_counted() {
        let one = [0, 7, 0, 0, 0xFF, 0xFF];
        let places = [&[0, 0, 0, 0, 0, 0, 0xFF, 0xFF][..], &one.repeat(65_535)].concat();
        assert_eq!(item_bytes(&places, 8, b"", b""), None);
    }
}
