//! What programs leave in a photo that they wrote: their names, a history, Photoshop's blocks. A trace says that a
//! program wrote the file, not that anything in the picture was changed.

use super::jpeg::Segments;

/// What was found of programs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traces {
    /// Programs named as having changed the file, each once, in the order found.
    pub history: Vec<String>,
    /// The program that made the file, where it is not the camera's own.
    pub program: Option<String>,
    /// Photoshop's blocks hold more than captions.
    pub photoshop: bool,
}

impl Traces {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.history.is_empty() && self.program.is_none() && !self.photoshop
    }
}

/// Names kept of one file.
const MAX_NAMES: usize = 8;
const MAX_NAME_CHARACTERS: usize = 100;
/// Words of firmware names that are no program's.
const FIRMWARE_WORDS: [&str; 8] =
    ["user", "keys", "release", "version", "firmware", "test", "build", "camera"];

/// Looks through the XMP packets, Photoshop's blocks and the name of the software that wrote the file.
pub(super) fn find(
    bytes: &[u8],
    is_jpeg: bool,
    packets: &[&[u8]],
    software: Option<&str>,
    camera: [Option<&str>; 2],
) -> Traces {
    let mut traces = Traces::default();
    let mut creator = None;
    for packet in packets {
        let text = String::from_utf8_lossy(packet);
        for name in values(&text, "stEvt:softwareAgent") {
            if traces.history.len() < MAX_NAMES && !traces.history.contains(&name) {
                traces.history.push(name);
            }
        }
        creator = creator.or_else(|| values(&text, "xmp:CreatorTool").next());
    }
    let names = [software.map(str::to_owned), creator];
    traces.program = names.into_iter().flatten().find(|name| is_program(name, camera));
    traces.photoshop =
        is_jpeg && Segments::before_scan(bytes).any(|one| one.marker == 0xED && is_photoshop(one.body));
    traces
}

/// The values of a property, written as an attribute or as an element.
fn values<'a>(text: &'a str, property: &'a str) -> impl Iterator<Item = String> + 'a {
    text.match_indices(property).filter_map(move |(at, _)| {
        let (before, after) = (text.get(..at)?, text.get(at + property.len()..)?);
        let value = if before.ends_with('<') {
            after.split_once('>')?.1.split('<').next()?
        } else {
            let quoted = after.trim_start().strip_prefix('=')?.trim_start();
            let quote = quoted.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
            quoted.split(quote).nth(1)?
        };
        let printable = value.trim().chars().filter(|letter| !letter.is_control());
        let value: String = printable.take(MAX_NAME_CHARACTERS).collect();
        (!value.is_empty()).then_some(value)
    })
}

/// True where a name has a word that neither firmware nor the camera's own name has.
fn is_program(name: &str, camera: [Option<&str>; 2]) -> bool {
    let camera: Vec<String> = camera.into_iter().flatten().map(str::to_lowercase).collect();
    name.split(|letter: char| !letter.is_alphanumeric()).any(|word| {
        let plain = word.chars().count() >= 4 && word.chars().all(char::is_alphabetic);
        let word = word.to_lowercase();
        plain && !FIRMWARE_WORDS.contains(&word.as_str()) && !camera.iter().any(|name| name.contains(&word))
    })
}

/// Captions of the press (IPTC) and their digest, which cataloguing programs and some cameras write.
const CAPTIONS: [u16; 2] = [0x0404, 0x0425];

/// Whether Photoshop's resources are there that say more than a caption.
fn is_photoshop(body: &[u8]) -> bool {
    let Some(mut rest) = body.strip_prefix(b"Photoshop 3.0\0") else { return false };
    // Each: `8BIM`, a number, a name padded to an even length, a size, the resource padded likewise.
    while let Some((number, after)) =
        rest.strip_prefix(b"8BIM").and_then(|rest| rest.split_first_chunk::<2>())
    {
        if !CAPTIONS.contains(&u16::from_be_bytes(*number)) {
            return true;
        }
        let name = usize::from(after.first().copied().unwrap_or_default()) + 1;
        let Some((size, after)) =
            after.get(name.next_multiple_of(2)..).and_then(|rest| rest.split_first_chunk::<4>())
        else {
            return false;
        };
        let size = usize::try_from(u32::from_be_bytes(*size)).unwrap_or(usize::MAX);
        rest = after.get(size.saturating_add(size % 2)..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_from_firmware() {
        let camera = [Some("NIKON"), Some("COOLPIX P6000")];
        for program in
            ["Nikon Transfer 1.1 W", "QuickTime 7.7.1", "PMB Service Uploader", "GIMP 2.4.5", "Picasa"]
        {
            assert!(is_program(program, camera), "{program}");
        }
        for firmware in [
            "14.4.2",
            "HDR+ 1.0.199571065z",
            "V06.02.20",
            "00WW_3_380_SP02",
            "OnePlus3-user 6.0.1 MMB29M 26 dev-keys",
            "Ver.1.00",
            "COOLPIX P6000V1.0",
            "G973FXXU3BSKO",
        ] {
            assert!(!is_program(firmware, camera), "{firmware}");
        }
    }

    #[test]
    fn a_history_is_read_in_both_spellings() {
        let packet = br#"<rdf:li stEvt:action="saved" stEvt:softwareAgent="Adobe Lightroom 6"/>
            <rdf:li><stEvt:softwareAgent>Capture One 22</stEvt:softwareAgent></rdf:li>
            <rdf:li stEvt:softwareAgent='Adobe Lightroom 6'/> stEvt:softwareAgent"#;
        let traces = find(b"", false, &[packet], Some("1.0"), [None, None]);
        assert_eq!(traces.history, ["Adobe Lightroom 6", "Capture One 22"]);
        assert_eq!((traces.program, traces.photoshop), (None, false));
        let packet = br#"<x xmp:CreatorTool="Adobe Photoshop CS6"/>"#;
        let made = find(b"", false, &[packet], Some("14.4.2"), [None, None]);
        assert_eq!(made.program.as_deref(), Some("Adobe Photoshop CS6"));
    }

    #[test]
    fn captions_alone_are_no_photoshop() {
        let block = |number: &[u8]| [b"Photoshop 3.0\x008BIM", number, b"\0\0\0\0\0\x03abc\0"].concat();
        assert!(!is_photoshop(&block(b"\x04\x04")));
        assert!(is_photoshop(&block(b"\x03\xED")));
        let both = [block(b"\x04\x04"), b"8BIM\x03\xED".to_vec()].concat();
        assert!(is_photoshop(&both));
        assert!(!is_photoshop(b"Photoshop 3.0\0") && !is_photoshop(b"8BIM\x03\xED"));
    }
}
