//! The real `endcheck-server` program as a child, for what only a killed process shows.
//!
//! It is killed with SIGKILL, never asked to stop, and starts again on the same folder, database and
//! port.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::server::settings;
use crate::{DatabaseKind, Http, TestDatabase};

/// How long a start may take, with migrations on a busy machine.
pub(crate) const START_WITHIN: Duration = Duration::from_secs(60);

/// What a program wrote to standard error.
pub(crate) type Words = Arc<Mutex<Vec<String>>>;

/// A server program that can be killed.
pub struct ServerProcess {
    http: Http,
    address: SocketAddr,
    child: Option<Child>,
    words: Words,
    /// Of `serve`, beyond those of every test.
    arguments: Vec<String>,
    escrow: age::x25519::Identity,
    database: Arc<TestDatabase>,
    data: Arc<tempfile::TempDir>,
}

impl ServerProcess {
    /// Starts the program on the database of this run.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on(DatabaseKind::of_this_run())
    }

    /// Starts the program on that kind of database.
    #[must_use]
    pub fn start_on(kind: DatabaseKind) -> Self {
        Self::start_with(kind, &[])
    }

    /// Starts the program with more arguments of `serve`.
    #[must_use]
    pub fn start_with(kind: DatabaseKind, arguments: &[String]) -> Self {
        let database = TestDatabase::new(kind);
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut process = Self {
            http: Http::new(""),
            address: ([127, 0, 0, 1], 0).into(),
            child: None,
            words: Words::default(),
            arguments: arguments.to_vec(),
            escrow: age::x25519::Identity::generate(),
            database: Arc::new(database),
            data: Arc::new(data),
        };
        process.start_again();
        process
    }

    /// Starts another process of the same server: on its database, its folder, with its arguments.
    #[must_use]
    pub fn another(&self) -> Self {
        let mut process = Self {
            http: Http::new(""),
            address: ([127, 0, 0, 1], 0).into(),
            child: None,
            words: Words::default(),
            arguments: self.arguments.clone(),
            escrow: self.escrow.clone(),
            database: Arc::clone(&self.database),
            data: Arc::clone(&self.data),
        };
        process.start_again();
        process
    }

    /// Sends it a signal by name, such as `STOP` and `CONT`.
    pub fn signal(&self, name: &str) {
        let id = self.id().expect("the server is running");
        let sent = Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status();
        assert!(sent.expect("kill").success(), "SIG{name}");
    }

    /// The arguments of the next start.
    pub fn set_arguments(&mut self, arguments: &[String]) {
        self.arguments = arguments.to_vec();
    }

    /// Starts the program after a kill, where it was.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "the server is running already");
        let mut child = self
            .command("serve")
            .arg("--listen")
            .arg(self.address.to_string())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{} does not start: {error}", program("endcheck-server").display())
            });
        let listening = listen_to(child.stderr.take().expect("its words"), Arc::clone(&self.words));
        let Ok(address) = listening.recv_timeout(START_WITHIN) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the server did not say where it is listening:\n{}", self.words());
        };
        self.child = Some(child);
        self.address = address;
        self.http = Http::new(format!("http://{address}"));
    }

    /// Another command of the same program on the same data: `import`, `user`.
    #[must_use]
    pub fn command(&self, verb: &str) -> Command {
        let settings = settings(&self.data, &self.database, &self.escrow);
        let mut command = server_command();
        command
            .arg(verb)
            .arg("--data")
            .arg(self.data.path())
            .args(["--database-url", self.database.url()])
            .args(["--escrow-recipient", &settings.escrow_recipient.expect("an escrow recipient")]);
        command
    }

    /// Kills the program with SIGKILL; nothing of it is running when this returns.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("SIGKILL");
            child.wait().expect("its end");
        }
    }

    /// The program's id while it runs, to kill it from another thread or read its memory use.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The most memory that the process ever held, in KiB.
    #[must_use]
    pub fn most_resident_kib(&self) -> u64 {
        let id = self.id().expect("the server is running");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("its status");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("the line VmHWM");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    #[must_use]
    pub fn data_folder(&self) -> &std::path::Path {
        self.data.path()
    }

    #[must_use]
    pub fn escrow(&self) -> &age::x25519::Identity {
        &self.escrow
    }

    /// What it wrote to standard error, over all its starts.
    #[must_use]
    pub fn words(&self) -> String {
        self.words.lock().expect("its words").join("\n")
    }

    /// Asserts that its log verifies. Returns the log's size.
    #[track_caller]
    pub fn check(&self) -> u64 {
        self.database.log_size()
    }
}

impl Deref for ServerProcess {
    type Target = Http;

    fn deref(&self) -> &Http {
        &self.http
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the server's last words:\n{}", self.words());
        } else {
            self.check();
        }
    }
}

/// The server program, with nothing from the environment.
pub(crate) fn server_command() -> Command {
    let mut command = Command::new(program("endcheck-server"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ENDCHECK_") {
            command.env_remove(name);
        }
    }
    command
}

/// Where a program of this workspace was built: beside the running test.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this program");
    test.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!(
                "{name} is not built beside {}: run `cargo build --workspace --all-targets`",
                test.display()
            )
        })
}

/// Collects what a server says, and passes on where it says that it listens.
pub(crate) fn listen_to(stderr: ChildStderr, words: Words) -> mpsc::Receiver<SocketAddr> {
    let (found, listening) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some(address) = listening_address(&line) {
                // A second such line is of no interest to anybody.
                let _ = found.send(address);
            }
            words.lock().expect("its words").push(line);
        }
    });
    listening
}

/// The address in a line such as `listening on http://127.0.0.1:41234`.
fn listening_address(line: &str) -> Option<SocketAddr> {
    line.contains("listening").then_some(())?;
    line.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'))
        .map(|word| word.trim_matches([':', '.']))
        .find_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_every_kind_of_line() {
        for line in [
            "listening on http://127.0.0.1:41234",
            "2026-08-01T10:00:00.123456Z  INFO endcheck_server: listening address=127.0.0.1:41234",
            r#"{"timestamp":"2026-08-01T10:00:00Z","fields":{"message":"listening","address":"127.0.0.1:41234"}}"#,
        ] {
            assert_eq!(listening_address(line), Some(([127, 0, 0, 1], 41234).into()), "{line}");
        }
        assert_eq!(listening_address("migrated 127.0.0.1:41234"), None);
        assert_eq!(listening_address("listening soon, at 10:00"), None);
    }
}
