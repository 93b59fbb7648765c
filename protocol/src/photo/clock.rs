//! The two times in a photo: the camera's, local and kept as written, and the satellites', UTC.
//! The camera's time is kept as written; [`instant_of`] reads it as an instant for those who compare.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _};
use chrono_tz::Tz;

use super::position::Ratio;
use crate::time::Timestamp;

/// What the file says of the capture time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Taken {
    Missing,
    Blank,
    Invalid,
    /// ISO 8601, with subseconds and offset only where the file has them.
    At(String),
}

/// Civil time is between UTC−12 and UTC+14.
const WESTMOST_HOURS: i64 = -12;
const EASTMOST_HOURS: i64 = 14;
/// How far two honest clocks may stand apart: a fix may be some minutes old.
const SLACK_HOURS: i64 = 1;

/// From DateTimeOriginal, SubSecTimeOriginal and OffsetTimeOriginal.
pub(super) fn taken(written: Option<&[u8]>, subseconds: Option<&[u8]>, offset: Option<&[u8]>) -> Taken {
    let Some(written) = written.map(<[u8]>::trim_ascii) else { return Taken::Missing };
    if !written.iter().any(|byte| matches!(byte, b'1'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')) {
        return Taken::Blank;
    }
    let Some((head, tail)) = written.split_at_checked(19) else { return Taken::Invalid };
    let Some(moment) = moment(head) else { return Taken::Invalid };
    let mut text = moment.format("%Y-%m-%dT%H:%M:%S").to_string();
    // A few phones write the subseconds and even the offset behind the seconds.
    let (fraction, tail) = match tail.strip_prefix(b".") {
        None => (None, tail),
        Some(rest) => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            rest.split_at_checked(digits).map_or((None, rest), |(digits, rest)| (Some(digits), rest))
        }
    };
    if let Some(digits) = fraction.and_then(digits).or_else(|| subseconds.and_then(digits)) {
        text.push('.');
        text.push_str(digits);
    }
    if let Some(offset) = utc_offset(tail).or_else(|| offset.and_then(utc_offset)) {
        text.push_str(offset);
    }
    Taken::At(text)
}

fn moment(head: &[u8]) -> Option<NaiveDateTime> {
    let separators = [4, 7, 13, 16];
    let joined = separators.iter().all(|at| matches!(head.get(*at), Some(b':' | b'-' | b'/' | b'.')));
    if !joined || !matches!(head.get(10), Some(b' ' | b'T' | b':')) {
        return None;
    }
    let number = |from: usize, to: usize| decimal(head.get(from..to)?);
    NaiveDate::from_ymd_opt(i32::try_from(number(0, 4)?).ok()?, number(5, 7)?, number(8, 10)?)?.and_hms_opt(
        number(11, 13)?,
        number(14, 16)?,
        number(17, 19)?,
    )
}

fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 9 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn digits(bytes: &[u8]) -> Option<&str> {
    let bytes = bytes.trim_ascii();
    decimal(bytes).and(std::str::from_utf8(bytes).ok())
}

fn utc_offset(bytes: &[u8]) -> Option<&str> {
    let bytes = bytes.trim_ascii();
    let well_formed = match bytes {
        b"Z" => true,
        &[b'+' | b'-', h1, h2, b':', m1, m2] => {
            decimal(&[h1, h2]).is_some_and(|hours| hours <= 14)
                && decimal(&[m1, m2]).is_some_and(|minutes| minutes < 60)
        }
        _ => false,
    };
    well_formed.then(|| std::str::from_utf8(bytes).ok()).flatten()
}

/// GPSDateStamp and GPSTimeStamp as an instant. `Ok(None)` where one is absent or blank; `Err` where both
/// are there and no calendar holds them.
pub(super) fn gps_time(date: Option<&[u8]>, time: &[Ratio]) -> Result<Option<Timestamp>, ()> {
    let Some(date) =
        date.map(<[u8]>::trim_ascii).filter(|date| date.iter().any(|byte| matches!(byte, b'1'..=b'9')))
    else {
        return Ok(None);
    };
    let &[hours, minutes, seconds] = time else {
        return if time.is_empty() { Ok(None) } else { Err(()) };
    };
    if [hours, minutes, seconds].iter().all(|(_, denominator)| *denominator == 0) {
        return Ok(None);
    }
    instant(date, hours, minutes, seconds).map(Some).ok_or(())
}

fn instant(date: &[u8], hours: Ratio, minutes: Ratio, seconds: Ratio) -> Option<Timestamp> {
    let number = |from: usize, to: usize| decimal(date.get(from..to)?);
    if date.len() != 10 || date.get(4) != date.get(7) {
        return None;
    }
    let day = NaiveDate::from_ymd_opt(i32::try_from(number(0, 4)?).ok()?, number(5, 7)?, number(8, 10)?)?;
    let micros = |(numerator, denominator): Ratio, unit_seconds: i64, limit: i64| {
        let inside = denominator > 0 && numerator >= 0 && numerator < limit * denominator;
        let micros =
            i128::from(numerator) * i128::from(unit_seconds) * 1_000_000 / i128::from(denominator.max(1));
        if inside { i64::try_from(micros).ok() } else { None }
    };
    // Second 60 is a leap second.
    let since_midnight = micros(hours, 3600, 24)? + micros(minutes, 60, 60)? + micros(seconds, 1, 61)?;
    let start = day.and_time(NaiveTime::MIN).and_utc();
    Some(Timestamp::from(start.checked_add_signed(TimeDelta::microseconds(since_midnight))?))
}

/// The earliest and latest instant that a `taken_at` text can mean.
fn bounds(taken_at: &str) -> Option<(Timestamp, Timestamp)> {
    let local = moment(taken_at.as_bytes().get(..19)?)?.and_utc();
    let at = |hours_east: i64, minutes_east: i64| {
        Some(Timestamp::from(local.checked_sub_signed(TimeDelta::minutes(hours_east * 60 + minutes_east))?))
    };
    if taken_at.ends_with('Z') {
        return Some((at(0, 0)?, at(0, 0)?));
    }
    let offset = taken_at.len().checked_sub(6).and_then(|from| taken_at.get(from..)).and_then(|text| {
        let sign = match text.as_bytes() {
            [b'+', _, _, b':', ..] => 1,
            [b'-', _, _, b':', ..] => -1,
            _ => return None,
        };
        let hours = decimal(text.as_bytes().get(1..3)?)?;
        let minutes = decimal(text.as_bytes().get(4..6)?)?;
        Some((sign * i64::from(hours), sign * i64::from(minutes)))
    });
    match offset {
        Some((hours, minutes)) => Some((at(hours, minutes)?, at(hours, minutes)?)),
        None => Some((at(EASTMOST_HOURS, 0)?, at(WESTMOST_HOURS, 0)?)),
    }
}

/// The instant that a `taken_at` text means: by its own offset, or else read in `zone`. With the instant,
/// whether the offset was written. Of a local time that a change of clocks makes twice, the first.
pub(super) fn instant_of(taken_at: &str, zone: Option<Tz>) -> Option<(Timestamp, bool)> {
    let (earliest, latest) = bounds(taken_at)?;
    let fraction = taken_at.get(19..).and_then(|tail| tail.strip_prefix('.')).map_or(0, micros_of);
    let exact = |at: Timestamp| at.plus(TimeDelta::microseconds(fraction));
    if earliest == latest {
        return Some((exact(earliest), true));
    }
    let local = moment(taken_at.as_bytes().get(..19)?)?;
    let at = zone?.from_local_datetime(&local).earliest()?;
    Some((exact(Timestamp::from(at.to_utc())), false))
}

/// The microseconds of the decimals that `tail` begins with.
fn micros_of(tail: &str) -> i64 {
    let digits = tail.bytes().take_while(u8::is_ascii_digit);
    digits.zip([100_000, 10_000, 1_000, 100, 10, 1]).map(|(digit, unit)| i64::from(digit - b'0') * unit).sum()
}

/// True where no time zone makes the two times agree.
pub(super) fn clocks_differ(taken_at: &str, gps_at: Timestamp) -> bool {
    let slack = TimeDelta::hours(SLACK_HOURS);
    bounds(taken_at)
        .is_some_and(|(earliest, latest)| gps_at < earliest.plus(-slack) || gps_at > latest.plus(slack))
}

/// True where the capture time lies after `now` in every time zone.
pub(super) fn is_future(taken_at: &str, now: Timestamp) -> bool {
    bounds(taken_at).is_some_and(|(earliest, _)| earliest > now.plus(TimeDelta::hours(SLACK_HOURS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_capture_time_stays_as_written() {
        let at = |text: &str| Taken::At(text.to_owned());
        type Row<'a> = (&'a [u8], Option<&'a [u8]>, Option<&'a [u8]>, Taken);
        let table: &[Row<'_>] = &[
            (b"2021:04:11 15:47:53", Some(b"054"), Some(b"-05:00"), at("2021-04-11T15:47:53.054-05:00")),
            (b"2021:04:11 15:47:53", None, None, at("2021-04-11T15:47:53")),
            (b"2008:05:30 15:56:01", Some(b"00 "), None, at("2008-05-30T15:56:01.00")),
            (b"2018:06:26 17:46:33.847", None, None, at("2018-06-26T17:46:33.847")),
            (b"2018:06:26 17:46:33+02:00", Some(b"x"), Some(b"   :  "), at("2018-06-26T17:46:33+02:00")),
            (b"    :  :     :  :  ", None, None, Taken::Blank),
            (b"0000:00:00 00:00:00", None, None, Taken::Blank),
            (b"", None, None, Taken::Blank),
            (b"2021:02:30 15:47:53", None, None, Taken::Invalid),
            (b"2021:02:03", None, None, Taken::Invalid),
            (b"yesterday, about noon", None, None, Taken::Invalid),
        ];
        for (written, subseconds, offset, expected) in table {
            assert_eq!(taken(Some(written), *subseconds, *offset), *expected, "{written:?}");
        }
        assert_eq!(taken(None, None, None), Taken::Missing);
    }

    #[test]
    fn the_satellite_time_is_whole_or_nothing() {
        let good = gps_time(Some(b"2011:07:15"), &[(9, 1), (14, 1), (39_500, 1000)]).unwrap().unwrap();
        assert_eq!(good.to_string(), "2011-07-15T09:14:39.500Z");
        assert_eq!(gps_time(Some(b"2011:07:15"), &[]), Ok(None));
        assert_eq!(gps_time(None, &[(9, 1), (14, 1), (39, 1)]), Ok(None));
        assert_eq!(gps_time(Some(b"2011:07:15"), &[(0, 0), (0, 0), (0, 0)]), Ok(None));
        assert_eq!(gps_time(Some(b"9999:99:99"), &[(99, 1), (99, 1), (99, 0)]), Err(()));
        assert_eq!(gps_time(Some(b"2011:07:15"), &[(24, 1), (0, 1), (0, 1)]), Err(()));
    }

    #[test]
    fn a_local_time_is_an_instant_by_its_offset_or_a_zone() {
        let vienna = Some(chrono_tz::Europe::Vienna);
        for (taken_at, zone, expected) in [
            ("2010-08-05T16:47:11+02:00", None, Some(("2010-08-05T14:47:11Z", true))),
            ("2010-08-05T16:47:11.25-05:30", vienna, Some(("2010-08-05T22:17:11.250Z", true))),
            ("2010-08-05T16:47:11Z", vienna, Some(("2010-08-05T16:47:11Z", true))),
            ("2010-08-05T16:47:11", vienna, Some(("2010-08-05T14:47:11Z", false))),
            ("2010-01-05T16:47:11.5", vienna, Some(("2010-01-05T15:47:11.500Z", false))),
            ("2010-08-05T16:47:11", None, None),
            // The hour that spring leaves out is no time of that zone.
            ("2010-03-28T02:30:00", vienna, None),
            ("2010-10-31T02:30:00", vienna, Some(("2010-10-31T00:30:00Z", false))),
            ("yesterday", vienna, None),
        ] {
            let expected = expected.map(|(at, written)| (at.parse().unwrap(), written));
            assert_eq!(instant_of(taken_at, zone), expected, "{taken_at}");
        }
    }

    #[test]
    fn clocks_are_compared_across_every_time_zone() {
        let gps = "2011-07-15T09:14:39Z".parse().unwrap();
        for (taken_at, differ) in [
            ("2011-07-15T11:14:39", false),
            ("2011-07-15T23:14:39", false),
            ("2011-07-16T01:14:39", true),
            ("2018-06-26T17:46:33.847", true),
            ("2011-07-15T11:14:39+02:00", false),
            ("2011-07-15T11:14:39-05:00", true),
            ("2011-07-15T09:14:39Z", false),
        ] {
            assert_eq!(clocks_differ(taken_at, gps), differ, "{taken_at}");
        }
        assert!(is_future("2011-07-16T01:14:39", gps));
        assert!(!is_future("2011-07-15T23:14:39", gps));
        assert!(is_future("2011-07-15T23:14:39+02:00", gps));
    }
}
