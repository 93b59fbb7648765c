//! Sealed files from four clients, all the way to file receipts, beside a plain loop that makes the
//! same bytes durable, and beside `@tus/server` taking the same uploads. Rounds are taken in turn, on
//! the same disk, with the same client.
//!
//! Ours also decrypts, checks what it decrypted, stores that, logs and signs. `@tus/server` neither
//! hashes nor flushes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use endcheck_protocol::digest::Sha256;
use endcheck_tests::{DatabaseKind, Http};

use crate::device::{Device, Sealed};
use crate::measure::{median, timed};
use crate::table::{Row, say};
use crate::world::World;

const CLIENTS: usize = 4;
const FILES_A_CLIENT: usize = 50;
const FILE_BYTES: usize = 4 * 1024 * 1024;
const ROUNDS: usize = 5;

pub fn run() -> anyhow::Result<Vec<Row>> {
    let world = World::start(DatabaseKind::Sqlite)?;
    let mut devices = Vec::new();
    for _ in 0..CLIENTS {
        devices.push(Device::enrol(&world.server, world.enrolment_code())?);
    }
    let tus = TusServer::start()?;
    let folder = tempfile::tempdir()?;
    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        // New content each time: what is held already would not be stored again.
        let batches = devices.iter().map(seal_batch).collect::<anyhow::Result<Vec<_>>>()?;
        let bytes: usize = batches.iter().flatten().map(|file| file.bytes.len()).sum();
        for (device, files) in devices.iter_mut().zip(&batches) {
            device.hand_in(files)?;
            device.fetch_receipts()?;
        }
        settle_disk()?;
        let ours = ours(&mut devices, &batches)?;
        settle_disk()?;
        let plain = plain_loop(folder.path(), &batches)?;
        settle_disk()?;
        let theirs = tus.take(&batches)?;
        // The first round fills caches and grows files.
        if round > 0 {
            for (rates, took) in rates.iter_mut().zip([ours, plain, theirs]) {
                rates.push(bytes as f64 / 1e6 / took.as_secs_f64());
            }
        }
    }
    say(&format!("MB/s by round: ours, loop, @tus/server: {rates:.0?}"));
    let over = |peer: usize| -> f64 {
        let pairs = rates.first().into_iter().flatten().zip(rates.get(peer).into_iter().flatten());
        median(&pairs.map(|(ours, peer)| ours / peer).collect::<Vec<_>>())
    };
    let [ours, plain, theirs] = rates.each_ref().map(|rates| median(rates));
    let row = |peer: &str, rate: f64| {
        Row::new(
            format!("ingest of {} × 4 MB from {CLIENTS} clients, to receipts", CLIENTS * FILES_A_CLIENT),
            format!("{ours:.0} MB/s"),
            format!("{peer}: {rate:.0} MB/s"),
        )
    };
    Ok(vec![
        row("loop that writes, hashes, fsyncs", plain).at_least(over(1), 0.5),
        row("@tus/server", theirs).at_least(over(2), 1.5),
    ])
}

fn seal_batch(device: &Device) -> anyhow::Result<Vec<Sealed>> {
    let mut random = fastrand::Rng::new();
    (0..FILES_A_CLIENT)
        .map(|number| {
            let mut plaintext = vec![0; FILE_BYTES];
            random.fill(&mut plaintext);
            device.seal(&format!("{number}.bin"), &plaintext)
        })
        .collect()
}

/// Lets nothing of the last contestant be written during the next.
fn settle_disk() -> anyhow::Result<()> {
    crate::programs::run(&mut Command::new("sync"))?;
    Ok(())
}

/// From the first byte sent to the last file receipt fetched.
fn ours(devices: &mut [Device], batches: &[Vec<Sealed>]) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let clients: Vec<_> = devices
            .iter_mut()
            .zip(batches)
            .map(|(device, files)| {
                scope.spawn(move || -> anyhow::Result<()> {
                    for file in files {
                        upload(&device.http, "/api/v1/files", file)?;
                    }
                    let receipts = device.fetch_receipts()?;
                    ensure!(receipts == files.len(), "{receipts} receipts for {} files", files.len());
                    Ok(())
                })
            })
            .collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().map_err(|_| anyhow::anyhow!("a client died"))?)
    })?;
    Ok(begun.elapsed())
}

/// One file with the request that creates it (tus, creation-with-upload).
fn upload(http: &Http, path: &str, file: &Sealed) -> anyhow::Result<()> {
    let length = file.bytes.len().to_string();
    let metadata = format!("sealed_sha256 {}", BASE64.encode(file.facts.sealed_sha256.as_str()));
    let headers = [
        ("Tus-Resumable", "1.0.0"),
        ("Upload-Length", length.as_str()),
        ("Upload-Metadata", &metadata),
        ("Content-Type", "application/offset+octet-stream"),
    ];
    let answer = http.send("POST", path, &headers, Some(&file.bytes));
    ensure!(answer.status == 201, "{}: {}", answer.status, answer.text());
    ensure!(answer.header("upload-offset") == length, "not all bytes were taken");
    Ok(())
}

/// The limit: the same bytes written, hashed and flushed, one file after the other, nothing else.
fn plain_loop(folder: &Path, batches: &[Vec<Sealed>]) -> anyhow::Result<Duration> {
    let (took, ()) = timed(|| {
        for (number, file) in batches.iter().flatten().enumerate() {
            let mut out = std::fs::File::create(folder.join(number.to_string()))?;
            out.write_all(&file.bytes)?;
            ensure!(Sha256::of(&file.bytes) == file.facts.sealed_sha256, "the memory is broken");
            out.sync_all()?;
        }
        Ok(())
    })?;
    for entry in std::fs::read_dir(folder)? {
        std::fs::remove_file(entry?.path())?;
    }
    Ok(took)
}

/// `@tus/server` under node.
struct TusServer {
    child: Child,
    http: Http,
    folder: tempfile::TempDir,
}

impl TusServer {
    fn start() -> anyhow::Result<Self> {
        let packages = std::env::var_os("ENDCHECK_BENCH_NPM")
            .map(PathBuf::from)
            .context("where @tus/server is: run scripts/bench.sh, which sets ENDCHECK_BENCH_NPM")?;
        let script = packages.join("tus-server.mjs");
        std::fs::write(&script, include_str!("tus-server.mjs"))?;
        let folder = tempfile::tempdir()?;
        let mut child = Command::new("node")
            .arg(&script)
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("node does not start")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output")?).read_line(&mut line)?;
        let port: u16 = line.trim().parse().context("@tus/server did not say its port")?;
        Ok(Self { child, http: Http::new(format!("http://127.0.0.1:{port}")), folder })
    }

    fn take(&self, batches: &[Vec<Sealed>]) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let clients: Vec<_> = batches
                .iter()
                .map(|files| {
                    // A connection pool of its own, as the devices have.
                    let http = Http::new(self.http.base_url());
                    scope.spawn(move || files.iter().try_for_each(|file| upload(&http, "/files", file)))
                })
                .collect();
            clients
                .into_iter()
                .try_for_each(|client| client.join().map_err(|_| anyhow::anyhow!("a client died"))?)
        })?;
        let took = begun.elapsed();
        for entry in std::fs::read_dir(self.folder.path())? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(took)
    }
}

impl Drop for TusServer {
    fn drop(&mut self) {
        // Closing its input ends it; the kill is for when it hangs.
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
