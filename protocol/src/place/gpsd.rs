//! One line of gpsd's JSON stream (`?WATCH={"enable":true,"json":true}`): TPV and SKY reports.

use serde::Deserialize;

use super::fix::{self, Fix, Mock, Provider};
use super::position::{InvalidPosition, Position};
use crate::time::Timestamp;

/// What a line said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// A TPV with a position. The number of satellites comes in SKY reports: the caller adds the last.
    Fix(Box<Fix>),
    /// A TPV without one: the receiver has no fix.
    NoFix,
    /// A SKY: satellites used, where stated.
    Sky { satellites: Option<i64> },
    /// A report of no use here, by class.
    Other { class: String },
}

/// Why a line was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GpsdError {
    #[error("not a line of gpsd JSON: {detail}")]
    NotUnderstood { detail: String },
    #[error("gpsd reports a fix at an impossible place: {0}")]
    Position(#[from] InvalidPosition),
}

#[derive(Deserialize)]
struct Line {
    class: String,
    mode: Option<i64>,
    status: Option<i64>,
    time: Option<String>,
    lat: Option<f64>,
    lon: Option<f64>,
    #[serde(rename = "altHAE")]
    alt_hae: Option<f64>,
    eph: Option<f64>,
    epx: Option<f64>,
    epy: Option<f64>,
    #[serde(rename = "uSat")]
    u_sat: Option<i64>,
    satellites: Option<Vec<Satellite>>,
}

#[derive(Deserialize)]
struct Satellite {
    used: Option<bool>,
}

/// TPV modes below this have no position (gpsd_json(5): 0 unknown, 1 no fix, 2 two-, 3 three-dimensional).
const MODE_2D: i64 = 2;
/// The TPV status of a simulated fix (gpsd_json(5)).
const STATUS_SIMULATED: i64 = 8;

/// Reads one line. Accuracy is `eph`, else `epx` and `epy` together: 95 % bounds in gpsd's words.
///
/// # Errors
/// When the line is not a gpsd report or its position is off the globe.
pub fn read_line(line: &[u8]) -> Result<Report, GpsdError> {
    let line: Line = serde_json::from_slice(line)
        .map_err(|error| GpsdError::NotUnderstood { detail: error.to_string() })?;
    match line.class.as_str() {
        "TPV" => tpv(&line),
        "SKY" => {
            let counted = line
                .satellites
                .map(|satellites| satellites.iter().filter(|satellite| satellite.used == Some(true)).count());
            let satellites = line.u_sat.or(counted.and_then(|count| i64::try_from(count).ok()));
            Ok(Report::Sky { satellites: satellites.filter(|count| (0..=1000).contains(count)) })
        }
        class => Ok(Report::Other { class: class.chars().take(40).collect() }),
    }
}

fn tpv(line: &Line) -> Result<Report, GpsdError> {
    let (Some(lat), Some(lon), Some(MODE_2D..)) = (line.lat, line.lon, line.mode) else {
        return Ok(Report::NoFix);
    };
    let error_m = line.eph.or_else(|| Some(line.epx?.hypot(line.epy?)));
    Ok(Report::Fix(Box::new(Fix {
        accuracy_mm: error_m.and_then(fix::accuracy_mm),
        altitude_mm: line.alt_hae.and_then(fix::millimetres),
        mock: if line.status == Some(STATUS_SIMULATED) { Mock::Yes } else { Mock::Unknown },
        gnss_at: line.time.as_deref().and_then(|time| time.parse::<Timestamp>().ok()),
        ..Fix::bare(Position::from_degrees(lat, lon)?, Provider::Gpsd)
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tpv_becomes_a_fix() {
        let line = br#"{"class":"TPV","device":"/dev/ttyUSB0","mode":3,"time":"2010-08-21T08:37:23.000Z","lat":51.925907,"lon":4.5776455,"altHAE":42.0,"altMSL":-4.0,"epx":3.0,"epy":4.0}"#;
        let Report::Fix(fix) = read_line(line).unwrap() else { panic!("no fix") };
        assert_eq!(fix.position.to_string(), "51.9259070, 4.5776455");
        assert_eq!((fix.accuracy_mm, fix.altitude_mm, fix.mock), (Some(5_000), Some(42_000), Mock::Unknown));
        assert_eq!(fix.gnss_at.unwrap().to_string(), "2010-08-21T08:37:23Z");
    }

    #[test]
    fn other_lines_say_what_they_are() {
        for (line, expected) in [
            (r#"{"class":"TPV","mode":1,"lat":51.9,"lon":4.5}"#, Report::NoFix),
            (r#"{"class":"TPV","lat":51.9,"lon":4.5}"#, Report::NoFix),
            (r#"{"class":"SKY","uSat":6}"#, Report::Sky { satellites: Some(6) }),
            (
                r#"{"class":"SKY","satellites":[{"PRN":2,"used":false},{"PRN":4,"used":true}]}"#,
                Report::Sky { satellites: Some(1) },
            ),
            (r#"{"class":"VERSION","release":"3.25"}"#, Report::Other { class: "VERSION".to_owned() }),
        ] {
            assert_eq!(read_line(line.as_bytes()).unwrap(), expected, "{line}");
        }
        let simulated = br#"{"class":"TPV","mode":2,"status":8,"lat":1.0,"lon":2.0,"eph":7.5}"#;
        let Report::Fix(fix) = read_line(simulated).unwrap() else { panic!("no fix") };
        assert_eq!((fix.mock, fix.accuracy_mm), (Mock::Yes, Some(7_500)));
        assert!(read_line(b"$GPRMC,1").is_err());
        assert!(read_line(br#"{"class":"TPV","mode":2,"lat":95.0,"lon":2.0}"#).is_err());
    }
}
