//! The folder of a witness: the newest checkpoint of each log, and those that were refused. Each file is
//! written whole, flushed, and moved into its place.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::tlog::{Refusal, SignedCheckpoint, VerifierKey};
use serde_json::json;

/// Refused checkpoints that are kept at most: who holds a log's key could fill the disk.
const MAX_REFUSED: usize = 1000;
const EXTENSION: &str = "checkpoint";
/// Which logs were ever cosigned, beside what was cosigned: so that a loss is noticed.
const KNOWN: &str = "known-logs";

pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes the folder for this process alone.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        for folder in ["newest", "refused"] {
            fs::create_dir_all(path.join(folder))?;
        }
        File::open(path)?.sync_all()?;
        let lock = path.join("lock");
        let lock = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&lock)?;
        lock.try_lock().with_context(|| {
            format!("another witness works in {}: each needs a data folder of its own", path.display())
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The newest checkpoints, by origin; each must be cosigned by this witness.
    pub(super) fn newest(&self, witness: &VerifierKey) -> anyhow::Result<BTreeMap<String, SignedCheckpoint>> {
        let mut newest = BTreeMap::new();
        for entry in fs::read_dir(self.path.join("newest"))? {
            let path = entry?.path();
            // What a kill left of a file that was being written.
            if path.extension().is_none_or(|extension| extension != EXTENSION) {
                continue;
            }
            let damaged = || {
                format!(
                    "{} is not what this witness wrote; restore it, and never go on without it",
                    path.display()
                )
            };
            let note = fs::read_to_string(&path).with_context(damaged)?;
            let signed = SignedCheckpoint::read_cosigned(&note, witness).with_context(damaged)?;
            anyhow::ensure!(
                path.file_name() == Some(file_name(&signed.checkpoint.origin).as_ref()),
                damaged()
            );
            newest.insert(signed.checkpoint.origin.clone(), signed);
        }
        let held: Vec<String> = newest.keys().map(|origin| file_name(origin)).collect();
        let lost = self.known()?.into_iter().find(|name| !held.contains(name));
        if let Some(lost) = lost {
            anyhow::bail!(
                "newest/{lost} is gone: this witness cosigned that log and forgot what; restore it from a backup, \
                 or begin anew under another name and key, and never go on without it"
            );
        }
        Ok(newest)
    }

    /// The names of the files that must be in `newest/`: one for each log that was ever cosigned.
    fn known(&self) -> anyhow::Result<Vec<String>> {
        match fs::read_to_string(self.path.join(KNOWN)) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error).with_context(|| format!("{KNOWN} cannot be read")),
        }
    }

    /// Puts a cosigned checkpoint in the place of the one before; durable when this returns.
    pub(super) fn keep(&self, origin: &str, note: &str) -> anyhow::Result<()> {
        let name = file_name(origin);
        write_durably(&self.path.join("newest"), &name, note.as_bytes())?;
        // After the checkpoint: a kill in between leaves one that was never given out.
        let mut known = self.known()?;
        if !known.contains(&name) {
            known.push(name);
            write_durably(&self.path, KNOWN, known.join("\n").as_bytes())?;
        }
        Ok(())
    }

    /// Keeps a refused checkpoint with the one held, once.
    pub(super) fn keep_refused(
        &self,
        refusal: &Refusal,
        held: Option<&str>,
        offered: &str,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let folder = self.path.join("refused");
        let name = format!("{}.json", Sha256::of(offered.as_bytes()));
        if folder.join(&name).exists() || fs::read_dir(&folder)?.count() >= MAX_REFUSED {
            return Ok(());
        }
        let kept = json!({ "refused_at": now, "why": refusal.to_string(), "held": held, "offered": offered });
        write_durably(&folder, &name, &serde_json::to_vec_pretty(&kept)?)
    }
}

/// Of the origin's hash: an origin may hold anything.
fn file_name(origin: &str) -> String {
    format!("{}.{EXTENSION}", Sha256::of(origin.as_bytes()))
}

/// Writes a file so that after a power cut it is either as before or whole and new.
pub(super) fn write_durably(folder: &Path, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(name);
    let new = folder.join(format!("{name}.new"));
    let written = (|| {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(folder)?.sync_all()
    })();
    written.with_context(|| format!("{} cannot be written", path.display()))
}
