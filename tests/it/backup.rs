//! Backup and restore as `docs/operations.md` describes them, and a device that goes on afterwards.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use diesel::connection::SimpleConnection as _;
use endcheck_server::accounts::Role;
use endcheck_server::clock::Clock;
use endcheck_tests::process::program;
use endcheck_tests::{DatabaseKind, Http, ServerProcess, TestDatabase};
use serde_json::Value;

use crate::office::{add_user, code, fixture, import_programme, schedule, signed_in, text, until};
use crate::tablet::Tablet;

/// A server that was started on restored data.
struct Restored {
    child: Child,
    database: TestDatabase,
    data: tempfile::TempDir,
}

impl Drop for Restored {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_restored_server_shows_the_same_and_devices_sync_on() {
    let mut server = ServerProcess::start();
    let clock = Clock::default();
    let now = clock.now();
    let mut conn = server.database().connect();
    add_user(&mut conn, "ada", "Ada Brandt", &[Role::Manager], now);
    add_user(&mut conn, "vera", "Vera Lund", &[Role::Investigator], now);
    let iris = add_user(&mut conn, "iris", "Iris Holm", &[Role::Inspector], now);
    drop(conn);
    let manager = signed_in(&server, "ada");
    import_programme(&manager);
    let visit = schedule(&manager, "SH-2026-0101", Some(&iris.id), now);
    let closed = schedule(&manager, "SH-2026-0101", Some(&iris.id), now);
    let tablet = Tablet::enrol(server.base_url(), &code(&manager, &iris.id), clock);
    tablet.done(&["pull"]);
    tablet.done(&["open", &visit]);
    tablet.done(&["capture", &fixture("photos/02-sign.jpg").display().to_string()]);
    tablet.done(&["note", "Before the backup."]);
    tablet.done(&["sync"]);
    let investigator = signed_in(&server, "vera");
    until("the small picture", || dossier(&investigator, &visit)["files"][0]["thumbnail"] == true);
    let before = dossier(&investigator, &visit);
    let photo = text(&before, "/files/0/record");

    let backup = tempfile::tempdir().unwrap();
    let size = server.check();
    back_up(&server, backup.path());

    // What is handed in from here on is lost with the server. Another device's part moves the numbers
    // of the log far beyond those that the restored server begins with.
    let other = Tablet::enrol(server.base_url(), &code(&manager, &iris.id), Clock::default());
    for _ in 0..8 {
        other.done(&["check-in"]);
    }
    other.done(&["sync"]);
    tablet.done(&["note", "Between backup and restore."]);
    // Its records are sealed by the time they are handed in, and must be handed in again.
    tablet.done(&["open", &closed]);
    tablet.done(&["note", "Of a visit that was closed.", "--visit", &closed]);
    tablet.done(&["close", "partial", "--visit", &closed]);
    tablet.done(&["sync"]);
    let address = server.address().to_string();
    let recipient = server.escrow().to_public().to_string();
    server.kill();

    let restored = restore(backup.path(), &address, &recipient);
    // Notes of custody that waited in the backup may be committed by now.
    assert!(restored.database.log_size() >= size);
    // The keys came along: nobody has to sign in anew.
    assert_eq!(dossier(&investigator, &visit), before);
    let original = investigator.get(&format!("/api/v1/records/{photo}/original")).expect(200);
    assert_eq!(original.body, std::fs::read(fixture("photos/02-sign.jpg")).unwrap());

    tablet.done(&["note", "After the restore.", "--visit", &visit]);
    tablet.done(&["capture", &fixture("photos/01-exterior.jpg").display().to_string()]);
    // Its log is shorter than the device knows it: somebody must say that this was a restore.
    let why = tablet.refused(&["sync"]);
    assert!(why.contains("log is not the one that this device knows"), "{why}");
    assert_eq!(tablet.line(&["status"])["log_conflicts"].as_array().unwrap().len(), 1);
    let summary = tablet.line(&["sync", "--accept-log"]);
    assert_eq!(
        (&summary["records_sent"], &summary["files_confirmed"]),
        (&9.into(), &1.into()),
        "{summary:#}"
    );
    let after = dossier(&investigator, &visit);
    assert_eq!(after["devices"][0]["gaps"], before["devices"][0]["gaps"]);
    assert_eq!(after["notes"].as_array().unwrap().len(), 3);
    assert_eq!(dossier(&investigator, &closed)["notes"].as_array().unwrap().len(), 1);
    assert_eq!(tablet.sealed_copies(), 0, "the receipts of the restored server are found");
    assert!(after["files"].as_array().unwrap().iter().all(|file| file["state"] == "stored"));
    assert!(restored.database.log_size() > size);
    assert!(restored.data.path().join("keys").is_dir());
}

fn dossier(http: &Http, visit: &str) -> Value {
    http.get(&format!("/api/v1/visits/{visit}")).expect_json(200)
}

/// While the server runs: the database first, then the files that it names, then the keys.
fn back_up(server: &ServerProcess, backup: &Path) {
    let database = server.database();
    match database.kind() {
        DatabaseKind::Sqlite => {
            let into = backup.join("endcheck.db").display().to_string();
            database.connect().batch_execute(&format!("vacuum into '{into}'")).unwrap();
        }
        DatabaseKind::Postgres => {
            run(Command::new("pg_dump")
                .arg("--format=custom")
                .arg("--file")
                .arg(backup.join("endcheck.dump"))
                .arg(database.url()));
        }
    }
    for folder in ["files", "keys"] {
        run(Command::new("cp").arg("-a").arg(server.data_folder().join(folder)).arg(backup));
    }
}

fn restore(backup: &Path, address: &str, recipient: &str) -> Restored {
    let database = TestDatabase::new(DatabaseKind::of_this_run());
    let data = tempfile::tempdir().unwrap();
    match database.kind() {
        DatabaseKind::Sqlite => {
            let path = database.url().strip_prefix("sqlite:").unwrap();
            std::fs::copy(backup.join("endcheck.db"), path).unwrap();
        }
        DatabaseKind::Postgres => {
            let url = database.url();
            let name = url.strip_prefix("postgres:///").and_then(|rest| rest.split('?').next()).unwrap();
            let administration = url.replace(name, "postgres");
            for statement in [format!("drop database {name}"), format!("create database {name}")] {
                run(Command::new("psql").args(["--quiet", "--command", &statement, &administration]));
            }
            run(Command::new("pg_restore")
                .args(["--exit-on-error", "--no-owner", "--dbname", url])
                .arg(backup.join("endcheck.dump")));
        }
    }
    for folder in ["files", "keys"] {
        run(Command::new("cp").arg("-a").arg(backup.join(folder)).arg(data.path()));
    }
    let child = Command::new(program("endcheck-server"))
        .args(["serve", "--listen", address, "--escrow-recipient", recipient])
        .args(["--database-url", database.url()])
        .arg("--data")
        .arg(data.path())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let restored = Restored { child, database, data };
    let http = Http::new(format!("http://{address}"));
    for _ in 0..300 {
        if http.try_send("GET", "/readyz", &[], None).is_some_and(|answer| answer.status == 200) {
            return restored;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("the restored server does not answer on {address}");
}

fn run(command: &mut Command) {
    let done = command.stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
