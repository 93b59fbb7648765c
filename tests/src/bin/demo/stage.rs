//! The stage: programs, folders, the running server, and what is asked of it.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{heading, say};

/// The programs, the folders and the running server.
pub struct Stage {
    pub programs: PathBuf,
    pub fixtures: PathBuf,
    pub folder: PathBuf,
    port: u16,
    recipient: String,
    server: Option<Child>,
    pub http: ureq::Agent,
}

impl Stage {
    pub fn set() -> Result<Self> {
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

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .env("ENDCHECK_DATA", self.folder.join("headquarters"))
            .env("ENDCHECK_ESCROW_RECIPIENT", &self.recipient)
            .env("ENDCHECK_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("ENDCHECK_ORG", "Demo Export Control Authority")
            .env("RUST_LOG", "warn,endcheck_server=info,nom_exif=error");
        command
    }

    pub fn server_says(&self, arguments: &[&str]) -> Result<String> {
        output(self.command("endcheck-server").args(arguments))
    }

    pub fn start(&mut self) -> Result<()> {
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

    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // It is killed on purpose: a server that loses power must lose nothing.
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    pub fn serve(mut self) -> Result<()> {
        if let Some(server) = self.server.as_mut() {
            server.wait()?;
        }
        Ok(())
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn post(&self, path: &str, token: &str, body: &Value) -> Result<(u16, Value)> {
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

    pub fn created(&self, path: &str, token: &str, body: &Value) -> Result<Value> {
        let (status, answer) = self.post(path, token, body)?;
        ensure!((200..300).contains(&status), "POST {path}: {status} {answer}");
        Ok(answer)
    }

    pub fn get(&self, path: &str, token: &str) -> Result<Value> {
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

    pub fn sign_in(&self, login: &str, password: &str) -> Result<String> {
        let (status, answer) =
            self.post("/api/v1/auth/login", "", &json!({ "login": login, "password": password }))?;
        ensure!(status == 200, "{login} cannot sign in: {answer}");
        Ok(string(&answer, "/access_token"))
    }

    pub fn fixture(&self, path: &str) -> PathBuf {
        self.fixtures.join(path)
    }

    pub fn json(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_slice(&std::fs::read(self.fixture(path))?)?)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn text(path: &Path) -> String {
    path.display().to_string()
}

pub fn string(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub fn output(command: &mut Command) -> Result<String> {
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
