//! The real server in this process, on a free port, with a clock that the test moves.

use std::ops::Deref;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use age::secrecy::ExposeSecret as _;
use endcheck_server::app::{self, App};
use endcheck_server::audit::{self, Audit};
use endcheck_server::clock::Clock;
use endcheck_server::config::{Config, Settings};
use endcheck_server::db::Conn;
use endcheck_server::error::Result;

use crate::process::program;
use crate::{DatabaseKind, Http, TestDatabase};

/// A running server. It answers requests as [`Http`]; when it is dropped it stops, and the test
/// fails if its log does not verify.
pub struct TestServer {
    http: Http,
    app: Option<Arc<App>>,
    handle: actix_web::dev::ServerHandle,
    thread: Option<JoinHandle<()>>,
    escrow: age::x25519::Identity,
    damaged: bool,
    // Dropped last, in this order.
    database: TestDatabase,
    data: tempfile::TempDir,
}

impl TestServer {
    /// A server on the database of this run.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on(DatabaseKind::of_this_run(), |_| {})
    }

    /// A server with other settings.
    #[must_use]
    pub fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_on(DatabaseKind::of_this_run(), change)
    }

    /// A server on that kind of database, with other settings.
    #[must_use]
    pub fn start_on(kind: DatabaseKind, change: impl FnOnce(&mut Config)) -> Self {
        let database = TestDatabase::new(kind);
        let data = tempfile::tempdir().expect("a temporary folder");
        let escrow = age::x25519::Identity::generate();
        let mut config = settings(&data, &database, &escrow).over(Settings::default());
        change(&mut config);
        let app = App::open(config, Clock::default()).expect("the server opens");
        let (started, starting) = mpsc::channel();
        let served = Arc::clone(&app);
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let (server, address) = app::listen(served).expect("the server listens");
                started.send((server.handle(), address)).expect("the test waits");
                server.await.expect("the server ends well");
            });
        });
        let (handle, address) = starting.recv().expect("the server started");
        let http = Http::new(format!("http://{address}"));
        Self { http, app: Some(app), handle, thread: Some(thread), escrow, damaged: false, database, data }
    }

    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        self.app.as_ref().expect("the server is running")
    }

    /// The clock of the server; `advance` moves it.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.app().clock
    }

    #[must_use]
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    #[must_use]
    pub fn data_folder(&self) -> &std::path::Path {
        self.data.path()
    }

    /// The identity that the escrow officer holds, to open what devices sealed.
    #[must_use]
    pub fn escrow(&self) -> &age::x25519::Identity {
        &self.escrow
    }

    /// The escrow identity as text, for command lines.
    #[must_use]
    pub fn escrow_text(&self) -> String {
        self.escrow.to_string().expose_secret().to_owned()
    }

    /// Calls a slice directly, in one write transaction, for what no route does.
    ///
    /// # Errors
    /// Whatever `work` answers.
    pub fn write<T>(&self, work: impl FnOnce(&mut Conn) -> Result<T>) -> Result<T> {
        self.app().connection()?.write(work)
    }

    /// Asserts what must hold of every server at any time: its log verifies, and every row that the log
    /// commits to is what it commits to. Returns the log's size.
    #[track_caller]
    pub fn check(&self) -> u64 {
        let audit = self.audit();
        assert!(audit.holds(), "{}", audit.told());
        audit.entries
    }

    /// What an audit finds.
    #[track_caller]
    #[must_use]
    pub fn audit(&self) -> Audit {
        let mut conn = self.app().connection().expect("a connection");
        audit::run(&mut conn).expect("the database can be read")
    }

    /// Runs `endcheck-server` itself on this server's database and files.
    #[must_use]
    pub fn run_program(&self, arguments: &[&str]) -> std::process::Output {
        std::process::Command::new(program("endcheck-server"))
            .arg("--data")
            .arg(self.data_folder())
            .args(["--database-url", self.database.url()])
            .args(["--escrow-recipient", &self.escrow.to_public().to_string()])
            .args(arguments)
            .output()
            .expect("the program runs")
    }

    /// For a test that damages the database: nothing is checked when the server stops.
    pub fn damaged(&mut self) {
        self.damaged = true;
    }

    fn stop(&mut self) {
        // The command is sent at once; the future would only wait for the end, as the join does.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server's thread panicked");
        }
    }
}

/// The settings of a server under test: quick to start, a free port, nothing from the environment.
pub(crate) fn settings(
    data: &tempfile::TempDir,
    database: &TestDatabase,
    escrow: &age::x25519::Identity,
) -> Settings {
    Settings {
        data: Some(data.path().to_path_buf()),
        database_url: Some(database.url().to_owned()),
        database_connections: Some(4),
        listen: Some(([127, 0, 0, 1], 0).into()),
        escrow_recipient: Some(escrow.to_public().to_string()),
        ..Settings::default()
    }
}

impl Deref for TestServer {
    type Target = Http;

    fn deref(&self) -> &Http {
        &self.http
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop();
        if !std::thread::panicking() && !self.damaged {
            self.check();
        }
        self.app = None;
    }
}
