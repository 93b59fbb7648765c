//! The visits that were pulled, and how each stands by the device's own records.

use diesel::prelude::*;
use endcheck_protocol::ids::VisitId;
use endcheck_protocol::visit::VisitPacket;
use serde::Serialize;

use super::schema::visits;
use super::{Store, open_json, put_setting, seal_json};
use crate::vault::Cell;

/// How a visit stands by the device's own records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LocalState {
    Waiting,
    Open,
    Closed,
}

impl LocalState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }

    fn parse(name: &str) -> Self {
        match name {
            "open" => Self::Open,
            "closed" => Self::Closed,
            _ => Self::Waiting,
        }
    }
}

/// A visit on this device.
#[derive(Debug, Clone)]
pub struct HeldVisit {
    pub state: LocalState,
    pub packet: VisitPacket,
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
                let sealed = seal_json(key, packet_cell(id), packet)?;
                diesel::insert_into(visits::table)
                    .values((
                        visits::id.eq(id),
                        visits::state.eq(LocalState::Waiting.as_str()),
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
        row.map(|(state, sealed)| {
            let packet = open_json(&self.key, packet_cell(id.as_str()), &sealed)?;
            Ok(HeldVisit { state: LocalState::parse(&state), packet })
        })
        .transpose()
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
            .map(|(id, state, sealed)| {
                let packet = open_json(&self.key, packet_cell(&id), &sealed)?;
                Ok(HeldVisit { state: LocalState::parse(&state), packet })
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        held.sort_by(|a, b| {
            let order = |held: &HeldVisit| (held.packet.visit.window_start_at, held.packet.visit.id.clone());
            order(a).cmp(&order(b))
        });
        Ok(held)
    }
}
