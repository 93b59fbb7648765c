//! What would let a visit in, and how it is done to a problem and a plan, so that whatever is named can be tried.

use super::{Competence, Inspector, InspectorDay, Plan, Problem, Visit};

/// What would let a visit into a day. Smaller ones come first, by their kind, then by their minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The inspector is told this much later than planned to be back, and may be on duty for that much longer.
    LongerDay { by_min: i32 },
    /// The site closes later.
    ClosesLater { by_min: i32 },
    /// The site opens earlier.
    OpensEarlier { by_min: i32 },
    /// The host agrees to a shorter notice.
    ShorterNotice { by_min: i32 },
    /// The inspector agrees to a later break.
    LaterBreak { by_min: i32 },
    /// Another visit leaves the day.
    Displaces { visit: u32 },
    /// The inspector's competence is renewed until the end of the day.
    RenewCompetence { category: u32 },
    /// The inspector becomes competent.
    AddCompetence { category: u32 },
    /// One more inspector with the base and the hours of this day, who is competent for the visit, may enter the
    /// country, and speaks this language; `None` where any will do.
    OneMore { language: Option<u32> },
    /// The inspector learns this language.
    AddLanguage { language: u32 },
    /// The inspector may enter the country.
    AllowEntry { country: u32 },
    /// The inspector can be sent after all.
    MakeAvailable,
    /// What was announced may be changed.
    Unlock,
    /// Somebody else comes along on this day and meets the first at the site at this instant: no change by itself. What
    /// follows in a list of changes holds for that day.
    Second { day: u32, meet_at: i32 },
}

/// A kind of change that is so many minutes large.
pub(super) type InMinutes = fn(i32) -> Change;

/// How much is changed: how many things, then the largest of them. Who comes along is no change.
pub(super) fn size(changes: &[Change]) -> (usize, Option<Change>) {
    let real = || changes.iter().filter(|change| !matches!(change, Change::Second { .. }));
    (real().count(), real().max().copied())
}

/// Makes changes in a problem and a plan, for a visit and a day; gives the days on which the visit can then be made: that
/// day, or the one of [one more](Change::OneMore) inspector, and the day of the [second](Change::Second).
pub fn make(problem: &mut Problem, plan: &mut Plan, visit: u32, day: u32, changes: &[Change]) -> Vec<u32> {
    let (mut on, mut days) = (day, Vec::new());
    for change in changes {
        match *change {
            Change::Second { day, .. } => {
                days.push(on);
                on = day;
            }
            Change::OneMore { language } => on = one_more(problem, visit, on, language).unwrap_or(on),
            Change::Displaces { visit: other } => {
                for planned in &mut plan.days {
                    planned.stops.retain(|stop| stop.visit != other);
                }
                if !plan.unplanned.contains(&other) {
                    plan.unplanned.push(other);
                }
            }
            change => make_one(problem, visit, on, change),
        }
    }
    days.push(on);
    days
}

/// Adds an inspector with a day like this one; gives the number of that day.
fn one_more(problem: &mut Problem, visit: u32, day: u32, language: Option<u32>) -> Option<u32> {
    let on = problem.days.get(day as usize)?;
    let expires_at = on.competent_until();
    let categories = &problem.visits.get(visit as usize)?.categories;
    let competences = categories.iter().map(|&category| Competence { category, expires_at }).collect();
    let languages = language.into_iter().collect();
    let new = InspectorDay { inspector: problem.inspectors.len() as u32, available: true, ..on.clone() };
    problem.inspectors.push(Inspector { competences, languages, ..Inspector::default() });
    problem.days.push(new);
    Some(problem.days.len() as u32 - 1)
}

fn make_one(problem: &mut Problem, visit: u32, day: u32, change: Change) {
    let (Some(it), Some(on)) = (problem.visits.get_mut(visit as usize), problem.days.get_mut(day as usize))
    else {
        return;
    };
    apply(it, on, change);
    let Some(person) = problem.inspectors.get_mut(on.inspector as usize) else { return };
    match change {
        Change::RenewCompetence { category } | Change::AddCompetence { category } => {
            person.competences.push(Competence { category, expires_at: on.competent_until() });
        }
        Change::AllowEntry { country } => person.barred.retain(|barred| *barred != country),
        Change::AddLanguage { language } => person.languages.push(language),
        _ => {}
    }
}

/// Makes a change of a visit or a day; others are about somebody.
pub(super) fn apply(visit: &mut Visit, day: &mut InspectorDay, change: Change) {
    apply_to_site(visit, change);
    apply_to_day(day, change);
}

pub(super) fn apply_to_site(visit: &mut Visit, change: Change) {
    match change {
        Change::ClosesLater { by_min } => stretch(visit, 0, by_min),
        Change::OpensEarlier { by_min } => stretch(visit, by_min, 0),
        Change::ShorterNotice { by_min } => visit.not_before -= by_min,
        Change::Unlock => visit.announced = None,
        _ => {}
    }
}

pub(super) fn apply_to_day(day: &mut InspectorDay, change: Change) {
    match change {
        Change::LongerDay { by_min } => {
            day.ends_at += by_min;
            day.most_duty_min += by_min;
        }
        Change::LaterBreak { by_min } => day.most_without_break_min += by_min,
        Change::MakeAvailable => day.available = true,
        _ => {}
    }
}

/// Makes every window longer; those that meet become one.
fn stretch(visit: &mut Visit, earlier_min: i32, later_min: i32) {
    let mut windows: Vec<(i32, i32)> = Vec::with_capacity(visit.windows.len());
    for (open, close) in &visit.windows {
        let (open, close) = (open - earlier_min, close + later_min);
        match windows.last_mut() {
            Some((_, last)) if *last >= open => *last = close.max(*last),
            _ => windows.push((open, close)),
        }
    }
    visit.windows = windows;
}
