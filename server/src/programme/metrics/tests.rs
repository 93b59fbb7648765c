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
        drawn: match cause {
            "risk" => Some(DrawnCheck { way: Way::Risk, weight: 1.0 }),
            "random" => Some(DrawnCheck { way: Way::Random, weight: 1.0 }),
            _ => None,
        },
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
    let metric = hit_rate(&all, Undetermined::default());
    assert_eq!(rows(&metric), [("chosen by risk".to_owned(), 9, 10), ("chosen by chance".to_owned(), 3, 10)]);
    let Figures::Shares { difference: Some(difference), .. } = &metric.figures else { panic!() };
    assert!((difference.difference - 0.6).abs() < 1e-9, "{difference:?}");
    assert!((difference.low - 0.1705).abs() < 1e-4 && (difference.high - 0.8090).abs() < 1e-4);
    assert!(metric.caveats.is_empty());
    assert!(
        hit_rate(&all[..4], Undetermined::default())
            .caveats
            .iter()
            .any(|caveat| caveat.contains("holds zero"))
    );
    assert!(hit_rate(&[], Undetermined::default()).caveats[0].contains("cannot be said"));
    let waits = Undetermined { random: 7, ..Undetermined::default() };
    let caveats = hit_rate(&all, waits).caveats;
    assert!(caveats.last().unwrap().contains("0 by risk, 7 by chance"), "{caveats:?}");
}

/// One of ten low shipments and one of two high ones were drawn: the low one speaks for ten.
#[test]
fn a_check_by_chance_speaks_for_its_stratum() {
    let mut all = vec![
        determined("low", "random", None, "favourable"),
        determined("high", "random", None, "unfavourable"),
        determined("always", "tip", None, "unfavourable"),
    ];
    all[0].drawn = Some(DrawnCheck { way: Way::Random, weight: 10.0 });
    all[1].drawn = Some(DrawnCheck { way: Way::Random, weight: 2.0 });
    all[2].drawn = Some(DrawnCheck { way: Way::Mandatory, weight: 1.0 });
    let metric = hit_rate(&all, Undetermined::default());
    let Figures::Shares { rows, .. } = &metric.figures else { panic!() };
    assert_eq!((rows[1].hits, rows[1].n), (1, 2));
    assert!((rows[1].share.unwrap() - 2.0 / 12.0).abs() < 1e-9, "{rows:?}");
    // On (12²) ÷ (10² + 2²) cases, not on two.
    let (low, high) = super::super::interval::wilson_of(1.0 / 6.0, 144.0 / 104.0).unwrap();
    assert_eq!((rows[1].low, rows[1].high), (Some(low), Some(high)));
    assert_eq!((rows[2].group.as_str(), rows[2].n), ("always checked", 1));
}
