//! A witness of logs: a small program of its own, for a regulator or an organisation that headquarters
//! does not command. It cosigns a checkpoint only where that continues the one it cosigned last
//! (C2SP tlog-witness), so that no log can show two histories to those who ask for its cosignature.
//!
//! Knows nothing of headquarters but the keys of the logs. What it cosigned is durable before the
//! cosignature leaves.

mod http;
mod store;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, ensure};
use ed25519_dalek::SigningKey;
use endcheck_protocol::tlog::{
    AddCheckpoint, Held, Refusal, SignatureKind, SignedCheckpoint, VerifierKey, WitnessSigner, judge,
};

pub use http::listen;
use store::Folder;

use crate::clock::Clock;
use crate::keys;

/// A witness at work.
pub struct Witness {
    signer: WitnessSigner,
    logs: Vec<VerifierKey>,
    clock: Clock,
    folder: Folder,
    /// The newest checkpoint of each log, by origin, as it was cosigned. Held while one is judged and
    /// written, so that no two are at once.
    newest: Mutex<BTreeMap<String, SignedCheckpoint>>,
}

/// What comes of a request.
#[derive(Debug)]
pub enum Answer {
    /// The cosignature line.
    Cosigned(String),
    Refused(Refusal),
}

/// The key of the witness in `folder`; made where there is none, and then a name is needed.
///
/// # Errors
/// When a file cannot be read or made, or the witness has another name.
pub fn key(folder: &Path, name: Option<&str>) -> anyhow::Result<VerifierKey> {
    Ok(signer(folder, name)?.verifier().clone())
}

fn signer(folder: &Path, name: Option<&str>) -> anyhow::Result<WitnessSigner> {
    std::fs::create_dir_all(folder).with_context(|| format!("the folder {}", folder.display()))?;
    let named = folder.join("name");
    let kept = match std::fs::read_to_string(&named) {
        Ok(text) => Some(text.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", named.display())),
    };
    let name = match (kept.as_deref(), name) {
        (Some(kept), Some(name)) => {
            ensure!(
                kept == name,
                "this witness is called {kept:?}, not {name:?}: a name can never be changed; give another \
                 witness a data folder of its own"
            );
            kept
        }
        (Some(kept), None) => kept,
        (None, Some(name)) => name,
        (None, None) => {
            anyhow::bail!("the witness has no name yet: give it one with --name, such as witness.example.org")
        }
    };
    let key = SigningKey::from_bytes(&keys::secret(&folder.join("witness.key"))?);
    let signer = WitnessSigner::new(name, key).context("the name of the witness")?;
    if kept.is_none() {
        store::write_durably(folder, "name", format!("{name}\n").as_bytes())?;
    }
    Ok(signer)
}

impl Witness {
    /// Takes up what was cosigned before. No other process may work in `folder` meanwhile.
    ///
    /// # Errors
    /// When there is no log to watch, the folder is in use, or a file is damaged: a witness that forgot
    /// what it saw would be none.
    pub fn open(
        folder: &Path,
        name: Option<&str>,
        logs: Vec<VerifierKey>,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        ensure!(!logs.is_empty(), "no log to watch: give its key with --log, from its /log/policy");
        for log in &logs {
            ensure!(log.kind == SignatureKind::Log, "{log} is the key of a witness, not of a log");
        }
        let signer = signer(folder, name)?;
        let folder = Folder::open(folder)?;
        let newest = folder.newest(signer.verifier())?;
        Ok(Self { signer, logs, clock, folder, newest: Mutex::new(newest) })
    }

    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        self.signer.verifier()
    }

    /// What was cosigned last of each log, with our cosignature.
    fn cosigned(&self) -> Vec<String> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.values().map(|signed| signed.note.to_string()).collect()
    }

    /// Judges a request, makes the new state durable, and only then gives the cosignature. Blocks.
    ///
    /// # Errors
    /// When the state cannot be written; nothing is cosigned then.
    fn add_checkpoint(&self, body: &str) -> anyhow::Result<Answer> {
        let request = match AddCheckpoint::read(body) {
            Ok(request) => request,
            Err(refusal) => return Ok(Answer::Refused(refusal)),
        };
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let held = |origin: &str| {
            let held = &newest.get(origin)?.checkpoint;
            Some(Held { size: held.size, root: held.root.clone() })
        };
        let signed = match judge(&request, &self.logs, held) {
            Ok(signed) => signed,
            Err((refusal, signed)) => {
                self.note_refusal(&refusal, signed.as_deref(), &newest);
                return Ok(Answer::Refused(refusal));
            }
        };
        let at_s = u64::try_from(self.clock.now().unix_seconds()).unwrap_or(0);
        let line = self.signer.cosign(&signed.note.text, at_s);
        // Only signatures that were checked are kept beside ours.
        let by_log: String = self.logs.iter().flat_map(|log| signed.note.lines_by(log)).collect();
        let note = format!("{}\n{by_log}{line}", signed.note.text);
        let cosigned = SignedCheckpoint::read_cosigned(&note, self.verifier())?;
        self.folder.keep(&cosigned.checkpoint.origin, &note)?;
        tracing::info!(
            log = cosigned.checkpoint.origin,
            size = cosigned.checkpoint.size,
            "cosigned a checkpoint"
        );
        newest.insert(cosigned.checkpoint.origin.clone(), cosigned);
        Ok(Answer::Cosigned(line))
    }

    /// A checkpoint that the log signed and that does not continue the one held may prove that it shows two
    /// histories: both are kept for people to look at.
    fn note_refusal(
        &self,
        refusal: &Refusal,
        signed: Option<&SignedCheckpoint>,
        newest: &BTreeMap<String, SignedCheckpoint>,
    ) {
        let (Refusal::OtherRoot { .. } | Refusal::NotContinued(_), Some(signed)) = (refusal, signed) else {
            tracing::info!(%refusal, "refused a checkpoint");
            return;
        };
        let held = newest.get(&signed.checkpoint.origin).map(|held| held.note.to_string());
        let kept =
            self.folder.keep_refused(refusal, held.as_deref(), &signed.note.to_string(), self.clock.now());
        match kept {
            Ok(()) => tracing::error!(
                log = signed.checkpoint.origin,
                size = signed.checkpoint.size,
                %refusal,
                "refused a checkpoint; it is kept beside the one cosigned before, in refused/"
            ),
            Err(error) => tracing::error!(%error, %refusal, "a refused checkpoint cannot be kept"),
        }
    }
}
