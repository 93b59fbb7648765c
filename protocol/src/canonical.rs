//! Canonical JSON: the one byte form of everything that is signed (JCS, RFC 8785), and a parser
//! that takes nothing else.
//!
//! JCS writers and lenient readers disagree at the edges: integers past 2^53 are rounded, the last
//! of two equal keys wins. So those edges do not exist here: a text is accepted only when writing
//! what was read gives the same bytes back.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The largest integer that every JSON reader keeps exactly, 2^53 − 1.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Why a text is not one of our canonical documents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    #[error("not JSON: {0}")]
    Syntax(String),
    #[error("{0} is not a whole number: signed documents hold no fractions")]
    Fraction(String),
    #[error("the integer {0} is beyond 2^53−1: write it as a string")]
    IntegerTooLarge(String),
    #[error("{0}")]
    Shape(String),
    #[error(
        "not in canonical form (RFC 8785): a key is unknown or doubled, keys are out of order, or there is white space"
    )]
    NotCanonical,
}

/// Writes `value` in canonical form.
///
/// # Errors
/// When the value holds a fraction or an integer beyond 2^53−1, or cannot be JSON at all.
pub fn write<T: Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let value = serde_json::to_value(value).map_err(|e| CanonicalError::Syntax(e.to_string()))?;
    check_numbers(&value)?;
    // What the canonicalizer does besides is to order keys and write fractions; it takes five times as long.
    let written =
        if in_order(&value) { serde_json::to_vec(&value) } else { serde_json_canonicalizer::to_vec(&value) };
    written.map_err(|e| CanonicalError::Syntax(e.to_string()))
}

/// Whether all keys come as JCS orders them, by UTF-16: below the surrogates that is the order of their bytes.
fn in_order(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().all(in_order),
        Value::Object(fields) => {
            fields.keys().all(|key| key.chars().all(|c| c < '\u{e000}'))
                && fields.keys().is_sorted()
                && fields.values().all(in_order)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// Reads a canonical document, refusing every byte that `write` would not have written.
///
/// # Errors
/// Names the first reason why `bytes` is not canonical or not a `T`.
pub fn read<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, CanonicalError> {
    let value: Value = serde_json::from_slice(bytes).map_err(|e| CanonicalError::Syntax(e.to_string()))?;
    check_numbers(&value)?;
    let read: T = serde_json::from_value(value).map_err(|e| CanonicalError::Shape(e.to_string()))?;
    if write(&read)? == bytes { Ok(read) } else { Err(CanonicalError::NotCanonical) }
}

fn check_numbers(value: &Value) -> Result<(), CanonicalError> {
    match value {
        Value::Number(number) => {
            if number.is_f64() {
                return Err(CanonicalError::Fraction(number.to_string()));
            }
            let magnitude = number.as_i64().map(i64::unsigned_abs).or(number.as_u64());
            match magnitude {
                Some(magnitude) if magnitude <= MAX_INTEGER => Ok(()),
                _ => Err(CanonicalError::IntegerTooLarge(number.to_string())),
            }
        }
        Value::Array(values) => values.iter().try_for_each(check_numbers),
        Value::Object(fields) => fields.values().try_for_each(check_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        a: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        b: Option<String>,
    }

    #[test]
    fn only_the_bytes_that_would_be_written_are_read() {
        let accepted = read::<Sample>(br#"{"a":7,"b":"x"}"#).unwrap();
        assert_eq!(accepted, Sample { a: 7, b: Some("x".to_owned()) });
        let refused: &[(&str, &str)] = &[
            (r#"{"a":1,"a":2}"#, "canonical"),
            (r#"{"a":1,"c":2}"#, "canonical"),
            (r#"{"b":"x","a":1}"#, "canonical"),
            (r#"{"a": 1}"#, "canonical"),
            (r#"{"a":1,"b":null}"#, "canonical"),
            (r#"{"a":1.5}"#, "whole number"),
            (r#"{"a":1e3}"#, "whole number"),
            (r#"{"a":9007199254740993}"#, "2^53"),
            (r#"{"a":99999999999999999999999}"#, "whole number"),
            (r#"{"a":"1"}"#, "invalid type"),
            (r#"{"a":1"#, "not JSON"),
        ];
        for (text, reason) in refused {
            let error = read::<Sample>(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn whichever_way_it_is_written_the_bytes_are_the_same() {
        let every: String =
            (0..0x300).chain([0xd7ff, 0xe000, 0xffff, 0x1f600]).filter_map(char::from_u32).collect();
        let keys =
            ["b", "a", "B", "", "é", "\u{20ac}", "\u{d7ff}", "\u{e000}", "\u{ffff}", "\u{1f600}", "\u{fb33}"];
        for count in 0..=keys.len() {
            for start in 0..keys.len() {
                let fields = keys
                    .iter()
                    .cycle()
                    .skip(start)
                    .take(count)
                    .map(|key| ((*key).to_owned(), every.clone().into()));
                let value = Value::Array(vec![Value::Object(fields.collect()), 7.into(), Value::Null]);
                assert_eq!(write(&value).unwrap(), serde_json_canonicalizer::to_vec(&value).unwrap());
            }
        }
    }

    #[test]
    fn a_hundred_thousand_nested_arrays_are_refused() {
        let deep = "[".repeat(100_000);
        assert!(read::<Value>(deep.as_bytes()).is_err());
    }
}
