//! Why a visit is not in a plan: what is said is tried, by a search that knows nothing of what was said.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

use endcheck_planner::sisr::Unwatched;
use endcheck_planner::visits::check::check;
use endcheck_planner::visits::generate::{Size, programme};
use endcheck_planner::visits::replan::day_of;
use endcheck_planner::visits::ways::Ways;
use endcheck_planner::visits::why::{Change, Reason, Time, easiest, make, why_not};
use endcheck_planner::visits::{
    Announced, Inspector, InspectorDay, Obstacle, Plan, Problem, Run, Visit, plan, plan_seeds, schedule,
};
use std::collections::BTreeSet;

const CROWDED: Size = Size { visits: 90, inspectors: 5, days: 5 };

/// The days of a plan with a visit put in where it fits, in whatever order: made here from the problem alone.
fn with_visit(problem: &Problem, plan: &Plan, visit: u32, days: &[u32]) -> Option<Plan> {
    // Everything but that visit and those days stays where it is, so the search has one thing to do.
    let mut only = problem.clone();
    let here: Vec<_> =
        plan.days.iter().filter(|it| days.contains(&it.day)).flat_map(|it| &it.stops).collect();
    for (number, it) in (0..).zip(&mut only.visits) {
        let there = here.iter().filter(|stop| stop.visit == number).count();
        if number != visit && there == 0 {
            it.windows.clear();
        }
        if let (2, Some(stop)) = (it.people, here.iter().find(|stop| stop.visit == number)) {
            // The other of the two may be on another day. It stays at its instant.
            it.people = there as u8;
            it.windows = vec![(stop.starts_at, stop.starts_at + it.duration_min)];
        }
    }
    for (number, it) in (0..).zip(&mut only.days) {
        it.available &= days.contains(&number);
    }
    let people = usize::from(only.visits[visit as usize].people);
    (1..=3).find_map(|seed| {
        let plan = plan_seeds(&only, None, &[Run::whole(seed)], 1, &schedule(300), &|_| true).unwrap().plan;
        assert_eq!(check(&only, &plan), []);
        let all = plan.days.iter().flat_map(|it| &it.stops).count() == here.len() + people;
        all.then_some(plan)
    })
}

/// The orders of some days, without a visit.
fn orders(plan: &Plan, days: &[u32], visit: u32) -> Vec<(u32, Vec<u32>)> {
    let mut orders: Vec<(u32, Vec<u32>)> = Vec::new();
    for it in plan.days.iter().filter(|it| days.contains(&it.day)) {
        orders.push((it.day, it.stops.iter().map(|stop| stop.visit).filter(|it| *it != visit).collect()));
    }
    orders.retain(|(_, stops)| !stops.is_empty());
    orders.sort();
    orders
}

#[test]
fn the_smallest_change_lets_a_visit_in_and_nothing_less_does() {
    let (mut tried, mut of_two, mut kinds) = (0, 0, BTreeSet::new());
    for seed in 1..=8 {
        let problem = programme(CROWDED, seed).unwrap();
        let plan = plan(&problem, seed, &schedule(2_000), &mut Unwatched).unwrap();
        for &visit in &plan.unplanned {
            let reasons = why_not(&problem, &plan, visit);
            assert_eq!(reasons.len(), problem.days.len());
            for reason in &reasons {
                let fits = reason.obstacles.is_empty() && reason.time == Time::Fits;
                assert!(!fits, "seed {seed}: visit {visit} would fit as it is: {reason:?}");
            }
            let all = easiest(&reasons);
            let two = problem.visits[visit as usize].people == 2;
            assert!(!two || !all.is_empty(), "seed {seed}: nothing helps visit {visit} of two");
            // The easiest of all, a few others, and one more inspector.
            let newcomer =
                all.iter().position(|(_, it)| it.iter().any(|it| matches!(it, Change::OneMore { .. })));
            let some = (0..all.len()).step_by(4).take(6).chain(newcomer);
            for (day, changes) in some.map(|at| all[at].clone()) {
                let said = format!("seed {seed}: visit {visit}, day {day}: {changes:?}");
                let second = changes.iter().any(|change| matches!(change, Change::Second { .. }));
                assert_eq!(second, two, "{said}");
                let (mut changed, mut without) = (problem.clone(), plan.clone());
                let days = make(&mut changed, &mut without, visit, day, &changes);
                assert!(with_visit(&changed, &without, visit, &days).is_some(), "{said}");
                tried += 1;
                of_two += u32::from(two);
                for left_out in 0..changes.len() {
                    let mut fewer = changes.clone();
                    let kind = fewer.remove(left_out);
                    if matches!(kind, Change::Second { .. }) {
                        continue;
                    }
                    kinds.insert(format!("{kind:?}").split(' ').next().unwrap_or_default().to_owned());
                    let (mut changed, mut without) = (problem.clone(), plan.clone());
                    let days = make(&mut changed, &mut without, visit, day, &fewer);
                    if let Some(better) = with_visit(&changed, &without, visit, &days) {
                        // Only another order of the same days may let it in: that is the search's business, which is
                        // free to move what was not announced.
                        assert!(
                            !matches!(kind, Change::AddCompetence { .. } | Change::MakeAvailable),
                            "{said}"
                        );
                        let (now, then) = (orders(&better, &days, visit), orders(&without, &days, visit));
                        assert_ne!(now, then, "{said}, without {kind:?}");
                    }
                }
            }
        }
    }
    assert!(
        tried > 150 && of_two > 50 && kinds.len() >= 7,
        "{tried} remedies, {of_two} of two, of {kinds:?}"
    );
}

/// The problem and a plan after one change alone: is the visit put in just where the reasons then say that it fits?
/// Tells whether it is.
fn insertion_agrees(alone: &Problem, before: &Plan, visit: u32, day: u32, change: Change) -> Option<Reason> {
    let (mut changed, mut plan) = (alone.clone(), before.clone());
    make(&mut changed, &mut plan, visit, day, &[change]);
    if let Change::Displaces { visit: other } = change {
        changed.visits[other as usize].windows.clear();
    }
    // Not an iteration: what was planned stays, and what is left is put in where it fits.
    let run = Run { seed: 1, stop_after: Some(0) };
    let again = plan_seeds(&changed, Some(&plan), &[run], 1, &schedule(1), &|_| true).unwrap().plan;
    let said = format!("visit {visit}, day {day}: {change:?}");
    assert_eq!(check(&changed, &again), [], "{said}");
    let after = why_not(&changed, &plan, visit);
    let fits = |reason: &Reason| reason.obstacles.is_empty() && reason.time == Time::Fits;
    let placed: Vec<u32> =
        again.days.iter().filter(|it| it.stops.iter().any(|it| it.visit == visit)).map(|it| it.day).collect();
    assert_eq!(!placed.is_empty(), after.iter().any(fits), "{said}: {:?}", after[day as usize]);
    for placed in placed {
        assert!(fits(&after[placed as usize]), "{said}: it was put into day {placed}");
    }
    Some(after[day as usize].clone()).filter(fits)
}

#[test]
fn without_one_obstacle_alone_the_insertion_says_what_the_reasons_say() {
    let (mut lifted, mut fitting, mut kinds) = (0, 0, BTreeSet::new());
    for seed in 11..=16 {
        let problem = programme(CROWDED, seed).unwrap();
        let before = plan(&problem, seed, &schedule(2_000), &mut Unwatched).unwrap();
        for &visit in before.unplanned.iter().step_by(2) {
            // Nothing else competes for the room.
            let mut alone = problem.clone();
            for other in before.unplanned.iter().filter(|other| **other != visit) {
                alone.visits[*other as usize].windows.clear();
            }
            for reason in why_not(&alone, &before, visit).iter().step_by(2) {
                let Some(people) = &reason.people else { continue };
                assert_eq!(people.len(), reason.obstacles.len());
                let minutes = match &reason.time {
                    Time::Lacks(alternatives) => alternatives.clone(),
                    Time::Fits | Time::NoSecond => Vec::new(),
                };
                for &change in people.iter().chain(&minutes) {
                    let fits = insertion_agrees(&alone, &before, visit, reason.day, change);
                    // The day is free then if there was nothing else, and only then.
                    let only = match &reason.time {
                        Time::Fits => people.len() == 1,
                        Time::Lacks(_) => people.is_empty(),
                        Time::NoSecond => false,
                    };
                    if problem.visits[visit as usize].people == 1 {
                        assert_eq!(
                            fits.is_some(),
                            only,
                            "seed {seed}: visit {visit}: {change:?} of {reason:?}"
                        );
                    }
                    lifted += 1;
                    fitting += u32::from(fits.is_some());
                    kinds.insert(format!("{change:?}").split(' ').next().unwrap_or_default().to_owned());
                }
            }
        }
    }
    assert!(lifted > 500 && fitting > 100 && kinds.len() >= 7, "{lifted} lifted, {fitting} fit, {kinds:?}");
}

const FARSI: u32 = 7;

/// Two inspectors who have a day each from 8:00 to 16:00, half an hour from a site that is open all day and wants two
/// people for two hours.
fn two() -> Problem {
    let able = Inspector { languages: vec![FARSI], ..Inspector::default() };
    let day = |inspector| InspectorDay {
        inspector,
        available: true,
        starts_at: 480,
        ends_at: 960,
        from: 0,
        to: 0,
        most_duty_min: 600,
        most_without_break_min: 480,
        break_min: 30,
    };
    let visit = Visit {
        place: 1,
        country: 1,
        duration_min: 120,
        windows: vec![(0, 1_440)],
        not_before: 0,
        due_at: None,
        categories: Vec::new(),
        languages: vec![FARSI],
        parties: Vec::new(),
        people: 2,
        risk: 10,
        announced: None,
    };
    let ways = Ways::from_table(2, &[Some(0), Some(30), Some(30), Some(0)]).unwrap();
    Problem { inspectors: vec![able.clone(), able], days: vec![day(0), day(1)], visits: vec![visit], ways }
}

fn best(problem: &Problem, visit: u32) -> (u32, Vec<Change>) {
    let plan = plan(problem, 1, &schedule(200), &mut Unwatched).unwrap();
    assert_eq!(plan.unplanned, [visit]);
    let reasons = why_not(problem, &plan, visit);
    assert!(reasons.iter().any(|reason| reason.time != Time::Fits || !reason.obstacles.is_empty()));
    easiest(&reasons)[0].clone()
}

#[test]
fn for_a_visit_of_two_it_is_said_who_comes_along_and_what_it_takes() {
    let planned = plan(&two(), 1, &schedule(200), &mut Unwatched).unwrap();
    assert_eq!((planned.unplanned.len(), planned.days.len()), (0, 2));
    // The second has to be back too early, by 20 minutes: way, visit and way take three hours.
    let mut short = two();
    short.days[1].ends_at = 640;
    let second = |day, meet_at| Change::Second { day, meet_at };
    assert_eq!(best(&short, 0), (0, vec![second(1, 510), Change::LongerDay { by_min: 20 }]));
    let reasons = why_not(&short, &plan(&short, 1, &schedule(9), &mut Unwatched).unwrap(), 0);
    assert_eq!(reasons[0].time, Time::NoSecond);
    assert_eq!(reasons[1].remedy(), Some(vec![Change::LongerDay { by_min: 20 }, second(0, 510)]));
    // The site closes too early for both: at 10:10, and 10:30 would do.
    let mut closed = two();
    closed.visits[0].windows = vec![(0, 610)];
    assert_eq!(best(&closed, 0), (0, vec![Change::ClosesLater { by_min: 20 }, second(1, 510)]));
    // A notice of two days; the site is open to us after it, but nobody works then.
    let mut notice = two();
    notice.visits[0].not_before = 2_880;
    let by_min = 2_880 - 810;
    assert_eq!(best(&notice, 0), (0, vec![Change::ShorterNotice { by_min }, second(1, 810)]));
    // They never work at the same time.
    let mut apart = two();
    (apart.days[1].starts_at, apart.days[1].ends_at) = (1_440 + 480, 1_440 + 960);
    apart.visits[0].windows.push((1_441, 2_880));
    assert_eq!(best(&apart, 0), (0, vec![second(0, 510), Change::OneMore { language: Some(FARSI) }]));
    // Locked with one who is ill: either the announcement changes or they come after all.
    let mut locked = two();
    locked.inspectors.push(locked.inspectors[0].clone());
    locked.days.push(InspectorDay { inspector: 2, ..locked.days[0].clone() });
    locked.days[1].available = false;
    locked.visits[0].announced =
        Some(Announced { inspectors: vec![0, 1], starts_at: 520, day: day_of(520), weight: 1, locked: true });
    assert_eq!(best(&locked, 0), (0, vec![second(1, 520), Change::MakeAvailable]));
    let plan = plan(&locked, 1, &schedule(9), &mut Unwatched).unwrap();
    let third = why_not(&locked, &plan, 0)[2].clone();
    assert_eq!(third.obstacles, [Obstacle::Locked]);
    assert_eq!(third.remedy(), Some(vec![Change::Unlock, second(0, 510)]));
}

#[test]
fn one_more_speaker_of_a_language_is_less_than_a_lesson_and_more_than_half_an_hour() {
    let speaker = Change::OneMore { language: Some(FARSI) };
    let mut problem = two();
    problem.visits[0].people = 1;
    problem.inspectors.iter_mut().for_each(|inspector| inspector.languages.clear());
    assert_eq!(best(&problem, 0), (0, vec![speaker]));
    // What it would take with those there are is said as well, day by day.
    let nobody = plan(&problem, 1, &schedule(9), &mut Unwatched).unwrap();
    let reasons = why_not(&problem, &nobody, 0);
    assert_eq!(reasons[0].remedy(), Some(vec![Change::AddLanguage { language: FARSI }]));
    assert_eq!(reasons[0].one_more(), Some(vec![speaker]));
    // Of two, one is there: the other has to be found.
    let mut of_two = two();
    of_two.inspectors[1].languages.clear();
    assert_eq!(best(&of_two, 0), (0, vec![Change::Second { day: 0, meet_at: 510 }, speaker]));
    // Half an hour is less than another person.
    problem.inspectors[0].languages.push(FARSI);
    problem.days[0].ends_at = 630;
    assert_eq!(best(&problem, 0), (0, vec![Change::LongerDay { by_min: 30 }]));
    // Whoever is added is no help where not even a free day is long enough.
    problem.days.iter_mut().for_each(|day| day.ends_at = 630);
    problem.inspectors[0].languages.clear();
    let nobody = plan(&problem, 1, &schedule(9), &mut Unwatched).unwrap();
    assert!(why_not(&problem, &nobody, 0).iter().all(|reason| reason.one_more().is_none()));
}
