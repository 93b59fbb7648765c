//! Hashing what is too large to be held in memory.

use std::io::{self, Read};

use endcheck_protocol::digest::Sha256;
use sha2::Digest as _;

const CHUNK_BYTES: usize = 256 * 1024;

/// The SHA-256 of everything that `source` yields.
///
/// # Errors
/// When it cannot be read to its end.
pub fn hashed(mut source: impl Read) -> io::Result<Sha256> {
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(Sha256::from_hasher(hasher)),
            count => hasher.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}
