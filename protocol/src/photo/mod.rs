//! What a photo file says of itself, as a pure function of its bytes. The agent and the server ask the same.
//!
//! Pixels are never decoded here, text is never inflated and nothing is allocated by a size that a file
//! declares. What a file says is not what is true: the facts stand beside the device's own fix and clock,
//! never in their place.

mod block;
mod bytes;
mod clock;
mod container;
mod flags;
mod position;
mod quantisation;
mod refusal;
mod sniff;
mod survey;
mod text;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use block::Block;
use clock::Taken;

pub use flags::{PhotoFlag, PositionAbsence};
pub use position::ExifPosition;
pub use quantisation::QuantisationTables;
pub use refusal::PhotoRefusal;

/// Most pixels a photo may declare: 128 megapixels, which is 512 MiB decoded with four bytes each.
pub const MAX_PIXELS: u64 = 128_000_000;
/// Longest side in pixels; no accepted camera format needs more.
pub const MAX_SIDE_PX: u32 = 65_535;
/// Largest photo file.
pub const MAX_SIZE_BYTES: u64 = 128 * 1024 * 1024;

/// The container a photo comes in, by its content and never by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PhotoFormat {
    Jpeg,
    Png,
    Webp,
    Tiff,
    Heic,
    Dng,
}

impl PhotoFormat {
    /// The lower-case name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Tiff => "tiff",
            Self::Heic => "heic",
            Self::Dng => "dng",
        }
    }

    /// The media type to serve it under.
    #[must_use]
    pub fn mime(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Tiff => "image/tiff",
            Self::Heic => "image/heic",
            Self::Dng => "image/x-adobe-dng",
        }
    }
}

/// What a photo file says of itself. Signed as part of a record, so whole numbers only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PhotoFacts {
    pub format: PhotoFormat,
    /// Pixels as stored, before any turning.
    pub width: u32,
    pub height: u32,
    /// Exif orientation, 1 to 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orientation: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<ExifPosition>,
    /// There exactly when `position` is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position_absent_reason: Option<PositionAbsence>,
    /// The camera's local time exactly as written, in ISO 8601: `2021-04-11T15:47:53.054-05:00`, with
    /// subseconds and offset only where the file has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<String>,
    /// The satellites' date and time, where both are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gps_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub make: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Serial number of the camera's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lens: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
    /// Sorted, each once.
    pub flags: Vec<PhotoFlag>,
}

impl PhotoFacts {
    /// All flags, with those that depend on the time of looking.
    #[must_use]
    pub fn flags_at(&self, now: Timestamp) -> Vec<PhotoFlag> {
        let mut flags = self.flags.clone();
        if self.taken_at.as_deref().is_some_and(|taken_at| clock::is_future(taken_at, now)) {
            flags.push(PhotoFlag::CaptureTimeInFuture);
        }
        sorted(flags)
    }

    /// When the camera's clock says it was taken, with whether the file names its UTC offset. Where it does
    /// not, the time is read in `zone`, usually that of the site; without a zone there is no instant.
    #[must_use]
    pub fn taken_instant(&self, zone: Option<chrono_tz::Tz>) -> Option<(Timestamp, bool)> {
        clock::instant_of(self.taken_at.as_deref()?, zone)
    }

    /// The position where it may be measured against a fence: not on null island, not one of two.
    #[must_use]
    pub fn position_for_verdict(&self) -> Option<&ExifPosition> {
        let doubtful = [PhotoFlag::NullIsland, PhotoFlag::PositionsConflict];
        self.position.as_ref().filter(|_| !self.flags.iter().any(|flag| doubtful.contains(flag)))
    }
}

/// Reads what `bytes`, a whole file, say.
///
/// # Errors
/// A [`PhotoRefusal`] where the file is not a photo, or too damaged or too large to be taken as one.
/// Damage that leaves the picture in place is a flag, not a refusal.
pub fn read(bytes: &[u8]) -> Result<PhotoFacts, PhotoRefusal> {
    let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size_bytes > MAX_SIZE_BYTES {
        return Err(PhotoRefusal::TooLarge { size_bytes });
    }
    let container = container::walk(bytes, sniff::sniff(bytes)?)?;
    let mut flags = Vec::new();
    for (holds, flag) in [
        (container.trailing_data, PhotoFlag::TrailingData),
        (container.truncated_tail, PhotoFlag::TruncatedTail),
        (container.damaged, PhotoFlag::MetadataDamaged),
        (container.exif.len() > 1, PhotoFlag::MetadataRepeated),
    ] {
        if holds {
            flags.push(flag);
        }
    }
    let mut blocks = container.exif.iter().map(|block| block::read(block));
    let first = blocks.next();
    let mut facts = PhotoFacts {
        format: container.format,
        width: container.width,
        height: container.height,
        orientation: None,
        position: None,
        position_absent_reason: Some(if container.damaged {
            PositionAbsence::Damaged
        } else {
            PositionAbsence::NoExif
        }),
        taken_at: None,
        gps_at: None,
        make: None,
        model: None,
        serial: None,
        lens: None,
        software: None,
        flags: Vec::new(),
    };
    match first {
        Some(block) => {
            // Programs differ on which block they show, so a second position is never passed over in silence.
            let place = |found: &Block| found.position.as_ref().ok().map(|at| (at.lat_e7, at.lon_e7));
            let own = place(&block);
            if blocks
                .filter_map(|other| place(&other))
                .any(|other| own.is_none_or(|own| block::differ(own, other)))
            {
                flags.push(PhotoFlag::PositionsConflict);
            }
            facts.take(block, &mut flags);
        }
        None => flags.push(PhotoFlag::CaptureTimeMissing),
    }
    if facts.position_absent_reason.is_some_and(may_stand_in_xmp)
        && container.xmp.iter().any(|xmp| has_position(xmp))
    {
        facts.position_absent_reason = Some(PositionAbsence::XmpOnly);
    }
    facts.flags = sorted(flags);
    Ok(facts)
}

/// The metadata blocks of a photo as they stand in the file, at most a few of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata<'a> {
    /// TIFF blocks, in file order.
    pub exif: Vec<&'a [u8]>,
    /// XMP packets that are not packed, in file order.
    pub xmp: Vec<&'a [u8]>,
    /// Of a JPEG; other formats have none.
    pub tables: QuantisationTables<'a>,
}

/// Finds the metadata blocks of `bytes`, a whole file; nothing in them is read.
///
/// # Errors
/// As [`read`].
pub fn metadata(bytes: &[u8]) -> Result<Metadata<'_>, PhotoRefusal> {
    let container = container::walk(bytes, sniff::sniff(bytes)?)?;
    Ok(Metadata { exif: container.exif, xmp: container.xmp, tables: container.tables })
}

impl PhotoFacts {
    fn take(&mut self, block: Block, flags: &mut Vec<PhotoFlag>) {
        flags.extend(block.flags);
        (self.position, self.position_absent_reason) = match block.position {
            Ok(position) => (Some(position), None),
            Err(reason) => (None, Some(reason)),
        };
        match block.taken {
            Taken::Missing => flags.push(PhotoFlag::CaptureTimeMissing),
            Taken::Blank => flags.push(PhotoFlag::CaptureTimeBlank),
            Taken::Invalid => flags.push(PhotoFlag::CaptureTimeInvalid),
            Taken::At(text) => {
                if block.gps_at.is_some_and(|gps_at| clock::clocks_differ(&text, gps_at)) {
                    flags.push(PhotoFlag::CaptureTimeVsGpsTime);
                }
                self.taken_at = Some(text);
            }
        }
        self.gps_at = block.gps_at;
        self.orientation = block.orientation;
        self.make = block.make;
        self.model = block.model;
        self.serial = block.serial;
        self.lens = block.lens;
        self.software = block.software;
    }
}

/// One reading of a position in a photo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PositionReading {
    /// Which metadata block of the file, from 0.
    pub block: usize,
    /// The library that read it.
    pub reader: &'static str,
    pub lat_e7: i64,
    pub lon_e7: i64,
}

/// Every position that is read in the file: of each metadata block, by both libraries. Programs differ on
/// which of them they show.
#[must_use]
pub fn position_readings(bytes: &[u8]) -> Vec<PositionReading> {
    let Some(container) = sniff::sniff(bytes).ok().and_then(|format| container::walk(bytes, format).ok())
    else {
        return Vec::new();
    };
    let blocks = container.exif.iter().enumerate();
    blocks
        .flat_map(|(block, bytes)| {
            let own = block::read(bytes).position.ok().map(|at| ("kamadak-exif", (at.lat_e7, at.lon_e7)));
            let other = block::second_reading(bytes).map(|at| ("nom-exif", at));
            [own, other].into_iter().flatten().map(move |(reader, (lat_e7, lon_e7))| PositionReading {
                block,
                reader,
                lat_e7,
                lon_e7,
            })
        })
        .collect()
}

fn may_stand_in_xmp(reason: PositionAbsence) -> bool {
    matches!(reason, PositionAbsence::NoExif | PositionAbsence::NoGps | PositionAbsence::GpsEmpty)
}

fn has_position(packet: &[u8]) -> bool {
    bytes::contains(packet, b"GPSLatitude")
}

fn sorted(mut flags: Vec<PhotoFlag>) -> Vec<PhotoFlag> {
    flags.sort_unstable();
    flags.dedup();
    flags
}
