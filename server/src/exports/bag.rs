//! A bag under way: its files in the order in which they are written, and the writing itself. The same
//! files make the same bytes.

use std::io::{self, Read, Write};

use endcheck_protocol::bag;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::time::Timestamp;
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256 as Hasher};
use tokio::runtime::Handle;

use crate::files::Files;

/// Where the bytes of a file are.
pub(super) enum Content {
    Here(Vec<u8>),
    /// In the file store, under the file's hash.
    Stored,
}

pub(super) struct BagFile {
    /// Below the bag's folder.
    pub path: String,
    pub sha256: Sha256,
    pub size_bytes: u64,
    pub content: Content,
}

impl BagFile {
    pub(super) fn of(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self {
            path: path.into(),
            sha256: Sha256::of(&bytes),
            size_bytes: bytes.len() as u64,
            content: Content::Here(bytes),
        }
    }
}

/// A bag without its proof, which names the bag's hash and so comes after it.
pub(super) struct Bag {
    /// The folder that it unpacks to.
    pub name: String,
    files: Vec<BagFile>,
    /// Set on every file, so that the same bag has the same bytes.
    pub modified_at: Timestamp,
    /// SHA-256 of its tag manifest, which covers everything else.
    pub sha256: Sha256,
}

impl Bag {
    /// Closes the payload: adds declaration, information and manifests.
    pub(super) fn closed(
        name: String,
        payload: Vec<BagFile>,
        information: &[(&str, String)],
        modified_at: Timestamp,
    ) -> Self {
        let size_bytes: u64 = payload.iter().map(|file| file.size_bytes).sum();
        let oxum = format!("{size_bytes}.{}", payload.len());
        let information: String = information
            .iter()
            .map(|(label, value)| (*label, value.as_str()))
            .chain([("Payload-Oxum", oxum.as_str())])
            .map(|(label, value)| format!("{label}: {}\n", value.replace(['\r', '\n'], " ")))
            .collect();
        let manifest = bag::manifest(payload.iter().map(|file| (file.path.as_str(), &file.sha256)));
        let tags = vec![
            BagFile::of(bag::DECLARATION, bag::DECLARATION_TEXT),
            BagFile::of(bag::INFO, information),
            BagFile::of(bag::MANIFEST, manifest),
        ];
        let tag_manifest = bag::manifest(tags.iter().map(|file| (file.path.as_str(), &file.sha256)));
        let tag_manifest = BagFile::of(bag::TAG_MANIFEST, tag_manifest);
        let sha256 = tag_manifest.sha256.clone();
        let files = tags.into_iter().chain([tag_manifest]).chain(payload).collect();
        Self { name, files, modified_at, sha256 }
    }

    /// Adds the proof that the log holds the bag's hash, and that this log continues the one in the bag.
    pub(super) fn proved(mut self, proof: String, continues: Vec<u8>) -> Self {
        self.files.push(BagFile::of(bag::PROOF, proof));
        self.files.push(BagFile::of(bag::CONTINUES, continues));
        self
    }

    /// Writes the bag as a tar archive. Blocks; call it where blocking is allowed.
    ///
    /// # Errors
    /// When a stored file cannot be read or is another than it was, or the target cannot be written.
    pub(super) fn write<W: Write>(self, target: W, files: &Files, runtime: &Handle) -> io::Result<W> {
        let mut archive = tar::Builder::new(target);
        let modified_s = u64::try_from(self.modified_at.unix_seconds()).unwrap_or(0);
        for file in self.files {
            let mut header = tar::Header::new_ustar();
            header.set_size(file.size_bytes);
            header.set_mode(0o644);
            header.set_mtime(modified_s);
            header.set_entry_type(tar::EntryType::Regular);
            let path = format!("{}/{}", self.name, file.path);
            match file.content {
                Content::Here(bytes) => archive.append_data(&mut header, path, bytes.as_slice())?,
                Content::Stored => {
                    let (size_bytes, stream) =
                        runtime.block_on(files.stream(&file.sha256)).map_err(io::Error::other)?;
                    if size_bytes != file.size_bytes {
                        return Err(io::Error::other(format!(
                            "{} has another size in the store",
                            file.sha256
                        )));
                    }
                    let mut stored =
                        Stored { stream, rest: bytes::Bytes::new(), runtime, hasher: Hasher::default() };
                    archive.append_data(&mut header, path, &mut stored)?;
                    // A damaged disk must not make a bag that fails in court.
                    if Sha256::from_hasher(stored.hasher) != file.sha256 {
                        return Err(io::Error::other(format!(
                            "{} has other bytes in the store than its name says: restore it from a backup",
                            file.sha256
                        )));
                    }
                }
            }
        }
        archive.into_inner()
    }
}

/// A stream of the file store, read where blocking is allowed.
struct Stored<'a> {
    stream: futures_util::stream::BoxStream<'static, object_store::Result<bytes::Bytes>>,
    rest: bytes::Bytes,
    runtime: &'a Handle,
    hasher: Hasher,
}

impl Read for Stored<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.runtime.block_on(self.stream.next()) {
                None => return Ok(0),
                Some(piece) => self.rest = piece.map_err(io::Error::other)?,
            }
        }
        let count = self.rest.len().min(buffer.len());
        let piece = self.rest.split_to(count);
        self.hasher.update(&piece);
        for (to, from) in buffer.iter_mut().zip(piece.iter()) {
            *to = *from;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bag() -> Bag {
        let payload = vec![BagFile::of("data/a.txt", "a"), BagFile::of("data/b.txt", "bb")];
        let at = "2026-11-23T08:00:00Z".parse().unwrap();
        Bag::closed("case".to_owned(), payload, &[("Source-Organization", "A\nB".to_owned())], at)
    }

    #[tokio::test]
    async fn the_same_files_make_the_same_bytes_and_one_changed_byte_another_bag() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::local(folder.path()).unwrap();
        let runtime = Handle::current();
        let written = |bag: Bag| bag.write(Vec::new(), &files, &runtime).unwrap();
        let first = written(bag());
        assert_eq!(first, written(bag()));
        let mut archive = tar::Archive::new(first.as_slice());
        let mut texts = std::collections::BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            texts.insert(path, text);
        }
        assert_eq!(texts["case/bag-info.txt"], "Source-Organization: A B\nPayload-Oxum: 3.2\n");
        assert_eq!(texts["case/bagit.txt"], bag::DECLARATION_TEXT);
        let manifest = bag::read_manifest(&texts["case/manifest-sha256.txt"]).unwrap();
        assert_eq!(manifest["data/b.txt"], Sha256::of(b"bb"));
        assert_eq!(Sha256::of(texts["case/tagmanifest-sha256.txt"].as_bytes()), bag().sha256);
    }
}
