//! The visits that were pulled, and how each stands by the device's own records.

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::VisitId;
use endcheck_protocol::visit::{ShipmentSummary, VisitPacket};
use serde::{Deserialize, Serialize};

use super::schema::visits;
use super::{Store, open_json, put_setting, seal_json};
use crate::vault::{Cell, StoreKey};

/// How a visit stands by the device's own records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LocalState {
    Waiting,
    Open,
    Closed,
    /// Closed, and what was recorded is sealed to headquarters.
    #[serde(rename = "closed")]
    Sealed,
}

impl LocalState {
    /// As people read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "closed, sealed",
            other => other.name(),
        }
    }

    /// As it stands in the store.
    #[must_use]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Sealed => "sealed",
        }
    }

    fn parse(name: &str) -> Self {
        match name {
            "open" => Self::Open,
            "closed" => Self::Closed,
            "sealed" => Self::Sealed,
            _ => Self::Waiting,
        }
    }
}

/// A visit on this device.
#[derive(Debug, Clone)]
pub struct HeldVisit {
    pub state: LocalState,
    /// Of a visit whose records are sealed, only what a list of visits shows.
    pub packet: VisitPacket,
    pub checklist_sha256: Sha256,
}

/// What is kept of a visit whose records are sealed.
#[derive(Serialize, Deserialize)]
struct Stripped {
    packet: VisitPacket,
    checklist_sha256: Sha256,
}

impl Stripped {
    fn of(mut packet: VisitPacket) -> anyhow::Result<Self> {
        let checklist_sha256 = packet.checklist.hash()?;
        for text in [&mut packet.check_reason, &mut packet.check_kind, &mut packet.site_address] {
            text.clear();
        }
        packet.fence = None;
        packet.items.clear();
        packet.checklist.questions.clear();
        packet.checklist.items.clear();
        packet.checklist.facts.clear();
        packet.checklist.skip_reasons.clear();
        packet.shipment = ShipmentSummary {
            key: String::new(),
            licence_number: String::new(),
            control_entry: String::new(),
            exporter: String::new(),
            consignee: String::new(),
            end_user: String::new(),
            declared_use: String::new(),
            hs6: String::new(),
            shipped_on: None,
            arrived_on: None,
        };
        packet.visit.reason = None;
        Ok(Self { packet, checklist_sha256 })
    }
}

/// Takes everything but its line in the list from each visit that is closed.
pub(super) fn strip_closed(conn: &mut SqliteConnection, key: &StoreKey) -> anyhow::Result<()> {
    let closed: Vec<(String, Vec<u8>)> = visits::table
        .filter(visits::state.eq(LocalState::Closed.name()))
        .select((visits::id, visits::sealed_packet))
        .load(conn)?;
    for (id, sealed) in closed {
        let stripped = Stripped::of(open_json(key, packet_cell(&id), &sealed)?)?;
        let sealed = seal_json(key, packet_cell(&id), &stripped)?;
        diesel::update(visits::table.find(&id))
            .set((visits::state.eq(LocalState::Sealed.name()), visits::sealed_packet.eq(sealed)))
            .execute(conn)?;
    }
    Ok(())
}

fn open_visit(key: &StoreKey, id: &str, state: &str, sealed: &[u8]) -> anyhow::Result<HeldVisit> {
    let state = LocalState::parse(state);
    if state == LocalState::Sealed {
        let Stripped { packet, checklist_sha256 } = open_json(key, packet_cell(id), sealed)?;
        return Ok(HeldVisit { state, packet, checklist_sha256 });
    }
    let packet: VisitPacket = open_json(key, packet_cell(id), sealed)?;
    let checklist_sha256 = packet.checklist.hash()?;
    Ok(HeldVisit { state, packet, checklist_sha256 })
}

fn packet_cell(id: &str) -> Cell<'_> {
    Cell { table: "visits", column: "sealed_packet", row: id }
}

impl Store {
    /// Keeps a page of pulled visits and where the next one begins, all or none.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn keep_visits(&mut self, packets: &[VisitPacket], cursor: &str) -> anyhow::Result<()> {
        let Self { conn, key, .. } = self;
        conn.immediate_transaction(|conn| {
            for packet in packets {
                let id = packet.visit.id.as_str();
                let state: Option<String> =
                    visits::table.find(id).select(visits::state).first(conn).optional()?;
                let sealed = if state.as_deref() == Some(LocalState::Sealed.name()) {
                    seal_json(key, packet_cell(id), &Stripped::of(packet.clone())?)?
                } else {
                    seal_json(key, packet_cell(id), packet)?
                };
                diesel::insert_into(visits::table)
                    .values((
                        visits::id.eq(id),
                        visits::state.eq(LocalState::Waiting.name()),
                        visits::sealed_packet.eq(&sealed),
                    ))
                    .on_conflict(visits::id)
                    .do_update()
                    .set(visits::sealed_packet.eq(&sealed))
                    .execute(conn)?;
            }
            put_setting(conn, key, "pull-cursor", &cursor)
        })
    }

    /// The ids of all visits, with their states.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn visit_ids(&mut self) -> anyhow::Result<Vec<(String, LocalState)>> {
        let rows: Vec<(String, String)> =
            visits::table.order(visits::id).select((visits::id, visits::state)).load(&mut self.conn)?;
        Ok(rows.into_iter().map(|(id, state)| (id, LocalState::parse(&state))).collect())
    }

    /// One visit, if it was pulled.
    ///
    /// # Errors
    /// When the database or the packet is damaged.
    pub fn visit(&mut self, id: &VisitId) -> anyhow::Result<Option<HeldVisit>> {
        let row: Option<(String, Vec<u8>)> = visits::table
            .find(id.as_str())
            .select((visits::state, visits::sealed_packet))
            .first(&mut self.conn)
            .optional()?;
        row.map(|(state, sealed)| open_visit(&self.key, id.as_str(), &state, &sealed)).transpose()
    }

    /// All visits, by the start of their windows.
    ///
    /// # Errors
    /// When the database or a packet is damaged.
    pub fn visits(&mut self) -> anyhow::Result<Vec<HeldVisit>> {
        let rows: Vec<(String, String, Vec<u8>)> =
            visits::table.select((visits::id, visits::state, visits::sealed_packet)).load(&mut self.conn)?;
        let mut held = rows
            .into_iter()
            .map(|(id, state, sealed)| open_visit(&self.key, &id, &state, &sealed))
            .collect::<anyhow::Result<Vec<_>>>()?;
        held.sort_by(|a, b| {
            let order = |held: &HeldVisit| (held.packet.visit.window_start_at, held.packet.visit.id.clone());
            order(a).cmp(&order(b))
        });
        Ok(held)
    }
}
