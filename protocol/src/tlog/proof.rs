//! Offline proofs (C2SP tlog-proof): an entry's place in the log, and the checkpoint that covers it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{decimal, hash_from_base64, hash_to_base64};
use crate::digest::Sha256;

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// No tree that fits 64 bits has longer proofs.
const MAX_HASHES: usize = 64;

/// A proof that an entry is in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// What the verifier needs to form the entry; ours is the entry itself. Not authenticated.
    pub extra: Option<Vec<u8>>,
    pub index: u64,
    /// From the leaf's sibling up to the root's child.
    pub hashes: Vec<Sha256>,
    /// The signed checkpoint, as it came.
    pub checkpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the proof is malformed: {0}")]
pub struct TlogProofError(&'static str);

impl TlogProof {
    /// The proof as a `.tlog-proof` file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        if let Some(extra) = &self.extra {
            text.push_str(&format!("extra {}\n", BASE64.encode(extra)));
        }
        text.push_str(&format!("index {}\n", self.index));
        for hash in &self.hashes {
            text.push_str(&hash_to_base64(hash));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads a `.tlog-proof` file.
    ///
    /// # Errors
    /// Says what is malformed.
    pub fn read(text: &str) -> Result<Self, TlogProofError> {
        let (proof, checkpoint) = text.split_once("\n\n").ok_or(TlogProofError("it holds no checkpoint"))?;
        let mut lines = proof.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(TlogProofError("it is not a c2sp.org/tlog-proof@v1"));
        }
        let extra = match lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            Some(encoded) => {
                lines.next();
                Some(BASE64.decode(encoded).map_err(|_| TlogProofError("the extra data are not base64"))?)
            }
            None => None,
        };
        let index = lines
            .next()
            .and_then(|line| decimal(line.strip_prefix("index ")?))
            .ok_or(TlogProofError("it tells no index"))?;
        let hashes = lines
            .map(hash_from_base64)
            .collect::<Option<Vec<_>>>()
            .filter(|hashes| hashes.len() <= MAX_HASHES)
            .ok_or(TlogProofError("its hashes are none"))?;
        Ok(Self { extra, index, hashes, checkpoint: checkpoint.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_reads_as_it_is_written() {
        let proof = TlogProof {
            extra: Some(b"entry".to_vec()),
            index: 73_894,
            hashes: vec![Sha256::of(b"a"), Sha256::of(b"b")],
            checkpoint: "o\n1\nr\n\n— o s\n".to_owned(),
        };
        assert_eq!(TlogProof::read(&proof.text()).unwrap(), proof);
        let bare = TlogProof { extra: None, hashes: Vec::new(), ..proof.clone() };
        assert_eq!(TlogProof::read(&bare.text()).unwrap(), bare);
        for (from, to) in [("@v1", "@v2"), ("index 7", "index 07"), ("index", "number"), ("\n\n", "\n")] {
            assert!(TlogProof::read(&proof.text().replacen(from, to, 1)).is_err(), "{from}");
        }
    }
}
