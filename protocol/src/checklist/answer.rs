//! Answers, and whether one fits its question.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::template::{AnswerType, Question};
use super::words::{QuestionId, Slug};

/// The longest text or note, in characters; what is longer belongs in a document.
pub const MAX_TEXT_CHARS: usize = 10_000;
const MAX_SERIAL_CHARS: usize = 128;
/// The skip reason that explains nothing by itself, so a note must.
const REASON_OTHER: &str = "other";

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    #[serde(rename = "yes-no-unknown")]
    YesNo(YesNo),
    Text(String),
    /// In the unit of the question.
    Number(Decimal),
    /// As read from the plate; compare with [`serials_match`].
    Serial(String),
    Choice(Vec<Slug>),
    /// WGS84, ten-millionths of a degree.
    Position {
        lat_e7: i32,
        lon_e7: i32,
    },
    /// Not answered, for a coded reason.
    Skipped {
        reason: Slug,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum YesNo {
    Yes,
    No,
    Unknown,
}

impl YesNo {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// A decimal number as written, such as `-12.50`: at most 18 digits before the point and 9 after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Decimal(String);

/// A text that is not such a number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a decimal number: expected digits with an optional sign and point, such as 12.5")]
pub struct InvalidDecimal {
    text: String,
}

impl Decimal {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Decimal {
    type Error = InvalidDecimal;
    fn try_from(text: String) -> Result<Self, InvalidDecimal> {
        let digits = |part: &str, most: usize| {
            (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
        };
        let unsigned = text.strip_prefix('-').unwrap_or(&text);
        let sound = match unsigned.split_once('.') {
            Some((whole, fraction)) => digits(whole, 18) && digits(fraction, 9),
            None => digits(unsigned, 18),
        };
        if sound { Ok(Self(text)) } else { Err(InvalidDecimal { text: text.chars().take(40).collect() }) }
    }
}

impl std::str::FromStr for Decimal {
    type Err = InvalidDecimal;
    fn from_str(text: &str) -> Result<Self, InvalidDecimal> {
        text.to_owned().try_into()
    }
}

impl From<Decimal> for String {
    fn from(number: Decimal) -> String {
        number.0
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why an answer does not fit its question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    #[error("question {question} takes {expected}, not {given}")]
    WrongType { question: QuestionId, expected: &'static str, given: &'static str },
    #[error(
        "question {question} is answered by its evidence: capture the {expected}, or skip it with a reason"
    )]
    AnsweredByEvidence { question: QuestionId, expected: &'static str },
    #[error("question {question} has no option {option}; its options are {options}")]
    UnknownOption { question: QuestionId, option: Slug, options: String },
    #[error("question {question} takes exactly one option")]
    OneOption { question: QuestionId },
    #[error("question {question} takes at least one option")]
    NoOption { question: QuestionId },
    #[error("question {question} names option {option} twice")]
    RepeatedOption { question: QuestionId, option: Slug },
    #[error("option {option} of question {question} stands alone: give it without others")]
    ExclusiveOption { question: QuestionId, option: Slug },
    #[error("question {question} answered {answer:?} needs a note that says why")]
    NoteDemanded { question: QuestionId, answer: String },
    #[error("question {question} has an empty answer")]
    Empty { question: QuestionId },
    #[error(
        "the {field} of question {question} is longer than {limit} characters; attach a document instead"
    )]
    TooLong { question: QuestionId, field: &'static str, limit: usize },
    #[error("the position of question {question} lies outside ±90°, ±180°")]
    OffTheGlobe { question: QuestionId },
    #[error("question {question} is never skipped: answer it")]
    NeverSkipped { question: QuestionId },
    #[error("question {question} cannot be skipped for {reason}; the reasons are {reasons}")]
    UnknownReason { question: QuestionId, reason: Slug, reasons: String },
}

impl Answer {
    #[must_use]
    pub fn is_skip(&self) -> bool {
        matches!(self, Self::Skipped { .. })
    }

    /// The words that rules and `note_required_on` compare; none for a position.
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        match self {
            Self::YesNo(answer) => vec![answer.as_str().to_owned()],
            Self::Text(text) | Self::Serial(text) => vec![text.clone()],
            Self::Number(number) => vec![number.as_str().to_owned()],
            Self::Choice(codes) => codes.iter().map(|code| code.as_str().to_owned()).collect(),
            Self::Position { .. } => Vec::new(),
            Self::Skipped { reason } => vec![reason.as_str().to_owned()],
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::YesNo(_) => "yes, no or unknown",
            Self::Text(_) => "a text",
            Self::Number(_) => "a number",
            Self::Serial(_) => "a serial",
            Self::Choice(_) => "a choice",
            Self::Position { .. } => "a position",
            Self::Skipped { .. } => "a skip",
        }
    }
}

/// Whether two serials name the same item: letter case, blanks and dashes do not count. Confusable
/// characters (0 and O) do: a plate that reads otherwise is for a person to judge.
#[must_use]
pub fn serials_match(read: &str, declared: &str) -> bool {
    serial_core(read).eq(serial_core(declared))
}

/// The form in which serials are compared, as [`serials_match`] does.
#[must_use]
pub fn serial_key(serial: &str) -> String {
    serial_core(serial).collect()
}

fn serial_core(serial: &str) -> impl Iterator<Item = char> {
    let dash = |c: char| matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe63}' | '\u{ff0d}');
    serial.chars().filter(move |c| !c.is_whitespace() && !dash(*c)).flat_map(char::to_uppercase)
}

/// Checks that `answer`, with its note, fits `question`.
///
/// # Errors
/// Names the question and what it takes instead.
pub fn validate(question: &Question, answer: &Answer, note: Option<&str>) -> Result<(), AnswerError> {
    let id = || question.id.clone();
    let note = note.map(str::trim).filter(|note| !note.is_empty());
    if note.is_some_and(|note| note.chars().count() > MAX_TEXT_CHARS) {
        return Err(AnswerError::TooLong { question: id(), field: "note", limit: MAX_TEXT_CHARS });
    }
    match (&question.answer, answer) {
        (_, Answer::Skipped { reason }) => return validate_skip(question, reason, note),
        (AnswerType::YesNoUnknown, Answer::YesNo(_)) | (AnswerType::Number { .. }, Answer::Number(_)) => {}
        (AnswerType::Text, Answer::Text(text)) => validate_text(question, text, "text", MAX_TEXT_CHARS)?,
        (AnswerType::Serial, Answer::Serial(serial)) => {
            validate_text(question, serial, "serial", MAX_SERIAL_CHARS)?;
            if serial_core(serial).next().is_none() {
                return Err(AnswerError::Empty { question: id() });
            }
        }
        (AnswerType::Choice { multiple, options }, Answer::Choice(codes)) => {
            validate_choice(question, *multiple, options, codes)?;
        }
        (AnswerType::Position, Answer::Position { lat_e7, lon_e7 }) => {
            if lat_e7.unsigned_abs() > 900_000_000 || lon_e7.unsigned_abs() > 1_800_000_000 {
                return Err(AnswerError::OffTheGlobe { question: id() });
            }
        }
        (AnswerType::Photo, _) => {
            return Err(AnswerError::AnsweredByEvidence { question: id(), expected: "photo" });
        }
        (AnswerType::Document, _) => {
            return Err(AnswerError::AnsweredByEvidence { question: id(), expected: "document" });
        }
        (expected, given) => {
            let expected = expected.name();
            return Err(AnswerError::WrongType { question: id(), expected, given: given.kind() });
        }
    }
    match answer.tokens().into_iter().find(|token| question.needs_note_on(token)) {
        Some(answer) if note.is_none() => Err(AnswerError::NoteDemanded { question: id(), answer }),
        _ => Ok(()),
    }
}

impl AnswerType {
    fn name(&self) -> &'static str {
        match self {
            Self::YesNoUnknown => "yes, no or unknown",
            Self::Text => "a text",
            Self::Number { .. } => "a number",
            Self::Serial => "a serial",
            Self::Choice { .. } => "a choice",
            Self::Position => "a position",
            Self::Photo => "a photo",
            Self::Document => "a document",
        }
    }
}

fn validate_skip(question: &Question, reason: &Slug, note: Option<&str>) -> Result<(), AnswerError> {
    let id = question.id.clone();
    if question.skip_reasons.is_empty() {
        return Err(AnswerError::NeverSkipped { question: id });
    }
    if !question.skip_reasons.contains(reason) {
        let reasons = list(question.skip_reasons.iter());
        return Err(AnswerError::UnknownReason { question: id, reason: reason.clone(), reasons });
    }
    if reason.as_str() == REASON_OTHER && note.is_none() {
        return Err(AnswerError::NoteDemanded { question: id, answer: reason.to_string() });
    }
    Ok(())
}

fn validate_text(
    question: &Question,
    text: &str,
    field: &'static str,
    limit: usize,
) -> Result<(), AnswerError> {
    if text.trim().is_empty() {
        return Err(AnswerError::Empty { question: question.id.clone() });
    }
    if text.chars().count() > limit {
        return Err(AnswerError::TooLong { question: question.id.clone(), field, limit });
    }
    Ok(())
}

fn validate_choice(
    question: &Question,
    multiple: bool,
    options: &[super::ChoiceOption],
    codes: &[Slug],
) -> Result<(), AnswerError> {
    let id = || question.id.clone();
    for (position, code) in codes.iter().enumerate() {
        let Some(option) = options.iter().find(|option| option.code == *code) else {
            let options = list(options.iter().map(|option| &option.code));
            return Err(AnswerError::UnknownOption { question: id(), option: code.clone(), options });
        };
        if codes.iter().take(position).any(|earlier| earlier == code) {
            return Err(AnswerError::RepeatedOption { question: id(), option: code.clone() });
        }
        if option.exclusive && codes.len() > 1 {
            return Err(AnswerError::ExclusiveOption { question: id(), option: code.clone() });
        }
    }
    match codes.len() {
        0 => Err(AnswerError::NoOption { question: id() }),
        1 => Ok(()),
        _ if multiple => Ok(()),
        _ => Err(AnswerError::OneOption { question: id() }),
    }
}

fn list<'a>(codes: impl Iterator<Item = &'a Slug>) -> String {
    codes.map(Slug::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(answer: &str, extra: &str) -> Question {
        serde_json::from_str(&format!(
            r#"{{"id":"q","scope":"visit","required":true,"text":{{"en":"?"}},"answer":{answer}{extra}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn an_answer_fits_or_is_refused_with_the_reason() {
        let yes_no = question(r#""yes-no-unknown""#, r#","skip_reasons":["not-lawful","other"]"#);
        let text = question(r#""text""#, "");
        let number = question(r#"{"number":{"unit":"h"}}"#, "");
        let serial = question(r#""serial""#, "");
        let position = question(r#""position""#, "");
        let photo = question(r#""photo""#, r#","skip_reasons":["not-lawful"]"#);
        let options = r#"[{"code":"a","text":{"en":"a"}},{"code":"b","text":{"en":"b"}},
            {"code":"none","text":{"en":"none"},"exclusive":true}]"#;
        let one = question(&format!(r#"{{"choice":{{"multiple":false,"options":{options}}}}}"#), "");
        let many = question(
            &format!(r#"{{"choice":{{"multiple":true,"options":{options}}}}}"#),
            r#","note_required_on":["b"]"#,
        );
        let table: [(&Question, &str, Option<&str>, &str); 30] = [
            (&yes_no, r#"{"yes-no-unknown":"yes"}"#, None, ""),
            (&yes_no, r#"{"yes-no-unknown":"no"}"#, None, "needs a note"),
            (&yes_no, r#"{"yes-no-unknown":"unknown"}"#, Some("  "), "needs a note"),
            (&yes_no, r#"{"yes-no-unknown":"unknown"}"#, Some("host absent"), ""),
            (&yes_no, r#"{"text":"yes"}"#, None, "takes yes, no or unknown, not a text"),
            (&yes_no, r#"{"skipped":{"reason":"not-lawful"}}"#, None, ""),
            (&yes_no, r#"{"skipped":{"reason":"other"}}"#, None, "needs a note"),
            (&yes_no, r#"{"skipped":{"reason":"other"}}"#, Some("flooded"), ""),
            (&yes_no, r#"{"skipped":{"reason":"lazy"}}"#, None, "the reasons are not-lawful, other"),
            (&text, r#"{"skipped":{"reason":"other"}}"#, None, "never skipped"),
            (&text, r#"{"text":"Ada"}"#, None, ""),
            (&text, r#"{"text":" "}"#, None, "empty"),
            (&number, r#"{"number":"12.5"}"#, None, ""),
            (&number, r#"{"text":"12"}"#, None, "takes a number"),
            (&serial, r#"{"serial":"SN-1"}"#, None, ""),
            (&serial, r#"{"serial":" - "}"#, None, "empty"),
            (&position, r#"{"position":{"lat_e7":900000000,"lon_e7":-1800000000}}"#, None, ""),
            (&position, r#"{"position":{"lat_e7":900000001,"lon_e7":0}}"#, None, "outside"),
            (&photo, r#"{"text":"x"}"#, None, "answered by its evidence"),
            (&photo, r#"{"skipped":{"reason":"not-lawful"}}"#, None, ""),
            (&one, r#"{"choice":["a"]}"#, None, ""),
            (&one, r#"{"choice":["a","b"]}"#, None, "exactly one"),
            (&one, r#"{"choice":[]}"#, None, "at least one"),
            (&one, r#"{"choice":["c"]}"#, None, "its options are a, b, none"),
            (&many, r#"{"choice":["a","b"]}"#, None, "needs a note"),
            (&many, r#"{"choice":["a","b"]}"#, Some("seen"), ""),
            (&many, r#"{"choice":["a","a"]}"#, None, "twice"),
            (&many, r#"{"choice":["none","a"]}"#, None, "stands alone"),
            (&many, r#"{"choice":["none"]}"#, None, ""),
            (&one, r#"{"yes-no-unknown":"yes"}"#, None, "takes a choice"),
        ];
        for (question, answer, note, expected) in table {
            let answer: Answer = serde_json::from_str(answer).unwrap();
            let told = validate(question, &answer, note).err().map(|e| e.to_string()).unwrap_or_default();
            assert_eq!(told.is_empty(), expected.is_empty(), "{answer:?} {note:?}: {told}");
            assert!(told.contains(expected), "{answer:?} {note:?}: {told}");
        }
    }

    #[test]
    fn over_long_texts_and_notes_are_refused() {
        let text = question(r#""text""#, "");
        let long = "x".repeat(MAX_TEXT_CHARS + 1);
        assert!(validate(&text, &Answer::Text(long.clone()), None).is_err());
        assert!(validate(&text, &Answer::Text("x".to_owned()), Some(&long)).is_err());
    }

    #[test]
    fn serials_match_whatever_their_case_blanks_and_dashes() {
        let table = [
            ("SN-4411", "sn 4411", true),
            (" sn4411 ", "SN\u{2013}4411", true),
            ("SN-4411", "SN-4412", false),
            ("SN-O1", "SN-01", false),
            ("A/1", "A1", false),
            ("é1", "É1", true),
        ];
        for (read, declared, expected) in table {
            assert_eq!(serials_match(read, declared), expected, "{read} {declared}");
        }
    }

    #[test]
    fn numbers_are_decimal_texts() {
        for good in ["0", "-3", "12.50", "123456789012345678.123456789"] {
            assert!(good.parse::<Decimal>().is_ok(), "{good}");
        }
        for bad in ["", "-", "1.", ".5", "1e3", "1,5", "NaN", "+1", "--1", "1234567890123456789", "١"] {
            assert!(bad.parse::<Decimal>().is_err(), "{bad}");
        }
    }
}
