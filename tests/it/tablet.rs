//! The field agent's own program, run in this process on a folder of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use endcheck::{ClockReading, Environment, ExitStatus, PassphraseCost};
use endcheck_server::clock::Clock;
use serde_json::Value;

use crate::office::{Office, Person, fixture, fixture_json, text};

/// An inspector's device. Its clock is the server's.
pub struct Tablet {
    folder: tempfile::TempDir,
    clock: Clock,
}

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Said {
    pub status: ExitStatus,
    pub output: String,
    pub errors: String,
}

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Tablet {
    /// A device that is enrolled for `person`.
    pub fn enrolled(office: &Office, person: &Person) -> Self {
        Self::enrol(office.server.base_url(), &office.code(person), office.server.clock().clone())
    }

    pub fn enrol(server: &str, code: &str, clock: Clock) -> Self {
        let tablet = Self { folder: tempfile::tempdir().unwrap(), clock };
        tablet.done(&["enrol", server, "--code", code, "--name", "tablet"]);
        tablet
    }

    /// The same device twice: a copy of its store, with a clock of its own.
    pub fn copied(&self, clock: Clock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("home/sealed")).unwrap();
        for path in files_below(&self.home()) {
            let name = path.strip_prefix(self.home()).unwrap();
            std::fs::copy(&path, folder.path().join("home").join(name)).unwrap();
        }
        Self { folder, clock }
    }

    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Where its sealed copies lie.
    pub fn sealed_copies(&self) -> usize {
        files_below(&self.home()).iter().filter(|path| is_sealed(path)).count()
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        let (output, errors) = (Paper::default(), Paper::default());
        let clock = self.clock.clone();
        let environment = Environment {
            home: self.home(),
            passphrase: Some("a passphrase of a test".to_owned().into()),
            keyring: false,
            passphrase_cost: PassphraseCost { memory_kib: 8, passes: 1 },
            clock: Arc::new(move || reading(&clock)),
            ends_after: false,
            interactive: false,
            progress: false,
            input: Mutex::new(Box::new(std::io::empty())),
            output: Mutex::new(Box::new(output.clone())),
            errors: Mutex::new(Box::new(errors.clone())),
        };
        let status =
            endcheck::run(std::iter::once("endcheck").chain(arguments.iter().copied()), &environment);
        Said { status, output: output.text(), errors: errors.text() }
    }

    /// Runs a command that must succeed; answers its output.
    #[track_caller]
    pub fn done(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.status, ExitStatus::Success, "{arguments:?}: {}{}", said.output, said.errors);
        said.output
    }

    /// Runs a command that must succeed; answers its JSON lines.
    #[track_caller]
    pub fn lines(&self, arguments: &[&str]) -> Vec<Value> {
        let arguments: Vec<&str> = std::iter::once("--json").chain(arguments.iter().copied()).collect();
        self.done(&arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The one JSON line of a command that must succeed.
    #[track_caller]
    pub fn line(&self, arguments: &[&str]) -> Value {
        let lines = self.lines(arguments);
        assert_eq!(lines.len(), 1, "{arguments:?}: {lines:#?}");
        lines[0].clone()
    }

    /// Runs a command that must be refused; answers why.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.status, ExitStatus::Refused, "{arguments:?}: {}{}", said.output, said.errors);
        said.errors
    }

    /// Records the visit of `fixtures/visit` but for its close; captures whose purpose is `forgotten`
    /// are left out.
    pub fn record_visit(&self, visit: &str, forgotten: &str) {
        let walk = fixture("visit/walk.nmea").display().to_string();
        self.done(&["open", visit, "--nmea", &walk]);
        for capture in fixture_json("visit/captures.json").as_array().unwrap() {
            if capture["purpose"] != forgotten {
                self.capture(capture);
            }
        }
        for item in fixture_json("visit/items.json").as_array().unwrap() {
            let serial = text(item, "/serial");
            let (key, status) = (text(item, "/item"), text(item, "/status"));
            self.done(&["item", &key, &status, "--serial", &serial, "--serial-again", &serial]);
        }
        self.done(&["checklist", "--from", &fixture("visit/answers.json").display().to_string()]);
        let statement = fixture_json("visit/statement.json");
        let field = |name: &str| text(&statement, &format!("/{name}"));
        let (speaker, role, language, words) =
            (field("speaker"), field("role"), field("language"), field("text"));
        let arguments = ["statement", "--by", &speaker, "--role", &role, "--language", &language];
        self.done(&[&arguments[..], &["--text", &words, "--read-back", "--signature", "signed"]].concat());
    }

    /// Takes in one file of `fixtures/visit/captures.json`.
    pub fn capture(&self, capture: &Value) {
        let walk = fixture("visit/walk.nmea").display().to_string();
        let file = fixture(&text(capture, "/file")).display().to_string();
        let mut arguments = vec!["capture".to_owned(), file, "--nmea".to_owned(), walk];
        for field in ["purpose", "question", "item"] {
            if let Some(value) = capture[field].as_str() {
                arguments.extend([format!("--{field}"), value.to_owned()]);
            }
        }
        if capture["kind"] == "document" {
            arguments.push("--document".to_owned());
        }
        self.done(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

fn reading(clock: &Clock) -> ClockReading {
    let device_at = clock.now();
    let monotonic_ns = u64::try_from(device_at.unix_micros()).unwrap() * 1000;
    ClockReading { device_at, boot: "boot-1".to_owned(), monotonic_ns }
}

fn is_sealed(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"age-encryption.org/"))
}

/// Every file below a folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}
