//! TIFF and DNG: the file is one metadata block; its first directory says the dimensions.

use super::Container;
use crate::photo::PhotoFormat;
use crate::photo::refusal::{PhotoRefusal, damaged};
use crate::photo::survey::survey;

pub(super) fn walk(bytes: &[u8]) -> Result<Container<'_>, PhotoRefusal> {
    let survey = survey(bytes);
    let format = if survey.is_dng { PhotoFormat::Dng } else { PhotoFormat::Tiff };
    let mut found = Container::new(format);
    found.width = survey.width.ok_or(damaged("its first directory does not say how wide it is"))?;
    found.height = survey.height.ok_or(damaged("its first directory does not say how high it is"))?;
    found.add_exif(bytes);
    if let Some(packet) = survey.xmp {
        found.add_xmp(packet);
    }
    Ok(found)
}
