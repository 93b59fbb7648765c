//! What people report of a serial: losses, finds, transfers, and the review of a loss by somebody else.

use chrono::{Datelike as _, NaiveDate};
use endcheck_protocol::canonical;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{ItemId, PartyId, SerialEventId, SiteId};
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::event::{Event, Happening, LossKind};
use super::state::{Status, counts, review_of};
use super::view::{SerialHistory, get};
use super::{Rules, refresh, store};
use crate::accounts::{Actor, Permission};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::log::{self, EntryKind};
use crate::reason;
use crate::{parties, sites};

/// Something to be put on record about a serial. Days are `YYYY-MM-DD`. `corrects` names an event of the same
/// kind that this one stands in for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ReportSerialEvent {
    /// It is lost or no more. Its clock runs on until somebody else accepts the report.
    Loss {
        what: LossKind,
        lost_on: String,
        circumstances: String,
        /// What proves it, and where that is kept.
        proof: String,
        corrects: Option<SerialEventId>,
    },
    /// The review of a loss, by somebody other than who reported it.
    LossReview { loss: SerialEventId, accepted: bool, reason: String },
    /// The review of a find or a transfer, by somebody other than who reported it. Until it is accepted it moves no due
    /// date later.
    Review { event: SerialEventId, accepted: bool, reason: String },
    /// It turned up again.
    Found { found_on: String, circumstances: String, corrects: Option<SerialEventId> },
    /// It passed to another party or place: a new clock runs from that day, once somebody else accepted the report.
    Transfer {
        transferred_on: String,
        losing_office: String,
        gaining_office: String,
        gaining_party: PartyId,
        gaining_site: SiteId,
        /// The consent that permits it, as it can be looked up; absent where there is none.
        consent: Option<String>,
        corrects: Option<SerialEventId>,
    },
    /// An event that somebody reported did not happen.
    Withdraw { event: SerialEventId, reason: String },
}

/// An event as the log commits to it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub schema: String,
    pub id: SerialEventId,
    pub item: ItemId,
    pub serial: String,
    pub what: Happening,
    pub happened_at: Timestamp,
    pub recorded_at: Timestamp,
    pub actor: String,
    pub actor_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<SerialEventId>,
}

pub(super) const SCHEMA: &str = "endcheck-serial-event-1";

/// Puts an event on record: in the log, and in the serial's history. Call it within a write.
///
/// # Errors
/// 403 without the right, or for the review of one's own report; 404 for an unknown serial, party, site or
/// event; 409 `serial-state` where the serial's state does not allow it; 422.
pub fn report(
    conn: &mut Conn,
    actor: &Actor,
    rules: &Rules,
    item: &ItemId,
    command: ReportSerialEvent,
    now: Timestamp,
) -> Result<SerialHistory> {
    actor.require(Permission::ReportSerials)?;
    log::lock(conn)?;
    let declared = store::papers(conn, &[item])?.pop().ok_or_else(|| Error::not_found("serial"))?;
    // A serial that no sweep has seen yet has its state from here on.
    refresh(conn, rules, &[item])?;
    let state = store::states(conn, &[item])?.remove(item).ok_or_else(|| Error::not_found("serial"))?;
    let events = store::events(conn, &[item])?.remove(item).unwrap_or_default();
    let (what, happened_at, corrects) = happening(conn, actor, &state, &events, command, now)?;
    let mut event = Event {
        id: SerialEventId::mint(),
        item: item.clone(),
        what,
        happened_at,
        recorded_at: now,
        actor: actor.to_string(),
        visit: None,
        record: None,
        replaces_record: None,
        corrects,
        log_index: None,
    };
    let document = Document {
        schema: SCHEMA.to_owned(),
        id: event.id.clone(),
        item: item.clone(),
        serial: declared.papers.serial,
        what: event.what.clone(),
        happened_at: event.happened_at,
        recorded_at: now,
        actor: event.actor.clone(),
        actor_name: actor.name.clone(),
        corrects: event.corrects.clone(),
    };
    let bytes = canonical::write(&document).map_err(|e| Error::Internal(e.into()))?;
    let logged = log::append(conn, EntryKind::SerialEvent, &Sha256::of(&bytes), now)?;
    event.log_index = Some(logged.index);
    let document = String::from_utf8(bytes).map_err(|e| Error::Internal(e.into()))?;
    store::insert_event(conn, &event, Some(document))?;
    refresh(conn, rules, &[item])?;
    get(conn, rules, item, now)
}

type Happened = (Happening, Timestamp, Option<SerialEventId>);

fn happening(
    conn: &mut Conn,
    actor: &Actor,
    state: &store::StateRow,
    events: &[Event],
    command: ReportSerialEvent,
    now: Timestamp,
) -> Result<Happened> {
    let status = Status::parse(&state.status).unwrap_or(Status::Awaited);
    match command {
        ReportSerialEvent::Loss { what, lost_on, circumstances, proof, corrects } => {
            let corrects = corrected(events, corrects, "loss")?;
            if corrects.is_none() && !matches!(status, Status::Awaited | Status::InPlace) {
                return Err(wrong_state(status, "its loss is on record already; correct that report"));
            }
            let happened_at = day("lost_on", &lost_on, now)?;
            let circumstances = words("circumstances", circumstances)?;
            let proof = words("proof", proof)?;
            let reported_by = actor.user.to_string();
            let loss = Happening::Loss { what, lost_on, circumstances, proof, reported_by };
            Ok((loss, happened_at, corrects))
        }
        ReportSerialEvent::LossReview { loss, accepted, reason } => {
            reviewable(actor, events, &loss, &["loss"])?;
            let reason = reason::require(reason)?;
            Ok((Happening::LossReview { loss, accepted, reason }, now, None))
        }
        ReportSerialEvent::Review { event, accepted, reason } => {
            reviewable(actor, events, &event, &["found", "transfer"])?;
            let reason = reason::require(reason)?;
            Ok((Happening::Review { of: event, accepted, reason }, now, None))
        }
        ReportSerialEvent::Found { found_on, circumstances, corrects } => {
            let corrects = corrected(events, corrects, "found")?;
            if corrects.is_none() && matches!(status, Status::Awaited | Status::InPlace) {
                return Err(wrong_state(status, "nobody reported it lost"));
            }
            let happened_at = day("found_on", &found_on, now)?;
            if let Some(lost_on) = lost_on(state, events).filter(|lost_on| **lost_on > found_on) {
                return Err(Error::invalid_field("found_on", format!("lies before the loss on {lost_on}")));
            }
            let circumstances = words("circumstances", circumstances)?;
            Ok((Happening::Found { found_on, circumstances }, happened_at, corrects))
        }
        ReportSerialEvent::Transfer {
            transferred_on,
            losing_office,
            gaining_office,
            gaining_party,
            gaining_site,
            consent,
            corrects,
        } => {
            let corrects = corrected(events, corrects, "transfer")?;
            if corrects.is_none() && (&gaining_party, &gaining_site) == (&state.host_id, &state.site_id) {
                return Err(Error::invalid_field(
                    "gaining_site",
                    "is where that party has it already: a transfer goes to another party or place",
                ));
            }
            let happened_at = day("transferred_on", &transferred_on, now)?;
            parties::get(conn, &gaining_party)?;
            let site = sites::get(conn, &gaining_site)?;
            let transfer = Happening::Transfer {
                transferred_on,
                losing_office: words("losing_office", losing_office)?,
                gaining_office: words("gaining_office", gaining_office)?,
                losing_party: state.host_id.clone(),
                gaining_party,
                losing_site: state.site_id.clone(),
                gaining_site,
                gaining_country: site.country,
                consent: consent.map(|consent| words("consent", consent)).transpose()?,
            };
            Ok((transfer, happened_at, corrects))
        }
        ReportSerialEvent::Withdraw { event, reason } => {
            let reason = reason::require(reason)?;
            let held = events.iter().find(|held| held.id == event && held.log_index.is_some());
            match held {
                None => Err(Error::not_found("event that a person reported of this serial")),
                Some(held) if !counts(held, events) => Err(stands_no_more()),
                Some(held) if is_review_of_own(actor, held, events) => Err(Error::forbidden(
                    "own-report",
                    "The review of one's own report is withdrawn by somebody else.",
                )),
                Some(_) => Ok((Happening::Withdrawn { reason }, now, Some(event))),
            }
        }
    }
}

/// The day of the loss that counts, as it was reported.
fn lost_on<'a>(state: &store::StateRow, events: &'a [Event]) -> Option<&'a String> {
    let loss = events.iter().find(|event| Some(&event.id) == state.loss_id.as_ref())?;
    if let Happening::Loss { lost_on, .. } = &loss.what { Some(lost_on) } else { None }
}

fn is_own(actor: &Actor, event: &Event) -> bool {
    match &event.what {
        Happening::Loss { reported_by, .. } => reported_by == actor.user.as_str(),
        _ => event.actor == actor.to_string(),
    }
}

/// Whether an event is the review of what this person reported.
pub(super) fn is_review_of_own(actor: &Actor, review: &Event, events: &[Event]) -> bool {
    let (Happening::LossReview { loss: of, .. } | Happening::Review { of, .. }) = &review.what else {
        return false;
    };
    events.iter().any(|event| event.id == *of && is_own(actor, event))
}

/// Whether this person may review that event, of one of these kinds, now.
fn reviewable(actor: &Actor, events: &[Event], id: &SerialEventId, kinds: &[&str]) -> Result<()> {
    let held = events.iter().find(|event| event.id == *id && kinds.contains(&event.what.kind()));
    let Some(event) = held else {
        return Err(Error::not_found(&format!("{} of this serial", kinds.join(" or "))));
    };
    if !counts(event, events) {
        return Err(stands_no_more());
    }
    if is_own(actor, event) {
        return Err(Error::forbidden("own-report", "Somebody other than who reported it reviews it."));
    }
    if review_of(id, events).is_some() {
        return Err(Error::conflict(
            "serial-state",
            "It was reviewed already; withdraw the review to review it again.",
        ));
    }
    Ok(())
}

/// The event that is corrected, which must be one of the kind that still counts.
fn corrected(events: &[Event], named: Option<SerialEventId>, kind: &str) -> Result<Option<SerialEventId>> {
    let Some(id) = named else { return Ok(None) };
    match events.iter().find(|event| event.id == id && event.what.kind() == kind) {
        None => Err(Error::not_found(&format!("{kind} of this serial"))),
        Some(event) if !counts(event, events) => Err(stands_no_more()),
        Some(_) => Ok(Some(id)),
    }
}

fn stands_no_more() -> Error {
    Error::conflict("serial-state", "That event was corrected or withdrawn already; name the newest one.")
}

fn wrong_state(status: Status, why: &str) -> Error {
    Error::conflict("serial-state", format!("The serial is {}: {why}.", status.as_str()))
}

/// Nothing that is exported today was lost before.
const EARLIEST_YEAR: i32 = 1900;

/// The end of a day that is not in the future.
fn day(field: &str, text: &str, now: Timestamp) -> Result<Timestamp> {
    let day: NaiveDate = text
        .parse()
        .ok()
        .filter(|day: &NaiveDate| day.to_string() == text && day.year() >= EARLIEST_YEAR)
        .ok_or_else(|| Error::invalid_field(field, "expected a day such as 2026-11-23"))?;
    // Somewhere it may be tomorrow already.
    if Some(day) > now.day().succ_opt() {
        return Err(Error::invalid_field(field, "lies in the future; report what has happened"));
    }
    Ok(day.and_hms_opt(23, 59, 59).unwrap_or_default().and_utc().into())
}

fn words(field: &str, text: String) -> Result<String> {
    reason::require(text).map_err(|error| match error {
        Error::Refused(problem) => match problem.errors.into_iter().next() {
            Some(fault) => Error::invalid_field(field, fault.reason),
            None => Error::invalid_field(field, problem.detail),
        },
        other => other,
    })
}
