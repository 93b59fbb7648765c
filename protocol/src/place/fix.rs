//! One reading of a positioning source: where, how well, from whom, how long ago.
//!
//! Only what the source said. A fix is never merged with another fix, an EXIF position or a guess.

use serde::{Deserialize, Serialize};

use super::position::Position;
use crate::time::Timestamp;

/// What a positioning source reported. Whole numbers only: it stands in signed records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Fix {
    pub position: Position,
    /// Horizontal accuracy as the provider means it: termux (Android) a 68 % radius, gpsd a 95 % one,
    /// NMEA one sigma from GST or GBS or else HDOP × [`super::nmea::RANGE_ERROR_M`], manual what the
    /// inspector typed. Absent when the provider said nothing usable; never 0 or negative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_mm: Option<i64>,
    /// Height above the WGS 84 ellipsoid (not above sea level); absent when the source gives only the latter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub altitude_mm: Option<i64>,
    pub provider: Provider,
    /// How old the fix already was when it was handed over, if the provider says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix_age_ms: Option<i64>,
    pub mock: Mock,
    /// Satellites used, if the provider says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub satellites: Option<i64>,
    /// The instant that the satellites gave; never the device's own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gnss_at: Option<Timestamp>,
}

/// Where a fix came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Provider {
    /// Typed by the inspector.
    Manual,
    /// An NMEA 0183 log or port.
    Nmea,
    /// The gpsd daemon.
    Gpsd,
    /// Android's location service, through `termux-location`.
    Termux,
}

/// Whether the source itself calls the fix simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Mock {
    Yes,
    No,
    Unknown,
}

impl Fix {
    /// A fix of which nothing but the place and the source is known.
    #[must_use]
    pub fn bare(position: Position, provider: Provider) -> Self {
        Self {
            position,
            accuracy_mm: None,
            altitude_mm: None,
            provider,
            fix_age_ms: None,
            mock: Mock::Unknown,
            satellites: None,
            gnss_at: None,
        }
    }
}

/// Half the Earth's circumference: no accuracy or height on Earth is larger.
const LARGEST_M: f64 = 20_040_000.0;

/// Metres as a provider writes them, in millimetres; nothing for what is not finite or not of this Earth.
pub(crate) fn millimetres(metres: f64) -> Option<i64> {
    (metres.is_finite() && metres.abs() <= LARGEST_M).then(|| (metres * 1000.0).round() as i64)
}

/// An accuracy in millimetres; a provider that writes 0 or less has not stated one.
pub(crate) fn accuracy_mm(metres: f64) -> Option<i64> {
    millimetres(metres).filter(|accuracy_mm| *accuracy_mm > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fix_is_written_without_what_is_unknown() {
        let position = Position::from_degrees(48.0, 16.0).unwrap();
        let fix = Fix { accuracy_mm: Some(12_000), ..Fix::bare(position, Provider::Termux) };
        let text = serde_json::to_string(&fix).unwrap();
        assert_eq!(
            text,
            r#"{"position":{"lat_e7":480000000,"lon_e7":160000000},"accuracy_mm":12000,"provider":"termux","mock":"unknown"}"#
        );
        assert_eq!(serde_json::from_str::<Fix>(&text).unwrap(), fix);
        assert!(serde_json::from_str::<Fix>(&text.replace("mock", "mocked")).is_err());
    }

    #[test]
    fn an_accuracy_of_nothing_is_no_accuracy() {
        for (metres, expected) in
            [(12.3456, Some(12_346)), (0.0, None), (-1.0, None), (f64::NAN, None), (1e300, None)]
        {
            assert_eq!(accuracy_mm(metres), expected);
        }
    }
}
