//! `capture`: a file is sealed, described and signed; only then is it acknowledged.
//!
//! The pixels are not looked at; headquarters does that. The source stays as it is, unless `--move`.

use std::path::Path;

use endcheck_protocol::checklist::{EvidenceKind, Question, QuestionId, Scope, Slug};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::dossier::GENERAL_PURPOSE;
use endcheck_protocol::photo::{self, PhotoFlag, PhotoRefusal};
use endcheck_protocol::record::{Act, FileFacts, Task};
use endcheck_protocol::sync::MAX_FILE_BYTES;
use serde::Serialize;

use crate::capture_source::Source;
use crate::chain::Draft;
use crate::cli::Capture;
use crate::refusal::{ExitStatus, refuse};
use crate::seal::{self, SealedFile};
use crate::session::{OpenVisit, Recorded, Session};
use crate::store::LocalState;
use crate::ui;

/// The age format's own overhead stays under this.
const SEALING_BYTES: u64 = 8 * 1024 * 1024;

#[derive(Serialize)]
struct Captured {
    file: String,
    #[serde(flatten)]
    recorded: Recorded,
    mime: String,
    size_bytes: u64,
    sha256: Sha256,
    purpose: Option<String>,
    flags: Vec<PhotoFlag>,
    moved: bool,
    /// Why the checklist will not count it.
    warnings: Vec<String>,
}

pub(super) fn run(session: &mut Session<'_>, command: &Capture) -> anyhow::Result<ExitStatus> {
    let mut visit = session.open_visit(&command.on)?;
    if command.question.is_some() || command.item.is_some() {
        visit = visit.readable()?;
    }
    let task = task(&visit, command)?;
    let purpose = purpose(&visit, command, task.question.as_ref())?;
    let warnings = uncounted(&visit, command, &task, purpose.as_deref());
    for warning in &warnings {
        session.ui.warn(warning);
    }
    let caption = super::optional("the caption", command.caption.as_ref())?;
    let template = session.draft(Act::Note { text: String::new() }, task, &command.on)?;
    let recipients = seal::recipients(&session.identity.certificate.recipients)?;
    let mut refused = 0;
    let mut unmoved = 0;
    for path in &command.files {
        let taken = take(session, command, path, &recipients, purpose.clone(), |file, facts| {
            let (purpose, caption) = (purpose.clone(), caption.clone());
            let act = match facts {
                Some(facts) => Act::Photo { file, purpose, caption, facts: Box::new(facts) },
                None => Act::Document { file, purpose, caption },
            };
            Draft { act, ..template.clone() }
        });
        match taken {
            Ok(mut captured) => {
                captured.warnings.clone_from(&warnings);
                unmoved += u64::from(command.move_source && !captured.moved);
                session.ui.report(&captured, || human(&captured));
            }
            Err(error) => {
                refused += 1;
                session.ui.problem(Some(&path.display().to_string()), &error);
            }
        }
    }
    Ok(match refused {
        0 if unmoved == 0 => ExitStatus::Success,
        all if all == command.files.len() => ExitStatus::Refused,
        _ => ExitStatus::Partly,
    })
}

fn task(visit: &OpenVisit, command: &Capture) -> anyhow::Result<Task> {
    let mut task = visit.task();
    if let Some(question) = &command.question {
        task.question = Some(super::answer::question(visit, question)?.id.clone());
    }
    task.item = match (&command.item, visit.packet.items.as_slice()) {
        (Some(item), _) => Some(visit.item(item)?),
        (None, [only]) if asked_for_each_item(visit, &task) => Some(only.id.clone()),
        (None, _) => None,
    };
    Ok(task)
}

fn asked_for_each_item(visit: &OpenVisit, task: &Task) -> bool {
    let question = task.question.as_ref().and_then(|id| visit.packet.checklist.question(id));
    question.is_some_and(|question| question.scope == Scope::Item)
}

/// Why the checklist would not count what is taken in. What names neither question nor purpose does
/// not claim to prove anything.
fn uncounted(visit: &OpenVisit, command: &Capture, task: &Task, purpose: Option<&str>) -> Vec<String> {
    let kind = kind(command);
    let named = task.question.as_ref();
    if visit.state == LocalState::Sealed || (named.is_none() && purpose.is_none()) {
        return Vec::new();
    }
    let purpose = purpose.unwrap_or(GENERAL_PURPOSE);
    let fits = |question: &&Question| {
        named.is_none_or(|id| *id == question.id)
            && question.evidence.iter().any(|rule| rule.kind == kind && rule.purpose.as_str() == purpose)
    };
    let asking: Vec<&Question> = visit.packet.checklist.questions.iter().filter(fits).collect();
    if asking.is_empty() {
        let who = named.map_or("the checklist".to_owned(), |id| format!("question {id}"));
        let kind = kind.as_str();
        return vec![format!(
            "{who} asks for no {kind} of {purpose}: it is kept, but counts for nothing there"
        )];
    }
    if task.item.is_none() && asking.iter().all(|question| question.scope == Scope::Item) {
        let keys: Vec<&str> = visit.packet.items.iter().map(|item| item.key.as_str()).collect();
        return vec![format!(
            "{purpose} is asked for each item: it is kept, but counts for none without --item ({})",
            keys.join(", ")
        )];
    }
    Vec::new()
}

fn kind(command: &Capture) -> EvidenceKind {
    if command.document { EvidenceKind::Document } else { EvidenceKind::Photo }
}

/// The purpose as given; else the one that the question asks for, where it asks for just one.
fn purpose(
    visit: &OpenVisit,
    command: &Capture,
    question: Option<&QuestionId>,
) -> anyhow::Result<Option<String>> {
    if let Some(purpose) = &command.purpose {
        return Ok(Some(purpose.parse::<Slug>()?.to_string()));
    }
    let kind = kind(command);
    let rules =
        question.and_then(|id| visit.packet.checklist.question(id)).map(|question| &question.evidence);
    let mut purposes: Vec<&Slug> =
        rules.into_iter().flatten().filter(|rule| rule.kind == kind).map(|rule| &rule.purpose).collect();
    purposes.dedup();
    match purposes.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only.to_string())),
        several => {
            let listed: Vec<&str> = several.iter().map(|purpose| purpose.as_str()).collect();
            Err(refuse(
                "the question asks for evidence of several purposes",
                format!("Name one with --purpose: {}.", listed.join(", ")),
            ))
        }
    }
}

fn take(
    session: &mut Session<'_>,
    command: &Capture,
    path: &Path,
    recipients: &[age::x25519::Recipient],
    purpose: Option<String>,
    draft: impl FnOnce(FileFacts, Option<photo::PhotoFacts>) -> Draft,
) -> anyhow::Result<Captured> {
    refuse_own(session.store.home(), path)?;
    let _lock = session.store.lock_folder()?;
    let folder = session.store.sealed_folder();
    let mut source = Source::open(path)?;
    let limit_bytes = MAX_FILE_BYTES.saturating_sub(SEALING_BYTES);
    let (sealed, mime, facts) = if command.document {
        let (mime, file) = source.read_document(limit_bytes)?;
        (seal::seal(file, recipients, &folder, limit_bytes)?, mime, None)
    } else {
        let bytes = source.read_photo()?;
        let facts = photo::read(&bytes).map_err(refusal)?;
        (
            seal::seal(&mut bytes.as_slice(), recipients, &folder, limit_bytes)?,
            facts.format.mime(),
            Some(facts),
        )
    };
    let flags = facts.as_ref().map(|facts| facts.flags_at(session.environment.now().device_at));
    let SealedFile { size_bytes, sha256, sealed_sha256, sealed_size_bytes } = sealed;
    let file = FileFacts {
        name: source.name.clone(),
        size_bytes,
        mime: mime.to_owned(),
        sha256: sha256.clone(),
        sealed_sha256,
        sealed_size_bytes,
    };
    // After a failure the copy stays: the sweep removes it if no record names it.
    let recorded = session.record(draft(file, facts))?;
    let moved = command.move_source
        && match source.remove() {
            Ok(()) => true,
            Err(error) => {
                session.ui.problem(Some(&path.display().to_string()), &error);
                false
            }
        };
    let flags = flags.unwrap_or_default();
    Ok(Captured {
        file: path.display().to_string(),
        recorded,
        mime: mime.to_owned(),
        size_bytes,
        sha256,
        purpose,
        flags,
        moved,
        warnings: Vec::new(),
    })
}

/// What lies in the store is no evidence, and `--move` would remove it.
pub(super) fn refuse_own(home: &Path, path: &Path) -> anyhow::Result<()> {
    let inside = match (home.canonicalize(), path.canonicalize()) {
        (Ok(home), Ok(path)) => path.starts_with(home),
        // What cannot be found is refused when it is opened.
        _ => false,
    };
    if inside {
        return Err(refuse(
            format!("it lies in endcheck's own store, {}", home.display()),
            "Name a photo or document that lies elsewhere.",
        ));
    }
    Ok(())
}

/// Adds the option that takes other things in.
fn refusal(refused: PhotoRefusal) -> anyhow::Error {
    match refused {
        PhotoRefusal::NotAnImage { looks_like } => refuse(
            format!("the content is not an image: it looks like {looks_like}"),
            "Take it in as a document with --document.",
        ),
        other => other.into(),
    }
}

fn human(captured: &Captured) -> String {
    let purpose = captured.purpose.as_ref().map(|purpose| format!(" as {purpose}")).unwrap_or_default();
    let moved = if captured.moved { "; the source is removed" } else { "" };
    let mut text = captured.recorded.told(&format!(
        "{}: taken in{purpose} ({}, {}){moved}.",
        captured.file,
        captured.mime,
        ui::size(captured.size_bytes)
    ));
    for flag in &captured.flags {
        text.push_str(&format!("\n  {flag}: {} {}", flag.why(), flag.innocent_explanation()));
    }
    text
}
