//! Puts the sentences of one epoch together, and finds the day on which they were spoken.

use chrono::{NaiveDate, NaiveTime, TimeDelta};

use super::sentence::{Placed, Sentence, TimeOfDayMs};
use super::{NmeaFix, NmeaReading, Rejection};
use crate::place::fix::{Fix, Provider};
use crate::time::Timestamp;

/// How far a date is carried to the next epoch that has none of its own.
const LONGEST_CARRY_MS: i64 = 60_000;

/// The epoch under way and the last epoch whose day is known.
#[derive(Default)]
pub(super) struct Epochs {
    open: Option<Epoch>,
    dated: Option<(NaiveDate, TimeOfDayMs)>,
}

struct Epoch {
    time: TimeOfDayMs,
    line: u64,
    placed: Option<Placed>,
    placed_count: u64,
    date: Option<NaiveDate>,
    has_full_year: bool,
    stated_error_mm: Option<i64>,
    dilution_mm: Option<i64>,
    void: bool,
    dilutions: u64,
    dilutions_without_fix: u64,
}

impl Epoch {
    fn new(time: TimeOfDayMs, line: u64) -> Self {
        Self {
            time,
            line,
            placed: None,
            placed_count: 0,
            date: None,
            has_full_year: false,
            stated_error_mm: None,
            dilution_mm: None,
            void: false,
            dilutions: 0,
            dilutions_without_fix: 0,
        }
    }

    fn place(&mut self, placed: Placed) {
        self.placed_count += 1;
        if !self.has_full_year {
            self.date = placed.date.or(self.date);
        }
        let outranked = self.placed.as_ref().is_some_and(|held| held.rank >= placed.rank);
        if !outranked {
            self.placed = Some(placed);
        }
    }

    /// GSA comes once for each satellite system; one without satellites of its own does not speak for all.
    fn has_no_fix(&self) -> bool {
        self.void || (self.dilutions > 0 && self.dilutions == self.dilutions_without_fix)
    }
}

impl Epochs {
    pub(super) fn add(&mut self, sentence: Sentence, line: u64, reading: &mut NmeaReading) {
        match sentence {
            Sentence::Placed(placed) => self.at(placed.time, line, reading).place(placed),
            Sentence::Void { time } => {
                reading.reject(Rejection::NoFix);
                match time {
                    Some(time) => self.at(time, line, reading).void = true,
                    None => self.end(reading),
                }
            }
            Sentence::Error { time, accuracy_mm } => {
                let epoch = self.at(time, line, reading);
                epoch.stated_error_mm = accuracy_mm.or(epoch.stated_error_mm);
                reading.unused += u64::from(accuracy_mm.is_none());
            }
            Sentence::Date { time, date } => {
                let epoch = self.at(time, line, reading);
                epoch.date = Some(date);
                epoch.has_full_year = true;
            }
            Sentence::Dilution { no_fix, accuracy_mm } => match &mut self.open {
                Some(epoch) => {
                    epoch.dilutions += 1;
                    epoch.dilutions_without_fix += u64::from(no_fix);
                    epoch.dilution_mm = epoch.dilution_mm.or(accuracy_mm);
                }
                None => reading.unused += 1,
            },
            Sentence::Other => reading.unused += 1,
        }
    }

    /// Ends the epoch under way.
    pub(super) fn end(&mut self, reading: &mut NmeaReading) {
        let Some(epoch) = self.open.take() else { return };
        let date = self.day_of(&epoch);
        self.dated = date.map(|date| (date, epoch.time));
        if epoch.has_no_fix() {
            for _ in 0..epoch.placed_count {
                reading.reject(Rejection::NoFix);
            }
            return;
        }
        let Some(placed) = epoch.placed else { return };
        let at = date.map(|date| instant(date, epoch.time));
        let fix = Fix {
            accuracy_mm: epoch.stated_error_mm.or(placed.accuracy_mm).or(epoch.dilution_mm),
            altitude_mm: placed.altitude_mm,
            mock: placed.mock,
            satellites: placed.satellites,
            gnss_at: at,
            ..Fix::bare(placed.position, Provider::Nmea)
        };
        reading.fixes.push(NmeaFix { fix, at, time_of_day_ms: epoch.time, line: epoch.line });
    }

    /// The epoch of this time of day: the one under way, or a new one.
    fn at(&mut self, time: TimeOfDayMs, line: u64, reading: &mut NmeaReading) -> &mut Epoch {
        if self.open.as_ref().is_some_and(|epoch| epoch.time != time) {
            self.end(reading);
        }
        self.open.get_or_insert_with(|| Epoch::new(time, line))
    }

    /// Its own date, or that of the epoch shortly before it. When the clock goes backwards it may be
    /// midnight, a restart or another log: the day is not known until it is said again.
    fn day_of(&self, epoch: &Epoch) -> Option<NaiveDate> {
        epoch.date.or_else(|| {
            let (date, time) = self.dated?;
            (0..=LONGEST_CARRY_MS).contains(&(epoch.time - time)).then_some(date)
        })
    }
}

fn instant(date: NaiveDate, time: TimeOfDayMs) -> Timestamp {
    Timestamp::from(date.and_time(NaiveTime::MIN).and_utc()).plus(TimeDelta::milliseconds(time))
}
