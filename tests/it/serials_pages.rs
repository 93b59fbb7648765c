//! What is put on record about a serial at its page.

use endcheck_server::accounts::Role;
use serde_json::Value;

use crate::office::{Browser, Office, add_user, text};
use crate::serials::{history, office, serial};

#[test]
fn losses_and_their_reviews_are_put_on_record_at_the_page() {
    let office = office();
    let item = text(&serial(&office, "NVA-26-004502"), "/id");
    let (page, events) = (format!("/serials/{item}"), format!("/serials/{item}/events"));
    let [ada, vera, iris] = ["ada", "vera", "iris"].map(|login| Browser::signed_in(&office.server, login));
    let today = office.server.clock().now().day().to_string();
    let loss = [
        ("kind", "loss"),
        ("what", "stolen"),
        ("day", today.as_str()),
        ("circumstances", "Gone from the locked rack at the morning round."),
        ("proof", "Police report 4711, in the file."),
    ];
    assert_eq!(iris.post(&events, &loss).status, 403);
    {
        let mut conn = office.server.app().connection().unwrap();
        add_user(&mut conn, "olga", "Olga Brandt", &[Role::Auditor], office.server.clock().now());
    }
    let olga = Browser::signed_in(&office.server, "olga");
    assert!(!olga.get(&page).contains("Report it"), "nothing is offered that is refused");
    assert_eq!(olga.post(&events, &loss).status, 403);
    let mut unproved = loss;
    unproved[4].1 = " ";
    let refused = ada.post(&events, &unproved);
    assert_eq!(refused.status, 422);
    let shown = refused.text();
    assert!(shown.contains("Not on record") && shown.contains("Gone from the locked rack"), "{shown}");
    assert_eq!(ada.post(&events, &[("kind", "loss"), ("what", "mislaid")]).status, 422);
    assert_eq!(ada.post(&events, &loss).status, 303);
    let reported = history(&office, &item);
    assert_eq!(text(&reported, "/status"), "loss-reported");
    let event = text(reported["history"].as_array().unwrap().last().unwrap(), "/id");
    assert!(!ada.get(&page).contains("Review this report"), "not one's own");
    assert!(ada.get(&page).contains("<option value=\"P-"), "keys are offered");
    assert!(vera.get(&page).contains("Review this report"));
    let review =
        [("kind", "loss-review"), ("event", event.as_str()), ("accepted", "yes"), ("reason", "Confirmed.")];
    assert_eq!(ada.post(&events, &review).status, 403);
    assert_eq!(vera.post(&events, &review).status, 303);
    assert_eq!(text(&history(&office, &item), "/status"), "lost");

    // A long text in another script is as good as any, and fits.
    let long = "在另一个机架里找到。".repeat(350);
    let found = [("kind", "found"), ("day", today.as_str()), ("circumstances", long.as_str())];
    assert_eq!(ada.post(&events, &found).status, 303);
    let other = serial(&office, "HX9L030551");
    let (party, site) = (text(&other, "/host/key"), text(&site_of(&office, &other), "/key"));
    let transfer = |party| {
        [
            ("kind", "transfer"),
            ("day", today.as_str()),
            ("losing_office", "Office Berlin"),
            ("gaining_office", "Office Abroad"),
            ("gaining_party", party),
            ("gaining_site", site.as_str()),
            ("consent", ""),
        ]
    };
    let refused = ada.post(&events, &transfer("NOBODY"));
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("NOBODY"));
    assert_eq!(ada.post(&events, &transfer(&party)).status, 303);
    let moved = history(&office, &item);
    assert_eq!(moved["host"], other["host"]);
    let event = text(moved["history"].as_array().unwrap().last().unwrap(), "/id");
    let withdraw = [("kind", "withdraw"), ("event", event.as_str()), ("reason", "The crate was empty.")];
    assert_eq!(vera.post(&events, &withdraw).status, 303);
    assert_ne!(history(&office, &item)["host"], other["host"]);
    assert!(vera.get(&page).contains("withdrawn since"));
    office.server.check();
}

/// The site where a serial should be.
fn site_of(office: &Office, serial: &Value) -> Value {
    office.manager().get(&format!("/api/v1/sites/{}", text(serial, "/site"))).expect_json(200)
}
