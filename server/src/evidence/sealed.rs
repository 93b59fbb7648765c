//! Records as a device hands them in after it closed a visit: sealed to headquarters and escrow. Opened here,
//! and from then on like any others.

use std::io::Read as _;

use endcheck_protocol::package;
use endcheck_protocol::sync::{MAX_RECORDS, MAX_RECORDS_BYTES};

use crate::error::{Error, Result};

/// The envelopes in a body of sealed packages, in their order; never unpacks more than the limit.
///
/// # Errors
/// 400 `malformed-packages`; 413 `body-too-large`; 422 `sealed-records-do-not-open`.
pub(super) fn open(body: &[u8], identity: &age::x25519::Identity) -> Result<Vec<Vec<u8>>> {
    let packages =
        package::unframe(body).map_err(|e| Error::malformed("malformed-packages", format!("{e}.")))?;
    if packages.len() > MAX_RECORDS {
        return Err(too_large());
    }
    let mut envelopes: Vec<Vec<u8>> = Vec::new();
    let mut left_bytes = MAX_RECORDS_BYTES;
    for (number, sealed) in packages.into_iter().enumerate() {
        let lines = lines(sealed, identity, left_bytes)
            .map_err(|why| does_not_open(&format!("Package {number} does not open: {why}")))?
            .ok_or_else(too_large)?;
        left_bytes = left_bytes.saturating_sub(lines.len());
        envelopes.extend(package::split(&lines).map(<[u8]>::to_vec));
        if envelopes.len() > MAX_RECORDS {
            return Err(too_large());
        }
    }
    Ok(envelopes)
}

/// The lines in one package; nothing where there are more bytes than `limit_bytes`.
fn lines(
    sealed: &[u8],
    identity: &age::x25519::Identity,
    limit_bytes: usize,
) -> std::result::Result<Option<Vec<u8>>, String> {
    let decryptor = age::Decryptor::new_buffered(sealed).map_err(|e| e.to_string())?;
    let packed =
        decryptor.decrypt(std::iter::once(identity as &dyn age::Identity)).map_err(|e| e.to_string())?;
    let decoder = zstd::stream::read::Decoder::new(packed).map_err(|e| e.to_string())?;
    let mut lines = Vec::new();
    let limit = u64::try_from(limit_bytes).unwrap_or(u64::MAX);
    decoder.take(limit.saturating_add(1)).read_to_end(&mut lines).map_err(|e| e.to_string())?;
    Ok((lines.len() <= limit_bytes).then_some(lines))
}

fn does_not_open(why: &str) -> Error {
    Error::with_status(
        422,
        "sealed-records-do-not-open",
        "Sealed records do not open",
        format!(
            "{why}. Keep it: the device holds it, and the escrow identity may open it where headquarters' cannot. Tell \
             headquarters."
        ),
    )
}

pub(super) fn too_large() -> Error {
    Error::with_status(
        413,
        "body-too-large",
        "The body is too large",
        format!(
            "Send at most {MAX_RECORDS} records and {MAX_RECORDS_BYTES} bytes (before compression) at once."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a device that is no more: what it sealed must open for ever.
    const FROZEN: &[u8] = include_bytes!("../../../protocol/vectors/sealed-records-1.packages");
    const FROZEN_IDENTITY: &str = include_str!("../../../protocol/vectors/sealed-records-1.identity");

    fn sealed(identity: &age::x25519::Identity, lines: &[u8]) -> Vec<u8> {
        age::encrypt(&identity.to_public(), &zstd::encode_all(lines, 3).unwrap()).unwrap()
    }

    fn code(body: &[u8], identity: &age::x25519::Identity) -> String {
        open(body, identity).unwrap_err().code().to_owned()
    }

    #[test]
    fn packages_are_opened_in_their_order_and_never_past_the_limit() {
        let identity = age::x25519::Identity::generate();
        let frame = |packages: &[&[u8]]| package::frame(packages.iter().copied()).unwrap();
        let (first, second) = (sealed(&identity, b"a\nb\n"), sealed(&identity, b"c\n"));
        let envelopes = open(&frame(&[&first, &second]), &identity).unwrap();
        assert_eq!(envelopes, [b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]);
        assert!(open(b"", &identity).unwrap().is_empty());

        let stranger = age::x25519::Identity::generate();
        assert_eq!(code(&frame(&[&first]), &stranger), "sealed-records-do-not-open");
        assert_eq!(code(&frame(&[&first[..first.len() - 1]]), &identity), "sealed-records-do-not-open");
        let not_packed = age::encrypt(&identity.to_public(), b"a\n").unwrap();
        assert_eq!(code(&frame(&[&not_packed]), &identity), "sealed-records-do-not-open");
        assert_eq!(code(&first, &identity), "malformed-packages");
        let bomb = zstd::encode_all(std::io::repeat(b'0').take(1 << 30), 3).unwrap();
        let bomb = age::encrypt(&identity.to_public(), &bomb).unwrap();
        assert_eq!(code(&frame(&[&bomb]), &identity), "body-too-large");
        let half = sealed(&identity, &vec![b'0'; MAX_RECORDS_BYTES / 2]);
        assert_eq!(code(&frame(&[&half, &half, &second]), &identity), "body-too-large");
        let many = sealed(&identity, &b"x\n".repeat(MAX_RECORDS));
        assert_eq!(code(&frame(&[&many, &second]), &identity), "body-too-large");
    }

    #[test]
    fn what_was_sealed_once_stays_readable() {
        let identity = FROZEN_IDENTITY.lines().last().unwrap().parse().unwrap();
        let envelopes = open(FROZEN, &identity).unwrap();
        assert_eq!(envelopes.len(), 2);
        let record = include_bytes!("../../../protocol/vectors/record-item-1.dsse.json");
        assert!(envelopes.iter().all(|envelope| envelope == record.trim_ascii_end()));
    }
}
