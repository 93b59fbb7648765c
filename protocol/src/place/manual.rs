//! The position that an inspector types: `lat,lon` or `lat,lon,accuracy_m`.

use super::fix::{self, Fix, Provider};
use super::position::{InvalidPosition, Position, plain_decimal};

/// Why a typed position was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManualError {
    #[error(
        "{text:?} is not a position: expected latitude,longitude,accuracy in metres with decimal points, such as 48.2083,16.3700,12"
    )]
    Shape { text: String },
    #[error("{0}")]
    Position(#[from] InvalidPosition),
    #[error("{text:?} is not an accuracy: expected metres larger than 0, such as 12")]
    Accuracy { text: String },
}

/// Reads `48.2083,16.3700,12`: decimal degrees on WGS 84 and metres. Without the third number the
/// accuracy stays unknown.
///
/// # Errors
/// When there are not two or three numbers, or one is out of range.
pub fn parse(text: &str) -> Result<Fix, ManualError> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let (lat, lon, accuracy) = match parts.as_slice() {
        [lat, lon] => (lat, lon, None),
        [lat, lon, accuracy] => (lat, lon, Some(accuracy)),
        _ => return Err(ManualError::Shape { text: text.chars().take(60).collect() }),
    };
    let position = Position::from_degrees_text(lat, lon)?;
    let accuracy_mm = match accuracy {
        None => None,
        Some(accuracy) => {
            let metres = plain_decimal(accuracy).ok().and_then(fix::accuracy_mm);
            Some(metres.ok_or_else(|| ManualError::Accuracy { text: accuracy.chars().take(40).collect() })?)
        }
    };
    Ok(Fix { accuracy_mm, ..Fix::bare(position, Provider::Manual) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_position_is_read_or_refused_clearly() {
        let fix = parse("48.2083, -16.37 ,12.5").unwrap();
        assert_eq!(fix.position.to_string(), "48.2083000, -16.3700000");
        assert_eq!((fix.accuracy_mm, fix.provider), (Some(12_500), Provider::Manual));
        assert_eq!(parse("48,16").unwrap().accuracy_mm, None);
        for (text, part) in [
            ("", "expected latitude,longitude,accuracy"),
            ("48,2083,16,37,12", "decimal points"),
            ("116.4,39.9,5", "swapped"),
            ("48,16,0", "larger than 0"),
            ("48,16,-3", "larger than 0"),
            ("48,16,wide", "\"wide\""),
            ("48N,16E,3", "\"48N\""),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
