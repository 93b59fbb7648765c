//! Signals: what is known of a shipment or a party besides its papers. Red flags, tips, and hits of list
//! screening. A signal is never edited; it is taken back by another one.

use endcheck_protocol::ids::{PartyId, ShipmentId, SignalId, UserId};
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::store;
use crate::accounts::{Actor, Permission};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::{parties, reason, shipments};

/// What kind of signal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignalKind {
    /// Its code is one of [`RED_FLAGS`].
    RedFlag,
    /// Something that somebody told.
    Tip,
    /// A party was compared with the lists; the code is `clear` or `hit`.
    Screening,
}

/// Codes of red flags, after the public guidance to exporters (US BIS "Know your customer", the common guidance
/// of the Global Export Control Coalition).
pub const RED_FLAGS: [&str; 14] = [
    "evasive_on_end_use",
    "beyond_business",
    "beyond_technical_level",
    "cash_for_expensive_goods",
    "no_business_background",
    "unfamiliar_with_product",
    "installation_declined",
    "vague_delivery",
    "forwarder_as_destination",
    "abnormal_route",
    "abnormal_packing",
    "last_minute_routing",
    "shell_ownership",
    "new_firm_in_third_country",
];

/// A signal to be noted.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteSignal {
    pub kind: SignalKind,
    /// Of a red flag one of the documented codes; of a screening `clear` or `hit`; of a tip how it came, such as
    /// `hotline`.
    pub code: String,
    /// What is known, and from where.
    pub note: String,
    /// What it is about: a shipment or a party.
    #[serde(default)]
    pub shipment: Option<ShipmentId>,
    #[serde(default)]
    pub party: Option<PartyId>,
    /// The signal that this one takes back; kind and subject are those of that one.
    #[serde(default)]
    pub withdraws: Option<SignalId>,
}

/// A signal as kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Signal {
    pub id: SignalId,
    pub kind: SignalKind,
    pub code: String,
    pub note: String,
    pub shipment: Option<ShipmentId>,
    pub party: Option<PartyId>,
    pub author: UserId,
    pub noted_at: Timestamp,
    pub withdraws: Option<SignalId>,
    pub withdrawn: bool,
}

/// Notes a signal.
///
/// # Errors
/// 403; 404 for an unknown shipment, party or signal; 409 `signal-withdrawn`; 422 for an unknown code, or without
/// exactly one subject.
pub fn note(conn: &mut Conn, actor: &Actor, command: NoteSignal, now: Timestamp) -> Result<Signal> {
    actor.require(Permission::NoteSignals)?;
    let known = match command.kind {
        SignalKind::RedFlag => RED_FLAGS.contains(&command.code.as_str()),
        SignalKind::Screening => ["clear", "hit"].contains(&command.code.as_str()),
        SignalKind::Tip => !command.code.is_empty() && command.code.len() <= 64,
    };
    if !known {
        let codes = match command.kind {
            SignalKind::RedFlag => RED_FLAGS.join(", "),
            SignalKind::Screening => "clear, hit".to_owned(),
            SignalKind::Tip => "how it came, in up to 64 characters".to_owned(),
        };
        return Err(Error::invalid_field("code", format!("is not known for this kind: {codes}")));
    }
    match (&command.shipment, &command.party) {
        (Some(shipment), None) => shipments::get(conn, shipment).map(|_| ())?,
        (None, Some(party)) => parties::get(conn, party).map(|_| ())?,
        _ => return Err(Error::invalid_field("shipment", "name a shipment or a party, one of them")),
    }
    if let Some(old) = &command.withdraws {
        let old = store::signal(conn, old)?.ok_or_else(|| Error::not_found("signal"))?;
        if old.withdrawn || old.withdraws.is_some() {
            return Err(Error::conflict("signal-withdrawn", "That signal is taken back already."));
        }
        if (old.kind, &old.shipment, &old.party) != (command.kind, &command.shipment, &command.party) {
            return Err(Error::invalid_field(
                "withdraws",
                "is a signal of another kind or about something else",
            ));
        }
    }
    let signal = Signal {
        id: SignalId::mint(),
        kind: command.kind,
        code: command.code,
        note: reason::require(command.note)?,
        shipment: command.shipment,
        party: command.party,
        author: actor.user.clone(),
        noted_at: now,
        withdraws: command.withdraws,
        withdrawn: false,
    };
    store::insert_signal(conn, &signal)?;
    Ok(signal)
}
