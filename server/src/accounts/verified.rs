//! The memory of access tokens that were checked a moment ago, so that the next check is a look-up.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{DeviceId, UserId};
use endcheck_protocol::time::Timestamp;

use super::Actor;

/// Tokens remembered at most.
const MAX_TOKENS: usize = 16_384;
/// Seconds after which the account and the device are looked up again: the longest that a token
/// outlives a revocation made by another process.
const RECHECK_AFTER_S: i64 = 60;

/// Access tokens that were verified before, until they expire, are revoked, or a minute is over.
#[derive(Default)]
pub struct VerifiedTokens {
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    /// Grows with every revocation, so that a check begun before one is not remembered after it.
    revocations: u64,
    actors: HashMap<[u8; 32], (Timestamp, Actor)>,
}

impl VerifiedTokens {
    /// The actor of a token that was verified before and still stands.
    pub(super) fn get(&self, token: &str, now: Timestamp) -> Option<Actor> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let (until, actor) = known.actors.get(&name(token))?;
        (now < *until).then(|| actor.clone())
    }

    /// The number of revocations so far; take it before a check, give it to [`Self::remember`].
    pub(super) fn revocations(&self) -> u64 {
        self.known.read().unwrap_or_else(PoisonError::into_inner).revocations
    }

    /// Remembers a checked token, unless something was revoked meanwhile.
    pub(super) fn remember(
        &self,
        token: &str,
        actor: Actor,
        expires_at: Timestamp,
        now: Timestamp,
        revocations: u64,
    ) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.revocations != revocations {
            return;
        }
        if known.actors.len() >= MAX_TOKENS {
            known.actors.retain(|_, (until, _)| now < *until);
        }
        if known.actors.len() >= MAX_TOKENS {
            known.actors.clear();
        }
        let until = expires_at.min(now.plus(chrono::TimeDelta::seconds(RECHECK_AFTER_S)));
        known.actors.insert(name(token), (until, actor));
    }

    /// Forgets what a person, through whatever device, was remembered for.
    pub(super) fn forget_user(&self, user: &UserId) {
        self.forget(|actor| actor.user == *user);
    }

    pub(super) fn forget_device(&self, device: &DeviceId) {
        self.forget(|actor| actor.device.as_ref() == Some(device));
    }

    fn forget(&self, whom: impl Fn(&Actor) -> bool) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.revocations += 1;
        known.actors.retain(|_, (_, actor)| !whom(actor));
    }
}

fn name(token: &str) -> [u8; 32] {
    Sha256::of(token.as_bytes()).to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_for_a_minute_or_until_it_is_revoked() {
        let now: Timestamp = "2026-05-04T08:00:00Z".parse().unwrap();
        let in_s = |s| now.plus(chrono::TimeDelta::seconds(s));
        let actor = Actor { user: UserId::mint(), name: "Ada".into(), roles: vec![], device: None };
        let tokens = VerifiedTokens::default();
        tokens.remember("long", actor.clone(), in_s(900), now, 0);
        tokens.remember("short", actor.clone(), in_s(5), now, 0);
        assert_eq!(tokens.get("long", in_s(59)), Some(actor.clone()));
        assert_eq!(tokens.get("long", in_s(60)), None);
        assert_eq!(tokens.get("short", in_s(5)), None);
        tokens.forget_user(&UserId::mint());
        assert!(tokens.get("long", now).is_some());
        tokens.forget_user(&actor.user);
        assert!(tokens.get("long", now).is_none());
        tokens.remember("long", actor, in_s(900), now, 1);
        assert!(tokens.get("long", now).is_none(), "checked before the second revocation");
    }
}
