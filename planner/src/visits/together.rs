//! A visit of two people that is not in a plan: who could make it with whom, and the least that has to change for it.
//! For each instant at which two could meet, every day says what it would take to be there; the pairs are tried.

use super::change::{Change, InMinutes, apply_to_day, apply_to_site, size};
use super::day::Stop;
use super::fit::held_by_lock;
use super::why::{MOST_MIN, Reason, Time, displaceable, fits, least, newcomer};
use super::{InspectorDay, MEETING_STEP_MIN, Problem, Visit};

/// What the reasons for a visit of two are told from.
struct Meeting<'a> {
    problem: &'a Problem,
    visit: u32,
    /// The visit, perhaps changed.
    it: Visit,
    stops: &'a [Vec<Stop>],
}

/// A day on which somebody could come, and what it takes.
#[derive(Debug, Clone)]
struct Comer {
    /// Which of the reasons.
    number: usize,
    day: u32,
    inspector: u32,
    changes: Vec<Change>,
}

/// Completes the reasons for a visit of two: where there is time for one, can anybody come along? And what would help?
pub(super) fn meet(problem: &Problem, visit: u32, it: &Visit, stops: &[Vec<Stop>], reasons: &mut [Reason]) {
    let meeting = Meeting { problem, visit, it: it.clone(), stops };
    for reason in reasons.iter_mut() {
        (reason.remedy, reason.one_more) = (None, None);
    }
    let as_it_is = meeting.as_it_is(reasons);
    for (reason, (there, met)) in reasons.iter_mut().zip(as_it_is) {
        // Who is held at an instant may have time though whoever comes as early as may be has none: they leave later.
        if met {
            reason.time = Time::Fits;
        } else if there || reason.time == Time::Fits {
            reason.time = Time::NoSecond;
        }
    }
    meeting.by_changes_of_days(&[], reasons);
    meeting.by_a_change_of_the_site(reasons);
    if held_by_lock(it).is_some() {
        let unlocked = Meeting { it: Visit { announced: None, ..it.clone() }, ..meeting };
        unlocked.by_changes_of_days(&[Change::Unlock], reasons);
    }
}

impl<'a> Meeting<'a> {
    fn day(&self, reason: &Reason) -> Option<(&'a InspectorDay, &'a [Stop])> {
        Some((self.problem.days.get(reason.day as usize)?, self.stops.get(reason.day as usize)?))
    }

    /// When two could meet at the site, as the search would try.
    fn instants(&self) -> Vec<i32> {
        if let Some(held_at) = held_by_lock(&self.it) {
            return vec![held_at];
        }
        let days = &self.problem.days;
        let from = days.iter().map(|day| day.starts_at).min().unwrap_or(0);
        let to = days.iter().map(|day| day.ends_at).max().unwrap_or(0);
        let mut instants: Vec<i32> = self.it.announced.iter().map(|told| told.starts_at).collect();
        for (open, close) in &self.it.windows {
            let first = (*open).max(self.it.not_before).max(from);
            let last = (close - self.it.duration_min).min(to);
            let first = first + (-first).rem_euclid(MEETING_STEP_MIN);
            instants.extend((first..=last).step_by(MEETING_STEP_MIN as usize));
        }
        instants.sort_unstable();
        instants.dedup();
        instants
    }

    /// Those for whom there is time at an instant, without a change of their day.
    fn there(&self, reasons: &[Reason], at: i32) -> Vec<bool> {
        let there = |reason: &Reason| {
            self.day(reason).is_some_and(|(on, stops)| {
                (on.starts_at..=on.ends_at).contains(&at)
                    && fits(self.problem, self.visit, &self.it, on, stops, Some(at))
            })
        };
        reasons.iter().map(there).collect()
    }

    fn inspector(&self, reason: &Reason) -> Option<u32> {
        self.day(reason).map(|(on, _)| on.inspector)
    }

    /// For each reason: is there an instant for which there is time, and one for which somebody else has some, too, whom
    /// nothing keeps away?
    fn as_it_is(&self, reasons: &[Reason]) -> Vec<(bool, bool)> {
        let mut found = vec![(false, false); reasons.len()];
        for at in self.instants() {
            let there = self.there(reasons, at);
            let free: Vec<Option<u32>> = reasons
                .iter()
                .zip(&there)
                .filter(|(reason, there)| **there && reason.obstacles.is_empty())
                .map(|(reason, _)| self.inspector(reason))
                .collect();
            for (((ever, met), reason), there) in found.iter_mut().zip(reasons).zip(&there) {
                let own = self.inspector(reason);
                *ever |= *there;
                *met |= *there && free.iter().any(|other| *other != own);
            }
        }
        found
    }

    /// What it takes to be there at an instant: what lifts the obstacles, and a change of the day where time lacks.
    fn comes(&self, reason: &Reason, at: i32) -> Option<Vec<Change>> {
        let (on, stops) = self.day(reason).filter(|(on, _)| (on.starts_at..=on.ends_at).contains(&at))?;
        let mut changes = reason.people.clone()?;
        if held_by_lock(&self.it).is_some() && changes.contains(&Change::Unlock) {
            return None;
        }
        changes.retain(|change| *change != Change::Unlock);
        if fits(self.problem, self.visit, &self.it, on, stops, Some(at)) {
            return Some(changes);
        }
        let kinds: [InMinutes; 2] =
            [|by_min| Change::LongerDay { by_min }, |by_min| Change::LaterBreak { by_min }];
        let longer = kinds.into_iter().filter_map(|kind| {
            let minutes = least(MOST_MIN, |by_min| {
                let mut on = on.clone();
                apply_to_day(&mut on, kind(by_min));
                fits(self.problem, self.visit, &self.it, &on, stops, Some(at))
            });
            minutes.map(|by_min| (by_min, kind(by_min)))
        });
        let displaced = || displaceable(self.problem, self.visit, &self.it, on, stops, Some(at)).next();
        let by_minutes = longer.min().map(|(_, change)| change);
        changes.push(by_minutes.or_else(|| displaced().map(|visit| Change::Displaces { visit }))?);
        Some(changes)
    }

    /// Finds for each day the least that has to change in it and in another, beside what changes `before`hand.
    fn by_changes_of_days(&self, before: &[Change], reasons: &mut [Reason]) {
        for at in self.instants() {
            let mut comers: Vec<Comer> = Vec::new();
            for (number, reason) in reasons.iter().enumerate() {
                let (Some(inspector), Some(changes)) = (self.inspector(reason), self.comes(reason, at))
                else {
                    continue;
                };
                comers.push(Comer { number, day: reason.day, inspector, changes });
            }
            comers.sort_by_key(|comer| (size(&comer.changes), comer.day));
            for comer in &comers {
                let Some(second) = comers.iter().find(|other| other.inspector != comer.inspector) else {
                    continue;
                };
                let together = join(before, &comer.changes, second.day, at, &second.changes);
                if let Some(reason) = reasons.get_mut(comer.number) {
                    keep_less(&mut reason.remedy, together);
                }
            }
            if held_by_lock(&self.it).is_none() {
                self.by_one_more(before, at, &comers, reasons);
            }
        }
    }

    /// One more inspector comes along, with the base and the hours of the first; or two.
    fn by_one_more(&self, before: &[Change], at: i32, comers: &[Comer], reasons: &mut [Reason]) {
        let new = newcomer(&self.it);
        for (number, reason) in reasons.iter_mut().enumerate() {
            let alone = self.day(reason).is_some_and(|(on, _)| {
                (on.starts_at..=on.ends_at).contains(&at)
                    && fits(self.problem, self.visit, &self.it, on, &[], Some(at))
            });
            if alone {
                let comer = comers.iter().find(|comer| comer.number == number);
                let own = comer.map_or_else(|| vec![new], |comer| comer.changes.clone());
                keep_less(&mut reason.one_more, join(before, &own, reason.day, at, &[new]));
            }
        }
    }

    /// The site is open for longer, or the host agrees to a shorter notice: that helps both at once.
    fn by_a_change_of_the_site(&self, reasons: &mut [Reason]) {
        // Whom nothing but time keeps away.
        let able: Vec<Reason> =
            reasons.iter().filter(|reason| reason.obstacles.is_empty()).cloned().collect();
        let first = self.problem.days.iter().map(|day| day.starts_at).min().unwrap_or(0);
        let kinds: [(i32, InMinutes); 3] = [
            (MOST_MIN, |by_min| Change::ClosesLater { by_min }),
            (MOST_MIN, |by_min| Change::OpensEarlier { by_min }),
            (self.it.not_before - first, |by_min| Change::ShorterNotice { by_min }),
        ];
        for (most, kind) in kinds {
            let changed = |by_min: i32| {
                let mut it = self.it.clone();
                apply_to_site(&mut it, kind(by_min));
                Meeting { it, ..*self }
            };
            let works = |by_min: i32| changed(by_min).pairs(&able, true).next().is_some();
            let Some(by_min) = least(most, works) else { continue };
            for (first, second, at) in changed(by_min).pairs(&able, false) {
                for (one, other) in [(first, second), (second, first)] {
                    if let Some(reason) = reasons.iter_mut().find(|reason| reason.day == one) {
                        keep_less(&mut reason.remedy, join(&[kind(by_min)], &[], other, at, &[]));
                    }
                }
            }
        }
    }

    /// Pairs of days of different inspectors who can be there at an instant as it is; or only the first of them.
    fn pairs(&self, reasons: &[Reason], only_first: bool) -> impl Iterator<Item = (u32, u32, i32)> {
        let mut pairs = Vec::new();
        for at in self.instants() {
            let there = self.there(reasons, at);
            let mut there = reasons.iter().zip(there).filter(|(_, there)| *there).map(|(reason, _)| reason);
            let Some(first) = there.next() else { continue };
            let others = there.filter(|other| self.inspector(other) != self.inspector(first));
            pairs.extend(others.map(|other| (first.day, other.day, at)));
            if only_first && !pairs.is_empty() {
                break;
            }
        }
        pairs.into_iter()
    }
}

/// One list of what changes for both; what the first does for the second, too, is named once.
fn join(before: &[Change], own: &[Change], day: u32, meet_at: i32, second: &[Change]) -> Vec<Change> {
    let mut changes = [before, own].concat();
    changes.push(Change::Second { day, meet_at });
    let displaced = |change: &Change| matches!(change, Change::Displaces { .. }) && own.contains(change);
    changes.extend(second.iter().filter(|change| !displaced(change)));
    changes
}

fn keep_less(least: &mut Option<Vec<Change>>, changes: Vec<Change>) {
    if least.as_ref().is_none_or(|least| size(&changes) < size(least)) {
        *least = Some(changes);
    }
}
