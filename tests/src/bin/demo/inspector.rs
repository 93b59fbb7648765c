//! The inspector with the real agent: takes the visit along, is on site without a network, syncs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::stage::{Stage, output, string, text};
use crate::{ADMIN, PHOTO_DATE, Story, heading, say, today};

/// The inspector's device.
pub struct Inspector {
    program: PathBuf,
    home: PathBuf,
    photos: PathBuf,
    visit: String,
}

impl Inspector {
    pub fn enrol(story: &Story) -> Result<Self> {
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

    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        output(&mut self.command(arguments))
    }

    pub fn visit(&self, stage: &Stage) -> Result<()> {
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
