//! Uploads through real sockets: what tus asks for, what breaks, what stays.

mod breaks;
mod completion;
mod duties;

use std::collections::{HashMap, HashSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::web::Data;
use actix_web::{App, HttpServer};
use chrono::TimeDelta;
use endcheck_protocol::digest::Sha256;
use futures_util::FutureExt as _;

use super::{Kept, Setup, Uploads};
use crate::accounts::{Actor, Role};
use crate::clock::Clock;
use crate::db;
use crate::error::Error;

pub(super) const ALICE: &str = "0190b3c8-5f4e-7c1a-9d2e-3f4a5b6c7d8e";
pub(super) const BOB: &str = "0190b3c8-5f4e-7c1a-9d2e-3f4a5b6c7d8f";
pub(super) const MAX_BYTES: u64 = 1_000_000;
pub(super) const CHUNK: (&str, &str) = ("Content-Type", "application/offset+octet-stream");

/// A server of uploads only, whose tokens are the names of devices.
pub(super) struct TestServer {
    pub address: SocketAddr,
    pub uploads: Arc<Uploads>,
    pub clock: Clock,
    /// What the hook wants, and what it was given.
    pub wanted: Arc<Mutex<HashSet<Sha256>>>,
    pub given: Arc<Mutex<Vec<Vec<u8>>>>,
    handle: actix_web::dev::ServerHandle,
    thread: Option<std::thread::JoinHandle<()>>,
}

pub(super) struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn offset(&self) -> Option<u64> {
        self.header("upload-offset").map(|text| text.parse().unwrap())
    }

    /// The problem's code; empty when it is none.
    pub fn code(&self) -> String {
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        problem["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl TestServer {
    pub fn start(folder: &Path) -> Self {
        let pool = db::open(&format!("sqlite:{}", folder.join("test.db").display()), 4).unwrap();
        db::migrate(&mut pool.get().unwrap()).unwrap();
        let clock = Clock::default();
        let uploads = Uploads::open(Setup {
            folder: folder.join("staging"),
            pool,
            clock: clock.clone(),
            max_bytes: MAX_BYTES,
            expiry: TimeDelta::hours(24),
            identify: Arc::new(|request| {
                let token = request.headers().get("Authorization").and_then(|value| value.to_str().ok());
                let device = token.and_then(|token| token.strip_prefix("Bearer ")?.parse().ok());
                let role =
                    if request.headers().contains_key("Auditor") { Role::Auditor } else { Role::Inspector };
                let actor = device.map(|device| Actor {
                    user: ALICE.parse().unwrap(),
                    name: "alice".to_owned(),
                    roles: vec![role],
                    device: Some(device),
                });
                async { actor.ok_or_else(|| Error::unauthenticated("token-missing", "Sign in.")) }
                    .boxed_local()
            }),
        })
        .unwrap();
        let (wanted, given) = (Arc::new(Mutex::new(HashSet::new())), Arc::new(Mutex::new(Vec::new())));
        let (wants, gets) = (Arc::clone(&wanted), Arc::clone(&given));
        uploads.on_complete(Arc::new(move |completed| {
            let kept = if wants.lock().unwrap().contains(&completed.sealed_sha256) {
                gets.lock().unwrap().push(std::fs::read(&completed.path).unwrap());
                Kept::Elsewhere
            } else {
                Kept::Here
            };
            async move { Ok(kept) }.boxed()
        }));
        let (tell, told) = std::sync::mpsc::channel();
        let data = Data::from(Arc::clone(&uploads));
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server =
                    HttpServer::new(move || App::new().app_data(data.clone()).configure(super::routes))
                        .workers(2)
                        .disable_signals()
                        .shutdown_timeout(0)
                        .bind(("127.0.0.1", 0))
                        .unwrap();
                let address = server.addrs()[0];
                let server = server.run();
                tell.send((address, server.handle())).unwrap();
                server.await.unwrap();
            });
        });
        let (address, handle) = told.recv().unwrap();
        Self { address, uploads, clock, wanted, given, handle, thread: Some(thread) }
    }

    /// Opens a connection and sends the head of a request, and perhaps only some of its body.
    pub fn begin(
        &self,
        who: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> TcpStream {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
        let usual = [("Tus-Resumable", "1.0.0"), ("Authorization", &format!("Bearer {who}"))];
        let usual = usual.iter().filter(|(name, _)| !headers.iter().any(|(other, _)| other == name));
        for (name, value) in headers.iter().chain(usual) {
            // An absent header is written as one with the value "-".
            if *value != "-" {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        stream
    }

    pub fn send_as(
        &self,
        who: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let size = body.len().to_string();
        let known = [("Content-Length", size.as_str())];
        let known =
            if headers.iter().any(|(name, _)| *name == "Content-Length") { &[][..] } else { &known[..] };
        read(self.begin(who, method, path, &[headers, known].concat(), body))
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send_as(ALICE, method, path, headers, body)
    }

    /// Creates an upload and answers its path.
    pub fn create(&self, headers: &[(&str, &str)]) -> String {
        let answer = self.send("POST", "/api/v1/files", headers, b"");
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.header("location").unwrap().to_owned()
    }

    pub fn patch(&self, path: &str, offset: u64, body: &[u8]) -> Answer {
        self.send("PATCH", path, &[CHUNK, ("Upload-Offset", &offset.to_string())], body)
    }

    pub fn offset(&self, path: &str) -> Option<u64> {
        self.send("HEAD", path, &[], b"").offset()
    }

    /// Where the bytes of an open upload of Alice's are.
    pub fn staged(&self, path: &str) -> std::path::PathBuf {
        let id = path.rsplit('/').next().unwrap();
        self.uploads.staging.find(&format!("device:{ALICE}"), id).unwrap().unwrap().place.bytes()
    }

    /// Waits until so many bytes of an open upload are in its file.
    pub fn wait_for(&self, path: &str, size: u64) {
        let staged = self.staged(path);
        for _ in 0..3000 {
            if std::fs::metadata(&staged).unwrap().len() >= size {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{path} does not reach {size} bytes");
    }

    pub fn rows(&self) -> i64 {
        use diesel::prelude::*;
        let mut conn = self.uploads.setup.pool.get().unwrap();
        crate::db::schema::uploads::table.count().get_result(&mut *conn).unwrap()
    }

    pub fn found(&self, content: &[u8]) -> Option<super::Completed> {
        let mut conn = self.uploads.setup.pool.get().unwrap();
        self.uploads.find_completed(&mut conn, &Sha256::of(content)).unwrap()
    }

    /// Runs work that needs a runtime.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

pub(super) fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    Answer { status, headers, body: body.to_owned() }
}

/// Bytes that differ everywhere.
pub(super) fn content(size: usize) -> Vec<u8> {
    (0..size as u64).flat_map(|n| [(n.wrapping_mul(2_654_435_761) >> 7) as u8]).collect()
}

pub(super) fn base64(bytes: impl AsRef<[u8]>) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// `Upload-Metadata` that names the hash of `content`.
pub(super) fn named(content: &[u8]) -> String {
    format!("sealed_sha256 {}", base64(Sha256::of(content).as_str()))
}
