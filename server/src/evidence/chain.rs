//! What a device's chain shows about itself: holes and branches.

use std::collections::{BTreeMap, BTreeSet};

use endcheck_protocol::digest::Sha256;
use serde::Serialize;
use utoipa::ToSchema;

/// One link, as far as it can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub seq: Option<i64>,
    pub hash: Sha256,
    pub prev: Option<Sha256>,
}

/// A place where the chain does not go on in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ChainGap {
    /// No record that can be read carries these numbers, both included. Of the device's records
    /// that are held unread, `unreadable` in all, some may belong there; nothing proves it.
    Missing { first_seq: i64, last_seq: i64, unreadable: u64 },
    /// Two records or more carry one number: the device was copied, or restored from a backup.
    Fork { seq: i64, branches: Vec<Sha256> },
    /// The record does not follow the one before it.
    Unlinked { seq: i64, hash: Sha256 },
}

/// Everything that is odd about a chain, by number.
#[must_use]
pub fn gaps(links: &[Link]) -> Vec<ChainGap> {
    let held: BTreeSet<&Sha256> = links.iter().map(|link| &link.hash).collect();
    let mut by_seq: BTreeMap<i64, Vec<&Link>> = BTreeMap::new();
    for link in links {
        if let Some(seq) = link.seq {
            by_seq.entry(seq).or_default().push(link);
        }
    }
    // Whoever holds a device's token can hand in noise: it is counted, and excuses no hole.
    let unreadable = links.iter().filter(|link| link.seq.is_none()).count() as u64;
    let mut gaps = Vec::new();
    let mut expected = 0;
    for (&seq, found) in &by_seq {
        if seq > expected {
            gaps.push(ChainGap::Missing { first_seq: expected, last_seq: seq - 1, unreadable });
        }
        expected = seq + 1;
        if found.len() > 1 {
            gaps.push(ChainGap::Fork { seq, branches: found.iter().map(|link| link.hash.clone()).collect() });
        }
        let previous_held = by_seq.contains_key(&(seq - 1));
        for link in found {
            if previous_held && link.prev.as_ref().is_some_and(|prev| !held.contains(prev)) {
                gaps.push(ChainGap::Unlinked { seq, hash: link.hash.clone() });
            }
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(seq: i64, name: &str, prev: Option<&str>) -> Link {
        Link {
            seq: Some(seq),
            hash: Sha256::of(name.as_bytes()),
            prev: prev.map(|p| Sha256::of(p.as_bytes())),
        }
    }

    #[test]
    fn a_whole_chain_has_no_gaps() {
        assert_eq!(gaps(&[]), []);
        assert_eq!(gaps(&[link(0, "a", None), link(1, "b", Some("a")), link(2, "c", Some("b"))]), []);
    }

    #[test]
    fn what_cannot_be_read_excuses_no_hole() {
        let noise =
            (0..5).map(|n| Link { seq: None, hash: Sha256::of(format!("noise {n}").as_bytes()), prev: None });
        let read = [0, 1, 6, 7, 11].map(|seq| link(seq, &format!("{seq}"), None));
        let chain: Vec<Link> = read.into_iter().chain(noise).collect();
        assert_eq!(
            gaps(&chain),
            [
                ChainGap::Missing { first_seq: 2, last_seq: 5, unreadable: 5 },
                ChainGap::Missing { first_seq: 8, last_seq: 10, unreadable: 5 },
            ]
        );
    }

    #[test]
    fn holes_forks_and_strangers_are_named() {
        let chain =
            [link(0, "a", None), link(3, "d", Some("c")), link(3, "d2", Some("c")), link(4, "e", Some("x"))];
        assert_eq!(
            gaps(&chain),
            [
                ChainGap::Missing { first_seq: 1, last_seq: 2, unreadable: 0 },
                ChainGap::Fork { seq: 3, branches: vec![Sha256::of(b"d"), Sha256::of(b"d2")] },
                ChainGap::Unlinked { seq: 4, hash: Sha256::of(b"e") },
            ]
        );
    }
}
