//! Why a file is not taken as a photo. Each text says what was found, the limit, and what to do.

use super::{MAX_PIXELS, MAX_SIDE_PX, MAX_SIZE_BYTES};

/// A file that is not taken as a photo.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PhotoRefusal {
    #[error("the file is damaged: it is empty (0 bytes); copy it again from the camera")]
    Empty,
    /// `looks_like` names what the first bytes are, such as "an HTML page".
    #[error("the content is not an image: it looks like {looks_like}; hand it in as a document instead")]
    NotAnImage { looks_like: &'static str },
    /// An image, but of a kind that is not evidence: it can carry scripts, or nobody can read it later.
    #[error(
        "{format} is not accepted as a photo; accepted are JPEG, PNG, WebP, TIFF, HEIC and DNG: \
             take the camera's own file"
    )]
    FormatNotAccepted { format: &'static str },
    #[error("the image declares {width} x {height} = {declared} pixels, over the limit of {limit} pixels \
             ({side} a side); export it smaller and keep the original", limit = MAX_PIXELS, side = MAX_SIDE_PX)]
    TooManyPixels { width: u32, height: u32, declared: u64 },
    #[error("the image is damaged or truncated: {what}; copy it again from the camera")]
    Damaged { what: &'static str },
    #[error("the file has {size_bytes} bytes, over the limit of {limit} bytes for a photo; \
             export it smaller and keep the original", limit = MAX_SIZE_BYTES)]
    TooLarge { size_bytes: u64 },
}

impl PhotoRefusal {
    /// The stable kebab-case code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "photo-empty",
            Self::NotAnImage { .. } => "photo-not-an-image",
            Self::FormatNotAccepted { .. } => "photo-format-not-accepted",
            Self::TooManyPixels { .. } => "photo-too-many-pixels",
            Self::Damaged { .. } => "photo-damaged",
            Self::TooLarge { .. } => "photo-too-large",
        }
    }
}

pub(super) fn damaged(what: &'static str) -> PhotoRefusal {
    PhotoRefusal::Damaged { what }
}
