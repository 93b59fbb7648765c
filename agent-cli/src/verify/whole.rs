//! That nothing was left out: what devices, people and headquarters committed to, against what is here.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use endcheck_protocol::bag::{self as format, Bundle};
use endcheck_protocol::determination::DeterminationDocument;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{DeviceId, VisitId};
use endcheck_protocol::ledger::Note;
use endcheck_protocol::record::{Act, Contents, Record};
use endcheck_protocol::tlog::EntryKind;

use super::papers::{Papers, Signed};
use super::trust::{Place, Trust};
use super::{Found, Outcome, Verifier};

/// Records that a close of their own device commits to, where the commitment holds.
pub(super) struct Committed(HashSet<Sha256>);

impl Committed {
    pub(super) fn holds(&self, record: &Sha256) -> bool {
        self.0.contains(record)
    }
}

/// The records of the device and visit of `close` before it, in the order of their numbers.
fn before<'a>(papers: &'a Papers, close: &Signed<Record>) -> Vec<&'a Signed<Record>> {
    let mut records: Vec<&Signed<Record>> = papers
        .records
        .iter()
        .filter(|signed| {
            signed.content.device == close.content.device
                && signed.content.task.visit == close.content.task.visit
                && signed.content.seq < close.content.seq
        })
        .collect();
    records.sort_by_key(|signed| signed.content.seq);
    records
}

/// The closes that say what came before them.
fn closes(papers: &Papers) -> impl Iterator<Item = (&Signed<Record>, &Contents)> {
    papers.records.iter().filter_map(|signed| match &signed.content.act {
        Act::VisitClose { contents: Some(contents), .. } => Some((signed, contents)),
        _ => None,
    })
}

/// Which records the closes commit to. A close counts once the log holds it.
pub(super) fn committed(papers: &Papers, trust: &Trust<'_>) -> Committed {
    let mut hashes = HashSet::new();
    for (close, contents) in closes(papers) {
        let held = before(papers, close);
        let holds = Contents::of(held.iter().map(|signed| &signed.envelope.hash)) == *contents;
        if holds && trust.in_log(EntryKind::Record, &close.envelope.hash).0 == Outcome::Holds {
            hashes.extend(held.iter().map(|signed| signed.envelope.hash.clone()));
            hashes.insert(close.envelope.hash.clone());
        }
    }
    Committed(hashes)
}

fn compared(contents: &Contents, held: &[&Sha256]) -> Found {
    if Contents::of(held.iter().copied()) == *contents {
        return (Outcome::Holds, format!("all {} records that it commits to are here", contents.records));
    }
    let count = held.len() as u64;
    let what = match count.cmp(&contents.records) {
        std::cmp::Ordering::Less => format!("{count} are here: some were left out"),
        std::cmp::Ordering::Greater => format!("{count} are here: some were added"),
        std::cmp::Ordering::Equal => "as many are here, but not the same ones".to_owned(),
    };
    (Outcome::Failed, format!("it commits to {} records; {what}", contents.records))
}

impl Verifier<'_> {
    /// What each close says of the records before it; a device that closed nothing says nothing.
    pub(super) fn contents(&mut self) {
        let papers = self.papers;
        for (close, contents) in closes(papers) {
            let held = before(papers, close);
            let hashes: Vec<&Sha256> = held.iter().map(|signed| &signed.envelope.hash).collect();
            self.say(&close.file, "nothing-left-out", compared(contents, &hashes));
        }
        let closed: BTreeSet<(&DeviceId, Option<&VisitId>)> = closes(papers)
            .map(|(close, _)| (&close.content.device, close.content.task.visit.as_ref()))
            .collect();
        let mut open: BTreeMap<(&DeviceId, Option<&VisitId>), (&str, u64)> = BTreeMap::new();
        for signed in &papers.records {
            let whose = (&signed.content.device, signed.content.task.visit.as_ref());
            if !closed.contains(&whose) {
                open.entry(whose).or_insert((&signed.file, 0)).1 += 1;
            }
        }
        // Single records say nothing of a visit as a whole, and need not.
        if self.bundle.is_none() {
            return;
        }
        if closed.is_empty() {
            let count = papers.records.len();
            let why = format!("no device closed the visit: whether its {count} records are all, nobody says");
            self.say(format::INDEX, "nothing-left-out", (Outcome::NotChecked, why));
        }
        for ((device, _), (file, count)) in open {
            let why =
                format!("device {device} closed nothing: whether its {count} records are all, nobody says");
            self.say(file, "nothing-left-out", (Outcome::NotChecked, why));
        }
    }

    /// Determinations and approvals: in the log, and made of these records.
    pub(super) fn conclusions(&mut self) {
        let papers = self.papers;
        for one in &papers.determinations {
            let found = self.trust.in_log(EntryKind::Determination, &one.subject);
            self.say(&one.file, "determination-in-log", found);
            self.say(&one.file, "determination-says", concluded(&one.content, self.bundle.as_ref()));
            let found = match self.trust.logged(EntryKind::Determination, &one.subject) {
                None => (Outcome::NotChecked, "where in the log it stands is not proved".to_owned()),
                Some(made) => {
                    let mut held: Vec<(u64, &Sha256)> = papers
                        .records
                        .iter()
                        .filter(|signed| signed.content.task.visit.as_ref() == Some(&one.content.visit))
                        .filter_map(|signed| {
                            let hash = &signed.envelope.hash;
                            let record = self.trust.logged(EntryKind::Record, hash)?;
                            record.is_before(&made).then_some((record.index, hash))
                        })
                        .collect();
                    held.sort_unstable();
                    let held: Vec<&Sha256> = held.into_iter().map(|(_, hash)| hash).collect();
                    compared(&one.content.considered, &held)
                }
            };
            self.say(&one.file, "what-was-considered", found);
        }
        for (one, old) in
            papers.determinations.iter().filter_map(|one| Some((one, one.content.replaces.as_ref()?)))
        {
            let found = if papers.determinations.iter().any(|made| made.content.id == *old) {
                (Outcome::Holds, format!("it changes determination {old}, which is here"))
            } else {
                (Outcome::Failed, format!("determination {old}, which it changes, was left out"))
            };
            self.say(&one.file, "determination-changes", found);
        }
        for one in &papers.approvals {
            let found = self.trust.in_log(EntryKind::Determination, &one.subject);
            self.say(&one.file, "approval-in-log", found);
            let approved =
                papers.determinations.iter().find(|made| made.content.id == one.content.determination);
            let found = match approved {
                None => (Outcome::Failed, "the determination that it approves is not here".to_owned()),
                Some(made) if made.content.author == one.content.approver => {
                    (Outcome::Failed, "its author approved it: a second person must".to_owned())
                }
                Some(made) => (Outcome::Holds, format!("of determination {}", made.content.id)),
            };
            self.say(&one.file, "approval-of", found);
        }
    }

    /// The ledger: every entry in a batch that the log holds, each following the one before it.
    pub(super) fn ledger(&mut self) {
        let papers = self.papers;
        let mut expected = (0, None);
        for (place, line) in &papers.ledger {
            let found = match line.holds() {
                Err(error) => (Outcome::Failed, format!("its batch does not commit to it: {error}")),
                Ok(()) => match self.trust.logged(EntryKind::Custody, &line.batch.root) {
                    Some(Place { index, .. }) if index != line.batch.log_index => (
                        Outcome::Failed,
                        format!("its batch is entry {index} of the log, not the one it names"),
                    ),
                    _ => self.trust.in_log(EntryKind::Custody, &line.batch.root),
                },
            };
            self.say(place, "ledger-entry", found);
            let entry = &line.entry;
            let found = if (entry.number, &entry.prev) == (expected.0, &expected.1) {
                (Outcome::Holds, format!("number {} follows the one before it", entry.number))
            } else {
                let text = format!(
                    "number {} stands where {} is expected, or names another one before it",
                    entry.number, expected.0
                );
                (Outcome::Failed, text)
            };
            self.say(place, "ledger-order", found);
            expected = (entry.number.saturating_add(1), entry.hash().ok());
        }
        if self.bundle.is_some() {
            self.told();
        }
    }

    /// What the ledger tells of must be here, and every conclusion that is here must be told of.
    fn told(&mut self) {
        let papers = self.papers;
        let mut concluded: BTreeSet<(bool, &Sha256)> = BTreeSet::new();
        for (place, line) in &papers.ledger {
            let (record, missing) = match &line.entry.note {
                Note::Custody { subject, .. } => (subject.as_ref(), "it tells of a record that is not here"),
                Note::Finding { record, .. } => {
                    (record.as_ref(), "it tells what was found of a record that is not here")
                }
                Note::Concluded { determination, subject, approval } => {
                    concluded.insert((*approval, subject));
                    let here = if *approval {
                        papers
                            .approvals
                            .iter()
                            .any(|one| one.subject == *subject && one.content.determination == *determination)
                    } else {
                        papers
                            .determinations
                            .iter()
                            .any(|one| one.subject == *subject && one.content.id == *determination)
                    };
                    let what = if *approval { "an approval of" } else { "determination" };
                    let found = if here {
                        (Outcome::Holds, format!("{what} {determination}, which is here"))
                    } else {
                        (Outcome::Failed, format!("{what} {determination} was made, and left out here"))
                    };
                    self.say(place, "ledger-concluded", found);
                    continue;
                }
            };
            if record.is_some_and(|record| papers.record(record).is_none()) {
                self.say(place, "ledger-subject", (Outcome::Failed, missing.to_owned()));
            }
        }
        let determinations = papers.determinations.iter().map(|one| (false, &one.subject, &one.file));
        let approvals = papers.approvals.iter().map(|one| (true, &one.subject, &one.file));
        for (approval, subject, file) in determinations.chain(approvals) {
            if !concluded.contains(&(approval, subject)) {
                let why = "the visit's ledger does not tell of it".to_owned();
                self.say(file, "ledger-concluded", (Outcome::Failed, why));
            }
        }
    }
}

/// Whether a determination is about the bag's visit and concludes what a person can conclude.
fn concluded(document: &DeterminationDocument, bundle: Option<&Bundle>) -> Found {
    let DeterminationDocument { visit, outcome, author_name, .. } = document;
    if bundle.is_some_and(|bundle| bundle.visit != *visit) {
        return (Outcome::Failed, format!("it is about another visit, {visit}"));
    }
    match outcome.as_str() {
        "favourable" | "unfavourable" | "unverified" => {
            (Outcome::Holds, format!("{outcome}, by {author_name}"))
        }
        _ => (Outcome::Failed, format!("{outcome:?} is nothing that a person can conclude")),
    }
}
