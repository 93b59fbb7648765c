//! Looking into stored photos at headquarters: what the file itself says, whether it says the same
//! as the device's record, and a small picture of it.
//!
//! One photo at a time, so that memory stays bounded whatever comes in.

use std::sync::Arc;

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::photo::{self, PhotoFacts};
use endcheck_protocol::record::Act;
use endcheck_protocol::time::Timestamp;
use serde_json::json;

use super::findings::{self, EXACT, NewFinding, Subject, Weight};
use super::flags;
use super::store::{self, StoredFile};
use super::thumbnail::{self, NoThumbnail};
use super::tracks;
use crate::app::App;
use crate::error::{Error, Result};

const METHOD: &str = "examine-1";
/// Photos larger than this are stored but not looked into, in bytes.
const LARGEST_BYTES: u64 = 64 * 1024 * 1024;

/// Examines stored files that were not examined yet; returns how many.
///
/// A file that cannot be examined, whatever the cause, is noted as not checked and holds no other
/// up.
///
/// # Errors
/// When the database fails; what was examined until then is kept.
pub async fn examine_due(app: &Arc<App>) -> Result<usize> {
    let mut examined = 0;
    loop {
        let batch = app.read(|conn| store::unexamined(conn, 20)).await?;
        if batch.is_empty() {
            return Ok(examined);
        }
        for file in batch {
            match look(app, &file).await {
                Ok(()) => {}
                Err(error) if error.code() == "database-busy" => return Err(error),
                Err(error) => {
                    tracing::error!(record = %file.record, error = format!("{error:#}"), "a file was not examined");
                    let unchecked = not_checked("Headquarters failed to look into the file.".to_owned());
                    let nothing = Examined { facts: None, thumbnail: None, findings: vec![unchecked] };
                    keep(app, &file, nothing, None, app.clock.now()).await?;
                }
            }
            examined += 1;
        }
    }
}

async fn look(app: &Arc<App>, file: &StoredFile) -> Result<()> {
    if tracks::is_track(app, file).await? {
        return tracks::examine(app, file).await;
    }
    examine(app, file).await
}

/// What an examination found.
struct Examined {
    facts: Option<PhotoFacts>,
    thumbnail: Option<Vec<u8>>,
    findings: Vec<NewFinding>,
}

async fn examine(app: &Arc<App>, file: &StoredFile) -> Result<()> {
    let content = app.files.read(&file.sha256, LARGEST_BYTES).await.map_err(|e| Error::Internal(e.into()))?;
    let record = file.record.clone();
    let declared = app
        .read(move |conn| {
            let stored = store::record(conn, &record)?;
            Ok(match stored.record.map(|record| record.act) {
                Some(Act::Photo { facts, .. }) => Some(*facts),
                _ => None,
            })
        })
        .await?;
    let now = app.clock.now();
    let shared = Arc::clone(app);
    let runtime = tokio::runtime::Handle::current();
    let (examined, thumbnail) = actix_web::web::block(move || {
        let examined = match (&declared, &content) {
            (Some(declared), Some(content)) => look_into(content, declared, now),
            (Some(_), None) => Examined {
                facts: None,
                thumbnail: None,
                findings: vec![not_checked(format!("The photo is larger than {} MiB.", LARGEST_BYTES >> 20))],
            },
            (None, _) => Examined { facts: None, thumbnail: None, findings: Vec::new() },
        };
        let thumbnail = match &examined.thumbnail {
            None => None,
            Some(jpeg) => {
                let sha256 = Sha256::of(jpeg);
                shared
                    .files
                    .put(&sha256, jpeg.as_slice(), &runtime)
                    .map_err(|e| Error::Internal(e.into()))?;
                Some(sha256)
            }
        };
        Ok::<_, Error>((examined, thumbnail))
    })
    .await
    .map_err(|_| Error::Internal(anyhow::anyhow!("the examination panicked or was cancelled")))??;
    keep(app, file, examined, thumbnail, now).await
}

async fn keep(
    app: &Arc<App>,
    file: &StoredFile,
    examined: Examined,
    thumbnail: Option<Sha256>,
    now: Timestamp,
) -> Result<()> {
    let (visit, device, record) = (file.visit.clone(), file.device.clone(), file.record.clone());
    let facts = examined.facts.as_ref().and_then(|facts| serde_json::to_string(facts).ok());
    app.write(move |conn| {
        let subject = Subject { visit: visit.as_ref(), device: &device, record: &record };
        for finding in &examined.findings {
            findings::add(conn, subject, finding, now)?;
        }
        store::set_examined(conn, &record, facts, thumbnail.as_ref(), now)
    })
    .await
}

/// Reads the photo and decodes it, and compares it with what the device signed.
fn look_into(content: &[u8], declared: &PhotoFacts, now: Timestamp) -> Examined {
    let facts = match photo::read(content) {
        Ok(facts) => facts,
        Err(refusal) => {
            return Examined {
                facts: None,
                thumbnail: None,
                findings: vec![NewFinding {
                    signal: "photo-does-not-decode",
                    weight: Weight::Contradiction,
                    summary: format!("Headquarters cannot read the photo that the device took in: {refusal}"),
                    values: json!({ "problem": refusal.to_string() }),
                    uncertainty: EXACT.to_owned(),
                    explanations: "The agent that took it in is newer, or accepted what this server does not read.",
                    method: METHOD,
                }],
            };
        }
    };
    let mut findings = Vec::new();
    if &facts != declared {
        findings.push(NewFinding {
            signal: "facts-differ",
            weight: Weight::Contradiction,
            summary: "The record says other things of the photo than the photo itself.".to_owned(),
            values: json!({ "record": declared, "photo": facts }),
            uncertainty: EXACT.to_owned(),
            explanations: "Agent and server are of different versions and read photos differently.",
            method: METHOD,
        });
    }
    findings.extend(flags::flagged(content, &facts, now));
    let thumbnail =
        match thumbnail::make(content, facts.format, (facts.width, facts.height), facts.orientation) {
            Ok(jpeg) => Some(jpeg),
            Err(NoThumbnail::Damaged(problem)) => {
                findings.push(NewFinding {
                signal: "pixels-do-not-decode",
                weight: Weight::Look,
                summary: format!("The photo is kept as signed, but its pixels do not decode: {problem}."),
                values: json!({ "problem": problem }),
                uncertainty: EXACT.to_owned(),
                explanations: "The file was damaged in the camera or on its card, before it was taken in.",
                method: METHOD,
            });
                None
            }
            Err(other) => {
                findings.push(not_checked(format!("{other}.")));
                None
            }
        };
    Examined { facts: Some(facts), thumbnail, findings }
}

fn not_checked(why: String) -> NewFinding {
    NewFinding {
        signal: "pixels-not-checked",
        weight: Weight::Info,
        values: json!({ "why": why }),
        uncertainty: "nothing was measured".to_owned(),
        summary: why,
        explanations: "Nothing is said about this photo's pixels, neither good nor bad.",
        method: METHOD,
    }
}
