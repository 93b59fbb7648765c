//! From arrived bytes to stored evidence: open what was sealed, check it against what was signed,
//! make it durable, and only then give the file receipt.

use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::sync::Receipt;
use endcheck_protocol::time::Timestamp;
use serde_json::json;

use super::findings::{self, NewFinding, Subject, Weight};
use super::receipts;
use super::store::{self, FileState, StoredFile};
use crate::app::App;
use crate::custody::{self, CustodyAct, Deed};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::files::PutError;
use crate::log::{self, EntryKind};
use crate::uploads::{Completed, Kept};

/// Settles an upload that arrived whole, if a record names it. May be called again at any time.
///
/// # Errors
/// When the database or the file store fails; the bytes stay where they are.
pub async fn completed(app: &Arc<App>, upload: &Completed) -> Result<Kept> {
    let sealed = upload.sealed_sha256.clone();
    let waiting = app.read(move |conn| store::awaiting(conn, &sealed)).await?;
    if waiting.is_empty() {
        return Ok(Kept::Here);
    }
    for file in waiting {
        let opened = open(app, upload, &file).await?;
        let now = app.clock.now();
        let shared = Arc::clone(app);
        app.write(move |conn| settle(conn, &shared, &file, opened.as_deref(), now)).await?;
    }
    app.examiner.notify_one();
    Ok(Kept::Elsewhere)
}

/// Settles what arrived before the record that names it.
///
/// # Errors
/// As [`completed`].
pub(super) async fn named(app: &Arc<App>, sealed: Vec<Sha256>) -> Result<()> {
    for sealed in sealed {
        let shared = Arc::clone(app);
        let found = app.read(move |conn| shared.uploads.find_completed(conn, &sealed)).await?;
        let Some(upload) = found else { continue };
        if completed(app, &upload).await? == Kept::Elsewhere {
            let shared = Arc::clone(app);
            app.write(move |conn| {
                shared.uploads.release(conn, &upload.id)?;
                shared.uploads.discard_bytes(&upload)
            })
            .await?;
        }
    }
    Ok(())
}

/// Settles whatever a crash left between its arrival and its receipt.
///
/// # Errors
/// As [`completed`].
pub async fn sweep(app: &Arc<App>) -> Result<()> {
    let waiting = app.read(store::all_awaited).await?;
    named(app, waiting).await
}

/// Opens the sealed bytes and stores the plaintext. `Some` is why that cannot be done, ever.
async fn open(app: &Arc<App>, upload: &Completed, file: &StoredFile) -> Result<Option<String>> {
    let app = Arc::clone(app);
    let path = upload.path.clone();
    let (expected, sealed) = (file.sha256.clone(), file.sealed_sha256.clone());
    let size_bytes = u64::try_from(file.size_bytes).unwrap_or(0);
    let runtime = tokio::runtime::Handle::current();
    actix_web::web::block(move || {
        let staged = || File::open(&path).map_err(Error::from);
        let problem = match age::Decryptor::new_buffered(BufReader::with_capacity(1 << 16, staged()?)) {
            Err(error) => format!("it is not sealed to headquarters: {error}"),
            Ok(decryptor) => {
                match decryptor.decrypt(std::iter::once(&app.keys.identity as &dyn age::Identity)) {
                    Err(error) => format!("it is not sealed to headquarters: {error}"),
                    Ok(plaintext) => match app.files.put(&expected, plaintext, &runtime) {
                        Ok(stored) if stored == size_bytes => return Ok(None),
                        Ok(stored) => format!("it holds {stored} bytes instead of the {size_bytes} signed"),
                        Err(PutError::Store(error)) => return Err(Error::Internal(error.into())),
                        Err(error) => error.to_string(),
                    },
                }
            }
        };
        // The signed digest matched: the bytes are kept, whatever they are.
        app.files.put(&sealed, staged()?, &runtime).map_err(|e| Error::Internal(e.into()))?;
        Ok(Some(problem))
    })
    .await
    .map_err(|_| Error::Internal(anyhow::anyhow!("the opening was cancelled")))?
}

fn settle(
    conn: &mut Conn,
    app: &App,
    file: &StoredFile,
    problem: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    log::lock(conn)?;
    let state = if problem.is_some() { FileState::Unreadable } else { FileState::Stored };
    if !store::settle_file(conn, &file.record, state, problem, now)? {
        return Ok(());
    }
    let deed = |act, why| Deed { act, visit: file.visit.as_ref(), subject: Some(&file.record), why };
    custody::by_headquarters(conn, &deed(CustodyAct::Received, "its sealed bytes arrived whole"), now)?;
    if let Some(problem) = problem {
        let finding = NewFinding {
            signal: "file-does-not-open",
            weight: Weight::Contradiction,
            summary: format!("The file arrived as signed but does not open to what was signed: {problem}."),
            values: json!({ "sealed_sha256": file.sealed_sha256, "sha256": file.sha256, "problem": problem }),
            uncertainty: findings::EXACT.to_owned(),
            explanations: "A fault of the device's storage between reading the file and sealing it.",
            method: "settle-1",
        };
        let subject = Subject { visit: file.visit.as_ref(), device: &file.device, record: &file.record };
        return findings::add(conn, subject, &finding, now);
    }
    let subject = Receipt::file_subject(&file.record, &file.sha256, &file.sealed_sha256);
    let logged = log::append(conn, EntryKind::FileReceipt, &subject, now)?;
    let receipt = Receipt::File {
        device: file.device.clone(),
        record: file.record.clone(),
        sha256: file.sha256.clone(),
        sealed_sha256: file.sealed_sha256.clone(),
        size_bytes: u64::try_from(file.size_bytes).unwrap_or(0),
        stored_at: now,
        log_index: u64::try_from(logged.index).unwrap_or(0),
        salt: logged.salt,
    };
    receipts::keep(conn, &[receipt], &app.keys.authority)?;
    let opened = "it opens to the bytes that were signed, and they are stored";
    custody::by_headquarters(conn, &deed(CustodyAct::Verified, opened), now)?;
    let free = "the receipt was given; the device may delete its copy";
    custody::by_headquarters(conn, &deed(CustodyAct::Released, free), now)
}
