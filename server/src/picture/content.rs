//! A digest of what a file's picture is made of, without anything that is said about it: the same picture under
//! other metadata has the same digest, and nothing needs to be decoded to know it.
//!
//! Only exact: the same pixels stored anew have another digest. Must not allocate by what a file declares.

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::photo::PhotoFormat;
use sha2::Digest as _;

use super::jpeg::Segments;

/// The digest of the picture data; absent for formats whose picture data is not told from the rest here, and for
/// files in which it cannot be found.
#[must_use]
pub fn digest(bytes: &[u8], format: PhotoFormat) -> Option<Sha256> {
    match format {
        PhotoFormat::Jpeg => jpeg(bytes),
        PhotoFormat::Png => png(bytes),
        PhotoFormat::Webp => webp(bytes),
        PhotoFormat::Tiff | PhotoFormat::Heic | PhotoFormat::Dng => None,
    }
}

/// Frame, tables and scans, and Adobe's colour transform; no application data, no comment, nothing after the end.
fn jpeg(bytes: &[u8]) -> Option<Sha256> {
    const ADOBE: u8 = 0xEE;
    let mut hasher = sha2::Sha256::new();
    hasher.update(b"jpeg");
    let mut scans = 0_usize;
    for segment in Segments::of(bytes) {
        match segment.marker {
            ADOBE if segment.body.starts_with(b"Adobe") => {}
            0xE0..=0xEF | 0xFE => continue,
            _ => {}
        }
        hasher.update([segment.marker]);
        hasher.update((segment.body.len() as u64).to_be_bytes());
        hasher.update(segment.body);
        hasher.update((segment.scan.len() as u64).to_be_bytes());
        hasher.update(segment.scan);
        scans += usize::from(!segment.scan.is_empty());
    }
    (scans > 0).then(|| Sha256::from_hasher(hasher))
}

/// Header, palette, transparency and the packed pixels, however they are cut into chunks.
fn png(bytes: &[u8]) -> Option<Sha256> {
    let mut rest = bytes.strip_prefix(b"\x89PNG\r\n\x1A\n")?;
    let mut hasher = sha2::Sha256::new();
    hasher.update(b"png");
    let mut packed = sha2::Sha256::new();
    let mut pixels = false;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some((kind, after)) = after.split_first_chunk::<4>() else { break };
        let Some((body, after)) = after.split_at_checked(length) else { break };
        match kind {
            b"IHDR" | b"PLTE" | b"tRNS" => {
                hasher.update(kind);
                hasher.update((length as u64).to_be_bytes());
                hasher.update(body);
            }
            b"IDAT" => {
                packed.update(body);
                pixels = true;
            }
            b"IEND" => break,
            _ => {}
        }
        // Each chunk ends with a checksum.
        rest = after.get(4..).unwrap_or_default();
    }
    hasher.update(packed.finalize());
    pixels.then(|| Sha256::from_hasher(hasher))
}

/// The bit streams of picture, transparency and frames.
fn webp(bytes: &[u8]) -> Option<Sha256> {
    let mut rest = bytes.get(12..)?;
    let mut hasher = sha2::Sha256::new();
    hasher.update(b"webp");
    let mut pixels = false;
    while let Some((kind, after)) = rest.split_first_chunk::<4>() {
        let Some((length, after)) = after.split_first_chunk::<4>() else { break };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((body, after)) = after.split_at_checked(length) else { break };
        if matches!(kind, b"VP8 " | b"VP8L" | b"ALPH" | b"ANMF") {
            hasher.update(kind);
            hasher.update((length as u64).to_be_bytes());
            hasher.update(body);
            pixels = true;
        }
        // Chunks are padded to an even length.
        rest = after.get(length % 2..).unwrap_or_default();
    }
    pixels.then(|| Sha256::from_hasher(hasher))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const HEAD: &[u8] = b"\xFF\xD8";
    const FRAME: &[u8] = b"\xFF\xC0\0\x0B\x08\0\x10\0\x20\x01\x01\x11\0";
    const SCAN: &[u8] = b"\xFF\xDA\0\x02\x01\xFF\0\x02\xFF\xD0\x03";
    const END: &[u8] = b"\xFF\xD9";

    fn of(parts: &[&[u8]]) -> Option<Sha256> {
        digest(&parts.concat(), PhotoFormat::Jpeg)
    }

    #[test]
    fn what_is_said_about_a_jpeg_does_not_count() {
        let plain = of(&[HEAD, FRAME, SCAN, END]);
        assert!(plain.is_some());
        let exif: &[u8] = b"\xFF\xE1\0\x0AExif\0\0II";
        assert_eq!(of(&[HEAD, exif, FRAME, SCAN, END]), plain, "metadata");
        assert_eq!(of(&[HEAD, FRAME, b"\xFF\xFE\0\x04hi", SCAN, END]), plain, "a comment");
        assert_eq!(of(&[HEAD, FRAME, SCAN, END, b"appended\xFF\xDA\0\x02\x01"]), plain, "after the end");
        assert_eq!(of(&[HEAD, FRAME, b"\xFF\xFF", SCAN, END]), plain, "fill bytes");
    }

    #[test]
    fn what_decodes_into_pixels_counts() {
        let plain = of(&[HEAD, FRAME, SCAN, END]);
        assert_ne!(of(&[HEAD, FRAME, SCAN, b"\x04", END]), plain, "the scan");
        assert_ne!(of(&[HEAD, b"\xFF\xDB\0\x03\x01", FRAME, SCAN, END]), plain, "a table");
        assert_ne!(of(&[HEAD, b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\x01", FRAME, SCAN, END]), plain, "colours");
        assert_ne!(of(&[HEAD, FRAME, SCAN, SCAN, END]), plain, "a second scan");
        let long = [SCAN, &[7; 1_000], b"\xFF\0", &[8; 500]].concat();
        assert_eq!(of(&[HEAD, FRAME, &long, END, SCAN]), of(&[HEAD, FRAME, &long]), "a long scan to its end");
        assert_ne!(of(&[HEAD, FRAME, &long, &[8], END]), of(&[HEAD, FRAME, &long]), "and its last byte");
        assert_eq!(of(&[HEAD, FRAME, END]), None, "no picture data");
        for cut in 0..FRAME.len() {
            assert_eq!(of(&[HEAD, &FRAME[..cut]]), None, "cut at {cut}");
        }
    }

    #[test]
    fn chunks_of_a_png_may_be_cut_anew() {
        let mut png = Vec::new();
        image::RgbImage::from_fn(9, 7, |x, y| image::Rgb([x as u8 * 20, y as u8 * 30, 7]))
            .write_to(&mut Cursor::new(&mut png), image::ImageFormat::Png)
            .unwrap();
        let whole = digest(&png, PhotoFormat::Png).unwrap();
        let chunk = |kind: &[u8], body: &[u8]| {
            [&u32::try_from(body.len()).unwrap().to_be_bytes(), kind, body, &[0; 4]].concat()
        };
        let at = png.windows(4).position(|kind| kind == b"IDAT").unwrap();
        let length = u32::from_be_bytes(png[at - 4..at].try_into().unwrap()) as usize;
        let body = &png[at + 4..at + 4 + length];
        let (one, two) = body.split_at(5);
        let recut = [
            &png[..at - 4],
            &chunk(b"tEXt", b"Comment\0hello"),
            &chunk(b"IDAT", one),
            &chunk(b"IDAT", two),
            &chunk(b"IEND", b""),
        ]
        .concat();
        assert_eq!(digest(&recut, PhotoFormat::Png), Some(whole.clone()));
        let other = [&png[..at - 4], &chunk(b"IDAT", one)].concat();
        assert!(digest(&other, PhotoFormat::Png).is_some_and(|other| other != whole));
        assert_eq!(digest(&png[..at], PhotoFormat::Png), None);
    }

    #[test]
    fn a_webp_counts_its_bit_stream() {
        let file = |chunks: &[u8]| [b"RIFF\0\0\0\0WEBP", chunks].concat();
        let plain = digest(&file(b"VP8 \x03\0\0\0abc\0"), PhotoFormat::Webp);
        assert!(plain.is_some());
        assert_eq!(digest(&file(b"EXIF\x01\0\0\0x\0VP8 \x03\0\0\0abc\0"), PhotoFormat::Webp), plain);
        assert_ne!(digest(&file(b"VP8 \x03\0\0\0abd\0"), PhotoFormat::Webp), plain);
        assert_eq!(digest(&file(b"VP8 \xFF\xFF\xFF\xFFab"), PhotoFormat::Webp), None);
    }
}
