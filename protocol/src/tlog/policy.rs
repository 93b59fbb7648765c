//! Trust policies (C2SP tlog-policy): which logs count, and how many witnesses must have seen a checkpoint.
//!
//! One kind of line is ours: `authority NAME KEY`, the Ed25519 key in base64 that signs device
//! certificates and receipts. The policy is the verifier's own, never part of what is verified.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::VerifyingKey;

use super::checkpoint::{CheckpointError, SignedCheckpoint};
use super::note::{SignatureKind, SignedNote, VerifierKey};
use crate::envelope;

/// Whom a verifier trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<VerifierKey>,
    witnesses: BTreeMap<String, VerifierKey>,
    groups: BTreeMap<String, Group>,
    quorum: Option<String>,
    /// By name.
    pub authorities: Vec<(String, VerifyingKey)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    threshold: usize,
    members: Vec<String>,
}

/// Where and why a policy cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the policy: {reason}")]
pub struct PolicyError {
    pub line: usize,
    pub reason: String,
}

/// What a policy says of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    pub signed: SignedCheckpoint,
    /// Witnesses of the policy that cosigned, with their times in seconds since 1970.
    pub witnessed: Vec<(String, u64)>,
    /// Whether those are enough.
    pub quorum_reached: bool,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// Names the first line that is wrong.
    pub fn read(text: &str) -> Result<Self, PolicyError> {
        let mut policy = Self {
            logs: Vec::new(),
            witnesses: BTreeMap::new(),
            groups: BTreeMap::new(),
            quorum: None,
            authorities: Vec::new(),
        };
        let mut grouped = BTreeSet::new();
        let mut quorum_seen = false;
        let mut lines = 0;
        for (at, line) in text.lines().enumerate() {
            lines = at + 1;
            let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            if words.first().is_none_or(|word| word.starts_with('#')) {
                continue;
            }
            policy
                .take(&words, &mut grouped, &mut quorum_seen)
                .map_err(|reason| PolicyError { line: lines, reason })?;
        }
        if !quorum_seen {
            let reason = "there is no quorum line; write `quorum none` to ask for no witness".to_owned();
            return Err(PolicyError { line: lines, reason });
        }
        Ok(policy)
    }

    fn take<'a>(
        &mut self,
        words: &[&'a str],
        grouped: &mut BTreeSet<&'a str>,
        quorum_seen: &mut bool,
    ) -> Result<(), String> {
        match words {
            ["log", key] | ["log", key, _] => {
                let key = verifier(key, SignatureKind::Log)?;
                if self.logs.iter().any(|log| log.key_bytes() == key.key_bytes()) {
                    return Err("this log stands here twice".to_owned());
                }
                self.logs.push(key);
            }
            ["witness", name, key] | ["witness", name, key, _] => {
                let key = verifier(key, SignatureKind::Cosignature)?;
                if self.witnesses.values().any(|witness| witness.key_bytes() == key.key_bytes()) {
                    return Err("this witness stands here twice".to_owned());
                }
                self.name_is_free(name)?;
                self.witnesses.insert((*name).to_owned(), key);
            }
            ["group", name, threshold, members @ ..] if !members.is_empty() => {
                for member in members {
                    self.name_is_known(member)?;
                    if !grouped.insert(member) {
                        return Err(format!("{member} is in a group already"));
                    }
                }
                let threshold = match *threshold {
                    "all" => members.len(),
                    "any" => 1,
                    number => number
                        .parse()
                        .ok()
                        .filter(|number| (1..=members.len()).contains(number))
                        .ok_or_else(|| format!("{number:?} is no number from 1 to {}", members.len()))?,
                };
                self.name_is_free(name)?;
                let members = members.iter().map(|member| (*member).to_owned()).collect();
                self.groups.insert((*name).to_owned(), Group { threshold, members });
            }
            ["quorum", name] => {
                if std::mem::replace(quorum_seen, true) {
                    return Err("there are two quorum lines".to_owned());
                }
                if *name != "none" {
                    self.name_is_known(name)?;
                    self.quorum = Some((*name).to_owned());
                }
            }
            ["authority", name, key] => {
                let key = envelope::public_key_from_base64(key).map_err(|e| e.to_string())?;
                self.authorities.push(((*name).to_owned(), key));
            }
            [first, ..] => {
                return Err(format!(
                    "{first:?} with {} more words is not known; lines are log, witness, group, quorum, authority",
                    words.len() - 1
                ));
            }
            [] => {}
        }
        Ok(())
    }

    fn name_is_known(&self, name: &str) -> Result<(), String> {
        let known = self.witnesses.contains_key(name) || self.groups.contains_key(name);
        if known {
            Ok(())
        } else {
            Err(format!("{name:?} is neither a witness nor a group of the lines before"))
        }
    }

    fn name_is_free(&self, name: &str) -> Result<(), String> {
        if name == "none" || self.name_is_known(name).is_ok() {
            return Err(format!("the name {name:?} is taken"));
        }
        Ok(())
    }

    /// Reads a checkpoint that a log of this policy signed, and asks who witnessed it.
    ///
    /// # Errors
    /// When it is malformed, no log of the policy signed it, or a signature by somebody known is wrong.
    pub fn judge(&self, note: &str) -> Result<Trusted, CheckpointError> {
        let origin = SignedNote::read(note)?.text.lines().next().unwrap_or_default().to_owned();
        let mut refused = CheckpointError::OtherLog {
            found: origin.clone(),
            expected: self.logs.iter().map(|log| log.name.as_str()).collect::<Vec<_>>().join(" or "),
        };
        for log in self.logs.iter().filter(|log| log.name == origin) {
            match SignedCheckpoint::read(note, log) {
                Ok(signed) => return self.witnessed(signed),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    fn witnessed(&self, signed: SignedCheckpoint) -> Result<Trusted, CheckpointError> {
        let mut witnessed = Vec::new();
        for (name, key) in &self.witnesses {
            if let Some(at_s) = signed.note.signed_by(key)?.flatten() {
                witnessed.push((name.clone(), at_s));
            }
        }
        let have: BTreeSet<&str> = witnessed.iter().map(|(name, _)| name.as_str()).collect();
        let quorum_reached = self.quorum.as_deref().is_none_or(|name| self.reached(name, &have));
        Ok(Trusted { signed, witnessed, quorum_reached })
    }

    /// What the quorum asks for, in words; `None` where it asks for no witness.
    #[must_use]
    pub fn asks_for(&self) -> Option<String> {
        self.quorum.as_deref().map(|name| self.words(name))
    }

    fn words(&self, name: &str) -> String {
        let Some(Group { threshold, members }) = self.groups.get(name) else { return name.to_owned() };
        let members: Vec<String> = members
            .iter()
            .map(|member| {
                let words = self.words(member);
                if self.groups.contains_key(member) { format!("({words})") } else { words }
            })
            .collect();
        format!("{threshold} of {}", members.join(", "))
    }

    fn reached(&self, name: &str, have: &BTreeSet<&str>) -> bool {
        match self.groups.get(name) {
            Some(group) => {
                group.members.iter().filter(|member| self.reached(member, have)).count() >= group.threshold
            }
            None => have.contains(name),
        }
    }
}

fn verifier(text: &str, kind: SignatureKind) -> Result<VerifierKey, String> {
    let key: VerifierKey = text.parse().map_err(|e: super::note::KeyError| e.to_string())?;
    if key.kind == kind { Ok(key) } else { Err("the key signs as another kind than this line's".to_owned()) }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::super::checkpoint::Checkpoint;
    use super::super::note::{LogSigner, WitnessSigner};
    use super::*;
    use crate::digest::Sha256;

    fn witness(seed: u8) -> WitnessSigner {
        WitnessSigner::new(&format!("w{seed}.example"), SigningKey::from_bytes(&[seed; 32])).unwrap()
    }

    #[test]
    fn a_quorum_is_counted_through_groups() {
        let log = LogSigner::new("example.org/log", SigningKey::from_bytes(&[9; 32])).unwrap();
        let witnesses: Vec<_> = (1..=4).map(witness).collect();
        let mut text = format!("# ours\nlog {} https://example.org\n\n", log.verifier());
        for (at, witness) in witnesses.iter().enumerate() {
            text.push_str(&format!("witness X{at} {}\n", witness.verifier()));
        }
        text.push_str("group two 2 X0 X1 X2\ngroup both all two X3\nquorum both\n");
        let policy = Policy::read(&text).unwrap();
        assert_eq!(policy.asks_for().unwrap(), "2 of (2 of X0, X1, X2), X3");
        let bare = Checkpoint::signed(5, Sha256::of(b"r"), &log);
        let body = SignedNote::read(&bare).unwrap().text;
        let with = |who: &[usize]| {
            let lines: String = who.iter().map(|at| witnesses[*at].cosign(&body, 77)).collect();
            policy.judge(&format!("{bare}{lines}")).unwrap()
        };
        for (who, reached) in
            [(&[][..], false), (&[0, 1], false), (&[0, 3], false), (&[0, 2, 3], true), (&[0, 1, 2, 3], true)]
        {
            let trusted = with(who);
            assert_eq!((trusted.quorum_reached, trusted.witnessed.len()), (reached, who.len()), "{who:?}");
        }
        let wrong = WitnessSigner::new("w1.example", SigningKey::from_bytes(&[8; 32])).unwrap();
        let trusted = policy.judge(&format!("{bare}{}", wrong.cosign(&body, 1))).unwrap();
        assert!(trusted.witnessed.is_empty());
        let other = LogSigner::new("example.org/log2", SigningKey::from_bytes(&[9; 32])).unwrap();
        assert!(policy.judge(&Checkpoint::signed(5, Sha256::of(b"r"), &other)).is_err());
    }

    #[test]
    fn what_is_wrong_in_a_policy_is_named_by_line() {
        let key = witness(1).verifier().to_string();
        for (text, line) in [
            ("log nonsense\nquorum none".to_owned(), 1),
            (format!("witness none {key}\nquorum none"), 1),
            (format!("witness a {key}\nwitness b {key}\nquorum a"), 2),
            (format!("witness a {key}\ngroup g 2 a\nquorum g"), 2),
            ("quorum a".to_owned(), 1),
            ("quorum none\nquorum none".to_owned(), 2),
            ("\n# nothing".to_owned(), 2),
            (format!("log {key}\nquorum none"), 1),
        ] {
            assert_eq!(Policy::read(&text).unwrap_err().line, line, "{text}");
        }
    }
}
