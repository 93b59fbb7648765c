//! Reviewing: the form as a browser sends it, who may judge, which determination counts, and what a
//! second inspector's records may and may not do.

use endcheck_protocol::checklist::VisitOutcome;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::record::{Act, Denial, DeniedBy, VerificationMethod};
use endcheck_server::accounts::Role;
use serde_json::{Value, json};

use crate::hand::{HandDevice, task};
use crate::office::{Office, PASSWORD, Person, add_user, text};

const SHIPMENT: &str = "SH-2026-0101";
const CLOSED: Act =
    Act::VisitClose { outcome: VisitOutcome::Partial, missing: Vec::new(), note: None, contents: None };
const OPENED: Act = Act::VisitOpen { method: VerificationMethod::InPerson };

/// A visit that `person` made and closed.
fn closed_visit(office: &Office, person: &Person) -> String {
    let visit = office.schedule(SHIPMENT, Some(person));
    let mut device = HandDevice::enrolled(office, person);
    device.pull();
    let envelopes = [device.add(task(&visit), OPENED), device.add(task(&visit), CLOSED)];
    device.accepted(&envelopes.each_ref().map(Vec::as_slice));
    assert_eq!(office.state(&visit), "closed");
    visit
}

/// The fields of the review form, as they stand in the page.
fn hidden(page: &str, name: &str) -> Option<String> {
    let at = page.rsplit_once(&format!("name=\"{name}\" value=\""))?.1;
    at.split_once('"').map(|(value, _)| value.to_owned())
}

fn encoded(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

#[test]
fn the_review_form_records_each_outcome_as_a_browser_sends_it() {
    const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
    let office = Office::with_programme();
    let login = encoded(&[("login", "vera"), ("password", PASSWORD), ("next", "/visits")]);
    let signed_in = office.server.send("POST", "/login", &[FORM], Some(login.as_bytes())).expect(303);
    let cookie = signed_in.header("set-cookie").split_once(';').unwrap().0.to_owned();
    for (outcome, reasons, status) in [
        ("unverified", &[][..], 303),
        ("unfavourable", &["stockpiling", "discrepancy"], 303),
        ("unfavourable", &[], 422),
        ("favourable", &[], 409),
        ("", &[], 422),
    ] {
        let visit = closed_visit(&office, &office.iris);
        let path = format!("/visits/{visit}");
        let page = office.server.send("GET", &path, &[("Cookie", &cookie)], None).expect(200).text();
        assert!(page.contains("name=\"outcome\"") && page.contains("name=\"reasons\""));
        let token = hidden(&page, "csrf_token").unwrap();
        let mut fields = vec![("csrf_token", token.as_str()), ("outcome", outcome)];
        fields.extend(reasons.iter().map(|reason| ("reasons", *reason)));
        fields.push(("reason", "As the records show."));
        let answer = office.server.send(
            "POST",
            &format!("{path}/determination"),
            &[FORM, ("Cookie", &cookie)],
            Some(encoded(&fields).as_bytes()),
        );
        assert_eq!(answer.status, status, "{outcome} {reasons:?}: {}", answer.text());
        let made = office.dossier(&visit)["determinations"].as_array().unwrap().clone();
        if status == 303 {
            assert_eq!((&made[0]["outcome"], &made[0]["reasons"]), (&json!(outcome), &json!(reasons)));
        } else {
            assert!(answer.header("content-type").starts_with("text/html") && made.is_empty());
            assert!(answer.text().contains("name=\"outcome\""), "the form is there again");
        }
    }
}

#[test]
fn one_determination_counts_and_only_the_newest_is_approved() {
    let office = Office::with_programme();
    let visit = closed_visit(&office, &office.iris);
    let determine = |outcome: &str, replaces: Option<&str>| {
        let mut body = json!({ "outcome": outcome, "reason": "As seen.", "reasons": ["discrepancy"] });
        if let Some(replaces) = replaces {
            body["replaces"] = replaces.into();
        }
        text(&office.determine(&visit, &body).expect_json(201), "/id")
    };
    let approve = |id: &str| {
        let path = format!("/api/v1/determinations/{id}/approve");
        office.as_person(&office.omar).post(&path, &json!({}))
    };
    let standing = || -> Vec<(bool, bool)> {
        let dossier = office.dossier(&visit);
        let made = dossier["determinations"].as_array().unwrap();
        made.iter().map(|one| (one["counts"] == true, one["waits"] == true)).collect()
    };
    let first = determine("unverified", None);
    let second = determine("unfavourable", Some(&first));
    let third = determine("unverified", Some(&second));
    assert_eq!(standing(), [(true, false), (false, false), (false, true)]);
    approve(&first).expect_problem(409, "nothing-to-approve");
    approve(&second).expect_problem(409, "determination-superseded");
    assert_eq!(approve(&third).expect_json(200)["counts"], true);
    assert_eq!(standing(), [(false, false), (false, false), (true, false)]);
}

#[test]
fn a_determination_sent_twice_is_made_once() {
    let office = Office::with_programme();
    let visit = closed_visit(&office, &office.iris);
    let path = format!("/api/v1/visits/{visit}/determinations");
    let vera = office.investigator().with_header("Idempotency-Key", "once");
    let body = json!({ "outcome": "unverified", "reason": "As seen." });
    let made = vera.post(&path, &body).expect_json(201);
    assert_eq!(vera.post(&path, &body).expect_json(201), made);
    let change = json!({ "outcome": "unverified", "reason": "Seen again.", "replaces": made["id"] });
    let second = text(&office.determine(&visit, &change).expect_json(201), "/id");
    let omar = office.as_person(&office.omar).with_header("Idempotency-Key", "once");
    let approval = format!("/api/v1/determinations/{second}/approve");
    let approved = omar.post(&approval, &json!({})).expect_json(200);
    assert_eq!(omar.post(&approval, &json!({})).expect_json(200), approved);
}

#[test]
fn who_recorded_a_visit_does_not_judge_it_even_after_it_passed_to_somebody_else() {
    let office = Office::with_programme();
    let now = office.server.clock().now();
    let mut conn = office.server.app().connection().unwrap();
    let both = add_user(&mut conn, "ivo", "Ivo Brix", &[Role::Inspector, Role::Investigator], now);
    drop(conn);
    let visit = office.schedule(SHIPMENT, Some(&both));
    let mut device = HandDevice::enrolled(&office, &both);
    device.pull();
    let reassign = json!({ "inspector": office.tomas.id, "reason": "Ivo is ill." });
    let _ = office.manager().post(&format!("/api/v1/visits/{visit}/reassign"), &reassign).expect(200);
    let envelopes = [device.add(task(&visit), OPENED), device.add(task(&visit), CLOSED)];
    device.accepted(&envelopes.each_ref().map(Vec::as_slice));
    assert_eq!(office.state(&visit), "closed", "who was sent first is still heard");
    let determination = json!({ "outcome": "unverified", "reason": "As I saw it." });
    let path = format!("/api/v1/visits/{visit}/determinations");
    office.as_person(&both).post(&path, &determination).expect_problem(403, "own-visit");
    let _ = office.determine(&visit, &determination).expect(201);
}

#[test]
fn nobody_else_s_record_makes_a_refusal_vanish_or_closes_the_visit() {
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let mut iris = HandDevice::enrolled(&office, &office.iris);
    iris.pull();
    let denial = |words: &str| {
        Act::Denied(Denial {
            by: DeniedBy::SiteGuard,
            who: "The guard".to_owned(),
            at: office.server.clock().now(),
            words: words.to_owned(),
            scope: "site".to_owned(),
        })
    };
    let denied = iris.add(task(&visit), denial("You stay outside."));
    let opened = iris.add(task(&visit), OPENED);
    iris.accepted(&[&denied, &opened]);

    let mut tomas = HandDevice::enrolled(&office, &office.tomas);
    let correct = |device: &mut HandDevice, old: &[u8], act: Act| {
        let mut record = device.record(task(&visit), act);
        record.replaces = Some(Sha256::of(old));
        let envelope = device.signed(&record);
        device.follow(&envelope);
        envelope
    };
    let hidden = correct(&mut tomas, &denied, denial("Come in."));
    let closed = tomas.add(task(&visit), CLOSED);
    tomas.accepted(&[&hidden, &closed]);
    let words = |dossier: &Value| -> Vec<String> {
        dossier["denials"].as_array().unwrap().iter().map(|denial| text(denial, "/words")).collect()
    };
    let dossier = office.dossier(&visit);
    assert_eq!(words(&dossier), ["You stay outside.", "Come in."], "both stand");
    assert!(office.signals(&visit).contains(&"correction-does-not-count".to_owned()));
    assert_eq!(office.state(&visit), "open", "a companion does not close the visit");

    let note = correct(&mut iris, &denied, Act::Note { text: "All was well.".to_owned() });
    let mended = correct(&mut iris, &denied, denial("You stay outside, all of you."));
    iris.accepted(&[&note, &mended]);
    let dossier = office.dossier(&visit);
    assert_eq!(words(&dossier), ["Come in.", "You stay outside, all of you."]);
    let corrected = dossier["corrected"].as_array().unwrap();
    assert_eq!(corrected.len(), 1, "{corrected:#?}");
    assert!(text(&corrected[0], "/said").contains("You stay outside."), "what was said is still shown");
}
