//! Small pictures of photos, within a fixed budget of memory whatever the file claims.

use std::io::Cursor;

use endcheck_protocol::photo::PhotoFormat;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageReader, Limits};

/// Longest side of a thumbnail, in pixels.
const SIDE: u32 = 512;
/// The most that one decode may allocate, in bytes.
const DECODE_LIMIT_BYTES: u64 = 160 * 1024 * 1024;
const JPEG_QUALITY: u8 = 80;

/// Why there is no small picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoThumbnail {
    /// Pixels of this format are not looked at; nothing is said about them.
    #[error("The pixels of {0} files are not decoded here: not checked")]
    NotChecked(&'static str),
    #[error("Decoding would need more than {} MiB: not checked", DECODE_LIMIT_BYTES >> 20)]
    TooLarge,
    #[error("The pixels do not decode: {0}")]
    Damaged(String),
}

/// A JPEG of at most 512 pixels a side, turned upright by the EXIF orientation.
pub(super) fn make(
    bytes: &[u8],
    format: PhotoFormat,
    (width, height): (u32, u32),
    orientation: Option<u8>,
) -> Result<Vec<u8>, NoThumbnail> {
    let picture = match format {
        PhotoFormat::Jpeg => decode_jpeg(bytes, width, height)?,
        PhotoFormat::Png => decode(bytes, image::ImageFormat::Png, width, height)?,
        PhotoFormat::Webp => decode(bytes, image::ImageFormat::WebP, width, height)?,
        PhotoFormat::Tiff => decode(bytes, image::ImageFormat::Tiff, width, height)?,
        PhotoFormat::Heic | PhotoFormat::Dng => return Err(NoThumbnail::NotChecked(format.name())),
    };
    let mut small =
        if picture.width().max(picture.height()) > SIDE { picture.thumbnail(SIDE, SIDE) } else { picture };
    if let Some(orientation) = orientation.and_then(image::metadata::Orientation::from_exif) {
        small.apply_orientation(orientation);
    }
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
        .encode_image(&small.to_rgb8())
        .map_err(|e| NoThumbnail::Damaged(e.to_string()))?;
    Ok(jpeg)
}

/// Decodes a JPEG scaled down while decoding, which spares most of the memory and the time.
fn decode_jpeg(bytes: &[u8], width: u32, height: u32) -> Result<DynamicImage, NoThumbnail> {
    let damaged = |e: jpeg_decoder::Error| NoThumbnail::Damaged(e.to_string());
    let mut decoder = jpeg_decoder::Decoder::new(Cursor::new(bytes));
    decoder.set_max_decoding_buffer_size(usize::try_from(DECODE_LIMIT_BYTES / 2).unwrap_or(usize::MAX));
    decoder.read_info().map_err(damaged)?;
    let info = decoder.info().ok_or_else(|| NoThumbnail::Damaged("no header".to_owned()))?;
    // A progressive file keeps every coefficient (two bytes a sample) until its last scan.
    let samples = u64::from(width) * u64::from(height) * info.pixel_format.pixel_bytes() as u64;
    if info.coding_process == jpeg_decoder::CodingProcess::DctProgressive && samples * 2 > DECODE_LIMIT_BYTES
    {
        return Err(NoThumbnail::TooLarge);
    }
    let side = u16::try_from(SIDE).unwrap_or(u16::MAX);
    decoder.scale(side, side).map_err(damaged)?;
    let pixels = decoder.decode().map_err(damaged)?;
    let info = decoder.info().ok_or_else(|| NoThumbnail::Damaged("no header".to_owned()))?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    let picture = match info.pixel_format {
        jpeg_decoder::PixelFormat::L8 => {
            image::GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8)
        }
        jpeg_decoder::PixelFormat::RGB24 => {
            image::RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8)
        }
        other => return Err(NoThumbnail::Damaged(format!("{other:?} pixels are not handled"))),
    };
    picture.ok_or_else(|| NoThumbnail::Damaged("fewer pixels than declared".to_owned()))
}

fn decode(
    bytes: &[u8],
    format: image::ImageFormat,
    width: u32,
    height: u32,
) -> Result<DynamicImage, NoThumbnail> {
    // Up to eight bytes a pixel (16-bit RGBA), and a working copy in some decoders.
    if u64::from(width) * u64::from(height) * 8 > DECODE_LIMIT_BYTES {
        return Err(NoThumbnail::TooLarge);
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODE_LIMIT_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    reader.decode().map_err(|error| match error {
        image::ImageError::Limits(_) => NoThumbnail::TooLarge,
        other => NoThumbnail::Damaged(other.to_string()),
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
        let jpeg = make(&png, PhotoFormat::Png, (1200, 600), Some(6)).unwrap();
        let small = image::load_from_memory(&jpeg).unwrap();
        assert_eq!((small.width(), small.height()), (256, 512));
    }

    #[test]
    fn damage_and_size_are_told_apart() {
        assert!(matches!(
            make(b"\xff\xd8\xff", PhotoFormat::Jpeg, (8, 8), None),
            Err(NoThumbnail::Damaged(_))
        ));
        assert_eq!(make(b"", PhotoFormat::Png, (50_000, 50_000), None), Err(NoThumbnail::TooLarge));
        assert!(matches!(make(b"", PhotoFormat::Heic, (8, 8), None), Err(NoThumbnail::NotChecked(_))));
    }
}
