//! NMEA 0183 logs: the bytes of a receiver, turned into fixes, one for each of its epochs.
//!
//! Sentences of one epoch (the same time of day, one after the other) are put together: place from GGA or
//! GNS, else RMC, else GLL; date from ZDA, else RMC; accuracy from GST or GBS, else HDOP. When any of
//! them says that there is no fix, the epoch has none. Nothing is interpolated, repaired or guessed, and
//! every line that was refused is counted under its reason.

mod epoch;
mod sentence;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use self::epoch::Epochs;
use super::fix::Fix;
use crate::time::Timestamp;

/// What HDOP is multiplied by to estimate one sigma, in metres, when the receiver does not state its own
/// error: the usual user range error of an unaided receiver.
pub const RANGE_ERROR_M: f64 = 5.0;

/// What a log held.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NmeaReading {
    /// In the order of the log.
    pub fixes: Vec<NmeaFix>,
    /// Lines refused, or placed sentences discarded with their epoch, by reason.
    pub rejected: BTreeMap<Rejection, u64>,
    /// Sound sentences that add nothing here.
    pub unused: u64,
}

/// The fix of one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NmeaFix {
    pub fix: Fix,
    /// The instant by the satellites; absent when the log does not tell the date. Same as `fix.gnss_at`.
    pub at: Option<Timestamp>,
    /// Milliseconds since UTC midnight, which every epoch has.
    pub time_of_day_ms: i64,
    /// The first line of the epoch, counted from 1.
    pub line: u64,
}

/// Why a line gave no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rejection {
    /// No sentence in it.
    NotNmea,
    LineTooLong,
    NoChecksum,
    BadChecksum,
    /// A required field is missing or unreadable.
    Malformed,
    BadTime,
    BadDate,
    BadHemisphere,
    OutOfRange,
    /// The receiver itself says that it has no fix.
    NoFix,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotNmea => "not an NMEA sentence",
            Self::LineTooLong => "line too long",
            Self::NoChecksum => "checksum missing",
            Self::BadChecksum => "checksum wrong",
            Self::Malformed => "field missing or unreadable",
            Self::BadTime => "impossible time of day",
            Self::BadDate => "impossible date",
            Self::BadHemisphere => "hemisphere missing or unknown",
            Self::OutOfRange => "position off the globe",
            Self::NoFix => "the receiver had no fix",
        })
    }
}

impl NmeaReading {
    /// The last fix of the log.
    #[must_use]
    pub fn last(&self) -> Option<&NmeaFix> {
        self.fixes.last()
    }

    fn reject(&mut self, reason: Rejection) {
        *self.rejected.entry(reason).or_default() += 1;
    }
}

/// Reads a whole log. Lines end with LF, CR or both; empty lines and `#` comments are skipped.
#[must_use]
pub fn read(log: &[u8]) -> NmeaReading {
    let mut reading = NmeaReading::default();
    let mut epochs = Epochs::default();
    let mut line_number = 0;
    for line in log.split(|byte| *byte == b'\n') {
        line_number += 1;
        for piece in line.split(|byte| *byte == b'\r') {
            if piece.iter().all(u8::is_ascii_whitespace) || piece.starts_with(b"#") {
                continue;
            }
            match sentence::read(piece) {
                Ok(sentence) => epochs.add(sentence, line_number, &mut reading),
                Err(reason) => reading.reject(reason),
            }
        }
    }
    epochs.end(&mut reading);
    reading
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::fix::Mock;

    /// Adds the checksums.
    fn log(bodies: &[&str]) -> Vec<u8> {
        let line = |body: &&str| format!("${body}*{:02X}\r\n", body.bytes().fold(0, |sum, byte| sum ^ byte));
        bodies.iter().map(line).collect::<String>().into_bytes()
    }

    fn instants(reading: &NmeaReading) -> Vec<String> {
        let shown = |fix: &NmeaFix| fix.at.map_or("-".to_owned(), |at| at.to_string());
        reading.fixes.iter().map(shown).collect()
    }

    const GGA: &str = "GPGGA,101112.00,4812.5000,N,01622.2000,E,1,07,1.2,170.0,M,44.5,M,,";
    const RMC: &str = "GPRMC,101112.00,A,4812.5000,N,01622.2000,E,0.1,90.0,040526,,,A";

    #[test]
    fn sentences_of_one_epoch_make_one_fix() {
        let gsa = "GPGSA,A,3,29,12,30,23,04,31,16,,,,,,2.2,1.2,1.9";
        let gst = "GPGST,101112.00,,,,,3.0,4.0,9.0";
        let reading = read(&log(&[GGA, gsa, RMC, gst]));
        assert!(reading.rejected.is_empty());
        let [only] = reading.fixes.as_slice() else { panic!("{reading:?}") };
        assert_eq!(only.fix.position.to_string(), "48.2083333, 16.3700000");
        assert_eq!((only.fix.accuracy_mm, only.fix.altitude_mm), (Some(5_000), Some(214_500)));
        assert_eq!((only.fix.satellites, only.fix.mock), (Some(7), Mock::Unknown));
        assert_eq!(only.fix.gnss_at.unwrap().to_string(), "2026-05-04T10:11:12Z");
        assert_eq!((only.line, only.at), (1, only.fix.gnss_at));
        // Without GST the dilution has to do; without a date there is no instant.
        let reading = read(&log(&[GGA]));
        assert_eq!(reading.fixes[0].fix.accuracy_mm, Some(6_000));
        assert_eq!((reading.fixes[0].at, reading.fixes[0].time_of_day_ms), (None, 36_672_000));
    }

    #[test]
    fn a_date_is_carried_forward_but_never_over_midnight_or_a_gap() {
        let rmc = |time: &str| format!("GPRMC,{time},A,4812.5,N,01622.2,E,,,311226,,,A");
        let gll = |time: &str| format!("GPGLL,4812.5,N,01622.2,E,{time},A,A");
        let zda = |time: &str| format!("GPZDA,{time},01,01,2027,00,00");
        for (bodies, expected) in [
            (vec![rmc("235958"), gll("235959")], vec!["2026-12-31T23:59:58Z", "2026-12-31T23:59:59Z"]),
            (vec![rmc("235958"), gll("000000")], vec!["2026-12-31T23:59:58Z", "-"]),
            (vec![rmc("100000"), gll("100101")], vec!["2026-12-31T10:00:00Z", "-"]),
            (
                vec![gll("000001"), zda("000001"), gll("000002")],
                vec!["2027-01-01T00:00:01Z", "2027-01-01T00:00:02Z"],
            ),
            (vec![gll("100000"), rmc("100001")], vec!["-", "2026-12-31T10:00:01Z"]),
            // A leap second belongs to the day that it ends.
            (vec![rmc("235960")], vec!["2027-01-01T00:00:00Z"]),
        ] {
            let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
            assert_eq!(instants(&read(&log(&bodies))), expected, "{bodies:?}");
        }
    }

    #[test]
    fn one_sentence_without_a_fix_voids_its_epoch() {
        let void = "GPRMC,101112.00,V,4812.5000,N,01622.2000,E,0.1,90.0,040526,,,N";
        let searching = "GPGSA,A,1,,,,,,,,,,,,,,,";
        let three = "GLGSA,A,3,70,,,,,,,,,,,,2.2,1.2,1.9";
        for (bodies, fixes, voids) in [
            (vec![GGA, void], 0, 2),
            (vec![void, GGA], 0, 2),
            (vec![RMC, searching], 0, 1),
            (vec![RMC, searching, three], 1, 0),
            (vec!["GPGGA,101112.00,,,,,0,00,,,M,,M,,"], 0, 1),
        ] {
            let reading = read(&log(&bodies));
            let counted = reading.rejected.get(&Rejection::NoFix).copied().unwrap_or_default();
            assert_eq!((reading.fixes.len(), counted), (fixes, voids), "{bodies:?}");
        }
    }

    #[test]
    fn simulators_are_marked() {
        for body in [
            "GPRMC,101112.00,A,4812.5000,N,01622.2000,E,0.1,90.0,040526,,,S",
            "GPGGA,101112.00,4812.5000,N,01622.2000,E,8,07,1.2,170.0,M,44.5,M,,",
            "GNGNS,101112.00,4812.5000,N,01622.2000,E,MN,07,1.2,170.0,44.5,,",
        ] {
            assert_eq!(read(&log(&[body])).fixes[0].fix.mock, Mock::Yes, "{body}");
        }
    }
}
