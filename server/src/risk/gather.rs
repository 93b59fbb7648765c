//! Gathering the facts about shipments, many at a time. Reads; judges nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{Datelike as _, NaiveDate};
use diesel::prelude::*;
use endcheck_protocol::ids::{LicenceId, PartyId, ShipmentId};
use endcheck_protocol::time::Timestamp;

use super::facts::{FactValue, Facts};
use super::policy::Policy;
use super::signals::{Signal, SignalKind};
use super::store;
use crate::db::schema::{licence_lines, licences, parties, shipment_items, shipments, sites};
use crate::db::{CHUNK, Conn};
use crate::error::Result;
use crate::parties::{History, histories};
use crate::serials;

/// A shipment with what is known of it, or why that cannot be told.
#[derive(Debug)]
pub struct Gathered {
    pub id: ShipmentId,
    pub key: String,
    pub facts: Result<Facts, String>,
}

/// What the row of a shipment says.
struct Paper {
    id: ShipmentId,
    key: String,
    exporter: PartyId,
    /// Or why they cannot be read.
    intermediates: Result<Vec<PartyId>, String>,
    consignee: PartyId,
    end_user: PartyId,
    hs6: String,
    arrived_on: Option<NaiveDate>,
    control_entry: String,
    licence: LicenceId,
    destination: String,
}

#[derive(Queryable)]
struct PaperRow {
    id: ShipmentId,
    key: String,
    exporter: PartyId,
    /// JSON list of ids.
    intermediates: String,
    consignee: PartyId,
    end_user: PartyId,
    hs6: String,
    arrived_on: Option<String>,
    control_entry: String,
    licence: LicenceId,
    destination: String,
}

impl From<PaperRow> for Paper {
    fn from(row: PaperRow) -> Self {
        Self {
            id: row.id,
            key: row.key,
            exporter: row.exporter,
            intermediates: serde_json::from_str(&row.intermediates)
                .map_err(|error| format!("its intermediates cannot be read: {error}")),
            consignee: row.consignee,
            end_user: row.end_user,
            hs6: row.hs6,
            arrived_on: row.arrived_on.and_then(|day| day.parse().ok()),
            control_entry: row.control_entry,
            licence: row.licence,
            destination: row.destination,
        }
    }
}

impl Paper {
    /// All whom the shipment names; one may be named twice.
    fn parties(&self) -> impl Iterator<Item = &PartyId> {
        [&self.exporter, &self.consignee, &self.end_user]
            .into_iter()
            .chain(self.intermediates.iter().flatten())
    }
}

struct Party {
    kind: String,
    country: String,
    registered: bool,
    created_at: Timestamp,
}

/// Shipments with what is known of them, whatever policy asks.
pub struct Batch {
    papers: Vec<Paper>,
    known: Known,
}

impl Batch {
    /// The last of them; none where there are none.
    #[must_use]
    pub fn last(&self) -> Option<&ShipmentId> {
        self.papers.last().map(|paper| &paper.id)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.papers.len()
    }

    /// Each with its facts as of a day; tiers and groups are the policy's own.
    #[must_use]
    pub fn facts(&self, policy: &Policy, on: NaiveDate) -> Vec<Gathered> {
        let gathered = self.papers.iter().map(|paper| {
            let facts = self.known.facts(policy, paper, on);
            Gathered { id: paper.id.clone(), key: paper.key.clone(), facts }
        });
        gathered.collect()
    }
}

/// The next shipments after an id.
///
/// # Errors
/// When the database fails.
pub fn after(conn: &mut Conn, id: &str, limit: i64) -> Result<Batch> {
    let rows: Vec<PaperRow> = shipments::table
        .inner_join(licence_lines::table.on(licence_lines::id.eq(shipments::licence_line_id)))
        .inner_join(sites::table.on(sites::id.eq(shipments::site_id)))
        .filter(shipments::id.gt(id))
        .order(shipments::id)
        .limit(limit)
        .select((
            shipments::id,
            shipments::key,
            shipments::exporter_id,
            shipments::intermediates,
            shipments::consignee_id,
            shipments::end_user_id,
            shipments::hs6,
            shipments::arrived_on,
            licence_lines::control_entry,
            licence_lines::licence_id,
            sites::country,
        ))
        .load(conn)?;
    let papers: Vec<Paper> = rows.into_iter().map(Paper::from).collect();
    let shipment_ids: Vec<&ShipmentId> = papers.iter().map(|paper| &paper.id).collect();
    let party_ids: BTreeSet<&PartyId> = papers.iter().flat_map(Paper::parties).collect();
    let party_ids: Vec<&PartyId> = party_ids.into_iter().collect();
    let known = Known {
        parties: load_parties(conn, &party_ids)?,
        histories: histories(conn, &party_ids)?,
        signals: Signals::of(store::signals(conn, &shipment_ids, &party_ids)?),
        conditions: conditions(conn, &papers)?,
        counts: counts(conn, &shipment_ids)?,
        unseen_since: serials::unseen_since(conn, &shipment_ids)?,
    };
    Ok(Batch { papers, known })
}

fn load_parties(conn: &mut Conn, ids: &[&PartyId]) -> Result<HashMap<PartyId, Party>> {
    let mut found = HashMap::new();
    for some in ids.chunks(CHUNK) {
        let rows: Vec<(PartyId, String, String, Option<String>, Timestamp)> = parties::table
            .filter(parties::id.eq_any(some.iter().copied()))
            .select((
                parties::id,
                parties::kind,
                parties::country,
                parties::registration_no,
                parties::created_at,
            ))
            .load(conn)?;
        found.extend(rows.into_iter().map(|(id, kind, country, number, created_at)| {
            (id, Party { kind, country, registered: number.is_some(), created_at })
        }));
    }
    Ok(found)
}

/// How many conditions each licence has, or why that cannot be told.
fn conditions(conn: &mut Conn, papers: &[Paper]) -> Result<HashMap<LicenceId, Result<i64, String>>> {
    let ids: BTreeSet<&LicenceId> = papers.iter().map(|paper| &paper.licence).collect();
    let ids: Vec<&LicenceId> = ids.into_iter().collect();
    let mut found = HashMap::new();
    for some in ids.chunks(CHUNK) {
        let rows: Vec<(LicenceId, String)> = licences::table
            .filter(licences::id.eq_any(some.iter().copied()))
            .select((licences::id, licences::conditions))
            .load(conn)?;
        for (id, conditions) in rows {
            let conditions = serde_json::from_str::<Vec<serde::de::IgnoredAny>>(&conditions)
                .map(|all| i64::try_from(all.len()).unwrap_or(i64::MAX))
                .map_err(|error| format!("the conditions of its licence cannot be read: {error}"));
            found.insert(id, conditions);
        }
    }
    Ok(found)
}

/// Items of each shipment, and those of them with a serial number.
fn counts(conn: &mut Conn, ids: &[&ShipmentId]) -> Result<HashMap<ShipmentId, (i64, i64)>> {
    let mut found = HashMap::new();
    for some in ids.chunks(CHUNK) {
        let rows: Vec<(ShipmentId, i64, i64)> = shipment_items::table
            .filter(shipment_items::shipment_id.eq_any(some.iter().copied()))
            .group_by(shipment_items::shipment_id)
            .select((
                shipment_items::shipment_id,
                diesel::dsl::count_star(),
                diesel::dsl::count(shipment_items::serial),
            ))
            .load(conn)?;
        found.extend(rows.into_iter().map(|(id, pieces, serials)| (id, (pieces, serials))));
    }
    Ok(found)
}

/// Signals that stand, by what they are about.
#[derive(Default)]
struct Signals {
    of_shipments: HashMap<ShipmentId, Vec<Signal>>,
    of_parties: HashMap<PartyId, Vec<Signal>>,
}

impl Signals {
    fn of(all: Vec<Signal>) -> Self {
        let mut sorted = Self::default();
        for signal in all.into_iter().filter(|signal| !signal.withdrawn && signal.withdraws.is_none()) {
            if let Some(shipment) = &signal.shipment {
                sorted.of_shipments.entry(shipment.clone()).or_default().push(signal);
            } else if let Some(party) = &signal.party {
                sorted.of_parties.entry(party.clone()).or_default().push(signal);
            }
        }
        sorted
    }
}

struct Known {
    parties: HashMap<PartyId, Party>,
    histories: HashMap<PartyId, History>,
    signals: Signals,
    conditions: HashMap<LicenceId, Result<i64, String>>,
    counts: HashMap<ShipmentId, (i64, i64)>,
    unseen_since: HashMap<ShipmentId, Timestamp>,
}

impl Known {
    fn facts(&self, policy: &Policy, paper: &Paper, on: NaiveDate) -> Result<Facts, String> {
        let mut facts = Facts::default();
        let mut set = |name: &str, value: FactValue| facts.set(name, value);
        let number = FactValue::Number;
        let text = |text: &str| FactValue::Text(text.to_owned());

        set("control_entry", text(&paper.control_entry))?;
        set("item_tier", number(policy.tier(&paper.control_entry)))?;
        set("hs6", text(&paper.hs6))?;
        set("hs_tier", number(policy.hs_tier(&paper.hs6)))?;
        let (pieces, serials) = self.counts.get(&paper.id).copied().unwrap_or_default();
        set("pieces", number(pieces))?;
        set("serials", number(serials))?;
        if let Some(conditions) = self.conditions.get(&paper.licence) {
            set("conditions", number(conditions.clone()?))?;
        }

        set("destination", text(&paper.destination))?;
        set("destination_groups", FactValue::Words(policy.groups_of(&paper.destination).to_vec()))?;
        let intermediates = paper.intermediates.as_ref().map_err(Clone::clone)?;
        let transit: Vec<String> =
            intermediates.iter().filter_map(|party| Some(self.parties.get(party)?.country.clone())).collect();
        let groups = transit.iter().flat_map(|country| policy.groups_of(country)).cloned().collect();
        set("transit", FactValue::Words(transit))?;
        set("transit_groups", FactValue::Words(groups))?;
        set("intermediates", number(i64::try_from(intermediates.len()).unwrap_or(i64::MAX)))?;
        set("end_user_is_consignee", FactValue::Flag(paper.end_user == paper.consignee))?;

        for (role, id) in [("end_user", &paper.end_user), ("consignee", &paper.consignee)] {
            if let Some(party) = self.parties.get(id) {
                set(&format!("{role}_kind"), text(&party.kind))?;
                set(&format!("{role}_registered"), FactValue::Flag(party.registered))?;
                set(&format!("{role}_months_known"), number(months(party.created_at.day(), on)))?;
            }
        }
        for (role, id) in
            [("end_user", &paper.end_user), ("consignee", &paper.consignee), ("exporter", &paper.exporter)]
        {
            let history = self.histories.get(id).copied().unwrap_or_default();
            set(&format!("{role}_favourable"), number(history.favourable))?;
            set(&format!("{role}_unfavourable"), number(history.unfavourable))?;
            set(&format!("{role}_unverified"), number(history.unverified))?;
            if role != "exporter" {
                set(&format!("{role}_denied"), number(history.denied))?;
            }
            if role == "end_user" {
                set("end_user_denied_by_state", number(history.denied_by_state))?;
            }
        }

        if let Some(arrived_on) = paper.arrived_on.filter(|day| *day <= on) {
            set("months_since_arrival", number(months(arrived_on, on)))?;
        }
        if let Some(seen_at) = self.unseen_since.get(&paper.id) {
            set("months_since_sighting", number(months(seen_at.day(), on)))?;
        }
        self.signals_of(paper, &mut facts)?;
        Ok(facts)
    }

    fn signals_of(&self, paper: &Paper, facts: &mut Facts) -> Result<(), String> {
        let parties: BTreeSet<&PartyId> = paper.parties().collect();
        let of_parties = parties.into_iter().filter_map(|party| self.signals.of_parties.get(party)).flatten();
        let of_shipment = self.signals.of_shipments.get(&paper.id).into_iter().flatten();
        let mut red_flags = Vec::new();
        let mut tips = 0;
        let mut screened: BTreeMap<Option<&PartyId>, bool> = BTreeMap::new();
        for signal in of_shipment.chain(of_parties) {
            match signal.kind {
                SignalKind::RedFlag => red_flags.push(signal.code.clone()),
                SignalKind::Tip => tips += 1,
                // The newest screening of a party counts.
                SignalKind::Screening => {
                    screened.insert(signal.party.as_ref(), signal.code == "hit");
                }
            }
        }
        facts.set("red_flags", FactValue::Words(red_flags))?;
        facts.set("tips", FactValue::Number(tips))?;
        if !screened.is_empty() {
            let hits = screened.values().filter(|hit| **hit).count();
            facts.set("screening_hits", FactValue::Number(i64::try_from(hits).unwrap_or(i64::MAX)))?;
        }
        Ok(())
    }
}

/// Full months from one day to another; none where it lies ahead.
fn months(from: NaiveDate, to: NaiveDate) -> i64 {
    let whole = i64::from(to.year() - from.year()) * 12 + i64::from(to.month()) - i64::from(from.month());
    (whole - i64::from(to.day() < from.day())).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_full_ones() {
        for (from, to, full) in [
            ("2026-01-31", "2026-02-28", 0),
            ("2026-01-15", "2026-02-15", 1),
            ("2025-11-23", "2026-11-22", 11),
            ("2025-11-23", "2026-11-23", 12),
            ("2026-11-23", "2025-11-23", 0),
        ] {
            assert_eq!(months(from.parse().unwrap(), to.parse().unwrap()), full, "{from} {to}");
        }
    }
}
