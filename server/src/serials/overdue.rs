//! How many serials are past their due date: by age, tier and host. Counts; names no serial.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use endcheck_protocol::ids::PartyId;
use endcheck_protocol::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::store;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::parties::{self, PartyName};

/// The ages by which overdue serials are counted: the last day of each, the last one open.
const LAST_DAYS: [Option<i64>; AGES] = [Some(30), Some(90), Some(180), Some(365), None];
const AGES: usize = 5;

/// Hosts that are listed, those with most overdue serials.
const MOST_HOSTS: usize = 200;

/// A span of days past the due date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Age {
    pub from_days: i64,
    /// Absent where it is open.
    pub to_days: Option<i64>,
}

impl Age {
    /// As a column is headed.
    #[must_use]
    pub fn told(&self) -> String {
        match self.to_days {
            Some(to) => format!("{} to {to} days", self.from_days),
            None => format!("over {} days", self.from_days - 1),
        }
    }
}

/// Overdue serials of a tier, one number for each age.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TierOverdue {
    pub tier: i64,
    pub ages: Vec<i64>,
    pub overdue: i64,
    /// Serials of the tier for which a clock runs.
    pub serials: i64,
}

/// Overdue serials of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HostOverdue {
    pub host: PartyName,
    pub ages: Vec<i64>,
    pub overdue: i64,
}

/// All that is past its due date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Overdue {
    pub as_of: Timestamp,
    pub ages: Vec<Age>,
    pub total: Vec<i64>,
    pub overdue: i64,
    /// Serials for which a clock runs.
    pub serials: i64,
    pub by_tier: Vec<TierOverdue>,
    /// Those with most first, 200 of them at most.
    pub by_host: Vec<HostOverdue>,
    /// Hosts with overdue serials that are not listed.
    pub more_hosts: usize,
}

fn ages() -> Vec<Age> {
    let mut from_days = 1;
    LAST_DAYS
        .into_iter()
        .map(|to_days| {
            let age = Age { from_days, to_days };
            from_days = to_days.map_or(from_days, |to| to + 1);
            age
        })
        .collect()
}

/// The due dates of an age, from and until: a serial is so many days overdue by the calendar in UTC.
fn due_between(age: &Age, now: Timestamp) -> (Timestamp, Timestamp) {
    let begin = |days: i64| {
        let day = now.day() - TimeDelta::try_days(days).unwrap_or_default();
        Timestamp::from(day.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc())
    };
    let from = age.to_days.map_or_else(|| begin(365_000), begin);
    // Due today is overdue by a day only once the instant has passed.
    let until = if age.from_days == 1 { now } else { begin(age.from_days - 1) };
    (from, until)
}

/// Counts what is past its due date.
///
/// # Errors
/// When the database fails.
pub fn overdue(conn: &mut Conn, now: Timestamp) -> Result<Overdue> {
    let ages = ages();
    let mut by_tier: BTreeMap<i64, [i64; AGES]> = BTreeMap::new();
    let mut by_host: BTreeMap<PartyId, [i64; AGES]> = BTreeMap::new();
    for (place, age) in ages.iter().enumerate() {
        let (from, until) = due_between(age, now);
        for (tier, host, count) in store::overdue(conn, from, until)? {
            for counts in [by_tier.entry(tier).or_default(), by_host.entry(host).or_default()] {
                if let Some(counted) = counts.get_mut(place) {
                    *counted += count;
                }
            }
        }
    }
    let mut total = vec![0; AGES];
    for counts in by_tier.values() {
        for (sum, count) in total.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    let with_due_date = store::with_due_date(conn)?;
    let by_tier: Vec<TierOverdue> = with_due_date
        .iter()
        .map(|(tier, serials)| {
            let counts = by_tier.remove(tier).unwrap_or_default();
            TierOverdue {
                tier: *tier,
                ages: counts.to_vec(),
                overdue: counts.iter().sum(),
                serials: *serials,
            }
        })
        .collect();
    let mut hosts: Vec<(PartyId, [i64; AGES])> = by_host.into_iter().collect();
    hosts.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.iter().sum::<i64>()));
    let more_hosts = hosts.len().saturating_sub(MOST_HOSTS);
    hosts.truncate(MOST_HOSTS);
    let names = parties::names(conn, &hosts.iter().map(|(host, _)| host).collect::<Vec<_>>())?;
    let by_host = hosts
        .into_iter()
        .map(|(host, counts)| {
            let host = names.get(&host).cloned().ok_or_else(|| Error::not_found("party"))?;
            Ok(HostOverdue { host, ages: counts.to_vec(), overdue: counts.iter().sum() })
        })
        .collect::<Result<_>>()?;
    Ok(Overdue {
        as_of: now,
        overdue: total.iter().sum(),
        serials: with_due_date.iter().map(|(_, serials)| serials).sum(),
        ages,
        total,
        by_tier,
        by_host,
        more_hosts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serials::view::overdue_days;

    #[test]
    fn every_due_date_in_the_past_has_one_age_and_it_is_the_one_that_the_list_shows() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        for days in -2..800 {
            for hour in [0, 11, 13, 23] {
                let day = now.day() - TimeDelta::days(days);
                let due: Timestamp = day.and_hms_opt(hour, 59, 59).unwrap().and_utc().into();
                let fitting: Vec<Age> = ages()
                    .into_iter()
                    .filter(|age| {
                        let (from, until) = due_between(age, now);
                        (from..until).contains(&due)
                    })
                    .collect();
                let shown = overdue_days(due, now);
                assert_eq!(fitting.len(), usize::from(shown > 0), "{due}: {fitting:?}");
                for age in fitting {
                    assert!(
                        age.from_days <= shown && age.to_days.is_none_or(|to| shown <= to),
                        "{due} {shown} {age:?}"
                    );
                }
            }
        }
    }
}
