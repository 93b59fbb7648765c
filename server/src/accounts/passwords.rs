//! Passwords: what is long enough, and their Argon2id hashes. Slow by design; never call these on
//! an async worker or inside a write transaction.

use std::sync::OnceLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

use crate::error::{Error, Result};

/// Characters of a password at least (NIST SP 800-63B asks for 8, and for length over rules).
pub const MIN_PASSWORD_CHARS: usize = 12;
/// Bytes of a password at most, so that nobody makes the server hash a book.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// # Errors
/// 422 naming the field `password` when it is too short or too long.
pub fn check(password: &str) -> Result<()> {
    if password.chars().count() < MIN_PASSWORD_CHARS {
        Err(Error::invalid_field("password", format!("needs at least {MIN_PASSWORD_CHARS} characters")))
    } else if password.len() > MAX_PASSWORD_BYTES {
        Err(Error::invalid_field("password", format!("has more than {MAX_PASSWORD_BYTES} bytes")))
    } else {
        Ok(())
    }
}

/// The Argon2id hash (19 MiB, two passes) as a PHC string with a fresh salt.
///
/// # Errors
/// When the machine has no randomness.
pub fn hash(password: &str) -> Result<String> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|e| Error::Internal(anyhow::anyhow!("the password cannot be hashed: {e}")))
}

/// Whether `password` has this hash. Without one, as much time is spent and the answer is no: an
/// unknown login must not answer faster than a wrong password.
///
/// # Errors
/// When the stored hash is not a PHC string.
pub fn matches(password: &str, hash: Option<&str>) -> Result<bool> {
    static NOBODY: OnceLock<String> = OnceLock::new();
    if password.len() > MAX_PASSWORD_BYTES {
        return Ok(false);
    }
    let stored = match hash {
        Some(hash) => hash,
        None => match NOBODY.get() {
            Some(nobody) => nobody,
            None => {
                let made = self::hash("nobody has this password")?;
                NOBODY.get_or_init(|| made)
            }
        },
    };
    let parsed = PasswordHash::new(stored)
        .map_err(|e| Error::Internal(anyhow::anyhow!("a stored password hash is not one: {e}")))?;
    Ok(Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok() && hash.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_its_own_hash_and_nobody_matches_nothing() {
        let hash = hash("correct horse battery").unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(matches("correct horse battery", Some(&hash)).unwrap());
        assert!(!matches("correct horse batterz", Some(&hash)).unwrap());
        assert!(!matches("nobody has this password", None).unwrap());
        assert!(check("elevenchars").is_err() && check("twelve chars").is_ok());
        assert!(check(&"x".repeat(2000)).is_err());
    }
}
