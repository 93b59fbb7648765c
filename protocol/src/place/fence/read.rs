//! GeoJSON (RFC 7946) in and out of a fence.

use geo::{Coord, LineString, MultiPolygon, Polygon};
use geojson::{Feature, Geometry, GeometryValue};
use serde_json::{Value, json};

use super::{Fence, FenceError, MOST_VERTICES, Shape};
use crate::place::position::Position;

type Rings = Vec<Vec<geojson::Position>>;

impl Fence {
    /// Reads a Feature, or a bare Polygon or MultiPolygon geometry. A circle is a Feature with a Point
    /// and the property `radius_m`. Heights in positions are dropped; other members are ignored.
    ///
    /// # Errors
    /// When the value is not such GeoJSON, or the shape is not one that a site can have.
    pub fn from_geojson(value: &Value) -> Result<Self, FenceError> {
        let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
        let not_geojson = |error: &dyn std::fmt::Display| FenceError::NotGeojson {
            detail: error.to_string().chars().take(200).collect(),
        };
        let (geometry, radius) = match kind {
            "FeatureCollection" => {
                return Err(FenceError::UnsupportedGeometry { kind: "a FeatureCollection".to_owned() });
            }
            "Feature" => {
                let feature: Feature = serde_json::from_value(value.clone()).map_err(|e| not_geojson(&e))?;
                let radius = feature.property("radius_m").cloned();
                (feature.geometry.ok_or(FenceError::Empty)?, radius)
            }
            _ => (serde_json::from_value::<Geometry>(value.clone()).map_err(|e| not_geojson(&e))?, None),
        };
        match geometry.value {
            GeometryValue::Point { coordinates } => circle(&coordinates, radius.as_ref()),
            GeometryValue::Polygon { coordinates } => area(&[coordinates]),
            GeometryValue::MultiPolygon { coordinates } => area(&coordinates),
            other => Err(FenceError::UnsupportedGeometry { kind: format!("a {}", other.type_name()) }),
        }
    }

    /// The fence as a GeoJSON Feature that [`Fence::from_geojson`] reads as the same fence.
    #[must_use]
    pub fn to_geojson(&self) -> Value {
        let (geometry, properties) = match &self.shape {
            Shape::Circle { centre, radius_m } => (
                json!({"type": "Point", "coordinates": [centre.lon(), centre.lat()]}),
                json!({"radius_m": radius_m}),
            ),
            Shape::Area { given, .. } => {
                let parts: Vec<Value> = given.iter().map(rings_to_json).collect();
                let geometry = match parts.as_slice() {
                    [part] => json!({"type": "Polygon", "coordinates": part}),
                    parts => json!({"type": "MultiPolygon", "coordinates": parts}),
                };
                (geometry, json!({}))
            }
        };
        json!({"type": "Feature", "properties": properties, "geometry": geometry})
    }
}

fn circle(centre: &geojson::Position, radius: Option<&Value>) -> Result<Fence, FenceError> {
    let centre = coordinate(centre, || "the centre".to_owned())?;
    let centre = Position::from_degrees(centre.y, centre.x)
        .map_err(|source| FenceError::Position { place: "the centre".to_owned(), source })?;
    match radius {
        None | Some(Value::Null) => Err(FenceError::RadiusMissing),
        Some(radius) => {
            let radius_m =
                radius.as_f64().ok_or_else(|| FenceError::RadiusNotPositive { radius_m: excerpt(radius) })?;
            Fence::circle(centre, radius_m)
        }
    }
}

fn area(parts: &[Rings]) -> Result<Fence, FenceError> {
    let count: usize = parts.iter().flatten().map(Vec::len).sum();
    if count == 0 {
        return Err(FenceError::Empty);
    }
    if count > MOST_VERTICES {
        return Err(FenceError::TooManyVertices { count });
    }
    let polygons: Result<Vec<Polygon>, FenceError> =
        parts.iter().enumerate().map(|(part, rings)| polygon(part, rings)).collect();
    Fence::area(MultiPolygon::new(polygons?))
}

fn polygon(part: usize, rings: &Rings) -> Result<Polygon, FenceError> {
    let lines: Result<Vec<LineString>, FenceError> =
        rings.iter().enumerate().map(|(index, ring)| closed_ring(&ring_name(part, index), ring)).collect();
    let mut lines = lines?.into_iter();
    let exterior = lines.next().ok_or(FenceError::Empty)?;
    Ok(Polygon::new(exterior, lines.collect()))
}

fn closed_ring(name: &str, ring: &[geojson::Position]) -> Result<LineString, FenceError> {
    let mut coords = Vec::with_capacity(ring.len());
    for (index, position) in ring.iter().enumerate() {
        let place = || format!("{name}, position {}", index + 1);
        let coord = coordinate(position, place)?;
        Position::from_degrees(coord.y, coord.x)
            .map_err(|source| FenceError::Position { place: place(), source })?;
        coords.push(coord);
    }
    if coords.first() != coords.last() {
        return Err(FenceError::UnclosedRing { ring: name.to_owned() });
    }
    Ok(LineString::new(coords))
}

fn coordinate(position: &geojson::Position, place: impl Fn() -> String) -> Result<Coord, FenceError> {
    match position.as_slice() {
        [lon, lat, ..] => Ok(Coord { x: *lon, y: *lat }),
        _ => Err(FenceError::ShortPosition { place: place() }),
    }
}

/// How messages name a ring: parts and rings count from one, the first ring of a part is its outline.
pub(super) fn ring_name(part: usize, ring: usize) -> String {
    match ring {
        0 => format!("part {}, outer ring", part + 1),
        hole => format!("part {}, hole {hole}", part + 1),
    }
}

fn rings_to_json(part: &Polygon) -> Value {
    let ring =
        |ring: &LineString| json!(ring.coords().map(|vertex| [vertex.x, vertex.y]).collect::<Vec<_>>());
    std::iter::once(part.exterior()).chain(part.interiors()).map(ring).collect()
}

fn excerpt(value: &Value) -> String {
    value.to_string().chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature(geometry: Value, properties: Value) -> Value {
        json!({"type": "Feature", "properties": properties, "geometry": geometry})
    }

    fn polygon_of(rings: Value) -> Value {
        json!({"type": "Polygon", "coordinates": rings})
    }

    fn code(value: &Value) -> &'static str {
        Fence::from_geojson(value).unwrap_err().code()
    }

    #[test]
    fn what_cannot_be_a_site_is_refused_by_name() {
        let square = json!([[16, 48], [16.1, 48], [16.1, 48.1], [16, 48.1], [16, 48]]);
        let centre = json!({"type": "Point", "coordinates": [16, 48]});
        let many: Vec<[f64; 2]> = (0..=10_000).map(|n| [16.0 + f64::from(n) * 1e-6, 48.0]).collect();
        for (expected, value) in [
            ("ring-crosses-itself", polygon_of(json!([[[16, 48], [17, 49], [17, 48], [16, 49], [16, 48]]]))),
            ("ring-crosses-itself", polygon_of(json!([[[16, 48], [16.1, 48], [16.05, 48], [16, 48]]]))),
            ("unclosed-ring", polygon_of(json!([[[16, 48], [17, 48], [17, 49], [16, 49]]]))),
            (
                "latitude-out-of-range",
                polygon_of(json!([[[48, 116], [49, 116], [49, 117], [48, 117], [48, 116]]])),
            ),
            ("longitude-out-of-range", polygon_of(json!([[[181, 0], [182, 0], [182, 1], [181, 0]]]))),
            ("too-large", polygon_of(json!([[[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]]))),
            ("too-large", polygon_of(json!([[[10, 0], [12, 0], [12, 1], [10, 0]]]))),
            (
                "too-large",
                polygon_of(json!([[[-180, -0.1], [180, -0.1], [180, 0.1], [-180, 0.1], [-180, -0.1]]])),
            ),
            (
                "around-a-pole",
                polygon_of(json!([[[0, 89.9], [90, 89.9], [170, 89.9], [-90, 89.9], [0, 89.9]]])),
            ),
            ("too-few-corners", polygon_of(json!([[[16, 48], [17, 48], [16, 48]]]))),
            ("too-few-corners", polygon_of(json!([[[16, 48], [16, 48], [16, 48], [16, 48]]]))),
            ("hole-outside", polygon_of(json!([square, [[17, 48], [17.1, 48], [17.1, 48.1], [17, 48]]]))),
            (
                "rings-cross",
                polygon_of(json!([square, [[16.05, 48.05], [16.2, 48.05], [16.2, 48.06], [16.05, 48.05]]])),
            ),
            ("too-many-vertices", polygon_of(json!([many]))),
            ("empty-geometry", polygon_of(json!([]))),
            ("short-position", polygon_of(json!([[[16], [17], [18], [16]]]))),
            ("not-geojson", polygon_of(json!([[[null, 48], [17, 48], [17, 49], [16, 48]]]))),
            ("not-geojson", json!({"type": "Polygone", "coordinates": []})),
            ("not-geojson", json!([16, 48])),
            ("unsupported-geometry", json!({"type": "LineString", "coordinates": [[16, 48], [17, 48]]})),
            ("unsupported-geometry", json!({"type": "FeatureCollection", "features": []})),
            ("radius-missing", centre.clone()),
            ("radius-missing", feature(centre.clone(), json!({}))),
            ("radius-not-positive", feature(centre.clone(), json!({"radius_m": -5}))),
            ("radius-not-positive", feature(centre.clone(), json!({"radius_m": "wide"}))),
            ("too-large", feature(centre, json!({"radius_m": 200_000}))),
        ] {
            let text = value.to_string();
            assert_eq!(code(&value), expected, "{}", text.chars().take(200).collect::<String>());
        }
    }

    #[test]
    fn swapped_axes_are_suspected_aloud() {
        let swapped = polygon_of(json!([[[48, 116], [49, 116], [49, 117], [48, 116]]]));
        let message = Fence::from_geojson(&swapped).unwrap_err().to_string();
        assert!(message.contains("latitude 116") && message.contains("swapped"), "{message}");
    }

    #[test]
    fn a_fence_is_written_as_it_was_read() {
        for value in [
            feature(json!({"type": "Point", "coordinates": [16.37, 48.2083333]}), json!({"radius_m": 373.5})),
            feature(polygon_of(json!([[[16.0, 48.0], [16.1, 48.0], [16.1, 48.1], [16.0, 48.0]]])), json!({})),
        ] {
            let fence = Fence::from_geojson(&value).unwrap();
            assert_eq!(fence.to_geojson(), value);
            assert_eq!(Fence::from_geojson(&fence.to_geojson()).unwrap(), fence);
        }
    }
}
