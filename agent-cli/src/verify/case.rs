//! What is checked of a bag as a whole, and what only a bag can show of its papers.

use std::collections::{BTreeSet, HashMap};

use endcheck_protocol::bag::{self as format, AnchorProof, Bundle, Continues};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ledger::{CustodyAct, Note};
use endcheck_protocol::merkle::verify_consistency;
use endcheck_protocol::record::Record;
use endcheck_protocol::sync::Receipt;
use endcheck_protocol::tlog::EntryKind;
use serde_json::Value;

use super::bag::{Bag, CHECKPOINT, FINDINGS};
use super::papers::{Signed, known, read_proof};
use super::trust::CLOCKS_APART;
use super::{Found, Outcome, Verifier};

fn held(result: Result<String, String>) -> Found {
    match result {
        Ok(evidence) => (Outcome::Holds, evidence),
        Err(why) => (Outcome::Failed, why),
    }
}

impl<'a> Verifier<'a> {
    /// What concerns the bag as a whole, and what only a bag can show of its papers.
    pub(super) fn bag(&mut self, bag: &'a Bag) {
        let (whole, said) = held(bag.whole());
        self.say(format::MANIFEST, "bag-whole", (whole, said));
        let whole = whole == Outcome::Holds;
        let bundle: Bundle = match bag.json(format::INDEX) {
            Ok(bundle) => bundle,
            Err(why) => return self.say(format::INDEX, "readable", (Outcome::Failed, why)),
        };
        if let Err(why) = known(&bundle.schema, format::SCHEMA) {
            self.say(format::INDEX, "readable", (Outcome::Failed, why));
        }
        self.bundle = Some(bundle.clone());
        let checkpoint = bag.text(CHECKPOINT).unwrap_or_default();
        let own = bag.text(format::PROOF).and_then(|text| read_proof(format::PROOF, text).ok());
        let own = own.map(|proof| proof.tlog.checkpoint).unwrap_or_default();
        self.trust.compare(&[checkpoint, &own]);
        if let Some(name) = bag.hashes.get(format::TAG_MANIFEST) {
            self.trust.know(&bundle, name);
        }
        self.bag_in_log(bag);
        let found = self.trust.checkpoint(checkpoint);
        self.say(CHECKPOINT, "checkpoint", found);
        self.one_state(bag, &bundle, checkpoint, &own);
        let anchors = bag.json::<Vec<AnchorProof>>(format::ANCHORS);
        if let Err(why) = &anchors {
            self.say(format::ANCHORS, "readable", (Outcome::Failed, why.clone()));
        }
        let anchors = anchors.unwrap_or_default();
        let originals: HashMap<&Sha256, &str> = bag
            .hashes
            .iter()
            .filter(|(path, _)| path.starts_with("data/original/"))
            .map(|(path, sha256)| (sha256, path.as_str()))
            .collect();
        let signed_for: BTreeSet<&Sha256> = self
            .papers
            .records
            .iter()
            .filter_map(|signed| Some(&signed.content.act.file()?.sha256))
            .collect();
        let papers = self.papers;
        for signed in &papers.records {
            let found = in_visit(signed, &bundle);
            self.say(&signed.file, "record-visit", found);
            let found = named(&signed.file, &format!("data/records/{}.dsse.json", signed.envelope.hash));
            self.say(&signed.file, "record-name", found);
            let found = self.between(signed, checkpoint, &anchors);
            self.say(&signed.file, "record-time", found);
            if let Some(facts) = signed.content.act.file() {
                let found = self.original(originals.get(&facts.sha256), &bundle, &signed.envelope.hash);
                self.say(&signed.file, "original", found);
            }
        }
        for (path, sha256) in bag.hashes.iter().filter(|(path, _)| path.starts_with("data/original/")) {
            if !signed_for.contains(sha256) {
                let why = "no record here names a file with these bytes".to_owned();
                self.say(path, "original", (Outcome::Failed, why));
            }
        }
        for one in &papers.determinations {
            let name = format!("data/determinations/{}.determination.json", one.content.id);
            self.say(&one.file, "determination-name", named(&one.file, &name));
        }
        self.derived(bag, &bundle);
        self.checklist(bag);
        self.ledger_of(&bundle);
        self.findings(bag);
        for path in ["data/report.html", "data/CERTIFICATE-draft.md", "data/VERIFY.md"] {
            if whole && bag.hashes.contains_key(path) {
                let said = "its bytes are as its manifest lists them; what it says is for reading, and was not \
                            compared with the records";
                self.say(path, "for-reading", (Outcome::Holds, said.to_owned()));
            }
        }
    }

    /// Whether everything in the bag is shown in one state of the log, and the log that holds the bag's name
    /// continues that state: else each paper could come from a history of its own.
    fn one_state(&mut self, bag: &Bag, bundle: &Bundle, checkpoint: &str, own: &str) {
        let Some(state) = self.trust.state(checkpoint) else { return };
        let same = |text: &str| self.trust.state(text).is_some_and(|other| other == state);
        let other = self.papers.proofs.iter().find(|proof| !same(&proof.tlog.checkpoint));
        let found = match other {
            Some(proof) => {
                (Outcome::Failed, format!("{} is under another checkpoint than the bag's", proof.file))
            }
            None if state.size != bundle.log_size => {
                let why = format!("it is of {} entries, the bag says {}", state.size, bundle.log_size);
                (Outcome::Failed, why)
            }
            None => (Outcome::Holds, format!("all proofs lead to the log of {} entries", state.size)),
        };
        self.say(CHECKPOINT, "one-state", found);
        let Some(later) = self.trust.state(own) else { return };
        let found = held(bag.json::<Continues>(format::CONTINUES).and_then(|proof| {
            let (old, new) = ((state.size, &state.root), (later.size, &later.root));
            if later.origin != state.origin {
                return Err(format!("the bag's own proof is of another log, {}", later.origin));
            }
            verify_consistency(old, new, &proof.consistency)
                .map(|()| {
                    let more = later.size.saturating_sub(state.size);
                    format!(
                        "the log of {} entries continues the bag's; what its {more} later ones say is not here",
                        later.size
                    )
                })
                .map_err(|error| format!("the log that holds the bag does not continue the bag's: {error}"))
        }));
        self.say(format::CONTINUES, "log-continues", found);
    }

    /// Whether the findings for reading are those of the ledger.
    fn findings(&mut self, bag: &Bag) {
        let found = held(bag.json::<Value>(FINDINGS).and_then(|said| {
            let told = Value::Array(
                self.papers.ledger.iter().filter_map(|(_, line)| format::finding(&line.entry)).collect(),
            );
            // As written and read again: a number may be another float then.
            let told = serde_json::to_string(&told).and_then(|text| serde_json::from_str::<Value>(&text));
            if told.is_ok_and(|told| told == said) {
                Ok("they are those that the ledger tells".to_owned())
            } else {
                Err("they are not those that the ledger tells".to_owned())
            }
        }));
        self.say(FINDINGS, "findings", found);
    }

    /// Whether the log holds the bag's name.
    fn bag_in_log(&mut self, bag: &Bag) {
        let name = bag.hashes.get(format::TAG_MANIFEST);
        let found = match (bag.text(format::PROOF), name) {
            (None, _) => (
                Outcome::Failed,
                format!("{} is missing: nothing shows that this bag was exported", format::PROOF),
            ),
            (_, None) => (Outcome::Failed, format!("{} is missing", format::TAG_MANIFEST)),
            (Some(text), Some(name)) => match read_proof(format::PROOF, text) {
                Err(why) => (Outcome::Failed, why),
                Ok(proof) if proof.opening.subject != *name => {
                    (Outcome::Failed, "the log holds another bag than this one".to_owned())
                }
                Ok(proof) if proof.opening.entry.kind != EntryKind::Export => {
                    (Outcome::Failed, "the log's entry is about something else than an export".to_owned())
                }
                Ok(proof) => self.trust.included(&proof),
            },
        };
        self.say(format::PROOF, "bag-in-log", found);
    }

    /// Between which two instants a record was made, by the log alone.
    fn between(&self, signed: &Signed<Record>, checkpoint: &str, anchors: &[AnchorProof]) -> Found {
        let Some(place) = self.trust.logged(EntryKind::Record, &signed.envelope.hash) else {
            return (Outcome::NotChecked, "when it was logged is not proved".to_owned());
        };
        let before = place.logged_at;
        let clock = format!("; the device's own clock says {}", signed.content.clock.device_at);
        let Some(anchor) = signed.content.anchor.as_ref().filter(|anchor| anchor.size > 0) else {
            let said =
                format!("made before {before} by the log's clock; it names no state of the log{clock}");
            return (Outcome::Holds, said);
        };
        if anchor.size > place.index {
            let why = format!(
                "it names a log of {} entries, but is entry {} itself: it knew its own future",
                anchor.size, place.index
            );
            return (Outcome::Failed, why);
        }
        let Some(proof) = anchors.iter().find(|proof| proof.anchor == *anchor) else {
            return (Outcome::NotChecked, "the state of the log that it names is not proved".to_owned());
        };
        match self.trust.anchored(checkpoint, anchor, proof) {
            Err(why) => (Outcome::Failed, why),
            Ok(after) if after.since(before) > CLOCKS_APART => {
                (Outcome::Failed, format!("made after {after}, but logged before, at {before}"))
            }
            Ok(after) => {
                let said = format!("made after {after} and before {before} by the log's clock{clock}");
                (Outcome::Holds, said)
            }
        }
    }

    fn derived(&mut self, bag: &Bag, bundle: &Bundle) {
        for one in &bundle.derived {
            let found = match bag.hashes.get(&one.path) {
                Some(sha256) if *sha256 == one.sha256 => {
                    let subject = format::derived_subject(&one.record, &one.sha256);
                    self.trust.in_log(EntryKind::Custody, &subject)
                }
                _ => (Outcome::Failed, "it is not the file that was made".to_owned()),
            };
            self.say(&one.path, "derived-in-log", found);
        }
        let listed: BTreeSet<&str> = bundle.derived.iter().map(|one| one.path.as_str()).collect();
        for path in bag.hashes.keys().filter(|path| path.starts_with("data/derived/")) {
            if !listed.contains(path.as_str()) {
                self.say(
                    path,
                    "derived-in-log",
                    (Outcome::Failed, "nothing says what it was made from".to_owned()),
                );
            }
        }
    }

    /// Whether the checklist is the one that the inspector worked from.
    fn checklist(&mut self, bag: &Bag) {
        const PATH: &str = "data/checklist.json";
        let named: BTreeSet<&Sha256> =
            self.papers.records.iter().filter_map(|signed| signed.content.task.checklist.as_ref()).collect();
        let found = match (bag.hashes.get(PATH), named.is_empty()) {
            (_, true) => return,
            (None, false) => (Outcome::NotChecked, "the checklist is not here".to_owned()),
            (Some(found), false) if named.contains(found) => {
                (Outcome::Holds, "the checklist that the records name".to_owned())
            }
            (Some(_), false) => (Outcome::Failed, "the records name another checklist".to_owned()),
        };
        self.say(PATH, "checklist", found);
    }

    /// Whether the ledger is that of the visit, and tells of this export.
    fn ledger_of(&mut self, bundle: &Bundle) {
        let papers = self.papers;
        if let Some((place, _)) =
            papers.ledger.iter().find(|(_, line)| line.entry.visit.as_ref() != Some(&bundle.visit))
        {
            self.say(place, "ledger-visit", (Outcome::Failed, "it is about another visit".to_owned()));
        }
        let last = papers.ledger.iter().map(|(_, line)| line.batch.log_index).max();
        let exported = papers.ledger.iter().any(|(_, line)| {
            Some(line.batch.log_index) == last
                && matches!(&line.entry.note, Note::Custody { act: CustodyAct::Exported, .. })
        });
        let found = if exported {
            (Outcome::Holds, format!("{} entries, an export at its end", papers.ledger.len()))
        } else {
            (
                Outcome::NotChecked,
                "its last batch does not tell of the export: it was cut off, made for an earlier state, or \
                 somebody looked at the case in the same seconds"
                    .to_owned(),
            )
        };
        self.say(format::LEDGER, "ledger-visit", found);
    }
}

/// Whether a file lies where people look for what it is.
fn named(file: &str, expected: &str) -> Found {
    if file == expected {
        (Outcome::Holds, "it lies under its own name".to_owned())
    } else {
        (Outcome::Failed, format!("it lies under another name than {expected}"))
    }
}

fn in_visit(signed: &Signed<Record>, bundle: &Bundle) -> Found {
    if signed.content.task.visit.as_ref() == Some(&bundle.visit) && signed.content.org == bundle.org {
        (Outcome::Holds, format!("a {} of this visit", signed.content.act.kind()))
    } else {
        (Outcome::Failed, "it is a record of another visit or authority".to_owned())
    }
}

impl Verifier<'_> {
    fn original(&self, here: Option<&&str>, bundle: &Bundle, record: &Sha256) -> Found {
        let listed = bundle.originals.iter().find(|original| original.record == *record);
        let path = listed.and_then(|original| original.path.as_deref());
        if let Some(path) = here.filter(|here| path.is_none_or(|path| path == **here)) {
            return (Outcome::Holds, format!("{path} has the bytes that the device signed"));
        }
        let Some(listed) = listed else {
            return (Outcome::Failed, "the file that it names is neither here nor accounted for".to_owned());
        };
        if listed.path.is_some() {
            return (Outcome::Failed, "the file that is said to be its original has other bytes".to_owned());
        }
        let why = listed.absent.as_deref().unwrap_or("nobody says why");
        // Headquarters may keep back what it redacted; what it gave a receipt for it must have.
        let same = |derived: &format::Derived| {
            bundle.originals.iter().any(|one| one.record == derived.record && one.sha256 == listed.sha256)
        };
        let redacted = bundle.derived.iter().any(same) || why == format::WITHHELD;
        let receipted = self
            .papers
            .receipts
            .iter()
            .any(|receipt| matches!(&receipt.content, Receipt::File { record: of, .. } if of == record));
        let held = self.papers.ledger.iter().any(|(_, line)| {
            use CustodyAct::{Released, Verified};
            matches!(&line.entry.note, Note::Custody { act: Verified | Released, subject: Some(of), .. }
                if of == record)
        });
        if receipted && !redacted {
            let why = format!("headquarters gave a receipt for the file, and left it out: {why}");
            return (Outcome::Failed, why);
        }
        if held && !redacted {
            let why = format!("the ledger says that headquarters held the file, and it was left out: {why}");
            return (Outcome::Failed, why);
        }
        (Outcome::NotChecked, format!("the file is not here: {why}"))
    }
}
