//! One sealed file over tus: from its first byte, or from the last that the server holds.
//!
//! A cut is no failure while bytes arrive between cuts; what fails without progress is given up
//! after some tries and comes first next time.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::sync::{Operation, SyncHead};
use indicatif::ProgressBar;
use ureq::SendBody;
use ureq::http::{Method, StatusCode};

use super::client::{Answer, Call, Client, pause};
use super::throttle::{Paced, Throttle};
use crate::seal;

const FILES: &str = "api/v1/files";
const TUS: (&str, &str) = ("tus-resumable", "1.0.0");
const BYTES: &str = "application/offset+octet-stream";
/// Failures in a row without a new byte at the server.
const FUTILE_TRIES: u32 = 6;

/// Where an upload stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    New,
    At { location: String, offset_bytes: u64 },
    Done,
}

/// What all uploads of one sync share.
pub(super) struct Uploads<'a> {
    pub client: &'a Client<'a>,
    pub folder: &'a Path,
    pub throttle: Throttle,
    pub progress: ProgressBar,
}

impl Uploads<'_> {
    /// Sends the file of `operation` to its end.
    ///
    /// # Errors
    /// When the server refuses, or nothing arrives any more.
    pub(super) fn send(&self, operation: &Operation) -> anyhow::Result<()> {
        let (hash, size_bytes, mut standing) = match operation {
            Operation::CreateUpload { sealed_sha256, size_bytes } => {
                (sealed_sha256, *size_bytes, Standing::New)
            }
            Operation::ResumeUpload { sealed_sha256, location, offset_bytes, size_bytes } => {
                let standing = Standing::At { location: location.clone(), offset_bytes: *offset_bytes };
                (sealed_sha256, *size_bytes, standing)
            }
            Operation::SendRecords(_) | Operation::SendPackages(_) => return Ok(()),
        };
        if standing.offset() >= size_bytes {
            // All of it arrived, but a server that was killed then settles it only when it is asked.
            standing = self.look(hash, size_bytes, &standing)?;
        }
        let mut furthest_bytes = standing.offset();
        self.progress.inc(furthest_bytes);
        let mut failures = 0;
        loop {
            if standing == Standing::Done || standing.offset() >= size_bytes {
                self.progress.inc(size_bytes.saturating_sub(furthest_bytes));
                return Ok(());
            }
            let (mut trouble, wait) = match self.step(hash, size_bytes, &standing) {
                Ok(answer) if answer.status.is_success() => {
                    let before = standing.offset();
                    standing = after(&answer, &standing);
                    if standing.offset() > before || standing == Standing::Done {
                        continue;
                    }
                    (anyhow::anyhow!("headquarters took the file's bytes without counting them"), None)
                }
                Ok(answer) if !may_fare_better(&answer) => return Err(answer.refusal()),
                Ok(answer) => (answer.refusal(), answer.retry_after()),
                Err(error) => (error, None),
            };
            failures += 1;
            let name = hash.as_str().get(..12).unwrap_or_default();
            self.progress.suspend(|| {
                self.client.note(&format!("File {name}… stopped on its way ({trouble:#}); it goes on."));
            });
            std::thread::sleep(wait.unwrap_or_else(|| pause(failures - 1)));
            match self.look(hash, size_bytes, &standing) {
                Ok(found) => standing = found,
                Err(error) if self.client.is_gone() => return Err(error),
                Err(error) => trouble = error,
            }
            if standing.offset() > furthest_bytes {
                self.progress.inc(standing.offset() - furthest_bytes);
                furthest_bytes = standing.offset();
                failures = 0;
            }
            if failures >= FUTILE_TRIES && standing != Standing::Done {
                return Err(trouble);
            }
        }
    }

    /// One request with all that is left of the file.
    fn step(&self, hash: &Sha256, size_bytes: u64, standing: &Standing) -> anyhow::Result<Answer> {
        let path = seal::path(self.folder, hash);
        let mut file = File::open(&path)
            .with_context(|| format!("the sealed copy {} cannot be read", path.display()))?;
        let offset_bytes = standing.offset();
        file.seek(SeekFrom::Start(offset_bytes))?;
        let left_bytes = size_bytes.saturating_sub(offset_bytes);
        let mut paced = Paced { inner: file.take(left_bytes), throttle: &self.throttle, sent: |_| {} };
        let body = Some((SendBody::from_reader(&mut paced), left_bytes));
        let mut headers = vec![(TUS.0, TUS.1.to_owned()), ("content-type", BYTES.to_owned())];
        let answer = match standing {
            Standing::At { location, .. } => {
                headers.push(("upload-offset", offset_bytes.to_string()));
                self.client.once(&Call { method: Method::PATCH, path: location, headers, body: None }, body)
            }
            Standing::New | Standing::Done => {
                headers.push(("upload-length", size_bytes.to_string()));
                headers.push(("upload-metadata", format!("sealed_sha256 {}", BASE64.encode(hash.as_str()))));
                self.client.once(&Call { method: Method::POST, path: FILES, headers, body: None }, body)
            }
        };
        let answer = answer.context("the link was cut")?;
        if answer.status == StatusCode::UNAUTHORIZED {
            self.client.renew()?;
        }
        Ok(answer)
    }

    /// Asks the server where the upload stands after a failure.
    fn look(&self, hash: &Sha256, size_bytes: u64, standing: &Standing) -> anyhow::Result<Standing> {
        if let Standing::At { location, .. } = standing
            && let Some(found) = self.ask(location)?
        {
            return Ok(found);
        }
        let head: SyncHead = self.client.call(&Call::get(super::HEAD))?.json()?;
        match standing_in(&head, hash, size_bytes) {
            Standing::At { location, offset_bytes } if offset_bytes >= size_bytes => {
                Ok(self.ask(&location)?.unwrap_or(Standing::New))
            }
            found => Ok(found),
        }
    }

    /// Asks about one upload; nothing when the server does not know it any more. A server that holds
    /// every byte has settled the upload when it answers.
    fn ask(&self, location: &str) -> anyhow::Result<Option<Standing>> {
        let headers = vec![(TUS.0, TUS.1.to_owned())];
        let answer = self.client.call(&Call { method: Method::HEAD, path: location, headers, body: None })?;
        match (answer.status, answer.number("upload-offset")) {
            (status, Some(offset_bytes)) if status.is_success() => {
                Ok(Some(Standing::At { location: location.to_owned(), offset_bytes }))
            }
            (StatusCode::NOT_FOUND | StatusCode::GONE, _) => Ok(None),
            _ => Err(answer.refusal()),
        }
    }
}

/// Where the upload of `hash` stands by what headquarters says it holds.
fn standing_in(head: &SyncHead, hash: &Sha256, size_bytes: u64) -> Standing {
    let held = head
        .uploads
        .iter()
        .filter(|upload| upload.sealed_sha256 == *hash && upload.size_bytes == size_bytes)
        .max_by_key(|upload| upload.offset_bytes);
    match held {
        Some(upload) => Standing::At { location: upload.location.clone(), offset_bytes: upload.offset_bytes },
        None if head.awaited.contains(hash) => Standing::New,
        None => Standing::Done,
    }
}

/// Where the upload stands after a request that was taken.
fn after(answer: &Answer, standing: &Standing) -> Standing {
    let named = answer.headers.get("location").and_then(|location| location.to_str().ok()).map(path_of);
    let location = match (named, standing) {
        (Some(location), _) => location,
        (None, Standing::At { location, .. }) => location.clone(),
        (None, Standing::New | Standing::Done) => return Standing::New,
    };
    Standing::At { location, offset_bytes: answer.number("upload-offset").unwrap_or_default() }
}

/// The path of a location that may be a whole address.
fn path_of(location: &str) -> String {
    url::Url::parse(location).map_or_else(|_| location.to_owned(), |url| url.path().to_owned())
}

/// Whether looking where the upload stands can mend it: a lost or moved upload, a lock, a busy server.
fn may_fare_better(answer: &Answer) -> bool {
    answer.is_passing() || matches!(answer.status.as_u16(), 401 | 404 | 409 | 410 | 423 | 460)
}

impl Standing {
    fn offset(&self) -> u64 {
        match self {
            Self::At { offset_bytes, .. } => *offset_bytes,
            Self::New | Self::Done => 0,
        }
    }
}

/// How long receipts of what was just sent are waited for.
pub(super) const RECEIPT_PAUSES: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(3)];

#[cfg(test)]
mod tests {
    use super::*;
    use endcheck_protocol::sync::OpenUpload;

    #[test]
    fn after_a_cut_the_head_tells_where_to_go_on() {
        let hash = Sha256::of(b"a");
        let mut head = SyncHead {
            server_at: "2026-05-04T08:00:00Z".parse().unwrap(),
            records_held: 1,
            newest: None,
            awaited: vec![],
            uploads: vec![],
            unreadable: vec![],
            log: endcheck_protocol::sync::LogState::default(),
        };
        assert_eq!(standing_in(&head, &hash, 10), Standing::Done);
        head.awaited.push(hash.clone());
        assert_eq!(standing_in(&head, &hash, 10), Standing::New);
        let location = "/api/v1/files/1".to_owned();
        head.uploads.push(OpenUpload {
            sealed_sha256: hash.clone(),
            location: location.clone(),
            offset_bytes: 4,
            size_bytes: 10,
        });
        assert_eq!(standing_in(&head, &hash, 10), Standing::At { location, offset_bytes: 4 });
        assert_eq!(standing_in(&head, &hash, 11), Standing::New);
    }

    #[test]
    fn a_location_is_a_path_or_an_address() {
        assert_eq!(path_of("/api/v1/files/1"), "/api/v1/files/1");
        assert_eq!(path_of("https://hq.example.org/api/v1/files/1"), "/api/v1/files/1");
    }
}
