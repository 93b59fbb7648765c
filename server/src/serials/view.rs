//! Serials as they are shown: the list, and one with its history.

use std::collections::{BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::NaiveDate;
use endcheck_protocol::checklist::ItemStatus;
use endcheck_protocol::ids::{ItemId, PartyId, ShipmentId, SiteId, VisitId};
use endcheck_protocol::record::VerificationMethod;
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Rules;
use super::event::{Event, Happening, Unsent, why_not_seen};
use super::state::{self, Since, Status, counts};
use super::store::{self, Place, StateRow, read_word};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::listing::{self, Page};
use crate::parties::{self, PartyName};
use crate::shipments;

/// How it stands with a serial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Serial {
    /// The item that has it.
    pub id: ItemId,
    pub serial: String,
    pub shipment: ShipmentId,
    pub shipment_key: String,
    pub control_entry: String,
    /// 1 is the most sensitive.
    pub tier: u8,
    pub status: Status,
    /// Who has it.
    pub host: PartyName,
    /// Where it should be.
    pub site: SiteId,
    pub site_name: String,
    /// The site's, ISO 3166-1 alpha-2.
    pub country: String,
    pub arrived_on: Option<String>,
    pub last_seen_at: Option<Timestamp>,
    pub seen_method: Option<VerificationMethod>,
    pub seen_visit: Option<VisitId>,
    /// Where it was seen.
    pub seen_site: Option<SiteId>,
    pub seen_site_name: Option<String>,
    /// The end of the day by which it is to be seen; absent where no clock runs.
    pub due_at: Option<Timestamp>,
    pub due_since: Option<Since>,
    /// From what the clock runs, in words.
    pub due_why: Option<String>,
    /// Days past the due date; 0 where it is not.
    pub overdue_days: i64,
    /// What an inspector recorded of it since it was last seen, other than that it is there.
    pub said: Option<ItemStatus>,
    /// Whether its loss was reported later than the programme allows.
    pub loss_is_late: bool,
}

/// A serial with everything that happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SerialHistory {
    #[serde(flatten)]
    pub serial: Serial,
    /// The clock that runs for it.
    pub clock: String,
    /// Where it is written that it runs.
    pub basis: String,
    /// In the order in which headquarters heard of them.
    pub history: Vec<HistoryEvent>,
}

/// An event, and whether it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HistoryEvent {
    #[serde(flatten)]
    pub event: Event,
    /// False where another event stands in for it.
    pub counts: bool,
    /// Why a sighting does not count as seen where it should be.
    pub not_seen: Option<String>,
    /// Of a loss, a find or a transfer: whether somebody else accepted it. Absent until then.
    pub accepted: Option<bool>,
}

/// Which serials are asked for.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct ListSerials {
    /// Due before that day (`YYYY-MM-DD`) begins, in UTC.
    pub due_before: Option<String>,
    /// Only those past their due date.
    pub overdue: bool,
    /// The party that has it.
    pub host: Option<PartyId>,
    pub tier: Option<u8>,
    pub site: Option<SiteId>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    pub status: Option<Status>,
    pub shipment: Option<ShipmentId>,
    /// Where the page before ended: its `next_cursor`.
    pub cursor: Option<String>,
    /// 1 to 500, 50 by default.
    pub limit: Option<i64>,
}

impl ListSerials {
    fn filter(&self, now: Timestamp) -> Result<store::Filter> {
        let before = match &self.due_before {
            None => None,
            Some(text) => {
                let day: NaiveDate = text
                    .parse()
                    .map_err(|_| Error::invalid_field("due_before", "expected a day such as 2026-11-23"))?;
                Some(Timestamp::from(day.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc()))
            }
        };
        let due_before = match before {
            Some(before) if self.overdue => Some(before.min(now)),
            Some(before) => Some(before),
            None => self.overdue.then_some(now),
        };
        Ok(store::Filter {
            due_before,
            host: self.host.clone(),
            tier: self.tier.map(i64::from),
            site: self.site.clone(),
            country: self.country.clone(),
            status: self.status,
            shipment: self.shipment.clone(),
        })
    }

    fn after(&self) -> Result<Option<Place>> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let read = || -> Option<Place> {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
            let (due, item) = text.split_once(' ')?;
            Some((due.parse().ok()?, item.parse().ok()?))
        };
        read().map(Some).ok_or_else(|| {
            Error::malformed(
                "malformed-cursor",
                "Give the next_cursor of an earlier page, or none to start anew.",
            )
        })
    }
}

fn cursor(row: &StateRow) -> String {
    URL_SAFE_NO_PAD.encode(format!("{} {}", row.due_order, row.item_id))
}

/// Serials in the order of their due dates, the most overdue first, those without one last.
///
/// # Errors
/// 400 or 422 when the query is not understood.
pub fn list(conn: &mut Conn, rules: &Rules, query: &ListSerials, now: Timestamp) -> Result<Page<Serial>> {
    let limit = listing::limit(query.limit)?;
    let rows = store::list(conn, &query.filter(now)?, query.after()?.as_ref(), limit + 1)?;
    let page = Page::cut_at(rows, limit, cursor);
    Ok(Page { items: named(conn, rules, &page.items, now)?, next_cursor: page.next_cursor })
}

/// A serial with its history.
///
/// # Errors
/// 404 when no item with a serial has that id.
pub fn get(conn: &mut Conn, rules: &Rules, item: &ItemId, now: Timestamp) -> Result<SerialHistory> {
    let missing = || Error::not_found("serial");
    let row = store::states(conn, &[item])?.remove(item).ok_or_else(missing)?;
    let events = store::events(conn, &[item])?.remove(item).unwrap_or_default();
    let serial = named(conn, rules, std::slice::from_ref(&row), now)?.pop().ok_or_else(missing)?;
    let clock = row.clock(&rules.rules);
    let seen_by = clock.map(|clock| clock.seen_by.clone()).unwrap_or_default();
    let mut not_seen = state::not_seen(&row.papers(), &rules.rules, &events);
    let history = events
        .iter()
        .map(|event| HistoryEvent {
            counts: counts(event, &events),
            not_seen: match &event.what {
                Happening::Sighting { status, method, serial_read, unsent, .. } => not_seen
                    .remove(&event.id)
                    .or(unsent.map(Unsent::told))
                    .or_else(|| {
                        why_not_seen(&serial.serial, *status, *method, serial_read.as_deref(), &seen_by)
                    })
                    .map(str::to_owned),
                _ => None,
            },
            accepted: state::review_of(&event.id, &events),
            event: event.clone(),
        })
        .collect();
    Ok(SerialHistory {
        clock: clock.map(|clock| clock.name.clone()).unwrap_or_default(),
        basis: clock.map(|clock| clock.basis.clone()).unwrap_or_default(),
        serial,
        history,
    })
}

/// Rows with the names that a reader wants beside the ids.
fn named(conn: &mut Conn, rules: &Rules, rows: &[StateRow], now: Timestamp) -> Result<Vec<Serial>> {
    let hosts: BTreeSet<&PartyId> = rows.iter().map(|row| &row.host_id).collect();
    let hosts = parties::names(conn, &hosts.into_iter().collect::<Vec<_>>())?;
    let at: BTreeSet<&SiteId> =
        rows.iter().flat_map(|row| [Some(&row.site_id), row.seen_site_id.as_ref()]).flatten().collect();
    let at = store::site_names(conn, &at.into_iter().collect::<Vec<_>>())?;
    let keys: BTreeSet<&ShipmentId> = rows.iter().map(|row| &row.shipment_id).collect();
    let keys = shipments::keys(conn, &keys.into_iter().collect::<Vec<_>>())?;
    rows.iter().map(|row| serial(row, rules, &hosts, &at, &keys, now)).collect()
}

fn serial(
    row: &StateRow,
    rules: &Rules,
    hosts: &HashMap<PartyId, PartyName>,
    sites: &HashMap<SiteId, String>,
    keys: &HashMap<ShipmentId, String>,
    now: Timestamp,
) -> Result<Serial> {
    let tier = u8::try_from(row.tier).unwrap_or(9);
    let since: Option<Since> = row.due_since.as_deref().map(read_word).transpose()?;
    let from: Option<NaiveDate> = row.due_from.as_deref().and_then(|day| day.parse().ok());
    // A state that was worked out by earlier rules is not explained by those in force.
    let clock = row.clock(&rules.rules).filter(|_| row.rules_hash == rules.hash);
    let due_why = match (since, from, clock) {
        (Some(since), Some(from), Some(clock)) => Some(state::told(since, from, clock)),
        _ => None,
    };
    Ok(Serial {
        id: row.item_id.clone(),
        serial: row.serial.clone(),
        shipment: row.shipment_id.clone(),
        shipment_key: keys.get(&row.shipment_id).cloned().unwrap_or_default(),
        control_entry: row.control_entry.clone(),
        tier,
        status: Status::parse(&row.status).unwrap_or(Status::Awaited),
        host: hosts.get(&row.host_id).cloned().ok_or_else(|| Error::not_found("party"))?,
        site: row.site_id.clone(),
        site_name: sites.get(&row.site_id).cloned().unwrap_or_default(),
        country: row.country.clone(),
        arrived_on: row.arrived_on.clone(),
        last_seen_at: row.last_seen_at,
        seen_method: row.seen_method.as_deref().map(read_word).transpose()?,
        seen_visit: row.seen_visit_id.clone(),
        seen_site: row.seen_site_id.clone(),
        seen_site_name: row.seen_site_id.as_ref().and_then(|site| sites.get(site).cloned()),
        due_at: row.due_at,
        due_since: since,
        due_why,
        overdue_days: row.due_at.map_or(0, |due| overdue_days(due, now)),
        said: row.said.as_deref().map(read_word).transpose()?,
        loss_is_late: row.loss_is_late,
    })
}

/// Days past a due date, the first of them counted as one; 0 before it.
pub(super) fn overdue_days(due: Timestamp, now: Timestamp) -> i64 {
    if now <= due { 0 } else { (now.day() - due.day()).num_days().max(1) }
}
