//! What can be learnt from the pixels of a photo, as pure functions of its bytes: a small picture, hashes by which
//! the same picture is found again, and whether thumbnail, size and traces of programs fit.
//!
//! Everything about pixels shares one scaled decoding. Must not read a file, ask a clock or know a database; what
//! is found here decides nothing.

mod block;
mod coarse;
mod content;
mod decode;
mod jpeg;
mod light;
pub mod near;
mod pdq;
mod plane;
mod preview;
mod symmetry;
mod traces;

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::photo::{self, PhotoFacts, PhotoFormat};

use plane::Plane;

pub use coarse::{Coarse, LOOKS_ALIKE_BITS};
pub use decode::NoPixels;
pub use light::Exposure;
pub use pdq::{InvalidPdq, MIN_QUALITY, Pdq, SAME_PICTURE_BITS};
pub use preview::Likeness;
pub use symmetry::Symmetry;
pub use traces::Traces;

/// Pictures with a shorter side than this, in pixels, have no hashes: there is nothing to tell them by.
const MIN_HASHED_SIDE: u32 = 64;
/// Largest side of a thumbnail in the metadata that is looked at, in pixels.
const MAX_PREVIEW_SIDE: u32 = 2048;

/// The hashes of a picture, each in the eight orientations of [`Symmetry::ALL`]; the first is the one to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashes {
    pub pdq: [Pdq; 8],
    /// How much there is to be seen, 0 to 100, by PDQ's measure.
    pub quality: u8,
    pub coarse: [Coarse; 8],
}

/// What was learnt from the decoded picture.
#[derive(Debug, Clone)]
pub struct Pixels {
    /// A JPEG of at most 512 pixels a side, upright.
    pub thumbnail: Vec<u8>,
    /// The mean of all pixels, 0 to 255.
    pub brightness: u8,
    /// Absent for pictures smaller than 64 pixels a side.
    pub hashes: Option<Hashes>,
    /// The thumbnail in the metadata against the picture; absent where there is none that decodes.
    pub preview: Option<Likeness>,
}

/// Everything that is looked at in one photo.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// Of the picture data alone, whatever is said about it; absent for TIFF, HEIC and DNG.
    pub digest: Option<Sha256>,
    pub pixels: Result<Pixels, NoPixels>,
    /// The size in pixels that the camera wrote down.
    pub declared: Option<(u32, u32)>,
    pub traces: Traces,
    /// Absent where the camera wrote only part of it.
    pub exposure: Option<Exposure>,
    /// What tells its quantisation tables from others; absent where it has none.
    pub quantisation: Option<Sha256>,
}

/// Pictures with less to be seen than this, by PDQ's measure, are like each other without being so: a black frame is
/// the same whoever takes it.
pub const MIN_TELLING_QUALITY: u8 = 10;

impl Analysis {
    /// Whether there is enough to be seen in the picture that finding the same again says something. What was not
    /// decoded is given the benefit: only large files are too large.
    #[must_use]
    pub fn is_telling(&self) -> bool {
        self.pixels.as_ref().map_or(true, |pixels| {
            pixels.hashes.as_ref().is_some_and(|hashes| hashes.quality >= MIN_TELLING_QUALITY)
        })
    }
}

/// Looks into a photo whose facts were read from the same bytes.
#[must_use]
pub fn analyse(bytes: &[u8], facts: &PhotoFacts) -> Analysis {
    let metadata = photo::metadata(bytes).unwrap_or_default();
    let block = metadata.exif.first().map(|block| block::read(block)).unwrap_or_default();
    let camera = [facts.make.as_deref(), facts.model.as_deref()];
    let is_jpeg = facts.format == PhotoFormat::Jpeg;
    Analysis {
        digest: content::digest(bytes, facts.format),
        pixels: look(bytes, facts, block.thumbnail),
        declared: block.declared,
        traces: traces::find(bytes, is_jpeg, &metadata.xmp, facts.software.as_deref(), camera),
        exposure: block.exposure,
        quantisation: metadata.tables.digest(),
    }
}

fn look(bytes: &[u8], facts: &PhotoFacts, embedded: Option<&[u8]>) -> Result<Pixels, NoPixels> {
    let scaled = decode::scaled(bytes, facts.format, (facts.width, facts.height))?;
    let plane = Plane::of(&scaled);
    let large_enough = scaled.width().min(scaled.height()) >= MIN_HASHED_SIDE;
    let hashes = large_enough.then(|| {
        let (pdq, quality) = pdq::hashes(&plane);
        Hashes { pdq, quality, coarse: coarse::hashes(&plane) }
    });
    let preview = embedded
        .filter(|_| large_enough)
        .and_then(embedded_plane)
        .map(|thumbnail| preview::compare(&thumbnail, &plane));
    let brightness = plane.mean();
    Ok(Pixels { thumbnail: decode::thumbnail(scaled, facts.orientation)?, brightness, hashes, preview })
}

/// The thumbnail in the metadata; it is as hostile as the rest, and gets the same budget.
fn embedded_plane(jpeg: &[u8]) -> Option<Plane> {
    let frame = jpeg::Segments::before_scan(jpeg).find_map(|segment| segment.frame_size())?;
    let sides = [frame.0, frame.1];
    if sides.iter().any(|side| !(16..=MAX_PREVIEW_SIDE).contains(side)) {
        return None;
    }
    decode::scaled(jpeg, PhotoFormat::Jpeg, frame).ok().map(|scaled| Plane::of(&scaled))
}

#[cfg(test)]
mod tests;
