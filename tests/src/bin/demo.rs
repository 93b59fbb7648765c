//! The story of one end-use check, told by the real server and the real agent.
//!
//! Starts `endcheck-server` on a fresh folder, loads `fixtures/`, plays a visit with `endcheck`
//! (the server is stopped while the inspector is on site), syncs, reviews, and says where to look.
//! `PORT` is the port (8080); `ONCE=1` ends after the story.

#![expect(clippy::indexing_slicing, reason = "a field that JSON lacks reads as null, never as a panic")]

use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

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

/// The programs, the folders and the running server.
struct Stage {
    programs: PathBuf,
    fixtures: PathBuf,
    folder: PathBuf,
    port: u16,
    recipient: String,
    server: Option<Child>,
    http: ureq::Agent,
}

impl Stage {
    fn set() -> Result<Self> {
        let programs = std::env::current_exe()?.parent().context("the demo is in a folder")?.to_owned();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").canonicalize()?;
        let folder = fixtures.join("../demo-data");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let folder = folder.canonicalize()?;
        let port = match std::env::var("PORT") {
            Ok(port) => port.parse().with_context(|| format!("PORT={port} is not a port"))?,
            Err(_) => 8080,
        };
        let http = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let mut stage =
            Self { programs, fixtures, folder, port, recipient: String::new(), server: None, http };
        heading("Headquarters is set up");
        let escrow = stage.folder.join("escrow-identity.txt");
        stage.recipient = stage.server_says(&["escrow", &text(&escrow)])?.trim().to_owned();
        say(&format!(
            "An escrow key was made in {}; a real authority makes it on another machine and keeps it there.",
            escrow.display()
        ));
        Ok(stage)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .env("ENDCHECK_DATA", self.folder.join("headquarters"))
            .env("ENDCHECK_ESCROW_RECIPIENT", &self.recipient)
            .env("ENDCHECK_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("ENDCHECK_ORG", "Demo Export Control Authority")
            .env("RUST_LOG", "warn,endcheck_server=info,nom_exif=error");
        command
    }

    fn server_says(&self, arguments: &[&str]) -> Result<String> {
        output(self.command("endcheck-server").args(arguments))
    }

    fn start(&mut self) -> Result<()> {
        let mut child = self
            .command("endcheck-server")
            .arg("serve")
            .stderr(Stdio::piped())
            .spawn()
            .context("endcheck-server does not start")?;
        let stderr = child.stderr.take().context("the server's log")?;
        self.server = Some(child);
        let mut lines = std::io::BufReader::new(stderr).lines();
        let mut seen = String::new();
        for line in lines.by_ref() {
            let line = line?;
            if line.contains("listening") {
                // Its later lines go on to the terminal; nothing of it is lost.
                std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| say(&line)));
                return Ok(());
            }
            seen.push_str(&line);
            seen.push('\n');
        }
        bail!("the server ended at once; is port {} taken? Try PORT=8081.\n{seen}", self.port)
    }

    fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // It is killed on purpose: a server that loses power must lose nothing.
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    fn serve(mut self) -> Result<()> {
        if let Some(server) = self.server.as_mut() {
            server.wait()?;
        }
        Ok(())
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn post(&self, path: &str, token: &str, body: &Value) -> Result<(u16, Value)> {
        let mut answer = self
            .http
            .post(self.url(path))
            .header("Authorization", format!("Bearer {token}"))
            .send_json(body)
            .with_context(|| format!("POST {path}"))?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string()?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    fn created(&self, path: &str, token: &str, body: &Value) -> Result<Value> {
        let (status, answer) = self.post(path, token, body)?;
        ensure!((200..300).contains(&status), "POST {path}: {status} {answer}");
        Ok(answer)
    }

    fn get(&self, path: &str, token: &str) -> Result<Value> {
        let mut answer = self
            .http
            .get(self.url(path))
            .header("Authorization", format!("Bearer {token}"))
            .call()
            .with_context(|| format!("GET {path}"))?;
        let status = answer.status().as_u16();
        let body: Value = answer.body_mut().with_config().limit(64 << 20).read_json()?;
        ensure!(status == 200, "GET {path}: {status} {body}");
        Ok(body)
    }

    fn sign_in(&self, login: &str, password: &str) -> Result<String> {
        let (status, answer) =
            self.post("/api/v1/auth/login", "", &json!({ "login": login, "password": password }))?;
        ensure!(status == 200, "{login} cannot sign in: {answer}");
        Ok(string(&answer, "/access_token"))
    }

    fn fixture(&self, path: &str) -> PathBuf {
        self.fixtures.join(path)
    }

    fn json(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_slice(&std::fs::read(self.fixture(path))?)?)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop();
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn string(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn output(command: &mut Command) -> Result<String> {
    let done =
        command.stdin(Stdio::null()).output().with_context(|| format!("{command:?} does not start"))?;
    let stdout = String::from_utf8_lossy(&done.stdout).into_owned();
    ensure!(
        done.status.success(),
        "{command:?} ended with {}:\n{stdout}{}",
        done.status,
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(stdout)
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
        let Self { stage, password, .. } = self;
        heading("Where to look");
        say(&format!("  {}   every visit", stage.url("/visits")));
        say(&format!("  {}   this one", stage.url(&format!("/visits/{}", self.visit))));
        say(&format!("  {}   the API", stage.url("/api/openapi.json")));
        say(&format!("  password of every demo account: {password}"));
        Ok(stage)
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
                "shipment": shipment["id"], "kind": "post_shipment", "trigger": if told { "licence_condition" } else { "risk" },
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

/// The inspector's device.
struct Inspector {
    program: PathBuf,
    home: PathBuf,
    photos: PathBuf,
    visit: String,
}

impl Inspector {
    fn enrol(story: &Story) -> Result<Self> {
        heading("iris.holm enrols her tablet and takes the visit along");
        let stage = &story.stage;
        let admin = stage.sign_in(ADMIN, &story.password)?;
        let users = stage.get("/api/v1/users", &admin)?;
        let list = users.as_array().or_else(|| users.pointer("/users").and_then(Value::as_array));
        let id = list
            .into_iter()
            .flatten()
            .find(|user| user["login"] == "iris.holm")
            .map(|user| string(user, "/id"))
            .context("iris.holm is in users.json")?;
        let code =
            stage.created(&format!("/api/v1/users/{id}/enrolment-codes"), &story.manager, &json!({}))?;
        let inspector = Self {
            program: stage.programs.join("endcheck"),
            home: stage.folder.join("tablet"),
            photos: stage.folder.join("camera"),
            visit: story.visit.clone(),
        };
        let code = string(&code, "/code");
        say(inspector.run(&["enrol", &stage.url("/"), "--code", &code, "--name", "Iris's tablet"])?.trim());
        say(inspector.run(&["pull"])?.trim());
        copy_photos(&stage.fixtures, &inspector.photos)?;
        Ok(inspector)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env("ENDCHECK_HOME", &self.home)
            .env("ENDCHECK_PASSPHRASE", "a demo passphrase");
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        output(&mut self.command(arguments))
    }

    fn visit(&self, stage: &Stage) -> Result<()> {
        let walk = text(&self.photos.join("walk.nmea"));
        walk_now(&stage.fixture("visit/walk.nmea"), Path::new(&walk))?;
        let sign = text(&self.photos.join("photos/02-sign.jpg"));
        say(self.run(&["inspect", &sign])?.trim());
        say(self.run(&["open", &self.visit, "--nmea", &walk])?.trim());
        let captures = stage.json("visit/captures.json")?;
        let captures: Vec<&Value> = captures.as_array().into_iter().flatten().collect();
        // The access list is forgotten at first, so that closing can be seen to refuse.
        let (forgotten, taken): (Vec<&Value>, Vec<&Value>) =
            captures.into_iter().partition(|capture| capture["purpose"] == "access-list");
        for capture in &taken {
            self.capture(capture, &walk)?;
        }
        say(&format!("{} files captured, each sealed to headquarters and escrow", taken.len()));
        for item in stage.json("visit/items.json")?.as_array().into_iter().flatten() {
            let serial = string(item, "/serial");
            let (key, status) = (string(item, "/item"), string(item, "/status"));
            self.run(&[
                "item",
                &key,
                &status,
                "--serial",
                &serial,
                "--serial-again",
                &serial,
                "--nmea",
                &walk,
            ])?;
        }
        let answers = text(&stage.fixture("visit/answers.json"));
        say(self
            .run(&["checklist", "--from", &answers, "--nmea", &walk])?
            .trim()
            .lines()
            .last()
            .unwrap_or_default());
        let statement = stage.json("visit/statement.json")?;
        let field = |name: &str| string(&statement, &format!("/{name}"));
        self.run(&[
            "statement",
            "--by",
            &field("speaker"),
            "--role",
            &field("role"),
            "--language",
            &field("language"),
            "--text",
            &field("text"),
            "--read-back",
            "--signature",
            "signed",
            "--nmea",
            &walk,
        ])?;
        let refused = self.command(&["close", "completed"]).stdin(Stdio::null()).output()?;
        ensure!(!refused.status.success(), "close must refuse while evidence is missing");
        say("close completed is refused:");
        say(String::from_utf8_lossy(&refused.stderr).trim());
        for capture in &forgotten {
            self.capture(capture, &walk)?;
        }
        say(self.run(&["close", "completed", "--nmea", &walk])?.trim());
        Ok(())
    }

    fn capture(&self, capture: &Value, walk: &str) -> Result<()> {
        let file = text(&self.photos.join(string(capture, "/file")));
        let mut arguments = vec!["capture".to_owned(), file, "--nmea".to_owned(), walk.to_owned()];
        for field in ["purpose", "question", "item"] {
            if let Some(value) = capture[field].as_str() {
                arguments.extend([format!("--{field}"), value.to_owned()]);
            }
        }
        if capture["kind"] == "document" {
            arguments.push("--document".to_owned());
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.run(&arguments).map(|_| ())
    }
}

/// Copies the visit's files to the camera, the date of the visit in their EXIF replaced by today's:
/// same length, nothing else changed.
fn copy_photos(fixtures: &Path, camera: &Path) -> Result<()> {
    let date = today().format("%Y:%m:%d").to_string();
    for folder in ["photos", "visit/documents"] {
        std::fs::create_dir_all(camera.join(folder))?;
        for entry in std::fs::read_dir(fixtures.join(folder))? {
            let entry = entry?;
            let mut bytes = std::fs::read(entry.path())?;
            let mut from = 0;
            while let Some(at) = find(bytes.get(from..).unwrap_or_default(), PHOTO_DATE.as_bytes()) {
                if let Some(place) = bytes.get_mut(from + at..from + at + PHOTO_DATE.len()) {
                    place.copy_from_slice(date.as_bytes());
                }
                from += at + PHOTO_DATE.len();
            }
            std::fs::write(camera.join(folder).join(entry.file_name()), bytes)?;
        }
    }
    Ok(())
}

/// Writes the walk's NMEA log as if it were walked now: times and dates moved, checksums made anew.
#[expect(clippy::disallowed_methods, reason = "the demo lives in the present")]
fn walk_now(from: &Path, to: &Path) -> Result<()> {
    let log = std::fs::read_to_string(from)?;
    let seconds = |line: &str| -> Option<i64> {
        let time = line.split(',').nth(1)?;
        let part = |range: std::ops::Range<usize>| time.get(range)?.parse::<i64>().ok();
        Some(part(0..2)? * 3600 + part(2..4)? * 60 + part(4..6)?)
    };
    let timed = |line: &&str| ["RMC", "GGA", "GST"].iter().any(|kind| line.get(3..6) == Some(kind));
    let last = log.lines().filter(timed).filter_map(seconds).max().context("the walk has times")?;
    let mut moved = String::new();
    for line in log.lines() {
        let Some(at) = seconds(line).filter(|_| timed(&line)) else {
            moved.push_str(line);
            moved.push('\n');
            continue;
        };
        let at = chrono::Utc::now() - chrono::TimeDelta::seconds(last - at);
        let body = line.trim_start_matches('$').split('*').next().unwrap_or_default();
        let mut fields: Vec<String> = body.split(',').map(str::to_owned).collect();
        if let Some(time) = fields.get_mut(1) {
            *time = at.format("%H%M%S.00").to_string();
        }
        if line.get(3..6) == Some("RMC")
            && let Some(date) = fields.get_mut(9)
        {
            *date = at.format("%d%m%y").to_string();
        }
        let body = fields.join(",");
        let checksum = body.bytes().fold(0, |sum, byte| sum ^ byte);
        moved.push_str(&format!("${body}*{checksum:02X}\r\n"));
    }
    std::fs::write(to, moved)?;
    Ok(())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
