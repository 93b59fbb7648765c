//! What may be odd about a photo, and why it has no position: closed lists with plain sentences.
//! A flag decides nothing: it tells a person where to look, and what the innocent reason may be.

use serde::{Deserialize, Serialize};

macro_rules! coded {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $code:literal, $why:literal, $innocent:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum $name {
            $(#[doc = $why] #[serde(rename = $code)] $variant,)+
        }

        impl $name {
            /// Every one there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable kebab-case code, as in JSON.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// What was found, in one sentence.
            #[must_use]
            pub fn why(self) -> &'static str {
                match self { $(Self::$variant => $why,)+ }
            }

            /// The most likely harmless reason, in one sentence.
            #[must_use]
            pub fn innocent_explanation(self) -> &'static str {
                match self { $(Self::$variant => $innocent,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.code())
            }
        }
    };
}

coded! {
    /// Something about a photo that a person should look at.
    PhotoFlag {
        NullIsland = "null-island",
            "The position is 0° N 0° E, a point in the Gulf of Guinea.",
            "Some cameras write zeros when they have no satellite fix.";
        HemisphereMissing = "hemisphere-missing",
            "The position does not say north or south, or east or west, so it could be one of four places.",
            "Some software copies the numbers and forgets the letters beside them.";
        PositionOutOfRange = "position-out-of-range",
            "The position lies beyond 90° of latitude or 180° of longitude.",
            "A faulty camera or converter wrote it.";
        PositionSecondsOverflow = "position-seconds-overflow",
            "The position counts 60 or more minutes or seconds; it was carried over into the next unit.",
            "A camera rounded 59.99 up, or a converter wrote decimals into the wrong place.";
        PositionsConflict = "positions-conflict",
            "The file holds two different positions, and programs disagree on which one they show.",
            "An editor added a second metadata block instead of replacing the first.";
        MetadataRepeated = "metadata-repeated",
            "The file holds more than one metadata block.",
            "An editor added a second block instead of replacing the first.";
        CaptureTimeMissing = "capture-time-missing",
            "Nothing in the file says when it was taken.",
            "Messaging apps and screenshots leave the time out.";
        CaptureTimeBlank = "capture-time-blank",
            "The capture time is there but blank or all zeros.",
            "The camera's clock was never set.";
        CaptureTimeInvalid = "capture-time-invalid",
            "The capture time is not a date and time of the calendar.",
            "A faulty camera or converter wrote it.";
        CaptureTimeInFuture = "capture-time-in-future",
            "The capture time is in the future.",
            "The camera's clock is set wrong.";
        CaptureTimeVsGpsTime = "capture-time-vs-gps-time",
            "The camera's time and the satellite time differ by more than time zones can explain.",
            "The camera's clock is set wrong, or it kept an old satellite fix while indoors.";
        GpsTimeInvalid = "gps-time-invalid",
            "The satellite date or time is not one of the calendar.",
            "The camera wrote its empty fields before it had a fix.";
        TrailingData = "trailing-data",
            "The file goes on after the end of the image.",
            "Phones append short videos and maker's data; some tools pad files.";
        TruncatedTail = "truncated-tail",
            "The file ends before the image does: the lower part of the picture may be missing.",
            "The copy was cut short, or the card was pulled out early.";
        MetadataDamaged = "metadata-damaged",
            "Part of the metadata points outside its block, in a circle, or cannot be read.",
            "An editor moved the data and left old pointers behind.";
        EditedBySoftware = "edited-by-software",
            "The file says that an image editor wrote it.",
            "It was turned, cropped or exported without changing what it shows.";
        TextCleaned = "text-cleaned",
            "Control characters or broken text were removed from the camera's names.",
            "Some cameras fill unused space with odd bytes.";
    }
}

coded! {
    /// Why a photo has no position.
    PositionAbsence {
        NoExif = "no-exif",
            "The file holds no Exif metadata.",
            "Messaging apps and screenshots leave it out.";
        NoGps = "no-gps",
            "The metadata holds no GPS part.",
            "The camera has no receiver, or location was switched off.";
        GpsEmpty = "gps-empty",
            "The GPS part holds no latitude and longitude.",
            "The camera had no satellite fix.";
        ZeroDenominator = "zero-denominator",
            "A part of the position is divided by zero.",
            "Phones write 0/0 when they have no satellite fix.";
        OutOfRange = "out-of-range",
            "The position lies beyond 90° of latitude or 180° of longitude.",
            "A faulty camera or converter wrote it.";
        HemisphereMissing = "hemisphere-missing",
            "The position does not say north or south, or east or west.",
            "Some software copies the numbers and forgets the letters beside them.";
        HemisphereConflict = "hemisphere-conflict",
            "The sign of the position and the letter beside it disagree.",
            "A converter wrote a signed number into an unsigned field.";
        Incomplete = "incomplete",
            "Only part of the position is there.",
            "A faulty camera or converter wrote it.";
        Damaged = "damaged",
            "The metadata is damaged where the position should be.",
            "An editor moved the data and left old pointers behind.";
        XmpOnly = "xmp-only",
            "The position stands only in an XMP packet, which is written by software and is not read.",
            "A photo manager geotagged the file.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_what_json_says() {
        for flag in PhotoFlag::ALL {
            assert_eq!(serde_json::to_string(flag).unwrap(), format!("\"{}\"", flag.code()));
            assert!(flag.why().ends_with('.') && flag.innocent_explanation().ends_with('.'));
        }
        for reason in PositionAbsence::ALL {
            assert_eq!(serde_json::to_string(reason).unwrap(), format!("\"{reason}\""));
        }
    }
}
