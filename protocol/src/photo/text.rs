//! Names that a camera or an editor wrote: bounded, and without what could steer a terminal.

/// Longest name kept, in characters.
const MAX_CHARACTERS: usize = 200;

/// The text without control characters, and whether anything was removed or broken. `None` when nothing is left.
pub(super) fn clean(bytes: &[u8]) -> (Option<String>, bool) {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    let kept: String = text.chars().filter(|letter| !steers(*letter)).take(MAX_CHARACTERS).collect();
    let changed = kept != text || kept.contains(char::REPLACEMENT_CHARACTER);
    let kept = kept.trim();
    ((!kept.is_empty()).then(|| kept.to_owned()), changed)
}

/// Control characters, and the invisible ones that turn or hide text.
fn steers(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

/// Parts of what image editors write into Software, in lower case. Phones write their firmware there.
const EDITORS: &[&str] = &[
    "photoshop",
    "lightroom",
    "gimp",
    "paint",
    "picasa",
    "snapseed",
    "pixelmator",
    "affinity",
    "acdsee",
    "photoscape",
    "faststone",
    "irfanview",
    "imagemagick",
    "exiftool",
    "capture one",
    "darktable",
    "rawtherapee",
    "luminar",
    "canva",
    "vsco",
    "meitu",
    "facetune",
    "photo editor",
    "xnview",
    "photofiltre",
    "polarr",
    "picsart",
];

pub(super) fn names_an_editor(software: &str) -> bool {
    let software = software.to_lowercase();
    EDITORS.iter().any(|editor| software.contains(editor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_steers_a_terminal() {
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(clean(b"NIKON  "), (name("NIKON"), false));
        assert_eq!(clean(b"\x1B[31mred\x07"), (name("[31mred"), true));
        assert_eq!(clean(b"a\xFFb"), (name("a\u{FFFD}b"), true));
        assert_eq!(clean("a\u{202E}b".as_bytes()), (name("ab"), true));
        assert_eq!(clean(b"  "), (None, false));
        assert_eq!(clean(&[b'x'; 500]).0.unwrap().len(), MAX_CHARACTERS);
    }

    #[test]
    fn editors_are_told_from_firmware() {
        assert!(names_an_editor("GIMP 2.4.5") && names_an_editor("paint.net 4.2.13"));
        assert!(!names_an_editor("14.4.2") && !names_an_editor("HDR+ 1.0.199571065z"));
    }
}
