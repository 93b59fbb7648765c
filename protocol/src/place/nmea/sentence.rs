//! One line of an NMEA 0183 log: its frame, its checksum, and the few sentences that place a receiver.
//!
//! Every field is hostile. A sentence is taken whole or refused with one reason; nothing is repaired.

use chrono::NaiveDate;

use super::{RANGE_ERROR_M, Rejection};
use crate::place::fix::{self, Mock};
use crate::place::position::Position;

/// The standard allows 82 bytes; survey receivers write somewhat more.
pub(super) const LONGEST_BYTES: usize = 256;

/// Milliseconds since UTC midnight; a leap second gives 86 400 000 and more.
pub(super) type TimeOfDayMs = i64;

#[derive(Debug, PartialEq)]
pub(super) enum Sentence {
    Placed(Placed),
    /// The receiver says that it has no fix.
    Void {
        time: Option<TimeOfDayMs>,
    },
    /// GSA: belongs to the epoch under way, for it has no time of its own.
    Dilution {
        no_fix: bool,
        accuracy_mm: Option<i64>,
    },
    /// GST or GBS: the receiver's own one-sigma error.
    Error {
        time: TimeOfDayMs,
        accuracy_mm: Option<i64>,
    },
    /// ZDA: the date with all four digits of the year.
    Date {
        time: TimeOfDayMs,
        date: NaiveDate,
    },
    /// Sound, but of no use here.
    Other,
}

/// RMC, GGA, GNS or GLL with a valid fix.
#[derive(Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) time: TimeOfDayMs,
    pub(super) date: Option<NaiveDate>,
    pub(super) position: Position,
    /// From HDOP.
    pub(super) accuracy_mm: Option<i64>,
    pub(super) altitude_mm: Option<i64>,
    pub(super) satellites: Option<i64>,
    pub(super) mock: Mock,
    /// Which sentence speaks for an epoch that has several: the larger.
    pub(super) rank: u8,
}

/// The comma-separated fields; a missing one reads as empty, as NMEA means it.
struct Fields<'a>(Vec<&'a str>);

impl<'a> Fields<'a> {
    fn get(&self, index: usize) -> &'a str {
        self.0.get(index).copied().unwrap_or_default().trim()
    }

    fn number(&self, index: usize) -> Option<f64> {
        digits_and_point(self.get(index).strip_prefix('-').unwrap_or(self.get(index)))?;
        self.get(index).parse().ok()
    }
}

/// Reads one line, without its line end.
pub(super) fn read(line: &[u8]) -> Result<Sentence, Rejection> {
    let body = framed(line)?;
    let fields = Fields(body.split(',').collect());
    let address = fields.get(0);
    // Two letters of the talker, three of the sentence. Proprietary addresses begin with P.
    if address.len() != 5 || address.starts_with('P') || body.starts_with('!') {
        return Ok(Sentence::Other);
    }
    match address.get(2..).unwrap_or_default() {
        "RMC" => rmc(&fields),
        "GGA" => gga(&fields),
        "GNS" => gns(&fields),
        "GLL" => gll(&fields),
        "GSA" => Ok(Sentence::Dilution {
            no_fix: fields.get(2) == "1",
            accuracy_mm: from_dilution(fields.number(16)),
        }),
        "GST" => error(&fields, 6, 7),
        "GBS" => error(&fields, 2, 3),
        "ZDA" => zda(&fields),
        _ => Ok(Sentence::Other),
    }
}

/// The text between `$` and `*`, its checksum verified. Noise before the last `$` of a line is skipped:
/// receivers that also speak a binary protocol write it there.
fn framed(line: &[u8]) -> Result<&str, Rejection> {
    let start = line.iter().rposition(|byte| matches!(byte, b'$' | b'!')).ok_or(Rejection::NotNmea)?;
    let encapsulated = line.get(start) == Some(&b'!');
    let sentence = line.get(start + 1..).unwrap_or_default();
    if sentence.len() > LONGEST_BYTES {
        return Err(Rejection::LineTooLong);
    }
    let Some(star) = sentence.iter().rposition(|byte| *byte == b'*') else {
        let printable = sentence.iter().all(|byte| matches!(byte, b' '..=b'~'));
        return Err(if printable { Rejection::NoChecksum } else { Rejection::NotNmea });
    };
    let (body, stated) =
        (sentence.get(..star).unwrap_or_default(), sentence.get(star + 1..).unwrap_or_default());
    let body =
        std::str::from_utf8(body).ok().filter(|body| body.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    let body = body.ok_or(Rejection::NotNmea)?;
    let stated = std::str::from_utf8(stated).unwrap_or_default().trim();
    let hexadecimal = stated.len() == 2 && stated.bytes().all(|digit| digit.is_ascii_hexdigit());
    let stated = u8::from_str_radix(stated, 16).ok().filter(|_| hexadecimal);
    if stated != Some(body.bytes().fold(0, |sum, byte| sum ^ byte)) {
        return Err(Rejection::BadChecksum);
    }
    // AIS and its like: sound, but never a sentence of ours.
    Ok(if encapsulated { "!" } else { body })
}

fn rmc(fields: &Fields<'_>) -> Result<Sentence, Rejection> {
    let mode = fields.get(12);
    match fields.get(2) {
        "V" => return void(fields.get(1)),
        "A" if mode == "N" => return void(fields.get(1)),
        "A" => {}
        _ => return Err(Rejection::Malformed),
    }
    let time = time_of_day(fields.get(1))?;
    let date = match fields.get(9) {
        "" => None,
        text => Some(short_date(text)?),
    };
    Ok(Sentence::Placed(Placed { date, mock: mock(mode), ..placed(fields, 3, time, 2)? }))
}

fn gga(fields: &Fields<'_>) -> Result<Sentence, Rejection> {
    let simulated = match fields.get(6) {
        "" | "0" => return void(fields.get(1)),
        "7" | "8" => true,
        "1" | "2" | "3" | "4" | "5" | "6" | "9" => false,
        _ => return Err(Rejection::Malformed),
    };
    let time = time_of_day(fields.get(1))?;
    Ok(Sentence::Placed(Placed {
        accuracy_mm: from_dilution(fields.number(8)),
        altitude_mm: above_ellipsoid_mm(fields.number(9), fields.number(11)),
        satellites: satellites(fields.get(7)),
        mock: if simulated { Mock::Yes } else { Mock::Unknown },
        ..placed(fields, 2, time, 3)?
    }))
}

fn gns(fields: &Fields<'_>) -> Result<Sentence, Rejection> {
    let modes = fields.get(6);
    if modes.bytes().all(|mode| mode == b'N') {
        return void(fields.get(1));
    }
    let time = time_of_day(fields.get(1))?;
    Ok(Sentence::Placed(Placed {
        accuracy_mm: from_dilution(fields.number(8)),
        altitude_mm: above_ellipsoid_mm(fields.number(9), fields.number(10)),
        satellites: satellites(fields.get(7)),
        mock: mock(modes),
        ..placed(fields, 2, time, 3)?
    }))
}

fn gll(fields: &Fields<'_>) -> Result<Sentence, Rejection> {
    match (fields.get(6), fields.get(7)) {
        ("V", _) | ("A", "N") => void(fields.get(5)),
        ("A", mode) => {
            let time = time_of_day(fields.get(5))?;
            Ok(Sentence::Placed(Placed { mock: mock(mode), ..placed(fields, 1, time, 1)? }))
        }
        _ => Err(Rejection::Malformed),
    }
}

fn error(fields: &Fields<'_>, lat: usize, lon: usize) -> Result<Sentence, Rejection> {
    let horizontal_m = fields.number(lat).zip(fields.number(lon)).map(|(lat, lon)| lat.hypot(lon));
    Ok(Sentence::Error {
        time: time_of_day(fields.get(1))?,
        accuracy_mm: horizontal_m.and_then(fix::accuracy_mm),
    })
}

fn zda(fields: &Fields<'_>) -> Result<Sentence, Rejection> {
    let part = |index| small_number(fields.get(index)).ok_or(Rejection::BadDate);
    let (day, month, year) = (part(2)?, part(3)?, part(4)?);
    let year = i32::try_from(year).map_err(|_| Rejection::BadDate)?;
    let date = NaiveDate::from_ymd_opt(year, month, day).filter(|_| (1980..=2200).contains(&year));
    Ok(Sentence::Date { time: time_of_day(fields.get(1))?, date: date.ok_or(Rejection::BadDate)? })
}

fn void(time: &str) -> Result<Sentence, Rejection> {
    Ok(Sentence::Void { time: time_of_day(time).ok() })
}

/// Latitude, its hemisphere, longitude and its hemisphere from four fields on.
fn placed(fields: &Fields<'_>, first: usize, time: TimeOfDayMs, rank: u8) -> Result<Placed, Rejection> {
    let lat = degrees(fields.get(first), fields.get(first + 1), "N", "S")?;
    let lon = degrees(fields.get(first + 2), fields.get(first + 3), "E", "W")?;
    let position = Position::from_degrees(lat, lon).map_err(|_| Rejection::OutOfRange)?;
    Ok(Placed {
        time,
        date: None,
        position,
        accuracy_mm: None,
        altitude_mm: None,
        satellites: None,
        mock: Mock::Unknown,
        rank,
    })
}

/// `dddmm.mmmm` and a hemisphere, in degrees.
fn degrees(text: &str, hemisphere: &str, positive: &str, negative: &str) -> Result<f64, Rejection> {
    let sign = match hemisphere {
        _ if text.is_empty() => return Err(Rejection::Malformed),
        letter if letter == positive => 1.0,
        letter if letter == negative => -1.0,
        _ => return Err(Rejection::BadHemisphere),
    };
    digits_and_point(text).ok_or(Rejection::Malformed)?;
    let value: f64 = text.parse().map_err(|_| Rejection::Malformed)?;
    let whole_degrees = (value / 100.0).trunc();
    let minutes = value - whole_degrees * 100.0;
    if minutes >= 60.0 {
        return Err(Rejection::OutOfRange);
    }
    Ok(sign * (whole_degrees + minutes / 60.0))
}

/// `hhmmss` or `hhmmss.sss`.
fn time_of_day(text: &str) -> Result<TimeOfDayMs, Rejection> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let [hours, minutes, seconds] = pairs(clock).ok_or(Rejection::BadTime)?;
    let leap = hours == 23 && minutes == 59 && seconds == 60;
    if hours > 23 || minutes > 59 || (seconds > 59 && !leap) || fraction.len() > 9 {
        return Err(Rejection::BadTime);
    }
    let fraction_ms = match fraction {
        "" => 0,
        digits => {
            let milliseconds: String = digits.chars().chain("000".chars()).take(3).collect();
            let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
            small_number(&milliseconds).filter(|_| all_digits).ok_or(Rejection::BadTime)?
        }
    };
    Ok(i64::from((hours * 60 + minutes) * 60 + seconds) * 1000 + i64::from(fraction_ms))
}

/// `ddmmyy`. No satellite gave a date before 1980, so 80 to 99 are of the last century; all others of
/// this one. A receiver whose week counter has rolled over is quoted as it spoke.
fn short_date(text: &str) -> Result<NaiveDate, Rejection> {
    let [day, month, year] = pairs(text).ok_or(Rejection::BadDate)?;
    let year = if year >= 80 { 1900 + year } else { 2000 + year };
    i32::try_from(year)
        .ok()
        .and_then(|year| NaiveDate::from_ymd_opt(year, month, day))
        .ok_or(Rejection::BadDate)
}

/// Six digits as three numbers.
fn pairs(text: &str) -> Option<[u32; 3]> {
    let pair = |from: usize| small_number(text.get(from..from + 2)?);
    if text.len() == 6 { Some([pair(0)?, pair(2)?, pair(4)?]) } else { None }
}

fn small_number(text: &str) -> Option<u32> {
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn digits_and_point(text: &str) -> Option<()> {
    let points = text.bytes().filter(|byte| *byte == b'.').count();
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    (points <= 1 && digits > 0 && points + digits == text.len()).then_some(())
}

fn satellites(text: &str) -> Option<i64> {
    small_number(text).map(i64::from)
}

/// Modes S (simulator) and M (typed in) of the sentence, in any of a GNS sentence's systems.
fn mock(modes: &str) -> Mock {
    if modes.contains(['S', 'M']) { Mock::Yes } else { Mock::Unknown }
}

fn from_dilution(hdop: Option<f64>) -> Option<i64> {
    fix::accuracy_mm(hdop.filter(|hdop| *hdop <= 100.0)? * RANGE_ERROR_M)
}

/// Height above the geoid plus the geoid's height; without the latter the height above the ellipsoid is
/// not known.
fn above_ellipsoid_mm(above_geoid_m: Option<f64>, geoid_m: Option<f64>) -> Option<i64> {
    fix::millimetres(above_geoid_m? + geoid_m?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_and_calendars_are_read_exactly_or_refused() {
        assert_eq!(time_of_day("101112.5"), Ok(36_672_500));
        assert_eq!(time_of_day("235960"), Ok(86_400_000));
        for bad in ["", "1011", "251161.00", "10111x", "101260", "101112.x", "+10112", "101112.0000000001"] {
            assert_eq!(time_of_day(bad), Err(Rejection::BadTime), "{bad}");
        }
        let day = |text| short_date(text).map(|date| date.to_string());
        assert_eq!(day("040526"), Ok("2026-05-04".to_owned()));
        assert_eq!(day("060180"), Ok("1980-01-06".to_owned()));
        assert_eq!(day("311279"), Ok("2079-12-31".to_owned()));
        for bad in ["320526", "290223", "0405", "04O526"] {
            assert_eq!(day(bad), Err(Rejection::BadDate), "{bad}");
        }
    }

    #[test]
    fn angles_are_read_exactly_or_refused() {
        assert!((degrees("4812.5000", "N", "N", "S").unwrap() - 48.208_333_333).abs() < 1e-9);
        assert!((degrees("0734.0447003", "W", "E", "W").unwrap() + 7.567_411_671).abs() < 1e-8);
        for (text, letter, reason) in [
            ("", "", Rejection::Malformed),
            ("4812.5", "X", Rejection::BadHemisphere),
            ("4812.5", "", Rejection::BadHemisphere),
            ("4860.0", "N", Rejection::OutOfRange),
            ("-4812.5", "N", Rejection::Malformed),
            ("48.12.5", "N", Rejection::Malformed),
            ("inf", "N", Rejection::Malformed),
        ] {
            assert_eq!(degrees(text, letter, "N", "S"), Err(reason), "{text}");
        }
    }

    #[test]
    fn a_frame_needs_its_checksum() {
        for (line, expected) in [
            ("$GPGLL,5155.55442,N,00434.65873,E,083723.00,A,A*6E", None),
            ("\x1b\x07noise$GPGLL,5155.55442,N,00434.65873,E,083723.00,A,A*6e ", None),
            ("$GPGLL,5155.55442,N,00434.65873,E,083723.00,A,A*6F", Some(Rejection::BadChecksum)),
            ("$GPGLL,5155.55442,N,00434.65873,E,083723.00,A,A*+6E", Some(Rejection::BadChecksum)),
            ("$GPGLL,5155.55442,N,00434.65873,E,083723.00,A,A", Some(Rejection::NoChecksum)),
            ("GPGLL,5155.55442,N", Some(Rejection::NotNmea)),
            ("$\x01\x02", Some(Rejection::NotNmea)),
        ] {
            assert_eq!(read(line.as_bytes()).err(), expected, "{line}");
        }
        let long = format!("$GPRMC,{}", "9".repeat(5000));
        assert_eq!(read(long.as_bytes()), Err(Rejection::LineTooLong));
        assert_eq!(read(b"!AIVDM,1,1,,B,402E3:0000HttPGEahN7pi700p6T,0*09"), Ok(Sentence::Other));
    }
}
