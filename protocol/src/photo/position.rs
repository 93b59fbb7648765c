//! Degrees out of rationals, in whole numbers only. A zero denominator is "no position", never zero.

use serde::{Deserialize, Serialize};

use super::flags::{PhotoFlag, PositionAbsence};

/// A position as Exif states it (WGS84 is assumed, as everywhere).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExifPosition {
    /// Degrees × 10⁷, north positive.
    pub lat_e7: i64,
    /// Degrees × 10⁷, east positive.
    pub lon_e7: i64,
    /// Height in millimetres, negative below sea level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub altitude_mm: Option<i64>,
    /// GPSHPositioningError in millimetres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_mm: Option<i64>,
}

/// Numerator and denominator, wide enough for signed and unsigned ones.
pub(super) type Ratio = (i64, i64);

/// What Exif holds of a position; an empty list where a tag is absent.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub latitude: Vec<Ratio>,
    pub latitude_ref: Option<u8>,
    pub longitude: Vec<Ratio>,
    pub longitude_ref: Option<u8>,
}

const ONE_DEGREE_E7: i128 = 10_000_000;
const MAX_LATITUDE_E7: i128 = 90 * ONE_DEGREE_E7;
const MAX_LONGITUDE_E7: i128 = 180 * ONE_DEGREE_E7;
/// One millionth of a degree, about 0.1 m.
const NULL_ISLAND_E7: i64 = 10;
/// Heights beyond this are noise: 100 km is where space begins.
const MAX_HEIGHT_MM: i64 = 100_000_000;

/// The two degrees, e7, and what is odd about them.
pub(super) fn degrees(written: &Written, flags: &mut Vec<PhotoFlag>) -> Result<(i64, i64), PositionAbsence> {
    match (written.latitude.is_empty(), written.longitude.is_empty()) {
        (true, true) => return Err(PositionAbsence::GpsEmpty),
        (false, false) => {}
        _ => return Err(PositionAbsence::Incomplete),
    }
    let latitude = Angle::read(&written.latitude)?;
    let longitude = Angle::read(&written.longitude)?;
    let south = hemisphere(written.latitude_ref, b'N', b'S');
    let west = hemisphere(written.longitude_ref, b'E', b'W');
    let (Some(south), Some(west)) = (south, west) else {
        flags.push(PhotoFlag::HemisphereMissing);
        return Err(PositionAbsence::HemisphereMissing);
    };
    if (latitude.negative && !south) || (longitude.negative && !west) {
        return Err(PositionAbsence::HemisphereConflict);
    }
    if latitude.e7 > MAX_LATITUDE_E7 || longitude.e7 > MAX_LONGITUDE_E7 {
        flags.push(PhotoFlag::PositionOutOfRange);
        return Err(PositionAbsence::OutOfRange);
    }
    if latitude.overflowed || longitude.overflowed {
        flags.push(PhotoFlag::PositionSecondsOverflow);
    }
    let signed = |angle: Angle, negative: bool| {
        let e7 = i64::try_from(angle.e7).map_err(|_| PositionAbsence::OutOfRange)?;
        Ok(if negative { -e7 } else { e7 })
    };
    let position = (signed(latitude, south)?, signed(longitude, west)?);
    if position.0.abs() <= NULL_ISLAND_E7 && position.1.abs() <= NULL_ISLAND_E7 {
        flags.push(PhotoFlag::NullIsland);
    }
    Ok(position)
}

fn hemisphere(letter: Option<u8>, positive: u8, negative: u8) -> Option<bool> {
    let letter = letter?.to_ascii_uppercase();
    (letter == positive || letter == negative).then_some(letter == negative)
}

#[derive(Debug, Clone, Copy)]
struct Angle {
    e7: i128,
    negative: bool,
    overflowed: bool,
}

impl Angle {
    /// Degrees, minutes and seconds; what is not written counts as none.
    fn read(parts: &[Ratio]) -> Result<Self, PositionAbsence> {
        // Nano-e7: far below a rounding step, and far below what i128 holds.
        const FINE: i128 = 1_000_000_000;
        let mut fine = 0i128;
        let mut overflowed = false;
        let mut negative = false;
        for (nth, ((numerator, denominator), share)) in parts.iter().zip([1i128, 60, 3600]).enumerate() {
            if *denominator == 0 {
                return Err(PositionAbsence::ZeroDenominator);
            }
            let (numerator, denominator) = (i128::from(*numerator), i128::from(*denominator));
            negative |= numerator * denominator < 0;
            let (numerator, denominator) = (numerator.abs(), denominator.abs());
            overflowed |= nth > 0 && numerator >= 60 * denominator;
            fine += numerator * ONE_DEGREE_E7 * FINE / (denominator * share);
        }
        Ok(Self { e7: (fine + FINE / 2) / FINE, negative, overflowed })
    }
}

/// Metres as millimetres, where they make sense.
pub(super) fn millimetres((numerator, denominator): Ratio) -> Option<i64> {
    if denominator == 0 {
        return None;
    }
    let (numerator, denominator) = (i128::from(numerator), i128::from(denominator));
    let sign = if numerator * denominator < 0 { -1 } else { 1 };
    let (numerator, denominator) = (numerator.abs() * 1000, denominator.abs());
    let rounded = i64::try_from((numerator + denominator / 2) / denominator).ok()?;
    (rounded <= MAX_HEIGHT_MM).then_some(sign * rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(latitude: &[Ratio], refs: &[u8; 2]) -> (Result<(i64, i64), PositionAbsence>, Vec<PhotoFlag>) {
        let written = Written {
            latitude: latitude.to_vec(),
            latitude_ref: Some(refs[0]),
            longitude: vec![(16, 1), (22, 1), (12, 1)],
            longitude_ref: Some(refs[1]),
        };
        let mut flags = Vec::new();
        (degrees(&written, &mut flags), flags)
    }

    #[test]
    fn degrees_are_read_exactly_or_not_at_all() {
        use PhotoFlag as Flag;
        use PositionAbsence as Absence;
        let max = i64::from(u32::MAX);
        type Row<'a> = (&'a [Ratio], &'a [u8; 2], Result<i64, Absence>, &'a [Flag]);
        let table: &[Row<'_>] = &[
            (&[(48, 1), (12, 1), (30, 1)], b"NE", Ok(482_083_333), &[]),
            (&[(48, 1), (12, 1), (30, 1)], b"SE", Ok(-482_083_333), &[]),
            (&[(482_083_333, 10_000_000), (0, 1), (0, 1)], b"NE", Ok(482_083_333), &[]),
            (&[(48, 1), (125, 10)], b"NE", Ok(482_083_333), &[]),
            (&[(-48, 1), (12, 1), (30, 1)], b"SE", Ok(-482_083_333), &[]),
            (&[(-48, 1), (12, 1), (30, 1)], b"NE", Err(Absence::HemisphereConflict), &[]),
            (&[(48, 1), (12, 1), (75, 1)], b"NE", Ok(482_208_333), &[Flag::PositionSecondsOverflow]),
            (&[(48, 1), (12, 0), (30, 1)], b"NE", Err(Absence::ZeroDenominator), &[]),
            (&[(0, 0), (0, 0), (0, 0)], b"\0\0", Err(Absence::ZeroDenominator), &[]),
            (
                &[(48, 1), (12, 1), (30, 1)],
                b"\0E",
                Err(Absence::HemisphereMissing),
                &[Flag::HemisphereMissing],
            ),
            (&[(91, 1), (0, 1), (0, 1)], b"NE", Err(Absence::OutOfRange), &[Flag::PositionOutOfRange]),
            (&[(90, 1), (0, 1), (0, 1)], b"NE", Ok(900_000_000), &[]),
            (&[(max, 1), (max, 1), (max, 1)], b"NE", Err(Absence::OutOfRange), &[Flag::PositionOutOfRange]),
            (&[(max, max), (1, max), (1, max)], b"NE", Ok(10_000_000), &[]),
            (&[], b"NE", Err(Absence::Incomplete), &[]),
        ];
        for (latitude, refs, expected, flags) in table {
            let (position, found) = read(latitude, refs);
            assert_eq!(position.map(|(lat_e7, _)| lat_e7), *expected, "{latitude:?}");
            assert_eq!(found, *flags, "{latitude:?}");
        }
    }

    #[test]
    fn heights_are_whole_millimetres() {
        assert_eq!(millimetres((3983, 1000)), Some(3983));
        assert_eq!(millimetres((-2, 3)), Some(-667));
        assert_eq!(millimetres((1, 0)), None);
        assert_eq!(millimetres((i64::from(u32::MAX), 1)), None);
    }
}
