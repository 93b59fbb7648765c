//! The state of a serial from its events: one pure function, so that it can be recomputed at any time.

use std::collections::HashMap;

use chrono::{NaiveDate, TimeDelta};
use endcheck_protocol::checklist::ItemStatus;
use endcheck_protocol::ids::{ItemId, PartyId, SerialEventId, ShipmentId, SiteId, VisitId};
use endcheck_protocol::record::VerificationMethod;
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::event::{Event, Happening, LossKind, Unsent, why_not_seen};
use crate::config::serial_rules::{SerialClock, SerialRules};

/// What the papers say of a serial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Papers {
    pub item: ItemId,
    pub shipment: ShipmentId,
    pub serial: String,
    pub control_entry: String,
    /// Who licensed it, as the licence names them.
    pub authority: String,
    /// The end user.
    pub host: PartyId,
    pub site: SiteId,
    /// The site's.
    pub country: String,
}

/// How it stands with a serial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Its shipment has not arrived yet.
    Awaited,
    /// Where the papers or a transfer say, as far as is known.
    InPlace,
    /// A loss was reported and nobody has looked into the report yet; the clock runs on.
    LossReported,
    /// Lost or stolen; a search is due.
    Lost,
    /// Destroyed, expended or demilitarised, and somebody accepted the proof: no clock runs any more.
    Gone,
}

impl Status {
    pub const ALL: [Self; 5] = [Self::Awaited, Self::InPlace, Self::LossReported, Self::Lost, Self::Gone];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Awaited => "awaited",
            Self::InPlace => "in-place",
            Self::LossReported => "loss-reported",
            Self::Lost => "lost",
            Self::Gone => "gone",
        }
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// What a clock runs from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Since {
    Arrival,
    Seen,
    Transfer,
    Found,
    Loss,
}

/// The state of a serial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub tier: u8,
    pub status: Status,
    /// Who has it.
    pub host: PartyId,
    /// Where it should be.
    pub site: SiteId,
    pub country: String,
    pub arrived_on: Option<String>,
    pub last_seen_at: Option<Timestamp>,
    pub seen_method: Option<VerificationMethod>,
    pub seen_visit: Option<VisitId>,
    pub seen_site: Option<SiteId>,
    /// The end of the day by which it is to be seen.
    pub due_at: Option<Timestamp>,
    pub due_since: Option<Since>,
    /// The day from which the clock runs.
    pub due_from: Option<NaiveDate>,
    /// What an inspector recorded of it other than that it is there, since it was last seen.
    pub said: Option<ItemStatus>,
    /// The loss that counts, reviewed or not.
    pub loss: Option<SerialEventId>,
    /// Whether that loss was reported late.
    pub loss_is_late: bool,
    pub events: u64,
}

/// The state after `events`, in whatever order they are given.
#[must_use]
pub(super) fn state_of(papers: &Papers, rules: &SerialRules, events: &[Event]) -> State {
    worked_out(papers, rules, events).0
}

/// Why sightings among the events that count did not count as seen.
#[must_use]
pub(super) fn not_seen(papers: &Papers, rules: &SerialRules, events: &[Event]) -> NotSeen {
    worked_out(papers, rules, events).1
}

/// Why a sighting did not move the clock.
pub(super) type NotSeen = HashMap<SerialEventId, &'static str>;

fn worked_out(papers: &Papers, rules: &SerialRules, events: &[Event]) -> (State, NotSeen) {
    let tier = rules.tier(&papers.control_entry);
    let state = State {
        tier,
        status: Status::Awaited,
        host: papers.host.clone(),
        site: papers.site.clone(),
        country: papers.country.clone(),
        arrived_on: None,
        last_seen_at: None,
        seen_method: None,
        seen_visit: None,
        seen_site: None,
        due_at: None,
        due_since: None,
        due_from: None,
        said: None,
        loss: None,
        loss_is_late: false,
        events: events.len() as u64,
    };
    let Some(clock) = rules.clock(tier, &papers.control_entry, &papers.authority) else {
        return (state, NotSeen::new());
    };
    let mut counting: Vec<&Event> = events.iter().filter(|event| counts(event, events)).collect();
    counting.sort_by_key(|event| (event.counts_at(), event.recorded_at, &event.id));
    let mut fold = Fold { state, not_seen: NotSeen::new(), clock, declared: &papers.serial, events };
    for event in counting {
        fold.take(event);
    }
    (fold.state, fold.not_seen)
}

/// Whether somebody else accepted or rejected a loss, a find or a transfer; `None` until then.
#[must_use]
pub(super) fn review_of(of: &SerialEventId, events: &[Event]) -> Option<bool> {
    newest_review(of, events).map(|(_, accepted)| accepted)
}

fn newest_review<'a>(of: &SerialEventId, events: &'a [Event]) -> Option<(&'a Event, bool)> {
    let reviews = events.iter().filter(|other| counts(other, events)).filter_map(|other| match &other.what {
        Happening::LossReview { loss: about, accepted, .. }
        | Happening::Review { of: about, accepted, .. }
            if about == of =>
        {
            Some((other, *accepted))
        }
        _ => None,
    });
    reviews.max_by_key(|(review, _)| (review.recorded_at, &review.id))
}

/// Whether no other event stands in for this one. A record is corrected only by the device that made it, for
/// the same visit.
pub(super) fn counts(event: &Event, events: &[Event]) -> bool {
    if matches!(event.what, Happening::Withdrawn { .. }) {
        return false;
    }
    !events.iter().any(|other| {
        other.corrects.as_ref() == Some(&event.id)
            || (other.replaces_record.is_some()
                && other.replaces_record == event.record
                && other.actor == event.actor
                && other.visit == event.visit)
    })
}

struct Fold<'a> {
    state: State,
    not_seen: NotSeen,
    clock: &'a SerialClock,
    declared: &'a str,
    events: &'a [Event],
}

impl Fold<'_> {
    fn take(&mut self, event: &Event) {
        let day = event.counts_at().day();
        match &event.what {
            Happening::Arrival { arrived_on } => {
                self.state.arrived_on = Some(arrived_on.clone());
                if self.state.status == Status::Awaited {
                    self.state.status = Status::InPlace;
                }
                // Whoever saw it before that day saw it on its way. A loss stays one, and stops no clock until somebody
                // else accepted it, on whatever day it is said to have been.
                if matches!(self.state.status, Status::InPlace | Status::LossReported) {
                    // The day is the papers', whenever they came in.
                    self.run(arrived_on.parse().unwrap_or(day), self.clock.first_days, Since::Arrival);
                }
            }
            Happening::Sighting { .. } => self.sighted(event, day),
            Happening::Loss { what, .. } => self.lose(event, *what),
            // Taken with what they are about.
            Happening::LossReview { .. } | Happening::Review { .. } | Happening::Withdrawn { .. } => {}
            Happening::Found { .. } => self.found(event, day),
            Happening::Transfer { .. } => self.transferred(event, day),
        }
    }

    fn sighted(&mut self, event: &Event, day: NaiveDate) {
        let Happening::Sighting { status, method, serial_read, site, unsent } = &event.what else { return };
        let read = serial_read.as_deref();
        let why = unsent
            .map(Unsent::told)
            .or_else(|| why_not_seen(self.declared, *status, *method, read, &self.clock.seen_by));
        if let Some(why) = why {
            self.not_seen.insert(event.id.clone(), why);
            if unsent.is_none() && !matches!(status, ItemStatus::Sighted | ItemStatus::NotSampled) {
                self.state.said = Some(*status);
            }
            return;
        }
        self.state.last_seen_at = Some(event.counts_at());
        self.state.seen_method = Some(*method);
        self.state.seen_visit.clone_from(&event.visit);
        self.state.seen_site.clone_from(site);
        if site.as_ref().is_some_and(|site| *site != self.state.site) {
            // That it is where it should be, nobody saw.
            self.not_seen.insert(event.id.clone(), "it was seen elsewhere");
            return;
        }
        self.state.status = Status::InPlace;
        self.state.said = None;
        self.no_loss();
        self.run(day, self.clock.then_days, Since::Seen);
    }

    /// A find takes a loss away. A clock of its own begins once somebody else accepted it; until then it moves no due
    /// date later.
    fn found(&mut self, event: &Event, day: NaiveDate) {
        let review = review_of(&event.id, self.events);
        if review == Some(false) {
            return;
        }
        match self.state.status {
            Status::Awaited | Status::InPlace => {}
            // Nobody looked into the loss, so that the old clock never stopped.
            Status::LossReported => {
                let has_clock = self.state.due_at.is_some();
                self.state.status = if has_clock { Status::InPlace } else { Status::Awaited };
                self.no_loss();
            }
            Status::Lost | Status::Gone => {
                self.state.status = Status::InPlace;
                self.no_loss();
                self.run_as_reviewed(review, day, Since::Found);
            }
        }
    }

    /// A transfer says at once where it should be. A clock of its own begins, and a loss is taken away, once somebody
    /// else accepted it; until then it moves no due date later.
    fn transferred(&mut self, event: &Event, day: NaiveDate) {
        let Happening::Transfer { gaining_party, gaining_site, gaining_country, .. } = &event.what else {
            return;
        };
        let review = review_of(&event.id, self.events);
        if review == Some(false) {
            return;
        }
        self.state.host = gaining_party.clone();
        self.state.site = gaining_site.clone();
        self.state.country.clone_from(gaining_country);
        if review == Some(true) {
            self.no_loss();
        } else if !matches!(self.state.status, Status::Awaited | Status::InPlace) {
            return;
        }
        self.state.status = Status::InPlace;
        self.run_as_reviewed(review, day, Since::Transfer);
    }

    /// A loss with its review, if there is one: a rejected one did not happen.
    fn lose(&mut self, event: &Event, what: LossKind) {
        let review = newest_review(&event.id, self.events);
        if matches!(review, Some((_, false))) {
            return;
        }
        self.state.loss = Some(event.id.clone());
        let report_by = end_of(event.happened_at.day(), self.clock.report_days);
        self.state.loss_is_late = event.recorded_at > report_by;
        match review {
            None => self.state.status = Status::LossReported,
            Some(_) if what.is_final() => {
                self.state.status = Status::Gone;
                self.state.due_at = None;
                self.state.due_since = None;
                self.state.due_from = None;
            }
            Some((review, _)) => {
                self.state.status = Status::Lost;
                self.run(review.recorded_at.day(), self.clock.search_days, Since::Loss);
            }
        }
    }

    /// Begins the first clock where it was accepted, or where it ends before the one that runs.
    fn run_as_reviewed(&mut self, review: Option<bool>, from: NaiveDate, since: Since) {
        let due_at = end_of(from, self.clock.first_days);
        if review == Some(true) || self.state.due_at.is_none_or(|running| due_at < running) {
            self.run(from, self.clock.first_days, since);
        }
    }

    fn no_loss(&mut self) {
        self.state.loss = None;
        self.state.loss_is_late = false;
    }

    fn run(&mut self, from: NaiveDate, days: u32, since: Since) {
        self.state.due_at = Some(end_of(from, days));
        self.state.due_since = Some(since);
        self.state.due_from = Some(from);
    }
}

/// The end of the day, in UTC, so many days later.
pub(super) fn end_of(day: NaiveDate, days: u32) -> Timestamp {
    let end = day.and_hms_opt(23, 59, 59).unwrap_or_default().and_utc();
    Timestamp::from(end).plus(TimeDelta::days(i64::from(days)))
}

/// In words: from what, and by which rule.
#[must_use]
pub(super) fn told(since: Since, from: NaiveDate, clock: &SerialClock) -> String {
    match since {
        Since::Arrival => format!("{} days after arrival on {from}", clock.first_days),
        Since::Seen => format!("{} days after it was last seen on {from}", clock.then_days),
        Since::Transfer => format!("{} days after the transfer on {from}", clock.first_days),
        Since::Found => format!("{} days after it was found again on {from}", clock.first_days),
        Since::Loss => {
            format!("{} days after the report of its loss was accepted on {from}", clock.search_days)
        }
    }
}

#[cfg(test)]
mod tests;
