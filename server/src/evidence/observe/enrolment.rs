//! Whose device and whose visit it is: certificate, key and assignment.

use chrono::TimeDelta;
use endcheck_protocol::record::Record;
use endcheck_protocol::visit::VisitState;
use serde_json::json;

use super::{Context, METHOD};
use crate::evidence::findings::{EXACT, NewFinding, Weight};

pub(super) fn enrolment(record: &Record, context: &Context<'_>, found: &mut Vec<NewFinding>) {
    let signed_at = record.clock.device_at;
    if signed_at > context.certificate_expires_at {
        found.push(NewFinding {
            signal: "certificate-expired",
            weight: Weight::Look,
            summary: format!(
                "By the device's clock it was made at {signed_at}, after the device's certificate ended at {}.",
                context.certificate_expires_at
            ),
            values: json!({ "device_at": signed_at, "expires_at": context.certificate_expires_at }),
            uncertainty: "the device's clock is believed as it is".to_owned(),
            explanations: "The device was out of reach for long and could not renew.",
            method: METHOD,
        });
    }
    if let Some(key) = context.key
        && !(key.first_day..=key.last_day).contains(&signed_at.day())
    {
        found.push(NewFinding {
            signal: "key-of-another-day",
            weight: Weight::Contradiction,
            summary: format!(
                "It is dated {} but signed with the key for {} to {}.",
                signed_at.day(),
                key.first_day,
                key.last_day
            ),
            values: json!({ "device_at": signed_at, "first_day": key.first_day, "last_day": key.last_day }),
            uncertainty: "the device's clock is believed as it is".to_owned(),
            explanations: "The device's clock was set wrongly.",
            method: METHOD,
        });
    }
}

pub(super) fn assignment(record: &Record, context: &Context<'_>, found: &mut Vec<NewFinding>) {
    let Some(visit) = context.visit else {
        if let Some(visit) = &record.task.visit {
            found.push(NewFinding {
                signal: "unknown-visit",
                weight: Weight::Look,
                summary: format!("It names the visit {visit}, which headquarters does not know."),
                values: json!({ "visit": visit }),
                uncertainty: EXACT.to_owned(),
                explanations: "The record was made against another server of the authority.",
                method: METHOD,
            });
        }
        return;
    };
    if !visit.is_for(context.holder) {
        found.push(NewFinding {
            signal: "not-assigned",
            weight: Weight::Look,
            summary: "It was made by somebody whom the visit is not assigned to.".to_owned(),
            values: json!({ "assigned": visit.inspector, "second": visit.second, "holder": context.holder }),
            uncertainty: EXACT.to_owned(),
            explanations: "The visit was reassigned while the device had no network, or two inspectors went.",
            method: METHOD,
        });
    }
    if matches!(visit.state, VisitState::Cancelled | VisitState::Closed | VisitState::Reviewed) {
        found.push(NewFinding {
            signal: "visit-over",
            weight: Weight::Look,
            summary: format!("It came in when the visit was already {}.", visit.state),
            values: json!({ "state": visit.state }),
            uncertainty: EXACT.to_owned(),
            explanations: "The device learnt of it late, or a second inspector's records follow the lead's.",
            method: METHOD,
        });
    }
    let made_at = record.clock.device_at;
    if made_at < visit.window_start_at.plus(-TimeDelta::hours(1))
        || made_at > visit.window_end_at.plus(TimeDelta::hours(1))
    {
        found.push(NewFinding {
            signal: "outside-window",
            weight: Weight::Info,
            summary: format!(
                "By the device's clock it was made at {made_at}, outside the window {} to {}.",
                visit.window_start_at, visit.window_end_at
            ),
            values: json!({ "device_at": made_at, "start": visit.window_start_at, "end": visit.window_end_at }),
            uncertainty: "the device's clock is believed as it is; 1 h on each side is let pass".to_owned(),
            explanations: "The visit ran late or early by agreement; the device's clock is wrong.",
            method: METHOD,
        });
    }
}
