//! A package as it lies on a stick: what is there, whether it is whole, and what its parts hold. A stick may
//! be damaged, and anybody may have written on it: every part is copied before it is read, and what is
//! believed is the copy.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use endcheck_protocol::canonical;
use endcheck_protocol::carry::{
    MANIFEST_FILE, MAX_BATCH_BYTES, PACKAGE_FILE, PACKAGE_SCHEMA, PACKAGE_TYPE, PART_EXTENSION, Package,
    part_name, read_manifest,
};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{Envelope, MAX_ENVELOPE_BYTES};
use endcheck_protocol::package;
use endcheck_protocol::sync::MAX_FILE_BYTES;
use sha2::Digest as _;

/// Of a list of parts.
const MAX_MANIFEST_BYTES: u64 = 64 * 1024 * 1024;
const CHUNK_BYTES: usize = 256 * 1024;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A part that lies in the folder.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// As its name says; what it is, the copy shows.
    pub sealed_sha256: Sha256,
    path: PathBuf,
}

impl Part {
    pub(super) fn name(&self) -> String {
        part_name(&self.sealed_sha256)
    }
}

/// A package's folder.
pub(super) struct Folder {
    /// Hash of the signed package, or of nothing where it cannot be read: which package this is.
    pub name: Sha256,
    /// The envelope over the list of parts, its signature not yet checked. Absent where it or the list is damaged.
    pub signed_by: Option<Envelope>,
    pub log_size: u64,
    listed: Vec<Sha256>,
    pub parts: Vec<Part>,
    pub faults: Vec<String>,
}

/// The packages in a folder: itself, or those right below it.
pub(super) fn folders(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let cannot = || format!("{} cannot be read", folder.display());
    let is_package =
        |path: &Path| path.join(PACKAGE_FILE).exists() || parts(path).is_ok_and(|parts| !parts.is_empty());
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(cannot)?
        .map(|entry| Ok(entry.with_context(cannot)?.path()))
        .collect::<anyhow::Result<_>>()?;
    found.push(folder.to_owned());
    found.retain(|path| {
        let real = path == folder || fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
        real && path.is_dir() && is_package(path)
    });
    found.sort();
    Ok(found)
}

fn parts(folder: &Path) -> std::io::Result<Vec<Part>> {
    let mut parts = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_part = path.extension().is_some_and(|extension| extension == PART_EXTENSION);
        let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if let (true, Some(sealed_sha256), true) = (is_part, stem, is_plain(&path)) {
            parts.push(Part { sealed_sha256, path });
        }
    }
    parts.sort_by(|a, b| a.sealed_sha256.cmp(&b.sealed_sha256));
    Ok(parts)
}

/// Whether a plain file lies there: a link could lead to a file of ours, and a pipe never ends.
fn is_plain(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

fn limited(path: &Path, limit_bytes: u64) -> std::io::Result<Vec<u8>> {
    if !is_plain(path) {
        return Err(std::io::Error::other("it is missing, or no plain file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit_bytes).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Folder {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let parts = parts(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let mut folder = Self {
            name: Sha256::of(b""),
            signed_by: None,
            log_size: 0,
            listed: Vec::new(),
            parts,
            faults: Vec::new(),
        };
        if let Err(why) = folder.read_signed(path) {
            folder.faults.push(format!(
                "{why}: what is missing cannot be told, and of the records only those that a device of ours \
                 signed are taken in"
            ));
        }
        let missing = folder.listed.iter().filter(|hash| !folder.has(hash));
        let missing: Vec<String> = missing
            .map(|hash| format!("{}: it is in the list of parts and not here", part_name(hash)))
            .collect();
        folder.faults.extend(missing);
        Ok(folder)
    }

    fn read_signed(&mut self, path: &Path) -> Result<(), String> {
        let bytes = limited(&path.join(PACKAGE_FILE), MAX_ENVELOPE_BYTES as u64 + 1)
            .map_err(|error| format!("{PACKAGE_FILE}: {error}"))?;
        self.name = Sha256::of(&bytes);
        let envelope = Envelope::read(&bytes, PACKAGE_TYPE).map_err(|e| format!("{PACKAGE_FILE}: {e}"))?;
        let package: Package =
            canonical::read(&envelope.payload).map_err(|error| format!("{PACKAGE_FILE}: {error}"))?;
        if package.schema != PACKAGE_SCHEMA {
            return Err(format!("{PACKAGE_FILE}: the schema {:?} is not known", package.schema));
        }
        let list = limited(&path.join(MANIFEST_FILE), MAX_MANIFEST_BYTES)
            .map_err(|error| format!("{MANIFEST_FILE}: {error}"))?;
        if Sha256::of(&list) != package.manifest {
            return Err(format!("{MANIFEST_FILE}: it is not the list that {PACKAGE_FILE} names"));
        }
        self.listed = std::str::from_utf8(&list)
            .map_err(|error| format!("{MANIFEST_FILE}: {error}"))
            .and_then(|list| read_manifest(list).map_err(|line| format!("{MANIFEST_FILE}: line {line}")))?;
        self.log_size = package.log_size;
        self.signed_by = Some(envelope);
        Ok(())
    }

    fn has(&self, sealed: &Sha256) -> bool {
        self.parts.binary_search_by(|part| part.sealed_sha256.cmp(sealed)).is_ok()
    }

    /// Whether the device signed that this part belongs to the package.
    pub(super) fn lists(&self, part: &Part) -> bool {
        self.listed.contains(&part.sealed_sha256)
    }
}

/// Where parts are copied to; emptied when dropped, and where a kill left something, when opened.
pub(super) struct Staging {
    folder: PathBuf,
    _lock: File,
}

/// A whole copy of a part, gone when dropped.
pub(super) struct Copied {
    pub path: PathBuf,
    pub size_bytes: u64,
}

impl Drop for Copied {
    fn drop(&mut self) {
        // What cannot be removed goes with the folder.
        fs::remove_file(&self.path).unwrap_or_default();
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).unwrap_or_default();
    }
}

impl Staging {
    pub(super) fn open(place: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(place).with_context(|| format!("{} cannot be made", place.display()))?;
        let lock = fs::OpenOptions::new().append(true).create(true).open(place.join("lock"))?;
        lock.try_lock().context("another import is under way: wait for its end")?;
        let folder = place.join("parts");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(Self { folder, _lock: lock })
    }

    /// Copies a part, and says why where it is not what its name says.
    pub(super) fn copy(&self, part: &Part) -> Result<Copied, String> {
        let cannot = |error: std::io::Error| format!("it cannot be read: {error}");
        let path = self.folder.join(part.name());
        let mut copied = Copied { path, size_bytes: 0 };
        let mut source = File::open(&part.path).map_err(cannot)?.take(MAX_FILE_BYTES + 1);
        let mut target = File::create(&copied.path).map_err(cannot)?;
        let mut hash = sha2::Sha256::new();
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let read = source.read(&mut buffer).map_err(cannot)?;
            if read == 0 {
                break;
            }
            let chunk = buffer.get(..read).unwrap_or_default();
            hash.update(chunk);
            target.write_all(chunk).map_err(cannot)?;
            copied.size_bytes += read as u64;
        }
        if Sha256::from_hasher(hash) == part.sealed_sha256 {
            Ok(copied)
        } else {
            Err(format!(
                "its {} bytes are not those that were written: it was cut or changed. Have the device write it \
                 again",
                copied.size_bytes
            ))
        }
    }
}

/// What a part holds.
pub(super) enum Content {
    /// Envelopes of records.
    Batch(Vec<Vec<u8>>),
    /// A file that a record names, or nothing that is known.
    File,
    /// Records that cannot be read.
    Damaged(String),
}

/// Looks into a part: records begin as zstd does.
pub(super) fn content(copied: &Copied, identity: &age::x25519::Identity) -> Content {
    let opened = File::open(&copied.path).ok().and_then(|file| {
        let decryptor = age::Decryptor::new_buffered(BufReader::new(file)).ok()?;
        decryptor.decrypt(std::iter::once(identity as &dyn age::Identity)).ok()
    });
    // What does not open is judged where its record is.
    let Some(mut plain) = opened else { return Content::File };
    let mut magic = [0; 4];
    if plain.read_exact(&mut magic).is_err() || magic != ZSTD_MAGIC {
        return Content::File;
    }
    let unpacked = (|| {
        let mut lines = Vec::new();
        let whole = magic.as_slice().chain(plain);
        zstd::stream::read::Decoder::new(whole)?.take(MAX_BATCH_BYTES as u64 + 1).read_to_end(&mut lines)?;
        std::io::Result::Ok(lines)
    })();
    match unpacked {
        // A packed file that an inspector captured, which only begins alike.
        Ok(lines) if !lines.starts_with(b"{\"payload\"") => Content::File,
        Ok(lines) if lines.len() > MAX_BATCH_BYTES => {
            Content::Damaged(format!("it holds more than {MAX_BATCH_BYTES} bytes of records"))
        }
        Ok(lines) => Content::Batch(package::split(&lines).map(<[u8]>::to_vec).collect()),
        Err(_) => Content::File,
    }
}
