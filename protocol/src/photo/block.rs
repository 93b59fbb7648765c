//! One TIFF block, read by kamadak-exif, and its position read a second time by nom-exif.
//! Only tags of the first directory, its Exif part and its GPS part are read; maker notes never.

use exif::{Exif, In, Tag, Value};
use nom_exif::{LatRef, LonRef, MediaParser, MediaSource, URational};

use super::clock::{self, Taken};
use super::flags::{PhotoFlag, PositionAbsence};
use super::position::{self, ExifPosition, Ratio, Written};
use super::survey::{GpsPointer, Survey, survey};
use super::text;
use crate::time::Timestamp;

/// What one block says.
#[derive(Debug)]
pub(super) struct Block {
    pub orientation: Option<u8>,
    pub position: Result<ExifPosition, PositionAbsence>,
    pub taken: Taken,
    pub gps_at: Option<Timestamp>,
    pub make: Option<String>,
    pub model: Option<String>,
    pub serial: Option<String>,
    pub lens: Option<String>,
    pub software: Option<String>,
    pub flags: Vec<PhotoFlag>,
}

impl Block {
    fn unreadable() -> Self {
        Self {
            orientation: None,
            position: Err(PositionAbsence::Damaged),
            taken: Taken::Missing,
            gps_at: None,
            make: None,
            model: None,
            serial: None,
            lens: None,
            software: None,
            flags: vec![PhotoFlag::MetadataDamaged],
        }
    }
}

pub(super) fn read(bytes: &[u8]) -> Block {
    let survey = survey(bytes);
    if survey.oversized {
        return Block::unreadable();
    }
    let read = exif::Reader::new()
        .continue_on_error(true)
        .read_raw(survey.working_copy(bytes))
        .or_else(|error| error.distill_partial_result(|_| ()));
    let Ok(exif) = read else { return Block::unreadable() };

    let mut flags = Vec::new();
    if survey.damaged {
        flags.push(PhotoFlag::MetadataDamaged);
    }
    let position = read_position(&exif, &survey, &mut flags);
    let time = clock::gps_time(ascii(&exif, Tag::GPSDateStamp), &ratios(&exif, Tag::GPSTimeStamp));
    if time.is_err() {
        flags.push(PhotoFlag::GpsTimeInvalid);
    }
    let taken = clock::taken(
        ascii(&exif, Tag::DateTimeOriginal),
        ascii(&exif, Tag::SubSecTimeOriginal),
        ascii(&exif, Tag::OffsetTimeOriginal),
    );
    let mut cleaned = false;
    let mut name = |tag| {
        let (text, changed) = text::clean(ascii(&exif, tag)?);
        cleaned |= changed;
        text
    };
    let (make, model) = (name(Tag::Make), name(Tag::Model));
    let (serial, lens) = (name(Tag::BodySerialNumber), name(Tag::LensModel));
    let software = name(Tag::Software);
    if cleaned {
        flags.push(PhotoFlag::TextCleaned);
    }
    if software.as_deref().is_some_and(text::names_an_editor) {
        flags.push(PhotoFlag::EditedBySoftware);
    }
    Block {
        orientation: orientation(&exif),
        position,
        taken,
        gps_at: time.unwrap_or_default(),
        make,
        model,
        serial,
        lens,
        software,
        flags,
    }
}

fn value(exif: &Exif, tag: Tag) -> Option<&Value> {
    exif.get_field(tag, In::PRIMARY).map(|field| &field.value)
}

fn ascii(exif: &Exif, tag: Tag) -> Option<&[u8]> {
    match value(exif, tag)? {
        Value::Ascii(parts) => Some(parts.iter().find(|part| !part.is_empty()).map_or(&[], Vec::as_slice)),
        _ => None,
    }
}

/// Unsigned and signed rationals: some phones write positions in the signed kind.
fn ratios(exif: &Exif, tag: Tag) -> Vec<Ratio> {
    match value(exif, tag) {
        Some(Value::Rational(parts)) => {
            parts.iter().map(|part| (part.num.into(), part.denom.into())).collect()
        }
        Some(Value::SRational(parts)) => {
            parts.iter().map(|part| (part.num.into(), part.denom.into())).collect()
        }
        _ => Vec::new(),
    }
}

fn orientation(exif: &Exif) -> Option<u8> {
    let value = value(exif, Tag::Orientation)?.get_uint(0)?;
    u8::try_from(value).ok().filter(|turn| (1..=8).contains(turn))
}

fn read_position(
    exif: &Exif,
    survey: &Survey<'_>,
    flags: &mut Vec<PhotoFlag>,
) -> Result<ExifPosition, PositionAbsence> {
    let letter = |tag| ascii(exif, tag).and_then(|text| text.trim_ascii().first().copied());
    let written = Written {
        latitude: ratios(exif, Tag::GPSLatitude),
        latitude_ref: letter(Tag::GPSLatitudeRef),
        longitude: ratios(exif, Tag::GPSLongitude),
        longitude_ref: letter(Tag::GPSLongitudeRef),
    };
    if written.latitude.is_empty() && written.longitude.is_empty() {
        return Err(match survey.gps {
            GpsPointer::Absent if survey.damaged => PositionAbsence::Damaged,
            GpsPointer::Absent => PositionAbsence::NoGps,
            GpsPointer::Broken => PositionAbsence::Damaged,
            GpsPointer::Empty | GpsPointer::Followed => PositionAbsence::GpsEmpty,
        });
    }
    let (lat_e7, lon_e7) = position::degrees(&written, flags)?;
    if survey.is_sound(exif.buf())
        && second_opinion(exif.buf()).is_some_and(|other| differ((lat_e7, lon_e7), other))
    {
        flags.push(PhotoFlag::PositionsConflict);
    }
    let height = ratios(exif, Tag::GPSAltitude).first().copied().and_then(position::millimetres);
    // Exif 3.0: 1 and 3 are below the sea or the ellipsoid.
    let below = value(exif, Tag::GPSAltitudeRef)
        .and_then(|value| match value {
            Value::Byte(parts) => parts.first().copied(),
            Value::Undefined(parts, _) => parts.first().copied(),
            _ => None,
        })
        .is_some_and(|reference| matches!(reference, 1 | 3));
    Ok(ExifPosition {
        lat_e7,
        lon_e7,
        altitude_mm: height.map(|height| if below { -height.abs() } else { height }),
        accuracy_mm: ratios(exif, Tag::GPSHPositioningError)
            .first()
            .copied()
            .and_then(position::millimetres)
            .filter(|accuracy| *accuracy >= 0),
    })
}

/// One millionth of a degree, about 0.1 m: programs round differently below that.
const SAME_E7: u64 = 10;

/// True where two readings of a position are two positions.
pub(super) fn differ(one: (i64, i64), other: (i64, i64)) -> bool {
    one.0.abs_diff(other.0) > SAME_E7 || one.1.abs_diff(other.1) > SAME_E7
}

/// The position of a block by the other library alone, where the block is sound enough to be shown to it.
pub(super) fn second_reading(bytes: &[u8]) -> Option<(i64, i64)> {
    let survey = survey(bytes);
    if survey.oversized {
        return None;
    }
    let read = exif::Reader::new()
        .continue_on_error(true)
        .read_raw(survey.working_copy(bytes))
        .or_else(|error| error.distill_partial_result(|_| ()));
    let exif = read.ok()?;
    if survey.is_sound(exif.buf()) { second_opinion(exif.buf()) } else { None }
}

/// The position by the other library, `None` where it sees none.
fn second_opinion(bytes: &[u8]) -> Option<(i64, i64)> {
    let source = MediaSource::from_memory(bytes.to_vec()).ok()?;
    let gps = MediaParser::new().parse_exif(source).ok()?.parse_gps().ok()??;
    let parts = |of: nom_exif::LatLng| [of.degrees, of.minutes, of.seconds].map(ratio).to_vec();
    let written = Written {
        latitude: parts(gps.latitude),
        latitude_ref: Some(if gps.latitude_ref == LatRef::South { b'S' } else { b'N' }),
        longitude: parts(gps.longitude),
        longitude_ref: Some(if gps.longitude_ref == LonRef::West { b'W' } else { b'E' }),
    };
    position::degrees(&written, &mut Vec::new()).ok()
}

fn ratio(from: URational) -> Ratio {
    (from.numerator().into(), from.denominator().into())
}
