//! Gathers the case of a plan: what is to be placed, who may be sent, and what happened meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{NaiveDate, TimeDelta};
use chrono_tz::Tz;
use endcheck_planner::visits::calendar::{
    Calendar, CalendarFault, Day, Instant, LocalTime as _, inspector_days, spans,
};
use endcheck_planner::visits::replan::notice_weight;
use endcheck_protocol::ids::{PartyId, UserId, VisitId};
use endcheck_protocol::place::{Fence, Position};
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::VisitState;

use super::ProposePlan;
use super::case::{Apart, Case, Event, ModeOf, Person, PersonDay, Place, Placed, Task, WaysOf};
use super::roster::{self, Roster, day_number};
use super::store::{self, OnCalendar, Subject};
use super::zones::Zones;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::rows::countries;
use crate::{accounts, parties, serials, sites};

/// The most that one plan takes, as the planner has it.
const MOST_TASKS: i64 = 5_000;
/// What may be said without an end: some four years from the origin.
const FOREVER_MIN: i32 = 1_900_000;
const MOST_RISK: i64 = 10_000;
const DAY_MIN: i32 = 1_440;
/// Urgent checks outweigh whatever a policy gives.
const URGENT_RISK: i64 = MOST_RISK;

/// Numbers for words, in the order in which they are met.
#[derive(Default)]
struct Numbers {
    words: Vec<String>,
    known: HashMap<String, u32>,
}

impl Numbers {
    fn of(&mut self, word: &str) -> u32 {
        if let Some(number) = self.known.get(word) {
            return *number;
        }
        let number = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        self.words.push(word.to_owned());
        self.known.insert(word.to_owned(), number);
        number
    }
}

/// Places, each with a number.
struct Places<'a> {
    list: Vec<Place>,
    known: HashMap<String, u32>,
    /// Rows of the operator's table by name, where there is one.
    rows: Option<(&'a roster::Ways, HashMap<&'a str, usize>)>,
    chosen: Vec<usize>,
}

impl<'a> Places<'a> {
    fn new(roster: &'a Roster) -> Self {
        let rows = roster.ways.as_ref().map(|ways| {
            (ways, ways.places.iter().enumerate().map(|(row, name)| (name.as_str(), row)).collect())
        });
        Self { list: Vec::new(), known: HashMap::new(), rows, chosen: Vec::new() }
    }

    /// The number of a place; nothing where the operator's table has no row for it.
    fn of(&mut self, key: &str, name: &str, position: Position) -> Option<u32> {
        if let Some(number) = self.known.get(key) {
            return Some(*number);
        }
        if let Some((_, rows)) = &self.rows {
            self.chosen.push(*rows.get(key)?);
        }
        let number = u32::try_from(self.list.len()).ok()?;
        let (latitude, longitude) = (position.lat(), position.lon());
        self.list.push(Place { name: name.to_owned(), latitude, longitude });
        self.known.insert(key.to_owned(), number);
        Some(number)
    }

    fn ways(&self, roster: &Roster) -> WaysOf {
        let Some((ways, _)) = &self.rows else {
            let modes = roster.modes.iter().map(|mode| ModeOf {
                up_to_km: mode.up_to_km,
                detour: mode.detour,
                kilometres_per_hour: mode.kilometres_per_hour,
                overhead_min: mode.overhead_min,
            });
            return WaysOf::Modes(modes.collect());
        };
        let cell = |from: usize, to: usize| ways.minutes.get(from).and_then(|row| row.get(to)).copied();
        let cells = self.chosen.iter().flat_map(|from| self.chosen.iter().map(move |to| (*from, *to)));
        // A roster with a hole is not loaded.
        WaysOf::Table(cells.map(|(from, to)| cell(from, to).unwrap_or(-1)).collect())
    }
}

/// Makes a case.
struct Gathering<'a> {
    roster: &'a Roster,
    command: &'a ProposePlan,
    zones: Zones,
    now_min: i32,
    first: Day,
    last: Day,
    places: Places<'a>,
    categories: Numbers,
    languages: Numbers,
    countries: Numbers,
    conflicts: Vec<(String, Option<PartyId>)>,
    /// The number of each inspector who can be sent.
    people: HashMap<UserId, u32>,
    logins: HashMap<String, u32>,
    /// Visits of which the host was told.
    told: BTreeSet<VisitId>,
    apart: Vec<Apart>,
}

/// Gathers a case.
///
/// # Errors
/// 422 for days, logins and countries that are none.
pub fn gather(conn: &mut Conn, roster: &Roster, command: &ProposePlan, now: Timestamp) -> Result<Case> {
    let first_day = date("first_day", &command.first_day)?;
    if !(1..=60).contains(&command.days) {
        return Err(Error::invalid_field("days", "is from 1 to 60"));
    }
    let origin_at = first_day.and_time(chrono::NaiveTime::MIN).and_utc().into();
    let zones = Zones { origin_at };
    let mut keys: Vec<String> = roster.inspectors.iter().flat_map(|one| one.conflicts.clone()).collect();
    keys.sort();
    keys.dedup();
    let ids = parties::ids_by_key(conn, keys.iter().map(String::as_str))?;
    let conflicts = keys.into_iter().map(|key| (key.clone(), ids.get(&key).cloned())).collect();
    let first = day_number(first_day);
    let mut gathering = Gathering {
        roster,
        command,
        now_min: zones.minute(now),
        zones,
        first,
        last: first + command.days - 1,
        places: Places::new(roster),
        categories: Numbers::default(),
        languages: Numbers::default(),
        countries: Numbers::default(),
        conflicts,
        people: HashMap::new(),
        logins: HashMap::new(),
        told: BTreeSet::new(),
        apart: Vec::new(),
    };
    if let Some(code) = &command.country {
        gathering.country("country", code)?;
    }
    // A day wider on both sides: which day it is is told by the clock at the site.
    let span = (gathering.day_begins(gathering.first - 1), gathering.day_begins(gathering.last + 2));
    let mut calendar = store::to_place(conn, command.country.as_deref(), (span, now), MOST_TASKS + 1)?;
    let unvisited = store::unvisited(conn, command.country.as_deref(), MOST_TASKS + 1)?;
    if i64::try_from(calendar.len().max(unvisited.len())).is_ok_and(|there| there > MOST_TASKS) {
        return Err(Error::with_status(
            422,
            "cannot-be-planned",
            "There is too much to plan with",
            format!("More than {MOST_TASKS} visits or checks wait: plan by country."),
        ));
    }
    calendar.retain(|(visit, subject)| gathering.is_of_period(visit, subject));
    gathering.told = store::announced(conn)?;
    for (_, subject) in &calendar {
        gathering.categories.of(&subject.control_entry);
    }
    for subject in &unvisited {
        gathering.categories.of(&subject.control_entry);
    }
    let (inspectors, mut inspector_days) = gathering.people(&accounts::inspectors(conn)?)?;
    let mut tasks = Vec::new();
    for (visit, subject) in calendar {
        tasks.extend(gathering.task(Some(visit), subject)?);
    }
    for subject in unvisited {
        match where_it_stands(conn, subject)? {
            Ok(subject) => tasks.extend(gathering.task(None, subject)?),
            Err(apart) => gathering.apart.push(apart),
        }
    }
    known_ids(command, &tasks)?;
    let events = gathering.events()?;
    gathering.keep_free_days(conn, &tasks, &mut inspector_days)?;
    Ok(Case {
        origin_at,
        now_at: now,
        first_day: command.first_day.clone(),
        days: command.days,
        ways: gathering.places.ways(roster),
        places: gathering.places.list,
        inspectors,
        inspector_days,
        categories: gathering.categories.words,
        languages: gathering.languages.words,
        countries: gathering.countries.words,
        parties: gathering.conflicts.into_iter().map(|(key, _)| key).collect(),
        tasks,
        apart: gathering.apart,
        events,
        hold: command.hold,
    })
}

fn date(field: &str, text: &str) -> Result<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .filter(|date| (2000..2200).contains(&chrono::Datelike::year(date)))
        .ok_or_else(|| Error::invalid_field(field, format!("{text:?} is not a day such as 2026-12-01")))
}

impl<'a> Gathering<'a> {
    /// Whether a visit is to be placed within this period: it is on nobody's calendar, or within the period, or its
    /// time is over and nobody went.
    fn is_of_period(&self, visit: &OnCalendar, subject: &Subject) -> bool {
        let day = day_number(local_date(visit.window_start_at, &subject.time_zone));
        let over = self.zones.minute(visit.window_end_at) < self.now_min;
        visit.inspector.is_none() || over || (self.first..=self.last).contains(&day)
    }

    /// When a day begins by the clock of the origin.
    fn day_begins(&self, day: Day) -> Timestamp {
        self.zones.origin_at.plus(TimeDelta::days(i64::from(day - self.first)))
    }

    /// Takes away the days of people who have a visit that is not among the tasks.
    fn keep_free_days(&self, conn: &mut Conn, tasks: &[Task], days: &mut Vec<PersonDay>) -> Result<()> {
        let span = (self.day_begins(self.first - 1), self.day_begins(self.last + 2));
        for booked in store::booked_elsewhere(conn, span, tasks)? {
            let (from, to) = (self.zones.minute(booked.starts_at), self.zones.minute(booked.ends_at));
            for number in booked.people().filter_map(|user| self.people.get(user)) {
                days.retain(|day| day.inspector != *number || day.ends_at <= from || day.starts_at >= to);
            }
        }
        Ok(())
    }

    fn people(
        &mut self,
        accounts: &HashMap<String, (UserId, String)>,
    ) -> Result<(Vec<Person>, Vec<PersonDay>)> {
        let (mut people, mut days) = (Vec::new(), Vec::new());
        for one in &self.roster.inspectors {
            // Whoever left since the roster was loaded is sent nowhere.
            let Some((user, name)) = accounts.get(&one.login) else { continue };
            let number = u32::try_from(people.len()).unwrap_or(u32::MAX);
            let field = |what: &str| Error::invalid_field("roster", format!("{}: {what}", one.login));
            let no_row =
                || field("the roster's table of ways has no row for their base or a night elsewhere");
            let base = format!("base:{}", one.login);
            let base = self.places.of(&base, &one.base_name, one.base).ok_or_else(no_row)?;
            let mut nights = Vec::new();
            for (day, position, name) in &one.nights {
                let key = format!("night:{}:{}", position.lat_e7(), position.lon_e7());
                nights.push((*day, self.places.of(&key, name, *position).ok_or_else(no_row)?));
            }
            let calendar = Calendar {
                week: one.week.clone(),
                leave: one.leave.clone(),
                base,
                nights,
                most_duty_min: one.most_duty_min,
                most_without_break_min: one.most_without_break_min,
                break_min: one.break_min,
            };
            let worked = inspector_days(&calendar, number, (self.first, self.last), &self.zones)
                .map_err(|fault| field(&fault.to_string()))?;
            for day in worked.into_iter().filter(|day| day.ends_at > self.now_min) {
                days.push(PersonDay {
                    inspector: number,
                    starts_at: day.starts_at.max(self.now_min),
                    ends_at: day.ends_at,
                    from: day.from,
                    to: day.to,
                    most_duty_min: day.most_duty_min,
                    most_without_break_min: day.most_without_break_min,
                    break_min: day.break_min,
                });
            }
            people.push(Person {
                user: user.clone(),
                login: one.login.clone(),
                name: name.clone(),
                time_zone: one.week.zone.clone(),
                competences: self.competences(one),
                languages: one.languages.iter().map(|word| self.languages.of(&word.to_lowercase())).collect(),
                conflicts: one
                    .conflicts
                    .iter()
                    .filter_map(|key| self.conflicts.iter().position(|(known, _)| known == key))
                    .filter_map(|number| u32::try_from(number).ok())
                    .collect(),
                barred: one.barred.iter().map(|code| self.countries.of(code)).collect(),
            });
            self.people.insert(user.clone(), number);
            self.logins.insert(one.login.clone(), number);
        }
        Ok((people, days))
    }

    /// The categories that somebody is competent for, each until an instant that counts its last day whole.
    fn competences(&self, one: &roster::Inspector) -> Vec<(u32, i32)> {
        let mut until: BTreeMap<u32, i32> = BTreeMap::new();
        for (number, entry) in (0..).zip(&self.categories.words) {
            for (_, last_day) in one.competences.iter().filter(|(prefix, _)| entry.starts_with(prefix)) {
                let expires_at = match last_day {
                    None => FOREVER_MIN,
                    // The planner counts a day by its 24 hours from the first of work.
                    Some(day) => self.start_of(&one.week.zone, day + 2).clamp(-FOREVER_MIN, FOREVER_MIN),
                };
                until.entry(number).and_modify(|at| *at = expires_at.max(*at)).or_insert(expires_at);
            }
        }
        until.into_iter().collect()
    }

    /// The first instant of a day in a zone.
    fn start_of(&self, zone: &str, day: Day) -> i32 {
        match self.zones.instant(zone, day, 0) {
            Some(Instant::Once(at) | Instant::Twice(at, _) | Instant::Skipped(at)) => at,
            None => (day - self.first) * DAY_MIN,
        }
    }

    fn task(&mut self, visit: Option<OnCalendar>, subject: Subject) -> Result<Option<Task>> {
        let rules = self.roster.site(&subject.site_key, &subject.country, &subject.time_zone);
        let set_apart = |gathering: &mut Self, reason: &str| {
            gathering.apart.push(Apart {
                visit: visit.as_ref().map(|visit| visit.id.clone()),
                check: subject.check.clone(),
                shipment_key: subject.shipment_key.clone(),
                site_name: subject.site_name.clone(),
                reason: reason.to_owned(),
            });
            Ok(None)
        };
        let Some(position) = position(&subject)? else {
            return set_apart(self, "The site has no fence: nobody knows where it is. Import one for it.");
        };
        let key = format!("site:{}", subject.site_key);
        let Some(place) = self.places.of(&key, &subject.site_name, position) else {
            return set_apart(self, "The roster's table of ways has no row for the site. Add one.");
        };
        if let Some(reason) = visit.as_ref().and_then(|visit| self.untouchable(visit)) {
            return set_apart(self, reason);
        }
        let windows = match spans(&rules.week, self.first, self.last, &self.zones) {
            Ok(windows) => windows,
            Err(fault @ (CalendarFault::Zone { .. } | CalendarFault::Hours { .. })) => {
                return set_apart(self, &format!("Its opening hours cannot be told: {fault}."));
            }
        };
        let windows = windows.into_iter().map(|(open, close)| (open.max(self.now_min), close));
        let mut not_before = self.now_min + rules.notice_days * DAY_MIN;
        let state = visit.as_ref().and_then(|visit| VisitState::parse(&visit.state));
        let placed = visit.as_ref().and_then(|visit| self.placed(visit, &subject.time_zone));
        let told = visit.as_ref().is_some_and(|visit| self.told.contains(&visit.id));
        let weight = placed
            .as_ref()
            .map(|placed| if told { 1 + notice_weight(self.now_min, placed.starts_at) } else { 1 });
        if told && let Some(placed) = &placed {
            not_before = not_before.min(placed.starts_at);
        }
        let concerned = store::concerned(&subject)?;
        let parties = (0..).zip(&self.conflicts).filter_map(|(number, (_, id))| {
            id.as_ref().is_some_and(|id| concerned.contains(id)).then_some(number)
        });
        let urgent = self.command.urgent.contains(&subject.check);
        let two = visit.as_ref().is_some_and(|visit| visit.second.is_some());
        Ok(Some(Task {
            locked: visit.as_ref().is_some_and(|visit| self.command.locked.contains(&visit.id)),
            place,
            country: self.countries.of(&subject.country),
            duration_min: rules.duration_min,
            windows: windows.filter(|(open, close)| open < close).collect(),
            not_before: not_before.clamp(-FOREVER_MIN, FOREVER_MIN),
            due_at: self.zones.minute(subject.due_at).clamp(-FOREVER_MIN, FOREVER_MIN),
            categories: vec![self.categories.of(&subject.control_entry)],
            languages: rules.languages.iter().map(|word| self.languages.of(&word.to_lowercase())).collect(),
            parties: parties.collect(),
            people: if two { 2 } else { rules.people },
            risk: if urgent {
                URGENT_RISK
            } else {
                (1 + subject.points.unwrap_or(0)).clamp(1, MOST_RISK - 1)
            },
            weight,
            told,
            placed,
            urgent,
            version: visit.as_ref().map(|visit| visit.version),
            state: state.map(|state| state.as_str().to_owned()),
            visit: visit.map(|visit| visit.id),
            check: subject.check,
            shipment: subject.shipment,
            shipment_key: subject.shipment_key,
            site: subject.site,
            site_name: subject.site_name,
            time_zone: subject.time_zone,
        }))
    }

    /// Why a visit is left as it is, whatever is planned.
    fn untouchable(&self, visit: &OnCalendar) -> Option<&'static str> {
        let mut people = [&visit.inspector, &visit.second].into_iter().flatten().peekable();
        people.peek()?;
        let over = self.zones.minute(visit.window_end_at) < self.now_min;
        let begun = self.zones.minute(visit.window_start_at) <= self.now_min;
        if begun && !over {
            return Some("Its time has begun: it is left as it is.");
        }
        if over && visit.state == VisitState::Dispatched.as_str() {
            return Some("Its time is over and a device has it: it counts as missed once it is interrupted.");
        }
        let known = people.all(|user| self.people.contains_key(user));
        (!over && !known).then_some("Somebody who is not on the roster has it: it is left as it is.")
    }

    /// Where a visit is on the calendar; nowhere when its time is over, or nobody of the roster has it.
    fn placed(&self, visit: &OnCalendar, zone: &str) -> Option<Placed> {
        let inspectors: Vec<u32> = [&visit.inspector, &visit.second]
            .into_iter()
            .flatten()
            .filter_map(|user| self.people.get(user).copied())
            .collect();
        let (starts_at, ends_at) =
            (self.zones.minute(visit.window_start_at), self.zones.minute(visit.window_end_at));
        let stands = !inspectors.is_empty() && ends_at >= self.now_min;
        let day = day_number(local_date(visit.window_start_at, zone));
        let day = Some((self.start_of(zone, day), self.start_of(zone, day + 1)));
        stands.then_some(Placed { inspectors, starts_at, ends_at, day })
    }

    fn events(&mut self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        for (number, away) in self.command.away.iter().enumerate() {
            let (inspector, one) = self.person(&format!("away[{number}].inspector"), &away.inspector)?;
            let (from, to) = days(&format!("away[{number}]"), &away.from, &away.to)?;
            let (from, to) = (self.start_of(&one.week.zone, from), self.start_of(&one.week.zone, to + 1));
            let told = format!("{} is away from {} to {}", one.login, away.from, away.to);
            events.push(Event::Away { inspector, from, to, told });
        }
        for (number, closed) in self.command.closed.iter().enumerate() {
            let country = self.country(&format!("closed[{number}].country"), &closed.country)?;
            let (from, to) = days(&format!("closed[{number}]"), &closed.from, &closed.to)?;
            let (from, to) = ((from - self.first) * DAY_MIN, (to + 1 - self.first) * DAY_MIN);
            let told = format!("nobody gets into {} from {} to {}", closed.country, closed.from, closed.to);
            events.push(Event::BorderClosed { country, from, to, told });
        }
        for (number, refused) in self.command.refused.iter().enumerate() {
            let (inspector, one) =
                self.person(&format!("refused[{number}].inspector"), &refused.inspector)?;
            let told = format!("{} may not enter {}", one.login, refused.country);
            let country = self.country(&format!("refused[{number}].country"), &refused.country)?;
            events.push(Event::VisaRefused { inspector, country, told });
        }
        Ok(events)
    }

    fn person(&self, field: &str, login: &str) -> Result<(u32, &'a roster::Inspector)> {
        let one = self.roster.inspectors.iter().find(|one| one.login == login);
        let numbered = one.and_then(|one| Some((*self.logins.get(login)?, one)));
        numbered.ok_or_else(|| {
            Error::invalid_field(field, format!("{login:?} is nobody of the roster who can be sent"))
        })
    }

    fn country(&mut self, field: &str, code: &str) -> Result<u32> {
        if !countries::is_assigned(code) {
            return Err(Error::invalid_field(field, format!("{code:?} is not an ISO 3166-1 alpha-2 code")));
        }
        Ok(self.countries.of(code))
    }
}

/// The date of an instant in a zone.
fn local_date(at: Timestamp, zone: &str) -> NaiveDate {
    at.utc().with_timezone(&zone.parse().unwrap_or(Tz::UTC)).date_naive()
}

/// Refuses what is asked for and not there.
fn known_ids(command: &ProposePlan, tasks: &[Task]) -> Result<()> {
    let known = |visit: &VisitId| tasks.iter().any(|task| task.visit.as_ref() == Some(visit));
    if let Some(visit) = command.locked.iter().find(|visit| !known(visit)) {
        return Err(Error::invalid_field("locked", format!("{visit} is no visit that could be moved here")));
    }
    if let Some(check) = command.urgent.iter().find(|check| tasks.iter().all(|task| task.check != **check)) {
        return Err(Error::invalid_field(
            "urgent",
            format!("{check} is no check that could be planned here"),
        ));
    }
    Ok(())
}

/// Two days in order.
fn days(field: &str, from: &str, to: &str) -> Result<(Day, Day)> {
    let (first, last) = (date(&format!("{field}.from"), from)?, date(&format!("{field}.to"), to)?);
    if first > last {
        return Err(Error::invalid_field(&format!("{field}.to"), "comes before the first day"));
    }
    Ok((day_number(first), day_number(last)))
}

/// A check goes to where the shipment's serials stand now, whatever its papers say; apart where they differ.
fn where_it_stands(conn: &mut Conn, subject: Subject) -> Result<std::result::Result<Subject, Apart>> {
    let site = match serials::site_of(conn, &subject.shipment) {
        Ok(site) if site == subject.site => return Ok(Ok(subject)),
        Ok(site) => sites::get(conn, &site)?,
        Err(Error::Refused(problem)) => {
            return Ok(Err(Apart {
                visit: None,
                check: subject.check,
                shipment_key: subject.shipment_key,
                site_name: subject.site_name,
                reason: problem.detail,
            }));
        }
        Err(error) => return Err(error),
    };
    let fence = site.fence.as_ref().map(serde_json::to_string).transpose();
    Ok(Ok(Subject {
        site: site.id,
        site_key: site.key,
        site_name: site.name,
        country: site.country,
        time_zone: site.time_zone,
        fence: fence.map_err(|e| Error::Internal(e.into()))?,
        host: site.party,
        ..subject
    }))
}

fn position(subject: &Subject) -> Result<Option<Position>> {
    let Some(text) = &subject.fence else { return Ok(None) };
    let value: serde_json::Value = serde_json::from_str(text).map_err(|e| Error::Internal(e.into()))?;
    Ok(Fence::from_geojson(&value).ok().and_then(|fence| fence.middle()))
}
