//! The one decoding of a photo that everything about its pixels shares, within a fixed budget of memory whatever
//! the file claims.

use std::io::Cursor;

use endcheck_protocol::photo::PhotoFormat;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageReader, Limits};

/// Longest side of a thumbnail, in pixels.
const SIDE: u32 = 512;
/// A JPEG is decoded at an eighth, a quarter or half its size if one side then still has so many pixels: a little
/// less than [`SIDE`], so that 12 megapixels need only an eighth.
const JPEG_SIDE: u16 = 480;
/// Longest side of what all looks share, in pixels: just more than a JPEG decoded in this way has, unless it is long
/// and narrow.
const MAX_SIDE: u32 = 1024;
/// The most that one decode may allocate, in bytes.
const DECODE_LIMIT_BYTES: u64 = 160 * 1024 * 1024;
const JPEG_QUALITY: u8 = 80;

/// Why pixels are not seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPixels {
    /// Pixels of this format are not looked at; nothing is said about them.
    #[error("The pixels of {0} files are not decoded here: not checked")]
    NotChecked(&'static str),
    #[error("Decoding would need more than {} MiB: not checked", DECODE_LIMIT_BYTES >> 20)]
    TooLarge,
    #[error("The pixels do not decode: {0}")]
    Damaged(String),
}

/// The picture with about a thousand pixels along its longer side, or fewer, as it is stored and not turned.
///
/// # Errors
/// [`NoPixels`] where the format is not decoded here, the budget does not suffice, or the file is damaged.
pub(super) fn scaled(
    bytes: &[u8],
    format: PhotoFormat,
    (width, height): (u32, u32),
) -> Result<DynamicImage, NoPixels> {
    let picture = match format {
        PhotoFormat::Jpeg => decode_jpeg(bytes, width, height)?,
        PhotoFormat::Png => decode(bytes, image::ImageFormat::Png, width, height)?,
        PhotoFormat::Webp => decode(bytes, image::ImageFormat::WebP, width, height)?,
        PhotoFormat::Tiff => decode(bytes, image::ImageFormat::Tiff, width, height)?,
        PhotoFormat::Heic | PhotoFormat::Dng => return Err(NoPixels::NotChecked(format.name())),
    };
    Ok(at_most(picture, MAX_SIDE))
}

fn at_most(picture: DynamicImage, side: u32) -> DynamicImage {
    if picture.width().max(picture.height()) > side { picture.thumbnail(side, side) } else { picture }
}

/// A JPEG of at most 512 pixels a side, turned upright by the EXIF orientation.
///
/// # Errors
/// [`NoPixels::Damaged`] where it cannot be encoded.
pub(super) fn thumbnail(scaled: DynamicImage, orientation: Option<u8>) -> Result<Vec<u8>, NoPixels> {
    let mut small = at_most(scaled, SIDE);
    if let Some(orientation) = orientation.and_then(image::metadata::Orientation::from_exif) {
        small.apply_orientation(orientation);
    }
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
        .encode_image(&small.to_rgb8())
        .map_err(|e| NoPixels::Damaged(e.to_string()))?;
    Ok(jpeg)
}

/// Decodes a JPEG scaled down while decoding, which spares most of the memory and the time.
fn decode_jpeg(bytes: &[u8], width: u32, height: u32) -> Result<DynamicImage, NoPixels> {
    let damaged = |e: jpeg_decoder::Error| NoPixels::Damaged(e.to_string());
    let mut decoder = jpeg_decoder::Decoder::new(Cursor::new(bytes));
    decoder.set_max_decoding_buffer_size(usize::try_from(DECODE_LIMIT_BYTES / 2).unwrap_or(usize::MAX));
    decoder.read_info().map_err(damaged)?;
    let info = decoder.info().ok_or_else(|| NoPixels::Damaged("no header".to_owned()))?;
    // A progressive file keeps every coefficient (two bytes a sample) until its last scan.
    let samples = u64::from(width) * u64::from(height) * info.pixel_format.pixel_bytes() as u64;
    if info.coding_process == jpeg_decoder::CodingProcess::DctProgressive && samples * 2 > DECODE_LIMIT_BYTES
    {
        return Err(NoPixels::TooLarge);
    }
    decoder.scale(JPEG_SIDE, JPEG_SIDE).map_err(damaged)?;
    let pixels = decoder.decode().map_err(damaged)?;
    let info = decoder.info().ok_or_else(|| NoPixels::Damaged("no header".to_owned()))?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    let picture = match info.pixel_format {
        jpeg_decoder::PixelFormat::L8 => {
            image::GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8)
        }
        jpeg_decoder::PixelFormat::RGB24 => {
            image::RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8)
        }
        other => return Err(NoPixels::Damaged(format!("{other:?} pixels are not handled"))),
    };
    picture.ok_or_else(|| NoPixels::Damaged("fewer pixels than declared".to_owned()))
}

fn decode(
    bytes: &[u8],
    format: image::ImageFormat,
    width: u32,
    height: u32,
) -> Result<DynamicImage, NoPixels> {
    // Up to eight bytes a pixel (16-bit RGBA), and a working copy in some decoders.
    if u64::from(width) * u64::from(height) * 8 > DECODE_LIMIT_BYTES {
        return Err(NoPixels::TooLarge);
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODE_LIMIT_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    reader.decode().map_err(|error| match error {
        image::ImageError::Limits(_) => NoPixels::TooLarge,
        other => NoPixels::Damaged(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_png_becomes_a_small_upright_jpeg() {
        let mut png = Vec::new();
        image::RgbImage::from_pixel(1200, 600, image::Rgb([200, 10, 10]))
            .write_to(&mut Cursor::new(&mut png), image::ImageFormat::Png)
            .unwrap();
        let jpeg = thumbnail(scaled(&png, PhotoFormat::Png, (1200, 600)).unwrap(), Some(6)).unwrap();
        let small = image::load_from_memory(&jpeg).unwrap();
        assert_eq!((small.width(), small.height()), (256, 512));
    }

    #[test]
    fn damage_and_size_are_told_apart() {
        assert!(matches!(scaled(b"\xff\xd8\xff", PhotoFormat::Jpeg, (8, 8)), Err(NoPixels::Damaged(_))));
        assert_eq!(scaled(b"", PhotoFormat::Png, (50_000, 50_000)), Err(NoPixels::TooLarge));
        assert!(matches!(scaled(b"", PhotoFormat::Heic, (8, 8)), Err(NoPixels::NotChecked(_))));
    }
}
