//! What tus 1.0 puts into headers, read strictly. Pure: no request, no file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use endcheck_protocol::digest::Sha256;
use sha2::Digest as _;

use crate::error::{Error, Result};

pub(super) const VERSION: &str = "1.0.0";
pub(super) const EXTENSIONS: &str =
    "creation,creation-with-upload,creation-defer-length,checksum,expiration,termination";
pub(super) const CHECKSUM_ALGORITHMS: &str = "sha1,sha256";
pub(super) const CHUNK_TYPE: &str = "application/offset+octet-stream";

/// The metadata key under which a device names the SHA-256 of the whole sealed file, in hex.
const SEALED_SHA256: &str = "sealed_sha256";

/// A number of bytes in a header: decimal digits and nothing else.
pub(super) fn byte_count(header: &str, text: &str) -> Result<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| {
        Error::malformed("malformed-header", format!("{header}: {text:?} is not a number of bytes."))
    })
}

/// How long a new upload will be: `None` when that is to be said later.
pub(super) fn length(upload_length: Option<&str>, defer_length: Option<&str>) -> Result<Option<u64>> {
    match (upload_length, defer_length) {
        (Some(text), None) => byte_count("Upload-Length", text).map(Some),
        (None, Some("1")) => Ok(None),
        (None, Some(other)) => Err(Error::malformed(
            "malformed-header",
            format!("Upload-Defer-Length: {other:?} is not 1, the only value there is."),
        )),
        (None, None) => Err(Error::malformed(
            "length-missing",
            "Say how long the upload is with Upload-Length, or that this comes later with \
             Upload-Defer-Length: 1.",
        )),
        (Some(_), Some(_)) => Err(Error::malformed(
            "length-twice",
            "Upload-Length and Upload-Defer-Length exclude each other: send one of them.",
        )),
    }
}

/// Reads `Upload-Metadata` and answers the sealed hash that it names, if any.
///
/// An empty header is no metadata at all: tuspy sends one with every upload that has none.
pub(super) fn sealed_sha256_of(metadata: &str) -> Result<Option<Sha256>> {
    let malformed =
        |what: String| Error::malformed("malformed-metadata", format!("Upload-Metadata: {what}."));
    let mut keys = std::collections::BTreeSet::new();
    let mut sealed_sha256 = None;
    if metadata.trim().is_empty() {
        return Ok(None);
    }
    for pair in metadata.split(',') {
        let pair = pair.trim();
        let (key, encoded) = pair.split_once(' ').unwrap_or((pair, ""));
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(malformed(format!("{pair:?} has no key of printable ASCII before its value")));
        }
        if !keys.insert(key) {
            return Err(malformed(format!("the key {key:?} is there twice")));
        }
        let value = STANDARD
            .decode(encoded)
            .map_err(|_| malformed(format!("the value of {key:?} is not Base64 with padding")))?;
        if key == SEALED_SHA256 {
            let named = std::str::from_utf8(&value).ok().and_then(|hex| hex.parse::<Sha256>().ok());
            sealed_sha256 = Some(named.ok_or_else(|| {
                malformed(format!("{SEALED_SHA256} is not the Base64 of 64 lower-case hexadecimal digits"))
            })?);
        }
    }
    Ok(sealed_sha256)
}

/// A running digest of one chunk, and what it must come to.
pub(super) struct Check {
    digest: ChunkDigest,
    expected: Vec<u8>,
}

enum ChunkDigest {
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
}

impl Check {
    /// Reads `Upload-Checksum`: the algorithm, a space, the digest in Base64.
    pub(super) fn parse(header: &str) -> Result<Self> {
        let malformed =
            |what: String| Error::malformed("malformed-checksum", format!("Upload-Checksum: {what}."));
        let (algorithm, encoded) = header.split_once(' ').ok_or_else(|| {
            malformed("expected the algorithm, a space and the digest in Base64".to_owned())
        })?;
        let (digest, size_bytes) = match algorithm {
            "sha1" => (ChunkDigest::Sha1(sha1::Sha1::new()), 20),
            "sha256" => (ChunkDigest::Sha256(sha2::Sha256::new()), 32),
            other => {
                return Err(Error::malformed(
                    "unknown-checksum-algorithm",
                    format!("Upload-Checksum: {other:?} is not offered; use one of {CHECKSUM_ALGORITHMS}."),
                ));
            }
        };
        let expected = STANDARD
            .decode(encoded)
            .ok()
            .filter(|expected| expected.len() == size_bytes)
            .ok_or_else(|| malformed(format!("a {algorithm} digest is {size_bytes} bytes in Base64")))?;
        Ok(Self { digest, expected })
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match &mut self.digest {
            ChunkDigest::Sha1(state) => state.update(bytes),
            ChunkDigest::Sha256(state) => state.update(bytes),
        }
    }

    pub(super) fn holds(self) -> bool {
        match self.digest {
            ChunkDigest::Sha1(state) => state.finalize().as_slice() == self.expected,
            ChunkDigest::Sha256(state) => state.finalize().as_slice() == self.expected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T>(result: Result<T>) -> String {
        result.err().map_or_else(|| "accepted".to_owned(), |e| e.code().to_owned())
    }

    #[test]
    fn lengths_are_plain_digits_or_deferred_by_one() {
        let table = [
            (Some("0"), None, "accepted"),
            (None, Some("1"), "accepted"),
            (Some("18446744073709551615"), None, "accepted"),
            (Some("18446744073709551616"), None, "malformed-header"),
            (Some("-1"), None, "malformed-header"),
            (Some("+1"), None, "malformed-header"),
            (Some("1e3"), None, "malformed-header"),
            (Some(""), None, "malformed-header"),
            (None, Some("2"), "malformed-header"),
            (None, None, "length-missing"),
            (Some("1"), Some("1"), "length-twice"),
        ];
        for (known, deferred, expected) in table {
            assert_eq!(code(length(known, deferred)), expected, "{known:?} {deferred:?}");
        }
    }

    #[test]
    fn metadata_is_read_strictly_but_may_be_empty() {
        let named = Sha256::of(b"x");
        let pair = format!("sealed_sha256 {}", STANDARD.encode(named.as_str()));
        assert_eq!(sealed_sha256_of(&format!("name Zg==,{pair}, flag")).unwrap(), Some(named));
        for accepted in ["", " ", "flag", "flag ", "name Zg==,flag"] {
            assert_eq!(sealed_sha256_of(accepted).unwrap(), None, "{accepted:?}");
        }
        for refused in [
            "name Zg",
            "name Zg==,name Zw==",
            "name Zg==,",
            ",",
            "name Z g==",
            "n\u{e4}me Zg==",
            "sealed_sha256 Zg==",
            "sealed_sha256",
        ] {
            assert_eq!(code(sealed_sha256_of(refused)), "malformed-metadata", "{refused:?}");
        }
    }

    #[test]
    fn checksums_hold_only_for_their_chunk() {
        // SHA-1 and SHA-256 of "abc", from FIPS 180-2.
        for header in
            ["sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", "sha256 ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="]
        {
            let mut check = Check::parse(header).unwrap();
            check.update(b"a");
            check.update(b"bc");
            assert!(check.holds());
            let mut check = Check::parse(header).unwrap();
            check.update(b"abd");
            assert!(!check.holds());
        }
        assert_eq!(code(Check::parse("md5 kAFQmDzST7DWlj99KOF/cg==")), "unknown-checksum-algorithm");
        assert_eq!(code(Check::parse("crc32 AAAAAA==")), "unknown-checksum-algorithm");
        for refused in ["sha1", "sha1 ", "sha1 Zg==", "sha1 ???", "sha256 qZk+NkcGgWq6PiVxeFDCbJzQ2J0="] {
            assert_eq!(code(Check::parse(refused)), "malformed-checksum", "{refused:?}");
        }
    }
}
