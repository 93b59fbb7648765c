//! Somebody with the database in his hands edits, removes, adds and dates back. Who catches it is said for
//! each: the audit at headquarters, the verifier of the next bag, or the device's next sync.

use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use ed25519_dalek::SigningKey;
use endcheck::ExitStatus;
use endcheck_protocol::canonical;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{
    self, CERTIFICATE_TYPE, Envelope, RECORD_TYPE, fingerprint, public_key_to_base64,
};
use endcheck_protocol::merkle::{CompactRange, leaf_hash};
use endcheck_protocol::record::{Act, Record};
use endcheck_protocol::sync::{DeviceCertificate, Receipt, RecordKey};
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::tlog::{EntryKind, LogEntry};
use endcheck_server::db::schema::{device_certificates, device_keys, log_entries, records};
use endcheck_server::db::{Conn, PooledConn};
use endcheck_server::evidence::receipts;
use endcheck_server::log;

use super::{Case, unpack};
use crate::tablet::Tablet;

/// Who notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    /// `endcheck-server verify`, at headquarters.
    Audit,
    /// `endcheck verify` on a bag that is exported afterwards.
    Bag,
    /// The next `endcheck sync` of a device.
    Sync,
}

/// Lets an insider change what triggers guard: whoever owns the database owns its triggers.
fn tampered(case: &mut Case, statements: &str) -> PooledConn {
    case.office.server.damaged();
    let database = case.office.server.database();
    let mut conn = database.connect();
    database.remove_guards(&mut conn);
    conn.batch_execute(statements).unwrap_or_else(|error| panic!("{statements}: {error}"));
    conn
}

fn noticed(case: &Case) -> Vec<By> {
    let mut by = Vec::new();
    if !case.office.server.audit().holds() {
        by.push(By::Audit);
    }
    let path = format!("/api/v1/visits/{}/bundle?why=x", case.visit);
    let exported = case.office.investigator().try_send("GET", &path, &[], None);
    // What is so broken that no bag can be made, or not to its end, is noticed, too.
    if let Some(exported) = exported.filter(|answer| answer.status == 200) {
        let bag = unpack(&exported.body, &case.folder.path().join("after"));
        let said = case.verify(&bag);
        if said.status != ExitStatus::Success {
            by.push(By::Bag);
        }
    } else {
        by.push(By::Bag);
    }
    case.tablet.done(&["pull"]);
    if case.tablet.run(&["sync"]).status != ExitStatus::Success {
        by.push(By::Sync);
    }
    by
}

#[test]
fn an_honest_database_raises_no_alarm() {
    let case = Case::new();
    assert_eq!(noticed(&case), []);
}

#[test]
fn what_an_insider_does_to_the_rows_is_caught() {
    use By::{Audit, Bag, Sync};
    const NOTE: &str = "(select hash from records where kind = 'note')";
    let tricks: &[(&str, &str, &[By])] = &[
        (
            "a record's bytes edited",
            "update records set envelope = substr(envelope, 2) where kind = 'note'",
            &[Audit, Bag],
        ),
        (
            "a record removed",
            "delete from receipts where record_hash in NOTE; delete from records where kind = 'note'",
            &[Audit, Bag],
        ),
        ("a record moved to another number", "update records set seq = 99 where kind = 'note'", &[Audit]),
        (
            "a record taken from its visit",
            "update records set visit_id = null where kind = 'note'",
            &[Audit, Bag],
        ),
        (
            "a record's arrival dated back",
            "update records set received_at = '2020-01-01 00:00:00' where kind = 'note'",
            &[Audit],
        ),
        (
            "a receipt edited",
            "update receipts set envelope = replace(envelope, 'a', 'b') where record_hash in NOTE",
            &[Audit, Bag],
        ),
        (
            "a file's hash edited",
            "update evidence_files set sha256 = thumbnail_sha256 where thumbnail_sha256 is not null",
            &[Audit, Bag],
        ),
        ("a determination edited", "update determinations set outcome = 'favourable'", &[Audit, Bag]),
        (
            "a determination's document edited",
            "update determinations set document = replace(document, 'unfavourable', 'favourable')",
            &[Audit, Bag],
        ),
        (
            "a determination rewritten, and the documents taken out of the rows",
            "update determinations set document = null, outcome = 'favourable', reasons = '[]', \
             reason = 'All is well.' where replaces is not null; \
             update determination_approvals set document = null",
            &[Audit, Bag],
        ),
        (
            "a determination's reasons edited",
            "update determinations set reasons = '[]' where replaces is not null",
            &[Audit],
        ),
        (
            "a determination removed",
            "delete from determination_approvals; delete from determinations where replaces is not null",
            &[Audit, Bag],
        ),
        (
            "a determination removed, and what the ledger tells of it",
            "delete from determination_approvals; delete from determinations where replaces is not null; \
             delete from custody_ledger where entry like '%concluded%'; \
             delete from custody_notes where note like '%concluded%'",
            &[Audit, Bag],
        ),
        (
            "a receipt put in another's place",
            "delete from receipts where kind = 'file'; \
             update receipts set kind = 'file' where record_hash in (select record_hash from evidence_files)",
            &[Audit],
        ),
        (
            "a record set aside",
            "update records set quarantine_code = 'bad-signature', quarantine_detail = 'x' where kind = 'note'",
            &[Audit],
        ),
        (
            "a stored file said never to have come",
            "update evidence_files set state = 'awaited', stored_at = null",
            &[Audit, Bag],
        ),
        ("a file's row removed", "delete from photo_hashes; delete from evidence_files", &[Audit, Bag]),
        (
            "a finding's values edited",
            "update findings set detail = '{}' where signal = 'photo-outside-fence'",
            &[Audit],
        ),
        (
            "the ledger's numbers edited",
            "update custody_ledger set number = number + 1000 where number > 3",
            &[Audit, Bag],
        ),
        ("a finding removed", "delete from findings where signal = 'photo-outside-fence'", &[Audit]),
        (
            "a finding played down",
            "update findings set weight = 'info', summary = 'x' where signal = 'photo-outside-fence'",
            &[Audit],
        ),
        (
            "a custody entry edited",
            "update custody_ledger set entry = replace(entry, 'headquarters', 'somebody')",
            &[Audit, Bag],
        ),
        (
            "a custody entry removed",
            "delete from custody_ledger where number = 3; delete from custody_notes where id not in (select note_id from custody_ledger)",
            &[Audit, Bag],
        ),
        (
            "a log entry dated back",
            "update log_entries set logged_at = '2020-01-01 00:00:00' where idx = 2",
            &[Audit],
        ),
        (
            "a log entry's bytes edited",
            "update log_entries set entry = substr(entry, 2) where idx = 2",
            &[Audit, Bag],
        ),
        (
            "a log entry's leaf edited",
            "update log_entries set leaf_hash = 'ZEROS' where idx = 2",
            &[Audit, Bag],
        ),
        ("a log entry removed", "delete from log_entries where idx = 2", &[Audit, Bag, Sync]),
        (
            "the log cut back",
            "update log_head set size = 4, compact_range = (select '[\"' || leaf_hash || '\"]' from log_entries where idx = 3)",
            &[Audit, Bag, Sync],
        ),
        ("a salt forgotten", "update log_entries set salt = 'ZEROS' where idx = 2", &[Audit, Bag]),
    ];
    println!("| what the insider does | caught by |");
    for (what, statements, expected) in tricks {
        let mut case = Case::new();
        let statements = statements.replace("NOTE", NOTE).replace("ZEROS", &"0".repeat(64));
        drop(tampered(&mut case, &statements));
        let by = noticed(&case);
        println!("| {what} | {by:?} |");
        assert_eq!(by, *expected, "{what}");
    }
}

/// Certifies a key of our own for many days, as if long ago, and logs that today.
fn certified(conn: &mut Conn, authority: &SigningKey, key: &SigningKey, now: Timestamp) {
    let held: (String, endcheck_protocol::ids::DeviceId) = device_certificates::table
        .select((device_certificates::certificate, device_certificates::device_id))
        .first(conn)
        .unwrap();
    let honest = Envelope::read(held.0.as_bytes(), CERTIFICATE_TYPE).unwrap();
    let honest: DeviceCertificate = canonical::read(&honest.payload).unwrap();
    let (public, day) = (key.verifying_key(), |days: i64| now.plus(TimeDelta::days(days)).day());
    let long = RecordKey { fingerprint: fingerprint(&public), first_day: day(-200), last_day: day(200) };
    let forged =
        DeviceCertificate { record_keys: vec![long], issued_at: now.plus(TimeDelta::days(-190)), ..honest };
    let text = String::from_utf8(envelope::sign(CERTIFICATE_TYPE, &forged, authority).unwrap()).unwrap();
    diesel::insert_into(device_certificates::table)
        .values((
            device_certificates::device_id.eq(&held.1),
            device_certificates::number.eq(1),
            device_certificates::certificate.eq(&text),
            device_certificates::issued_at.eq(forged.issued_at),
        ))
        .execute(conn)
        .unwrap();
    diesel::insert_into(device_keys::table)
        .values((
            device_keys::fingerprint.eq(fingerprint(&public)),
            device_keys::device_id.eq(&held.1),
            device_keys::public_key.eq(public_key_to_base64(&public)),
            device_keys::first_day.eq(day(-200).to_string()),
            device_keys::last_day.eq(day(200).to_string()),
        ))
        .execute(conn)
        .unwrap();
    log::append(conn, EntryKind::KeyEvent, &Sha256::of(text.as_bytes()), now).unwrap();
}

/// Puts a record of the device behind its last one, logged and receipted as a true one would be.
fn forged(
    conn: &mut Conn,
    authority: &SigningKey,
    key: &SigningKey,
    change: &dyn Fn(&mut Record),
    now: Timestamp,
) {
    let last: (Vec<u8>, Sha256) = records::table
        .order(records::seq.desc())
        .select((records::envelope, records::hash))
        .first(conn)
        .unwrap();
    let mut record: Record = canonical::read(&Envelope::read(&last.0, RECORD_TYPE).unwrap().payload).unwrap();
    (record.seq, record.prev, record.anchor) = (record.seq + 1, Some(last.1), None);
    record.act = Act::Note { text: "The gate was closed.".to_owned() };
    change(&mut record);
    let bytes = envelope::sign(RECORD_TYPE, &record, key).unwrap();
    let hash = Sha256::of(&bytes);
    let logged = log::append(conn, EntryKind::Record, &hash, now).unwrap();
    diesel::insert_into(records::table)
        .values((
            records::hash.eq(&hash),
            records::device_id.eq(&record.device),
            records::seq.eq(i64::try_from(record.seq).unwrap()),
            records::prev.eq(&record.prev),
            records::keyid.eq(fingerprint(&key.verifying_key()).as_str()),
            records::visit_id.eq(&record.task.visit),
            records::kind.eq("note"),
            records::device_at.eq(record.clock.device_at),
            records::received_at.eq(now),
            records::log_index.eq(logged.index),
            records::envelope.eq(&bytes),
        ))
        .execute(conn)
        .unwrap();
    let receipt = Receipt::Record {
        device: record.device,
        record: hash,
        quarantined: false,
        log_index: u64::try_from(logged.index).unwrap(),
        salt: logged.salt,
        logged_at: logged.at,
    };
    receipts::keep(conn, &[receipt], authority).unwrap();
}

#[test]
fn an_authority_that_certifies_a_key_for_days_gone_by_is_caught() {
    type Forgery = (&'static str, fn(&mut Record), i64);
    let forgeries: [Forgery; 4] = [
        (
            "was certified later",
            |record| {
                record.clock.device_at = record.clock.device_at.plus(TimeDelta::days(-100));
            },
            0,
        ),
        ("two keys for", |_| {}, 0),
        ("names none before it", |record| (record.seq, record.prev) = (7_000, None), 0),
        ("somebody dated back", |_| {}, -100),
    ];
    for (says, change, logged_days) in forgeries {
        let mut case = Case::new();
        case.office.server.damaged();
        let mut conn = case.office.server.database().connect();
        let authority = case.office.server.app().keys.authority.clone();
        let key = SigningKey::from_bytes(&[5; 32]);
        let now = case.office.server.clock().now();
        certified(&mut conn, &authority, &key, now);
        forged(&mut conn, &authority, &key, &change, now.plus(TimeDelta::days(logged_days)));
        let complaints = case.complaints(&case.unpacked("forged"));
        assert!(complaints.iter().any(|one| one.contains(says)), "{says}: {complaints:#?}");
    }
}

#[test]
fn a_whole_device_that_is_left_out_is_missed() {
    let mut case = Case::new();
    let tablet = Tablet::enrolled(&case.office, &case.office.tomas);
    let other = case.office.schedule(super::SHIPMENT, Some(&case.office.tomas));
    tablet.done(&["pull"]);
    tablet.done(&["open", &other]);
    tablet.done(&["note", "I was offered money."]);
    tablet.done(&["sync"]);
    case.office.tick();
    case.visit = other;
    let only = "(select hash from records where visit_id = (select max(visit_id) from records))";
    drop(tampered(
        &mut case,
        &format!(
            "delete from receipts where record_hash in {only}; delete from records where hash in {only}"
        ),
    ));
    let complaints = case.complaints(&case.unpacked("after"));
    assert!(
        complaints.iter().any(|one| one.contains("it tells of a record that is not here")),
        "{complaints:#?}"
    );
}

#[test]
fn a_log_that_is_rewritten_whole_stops_the_device_s_next_sync() {
    let mut case = Case::new();
    let entry =
        LogEntry::new(EntryKind::Record, case.office.server.clock().now(), &[1; 32], &Sha256::of(b"forged"));
    let bytes = entry.to_bytes().unwrap();
    let mut conn = case.office.server.database().connect();
    let leaves: Vec<Sha256> =
        log_entries::table.order(log_entries::idx).select(log_entries::leaf_hash).load(&mut conn).unwrap();
    drop(conn);
    let mut range = CompactRange::default();
    for (at, leaf) in leaves.into_iter().enumerate() {
        range.push(if at == 2 { leaf_hash(&bytes) } else { leaf });
    }
    let roots = serde_json::to_string(range.roots()).unwrap();
    let mut conn = tampered(&mut case, &format!("update log_head set compact_range = '{roots}'"));
    diesel::update(log_entries::table.find(2))
        .set((
            log_entries::entry.eq(&bytes),
            log_entries::leaf_hash.eq(leaf_hash(&bytes)),
            log_entries::salt.eq("01".repeat(32)),
            log_entries::subject.eq(Sha256::of(b"forged")),
            log_entries::logged_at.eq(entry.logged_at),
        ))
        .execute(&mut conn)
        .unwrap();
    drop(conn);
    assert_eq!(noticed(&case), [By::Audit, By::Bag, By::Sync]);
}
