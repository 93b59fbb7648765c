//! The transparency log as others read it, by the formats of C2SP: signed notes, checkpoints with
//! cosignatures, tile paths, offline proofs and trust policies. Also what one of our entries says.
//!
//! Nothing here stores or fetches; trees and proofs about them are in [`crate::merkle`].

mod checkpoint;
mod entry;
mod note;
mod policy;
mod proof;
mod tile;
mod witness;

pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
pub use entry::{EntryKind, LogEntry, Opening};
pub use note::{KeyError, LogSigner, NoteError, SignatureKind, SignedNote, VerifierKey, WitnessSigner};
pub use policy::{Policy, PolicyError, Trusted};
pub use proof::{TlogProof, TlogProofError};
pub use tile::{Tile, TileKind};
pub use witness::{AddCheckpoint, Held, MAX_PROOF_HASHES, Refusal, SIZE_MEDIA_TYPE, judge};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::digest::Sha256;

/// A hash as the formats of C2SP write it.
fn hash_to_base64(hash: &Sha256) -> String {
    BASE64.encode(hash.to_bytes())
}

fn hash_from_base64(text: &str) -> Option<Sha256> {
    BASE64.decode(text).ok()?.try_into().ok().map(Sha256::from_raw)
}

/// A decimal number as the formats of C2SP write it: no sign, no leading zero.
fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}
