//! How far the clocks of a visit stand apart: one estimate for a device and visit, and the photos that do
//! not follow it.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use chrono_tz::Tz;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::photo::PhotoFacts;
use endcheck_protocol::record::{Act, Record};
use endcheck_protocol::time::Timestamp;
use serde_json::{Value, json};

use super::{CLOCK_TOLERANCE, METHOD};
use crate::evidence::findings::{NewFinding, Weight};

/// How far a photo may be from its camera's own offset, by satellite time: a fix may be a minute old.
const SATELLITE_SPREAD_S: i64 = 120;
/// The same by the device's clock, which tells only when the file was taken in.
const INTAKE_SPREAD_S: i64 = 6 * 3600;
/// A camera's offset is an estimate from this many photos on.
const LEAST_PHOTOS: usize = 3;
/// How long before a visit begins its first photo may be taken.
const BEFORE_VISIT: TimeDelta = TimeDelta::hours(6);

/// A finding about a whole visit is made once for each different `about`.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::evidence) struct VisitFinding {
    /// The record it is shown at; absent where it concerns the device's visit as a whole.
    pub record: Option<Sha256>,
    pub about: String,
    pub finding: NewFinding,
}

/// One photo's times.
struct Shot<'a> {
    hash: &'a Sha256,
    taken_at: Timestamp,
    offset_written: bool,
    gps_at: Option<Timestamp>,
    device_at: Timestamp,
}

impl Shot<'_> {
    /// Camera minus satellites, in seconds.
    fn against_satellites_s(&self) -> Option<i64> {
        Some(self.taken_at.since(self.gps_at?).num_seconds())
    }

    /// Camera minus device when the photo was taken in: an offset less the time that it waited.
    fn against_device_s(&self) -> i64 {
        self.taken_at.since(self.device_at).num_seconds()
    }
}

/// The clocks of one device's records of one visit.
pub(in crate::evidence) fn offsets(records: &[(Sha256, Record)], zone: Option<Tz>) -> Vec<VisitFinding> {
    let mut found = Vec::new();
    let mut cameras: BTreeMap<String, Vec<Shot<'_>>> = BTreeMap::new();
    let mut device_s = Vec::new();
    for (hash, record) in records {
        if let Some(gnss_at) = record.clock.gnss_at {
            let age_ms = record.place.as_ref().and_then(|fix| fix.fix_age_ms).unwrap_or(0);
            device_s.push(record.clock.device_at.since(gnss_at).num_seconds() - age_ms / 1000);
        }
        if let Act::Photo { facts, .. } = &record.act
            && let Some((taken_at, offset_written)) = facts.taken_instant(zone)
        {
            let name = [&facts.make, &facts.model, &facts.serial].map(|part| part.as_deref().unwrap_or("?"));
            cameras.entry(name.join(" ")).or_default().push(Shot {
                hash,
                taken_at,
                offset_written,
                gps_at: facts.gps_at,
                device_at: record.clock.device_at,
            });
        }
    }
    let device = spread(&device_s);
    let mut wide = device.is_some_and(|device| device.median_s.abs() > CLOCK_TOLERANCE.num_seconds());
    let mut views = Vec::new();
    for (name, shots) in &cameras {
        let satellites = spread(&shots.iter().filter_map(Shot::against_satellites_s).collect::<Vec<_>>());
        let intake = spread(&shots.iter().map(Shot::against_device_s).collect::<Vec<_>>());
        wide |= satellites.is_some_and(|spread| spread.median_s.abs() > CLOCK_TOLERANCE.num_seconds());
        // A photo waits before it is taken in, so only a camera that is ahead shows this way.
        wide |= intake.is_some_and(|spread| {
            spread.greatest_s > CLOCK_TOLERANCE.num_seconds() || spread.median_s < -INTAKE_SPREAD_S
        });
        views.push(json!({
            "camera": name, "photos": shots.len(),
            "offset_written": shots.iter().filter(|shot| shot.offset_written).count(),
            "against_satellites": satellites.map(Spread::values),
            "against_device_when_taken_in": intake.map(Spread::values),
        }));
        for shot in shots {
            found.extend(strays(shot, satellites, intake));
        }
    }
    let began_at = records.iter().find(|(_, record)| matches!(record.act, Act::VisitOpen { .. }));
    if let Some((_, opened)) = began_at {
        for shot in cameras.values().flatten() {
            found.extend(before_visit(shot, opened.clock.device_at));
        }
    }
    if device.is_some() || !views.is_empty() {
        found.push(summary(device, views, wide, zone));
    }
    found
}

fn summary(device: Option<Spread>, cameras: Vec<Value>, wide: bool, zone: Option<Tz>) -> VisitFinding {
    let said = |label: &str, value: &Value| {
        value.get("median_s").and_then(Value::as_i64).map(|median_s| format!("{label} {median_s:+} s"))
    };
    let mut parts: Vec<String> = cameras
        .iter()
        .filter_map(|camera| {
            let name = camera.get("camera").and_then(Value::as_str).unwrap_or_default();
            let by_satellites = camera
                .get("against_satellites")
                .and_then(|value| said(&format!("camera {name} against satellites"), value));
            by_satellites.or_else(|| {
                let value = camera.get("against_device_when_taken_in")?;
                said(&format!("camera {name} against the device when taken in"), value)
            })
        })
        .collect();
    parts.extend(device.map(|device| format!("device against satellites {:+} s", device.median_s)));
    let text = parts.join("; ");
    let zone = zone.map_or_else(|| "none is known".to_owned(), |zone| zone.name().to_owned());
    VisitFinding {
        record: None,
        about: text.clone(),
        finding: NewFinding {
            signal: "clock-offsets",
            weight: if wide { Weight::Look } else { Weight::Info },
            summary: format!("Clocks of this device's visit, as medians: {text}."),
            values: json!({ "device_against_satellites": device.map(Spread::values), "cameras": cameras }),
            uncertainty: format!(
                "least and greatest stand beside each median; times without a UTC offset are read in the site's zone \
                 ({zone}); a photo waits before it is taken in"
            ),
            explanations: "The camera's clock was never set, or keeps the time of another zone; some phones write \
                           local time where satellite time belongs; a fix was old.",
            method: METHOD,
        },
    }
}

/// A photo that does not follow its camera's own offset.
fn strays(shot: &Shot<'_>, satellites: Option<Spread>, intake: Option<Spread>) -> Option<VisitFinding> {
    let (own_s, usual, allowed_s, against) = match (shot.against_satellites_s(), satellites, intake) {
        (Some(own_s), Some(usual), _) if usual.count >= LEAST_PHOTOS => {
            (own_s, usual, SATELLITE_SPREAD_S, "satellite time")
        }
        (_, _, Some(usual)) if usual.count >= LEAST_PHOTOS => {
            (shot.against_device_s(), usual, INTAKE_SPREAD_S, "the device's clock")
        }
        _ => return None,
    };
    let apart_s = own_s - usual.median_s;
    (apart_s.abs() > allowed_s).then(|| VisitFinding {
        record: Some(shot.hash.clone()),
        about: String::new(),
        finding: NewFinding {
            signal: "photo-clock-differs",
            weight: Weight::Look,
            summary: format!(
                "Its capture time is {} from where the camera's other photos of this visit would put it.",
                span(apart_s)
            ),
            values: json!({
                "taken_at": shot.taken_at, "gps_at": shot.gps_at, "device_at": shot.device_at,
                "own_offset_s": own_s, "usual_offset_s": usual.median_s, "photos_compared": usual.count,
                "against": against,
            }),
            uncertainty: format!(
                "up to {} is let pass; the camera's other photos spread over {}",
                span(allowed_s),
                span(usual.greatest_s - usual.least_s)
            ),
            explanations: "The camera kept an old satellite fix indoors; its clock was set during the visit; the photo \
                           was taken on another day on purpose.",
            method: METHOD,
        },
    })
}

/// A photo whose satellite time lies before the visit.
fn before_visit(shot: &Shot<'_>, opened_at: Timestamp) -> Option<VisitFinding> {
    let gps_at = shot.gps_at?;
    let before = opened_at.since(gps_at);
    (before > BEFORE_VISIT).then(|| VisitFinding {
        record: Some(shot.hash.clone()),
        about: String::new(),
        finding: NewFinding {
            signal: "photo-older-than-visit",
            weight: Weight::Look,
            summary: "By its satellite time the photo was taken before the visit began.".to_owned(),
            values: json!({
                "gps_at": gps_at, "visit_opened_at": opened_at, "before_s": before.num_seconds(),
            }),
            uncertainty: "the fix may be older than the photo (27 h were measured on a phone); up to 6 h is let pass"
                .to_owned(),
            explanations: "An earlier photo was taken in for comparison; the camera kept an old satellite fix.",
            method: METHOD,
        },
    })
}

/// By how much the camera that took this photo is ahead of satellite time, by the device's other photos of
/// the visit; nothing where none of that camera has both times.
pub(super) fn camera_offset_s(
    facts: &PhotoFacts,
    records: &[(Sha256, Record)],
    zone: Option<Tz>,
) -> Option<i64> {
    let camera = |facts: &PhotoFacts| (facts.make.clone(), facts.model.clone(), facts.serial.clone());
    let own = camera(facts);
    let offsets_s: Vec<i64> = records
        .iter()
        .filter_map(|(_, record)| match &record.act {
            Act::Photo { facts, .. } if camera(facts) == own => {
                let (taken_at, _) = facts.taken_instant(zone)?;
                Some(taken_at.since(facts.gps_at?).num_seconds())
            }
            _ => None,
        })
        .collect();
    spread(&offsets_s).map(|spread| spread.median_s)
}

/// Median, least and greatest of some offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spread {
    count: usize,
    median_s: i64,
    least_s: i64,
    greatest_s: i64,
}

impl Spread {
    fn values(self) -> Value {
        json!({ "count": self.count, "median_s": self.median_s, "least_s": self.least_s, "greatest_s": self.greatest_s })
    }
}

fn spread(offsets_s: &[i64]) -> Option<Spread> {
    let mut sorted = offsets_s.to_vec();
    sorted.sort_unstable();
    Some(Spread {
        count: sorted.len(),
        median_s: *sorted.get(sorted.len() / 2)?,
        least_s: *sorted.first()?,
        greatest_s: *sorted.last()?,
    })
}

fn span(seconds: i64) -> String {
    match seconds.abs() {
        s if s < 180 => format!("{s} s"),
        s if s < 3 * 3600 => format!("{} min", s / 60),
        s if s < 72 * 3600 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}
