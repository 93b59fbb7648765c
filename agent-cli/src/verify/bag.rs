//! Bags: reading one from a folder or a tar archive, and what is checked of it as a whole.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use anyhow::Context as _;
use endcheck_protocol::bag::{self as format, AnchorProof, Bundle};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ledger::{CustodyAct, Note};
use endcheck_protocol::record::Record;
use endcheck_protocol::tlog::EntryKind;

use crate::hashing::hashed;

use super::papers::{Papers, Signed, read_proof};
use super::{Found, Outcome, Verifier};

/// No file that is read whole is larger; originals are only hashed.
const MAX_READ_BYTES: u64 = 64 * 1024 * 1024;

/// A bag as read, nothing believed yet.
#[derive(Default)]
pub struct Bag {
    pub papers: Papers,
    /// Every file by its path in the bag.
    hashes: BTreeMap<String, Sha256>,
    /// The content of those that are read whole.
    texts: BTreeMap<String, Vec<u8>>,
    /// What is wrong with the container itself.
    faults: Vec<String>,
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
        let mut bag = Self::default();
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
        let mut archive = tar::Archive::new(io::BufReader::with_capacity(1 << 20, archive));
        for entry in archive.entries()? {
            let entry = entry?;
            let path = entry.path()?.to_string_lossy().into_owned();
            let kind = entry.header().entry_type();
            if kind.is_dir() {
                continue;
            }
            // The bag is the one folder of the archive.
            let below = path.split_once('/').map(|(_, below)| below.to_owned());
            match below.filter(|below| kind.is_file() && format::is_below(below)) {
                Some(below) => {
                    let size_bytes = entry.header().size()?;
                    self.take(below, size_bytes, entry)?;
                }
                None => self.faults.push(format!("{path:?} in the archive is no file of a bag")),
            }
        }
        Ok(())
    }

    fn take(&mut self, path: String, size_bytes: u64, mut source: impl Read) -> io::Result<()> {
        let only_hashed = ["data/original/", "data/derived/"].iter().any(|folder| path.starts_with(folder));
        let sha256 = if only_hashed || size_bytes > MAX_READ_BYTES {
            hashed(&mut source)?
        } else {
            let mut content = Vec::new();
            source.take(MAX_READ_BYTES).read_to_end(&mut content)?;
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
        const FOLDERS: [&str; 5] =
            ["data/records/", "data/receipts/", "data/certificates/", "data/proofs/", "data/determinations/"];
        let papers =
            self.texts.iter().filter(|(path, _)| FOLDERS.iter().any(|folder| path.starts_with(folder)));
        for (path, content) in papers {
            self.papers.add(path.clone(), content);
        }
        if let Some(ledger) = self.texts.get(format::LEDGER) {
            self.papers.add_ledger(format::LEDGER, ledger);
        }
    }

    fn text(&self, path: &str) -> Option<&str> {
        std::str::from_utf8(self.texts.get(path)?).ok()
    }

    fn json<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let content = self.texts.get(path).ok_or_else(|| format!("{path} is missing"))?;
        serde_json::from_slice(content).map_err(|error| format!("{path} cannot be read: {error}"))
    }

    /// Whether the bag is whole by its own manifests: every file there, and no other.
    fn whole(&self) -> Result<String, String> {
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
        let beside = [format::TAG_MANIFEST, format::PROOF];
        let unlisted = self.hashes.keys().find(|path| {
            !payload.contains_key(*path) && !tags.contains_key(*path) && !beside.contains(&path.as_str())
        });
        if let Some(path) = unlisted {
            return Err(format!("{path} is there but not listed"));
        }
        Ok(format!("{} files, each as its manifest lists it, and no other", self.hashes.len()))
    }
}

fn held(result: Result<String, String>) -> Found {
    match result {
        Ok(evidence) => (Outcome::Holds, evidence),
        Err(why) => (Outcome::Failed, why),
    }
}

impl<'a> Verifier<'a> {
    /// What concerns the bag as a whole, and what only a bag can show of its papers.
    pub(super) fn bag(&mut self, bag: &'a Bag) {
        self.say(format::MANIFEST, "bag-whole", held(bag.whole()));
        let bundle: Bundle = match bag.json(format::INDEX) {
            Ok(bundle) => bundle,
            Err(why) => return self.say(format::INDEX, "readable", (Outcome::Failed, why)),
        };
        if let Some(name) = bag.hashes.get(format::TAG_MANIFEST) {
            self.trust.know(&bundle, name);
        }
        self.bag_in_log(bag);
        let checkpoint = bag.text("data/log/checkpoint").unwrap_or_default();
        let found = self.trust.checkpoint(checkpoint);
        self.say("data/log/checkpoint", "checkpoint", found);
        let anchors = bag.json::<Vec<AnchorProof>>(format::ANCHORS);
        if let Err(why) = &anchors {
            self.say(format::ANCHORS, "readable", (Outcome::Failed, why.clone()));
        }
        let anchors = anchors.unwrap_or_default();
        let originals: HashMap<&Sha256, &str> = bag
            .hashes
            .iter()
            .filter(|(path, _)| path.starts_with("data/original/"))
            .map(|(path, sha256)| (sha256, path.as_str()))
            .collect();
        let signed_for: BTreeSet<&Sha256> = self
            .papers
            .records
            .iter()
            .filter_map(|signed| Some(&signed.content.act.file()?.sha256))
            .collect();
        let papers = self.papers;
        for signed in &papers.records {
            let found = in_visit(signed, &bundle);
            self.say(&signed.file, "record-visit", found);
            let found = named(&signed.file, &format!("data/records/{}.dsse.json", signed.envelope.hash));
            self.say(&signed.file, "record-name", found);
            let found = self.between(signed, checkpoint, &anchors);
            self.say(&signed.file, "record-time", found);
            if let Some(facts) = signed.content.act.file() {
                let found = original(originals.get(&facts.sha256), &bundle, &signed.envelope.hash);
                self.say(&signed.file, "original", found);
            }
        }
        for (path, sha256) in bag.hashes.iter().filter(|(path, _)| path.starts_with("data/original/")) {
            if !signed_for.contains(sha256) {
                let why = "no record here names a file with these bytes".to_owned();
                self.say(path, "original", (Outcome::Failed, why));
            }
        }
        for one in &papers.determinations {
            let name = format!("data/determinations/{}.determination.json", one.content.id);
            self.say(&one.file, "determination-name", named(&one.file, &name));
        }
        self.derived(bag, &bundle);
        self.checklist(bag);
        self.ledger_of(&bundle);
    }

    /// Whether the log holds the bag's name.
    fn bag_in_log(&mut self, bag: &Bag) {
        let name = bag.hashes.get(format::TAG_MANIFEST);
        let found = match (bag.text(format::PROOF), name) {
            (None, _) => (Outcome::NotChecked, format!("{} is not here", format::PROOF)),
            (_, None) => (Outcome::Failed, format!("{} is missing", format::TAG_MANIFEST)),
            (Some(text), Some(name)) => match read_proof(format::PROOF, text) {
                Err(why) => (Outcome::Failed, why),
                Ok(proof) if proof.opening.subject != *name => {
                    (Outcome::Failed, "the log holds another bag than this one".to_owned())
                }
                Ok(proof) if proof.opening.entry.kind != EntryKind::Export => {
                    (Outcome::Failed, "the log's entry is about something else than an export".to_owned())
                }
                Ok(proof) => self.trust.included(&proof),
            },
        };
        self.say(format::PROOF, "bag-in-log", found);
    }

    /// Between which two instants a record was made, by the log alone.
    fn between(&self, signed: &Signed<Record>, checkpoint: &str, anchors: &[AnchorProof]) -> Found {
        let Some((_, before)) = self.trust.logged(&signed.envelope.hash) else {
            return (Outcome::NotChecked, "when it was logged is not proved".to_owned());
        };
        let clock = format!("; the device's own clock says {}", signed.content.clock.device_at);
        let Some(anchor) = signed.content.anchor.as_ref().filter(|anchor| anchor.size > 0) else {
            return (Outcome::Holds, format!("made before {before}; it names no state of the log{clock}"));
        };
        let Some(proof) = anchors.iter().find(|proof| proof.anchor == *anchor) else {
            return (Outcome::NotChecked, "the state of the log that it names is not proved".to_owned());
        };
        match self.trust.anchored(checkpoint, anchor, proof) {
            Err(why) => (Outcome::Failed, why),
            Ok(after) => (Outcome::Holds, format!("made after {after} and before {before}{clock}")),
        }
    }

    fn derived(&mut self, bag: &Bag, bundle: &Bundle) {
        for one in &bundle.derived {
            let found = match bag.hashes.get(&one.path) {
                Some(sha256) if *sha256 == one.sha256 => {
                    self.trust.in_log(&format::derived_subject(&one.record, &one.sha256))
                }
                _ => (Outcome::Failed, "it is not the file that was made".to_owned()),
            };
            self.say(&one.path, "derived-in-log", found);
        }
        let listed: BTreeSet<&str> = bundle.derived.iter().map(|one| one.path.as_str()).collect();
        for path in bag.hashes.keys().filter(|path| path.starts_with("data/derived/")) {
            if !listed.contains(path.as_str()) {
                self.say(
                    path,
                    "derived-in-log",
                    (Outcome::Failed, "nothing says what it was made from".to_owned()),
                );
            }
        }
    }

    /// Whether the checklist is the one that the inspector worked from.
    fn checklist(&mut self, bag: &Bag) {
        const PATH: &str = "data/checklist.json";
        let named: BTreeSet<&Sha256> =
            self.papers.records.iter().filter_map(|signed| signed.content.task.checklist.as_ref()).collect();
        let found = match (bag.hashes.get(PATH), named.is_empty()) {
            (_, true) => return,
            (None, false) => (Outcome::NotChecked, "the checklist is not here".to_owned()),
            (Some(found), false) if named.contains(found) => {
                (Outcome::Holds, "the checklist that the records name".to_owned())
            }
            (Some(_), false) => (Outcome::Failed, "the records name another checklist".to_owned()),
        };
        self.say(PATH, "checklist", found);
    }

    /// Whether the ledger is that of the visit, and tells of this export.
    fn ledger_of(&mut self, bundle: &Bundle) {
        let papers = self.papers;
        if let Some((place, _)) =
            papers.ledger.iter().find(|(_, line)| line.entry.visit.as_ref() != Some(&bundle.visit))
        {
            self.say(place, "ledger-visit", (Outcome::Failed, "it is about another visit".to_owned()));
        }
        let exported = papers
            .ledger
            .iter()
            .any(|(_, line)| matches!(&line.entry.note, Note::Custody { act: CustodyAct::Exported, .. }));
        let found = if exported {
            (Outcome::Holds, format!("{} entries, its export among them", papers.ledger.len()))
        } else {
            (
                Outcome::NotChecked,
                "it does not tell of the export: it was cut off, or made for an earlier state".to_owned(),
            )
        };
        self.say(format::LEDGER, "ledger-visit", found);
    }
}

/// Whether a file lies where people look for what it is.
fn named(file: &str, expected: &str) -> Found {
    if file == expected {
        (Outcome::Holds, "it lies under its own name".to_owned())
    } else {
        (Outcome::Failed, format!("it lies under another name than {expected}"))
    }
}

fn in_visit(signed: &Signed<Record>, bundle: &Bundle) -> Found {
    if signed.content.task.visit.as_ref() == Some(&bundle.visit) && signed.content.org == bundle.org {
        (Outcome::Holds, format!("a {} of this visit", signed.content.act.kind()))
    } else {
        (Outcome::Failed, "it is a record of another visit or authority".to_owned())
    }
}

fn original(here: Option<&&str>, bundle: &Bundle, record: &Sha256) -> Found {
    let listed = bundle.originals.iter().find(|original| original.record == *record);
    let path = listed.and_then(|original| original.path.as_deref());
    if let Some(path) = here.filter(|here| path.is_none_or(|path| path == **here)) {
        return (Outcome::Holds, format!("{path} has the bytes that the device signed"));
    }
    match listed {
        Some(original) if original.path.is_some() => {
            (Outcome::Failed, "the file that is said to be its original has other bytes".to_owned())
        }
        Some(original) => {
            let why = original.absent.as_deref().unwrap_or("nobody says why");
            (Outcome::NotChecked, format!("the file is not here: {why}"))
        }
        None => (Outcome::Failed, "the file that it names is neither here nor accounted for".to_owned()),
    }
}
