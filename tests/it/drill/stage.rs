//! The stage of the drill: the real server, a link that can be cut, an enrolled device, open visits.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use endcheck_tests::process::program;
use endcheck_tests::{Http, Link, Relay, ServerProcess, workspace_root};
use serde_json::{Value, json};

const SHIPMENT: &str = "SH-2026-0101";
const LOGIN: &str = "drill";
const PASSWORD: &str = "a password for drills";
const VISITS: usize = 6;
/// Fast enough not to wait for, slow enough that files are under way for some time.
const LINE_BITS_PER_S: u64 = 24_000_000;

pub struct Stage {
    pub server: ServerProcess,
    pub relay: Relay,
    pub visits: Vec<String>,
    /// Those of them that the device has open.
    pub open: Vec<String>,
    pub folder: tempfile::TempDir,
    agent: PathBuf,
}

impl Stage {
    /// A server with the demo programme, and a device on which every visit is open.
    pub fn set() -> Self {
        let server = ServerProcess::start();
        say(server
            .command("user")
            .args(["add", "--login", LOGIN, "--name", "Dora Rill"])
            .args(["--role", "admin", "--role", "manager", "--role", "inspector"])
            .env("ENDCHECK_PASSWORD", PASSWORD));
        for (kind, file) in [
            ("parties", "parties.csv"),
            ("sites", "sites.geojson"),
            ("licences", "licences.json"),
            ("shipments", "shipments.json"),
        ] {
            say(server.command("import").arg(kind).arg(workspace_root().join("fixtures").join(file)));
        }
        let link = Link { rate_bits_per_s: Some(LINE_BITS_PER_S), ..Link::default() };
        let relay = Relay::start(server.address(), link);
        let folder = tempfile::tempdir().unwrap();
        let mut stage =
            Self { server, relay, visits: Vec::new(), open: Vec::new(), folder, agent: program("endcheck") };
        let (code, _) = stage.schedule();
        stage.must(&["enrol", &stage.relay.base_url(), "--code", &code]);
        stage.must(&["pull"]);
        for visit in &stage.visits {
            stage.must(&["open", visit]);
        }
        stage.look_at_visits();
        stage
    }

    /// As many visits again, open on the device.
    pub fn more_visits(&mut self) {
        let (_, fresh) = self.schedule();
        self.must(&["pull"]);
        for visit in &fresh {
            self.must(&["open", visit]);
        }
        self.look_at_visits();
    }

    /// Asks the device which visits it has open.
    pub fn look_at_visits(&mut self) {
        let open =
            |line: Value| (line["state"] == "open").then(|| line["visit"].as_str().unwrap().to_owned());
        self.open = self.must(&["visits"]).into_iter().filter_map(open).collect();
    }

    /// A client that is signed in as manager.
    pub fn manager(&self) -> Http {
        let answer = self.server.post("/api/v1/auth/login", &json!({ "login": LOGIN, "password": PASSWORD }));
        self.server.with_token(answer.expect_json(200)["access_token"].as_str().unwrap())
    }

    /// Schedules visits; answers an enrolment code for their inspector, and which they are.
    fn schedule(&mut self) -> (String, Vec<String>) {
        let http = self.manager();
        let users = http.get("/api/v1/users").expect_json(200);
        let users = users.as_array().or_else(|| users["users"].as_array()).unwrap();
        let inspector = users.iter().find(|user| user["login"] == LOGIN).unwrap()["id"].clone();
        let shipments = http.get("/api/v1/shipments?limit=100").expect_json(200);
        let shipments = shipments["items"].as_array().unwrap();
        let shipment = shipments.iter().find(|shipment| shipment["key"] == SHIPMENT).unwrap();
        let today = endcheck_server::clock::Clock::default().now().day();
        let until = today + chrono::TimeDelta::days(3);
        let created = |path: &str, body: &Value| -> Value {
            let answer = http.post(path, body);
            assert!((200..300).contains(&answer.status), "{path}: {}", answer.text());
            answer.json()
        };
        let check = created(
            "/api/v1/checks",
            &json!({ "shipment": shipment["id"], "kind": "post_shipment", "trigger": "tip",
                     "reason": "To be drilled.", "due_at": format!("{until}T23:00:00Z") }),
        );
        let fresh: Vec<String> = (0..VISITS)
            .map(|_| {
                let visit = created(
                    "/api/v1/visits",
                    &json!({ "check": check["id"], "inspector": inspector,
                             "window_start": format!("{today}T00:00"), "window_end": format!("{until}T12:00") }),
                );
                visit["id"].as_str().unwrap().to_owned()
            })
            .collect();
        self.visits.extend(fresh.clone());
        let path = format!("/api/v1/users/{}/enrolment-codes", inspector.as_str().unwrap());
        (created(&path, &json!({}))["code"].as_str().unwrap().to_owned(), fresh)
    }

    pub fn home(&self) -> PathBuf {
        self.folder.path().join("device")
    }

    /// A command of the agent, that nobody sits at.
    pub fn agent(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.agent);
        command
            .arg("--json")
            .args(arguments)
            .env("ENDCHECK_HOME", self.home())
            .env("ENDCHECK_PASSPHRASE", "a passphrase for drills")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// What a command of the agent reports, which nothing keeps from its end.
    pub fn must(&self, arguments: &[&str]) -> Vec<Value> {
        let done = self.agent(arguments).output().unwrap();
        assert!(done.status.success(), "{arguments:?} failed: {}", words(&done));
        reports(&done)
    }

    /// Starts the server again after it was killed.
    pub fn start_again(&mut self) {
        self.server.start_again();
        self.relay.set_upstream(self.server.address());
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Else the kernel keeps the store's key for some hours.
        drop(self.agent(&["lock"]).output());
    }
}

fn say(command: &mut Command) {
    let done = command.stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", words(&done));
}

/// Everything a command printed.
pub fn words(done: &Output) -> String {
    format!(
        "{}\n{}{}",
        done.status,
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    )
}

/// The whole lines that a command printed; a kill may have cut the last one short.
pub fn reports(done: &Output) -> Vec<Value> {
    done.stdout
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| line.ends_with(b"\n"))
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

/// Files below a folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}
