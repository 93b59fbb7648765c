//! The real `endcheck-server witness` as a child that can be killed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;

use crate::Http;
use crate::process::{START_WITHIN, Words, listen_to, server_command};

/// A witness that can be killed and started again where it was.
pub struct WitnessProcess {
    name: String,
    logs: Vec<String>,
    address: SocketAddr,
    child: Option<Child>,
    words: Words,
    data: tempfile::TempDir,
}

impl WitnessProcess {
    /// Starts a witness of these logs, by their keys.
    #[must_use]
    pub fn start(name: &str, logs: &[String]) -> Self {
        let mut witness = Self {
            name: name.to_owned(),
            logs: logs.to_vec(),
            address: ([127, 0, 0, 1], 0).into(),
            child: None,
            words: Words::default(),
            data: tempfile::tempdir().expect("a temporary folder"),
        };
        witness.start_again();
        witness
    }

    /// Starts it after a kill.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "the witness is running already");
        let mut command = server_command();
        command.args(["witness", "--name", &self.name, "--listen", &self.address.to_string(), "--data"]);
        command.arg(self.data.path());
        for log in &self.logs {
            command.args(["--log", log]);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the witness starts");
        let listening = listen_to(child.stderr.take().expect("its words"), Arc::clone(&self.words));
        let Ok(address) = listening.recv_timeout(START_WITHIN) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the witness did not say where it is listening:\n{}", self.words());
        };
        self.child = Some(child);
        self.address = address;
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("SIGKILL");
            child.wait().expect("its end");
        }
    }

    /// Its key, as `--print-key` tells it.
    #[must_use]
    pub fn key(&self) -> String {
        let mut command = server_command();
        command.args(["witness", "--print-key", "--name", &self.name, "--data"]).arg(self.data.path());
        let said = command.output().expect("the witness program");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).expect("a key").trim().to_owned()
    }

    /// As `--witness` wants it.
    #[must_use]
    pub fn setting(&self) -> String {
        format!("{}=http://{}", self.key(), self.address)
    }

    #[must_use]
    pub fn http(&self) -> Http {
        Http::new(format!("http://{}", self.address))
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it keeps what it saw.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.data.path().join("witness")
    }

    /// The files in a folder of its own, with their content.
    #[must_use]
    pub fn files(&self, folder: &str) -> Vec<String> {
        let read = |path: &Path| std::fs::read_to_string(path).expect("a file of the witness");
        let entries = std::fs::read_dir(self.folder().join(folder)).expect("its folder");
        entries
            .map(|entry| entry.expect("a file").path())
            .filter(|path| path.extension().is_some_and(|end| end != "new"))
            .map(|path| read(&path))
            .collect()
    }

    /// What it wrote to standard error, over all its starts.
    #[must_use]
    pub fn words(&self) -> String {
        self.words.lock().expect("its words").join("\n")
    }
}

impl Drop for WitnessProcess {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the witness's last words:\n{}", self.words());
        }
    }
}
