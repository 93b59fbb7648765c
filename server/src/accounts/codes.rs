//! Enrolment codes: 80 random bits that a person can read aloud and type.

use endcheck_protocol::digest::Sha256;

use crate::error::Result;

/// Crockford's base 32: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Bytes of randomness in a code.
const CODE_BYTES: usize = 10;

/// A fresh code.
///
/// # Errors
/// When the machine has no randomness.
pub fn fresh() -> Result<String> {
    let mut bytes = [0_u8; CODE_BYTES];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
    Ok(written(&bytes))
}

/// A code made of the first 80 bits of `bytes`: four groups of four.
#[must_use]
pub fn written(bytes: &[u8]) -> String {
    let mut text = String::new();
    let (mut held, mut bits) = (0_u32, 0_u32);
    for byte in bytes.iter().take(CODE_BYTES) {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            if text.len() % 5 == 4 {
                text.push('-');
            }
            let digit = usize::try_from((held >> bits) & 31).unwrap_or(0);
            text.push(char::from(ALPHABET.get(digit).copied().unwrap_or(b'0')));
        }
        held &= (1 << bits) - 1;
    }
    text
}

/// What is stored of a code: the hash of its digits, forgiving case, dashes, spaces and the letters
/// that Crockford's alphabet leaves out because they look like digits.
#[must_use]
pub fn stored(code: &str) -> Sha256 {
    let digits: String = code
        .chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .map(|c| match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        })
        .collect();
    Sha256::of(digits.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_readable_and_forgiving() {
        assert_eq!(written(&[0xff; 32]), "ZZZZ-ZZZZ-ZZZZ-ZZZZ");
        assert_eq!(written(&[0, 0, 0, 0, 1, 0, 0, 0, 0, 0]), "0000-0001-0000-0000");
        assert_eq!(stored("0o1i-l000"), stored("00 111 000"));
        assert_ne!(stored("ZZZZ"), stored("ZZZY"));
        assert_ne!(fresh().unwrap(), fresh().unwrap());
    }
}
