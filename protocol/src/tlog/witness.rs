//! What a witness is asked and how it decides (C2SP tlog-witness): the body of `add-checkpoint`, and the
//! judgement of a request against what was cosigned before. Keeps nothing and knows no time.

use super::checkpoint::{CheckpointError, SignedCheckpoint};
use super::note::{NoteError, VerifierKey};
use super::{decimal, hash_from_base64, hash_to_base64};
use crate::digest::Sha256;
use crate::merkle::{ProofError, verify_consistency};

/// Hashes of a consistency proof at most.
pub const MAX_PROOF_HASHES: usize = 63;
/// The content type of the size that a witness answers with.
pub const SIZE_MEDIA_TYPE: &str = "text/x.tlog.size";

/// The body of `POST …/add-checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the checkpoint that the witness cosigned last; 0 for none.
    pub old_size: u64,
    /// From that one to this.
    pub consistency: Vec<Sha256>,
    /// The signed checkpoint, as it came.
    pub checkpoint: String,
}

/// The checkpoint that a witness cosigned last for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub size: u64,
    pub root: Sha256,
}

/// Why a witness does not cosign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the request is malformed: {0}")]
    Malformed(String),
    #[error("the log {0:?} is not one of this witness")]
    UnknownLog(String),
    #[error("no key that this witness trusts for the log signed the checkpoint")]
    NotSigned,
    #[error("the old size {old} is larger than the checkpoint's {new}")]
    OldLarger { old: u64, new: u64 },
    #[error("the newest checkpoint cosigned here has {held} entries")]
    OtherSize { held: u64 },
    #[error(
        "another checkpoint of {size} entries was cosigned before: the log shows two histories, and both are kept here"
    )]
    OtherRoot { size: u64 },
    #[error("the checkpoint does not continue the one cosigned before: {0}")]
    NotContinued(ProofError),
}

impl Refusal {
    /// The HTTP status that tells it.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::OldLarger { .. } => 400,
            Self::NotSigned => 403,
            Self::UnknownLog(_) => 404,
            Self::OtherSize { .. } | Self::OtherRoot { .. } => 409,
            Self::NotContinued(_) => 422,
        }
    }

    /// The size held, where that is what the answer says.
    #[must_use]
    pub fn held_size(&self) -> Option<u64> {
        match self {
            Self::OtherSize { held } => Some(*held),
            Self::OtherRoot { size } => Some(*size),
            _ => None,
        }
    }
}

impl AddCheckpoint {
    /// The body as it is sent.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("old {}\n", self.old_size);
        for hash in &self.consistency {
            text.push_str(&hash_to_base64(hash));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], saying what is.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        let malformed = |what: &str| Refusal::Malformed(what.to_owned());
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or_else(|| malformed("no empty line parts proof and checkpoint"))?;
        let mut lines = head.split('\n');
        let old_size = lines
            .next()
            .and_then(|line| decimal(line.strip_prefix("old ")?))
            .ok_or_else(|| malformed("it does not begin with the line `old SIZE`"))?;
        let lines: Vec<&str> = lines.collect();
        if lines.len() > MAX_PROOF_HASHES {
            return Err(Refusal::Malformed(format!(
                "the proof has {} hashes; it may have {MAX_PROOF_HASHES}",
                lines.len()
            )));
        }
        let consistency = lines
            .into_iter()
            .map(hash_from_base64)
            .collect::<Option<_>>()
            .ok_or_else(|| malformed("a line of the proof is no hash"))?;
        Ok(Self { old_size, consistency, checkpoint: checkpoint.to_owned() })
    }
}

/// Reads the checkpoint of a request, if a log of the witness signed it.
fn signed(request: &AddCheckpoint, logs: &[VerifierKey]) -> Result<SignedCheckpoint, Refusal> {
    SignedCheckpoint::read_extended(&request.checkpoint, logs).map_err(|error| match error {
        CheckpointError::OtherLog { found, .. } => Refusal::UnknownLog(found),
        CheckpointError::Note(NoteError::Unsigned | NoteError::BadSignature(_)) => Refusal::NotSigned,
        other => Refusal::Malformed(other.to_string()),
    })
}

/// Decides a request: the checkpoint that may be cosigned, once it is held in the place of the one
/// before. `held` tells what was cosigned last for an origin.
///
/// # Errors
/// Why it may not; with the checkpoint, where the log itself signed it.
pub fn judge(
    request: &AddCheckpoint,
    logs: &[VerifierKey],
    held: impl FnOnce(&str) -> Option<Held>,
) -> Result<SignedCheckpoint, (Refusal, Option<Box<SignedCheckpoint>>)> {
    let signed = signed(request, logs).map_err(|refusal| (refusal, None))?;
    let new = &signed.checkpoint;
    let held = held(&new.origin).unwrap_or_else(|| Held { size: 0, root: Sha256::of(b"") });
    let refusal = if request.old_size > new.size {
        Some(Refusal::OldLarger { old: request.old_size, new: new.size })
    } else if request.old_size != held.size {
        Some(Refusal::OtherSize { held: held.size })
    } else if held.size == new.size && held.root != new.root {
        Some(Refusal::OtherRoot { size: held.size })
    } else if held.size == 0 {
        // Any log continues an empty one, and nothing is to be proved.
        (!request.consistency.is_empty()).then_some(Refusal::NotContinued(ProofError::WrongLength))
    } else {
        verify_consistency((held.size, &held.root), (new.size, &new.root), &request.consistency)
            .err()
            .map(Refusal::NotContinued)
    };
    match refusal {
        None => Ok(signed),
        Some(refusal) => Err((refusal, Some(Box::new(signed)))),
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::super::checkpoint::Checkpoint;
    use super::super::note::LogSigner;
    use super::*;
    use crate::merkle::{CompactRange, leaf_hash, node_hash};

    fn log(seed: u8) -> LogSigner {
        LogSigner::new("example.org/log", SigningKey::from_bytes(&[seed; 32])).unwrap()
    }

    fn root(leaves: &[&[u8]]) -> Sha256 {
        let mut range = CompactRange::default();
        for leaf in leaves {
            range.push(leaf_hash(leaf));
        }
        range.root()
    }

    fn request(old_size: u64, consistency: Vec<Sha256>, checkpoint: String) -> AddCheckpoint {
        AddCheckpoint { old_size, consistency, checkpoint }
    }

    #[test]
    fn a_request_reads_as_it_is_written_and_nothing_else_is_one() {
        let note = Checkpoint::signed(3, Sha256::of(b"r"), &log(1));
        let sent = request(2, vec![Sha256::of(b"a"), Sha256::of(b"b")], note.clone());
        assert_eq!(AddCheckpoint::read(&sent.text()).unwrap(), sent);
        let bare = request(0, Vec::new(), note.clone());
        assert_eq!(AddCheckpoint::read(&bare.text()).unwrap(), bare);
        let many = request(2, vec![Sha256::of(b"a"); 64], note.clone());
        for text in [
            many.text(),
            format!("old 02\n\n{note}"),
            format!("old -2\n\n{note}"),
            format!("old\n\n{note}"),
            format!("new 2\n\n{note}"),
            format!("old 2\nnonsense\n\n{note}"),
            format!("old 2\r\n\r\n{note}"),
            "old 2\n".to_owned(),
            String::new(),
        ] {
            assert_eq!(AddCheckpoint::read(&text).unwrap_err().status(), 400, "{text:?}");
        }
    }

    #[test]
    fn every_request_gets_the_status_of_the_protocol() {
        let signer = log(1);
        let logs = [signer.verifier().clone()];
        let leaves: [&[u8]; 3] = [b"a", b"b", b"c"];
        let held = Held { size: 2, root: root(&leaves[..2]) };
        let three = Checkpoint::signed(3, root(&leaves), &signer);
        let proof = vec![leaf_hash(b"c")];
        let other = Checkpoint::signed(2, node_hash(&leaf_hash(b"a"), &leaf_hash(b"x")), &signer);
        let elsewhere = LogSigner::new("example.org/x", SigningKey::from_bytes(&[1; 32])).unwrap();
        let extended = signer.sign(&format!(
            "{}an extension\n",
            Checkpoint { origin: "example.org/log".to_owned(), size: 3, root: root(&leaves) }.text()
        ));
        let same = Checkpoint::signed(2, root(&leaves[..2]), &signer);
        let cases = [
            ("continued", request(2, proof.clone(), three.clone()), Some(held.clone()), 200),
            ("extension lines", request(2, proof.clone(), extended), Some(held.clone()), 200),
            ("the same again", request(2, vec![], same.clone()), Some(held.clone()), 200),
            ("the first", request(0, vec![], three.clone()), None, 200),
            ("first with proof", request(0, proof.clone(), three.clone()), None, 422),
            ("same with proof", request(2, proof.clone(), same), Some(held.clone()), 422),
            ("wrong proof", request(2, vec![leaf_hash(b"d")], three.clone()), Some(held.clone()), 422),
            ("no proof", request(2, vec![], three.clone()), Some(held.clone()), 422),
            ("another root", request(2, vec![], other), Some(held.clone()), 409),
            ("another size", request(1, proof.clone(), three.clone()), Some(held.clone()), 409),
            ("size of nothing", request(0, vec![], three.clone()), Some(held.clone()), 409),
            ("never seen", request(2, proof.clone(), three.clone()), None, 409),
            ("old larger", request(4, proof.clone(), three.clone()), Some(held.clone()), 400),
            (
                "another log",
                request(2, proof.clone(), Checkpoint::signed(3, root(&leaves), &elsewhere)),
                Some(held.clone()),
                404,
            ),
            (
                "an imposter",
                request(2, proof.clone(), Checkpoint::signed(3, root(&leaves), &log(2))),
                Some(held.clone()),
                403,
            ),
            ("changed", request(2, proof, three.replacen("\n3\n", "\n4\n", 1)), Some(held.clone()), 403),
            ("no note", request(2, vec![], "nonsense".to_owned()), Some(held), 400),
        ];
        for (what, request, held, status) in cases {
            let said = judge(&request, &logs, |_| held);
            assert_eq!(said.map_or_else(|(refusal, _)| refusal.status(), |_| 200), status, "{what}");
        }
        let held = Held { size: 2, root: root(&leaves[..2]) };
        let (refusal, _) = judge(&request(0, vec![], three), &logs, |_| Some(held)).unwrap_err();
        assert_eq!(refusal.held_size(), Some(2));
    }
}
