//! Bags: what leaves headquarters proves itself, to our verifier and to tools that others wrote; whatever
//! somebody changes in it, or in the database before it is made, is caught.

mod changes;
mod insider;
mod judges;
mod whole;

use std::path::{Path, PathBuf};

use endcheck::ExitStatus;
use endcheck_tests::Answer;
use serde_json::{Value, json};

use crate::office::{Office, fixture, text};
use crate::tablet::{Said, Tablet};

pub const SHIPMENT: &str = "SH-2026-0101";

/// A visit that was made, handed in, determined, determined otherwise and approved.
pub struct Case {
    pub office: Office,
    pub tablet: Tablet,
    pub visit: String,
    pub folder: tempfile::TempDir,
}

impl Case {
    pub fn new() -> Self {
        let office = Office::with_programme();
        let tablet = Tablet::enrolled(&office, &office.iris);
        let visit = visited(&office, &tablet, "The gate was open.");
        let first = json!({ "outcome": "unverified", "reason": "One item was not shown." });
        let first = text(&office.determine(&visit, &first).expect_json(201), "/id");
        let second = json!({ "outcome": "unfavourable", "reasons": ["discrepancy"], "reason": "Another serial.",
            "replaces": first });
        let second = text(&office.determine(&visit, &second).expect_json(201), "/id");
        let approval = format!("/api/v1/determinations/{second}/approve");
        let _approved = office.as_person(&office.omar).post(&approval, &json!({})).expect(200);
        let case = Self { office, tablet, visit, folder: tempfile::tempdir().unwrap() };
        std::fs::write(case.policy(), case.office.server.get("/log/policy").expect(200).text()).unwrap();
        case
    }

    pub fn policy(&self) -> PathBuf {
        self.folder.path().join("policy")
    }

    /// The bag as an answer; `query` without the reason.
    pub fn exported(&self, query: &str) -> Answer {
        export(&self.office, &self.visit, query)
    }

    /// The bag, unpacked; answers its folder.
    pub fn unpacked(&self, name: &str) -> PathBuf {
        unpack(&self.exported("").body, &self.folder.path().join(name))
    }

    pub fn verify(&self, bag: &Path) -> Said {
        self.verify_as(bag, &[])
    }

    pub fn verify_as(&self, bag: &Path, flags: &[&str]) -> Said {
        let (bag, policy) = (bag.display().to_string(), self.policy().display().to_string());
        self.tablet.run(&[flags, &["verify", &bag, "--policy", &policy]].concat())
    }

    /// The checks that do not hold, each as `check: evidence`.
    pub fn complaints(&self, bag: &Path) -> Vec<String> {
        let said = self.verify_as(bag, &["--json"]);
        said.output
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|line| line["check"].is_string() && line["outcome"] != "holds")
            .map(|line| format!("{}: {}", text(&line, "/check"), text(&line, "/evidence")))
            .collect()
    }

    #[track_caller]
    pub fn holds(&self, bag: &Path) {
        let said = self.verify(bag);
        assert_eq!(said.status, ExitStatus::Success, "{}{}", said.output, said.errors);
    }
}

/// A short visit by the agent, handed in and looked into.
pub fn visited(office: &Office, tablet: &Tablet, words: &str) -> String {
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let walk = fixture("visit/walk.nmea").display().to_string();
    // So that it holds a state of the log before the visit.
    tablet.done(&["sync"]);
    tablet.done(&["pull"]);
    tablet.done(&["open", &visit, "--nmea", &walk]);
    tablet.done(&["note", words]);
    for photo in ["04-bench.webp", "03-mast-outside-fence.jpg"] {
        tablet.done(&["capture", &fixture("photos").join(photo).display().to_string(), "--nmea", &walk]);
    }
    tablet.done(&["close", "partial", "--note", "Called away."]);
    tablet.done(&["sync"]);
    office.tick();
    visit
}

pub fn export(office: &Office, visit: &str, query: &str) -> Answer {
    let path = format!("/api/v1/visits/{visit}/bundle?why=For+the+court.{query}");
    office.investigator().get(&path).expect(200)
}

/// Unpacks an archive; answers the one folder in it.
pub fn unpack(archive: &[u8], target: &Path) -> PathBuf {
    std::fs::create_dir_all(target).unwrap();
    tar::Archive::new(archive).unpack(target).unwrap();
    std::fs::read_dir(target).unwrap().next().unwrap().unwrap().path()
}
