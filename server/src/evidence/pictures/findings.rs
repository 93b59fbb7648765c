//! What is said of a photo's pixels: pure, from its analysis and from the photos that it is like.
//!
//! A likeness is never a contradiction by itself: what can be photographed twice may look the same twice. Only where
//! one and the same picture is said to be of two places or two times can not both be so.

use endcheck_protocol::ids::{SiteId, VisitId};
use endcheck_protocol::photo::{ExifPosition, PhotoFacts, PhotoFlag};
use serde_json::{Value, json};

use super::Likeness;
use super::store::Other;
use crate::evidence::findings::{EXACT, NewFinding, Weight};
use crate::picture::Analysis;

const METHOD: &str = "pictures-1";

/// Difference hashes of thumbnail and picture that differ in no more bits than this are of one picture.
const THUMBNAIL_SAME_BITS: u32 = 14;
/// From so many bits on they are of two.
const THUMBNAIL_DIFFERS_BITS: u32 = 23;
/// A spot that differs by less, of 255 levels of brightness, is what scaling and sharpening do.
const SPOT_DOUBTFUL: f32 = 25.0;
/// From so much on something was covered or added.
const SPOT_DIFFERS: f32 = 40.0;
/// Positions closer than this, in 10⁻⁷ degrees (about a metre), are one position written twice.
const SAME_PLACE_E7: u64 = 100;
/// Photos named in one finding.
const MAX_NAMED: usize = 10;

fn finding(
    signal: &'static str,
    weight: Weight,
    summary: String,
    values: Value,
    uncertainty: &str,
    explanations: &'static str,
) -> NewFinding {
    NewFinding {
        signal,
        weight,
        summary,
        values,
        uncertainty: uncertainty.to_owned(),
        explanations,
        method: METHOD,
    }
}

/// What one photo says by itself.
pub(in crate::evidence) fn of_analysis(facts: &PhotoFacts, analysis: &Analysis) -> Vec<NewFinding> {
    let mut found = Vec::new();
    found.extend(thumbnail(analysis));
    found.extend(size(facts, analysis));
    found.extend(edited(facts, analysis));
    if !analysis.is_telling() {
        found.push(finding(
            "picture-not-compared",
            Weight::Info,
            format!(
                "There is too little to be seen in the {} × {} pixels: other photos are searched for the same file, not \
                 for the same picture.",
                facts.width, facts.height
            ),
            json!({ "width": facts.width, "height": facts.height }),
            "nothing was measured",
            "Nothing is said about what the picture looks like, neither good nor bad.",
        ));
    }
    found
}

fn thumbnail(analysis: &Analysis) -> Option<NewFinding> {
    let likeness = analysis.pixels.as_ref().ok()?.preview?;
    let differs = likeness.distance >= THUMBNAIL_DIFFERS_BITS || likeness.spot >= SPOT_DIFFERS;
    let doubtful = likeness.distance > THUMBNAIL_SAME_BITS || likeness.spot >= SPOT_DOUBTFUL;
    if !differs && !doubtful {
        return None;
    }
    Some(finding(
        "thumbnail-differs",
        if differs { Weight::Look } else { Weight::Info },
        format!(
            "The small picture in the metadata {} the photo: {} of 64 bits apart, and a spot by {:.0} of 255 levels \
             of brightness.",
            if differs { "does not show the same as" } else { "is not quite the same as" },
            likeness.distance,
            likeness.spot
        ),
        json!({ "distance_bits": likeness.distance, "orientation": likeness.symmetry.name(),
                "spot_levels": likeness.spot.round() as i64 }),
        "of 14 untouched photos all but one, rightly told, were at most 11 bits and 21 levels apart; up to 14 bits and 25 \
         levels nothing is said, from 23 bits or 40 levels on the two count as different",
        "The photo was cropped, or its borders were cut, by a program that left the small picture as it was.",
    ))
}

fn size(facts: &PhotoFacts, analysis: &Analysis) -> Option<NewFinding> {
    let (width, height) = analysis.declared?;
    if (width, height) == (facts.width, facts.height) {
        return None;
    }
    let turned = (height, width) == (facts.width, facts.height);
    Some(finding(
        "size-differs",
        if turned { Weight::Info } else { Weight::Look },
        format!(
            "The photo has {} × {} pixels; the camera wrote down {width} × {height}{}.",
            facts.width,
            facts.height,
            if turned { ", the same turned by a right angle" } else { "" }
        ),
        json!({ "width": facts.width, "height": facts.height, "declared_width": width,
                "declared_height": height }),
        EXACT,
        "It was made smaller to be sent, cropped or turned by a program that left the camera's data as they were.",
    ))
}

fn edited(facts: &PhotoFacts, analysis: &Analysis) -> Option<NewFinding> {
    let traces = &analysis.traces;
    let editor = facts.flags.contains(&PhotoFlag::EditedBySoftware);
    if traces.is_empty() && !editor {
        return None;
    }
    let mut signs = Vec::new();
    if let Some(program) = traces.program.as_ref().or(facts.software.as_ref().filter(|_| editor)) {
        signs.push(format!("written by “{program}”"));
    }
    if !traces.history.is_empty() {
        signs.push(format!("a history of changes by {}", traces.history.join(", ")));
    }
    if traces.photoshop {
        signs.push("Photoshop's blocks".to_owned());
    }
    Some(finding(
        "edited-with",
        if editor || !traces.history.is_empty() { Weight::Look } else { Weight::Info },
        format!("The file is not as a camera leaves it: {}.", signs.join("; ")),
        json!({ "program": traces.program, "history": traces.history, "photoshop": traces.photoshop,
                "software": facts.software }),
        "names of programs are told from firmware by their words; what a program changed is not seen",
        "It was copied from the camera, turned, developed or exported by a program without changing what it shows.",
    ))
}

/// The photo that others are compared with.
pub(super) struct Here<'a> {
    pub visit: Option<&'a VisitId>,
    pub site: Option<&'a SiteId>,
    pub facts: &'a PhotoFacts,
}

/// How far from here another photo was handed in; the farther, the more it asks to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Distance {
    SameVisit,
    NoVisit,
    SameSite,
    OtherSite,
}

impl Here<'_> {
    fn distance(&self, other: &Other) -> Distance {
        match (self.visit, &other.visit) {
            (Some(here), Some(there)) if here == there => Distance::SameVisit,
            (Some(_), Some(_)) if self.site == other.site.as_ref().map(|(site, _)| site) => {
                Distance::SameSite
            }
            (Some(_), Some(_)) => Distance::OtherSite,
            _ => Distance::NoVisit,
        }
    }
}

/// What the photos say that this one is like: at most one finding of each kind, about the one that asks most to be
/// looked at, with the others beside it.
pub(super) fn of_others(here: &Here<'_>, others: &[Other]) -> Vec<NewFinding> {
    let mut found = Vec::new();
    for kind in [Kind::SameFile, Kind::SamePixels, Kind::NearDuplicate, Kind::LooksAlike] {
        let mut alike: Vec<&Other> = others.iter().filter(|other| kind.is_of(other.likeness)).collect();
        if kind == Kind::LooksAlike {
            // Two photos of one thing in one visit look alike; that is nothing to tell.
            alike.retain(|other| here.distance(other) != Distance::SameVisit);
        }
        alike.sort_by_key(|other| (std::cmp::Reverse(here.distance(other)), bits(other.likeness)));
        let Some(first) = alike.first() else { continue };
        found.push(finding(
            kind.signal(),
            kind.weight(here.distance(first)),
            kind.summary(here, first, alike.len()),
            json!({ "count": alike.len(),
                    "others": alike.iter().take(MAX_NAMED).map(|other| named(here, other)).collect::<Vec<_>>() }),
            kind.uncertainty(),
            kind.explanations(),
        ));
    }
    found.extend(claims(here, others));
    found
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    SameFile,
    SamePixels,
    NearDuplicate,
    LooksAlike,
}

impl Kind {
    fn is_of(self, likeness: Likeness) -> bool {
        self == match likeness {
            Likeness::SameFile => Self::SameFile,
            Likeness::SamePixels => Self::SamePixels,
            Likeness::NearDuplicate { .. } => Self::NearDuplicate,
            Likeness::LooksAlike { .. } => Self::LooksAlike,
        }
    }

    fn signal(self) -> &'static str {
        match self {
            Self::SameFile => "same-file-again",
            Self::SamePixels => "same-pixels",
            Self::NearDuplicate => "near-duplicate",
            Self::LooksAlike => "looks-alike",
        }
    }

    /// One picture in two visits is worth a look; two pictures that are alike only where the sites differ.
    fn weight(self, distance: Distance) -> Weight {
        match (self, distance) {
            (_, Distance::SameVisit) => Weight::Info,
            (_, Distance::OtherSite) | (Self::SameFile | Self::SamePixels, _) => Weight::Look,
            (Self::NearDuplicate | Self::LooksAlike, Distance::NoVisit | Distance::SameSite) => Weight::Info,
        }
    }

    fn uncertainty(self) -> &'static str {
        match self {
            Self::SameFile | Self::SamePixels => EXACT,
            Self::NearDuplicate => {
                "at most 31 of 256 bits count as near; unrelated photos are about 128 apart, the closest of 46,607 pairs \
                 78"
            }
            Self::LooksAlike => {
                "at most 10 of 64 bits in both hashes count as alike; of 46,607 unrelated pairs 3 were, all of nearly \
                 empty pictures"
            }
        }
    }

    fn explanations(self) -> &'static str {
        match self {
            Self::SameFile => {
                "The photo was taken in twice by mistake, or shows what belongs to both, such as a letter or a plan."
            }
            Self::SamePixels => {
                "A program changed only the metadata, for instance its caption, clock or orientation."
            }
            Self::NearDuplicate => {
                "The same thing was photographed twice from the same place; goods and type plates of one kind look \
                 alike."
            }
            Self::LooksAlike => {
                "Two things of one kind, or one thing at another time; this comparison finds more than there is."
            }
        }
    }

    fn summary(self, here: &Here<'_>, first: &Other, count: usize) -> String {
        let what = match first.likeness {
            Likeness::SameFile => "The same file was handed in before".to_owned(),
            Likeness::SamePixels => "The same picture was handed in before under other metadata".to_owned(),
            Likeness::NearDuplicate { distance, symmetry } => format!(
                "Nearly the same picture was handed in before ({distance} of 256 bits apart, {})",
                symmetry.name()
            ),
            Likeness::LooksAlike { dhash, phash, symmetry } => format!(
                "A picture that looks alike was handed in before ({dhash} and {phash} of 64 bits apart, {})",
                symmetry.name()
            ),
        };
        let whence = match (here.distance(first), &first.visit) {
            (Distance::SameVisit, _) => "in this visit".to_owned(),
            (_, None) => "in no visit".to_owned(),
            (distance, Some(visit)) => {
                let site = first.site.as_ref().map_or("an unknown site", |(_, name)| name);
                let which = if distance == Distance::SameSite { "the same site" } else { "another site" };
                format!("in visit {visit} at {which}, {site}")
            }
        };
        let more = if count > 1 { format!(", and {} more", count - 1) } else { String::new() };
        format!("{what}, {whence}: record {}{more}.", first.record)
    }
}

/// How far apart the hashes are.
fn bits(likeness: Likeness) -> u32 {
    match likeness {
        Likeness::SameFile | Likeness::SamePixels => 0,
        Likeness::NearDuplicate { distance, .. } => distance,
        Likeness::LooksAlike { dhash, phash, .. } => dhash + phash,
    }
}

fn named(here: &Here<'_>, other: &Other) -> Value {
    let mut named = json!({
        "record": other.record,
        "visit": other.visit,
        "site": other.site.as_ref().map(|(site, _)| site),
        "site_name": other.site.as_ref().map(|(_, name)| name),
        "other_site": here.distance(other) == Distance::OtherSite,
        "taken_at": other.facts.as_ref().and_then(|facts| facts.taken_at.as_ref()),
    });
    let more = match other.likeness {
        Likeness::SameFile | Likeness::SamePixels => json!({}),
        Likeness::NearDuplicate { distance, symmetry } => {
            json!({ "distance_bits": distance, "orientation": symmetry.name() })
        }
        Likeness::LooksAlike { dhash, phash, symmetry } => {
            json!({ "dhash_bits": dhash, "phash_bits": phash, "orientation": symmetry.name() })
        }
    };
    if let (Value::Object(named), Value::Object(more)) = (&mut named, more) {
        named.extend(more);
    }
    named
}

/// What files of one picture say against each other of where and when it was taken.
fn claims(here: &Here<'_>, others: &[Other]) -> Vec<NewFinding> {
    let same = || {
        others
            .iter()
            .filter(|other| other.likeness == Likeness::SamePixels)
            .filter_map(|other| Some((other, other.facts.as_ref()?)))
    };
    let mut found = Vec::new();
    let place = |facts: &PhotoFacts| facts.position_for_verdict().cloned();
    if let Some(own) = place(here.facts)
        && let Some((other, position)) =
            same().find_map(|(other, facts)| Some((other, place(facts).filter(|there| apart(&own, there))?)))
    {
        found.push(finding(
            "one-picture-two-places",
            Weight::Contradiction,
            format!(
                "The same picture says that it was taken at {} here and at {} in record {}.",
                degrees(&own),
                degrees(&position),
                other.record
            ),
            json!({ "position": own, "other_position": position, "record": other.record, "visit": other.visit }),
            "positions up to 0.00001° (about 1 m) apart count as one",
            "A program wrote a position into a copy, for instance from a track, or corrected a wrong one.",
        ));
    }
    if let Some(own) = &here.facts.taken_at
        && let Some((other, taken_at)) =
            same().find_map(|(other, facts)| Some((other, facts.taken_at.as_ref().filter(|at| *at != own)?)))
    {
        found.push(finding(
            "one-picture-two-times",
            Weight::Contradiction,
            format!(
                "The same picture says that it was taken at {own} here and at {taken_at} in record {}.",
                other.record
            ),
            json!({ "taken_at": own, "other_taken_at": taken_at, "record": other.record, "visit": other.visit }),
            EXACT,
            "A program corrected the camera's clock in a copy.",
        ));
    }
    let removed = |facts: &PhotoFacts| {
        let mut removed = Vec::new();
        for (what, gone) in [
            ("position", here.facts.position.is_none() && facts.position.is_some()),
            ("time", here.facts.taken_at.is_none() && facts.taken_at.is_some()),
            ("camera", here.facts.model.is_none() && facts.model.is_some()),
        ] {
            if gone {
                removed.push(what);
            }
        }
        removed
    };
    if let Some((other, what)) =
        same().map(|(other, facts)| (other, removed(facts))).find(|(_, what)| !what.is_empty())
    {
        found.push(finding(
            "metadata-removed",
            Weight::Look,
            format!(
                "The same picture has a {} in record {}; here it is gone.",
                what.join(", a "),
                other.record
            ),
            json!({ "removed": what, "record": other.record, "visit": other.visit }),
            EXACT,
            "Messaging apps and some phones leave such data out of what they pass on.",
        ));
    }
    found
}

fn apart(one: &ExifPosition, other: &ExifPosition) -> bool {
    one.lat_e7.abs_diff(other.lat_e7) > SAME_PLACE_E7 || one.lon_e7.abs_diff(other.lon_e7) > SAME_PLACE_E7
}

fn degrees(position: &ExifPosition) -> String {
    format!("{:.5}, {:.5}", position.lat_e7 as f64 / 1e7, position.lon_e7 as f64 / 1e7)
}

#[cfg(test)]
mod tests {
    use endcheck_protocol::digest::Sha256;
    use endcheck_protocol::photo;

    use super::*;
    use crate::picture::Symmetry;

    const HERE: &str = "0197f9a0-0000-7000-8000-000000000001";
    const THERE: &str = "0197f9a0-0000-7000-8000-000000000002";

    /// The smallest JPEG that has facts.
    fn facts() -> PhotoFacts {
        photo::read(b"\xFF\xD8\xFF\xC0\0\x0B\x08\0\x10\0\x20\x01\x01\x11\0\xFF\xDA\0\x02\x01\xFF\xD9")
            .unwrap()
    }

    fn at(lat_e7: i64) -> Option<ExifPosition> {
        Some(ExifPosition { lat_e7, lon_e7: 0, altitude_mm: None, accuracy_mm: None })
    }

    fn other(likeness: Likeness, visit: Option<&str>, site: &str) -> Other {
        Other {
            record: Sha256::of(site.as_bytes()),
            likeness,
            visit: visit.map(|visit| visit.parse().unwrap()),
            site: Some((site.parse().unwrap(), "the works".to_owned())),
            facts: Some(PhotoFacts {
                taken_at: Some("2026-01-01T10:00:00".to_owned()),
                position: at(10_000),
                ..facts()
            }),
        }
    }

    fn told(facts: &PhotoFacts, others: &[Other]) -> Vec<(&'static str, Weight)> {
        let (visit, site) = (HERE.parse().unwrap(), HERE.parse().unwrap());
        let here = Here { visit: Some(&visit), site: Some(&site), facts };
        of_others(&here, others).iter().map(|finding| (finding.signal, finding.weight)).collect()
    }

    const NEAR: Likeness = Likeness::NearDuplicate { distance: 4, symmetry: Symmetry::ALL[1] };
    const ALIKE: Likeness = Likeness::LooksAlike { dhash: 3, phash: 4, symmetry: Symmetry::ALL[0] };

    #[test]
    fn another_site_weighs_more_than_another_visit_and_that_more_than_the_same() {
        use Weight::{Info, Look};
        for (likeness, signal, in_no_visit, at_this_site) in [
            (Likeness::SameFile, "same-file-again", Look, Look),
            (NEAR, "near-duplicate", Info, Info),
            (ALIKE, "looks-alike", Info, Info),
        ] {
            let says = |visit, site| told(&facts(), &[other(likeness, visit, site)]);
            assert_eq!(says(Some(THERE), THERE), [(signal, Look)]);
            assert_eq!(says(Some(THERE), HERE), [(signal, at_this_site)]);
            assert_eq!(says(None, HERE), [(signal, in_no_visit)]);
            let in_this_visit = says(Some(HERE), HERE);
            assert_eq!(in_this_visit, if likeness == ALIKE { vec![] } else { vec![(signal, Info)] });
        }
    }

    #[test]
    fn the_one_that_asks_most_is_named_first_with_where_and_how() {
        let (visit, site) = (HERE.parse().unwrap(), HERE.parse().unwrap());
        let facts = facts();
        let here = Here { visit: Some(&visit), site: Some(&site), facts: &facts };
        let others = [other(NEAR, Some(HERE), HERE), other(NEAR, Some(THERE), THERE)];
        let found = of_others(&here, &others);
        assert_eq!(found.len(), 1);
        for said in [THERE, "another site, the works", "4 of 256 bits", "turned 90° clockwise", "and 1 more"]
        {
            assert!(found[0].summary.contains(said), "{said}: {}", found[0].summary);
        }
        assert_eq!(found[0].values["count"], 2);
        assert_eq!(found[0].values["others"][0]["visit"], THERE);
        assert_eq!(found[0].values["others"][0]["other_site"], true);
        assert_eq!(found[0].values["others"][1]["distance_bits"], 4);
    }

    #[test]
    fn only_the_same_picture_contradicts_itself() {
        let same = other(Likeness::SamePixels, Some(HERE), HERE);
        let here = |taken_at: Option<&str>, position| PhotoFacts {
            taken_at: taken_at.map(str::to_owned),
            position,
            ..facts()
        };
        let signals = |facts: &PhotoFacts, likeness| {
            let told = told(facts, &[Other { likeness, ..same.clone() }]);
            told.into_iter().map(|(signal, _)| signal).collect::<Vec<_>>()
        };
        let agreeing = here(Some("2026-01-01T10:00:00"), at(10_050));
        assert_eq!(signals(&agreeing, Likeness::SamePixels), ["same-pixels"]);
        let moved = here(Some("2026-01-01T10:00:00"), at(20_000));
        assert_eq!(signals(&moved, Likeness::SamePixels), ["same-pixels", "one-picture-two-places"]);
        assert_eq!(signals(&moved, NEAR), ["near-duplicate"]);
        let later = here(Some("2027-01-01T10:00:00"), at(10_000));
        assert_eq!(signals(&later, Likeness::SamePixels), ["same-pixels", "one-picture-two-times"]);
        assert_eq!(signals(&here(None, None), Likeness::SamePixels), ["same-pixels", "metadata-removed"]);
        let doubtful = PhotoFacts { flags: vec![PhotoFlag::NullIsland], ..moved };
        assert_eq!(signals(&doubtful, Likeness::SamePixels), ["same-pixels"]);
    }
}
