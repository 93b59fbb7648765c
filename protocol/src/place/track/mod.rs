//! Tracks: where a receiver was over time, from a GPX file or an NMEA log, and where it was at one instant.
//!
//! A place between two points is interpolated, and always comes with the gap that it lies in: it stands beside
//! other positions and is never merged with them. Before a track begins and after it ends nothing is said.

mod gpx;

use std::fmt;

use chrono::TimeDelta;
use serde::Serialize;

use super::nmea;
use super::position::{InvalidPosition, Position};
use super::verdict::{DEFAULT_ACCURACY_MM, moved_since_mm};
use crate::time::Timestamp;

/// Largest track file.
pub const MAX_TRACK_BYTES: u64 = 32 * 1024 * 1024;
/// Most points with a time: one a second for four days.
pub const MAX_POINTS: usize = 400_000;
/// A gap longer than this is not interpolated over.
pub const LONGEST_GAP: TimeDelta = TimeDelta::minutes(30);

/// What a track comes as, by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrackFormat {
    Gpx,
    Nmea,
}

impl TrackFormat {
    /// The media type to store it under.
    #[must_use]
    pub fn mime(self) -> &'static str {
        match self {
            Self::Gpx => "application/gpx+xml",
            Self::Nmea => "text/plain",
        }
    }
}

impl fmt::Display for TrackFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gpx => "GPX",
            Self::Nmea => "NMEA 0183",
        })
    }
}

/// Where the receiver was at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackPoint {
    pub at: Timestamp,
    pub position: Position,
    /// As the receiver states it, or HDOP × [`nmea::RANGE_ERROR_M`].
    pub accuracy_mm: Option<i64>,
    /// Which unbroken stretch it belongs to, from 0.
    pub segment: u32,
}

/// What a file holds: its points in the order of their times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    pub format: TrackFormat,
    pub points: Vec<TrackPoint>,
    /// Points without a time, which place nothing.
    pub untimed: u64,
    /// Points off the globe or without numbers, and lines of a log that were refused.
    pub rejected: u64,
}

/// Why a file is no track.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrackRefusal {
    #[error("the file has {size_bytes} bytes; a track has at most {MAX_TRACK_BYTES}")]
    TooLarge { size_bytes: u64 },
    #[error("line {line}: a document type is declared, which no track needs and which is not read")]
    DoctypeNotAllowed { line: u64 },
    #[error("line {line}: the XML is not well formed: {problem}")]
    NotWellFormed { line: u64, problem: String },
    #[error("line {line}: elements are nested more than {limit} deep")]
    TooDeep { line: u64, limit: usize },
    #[error("the root element is <{name}>, not <gpx>")]
    NotGpx { name: String },
    #[error("the text is not UTF-8; save the file as UTF-8 and take it in again")]
    NotUtf8,
    #[error("the track has more than {MAX_POINTS} points; cut it to the days of the visit")]
    TooManyPoints,
    #[error(
        "no point has both a position and a time ({untimed} points without a time, {rejected} refused): is this \
         a GPX track or an NMEA log?"
    )]
    NoPoints { untimed: u64, rejected: u64 },
}

/// Reads a GPX file or an NMEA log, whichever it is.
///
/// # Errors
/// When the file is too large, not well-formed XML, no GPX, or holds no point with a time.
pub fn read(bytes: &[u8]) -> Result<Track, TrackRefusal> {
    let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size_bytes > MAX_TRACK_BYTES {
        return Err(TrackRefusal::TooLarge { size_bytes });
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut track =
        if text.trim_ascii_start().starts_with(b"<") { gpx::read(text)? } else { from_nmea(text)? };
    if track.points.is_empty() {
        return Err(TrackRefusal::NoPoints { untimed: track.untimed, rejected: track.rejected });
    }
    track.points.sort_by_key(|point| point.at);
    Ok(track)
}

fn from_nmea(log: &[u8]) -> Result<Track, TrackRefusal> {
    let reading = nmea::read(log);
    let mut track = Track {
        format: TrackFormat::Nmea,
        points: Vec::new(),
        untimed: 0,
        rejected: reading.rejected.values().sum(),
    };
    if reading.fixes.len() > MAX_POINTS {
        return Err(TrackRefusal::TooManyPoints);
    }
    for fix in reading.fixes {
        match fix.at {
            None => track.untimed += 1,
            Some(at) => track.points.push(TrackPoint {
                at,
                position: fix.fix.position,
                accuracy_mm: fix.fix.accuracy_mm,
                segment: 0,
            }),
        }
    }
    Ok(track)
}

/// Where a track was at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "place", rename_all = "kebab-case")]
pub enum TrackPlace {
    On(Interpolated),
    /// The track begins later.
    Before {
        by_s: i64,
    },
    /// The track ended earlier.
    After {
        by_s: i64,
    },
    /// The instant lies in a gap longer than [`LONGEST_GAP`].
    InGap {
        gap_s: i64,
    },
}

/// A place on a track, and how well it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interpolated {
    pub position: Position,
    /// From the point before to the point after, in milliseconds; 0 at a point.
    pub gap_ms: i64,
    /// Between those two points.
    pub gap_mm: i64,
    /// Whether the recording was interrupted between them.
    pub interrupted: bool,
    /// How far off it may be: the accuracy of the nearer point, and what may be gone in the time from there,
    /// by [`moved_since_mm`].
    pub uncertainty_mm: i64,
}

impl Track {
    /// The first and the last instant.
    #[must_use]
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        Some((self.points.first()?.at, self.points.last()?.at))
    }

    /// Where the track was `at` that instant; nothing for a track without points.
    #[must_use]
    pub fn place_at(&self, at: Timestamp) -> Option<TrackPlace> {
        let (first, last) = self.span()?;
        if at < first {
            return Some(TrackPlace::Before { by_s: first.since(at).num_seconds() });
        }
        if at > last {
            return Some(TrackPlace::After { by_s: at.since(last).num_seconds() });
        }
        let next = self.points.partition_point(|point| point.at < at);
        let after = self.points.get(next)?;
        let before = if after.at == at { after } else { self.points.get(next.checked_sub(1)?)? };
        Some(between(before, after, at))
    }
}

fn between(before: &TrackPoint, after: &TrackPoint, at: Timestamp) -> TrackPlace {
    let gap = after.at.since(before.at);
    if gap > LONGEST_GAP {
        return TrackPlace::InGap { gap_s: gap.num_seconds() };
    }
    let (since, until) = (at.since(before.at), after.at.since(at));
    let share = match gap.num_microseconds() {
        Some(gap_us) if gap_us > 0 => since.num_microseconds().unwrap_or(0) as f64 / gap_us as f64,
        _ => 0.0,
    };
    let nearer = if since <= until { before } else { after };
    let accuracy_mm = nearer.accuracy_mm.unwrap_or(DEFAULT_ACCURACY_MM);
    let moved_mm = moved_since_mm(since.min(until).num_milliseconds());
    TrackPlace::On(Interpolated {
        position: part_of_the_way(before.position, after.position, share).unwrap_or(nearer.position),
        gap_ms: gap.num_milliseconds(),
        gap_mm: (before.position.distance_m(after.position) * 1000.0).round() as i64,
        interrupted: before.segment != after.segment,
        uncertainty_mm: accuracy_mm.saturating_add(moved_mm),
    })
}

/// Straight in degrees, over the antimeridian by the shorter way.
fn part_of_the_way(from: Position, to: Position, share: f64) -> Result<Position, InvalidPosition> {
    let mut east = to.lon() - from.lon();
    if east > 180.0 {
        east -= 360.0;
    } else if east < -180.0 {
        east += 360.0;
    }
    let lon = from.lon() + east * share;
    let lon = if lon > 180.0 {
        lon - 360.0
    } else if lon < -180.0 {
        lon + 360.0
    } else {
        lon
    };
    Position::from_degrees(from.lat() + (to.lat() - from.lat()) * share, lon)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpx(points: &str) -> Vec<u8> {
        format!("<gpx xmlns='http://www.topografix.com/GPX/1/1'><trk><trkseg>{points}</trkseg></trk></gpx>")
            .into_bytes()
    }

    fn point(lat: f64, lon: f64, time: &str) -> String {
        format!("<trkpt lat='{lat}' lon=\"{lon}\"><ele>1</ele><time>2026-05-04T{time}</time></trkpt>")
    }

    #[test]
    fn a_place_between_two_points_comes_with_its_gap() {
        let track = read(&gpx(&[
            point(48.0, 16.0, "10:00:00Z"),
            point(48.001, 16.0, "10:00:20Z"),
            // Written late, and with an offset.
            point(47.999, 16.0, "11:59:50+02:00"),
            point(48.1, 16.0, "11:00:20Z"),
        ]
        .concat()))
        .unwrap();
        let at = |text: &str| track.place_at(format!("2026-05-04T{text}Z").parse().unwrap()).unwrap();
        for (time, expected) in [
            ("09:59:49", TrackPlace::Before { by_s: 1 }),
            ("11:00:21", TrackPlace::After { by_s: 1 }),
            ("10:30:00", TrackPlace::InGap { gap_s: 3600 }),
        ] {
            assert_eq!(at(time), expected, "{time}");
        }
        let TrackPlace::On(exact) = at("10:00:20") else { panic!() };
        assert_eq!((exact.position.to_string().as_str(), exact.gap_ms), ("48.0010000, 16.0000000", 0));
        let TrackPlace::On(middle) = at("10:00:05") else { panic!() };
        assert_eq!((middle.position.to_string().as_str(), middle.gap_ms), ("48.0002500, 16.0000000", 20_000));
        assert_eq!((middle.gap_mm, middle.uncertainty_mm), (111_190, DEFAULT_ACCURACY_MM + 7_500));
    }

    #[test]
    fn a_track_goes_over_the_antimeridian_by_the_shorter_way() {
        let track =
            read(&gpx(&[point(0.5, 179.9, "10:00:00Z"), point(0.5, -179.8, "10:00:03Z")].concat())).unwrap();
        let places = ["01", "02"].map(|second| {
            match track.place_at(format!("2026-05-04T10:00:{second}Z").parse().unwrap()) {
                Some(TrackPlace::On(on)) => on.position.to_string(),
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(places, ["0.5000000, 180.0000000", "0.5000000, -179.9000000"]);
    }

    #[test]
    fn what_is_no_track_is_refused_by_name() {
        let refused = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        let deep = format!("<gpx>{}", "<a>".repeat(100));
        for (bytes, part) in [
            (&b"<gpx><trk>\n</gpx>"[..], "line 2: the XML is not well formed"),
            (b"<gpx>\n<trk>", "line 2: the XML is not well formed"),
            (b"<!DOCTYPE gpx [<!ENTITY a 'b'>]><gpx>&a;</gpx>", "line 1: a document type"),
            (b"<kml/>", "<kml>, not <gpx>"),
            (b"<gpx/>", "no point has both"),
            (b"hello", "no point has both"),
            (b"", "no point has both"),
            (b"<gpx>\xff\xfe</gpx>", "not UTF-8"),
            (deep.as_bytes(), "nested more than"),
        ] {
            assert!(refused(bytes).contains(part), "{}", refused(bytes));
        }
        for bad in
            ["lat='NaN' lon='1'", "lat='95' lon='1'", "lat='1'", "lat='1e1' lon='1'", "lat='&#49;' lon='1'"]
        {
            let point =
                format!("<trkpt {bad}><time>2026-05-04T10:00:00Z</time></trkpt><trkpt lat='1' lon='2'/>");
            assert_eq!(read(&gpx(&point)), Err(TrackRefusal::NoPoints { untimed: 1, rejected: 1 }), "{bad}");
        }
    }

    #[test]
    fn only_points_of_tracks_count_and_prefixes_do_not_matter() {
        let text = b"\xef\xbb\xbf<?xml version='1.0'?>\n<g:gpx xmlns:g='x'><g:wpt lat='1' lon='1'>\
            <g:time>2026-05-04T10:00:00Z</g:time></g:wpt><!-- a --><g:trk><g:trkseg>\
            <g:trkpt lat=' 1.5 ' lon='2'><g:extensions><g:time>never</g:time></g:extensions>\
            <g:hdop>1.2</g:hdop><g:time>\n 2026-05-04T10:00:00 <![CDATA[]]></g:time></g:trkpt>\
            </g:trkseg><g:trkseg/></g:trk></g:gpx>";
        let track = read(text).unwrap();
        let [only] = track.points.as_slice() else { panic!("{track:?}") };
        assert_eq!(only.at.to_string(), "2026-05-04T10:00:00Z", "GPX times are UTC");
        assert_eq!(
            (only.position.to_string().as_str(), only.accuracy_mm),
            ("1.5000000, 2.0000000", Some(6_000))
        );
    }
}
