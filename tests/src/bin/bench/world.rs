//! A server with the demo programme, people and one inspector: what most figures start from.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use endcheck_tests::process::program;
use endcheck_tests::{DatabaseKind, Http, ServerProcess, workspace_root};
use serde_json::{Value, json};

use crate::measure::now;
use crate::programs::run;

const PASSWORD: &str = "a password for measuring";

/// The running program with a programme in it.
pub struct World {
    pub server: ServerProcess,
    /// Signed in as an administrator who is a manager too.
    pub manager: Http,
    pub inspector: String,
}

impl World {
    /// Starts a server on that kind of database and fills it from `fixtures/`.
    ///
    /// # Errors
    /// When a program fails or the server refuses.
    pub fn start(kind: DatabaseKind) -> anyhow::Result<Self> {
        let server = ServerProcess::start_on(kind);
        let mut add = server.command("user");
        add.args(["add", "--login", "manager", "--name", "Manager", "--role", "admin", "--role", "manager"]);
        run(add.env("ENDCHECK_PASSWORD", PASSWORD))?;
        for (what, file) in [
            ("parties", "parties.csv"),
            ("sites", "sites.geojson"),
            ("licences", "licences.json"),
            ("shipments", "shipments.json"),
        ] {
            run(server.command("import").arg(what).arg(workspace_root().join("fixtures").join(file)))?;
        }
        let token = server
            .post("/api/v1/auth/login", &json!({ "login": "manager", "password": PASSWORD }))
            .expect_json(200);
        let manager = server.with_token(text(&token, "access_token"));
        let inspector = manager
            .post(
                "/api/v1/users",
                &json!({ "login": "inspector", "name": "Inspector", "password": PASSWORD, "roles": ["inspector"] }),
            )
            .expect_json(201);
        let inspector = text(&inspector, "id").to_owned();
        Ok(Self { server, manager, inspector })
    }

    /// A one-time code for a device of the inspector.
    #[must_use]
    pub fn enrolment_code(&self) -> String {
        let path = format!("/api/v1/users/{}/enrolment-codes", self.inspector);
        text(&self.manager.post(&path, &json!({})).expect_json(201), "code").to_owned()
    }

    /// A visit of the inspector, today, at the site of the first shipment.
    ///
    /// # Errors
    /// When the programme is empty.
    pub fn schedule_visit(&self) -> anyhow::Result<String> {
        let shipments = self.manager.get("/api/v1/shipments?limit=1").expect_json(200);
        let shipment = shipments.pointer("/items/0/id").context("a shipment in the programme")?;
        let check = self
            .manager
            .post(
                "/api/v1/checks",
                &json!({ "shipment": shipment, "kind": "post_shipment", "trigger": "tip",
                         "reason": "Chosen for a measurement.", "due_at": "2099-01-01T00:00:00Z" }),
            )
            .expect_json(201);
        let today = now().date_naive();
        let visit = self
            .manager
            .post(
                "/api/v1/visits",
                &json!({ "check": check.get("id"), "inspector": self.inspector,
                         "window_start": format!("{today}T00:00"),
                         "window_end": format!("{}T23:59", today + chrono::TimeDelta::days(1)) }),
            )
            .expect_json(201);
        Ok(text(&visit, "id").to_owned())
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The real agent with a store of its own.
pub struct Agent {
    home: tempfile::TempDir,
}

impl Agent {
    /// An agent that is enrolled at `base_url` and has fetched the inspector's visits.
    ///
    /// # Errors
    /// When it cannot.
    pub fn enrolled(base_url: &str, code: &str) -> anyhow::Result<Self> {
        let agent = Self { home: tempfile::tempdir()? };
        agent.run(&["enrol", base_url, "--code", code])?;
        agent.run(&["pull"])?;
        Ok(agent)
    }

    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("endcheck"));
        command
            .args(arguments)
            .env("ENDCHECK_HOME", self.home.path().join("store"))
            .env("ENDCHECK_PASSPHRASE", "a passphrase for measuring");
        command
    }

    /// # Errors
    /// When the agent refuses.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        Ok(String::from_utf8(run(&mut self.command(arguments))?)?)
    }

    /// A place for files that the agent takes in.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }
}
