//! Cron expressions and the ticks that they name. Pure: a tick's instant comes from its expression alone, so
//! all servers name it alike, whatever their clocks say.

use chrono::SubsecRound as _;
use croner::Cron;
use croner::parser::{CronParser, Seconds};
use endcheck_protocol::time::Timestamp;

/// When a job ticks, in UTC.
#[derive(Debug, Clone)]
pub struct Schedule {
    text: String,
    cron: Cron,
}

/// A tick whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    pub at: Timestamp,
    /// Ticks before it that nobody took up; it stands for them. [`MISSED_AT_MOST`] means that many or more.
    pub missed: i64,
}

/// How many missed ticks are counted.
pub const MISSED_AT_MOST: i64 = 100_000;

impl Schedule {
    /// Reads a cron expression of six fields, seconds first.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        // As tokio-cron-scheduler reads it.
        let parser = CronParser::builder().seconds(Seconds::Required).dom_and_dow(true).build();
        let cron = parser.parse(text).map_err(|error| {
            format!("{text:?} is not a cron expression with seconds, such as \"0 */5 * * * *\": {error}")
        })?;
        let schedule = Self { text: text.to_owned(), cron };
        let ever = Timestamp::from_unix_micros(0).and_then(|at| schedule.next_after(at));
        if ever.is_none() {
            return Err(format!("{text:?} names no instant that ever comes"));
        }
        Ok(schedule)
    }

    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same in words, where it is of a common form.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let fields: Vec<&str> = self.text.split_whitespace().collect();
        let number = |text: &str| text.parse::<u32>().ok();
        let every = |text: &str| text.strip_prefix("*/").and_then(number);
        match *fields.as_slice() {
            ["*", "*", "*", "*", "*", "*"] => Some("every second".to_owned()),
            [second, "*", "*", "*", "*", "*"] => match every(second) {
                Some(seconds) => Some(format!("every {seconds} seconds")),
                None => number(second).map(|_| "every minute".to_owned()),
            },
            [second, minute, "*", "*", "*", "*"] => {
                number(second)?;
                match every(minute) {
                    Some(minutes) => Some(format!("every {minutes} minutes")),
                    None => number(minute).map(|minute| format!("hourly, at minute {minute}")),
                }
            }
            [second, minute, hour, "*", "*", "*"] => {
                number(second)?;
                Some(format!("daily at {:02}:{:02}", number(hour)?, number(minute)?))
            }
            _ => None,
        }
    }

    /// The first tick after an instant.
    #[must_use]
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        // The library keeps a fraction of a second that it is given; ticks have none.
        let second = at.utc().trunc_subsecs(0);
        self.cron.find_next_occurrence(&second, false).ok().map(Timestamp::from)
    }

    /// The newest tick until `now` that comes after the one taken up last, if there is one.
    #[must_use]
    pub fn due(&self, last_tick_at: Timestamp, now: Timestamp) -> Option<Due> {
        let mut due: Option<Due> = None;
        let mut from = last_tick_at;
        while let Some(at) = self.next_after(from).filter(|at| *at <= now) {
            let missed = due.map_or(0, |earlier| earlier.missed + 1);
            if missed >= MISSED_AT_MOST {
                let newest = self
                    .cron
                    .find_previous_occurrence(&now.utc().trunc_subsecs(0), true)
                    .ok()
                    .map(Timestamp::from);
                return Some(Due { at: newest.unwrap_or(at), missed });
            }
            due = Some(Due { at, missed });
            from = at;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_due_is_the_newest_tick_and_the_others_are_counted() {
        let minute = "0 * * * * *";
        for (cron, last, now, due) in [
            (minute, "2026-01-01T00:00:00Z", "2026-01-01T00:00:59.999999Z", None),
            (minute, "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", Some(("2026-01-01T00:01:00Z", 0))),
            (minute, "2026-01-01T00:00:00Z", "2026-01-01T00:04:30Z", Some(("2026-01-01T00:04:00Z", 3))),
            // A clock that was set back, or a database restored: nothing twice.
            (minute, "2026-01-01T00:05:00Z", "2026-01-01T00:04:30Z", None),
            // The state of a job begins at no tick of it.
            (minute, "2026-01-01T00:00:17.5Z", "2026-01-01T00:01:02Z", Some(("2026-01-01T00:01:00Z", 0))),
            ("30 4 3 29 2 *", "2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z", None),
            (
                "30 4 3 29 2 *",
                "2026-01-01T00:00:00Z",
                "2028-03-01T00:00:00Z",
                Some(("2028-02-29T03:04:30Z", 0)),
            ),
            (
                "* * * * * *",
                "2020-01-01T00:00:00Z",
                "2026-01-01T00:00:00.3Z",
                Some(("2026-01-01T00:00:00Z", MISSED_AT_MOST)),
            ),
        ] {
            let schedule = Schedule::parse(cron).unwrap();
            let expected = due.map(|(tick, missed)| Due { at: at(tick), missed });
            assert_eq!(schedule.due(at(last), at(now)), expected, "{cron} {last} {now}");
        }
    }

    #[test]
    fn common_schedules_have_words() {
        for (cron, words) in [
            ("* * * * * *", Some("every second")),
            ("40 * * * * *", Some("every minute")),
            ("*/5 * * * * *", Some("every 5 seconds")),
            ("15 */10 * * * *", Some("every 10 minutes")),
            ("0 5 * * * *", Some("hourly, at minute 5")),
            ("0 20 3 * * *", Some("daily at 03:20")),
            ("0 20 3 * * MON", None),
            ("0,30 * * * * *", None),
        ] {
            assert_eq!(Schedule::parse(cron).unwrap().words().as_deref(), words, "{cron}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in ["", "* * * * *", "61 * * * * *", "0 0 0 30 2 *", "every minute", "0 * * * * * *, 1"] {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }
}
