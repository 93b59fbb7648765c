//! The table of what an event does to the state.

use super::*;
use crate::config::serial_rules::SerialRules;

fn at(text: &str) -> Timestamp {
    let text = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    text.parse().unwrap()
}

fn papers() -> Papers {
    Papers {
        item: ItemId::mint(),
        shipment: ShipmentId::mint(),
        serial: "NVA-1".into(),
        control_entry: "3A001.b.4".into(),
        authority: "BAFA".into(),
        host: PartyId::mint(),
        site: SiteId::mint(),
        country: "DE".into(),
    }
}

fn event(what: Happening, happened: &str, recorded: &str) -> Event {
    Event {
        id: SerialEventId::mint(),
        item: ItemId::mint(),
        what,
        happened_at: at(happened),
        recorded_at: at(recorded),
        actor: "user:x".into(),
        visit: None,
        record: None,
        replaces_record: None,
        corrects: None,
        log_index: None,
    }
}

fn arrival(on: &str) -> Event {
    event(Happening::Arrival { arrived_on: on.into() }, on, "2026-12-31")
}

fn sighting(status: ItemStatus, method: VerificationMethod, on: &str) -> Event {
    let what =
        Happening::Sighting { status, method, serial_read: Some("nva 1".into()), site: None, unsent: None };
    event(what, on, on)
}

fn seen(on: &str) -> Event {
    sighting(ItemStatus::Sighted, VerificationMethod::InPerson, on)
}

fn loss(what: LossKind, on: &str, reported: &str) -> Event {
    let text = || "x".to_owned();
    let what = Happening::Loss {
        what,
        lost_on: on.into(),
        circumstances: text(),
        proof: text(),
        reported_by: text(),
    };
    event(what, on, reported)
}

fn review(of: &Event, accepted: bool, on: &str) -> Event {
    event(Happening::LossReview { loss: of.id.clone(), accepted, reason: "x".into() }, on, on)
}

/// The second person's word on a find or a transfer.
fn reviewed(of: &Event, accepted: bool, on: &str) -> Event {
    event(Happening::Review { of: of.id.clone(), accepted, reason: "x".into() }, on, on)
}

fn transfer(on: &str) -> Event {
    let text = || "x".to_owned();
    let what = Happening::Transfer {
        transferred_on: on.into(),
        losing_office: text(),
        gaining_office: text(),
        losing_party: PartyId::mint(),
        gaining_party: PartyId::mint(),
        losing_site: SiteId::mint(),
        gaining_site: SiteId::mint(),
        gaining_country: "AE".into(),
        consent: None,
    };
    event(what, on, on)
}

fn found(on: &str) -> Event {
    event(Happening::Found { found_on: on.into(), circumstances: "x".into() }, on, on)
}

fn state(events: &[Event]) -> State {
    state_of(&papers(), &SerialRules::new(&[], &[]).unwrap(), events)
}

/// The status, the due day and what it runs from.
type Brief = (Status, Option<String>, Option<Since>);

fn brief(events: &[Event]) -> Brief {
    let state = state(events);
    (state.status, state.due_at.map(|due| due.day().to_string()), state.due_since)
}

#[test]
fn every_event_moves_the_due_date_as_the_table_says() {
    use LossKind as L;
    use Since as F;
    use Status as S;
    let in_person = VerificationMethod::InPerson;
    let due = |day: &str| Some(day.to_owned());
    let lost = loss(L::Lost, "2026-05-01", "2026-05-02");
    let destroyed = loss(L::Destroyed, "2026-05-01", "2026-05-02");
    let accepted = review(&lost, true, "2026-05-20");
    let rejected = review(&lost, false, "2026-05-20");
    let gone = review(&destroyed, true, "2026-05-20");
    let arrived = || arrival("2026-03-24");
    let (again, moved) = (found("2026-06-01"), transfer("2026-06-20"));
    let cases: Vec<(&str, Vec<Event>, Brief)> = vec![
        ("nothing", vec![], (S::Awaited, None, None)),
        ("arrived", vec![arrived()], (S::InPlace, due("2026-06-22"), Some(F::Arrival))),
        ("seen", vec![arrived(), seen("2026-04-01")], (S::InPlace, due("2027-04-01"), Some(F::Seen))),
        (
            "seen on the day",
            vec![arrived(), seen("2026-03-24T06:00:00Z")],
            (S::InPlace, due("2027-03-24"), Some(F::Seen)),
        ),
        (
            "seen on its way",
            vec![seen("2026-03-01"), arrived()],
            (S::InPlace, due("2026-06-22"), Some(F::Arrival)),
        ),
        ("seen, arrival unknown", vec![seen("2026-04-01")], (S::InPlace, due("2027-04-01"), Some(F::Seen))),
        (
            "absent",
            vec![arrived(), sighting(ItemStatus::Absent, in_person, "2026-04-01")],
            (S::InPlace, due("2026-06-22"), Some(F::Arrival)),
        ),
        (
            "the host says so",
            vec![arrived(), sighting(ItemStatus::Sighted, VerificationMethod::HostSelfReport, "2026-04-01")],
            (S::InPlace, due("2026-06-22"), Some(F::Arrival)),
        ),
        (
            "papers say so",
            vec![arrived(), sighting(ItemStatus::Sighted, VerificationMethod::Documentary, "2026-04-01")],
            (S::InPlace, due("2026-06-22"), Some(F::Arrival)),
        ),
        (
            "loss reported",
            vec![arrived(), lost.clone()],
            (S::LossReported, due("2026-06-22"), Some(F::Arrival)),
        ),
        (
            "loss reported as of before the arrival: the clock runs on",
            vec![arrived(), loss(L::Lost, "2020-01-01", "2026-05-02")],
            (S::LossReported, due("2026-06-22"), Some(F::Arrival)),
        ),
        (
            "the same, and found by whoever reported it",
            vec![arrived(), loss(L::Lost, "2020-01-01", "2026-05-02"), found("2026-05-03")],
            (S::InPlace, due("2026-06-22"), Some(F::Arrival)),
        ),
        (
            "loss accepted",
            vec![arrived(), lost.clone(), accepted.clone()],
            (S::Lost, due("2026-08-18"), Some(F::Loss)),
        ),
        (
            "loss rejected",
            vec![arrived(), lost.clone(), rejected.clone()],
            (S::InPlace, due("2026-06-22"), Some(F::Arrival)),
        ),
        (
            "destroyed, not reviewed",
            vec![arrived(), destroyed.clone()],
            (S::LossReported, due("2026-06-22"), Some(F::Arrival)),
        ),
        ("destroyed, accepted", vec![arrived(), destroyed.clone(), gone.clone()], (S::Gone, None, None)),
        (
            "found, not reviewed: the search goes on being due",
            vec![arrived(), lost.clone(), accepted.clone(), found("2026-06-01")],
            (S::InPlace, due("2026-08-18"), Some(F::Loss)),
        ),
        (
            "found",
            vec![
                arrived(),
                lost.clone(),
                accepted.clone(),
                again.clone(),
                reviewed(&again, true, "2026-06-03"),
            ],
            (S::InPlace, due("2026-08-30"), Some(F::Found)),
        ),
        (
            "found, rejected",
            vec![
                arrived(),
                lost.clone(),
                accepted.clone(),
                again.clone(),
                reviewed(&again, false, "2026-06-03"),
            ],
            (S::Lost, due("2026-08-18"), Some(F::Loss)),
        ),
        (
            "found before anybody looked into the loss",
            vec![arrived(), lost.clone(), again.clone()],
            (S::InPlace, due("2026-06-22"), Some(F::Arrival)),
        ),
        (
            "found before anybody looked into the loss, and accepted",
            vec![arrived(), lost.clone(), again.clone(), reviewed(&again, true, "2026-06-03")],
            (S::InPlace, due("2026-06-22"), Some(F::Arrival)),
        ),
        ("lost on its way and found", vec![lost.clone(), again.clone()], (S::Awaited, None, None)),
        (
            "gone and found",
            vec![arrived(), destroyed.clone(), gone.clone(), again.clone()],
            (S::InPlace, due("2026-08-30"), Some(F::Found)),
        ),
        (
            "transferred, which would move the due date away, not reviewed",
            vec![arrived(), moved.clone()],
            (S::InPlace, due("2026-06-22"), Some(F::Arrival)),
        ),
        (
            "transferred, which moves the due date away, accepted",
            vec![arrived(), moved.clone(), reviewed(&moved, true, "2026-06-22")],
            (S::InPlace, due("2026-09-18"), Some(F::Transfer)),
        ),
        (
            "transferred, rejected",
            vec![arrived(), seen("2026-04-01"), moved.clone(), reviewed(&moved, false, "2026-06-22")],
            (S::InPlace, due("2027-04-01"), Some(F::Seen)),
        ),
        (
            "transferred while it is lost",
            vec![arrived(), lost.clone(), accepted.clone(), moved.clone()],
            (S::Lost, due("2026-08-18"), Some(F::Loss)),
        ),
        (
            "the papers name a day ahead",
            vec![event(Happening::Arrival { arrived_on: "2026-03-24".into() }, "2026-03-24", "2026-03-01")],
            (S::InPlace, due("2026-06-22"), Some(F::Arrival)),
        ),
        (
            "seen after the loss",
            vec![arrived(), lost.clone(), accepted.clone(), seen("2026-06-01")],
            (S::InPlace, due("2027-06-01"), Some(F::Seen)),
        ),
        (
            "seen before the loss, heard later",
            vec![arrived(), lost.clone(), seen("2026-04-20")],
            (S::LossReported, due("2027-04-20"), Some(F::Seen)),
        ),
        (
            "transferred",
            vec![arrived(), seen("2026-04-01"), transfer("2026-05-01")],
            (S::InPlace, due("2026-07-30"), Some(F::Transfer)),
        ),
        (
            "transferred and seen",
            vec![arrived(), transfer("2026-05-01"), seen("2026-05-02")],
            (S::InPlace, due("2027-05-02"), Some(F::Seen)),
        ),
    ];
    for (name, mut events, expected) in cases {
        assert_eq!(brief(&events), expected, "{name}");
        events.reverse();
        assert_eq!(brief(&events), expected, "{name}, told in another order");
    }
}

#[test]
fn a_transfer_moves_the_serial_and_a_sighting_elsewhere_does_not() {
    let moved = transfer("2026-05-01");
    let Happening::Transfer { gaining_party, gaining_site, .. } = &moved.what else { panic!() };
    let (party, site) = (gaining_party.clone(), gaining_site.clone());
    let papers = papers();
    let rules = SerialRules::new(&[], &[]).unwrap();
    let mut elsewhere = seen("2026-06-01");
    if let Happening::Sighting { site, .. } = &mut elsewhere.what {
        *site = Some(SiteId::mint());
    }
    let state = state_of(&papers, &rules, &[arrival("2026-03-24"), moved, elsewhere]);
    assert_eq!((&state.host, &state.site, state.country.as_str()), (&party, &site, "AE"));
    assert!(state.seen_site.is_some_and(|seen| seen != site));
}

#[test]
fn only_who_was_sent_and_saw_it_where_it_should_be_moves_its_clock() {
    use super::super::event::Unsent;
    let papers = papers();
    let rules = SerialRules::new(&[], &[]).unwrap();
    let by = |place: &SiteId, cause: Option<Unsent>| {
        let mut event = seen("2026-04-01");
        if let Happening::Sighting { site, unsent, .. } = &mut event.what {
            *site = Some(place.clone());
            *unsent = cause;
        }
        event
    };
    let elsewhere = SiteId::mint();
    for (sighting, why) in [
        (by(&papers.site, None), None),
        (by(&elsewhere, None), Some("it was seen elsewhere")),
        (by(&papers.site, Some(Unsent::NotAssigned)), Some("whoever recorded it was not sent there")),
        (by(&papers.site, Some(Unsent::Cancelled)), Some("the visit was cancelled")),
    ] {
        let id = sighting.id.clone();
        let events = [arrival("2026-03-24"), sighting];
        let (state, told) = (state_of(&papers, &rules, &events), not_seen(&papers, &rules, &events));
        assert_eq!(told.get(&id).copied(), why);
        let expected = if why.is_none() { Since::Seen } else { Since::Arrival };
        assert_eq!(state.due_since, Some(expected), "{why:?}");
    }
    // What somebody who was not sent says of it is no inspector's word, either.
    let mut absent = by(&papers.site, Some(Unsent::NotAssigned));
    if let Happening::Sighting { status, .. } = &mut absent.what {
        *status = ItemStatus::Absent;
    }
    assert_eq!(state_of(&papers, &rules, &[absent]).said, None);
    // After a transfer it is to be seen where it went.
    let moved = transfer("2026-03-30");
    let Happening::Transfer { gaining_site, .. } = &moved.what else { panic!() };
    let there = by(gaining_site, None);
    assert_eq!(state_of(&papers, &rules, &[moved, there]).due_since, Some(Since::Seen));
}

#[test]
fn a_clock_that_is_ahead_pushes_nothing_away_and_a_late_report_is_late() {
    let mut ahead = seen("2036-04-01");
    ahead.recorded_at = at("2026-04-02");
    assert_eq!(state(&[arrival("2026-03-24"), ahead]).due_at.unwrap().day().to_string(), "2027-04-02");
    let late = |reported| state(&[loss(LossKind::Stolen, "2026-05-01", reported)]).loss_is_late;
    assert!(!late("2026-05-31T23:59:59Z") && late("2026-06-01"));
}

#[test]
fn a_correction_stands_in_for_the_old_event_and_only_its_own_device_corrects_a_record() {
    let record = |text: &str| Some(endcheck_protocol::digest::Sha256::of(text.as_bytes()));
    let first = Event { record: record("a"), actor: "device:1".into(), ..seen("2026-04-01") };
    let status = ItemStatus::Absent;
    let mut second = sighting(status, VerificationMethod::InPerson, "2026-04-02");
    second.record = record("b");
    second.replaces_record = record("a");
    second.actor = "device:1".into();
    let corrected = state(&[first.clone(), second.clone()]);
    assert_eq!((corrected.last_seen_at, corrected.said), (None, Some(status)));
    second.actor = "device:2".into();
    assert!(state(&[first, second]).last_seen_at.is_some());

    let wrong = arrival("2026-03-24");
    let right = Event { corrects: Some(wrong.id.clone()), ..arrival("2026-04-01") };
    assert_eq!(state(&[wrong.clone(), right]).arrived_on.as_deref(), Some("2026-04-01"));
    let withdrawn = Event {
        corrects: Some(wrong.id.clone()),
        ..event(Happening::Withdrawn { reason: "x".into() }, "2026-04-01", "2026-04-01")
    };
    assert_eq!(brief(&[wrong, withdrawn]), (Status::Awaited, None, None));
}
