//! The file that is taken in: opened without following it anywhere odd, named without path tricks,
//! and typed by its content.

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{Read, Seek as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use endcheck_protocol::photo;

use crate::refusal::refuse;

const MAX_NAME_CHARS: usize = 120;

/// An open source file.
pub struct Source {
    path: PathBuf,
    file: File,
    opened: Metadata,
    /// The file's name as a label.
    pub name: String,
}

impl Source {
    /// Opens a regular file.
    ///
    /// # Errors
    /// When there is none, or it is a folder or a device.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        // Asked before opening: to open a pipe would wait for its writer.
        let cannot = || "the file cannot be read".to_owned();
        let before = std::fs::metadata(path).with_context(cannot)?;
        if !before.is_file() {
            return Err(refuse("it is not a regular file", "Name the photo or document itself."));
        }
        let file = OpenOptions::new().read(true).open(path).with_context(cannot)?;
        let opened = file.metadata().with_context(cannot)?;
        Ok(Self { path: path.to_owned(), file, opened, name: label(path.file_name()) })
    }

    /// The whole photo.
    ///
    /// # Errors
    /// When it is larger than a photo may be, or cannot be read.
    pub fn read_photo(&mut self) -> anyhow::Result<Vec<u8>> {
        let size_bytes = self.opened.len();
        if size_bytes > photo::MAX_SIZE_BYTES {
            return Err(photo::PhotoRefusal::TooLarge { size_bytes }.into());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size_bytes)?.saturating_add(1));
        (&self.file)
            .take(photo::MAX_SIZE_BYTES.saturating_add(1))
            .read_to_end(&mut bytes)
            .context("the file cannot be read to its end")?;
        Ok(bytes)
    }

    /// The whole file, of at most `limit_bytes`.
    ///
    /// # Errors
    /// When it has more, or cannot be read.
    pub fn read_whole(&mut self, limit_bytes: u64) -> anyhow::Result<Vec<u8>> {
        if self.opened.len() > limit_bytes {
            return Err(crate::seal::too_large(limit_bytes));
        }
        let mut bytes = Vec::new();
        (&self.file)
            .take(limit_bytes.saturating_add(1))
            .read_to_end(&mut bytes)
            .context("the file cannot be read to its end")?;
        Ok(bytes)
    }

    /// The media type by the first bytes, and the file from its beginning.
    ///
    /// # Errors
    /// When the file is empty, has more than `limit_bytes` or cannot be read.
    pub fn read_document(&mut self, limit_bytes: u64) -> anyhow::Result<(&'static str, &mut File)> {
        if self.opened.len() > limit_bytes {
            // Said before hours of sealing, not after.
            return Err(crate::seal::too_large(limit_bytes));
        }
        let mut start = Vec::new();
        (&self.file).take(4096).read_to_end(&mut start).context("the file cannot be read")?;
        if start.is_empty() {
            return Err(refuse("the file is empty (0 bytes)", "Copy it again from where it came."));
        }
        self.file.rewind().context("the file cannot be read from its beginning")?;
        Ok((media_type(&start), &mut self.file))
    }

    /// Removes the source, unless it changed since it was opened.
    ///
    /// # Errors
    /// When it changed or cannot be removed.
    pub fn remove(self) -> anyhow::Result<()> {
        let stamp = |data: &Metadata| (data.dev(), data.ino(), data.len(), data.mtime(), data.mtime_nsec());
        let now = std::fs::symlink_metadata(&self.path)?;
        if stamp(&now) != stamp(&self.opened) {
            return Err(refuse(
                "the source file is a link or changed meanwhile, so it was not removed",
                "What was taken in is safe; look at the source and remove it yourself.",
            ));
        }
        std::fs::remove_file(&self.path).context("the source file cannot be removed")
    }
}

/// The last part of a path as a label: no control characters, no separators, not endless.
fn label(name: Option<&OsStr>) -> String {
    let name = name.map(OsStr::to_string_lossy).unwrap_or_default();
    let shown: String = name
        .chars()
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .map(|c| if matches!(c, '/' | '\\') { '_' } else { c })
        .collect();
    let shown = shown.trim();
    let count = shown.chars().count();
    match shown {
        "" | "." | ".." => "unnamed".to_owned(),
        _ if count <= MAX_NAME_CHARS => shown.to_owned(),
        _ => {
            // The end is kept: people look for the extension there.
            let tail: String = shown.chars().skip(count.saturating_sub(20)).collect();
            let head: String = shown.chars().take(MAX_NAME_CHARS.saturating_sub(21)).collect();
            format!("{head}…{tail}")
        }
    }
}

/// Characters that turn or hide what stands beside them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The media type by content; the name is never asked.
fn media_type(start: &[u8]) -> &'static str {
    const MAGIC: [(usize, &[u8], &str); 11] = [
        (0, b"%PDF-", "application/pdf"),
        (0, b"\x89PNG\r\n\x1a\n", "image/png"),
        (0, b"\xff\xd8\xff", "image/jpeg"),
        (8, b"WEBP", "image/webp"),
        (0, b"II*\0", "image/tiff"),
        (0, b"MM\0*", "image/tiff"),
        (4, b"ftyphei", "image/heic"),
        (4, b"ftypmif1", "image/heic"),
        (4, b"ftyp", "video/mp4"),
        (0, b"PK\x03\x04", "application/zip"),
        (0, b"OggS", "application/ogg"),
    ];
    let magic =
        MAGIC.iter().find(|(offset, magic, _)| start.get(*offset..).is_some_and(|at| at.starts_with(magic)));
    if let Some((_, _, mime)) = magic {
        return mime;
    }
    let text = match std::str::from_utf8(start) {
        Ok(text) => Some(text),
        // The cut at the end may have split a character.
        Err(error) if error.error_len().is_none() => {
            start.get(..error.valid_up_to()).and_then(|sound| std::str::from_utf8(sound).ok())
        }
        Err(_) => None,
    };
    match text {
        Some(text) if text.chars().all(|c| !c.is_control() || c.is_whitespace()) => "text/plain",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_label_and_never_a_path() {
        for (name, expected) in [
            ("IMG 1.jpg", "IMG 1.jpg"),
            ("a\nb\u{1b}[31m.jpg", "ab[31m.jpg"),
            ("..\\..\\x.jpg", ".._.._x.jpg"),
            ("gpj.\u{202e}exe", "gpj.exe"),
            ("\u{7}", "unnamed"),
        ] {
            assert_eq!(label(Path::new(name).file_name()), expected, "{name:?}");
        }
        assert_eq!(label(Path::new("..").file_name()), "unnamed");
        let long = label(Some(OsStr::new(&format!("{}.jpeg", "x".repeat(300)))));
        assert_eq!(long.chars().count(), MAX_NAME_CHARS);
        assert!(long.ends_with(".jpeg"));
    }

    #[test]
    fn documents_are_typed_by_content() {
        for (start, expected) in [
            (b"%PDF-1.7".as_slice(), "application/pdf"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
            (b"\0\0\0\x18ftypheic", "image/heic"),
            ("Übergabe\n\t1".as_bytes(), "text/plain"),
            (b"ab\xc3", "text/plain"),
            (b"\0\x01", "application/octet-stream"),
        ] {
            assert_eq!(media_type(start), expected);
        }
    }

    #[test]
    fn only_an_unchanged_regular_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Source::open(folder.path()).is_err());
        let path = folder.path().join("a.txt");
        std::fs::write(&path, "one").unwrap();
        let source = Source::open(&path).unwrap();
        std::fs::write(&path, "longer").unwrap();
        assert!(source.remove().is_err());
        assert!(path.exists());
        Source::open(&path).unwrap().remove().unwrap();
        assert!(!path.exists());
    }
}
