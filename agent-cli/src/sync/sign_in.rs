//! How the device signs in: a short-lived assertion by its sign-in key (RFC 7523).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta};
use ed25519_dalek::{Signer as _, SigningKey};
use endcheck_protocol::ids::DeviceId;
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::environment::Clock;

/// Seconds that an assertion holds; headquarters allows five minutes.
const ASSERTION_S: i64 = 240;
/// A token that runs out this soon is not begun with.
const MARGIN_S: i64 = 60;
/// Clocks this close need no correction.
const CLOCKS_AGREE_S: i64 = 30;

/// What signing in needs.
pub(super) struct SignIn {
    pub device: DeviceId,
    pub org: String,
    pub key: SigningKey,
    pub clock: Clock,
}

/// An access token; its end by the device's clock.
#[derive(Clone, Serialize, Deserialize)]
pub struct Token {
    pub access_token: String,
    pub(super) expires_at: Timestamp,
}

/// The server's answer.
#[derive(Deserialize)]
pub(super) struct Granted {
    access_token: String,
    expires_in: i64,
}

impl Token {
    /// Whether it is worth beginning with.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.expires_at.since(now).num_seconds() > MARGIN_S
    }
}

impl SignIn {
    /// The body of a sign-in, freshly signed; `ahead` is how far the server's clock is ahead.
    pub(super) fn request(&self, ahead: TimeDelta) -> Result<Vec<u8>, std::io::Error> {
        let mut jti = [0_u8; 16];
        getrandom::fill(&mut jti).map_err(|error| std::io::Error::other(error.to_string()))?;
        let now = (self.clock)().device_at.plus(ahead).unix_seconds();
        let claims = json!({
            "iss": self.device,
            "sub": self.device,
            "aud": self.org,
            "exp": now + ASSERTION_S,
            "jti": URL_SAFE_NO_PAD.encode(jti),
        });
        let body = json!({
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": self.jwt(&claims),
        });
        Ok(body.to_string().into_bytes())
    }

    /// A JWT with EdDSA (RFC 8037): two parts of JSON and the signature over both.
    fn jwt(&self, claims: &serde_json::Value) -> String {
        let encode = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&json!({ "alg": "EdDSA", "typ": "JWT" })), encode(claims));
        let signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    /// How far this device's clock is behind the `Date` of an answer, where that matters.
    pub(super) fn behind(&self, date: &str) -> Option<TimeDelta> {
        let server_at: Timestamp = DateTime::parse_from_rfc2822(date).ok()?.to_utc().into();
        let behind = server_at.since((self.clock)().device_at);
        (behind.num_seconds().abs() > CLOCKS_AGREE_S).then_some(behind)
    }

    pub(super) fn token(&self, granted: Granted) -> Token {
        let expires_at =
            (self.clock)().device_at.plus(TimeDelta::seconds(granted.expires_in.clamp(0, 86_400)));
        Token { access_token: granted.access_token, expires_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use ed25519_dalek::{Signature, Verifier as _};

    fn sign_in() -> SignIn {
        let identity = testing::identity();
        SignIn {
            device: identity.certificate.device,
            org: identity.certificate.org,
            key: identity.sign_in_key,
            clock: std::sync::Arc::new(|| testing::reading("2026-05-04T08:00:00Z", 0)),
        }
    }

    #[test]
    fn an_assertion_is_signed_and_fresh_each_time() {
        let sign_in = sign_in();
        let read = |ahead| -> (String, serde_json::Value) {
            let body: serde_json::Value = serde_json::from_slice(&sign_in.request(ahead).unwrap()).unwrap();
            let jwt = body["client_assertion"].as_str().unwrap().to_owned();
            let claims = jwt.split('.').nth(1).unwrap().to_owned();
            (jwt, serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap())
        };
        let (jwt, claims) = read(TimeDelta::zero());
        let (signed, signature) = jwt.rsplit_once('.').unwrap();
        let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        sign_in.key.verifying_key().verify(signed.as_bytes(), &signature).unwrap();
        assert_eq!(claims["iss"], claims["sub"]);
        let (_, later) = read(TimeDelta::seconds(3600));
        assert_ne!(claims["jti"], later["jti"]);
        assert_eq!(later["exp"].as_i64().unwrap() - claims["exp"].as_i64().unwrap(), 3600);
    }

    #[test]
    fn a_wrong_clock_is_noticed_by_the_answer() {
        let sign_in = sign_in();
        assert_eq!(sign_in.behind("Mon, 04 May 2026 08:00:10 GMT"), None);
        assert_eq!(sign_in.behind("Mon, 04 May 2026 09:00:00 GMT"), Some(TimeDelta::seconds(3600)));
        assert_eq!(sign_in.behind("yesterday"), None);
    }
}
