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
use super::pictures::{self, Print};
use super::store::{self, StoredFile};
use super::tracks;
use crate::accounts::{self, Camera};
use crate::app::App;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::picture::{self, NoPixels};

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
    if app.pictures.looks_back() {
        look_back(app).await?;
    }
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
                    let nothing = Examined { findings: vec![unchecked], ..Examined::default() };
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

/// Examines photos again that an older version examined and kept no hashes of.
async fn look_back(app: &Arc<App>) -> Result<()> {
    let mut after: Option<Sha256> = None;
    loop {
        let from = after.take();
        let batch = app.read(move |conn| pictures::without_hashes(conn, from.as_ref(), 20)).await?;
        let Some(last) = batch.last() else { return Ok(()) };
        after = Some(last.record.clone());
        for file in &batch {
            if let Err(error) = examine(app, file).await {
                tracing::error!(record = %file.record, error = format!("{error:#}"), "a photo has no hashes");
            }
        }
    }
}

/// What is known of a photo before it is looked into.
struct Declared {
    /// What the record says of it.
    facts: PhotoFacts,
    /// Those enrolled with the device.
    cameras: Vec<Camera>,
}

impl Declared {
    /// `None` where the file is no photo.
    fn of(conn: &mut Conn, file: &StoredFile) -> Result<Option<Self>> {
        let Some(record) = store::record(conn, &file.record)?.record else { return Ok(None) };
        let Act::Photo { facts, .. } = record.act else { return Ok(None) };
        Ok(Some(Self { facts: *facts, cameras: accounts::cameras_of(conn, &file.device)? }))
    }
}

/// What an examination found.
#[derive(Default)]
struct Examined {
    facts: Option<PhotoFacts>,
    thumbnail: Option<Vec<u8>>,
    findings: Vec<NewFinding>,
    /// To find the picture again; absent where the file is no photo.
    print: Option<Print>,
}

async fn examine(app: &Arc<App>, file: &StoredFile) -> Result<()> {
    let content = app.files.read(&file.sha256, LARGEST_BYTES).await.map_err(|e| Error::Internal(e.into()))?;
    let now = app.clock.now();
    let shared = Arc::clone(app);
    let about = file.clone();
    let declared = app
        .read(move |conn| {
            // Most of what others kept is read here, so that little is left for the write to wait for.
            shared.pictures.catch_up(conn)?;
            Declared::of(conn, &about)
        })
        .await?;
    let shared = Arc::clone(app);
    let runtime = tokio::runtime::Handle::current();
    let (examined, thumbnail) = actix_web::web::block(move || {
        let examined = match (&declared, &content) {
            (Some(declared), Some(content)) => look_into(content, declared, now),
            (Some(_), None) => Examined {
                findings: vec![not_checked(format!("The photo is larger than {} MiB.", LARGEST_BYTES >> 20))],
                ..Examined::default()
            },
            (None, _) => Examined::default(),
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
    let file = file.clone();
    let shared = Arc::clone(app);
    let facts = examined.facts.as_ref().and_then(|facts| serde_json::to_string(facts).ok());
    app.write(move |conn| {
        let subject = Subject { visit: file.visit.as_ref(), device: &file.device, record: &file.record };
        let alike = match &examined.print {
            Some(print) => pictures::take_in(conn, &shared.pictures, &file, print, now)?,
            None => Vec::new(),
        };
        for finding in examined.findings.iter().chain(&alike) {
            findings::add(conn, subject, finding, now)?;
        }
        store::set_examined(conn, &file.record, facts, thumbnail.as_ref(), now)
    })
    .await
}

/// Reads the photo and decodes it, and compares it with what the device signed.
fn look_into(content: &[u8], declared: &Declared, now: Timestamp) -> Examined {
    let facts = match photo::read(content) {
        Ok(facts) => facts,
        Err(refusal) => {
            return Examined {
                findings: vec![NewFinding {
                    signal: "photo-does-not-decode",
                    weight: Weight::Contradiction,
                    summary: format!("Headquarters cannot read the photo that the device took in: {refusal}"),
                    values: json!({ "problem": refusal.to_string() }),
                    uncertainty: EXACT.to_owned(),
                    explanations: "The agent that took it in is newer, or accepted what this server does not read.",
                    method: METHOD,
                }],
                ..Examined::default()
            };
        }
    };
    let mut findings = Vec::new();
    if facts != declared.facts {
        findings.push(NewFinding {
            signal: "facts-differ",
            weight: Weight::Contradiction,
            summary: "The record says other things of the photo than the photo itself.".to_owned(),
            values: json!({ "record": declared.facts, "photo": facts }),
            uncertainty: EXACT.to_owned(),
            explanations: "Agent and server are of different versions and read photos differently.",
            method: METHOD,
        });
    }
    findings.extend(flags::flagged(content, &facts, now));
    let analysis = picture::analyse(content, &facts);
    findings.extend(pictures::of_analysis(&facts, &analysis));
    findings.extend(pictures::of_light(&facts, &analysis));
    findings.extend(pictures::of_tables(&facts, &analysis, &declared.cameras));
    let digest = if analysis.is_telling() { analysis.digest } else { None };
    let (thumbnail, hashes) = match analysis.pixels {
        Ok(pixels) => (Some(pixels.thumbnail), pixels.hashes),
        Err(NoPixels::Damaged(problem)) => {
            findings.push(NewFinding {
                signal: "pixels-do-not-decode",
                weight: Weight::Look,
                summary: format!("The photo is kept as signed, but its pixels do not decode: {problem}."),
                values: json!({ "problem": problem }),
                uncertainty: EXACT.to_owned(),
                explanations: "The file was damaged in the camera or on its card, before it was taken in.",
                method: METHOD,
            });
            (None, None)
        }
        Err(other) => {
            findings.push(not_checked(format!("{other}.")));
            (None, None)
        }
    };
    let print = Print { facts: facts.clone(), digest, hashes };
    Examined { facts: Some(facts), thumbnail, findings, print: Some(print) }
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
