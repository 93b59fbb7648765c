//! Whether a record is taken as it is or set aside: signature, chain, schema and enrolment only.

use std::collections::BTreeMap;

use ed25519_dalek::VerifyingKey;
use endcheck_protocol::canonical::{self, CanonicalError};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{Envelope, RECORD_TYPE};
use endcheck_protocol::ids::{DeviceId, VisitId};
use endcheck_protocol::record::{Record, SCHEMA};
use endcheck_protocol::sync::Quarantine;

use crate::accounts::{self, EnrolledDevice};
use crate::db::Conn;

/// An envelope and what became of it.
#[derive(Debug)]
pub(super) struct Judged {
    pub hash: Sha256,
    pub keyid: Option<Sha256>,
    /// The visit that it names, whoever wrote it: where it is shown as set aside.
    pub named: Option<VisitId>,
    /// The record, where it can be read and the device signed it as its own. What anybody could have written takes
    /// no number of a chain and no place in a bag.
    pub record: Option<Record>,
    pub quarantine: Option<Quarantine>,
}

/// Judges one envelope handed in by `device` of `org`; `key_of` knows the device's record keys.
pub(super) fn judge(
    bytes: &[u8],
    device: &DeviceId,
    org: &str,
    key_of: impl Fn(&Sha256) -> Option<VerifyingKey>,
) -> Judged {
    let mut judged =
        Judged { hash: Sha256::of(bytes), keyid: None, named: None, record: None, quarantine: None };
    if let Err(quarantine) = walk(bytes, device, org, key_of, &mut judged) {
        judged.quarantine = Some(quarantine);
    }
    judged
}

/// Sorts envelopes by the device that made them, where that is one of ours and its signature holds; and how
/// many are left.
pub(super) fn signed_by_ours(
    conn: &mut Conn,
    org: &str,
    envelopes: Vec<Vec<u8>>,
) -> (BTreeMap<DeviceId, Vec<Vec<u8>>>, u64) {
    let mut devices: BTreeMap<DeviceId, Option<EnrolledDevice>> = BTreeMap::new();
    let (mut sorted, mut left) = (BTreeMap::<DeviceId, Vec<Vec<u8>>>::new(), 0);
    for bytes in envelopes {
        let named = Envelope::read(&bytes, RECORD_TYPE)
            .ok()
            .and_then(|envelope| canonical::read::<Record>(&envelope.payload).ok())
            .map(|record| record.device);
        let held = named.filter(|device| {
            let enrolled =
                devices.entry(device.clone()).or_insert_with(|| accounts::enrolled_device(conn, device).ok());
            enrolled.as_ref().is_some_and(|enrolled| {
                let key_of = |keyid: &Sha256| enrolled.public_key(keyid);
                judge(&bytes, device, org, key_of).quarantine.is_none()
            })
        });
        match held {
            Some(device) => sorted.entry(device).or_default().push(bytes),
            None => left += 1,
        }
    }
    (sorted, left)
}

fn walk(
    bytes: &[u8],
    device: &DeviceId,
    org: &str,
    key_of: impl Fn(&Sha256) -> Option<VerifyingKey>,
    judged: &mut Judged,
) -> Result<(), Quarantine> {
    let envelope =
        Envelope::read(bytes, RECORD_TYPE).map_err(|e| aside("malformed-envelope", e.to_string()))?;
    judged.keyid = Some(envelope.keyid.clone());
    let record = canonical::read::<Record>(&envelope.payload).map_err(|e| unreadable(&envelope.payload, &e));
    judged.named = record.as_ref().ok().and_then(|record| record.task.visit.clone());
    // An unreadable record still has its signature checked: the reason that weighs more is given.
    let key = key_of(&envelope.keyid).ok_or_else(|| {
        aside("unknown-key", format!("the key {} is not one this device was enrolled with", envelope.keyid))
    })?;
    envelope.verify(&key).map_err(|e| aside("bad-signature", e.to_string()))?;
    let record = record?;
    if &record.device != device || record.org != org {
        return Err(aside(
            "other-device",
            format!(
                "the record says device {} of {:?}, not the one that signed in",
                record.device, record.org
            ),
        ));
    }
    judged.record = Some(record.clone());
    if record.schema != SCHEMA {
        return Err(aside(
            "unknown-schema",
            format!("the schema {:?} is not known; this server reads {SCHEMA}", record.schema),
        ));
    }
    if record.prev.is_none() != (record.seq == 0) {
        return Err(aside(
            "chain-malformed",
            format!(
                "record {} must {}name its predecessor",
                record.seq,
                if record.seq == 0 { "not " } else { "" }
            ),
        ));
    }
    Ok(())
}

/// A payload that is not a record of this schema: by name where the schema or the kind is unknown.
fn unreadable(payload: &[u8], error: &CanonicalError) -> Quarantine {
    let value: Option<serde_json::Value> = serde_json::from_slice(payload).ok();
    let schema = value.as_ref().and_then(|value| value.get("schema")).and_then(|schema| schema.as_str());
    match schema {
        Some(schema) if schema != SCHEMA => aside(
            "unknown-schema",
            format!(
                "the schema {schema:?} is not known; this server reads {SCHEMA}: it may be older than the agent"
            ),
        ),
        _ => aside("malformed-record", error.to_string()),
    }
}

/// The text as every database takes it: PostgreSQL has no U+0000 in texts. What was signed stays as it
/// is in the envelope.
pub(super) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn aside(code: &str, detail: String) -> Quarantine {
    let detail: String = storable(&detail).chars().take(1000).collect();
    Quarantine {
        code: code.to_owned(),
        detail: format!("{detail}. It is kept as it came; tell headquarters if you did not expect this."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;
    use endcheck_protocol::envelope::{fingerprint, sign};
    use endcheck_protocol::record::{Act, ClockReadings, Task};

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[3; 32])
    }

    fn record(device: &DeviceId) -> Record {
        Record {
            schema: SCHEMA.to_owned(),
            org: "authority".to_owned(),
            device: device.clone(),
            agent: "endcheck 0.1.0".to_owned(),
            seq: 0,
            prev: None,
            boot: "b".to_owned(),
            monotonic_ns: "1".to_owned(),
            clock: ClockReadings {
                device_at: "2026-05-04T08:00:00Z".parse().unwrap(),
                gnss_at: None,
                server: None,
            },
            place: None,
            anchor: None,
            task: Task::default(),
            replaces: None,
            act: Act::Note { text: "seen".to_owned() },
        }
    }

    fn code(bytes: &[u8], device: &DeviceId) -> Option<String> {
        let known = key().verifying_key();
        judge(bytes, device, "authority", |keyid| (keyid == &fingerprint(&known)).then_some(known))
            .quarantine
            .map(|quarantine| quarantine.code)
    }

    #[test]
    fn only_signature_chain_schema_and_enrolment_set_a_record_aside() {
        let device = DeviceId::mint();
        let good = record(&device);
        assert_eq!(code(&sign(RECORD_TYPE, &good, &key()).unwrap(), &device), None);

        let with = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut value = serde_json::to_value(&good).unwrap();
            change(&mut value);
            code(&sign(RECORD_TYPE, &value, &key()).unwrap(), &device).unwrap()
        };
        assert_eq!(with(&|v| v["schema"] = "endcheck-record-9".into()), "unknown-schema");
        assert_eq!(with(&|v| v["org"] = "another".into()), "other-device");
        assert_eq!(with(&|v| v["device"] = DeviceId::mint().to_string().into()), "other-device");
        assert_eq!(with(&|v| v["seq"] = 1.into()), "chain-malformed");
        assert_eq!(with(&|v| v["act"]["kind"] = "dream".into()), "malformed-record");
        assert_eq!(with(&|v| v["surprise"] = 1.into()), "malformed-record");

        let stranger = SigningKey::from_bytes(&[4; 32]);
        assert_eq!(code(&sign(RECORD_TYPE, &good, &stranger).unwrap(), &device).unwrap(), "unknown-key");
        assert_eq!(code(b"{}", &device).unwrap(), "malformed-envelope");
        let mut forged = sign(RECORD_TYPE, &good, &key()).unwrap();
        let text = String::from_utf8(forged.clone()).unwrap();
        let at = text.find("\"sig\":\"").unwrap() + 8;
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(code(&forged, &device).unwrap(), "bad-signature");
    }
}
