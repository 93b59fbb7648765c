//! A day step by step: leaving, breaks, ways, visits, being back. Everything happens as early as it may, but for
//! leaving, which is just in time for the first visit, and for visits that are held at an instant.
//!
//! A break is taken on arrival, in time that is waited anyway where there is some; or before the way where the way and
//! the visit together would be too long without one. Where all that comes too late, it is taken before the first
//! visit, and the inspector leaves earlier.

use super::{InspectorDay, Problem, Visit};

/// A visit in a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stop {
    pub visit: u32,
    /// Held at this instant, because it was announced for it or because two people meet there.
    pub held_at: Option<i32>,
}

/// How far a day has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Walk {
    place: u32,
    /// What was begun last is over by now.
    pub clock: i32,
    /// When the last break ended, or when the inspector left.
    since: i32,
    /// When the inspector left; before that, `None`.
    pub left_at: Option<i32>,
    /// When the first visit starts, as long as there was no break and there is time for one before it.
    rests_before: Option<i32>,
}

/// One step of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub walk: Walk,
    pub starts_at: i32,
    pub break_at: Option<i32>,
    /// When a break has to be taken before the first visit of the day, which was not needed so far.
    pub rested_at: Option<i32>,
}

/// The end of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Back {
    pub left_at: i32,
    pub returns_at: i32,
    pub break_at: Option<i32>,
    /// As in [`Step::rested_at`].
    pub rested_at: Option<i32>,
}

/// When a visit may start at the earliest from an instant on.
pub(super) fn earliest(visit: &Visit, from: i32, held_at: Option<i32>) -> Option<i32> {
    let from = from.max(visit.not_before);
    let fits = |starts: i32| {
        visit.windows.iter().any(|(open, close)| *open <= starts && starts + visit.duration_min <= *close)
    };
    match held_at {
        Some(held_at) => Some(held_at).filter(|held_at| *held_at >= from && fits(*held_at)),
        None => visit
            .windows
            .iter()
            .map(|(open, close)| (from.max(*open), *close))
            .find(|(starts, close)| starts + visit.duration_min <= *close)
            .map(|(starts, _)| starts),
    }
}

impl Walk {
    /// The morning.
    pub fn morning(day: &InspectorDay) -> Self {
        Self {
            place: day.from,
            clock: day.starts_at,
            since: day.starts_at,
            left_at: None,
            rests_before: None,
        }
    }

    /// The same with a break before the first visit; and when that break is.
    fn rested(&self, day: &InspectorDay) -> Option<(Self, i32)> {
        let (first, left_at) = (self.rests_before?, self.left_at?);
        let left_at = Some(left_at - day.break_min);
        Some((Self { since: first, left_at, rests_before: None, ..*self }, first - day.break_min))
    }

    /// Makes a visit.
    #[inline]
    pub fn visit(
        &self,
        problem: &Problem,
        day: &InspectorDay,
        visit: &Visit,
        held_at: Option<i32>,
    ) -> Option<Step> {
        self.onward(problem, day, visit, held_at).or_else(|| {
            let (rested, rested_at) = self.rested(day)?;
            let step = rested.onward(problem, day, visit, held_at)?;
            Some(Step { rested_at: Some(rested_at), ..step })
        })
    }

    /// Makes a visit, with the breaks that there were.
    fn onward(
        &self,
        problem: &Problem,
        day: &InspectorDay,
        visit: &Visit,
        held_at: Option<i32>,
    ) -> Option<Step> {
        let way = problem.ways.minutes(self.place, visit.place);
        let (limit, pause, lasts) = (day.most_without_break_min, day.break_min, visit.duration_min);
        let arrives = self.clock + way;
        let window = |from: i32| earliest(visit, from, held_at);
        let starts = window(arrives)?;
        let step = |starts_at: i32, since: i32, left_at: i32, break_at: Option<i32>| {
            let clock = starts_at + lasts;
            if clock - since > limit || clock > day.ends_at {
                return None;
            }
            let rests_before = if self.left_at.is_some() {
                self.rests_before.filter(|_| break_at.is_none())
            } else {
                // Leaving earlier by a break.
                Some(starts_at)
                    .filter(|_| break_at.is_none() && left_at - pause >= day.starts_at && way <= limit)
            };
            let walk = Walk { place: visit.place, clock, since, left_at: Some(left_at), rests_before };
            Some(Step { walk, starts_at, break_at, rested_at: None })
        };
        let Some(left_at) = self.left_at else {
            // The first visit: leave just in time.
            if way + lasts <= limit || way > limit {
                return step(starts, starts - way, starts - way, None);
            }
            let starts = window(arrives + pause)?;
            return step(starts, starts, starts - pause - way, Some(starts - pause));
        };
        // Where there is time to wait, it is the break; as late as may be.
        let waited = (starts - pause).min(self.since + limit);
        if starts - arrives >= pause && waited >= arrives {
            return step(starts, waited + pause, left_at, Some(waited));
        }
        if starts + lasts - self.since <= limit {
            return step(starts, self.since, left_at, None);
        }
        if arrives - self.since <= limit {
            let starts = window(arrives + pause)?;
            let pauses = (starts - pause).min(self.since + limit);
            return step(starts, pauses + pause, left_at, Some(pauses));
        }
        // As late as may be, to be fresh for the way and the visit.
        let starts = window(arrives + pause)?;
        let pauses = (starts - way - pause).min(self.since + limit).max(self.clock);
        step(starts, pauses + pause, left_at, Some(pauses))
    }

    /// Goes back, if there is time for it.
    pub fn back(&self, problem: &Problem, day: &InspectorDay) -> Option<Back> {
        self.home(problem, day).or_else(|| {
            let (rested, rested_at) = self.rested(day)?;
            Some(Back { rested_at: Some(rested_at), ..rested.home(problem, day)? })
        })
    }

    /// Goes back, with the breaks that there were.
    fn home(&self, problem: &Problem, day: &InspectorDay) -> Option<Back> {
        let Some(left_at) = self.left_at else {
            let returns_at = self.clock;
            return Some(Back { left_at: returns_at, returns_at, break_at: None, rested_at: None });
        };
        let way = problem.ways.minutes(self.place, day.to);
        let direct = self.clock + way;
        let (returns_at, break_at) = if direct - self.since <= day.most_without_break_min {
            (direct, None)
        } else {
            (direct + day.break_min, Some(self.clock))
        };
        let in_time = returns_at <= day.ends_at && returns_at - left_at <= day.most_duty_min;
        let back = Back { left_at, returns_at, break_at, rested_at: None };
        (in_time && way <= day.most_without_break_min).then_some(back)
    }
}
