//! Whether rings bound an area, and the parts of an area made one.

use geo::{
    Coord, CoordinatePosition as _, Line, LineString, MultiPolygon, Orient as _, Polygon,
    coordinate_position::CoordPos,
    line_intersection::{LineIntersection, line_intersection},
    orient::Direction,
    unary_union,
};

use super::FenceError;
use super::read::ring_name;

/// Unrolls longitudes past ±180, refuses rings that bound nothing, and unites the parts.
pub(super) fn make_whole(given: &MultiPolygon) -> Result<MultiPolygon, FenceError> {
    let about_lon =
        given.iter().find_map(|part| part.exterior().coords().next()).map_or(0.0, |first| first.x);
    let mut parts = Vec::with_capacity(given.0.len());
    for (part_index, part) in given.iter().enumerate() {
        let mut rings = std::iter::once(part.exterior())
            .chain(part.interiors())
            .enumerate()
            .map(|(index, ring)| unrolled(&ring_name(part_index, index), ring, about_lon))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter();
        let exterior = rings.next().ok_or(FenceError::Empty)?;
        let part = Polygon::new(exterior, rings.collect());
        check_crossings(part_index, &part)?;
        check_holes(part_index, &part)?;
        parts.push(part.orient(Direction::Default));
    }
    match parts.len() {
        0 => Err(FenceError::Empty),
        1 => Ok(MultiPolygon::new(parts)),
        _ => {
            let whole = unary_union(&parts);
            if whole.0.is_empty() { Err(FenceError::Empty) } else { Ok(whole) }
        }
    }
}

/// The ring without repeated corners, its longitudes running on from the one nearest `about_lon`.
fn unrolled(name: &str, ring: &LineString, about_lon: f64) -> Result<LineString, FenceError> {
    let mut corners: Vec<Coord> = Vec::with_capacity(ring.0.len());
    let mut previous: Option<Coord> = None;
    for corner in ring.coords() {
        let raw_step = previous.map_or(0.0, |previous| corner.x - previous.x);
        if raw_step.abs() >= 360.0 {
            return Err(FenceError::TooLarge { across: "a whole turn".to_owned() });
        }
        let near = corners.last().map_or(about_lon, |last| last.x);
        let unrolled = Coord { x: nearest_turn(corner.x, near), y: corner.y };
        if corners.last() != Some(&unrolled) {
            corners.push(unrolled);
        }
        previous = Some(*corner);
    }
    match (corners.first(), corners.last()) {
        (Some(first), Some(last)) if (first.x - last.x).abs() > 180.0 => {
            Err(FenceError::AroundPole { ring: name.to_owned() })
        }
        _ if corners.len() < 4 => Err(FenceError::TooFewCorners { ring: name.to_owned() }),
        _ => Ok(LineString::new(corners)),
    }
}

/// `lon` plus or minus the whole turn that brings it within half a turn of `near`. Leaves `lon` as it
/// is, to the last bit, when it is near already.
fn nearest_turn(lon: f64, near: f64) -> f64 {
    if lon - near > 180.0 {
        lon - 360.0
    } else if lon - near < -180.0 {
        lon + 360.0
    } else {
        lon
    }
}

struct Edge {
    ring: usize,
    index: usize,
    line: Line,
    ring_edges: usize,
}

impl Edge {
    fn min_x(&self) -> f64 {
        self.line.start.x.min(self.line.end.x)
    }

    fn max_x(&self) -> f64 {
        self.line.start.x.max(self.line.end.x)
    }

    fn is_neighbour_of(&self, other: &Self) -> bool {
        let apart = self.index.abs_diff(other.index);
        self.ring == other.ring && (apart == 1 || apart + 1 == self.ring_edges)
    }
}

/// Sweeps over the edges from west to east and refuses the first two that meet where they must not.
fn check_crossings(part: usize, polygon: &Polygon) -> Result<(), FenceError> {
    let mut edges: Vec<Edge> = std::iter::once(polygon.exterior())
        .chain(polygon.interiors())
        .enumerate()
        .flat_map(|(ring, line_string)| {
            let ring_edges = line_string.lines().len();
            line_string.lines().enumerate().map(move |(index, line)| Edge { ring, index, line, ring_edges })
        })
        .collect();
    edges.sort_by(|a, b| a.min_x().total_cmp(&b.min_x()));
    let mut open: Vec<&Edge> = Vec::new();
    for edge in &edges {
        open.retain(|earlier| earlier.max_x() >= edge.min_x());
        for earlier in &open {
            if let Some(near) = forbidden_meeting(earlier, edge) {
                let near = format!("{:.7}, {:.7}", near.y, near.x);
                let ring = ring_name(part, edge.ring.max(earlier.ring));
                return Err(if edge.ring == earlier.ring {
                    FenceError::RingCrossesItself { ring, near }
                } else {
                    FenceError::RingsCross { ring, near }
                });
            }
        }
        open.push(edge);
    }
    Ok(())
}

/// Edges next to each other share a corner; rings of one polygon may touch in a point (RFC 7946 follows
/// the simple features model); everything else must stay apart.
fn forbidden_meeting(a: &Edge, b: &Edge) -> Option<Coord> {
    let (a_low, a_high) = (a.line.start.y.min(a.line.end.y), a.line.start.y.max(a.line.end.y));
    let (b_low, b_high) = (b.line.start.y.min(b.line.end.y), b.line.start.y.max(b.line.end.y));
    if a_low > b_high || b_low > a_high {
        return None;
    }
    match line_intersection(a.line, b.line)? {
        LineIntersection::Collinear { intersection } => Some(intersection.start),
        LineIntersection::SinglePoint { intersection, is_proper } => {
            let allowed = !is_proper && (a.ring != b.ring || a.is_neighbour_of(b));
            (!allowed).then_some(intersection)
        }
    }
}

fn check_holes(part: usize, polygon: &Polygon) -> Result<(), FenceError> {
    let outline = Polygon::new(polygon.exterior().clone(), Vec::new());
    for (index, hole) in polygon.interiors().iter().enumerate() {
        if hole.coords().any(|corner| outline.coordinate_position(corner) == CoordPos::Outside) {
            return Err(FenceError::HoleOutside { ring: ring_name(part, index + 1) });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::place::{Fence, Position};
    use serde_json::{Value, json};

    fn fence(coordinates: Value) -> Fence {
        Fence::from_geojson(&json!({"type": "MultiPolygon", "coordinates": coordinates})).unwrap()
    }

    fn distance_m(fence: &Fence, lat: f64, lon: f64) -> f64 {
        fence.signed_distance_m(Position::from_degrees(lat, lon).unwrap())
    }

    fn assert_close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() <= (expected.abs() * 0.005).max(0.5), "{actual} is not {expected}");
    }

    #[test]
    fn the_cut_along_the_antimeridian_is_no_border() {
        let cut = fence(json!([
            [[[179.99, 10], [180, 10], [180, 10.02], [179.99, 10.02], [179.99, 10]]],
            [[[-180, 10], [-179.99, 10], [-179.99, 10.02], [-180, 10.02], [-180, 10]]]
        ]));
        // 0.01 degrees of longitude at 10.01 N are 1096.3 m; of latitude 1106.1 m.
        for lon in [180.0, -180.0] {
            assert_close(distance_m(&cut, 10.01, lon), -1096.3);
        }
        assert_close(distance_m(&cut, 10.01, 179.98), 1096.3);
        assert_close(distance_m(&cut, 10.01, -179.98), 1096.3);
        // The same site as one ring that nobody cut.
        let uncut =
            fence(json!([[[[179.99, 10], [-179.99, 10], [-179.99, 10.02], [179.99, 10.02], [179.99, 10]]]]));
        for lon in [179.97, 179.995, 180.0, -179.995, -179.97] {
            assert_close(distance_m(&uncut, 10.01, lon), distance_m(&cut, 10.01, lon));
        }
    }

    #[test]
    fn touching_and_overlapping_parts_have_no_border_between_them() {
        let parts = fence(json!([
            [[[16, 48], [16.01, 48], [16.01, 48.02], [16, 48.02], [16, 48]]],
            [[[16.01, 48], [16.01, 48.02], [16.02, 48.02], [16.02, 48], [16.01, 48]]]
        ]));
        // 0.01 degrees of longitude at 48.01 N are 746.0 m.
        assert_close(distance_m(&parts, 48.01, 16.01), -746.0);
    }

    #[test]
    fn holes_and_the_far_north_are_measured_alike() {
        let north = fence(json!([[
            [[15, 78], [15.1, 78], [15.1, 78.02], [15, 78.02], [15, 78]],
            [[15.04, 78.005], [15.06, 78.005], [15.06, 78.015], [15.04, 78.015], [15.04, 78.005]]
        ]]));
        // 0.01 degrees of longitude at 78.01 N are 232.0 m.
        assert_close(distance_m(&north, 78.01, 15.05), 232.0);
        assert_close(distance_m(&north, 78.01, 15.02), -464.0);
        assert_close(distance_m(&north, 78.01, 14.99), 232.0);
    }

    #[test]
    fn a_point_on_the_far_side_of_the_globe_is_outside() {
        let square = fence(json!([[[[16, 48], [16.1, 48], [16.1, 48.1], [16, 48.1], [16, 48]]]]));
        let antipodes_m = distance_m(&square, -48.05, -163.95);
        assert!(antipodes_m > 19_900_000.0, "{antipodes_m}");
        // London to the north-west corner, by the geodesic inverse.
        assert!((distance_m(&square, 51.5, 0.0) - 1_217_000.0).abs() < 10_000.0);
    }
}
