//! JSON: an array of objects, or a GeoJSON FeatureCollection (RFC 7946) whose features are the rows.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::faults::{Faults, Place};
use super::lines::LineCounter;
use super::{Cell, MAX_ROWS, Row, Shape};

/// The members of an object in their order; a repeated name is an error.
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
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.iter().any(|(earlier, _)| *earlier == name) {
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
    features: Vec<&'t RawValue>,
    #[serde(rename = "name")]
    _name: Option<String>,
    #[serde(rename = "bbox")]
    _bbox: Option<Vec<f64>>,
    crs: Option<Value>,
}

pub(super) fn read(text: &str, shape: &Shape, faults: &mut Faults, sink: &mut dyn FnMut(Row, &mut Faults)) {
    let (elements, path) = match elements(text, shape) {
        Ok(found) => found,
        Err((line, reason)) => return faults.add(&Place::line(line), "file", reason),
    };
    let mut lines = LineCounter::new(text);
    for (index, element) in elements.into_iter().enumerate() {
        let raw = element.get();
        let line = lines.line_at((raw.as_ptr() as usize).saturating_sub(text.as_ptr() as usize));
        let place = Place { line: Some(line), path: format!("{path}[{index}].") };
        if index >= MAX_ROWS {
            return faults.add(&place, "file", format!("has more than {MAX_ROWS} rows; split it"));
        }
        if let Some(row) = one(raw, place, shape, faults) {
            sink(row, faults);
        }
    }
}

type Elements<'t> = (Vec<&'t RawValue>, &'static str);

fn elements<'t>(text: &'t str, shape: &Shape) -> Result<Elements<'t>, (u64, String)> {
    let at = |error: serde_json::Error| (error.line() as u64, error.to_string());
    if text.trim_start().starts_with('[') {
        return Ok((serde_json::from_str(text).map_err(at)?, ""));
    }
    if !shape.features {
        let reason = if text.trim().is_empty() { "is empty" } else { "does not begin with [" };
        return Err((1, format!("{reason}; expected an array of objects, each a {}", shape.thing)));
    }
    let collection: Collection<'t> = serde_json::from_str(text).map_err(at)?;
    if collection.kind != "FeatureCollection" {
        return Err((1, format!("the type is {:?}; expected a FeatureCollection", collection.kind)));
    }
    if let Some(crs) = collection.crs {
        let name = crs.pointer("/properties/name").and_then(Value::as_str).unwrap_or_default();
        if !WGS84_NAMES.contains(&name) {
            return Err((1, format!("the coordinates are in {name:?}; GeoJSON is WGS 84, longitude first")));
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
