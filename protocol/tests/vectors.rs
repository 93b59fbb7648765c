//! Frozen bytes: what was signed once must stay readable, and be written the same for ever. A
//! change here is a change of the protocol and needs a new schema name.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use ed25519_dalek::SigningKey;
use endcheck_protocol::canonical;
use endcheck_protocol::checklist::{Answer, ItemStatus, State, YesNo};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::dossier::gather;
use endcheck_protocol::envelope::{Envelope, RECEIPT_TYPE, RECORD_TYPE, sign};
use endcheck_protocol::place::{Fix, Position, Provider};
use endcheck_protocol::record::{
    Act, ClockReadings, FileFacts, ItemSighting, Record, SCHEMA, SerialEntry, Task, VerificationMethod,
};
use endcheck_protocol::sync::Receipt;

const VISIT: &str = "0190b3c8-5f4e-7c1a-9d2e-3f4a5b6c7d8e";
const DEVICE: &str = "0190b3c8-0000-7c1a-9d2e-3f4a5b6c7d8e";
const ITEM: &str = "0190b3c8-1111-7c1a-9d2e-3f4a5b6c7d8e";

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn record(seq: u64, prev: Option<Sha256>, act: Act) -> Record {
    Record {
        schema: SCHEMA.to_owned(),
        org: "Vector Authority".to_owned(),
        device: DEVICE.parse().unwrap(),
        agent: "endcheck 0.1.0".to_owned(),
        seq,
        prev,
        boot: "c0ffee00-0000-4000-8000-000000000000".to_owned(),
        monotonic_ns: "9007199254740993".to_owned(),
        clock: ClockReadings {
            device_at: "2026-05-04T08:11:12.123456Z".parse().unwrap(),
            gnss_at: Some("2026-05-04T08:11:10Z".parse().unwrap()),
            server: None,
        },
        place: Some(Fix {
            accuracy_mm: Some(6000),
            ..Fix::bare(Position::from_degrees(48.208_333_3, 16.37).unwrap(), Provider::Nmea)
        }),
        anchor: None,
        task: Task {
            visit: Some(VISIT.parse().unwrap()),
            item: Some(ITEM.parse().unwrap()),
            question: Some("serial-read".parse().unwrap()),
            ..Task::default()
        },
        replaces: None,
        act,
    }
}

fn sighting(serial: &str) -> Act {
    Act::Item(ItemSighting {
        status: ItemStatus::Sighted,
        method: VerificationMethod::InPerson,
        serial: Some(serial.to_owned()),
        serial_entry: Some(SerialEntry::KeyedTwice),
        quantity: Some("1".to_owned()),
        note: Some("Straße 7, \u{202e}قرص".to_owned()),
    })
}

#[test]
fn a_record_is_written_and_read_as_it_was_when_the_schema_was_named() {
    let frozen = include_bytes!("../vectors/record-item-1.dsse.json");
    let written =
        sign(RECORD_TYPE, &record(7, Some(Sha256::of(b"before")), sighting("NVA 26-004417")), &key())
            .unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), String::from_utf8_lossy(frozen).trim_end());
    let envelope = Envelope::read(frozen.trim_ascii_end(), RECORD_TYPE).unwrap();
    envelope.verify(&key().verifying_key()).unwrap();
    let read: Record = canonical::read(&envelope.payload).unwrap();
    assert_eq!(read, record(7, Some(Sha256::of(b"before")), sighting("NVA 26-004417")));
}

#[test]
fn a_file_receipt_is_written_as_it_was() {
    let receipt = Receipt::File {
        device: DEVICE.parse().unwrap(),
        record: Sha256::of(b"record"),
        sha256: Sha256::of(b"plain"),
        sealed_sha256: Sha256::of(b"sealed"),
        size_bytes: 4_194_304,
        stored_at: "2026-05-04T09:00:00Z".parse().unwrap(),
        log_index: 12,
        salt: "00".repeat(32),
    };
    let written = String::from_utf8(sign(RECEIPT_TYPE, &receipt, &key()).unwrap()).unwrap();
    assert_eq!(written, include_str!("../vectors/receipt-file-1.dsse.json").trim_end());
}

#[test]
fn a_replaced_record_counts_no_more_and_evidence_adds_up() {
    let photo = |purpose: &str| Act::Document {
        file: FileFacts {
            name: "plate.pdf".to_owned(),
            size_bytes: 1,
            mime: "application/pdf".to_owned(),
            sha256: Sha256::of(b"p"),
            sealed_sha256: Sha256::of(b"s"),
            sealed_size_bytes: 2,
        },
        purpose: Some(purpose.to_owned()),
        caption: None,
    };
    let answer = |value| Act::Answer { value: Answer::YesNo(value), note: None };
    let mut corrected = record(4, None, answer(YesNo::No));
    corrected.replaces = Some(Sha256::of(b"2"));
    let records = [
        record(0, None, photo("certificate")),
        record(1, None, photo("certificate")),
        record(2, None, answer(YesNo::Yes)),
        record(3, None, sighting("A1")),
        corrected,
    ];
    let hashes: Vec<Sha256> = (0..records.len()).map(|n| Sha256::of(n.to_string().as_bytes())).collect();
    let state: State = gather(hashes.iter().zip(&records));
    assert_eq!(state.answers.len(), 1);
    assert_eq!(state.answers[0].answer, Answer::YesNo(YesNo::No));
    assert_eq!(state.evidence.len(), 1);
    assert_eq!(state.evidence[0].count, 2);
    assert_eq!(state.items.get(&ITEM.parse().unwrap()), Some(&ItemStatus::Sighted));
}
