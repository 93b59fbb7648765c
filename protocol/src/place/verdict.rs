//! What may be said of a position against a geofence, given how well the position is known.
//!
//! A verdict is advice to a person. It holds no judgement on the visit and refuses nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::fence::Fence;
use super::fix::Fix;
use super::position::Position;

/// Assumed when a position comes without an accuracy, as most EXIF positions do: the usual error of a
/// telephone among buildings is some tens of metres. A verdict that rests on it says so.
pub const DEFAULT_ACCURACY_MM: i64 = 50_000;

/// Inside, outside, or not to be told. Distances are to the nearest border of the fence, in millimetres.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Verdict {
    /// Inside by more than the accuracy.
    Inside { margin_mm: i64, accuracy_mm: i64, accuracy_assumed: bool },
    /// Outside by more than the accuracy.
    Outside { distance_mm: i64, accuracy_mm: i64, accuracy_assumed: bool },
    /// The border is nearer than the accuracy. The signed distance is negative inside.
    Undecidable { signed_distance_mm: i64, accuracy_mm: i64, accuracy_assumed: bool },
    /// There was nothing to compare.
    NotChecked { reason: NotChecked },
}

/// Why no verdict was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum NotChecked {
    NoPosition,
    NoFence,
    /// The position is exactly 0, 0.
    NullIsland,
}

/// Compares a position (with its accuracy in millimetres, when known) with a fence.
///
/// The rule: decided only when the distance to the border is strictly larger than the accuracy. An
/// accuracy that is absent, zero or negative is taken as [`DEFAULT_ACCURACY_MM`] and marked assumed.
#[must_use]
pub fn judge(fence: Option<&Fence>, fix: Option<(Position, Option<i64>)>) -> Verdict {
    let Some((position, stated_mm)) = fix else {
        return Verdict::NotChecked { reason: NotChecked::NoPosition };
    };
    if position.is_null_island() {
        return Verdict::NotChecked { reason: NotChecked::NullIsland };
    }
    let Some(fence) = fence else {
        return Verdict::NotChecked { reason: NotChecked::NoFence };
    };
    let stated_mm = stated_mm.filter(|accuracy_mm| *accuracy_mm > 0);
    decide(
        (fence.signed_distance_m(position) * 1000.0).round() as i64,
        stated_mm.unwrap_or(DEFAULT_ACCURACY_MM),
        stated_mm.is_none(),
    )
}

/// How far somebody may have gone in the time since a fix was taken, in millimetres: at 1.5 m/s for the first
/// five minutes, as on foot about a site, and at 14 m/s (50 km/h) after that.
#[must_use]
pub fn moved_since_mm(age_ms: i64) -> i64 {
    const ON_FOOT_MS: i64 = 5 * 60 * 1000;
    let age_ms = age_ms.max(0);
    let walked_mm = age_ms.min(ON_FOOT_MS) * 3 / 2;
    let driven_mm = age_ms.saturating_sub(ON_FOOT_MS).max(0).saturating_mul(14);
    walked_mm.saturating_add(driven_mm)
}

/// Compares a device's fix with a fence, as [`judge`] does, with the accuracy widened by what may have been
/// gone since the fix was taken.
#[must_use]
pub fn judge_fix(fence: Option<&Fence>, fix: &Fix) -> Verdict {
    let stated_mm = fix.accuracy_mm.filter(|accuracy_mm| *accuracy_mm > 0);
    let moved_mm = moved_since_mm(fix.fix_age_ms.unwrap_or(0));
    if moved_mm == 0 {
        return judge(fence, Some((fix.position, stated_mm)));
    }
    let widened_mm = stated_mm.unwrap_or(DEFAULT_ACCURACY_MM).saturating_add(moved_mm);
    match judge(fence, Some((fix.position, Some(widened_mm)))) {
        Verdict::Outside { distance_mm, accuracy_mm, .. } => {
            Verdict::Outside { distance_mm, accuracy_mm, accuracy_assumed: stated_mm.is_none() }
        }
        Verdict::Inside { margin_mm, accuracy_mm, .. } => {
            Verdict::Inside { margin_mm, accuracy_mm, accuracy_assumed: stated_mm.is_none() }
        }
        Verdict::Undecidable { signed_distance_mm, accuracy_mm, .. } => {
            Verdict::Undecidable { signed_distance_mm, accuracy_mm, accuracy_assumed: stated_mm.is_none() }
        }
        not_checked @ Verdict::NotChecked { .. } => not_checked,
    }
}

fn decide(signed_distance_mm: i64, accuracy_mm: i64, accuracy_assumed: bool) -> Verdict {
    if signed_distance_mm > accuracy_mm {
        Verdict::Outside { distance_mm: signed_distance_mm, accuracy_mm, accuracy_assumed }
    } else if signed_distance_mm < -accuracy_mm {
        Verdict::Inside { margin_mm: -signed_distance_mm, accuracy_mm, accuracy_assumed }
    } else {
        Verdict::Undecidable { signed_distance_mm, accuracy_mm, accuracy_assumed }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inside { margin_mm, accuracy_mm, accuracy_assumed } => {
                write!(f, "inside by {} ({})", Metres(*margin_mm), Accuracy(*accuracy_mm, *accuracy_assumed))
            }
            Self::Outside { distance_mm, accuracy_mm, accuracy_assumed } => {
                let accuracy = Accuracy(*accuracy_mm, *accuracy_assumed);
                write!(f, "outside by {} ({accuracy})", Metres(*distance_mm))
            }
            Self::Undecidable { signed_distance_mm, accuracy_mm, accuracy_assumed } => {
                let side = if *signed_distance_mm > 0 { "outside" } else { "inside" };
                let accuracy = Accuracy(*accuracy_mm, *accuracy_assumed);
                let distance = Metres(signed_distance_mm.saturating_abs());
                write!(
                    f,
                    "undecidable: {distance} {side} the border, not more than the accuracy ({accuracy})"
                )
            }
            Self::NotChecked { reason } => write!(f, "not checked: {reason}"),
        }
    }
}

impl fmt::Display for NotChecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPosition => "there is no position",
            Self::NoFence => "the site has no geofence",
            Self::NullIsland => "the position is 0, 0, which a receiver without a fix writes",
        })
    }
}

/// Millimetres for the eye: whole metres from 10 m on, decimetres below, kilometres from 10 km on.
struct Metres(i64);

impl fmt::Display for Metres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metres = self.0 as f64 / 1000.0;
        match self.0 {
            10_000_000.. => write!(f, "{:.1} km", metres / 1000.0),
            10_000.. => write!(f, "{metres:.0} m"),
            _ => write!(f, "{metres:.1} m"),
        }
    }
}

struct Accuracy(i64, bool);

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1 {
            write!(f, "accuracy not stated, {} assumed", Metres(self.0))
        } else {
            write!(f, "accuracy {}", Metres(self.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_needs_a_distance_larger_than_the_accuracy() {
        for (signed_mm, accuracy_mm, assumed, sentence) in [
            (812_000, 12_000, false, "outside by 812 m (accuracy 12 m)"),
            (-40_400, 3_250, false, "inside by 40 m (accuracy 3.2 m)"),
            (12_345_678, 50_000, true, "outside by 12.3 km (accuracy not stated, 50 m assumed)"),
            (
                12_000,
                12_000,
                false,
                "undecidable: 12 m outside the border, not more than the accuracy (accuracy 12 m)",
            ),
            (
                -4_500,
                12_000,
                false,
                "undecidable: 4.5 m inside the border, not more than the accuracy (accuracy 12 m)",
            ),
        ] {
            assert_eq!(decide(signed_mm, accuracy_mm, assumed).to_string(), sentence);
        }
    }

    #[test]
    fn an_old_fix_proves_less() {
        use crate::place::Provider;
        assert_eq!(
            [-5, 0, 1_000, 300_000, 301_000, i64::MAX].map(moved_since_mm),
            [0, 0, 1_500, 450_000, 464_000, i64::MAX]
        );
        let fence = Fence::circle(Position::from_degrees(48.0, 16.0).unwrap(), 500.0).unwrap();
        // About 1,000 m from the centre, 500 m outside.
        let position = Position::from_degrees(48.009, 16.0).unwrap();
        let fix = |fix_age_ms| Fix {
            accuracy_mm: Some(10_000),
            fix_age_ms,
            ..Fix::bare(position, Provider::Termux)
        };
        for (age_ms, outside) in [
            (None, true),
            (Some(0), true),
            (Some(60_000), true),
            (Some(320_000), false),
            (Some(i64::MAX), false),
        ] {
            let verdict = judge_fix(Some(&fence), &fix(age_ms));
            assert_eq!(matches!(verdict, Verdict::Outside { .. }), outside, "{age_ms:?}: {verdict}");
        }
        let bare = Fix { fix_age_ms: Some(60_000), ..Fix::bare(position, Provider::Manual) };
        let verdict = judge_fix(Some(&fence), &bare);
        assert!(
            matches!(verdict, Verdict::Outside { accuracy_mm: 140_000, accuracy_assumed: true, .. }),
            "{verdict}"
        );
    }

    #[test]
    fn without_a_place_or_a_fence_nothing_is_said() {
        let fence = Fence::circle(Position::from_degrees(0.0, 0.001).unwrap(), 500.0).unwrap();
        let origin = Position::from_degrees(0.0, 0.0).unwrap();
        let near = Position::from_degrees(0.0, 0.001).unwrap();
        let reason = |verdict| match verdict {
            Verdict::NotChecked { reason } => reason,
            other => panic!("{other}"),
        };
        assert_eq!(reason(judge(Some(&fence), None)), NotChecked::NoPosition);
        assert_eq!(reason(judge(Some(&fence), Some((origin, Some(5_000))))), NotChecked::NullIsland);
        assert_eq!(reason(judge(None, Some((near, Some(5_000))))), NotChecked::NoFence);
        assert_eq!(
            judge(Some(&fence), Some((near, Some(0)))),
            Verdict::Inside { margin_mm: 500_000, accuracy_mm: DEFAULT_ACCURACY_MM, accuracy_assumed: true }
        );
    }

    #[test]
    fn verdicts_are_whole_numbers_under_a_kebab_tag() {
        let verdict = decide(812_000, 12_000, false);
        let text = serde_json::to_string(&verdict).unwrap();
        assert_eq!(
            text,
            r#"{"verdict":"outside","distance_mm":812000,"accuracy_mm":12000,"accuracy_assumed":false}"#
        );
        assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
        let not_checked = Verdict::NotChecked { reason: NotChecked::NullIsland };
        assert_eq!(
            serde_json::to_string(&not_checked).unwrap(),
            r#"{"verdict":"not-checked","reason":"null-island"}"#
        );
    }
}
