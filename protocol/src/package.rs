//! Records on their way that only headquarters and escrow can read: how envelopes are put together before they
//! are packed and sealed, and how several sealed packages travel in one body or file.
//!
//! A package is `age(zstd(lines))`, sealed to the recipients of the device certificate. Packing and sealing
//! themselves are for the agent and the server; here are only bytes.

/// Media type of a body of sealed packages, each preceded by its length.
pub const SEALED_RECORDS_TYPE: &str = "application/vnd.endcheck.sealed-records";

/// Bytes of the length before each package: big-endian, unsigned.
const LENGTH_BYTES: usize = 4;

/// Why bytes are not a row of packages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    #[error("package {0} says that it has {1} bytes, and {2} follow")]
    Cut(usize, usize, usize),
    #[error("a package has {0} bytes: too many for its length to be written")]
    TooLarge(usize),
}

/// Envelopes one a line, as they are packed, in their order.
#[must_use]
pub fn lines<'a>(envelopes: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut lines = Vec::new();
    for envelope in envelopes {
        lines.extend_from_slice(envelope);
        lines.push(b'\n');
    }
    lines
}

/// What [`lines`] put together; empty lines count for nothing.
pub fn split(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// Sealed packages one after the other, each preceded by its length.
///
/// # Errors
/// When one is larger than its length can say.
pub fn frame<'a>(packages: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, PackageError> {
    let mut body = Vec::new();
    for package in packages {
        let length = u32::try_from(package.len()).map_err(|_| PackageError::TooLarge(package.len()))?;
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(package);
    }
    Ok(body)
}

/// Takes apart what [`frame`] put together.
///
/// # Errors
/// When the bytes break off.
pub fn unframe(mut body: &[u8]) -> Result<Vec<&[u8]>, PackageError> {
    let mut packages = Vec::new();
    while !body.is_empty() {
        let cut = |said| PackageError::Cut(packages.len(), said, body.len().saturating_sub(LENGTH_BYTES));
        let (length, rest) = body.split_first_chunk::<LENGTH_BYTES>().ok_or_else(|| cut(LENGTH_BYTES))?;
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (package, rest) = rest.split_at_checked(length).ok_or_else(|| cut(length))?;
        packages.push(package);
        body = rest;
    }
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_together_comes_apart() {
        let parts: [&[u8]; 3] = [b"one", b"", b"three"];
        let body = frame(parts).unwrap();
        assert_eq!(body, b"\0\0\0\x03one\0\0\0\0\0\0\0\x05three");
        assert_eq!(unframe(&body).unwrap(), parts);
        assert!(unframe(b"").unwrap().is_empty());
        assert_eq!(lines([b"a".as_slice(), b"b"]), b"a\nb\n");
        assert_eq!(split(b"a\n\nb").collect::<Vec<_>>(), [b"a", b"b"]);
    }

    #[test]
    fn what_breaks_off_is_told() {
        let body = frame([b"one".as_slice(), b"three"]).unwrap();
        for cut in (0..body.len()).filter(|cut| ![0, 7].contains(cut)) {
            assert!(unframe(&body[..cut]).is_err(), "{cut}");
        }
        assert_eq!(unframe(&[255; 5]), Err(PackageError::Cut(0, 0xffff_ffff, 1)));
    }
}
