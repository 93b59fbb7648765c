//! Which kind of file this is, by its first bytes and never by its name.

use super::bytes::{contains, slice};
use super::refusal::PhotoRefusal;

/// A container that we walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Jpeg,
    Png,
    Webp,
    Tiff,
    Heif,
}

const ACCEPTED: &[(&[u8], Family)] = &[
    (b"\xFF\xD8\xFF", Family::Jpeg),
    (b"\x89PNG\r\n\x1A\n", Family::Png),
    (b"II*\0", Family::Tiff),
    (b"MM\0*", Family::Tiff),
];

const OTHER_IMAGES: &[(&[u8], &str)] = &[
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"\0\0\x01\0", "ICO"),
    (b"8BPS", "Photoshop PSD"),
    (b"\xFF\x0A", "JPEG XL"),
    (b"\0\0\0\x0CJXL ", "JPEG XL"),
    (b"\0\0\0\x0CjP  ", "JPEG 2000"),
    (b"II+\0", "BigTIFF"),
    (b"MM\0+", "BigTIFF"),
    (b"\x8AMNG", "MNG"),
];

const OTHER_FILES: &[(&[u8], &str)] = &[
    (b"\x7FELF", "a Linux program (ELF)"),
    (b"MZ", "a Windows program"),
    (b"PK", "a ZIP archive or office document"),
    (b"%PDF", "a PDF document"),
    (b"\x1F\x8B", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xBC\xAF", "a 7-Zip archive"),
    (b"SQLite format 3", "a SQLite database"),
    (b"#!", "a script"),
    (b"age-encryption.org", "a sealed (age) file"),
];

const HEIC_BRANDS: &[&[u8]] =
    &[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"];

/// How far into a text we look for the tag that names it.
const TEXT_WINDOW_BYTES: usize = 1024;

pub(super) fn sniff(bytes: &[u8]) -> Result<Family, PhotoRefusal> {
    if bytes.is_empty() {
        return Err(PhotoRefusal::Empty);
    }
    if let Some((_, family)) = ACCEPTED.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Ok(*family);
    }
    if ACCEPTED.iter().any(|(magic, _)| magic.starts_with(bytes)) {
        return Err(PhotoRefusal::Damaged { what: "the file ends within its first bytes" });
    }
    if bytes.starts_with(b"RIFF") && slice(bytes, 8, 4) == Some(b"WEBP") {
        return Ok(Family::Webp);
    }
    if slice(bytes, 4, 4) == Some(b"ftyp") {
        return brands(bytes);
    }
    if let Some((_, format)) = OTHER_IMAGES.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Err(PhotoRefusal::FormatNotAccepted { format });
    }
    if let Some((_, looks_like)) = OTHER_FILES.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Err(PhotoRefusal::NotAnImage { looks_like });
    }
    text(bytes)
}

fn brands(bytes: &[u8]) -> Result<Family, PhotoRefusal> {
    let declared = super::bytes::be32(bytes, 0).map_or(0, super::bytes::index).clamp(16, 256);
    let head = bytes.get(..declared).unwrap_or(bytes);
    let has = |brand: &[u8]| {
        // The major brand, then (past the minor version) the compatible ones.
        head.chunks_exact(4).enumerate().any(|(nth, word)| (nth == 2 || nth > 3) && word == brand)
    };
    if has(b"avif") || has(b"avis") {
        return Err(PhotoRefusal::FormatNotAccepted { format: "AVIF" });
    }
    if HEIC_BRANDS.iter().any(|brand| has(brand)) {
        return Ok(Family::Heif);
    }
    if has(b"crx ") {
        return Err(PhotoRefusal::FormatNotAccepted { format: "Canon CR3" });
    }
    Err(PhotoRefusal::NotAnImage { looks_like: "a video (MP4 or QuickTime)" })
}

fn text(bytes: &[u8]) -> Result<Family, PhotoRefusal> {
    let head = bytes.get(..TEXT_WINDOW_BYTES).unwrap_or(bytes).to_ascii_lowercase();
    if contains(&head, b"<svg") {
        return Err(PhotoRefusal::FormatNotAccepted { format: "SVG" });
    }
    let looks_like =
        if contains(&head, b"<html") || contains(&head, b"<!doctype html") || contains(&head, b"<script") {
            "an HTML page"
        } else if head.starts_with(b"<?xml") {
            "an XML document"
        } else if std::str::from_utf8(&head).is_ok_and(|text| !text.contains('\0')) {
            "plain text"
        } else {
            "unknown data"
        };
    Err(PhotoRefusal::NotAnImage { looks_like })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_name_the_file() {
        assert_eq!(sniff(b"\xFF\xD8\xFF\xE0").unwrap(), Family::Jpeg);
        assert_eq!(sniff(b"RIFF\x10\0\0\0WEBPVP8 ").unwrap(), Family::Webp);
        assert_eq!(sniff(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic").unwrap(), Family::Heif);
        assert_eq!(sniff(b"").unwrap_err().code(), "photo-empty");
        assert_eq!(sniff(b"\xFF\xD8").unwrap_err().code(), "photo-damaged");
        for (bytes, says) in [
            (&b"GIF89a"[..], "GIF is not accepted"),
            (b"\0\0\0\x1Cftypavif\0\0\0\0mif1avif", "AVIF is not accepted"),
            (b"<?xml version='1.0'?><SVG/>", "SVG is not accepted"),
            (b" <!DOCTYPE HTML><p>", "an HTML page"),
            (b"PK\x03\x04", "a ZIP archive"),
            (b"\0\0\0\x18ftypisom\0\0\0\0mp42", "a video"),
            (b"hello", "plain text"),
            (b"\x80\x81", "unknown data"),
        ] {
            let refusal = sniff(bytes).unwrap_err().to_string();
            assert!(refusal.contains(says), "{refusal}");
        }
    }
}
