//! Somebody with the database in his hands edits, removes, adds and dates back. Who catches it is said for
//! each: the audit at headquarters, the verifier of the next bag, or the device's next sync.

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use endcheck::ExitStatus;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::merkle::{CompactRange, leaf_hash};
use endcheck_protocol::tlog::{EntryKind, LogEntry};
use endcheck_server::db::PooledConn;
use endcheck_server::db::schema::log_entries;

use super::{Case, unpack};

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
        ("a determination edited", "update determinations set outcome = 'favourable'", &[Audit]),
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
