//! What a browser sends of an event that somebody reports, read into the command of the API.

use endcheck_protocol::ids::SerialEventId;
use serde::Deserialize;

use super::event::LossKind;
use super::report::ReportSerialEvent;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::{parties, sites};

/// The fields of all forms; a field that a form lacks, or that was left empty, says nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ReportForm {
    pub csrf_token: String,
    /// As the API's `kind`.
    pub kind: String,
    /// What became of it.
    pub what: String,
    /// The day on which it happened.
    pub day: String,
    pub circumstances: String,
    pub proof: String,
    /// The event that is reviewed or withdrawn.
    pub event: String,
    /// `yes` or `no`.
    pub accepted: String,
    pub reason: String,
    pub losing_office: String,
    pub gaining_office: String,
    /// Keys of the programme.
    pub gaining_party: String,
    pub gaining_site: String,
    pub consent: String,
}

impl ReportForm {
    /// The command that it stands for.
    ///
    /// # Errors
    /// 422 for a field that says nothing where something is needed, or names what there is not.
    pub fn command(self, conn: &mut Conn) -> Result<ReportSerialEvent> {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        match self.kind.as_str() {
            "loss" => Ok(ReportSerialEvent::Loss {
                what: LossKind::parse(&self.what)
                    .ok_or_else(|| Error::invalid_field("what", "say what became of it"))?,
                lost_on: self.day,
                circumstances: self.circumstances,
                proof: self.proof,
                corrects: None,
            }),
            "found" => Ok(ReportSerialEvent::Found {
                found_on: self.day,
                circumstances: self.circumstances,
                corrects: None,
            }),
            "transfer" => {
                let (party, site) = (self.gaining_party.trim(), self.gaining_site.trim());
                let unknown =
                    |field: &str, key: &str| Error::invalid_field(field, format!("no such key: {key:?}"));
                let gaining_party = parties::ids_by_key(conn, [party])?.remove(party);
                let gaining_site = sites::ids_by_key(conn, [site])?.remove(site);
                Ok(ReportSerialEvent::Transfer {
                    transferred_on: self.day,
                    losing_office: self.losing_office,
                    gaining_office: self.gaining_office,
                    gaining_party: gaining_party.ok_or_else(|| unknown("gaining_party", party))?,
                    gaining_site: gaining_site.ok_or_else(|| unknown("gaining_site", site))?,
                    consent: given(&self.consent),
                    corrects: None,
                })
            }
            "loss-review" => {
                let (loss, accepted) = (self.event()?, self.accepted()?);
                Ok(ReportSerialEvent::LossReview { loss, accepted, reason: self.reason })
            }
            "review" => {
                let (event, accepted) = (self.event()?, self.accepted()?);
                Ok(ReportSerialEvent::Review { event, accepted, reason: self.reason })
            }
            "withdraw" => Ok(ReportSerialEvent::Withdraw { event: self.event()?, reason: self.reason }),
            other => Err(Error::invalid_field("kind", format!("{other:?} is nothing that can be reported"))),
        }
    }

    fn event(&self) -> Result<SerialEventId> {
        self.event.parse().map_err(|_| Error::invalid_field("event", "is no id of an event"))
    }

    fn accepted(&self) -> Result<bool> {
        match self.accepted.as_str() {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err(Error::invalid_field("accepted", "choose one")),
        }
    }
}
