//! Carrying by hand: a visit that comes by stick alone, twice, in halves, changed, beside the network, and from
//! a device that will not sync again. The real programs, and a server that runs meanwhile.

use std::path::{Path, PathBuf};
use std::process::Command;

use endcheck::ExitStatus;
use endcheck_protocol::carry::{
    CarriedReceipts, LogGrowth, MANIFEST_FILE, PACKAGE_FILE, RECEIPTS_FILE, RECEIPTS_SCHEMA, RECEIPTS_TYPE,
    ReceiptsHead, part_name,
};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope;
use endcheck_protocol::merkle::{CompactRange, leaf_hash};
use endcheck_protocol::sync::{LogState, ReceiptPage};
use endcheck_protocol::tlog::Checkpoint;
use endcheck_tests::process::program;
use serde_json::json;

use crate::office::{Office, Person, fixture, text};
use crate::tablet::{Tablet, files_below};

const SHIPMENT: &str = "SH-2026-0101";

/// An office, a tablet that pulled a visit there, and a stick.
struct Case {
    office: Office,
    visit: String,
    tablet: Tablet,
    stick: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let office = Office::with_programme();
        let visit = office.schedule(SHIPMENT, Some(&office.iris));
        let tablet = Tablet::enrolled(&office, &office.iris);
        tablet.done(&["pull"]);
        Self { office, visit, tablet, stick: tempfile::tempdir().unwrap() }
    }

    /// With a visit of a few records and two photos, written onto the stick.
    fn with_package() -> Self {
        let case = Self::new();
        case.tablet.done(&["open", &case.visit]);
        case.photo("02-sign.jpg");
        case.photo("01-exterior.jpg");
        case.tablet.done(&["note", "By stick."]);
        case.write();
        case
    }

    fn photo(&self, name: &str) {
        let path = fixture("photos").join(name).display().to_string();
        self.tablet.done(&["capture", &path]);
    }

    fn stick(&self) -> String {
        self.stick.path().display().to_string()
    }

    fn write(&self) -> serde_json::Value {
        self.tablet.line(&["sync", "--to", &self.stick()])
    }

    /// The package's own folder.
    fn package(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.stick.path()).unwrap();
        let folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(folders.len(), 1, "{folders:?}");
        folders[0].clone()
    }

    fn import(&self) -> (bool, String) {
        self.import_from(self.stick.path())
    }

    fn import_command(&self, folder: &Path) -> Command {
        let server = &self.office.server;
        let mut command = Command::new(program("endcheck-server"));
        command
            .args(["import", "evidence", "--carried-by", "Omar Faye, courier"])
            .arg(folder)
            .arg("--data")
            .arg(server.data_folder())
            .args(["--database-url", server.database().url()])
            .args(["--escrow-recipient", &server.escrow().to_public().to_string()]);
        command
    }

    /// Has the server program import a folder, while the server runs.
    fn import_from(&self, folder: &Path) -> (bool, String) {
        let ran = self.import_command(folder).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        (ran.status.success(), said)
    }

    #[track_caller]
    fn imported(&self) -> String {
        let (whole, said) = self.import();
        assert!(whole, "{said}");
        said
    }

    fn files_in_state(&self, state: &str) -> usize {
        let dossier = self.office.dossier(&self.visit);
        dossier["files"].as_array().unwrap().iter().filter(|file| file["state"] == state).count()
    }

    fn records(&self) -> u64 {
        self.office.dossier(&self.visit)["record_count"].as_u64().unwrap()
    }
}

fn device_of(office: &Office, person: &Person) -> String {
    let devices = office.manager().get("/api/v1/devices").expect_json(200);
    let devices = devices.as_array().unwrap();
    text(devices.iter().find(|device| device["user"] == person.id.as_str()).unwrap_or(&devices[0]), "/id")
}

fn flipped(path: &Path) -> Vec<u8> {
    let mut bytes = std::fs::read(path).unwrap();
    let at = fastrand::usize(..bytes.len());
    bytes[at] ^= 1 << fastrand::u8(..7);
    bytes
}

#[test]
fn a_whole_visit_goes_by_stick_alone_and_a_finder_learns_only_sizes() {
    let case = Case::new();
    case.tablet.record_visit(&case.visit, "");
    case.tablet.done(&["close", "completed"]);
    let copies = case.tablet.sealed_copies();
    let written = case.write();
    assert_eq!(written["files"], copies, "{written:#}");
    assert_eq!(case.tablet.sealed_copies(), copies, "writing removes nothing");
    let records = written["records"].as_u64().unwrap();

    let device = device_of(&case.office, &case.office.iris);
    // Sealed bytes and base64 spell any short word now and then: what is sought there is long.
    let long = [&device, &case.visit, "Iris Holm", "endcheck-record", "exterior.jpg"];
    for path in files_below(case.stick.path()) {
        let bytes = std::fs::read(&path).unwrap();
        let sealed = bytes.starts_with(b"age-encryption.org/");
        let plain = path.extension().is_some_and(|end| end == "json" || end == "txt");
        assert!(sealed || plain, "{}", path.display());
        let named = path.strip_prefix(case.stick.path()).unwrap().display().to_string();
        for word in ["Iris", "Holm", "photo", "iris", "tablet"] {
            assert!(!named.contains(word), "{word} stands in {named}");
        }
        let content = String::from_utf8_lossy(&bytes).into_owned() + &named;
        for secret in long {
            assert!(!content.contains(secret), "{secret} stands in {named}");
        }
    }
    let payload = std::fs::read(case.package().join("package.dsse.json")).unwrap();
    let payload = envelope::Envelope::read(&payload, endcheck_protocol::carry::PACKAGE_TYPE).unwrap().payload;
    let fields: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    let fields: Vec<&String> = fields.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["log_size", "manifest", "schema"]);
    let mut listed = Command::new("sha256sum");
    listed.args(["--check", "--quiet", "manifest-sha256.txt"]).current_dir(case.package());
    assert!(listed.status().unwrap().success());

    let said = case.imported();
    assert!(said.contains(&format!("{records} new records (0 set aside)")), "{said}");
    assert!(said.contains(&format!("{copies} new files")), "{said}");
    assert_eq!(case.office.state(&case.visit), "closed");
    assert_eq!(case.files_in_state("stored"), copies);
    let carried = case.office.investigator().get("/api/v1/carried").expect_json(200);
    assert_eq!(text(&carried, "/0/carried_by"), "Omar Faye, courier");
    assert_eq!(
        (text(&carried, "/0/device"), &carried[0]["report"]["records_accepted"]),
        (device, &json!(records))
    );
    case.office.as_person(&case.office.iris).get("/api/v1/carried").expect_problem(403, "not-permitted");
    case.office.tick();
    let ledger =
        case.office.investigator().get(&format!("/api/v1/visits/{}/custody", case.visit)).expect(200);
    assert!(ledger.text().contains("carried by Omar Faye, courier in the package"), "{}", ledger.text());

    let log_size = case.office.server.check();
    let taken = case.tablet.line(&["sync", "--from", &case.stick()]);
    assert_eq!(taken["files_confirmed"], copies, "{taken:#}");
    assert_eq!(case.tablet.sealed_copies(), 0);
    assert_eq!(case.tablet.line(&["status"])["records"]["unsent"], 0);
    let folder = tempfile::tempdir().unwrap();
    let (papers, policy) = (folder.path().join("papers"), folder.path().join("policy"));
    let (papers, policy_path) = (papers.display().to_string(), policy.display().to_string());
    std::fs::write(&policy, case.office.server.get("/log/policy").expect(200).text()).unwrap();
    case.tablet.done(&["receipts", &papers]);
    let said = case.tablet.run(&["verify", &papers, "--policy", &policy_path]);
    // The records themselves are sealed since the close: what is there holds, and nothing else is missing.
    assert_eq!(said.status as u8, 2, "{}{}", said.output, said.errors);
    let unchecked = said.output.lines().filter(|line| line.starts_with("not checked"));
    for line in unchecked {
        assert!(line.contains("is not among the files"), "{line}");
    }

    // The network has nothing left to do.
    let synced = case.tablet.line(&["sync"]);
    assert_eq!((&synced["records_sent"], &synced["files_sent"]), (&json!(0), &json!(0)));
    assert_eq!(case.office.server.check(), log_size);
}

#[test]
fn a_stick_that_is_carried_twice_changes_nothing_the_second_time() {
    let case = Case::with_package();
    case.imported();
    let receipts = std::fs::read(case.package().join(RECEIPTS_FILE)).unwrap();
    let (size, dossier) = (case.office.server.check(), case.office.dossier(&case.visit));
    let said = case.imported();
    let held = format!(
        "0 new records (0 set aside), {} held already; 0 new files, 2 held already",
        dossier["record_count"]
    );
    assert!(said.contains(&held), "{said}");
    assert_eq!(case.office.server.check(), size);
    assert_eq!(case.office.dossier(&case.visit)["records"], dossier["records"]);
    assert_eq!(std::fs::read(case.package().join(RECEIPTS_FILE)).unwrap(), receipts);
    for confirmed in [2, 0] {
        let taken = case.tablet.line(&["sync", "--from", &case.stick()]);
        assert_eq!(taken["files_confirmed"], confirmed);
    }
    // Each time that it came is on record, begun and done.
    let carried = case.office.investigator().get("/api/v1/carried").expect_json(200);
    assert_eq!(carried.as_array().unwrap().len(), 4);
}

#[test]
fn half_a_stick_is_told_and_the_rest_is_taken_in() {
    let case = Case::with_package();
    let mut parts: Vec<PathBuf> = std::fs::read_dir(case.package())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "age"))
        .collect();
    parts.sort_by_key(|path| std::fs::metadata(path).unwrap().len());
    let cut = parts.last().unwrap();
    let whole = std::fs::read(cut).unwrap();
    std::fs::write(cut, &whole[..whole.len() / 2]).unwrap();
    let (complete, said) = case.import();
    let name = cut.file_name().unwrap().to_string_lossy();
    assert!(!complete && said.contains(&format!("{name}: its")) && said.contains("cut or changed"), "{said}");
    assert_eq!((case.files_in_state("stored"), case.files_in_state("awaited")), (1, 1));
    let taken = case.tablet.run(&["sync", "--from", &case.stick()]);
    assert_eq!(taken.status, ExitStatus::Partly, "{}", taken.errors);
    assert_eq!(case.tablet.sealed_copies(), 1, "the one that is cut stays");
    // Written again, the stick is whole again.
    let written = case.write();
    assert_eq!((&written["records"], &written["files"]), (&json!(0), &json!(1)), "{written:#}");
    std::fs::remove_file(&parts[1]).unwrap();
    let (complete, said) = case.import();
    assert!(!complete && said.contains("it is in the list of parts and not here"), "{said}");
    assert_eq!(case.files_in_state("stored"), 2);
    case.tablet.done(&["sync", "--from", &case.stick()]);
    assert_eq!(case.tablet.sealed_copies(), 0);
}

#[test]
fn an_import_that_is_killed_again_and_again_ends_with_everything_once() {
    let case = Case::new();
    case.tablet.record_visit(&case.visit, "");
    case.tablet.done(&["close", "completed"]);
    let written = case.write();
    let mut killed = 0;
    for _ in 0..8 {
        let mut import = case.import_command(case.stick.path());
        let quiet = import.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut child = quiet.spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(fastrand::u64(100..1500)));
        killed += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    case.imported();
    assert_eq!(json!(case.records()), written["records"]);
    assert_eq!(json!(case.files_in_state("stored")), written["files"]);
    case.tablet.done(&["sync", "--from", &case.stick()]);
    assert_eq!(case.tablet.sealed_copies(), 0);
    let left = files_below(&case.office.server.data_folder().join("carried"));
    assert!(left.iter().all(|path| path.ends_with("lock")), "{left:?}");
    println!("killed {killed} of 8 imports while they ran");
}

#[test]
fn a_changed_byte_in_any_file_of_a_package_is_caught() {
    let case = Case::with_package();
    let files = files_below(&case.package());
    assert_eq!(files.len(), 5, "two photos, the records, the list and its signature: {files:?}");
    for file in &files {
        let folder = tempfile::tempdir().unwrap();
        for other in &files {
            std::fs::copy(other, folder.path().join(other.file_name().unwrap())).unwrap();
        }
        let name = file.file_name().unwrap();
        std::fs::write(folder.path().join(name), flipped(file)).unwrap();
        let (whole, said) = case.import_from(folder.path());
        let name = name.to_string_lossy();
        assert!(
            !whole && (said.contains(&*name) || said.contains("not signed by a device")),
            "{name}: {said}"
        );
    }
    case.imported();
    assert_eq!(case.files_in_state("stored"), 2);
    assert!(case.office.signals(&case.visit).iter().all(|signal| signal != "file-does-not-open"));
    // And on the way back.
    let receipts = case.package().join(RECEIPTS_FILE);
    let whole = std::fs::read(&receipts).unwrap();
    for _ in 0..50 {
        std::fs::write(&receipts, flipped(&receipts)).unwrap();
        let why = case.tablet.refused(&["sync", "--from", &case.stick()]);
        assert!(why.contains("damaged"), "{why}");
        assert_eq!(case.tablet.sealed_copies(), 2);
        std::fs::write(&receipts, &whole).unwrap();
    }
    case.tablet.done(&["sync", "--from", &case.stick()]);
}

#[test]
fn stick_and_network_go_together_in_any_order() {
    // Written, then synced over the network, then imported, then carried back.
    let case = Case::with_package();
    case.tablet.done(&["sync"]);
    case.tablet.done(&["note", "After the package."]);
    case.tablet.done(&["sync"]);
    let records = case.records();
    let said = case.imported();
    assert!(said.contains("0 new records") && said.contains("0 new files"), "{said}");
    case.tablet.done(&["sync", "--from", &case.stick()]);
    assert_eq!(case.records(), records);

    // Imported, then more by the network, then carried back.
    case.tablet.done(&["note", "The second package."]);
    case.photo("02-sign.jpg");
    case.write();
    case.imported();
    case.tablet.done(&["check-in"]);
    case.tablet.done(&["sync"]);
    assert_eq!(
        case.tablet.sealed_copies(),
        0,
        "the receipts of what came by hand come over the network, too"
    );
    let said = case.tablet.run(&["sync", "--from", &case.stick()]);
    assert_eq!(said.status, ExitStatus::Success, "{}", said.errors);
    assert!(said.errors.contains("heard after these receipts were written"), "{}", said.errors);

    // Records by the network, their file by the stick: the device heard of the log in between.
    case.photo("01-exterior.jpg");
    case.write();
    case.tablet.done(&["sync", "--max-rate", "1000000000"]);
    case.tablet.done(&["check-in"]);
    case.imported();
    let taken = case.tablet.run(&["sync", "--from", &case.stick()]);
    assert_eq!(taken.status, ExitStatus::Partly, "the check-in is still unsent: {}", taken.errors);
    case.tablet.done(&["sync"]);
    assert!(case.tablet.line(&["status"])["log_conflicts"].as_array().unwrap().is_empty());
}

#[test]
fn a_revoked_device_is_brought_in_by_somebody_else() {
    let case = Case::with_package();
    let device = device_of(&case.office, &case.office.iris);
    let revoked = json!({ "reason": "Left at a border." });
    let revoked = case.office.manager().post(&format!("/api/v1/devices/{device}/revoke"), &revoked);
    assert_eq!(revoked.status, 200);
    case.tablet.refused(&["sync"]);
    let said = case.imported();
    assert!(said.contains("2 new files"), "{said}");
    assert_eq!(case.files_in_state("stored"), 2);
    assert!(case.office.signals(&case.visit).contains(&"revoked-device".to_owned()));
    case.tablet.done(&["sync", "--from", &case.stick()]);
    assert_eq!(case.tablet.sealed_copies(), 0);
}

#[test]
fn without_a_signed_list_only_what_our_devices_signed_is_taken_in() {
    let case = Case::with_package();
    std::fs::remove_file(case.package().join("package.dsse.json")).unwrap();
    let (complete, said) = case.import();
    assert!(!complete && said.contains("package.dsse.json"), "{said}");
    assert_eq!(case.files_in_state("stored"), 2, "a dying device's evidence is not lost for a list");
    assert!(!case.package().join(RECEIPTS_FILE).exists(), "nobody is known to give receipts to");
    // Another authority's device: nothing of it is ours.
    let other = Case::with_package();
    let size = case.office.server.check();
    let (complete, said) = case.import_from(other.stick.path());
    assert!(!complete && said.contains("not signed by a device of this authority"), "{said}");
    assert_eq!(case.office.server.check(), size);
    let empty = tempfile::tempdir().unwrap();
    let (complete, said) = case.import_from(empty.path());
    assert!(!complete && said.contains("there is no package"), "{said}");
    assert!(case.tablet.refused(&["sync", "--from", &other.stick()]).contains("no receipts for this device"));
}

#[test]
fn receipts_of_another_history_are_not_taken_in_and_both_checkpoints_are_kept() {
    let case = Case::new();
    case.tablet.done(&["check-in"]);
    case.tablet.done(&["sync"]);
    case.tablet.done(&["check-in"]);
    case.write();
    case.imported();
    // What headquarters' own keys could sign, had it rewritten its log.
    let app = case.office.server.app();
    let leaves: Vec<Sha256> = (0..40_u8).map(|at| leaf_hash(&[at])).collect();
    let mut range = CompactRange::default();
    for leaf in &leaves {
        range.push(leaf.clone());
    }
    let log =
        LogState { checkpoint: Checkpoint::signed(40, range.root(), &app.keys.log), consistency: Vec::new() };
    let forged = CarriedReceipts {
        device: device_of(&case.office, &case.office.iris).parse().unwrap(),
        page: ReceiptPage { receipts: vec![], cursor: 0, more: false, log, hashes: vec![], paths: vec![] },
        growth: Some(LogGrowth { size: 0, roots: vec![], leaves }),
        set_aside: vec![],
    };
    let content = serde_json::to_vec(&forged).unwrap();
    let head = ReceiptsHead { schema: RECEIPTS_SCHEMA.to_owned(), content: Sha256::of(&content) };
    let head = envelope::sign(RECEIPTS_TYPE, &head, &app.keys.authority).unwrap();
    let receipts = case.package().join(RECEIPTS_FILE);
    let real = std::fs::read(&receipts).unwrap();
    std::fs::write(&receipts, [head.as_slice(), b"\n", &content, b"\n"].concat()).unwrap();
    let why = case.tablet.refused(&["sync", "--from", &case.stick()]);
    assert!(why.contains("log is not the one that this device knows"), "{why}");
    assert_eq!(case.tablet.line(&["status"])["log_conflicts"].as_array().unwrap().len(), 1);
    std::fs::write(&receipts, real).unwrap();
    case.tablet.done(&["sync", "--from", &case.stick()]);
}

#[test]
fn what_somebody_left_on_a_stick_is_neither_followed_nor_waited_for() {
    let case = Case::with_package();
    let package = case.package();
    let elsewhere = tempfile::tempdir().unwrap();
    let victim = elsewhere.path().join("victim");
    std::fs::write(&victim, "untouched").unwrap();
    let link = |name: &str| {
        let path = package.join(name);
        let _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink(&victim, path).unwrap();
    };
    for name in [MANIFEST_FILE, PACKAGE_FILE, RECEIPTS_FILE] {
        link(&format!("{name}.part"));
    }
    let pipe = package.join(part_name(&Sha256::of(b"a pipe")));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    case.tablet.done(&["note", "After somebody had the stick."]);
    case.write();
    let (done, said) = case.import();
    assert!(done, "{said}");
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
    assert_eq!(case.records(), 5);
    // A list that is a link or a pipe is no list, and is told.
    std::fs::remove_file(package.join(MANIFEST_FILE)).unwrap();
    assert!(Command::new("mkfifo").arg(package.join(MANIFEST_FILE)).status().unwrap().success());
    let (done, said) = case.import();
    assert!(!done && said.contains("no plain file"), "{said}");
}
