//! The offline verifier: what holds is said with its evidence, and no change of what was signed or proved
//! goes unnoticed.

use std::path::{Path, PathBuf};

use endcheck::ExitStatus;

use crate::office::{Office, fixture};
use crate::tablet::Tablet;

const SHIPMENT: &str = "SH-2026-0101";
/// Random changes of each file; the drill makes more.
fn changes() -> usize {
    std::env::var("ENDCHECK_DRILL_CHANGES").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// A visit's papers as the device can hand them to anybody, and the policy to judge them by.
struct Case {
    office: Office,
    tablet: Tablet,
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let office = Office::with_programme();
        let tablet = Tablet::enrolled(&office, &office.iris);
        let visit = office.schedule(SHIPMENT, Some(&office.iris));
        tablet.done(&["pull"]);
        tablet.done(&["open", &visit]);
        tablet.done(&["note", "The gate was open."]);
        tablet.done(&["capture", &fixture("photos/02-sign.jpg").display().to_string()]);
        tablet.done(&["sync"]);
        let folder = tempfile::tempdir().unwrap();
        let case = Self { office, tablet, folder };
        case.tablet.done(&["receipts", &case.papers().display().to_string()]);
        std::fs::write(case.policy(), case.office.server.get("/log/policy").expect(200).text()).unwrap();
        case
    }

    fn papers(&self) -> PathBuf {
        self.folder.path().join("papers")
    }

    fn policy(&self) -> PathBuf {
        self.folder.path().join("policy")
    }

    fn verify(&self, papers: &Path) -> (ExitStatus, String) {
        self.verify_by(papers, &self.policy())
    }

    fn verify_by(&self, papers: &Path, policy: &Path) -> (ExitStatus, String) {
        let text = |path: &Path| path.display().to_string();
        let said = self.tablet.run(&["verify", &text(papers), "--policy", &text(policy)]);
        (said.status, said.output + &said.errors)
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            std::fs::read_dir(self.papers()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// Runs `verify` while a file is other than it was.
    fn changed(&self, file: &Path, content: Option<&[u8]>) -> (ExitStatus, String) {
        let before = std::fs::read(file).unwrap();
        match content {
            Some(content) => std::fs::write(file, content).unwrap(),
            None => std::fs::remove_file(file).unwrap(),
        }
        let said = self.verify(&self.papers());
        std::fs::write(file, before).unwrap();
        said
    }
}

#[test]
fn what_a_device_was_given_proves_itself_offline_and_every_change_is_caught() {
    let case = Case::new();
    let (status, said) = case.verify(&case.papers());
    assert_eq!(status, ExitStatus::Success, "{said}");
    assert!(said.contains("Everything holds") && said.contains("Iris Holm"), "{said}");
    for what in [
        "record-signature",
        "record-in-log",
        "record-order",
        "certificate-signature",
        "receipt-record",
        "checkpoint",
    ] {
        assert!(said.contains(what), "{what} is not among the checks: {said}");
    }

    let files = case.files();
    let (mut flipped, mut cut, mut removed, mut swapped) = (0, 0, 0, 0);
    for file in &files {
        let whole = std::fs::read(file).unwrap();
        for _ in 0..changes() {
            let mut bytes = whole.clone();
            let at = fastrand::usize(..bytes.len());
            bytes[at] ^= 1 << fastrand::u8(..8);
            let (status, said) = case.changed(file, Some(&bytes));
            assert_ne!(status, ExitStatus::Success, "{} with byte {at} changed: {said}", file.display());
            flipped += 1;
        }
        let (status, said) = case.changed(file, Some(&whole[..whole.len() / 2]));
        assert_ne!(status, ExitStatus::Success, "{} cut: {said}", file.display());
        cut += 1;
        // A receipt and its proof stand for themselves; all else is needed by something that stays.
        let name = file.to_string_lossy();
        let stands_alone = name.contains("receipt") || name.ends_with(".file.tlog-proof");
        let (status, said) = case.changed(file, None);
        assert!(status != ExitStatus::Success || stands_alone, "{name} removed: {said}");
        removed += 1;
        if let Some(other) =
            files.iter().find(|other| *other != file && other.extension() == file.extension())
        {
            let (status, said) = case.changed(file, Some(&std::fs::read(other).unwrap()));
            assert!(status != ExitStatus::Success || stands_alone, "{name} replaced: {said}");
            swapped += 1;
        }
    }
    println!("caught: {flipped} flipped bits, {cut} cuts, {removed} removals, {swapped} replacements");
}

#[test]
fn the_policy_is_the_verifier_s_own() {
    let case = Case::new();
    let other = Office::open();
    let foreign = case.folder.path().join("foreign");
    std::fs::write(&foreign, other.server.get("/log/policy").expect(200).text()).unwrap();
    let (status, said) = case.verify_by(&case.papers(), &foreign);
    assert_eq!(status, ExitStatus::Refused, "{said}");
    let own = std::fs::read_to_string(case.policy()).unwrap();
    let witness = "witness W example.org+3b0d2a3e+BAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\n";
    for (policy, status) in [
        // Nobody to vouch for the device: signatures cannot be checked.
        (own.lines().filter(|line| !line.starts_with("authority")).collect::<Vec<_>>().join("\n"), 2),
        (format!("{witness}{}", own.replace("quorum none", "quorum W")), 3),
        ("nonsense".to_owned(), 3),
    ] {
        std::fs::write(&foreign, &policy).unwrap();
        let (got, said) = case.verify_by(&case.papers(), &foreign);
        assert_eq!(got as u8, status, "{policy}: {said}");
    }
    assert_eq!(case.tablet.run(&["verify"]).status as u8, 3);
    let (status, said) = case.verify_by(&case.papers(), &case.folder.path().join("absent"));
    assert_eq!((status as u8, said.contains("policy")), (3, true), "{said}");
}
