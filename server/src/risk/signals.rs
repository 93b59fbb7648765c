//! Signals: what is known of a shipment or a party besides its papers. Red flags, tips, and hits of list
//! screening. A signal is never edited; it is taken back by another one.

use endcheck_protocol::canonical;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{PartyId, ShipmentId, SignalId, UserId};
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::store;
use crate::accounts::{Actor, Permission};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::log::{self, EntryKind};
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
        SignalKind::Tip => is_code(&command.code),
    };
    if !known {
        let codes = match command.kind {
            SignalKind::RedFlag => RED_FLAGS.join(", "),
            SignalKind::Screening => "clear, hit".to_owned(),
            SignalKind::Tip => "how it came, in up to 64 characters of one line".to_owned(),
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
    log::lock(conn)?;
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
    let bytes = canonical::write(&SignalDocument::of(&signal)).map_err(|e| Error::Internal(e.into()))?;
    let logged = log::append(conn, EntryKind::RiskSignal, &Sha256::of(&bytes), now)?;
    let document = String::from_utf8(bytes).map_err(|e| Error::Internal(e.into()))?;
    store::insert_signal(conn, &signal, &document, logged.index)?;
    Ok(signal)
}

/// How a tip came: says something, in one short line.
fn is_code(code: &str) -> bool {
    !code.trim().is_empty() && code.chars().count() <= 64 && !code.chars().any(char::is_control)
}

/// A signal as the log commits to it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignalDocument {
    author: UserId,
    code: String,
    id: SignalId,
    kind: SignalKind,
    note: String,
    noted_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    party: Option<PartyId>,
    schema: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shipment: Option<ShipmentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    withdraws: Option<SignalId>,
}

impl SignalDocument {
    fn of(signal: &Signal) -> Self {
        Self {
            author: signal.author.clone(),
            code: signal.code.clone(),
            id: signal.id.clone(),
            kind: signal.kind,
            note: signal.note.clone(),
            noted_at: signal.noted_at,
            party: signal.party.clone(),
            schema: "endcheck-risk-signal-1".to_owned(),
            shipment: signal.shipment.clone(),
            withdraws: signal.withdraws.clone(),
        }
    }
}

/// What a row is called, where the log holds it, and what it must commit to.
pub type Committed = (String, i64, Option<Sha256>);

/// Every signal against what the log commits to: what must be in the log, and what does not agree.
///
/// # Errors
/// When the database fails.
pub fn verify(conn: &mut Conn) -> Result<(Vec<Committed>, Vec<String>)> {
    let (mut committed, mut faults) = (Vec::new(), Vec::new());
    for (signal, document, log_index) in store::logged_signals(conn)? {
        let what = format!("signal {}", signal.id);
        let text = document.unwrap_or_default();
        let read: Option<SignalDocument> = canonical::read(text.as_bytes()).ok();
        if read.is_none_or(|document| document != SignalDocument::of(&signal)) {
            faults.push(format!("{what} says other things than its document"));
        }
        // One that is nowhere in the log claims no entry of it.
        committed.push((what, log_index.unwrap_or(-1), Some(Sha256::of(text.as_bytes()))));
    }
    Ok((committed, faults))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_tip_came_is_one_short_line() {
        for (code, fits) in [
            ("hotline", true),
            ("Hinweisgeber über die Post", true),
            (" ", false),
            ("", false),
            ("hot\u{7}line", false),
            ("two\nlines", false),
            (&"ä".repeat(64), true),
            (&"a".repeat(65), false),
        ] {
            assert_eq!(is_code(code), fits, "{code:?}");
        }
    }
}
