//! The JSON that Termux's `termux-location` prints on Android.

use serde::Deserialize;

use super::fix::{self, Fix, Provider};
use super::position::{InvalidPosition, Position};

/// Why the output holds no fix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermuxError {
    #[error(
        "termux-location printed nothing: allow Termux:API the location permission and try under open sky"
    )]
    Empty,
    #[error("termux-location says: {message}")]
    Refused { message: String },
    #[error("the output of termux-location is not understood: {detail}")]
    NotUnderstood { detail: String },
    #[error("termux-location gave no position: {0}")]
    Position(#[from] InvalidPosition),
}

/// Fields as Termux:API's location call writes them; degrees, metres, milliseconds since the fix.
#[derive(Deserialize)]
struct Output {
    latitude: Option<f64>,
    longitude: Option<f64>,
    altitude: Option<f64>,
    accuracy: Option<f64>,
    #[serde(rename = "elapsedMs")]
    elapsed_ms: Option<i64>,
    #[serde(rename = "API_ERROR")]
    api_error: Option<String>,
}

/// Reads the whole output. Android's accuracy is the radius of 68 % confidence; its altitude is above the
/// ellipsoid; whether the fix is a mock is not told.
///
/// # Errors
/// When the output is empty, an error message, or not the expected JSON object with a valid position.
pub fn parse(output: &[u8]) -> Result<Fix, TermuxError> {
    if output.iter().all(u8::is_ascii_whitespace) {
        return Err(TermuxError::Empty);
    }
    let output: Output = serde_json::from_slice(output)
        .map_err(|error| TermuxError::NotUnderstood { detail: error.to_string() })?;
    if let Some(message) = output.api_error {
        return Err(TermuxError::Refused { message: message.chars().take(200).collect() });
    }
    let (Some(lat), Some(lon)) = (output.latitude, output.longitude) else {
        return Err(TermuxError::NotUnderstood { detail: "latitude or longitude is missing".to_owned() });
    };
    Ok(Fix {
        accuracy_mm: output.accuracy.and_then(fix::accuracy_mm),
        altitude_mm: output.altitude.and_then(fix::millimetres),
        fix_age_ms: output.elapsed_ms.filter(|age_ms| (0..=MOST_AGE_MS).contains(age_ms)),
        ..Fix::bare(Position::from_degrees(lat, lon)?, Provider::Termux)
    })
}

/// An age beyond a century is a defect of the clock that counted it.
const MOST_AGE_MS: i64 = 100 * 366 * 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_becomes_a_fix() {
        let fix = parse(
            br#"{"latitude": 48.2083333, "longitude": 16.37, "altitude": 214.5, "accuracy": 11.25,
                 "vertical_accuracy": 3.1, "bearing": 0.0, "speed": 0.0, "elapsedMs": 37, "provider": "gps"}"#,
        )
        .unwrap();
        assert_eq!(fix.position.to_string(), "48.2083333, 16.3700000");
        assert_eq!(
            (fix.accuracy_mm, fix.altitude_mm, fix.fix_age_ms, fix.gnss_at),
            (Some(11_250), Some(214_500), Some(37), None)
        );
    }

    #[test]
    fn whatever_else_it_prints_is_refused_clearly() {
        for (output, part) in [
            ("  \n", "permission"),
            (r#"{"API_ERROR": "Failed to get location"}"#, "Failed to get location"),
            ("java.lang.SecurityException", "not understood"),
            (r#"{"latitude": 91.0, "longitude": 0}"#, "latitude 91"),
            (r#"{"longitude": 0}"#, "missing"),
        ] {
            let message = parse(output.as_bytes()).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
