//! Windows in the site's own time: what the wall clock there says, turned into instants.

use chrono::{Datelike as _, LocalResult, NaiveDateTime, TimeZone as _, Timelike as _};
use chrono_tz::Tz;
use endcheck_protocol::problem::FieldProblem;
use endcheck_protocol::time::Timestamp;

/// A visit's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub start_at: Timestamp,
    pub end_at: Timestamp,
}

/// The longest window, in days.
const MAX_DAYS: i64 = 60;
/// The years in which a visit may be planned; any other is a slip of the hand.
const YEARS: std::ops::RangeInclusive<i32> = 2000..=2199;

/// Reads a window given as local times such as `2026-11-23T08:30` in an IANA zone.
///
/// An hour that the clock shows twice counts from its first start to its second end; an hour that
/// the clock skips is refused.
///
/// # Errors
/// Names each field that is wrong.
pub fn read(start: &str, end: &str, time_zone: &str) -> Result<Window, Vec<FieldProblem>> {
    let Ok(zone) = time_zone.parse::<Tz>() else {
        return Err(vec![problem("time_zone", format!("{time_zone:?} is not an IANA time zone"))]);
    };
    let start = local(start, zone).map(|found| found.0).map_err(|reason| problem("window_start", reason));
    let end = local(end, zone).map(|found| found.1).map_err(|reason| problem("window_end", reason));
    let (start_at, end_at) = match (start, end) {
        (Ok(start_at), Ok(end_at)) => (start_at, end_at),
        (start, end) => return Err(start.err().into_iter().chain(end.err()).collect()),
    };
    let length = end_at.since(start_at);
    if length <= chrono::TimeDelta::zero() {
        return Err(vec![problem("window_end", "must be after window_start".to_owned())]);
    }
    if length.num_days() > MAX_DAYS {
        return Err(vec![problem("window_end", format!("a window may last {MAX_DAYS} days"))]);
    }
    Ok(Window { start_at, end_at })
}

/// The first and the last instant at which the clock shows this.
fn local(text: &str, zone: Tz) -> Result<(Timestamp, Timestamp), String> {
    let naive = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .ok_or_else(|| format!("{text:?} is not a local time such as 2026-11-23T08:30"))?;
    if !YEARS.contains(&naive.year()) {
        return Err(format!(
            "{text:?} is in the year {}; write a year from {} to {} in four digits",
            naive.year(),
            YEARS.start(),
            YEARS.end()
        ));
    }
    if naive.nanosecond() >= 1_000_000_000 {
        return Err(format!("{text:?} has a second 60; the last second of a minute is 59"));
    }
    match zone.from_local_datetime(&naive) {
        LocalResult::Single(at) => Ok((at.to_utc().into(), at.to_utc().into())),
        LocalResult::Ambiguous(first, second) => Ok((first.to_utc().into(), second.to_utc().into())),
        LocalResult::None => Err(format!("the clocks in {zone} skip {text}; choose another time")),
    }
}

fn problem(field: &str, reason: String) -> FieldProblem {
    FieldProblem { line: None, field: field.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_by_the_clock_on_the_site_s_wall() {
        let cases = [
            (
                "2026-11-23T08:30",
                "2026-11-23T12:00",
                "Europe/Berlin",
                "2026-11-23T07:30:00Z",
                "2026-11-23T11:00:00Z",
            ),
            (
                "2026-07-01T08:30",
                "2026-07-01T12:00",
                "Europe/Berlin",
                "2026-07-01T06:30:00Z",
                "2026-07-01T10:00:00Z",
            ),
            (
                "2026-11-23T08:30",
                "2026-11-23T12:00",
                "Asia/Kathmandu",
                "2026-11-23T02:45:00Z",
                "2026-11-23T06:15:00Z",
            ),
            // 02:30 is shown twice on 25 October 2026.
            (
                "2026-10-25T02:30",
                "2026-10-25T02:30",
                "Europe/Berlin",
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:30:00Z",
            ),
        ];
        for (start, end, zone, start_at, end_at) in cases {
            let window = read(start, end, zone).unwrap();
            assert_eq!(
                (window.start_at.to_string(), window.end_at.to_string()),
                (start_at.into(), end_at.into())
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("2026-03-29T02:30", "2026-03-29T05:00", "Europe/Berlin", "window_start", "skip"),
            ("tomorrow", "2026-03-29T05:00", "Europe/Berlin", "window_start", "not a local time"),
            ("2026-03-29T06:00", "2026-03-29T05:00", "Europe/Berlin", "window_end", "after"),
            ("2026-03-29T06:00", "2026-09-29T05:00", "Europe/Berlin", "window_end", "days"),
            ("+262142-01-01T00:00", "+262142-01-02T00:00", "UTC", "window_start", "four digits"),
            ("-0001-01-01T00:00", "-0001-01-02T00:00", "UTC", "window_start", "four digits"),
            ("26-03-29T06:00", "26-03-29T07:00", "UTC", "window_start", "four digits"),
            ("2026-03-29T06:00", "2026-03-29T06:59:60", "UTC", "window_end", "second 60"),
            ("2026-03-29T06:00", "2026-03-29T07:00", "Mars/Olympus", "time_zone", "IANA"),
        ];
        for (start, end, zone, field, reason) in cases {
            let problems = read(start, end, zone).unwrap_err();
            assert_eq!(problems[0].field, field);
            assert!(problems[0].reason.contains(reason), "{problems:?}");
        }
    }
}
