//! Positions against the site's fence: the device's fix and the photo's own, each by itself.

use endcheck_protocol::place::{Fix, Mock, Position, Verdict, judge, judge_fix, moved_since_mm};
use endcheck_protocol::record::{Act, Record};
use serde_json::json;

use super::{Context, METHOD};
use crate::evidence::findings::{NewFinding, Weight};

const EXPLANATIONS: &str = "Satellite positions drift by tens of metres between buildings; the photo may be taken from \
                            outside the fence on purpose; the declared fence may be wrong.";

pub(super) fn place(record: &Record, context: &Context<'_>, found: &mut Vec<NewFinding>) {
    if let Some(fix) = &record.place {
        found.extend(device(fix, context));
        if fix.mock == Mock::Yes {
            found.push(NewFinding {
                signal: "position-simulated",
                weight: Weight::Look,
                summary: "The source of the device's position says itself that it is simulated.".to_owned(),
                values: json!({ "provider": fix.provider, "position": fix.position }),
                uncertainty: "none: the source says so; that it does not say so proves nothing".to_owned(),
                explanations: "A setting for developers was left on; a receiver was tested on its simulator.",
                method: METHOD,
            });
        }
    }
    if let Act::Photo { facts, .. } = &record.act
        && let Some(exif) = facts.position_for_verdict()
        && let Ok(position) = Position::from_e7(exif.lat_e7, exif.lon_e7)
    {
        let verdict = judge(context.fence, Some((position, exif.accuracy_mm)));
        if let Verdict::Outside { distance_mm, accuracy_mm, accuracy_assumed } = &verdict {
            let assumed = if *accuracy_assumed { ", assumed because the photo states none" } else { "" };
            found.push(NewFinding {
                signal: "photo-outside-fence",
                weight: Weight::Look,
                summary: format!("The position in the photo is {verdict}."),
                values: json!({ "position": position, "distance_mm": distance_mm, "accuracy_mm": accuracy_mm }),
                uncertainty: format!(
                    "accuracy {}{assumed}; a photo does not say how old its fix was",
                    metres(*accuracy_mm)
                ),
                explanations: EXPLANATIONS,
                method: METHOD,
            });
        }
    }
}

fn device(fix: &Fix, context: &Context<'_>) -> Option<NewFinding> {
    let now = judge(context.fence, Some((fix.position, fix.accuracy_mm)));
    let Verdict::Outside { distance_mm, accuracy_mm, accuracy_assumed } = now else { return None };
    let sure = matches!(judge_fix(context.fence, fix), Verdict::Outside { .. });
    let moved_mm = moved_since_mm(fix.fix_age_ms.unwrap_or(0));
    let age = match fix.fix_age_ms {
        None => "its age not stated".to_owned(),
        Some(age_ms) => format!("fix {} s old", age_ms / 1000),
    };
    let assumed = if accuracy_assumed { " (assumed: none was stated)" } else { "" };
    let tail = if sure { "" } else { "; in that time the device may have come from inside" };
    Some(NewFinding {
        signal: if sure { "device-outside-fence" } else { "device-outside-fence-by-an-old-fix" },
        weight: if sure { Weight::Look } else { Weight::Info },
        summary: format!(
            "The device's own fix is outside by {}, accuracy {}{assumed}, {age}{tail}.",
            metres(distance_mm),
            metres(accuracy_mm)
        ),
        values: json!({
            "position": fix.position, "provider": fix.provider, "distance_mm": distance_mm,
            "accuracy_mm": accuracy_mm, "accuracy_assumed": accuracy_assumed, "fix_age_ms": fix.fix_age_ms,
            "moved_since_mm": moved_mm,
        }),
        uncertainty: format!(
            "accuracy {}{assumed}, and {} that may have been gone since the fix (1.5 m/s for 5 min, then 14 m/s)",
            metres(accuracy_mm),
            metres(moved_mm)
        ),
        explanations: EXPLANATIONS,
        method: METHOD,
    })
}

/// Whole metres, or kilometres from 10 km on.
pub(super) fn metres(millimetres: i64) -> String {
    let metres = millimetres / 1000;
    if metres >= 10_000 { format!("{} km", metres / 1000) } else { format!("{metres} m") }
}
