//! Bags: reading one from a folder or a tar archive, within bounds, and whether it is whole by its own manifests.
//! Believes nothing of what it reads.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use anyhow::Context as _;
use endcheck_protocol::bag as format;
use endcheck_protocol::digest::Sha256;

use super::archive;
use super::papers::Papers;
use crate::hashing::hashed;

/// No single file beside the papers that is read whole is larger; originals are only hashed.
const MAX_READ_BYTES: u64 = 64 * 1024 * 1024;
/// No paper is larger.
const MAX_PAPER_BYTES: u64 = 1024 * 1024;
/// All that is read whole together.
const MAX_READ_TOGETHER_BYTES: u64 = 512 * 1024 * 1024;

/// The folders of papers.
const PAPERS: [&str; 5] =
    ["data/records/", "data/receipts/", "data/certificates/", "data/proofs/", "data/determinations/"];
pub(super) const CHECKPOINT: &str = "data/log/checkpoint";
pub(super) const FINDINGS: &str = "data/findings.json";
/// What else is looked into.
const READ: [&str; 10] = [
    format::DECLARATION,
    format::MANIFEST,
    format::TAG_MANIFEST,
    format::PROOF,
    format::CONTINUES,
    format::INDEX,
    format::LEDGER,
    format::ANCHORS,
    CHECKPOINT,
    FINDINGS,
];

/// A bag as read, nothing believed yet.
pub struct Bag {
    pub papers: Papers,
    /// Every file by its path in the bag.
    pub(super) hashes: BTreeMap<String, Sha256>,
    /// The content of those that are read whole.
    texts: BTreeMap<String, Vec<u8>>,
    /// What is wrong with the container itself.
    faults: Vec<String>,
    /// What may still be read whole.
    budget_bytes: u64,
}

/// Whether a path is a bag: a folder with a declaration, or a tar archive.
#[must_use]
pub fn is_bag(path: &Path) -> bool {
    if path.is_dir() {
        return path.join(format::DECLARATION).is_file();
    }
    let mut head = [0; 512];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head.get(257..262) == Some(b"ustar".as_slice())
}

impl Bag {
    /// Reads a bag.
    ///
    /// # Errors
    /// When it cannot be read at all; what is wrong inside is found when it is verified.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("{} cannot be read", path.display());
        let mut bag = Self {
            papers: Papers::default(),
            hashes: BTreeMap::new(),
            texts: BTreeMap::new(),
            faults: Vec::new(),
            budget_bytes: MAX_READ_TOGETHER_BYTES,
        };
        if path.is_dir() {
            bag.read_folder(path, "").with_context(cannot)?;
        } else {
            bag.read_archive(File::open(path).with_context(cannot)?).with_context(cannot)?;
        }
        bag.take_papers();
        Ok(bag)
    }

    fn read_folder(&mut self, folder: &Path, below: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.read_folder(&entry.path(), &path)?;
            } else if kind.is_file() {
                let file = File::open(entry.path())?;
                let size_bytes = file.metadata()?.len();
                self.take(path, size_bytes, file)?;
            } else {
                self.faults.push(format!("{path} is neither a file nor a folder"));
            }
        }
        Ok(())
    }

    fn read_archive(&mut self, archive: File) -> io::Result<()> {
        let archive = io::BufReader::with_capacity(1 << 20, archive);
        let came =
            archive::read(archive, &mut |path, size_bytes, content| self.take(path, size_bytes, content))?;
        self.faults.extend(came.err());
        Ok(())
    }

    /// Reads what is looked into, within bounds; of everything else only the hash.
    fn take(&mut self, path: String, size_bytes: u64, mut source: impl Read) -> io::Result<()> {
        let most = match path.as_str() {
            _ if PAPERS.iter().any(|folder| path.starts_with(folder)) => MAX_PAPER_BYTES,
            _ if READ.contains(&path.as_str()) => MAX_READ_BYTES,
            _ => 0,
        };
        if most > 0 && (size_bytes > most || size_bytes > self.budget_bytes) {
            self.faults.push(format!("{path} is larger than any such file of a bag"));
        }
        let sha256 = if size_bytes > most.min(self.budget_bytes) || most == 0 {
            hashed(&mut source)?
        } else {
            self.budget_bytes -= size_bytes;
            let mut content = Vec::new();
            source.take(size_bytes).read_to_end(&mut content)?;
            let sha256 = Sha256::of(&content);
            self.texts.insert(path.clone(), content);
            sha256
        };
        if self.hashes.insert(path.clone(), sha256).is_some() {
            self.faults.push(format!("{path} is there twice"));
        }
        Ok(())
    }

    fn take_papers(&mut self) {
        let papers =
            self.texts.iter().filter(|(path, _)| PAPERS.iter().any(|folder| path.starts_with(folder)));
        for (path, content) in papers {
            self.papers.add(path.clone(), content);
        }
        if let Some(ledger) = self.texts.get(format::LEDGER) {
            self.papers.add_ledger(format::LEDGER, ledger);
        }
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        std::str::from_utf8(self.texts.get(path)?).ok()
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let content = self.texts.get(path).ok_or_else(|| format!("{path} is missing"))?;
        serde_json::from_slice(content).map_err(|error| format!("{path} cannot be read: {error}"))
    }

    /// Whether the bag is whole by its own manifests: every file there, and no other.
    pub(super) fn whole(&self) -> Result<String, String> {
        if let Some(fault) = self.faults.first() {
            return Err(fault.clone());
        }
        let declaration =
            self.text(format::DECLARATION).ok_or_else(|| format::BagError::NoDeclaration.to_string())?;
        format::check_declaration(declaration).map_err(|error| error.to_string())?;
        let manifest = |path: &str| {
            let text = self.text(path).ok_or_else(|| format!("{path} is missing or no text"))?;
            format::read_manifest(text).map_err(|error| format!("{path}: {error}"))
        };
        let (payload, tags) = (manifest(format::MANIFEST)?, manifest(format::TAG_MANIFEST)?);
        for (path, sha256) in payload.iter().chain(&tags) {
            match self.hashes.get(path) {
                None => return Err(format!("{path} is listed but not there")),
                Some(found) if found != sha256 => {
                    return Err(format!("{path} is not the file that is listed"));
                }
                Some(_) => {}
            }
        }
        if let Some(path) = payload.keys().find(|path| !path.starts_with("data/")) {
            return Err(format!("{path} is listed as payload but lies outside data/"));
        }
        let needed = [format::DECLARATION, format::INFO, format::MANIFEST];
        if let Some(path) = needed.into_iter().find(|path| !tags.contains_key(*path)) {
            return Err(format!("{path} is not in {}", format::TAG_MANIFEST));
        }
        let beside = [format::TAG_MANIFEST, format::PROOF, format::CONTINUES];
        let unlisted = self.hashes.keys().find(|path| {
            !payload.contains_key(*path) && !tags.contains_key(*path) && !beside.contains(&path.as_str())
        });
        if let Some(path) = unlisted {
            return Err(format!("{path} is there but not listed"));
        }
        Ok(format!("{} files, each as its manifest lists it, and no other", self.hashes.len()))
    }
}
