//! Rosters that can be used, and everything that can be wrong with one.

use super::*;

/// A document with one inspector, and more lines after them.
fn with(more: &str) -> String {
    format!(
        "title = \"Test\"\n{more}\n[[inspectors]]\nlogin = \"iris\"\ncountry = \"DE\"\ntime_zone = \"Europe/Berlin\"\n\
         base = {{ name = \"Post\", latitude = 51.5, longitude = 7.4 }}\n"
    )
}

fn faults(document: &str) -> Vec<(String, String)> {
    let faults = Roster::read(document).err().unwrap_or_default();
    faults.into_iter().map(|fault| (fault.path, fault.reason)).collect()
}

#[test]
fn a_site_has_what_is_said_of_it_then_of_its_country_then_of_all() {
    let roster = Roster::read(&with(
        "[defaults]\nnotice_days = 2\nlanguages = [\"en\"]\nholidays = [\"2026-12-26\"]\n\
         [countries.AE]\nnotice_days = 5\nhours = { sun-thu = [\"08:00-14:00\"] }\nholidays = [\"2026-12-02\"]\n\
         [sites.S-1]\nduration_min = 45\npeople = 2\nhours = { mon = [\"10:00-11:00\"] }",
    ))
    .unwrap();
    let site = roster.site("S-1", "AE", "Asia/Dubai");
    assert_eq!((site.duration_min, site.people, site.notice_days), (45, 2, 5));
    assert_eq!(site.languages, ["en"]);
    assert_eq!(site.week.hours.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(site.week.off.len(), 2);
    let other = roster.site("S-2", "AE", "Asia/Dubai");
    // From Sunday to Thursday, round the end of the week.
    assert_eq!(other.week.hours.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1, 1, 0, 0, 1]);
    let elsewhere = roster.site("S-3", "FR", "Europe/Paris");
    assert_eq!((elsewhere.notice_days, elsewhere.duration_min, elsewhere.people), (2, DURATION_MIN, 1));
    assert_eq!(elsewhere.week.hours.first().map(Vec::len), Some(2));
}

#[test]
fn everything_that_is_wrong_is_told_by_its_path() {
    let cases = [
        ("[countries.XX]", "countries.XX", "ISO 3166-1"),
        ("[countries.DE]\nholidays = [\"25.12.2026\"]", "countries.DE.holidays[0]", "2026-12-25"),
        ("[defaults]\nduration_min = 0", "defaults.duration_min", "from 5"),
        ("[defaults]\nnotice_days = -1", "defaults.notice_days", "from 0"),
        ("[defaults]\npeople = 3", "defaults.people", "from 1 to 2"),
        ("[sites.S]\nhours = { mon = [\"17:00-09:00\"] }", "sites.S.hours", "09:00-17:00"),
        ("[sites.S]\nhours = { mon = [\"09:00-12:00\", \"11:00-13:00\"] }", "sites.S.hours", "overlap"),
        ("[sites.S]\nhours = { monday = [] }", "sites.S.hours", "mon, tue"),
        (
            "[sites.S]\nhours = { mon-wed = [\"09:00-12:00\"], tue = [\"09:00-12:00\"] }",
            "sites.S.hours",
            "named twice",
        ),
        (
            "[[modes]]\nup_to_km = 100\ndetour = 1.2\nkilometres_per_hour = -5\noverhead_min = 0",
            "modes[0]",
            "from 1",
        ),
        ("[ways]\nplaces = [\"site:A\", \"base:iris\"]\nminutes = [[0, 5], [5]]", "ways.minutes[1]", "hole"),
        (
            "[ways]\nplaces = [\"site:A\", \"base:iris\"]\nminutes = [[0, -5], [5, 0]]",
            "ways.minutes[0][1]",
            "-5",
        ),
        ("[ways]\nplaces = [\"A\"]\nminutes = [[0]]", "ways.places[0]", "site:KEY"),
    ];
    for (more, path, reason) in cases {
        let found = faults(&with(more));
        assert!(found.iter().any(|(at, why)| at == path && why.contains(reason)), "{more}: {found:?}");
    }
}

#[test]
fn people_are_looked_at_as_closely() {
    let cases = [
        ("time_zone = \"Europe/Berlin\"", "time_zone = \"Mars/Olympus\"", "inspectors[0].time_zone"),
        ("country = \"DE\"", "country = \"Germany\"", "inspectors[0].country"),
        ("latitude = 51.5", "latitude = 151.5", "inspectors[0].base"),
        ("login", "leave = [\"2026-12-05/2026-12-01\"]\nlogin", "inspectors[0].leave[0]"),
        (
            "login",
            "competences = [{ entry = \"3A\", until = \"soon\" }]\nlogin",
            "inspectors[0].competences[0].until",
        ),
        ("login", "barred = [\"Iran\"]\nlogin", "inspectors[0].barred"),
        ("login", "most_duty_min = 0\nlogin", "inspectors[0].most_duty_min"),
        ("login", "hours = { mon = [\"25:00-26:00\"] }\nlogin", "inspectors[0].hours"),
        (
            "login",
            "nights = [{ date = \"x\", name = \"A\", latitude = 1.0, longitude = 1.0 }]\nlogin",
            "inspectors[0].nights[0].date",
        ),
    ];
    for (from, to, path) in cases {
        let found = faults(&with("").replacen(from, to, 1));
        assert_eq!(found.iter().map(|(at, _)| at.as_str()).collect::<Vec<_>>(), [path], "{to}: {found:?}");
    }
    let twice = format!(
        "{}{}",
        with(""),
        with("").split_once("[[").map_or(String::new(), |it| format!("[[{}", it.1))
    );
    assert_eq!(faults(&twice).first().map(|it| it.0.as_str()), Some("inspectors[1].login"));
    assert_eq!(faults("title = \"Nobody\"").first().map(|it| it.0.as_str()), Some("inspectors"));
    assert!(
        faults("title = 3").first().is_some_and(|(at, why)| at == "the document" && why.contains("line 1"))
    );
}
