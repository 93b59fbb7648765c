//! Checklists through their public face: the default template, freezing, evaluation, obstacles.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail loudly")]

use std::collections::{BTreeMap, BTreeSet};

use endcheck_protocol::checklist::{
    Answer, AnswerType, Checklist, ChecklistItem, Condition, EvidenceHeld, EvidenceKind, GivenAnswer,
    ItemStatus, LicenceCondition, Need, ObstacleKind, Question, Scope, Source, State, Status, Template,
    VisitOutcome, YesNo, evaluate, favourable_obstacles, freeze,
};
use endcheck_protocol::ids::ItemId;
use proptest::prelude::*;

const ITEM: &str = "0190b3c8-5f4e-7c1a-9d2e-3f4a5b6c7d8e";
/// A change here is a change of the protocol: devices name this document by its hash.
const GOLDEN_HASH: &str = "a185113307118253af1e24bffc51320b154015f10b5b4836b5199ee153867623";

fn items() -> Vec<ChecklistItem> {
    let json = format!(r#"[{{"id":"{ITEM}","description":"Five-axis milling machine","serial":"SN-4411"}}]"#);
    serde_json::from_str(&json).unwrap()
}

fn conditions() -> Vec<LicenceCondition> {
    serde_json::from_str(
        r#"[{"licence":"EX-1","id":"7(b)","text":{"en":"Is the machine's relocation alarm armed?"},"scope":"item",
            "answer":"yes-no-unknown","evidence":[{"kind":"photo","purpose":"alarm","at_least":2}]}]"#,
    )
    .unwrap()
}

fn facts() -> BTreeMap<String, String> {
    BTreeMap::from([("tier".to_owned(), "high".to_owned())])
}

fn frozen() -> Checklist {
    freeze(&Template::default_end_use().unwrap(), &conditions(), &items(), &facts()).unwrap()
}

/// A small template of the questions given as JSON, frozen with one item.
fn small(questions: &str) -> Checklist {
    freeze(&template(questions).unwrap(), &[], &items(), &facts()).unwrap()
}

fn template(questions: &str) -> Result<Template, String> {
    let json = format!(
        r#"{{"id":"small","version":1,"title":{{"en":"Small"}},"languages":["en"],
            "skip_reasons":[{{"code":"unsafe","text":{{"en":"Unsafe"}}}}],"questions":[{questions}]}}"#
    );
    Template::from_json(&json).map_err(|e| e.to_string())
}

fn question(id: &str, extra: &str) -> String {
    format!(
        r#"{{"id":"{id}","scope":"visit","text":{{"en":"?"}},"required":true,"answer":"yes-no-unknown"{extra}}}"#
    )
}

fn answer(json: &str) -> GivenAnswer {
    serde_json::from_str(json).unwrap()
}

fn yes_to(question: &str) -> GivenAnswer {
    answer(&format!(r#"{{"question":"{question}","answer":{{"yes-no-unknown":"yes"}}}}"#))
}

fn serial_read(value: &str) -> GivenAnswer {
    answer(&format!(r#"{{"question":"serial-read","item":"{ITEM}","answer":{value}}}"#))
}

fn held(kind: EvidenceKind, purpose: &str, item: bool) -> EvidenceHeld {
    let item = item.then(|| ITEM.parse().unwrap());
    EvidenceHeld { kind, purpose: purpose.parse().unwrap(), question: None, item, count: 1 }
}

fn sighted() -> State {
    State { items: BTreeMap::from([(ITEM.parse().unwrap(), ItemStatus::Sighted)]), ..State::default() }
}

fn status(checklist: &Checklist, state: &State, id: &str) -> Status {
    evaluate(checklist, state).questions.into_iter().find(|q| q.question.as_str() == id).unwrap().status
}

fn not_applicable(status: &Status) -> bool {
    matches!(status, Status::NotApplicable { .. })
}

fn row(question: &Question) -> u32 {
    let number = question.number.clone().unwrap();
    number.trim_end_matches(|c: char| c.is_ascii_alphabetic()).parse().unwrap()
}

#[test]
fn the_default_template_carries_all_34_rows_in_every_language() {
    let template = Template::default_end_use().unwrap();
    assert_eq!(template.questions.iter().map(row).collect::<BTreeSet<_>>(), (1..=34).collect());
    assert_eq!(template.languages, ["en", "fr", "es", "de"]);
    for language in &template.languages {
        for question in &template.questions {
            assert!(question.text.speaks(language), "{} {language}", question.id);
            if let AnswerType::Choice { options, .. } = &question.answer {
                assert!(options.iter().all(|o| o.text.speaks(language)), "{} {language}", question.id);
            }
        }
    }
    let numbers: BTreeSet<_> = template.questions.iter().map(|q| q.number.clone()).collect();
    assert_eq!(numbers.len(), template.questions.len(), "each number once");
    let of_items = template.questions.iter().filter(|q| q.scope == Scope::Item).map(row);
    assert_eq!(of_items.collect::<BTreeSet<_>>(), (11..=23).chain([27, 28]).collect());
    let never: Vec<u32> = template.questions.iter().filter(|q| q.skip_reasons.is_empty()).map(row).collect();
    assert_eq!(never, [1, 32, 34]);
}

#[test]
fn freezing_twice_gives_the_same_bytes() {
    let (one, two) = (frozen(), frozen());
    assert_eq!(one.canonical_bytes().unwrap(), two.canonical_bytes().unwrap());
    assert_eq!(one.hash().unwrap().as_str(), GOLDEN_HASH);
    let read: Checklist = serde_json::from_slice(&one.canonical_bytes().unwrap()).unwrap();
    assert_eq!(read, one);
    assert_eq!(read.hash().unwrap(), one.hash().unwrap());
}

#[test]
fn a_licence_condition_becomes_a_question() {
    let checklist = frozen();
    let question = checklist.question(&"condition-7-b".parse().unwrap()).unwrap();
    assert_eq!(question.number.as_deref(), Some("C1"));
    let source = Source::LicenceCondition { licence: "EX-1".to_owned(), condition: "7(b)".to_owned() };
    assert_eq!(question.source, source);
    assert_eq!(question.text_in("fr"), "Is the machine's relocation alarm armed?");
    assert!(
        evaluate(&checklist, &sighted()).missing.iter().any(|m| m.question.as_ref() == Some(&question.id))
    );
}

#[test]
fn conditions_and_items_are_checked_when_frozen() {
    let template = Template::default_end_use().unwrap();
    let error = |conditions: &[LicenceCondition], items: &[ChecklistItem]| {
        freeze(&template, conditions, items, &facts()).unwrap_err().to_string()
    };
    assert!(
        error(&[conditions(), conditions()].concat(), &[]).contains("question condition-7-b is there twice")
    );
    assert!(error(&[], &[items(), items()].concat()).contains(ITEM));
    let mut unnamable = conditions();
    unnamable[0].id = "§".to_owned();
    assert!(error(&unnamable, &[]).contains("makes no question name"));
}

#[test]
fn a_bad_template_is_refused_by_question() {
    let nested = format!("{}{}{}", r#"{"not":"#.repeat(16), r#"{"answered":"b"}"#, "}".repeat(16));
    let choice = |options: &str| {
        let answer = format!(r#"{{"choice":{{"multiple":false,"options":[{options}]}}}}"#);
        question("a", "").replace(r#""yes-no-unknown""#, &answer)
    };
    let circle = [("a", "b"), ("b", "c"), ("c", "a")]
        .map(|(id, needs)| question(id, &format!(r#","ask_when":{{"not":{{"answered":"{needs}"}}}}"#)))
        .join(",");
    let b = question("b", "");
    let item_b = b.replace(r#""visit""#, r#""item""#);
    let a_when = |rule: &str| question("a", &format!(r#","ask_when":{rule}"#));
    let table = [
        (format!("{b},{b}"), "question b is there twice"),
        (a_when(r#"{"answered":"ghost"}"#), "question a has a rule about question ghost"),
        (a_when(r#"{"answered":"a"}"#), "depending on itself: a → a"),
        (circle, "a → b → c → a"),
        (question("a", "").replace(r#""en""#, r#""fr""#), "question a has no text in en"),
        (choice(""), "question a has no options"),
        (choice(r#"{"code":"x","text":{"en":"x"}},{"code":"x","text":{"en":"x"}}"#), "has option x twice"),
        (choice(r#"{"code":"x","text":{}}"#), "option x of question a has no text in en"),
        (choice(r#"{"code":"X y","text":{"en":"x"}}"#), "is not a name"),
        (format!("{},{b}", a_when(&nested)), "question a has a rule nested"),
        ((0..501).map(|n| question(&format!("q{n}"), "")).collect::<Vec<_>>().join(","), "501 questions"),
        (question("a", r#","skip_reasons":["tired"]"#), "question a names the skip reason tired"),
        (
            question(
                "a",
                r#","evidence":[{"kind":"photo","purpose":"p","at_least":1,"on_skip":["unsafe"]}]"#,
            ),
            "question a names the skip reason unsafe",
        ),
        (question("a", r#","note_required_on":["maybe"]"#), "question a demands a note on \"maybe\""),
        (
            format!("{},{b}", a_when(r#"{"answer":{"question":"b","in":["maybe"]}}"#)),
            "question a has a rule that expects b to be \"maybe\"",
        ),
        (a_when(r#"{"item-status":["absent"]}"#), "question a is asked once a visit"),
        (format!("{},{item_b}", a_when(r#"{"answered":"b"}"#)), "question a is asked once a visit"),
        (question("a", r#","evidence":[{"kind":"photo","purpose":"p","at_least":0}]"#), "zero times"),
        (question("a", "").replace("yes-no-unknown", "photo"), "question a is answered by its evidence"),
        (question("a", r#","colour":"red""#), "unknown field `colour`"),
    ];
    for (questions, expected) in table {
        let told = template(&questions).unwrap_err();
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[test]
fn an_empty_state_lacks_the_item_status_and_names_what_to_do() {
    let evaluation = evaluate(&frozen(), &State::default());
    assert!(!evaluation.may_complete());
    assert!(evaluation.missing.iter().any(|m| m.need == Need::ItemStatus && m.sentence.contains("SN-4411")));
    let plate = evaluation.missing.iter().find(|m| m.sentence.contains("plate-close-up")).unwrap();
    let expected = format!(
        "question 12 (serial-read) of item SN-4411: a photo of plate-close-up is missing: \
         `endcheck capture --question serial-read --item {ITEM} --purpose plate-close-up FILE`"
    );
    assert_eq!(plate.sentence, expected);
}

#[test]
fn skip_rules_follow_answers_facts_and_statuses() {
    let checklist = frozen();
    let mut state = sighted();
    assert!(
        not_applicable(&status(&checklist, &state, "plate-state")),
        "not asked before the serial is read"
    );
    state.answers.push(serial_read(r#"{"serial":"sn 4411"}"#));
    assert!(not_applicable(&status(&checklist, &state, "plate-state")), "the serial is the declared one");
    state.answers.push(serial_read(r#"{"serial":"SN-9"}"#));
    assert_eq!(status(&checklist, &state, "plate-state"), Status::Open, "the later answer counts");
    let lacks_plate = |state: &State| {
        evaluate(&checklist, state).missing.iter().any(|m| m.sentence.contains("plate-close-up"))
    };
    state.answers.push(serial_read(r#"{"skipped":{"reason":"illegible"}}"#));
    assert_eq!(status(&checklist, &state, "plate-state"), Status::Open);
    assert!(lacks_plate(&state), "an illegible plate is photographed");
    state.answers.push(serial_read(r#"{"skipped":{"reason":"unsafe"}}"#));
    assert!(!lacks_plate(&state), "danger waives the photo");
    state.items.insert(ITEM.parse().unwrap(), ItemStatus::Absent);
    assert!(not_applicable(&status(&checklist, &state, "serial-read")), "nothing to read on an absent item");
    let low = BTreeMap::from([("tier".to_owned(), "low".to_owned())]);
    let low = freeze(&Template::default_end_use().unwrap(), &[], &items(), &low).unwrap();
    assert!(not_applicable(&status(&low, &state, "security-lock")));
}

#[test]
fn photos_refused_ask_for_a_sketch_and_a_witness() {
    let checklist = frozen();
    let refusal = r#"{"question":"consent-photos","answer":{"yes-no-unknown":"no"},"note":"house rule"}"#;
    let state = State { answers: vec![answer(refusal)], ..sighted() };
    let missing = evaluate(&checklist, &state).missing;
    let lacks = |wanted: &str| {
        missing
            .iter()
            .any(|m| matches!(&m.need, Need::Evidence { purpose, .. } if purpose.as_str() == wanted))
    };
    assert!(lacks("sketch") && lacks("witness"));
    assert!(!lacks("exterior") && !lacks("plate-close-up"));
}

#[test]
fn an_answer_to_a_question_that_does_not_apply_moves_nothing() {
    let questions = [
        question("a", ""),
        question("b", r#","ask_when":{"answer":{"question":"a","in":["yes"]}}"#),
        question("c", r#","ask_when":{"answered":"b"}"#),
    ];
    let checklist = small(&questions.join(","));
    let mut state = State { answers: vec![yes_to("a"), yes_to("b")], ..sighted() };
    assert_eq!(status(&checklist, &state, "c"), Status::Open);
    state.answers.push(answer(r#"{"question":"a","answer":{"yes-no-unknown":"no"},"note":"gone"}"#));
    assert!(not_applicable(&status(&checklist, &state, "b")));
    assert!(not_applicable(&status(&checklist, &state, "c")));
    assert!(evaluate(&checklist, &state).may_complete());
}

#[test]
fn an_answer_that_does_not_fit_stays_missing() {
    let checklist = small(&question("a", ""));
    let unexplained = answer(r#"{"question":"a","answer":{"yes-no-unknown":"no"}}"#);
    let evaluation = evaluate(&checklist, &State { answers: vec![unexplained], ..sighted() });
    assert_eq!(evaluation.missing.len(), 1);
    assert!(evaluation.missing[0].sentence.contains("needs a note"));
}

#[test]
fn a_photo_question_is_answered_by_its_photos() {
    let photo = question("a", r#","evidence":[{"kind":"photo","purpose":"front","at_least":2}]"#);
    let checklist = small(&photo.replace("yes-no-unknown", "photo"));
    let mut state = sighted();
    let count = |state: &State| evaluate(&checklist, state).missing.len();
    assert_eq!(count(&state), 1);
    state.evidence.push(held(EvidenceKind::Photo, "front", false));
    assert!(evaluate(&checklist, &state).missing[0].sentence.contains("(1 of 2 held)"));
    state.evidence.push(held(EvidenceKind::Photo, "front", false));
    assert_eq!((count(&state), status(&checklist, &state, "a")), (0, Status::Answered));
    state.evidence[0].question = Some("other".parse().unwrap());
    assert_eq!(count(&state), 1, "evidence of another question does not count");
}

#[test]
fn only_completed_waits_for_what_is_missing() {
    let state = sighted();
    let evaluation = evaluate(&frozen(), &state);
    for outcome in VisitOutcome::ALL {
        let closing = evaluation.closing(*outcome, &state);
        assert_eq!(closing.allowed, *outcome != VisitOutcome::Completed, "{outcome:?}");
        let lacks_denial = closing.missing.iter().any(|m| m.need == Need::Denial);
        assert_eq!(lacks_denial, outcome.is_denial(), "{outcome:?}");
    }
}

#[test]
fn obstacles_are_named() {
    let checklist = small(&question("a", ""));
    let complete = State { answers: vec![yes_to("a")], outcome: Some(VisitOutcome::Completed), ..sighted() };
    let told = |state: &State| {
        let sentences = favourable_obstacles(&checklist, state).into_iter().map(|o| o.sentence);
        sentences.collect::<Vec<_>>().join("; ")
    };
    assert_eq!(told(&complete), "");
    let with_status = |status| {
        let items = BTreeMap::from([(ITEM.parse().unwrap(), status)]);
        State { items, ..complete.clone() }
    };
    for status in ItemStatus::ALL {
        let expected = *status != ItemStatus::Sighted;
        assert_eq!(told(&with_status(*status)).contains(status.as_str()), expected, "{status:?}");
    }
    let mut destroyed = with_status(ItemStatus::Destroyed);
    destroyed.evidence.push(held(EvidenceKind::Document, "certificate", true));
    assert_eq!(told(&destroyed), "");
    let partial = State { outcome: Some(VisitOutcome::Partial), ..complete.clone() };
    assert!(told(&partial).contains("closed as partial"));
    assert!(told(&State { outcome: None, ..complete.clone() }).contains("not closed"));
    assert!(told(&State { answers: vec![], ..complete.clone() }).contains("question a is not answered"));
    let mut other = complete.clone();
    other.answers.push(serial_read(r#"{"serial":"X"}"#));
    assert!(told(&other).contains("the serial read is X"));
}

#[test]
fn an_item_outside_the_sample_needs_nothing_but_something_must_be_seen() {
    let mut checklist = small(&question("a", ""));
    checklist.items[0].in_sample = false;
    let outcome = Some(VisitOutcome::Completed);
    let state = State { answers: vec![yes_to("a")], outcome, ..State::default() };
    assert!(evaluate(&checklist, &state).may_complete());
    let kinds: Vec<_> = favourable_obstacles(&checklist, &state).into_iter().map(|o| o.kind).collect();
    assert_eq!(kinds, [ObstacleKind::NothingSighted]);
}

/// One item that is not as declared ends the sample: what it left out is then to be seen, too.
#[test]
fn one_defect_ends_the_sample() {
    let mut checklist = small(&question("a", ""));
    let mut left_out = checklist.items[0].clone();
    left_out.id = ItemId::mint();
    left_out.in_sample = false;
    checklist.items.push(left_out.clone());
    let told = |status: ItemStatus| {
        let mut state =
            State { outcome: Some(VisitOutcome::Completed), answers: vec![yes_to("a")], ..State::default() };
        state.items.insert(checklist.items[0].id.clone(), status);
        let missing = evaluate(&checklist, &state).missing;
        // Whoever says that it was not sampled cannot go on saying so.
        state.items.insert(left_out.id.clone(), ItemStatus::NotSampled);
        let against = favourable_obstacles(&checklist, &state);
        let about = |item: &Option<ItemId>| item.as_ref() == Some(&left_out.id);
        (
            missing.iter().any(|missing| about(&missing.item)),
            against.iter().any(
                |o| matches!(&o.kind, ObstacleKind::ItemNotSighted { item, .. } if *item == left_out.id),
            ),
        )
    };
    assert_eq!(told(ItemStatus::Sighted), (false, false));
    assert_eq!(told(ItemStatus::Destroyed), (false, false), "accounted for by a certificate, not a defect");
    for status in [ItemStatus::SerialMismatch, ItemStatus::Absent, ItemStatus::Stolen] {
        assert_eq!(told(status), (true, true), "{status:?}");
    }
}

/// What is missing is supplied until nothing is, as an inspector would.
#[test]
fn supplying_what_is_missing_completes_a_visit() {
    let checklist = frozen();
    let mut state = State { outcome: Some(VisitOutcome::Completed), ..sighted() };
    for _ in 0..20 {
        for missing in evaluate(&checklist, &state).missing {
            let (question, item) = (missing.question.clone().unwrap(), missing.item.clone());
            match missing.need {
                Need::Answer => {
                    let answer = some_answer(&checklist.question(&question).unwrap().answer);
                    let note = Some("seen on site".to_owned());
                    state.answers.push(GivenAnswer { question, item, answer, note });
                }
                Need::Evidence { kind: EvidenceKind::Statement, .. } => state.statements += 1,
                Need::Evidence { kind, purpose, at_least, held } => {
                    let (question, count) = (Some(question), at_least - held);
                    state.evidence.push(EvidenceHeld { kind, purpose, question, item, count });
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let evaluation = evaluate(&checklist, &state);
    assert_eq!(evaluation.missing, []);
    assert!(evaluation.closing(VisitOutcome::Completed, &state).allowed);
    assert_eq!(favourable_obstacles(&checklist, &state), []);
}

fn some_answer(kind: &AnswerType) -> Answer {
    match kind {
        AnswerType::YesNoUnknown => Answer::YesNo(YesNo::Yes),
        AnswerType::Text => Answer::Text("as seen".to_owned()),
        AnswerType::Number { .. } => Answer::Number("1".parse().unwrap()),
        AnswerType::Serial => Answer::Serial("SN 4411".to_owned()),
        AnswerType::Choice { options, .. } => Answer::Choice(vec![options[0].code.clone()]),
        AnswerType::Position => Answer::Position { lat_e7: 1, lon_e7: 1 },
        AnswerType::Photo | AnswerType::Document => panic!("answered by evidence"),
    }
}

fn any_id() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "serial-read", "consent-photos", "item-seen"])
        .prop_map(str::to_owned)
}

fn any_status() -> impl Strategy<Value = ItemStatus> {
    prop::sample::select(ItemStatus::ALL)
}

fn any_condition() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        any_id().prop_map(|id| Condition::Answered(id.parse().unwrap())),
        any_id().prop_map(|id| Condition::Skipped(id.parse().unwrap())),
        any_id().prop_map(|id| Condition::SerialDiffers(id.parse().unwrap())),
        any_id().prop_map(|id| Condition::Answer {
            question: id.parse().unwrap(),
            one_of: vec!["yes".to_owned()]
        }),
        any_status().prop_map(|status| Condition::ItemStatus(vec![status])),
    ];
    leaf.prop_recursive(5, 20, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Condition::All),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Condition::Any),
            inner.prop_map(|part| Condition::Not(Box::new(part))),
        ]
    })
}

fn any_answer() -> impl Strategy<Value = GivenAnswer> {
    let value = prop_oneof![
        prop::sample::select(vec![YesNo::Yes, YesNo::No, YesNo::Unknown]).prop_map(Answer::YesNo),
        any::<String>().prop_map(Answer::Text),
        any::<String>().prop_map(Answer::Serial),
        any_id().prop_map(|code| Answer::Choice(vec![code.parse().unwrap()])),
        (any::<i32>(), any::<i32>()).prop_map(|(lat_e7, lon_e7)| Answer::Position { lat_e7, lon_e7 }),
        Just(Answer::Skipped { reason: "unsafe".parse().unwrap() }),
    ];
    (any_id(), any::<bool>(), value, any::<Option<String>>()).prop_map(|(id, item, answer, note)| {
        let item = item.then(|| ITEM.parse().unwrap());
        GivenAnswer { question: id.parse().unwrap(), item, answer, note }
    })
}

fn any_state() -> impl Strategy<Value = State> {
    let evidence = (any_id(), any::<bool>(), any::<u32>()).prop_map(|(purpose, item, count)| EvidenceHeld {
        count,
        ..held(EvidenceKind::Photo, &purpose, item)
    });
    let answers = prop::collection::vec(any_answer(), 0..12);
    let evidence = prop::collection::vec(evidence, 0..6);
    let outcome = prop::option::of(prop::sample::select(VisitOutcome::ALL));
    (answers, evidence, prop::option::of(any_status()), any::<u32>(), outcome).prop_map(
        |(answers, evidence, status, statements, outcome)| {
            let items = status.map(|status| (ITEM.parse().unwrap(), status)).into_iter().collect();
            State { answers, evidence, items, statements, denials: 0, outcome }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Total also on checklists that no check let through: rules in circles, unknown names, twins.
    #[test]
    fn evaluation_never_panics(
        rules in prop::collection::vec(prop::option::of(any_condition()), 3..6), state in any_state()
    ) {
        let mut wild = frozen();
        for (place, rule) in rules.into_iter().enumerate() {
            let question = &mut wild.questions[place * 7];
            question.id = ["a", "b", "c"][place % 3].parse().unwrap();
            if let Some(evidence) = question.evidence.first_mut() {
                evidence.when = rule.clone();
            }
            question.ask_when = rule;
        }
        let evaluation = evaluate(&wild, &state);
        prop_assert_eq!(evaluation.questions.len(), wild.questions.len(), "one item: each stands once");
        let obstacles = favourable_obstacles(&wild, &state);
        prop_assert!(obstacles.len() >= evaluation.missing.len(), "all that is missing stops favourable");
    }
}
