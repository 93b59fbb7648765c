//! Records against a track: where the device and its photos say they were, and where the receiver was then.
//!
//! A photo without a position is given one beside it, as a finding; nothing is written into the photo's facts.

use chrono::TimeDelta;
use chrono_tz::Tz;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::photo::PhotoFacts;
use endcheck_protocol::place::{
    DEFAULT_ACCURACY_MM, Interpolated, Position, Track, TrackPlace, TrackPoint, moved_since_mm,
};
use endcheck_protocol::record::{Act, Record};
use endcheck_protocol::time::Timestamp;
use serde_json::json;

use super::offsets::{VisitFinding, camera_offset_s};
use super::place::metres;
use super::travel::TravelLimits;
use crate::evidence::findings::{NewFinding, Weight};

const METHOD: &str = "track-1";

/// How far from its track a position may be beyond what both accuracies explain.
const LEAST_OFF_MM: i64 = 100_000;
const ACCURACY_FACTOR: i64 = 2;

/// When something was, by which clock, and how far that clock may be wrong.
struct Moment {
    at: Timestamp,
    by: &'static str,
    within: TimeDelta,
}

impl Moment {
    fn new(at: Timestamp, by: &'static str, within_s: i64) -> Self {
        Self { at, by, within: TimeDelta::seconds(within_s) }
    }
}

/// Everything that a track says about the records of its device and visit.
pub(in crate::evidence) fn against(
    records: &[(Sha256, Record)],
    track: &Track,
    track_record: &Sha256,
    zone: Option<Tz>,
) -> Vec<VisitFinding> {
    let mut found = Vec::new();
    for (hash, record) in records {
        let mut say = |part: &str, finding: NewFinding| {
            found.push(VisitFinding {
                record: Some(hash.clone()),
                about: format!("{part}:{track_record}"),
                finding,
            });
        };
        if let Some(fix) = &record.place
            && let Some(finding) =
                off(track, "The device's own fix", fix.position, fix.accuracy_mm, &fix_moment(record))
        {
            say("fix", finding);
        }
        let Act::Photo { facts, .. } = &record.act else { continue };
        let Some(moment) = photo_moment(facts, records, zone) else { continue };
        if let Some(exif) = facts.position_for_verdict() {
            if let Ok(position) = Position::from_e7(exif.lat_e7, exif.lon_e7)
                && let Some(finding) =
                    off(track, "The position in the photo", position, exif.accuracy_mm, &moment)
            {
                say("photo", finding);
            }
        } else if facts.position.is_none()
            && let Some(TrackPlace::On(on)) = track.place_at(moment.at)
        {
            say("photo", placed(&on, &moment));
        }
    }
    found
}

fn fix_moment(record: &Record) -> Moment {
    let fix = record.place.as_ref();
    match fix.and_then(|fix| fix.gnss_at) {
        Some(gnss_at) => Moment::new(gnss_at, "satellite time", 2),
        None => {
            let age_ms = fix.and_then(|fix| fix.fix_age_ms).unwrap_or(0);
            let age = TimeDelta::try_milliseconds(age_ms).unwrap_or_default();
            Moment::new(record.clock.device_at.plus(-age), "the device's clock", 300)
        }
    }
}

fn photo_moment(facts: &PhotoFacts, records: &[(Sha256, Record)], zone: Option<Tz>) -> Option<Moment> {
    if let Some(gps_at) = facts.gps_at {
        return Some(Moment::new(gps_at, "satellite time", 120));
    }
    let (taken_at, _) = facts.taken_instant(zone)?;
    Some(match camera_offset_s(facts, records, zone) {
        Some(offset_s) => {
            let offset = TimeDelta::try_seconds(offset_s).unwrap_or_default();
            Moment::new(taken_at.plus(-offset), "the camera's clock, set right by its other photos", 120)
        }
        None => Moment::new(taken_at, "the camera's clock", 300),
    })
}

/// That a position is not where the track was at its time, if so.
fn off(
    track: &Track,
    what: &str,
    position: Position,
    accuracy_mm: Option<i64>,
    moment: &Moment,
) -> Option<NewFinding> {
    if position.is_null_island() {
        return None;
    }
    let Some(TrackPlace::On(on)) = track.place_at(moment.at) else { return None };
    let stated_mm = accuracy_mm.filter(|mm| *mm > 0).unwrap_or(DEFAULT_ACCURACY_MM);
    let distance_mm = |other: Position| (position.distance_m(other) * 1000.0).round() as i64;
    let apart_mm = distance_mm(on.position);
    let slack_mm = stated_mm
        .saturating_mul(ACCURACY_FACTOR)
        .saturating_add(on.uncertainty_mm)
        .saturating_add(LEAST_OFF_MM);
    if apart_mm <= slack_mm {
        return None;
    }
    // The clock may be wrong: the nearest point in the time that it may be wrong by decides.
    let nearest_mm = around(track, moment)
        .iter()
        .map(|point| distance_mm(point.position))
        .min()
        .map_or(apart_mm, |nearest_mm| nearest_mm.min(apart_mm));
    if nearest_mm <= slack_mm {
        return None;
    }
    let outside = nearest_mm.saturating_sub(slack_mm).saturating_add(LEAST_OFF_MM);
    Some(NewFinding {
        signal: "off-track",
        weight: Weight::Look,
        summary: format!("{what} is {} from where the track was at that time.", metres(nearest_mm)),
        values: json!({
            "position": position, "accuracy_mm": accuracy_mm, "at": moment.at, "at_by": moment.by,
            "clock_within_s": moment.within.num_seconds(), "track": on, "distance_mm": apart_mm,
            "nearest_mm": nearest_mm, "beyond_accuracies_mm": outside,
        }),
        uncertainty: format!(
            "the track's place within {} (a gap of {} s between its points), the position within {}; {} may be wrong \
             by {} s",
            metres(on.uncertainty_mm),
            on.gap_ms / 1000,
            metres(stated_mm),
            moment.by,
            moment.within.num_seconds()
        ),
        explanations: "The receiver stayed in the car; a clock was wrong; the track is another person's or another \
                       day's.",
        method: METHOD,
    })
}

/// The points in the time that a clock may be wrong by.
fn around<'a>(track: &'a Track, moment: &Moment) -> &'a [TrackPoint] {
    let first = track.points.partition_point(|point| point.at < moment.at.plus(-moment.within));
    let end = track.points.partition_point(|point| point.at <= moment.at.plus(moment.within));
    track.points.get(first..end).unwrap_or_default()
}

/// A position for a photo that has none.
fn placed(on: &Interpolated, moment: &Moment) -> NewFinding {
    let clock_mm = moved_since_mm(moment.within.num_milliseconds());
    NewFinding {
        signal: "position-from-track",
        weight: Weight::Info,
        summary: format!(
            "The photo has no position of its own; by its time, the track puts it at {}.",
            on.position
        ),
        values: json!({
            "position": on.position, "source": "track", "at": moment.at, "at_by": moment.by,
            "clock_within_s": moment.within.num_seconds(), "gap_ms": on.gap_ms, "gap_mm": on.gap_mm,
            "interrupted": on.interrupted, "uncertainty_mm": on.uncertainty_mm.saturating_add(clock_mm),
        }),
        uncertainty: format!(
            "{} on the track (a gap of {} s and {} between its points), and {} because {} may be wrong by {} s",
            metres(on.uncertainty_mm),
            on.gap_ms / 1000,
            metres(on.gap_mm),
            metres(clock_mm),
            moment.by,
            moment.within.num_seconds()
        ),
        explanations: "It is not the photo's own position, and counts for no verdict.",
        method: METHOD,
    }
}

/// The track by itself: what it holds, and whether anybody can have moved like that.
pub(in crate::evidence) fn itself(track: &Track, limits: TravelLimits) -> Vec<NewFinding> {
    let Some((first_at, last_at)) = track.span() else { return Vec::new() };
    let read = NewFinding {
        signal: "track-read",
        weight: Weight::Info,
        summary: format!("The track has {} points from {first_at} to {last_at}.", track.points.len()),
        values: json!({
            "format": track.format, "points": track.points.len(), "first_at": first_at, "last_at": last_at,
            "untimed": track.untimed, "rejected": track.rejected,
        }),
        uncertainty:
            "records before it began, after it ended and in gaps of more than 30 min are not compared"
                .to_owned(),
        explanations: "A track is easily made; that records agree with it proves little.",
        method: METHOD,
    };
    std::iter::once(read).chain(too_fast(track, limits)).collect()
}

fn too_fast(track: &Track, limits: TravelLimits) -> Option<NewFinding> {
    let legs = track.points.iter().zip(track.points.iter().skip(1));
    let (kmh, before, after) = legs
        .map(|(before, after)| {
            let accuracy_mm = |point: &TrackPoint| point.accuracy_mm.unwrap_or(DEFAULT_ACCURACY_MM);
            let slack_mm =
                accuracy_mm(before).saturating_add(accuracy_mm(after)).saturating_mul(ACCURACY_FACTOR);
            let least_m = before.position.distance_m(after.position) - slack_mm as f64 / 1000.0;
            let elapsed_s = (after.at.since(before.at).num_milliseconds() as f64 / 1000.0).max(1.0);
            (least_m / elapsed_s * 3.6, before, after)
        })
        .max_by(|one, other| one.0.total_cmp(&other.0))?;
    (kmh > f64::from(limits.look_kmh)).then(|| NewFinding {
        signal: "track-too-fast",
        weight: Weight::Look,
        summary: format!("Between two points of the track one would have had to travel at {kmh:.0} km/h or faster."),
        values: json!({
            "from": before.position, "from_at": before.at, "to": after.position, "to_at": after.at,
            "least_speed_kmh": kmh.round() as i64, "look_above_kmh": limits.look_kmh,
        }),
        uncertainty: "twice both accuracies were taken off the distance".to_owned(),
        explanations: "The receiver lost its satellites and jumped; a flight was recorded; two tracks were joined.",
        method: METHOD,
    })
}
