//! What happened with a party: outcomes of checks and refused visits, kept as they are learnt. The newest
//! determination about a visit counts.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use endcheck_protocol::ids::{PartyId, VisitId};
use endcheck_protocol::time::Timestamp;

use crate::db::schema::party_history;
use crate::db::{Both, CHUNK, Conn};
use crate::error::Result;

/// In which part of a shipment a party was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartyRole {
    EndUser,
    Consignee,
    Exporter,
}

impl PartyRole {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EndUser => "end_user",
            Self::Consignee => "consignee",
            Self::Exporter => "exporter",
        }
    }
}

/// What happened, once for each party it concerns.
#[derive(Debug)]
pub struct Happening<'a> {
    /// Tells it from all others, such as `determination:` and its id.
    pub key: String,
    pub visit: &'a VisitId,
    /// `favourable`, `unfavourable`, `unverified`, `access_denied_party` or `access_denied_state`.
    pub happened: &'a str,
    pub parties: Vec<(PartyRole, PartyId)>,
}

/// Keeps a happening; one that is kept already changes nothing.
///
/// # Errors
/// When the database fails.
pub fn remember(conn: &mut Conn, happening: &Happening<'_>, now: Timestamp) -> Result<()> {
    for (role, party) in &happening.parties {
        Both(
            diesel::insert_into(party_history::table)
                .values((
                    party_history::history_key.eq(format!("{}:{}", happening.key, role.as_str())),
                    party_history::party_id.eq(party),
                    party_history::role.eq(role.as_str()),
                    party_history::visit_id.eq(happening.visit),
                    party_history::happened.eq(happening.happened),
                    party_history::noted_at.eq(now),
                ))
                .on_conflict(party_history::history_key)
                .do_nothing(),
        )
        .execute(conn)?;
    }
    Ok(())
}

/// How often each thing happened with a party, in any role.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    pub favourable: i64,
    pub unfavourable: i64,
    pub unverified: i64,
    pub denied: i64,
    pub denied_by_state: i64,
}

/// The histories of parties; one with which nothing happened is not in the answer.
///
/// # Errors
/// When the database fails.
pub fn histories(conn: &mut Conn, parties: &[&PartyId]) -> Result<HashMap<PartyId, History>> {
    let mut outcomes: BTreeMap<(PartyId, String, bool), (Timestamp, String)> = BTreeMap::new();
    for some in parties.chunks(CHUNK) {
        let rows: Vec<(PartyId, String, String, Timestamp)> = party_history::table
            .filter(party_history::party_id.eq_any(some.iter().copied()))
            .select((
                party_history::party_id,
                party_history::visit_id,
                party_history::happened,
                party_history::noted_at,
            ))
            .load(conn)?;
        for (party, visit, happened, at) in rows {
            let key = (party, visit, happened.starts_with("access_denied"));
            if outcomes.get(&key).is_none_or(|(newest, _)| *newest <= at) {
                outcomes.insert(key, (at, happened));
            }
        }
    }
    let mut histories: HashMap<PartyId, History> = HashMap::new();
    for ((party, _, _), (_, happened)) in outcomes {
        let history = histories.entry(party).or_default();
        match happened.as_str() {
            "favourable" => history.favourable += 1,
            "unfavourable" => history.unfavourable += 1,
            "unverified" => history.unverified += 1,
            "access_denied_party" => history.denied += 1,
            "access_denied_state" => history.denied_by_state += 1,
            _ => {}
        }
    }
    Ok(histories)
}
