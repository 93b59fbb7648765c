//! Takes typed fields from a row. A field that is wrong is a fault and a default value; only a row
//! without a fault is given out at the end.

use std::borrow::Cow;

use chrono::NaiveDate;
use serde_json::Value;

use super::faults::{Faults, Place};
use super::{Cell, Placed, Row, countries};

const MAX_KEY_CHARS: usize = 64;
const MAX_TEXT_CHARS: usize = 4000;
/// Digits before and after the point of a quantity.
const MAX_WHOLE_DIGITS: usize = 15;
const MAX_FRACTION_DIGITS: usize = 6;
/// Parts of one thing, such as items of a shipment.
const MAX_PARTS: usize = 10_000;

/// A row being taken apart.
pub struct Fields<'f> {
    pub place: Place,
    csv: bool,
    cells: Vec<(Cow<'static, str>, Cell)>,
    faults: &'f mut Faults,
    faults_before: u64,
}

impl<'f> Fields<'f> {
    pub fn of(row: Row, faults: &'f mut Faults) -> Self {
        let faults_before = faults.count();
        Self { place: row.place, csv: row.csv, cells: row.cells, faults, faults_before }
    }

    /// Adds a fault of one field.
    pub fn fault(&mut self, name: &str, reason: impl Into<String>) {
        self.faults.add(&self.place, name, reason);
    }

    /// Adds a fault of a field that stands elsewhere, as in a part.
    pub fn fault_at(&mut self, place: &Place, name: &str, reason: impl Into<String>) {
        self.faults.add(place, name, reason);
    }

    /// How many faults there are by now, of this row and those before.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.faults.count()
    }

    /// The members of an object that is the value of `name`, to be taken apart in turn.
    pub fn inner(&mut self, name: &str, members: serde_json::Map<String, Value>) -> Fields<'_> {
        let cells = members.into_iter().map(|(name, value)| (Cow::Owned(name), Cell::Value(value))).collect();
        let place = Place { line: self.place.line, path: format!("{}{name}.", self.place.path) };
        Fields::of(Row { place, csv: self.csv, cells }, self.faults)
    }

    /// What was read, when nothing is wrong with it and no field is left over.
    pub fn finish<T>(mut self, value: T) -> Option<Placed<T>> {
        for (name, _) in std::mem::take(&mut self.cells) {
            self.fault(&name, "is not a known field; check its spelling or leave it out");
        }
        (self.faults.count() == self.faults_before).then_some(Placed { place: self.place, value })
    }

    fn take(&mut self, name: &str) -> Option<Cell> {
        let position = self.cells.iter().position(|(cell, _)| cell == name)?;
        match self.cells.swap_remove(position).1 {
            Cell::Value(Value::Null) => None,
            cell => Some(cell),
        }
    }

    /// The value as it is, for what has a form of its own.
    pub fn value(&mut self, name: &str) -> Option<Value> {
        match self.take(name)? {
            Cell::Value(value) => Some(value),
            Cell::Parts(_) => None,
        }
    }

    /// All fields whose names begin with `prefix`, the prefix taken off.
    pub fn with_prefix(&mut self, prefix: &str) -> Vec<(String, Value)> {
        let mut found = Vec::new();
        self.cells.retain(|(name, cell)| match (name.strip_prefix(prefix), cell) {
            (Some(rest), Cell::Value(value)) => {
                found.push((rest.to_owned(), value.clone()));
                false
            }
            _ => true,
        });
        found
    }

    pub fn optional_text(&mut self, name: &str) -> Option<String> {
        let value = self.value(name)?;
        self.as_text(name, value)
    }

    fn as_text(&mut self, name: &str, value: Value) -> Option<String> {
        let Value::String(text) = value else {
            self.fault(name, format!("expected text, found {}", type_name(&value)));
            return None;
        };
        let text = text.trim();
        let problem = if text.is_empty() {
            Some("is empty".to_owned())
        } else if text.chars().count() > MAX_TEXT_CHARS {
            Some(format!("is longer than {MAX_TEXT_CHARS} characters"))
        } else if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t' && c != '\r') {
            Some("has a control character".to_owned())
        } else {
            None
        };
        match problem {
            Some(problem) => {
                self.fault(name, problem);
                None
            }
            None => Some(text.to_owned()),
        }
    }

    /// A field that must be there, by way of `read`, which answers nothing both for a field that is
    /// absent and for one it found a fault in.
    fn required<T: Default>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Option<T>) -> T {
        let before = self.faults.count();
        let value = read(self);
        if value.is_none() && self.faults.count() == before {
            self.fault(name, "is missing");
        }
        value.unwrap_or_default()
    }

    pub fn text(&mut self, name: &str) -> String {
        self.required(name, |fields| fields.optional_text(name))
    }

    /// The programme's own name of a thing: up to 64 characters without blanks and semicolons.
    pub fn key(&mut self, name: &str) -> String {
        self.required(name, |fields| {
            let key = fields.optional_text(name)?;
            fields.check_key(name, key)
        })
    }

    fn check_key(&mut self, name: &str, key: String) -> Option<String> {
        if key.chars().count() > MAX_KEY_CHARS || key.chars().any(|c| c.is_whitespace() || c == ';') {
            let reason =
                format!("expected a key of up to {MAX_KEY_CHARS} characters without blanks and semicolons");
            self.fault(name, reason);
            return None;
        }
        Some(key)
    }

    pub fn keys(&mut self, name: &str) -> Vec<String> {
        let keys = self.texts(name);
        keys.into_iter().filter_map(|key| self.check_key(name, key)).collect()
    }

    /// A list of texts: an array, or in CSV one cell with `;` between two. Absent is empty.
    pub fn texts(&mut self, name: &str) -> Vec<String> {
        match self.value(name) {
            None => Vec::new(),
            Some(Value::String(text)) if self.csv => {
                let parts: Vec<String> = text.split(';').map(str::to_owned).collect();
                parts.into_iter().filter_map(|part| self.as_text(name, Value::String(part))).collect()
            }
            Some(Value::Array(values)) => {
                values.into_iter().filter_map(|value| self.as_text(name, value)).collect()
            }
            Some(other) => {
                self.fault(name, format!("expected a list of texts, found {}", type_name(&other)));
                Vec::new()
            }
        }
    }

    /// One of a few words, by `parse`.
    pub fn word<T: Default>(&mut self, name: &str, words: &str, parse: impl Fn(&str) -> Option<T>) -> T {
        self.required(name, |fields| {
            let word = fields.optional_text(name)?;
            let parsed = parse(&word);
            if parsed.is_none() {
                fields.fault(name, format!("{} is not one of {words}", quoted(&word)));
            }
            parsed
        })
    }

    /// ISO 3166-1 alpha-2.
    pub fn country(&mut self, name: &str) -> String {
        let reason = "ISO 3166-1 alpha-2, two capitals such as DE";
        self.word(name, reason, |code| countries::is_assigned(code).then(|| code.to_owned()))
    }

    /// An IANA time zone.
    pub fn time_zone(&mut self, name: &str) -> String {
        let reason = "the IANA time zones, such as Europe/Berlin";
        self.word(name, reason, |zone| zone.parse::<chrono_tz::Tz>().ok().map(|_| zone.to_owned()))
    }

    /// Six digits of the Harmonized System.
    pub fn hs6(&mut self, name: &str) -> String {
        self.required(name, |fields| {
            let code = fields.optional_text(name)?;
            let good = code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit());
            if !good {
                fields.fault(
                    name,
                    format!("{} is not an HS code of six digits, such as 854370", quoted(&code)),
                );
            }
            good.then_some(code)
        })
    }

    /// `YYYY-MM-DD`, as written.
    pub fn optional_date(&mut self, name: &str) -> Option<String> {
        let text = self.optional_text(name)?;
        let parsed = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok();
        if parsed.is_some_and(|date| date.format("%Y-%m-%d").to_string() == text) {
            Some(text)
        } else {
            self.fault(name, format!("{} is not a day; expected YYYY-MM-DD", quoted(&text)));
            None
        }
    }

    pub fn date(&mut self, name: &str) -> String {
        self.required(name, |fields| fields.optional_date(name))
    }

    /// A whole number from `least` to 2^53 − 1.
    pub fn optional_integer(&mut self, name: &str, least: i64) -> Option<i64> {
        let value = self.value(name)?;
        let number = match &value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) if self.csv => text.parse().ok(),
            _ => None,
        };
        let good = number.filter(|number| (least..=9_007_199_254_740_991).contains(number));
        if good.is_none() {
            self.fault(name, format!("{} is not a whole number from {least} up", shown(&value)));
        }
        good
    }

    pub fn integer(&mut self, name: &str, least: i64) -> i64 {
        self.required(name, |fields| fields.optional_integer(name, least))
    }

    /// A positive decimal, without leading and trailing zeros.
    pub fn quantity(&mut self, name: &str) -> String {
        self.required(name, |fields| {
            let value = fields.value(name)?;
            let written = match &value {
                Value::Number(number) => Some(number.to_string()),
                Value::String(text) => Some(text.trim().to_owned()),
                _ => None,
            };
            let quantity = written.as_deref().and_then(quantity);
            if quantity.is_none() {
                fields.fault(name, format!("{} is not a positive decimal such as 12 or 0.5", shown(&value)));
            }
            quantity
        })
    }

    /// A finite number, in degrees or metres.
    pub fn optional_number(&mut self, name: &str) -> Option<f64> {
        let value = self.value(name)?;
        let number = match &value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) if self.csv => text.parse().ok(),
            _ => None,
        };
        let number = number.filter(|number: &f64| number.is_finite());
        if number.is_none() {
            self.fault(name, format!("{} is not a number", shown(&value)));
        }
        number
    }

    /// The rows of a list, each to be taken apart by `parse`.
    pub fn list<T>(
        &mut self,
        name: &str,
        parse: impl Fn(Row, &mut Faults) -> Option<Placed<T>>,
    ) -> Vec<Placed<T>> {
        let values = match self.take(name) {
            None => return Vec::new(),
            Some(Cell::Parts(rows)) if rows.len() <= MAX_PARTS => {
                return rows.into_iter().filter_map(|row| parse(row, self.faults)).collect();
            }
            Some(Cell::Value(Value::Array(values))) if values.len() <= MAX_PARTS => values,
            Some(Cell::Parts(_) | Cell::Value(Value::Array(_))) => {
                self.fault(name, format!("has more than {MAX_PARTS} entries; split it"));
                return Vec::new();
            }
            Some(Cell::Value(other)) => {
                self.fault(name, format!("expected a list of objects, found {}", type_name(&other)));
                return Vec::new();
            }
        };
        let mut found = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            let Value::Object(members) = value else {
                self.fault(
                    &format!("{name}[{index}]"),
                    format!("expected an object, found {}", type_name(&value)),
                );
                continue;
            };
            let cells =
                members.into_iter().map(|(name, value)| (Cow::Owned(name), Cell::Value(value))).collect();
            let path = format!("{}{name}[{index}].", self.place.path);
            let row = Row { place: Place { line: self.place.line, path }, csv: false, cells };
            found.extend(parse(row, self.faults));
        }
        found
    }
}

/// A positive decimal in its shortest form.
fn quantity(written: &str) -> Option<String> {
    let (whole, fraction) = written.split_once('.').unwrap_or((written, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    if whole.len() > MAX_WHOLE_DIGITS || fraction.len() > MAX_FRACTION_DIGITS {
        return None;
    }
    match (whole, fraction) {
        ("", "") => None,
        (whole, "") => Some(whole.to_owned()),
        ("", fraction) => Some(format!("0.{fraction}")),
        (whole, fraction) => Some(format!("{whole}.{fraction}")),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A value as messages show it, cut to a length that fits a line.
fn shown(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}

fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(60).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_positive_decimals_in_their_shortest_form() {
        for (written, expected) in [
            ("12", Some("12")),
            ("012.50", Some("12.5")),
            ("0.5", Some("0.5")),
            ("2.0", Some("2")),
            ("0", None),
            ("0.000", None),
            ("-1", None),
            ("1e3", None),
            ("1,5", None),
            (".5", None),
            ("5.", None),
            ("", None),
            ("1234567890123456", None),
            ("0.0000001", None),
        ] {
            assert_eq!(quantity(written).as_deref(), expected, "{written}");
        }
    }

    #[test]
    fn days_are_written_in_full() {
        for (written, good) in [
            ("2026-02-28", true),
            ("2026-02-29", false),
            ("2026-2-3", false),
            ("28.02.2026", false),
            ("2026-02-28T00:00:00Z", false),
        ] {
            let mut faults = Faults::default();
            let cells = vec![(Cow::Borrowed("day"), Cell::Value(Value::from(written)))];
            let row = Row { place: Place::default(), csv: false, cells };
            let mut fields = Fields::of(row, &mut faults);
            let day = fields.date("day");
            assert_eq!(fields.finish(day).is_some(), good, "{written}");
        }
    }
}
