//! Local time, as the planner asks for it.

use chrono::{DateTime, Days, LocalResult, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use endcheck_planner::visits::calendar::{Day, Instant, LocalTime};
use endcheck_protocol::time::Timestamp;

use super::roster::date_of;

/// The IANA zones, in minutes from an origin.
pub struct Zones {
    pub origin_at: Timestamp,
}

/// Longest gap of a clock that is looked over: a whole day was skipped where the date line moved.
const LONGEST_GAP_MIN: i64 = 26 * 60;

impl Zones {
    /// Minutes from the origin to an instant, begun minutes not counted.
    #[must_use]
    pub fn minute(&self, at: Timestamp) -> i32 {
        self.minutes_to(at.utc()).unwrap_or(if at < self.origin_at { i32::MIN / 4 } else { i32::MAX / 4 })
    }

    fn minutes_to(&self, at: DateTime<Utc>) -> Option<i32> {
        let seconds = (at - self.origin_at.utc()).num_seconds();
        i32::try_from(seconds.div_euclid(60)).ok().filter(|minute| minute.abs() < i32::MAX / 4)
    }
}

impl LocalTime for Zones {
    fn instant(&self, zone: &str, day: Day, minute: i32) -> Option<Instant> {
        let zone: Tz = zone.parse().ok()?;
        let date = date_of(day)?.checked_add_days(Days::new(u64::try_from(minute / 1_440).ok()?))?;
        let time =
            NaiveTime::from_num_seconds_from_midnight_opt(u32::try_from(minute % 1_440).ok()? * 60, 0)?;
        let local = NaiveDateTime::new(date, time);
        match zone.from_local_datetime(&local) {
            LocalResult::Single(at) => Some(Instant::Once(self.minutes_to(at.to_utc())?)),
            LocalResult::Ambiguous(first, second) => {
                Some(Instant::Twice(self.minutes_to(first.to_utc())?, self.minutes_to(second.to_utc())?))
            }
            LocalResult::None => {
                let after = (1..=LONGEST_GAP_MIN).find_map(|minutes| {
                    zone.from_local_datetime(&(local + TimeDelta::minutes(minutes))).earliest()
                })?;
                Some(Instant::Skipped(self.minutes_to(after.to_utc())?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::roster::day_number;

    #[test]
    fn clocks_that_are_set_are_told() {
        let origin_at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let zones = Zones { origin_at };
        let at = |date: &str, minute: i32| {
            let found = zones.instant("Europe/Berlin", day_number(date.parse().unwrap()), minute)?;
            let told = |minute: i32| origin_at.plus(TimeDelta::minutes(i64::from(minute))).to_string();
            Some(match found {
                Instant::Once(at) => format!("once {}", told(at)),
                Instant::Twice(first, second) => format!("twice {} {}", told(first), told(second)),
                Instant::Skipped(after) => format!("skipped {}", told(after)),
            })
        };
        let cases = [
            ("2026-02-01", 540, "once 2026-02-01T08:00:00Z"),
            ("2026-03-29", 150, "skipped 2026-03-29T01:00:00Z"),
            ("2026-10-25", 150, "twice 2026-10-25T00:30:00Z 2026-10-25T01:30:00Z"),
            ("2026-02-01", 1_440, "once 2026-02-01T23:00:00Z"),
        ];
        for (date, minute, expected) in cases {
            assert_eq!(at(date, minute).as_deref(), Some(expected));
        }
        assert_eq!(zones.instant("Mars/Olympus", 0, 0), None);
    }
}
