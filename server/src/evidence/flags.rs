//! What a photo's own metadata raise, as findings: flags, and why there is no position. Says nothing of
//! pixels, and compares with nothing outside the file.

use endcheck_protocol::photo::{PhotoFacts, PhotoFlag, PositionAbsence, PositionReading, position_readings};
use endcheck_protocol::time::Timestamp;
use serde_json::{Value, json};

use super::findings::{EXACT, NewFinding, Weight};

const METHOD: &str = "metadata-1";

/// One finding for each flag that the facts carry when looked at `now`, and one where there is no position.
pub(super) fn flagged(content: &[u8], facts: &PhotoFacts, now: Timestamp) -> Vec<NewFinding> {
    let flags = facts.flags_at(now).into_iter().map(|flag| {
        let readings =
            if flag == PhotoFlag::PositionsConflict { position_readings(content) } else { Vec::new() };
        flagged_as(flag, facts, &readings)
    });
    flags.chain(facts.position_absent_reason.map(absent)).collect()
}

fn flagged_as(flag: PhotoFlag, facts: &PhotoFacts, readings: &[PositionReading]) -> NewFinding {
    let mut summary = flag.why().to_owned();
    if !readings.is_empty() {
        let shown: Vec<String> = readings.iter().map(shown).collect();
        summary = format!("{summary} {}.", shown.join("; "));
    }
    NewFinding {
        signal: flag.code(),
        weight: Weight::Info,
        summary,
        values: values(flag, facts, readings),
        uncertainty: uncertainty(flag).to_owned(),
        explanations: flag.innocent_explanation(),
        method: METHOD,
    }
}

fn shown(reading: &PositionReading) -> String {
    let degrees = |e7: i64| e7 as f64 / 1e7;
    format!(
        "Block {}, as {} reads it: {:.6}, {:.6}",
        reading.block + 1,
        reading.reader,
        degrees(reading.lat_e7),
        degrees(reading.lon_e7)
    )
}

/// What the flag rests on.
fn values(flag: PhotoFlag, facts: &PhotoFacts, readings: &[PositionReading]) -> Value {
    match flag {
        PhotoFlag::PositionsConflict => json!({ "flag": flag.code(), "readings": readings }),
        PhotoFlag::NullIsland | PhotoFlag::PositionSecondsOverflow => {
            json!({ "flag": flag.code(), "position": facts.position })
        }
        PhotoFlag::CaptureTimeVsGpsTime => {
            json!({ "flag": flag.code(), "taken_at": facts.taken_at, "gps_at": facts.gps_at })
        }
        PhotoFlag::CaptureTimeInFuture => json!({ "flag": flag.code(), "taken_at": facts.taken_at }),
        PhotoFlag::EditedBySoftware => json!({ "flag": flag.code(), "software": facts.software }),
        _ => json!({ "flag": flag.code() }),
    }
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

fn absent(reason: PositionAbsence) -> NewFinding {
    NewFinding {
        signal: "position-missing",
        weight: Weight::Info,
        summary: format!("The photo has no position. {}", reason.why()),
        values: json!({ "reason": reason.code() }),
        uncertainty: EXACT.to_owned(),
        explanations: reason.innocent_explanation(),
        method: METHOD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> PhotoFacts {
        serde_json::from_value(json!({
            "format": "jpeg", "width": 1, "height": 1, "position_absent_reason": "zero-denominator", "flags": [],
        }))
        .unwrap()
    }

    #[test]
    fn every_flag_and_absence_says_what_it_rests_on() {
        let readings = [
            PositionReading { block: 0, reader: "one", lat_e7: 1, lon_e7: 2 },
            PositionReading { block: 1, reader: "two", lat_e7: 357_000_000, lon_e7: -514_000_000 },
        ];
        for flag in PhotoFlag::ALL {
            let finding = flagged_as(*flag, &facts(), &readings);
            assert!(!finding.uncertainty.is_empty() && finding.values["flag"] == flag.code(), "{finding:?}");
        }
        let conflict = flagged_as(PhotoFlag::PositionsConflict, &facts(), &readings);
        assert!(
            conflict.summary.ends_with("Block 2, as two reads it: 35.700000, -51.400000."),
            "{conflict:?}"
        );
        assert_eq!(conflict.values["readings"][1]["lat_e7"], 357_000_000);
        let found = flagged(b"", &facts(), "2026-05-04T12:00:00Z".parse().unwrap());
        let [only] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((only.signal, &only.values["reason"]), ("position-missing", &json!("zero-denominator")));
    }
}
