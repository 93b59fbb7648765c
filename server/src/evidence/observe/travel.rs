//! How fast somebody would have had to travel from one fix to the next.

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::DeviceId;
use endcheck_protocol::place::{DEFAULT_ACCURACY_MM, Position};
use endcheck_protocol::time::Timestamp;
use serde_json::json;

use super::METHOD;
use super::place::metres;
use crate::evidence::findings::{NewFinding, Weight};

/// Travelling faster than these asks for a look, or cannot be, in km/h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TravelLimits {
    pub look_kmh: u32,
    pub contradiction_kmh: u32,
}

/// A device's fix, as far as travel is concerned.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::evidence) struct Fixed {
    pub record: Sha256,
    pub device: DeviceId,
    pub seq: i64,
    /// When the fix was taken, by the device's clock.
    pub taken_at: Timestamp,
    pub position: Position,
    pub accuracy_mm: Option<i64>,
    pub boot: String,
    pub monotonic_ms: Option<i64>,
}

/// Stated accuracies are mostly 68 % radii; twice that holds 95 % of fixes.
const ACCURACY_FACTOR: i64 = 2;
/// What jumps of a receiver explain, whatever accuracy it states.
const LEAST_M: f64 = 300.0;
/// Clocks of two devices may stand apart by this much.
const CLOCKS_APART_S: f64 = 300.0;

/// What the two fixes say about travel between them, if it is too fast.
pub(super) fn between(here: &Fixed, other: &Fixed, limits: TravelLimits) -> Option<NewFinding> {
    let accuracy_mm = |fixed: &Fixed| fixed.accuracy_mm.filter(|mm| *mm > 0).unwrap_or(DEFAULT_ACCURACY_MM);
    let distance_m = here.position.distance_m(other.position);
    let slack_mm = accuracy_mm(here).saturating_add(accuracy_mm(other)).saturating_mul(ACCURACY_FACTOR);
    let least_m = distance_m - slack_mm as f64 / 1000.0;
    if least_m < LEAST_M {
        return None;
    }
    let one_device = here.device == other.device;
    let running_ms = (one_device && here.boot == other.boot && !here.boot.is_empty())
        .then(|| Some(here.monotonic_ms?.saturating_sub(other.monotonic_ms?).saturating_abs()))
        .flatten()
        .filter(|running_ms| *running_ms > 0);
    let by_clock_s = here.taken_at.since(other.taken_at).abs().num_milliseconds() as f64 / 1000.0;
    let elapsed_s = running_ms.map_or(by_clock_s, |running_ms| running_ms as f64 / 1000.0);
    let most_s = (if one_device { elapsed_s } else { elapsed_s + CLOCKS_APART_S }).max(1.0);
    let speed_kmh = least_m / most_s * 3.6;
    if speed_kmh <= f64::from(limits.look_kmh) {
        return None;
    }
    let impossible = speed_kmh > f64::from(limits.contradiction_kmh);
    let whom = if one_device { "the device" } else { "the inspector, who carries two devices," };
    Some(NewFinding {
        signal: if one_device { "travel-too-fast" } else { "inspector-travel-too-fast" },
        weight: if impossible { Weight::Contradiction } else { Weight::Look },
        summary: format!(
            "From another fix, {} away, {whom} would have had to travel at {speed_kmh:.0} km/h or faster.",
            metres((distance_m * 1000.0) as i64)
        ),
        values: json!({
            "other_record": other.record, "other_device": other.device, "other_seq": other.seq,
            "position": here.position, "other_position": other.position,
            "taken_at": here.taken_at, "other_taken_at": other.taken_at,
            "distance_m": distance_m.round() as i64, "elapsed_s": elapsed_s.round() as i64,
            "elapsed_by": if running_ms.is_some() { "running time of one boot" } else { "device clocks" },
            "least_speed_kmh": speed_kmh.round() as i64,
            "look_above_kmh": limits.look_kmh, "contradiction_above_kmh": limits.contradiction_kmh,
        }),
        uncertainty: format!(
            "{} were taken off the distance (twice both accuracies){}",
            metres(slack_mm),
            if one_device { "" } else { ", and 5 min added to the time for clocks that differ" }
        ),
        explanations: "A flight lies between both; a clock was set in between; a position was typed or was old; a \
                       device was lent to a colleague.",
        method: METHOD,
    })
}
