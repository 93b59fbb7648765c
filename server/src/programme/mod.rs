//! The programme as a whole: its metrics, each with its definition, for any period.
//!
//! Counts what is on record and says how far off a share may be. Decides nothing, names nobody but hosts.

mod http;
mod interval;
mod metrics;
mod page;
mod plot;
mod store;

use chrono::{Months, NaiveDate};
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::db::Conn;
use crate::error::{Error, Result};
use crate::serials::{self, Overdue};

pub use http::{ApiDoc, routes};
pub use metrics::{Ages, Count, Days, Difference, Figures, Metric, Share};

/// Hosts in the ageing by host.
const HOSTS: usize = 10;

/// The days that are looked at.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct Period {
    /// First day, `YYYY-MM-DD`, in UTC; a year before the last where it is absent.
    pub from: Option<String>,
    /// Last day; today where it is absent.
    pub to: Option<String>,
}

/// The metrics of a period.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Metrics {
    /// First and last day.
    pub from: String,
    pub to: String,
    pub as_of: Timestamp,
    pub metrics: Vec<Metric>,
}

impl Period {
    /// First and last day.
    fn days(&self, now: Timestamp) -> Result<(NaiveDate, NaiveDate)> {
        let day = |field: &str, text: &Option<String>| match text.as_deref().map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => text
                .parse::<NaiveDate>()
                .ok()
                .filter(|day| (1..9999).contains(&chrono::Datelike::year(day)))
                .map(Some)
                .ok_or_else(|| Error::invalid_field(field, "expected a day such as 2026-11-23")),
        };
        let to = day("to", &self.to)?.unwrap_or_else(|| now.day());
        let year_before = || to.checked_sub_months(Months::new(12)).and_then(|day| day.succ_opt());
        let from = day("from", &self.from)?.or_else(year_before).unwrap_or(to);
        if from > to {
            return Err(Error::invalid_field("from", format!("lies after the last day {to}")));
        }
        Ok((from, to))
    }
}

/// Works all metrics out.
///
/// # Errors
/// 422 for a period that is none; when the database fails.
pub fn metrics(conn: &mut Conn, period: &Period, now: Timestamp) -> Result<Metrics> {
    let (from, to) = period.days(now)?;
    let begin = |day: NaiveDate| Timestamp::from(day.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc());
    let (begins, ends) = (begin(from), begin(to.succ_opt().unwrap_or(to)));
    let due = store::due_checks(conn, begins, ends.min(now))?;
    let closed = store::closed_visits(conn, begins, ends)?;
    let determined = store::determined(conn, begins, ends)?;
    let undetermined = store::undetermined(conn, begins, ends)?;
    let (departures, chosen) = store::departures(conn, begins, ends)?;
    let overdue = serials::overdue(conn, now)?;
    Ok(Metrics {
        from: from.to_string(),
        to: to.to_string(),
        as_of: now,
        metrics: vec![
            metrics::on_time(&due),
            metrics::spans(&closed),
            metrics::complete_at_first(&closed),
            metrics::favourable_by_method(&determined),
            metrics::denials_by_actor(&closed),
            metrics::hit_rate(&determined, undetermined),
            metrics::departures(&departures, chosen),
            ageing_by_tier(&overdue),
            ageing_by_host(&overdue),
        ],
    })
}

fn ageing_by_tier(overdue: &Overdue) -> Metric {
    let rows = overdue
        .by_tier
        .iter()
        .map(|tier| Ages { group: format!("tier {}", tier.tier), counts: tier.ages.clone() })
        .collect();
    ageing(
        "ageing-by-tier",
        "Overdue serials by tier",
        "Serials that are past the day by which they are to be seen, by tier and by how long they are past it.",
        overdue,
        rows,
        Vec::new(),
    )
}

fn ageing_by_host(overdue: &Overdue) -> Metric {
    let rows = overdue
        .by_host
        .iter()
        .take(HOSTS)
        .map(|one| Ages { group: one.host.name.clone(), counts: one.ages.clone() })
        .collect();
    let hosts = overdue.by_host.len() + overdue.more_hosts;
    let caveats = if hosts > HOSTS {
        vec![format!("The {HOSTS} hosts with most of {hosts} are shown; /serials/overdue lists more.")]
    } else {
        Vec::new()
    };
    ageing(
        "ageing-by-host",
        "Overdue serials by host",
        "Serials that are past the day by which they are to be seen, by who has them and by how long they are past it.",
        overdue,
        rows,
        caveats,
    )
}

fn ageing(
    id: &'static str,
    title: &'static str,
    definition: &'static str,
    overdue: &Overdue,
    rows: Vec<Ages>,
    mut caveats: Vec<String>,
) -> Metric {
    caveats.push("As of now, whatever the period.".to_owned());
    Metric {
        id,
        title,
        definition,
        formula: "number of serials with due_at before now, by whole days in UTC since then",
        version: 1,
        n: u32::try_from(overdue.overdue).unwrap_or(u32::MAX),
        figures: Figures::Ages { columns: overdue.ages.iter().map(serials::Age::told).collect(), rows },
        caveats,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_a_year_unless_it_is_said() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let days = |from: Option<&str>, to: Option<&str>| {
            let period = Period { from: from.map(str::to_owned), to: to.map(str::to_owned) };
            period.days(now).map(|(from, to)| format!("{from} {to}")).map_err(|error| error.code().to_owned())
        };
        assert_eq!(days(None, None).unwrap(), "2025-11-24 2026-11-23");
        assert_eq!(days(Some(""), Some("2024-02-29")).unwrap(), "2023-03-01 2024-02-29");
        assert_eq!(days(Some("2026-01-01"), Some("2026-01-01")).unwrap(), "2026-01-01 2026-01-01");
        for (from, to) in [
            (Some("2026-02-30"), None),
            (Some("x"), None),
            (None, Some("10000-01-01")),
            (Some("2026-12-01"), None),
        ] {
            assert_eq!(days(from, to).unwrap_err(), "invalid-fields", "{from:?} {to:?}");
        }
    }
}
