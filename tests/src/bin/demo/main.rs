//! The story of one end-use check, told by the real server and the real agent.
//!
//! Starts `endcheck-server` on a fresh folder, loads `fixtures/`, plays a visit with `endcheck`
//! (the server is stopped while the inspector is on site), syncs, reviews, and says where to look.
//! `PORT` is the port (8080); `ONCE=1` ends after the story.

#![expect(clippy::indexing_slicing, reason = "a field that JSON lacks reads as null, never as a panic")]

mod inspector;
mod stage;

use anyhow::{Context as _, Result, ensure};
use chrono::Datelike as _;
use serde_json::{Value, json};

use inspector::Inspector;
use stage::{Stage, output, string, text};

const ADMIN: &str = "ada.brandt";
const SHIPMENT: &str = "SH-2026-0101";
/// The date that the visit's photographs carry; the demo's copies carry today's instead.
const PHOTO_DATE: &str = "2026:11:23";

fn main() -> Result<()> {
    let stage = Stage::set()?;
    let story = Story::begin(stage)?;
    let stage = story.tell()?;
    if std::env::var_os("ONCE").is_some_and(|once| once == "1") {
        drop(stage);
        say("DEMO OK");
        return Ok(());
    }
    say("Serving until Ctrl-C.");
    stage.serve()
}

#[expect(clippy::print_stdout, reason = "telling is what it does")]
fn say(text: &str) {
    println!("{text}");
}

fn heading(text: &str) {
    say(&format!("\n— {text}"));
}

/// The people, and the visit once it is scheduled.
struct Story {
    stage: Stage,
    password: String,
    manager: String,
    investigator: String,
    visit: String,
}

impl Story {
    fn begin(mut stage: Stage) -> Result<Self> {
        let password = format!("demo-{}", endcheck_protocol::ids::UserId::mint().as_str().split_at(24).1);
        let mut add = stage.command("endcheck-server");
        add.args([
            "user",
            "add",
            "--login",
            ADMIN,
            "--name",
            "Ada Brandt",
            "--role",
            "admin",
            "--role",
            "manager",
        ]);
        output(add.env("ENDCHECK_PASSWORD", &password))?;
        for (kind, file) in [
            ("parties", "parties.csv"),
            ("sites", "sites.geojson"),
            ("licences", "licences.json"),
            ("shipments", "shipments.json"),
        ] {
            let said = stage.server_says(&["import", kind, &text(&stage.fixture(file))])?;
            say(&format!("import {kind}: {}", said.trim()));
        }
        stage.start()?;
        let admin = stage.sign_in(ADMIN, &password)?;
        for user in stage.json("users.json")?.as_array().into_iter().flatten() {
            let mut user = user.clone();
            if let Some(fields) = user.as_object_mut() {
                fields.remove("languages");
                fields.insert("password".to_owned(), json!(password));
            }
            stage.post("/api/v1/users", &admin, &user)?;
        }
        let users = stage.get("/api/v1/users", &admin)?;
        let with_role = |role: &str| -> Vec<(String, String)> {
            let list = users.as_array().or_else(|| users.pointer("/users").and_then(Value::as_array));
            list.into_iter()
                .flatten()
                .filter(|user| user["roles"].as_array().is_some_and(|roles| roles.contains(&json!(role))))
                .map(|user| (string(user, "/login"), string(user, "/id")))
                .collect()
        };
        let first = |role: &str| -> Result<String> {
            with_role(role)
                .into_iter()
                .map(|(login, _)| login)
                .find(|login| login != ADMIN)
                .with_context(|| format!("no {role} in users.json"))
        };
        let manager_login = first("manager")?;
        let investigator_login = first("investigator")?;
        let manager = stage.sign_in(&manager_login, &password)?;
        let investigator = stage.sign_in(&investigator_login, &password)?;
        heading(&format!("{manager_login} opens checks and schedules visits"));
        let inspectors = with_role("inspector");
        let visit = schedule(&stage, &manager, &inspectors)?;
        say(&format!(
            "Sign-in for the pages: {investigator_login} (or {manager_login}), password {password}"
        ));
        Ok(Self { stage, password, manager, investigator, visit })
    }

    fn tell(mut self) -> Result<Stage> {
        let inspector = Inspector::enrol(&self)?;
        heading("On site, no network: headquarters is switched off");
        self.stage.stop();
        inspector.visit(&self.stage)?;
        heading("Back on the network: sync");
        self.stage.start()?;
        say(inspector.run(&["sync"])?.trim());
        let again = inspector.run(&["sync"])?;
        say(&format!("(once more: {})", again.trim().lines().next().unwrap_or_default()));
        self.review()?;
        self.hand_over(&inspector)?;
        self.plan()?;
        let Self { stage, password, .. } = self;
        heading("Where to look");
        say(&format!("  {}   every visit", stage.url("/visits")));
        say(&format!("  {}   the plan", stage.url("/plans")));
        say(&format!("  {}   this one", stage.url(&format!("/visits/{}", self.visit))));
        say(&format!("  {}   the API", stage.url("/api/openapi.json")));
        say(&format!("  password of every demo account: {password}"));
        Ok(stage)
    }

    /// Plans what is still to be visited, for two weeks from the next Monday.
    fn plan(&self) -> Result<()> {
        heading("Who goes where next");
        let run = |arguments: &[&str]| {
            let mut command = self.stage.command("endcheck-server");
            output(command.arg("plan").args(arguments).env("ENDCHECK_PASSWORD", &self.password))
        };
        let roster = text(&self.stage.fixture("roster.toml"));
        let loaded = run(&["roster", &roster, "--login", ADMIN])?;
        say(loaded.lines().next().unwrap_or_default());
        let monday = (today() + chrono::TimeDelta::days(1))
            .iter_days()
            .find(|day| day.weekday() == chrono::Weekday::Mon)
            .context("a Monday comes")?
            .to_string();
        let ask = ["propose", "--first-day", &monday, "--days", "10", "--note", "The next two weeks"];
        let told = run(&[&ask[..], &["--iterations", "3000", "--login", ADMIN]].concat())?;
        for line in told.lines().take(2) {
            say(line);
        }
        if let Some((_, change)) = told.split_once("would do: ") {
            say(&format!("What would let in more: {}", change.lines().next().unwrap_or_default()));
        }
        let id = told.split_once("Plan ").and_then(|(_, rest)| rest.split_once(':')).map(|(id, _)| id);
        say(run(&["replay", id.context("the plan has an id")?])?.trim());
        Ok(())
    }

    fn review(&self) -> Result<()> {
        heading("What headquarters now knows");
        let path = format!("/api/v1/visits/{}", self.visit);
        let dossier = self.stage.get(&path, &self.investigator)?;
        let count = |pointer: &str| dossier.pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len);
        say(&format!(
            "{} is {} ({}): {} records, {} files, {} findings, {} things against a favourable determination",
            string(&dossier, "/visit/site_name"),
            string(&dossier, "/visit/state"),
            string(&dossier, "/visit/outcome"),
            dossier["record_count"],
            count("/files"),
            count("/findings"),
            count("/obstacles"),
        ));
        for item in dossier["items"].as_array().into_iter().flatten() {
            say(&format!(
                "  item {}: {} (serial same: {})",
                string(item, "/declared_serial"),
                string(item, "/status"),
                item["serial_matches"]
            ));
        }
        for file in dossier["files"].as_array().into_iter().flatten().filter(|file| file["kind"] == "photo") {
            say(&format!(
                "  photo {}: {}; device {}",
                string(file, "/name"),
                string(file, "/photo_position/verdict_text"),
                string(file, "/device_position/verdict_text"),
            ));
        }
        ensure!(string(&dossier, "/visit/state") == "closed", "the visit is not closed at headquarters");
        let held =
            dossier["files"].as_array().is_some_and(|files| files.iter().all(|f| f["state"] == "stored"));
        ensure!(held, "a file is missing at headquarters");
        let made = self.stage.created(
            &format!("{path}/determinations"),
            &self.investigator,
            &json!({ "outcome": "favourable",
                     "reason": "Both amplifiers were seen with their serials; use and keeping are as licensed." }),
        )?;
        say(&format!("Determination: {} (log entry {})", string(&made, "/outcome"), made["log_index"]));
        Ok(())
    }
}

impl Story {
    /// The case leaves headquarters, and somebody who has nothing but two published keys verifies it.
    fn hand_over(&self, inspector: &Inspector) -> Result<()> {
        heading("The case, for somebody who trusts nobody");
        let [archive, policy] = ["case.tar", "policy"].map(|name| text(&self.stage.folder.join(name)));
        let why = "The court asked for it.";
        say(self.stage.server_says(&["export", &self.visit, "--why", why, "--out", &archive])?.trim());
        let published =
            self.stage.http.get(self.stage.url("/log/policy")).call()?.into_body().read_to_string()?;
        std::fs::write(&policy, published)?;
        let verified = inspector.run(&["verify", &archive, "--policy", &policy])?;
        say(verified.trim().lines().last().unwrap_or_default());
        Ok(())
    }
}

/// Opens the check that the story is about and a few more, and gives each visit an inspector.
fn schedule(stage: &Stage, manager: &str, inspectors: &[(String, String)]) -> Result<String> {
    let mut shipments = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = stage.get(&format!("/api/v1/shipments?limit=100{cursor}"), manager)?;
        shipments.extend(page["items"].as_array().into_iter().flatten().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let today = today();
    let mut story = None;
    for (number, shipment) in shipments.iter().enumerate() {
        let key = string(shipment, "/key");
        let told = key == SHIPMENT;
        // A visit on a fortnight's spread of days, one in five without an inspector yet.
        let days = i64::try_from(number % 14)? - 3;
        let day = if told { today } else { today + chrono::TimeDelta::days(days) };
        let check = stage.created(
            "/api/v1/checks",
            manager,
            &json!({
                "shipment": shipment["id"], "kind": "post_shipment", "trigger": if told { "licence_condition" } else { "tip" },
                "reason": if told { "The licence asks for both amplifiers to be seen within nine months of arrival." }
                          else { "Chosen for the quarter: the item's tier and the destination." },
                "due_at": format!("{}T23:00:00Z", day + chrono::TimeDelta::days(if told { 7 } else { 0 })),
            }),
        )?;
        let inspector = match (told, number % 5) {
            (true, _) => inspectors.iter().find(|(login, _)| login == "iris.holm"),
            (false, 0) => None,
            (false, n) => inspectors.get(n % inspectors.len().max(1)),
        };
        let visit = stage.created(
            "/api/v1/visits",
            manager,
            &json!({
                "check": check["id"], "inspector": inspector.map(|(_, id)| id),
                "window_start": format!("{day}T{}", if told { "00:00" } else { "08:30" }),
                "window_end": format!("{day}T{}", if told { "23:59" } else { "12:00" }),
            }),
        )?;
        if told {
            story = Some(string(&visit, "/id"));
        }
    }
    say(&format!("{} checks opened, as many visits scheduled", shipments.len()));
    let visit = story.with_context(|| format!("{SHIPMENT} is not in the programme"))?;
    stage.created(&format!("/api/v1/visits/{visit}/announce"), manager, &json!({}))?;
    Ok(visit)
}

#[expect(clippy::disallowed_methods, reason = "the demo lives in the present")]
fn today() -> chrono::NaiveDate {
    chrono::Utc::now().date_naive()
}
