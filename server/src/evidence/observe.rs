//! What is odd about an accepted record: pure, from the record and what headquarters knows.
//!
//! Nothing here refuses anything; a clock or a position that disagrees is written down as it is.

use chrono::TimeDelta;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::dossier::corrects;
use endcheck_protocol::ids::UserId;
use endcheck_protocol::place::{Fence, Position, Verdict, judge};
use endcheck_protocol::record::{Act, Record};
use endcheck_protocol::sync::RecordKey;
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::{Visit, VisitState};
use serde_json::json;

use super::findings::{EXACT, NewFinding, Weight};

const METHOD: &str = "intake-1";

/// How far a device's clock may be ahead of the server's before it is worth a look.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// What headquarters knows when a record comes in.
pub(super) struct Context<'a> {
    pub visit: Option<&'a Visit>,
    /// The record that this one says it corrects, where it is held.
    pub corrected: Option<&'a Record>,
    /// The log's root at the size that the record's anchor names; absent where the log is shorter.
    pub root_at_anchor: Option<&'a Sha256>,
    pub fence: Option<&'a Fence>,
    /// Whose device it is.
    pub holder: &'a UserId,
    pub certificate_expires_at: Timestamp,
    pub key: Option<&'a RecordKey>,
    pub received_at: Timestamp,
    /// Whether the record that this one names as its predecessor is held.
    pub predecessor_held: bool,
    /// Whether another record of the device has the same number.
    pub number_taken: bool,
}

/// Everything that is odd about `record`.
pub(super) fn observe(record: &Record, context: &Context<'_>) -> Vec<NewFinding> {
    let mut found = Vec::new();
    chain(record, context, &mut found);
    correction(record, context, &mut found);
    anchor(record, context, &mut found);
    enrolment(record, context, &mut found);
    assignment(record, context, &mut found);
    clock(record, context, &mut found);
    place(record, context, &mut found);
    found
}

fn chain(record: &Record, context: &Context<'_>, found: &mut Vec<NewFinding>) {
    if context.number_taken {
        found.push(NewFinding {
            signal: "chain-fork",
            weight: Weight::Contradiction,
            summary: format!("The device signed more than one record with the number {}.", record.seq),
            values: json!({ "seq": record.seq }),
            uncertainty: EXACT.to_owned(),
            explanations: "The device's storage was restored from a backup, or copied to a replacement.",
            method: METHOD,
        });
    }
    if !context.predecessor_held {
        found.push(NewFinding {
            signal: "chain-gap",
            weight: Weight::Look,
            summary: format!("The record before number {} was not held when it came in.", record.seq),
            values: json!({ "seq": record.seq, "prev": record.prev }),
            uncertainty: EXACT.to_owned(),
            explanations: "The earlier record was handed in by another way and is still under way.",
            method: METHOD,
        });
    }
}

fn correction(record: &Record, context: &Context<'_>, found: &mut Vec<NewFinding>) {
    let Some(old) = &record.replaces else { return };
    if context.corrected.is_some_and(|corrected| corrects(record, corrected)) {
        return;
    }
    let what = match context.corrected {
        Some(_) => "which is of another device, visit or kind",
        None => "which is not held",
    };
    found.push(NewFinding {
        signal: "correction-does-not-count",
        weight: Weight::Look,
        summary: format!("It says that it corrects record {old}, {what}; both stand."),
        values: json!({ "replaces": old }),
        uncertainty: EXACT.to_owned(),
        explanations: "A second inspector meant to set the first one's record right.",
        method: METHOD,
    });
}

fn anchor(record: &Record, context: &Context<'_>, found: &mut Vec<NewFinding>) {
    let Some(anchor) = &record.anchor else { return };
    let summary = match context.root_at_anchor {
        Some(root) if *root == anchor.root => return,
        Some(_) => {
            format!("The log it was made after has another root at {} entries than ours.", anchor.size)
        }
        None => format!("The log it was made after had {} entries, more than ours has now.", anchor.size),
    };
    found.push(NewFinding {
        signal: "anchor-not-in-log",
        weight: Weight::Contradiction,
        summary,
        values: json!({ "anchor": anchor, "root_here": context.root_at_anchor }),
        uncertainty: EXACT.to_owned(),
        explanations: "Headquarters was restored from a backup after the device had synced.",
        method: METHOD,
    });
}

fn enrolment(record: &Record, context: &Context<'_>, found: &mut Vec<NewFinding>) {
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

fn assignment(record: &Record, context: &Context<'_>, found: &mut Vec<NewFinding>) {
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
    if visit.inspector.as_ref() != Some(context.holder) {
        found.push(NewFinding {
            signal: "not-assigned",
            weight: Weight::Look,
            summary: "It was made by somebody whom the visit is not assigned to.".to_owned(),
            values: json!({ "assigned": visit.inspector, "holder": context.holder }),
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

fn clock(record: &Record, context: &Context<'_>, found: &mut Vec<NewFinding>) {
    let ahead = record.clock.device_at.since(context.received_at);
    if ahead > CLOCK_TOLERANCE {
        found.push(NewFinding {
            signal: "clock-ahead",
            weight: Weight::Look,
            summary: format!(
                "The device's clock was {} s ahead of headquarters' when the record came in.",
                ahead.num_seconds()
            ),
            values: json!({ "device_at": record.clock.device_at, "received_at": context.received_at }),
            uncertainty: "the server's clock is taken as right; up to 5 min ahead is let pass".to_owned(),
            explanations: "The device's clock was set by hand.",
            method: METHOD,
        });
    }
    if let Some(gnss_at) = record.clock.gnss_at {
        let apart = record.clock.device_at.since(gnss_at).abs();
        if apart > CLOCK_TOLERANCE {
            found.push(NewFinding {
                signal: "clock-against-satellites",
                weight: Weight::Look,
                summary: format!("Device clock and satellite time are {} s apart.", apart.num_seconds()),
                values: json!({ "device_at": record.clock.device_at, "gnss_at": gnss_at }),
                uncertainty: "the fix may have been old when it was used; up to 5 min is let pass".to_owned(),
                explanations: "The fix was old when it was used, or the device's clock was set by hand.",
                method: METHOD,
            });
        }
    }
}

fn place(record: &Record, context: &Context<'_>, found: &mut Vec<NewFinding>) {
    if let Some(fix) = &record.place {
        let verdict = judge(context.fence, Some((fix.position, fix.accuracy_mm)));
        if matches!(verdict, Verdict::Outside { .. }) {
            found.push(outside("device-outside-fence", "The device's own fix is", &verdict));
        }
    }
    if let Act::Photo { facts, .. } = &record.act
        && let Some(exif) = facts.position_for_verdict()
        && let Ok(position) = Position::from_e7(exif.lat_e7, exif.lon_e7)
    {
        let verdict = judge(context.fence, Some((position, exif.accuracy_mm)));
        if matches!(verdict, Verdict::Outside { .. }) {
            found.push(outside("photo-outside-fence", "The position in the photo is", &verdict));
        }
    }
}

fn outside(signal: &'static str, what: &str, verdict: &Verdict) -> NewFinding {
    NewFinding {
        signal,
        weight: Weight::Look,
        summary: format!("{what} {verdict}."),
        values: json!(verdict),
        uncertainty: "the accuracy that the source stated, or 50 m where it stated none".to_owned(),
        explanations: "Satellite positions drift by tens of metres between buildings; the photo may be taken from \
                       outside the fence on purpose; the declared fence may be wrong.",
        method: METHOD,
    }
}
