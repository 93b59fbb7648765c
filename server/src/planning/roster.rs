//! The roster: who may be sent, when and where to, as the operator writes it down in TOML.
//!
//! Pure. Says everything that is wrong with a document at once, each by its path. What it names in the database (logins,
//! sites, parties) is looked up by the slice.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike as _, NaiveDate};
use chrono_tz::Tz;
use endcheck_planner::visits::calendar::{Day, Week};
use endcheck_planner::visits::ways::{DRIVE_AND_FLY, Mode};
use endcheck_protocol::place::Position;
use serde::Deserialize;

use crate::rows::countries;

/// The largest document.
pub const MAX_ROSTER_BYTES: usize = 8 * 1024 * 1024;

/// A roster that was read.
#[derive(Debug, Clone)]
pub struct Roster {
    pub title: String,
    pub inspectors: Vec<Inspector>,
    rules: Rules,
    countries: BTreeMap<String, Rules>,
    sites: BTreeMap<String, Rules>,
    holidays: BTreeMap<String, BTreeSet<Day>>,
    pub modes: Vec<Mode>,
    pub ways: Option<Ways>,
}

/// Somebody who may be sent.
#[derive(Debug, Clone)]
pub struct Inspector {
    pub login: String,
    pub base_name: String,
    pub base: Position,
    pub week: Week,
    pub leave: Vec<(Day, Day)>,
    /// The day before a night that is spent elsewhere, where, and how that is called.
    pub nights: Vec<(Day, Position, String)>,
    /// Prefixes of control-list entries, each with its last day.
    pub competences: Vec<(String, Option<Day>)>,
    pub languages: Vec<String>,
    /// Keys of parties.
    pub conflicts: Vec<String>,
    /// Countries that they may not enter.
    pub barred: Vec<String>,
    pub most_duty_min: i32,
    pub most_without_break_min: i32,
    pub break_min: i32,
}

/// What holds at a site, once country and defaults are looked through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteRules {
    pub week: Week,
    pub languages: Vec<String>,
    pub duration_min: i32,
    pub notice_days: i32,
    pub people: u8,
}

/// An operator's table of minutes, for places by name: `site:KEY` or `base:LOGIN`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ways {
    pub places: Vec<String>,
    /// Row by row, from each place to each; a negative number is a fault, a missing row or cell a hole.
    pub minutes: Vec<Vec<i64>>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Such as `inspectors[2].leave[0]`.
    pub path: String,
    pub reason: String,
}

/// What may be said of a site, a country, or all; what is not said is looked up further out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rules {
    hours: Option<BTreeMap<String, Vec<String>>>,
    holidays: Vec<String>,
    languages: Option<Vec<String>>,
    duration_min: Option<i32>,
    notice_days: Option<i32>,
    people: Option<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    title: String,
    #[serde(default)]
    defaults: Rules,
    #[serde(default)]
    countries: BTreeMap<String, Rules>,
    #[serde(default)]
    sites: BTreeMap<String, Rules>,
    #[serde(default)]
    inspectors: Vec<Entry>,
    #[serde(default)]
    modes: Vec<ModeEntry>,
    ways: Option<Ways>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModeEntry {
    up_to_km: f64,
    detour: f64,
    kilometres_per_hour: f64,
    overhead_min: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    login: String,
    base: Base,
    country: String,
    time_zone: String,
    hours: Option<BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    leave: Vec<String>,
    #[serde(default)]
    nights: Vec<Night>,
    #[serde(default)]
    competences: Vec<Competence>,
    #[serde(default)]
    languages: Vec<String>,
    #[serde(default)]
    conflicts: Vec<String>,
    #[serde(default)]
    barred: Vec<String>,
    most_duty_min: Option<i32>,
    most_without_break_min: Option<i32>,
    break_min: Option<i32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Base {
    name: String,
    latitude: f64,
    longitude: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Night {
    date: String,
    name: String,
    latitude: f64,
    longitude: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Competence {
    entry: String,
    until: Option<String>,
}

/// Where a document says nothing.
const DURATION_MIN: i32 = 120;
const MOST_DUTY_MIN: i32 = 600;
const MOST_WITHOUT_BREAK_MIN: i32 = 300;
const BREAK_MIN: i32 = 30;
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const OFFICE_HOURS: [(i32, i32); 1] = [(8 * 60, 18 * 60)];
const OPENING_HOURS: [(i32, i32); 2] = [(9 * 60, 12 * 60), (13 * 60, 17 * 60)];

impl Roster {
    /// Reads a document.
    ///
    /// # Errors
    /// Everything that is wrong with it, by path; a document that is no TOML by its line.
    pub fn read(text: &str) -> Result<Self, Vec<Fault>> {
        let document: Document =
            toml::from_str(text).map_err(|error| vec![fault("the document", error.to_string())])?;
        let mut faults = Vec::new();
        rules_hold("defaults", &document.defaults, &mut faults);
        let mut holidays = BTreeMap::new();
        for (code, rules) in &document.countries {
            let path = format!("countries.{code}");
            country(&path, code, &mut faults);
            rules_hold(&path, rules, &mut faults);
            holidays.insert(code.clone(), dates(&rules.holidays).collect());
        }
        for (key, rules) in &document.sites {
            rules_hold(&format!("sites.{key}"), rules, &mut faults);
        }
        let mut logins = BTreeSet::new();
        let mut inspectors = Vec::new();
        for (number, entry) in document.inspectors.into_iter().enumerate() {
            let path = format!("inspectors[{number}]");
            if !logins.insert(entry.login.clone()) {
                faults.push(fault(&format!("{path}.login"), format!("{} stands here twice", entry.login)));
            }
            inspectors.extend(inspector(&path, entry, &holidays, &mut faults));
        }
        if inspectors.is_empty() && faults.is_empty() {
            faults.push(fault("inspectors", "names nobody; a plan needs somebody to send".to_owned()));
        }
        let modes = modes(&document.modes, &mut faults);
        if let Some(ways) = &document.ways {
            ways_hold(ways, &mut faults);
            for (number, one) in inspectors.iter().enumerate() {
                let base = format!("base:{}", one.login);
                if !ways.places.contains(&base) {
                    faults.push(fault("ways.places", format!("has no {base}")));
                }
                if !one.nights.is_empty() {
                    let reason = "with a table of ways there are no nights elsewhere: use modes".to_owned();
                    faults.push(fault(&format!("inspectors[{number}].nights"), reason));
                }
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            title: document.title,
            inspectors,
            rules: document.defaults,
            countries: document.countries,
            sites: document.sites,
            holidays,
            modes,
            ways: document.ways,
        })
    }

    /// What holds at a site.
    #[must_use]
    pub fn site(&self, key: &str, country: &str, time_zone: &str) -> SiteRules {
        let (site, of_country) = (self.sites.get(key), self.countries.get(country));
        let levels = || [site, of_country, Some(&self.rules)].into_iter().flatten();
        let hours = levels().find_map(|rules| rules.hours.as_ref()).and_then(|hours| week_hours(hours).ok());
        let mut off = self.holidays.get(country).cloned().unwrap_or_default();
        off.extend(dates(&self.rules.holidays));
        off.extend(site.into_iter().flat_map(|rules| dates(&rules.holidays)));
        let hours = hours.unwrap_or_else(|| working_week(&OPENING_HOURS));
        SiteRules {
            week: Week { zone: time_zone.to_owned(), hours, off },
            languages: levels().find_map(|rules| rules.languages.clone()).unwrap_or_default(),
            duration_min: levels().find_map(|rules| rules.duration_min).unwrap_or(DURATION_MIN),
            notice_days: levels().find_map(|rules| rules.notice_days).unwrap_or(0),
            people: levels().find_map(|rules| rules.people).unwrap_or(1),
        }
    }

    /// The keys of sites that it speaks of.
    pub fn site_keys(&self) -> impl Iterator<Item = &str> {
        self.sites.keys().map(String::as_str)
    }
}

/// A day as the planner counts it, from 1970-01-01.
#[must_use]
pub fn day_number(date: NaiveDate) -> Day {
    date.num_days_from_ce() - EPOCH_FROM_CE
}

/// The date of a day.
#[must_use]
pub fn date_of(day: Day) -> Option<NaiveDate> {
    NaiveDate::from_num_days_from_ce_opt(day.checked_add(EPOCH_FROM_CE)?)
}

/// 1970-01-01, counted from the first day of the common era.
const EPOCH_FROM_CE: i32 = 719_163;

fn fault(path: &str, reason: String) -> Fault {
    Fault { path: path.to_owned(), reason }
}

fn date(text: &str) -> Option<NaiveDate> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    (2000..2200).contains(&date.year()).then_some(date)
}

fn dates(texts: &[String]) -> impl Iterator<Item = Day> + '_ {
    texts.iter().filter_map(|text| date(text)).map(day_number)
}

fn country(path: &str, code: &str, faults: &mut Vec<Fault>) {
    if !countries::is_assigned(code) {
        faults.push(fault(path, format!("{code:?} is not an ISO 3166-1 alpha-2 code such as DE")));
    }
}

fn rules_hold(path: &str, rules: &Rules, faults: &mut Vec<Fault>) {
    if let Some(Err(reason)) = rules.hours.as_ref().map(week_hours) {
        faults.push(fault(&format!("{path}.hours"), reason));
    }
    for (number, text) in rules.holidays.iter().enumerate() {
        if date(text).is_none() {
            faults.push(fault(
                &format!("{path}.holidays[{number}]"),
                format!("{text:?} is not a day such as 2026-12-25"),
            ));
        }
    }
    let mut within = |name: &str, value: Option<i32>, range: std::ops::RangeInclusive<i32>| {
        if let Some(value) = value.filter(|value| !range.contains(value)) {
            let reason = format!("{value} is not from {} to {}", range.start(), range.end());
            faults.push(fault(&format!("{path}.{name}"), reason));
        }
    };
    within("duration_min", rules.duration_min, 5..=1_440);
    within("notice_days", rules.notice_days, 0..=365);
    within("people", rules.people.map(i32::from), 1..=2);
}

/// Hours of a week, from entries such as `"mon-fri" = ["09:00-12:00", "13:00-17:00"]`.
fn week_hours(entries: &BTreeMap<String, Vec<String>>) -> Result<[Vec<(i32, i32)>; 7], String> {
    let weekday = |name: &str| {
        WEEKDAYS.iter().position(|day| *day == name).ok_or_else(|| {
            format!("{name:?} is not one of mon, tue, wed, thu, fri, sat, sun, nor a span such as mon-fri")
        })
    };
    let mut week: [Vec<(i32, i32)>; 7] = Default::default();
    for (days, texts) in entries {
        let (first, last) = match days.split_once('-') {
            Some((first, last)) => (weekday(first)?, weekday(last)?),
            None => (weekday(days)?, weekday(days)?),
        };
        let mut spans = texts.iter().map(|text| span(text)).collect::<Result<Vec<_>, _>>()?;
        spans.sort_unstable();
        if spans.windows(2).any(|pair| matches!(pair, [(_, end), (start, _)] if start < end)) {
            return Err(format!("the hours of {days} overlap"));
        }
        // A span of days may go round the end of the week.
        let many = (last + 7 - first) % 7;
        for day in first..=first + many {
            let Some(hours) = week.get_mut(day % 7) else { continue };
            if !hours.is_empty() {
                let name = WEEKDAYS.get(day % 7).copied().unwrap_or_default();
                return Err(format!("{name} is named twice"));
            }
            hours.clone_from(&spans);
        }
    }
    Ok(week)
}

fn span(text: &str) -> Result<(i32, i32), String> {
    let minute = |text: &str| {
        let (hours, minutes) = text.trim().split_once(':')?;
        let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
        let minute = hours * 60 + minutes;
        ((0..60).contains(&minutes) && (0..=1_440).contains(&minute)).then_some(minute)
    };
    let read = || {
        let (from, to) = text.split_once('-')?;
        let (from, to) = (minute(from)?, minute(to)?);
        (from < to).then_some((from, to))
    };
    read().ok_or_else(|| format!("{text:?} are not hours such as 09:00-17:00"))
}

fn working_week(hours: &[(i32, i32)]) -> [Vec<(i32, i32)>; 7] {
    std::array::from_fn(|day| if day < 5 { hours.to_vec() } else { Vec::new() })
}

fn inspector(
    path: &str,
    entry: Entry,
    holidays: &BTreeMap<String, BTreeSet<Day>>,
    faults: &mut Vec<Fault>,
) -> Option<Inspector> {
    let before = faults.len();
    country(&format!("{path}.country"), &entry.country, faults);
    if entry.time_zone.parse::<Tz>().is_err() {
        let reason = format!("{:?} is not an IANA time zone such as Europe/Berlin", entry.time_zone);
        faults.push(fault(&format!("{path}.time_zone"), reason));
    }
    let hours = match entry.hours.as_ref().map(week_hours) {
        Some(Ok(hours)) => hours,
        Some(Err(reason)) => {
            faults.push(fault(&format!("{path}.hours"), reason));
            return None;
        }
        None => working_week(&OFFICE_HOURS),
    };
    if hours.iter().any(|spans| spans.len() > 1) {
        let reason = "one span a day: breaks are planned by themselves".to_owned();
        faults.push(fault(&format!("{path}.hours"), reason));
    }
    let mut position = |path: String, latitude: f64, longitude: f64| {
        Position::from_degrees(latitude, longitude)
            .map_err(|error| faults.push(fault(&path, error.to_string())))
            .ok()
    };
    let base = position(format!("{path}.base"), entry.base.latitude, entry.base.longitude);
    let mut nights = Vec::new();
    for (number, night) in entry.nights.iter().enumerate() {
        let at = format!("{path}.nights[{number}]");
        let place = position(at, night.latitude, night.longitude);
        let day = date(&night.date).map(day_number);
        nights.extend(place.zip(day).map(|(place, day)| (day, place, night.name.clone())));
    }
    for (number, night) in entry.nights.iter().enumerate().filter(|(_, night)| date(&night.date).is_none()) {
        let reason = format!("{:?} is not a day such as 2026-12-01", night.date);
        faults.push(fault(&format!("{path}.nights[{number}].date"), reason));
    }
    let mut leave = Vec::new();
    for (number, text) in entry.leave.iter().enumerate() {
        let (first, last) = text.split_once('/').unwrap_or((text, text));
        match (date(first), date(last)) {
            (Some(first), Some(last)) if first <= last => leave.push((day_number(first), day_number(last))),
            _ => faults.push(fault(
                &format!("{path}.leave[{number}]"),
                format!("{text:?} is neither a day nor two in order, such as 2026-12-24/2027-01-02"),
            )),
        }
    }
    let mut competences = Vec::new();
    for (number, competence) in entry.competences.into_iter().enumerate() {
        let until = competence.until.as_deref().map(|text| date(text).ok_or(text));
        match until {
            Some(Err(text)) => faults.push(fault(
                &format!("{path}.competences[{number}].until"),
                format!("{text:?} is not a day such as 2027-06-30"),
            )),
            Some(Ok(date)) => competences.push((competence.entry, Some(day_number(date)))),
            None => competences.push((competence.entry, None)),
        }
    }
    for code in &entry.barred {
        country(&format!("{path}.barred"), code, faults);
    }
    let mut limit = |name: &str, value: Option<i32>, least: i32, otherwise: i32| {
        let value = value.unwrap_or(otherwise);
        if !(least..=1_440).contains(&value) {
            let reason = format!("{value} is not from {least} to 1,440 minutes");
            faults.push(fault(&format!("{path}.{name}"), reason));
        }
        value
    };
    let most_duty_min = limit("most_duty_min", entry.most_duty_min, 1, MOST_DUTY_MIN);
    let most_without_break_min =
        limit("most_without_break_min", entry.most_without_break_min, 1, MOST_WITHOUT_BREAK_MIN);
    let break_min = limit("break_min", entry.break_min, 0, BREAK_MIN);
    let off = holidays.get(&entry.country).cloned().unwrap_or_default();
    (faults.len() == before).then_some(Inspector {
        login: entry.login,
        base_name: entry.base.name,
        base: base?,
        week: Week { zone: entry.time_zone, hours, off },
        leave,
        nights,
        competences,
        languages: entry.languages,
        conflicts: entry.conflicts,
        barred: entry.barred,
        most_duty_min,
        most_without_break_min,
        break_min,
    })
}

fn modes(entries: &[ModeEntry], faults: &mut Vec<Fault>) -> Vec<Mode> {
    let mut modes: Vec<Mode> = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        let further = modes.last().is_none_or(|before| before.up_to_km < entry.up_to_km);
        let sound = (1.0..=20_100.0).contains(&entry.up_to_km)
            && (1.0..=10.0).contains(&entry.detour)
            && (1.0..=2_000.0).contains(&entry.kilometres_per_hour)
            && (0.0..=2_880.0).contains(&entry.overhead_min);
        if further && sound {
            modes.push(Mode {
                up_to_km: entry.up_to_km,
                detour: entry.detour,
                kilometres_per_hour: entry.kilometres_per_hour,
                overhead_min: entry.overhead_min,
            });
        } else {
            faults.push(fault(
                &format!("modes[{number}]"),
                "up_to_km grows from mode to mode up to 20,100, detour is from 1 to 10, kilometres_per_hour from 1 \
                 to 2,000, overhead_min from 0 to 2,880"
                    .to_owned(),
            ));
        }
    }
    if modes.is_empty() { DRIVE_AND_FLY.to_vec() } else { modes }
}

fn ways_hold(ways: &Ways, faults: &mut Vec<Fault>) {
    let distinct: BTreeSet<&String> = ways.places.iter().collect();
    if distinct.len() != ways.places.len() {
        faults.push(fault("ways.places", "names a place twice".to_owned()));
    }
    for (number, place) in ways.places.iter().enumerate() {
        if !place.starts_with("site:") && !place.starts_with("base:") {
            let reason = format!("{place:?} is neither site:KEY nor base:LOGIN");
            faults.push(fault(&format!("ways.places[{number}]"), reason));
        }
    }
    if ways.minutes.len() != ways.places.len() {
        let reason = format!("{} rows for {} places", ways.minutes.len(), ways.places.len());
        faults.push(fault("ways.minutes", reason));
    }
    for (from, row) in ways.minutes.iter().enumerate() {
        if row.len() != ways.places.len() {
            let reason = format!("{} minutes for {} places: a hole", row.len(), ways.places.len());
            faults.push(fault(&format!("ways.minutes[{from}]"), reason));
        }
        for (to, minutes) in row.iter().enumerate().filter(|(_, minutes)| !(0..=14_400).contains(*minutes)) {
            let reason = format!("{minutes} is not from 0 to 14,400 minutes");
            faults.push(fault(&format!("ways.minutes[{from}][{to}]"), reason));
        }
    }
}

#[cfg(test)]
mod tests;
