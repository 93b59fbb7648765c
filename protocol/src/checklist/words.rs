//! Names and texts of a checklist: slugs, which rules and records refer to, and translated texts,
//! which people read.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that cannot name something in a checklist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a name: expected up to 64 lower-case letters, digits and single dashes, such as plate-close-up"
)]
pub struct InvalidSlug {
    text: String,
}

const MAX_SLUG_CHARS: usize = 64;

fn is_slug(text: &str) -> bool {
    text.len() <= MAX_SLUG_CHARS
        && text.split('-').all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

macro_rules! slugs {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub struct $name(String);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidSlug;
            fn from_str(text: &str) -> Result<Self, InvalidSlug> {
                if is_slug(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidSlug { text: text.chars().take(70).collect() })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidSlug;
            fn try_from(text: String) -> Result<Self, InvalidSlug> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(slug: $name) -> String {
                slug.0
            }
        }
    )+};
}

slugs! {
    /// The name of a question, such as `serial-read`; unique in a checklist.
    QuestionId,
    /// Any other name of a checklist: a template, a choice, a skip reason, the purpose of a photo.
    Slug,
}

/// One text in several languages, by BCP 47 tag (`en`, `fr`, `pt-BR`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Text(pub BTreeMap<String, String>);

impl Text {
    /// A text in English only.
    #[must_use]
    pub fn english(text: &str) -> Self {
        Self(BTreeMap::from([("en".to_owned(), text.to_owned())]))
    }

    /// The text in `language`, else in its base language (`fr` for `fr-CA`), else in English, else in
    /// the first language there is.
    #[must_use]
    pub fn text_in(&self, language: &str) -> &str {
        let base = language.split(['-', '_']).next().unwrap_or(language);
        [language, base, "en"]
            .iter()
            .find_map(|tag| self.0.get(*tag))
            .or_else(|| self.0.values().next())
            .map_or("", String::as_str)
    }

    /// Whether there is a text, not just blanks, in exactly this language.
    #[must_use]
    pub fn speaks(&self, language: &str) -> bool {
        self.0.get(language).is_some_and(|text| !text.trim().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_slugs() {
        for good in ["serial-read", "a", "4a", "x-1-y"] {
            assert!(good.parse::<QuestionId>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "a--b", "Serial", "é", "a b", "../x", &"a".repeat(65)] {
            assert!(bad.parse::<QuestionId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_text_falls_back_to_its_base_language_and_then_to_english() {
        let text: Text = serde_json::from_str(r#"{"en":"yes","fr":"oui"}"#).unwrap();
        assert_eq!(text.text_in("fr"), "oui");
        assert_eq!(text.text_in("fr-CA"), "oui");
        assert_eq!(text.text_in("sw"), "yes");
        assert_eq!(Text::default().text_in("en"), "");
    }
}
