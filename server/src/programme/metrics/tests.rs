//! Each metric on a few rows that can be counted by hand.

use super::*;

fn at(day: u32, hour: u32) -> Timestamp {
    format!("2026-03-{day:02}T{hour:02}:00:00Z").parse().unwrap()
}

fn rows(metric: &Metric) -> Vec<(String, u32, u32)> {
    match &metric.figures {
        Figures::Shares { rows, .. } => rows.iter().map(|row| (row.group.clone(), row.hits, row.n)).collect(),
        Figures::Counts { rows } => {
            rows.iter().map(|row| (row.group.clone(), row.count, row.count)).collect()
        }
        _ => Vec::new(),
    }
}

fn determined(check: &str, cause: &str, method: Option<&str>, outcome: &str) -> Determined {
    Determined {
        check: check.into(),
        cause: cause.into(),
        method: method.map(str::to_owned),
        outcome: outcome.into(),
    }
}

fn visit(closed: Timestamp) -> ClosedVisit {
    ClosedVisit {
        requested_at: at(1, 0),
        opened_at: Some(at(3, 0)),
        closed_at: closed,
        determined_at: None,
        closes: 1,
        first_is_whole: true,
        denials: Vec::new(),
    }
}

#[test]
fn a_check_is_in_time_when_any_visit_was_closed_by_the_due_date() {
    let check = |closed_at: Vec<Timestamp>| DueCheck { due_at: at(10, 0), closed_at };
    let checks =
        [check(vec![at(10, 0)]), check(vec![at(10, 1)]), check(vec![at(12, 0), at(9, 0)]), check(Vec::new())];
    let metric = on_time(&checks);
    assert_eq!(rows(&metric), [("checks due".to_owned(), 2, 4)]);
    assert!(metric.caveats[0].contains("Fewer than 5") && on_time(&[]).caveats.is_empty());
    let Figures::Shares { rows, .. } = on_time(&[]).figures else { panic!() };
    assert_eq!((rows[0].share, rows[0].low), (None, None), "no cases, no share");
}

#[test]
fn spans_are_told_by_median_and_ninetieth_percentile() {
    let visits: Vec<ClosedVisit> = (1..=10).map(|day| visit(at(3 + day, 0))).collect();
    let Figures::Days { rows } = spans(&visits).figures else { panic!() };
    let told: Vec<_> = rows.iter().map(|row| (row.n, row.median_days, row.p90_days)).collect();
    assert_eq!(told, [(10, Some(2.0), Some(2.0)), (10, Some(5.0), Some(9.0)), (0, None, None)]);
}

#[test]
fn favourable_shares_stand_by_method() {
    let metric = favourable_by_method(&[
        determined("a", "risk", Some("in-person"), "favourable"),
        determined("b", "risk", Some("in-person"), "unverified"),
        determined("c", "risk", Some("virtual"), "favourable"),
        determined("d", "risk", None, "unfavourable"),
    ]);
    let expected = [("in-person", 1, 2), ("not recorded", 0, 1), ("virtual", 1, 1)];
    assert_eq!(rows(&metric), expected.map(|(group, hits, n)| (group.to_owned(), hits, n)));
}

#[test]
fn refusals_are_counted_by_who_refused_and_a_second_close_is_no_first_submission() {
    let mut visits = [visit(at(4, 0)), visit(at(5, 0)), visit(at(6, 0)), visit(at(7, 0))];
    visits[0].denials = vec!["party".into(), "host-government".into(), "party".into()];
    visits[1].closes = 2;
    visits[2].first_is_whole = false;
    visits[3].closes = 0;
    assert_eq!(
        rows(&denials_by_actor(&visits)),
        [("host-government".to_owned(), 1, 1), ("party".to_owned(), 2, 2)]
    );
    assert_eq!(rows(&complete_at_first(&visits)), [("visits closed".to_owned(), 1, 3)]);
}

#[test]
fn risk_and_chance_are_compared_check_by_check() {
    let mut all = Vec::new();
    for number in 0..10 {
        let outcome = |hit: bool| if hit { "unfavourable" } else { "favourable" };
        all.push(determined(&format!("k{number}"), "risk", None, outcome(number < 9)));
        all.push(determined(&format!("z{number}"), "random", None, outcome(number < 3)));
    }
    // A second visit of the same check, and a check that neither risk nor chance chose.
    all.push(determined("k0", "risk", None, "favourable"));
    all.push(determined("t", "tip", None, "unfavourable"));
    let metric = hit_rate(&all);
    assert_eq!(rows(&metric), [("chosen by risk".to_owned(), 9, 10), ("chosen by chance".to_owned(), 3, 10)]);
    let Figures::Shares { difference: Some(difference), .. } = &metric.figures else { panic!() };
    assert!((difference.difference - 0.6).abs() < 1e-9, "{difference:?}");
    assert!((difference.low - 0.1705).abs() < 1e-4 && (difference.high - 0.8090).abs() < 1e-4);
    assert!(metric.caveats.is_empty());
    assert!(hit_rate(&all[..4]).caveats.iter().any(|caveat| caveat.contains("holds zero")));
    assert!(hit_rate(&[]).caveats[0].contains("cannot be said"));
}
