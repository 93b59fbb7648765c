//! An unlocked, enrolled store at work: which visit, which item, and the recording of an act.

use endcheck_protocol::checklist::Missing;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{ItemId, VisitId};
use endcheck_protocol::record::{Act, Task};
use endcheck_protocol::visit::VisitPacket;
use serde::Serialize;

use crate::chain::{Draft, Signed};
use crate::cli::OnVisit;
use crate::environment::Environment;
use crate::identity::Identity;
use crate::locate;
use crate::refusal::refuse;
use crate::seal;
use crate::store::{Appended, Database, HeldVisit, LocalState, Store};
use crate::ui::Ui;

/// The store and the identity of an enrolled device.
pub struct Session<'a> {
    pub environment: &'a Environment,
    pub ui: &'a Ui<'a>,
    pub store: Store,
    pub identity: Identity,
}

/// The visit that an act belongs to.
pub struct OpenVisit {
    pub packet: VisitPacket,
    pub state: LocalState,
    pub checklist_sha256: Sha256,
}

/// What is printed of a record that was made.
#[derive(Debug, Serialize)]
pub struct Recorded {
    pub record: Sha256,
    pub seq: u64,
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visit: Option<VisitId>,
}

/// Digits of a record's hash that name it to people, and the fewest that are taken from them.
const SHOWN_DIGITS: usize = 12;
const MIN_PREFIX_DIGITS: usize = 6;

impl Recorded {
    /// `text`, and by which name the record can be corrected.
    #[must_use]
    pub fn told(&self, text: &str) -> String {
        let digits = self.record.as_str().get(..SHOWN_DIGITS).unwrap_or_default();
        format!("{text} Record {digits}.")
    }
}

impl From<&Signed> for Recorded {
    fn from(signed: &Signed) -> Self {
        let record = &signed.record;
        let (kind, visit) = (record.act.kind(), record.task.visit.clone());
        Self { record: signed.hash.clone(), seq: record.seq, kind, visit }
    }
}

impl OpenVisit {
    /// The task of an act about `question` and `item` of this visit.
    #[must_use]
    pub fn task(&self) -> Task {
        Task {
            visit: Some(self.packet.visit.id.clone()),
            site: Some(self.packet.visit.site.clone()),
            item: None,
            question: None,
            checklist: Some(self.checklist_sha256.clone()),
        }
    }

    /// The visit, where its checklist and records can be read.
    ///
    /// # Errors
    /// When they are sealed; says what can be done.
    pub fn readable(self) -> anyhow::Result<Self> {
        if self.state != LocalState::Sealed {
            return Ok(self);
        }
        let id = &self.packet.visit.id;
        Err(refuse(
            format!("visit {id} is closed, and its checklist and records are sealed to headquarters"),
            format!(
                "This device can no longer read them. Add what was forgotten, or say what is wrong, with `endcheck \
                 note --visit {id}` or `endcheck capture --visit {id}`; headquarters sees it beside the rest."
            ),
        ))
    }

    /// What is missing in a sentence that names the item as the lists do, by its key.
    #[must_use]
    pub fn sentence(&self, missing: &Missing) -> String {
        let item = missing.item.as_ref().and_then(|id| self.packet.items.iter().find(|item| item.id == *id));
        match item {
            Some(item) => {
                format!("[{}] {}", item.key, missing.sentence.replace(item.id.as_str(), &item.key))
            }
            None => missing.sentence.clone(),
        }
    }

    /// The item that `selector` means: its key, serial, id or the beginning of its id.
    ///
    /// # Errors
    /// When none or several fit; lists what there is.
    pub fn item(&self, selector: &str) -> anyhow::Result<ItemId> {
        let wanted = selector.trim();
        let items = &self.packet.items;
        let exact = items.iter().find(|item| {
            item.id.as_str() == wanted || item.key == wanted || item.serial.as_deref() == Some(wanted)
        });
        if let Some(item) = exact {
            return Ok(item.id.clone());
        }
        let lower = wanted.to_ascii_lowercase();
        let mut fitting =
            items.iter().filter(|item| !lower.is_empty() && item.id.as_str().starts_with(&lower));
        match (fitting.next(), fitting.next()) {
            (Some(item), None) => Ok(item.id.clone()),
            (found, _) => {
                let listed: Vec<String> =
                    items.iter().map(|item| format!("{} ({})", item.key, item.description)).collect();
                let what =
                    if found.is_some() { "several items begin with" } else { "this visit has no item" };
                Err(refuse(format!("{what} {wanted:?}"), format!("Its items are {}.", listed.join(", "))))
            }
        }
    }
}

impl<'a> Session<'a> {
    /// Opens the store, unlocks it and reads who the device is.
    ///
    /// # Errors
    /// When the device is not enrolled, or the store is locked or damaged.
    pub fn open(environment: &'a Environment, ui: &'a Ui<'a>) -> anyhow::Result<Self> {
        let mut store = Database::open(&environment.home)?.unlock(environment, ui)?;
        let identity = store.identity()?;
        if let Err(error) = store.erase_closed(environment.now().device_at.day()) {
            ui.warn(&format!("record keys of days that are over could not be erased yet: {error:#}"));
        }
        for odd in store.sweep()? {
            ui.warn(&odd);
        }
        let mut session = Self { environment, ui, store, identity };
        session.seal_closed();
        Ok(session)
    }

    /// Seals what no visit in hand needs any more. Where that fails it is told, and stops nothing: the next
    /// command tries again.
    fn seal_closed(&mut self) {
        let sealed = seal::recipients(&self.identity.certificate.recipients)
            .and_then(|recipients| self.store.seal_closed(&recipients));
        if let Err(error) = sealed {
            self.ui.warn(&format!(
                "what was recorded of closed visits could not be sealed to headquarters yet: {error:#}"
            ));
        }
    }

    /// Ends the work with the store.
    pub fn end(self) {
        if self.environment.ends_after {
            self.store.leave();
        }
    }

    /// The visit that `selector` (an id or its beginning) means; without one, the only open visit.
    ///
    /// # Errors
    /// When none or several fit.
    pub fn find_visit(&mut self, selector: Option<&str>) -> anyhow::Result<HeldVisit> {
        let known = self.store.visit_ids()?;
        if selector.is_some_and(|selector| selector.trim().is_empty()) {
            return Err(refuse(
                "the visit that is named is empty",
                "Leave --visit out, or give the beginning of its id.",
            ));
        }
        let fitting: Vec<&String> = match selector {
            Some(prefix) => {
                let prefix = prefix.trim().to_ascii_lowercase();
                known.iter().map(|(id, _)| id).filter(|id| id.starts_with(&prefix)).collect()
            }
            None => known.iter().filter(|(_, state)| *state == LocalState::Open).map(|(id, _)| id).collect(),
        };
        let id = match (fitting.as_slice(), selector) {
            ([id], _) => (*id).clone(),
            ([], Some(prefix)) => {
                return Err(refuse(
                    format!("no visit on this device begins with {prefix:?}"),
                    "List them with `endcheck visits`, or fetch new ones with `endcheck pull`.",
                ));
            }
            ([], None) => {
                return Err(refuse(
                    "no visit is open",
                    "Open one with `endcheck open VISIT`, or name it with --visit.",
                ));
            }
            (several, Some(prefix)) => {
                return Err(refuse(
                    format!("{} visits begin with {prefix:?}", several.len()),
                    "Give more of the id; `endcheck visits` lists them.",
                ));
            }
            (several, None) => {
                return Err(refuse(
                    format!("{} visits are open", several.len()),
                    format!("Name one with --visit: {}.", joined(several)),
                ));
            }
        };
        let missing = || refuse("the visit is not on this device", "Fetch it with `endcheck pull`.");
        let held = self.store.visit(&id.parse()?)?.ok_or_else(missing)?;
        if selector.is_none() {
            self.ui.note(&format!("Visit {} at {}", held.packet.visit.id, held.packet.visit.site_name));
        }
        Ok(held)
    }

    /// The visit for an act on site. One that is not open is refused; a closed one that is named gets
    /// additions, with a warning.
    ///
    /// # Errors
    /// As [`Self::find_visit`], and when the visit was not opened yet.
    pub fn open_visit(&mut self, on: &OnVisit) -> anyhow::Result<OpenVisit> {
        let visit = self.any_visit(on.visit.as_deref())?;
        match visit.state {
            LocalState::Open => {}
            LocalState::Closed | LocalState::Sealed => {
                self.ui.warn("the visit is closed; this is added to it after the close");
            }
            LocalState::Waiting => {
                let id = &visit.packet.visit.id;
                return Err(refuse(
                    format!("visit {id} is not open yet"),
                    format!("Open it on site with `endcheck open {id}`."),
                ));
            }
        }
        Ok(visit)
    }

    /// The visit for an act that needs no opening, such as a refusal at the gate.
    ///
    /// # Errors
    /// As [`Self::find_visit`].
    pub fn any_visit(&mut self, selector: Option<&str>) -> anyhow::Result<OpenVisit> {
        let HeldVisit { state, packet, checklist_sha256 } = self.find_visit(selector)?;
        Ok(OpenVisit { packet, state, checklist_sha256 })
    }

    /// The draft of an act, with the place and the correction that the command line names.
    ///
    /// # Errors
    /// When the place cannot be had, or the record to be replaced is not this device's.
    pub fn draft(&mut self, act: Act, task: Task, on: &OnVisit) -> anyhow::Result<Draft> {
        let place = locate::fix(&on.place, self.ui)?;
        let replaces = on.replaces.as_deref().map(|prefix| self.replaced(prefix)).transpose()?;
        Ok(Draft { act, task, place, replaces })
    }

    fn replaced(&mut self, prefix: &str) -> anyhow::Result<Sha256> {
        let again = "Give more of the record's hash, as it was printed when it was made.";
        let wanted = prefix.trim().trim_end_matches('…').to_ascii_lowercase();
        if wanted.len() < MIN_PREFIX_DIGITS {
            let what =
                format!("{prefix:?} is too short to name a record: at least {MIN_PREFIX_DIGITS} digits");
            return Err(refuse(what, again));
        }
        match self.store.records_by_prefix(&wanted)?.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(refuse(format!("no record of this device begins with {prefix:?}"), again)),
            several => {
                Err(refuse(format!("{} records of this device begin with {prefix:?}", several.len()), again))
            }
        }
    }

    /// Signs and keeps one act. Durable when it returns.
    ///
    /// # Errors
    /// When the chain cannot be written.
    pub fn record(&mut self, draft: Draft) -> anyhow::Result<Recorded> {
        let recorded = self.record_all(vec![draft])?;
        recorded.into_iter().next_back().ok_or_else(|| anyhow::anyhow!("nothing was recorded"))
    }

    /// Signs and keeps several acts, all or none. Durable when it returns.
    ///
    /// # Errors
    /// When the chain cannot be written.
    pub fn record_all(&mut self, drafts: Vec<Draft>) -> anyhow::Result<Vec<Recorded>> {
        for draft in &drafts {
            self.check_correction(draft)?;
        }
        let reading = self.environment.now();
        let Appended { signed, other_day, trouble } = self.store.append(&self.identity, &reading, drafts)?;
        if let Some(trouble) = trouble {
            self.ui.warn(&format!(
                "recorded, but the store reported an error: {trouble:#}; look after the disk"
            ));
        }
        if let Some(other_day) = other_day {
            self.ui.warn(&other_day.told(reading.device_at.day()));
        }
        for record in &signed {
            if let Act::ClockSet { moved_by_ms } = record.record.act {
                self.ui.warn(&format!(
                    "the device's clock was set by {} s; a clock-set record says so",
                    moved_by_ms / 1000
                ));
            }
        }
        self.seal_closed();
        Ok(signed.iter().map(Recorded::from).collect())
    }
}

impl Session<'_> {
    /// A correction is of the same kind and visit as what it corrects; headquarters counts no other.
    fn check_correction(&mut self, draft: &Draft) -> anyhow::Result<()> {
        let Some(hash) = &draft.replaces else { return Ok(()) };
        if let Some(visit) = self.store.visit_of_sealed(hash)? {
            if draft.task.visit.as_ref().map(VisitId::as_str) != visit.as_deref() {
                return Err(of_another_visit(hash));
            }
            self.ui.warn(&format!(
                "record {hash} is sealed; headquarters will see whether this is of the same kind and corrects it"
            ));
            return Ok(());
        }
        let Some(old) = self.store.record(hash)? else { return Ok(()) };
        let (is, was) = (draft.act.kind(), old.record.act.kind());
        if is != was {
            return Err(refuse(
                format!("record {hash} is of kind {was}; {is} cannot correct it"),
                "Correct it with the command that made it.",
            ));
        }
        if draft.task.visit != old.record.task.visit {
            return Err(of_another_visit(hash));
        }
        Ok(())
    }
}

fn of_another_visit(hash: &Sha256) -> anyhow::Error {
    refuse(format!("record {hash} belongs to another visit"), "Name that visit with --visit.")
}

fn joined(ids: &[&String]) -> String {
    ids.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ")
}
