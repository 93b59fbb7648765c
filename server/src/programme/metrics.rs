//! The metrics of the programme: what each one means, and how it is worked out from rows. Pure.

use std::collections::BTreeMap;

use endcheck_protocol::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::interval::{newcombe, wilson, wilson_of};
use crate::risk::draw::Way;

/// Groups of fewer cases than this say next to nothing, and may point at single visits.
pub const SMALL_CELL: u32 = 5;

/// A metric with its definition. A definition that changes gets another version.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Metric {
    pub id: &'static str,
    pub title: &'static str,
    /// What it says, in a sentence.
    pub definition: &'static str,
    pub formula: &'static str,
    pub version: u32,
    /// Cases that it stands on.
    pub n: u32,
    pub figures: Figures,
    /// What is to be kept in mind when it is read.
    pub caveats: Vec<String>,
}

/// What a metric found.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Figures {
    Shares { rows: Vec<Share>, difference: Option<Difference> },
    Counts { rows: Vec<Count> },
    Days { rows: Vec<Days> },
    Ages { columns: Vec<String>, rows: Vec<Ages> },
}

/// A share of a group's cases, with its interval at 95 % (Wilson).
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Share {
    pub group: String,
    pub hits: u32,
    pub n: u32,
    /// Absent where there is no case, as are the next two.
    pub share: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
}

impl Share {
    fn of(group: impl Into<String>, hits: u32, n: u32) -> Self {
        let interval = wilson(hits, n);
        Self {
            group: group.into(),
            hits,
            n,
            share: (n > 0).then(|| f64::from(hits) / f64::from(n)),
            low: interval.map(|(low, _)| low),
            high: interval.map(|(_, high)| high),
        }
    }
}

/// The first share minus the second, with its interval at 95 % (Newcombe).
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Difference {
    pub of: String,
    pub difference: f64,
    pub low: f64,
    pub high: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Count {
    pub group: String,
    pub count: u32,
}

/// How long something took, in days.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Days {
    pub group: String,
    pub n: u32,
    pub median_days: Option<f64>,
    /// Nine out of ten took no longer.
    pub p90_days: Option<f64>,
}

/// A number for each column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Ages {
    pub group: String,
    pub counts: Vec<i64>,
}

/// A check that fell due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueCheck {
    pub due_at: Timestamp,
    /// When its visits were closed, by headquarters' clock.
    pub closed_at: Vec<Timestamp>,
}

/// A visit that was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedVisit {
    pub requested_at: Timestamp,
    pub opened_at: Option<Timestamp>,
    pub closed_at: Timestamp,
    /// When the first determination was made of it.
    pub determined_at: Option<Timestamp>,
    /// Closes on record, and whether the first says completed with nothing missing.
    pub closes: u32,
    pub first_is_whole: bool,
    /// Who refused something, one word for each refusal on record.
    pub denials: Vec<String>,
}

/// How a draw chose a check.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DrawnCheck {
    pub way: Way,
    /// How many shipments of its stratum it stands for.
    pub weight: f64,
}

/// Checks that draws made in the period and that nobody has determined yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Undetermined {
    pub mandatory: u32,
    pub risk: u32,
    pub random: u32,
}

/// The determination that counts of a visit.
#[derive(Debug, Clone, PartialEq)]
pub struct Determined {
    pub check: String,
    /// How a draw chose the check; absent where none did.
    pub drawn: Option<DrawnCheck>,
    /// How the inspector verified, by the record that opened the visit; absent where none is held.
    pub method: Option<String>,
    /// `favourable`, `unfavourable` or `unverified`.
    pub outcome: String,
}

fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

fn small(groups: impl IntoIterator<Item = (String, u32)>) -> Vec<String> {
    let small: Vec<String> = groups
        .into_iter()
        .filter(|(_, n)| (1..SMALL_CELL).contains(n))
        .map(|(group, n)| format!("{group} ({n})"))
        .collect();
    if small.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "Fewer than {SMALL_CELL} cases in: {}. Such a figure says next to nothing and may point at single visits; \
         do not publish it.",
        small.join(", ")
    )]
}

fn shares(rows: &[Share]) -> Vec<String> {
    small(rows.iter().map(|row| (row.group.clone(), row.n)))
}

/// The share of checks that were carried out in time.
#[must_use]
pub fn on_time(checks: &[DueCheck]) -> Metric {
    let in_time = |check: &&DueCheck| check.closed_at.iter().any(|closed| *closed <= check.due_at);
    let hits = u32::try_from(checks.iter().filter(in_time).count()).unwrap_or(u32::MAX);
    let rows = vec![Share::of("checks due", hits, count(checks))];
    let caveats = shares(&rows);
    Metric {
        id: "on-time",
        title: "Checks done in time",
        definition: "Of the checks that fell due in the period, the share of which a visit was closed by the due date. \
                     One that somebody dropped from its draw is left out; one whose visits were cancelled is not.",
        formula: "checks with a visit closed at or before due_at ÷ checks with due_at in the period and not in the \
                  future, but those dropped from their draw",
        version: 2,
        n: count(checks),
        figures: Figures::Shares { rows, difference: None },
        caveats,
    }
}

/// From the request to the visit, from there to its close, and on to the determination.
#[must_use]
pub fn spans(visits: &[ClosedVisit]) -> Metric {
    let days = |from: Option<Timestamp>, to: Option<Timestamp>| {
        let micros = to?.since(from?).num_microseconds()?;
        #[expect(clippy::cast_precision_loss, reason = "a span in days is not told to the microsecond")]
        Some(micros as f64 / 86_400e6)
    };
    type Ends = fn(&ClosedVisit) -> (Option<Timestamp>, Option<Timestamp>);
    let groups: [(&str, Ends); 3] = [
        ("request to visit", |visit| (Some(visit.requested_at), visit.opened_at)),
        ("visit to close", |visit| (visit.opened_at, Some(visit.closed_at))),
        ("close to determination", |visit| (Some(visit.closed_at), visit.determined_at)),
    ];
    let rows: Vec<Days> = groups
        .into_iter()
        .map(|(group, ends)| {
            let mut spans: Vec<f64> = visits
                .iter()
                .filter_map(|visit| {
                    let (from, to) = ends(visit);
                    days(from, to)
                })
                .collect();
            spans.sort_by(f64::total_cmp);
            Days {
                group: group.to_owned(),
                n: count(&spans),
                median_days: quantile(&spans, 1, 2),
                p90_days: quantile(&spans, 9, 10),
            }
        })
        .collect();
    let caveats = small(rows.iter().map(|row| (row.group.clone(), row.n)));
    Metric {
        id: "request-visit-close",
        title: "How long it takes",
        definition: "For the visits closed in the period: days from the opening of the check to the first record of \
                     the visit, from there to its close, and from the close to the first determination.",
        formula: "median and 90th percentile (nearest rank) of the differences, by headquarters' clock",
        version: 1,
        n: count(visits),
        figures: Figures::Days { rows },
        caveats,
    }
}

/// The smallest value that `numerator / denominator` of all do not exceed, by the nearest rank.
fn quantile(sorted: &[f64], numerator: usize, denominator: usize) -> Option<f64> {
    let rank = (sorted.len() * numerator).div_ceil(denominator).max(1);
    sorted.get(rank - 1).copied()
}

/// Favourable determinations, by how was verified.
#[must_use]
pub fn favourable_by_method(determined: &[Determined]) -> Metric {
    let mut groups: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for one in determined {
        let (hits, n) = groups.entry(one.method.as_deref().unwrap_or("not recorded")).or_default();
        *hits += u32::from(one.outcome == "favourable");
        *n += 1;
    }
    let rows: Vec<Share> = groups.into_iter().map(|(method, (hits, n))| Share::of(method, hits, n)).collect();
    let mut caveats = shares(&rows);
    caveats.push(
        "Methods are not assigned by chance: who is visited in person differs from whose papers are read."
            .to_owned(),
    );
    Metric {
        id: "favourable-by-method",
        title: "Favourable determinations by verification method",
        definition: "Of the visits with a determination made in the period, the share whose determination that \
                     counts is favourable, by the verification method that the visit was opened with.",
        formula: "favourable ÷ (favourable + unfavourable + unverified), for each method",
        version: 1,
        n: count(determined),
        figures: Figures::Shares { rows, difference: None },
        caveats,
    }
}

/// Refusals, by who refused.
#[must_use]
pub fn denials_by_actor(visits: &[ClosedVisit]) -> Metric {
    let mut groups: BTreeMap<&str, u32> = BTreeMap::new();
    for denial in visits.iter().flat_map(|visit| &visit.denials) {
        *groups.entry(denial).or_default() += 1;
    }
    let rows: Vec<Count> =
        groups.into_iter().map(|(actor, count)| Count { group: actor.to_owned(), count }).collect();
    let mut caveats = small(rows.iter().map(|row| (row.group.clone(), row.count)));
    caveats.push("A refusal says that something is not known, not that something is wrong.".to_owned());
    Metric {
        id: "denials-by-actor",
        title: "Refusals by who refused",
        definition: "Refusals on record of the visits closed in the period, by who refused; one that its device \
                     corrected does not count.",
        formula: "number of records of a refusal, for each actor",
        version: 1,
        n: rows.iter().map(|row| row.count).sum(),
        figures: Figures::Counts { rows },
        caveats,
    }
}

/// How often somebody departed from what a draw chose.
#[must_use]
pub fn departures(acts: &[String], chosen: i64) -> Metric {
    let rows = [("added", "add"), ("dropped", "drop")].map(|(group, act)| {
        let of_this: Vec<&String> = acts.iter().filter(|one| *one == act).collect();
        Count { group: group.to_owned(), count: count(&of_this) }
    });
    Metric {
        id: "departures-from-draws",
        title: "Departures from draws",
        definition: "Shipments that somebody added to a draw or dropped from it in the period, each with a reason in \
                     the log.",
        formula: "number of departures noted in the period, by what was done",
        version: 1,
        n: count(acts),
        figures: Figures::Counts { rows: rows.to_vec() },
        caveats: vec![format!("The draws of the period chose {chosen} shipments.")],
    }
}

/// The share of visits that were handed in complete at once.
#[must_use]
pub fn complete_at_first(visits: &[ClosedVisit]) -> Metric {
    let held: Vec<&ClosedVisit> = visits.iter().filter(|visit| visit.closes > 0).collect();
    let whole = held.iter().filter(|visit| visit.first_is_whole && visit.closes == 1).count();
    let rows = vec![Share::of("visits closed", u32::try_from(whole).unwrap_or(u32::MAX), count(&held))];
    let caveats = shares(&rows);
    Metric {
        id: "complete-at-first",
        title: "Complete at first submission",
        definition: "Of the visits closed in the period, the share whose first close says completed, names nothing \
                     as missing, and was followed by no second close.",
        formula: "visits with one close, of outcome completed and with nothing missing ÷ visits with a close",
        version: 1,
        n: count(&held),
        figures: Figures::Shares { rows, difference: None },
        caveats,
    }
}

/// What the checks found that draws chose by chance, beside those that they chose by risk.
#[must_use]
pub fn hit_rate(determined: &[Determined], undetermined: Undetermined) -> Metric {
    // A check counts once, and as a hit when any of its visits was unfavourable.
    let mut checks: BTreeMap<&str, (DrawnCheck, bool)> = BTreeMap::new();
    for one in determined {
        let Some(drawn) = one.drawn else { continue };
        let (_, hit) = checks.entry(&one.check).or_insert((drawn, false));
        *hit |= one.outcome == "unfavourable";
    }
    let of = |way: Way, group: &str| {
        let chosen: Vec<(f64, bool)> = checks
            .values()
            .filter(|(drawn, _)| drawn.way == way)
            .map(|(drawn, hit)| (drawn.weight, *hit))
            .collect();
        weighted(group, &chosen)
    };
    let (mandatory, risk, random) = (
        of(Way::Mandatory, "always checked"),
        of(Way::Risk, "chosen by risk"),
        of(Way::Random, "chosen by chance"),
    );
    let side = |share: &Share| Some((share.share?, (share.low?, share.high?)));
    let difference = match (side(&risk), side(&random)) {
        (Some(risk), Some(random)) => {
            let (low, high) = newcombe(risk, random);
            let of = "chosen by risk minus chosen by chance".to_owned();
            Some(Difference { of, difference: risk.0 - random.0, low, high })
        }
        _ => None,
    };
    let mut rows = vec![risk, random];
    if mandatory.n > 0 {
        rows.push(mandatory);
    }
    let mut caveats = shares(&rows);
    match &difference {
        None => caveats.push(
            "There is no determined check on one of the two sides: whether risk finds more than chance cannot be said."
                .to_owned(),
        ),
        Some(difference) if difference.low <= 0.0 && difference.high >= 0.0 => caveats.push(
            "The interval of the difference holds zero: these cases do not show that risk finds more than chance."
                .to_owned(),
        ),
        Some(_) => {}
    }
    if undetermined != Undetermined::default() {
        caveats.push(format!(
            "Drawn in the period and not determined yet: {} always checked, {} by risk, {} by chance. What they will find \
             is in no share.",
            undetermined.mandatory, undetermined.risk, undetermined.random
        ));
    }
    Metric {
        id: "hit-rate",
        title: "What risk finds, beside what chance finds",
        definition: "Of the checks that draws made and that have a determination made in the period, the share with an \
                     unfavourable one, by how the draw chose them. Checks that people opened by hand do not count. Those by \
                     chance stand for their strata: the share is that of all shipments below the mandatory band.",
        formula: "by risk and always checked: checks with an unfavourable determination that counts ÷ checks with one that \
                  counts; by chance: the same, each check weighted by shipments of its stratum ÷ drawn from it; intervals by \
                  Wilson, on (Σw)² ÷ Σw² cases where weighted, of the difference by Newcombe (method 10), at 95 %",
        version: 2,
        n: rows.iter().map(|row| row.n).sum(),
        figures: Figures::Shares { rows, difference },
        caveats,
    }
}

/// The share of hits, each case with its weight.
fn weighted(group: &str, cases: &[(f64, bool)]) -> Share {
    let hits = u32::try_from(cases.iter().filter(|(_, hit)| *hit).count()).unwrap_or(u32::MAX);
    let whole: f64 = cases.iter().map(|(weight, _)| weight).sum();
    let squares: f64 = cases.iter().map(|(weight, _)| weight * weight).sum();
    if squares <= 0.0 {
        return Share::of(group, hits, count(cases));
    }
    let found: f64 = cases.iter().filter(|(_, hit)| *hit).map(|(weight, _)| weight).sum();
    let share = found / whole;
    let interval = wilson_of(share, whole * whole / squares);
    Share {
        group: group.to_owned(),
        hits,
        n: count(cases),
        share: Some(share),
        low: interval.map(|(low, _)| low),
        high: interval.map(|(_, high)| high),
    }
}

#[cfg(test)]
mod tests;
