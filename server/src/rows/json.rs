//! JSON: an array of objects, or a GeoJSON FeatureCollection (RFC 7946) whose features are the rows.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::faults::{Faults, Place};
use super::lines::LineCounter;
use super::{Cell, MAX_ROWS, Row, Shape};

/// Members of one object at most; the largest thing there is has a tenth of it.
const MAX_MEMBERS: usize = 200;

/// The members of an object in their order; a repeated name is an error, and so are too many.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members: Vec<(String, Value)> = Vec::new();
                let mut names = HashSet::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.len() == MAX_MEMBERS {
                        let reason = format!("an object may have {MAX_MEMBERS} fields, this one has more");
                        return Err(serde::de::Error::custom(reason));
                    }
                    if !names.insert(name.clone()) {
                        return Err(serde::de::Error::custom(format!("the field {name:?} is there twice")));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The reference frame that GeoJSON has anyway, as older writers still name it.
const WGS84_NAMES: [&str; 3] = ["urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:OGC::CRS84", "EPSG:4326"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Collection<'t> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    features: Elements<'t>,
    #[serde(rename = "name")]
    _name: Option<String>,
    #[serde(rename = "bbox")]
    _bbox: Option<Vec<f64>>,
    crs: Option<Value>,
}

pub(super) fn read(text: &str, shape: &Shape, faults: &mut Faults, sink: &mut dyn FnMut(Row, &mut Faults)) {
    let (Elements(elements), path) = match elements(text, shape) {
        Ok(found) => found,
        Err(Unread { line, reason, is_json }) => {
            if !is_json {
                faults.not_json();
            }
            return faults.add(&Place::line(line), "file", reason);
        }
    };
    let mut lines = LineCounter::new(text);
    for (index, element) in elements.into_iter().enumerate() {
        let raw = element.get();
        let line = lines.line_at((raw.as_ptr() as usize).saturating_sub(text.as_ptr() as usize));
        let place = Place { line: Some(line), path: format!("{path}[{index}].") };
        if let Some(row) = one(raw, place, shape, faults) {
            sink(row, faults);
        }
    }
}

/// The elements of an array, not looked at yet; too many are an error before they take up memory.
struct Elements<'t>(Vec<&'t RawValue>);

impl<'de: 't, 't> Deserialize<'de> for Elements<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Array;
        impl<'de> Visitor<'de> for Array {
            type Value = Elements<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Elements<'de>, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = seq.next_element()? {
                    if elements.len() == MAX_ROWS {
                        let reason = format!("the file has more than {MAX_ROWS} rows; split it");
                        return Err(serde::de::Error::custom(reason));
                    }
                    elements.push(element);
                }
                Ok(Elements(elements))
            }
        }
        deserializer.deserialize_seq(Array)
    }
}

/// Why there are no elements.
struct Unread {
    line: u64,
    reason: String,
    /// Whether it is JSON at all.
    is_json: bool,
}

fn elements<'t>(text: &'t str, shape: &Shape) -> Result<(Elements<'t>, &'static str), Unread> {
    let at = |error: serde_json::Error| Unread {
        line: error.line() as u64,
        reason: error.to_string(),
        is_json: error.is_data() && serde_json::from_str::<IgnoredAny>(text).is_ok(),
    };
    let other = |reason: String| Unread { line: 1, reason, is_json: true };
    if text.trim_start().starts_with('[') {
        return Ok((serde_json::from_str(text).map_err(at)?, ""));
    }
    if !shape.features {
        // Whoever sent something else than JSON is told so first.
        serde_json::from_str::<IgnoredAny>(text).map_err(at)?;
        return Err(other(format!(
            "does not begin with [; expected an array of objects, each a {}",
            shape.thing
        )));
    }
    let collection: Collection<'t> = serde_json::from_str(text).map_err(at)?;
    if collection.kind != "FeatureCollection" {
        return Err(other(format!("the type is {:?}; expected a FeatureCollection", collection.kind)));
    }
    if let Some(crs) = collection.crs {
        let name = crs.pointer("/properties/name").and_then(Value::as_str).unwrap_or_default();
        if !WGS84_NAMES.contains(&name) {
            return Err(other(format!(
                "the coordinates are in {name:?}; GeoJSON is WGS 84, longitude first"
            )));
        }
    }
    Ok((collection.features, "features"))
}

/// One object, or one feature where the shape has features.
pub(super) fn one(raw: &str, place: Place, shape: &Shape, faults: &mut Faults) -> Option<Row> {
    let members = match serde_json::from_str::<Members>(raw) {
        Ok(Members(members)) => members,
        Err(error) => {
            // serde_json counts lines from the start of the element.
            let line = place.line.map(|line| line + (error.line() as u64).saturating_sub(1));
            let path = place.path.trim_end_matches('.').to_owned();
            let field = if path.is_empty() { "body" } else { "" };
            let reason = format!("{error}; expected an object that describes a {}", shape.thing);
            if !error.is_data() || serde_json::from_str::<IgnoredAny>(raw).is_err() {
                faults.not_json();
            }
            faults.add(&Place { line, path }, field, reason);
            return None;
        }
    };
    let members = if shape.features { feature(members, &place, faults)? } else { members };
    let cells = members.into_iter().map(|(name, value)| (Cow::Owned(name), Cell::Value(value))).collect();
    Some(Row { place, csv: false, cells })
}

/// A feature's properties, and its geometry as one field more.
fn feature(
    members: Vec<(String, Value)>,
    place: &Place,
    faults: &mut Faults,
) -> Option<Vec<(String, Value)>> {
    let before = faults.count();
    let (mut is_feature, mut fields, mut geometry) = (false, Vec::new(), Value::Null);
    for (name, value) in members {
        match (name.as_str(), value) {
            ("type", value) => is_feature = value == "Feature",
            ("id" | "bbox", _) => {}
            ("geometry", value) => geometry = value,
            ("properties", Value::Object(properties)) if properties.len() > MAX_MEMBERS => {
                faults.add(place, "properties", format!("has more than {MAX_MEMBERS} fields"));
            }
            ("properties", Value::Object(properties)) => fields.extend(properties),
            ("properties", _) => faults.add(place, "properties", "expected an object"),
            (other, _) => faults.add(place, other, "is not a member of a GeoJSON feature"),
        }
    }
    if !is_feature {
        faults.add(place, "type", "expected \"Feature\"");
    }
    if fields.iter().any(|(name, _)| name == "geometry") {
        faults.add(
            place,
            "properties.geometry",
            "is not a property of a site; the geometry stands beside them",
        );
    }
    fields.push(("geometry".to_owned(), geometry));
    (faults.count() == before).then_some(fields)
}
