//! Whether there can have been the light that a photo was exposed for: the sun at the time and place that the photo
//! itself states.
//!
//! One thing only is told: bright as by day where it was night. Dark by day says nothing, for rooms are dark. Where the
//! photo leaves something out, nothing stands in for it: neither the device's fix, which is from when the file was taken
//! in, nor the site's time zone, which the camera need not have been set to.

use endcheck_protocol::photo::{ExifPosition, PhotoFacts};
use endcheck_protocol::time::Timestamp;
use serde_json::json;
use solar_positioning::{Location, SolarPositions};

use crate::evidence::findings::{NewFinding, Weight};
use crate::picture::Analysis;

const METHOD: &str = "light-1";
/// The signal that something to compare by is missing; said once for a device and visit.
pub(in crate::evidence) const NOT_CHECKED: &str = "light-not-checked";

/// Exposure values at ISO 100 from here on are of daylight: some 5,000 lux, ten times a well-lit workshop.
const DAYLIGHT_VALUE: f64 = 11.0;
/// Pictures darker than this, of 255 levels, were exposed for something brighter than what they show.
const DARK_LEVELS: u8 = 50;
/// Below this the sun lights nothing: the end of nautical twilight, in degrees.
const NIGHT_DEGREES: f64 = -12.0;
/// Terrestrial time less universal time in this decade, in seconds; it moves the sun by less than 0.001°.
const DELTA_T_S: f64 = 69.0;

/// What a photo says of its light, against the sun.
pub(in crate::evidence) fn of_light(facts: &PhotoFacts, analysis: &Analysis) -> Option<NewFinding> {
    let not_checked = |why: &str| Some(not_checked(why));
    let Ok(pixels) = &analysis.pixels else { return not_checked("its pixels were not decoded") };
    let Some((exposure, value)) = analysis.exposure.and_then(|exposure| Some((exposure, exposure.value()?)))
    else {
        return not_checked("it does not say how it was exposed");
    };
    if exposure.flash {
        return not_checked("a flash lit what it shows");
    }
    let Some(place) = facts.position_for_verdict() else {
        return not_checked("it does not say where it was taken");
    };
    let heights = instants(facts).filter_map(|at| Some((at, sun_degrees(at, place)?)));
    let Some((at, height)) = heights.max_by(|one, other| one.1.total_cmp(&other.1)) else {
        return not_checked("it does not say when it was taken, with its offset from UTC or by satellites");
    };
    if value < DAYLIGHT_VALUE || pixels.brightness < DARK_LEVELS || height >= NIGHT_DEGREES {
        return None;
    }
    Some(NewFinding {
        signal: "bright-at-night",
        weight: Weight::Look,
        summary: format!(
            "The photo was exposed as by daylight (exposure value {value:.1} at ISO 100), but at the time and place that it \
             states the sun stood {:.0}° below the horizon.",
            -height
        ),
        values: json!({
            "exposure_value_tenths": (value * 10.0).round() as i64,
            "brightness_levels": pixels.brightness,
            "sun_degrees": height.round() as i64,
            "at": at,
            "lat_e7": place.lat_e7,
            "lon_e7": place.lon_e7,
        }),
        uncertainty: format!(
            "daylight is from exposure value {DAYLIGHT_VALUE} on, night below {NIGHT_DEGREES}°; where the camera and \
             satellites state two times, the one with the higher sun counts"
        ),
        explanations: "The camera's clock was wrong by hours; a hand lamp, a separate flash, floodlights, welding or a lit \
                       screen; exposure was set by hand.",
        method: METHOD,
    })
}

fn not_checked(why: &str) -> NewFinding {
    NewFinding {
        signal: NOT_CHECKED,
        weight: Weight::Info,
        summary: format!("Of at least one photo the light is not held against the sun: {why}."),
        values: json!({ "why": why }),
        uncertainty: "nothing was compared".to_owned(),
        explanations: "Messaging apps and some cameras leave out how, when or where a photo was taken.",
        method: METHOD,
    }
}

/// Every instant that the photo states: the camera's where it names its offset, and the satellites'.
fn instants(facts: &PhotoFacts) -> impl Iterator<Item = Timestamp> {
    facts.taken_instant(None).map(|(at, _)| at).into_iter().chain(facts.gps_at)
}

/// How high the sun stands above the horizon, in degrees.
fn sun_degrees(at: Timestamp, place: &ExifPosition) -> Option<f64> {
    let location = Location { latitude: place.lat_e7 as f64 / 1e7, longitude: place.lon_e7 as f64 / 1e7 };
    let sun = SolarPositions::new().at(&at.utc(), location, 0.0, DELTA_T_S, None).ok()?;
    Some(sun.elevation_angle())
}

#[cfg(test)]
mod tests {
    use endcheck_protocol::photo::PhotoFormat;

    use super::*;
    use crate::picture::{Exposure, Pixels, Traces};

    const SUNNY: Exposure = Exposure { f_number: 16.0, seconds: 1.0 / 125.0, iso: 100.0, flash: false };

    fn position(lat_e7: i64, lon_e7: i64) -> ExifPosition {
        ExifPosition { lat_e7, lon_e7, altitude_mm: None, accuracy_mm: None }
    }

    fn facts(taken_at: Option<&str>) -> PhotoFacts {
        PhotoFacts {
            format: PhotoFormat::Jpeg,
            width: 640,
            height: 480,
            orientation: None,
            position: Some(position(480_000_000, 160_000_000)),
            position_absent_reason: None,
            taken_at: taken_at.map(str::to_owned),
            gps_at: None,
            make: None,
            model: None,
            serial: None,
            lens: None,
            software: None,
            flags: Vec::new(),
        }
    }

    fn analysis(exposure: Option<Exposure>, brightness: u8) -> Analysis {
        let pixels = Pixels { thumbnail: Vec::new(), brightness, hashes: None, preview: None };
        Analysis {
            digest: None,
            pixels: Ok(pixels),
            declared: None,
            traces: Traces::default(),
            exposure,
            quantisation: None,
        }
    }

    fn signal(facts: &PhotoFacts, analysis: &Analysis) -> Option<&'static str> {
        of_light(facts, analysis).map(|finding| finding.signal)
    }

    #[test]
    fn the_sun_stands_where_the_almanac_says() {
        for (at, place, degrees) in [
            // At noon of the solstice the sun stands at 90° − latitude + 23.4°.
            ("2026-06-21T12:02:00Z", position(480_000_000, 0), 65.4),
            ("2026-12-21T11:58:00Z", position(480_000_000, 0), 18.6),
            ("2026-03-20T12:07:00Z", position(0, 0), 90.0),
            ("2026-06-21T00:02:00Z", position(480_000_000, 0), -18.6),
        ] {
            let height = sun_degrees(at.parse().unwrap(), &place).unwrap();
            assert!((height - degrees).abs() < 0.3, "{at}: {height}");
        }
    }

    #[test]
    fn only_daylight_in_the_night_is_told() {
        let bright = analysis(Some(SUNNY), 120);
        for (taken_at, told) in [
            ("2026-11-24T12:00:00+01:00", None),
            ("2026-11-24T23:30:00+01:00", Some("bright-at-night")),
            // Some 18° below the horizon, and an hour earlier 8°.
            ("2026-11-24T18:00:00+01:00", Some("bright-at-night")),
            ("2026-11-24T17:00:00+01:00", None),
        ] {
            assert_eq!(signal(&facts(Some(taken_at)), &bright), told, "{taken_at}");
        }
        let night = facts(Some("2026-11-24T23:30:00+01:00"));
        let lamp = Exposure { seconds: 1.0 / 4.0, ..SUNNY };
        assert_eq!(signal(&night, &analysis(Some(lamp), 120)), None, "exposed for lamps");
        assert_eq!(signal(&night, &analysis(Some(SUNNY), 20)), None, "exposed for the moon");
        let by_day = PhotoFacts { gps_at: "2026-11-24T11:00:00Z".parse().ok(), ..night };
        assert_eq!(signal(&by_day, &bright), None, "one of its times was by day");
    }

    #[test]
    fn what_there_is_nothing_to_compare_by_is_not_passed() {
        let noon = facts(Some("2026-11-24T12:00:00+01:00"));
        let bright = analysis(Some(SUNNY), 120);
        assert_eq!(signal(&noon, &analysis(None, 120)), Some(NOT_CHECKED));
        let flash = Exposure { flash: true, ..SUNNY };
        assert_eq!(signal(&noon, &analysis(Some(flash), 120)), Some(NOT_CHECKED));
        let nothing = Exposure { seconds: 0.0, ..SUNNY };
        assert_eq!(signal(&noon, &analysis(Some(nothing), 120)), Some(NOT_CHECKED));
        assert_eq!(signal(&facts(None), &bright), Some(NOT_CHECKED));
        // By which clock is not said: it may be that of wherever the camera comes from.
        assert_eq!(signal(&facts(Some("2026-11-24T23:30:00")), &bright), Some(NOT_CHECKED));
        assert_eq!(signal(&PhotoFacts { position: None, ..noon }, &bright), Some(NOT_CHECKED));
    }
}
