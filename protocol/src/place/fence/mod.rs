//! The border of a site: an area (polygons, holes, several parts) or a circle, and how far a point is from it.
//!
//! A fence that exists is sound: closed rings that cross nothing, on the globe, of a believable size.
//! It holds floats, so it travels as GeoJSON and never inside a record.

mod read;
mod rings;

use geo::{
    BoundingRect as _, Coord, CoordinatePosition as _, Distance as _, Euclidean, Geodesic,
    InteriorPoint as _, LineString, MultiPolygon, Point, Polygon, Rect, coordinate_position::CoordPos,
};

use super::position::{InvalidPosition, Position};

/// A fence wider than this, corner to corner of its bounding box, is taken for a mistake.
pub const LARGEST_ACROSS_M: f64 = 200_000.0;

/// More vertices than any surveyed site has.
pub const MOST_VERTICES: usize = 10_000;

/// From this far on, the nearest vertex stands for the nearest border: with edges no longer than
/// [`LARGEST_ACROSS_M`] the two differ by less than 0.2 % (at the antipodes 0.5 %), while a plane about
/// the point would begin to bend the edges.
const FAR_M: f64 = 2_000_000.0;

/// Where a site ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Fence {
    shape: Shape,
}

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Circle {
        centre: Position,
        radius_m: f64,
    },
    Area {
        /// As it was given, to be written back.
        given: MultiPolygon,
        /// The parts made one: longitudes run on past ±180 instead of jumping, and borders between
        /// touching parts, such as a cut along the antimeridian, are gone.
        whole: MultiPolygon,
    },
}

/// Why a geometry is no fence. `code()` is stable; the text says where and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FenceError {
    #[error("this is not GeoJSON: {detail}; expected a Feature, or a Polygon or MultiPolygon geometry")]
    NotGeojson { detail: String },
    #[error("a fence cannot be made from {kind}: give a Polygon, a MultiPolygon, or a Point with radius_m")]
    UnsupportedGeometry { kind: String },
    #[error("the geometry is empty")]
    Empty,
    #[error("{place}: a position has fewer than two numbers")]
    ShortPosition { place: String },
    #[error("{place}: {source}")]
    Position { place: String, source: InvalidPosition },
    #[error("{ring}: the first and last positions differ; repeat the first position at the end")]
    UnclosedRing { ring: String },
    #[error("{ring}: fewer than three different corners")]
    TooFewCorners { ring: String },
    #[error(
        "{ring}: the ring crosses itself near {near}; list the corners in the order in which one walks them"
    )]
    RingCrossesItself { ring: String, near: String },
    #[error("{ring}: the ring crosses another ring of the same polygon near {near}")]
    RingsCross { ring: String, near: String },
    #[error("{ring}: the hole lies outside the polygon's outer ring")]
    HoleOutside { ring: String },
    #[error("{ring}: the ring runs around a pole, which is not supported")]
    AroundPole { ring: String },
    #[error("a Point needs a positive radius_m among its properties")]
    RadiusMissing,
    #[error("radius_m is {radius_m}: it must be larger than 0")]
    RadiusNotPositive { radius_m: String },
    #[error("the fence is {across} across, larger than the limit of {} km: a fence encloses one site", LARGEST_ACROSS_M / 1000.0)]
    TooLarge { across: String },
    #[error("the fence has {count} vertices, more than the limit of {MOST_VERTICES}: simplify it")]
    TooManyVertices { count: usize },
}

impl FenceError {
    /// The stable kebab-case name of the reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotGeojson { .. } => "not-geojson",
            Self::UnsupportedGeometry { .. } => "unsupported-geometry",
            Self::Empty => "empty-geometry",
            Self::ShortPosition { .. } => "short-position",
            Self::Position { source: InvalidPosition::NotANumber { .. }, .. } => "not-a-number",
            Self::Position { source: InvalidPosition::Latitude { .. }, .. } => "latitude-out-of-range",
            Self::Position { source: InvalidPosition::Longitude { .. }, .. } => "longitude-out-of-range",
            Self::UnclosedRing { .. } => "unclosed-ring",
            Self::TooFewCorners { .. } => "too-few-corners",
            Self::RingCrossesItself { .. } => "ring-crosses-itself",
            Self::RingsCross { .. } => "rings-cross",
            Self::HoleOutside { .. } => "hole-outside",
            Self::AroundPole { .. } => "around-a-pole",
            Self::RadiusMissing => "radius-missing",
            Self::RadiusNotPositive { .. } => "radius-not-positive",
            Self::TooLarge { .. } => "too-large",
            Self::TooManyVertices { .. } => "too-many-vertices",
        }
    }
}

impl Fence {
    /// The fence `radius_m` metres around a point.
    ///
    /// # Errors
    /// When the radius is not a positive number of metres or the circle is larger than the limit.
    pub fn circle(centre: Position, radius_m: f64) -> Result<Self, FenceError> {
        if !radius_m.is_finite() || radius_m <= 0.0 {
            return Err(FenceError::RadiusNotPositive { radius_m: radius_m.to_string() });
        }
        if 2.0 * radius_m > LARGEST_ACROSS_M {
            return Err(FenceError::TooLarge { across: kilometres(2.0 * radius_m) });
        }
        Ok(Self { shape: Shape::Circle { centre, radius_m } })
    }

    /// The fence around polygons whose coordinates are degrees, x the longitude.
    fn area(given: MultiPolygon) -> Result<Self, FenceError> {
        let whole = rings::make_whole(&given)?;
        let bounds = whole.bounding_rect().ok_or(FenceError::Empty)?;
        if bounds.width() > 180.0 {
            return Err(FenceError::TooLarge { across: "more than half a turn".to_owned() });
        }
        let across_m = across_m(bounds);
        if across_m > LARGEST_ACROSS_M {
            return Err(FenceError::TooLarge { across: kilometres(across_m) });
        }
        Ok(Self { shape: Shape::Area { given, whole } })
    }

    /// Where to go to: the centre, or a point inside the area.
    #[must_use]
    pub fn middle(&self) -> Option<Position> {
        match &self.shape {
            Shape::Circle { centre, .. } => Some(*centre),
            Shape::Area { whole, .. } => {
                let point = whole.interior_point()?;
                // An area across the date line is drawn beyond it.
                Position::from_degrees(point.y(), (point.x() + 180.0).rem_euclid(360.0) - 180.0).ok()
            }
        }
    }

    /// How far `position` is from the border, in metres on WGS 84; negative inside, positive outside.
    ///
    /// Borders are taken as shortest lines between the given corners. Vertices are laid out on a plane
    /// about the point by geodesic distance and azimuth, where distances from the point are true.
    #[must_use]
    pub fn signed_distance_m(&self, position: Position) -> f64 {
        match &self.shape {
            Shape::Circle { centre, radius_m } => centre.distance_m(position) - radius_m,
            Shape::Area { whole, .. } => signed_distance_m(whole, position.to_point()),
        }
    }

    /// Whether `position` is inside or on the border.
    #[must_use]
    pub fn contains(&self, position: Position) -> bool {
        self.signed_distance_m(position) <= 0.0
    }
}

fn signed_distance_m(whole: &MultiPolygon, point: Point) -> f64 {
    let nearest_vertex_m = vertices(whole)
        .map(|vertex| Geodesic.distance(point, Point::from(vertex)))
        .fold(f64::INFINITY, f64::min);
    if nearest_vertex_m > FAR_M {
        return nearest_vertex_m;
    }
    let plane = MultiPolygon::new(whole.iter().map(|part| plane_about(point, part)).collect());
    let origin = Point::new(0.0, 0.0);
    let border_m = plane
        .iter()
        .flat_map(|part| std::iter::once(part.exterior()).chain(part.interiors()))
        .map(|ring| Euclidean.distance(&origin, ring))
        .fold(f64::INFINITY, f64::min);
    match plane.coordinate_position(&origin.into()) {
        CoordPos::Outside => border_m,
        CoordPos::Inside | CoordPos::OnBoundary => -border_m,
    }
}

fn plane_about(point: Point, part: &Polygon) -> Polygon {
    let ring = |ring: &LineString| ring.coords().map(|vertex| azimuthal_m(point, *vertex)).collect();
    Polygon::new(ring(part.exterior()), part.interiors().iter().map(ring).collect())
}

/// Azimuthal equidistant about `point`: x metres east, y metres north.
fn azimuthal_m(point: Point, vertex: Coord) -> Coord {
    use geo::Bearing as _;
    let vertex = Point::from(vertex);
    let distance_m = Geodesic.distance(point, vertex);
    let (sine, cosine) = Geodesic.bearing(point, vertex).to_radians().sin_cos();
    Coord { x: distance_m * sine, y: distance_m * cosine }
}

fn vertices(area: &MultiPolygon) -> impl Iterator<Item = Coord> + '_ {
    area.iter()
        .flat_map(|part| std::iter::once(part.exterior()).chain(part.interiors()))
        .flat_map(|ring| ring.coords().copied())
}

/// Corner to corner, the width being taken along the edge nearer the equator, where it is largest.
fn across_m(bounds: Rect) -> f64 {
    let (min, max) = (bounds.min(), bounds.max());
    let widest_lat = if min.y * max.y <= 0.0 { 0.0 } else { min.y.abs().min(max.y.abs()) };
    let width_m = Geodesic.distance(Point::new(min.x, widest_lat), Point::new(max.x, widest_lat));
    let height_m = Geodesic.distance(Point::new(min.x, min.y), Point::new(min.x, max.y));
    width_m.hypot(height_m)
}

fn kilometres(metres: f64) -> String {
    format!("{:.0} km", metres / 1000.0)
}
