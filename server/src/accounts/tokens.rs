//! Tokens as bytes: access tokens, client assertions and secrets that are stored only as hashes.
//!
//! Knows nothing of the database. The algorithm is fixed to EdDSA, whatever a header claims, and
//! expiry is judged by the given instant.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use endcheck_protocol::envelope::fingerprint;
use endcheck_protocol::ids::{DeviceId, UserId};
use endcheck_protocol::time::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::Role;
use crate::error::{Error, Result};
use crate::keys::Keys;

/// Seconds that an access token lasts.
pub const ACCESS_TOKEN_S: i64 = 15 * 60;
/// Seconds into the future that a client assertion may expire at most (RFC 7523 §3 leaves it open).
pub const MAX_ASSERTION_S: i64 = 5 * 60;
/// Seconds that a device's clock may be behind or ahead when it signs an assertion.
pub const CLOCK_LEEWAY_S: i64 = 60;
/// `typ` of an access token (RFC 9068 §2.1): keeps other tokens of ours from passing as one.
const ACCESS_TYPE: &str = "at+jwt";

/// What an access token says (RFC 9068).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// The configured authority.
    pub iss: String,
    /// The same.
    pub aud: String,
    pub sub: UserId,
    pub name: String,
    pub roles: Vec<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// Unix seconds.
    pub iat: i64,
    /// Unix seconds.
    pub exp: i64,
}

/// What a device says when it signs in (RFC 7523 §3): itself as issuer and subject, the authority's
/// configured name as audience, an expiry at most five minutes away, and an id used once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssertionClaims {
    pub iss: DeviceId,
    pub sub: DeviceId,
    pub aud: String,
    /// Unix seconds.
    pub exp: i64,
    pub jti: String,
}

/// Signs an access token.
///
/// # Errors
/// When the signing key cannot be used.
pub fn sign_access(keys: &Keys, claims: &AccessClaims) -> Result<String> {
    let der =
        keys.tokens.to_pkcs8_der().map_err(|e| anyhow::anyhow!("the token key has no DER form: {e}"))?;
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(ACCESS_TYPE.to_owned());
    header.kid = Some(fingerprint(&keys.tokens.verifying_key()).to_string());
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_ed_der(der.as_bytes()))
        .map_err(|e| Error::Internal(anyhow::anyhow!("an access token cannot be signed: {e}")))
}

/// Reads an access token of this authority.
///
/// # Errors
/// 401 `token-expired`, or `token-invalid` saying why.
pub fn read_access(keys: &Keys, org: &str, token: &str, now: Timestamp) -> Result<AccessClaims> {
    let invalid = |why: &str| {
        Error::unauthenticated("token-invalid", format!("The access token {why}. Sign in again."))
    };
    let key = keys.tokens.verifying_key();
    let data = jsonwebtoken::decode::<AccessClaims>(token, &decoding_key(&key), &validation(org, true))
        .map_err(|e| invalid(&reason(e.kind())))?;
    let own = data.header.kid.as_deref() == Some(fingerprint(&key).as_str())
        && data.header.typ.as_deref() == Some(ACCESS_TYPE);
    if !own {
        return Err(invalid("is of another kind, or signed by another key"));
    }
    if data.claims.exp <= now.unix_seconds() {
        return Err(Error::unauthenticated(
            "token-expired",
            "The access token has expired. Refresh it or sign in again.",
        ));
    }
    Ok(data.claims)
}

/// The device that an assertion says it comes from, not yet believed.
///
/// # Errors
/// 401 `assertion-invalid` when there is none.
pub fn claimed_device(assertion: &str) -> Result<DeviceId> {
    jsonwebtoken::dangerous::insecure_decode::<AssertionClaims>(assertion)
        .map(|data| data.claims.iss)
        .map_err(|e| assertion_invalid(&reason(e.kind())))
}

/// Reads an assertion signed with the device's own sign-in key.
///
/// # Errors
/// 401 `assertion-expired`, or `assertion-invalid` saying why.
pub fn read_assertion(
    key: &VerifyingKey,
    device: &DeviceId,
    org: &str,
    assertion: &str,
    now: Timestamp,
) -> Result<AssertionClaims> {
    let claims =
        jsonwebtoken::decode::<AssertionClaims>(assertion, &decoding_key(key), &validation(org, false))
            .map_err(|e| assertion_invalid(&reason(e.kind())))?
            .claims;
    if claims.iss != *device || claims.sub != *device {
        return Err(assertion_invalid("names different devices as issuer and subject"));
    }
    if claims.jti.is_empty() || claims.jti.len() > 200 {
        return Err(assertion_invalid("needs a jti of 1 to 200 bytes"));
    }
    let left_s = claims.exp.saturating_sub(now.unix_seconds());
    if left_s <= -CLOCK_LEEWAY_S {
        return Err(Error::unauthenticated(
            "assertion-expired",
            format!("The assertion expired {} s ago. The time here is {now}: check the clock.", -left_s),
        ));
    }
    if left_s > MAX_ASSERTION_S + CLOCK_LEEWAY_S {
        return Err(assertion_invalid(&format!(
            "expires in {left_s} s, more than {MAX_ASSERTION_S}; the time here is {now}: check the clock"
        )));
    }
    Ok(claims)
}

fn assertion_invalid(why: &str) -> Error {
    Error::unauthenticated("assertion-invalid", format!("The client assertion {why}. Sign a new one."))
}

fn decoding_key(key: &VerifyingKey) -> DecodingKey {
    DecodingKey::from_ed_der(key.as_bytes())
}

fn validation(org: &str, own: bool) -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.validate_exp = false;
    validation.set_audience(&[org]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    if own {
        validation.set_issuer(&[org]);
    }
    validation
}

fn reason(kind: &jsonwebtoken::errors::ErrorKind) -> String {
    use jsonwebtoken::errors::ErrorKind as K;
    match kind {
        K::InvalidSignature => "has a signature that does not verify".to_owned(),
        K::InvalidAudience => "is meant for another audience".to_owned(),
        K::InvalidIssuer => "was issued by somebody else".to_owned(),
        K::InvalidAlgorithm | K::InvalidAlgorithmName | K::UnsupportedAlgorithm => {
            "is not signed with EdDSA".to_owned()
        }
        K::MissingRequiredClaim(claim) => format!("lacks the claim {claim}"),
        _ => "is malformed".to_owned(),
    }
}

/// The public key that access tokens are signed with, as a JWK set (RFC 7517, RFC 8037).
#[must_use]
pub fn jwks(keys: &Keys) -> serde_json::Value {
    let key = keys.tokens.verifying_key();
    serde_json::json!({"keys": [{
        "kty": "OKP",
        "crv": "Ed25519",
        "use": "sig",
        "alg": "EdDSA",
        "kid": fingerprint(&key),
        "x": BASE64URL.encode(key.as_bytes()),
    }]})
}

/// 256 random bits, base64url.
///
/// # Errors
/// When the machine has no randomness.
pub fn fresh_secret() -> Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
    Ok(BASE64URL.encode(bytes))
}

/// HMAC-SHA256 of `purpose` and `text` under the refresh secret. A refresh token's successor is made
/// so: the same each time it is asked for, though only hashes are stored.
///
/// # Errors
/// When the cryptography fails, which it has no reason to.
pub fn derived(keys: &Keys, purpose: &str, text: &str) -> Result<Vec<u8>> {
    let message = format!("{purpose}\0{text}");
    let key = EncodingKey::from_secret(&keys.refresh_secret);
    let mac = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256)
        .map_err(|e| anyhow::anyhow!("a secret cannot be derived: {e}"))?;
    BASE64URL.decode(mac).map_err(|e| Error::Internal(e.into()))
}

/// The refresh token that follows `token`.
///
/// # Errors
/// As [`derived`].
pub fn successor(keys: &Keys, token: &str) -> Result<String> {
    Ok(BASE64URL.encode(derived(keys, "refresh", token)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> (tempfile::TempDir, Keys) {
        let folder = tempfile::tempdir().unwrap();
        let escrow = age::x25519::Identity::generate().to_public().to_string();
        let keys = Keys::open(folder.path(), &escrow, None).unwrap();
        (folder, keys)
    }

    fn claims(now: Timestamp) -> AccessClaims {
        AccessClaims {
            iss: "org".into(),
            aud: "org".into(),
            sub: UserId::mint(),
            name: "Ada".into(),
            roles: vec![Role::Inspector],
            device: None,
            iat: now.unix_seconds(),
            exp: now.unix_seconds() + ACCESS_TOKEN_S,
        }
    }

    #[test]
    fn an_access_token_holds_for_its_authority_key_algorithm_and_time_only() {
        let (_folder, keys) = keys();
        let (_other_folder, others) = self::keys();
        let now: Timestamp = "2026-05-04T08:00:00Z".parse().unwrap();
        let claims = claims(now);
        let token = sign_access(&keys, &claims).unwrap();
        assert_eq!(read_access(&keys, "org", &token, now).unwrap(), claims);

        let code = |keys: &Keys, org: &str, token: &str, at| {
            read_access(keys, org, token, at).unwrap_err().code().to_owned()
        };
        let later = now.plus(chrono::TimeDelta::seconds(ACCESS_TOKEN_S));
        assert_eq!(code(&keys, "org", &token, later), "token-expired");
        assert_eq!(code(&keys, "other", &token, now), "token-invalid");
        assert_eq!(code(&others, "org", &token, now), "token-invalid");
        assert_eq!(code(&keys, "org", "nonsense", now), "token-invalid");
        let body = token.split('.').nth(1).unwrap();
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"none","typ":"at+jwt"}"#, r#"{"alg":"HS256"}"#] {
            let forged = format!("{}.{body}.", BASE64URL.encode(header));
            assert_eq!(code(&keys, "org", &forged, now), "token-invalid", "{header}");
        }
        // The public key as an HMAC secret: the classic confusion.
        let public = keys.tokens.verifying_key();
        let confused = jsonwebtoken::encode(
            &Header::new(Algorithm::HS256),
            &claims,
            &EncodingKey::from_secret(public.as_bytes()),
        )
        .unwrap();
        assert_eq!(code(&keys, "org", &confused, now), "token-invalid");
    }

    #[test]
    fn a_successor_is_always_the_same_and_not_to_be_guessed() {
        let (_folder, keys) = keys();
        let (_other_folder, others) = self::keys();
        assert_eq!(successor(&keys, "a").unwrap(), successor(&keys, "a").unwrap());
        assert_ne!(successor(&keys, "a").unwrap(), successor(&keys, "b").unwrap());
        assert_ne!(successor(&keys, "a").unwrap(), successor(&others, "a").unwrap());
    }
}
