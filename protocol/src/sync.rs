//! The sync wire between a device and headquarters, and the pure plan of one sync.
//!
//! Records go first, then sealed files, smallest first, each from the last byte the server holds.
//! Nothing here knows about HTTP or files.

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::ids::{DeviceId, UserId};
use crate::time::Timestamp;
use crate::tlog::{EntryKind, Opening};
use crate::visit::VisitPacket;

/// The version of this wire; sent by the client in [`PROTOCOL_HEADER`].
pub const PROTOCOL_VERSION: u32 = 1;
pub const PROTOCOL_HEADER: &str = "endcheck-protocol";
/// Records in one request at most.
pub const MAX_RECORDS: usize = 200;
/// Bytes of one request's records at most, before compression.
pub const MAX_RECORDS_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of one sealed file at most.
pub const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// What headquarters holds of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SyncHead {
    pub server_at: Timestamp,
    /// Records held, quarantined ones included.
    pub records_held: u64,
    /// The one with the highest `seq`, the latest received where a fork has two.
    pub newest: Option<HeldRecord>,
    /// Sealed files that a record names and headquarters does not yet hold, by sealed hash.
    pub awaited: Vec<Sha256>,
    /// Files that arrived whole and could not be opened; they are kept, and sending them again
    /// would change nothing.
    pub unreadable: Vec<UnreadableFile>,
    /// Uploads under way that this device may resume.
    pub uploads: Vec<OpenUpload>,
    pub log: LogState,
}

/// The state of headquarters' log, and that it continues the one the device knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogState {
    /// A signed checkpoint (C2SP tlog-checkpoint).
    pub checkpoint: String,
    /// RFC 6962 consistency proof from the size that the device named. Empty where it named none, the
    /// same, or one that this log never had.
    pub consistency: Vec<Sha256>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnreadableFile {
    pub record: Sha256,
    pub sealed_sha256: Sha256,
    pub problem: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeldRecord {
    pub seq: u64,
    pub hash: Sha256,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpenUpload {
    /// As the device named it when it created the upload.
    pub sealed_sha256: Sha256,
    /// Path of the upload.
    pub location: String,
    pub offset_bytes: u64,
    pub size_bytes: u64,
}

/// Headquarters' answer to one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordAnswer {
    /// SHA-256 of the envelope's bytes as received.
    pub hash: Sha256,
    pub outcome: RecordOutcome,
    /// Position of the record's entry in the log.
    pub log_index: u64,
    /// Why it was quarantined, and what the inspector can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RecordOutcome {
    Accepted,
    /// The same bytes were held before; nothing changed.
    Held,
    /// Kept as it came, logged, and set aside for a person to look at.
    Quarantined,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Quarantine {
    pub code: String,
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordAnswers {
    pub server_at: Timestamp,
    pub answers: Vec<RecordAnswer>,
}

/// Receipts for one device, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptPage {
    /// Signed envelopes holding a [`Receipt`], each as text.
    pub receipts: Vec<String>,
    /// Where the next page begins; the same as asked when there is nothing newer.
    pub cursor: i64,
    pub more: bool,
    pub log: LogState,
    /// Hashes of the log's tree that the proofs share.
    pub hashes: Vec<Sha256>,
    /// For each receipt, which of `hashes` lead from its entry to the root of `log`, from the leaf upwards.
    pub paths: Vec<Vec<usize>>,
}

/// What headquarters signs about a record or a file it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Receipt {
    /// The record stands in the log.
    Record {
        device: DeviceId,
        record: Sha256,
        quarantined: bool,
        log_index: u64,
        /// The entry's salt in hex: with it the holder can show that the entry commits to the record.
        salt: String,
        logged_at: Timestamp,
    },
    /// The file was opened, checked against the record's digest and is durable. This receipt alone
    /// lets the device delete its copy.
    File {
        device: DeviceId,
        record: Sha256,
        sha256: Sha256,
        sealed_sha256: Sha256,
        size_bytes: u64,
        stored_at: Timestamp,
        log_index: u64,
        salt: String,
    },
}

impl Receipt {
    /// Where the receipt's entry stands in the log, and what opens it. `None` where the salt is malformed.
    #[must_use]
    pub fn logged(&self) -> Option<(u64, Opening)> {
        let (kind, logged_at, log_index, salt, subject) = match self {
            Self::Record { record, log_index, salt, logged_at, .. } => {
                (EntryKind::Record, *logged_at, *log_index, salt, record.clone())
            }
            Self::File { record, sha256, sealed_sha256, stored_at, log_index, salt, .. } => {
                let subject = Self::file_subject(record, sha256, sealed_sha256);
                (EntryKind::FileReceipt, *stored_at, *log_index, salt, subject)
            }
        };
        Some((log_index, Opening::of(kind, logged_at, salt, &subject)?))
    }

    /// What the log's entry about a stored file commits to.
    #[must_use]
    pub fn file_subject(record: &Sha256, sha256: &Sha256, sealed_sha256: &Sha256) -> Sha256 {
        Sha256::of_parts(&[&record.to_bytes(), &sha256.to_bytes(), &sealed_sha256.to_bytes()])
    }
}

/// Visits that changed for the inspector since a cursor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PullPage {
    pub server_at: Timestamp,
    pub visits: Vec<VisitPacket>,
    pub cursor: String,
    pub more: bool,
}

/// A device asks to be enrolled with a one-time code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnrolDevice {
    pub code: String,
    /// What people will call the device.
    pub name: String,
    /// Ed25519 public key that will sign client assertions, base64.
    pub sign_in_key: String,
    /// Ed25519 public keys that will sign records, base64. Several have a UTC day each, from the server's today
    /// on, as far as its term goes; a single one lasts for the whole term.
    pub record_keys: Vec<String>,
    pub agent: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Enrolment {
    /// A signed envelope holding a [`DeviceCertificate`], as text.
    pub certificate: String,
    /// Ed25519 public key that signed it and will sign receipts, base64. The device trusts it from
    /// now on and no other.
    pub authority_key: String,
    /// The key that signs checkpoints of the log, as C2SP signed-note writes it; trusted likewise.
    pub log_key: String,
}

/// What headquarters signs about a device, and all that the device needs to work alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceCertificate {
    pub schema: String,
    pub org: String,
    pub device: DeviceId,
    pub name: String,
    pub inspector: UserId,
    pub inspector_name: String,
    /// Fingerprint of the key that signs client assertions.
    pub sign_in_key: Sha256,
    pub record_keys: Vec<RecordKey>,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    /// age recipients that every file is sealed to: headquarters and escrow.
    pub recipients: Vec<String>,
}

pub const CERTIFICATE_SCHEMA: &str = "endcheck-device-certificate-1";

/// That headquarters trusts a device no more: what the log's entry about it commits to, in canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRevocation {
    pub schema: String,
    pub device: DeviceId,
    pub reason: String,
    pub revoked_at: Timestamp,
}

pub const REVOCATION_SCHEMA: &str = "endcheck-device-revocation-1";

/// A record key and the UTC days it may sign on, both included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordKey {
    pub fingerprint: Sha256,
    pub first_day: chrono::NaiveDate,
    pub last_day: chrono::NaiveDate,
}

/// A device asks for a certificate over keys for days that it holds none for yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RenewDevice {
    pub record_keys: Vec<DayKey>,
}

/// A key for one UTC day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DayKey {
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Date))]
    pub day: chrono::NaiveDate,
    /// Ed25519 public key, base64.
    pub key: String,
}

/// Headquarters' answer: a certificate beside the earlier ones, which stay good for their days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Renewal {
    /// A signed envelope holding a [`DeviceCertificate`], as text. It lists those of the keys that headquarters
    /// certifies: days that are over, or beyond the term that it grants, are left out.
    pub certificate: String,
}

/// A device tells what it holds unsent, so that headquarters knows what is at stake if it is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Inventory {
    pub unsent_records: u64,
    pub unsent_files: u64,
    pub unsent_bytes: u64,
}

/// A record on the device that headquarters has not answered for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsentRecord {
    pub seq: u64,
    pub hash: Sha256,
    pub size_bytes: usize,
}

/// A package of sealed records of which headquarters has not answered for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsentPackage {
    /// SHA-256 of its bytes.
    pub hash: Sha256,
    /// Of the first record in it; the others follow without a hole.
    pub first_seq: u64,
    pub records: usize,
    /// Bytes of the records before they were packed.
    pub size_bytes: usize,
}

/// A sealed file on the device without a file receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsentFile {
    pub sealed_sha256: Sha256,
    pub size_bytes: u64,
}

/// One step of a sync; each can be repeated without harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Send these records, by hash, in chain order.
    SendRecords(Vec<Sha256>),
    /// Send these packages of sealed records, by hash, in chain order.
    SendPackages(Vec<Sha256>),
    /// Send a file from its first byte.
    CreateUpload { sealed_sha256: Sha256, size_bytes: u64 },
    /// Send a file from the offset that the server holds.
    ResumeUpload { sealed_sha256: Sha256, location: String, offset_bytes: u64, size_bytes: u64 },
}

/// Plans one sync: records in chain order and in batches within the limits, then files, smallest
/// first, resuming where the server says it stands.
#[must_use]
pub fn plan(
    records: &[UnsentRecord],
    packages: &[UnsentPackage],
    files: &[UnsentFile],
    head: &SyncHead,
) -> Vec<Operation> {
    let mut operations = plan_records(records, packages);
    let mut files: Vec<&UnsentFile> = files.iter().collect();
    files.sort_by(|a, b| (a.size_bytes, &a.sealed_sha256).cmp(&(b.size_bytes, &b.sealed_sha256)));
    operations.extend(files.into_iter().map(|file| {
        let held = head
            .uploads
            .iter()
            .filter(|upload| {
                upload.sealed_sha256 == file.sealed_sha256 && upload.size_bytes == file.size_bytes
            })
            .max_by_key(|upload| upload.offset_bytes);
        match held {
            Some(upload) => Operation::ResumeUpload {
                sealed_sha256: file.sealed_sha256.clone(),
                location: upload.location.clone(),
                offset_bytes: upload.offset_bytes,
                size_bytes: file.size_bytes,
            },
            None => Operation::CreateUpload {
                sealed_sha256: file.sealed_sha256.clone(),
                size_bytes: file.size_bytes,
            },
        }
    }));
    operations
}

/// Something to send, readable or sealed, and what it weighs in a batch.
struct Load<'a> {
    seq: u64,
    hash: &'a Sha256,
    sealed: bool,
    records: usize,
    bytes: usize,
}

fn plan_records(records: &[UnsentRecord], packages: &[UnsentPackage]) -> Vec<Operation> {
    let readable = records.iter().map(|record| Load {
        seq: record.seq,
        hash: &record.hash,
        sealed: false,
        records: 1,
        bytes: record.size_bytes + 1,
    });
    let sealed = packages.iter().map(|package| Load {
        seq: package.first_seq,
        hash: &package.hash,
        sealed: true,
        records: package.records,
        bytes: package.size_bytes,
    });
    let mut loads: Vec<Load<'_>> = readable.chain(sealed).collect();
    loads.sort_by_key(|load| load.seq);
    let mut batches: Vec<(bool, usize, usize, Vec<Sha256>)> = Vec::new();
    for load in loads {
        let (records, bytes) = (load.records, load.bytes);
        match batches.last_mut() {
            Some((sealed, held_records, held_bytes, hashes))
                if *sealed == load.sealed
                    && *held_records + records <= MAX_RECORDS
                    && *held_bytes + bytes <= MAX_RECORDS_BYTES =>
            {
                *held_records += records;
                *held_bytes += bytes;
                hashes.push(load.hash.clone());
            }
            _ => batches.push((load.sealed, records, bytes, vec![load.hash.clone()])),
        }
    }
    let operation = |(sealed, _, _, hashes)| {
        if sealed { Operation::SendPackages(hashes) } else { Operation::SendRecords(hashes) }
    };
    batches.into_iter().map(operation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(uploads: Vec<OpenUpload>) -> SyncHead {
        SyncHead {
            server_at: "2026-05-04T08:00:00Z".parse().unwrap(),
            records_held: 0,
            newest: None,
            awaited: Vec::new(),
            unreadable: Vec::new(),
            uploads,
            log: LogState::default(),
        }
    }

    fn record(seq: u64, size_bytes: usize) -> UnsentRecord {
        UnsentRecord { seq, hash: Sha256::of(&seq.to_be_bytes()), size_bytes }
    }

    fn file(name: &str, size_bytes: u64) -> UnsentFile {
        UnsentFile { sealed_sha256: Sha256::of(name.as_bytes()), size_bytes }
    }

    #[test]
    fn records_go_first_then_files_smallest_first_from_the_byte_held() {
        let upload = OpenUpload {
            sealed_sha256: Sha256::of(b"big"),
            location: "/api/v1/files/1".to_owned(),
            offset_bytes: 700,
            size_bytes: 1000,
        };
        let planned = plan(
            &[record(4, 10), record(3, 10)],
            &[],
            &[file("big", 1000), file("small", 9)],
            &head(vec![upload]),
        );
        assert_eq!(
            planned,
            vec![
                Operation::SendRecords(vec![record(3, 0).hash, record(4, 0).hash]),
                Operation::CreateUpload { sealed_sha256: Sha256::of(b"small"), size_bytes: 9 },
                Operation::ResumeUpload {
                    sealed_sha256: Sha256::of(b"big"),
                    location: "/api/v1/files/1".to_owned(),
                    offset_bytes: 700,
                    size_bytes: 1000,
                },
            ]
        );
    }

    #[test]
    fn batches_keep_within_both_limits() {
        let many: Vec<_> = (0..450).map(|seq| record(seq, 100)).collect();
        let sizes = |operations: Vec<Operation>| -> Vec<usize> {
            operations
                .into_iter()
                .map(|operation| match operation {
                    Operation::SendRecords(hashes) => hashes.len(),
                    other => panic!("{other:?}"),
                })
                .collect()
        };
        assert_eq!(sizes(plan(&many, &[], &[], &head(vec![]))), [200, 200, 50]);
        let heavy: Vec<_> = (0..4).map(|seq| record(seq, MAX_RECORDS_BYTES / 2 - 1)).collect();
        assert_eq!(sizes(plan(&heavy, &[], &[], &head(vec![]))), [2, 2]);
        assert!(plan(&[], &[], &[], &head(vec![])).is_empty());
    }

    #[test]
    fn sealed_and_readable_records_go_in_the_order_of_the_chain() {
        let package = |first_seq: u64, records| UnsentPackage {
            hash: Sha256::of(format!("package {first_seq}").as_bytes()),
            first_seq,
            records,
            size_bytes: records * 1000,
        };
        let packages = [package(3, 2), package(0, 2), package(6, 150), package(156, 60)];
        let planned = plan(&[record(5, 10), record(2, 10)], &packages, &[], &head(vec![]));
        let hashes =
            |of: &[&UnsentPackage]| of.iter().map(|package| package.hash.clone()).collect::<Vec<_>>();
        assert_eq!(
            planned,
            [
                Operation::SendPackages(hashes(&[&packages[1]])),
                Operation::SendRecords(vec![record(2, 0).hash]),
                Operation::SendPackages(hashes(&[&packages[0]])),
                Operation::SendRecords(vec![record(5, 0).hash]),
                Operation::SendPackages(hashes(&[&packages[2]])),
                Operation::SendPackages(hashes(&[&packages[3]])),
            ]
        );
    }
}
