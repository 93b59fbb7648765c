//! Signed notes (C2SP signed-note): a text and the lines of those who signed it.
//!
//! Ed25519 only: log signatures (type 0x01) and witness cosignatures (type 0x04, C2SP tlog-cosignature).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

use crate::digest::Sha256;

/// The longest note that is read, in bytes.
const MAX_NOTE_BYTES: usize = 64 * 1024;
const COSIGNATURE_HEADER: &str = "cosignature/v1";

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignatureKind {
    /// Over the note's text.
    Log,
    /// Over the note's text and a time.
    Cosignature,
}

impl SignatureKind {
    fn byte(self) -> u8 {
        match self {
            Self::Log => 0x01,
            Self::Cosignature => 0x04,
        }
    }
}

/// A key that notes are checked with, as `NAME+ID+BASE64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    pub name: String,
    pub kind: SignatureKind,
    key: VerifyingKey,
}

/// Why a text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("a key is written NAME+ID+BASE64, the id in 8 hex digits")]
    Malformed,
    #[error("the key's id is {found}; its name and bytes give {expected}")]
    OtherId { found: String, expected: String },
    #[error("the key has signature type {0:#04x}; known here are 0x01 (Ed25519) and 0x04 (cosignature)")]
    OtherType(u8),
    #[error("{0:?} is no name of a key: no spaces, no plus sign, not empty")]
    BadName(String),
}

/// Why a note cannot be relied on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("the note is malformed: {0}")]
    Malformed(&'static str),
    #[error("the signature by {0} does not verify")]
    BadSignature(String),
    #[error("nobody who is trusted signed it")]
    Unsigned,
}

/// A note taken apart, its signatures not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    /// With its last newline.
    pub text: String,
    /// Each without its newline.
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    name: String,
    id: [u8; 4],
    signature: Vec<u8>,
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

fn key_id(name: &str, kind: SignatureKind, key: &VerifyingKey) -> [u8; 4] {
    let hash = Sha256::of_parts(&[name.as_bytes(), b"\n", &[kind.byte()], key.as_bytes()]).to_bytes();
    [hash[0], hash[1], hash[2], hash[3]]
}

impl VerifierKey {
    /// A key by its parts.
    ///
    /// # Errors
    /// When the name cannot be one.
    pub fn new(name: &str, kind: SignatureKind, key: VerifyingKey) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::BadName(name.to_owned()));
        }
        Ok(Self { name: name.to_owned(), kind, key })
    }

    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        key_id(&self.name, self.kind, &self.key)
    }

    /// The 32 bytes of the key.
    #[must_use]
    pub fn key_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Checks `signature` over `text`; gives the time that a cosignature tells, in seconds.
    fn verify(&self, text: &str, signature: &[u8]) -> Option<Option<u64>> {
        let checked = |message: &[u8], bytes: &[u8]| {
            let signature = ed25519_dalek::Signature::from_slice(bytes).ok()?;
            self.key.verify_strict(message, &signature).ok()
        };
        match self.kind {
            SignatureKind::Log => checked(text.as_bytes(), signature).map(|()| None),
            SignatureKind::Cosignature => {
                let (time, bytes) = signature.split_first_chunk::<8>()?;
                let at_s = u64::from_be_bytes(*time);
                checked(cosigned(text, at_s).as_bytes(), bytes).map(|()| Some(at_s))
            }
        }
    }
}

fn cosigned(text: &str, at_s: u64) -> String {
    format!("{COSIGNATURE_HEADER}\ntime {at_s}\n{text}")
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![self.kind.byte()];
        bytes.extend(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), BASE64.encode(bytes))
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        // The base64 may itself hold plus signs.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Malformed);
        };
        let bytes = BASE64.decode(encoded).map_err(|_| KeyError::Malformed)?;
        let (kind, key) = match bytes.split_first() {
            Some((0x01, key)) => (SignatureKind::Log, key),
            Some((0x04, key)) => (SignatureKind::Cosignature, key),
            Some((other, _)) => return Err(KeyError::OtherType(*other)),
            None => return Err(KeyError::Malformed),
        };
        let key: [u8; 32] = key.try_into().map_err(|_| KeyError::Malformed)?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| KeyError::Malformed)?;
        let key = Self::new(name, kind, key)?;
        let expected = hex::encode(key.id());
        if id != expected {
            return Err(KeyError::OtherId { found: id.to_owned(), expected });
        }
        Ok(key)
    }
}

/// Signs notes as the log.
pub struct LogSigner {
    verifier: VerifierKey,
    key: SigningKey,
}

impl LogSigner {
    /// A signer by the name of the log's origin.
    ///
    /// # Errors
    /// When the name cannot be one.
    pub fn new(name: &str, key: SigningKey) -> Result<Self, KeyError> {
        Ok(Self { verifier: VerifierKey::new(name, SignatureKind::Log, key.verifying_key())?, key })
    }

    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The note of `text`, which ends in a newline.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        let line = line(&self.verifier, &self.key.sign(text.as_bytes()).to_bytes());
        format!("{text}\n{line}")
    }
}

fn line(verifier: &VerifierKey, signature: &[u8]) -> String {
    let mut bytes = verifier.id().to_vec();
    bytes.extend(signature);
    format!("— {} {}\n", verifier.name, BASE64.encode(bytes))
}

/// Cosigns checkpoints as a witness does.
pub struct WitnessSigner {
    verifier: VerifierKey,
    key: SigningKey,
}

impl WitnessSigner {
    /// A signer by the witness's name.
    ///
    /// # Errors
    /// When the name cannot be one.
    pub fn new(name: &str, key: SigningKey) -> Result<Self, KeyError> {
        Ok(Self { verifier: VerifierKey::new(name, SignatureKind::Cosignature, key.verifying_key())?, key })
    }

    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The signature line, with its newline, over `text` at a time in seconds since 1970.
    #[must_use]
    pub fn cosign(&self, text: &str, at_s: u64) -> String {
        let mut signature = at_s.to_be_bytes().to_vec();
        signature.extend(self.key.sign(cosigned(text, at_s).as_bytes()).to_bytes());
        line(&self.verifier, &signature)
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for Line { name, id, signature } in &self.lines {
            writeln!(f, "— {name} {}", BASE64.encode([id.as_slice(), signature].concat()))?;
        }
        Ok(())
    }
}

impl SignedNote {
    /// Takes a note apart.
    ///
    /// # Errors
    /// Says what is malformed.
    pub fn read(note: &str) -> Result<Self, NoteError> {
        let malformed = |what| Err(NoteError::Malformed(what));
        if note.len() > MAX_NOTE_BYTES {
            return malformed("it is too long");
        }
        if note.chars().any(|c| c.is_ascii_control() && c != '\n') {
            return malformed("it holds control characters");
        }
        let Some(at) = note.rfind("\n\n") else {
            return malformed("no blank line parts text and signatures");
        };
        let (text, signatures) =
            (note.get(..=at).unwrap_or_default(), note.get(at + 2..).unwrap_or_default());
        if signatures.is_empty() || !signatures.ends_with('\n') {
            return malformed("it ends in no signature line");
        }
        let lines = signatures
            .lines()
            .map(Line::read)
            .collect::<Option<Vec<_>>>()
            .ok_or(NoteError::Malformed("a signature line is none"))?;
        Ok(Self { text: text.to_owned(), lines })
    }

    /// The lines by `key` that verify, as they came, each with its newline.
    pub fn lines_by(&self, key: &VerifierKey) -> impl Iterator<Item = String> {
        let theirs = self.lines.iter().filter(|line| line.name == key.name && line.id == key.id());
        theirs
            .filter(|line| key.verify(&self.text, &line.signature).is_some())
            .map(|found| line(key, &found.signature))
    }

    /// Checks the signatures by `key`: `None` where there is none, else the time that a cosignature tells.
    ///
    /// # Errors
    /// When a line that names this key does not verify.
    pub fn signed_by(&self, key: &VerifierKey) -> Result<Option<Option<u64>>, NoteError> {
        let mut found = None;
        for line in self.lines.iter().filter(|line| line.name == key.name && line.id == key.id()) {
            let verified = key
                .verify(&self.text, &line.signature)
                .ok_or_else(|| NoteError::BadSignature(key.name.clone()))?;
            found.get_or_insert(verified);
        }
        Ok(found)
    }
}

impl Line {
    fn read(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
        let bytes = BASE64.decode(encoded).ok()?;
        let (id, signature) = bytes.split_first_chunk::<4>()?;
        (is_name(name) && !signature.is_empty()).then(|| Self {
            name: name.to_owned(),
            id: *id,
            signature: signature.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_what_its_signer_said_and_a_key_reads_as_it_is_written() {
        let signer = LogSigner::new("example.org/log", SigningKey::from_bytes(&[1; 32])).unwrap();
        let note = SignedNote::read(&signer.sign("one\n\ntwo\n")).unwrap();
        assert_eq!(note.text, "one\n\ntwo\n");
        assert_eq!(note.signed_by(signer.verifier()).unwrap(), Some(None));
        let key: VerifierKey = signer.verifier().to_string().parse().unwrap();
        assert_eq!(key, *signer.verifier());
        let other = LogSigner::new("example.org/log", SigningKey::from_bytes(&[2; 32])).unwrap();
        assert_eq!(note.signed_by(other.verifier()).unwrap(), None);
        let changed = SignedNote { text: "three\n".to_owned(), ..note };
        assert!(matches!(changed.signed_by(&key), Err(NoteError::BadSignature(_))));
    }

    #[test]
    fn a_published_note_and_key_are_read() {
        // The example of C2SP signed-note and the key of golang.org/x/mod/sumdb/note's documentation.
        let key: VerifierKey =
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let note = format!(
            "{text}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
        );
        let note = SignedNote::read(&note).unwrap();
        assert_eq!(note.signed_by(&key).unwrap(), Some(None));
    }

    #[test]
    fn a_cosignature_tells_its_time() {
        let witness = WitnessSigner::new("witness.example", SigningKey::from_bytes(&[3; 32])).unwrap();
        let note = format!("text\n\n{}", witness.cosign("text\n", 1_700_000_000));
        let read = SignedNote::read(&note).unwrap();
        assert_eq!(read.signed_by(witness.verifier()).unwrap(), Some(Some(1_700_000_000)));
        let moved = note.replace("text", "test");
        assert!(SignedNote::read(&moved).unwrap().signed_by(witness.verifier()).is_err());
    }

    #[test]
    fn what_is_no_note_and_no_key_is_refused() {
        for text in [
            "",
            "text\n",
            "text\n\n",
            "text\n\n— a b\n",
            "text\n\n- a AAAAAAA=\n",
            "t\u{7}\n\n— a AAAAAAA=\n",
        ] {
            assert!(SignedNote::read(text).is_err(), "{text:?}");
        }
        for text in
            ["", "a", "a+b+c", "a b+00000000+AQ==", "a+00000000+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"]
        {
            assert!(text.parse::<VerifierKey>().is_err(), "{text:?}");
        }
    }
}
