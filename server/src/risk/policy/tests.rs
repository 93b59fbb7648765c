use super::*;
use crate::risk::assess::Assessor;
use crate::risk::facts::{FactValue, Facts};

pub(crate) const SHORT: &str = r#"
id = "short"
version = 3
facts = 1
title = "A short policy"
legal_basis = "Section 1"
review_by = "2027-06-30"
due_days = { mandatory = 30, high = 60, medium = 90, low = 120 }
caps = { goods = 20 }
selection = { random_percent = 20 }
bands = { mandatory = 80, high = 50, medium = 25 }

[sampling]
confidence_percent = 95
defect_percent = { mandatory = 5, high = 5, medium = 10, low = 10 }

[groups]
"D:1" = ["XA", "XB"]
"A:1" = ["XC"]

[[tier]]
tier = 1
entries = ["1A001", "3A001.a"]

[[rule]]
id = "tier"
when = "item_tier == 1"
points = 30
if_missing = 12
cap = "goods"
reason = "Tier {item_tier}."
"#;

fn faults(document: &str) -> Vec<String> {
    Policy::read(document.as_bytes()).expect_err(document).iter().map(ToString::to_string).collect()
}

#[test]
fn the_default_policy_counts_hong_kong_as_china_and_macau_as_under_embargo() {
    let policy = Policy::read(crate::risk::DEFAULT_POLICY).unwrap();
    assert!(policy.groups_of("CN").contains(&"D:5".to_owned()));
    assert_eq!(policy.groups_of("HK"), policy.groups_of("CN"));
    let mut facts = Facts::default();
    facts.set("destination", FactValue::Text("MO".to_owned())).unwrap();
    facts.set("destination_groups", FactValue::Words(policy.groups_of("MO").to_vec())).unwrap();
    let assessment = Assessor::new(&policy).assess("S", &facts, "2026-11-24".parse().unwrap()).unwrap();
    assert!(assessment.rules.iter().any(|rule| rule.id == "place-embargo" && rule.missing.is_empty()));
}

#[test]
fn a_policy_knows_its_tables() {
    let policy = Policy::read(SHORT.as_bytes()).unwrap();
    assert_eq!((policy.id.as_str(), policy.version), ("short", 3));
    assert_eq!(policy.groups_of("XB"), ["D:1"]);
    assert!(policy.groups_of("ZZ").is_empty());
    for (entry, tier) in
        [("1A001", 1), ("1A001.b.3", 1), ("3A001.a.2", 1), ("3A001", 0), ("3A0011", 0), ("", 0)]
    {
        assert_eq!(policy.tier(entry), tier, "{entry}");
    }
    for (points, band) in
        [(0, Band::Low), (25, Band::Medium), (49, Band::Medium), (50, Band::High), (80, Band::Mandatory)]
    {
        assert_eq!(policy.band(points), band);
    }
    let last: NaiveDate = "2027-06-30".parse().unwrap();
    assert!(!policy.is_expired(last) && policy.is_expired(last.succ_opt().unwrap()));
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_rule() {
    for (from, to, said) in [
        ("item_tier == 1", "item_teir == 1", "line 27, rule tier: there is no fact \"item_teir\""),
        ("item_tier == 1", "tips / 0 == 1", "line 27, rule tier: division"),
        ("cap = \"goods\"", "cap = \"god\"", "line 30, rule tier: there is no cap \"god\""),
        ("Tier {item_tier}.", "Tier {colour}.", "line 31, rule tier: the reason speaks of {colour}"),
        ("points = 30", "points = 30000", "line 28, rule tier: points are from -1000 to 1000"),
        ("points = 30", "points = 3.5", "line 28:"),
        ("if_missing = 12\n", "", "line 25: missing field `if_missing`"),
        ("version = 3", "version = 0", "line 3: the version"),
        ("facts = 1", "facts = 2", "line 4: it is written against the facts 2"),
        ("2027-06-30", "someday", "line 7: \"someday\" is not a day"),
        ("medium = 25", "medium = 50", "the bands must fall"),
        ("entries = [\"1A001\"", "entries = [\"3A001.a\", \"1A001\"", "3A001.a is listed twice"),
        ("[sampling]", "[sampling]\ncolour = 1", "unknown field `colour`"),
        (
            "title = \"A short policy\"",
            "title = \"A\\u0007short policy\"",
            "title holds the control character U+0007",
        ),
        ("id = \"tier\"", "id = \"ti\\ner\"", "its id holds the control character U+000A"),
        ("low = 120", "low = 0", "due_days of low are from 1 to 3660"),
        ("low = 120", "low = 3661", "due_days of low are from 1 to 3660"),
        ("low = 10 }", "low = 0 }", "defect_percent of low is from 1 to 100"),
        ("low = 10 }", "low = 101 }", "defect_percent of low is from 1 to 100"),
        ("confidence_percent = 95", "confidence_percent = 49", "confidence_percent is from 50 to 99"),
        ("confidence_percent = 95", "confidence_percent = 100", "confidence_percent is from 50 to 99"),
    ] {
        assert!(SHORT.contains(from), "{from}");
        let said_of = faults(&SHORT.replacen(from, to, 1));
        assert!(said_of.iter().any(|fault| fault.contains(said)), "{to}: {said_of:?}");
    }
    let twice = format!("{SHORT}{}", &SHORT[SHORT.find("[[rule]]").unwrap()..]);
    assert!(faults(&twice)[0].contains("another rule of that id"));
    assert!(faults(&"#".repeat(MAX_POLICY_BYTES + 1))[0].contains("bytes"));
    assert!(faults("id = 1")[0].starts_with("line 1"));
    let long = SHORT.replacen("Tier {item_tier}.", &"a".repeat(501), 1);
    assert!(faults(&long)[0].contains("the reason may have 500 characters"));
    let case = "\n[[case]]\nname = \"x\"\nfacts = {}\npoints = 12\nband = \"low\"\n";
    assert!(Policy::read(format!("{SHORT}{}", case.repeat(100)).as_bytes()).is_ok());
    assert!(faults(&format!("{SHORT}{}", case.repeat(101)))[0].contains("101 examples; 100 are allowed"));
}

/// Rules that each take nearly as many steps as one may.
fn costly(rules: usize) -> String {
    let head = SHORT.split("[[rule]]").next().unwrap();
    let rule = |number: usize| {
        format!(
            "[[rule]]\nid = \"r{number}\"\nwhen = \"transit.all(g, !(g in destination_groups))\"\npoints = 1\n\
             if_missing = 0\nreason = \"x\"\n"
        )
    };
    head.chars().chain((0..rules).flat_map(|number| rule(number).chars().collect::<Vec<_>>())).collect()
}

/// The costliest policy that is taken: far below the second that a shipment may cost at the very most. (Unoptimised,
/// beside other tests; optimised it takes a few milliseconds.)
#[test]
fn the_costliest_policy_that_is_read_assesses_a_shipment_within_a_second() {
    let one = Policy::read(costly(1).as_bytes()).unwrap();
    let fit = usize::try_from(100_000 / one.rules[0].condition.steps()).unwrap();
    assert!(faults(&costly(fit + 1))[0].contains("100000 are allowed"));
    let policy = Policy::read(costly(fit).as_bytes()).unwrap();
    let mut facts = Facts::default();
    for (fact, letter) in [("transit", 'a'), ("destination_groups", 'b')] {
        let words = (0..crate::risk::facts::MAX_WORDS).map(|n| format!("{letter}{n:05}")).collect();
        facts.set(fact, FactValue::Words(words)).unwrap();
    }
    let assessor = Assessor::new(&policy);
    let on = "2026-11-23".parse().unwrap();
    let shortest = (0..3)
        .map(|_| {
            let begun = std::time::Instant::now();
            assert_eq!(assessor.assess("SH-1", &facts, on).unwrap().rules.len(), fit);
            begun.elapsed()
        })
        .min()
        .unwrap();
    assert!(shortest < std::time::Duration::from_secs(1), "{fit} rules took {shortest:?}");
}

#[test]
fn facts_points_caps_and_what_is_missing() {
    let policy = Policy::read(SHORT.as_bytes()).unwrap();
    let assessor = Assessor::new(&policy);
    let on = "2026-11-23".parse().unwrap();
    let mut facts = Facts::default();
    let unknown = assessor.assess("SH-1", &facts, on).unwrap();
    assert_eq!((unknown.points, &unknown.rules[0].missing), (12, &vec!["item_tier".to_owned()]));
    facts.set("item_tier", FactValue::Number(2)).unwrap();
    assert!(assessor.assess("SH-1", &facts, on).unwrap().rules.is_empty());
    facts.set("item_tier", FactValue::Number(1)).unwrap();
    let first = assessor.assess("SH-1", &facts, on).unwrap();
    assert_eq!(first.points, 20, "the cap of its group");
    assert_eq!(first.caps["goods"], crate::risk::assess::Capped { counted: 20, sum: 30 });
    let bytes = first.to_bytes().unwrap();
    let canonical = endcheck_protocol::canonical::write(&first).unwrap();
    assert_eq!(bytes, canonical, "canonical as it is written");
    assert_eq!(fill(&policy.rules[0].reason, &first.facts), "Tier 1.");
    assert_eq!(fill(&policy.rules[0].reason, &unknown.facts), "Tier not known.");
}

#[test]
fn the_policy_that_is_brought_along_is_whole_and_its_examples_hold() {
    let policy = Policy::read(crate::risk::DEFAULT_POLICY).unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!(crate::risk::failing_cases(&policy), Vec::<String>::new());
    assert_eq!((policy.tier("3A001.a.2"), policy.tier("0A001"), policy.hs_tier("854231")), (1, 1, 1));
    assert_eq!(policy.groups_of("KP"), ["D:1", "D:2", "D:3", "D:4", "D:5", "E:1"]);
}

/// No change of a document stays unsaid.
#[test]
fn every_field_that_differs_is_told() {
    let case = "\n[[case]]\nname = \"plain\"\nfacts = { item_tier = 2 }\npoints = 0\nband = \"low\"\n";
    let old = format!("{SHORT}{case}");
    let read =
        |text: &str| Policy::read(text.as_bytes()).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    assert_eq!(differences(&read(&old), &read(&old)), Vec::<String>::new());
    for (from, to, told) in [
        ("id = \"short\"", "id = \"shorter\"", "~ id: short → shorter"),
        ("version = 3", "version = 4", "~ version: 3 → 4"),
        ("A short policy", "Another", "~ title: A short policy → Another"),
        ("Section 1", "Section 2", "~ legal basis: Section 1 → Section 2"),
        ("2027-06-30", "2028-06-30", "~ review_by: 2027-06-30 → 2028-06-30"),
        ("high = 60", "high = 61", "~ due_days of high: 60 → 61"),
        ("goods = 20", "goods = 21", "~ cap goods: 20 → 21"),
        ("goods = 20", "goods = 20, more = 5", "+ cap more: 5"),
        ("random_percent = 20", "random_percent = 21", "~ random_percent: 20 → 21"),
        ("mandatory = 80", "mandatory = 81", "~ points of the band mandatory: 80 → 81"),
        ("confidence_percent = 95", "confidence_percent = 90", "~ confidence_percent: 95 → 90"),
        ("medium = 10, low", "medium = 11, low", "~ defect_percent of medium: 10 → 11"),
        ("[\"XA\", \"XB\"]", "[\"XA\"]", "- groups of XB: D:1"),
        ("\"1A001\", ", "", "- tier of 1A001: 1"),
        ("[[tier]]", "[[hs_tier]]\ntier = 2\nhs6 = [\"854231\"]\n[[tier]]", "+ tier of HS code 854231: 2"),
        ("item_tier == 1", "item_tier <= 1", "~ rule tier, when: item_tier == 1 → item_tier <= 1"),
        ("points = 30", "points = 31", "~ rule tier, points: 30 → 31"),
        ("if_missing = 12", "if_missing = 13", "~ rule tier, if_missing: 12 → 13"),
        ("cap = \"goods\"\n", "", "~ rule tier, cap: goods → none"),
        (
            "Tier {item_tier}.",
            "Of tier {item_tier}.",
            "~ rule tier, reason: Tier {item_tier}. → Of tier {item_tier}.",
        ),
        ("if_missing = 12", "if_missing = 12\nshown = false", "~ rule tier, shown: true → false"),
        ("if_missing = 12", "if_missing = 12\nmandatory = true", "~ rule tier, mandatory: false → true"),
        (
            "if_missing = 12",
            "if_missing = 12\nreview_by = \"2027-01-01\"",
            "~ rule tier, review_by: none → 2027-01-01",
        ),
        ("id = \"tier\"", "id = \"other\"", "+ rule other: cap goods;"),
        ("item_tier = 2 }", "item_tier = 3 }", "~ example plain, facts: item_tier 2 → item_tier 3"),
    ] {
        assert!(old.contains(from), "{from}");
        let lines = differences(&read(&old), &read(&old.replacen(from, to, 1)));
        assert!(lines.iter().any(|line| line.starts_with(told)), "{to}: {lines:#?}");
    }
}
