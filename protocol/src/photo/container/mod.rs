//! Containers: where a file keeps its dimensions and its metadata blocks. Never decodes a pixel, inflates
//! a text or allocates by a declared size.

mod heif;
mod jpeg;
mod png;
mod tiff;
mod webp;

use super::quantisation::QuantisationTables;
use super::refusal::PhotoRefusal;
use super::sniff::Family;
use super::{MAX_PIXELS, MAX_SIDE_PX, PhotoFormat};

/// Metadata blocks kept of one file; a real file has one, a tampered one two.
const MAX_BLOCKS: usize = 4;

/// What the container says.
#[derive(Debug)]
pub(super) struct Container<'a> {
    pub format: PhotoFormat,
    pub width: u32,
    pub height: u32,
    /// TIFF blocks, in file order.
    pub exif: Vec<&'a [u8]>,
    /// Uncompressed XMP packets, in file order.
    pub xmp: Vec<&'a [u8]>,
    pub tables: QuantisationTables<'a>,
    pub trailing_data: bool,
    pub truncated_tail: bool,
    /// Metadata was announced but cannot be reached.
    pub damaged: bool,
}

impl<'a> Container<'a> {
    fn new(format: PhotoFormat) -> Self {
        Self {
            format,
            width: 0,
            height: 0,
            exif: Vec::new(),
            xmp: Vec::new(),
            tables: QuantisationTables::default(),
            trailing_data: false,
            truncated_tail: false,
            damaged: false,
        }
    }

    fn add_exif(&mut self, block: &'a [u8]) {
        if self.exif.len() < MAX_BLOCKS {
            // PNG and WebP writers sometimes keep JPEG's prefix.
            self.exif.push(block.strip_prefix(b"Exif\0\0").unwrap_or(block));
        }
    }

    fn add_xmp(&mut self, packet: &'a [u8]) {
        if self.xmp.len() < MAX_BLOCKS {
            self.xmp.push(packet);
        }
    }

    fn checked(self) -> Result<Self, PhotoRefusal> {
        let (width, height) = (self.width, self.height);
        if width == 0 || height == 0 {
            return Err(super::refusal::damaged("it declares a width or height of 0 pixels"));
        }
        let declared = u64::from(width) * u64::from(height);
        if declared > MAX_PIXELS || width > MAX_SIDE_PX || height > MAX_SIDE_PX {
            return Err(PhotoRefusal::TooManyPixels { width, height, declared });
        }
        Ok(self)
    }
}

pub(super) fn walk(bytes: &[u8], family: Family) -> Result<Container<'_>, PhotoRefusal> {
    match family {
        Family::Jpeg => jpeg::walk(bytes),
        Family::Png => png::walk(bytes),
        Family::Webp => webp::walk(bytes),
        Family::Tiff => tiff::walk(bytes),
        Family::Heif => heif::walk(bytes),
    }?
    .checked()
}
