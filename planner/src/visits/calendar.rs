//! Working days and opening hours, from calendars as people keep them: hours of a week, holidays and leave, in local
//! time. What local time is, the caller says ([`LocalTime`]); this module only asks.

use super::InspectorDay;
use std::collections::BTreeSet;

/// A day by the calendar, counted from 1970-01-01, a Thursday.
pub type Day = i32;

/// When a local time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instant {
    /// Once, in minutes from the origin of the plan.
    Once(i32),
    /// Twice, as the clock is set back.
    Twice(i32, i32),
    /// Never, as the clock is set forward: the first instant after the gap.
    Skipped(i32),
}

/// Knows zones.
pub trait LocalTime {
    /// The instant of a minute of a day in a zone, the minute from 0 to 1,440; `None` where there is no such zone or day.
    fn instant(&self, zone: &str, day: Day, minute: i32) -> Option<Instant>;
}

/// The hours of a week in a zone, with the days on which they do not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Week {
    /// An IANA name.
    pub zone: String,
    /// From Monday on: spans of minutes of the day, in order; none on a weekend, whichever days that is.
    pub hours: [Vec<(i32, i32)>; 7],
    /// Holidays, and whatever else is off.
    pub off: BTreeSet<Day>,
}

/// An inspector's calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// Hours of work, and holidays of the country they work in.
    pub week: Week,
    /// First and last days of leave.
    pub leave: Vec<(Day, Day)>,
    /// Where days start and end.
    pub base: u32,
    /// Nights elsewhere: the day before, and where.
    pub nights: Vec<(Day, u32)>,
    /// The longest duty of a day.
    pub most_duty_min: i32,
    /// The longest time without a break.
    pub most_without_break_min: i32,
    /// How long a break is.
    pub break_min: i32,
}

/// What is wrong with a calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CalendarFault {
    /// No such zone, or a day that it does not know.
    Zone { zone: String, day: Day },
    /// Hours that are not in order within a day.
    Hours { weekday: usize },
}

impl std::fmt::Display for CalendarFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Zone { zone, day } => {
                write!(f, "zone {zone:?} is not known, or not on day {day} after 1970-01-01")
            }
            Self::Hours { weekday } => {
                write!(
                    f,
                    "hours of weekday {weekday} (Monday is 0) must be in order, apart, and from 0 to 1,440"
                )
            }
        }
    }
}

impl std::error::Error for CalendarFault {}

/// The spans of a week's hours from a day to another, the last included, in minutes from the origin.
///
/// A span that starts in a gap of the clock starts after it; one that starts when the clock shows the same time twice
/// starts the first time and ends the second. A span that a gap swallows whole is left out.
///
/// # Errors
///
/// What is wrong with the calendar.
pub fn spans(
    week: &Week,
    first: Day,
    last: Day,
    time: &impl LocalTime,
) -> Result<Vec<(i32, i32)>, CalendarFault> {
    let mut spans: Vec<(i32, i32)> = Vec::new();
    for (weekday, hours) in week.hours.iter().enumerate() {
        let within = hours.iter().all(|(from, to)| 0 <= *from && from < to && *to <= 1_440);
        let apart = hours.windows(2).all(|pair| matches!(pair, [(_, end), (start, _)] if end <= start));
        if !within || !apart {
            return Err(CalendarFault::Hours { weekday });
        }
    }
    for day in (first..=last).filter(|day| !week.off.contains(day)) {
        let weekday = (day + 3).rem_euclid(7) as usize;
        for (from, to) in week.hours.get(weekday).into_iter().flatten() {
            let instant = |minute: i32| {
                let fault = || CalendarFault::Zone { zone: week.zone.clone(), day };
                time.instant(&week.zone, day, minute).ok_or_else(fault)
            };
            let from = match instant(*from)? {
                Instant::Once(at) | Instant::Twice(at, _) | Instant::Skipped(at) => at,
            };
            let to = match instant(*to)? {
                Instant::Once(at) | Instant::Twice(_, at) | Instant::Skipped(at) => at,
            };
            match spans.last_mut() {
                // Night hours that go on past midnight, written as two days.
                Some((_, end)) if *end >= from => *end = to.max(*end),
                _ if from < to => spans.push((from, to)),
                _ => {}
            }
        }
    }
    Ok(spans)
}

/// The days of an inspector from a day to another, the last included.
///
/// # Errors
///
/// What is wrong with the calendar.
pub fn inspector_days(
    calendar: &Calendar,
    inspector: u32,
    (first, last): (Day, Day),
    time: &impl LocalTime,
) -> Result<Vec<InspectorDay>, CalendarFault> {
    let mut days = Vec::new();
    let slept = |day: Day| {
        let night = calendar.nights.iter().find(|(before, _)| *before == day);
        night.map_or(calendar.base, |(_, place)| *place)
    };
    for day in first..=last {
        if calendar.leave.iter().any(|(from, to)| (*from..=*to).contains(&day)) {
            continue;
        }
        for (starts_at, ends_at) in spans(&calendar.week, day, day, time)? {
            days.push(InspectorDay {
                inspector,
                available: true,
                starts_at,
                ends_at,
                from: slept(day - 1),
                to: slept(day),
                most_duty_min: calendar.most_duty_min,
                most_without_break_min: calendar.most_without_break_min,
                break_min: calendar.break_min,
            });
        }
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::{Calendar, CalendarFault, Day, Instant, LocalTime, Week, inspector_days, spans};
    use std::collections::BTreeSet;

    /// Two hours ahead of UTC, from day 5 on one hour ahead: on day 5 the hour from 2:00 comes twice. In `Spring` it
    /// is the other way round, and the hour from 2:00 is skipped.
    struct Clock;

    impl LocalTime for Clock {
        fn instant(&self, zone: &str, day: Day, minute: i32) -> Option<Instant> {
            let local = day * 1_440 + minute;
            let turn = 5 * 1_440 + 120;
            match zone {
                "UTC" => Some(Instant::Once(local)),
                "Autumn" if (turn..turn + 60).contains(&local) => {
                    Some(Instant::Twice(local - 120, local - 60))
                }
                "Autumn" if local < turn => Some(Instant::Once(local - 120)),
                "Autumn" => Some(Instant::Once(local - 60)),
                "Spring" if (turn..turn + 60).contains(&local) => Some(Instant::Skipped(turn - 60)),
                "Spring" if local < turn => Some(Instant::Once(local - 60)),
                "Spring" => Some(Instant::Once(local - 120)),
                _ => None,
            }
        }
    }

    fn week(zone: &str, hours: &[(i32, i32)]) -> Week {
        Week { zone: zone.to_owned(), hours: std::array::from_fn(|_| hours.to_vec()), off: BTreeSet::new() }
    }

    #[test]
    fn hours_hold_in_local_time_also_where_the_clock_is_set() {
        let at = |zone: &str, hours: &[(i32, i32)]| spans(&week(zone, hours), 5, 5, &Clock).unwrap();
        let start = 5 * 1_440;
        // An hour longer in autumn, an hour shorter in spring.
        assert_eq!(at("Autumn", &[(60, 240)]), [(start - 60, start + 180)]);
        assert_eq!(at("Spring", &[(60, 240)]), [(start, start + 120)]);
        assert_eq!(at("Spring", &[(130, 240)]), [(start + 60, start + 120)]);
        assert_eq!(at("Spring", &[(125, 170)]), []);
        assert_eq!(at("Autumn", &[(130, 170)]), [(start + 10, start + 110)]);
        assert_eq!(at("UTC", &[(540, 720), (780, 1_020)]).len(), 2);
        let night = spans(&week("UTC", &[(0, 360), (1_320, 1_440)]), 5, 6, &Clock).unwrap();
        assert_eq!(night.len(), 3, "the night between is one span: {night:?}");
    }

    #[test]
    fn weekends_holidays_leave_and_nights_elsewhere() {
        let mut week = week("UTC", &[(480, 1_020)]);
        // Friday and Saturday; day 0 is a Thursday.
        week.hours[4].clear();
        week.hours[5].clear();
        week.off.insert(4);
        let calendar = Calendar {
            week,
            leave: vec![(6, 6)],
            base: 1,
            nights: vec![(3, 9)],
            most_duty_min: 600,
            most_without_break_min: 300,
            break_min: 30,
        };
        let days = inspector_days(&calendar, 7, (0, 7), &Clock).unwrap();
        let seen: Vec<_> = days.iter().map(|day| (day.starts_at / 1_440, day.from, day.to)).collect();
        assert_eq!(seen, [(0, 1, 1), (3, 1, 9), (5, 1, 1), (7, 1, 1)]);
        assert!(days.iter().all(|day| day.inspector == 7 && day.ends_at - day.starts_at == 540));
    }

    #[test]
    fn a_zone_or_hours_that_cannot_be_are_named() {
        let nowhere = spans(&week("Mars/Olympus", &[(0, 60)]), 1, 1, &Clock);
        assert_eq!(nowhere, Err(CalendarFault::Zone { zone: "Mars/Olympus".to_owned(), day: 1 }));
        for hours in [[(60, 60), (70, 80)], [(0, 100), (50, 120)], [(0, 10), (20, 1_441)], [(-1, 5), (6, 7)]]
        {
            assert_eq!(spans(&week("UTC", &hours), 1, 1, &Clock), Err(CalendarFault::Hours { weekday: 0 }));
        }
    }
}
