//! Serials: where each numbered item is, when somebody last saw it, and by when it is to be seen again.
//!
//! Events are only added; the state is worked out from them by one pure function, kept for lists, and can be
//! worked out again at any time. Decides nothing about a visit or a party.

mod audit;
mod event;
mod follow;
mod form;
mod http;
mod overdue;
mod page;
mod report;
mod state;
mod store;
mod view;

use std::collections::{BTreeMap, HashMap};

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{ItemId, SerialEventId, ShipmentId, SiteId, VisitId};
use endcheck_protocol::record::{Act, Record};
use endcheck_protocol::time::Timestamp;

use crate::config::serial_rules::SerialRules;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::shipments;

pub use audit::verify;
pub use event::{Event, Happening, LossKind, Unsent, can_count_as_seen};
pub use follow::{Swept, sweep};
pub use http::{ApiDoc, routes};
pub use overdue::{Age, HostOverdue, Overdue, TierOverdue, overdue};
pub use report::{ReportSerialEvent, report};
pub use state::{Since, Status};
pub use view::{ListSerials, Serial, SerialHistory, get, list};

/// The rules in force on this server, with the hash under which they are kept.
#[derive(Debug, Clone)]
pub struct Rules {
    pub rules: SerialRules,
    hash: Sha256,
    document: String,
}

impl Rules {
    /// # Errors
    /// When the rules have no JSON form.
    pub fn new(rules: SerialRules) -> anyhow::Result<Self> {
        let (document, hash) = rules.document()?;
        Ok(Self { rules, hash, document })
    }
}

/// Puts the rules into force: keeps them, and has every state looked at again by the next sweep.
///
/// # Errors
/// When the database fails.
pub fn put_in_force(conn: &mut Conn, rules: &Rules, now: Timestamp) -> Result<()> {
    store::keep_rules(conn, &rules.hash, &rules.document, now)?;
    for stranger in rules.rules.strangers(&store::authorities(conn)?) {
        tracing::warn!(
            authority = stranger,
            "a [[serial_clock]] names an authority that no licence names: check how it is written"
        );
    }
    store::set_counter(conn, follow::PROGRAMME, -1)
}

/// Takes in what an accepted record of a visit says of a serial. Call it with the log's lock held; a record
/// that was taken in before changes nothing.
///
/// # Errors
/// When the database fails.
pub fn recorded(
    conn: &mut Conn,
    rules: &Rules,
    hash: &Sha256,
    record: &Record,
    visit: Option<&VisitId>,
    now: Timestamp,
) -> Result<()> {
    let (Some(event), Some(visit)) = (event_of(hash, record, visit, now), visit) else { return Ok(()) };
    let Some((site, shipment)) = store::visit_of(conn, visit)? else { return Ok(()) };
    let unsent = store::unsent(conn, visit, &record.device)?;
    // Other items than those of the visit's shipment were not what the inspector was sent for.
    let declared = store::papers(conn, &[&event.item])?.pop();
    if declared.is_none_or(|declared| declared.papers.shipment != shipment) {
        return Ok(());
    }
    let event = at_site(event, site, unsent);
    if store::insert_event(conn, &event, None)? {
        refresh(conn, rules, &[&event.item])?;
    }
    Ok(())
}

/// The event that a record of an item is; the site is filled in by [`at_site`].
fn event_of(hash: &Sha256, record: &Record, visit: Option<&VisitId>, now: Timestamp) -> Option<Event> {
    let Act::Item(sighting) = &record.act else { return None };
    let item: ItemId = record.task.item.clone()?;
    Some(Event {
        id: SerialEventId::mint(),
        item,
        what: Happening::Sighting {
            status: sighting.status,
            method: sighting.method,
            serial_read: sighting.serial.as_ref().map(|serial| serial.replace('\0', "\u{fffd}")),
            site: None,
            unsent: None,
        },
        happened_at: record.clock.device_at,
        recorded_at: now,
        actor: format!("device:{}", record.device),
        visit: visit.cloned(),
        record: Some(hash.clone()),
        replaces_record: record.replaces.clone(),
        corrects: None,
        log_index: None,
    })
}

fn at_site(mut event: Event, at: SiteId, why_unsent: Option<Unsent>) -> Event {
    if let Happening::Sighting { site, unsent, .. } = &mut event.what {
        *site = Some(at);
        *unsent = why_unsent;
    }
    event
}

/// The site where a shipment is to be looked for: where all its serials stand, or the declared one where it has none.
///
/// # Errors
/// 404 when there is no such shipment; 409 `sites-differ` with the list where they stand at several.
pub fn site_of(conn: &mut Conn, shipment: &ShipmentId) -> Result<SiteId> {
    let rows = store::of_shipments(conn, &[shipment])?;
    let gone = Status::Gone.as_str();
    let mut at: BTreeMap<&SiteId, Vec<&str>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.status != gone) {
        at.entry(&row.site_id).or_default().push(&row.serial);
    }
    let sites: Vec<&SiteId> = at.keys().copied().collect();
    match sites.as_slice() {
        [] => Ok(shipments::get(conn, shipment)?.site),
        [site] => Ok((*site).clone()),
        _ => {
            let names = store::site_names(conn, &sites)?;
            let told: Vec<String> = at
                .iter()
                .map(|(site, serials)| {
                    let name = names.get(*site).map_or("", String::as_str);
                    format!("{} at {name} ({site})", serials.join(", "))
                })
                .collect();
            Err(Error::conflict(
                "sites-differ",
                format!(
                    "The shipment's serials stand at several sites; name the one to visit: {}.",
                    told.join("; ")
                ),
            ))
        }
    }
}

/// Works the states of serials out anew and keeps what changed. Items without a serial are left out.
fn refresh(conn: &mut Conn, rules: &Rules, items: &[&ItemId]) -> Result<()> {
    let declared = store::papers(conn, items)?;
    let mut held = store::states(conn, items)?;
    let mut events = store::events(conn, items)?;
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for one in declared {
        let item = &one.papers.item;
        let state = state::state_of(&one.papers, &rules.rules, &events.remove(item).unwrap_or_default());
        let before = held.remove(item);
        let row = store::StateRow::of(&one.papers, &rules.hash, &state, before.as_ref())?;
        match before {
            None => new.push(row),
            Some(before) if before != row => changed.push(row),
            Some(_) => {}
        }
    }
    store::put_states(conn, &new, &changed)
}

/// Of each of these shipments when the serial was last seen that was not seen for longest, those that are gone
/// left out. A shipment without serials, or with one that was never seen, is not in the answer.
///
/// # Errors
/// When the database fails.
pub fn unseen_since(conn: &mut Conn, shipments: &[&ShipmentId]) -> Result<HashMap<ShipmentId, Timestamp>> {
    store::unseen_since(conn, shipments)
}
