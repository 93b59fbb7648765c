//! What cannot be planned with, by name.

use super::Problem;

/// The most visits of one plan.
const MOST_VISITS: usize = 5_000;
/// The most days of inspectors in one plan.
const MOST_DAYS: usize = 20_000;
/// The most that one visit may weigh: sums of weighed risks stay within 64 bits.
const MOST_RISK: i64 = 10_000;
/// The longest limit of a day.
const MOST_DUTY_MIN: i32 = 100_000;
/// The latest instant, some four years: sums stay within 32 bits.
const LATEST_MIN: i32 = 2_000_000;

/// Why a problem is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// More visits or days than one plan may have: make several, by country or by month.
    TooMany { what: &'static str, there: usize, most: usize },
    /// There is nobody to send.
    NoDays,
    /// There is no seed to plan with.
    NoSeeds,
    /// A visit, by its number: what is wrong with it.
    Visit { visit: usize, what: &'static str },
    /// A day of an inspector, by its number.
    Day { day: usize, what: &'static str },
    /// The way from one place to another, in the operator's table.
    Way { from: usize, to: usize, what: &'static str },
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooMany { what, there, most } => {
                write!(f, "{there} {what}: one plan takes at most {most}; plan by country or by month")
            }
            Self::NoDays => write!(f, "no inspector has a day to work on: enter calendars first"),
            Self::NoSeeds => write!(f, "no seed to plan with: give at least one"),
            Self::Visit { visit, what } => write!(f, "visit {visit}: {what}"),
            Self::Day { day, what } => write!(f, "inspector's day {day}: {what}"),
            Self::Way { from, to, what } => write!(f, "way from place {from} to place {to}: {what}"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Refuses what cannot be planned with. A visit that fits nowhere is no fault: it stays unplanned, with reasons.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn refuse(problem: &Problem) -> Result<(), Refusal> {
    let too_many = |what, there: usize, most: usize| {
        if there > most { Err(Refusal::TooMany { what, there, most }) } else { Ok(()) }
    };
    too_many("visits", problem.visits.len(), MOST_VISITS)?;
    too_many("inspector's days", problem.days.len(), MOST_DAYS)?;
    if problem.days.is_empty() {
        return Err(Refusal::NoDays);
    }
    let instant = |at: i32| (-LATEST_MIN..=LATEST_MIN).contains(&at);
    let place = |at: u32| (at as usize) < problem.ways.places();
    let person = |who: u32| (who as usize) < problem.inspectors.len();
    for (visit, it) in problem.visits.iter().enumerate() {
        let announced_well = it.announced.as_ref().is_none_or(|announced| {
            instant(announced.starts_at)
                && (0..=1_000).contains(&announced.weight)
                && announced.inspectors.iter().all(|who| person(*who))
        });
        let checks = [
            (place(it.place), "its place has no ways"),
            ((1..=DAYS_10).contains(&it.duration_min), "it must last from 1 minute to 10 days"),
            (it.windows.iter().all(|(from, to)| instant(*from) && instant(*to)), "a window is out of range"),
            (it.windows.iter().all(|(from, to)| from < to), "a window ends before it starts"),
            (
                it.windows.windows(2).all(|pair| matches!(pair, [(_, end), (start, _)] if end < start)),
                "windows must be in order and apart",
            ),
            (instant(it.not_before), "the end of its notice is out of range"),
            (it.due_at.is_none_or(instant), "its deadline is out of range"),
            ((1..=2).contains(&it.people), "one person or two can be sent"),
            ((1..=MOST_RISK).contains(&it.risk), "its risk must be from 1 to 10,000"),
            (announced_well, "what was announced names a person or an instant that is not there"),
        ];
        if let Some((_, what)) = checks.iter().find(|(holds, _)| !holds) {
            return Err(Refusal::Visit { visit, what });
        }
    }
    for (day, it) in problem.days.iter().enumerate() {
        let checks = [
            (person(it.inspector), "there is no such inspector"),
            (place(it.from) && place(it.to), "its base has no ways"),
            (instant(it.starts_at) && instant(it.ends_at), "it is out of range"),
            (it.starts_at < it.ends_at, "it ends before it starts"),
            (
                [it.most_duty_min, it.most_without_break_min]
                    .iter()
                    .all(|most| (1..=MOST_DUTY_MIN).contains(most)),
                "its limits must be from 1 to 100,000 minutes",
            ),
            ((0..=1_440).contains(&it.break_min), "a break lasts from 0 minutes to a day"),
        ];
        if let Some((_, what)) = checks.iter().find(|(holds, _)| !holds) {
            return Err(Refusal::Day { day, what });
        }
    }
    Ok(())
}

/// Ten days, in minutes.
const DAYS_10: i32 = 14_400;
