//! The server's own keys: made once in `DATA/keys`, readable by the server's user alone.
//!
//! The escrow identity is not among them and never comes to this machine; only its recipient does.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use age::secrecy::ExposeSecret as _;
use anyhow::{Context as _, ensure};
use ed25519_dalek::SigningKey;
use endcheck_protocol::envelope::fingerprint;
use endcheck_protocol::tlog::LogSigner;

/// What the server signs and opens with.
pub struct Keys {
    /// Signs device certificates and receipts.
    pub authority: SigningKey,
    /// Signs checkpoints of the log.
    pub log: LogSigner,
    /// Signs access tokens.
    pub tokens: SigningKey,
    /// Turns a refresh token into its successor.
    pub refresh_secret: [u8; 32],
    /// Opens what devices sealed.
    pub identity: age::x25519::Identity,
    /// Whom devices seal to: headquarters, then escrow.
    pub recipients: Vec<String>,
}

impl Keys {
    /// Reads the keys in `folder`, making those that do not exist yet. The log is named `log_origin`;
    /// without a name, by its key.
    ///
    /// # Errors
    /// When a key file cannot be read, made or understood, or the escrow recipient is not one.
    pub fn open(folder: &Path, escrow_recipient: &str, log_origin: Option<&str>) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("the key folder {}", folder.display()))?;
        let escrow: age::x25519::Recipient = escrow_recipient.parse().map_err(|e| {
            anyhow::anyhow!("the escrow recipient {escrow_recipient:?} is not an age recipient: {e}")
        })?;
        let identity_text = once(&folder.join("age-identity.txt"), || {
            Ok(format!("{}\n", age::x25519::Identity::generate().to_string().expose_secret()).into_bytes())
        })?;
        let identity: age::x25519::Identity = std::str::from_utf8(&identity_text)?
            .trim()
            .parse()
            .map_err(|e| anyhow::anyhow!("age-identity.txt does not hold an age identity: {e}"))?;
        let hq = identity.to_public();
        ensure!(
            hq.to_string() != escrow.to_string(),
            "the escrow recipient is this server's own; use another key"
        );
        let log = SigningKey::from_bytes(&secret(&folder.join("log.key"))?);
        let by_key = format!(
            "endcheck.invalid/{}",
            fingerprint(&log.verifying_key()).as_str().chars().take(16).collect::<String>()
        );
        Ok(Self {
            log: LogSigner::new(log_origin.unwrap_or(&by_key), log).context("the log's origin")?,
            authority: SigningKey::from_bytes(&secret(&folder.join("authority.key"))?),
            tokens: SigningKey::from_bytes(&secret(&folder.join("tokens.key"))?),
            refresh_secret: secret(&folder.join("refresh.key"))?,
            recipients: vec![hq.to_string(), escrow.to_string()],
            identity,
        })
    }
}

/// 32 secret bytes, kept as hex; made where there are none.
///
/// # Errors
/// When the file cannot be read, made or understood.
pub fn secret(path: &Path) -> anyhow::Result<[u8; 32]> {
    let text = once(path, || {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
        Ok(format!("{}\n", hex::encode(bytes)).into_bytes())
    })?;
    let mut bytes = [0_u8; 32];
    hex::decode_to_slice(text.trim_ascii(), &mut bytes)
        .with_context(|| format!("{} does not hold 32 bytes in hex", path.display()))?;
    Ok(bytes)
}

/// The content of a file; made whole by `make` when there is none. Two servers that start at once
/// end with the same one.
fn once(path: &Path, make: impl FnOnce() -> anyhow::Result<Vec<u8>>) -> anyhow::Result<Vec<u8>> {
    if !path.exists() {
        let mut fresh = [0_u8; 8];
        getrandom::fill(&mut fresh).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
        let temporary = path.with_extension(format!("{}.new", hex::encode(fresh)));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&make()?)?;
        file.sync_all()?;
        // A hard link, unlike a rename, does not replace what another server put there first.
        let linked = fs::hard_link(&temporary, path);
        fs::remove_file(&temporary)?;
        if let Err(error) = linked
            && error.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(error).with_context(|| format!("the key file {} cannot be made", path.display()));
        }
    }
    fs::read(path).with_context(|| format!("the key file {} cannot be read", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_the_escrow_key_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let escrow = age::x25519::Identity::generate().to_public().to_string();
        let first = Keys::open(folder.path(), &escrow, None).unwrap();
        let second = Keys::open(folder.path(), &escrow, None).unwrap();
        assert_eq!(first.authority.to_bytes(), second.authority.to_bytes());
        assert_eq!(first.recipients, second.recipients);
        assert_eq!(first.log.verifier(), second.log.verifier());
        let named = Keys::open(folder.path(), &escrow, Some("log.example.org")).unwrap();
        assert_eq!(named.log.verifier().name, "log.example.org");
        assert!(Keys::open(folder.path(), &escrow, Some("two words")).is_err());
        let own = first.recipients.first().unwrap();
        assert!(Keys::open(folder.path(), own, None).is_err());
        assert!(Keys::open(folder.path(), "age1nonsense", None).is_err());
    }
}
