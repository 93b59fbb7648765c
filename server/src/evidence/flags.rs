//! What a photo's own metadata raise, as findings: flags, and why there is no position. Says nothing of
//! pixels, and compares with nothing outside the file.

use endcheck_protocol::photo::{PhotoFacts, PhotoFlag};
use endcheck_protocol::time::Timestamp;
use serde_json::json;

use super::findings::{EXACT, NewFinding, Weight};

const METHOD: &str = "examine-1";

/// One finding for each flag that the facts carry when looked at `now`.
pub(super) fn flagged(facts: &PhotoFacts, now: Timestamp) -> Vec<NewFinding> {
    facts
        .flags_at(now)
        .into_iter()
        .map(|flag| NewFinding {
            signal: flag.code(),
            weight: Weight::Info,
            summary: flag.why().to_owned(),
            values: json!({ "flag": flag.code() }),
            uncertainty: uncertainty(flag).to_owned(),
            explanations: flag.innocent_explanation(),
            method: METHOD,
        })
        .collect()
}

/// How far off a flag may be.
fn uncertainty(flag: PhotoFlag) -> &'static str {
    match flag {
        PhotoFlag::NullIsland => "positions up to 0.000001° (about 0.1 m) from 0, 0 count as it",
        PhotoFlag::PositionsConflict => "readings up to 0.000001° (about 0.1 m) apart count as one",
        PhotoFlag::CaptureTimeVsGpsTime | PhotoFlag::CaptureTimeInFuture => {
            "where the file names no UTC offset, every time zone is allowed for; 1 h more is let pass"
        }
        PhotoFlag::EditedBySoftware => "the name of a program is looked for in a list; it shows no change",
        _ => EXACT,
    }
}
