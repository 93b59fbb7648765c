//! The next record of the device's chain, as a pure function of the last one, the clocks and the act.

use ed25519_dalek::SigningKey;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{self, MAX_ENVELOPE_BYTES, RECORD_TYPE};
use endcheck_protocol::place::Fix;
use endcheck_protocol::record::{Act, Anchor, ClockReadings, Record, SCHEMA, ServerTime, Task};

use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::environment::ClockReading;
use crate::identity::{AGENT, Identity};
use crate::refusal::refuse;

/// An act to be recorded.
#[derive(Debug, Clone)]
pub struct Draft {
    pub act: Act,
    pub task: Task,
    pub place: Option<Fix>,
    pub replaces: Option<Sha256>,
}

/// The newest record of the chain, as far as the next one needs it: it may be sealed by now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub hash: Sha256,
    pub seq: u64,
    pub boot: String,
    pub monotonic_ns: String,
    pub device_at: Timestamp,
}

impl Head {
    #[must_use]
    pub fn of(hash: &Sha256, record: &Record) -> Self {
        Self {
            hash: hash.clone(),
            seq: record.seq,
            boot: record.boot.clone(),
            monotonic_ns: record.monotonic_ns.clone(),
            device_at: record.clock.device_at,
        }
    }
}

/// What headquarters told last.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    pub server: Option<ServerTime>,
    /// The newest checkpoint of the log that is held.
    pub anchor: Option<Anchor>,
}

/// A record with the envelope that carries it.
#[derive(Debug, Clone)]
pub struct Signed {
    pub hash: Sha256,
    pub envelope: Vec<u8>,
    pub record: Record,
}

/// Clocks drift, and are steered by up to a thousandth; what is within both bounds is no setting.
const DRIFT_MS: i64 = 2_000;
const DRIFT_PER_MILLE: i64 = 1;

/// Signs `draft` with `key` as the record after `head`.
///
/// # Errors
/// When the record would be larger than headquarters takes in.
pub fn next(
    identity: &Identity,
    key: &SigningKey,
    head: Option<&Head>,
    reading: &ClockReading,
    heard: Heard,
    draft: Draft,
) -> anyhow::Result<Signed> {
    let record = Record {
        schema: SCHEMA.to_owned(),
        org: identity.certificate.org.clone(),
        device: identity.certificate.device.clone(),
        agent: AGENT.to_owned(),
        seq: head.map_or(0, |head| head.seq + 1),
        prev: head.map(|head| head.hash.clone()),
        boot: reading.boot.clone(),
        monotonic_ns: reading.monotonic_ns.to_string(),
        clock: ClockReadings {
            device_at: reading.device_at,
            gnss_at: draft.place.as_ref().and_then(|fix| fix.gnss_at),
            server: heard.server,
        },
        place: draft.place,
        anchor: heard.anchor,
        task: draft.task,
        replaces: draft.replaces,
        act: draft.act,
    };
    let envelope = envelope::sign(RECORD_TYPE, &record, key)?;
    if envelope.len() > MAX_ENVELOPE_BYTES {
        return Err(refuse(
            format!(
                "the record would have {} bytes; at most {MAX_ENVELOPE_BYTES} are taken in",
                envelope.len()
            ),
            "Put long texts into a file and capture it with --document.",
        ));
    }
    Ok(Signed { hash: Sha256::of(&envelope), envelope, record })
}

/// By how many milliseconds the wall clock was set since `previous`: the difference to what the
/// monotonic clock of the same boot says, where that is more than drift.
#[must_use]
pub fn clock_moved_by_ms(previous: &Head, now: &ClockReading) -> Option<i64> {
    if now.boot.is_empty() || previous.boot != now.boot {
        return None;
    }
    let before_ns: u64 = previous.monotonic_ns.parse().ok()?;
    let elapsed_ms = i64::try_from(now.monotonic_ns.checked_sub(before_ns)? / 1_000_000).ok()?;
    let shown_ms = now.device_at.since(previous.device_at).num_milliseconds();
    let moved_by_ms = shown_ms.checked_sub(elapsed_ms)?;
    let drift_ms = DRIFT_MS.max(elapsed_ms / 1_000 * DRIFT_PER_MILLE);
    (moved_by_ms.abs() > drift_ms).then_some(moved_by_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use endcheck_protocol::canonical;
    use endcheck_protocol::envelope::Envelope;

    fn note(text: &str) -> Draft {
        let act = Act::Note { text: text.to_owned() };
        Draft { act, task: Task::default(), place: None, replaces: None }
    }

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[3; 32])
    }

    #[test]
    fn records_are_chained_and_signed() {
        let identity = testing::identity();
        let reading = testing::reading("2026-05-04T08:00:00Z", 5);
        let first = next(&identity, &key(), None, &reading, Heard::default(), note("a")).unwrap();
        let head = Head::of(&first.hash, &first.record);
        let second = next(&identity, &key(), Some(&head), &reading, Heard::default(), note("b")).unwrap();
        assert_eq!((first.record.seq, first.record.prev), (0, None));
        assert_eq!((second.record.seq, second.record.prev.clone()), (1, Some(first.hash)));
        let envelope = Envelope::read(&second.envelope, RECORD_TYPE).unwrap();
        envelope.verify(&key().verifying_key()).unwrap();
        assert_eq!(canonical::read::<Record>(&envelope.payload).unwrap(), second.record);
        assert!(
            next(&identity, &key(), None, &reading, Heard::default(), note(&"x".repeat(90_000))).is_err()
        );
    }

    #[test]
    fn a_clock_that_was_set_is_told_from_one_that_drifts() {
        let identity = testing::identity();
        let at_start = testing::reading("2026-05-04T08:00:00Z", 0);
        let previous = next(&identity, &key(), None, &at_start, Heard::default(), note("a")).unwrap();
        let previous = Head::of(&previous.hash, &previous.record);
        for (device_at, elapsed_s, expected) in [
            ("2026-05-04T08:00:10Z", 10, None),
            ("2026-05-04T08:00:11.900Z", 10, None),
            ("2026-05-04T09:00:10Z", 10, Some(3_600_000)),
            ("2026-05-04T07:00:10Z", 10, Some(-3_600_000)),
            ("2026-05-05T08:00:40Z", 86_400, None),
        ] {
            let now = testing::reading(device_at, elapsed_s);
            assert_eq!(clock_moved_by_ms(&previous, &now), expected, "{device_at}");
        }
        let other_boot =
            ClockReading { boot: "b2".to_owned(), ..testing::reading("2027-01-01T00:00:00Z", 1) };
        assert_eq!(clock_moved_by_ms(&previous, &other_boot), None);
    }
}
