use super::*;
use crate::risk::assess::Assessor;
use crate::risk::facts::Facts;

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
    ] {
        assert!(SHORT.contains(from), "{from}");
        let said_of = faults(&SHORT.replacen(from, to, 1));
        assert!(said_of.iter().any(|fault| fault.contains(said)), "{to}: {said_of:?}");
    }
    let twice = format!("{SHORT}{}", &SHORT[SHORT.find("[[rule]]").unwrap()..]);
    assert!(faults(&twice)[0].contains("another rule of that id"));
    assert!(faults(&"#".repeat(MAX_POLICY_BYTES + 1))[0].contains("bytes"));
    assert!(faults("id = 1")[0].starts_with("line 1"));
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
