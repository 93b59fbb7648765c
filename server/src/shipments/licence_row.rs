//! What a row of licences looks like.

use std::collections::{BTreeMap, BTreeSet};

use endcheck_protocol::checklist::{
    AnswerType, EvidenceKind, EvidenceRule, LicenceCondition, Scope, Slug, Template, Text, freeze,
};
use serde_json::Value;

use super::licence::{Condition, LicenceLine, Money, NewLicence};
use crate::rows::{Column, Faults, Fields, Part, Placed, Row, Shape};

/// The columns of `licences.csv`, a row for each line and each condition.
pub const SHAPE: Shape = Shape {
    thing: "licence",
    features: false,
    columns: &[
        Column { name: "key", required: true },
        Column { name: "number", required: true },
        Column { name: "authority", required: true },
        Column { name: "exporter", required: true },
        Column { name: "valid_from", required: true },
        Column { name: "valid_until", required: true },
    ],
    parts: &[
        Part {
            list: "lines",
            row: "line",
            columns: &[
                ("line", "line"),
                ("control_entry", "control_entry"),
                ("description", "description"),
                ("quantity", "quantity"),
                ("unit", "unit"),
                ("value_amount", "value_amount"),
                ("value_currency", "value_currency"),
            ],
        },
        Part {
            list: "conditions",
            row: "condition",
            columns: &[
                ("condition", "id"),
                ("text", "text"),
                ("question_*", "question_*"),
                ("scope", "scope"),
                ("answer", "answer"),
                ("evidence", "evidence"),
                ("expected", "expected"),
            ],
        },
    ],
};

/// A licence, when nothing is wrong with the row.
pub fn parse(row: Row, faults: &mut Faults) -> Option<Placed<NewLicence>> {
    let mut fields = Fields::of(row, faults);
    let licence = NewLicence {
        key: fields.key("key"),
        number: fields.text("number"),
        authority: fields.text("authority"),
        exporter: fields.key("exporter"),
        valid_from: fields.date("valid_from"),
        valid_until: fields.date("valid_until"),
        lines: lines(&mut fields),
        conditions: fields.list("conditions", condition).into_iter().map(|placed| placed.value).collect(),
    };
    if !licence.valid_until.is_empty() && licence.valid_until < licence.valid_from {
        fields.fault("valid_until", "is before valid_from");
    }
    if let Err(reason) = can_be_asked(&licence) {
        fields.fault("conditions", reason);
    }
    fields.finish(licence)
}

fn lines(fields: &mut Fields<'_>) -> Vec<LicenceLine> {
    let whole = fields.faults();
    let lines = fields.list("lines", line);
    if lines.is_empty() && fields.faults() == whole {
        fields.fault("lines", "a licence has at least one line");
    }
    let mut seen = BTreeSet::new();
    for twice in lines.iter().filter(|line| !seen.insert(line.value.line)) {
        fields.fault_at(&twice.place, "line", format!("line {} is there twice", twice.value.line));
    }
    lines.into_iter().map(|placed| placed.value).collect()
}

fn line(row: Row, faults: &mut Faults) -> Option<Placed<LicenceLine>> {
    let csv = row.csv;
    let mut fields = Fields::of(row, faults);
    let line = LicenceLine {
        line: fields.integer("line", 1),
        control_entry: fields.text("control_entry"),
        description: fields.text("description"),
        quantity: fields.quantity("quantity"),
        unit: fields.text("unit"),
        value: if csv { money(&mut fields, "value_amount", "value_currency") } else { value(&mut fields) },
    };
    fields.finish(line)
}

fn value(fields: &mut Fields<'_>) -> Option<Money> {
    match fields.value("value")? {
        Value::Object(members) => {
            let mut inner = fields.inner("value", members);
            let money = money(&mut inner, "amount", "currency");
            inner.finish(money).and_then(|placed| placed.value)
        }
        _ => {
            fields.fault("value", "expected an object with amount and currency");
            None
        }
    }
}

fn money(fields: &mut Fields<'_>, amount: &str, currency: &str) -> Option<Money> {
    let before = fields.faults();
    let (given, named) = (fields.optional_integer(amount, 0), fields.optional_text(currency));
    match (given, named) {
        (Some(amount), Some(named)) => {
            if named.len() != 3 || !named.bytes().all(|byte| byte.is_ascii_uppercase()) {
                fields.fault(currency, "expected an ISO 4217 code such as EUR");
            }
            Some(Money { amount, currency: named })
        }
        (None, None) => None,
        (given, _) => {
            if fields.faults() == before {
                let missing = if given.is_none() { amount } else { currency };
                fields.fault(missing, "amount and currency go together; give both or none");
            }
            None
        }
    }
}

fn condition(row: Row, faults: &mut Faults) -> Option<Placed<Condition>> {
    let csv = row.csv;
    let mut fields = Fields::of(row, faults);
    let condition = Condition {
        id: fields.text("id"),
        text: fields.text("text"),
        question: question(&mut fields, csv),
        scope: fields
            .word("scope", "visit, item", |word| match word {
                "visit" => Some(Some(Scope::Visit)),
                "item" => Some(Some(Scope::Item)),
                _ => None,
            })
            .unwrap_or(Scope::Visit),
        answer: answer(&mut fields),
        evidence: if csv { evidence_cell(&mut fields) } else { evidence_list(&mut fields) },
        expected: fields.optional_text("expected"),
    };
    if condition.expected.as_deref().is_some_and(|expected| !matches!(expected, "yes" | "no")) {
        fields.fault("expected", "expected yes or no");
    } else if condition.expected.is_some() && condition.answer != AnswerType::YesNoUnknown {
        fields.fault("expected", "goes with the answer yes-no-unknown only");
    }
    fields.finish(condition)
}

fn question(fields: &mut Fields<'_>, csv: bool) -> Text {
    let texts = if csv {
        fields.with_prefix("question_")
    } else {
        match fields.value("question") {
            Some(Value::Object(texts)) => texts.into_iter().collect(),
            Some(_) => {
                fields.fault("question", "expected an object of texts by language tag");
                return Text::default();
            }
            None => Vec::new(),
        }
    };
    let mut question = Text::default();
    for (language, text) in texts {
        match text {
            Value::String(text) if !text.trim().is_empty() => {
                question.0.insert(language, text);
            }
            _ => fields.fault("question", format!("the text in {language} is empty or not a text")),
        }
    }
    if !question.speaks("en") {
        fields.fault(if csv { "question_en" } else { "question" }, "has no text in English (en)");
    }
    question
}

fn answer(fields: &mut Fields<'_>) -> AnswerType {
    let Some(value) = fields.value("answer") else {
        fields.fault("answer", "is missing");
        return AnswerType::Text;
    };
    serde_json::from_value(value).unwrap_or_else(|error| {
        fields.fault("answer", format!("{error}; the usual one is yes-no-unknown"));
        AnswerType::Text
    })
}

const KINDS: &str = "photo, document, statement, track";

fn kind(word: &str) -> Option<EvidenceKind> {
    [EvidenceKind::Photo, EvidenceKind::Document, EvidenceKind::Statement, EvidenceKind::Track]
        .into_iter()
        .find(|kind| kind.as_str() == word)
}

fn evidence_list(fields: &mut Fields<'_>) -> Vec<EvidenceRule> {
    let rules = fields.list("evidence", |row, faults| {
        let mut fields = Fields::of(row, faults);
        let kind = fields.word("kind", KINDS, |word| kind(word).map(Some));
        let purpose = fields.word("purpose", "the slugs: small letters, digits and dashes", |word| {
            word.parse::<Slug>().ok().map(Some)
        });
        let at_least = u32::try_from(fields.integer("at_least", 1)).ok();
        if at_least.is_none() {
            fields.fault("at_least", "is too large");
        }
        let rule = kind.zip(purpose).zip(at_least).map(|((kind, purpose), at_least)| EvidenceRule {
            kind,
            purpose,
            at_least,
            when: None,
            on_skip: Vec::new(),
        });
        fields.finish(rule)
    });
    rules.into_iter().filter_map(|placed| placed.value).collect()
}

fn evidence_cell(fields: &mut Fields<'_>) -> Vec<EvidenceRule> {
    let mut rules = Vec::new();
    for written in fields.texts("evidence") {
        let mut parts = written.split(':');
        let rule = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(word), Some(purpose), Some(at_least), None) => kind(word)
                .zip(purpose.parse().ok())
                .zip(at_least.parse().ok().filter(|at_least| *at_least > 0))
                .map(|((kind, purpose), at_least)| EvidenceRule {
                    kind,
                    purpose,
                    at_least,
                    when: None,
                    on_skip: Vec::new(),
                }),
            _ => None,
        };
        match rule {
            Some(rule) => rules.push(rule),
            None => fields.fault(
                "evidence",
                format!("{written:?} is not kind:purpose:at_least, such as photo:installation:1"),
            ),
        }
    }
    rules
}

/// Whether a checklist could be frozen with these conditions: their ids make distinct question names.
fn can_be_asked(licence: &NewLicence) -> Result<(), String> {
    if licence.conditions.is_empty() {
        return Ok(());
    }
    let template = Template {
        id: "import".parse().map_err(|error: endcheck_protocol::checklist::InvalidSlug| error.to_string())?,
        version: 1,
        title: Text::english("Import"),
        languages: vec!["en".to_owned()],
        skip_reasons: Vec::new(),
        questions: Vec::new(),
    };
    let conditions: Vec<LicenceCondition> =
        licence.conditions.iter().map(|condition| condition.for_checklist(&licence.number)).collect();
    freeze(&template, &conditions, &[], &BTreeMap::new()).map(|_| ()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Format, read};

    const GOOD: &str = r#"{"key":"L-1","number":"N 1","authority":"A","exporter":"P-1","valid_from":"2026-01-01","valid_until":"2027-01-01","lines":[{"line":1,"control_entry":"3A001","description":"D","quantity":2,"unit":"piece","value":{"amount":5,"currency":"EUR"}}],"conditions":[{"id":"c1","text":"T","question":{"en":"Q?"},"scope":"item","answer":"yes-no-unknown","evidence":[{"kind":"photo","purpose":"plate","at_least":1}],"expected":"yes"}]}"#;

    #[test]
    fn faults_of_licences_lines_and_conditions_are_named() {
        let table: &[(&str, &str, &str, &str)] = &[
            ("\"valid_until\":\"2027", "\"valid_until\":\"2025", "valid_until", "before valid_from"),
            ("\"lines\":[{", "\"lines\":[],\"rows\":[{", "lines", "at least one"),
            ("\"quantity\":2", "\"quantity\":0", "lines[0].quantity", "positive decimal"),
            ("\"line\":1", "\"line\":\"1\"", "lines[0].line", "whole number"),
            ("\"EUR\"", "\"euro\"", "lines[0].value.currency", "4217"),
            (",\"currency\":\"EUR\"", "", "lines[0].value.currency", "go together"),
            ("\"unit\"", "\"units\"", "lines[0].units", "not a known field"),
            ("{\"en\":\"Q?\"}", "{\"fr\":\"Q?\"}", "conditions[0].question", "English"),
            ("\"item\"", "\"lot\"", "conditions[0].scope", "visit, item"),
            ("yes-no-unknown", "perhaps", "conditions[0].answer", "perhaps"),
            ("\"at_least\":1", "\"at_least\":0", "conditions[0].evidence[0].at_least", "from 1 up"),
            ("\"plate\"", "\"The Plate\"", "conditions[0].evidence[0].purpose", "slugs"),
            ("\"expected\":\"yes\"", "\"expected\":\"maybe\"", "conditions[0].expected", "yes or no"),
            ("\"id\":\"c1\"", "\"id\":\"§\"", "conditions", "letters or digits"),
        ];
        let (good, faults) = read(format!("[{GOOD}]").as_bytes(), Format::Json, &SHAPE, parse);
        assert_eq!(faults.into_listed(), []);
        assert_eq!(good[0].value.conditions[0].for_checklist("N 1").id, "c1");
        for (from, to, field, reason) in table {
            assert!(GOOD.contains(from), "{from}");
            let text = format!("[{}]", GOOD.replace(from, to));
            let (_, faults) = read(text.as_bytes(), Format::Json, &SHAPE, parse);
            let found = faults.into_listed();
            let field = format!("[0].{field}");
            let named = found.iter().any(|f| f.field == field && f.reason.contains(reason));
            assert!(named, "{to}: {found:?}");
        }
    }

    #[test]
    fn rows_of_csv_are_lines_and_conditions() {
        let header = "key,number,authority,exporter,valid_from,valid_until,row,line,control_entry,description,quantity,unit,condition,text,question_en,question_de,scope,answer,evidence,expected";
        let own = "L-1,N,A,P-1,2026-01-01,2027-01-01";
        let text = format!(
            "{header}\n{own},line,1,3A001,D,2,kg,,,,,,,,\n{own},condition,,,,,,c1,T,Q?,F?,visit,yes-no-unknown,photo:plate:1;document:list:2,no\n"
        );
        let (licences, faults) = read(text.as_bytes(), Format::Csv, &SHAPE, parse);
        assert_eq!(faults.into_listed(), []);
        assert_eq!(licences[0].value.conditions[0].evidence.len(), 2);
        assert_eq!(licences[0].value.conditions[0].question.text_in("de"), "F?");
        for (from, to, line, field) in [
            ("condition,,,", "remark,,,", 3, "row"),
            ("photo:plate:1", "photo:plate", 3, "evidence"),
            (
                "N,A,P-1,2026-01-01,2027-01-01,condition",
                "N,B,P-1,2026-01-01,2027-01-01,condition",
                3,
                "authority",
            ),
            ("condition,,,,,,c1", "condition,7,,,,,c1", 3, "line"),
            ("line,1,", "line,,", 2, "line"),
        ] {
            assert!(text.contains(from), "{from}");
            let (_, faults) = read(text.replace(from, to).as_bytes(), Format::Csv, &SHAPE, parse);
            let found = faults.into_listed();
            assert!(found.iter().any(|f| f.line == Some(line) && f.field == field), "{to}: {found:?}");
        }
    }
}
