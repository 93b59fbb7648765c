//! A point on the WGS 84 ellipsoid in whole 1e-7 degrees (about 1 cm). Knows no accuracy, height or source.

use std::fmt;

use serde::{Deserialize, Serialize};

const E7: f64 = 1e7;
const LAT_LIMIT_E7: i64 = 900_000_000;
const LON_LIMIT_E7: i64 = 1_800_000_000;

/// Latitude and longitude on WGS 84, in units of 1e-7 degrees; north and east are positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Position {
    lat_e7: i64,
    lon_e7: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    lat_e7: i64,
    lon_e7: i64,
}

/// Why two numbers are not a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPosition {
    #[error("{text:?} is not a number of degrees: expected decimal degrees such as 48.2083333")]
    NotANumber { text: String },
    #[error("latitude {degrees} is outside -90 to 90: are latitude and longitude swapped?")]
    Latitude { degrees: String },
    #[error("longitude {degrees} is outside -180 to 180")]
    Longitude { degrees: String },
}

impl Position {
    /// The position at these 1e-7 degrees.
    ///
    /// # Errors
    /// When the latitude is beyond ±90° or the longitude beyond ±180°.
    pub fn from_e7(lat_e7: i64, lon_e7: i64) -> Result<Self, InvalidPosition> {
        if !(-LAT_LIMIT_E7..=LAT_LIMIT_E7).contains(&lat_e7) {
            return Err(InvalidPosition::Latitude { degrees: decimal(lat_e7) });
        }
        if !(-LON_LIMIT_E7..=LON_LIMIT_E7).contains(&lon_e7) {
            return Err(InvalidPosition::Longitude { degrees: decimal(lon_e7) });
        }
        Ok(Self { lat_e7, lon_e7 })
    }

    /// The position at these degrees, rounded to the nearest 1e-7 degree.
    ///
    /// # Errors
    /// When a number is not finite or out of range (checked before rounding).
    pub fn from_degrees(lat: f64, lon: f64) -> Result<Self, InvalidPosition> {
        if let Some(bad) = [lat, lon].into_iter().find(|degrees| !degrees.is_finite()) {
            return Err(InvalidPosition::NotANumber { text: bad.to_string() });
        }
        if lat.abs() > 90.0 {
            return Err(InvalidPosition::Latitude { degrees: lat.to_string() });
        }
        if lon.abs() > 180.0 {
            return Err(InvalidPosition::Longitude { degrees: lon.to_string() });
        }
        Self::from_e7((lat * E7).round() as i64, (lon * E7).round() as i64)
    }

    /// The position that two decimal texts such as `48.2083333` and `-16.37` name.
    ///
    /// # Errors
    /// When a text is not a plain decimal number or is out of range.
    pub fn from_degrees_text(lat: &str, lon: &str) -> Result<Self, InvalidPosition> {
        Self::from_degrees(plain_decimal(lat)?, plain_decimal(lon)?)
    }

    #[must_use]
    pub fn lat_e7(self) -> i64 {
        self.lat_e7
    }

    #[must_use]
    pub fn lon_e7(self) -> i64 {
        self.lon_e7
    }

    /// Latitude in degrees.
    #[must_use]
    pub fn lat(self) -> f64 {
        self.lat_e7 as f64 / E7
    }

    /// Longitude in degrees.
    #[must_use]
    pub fn lon(self) -> f64 {
        self.lon_e7 as f64 / E7
    }

    /// Exactly 0, 0: what a receiver without a fix writes, and no place where anybody inspects.
    #[must_use]
    pub fn is_null_island(self) -> bool {
        self.lat_e7 == 0 && self.lon_e7 == 0
    }

    /// The geodesic distance on WGS 84 in metres.
    #[must_use]
    pub fn distance_m(self, other: Self) -> f64 {
        use geo::{Distance as _, Geodesic};
        Geodesic.distance(self.to_point(), other.to_point())
    }

    pub(crate) fn to_point(self) -> geo::Point {
        geo::Point::new(self.lon(), self.lat())
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", decimal(self.lat_e7), decimal(self.lon_e7))
    }
}

impl TryFrom<Unchecked> for Position {
    type Error = InvalidPosition;
    fn try_from(unchecked: Unchecked) -> Result<Self, InvalidPosition> {
        Self::from_e7(unchecked.lat_e7, unchecked.lon_e7)
    }
}

fn decimal(e7: i64) -> String {
    let (sign, magnitude) = (if e7 < 0 { "-" } else { "" }, e7.unsigned_abs());
    format!("{sign}{}.{:07}", magnitude / 10_000_000, magnitude % 10_000_000)
}

/// Refuses what `f64` would also read: `inf`, `nan`, exponents.
pub(crate) fn plain_decimal(text: &str) -> Result<f64, InvalidPosition> {
    let text = text.trim();
    let refused = || InvalidPosition::NotANumber { text: text.chars().take(40).collect() };
    if text.is_empty() || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+')) {
        return Err(refused());
    }
    text.parse().map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_shown_to_the_last_digit() {
        let vienna = Position::from_degrees_text("48.2083333", " 16.37").unwrap();
        assert_eq!(vienna.to_string(), "48.2083333, 16.3700000");
        assert_eq!(Position::from_degrees(-0.5, -179.99).unwrap().to_string(), "-0.5000000, -179.9900000");
    }

    #[test]
    fn positions_are_whole_numbers_on_the_wire() {
        let vienna = Position::from_degrees(48.208_333_3, 16.37).unwrap();
        let text = serde_json::to_string(&vienna).unwrap();
        assert_eq!(text, r#"{"lat_e7":482083333,"lon_e7":163700000}"#);
        assert_eq!(serde_json::from_str::<Position>(&text).unwrap(), vienna);
        for bad in [
            r#"{"lat_e7":482083333.5,"lon_e7":0}"#,
            r#"{"lat_e7":900000001,"lon_e7":0}"#,
            r#"{"lat_e7":0,"lon_e7":-1800000001}"#,
            r#"{"lat_e7":0}"#,
            r#"{"lat_e7":0,"lon_e7":0,"alt":1}"#,
        ] {
            assert!(serde_json::from_str::<Position>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_position_is_refused_by_name() {
        for (lat, lon, part) in [
            ("116.1", "39.9", "swapped"),
            ("48", "180.0000001", "longitude 180.0000001"),
            ("nan", "0", "\"nan\""),
            ("1e1", "0", "\"1e1\""),
            ("", "0", "\"\""),
            ("4-8", "0", "\"4-8\""),
        ] {
            let refused = Position::from_degrees_text(lat, lon).unwrap_err().to_string();
            assert!(refused.contains(part), "{refused}");
        }
        assert!(Position::from_degrees(f64::NAN, 0.0).is_err());
    }

    #[test]
    fn only_the_very_origin_is_null_island() {
        assert!(Position::from_degrees(0.0, -0.0).unwrap().is_null_island());
        assert!(!Position::from_degrees(0.0, 0.000_000_1).unwrap().is_null_island());
    }
}
