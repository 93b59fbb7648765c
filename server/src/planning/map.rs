//! A plan on a map: outlines of countries, each inspector's way, what is left out. Drawn by presentation attributes alone.
//!
//! Outlines: Natural Earth 4.1, 1:50,000,000, public domain, by way of `world-atlas` 2.0.2; `static/outlines.json`
//! holds its arcs as differences of whole steps, each polygon as the arcs around it.

use std::fmt::Write as _;
use std::sync::LazyLock;

use serde::Deserialize;

use super::case::Case;
use super::solve::Outcome;
use crate::pages::escaped;

#[derive(Deserialize)]
struct Outlines {
    scale: [f64; 2],
    translate: [f64; 2],
    polygons: Vec<Vec<Vec<i64>>>,
    arcs: Vec<Vec<i32>>,
}

/// A polygon: rings of longitude and latitude, and what encloses them.
struct Polygon {
    rings: Vec<Vec<(f64, f64)>>,
    west: f64,
    south: f64,
    east: f64,
    north: f64,
}

static WORLD: LazyLock<Vec<Polygon>> = LazyLock::new(|| {
    let read: Result<Outlines, _> = serde_json::from_str(include_str!("../../static/outlines.json"));
    match read {
        Ok(outlines) => polygons(&outlines),
        Err(error) => {
            tracing::error!(%error, "the outlines of countries cannot be read; maps are drawn without");
            Vec::new()
        }
    }
});

const WIDTH: f64 = 1_000.0;
const LEAST_HEIGHT: f64 = 320.0;
const MOST_HEIGHT: f64 = 640.0;
/// Points of an outline that are nearer to each other than this are left out.
const COARSE: f64 = 0.4;
/// Of each inspector, in turn.
const COLOURS: [&str; 10] = [
    "#14507a", "#b4531a", "#2f7d4f", "#7a3b8f", "#a3293d", "#0f7c86", "#8a6d0b", "#4b5bbd", "#5f6f1f",
    "#8c4a6b",
];

/// The colour of an inspector, by number.
#[must_use]
pub fn colour(inspector: u32) -> &'static str {
    COLOURS.get(inspector as usize % COLOURS.len()).copied().unwrap_or("#14507a")
}

fn polygons(outlines: &Outlines) -> Vec<Polygon> {
    let arcs: Vec<Vec<(f64, f64)>> = outlines
        .arcs
        .iter()
        .map(|steps| {
            let (mut x, mut y) = (0, 0);
            let points = steps.chunks_exact(2).map(|step| {
                x += step.first().copied().unwrap_or(0);
                y += step.last().copied().unwrap_or(0);
                let [scale_x, scale_y] = outlines.scale;
                let [from_x, from_y] = outlines.translate;
                (f64::from(x) * scale_x + from_x, f64::from(y) * scale_y + from_y)
            });
            points.collect()
        })
        .collect();
    let ring = |numbers: &Vec<i64>| -> Vec<(f64, f64)> {
        let mut points = Vec::new();
        for number in numbers {
            // A negative number is an arc taken backwards.
            let (at, back) = if *number < 0 { (!number, true) } else { (*number, false) };
            let Some(arc) = usize::try_from(at).ok().and_then(|at| arcs.get(at)) else { continue };
            if back { points.extend(arc.iter().rev()) } else { points.extend(arc) }
        }
        points
    };
    let polygons = outlines.polygons.iter().map(|rings| {
        let rings: Vec<Vec<(f64, f64)>> = rings.iter().map(ring).collect();
        let of = |pick: fn(&(f64, f64)) -> f64, better: fn(f64, f64) -> f64, start: f64| {
            rings.iter().flatten().map(pick).fold(start, better)
        };
        Polygon {
            west: of(|point| point.0, f64::min, f64::MAX),
            east: of(|point| point.0, f64::max, f64::MIN),
            south: of(|point| point.1, f64::min, f64::MAX),
            north: of(|point| point.1, f64::max, f64::MIN),
            rings,
        }
    });
    polygons.collect()
}

/// What of the globe is seen, and where it goes on the picture.
struct View {
    west: f64,
    north: f64,
    south: f64,
    east: f64,
    across: f64,
    per_degree: f64,
    height: f64,
}

impl View {
    /// Around all points, with a margin.
    fn around(points: &[(f64, f64)]) -> Self {
        let least = |pick: fn(&(f64, f64)) -> f64| points.iter().map(pick).fold(f64::MAX, f64::min);
        let most = |pick: fn(&(f64, f64)) -> f64| points.iter().map(pick).fold(f64::MIN, f64::max);
        let (west, east) = (least(|point| point.0), most(|point| point.0));
        let (south, north) = (least(|point| point.1), most(|point| point.1));
        let (middle_x, middle_y) = (f64::midpoint(west, east), f64::midpoint(south, north));
        // A degree of longitude is shorter away from the equator.
        let across = middle_y.to_radians().cos().max(0.2);
        let wide = ((east - west) * across * 1.16).max(2.0);
        let high = ((north - south) * 1.16).max(0.8);
        let per_degree = (WIDTH / wide).min(MOST_HEIGHT / high);
        let height = (high * per_degree).clamp(LEAST_HEIGHT, MOST_HEIGHT);
        let (half_x, half_y) = (WIDTH / per_degree / across / 2.0, height / per_degree / 2.0);
        Self {
            west: middle_x - half_x,
            east: middle_x + half_x,
            south: middle_y - half_y,
            north: middle_y + half_y,
            across,
            per_degree,
            height,
        }
    }

    fn at(&self, (longitude, latitude): (f64, f64)) -> (f64, f64) {
        ((longitude - self.west) * self.across * self.per_degree, (self.north - latitude) * self.per_degree)
    }

    fn shows(&self, polygon: &Polygon) -> bool {
        polygon.west <= self.east
            && polygon.east >= self.west
            && polygon.south <= self.north
            && polygon.north >= self.south
    }
}

/// Draws a plan; nothing where there is no place.
#[must_use]
pub fn draw(case: &Case, outcome: &Outcome) -> String {
    let point = |number: u32| case.places.get(number as usize).map(|place| (place.longitude, place.latitude));
    let left_out: Vec<&super::case::Task> =
        outcome.unplanned.iter().filter_map(|task| case.tasks.get(*task as usize)).collect();
    let used = outcome.days.iter().flat_map(|day| {
        let of = case.inspector_days.get(day.day as usize);
        let stops =
            day.stops.iter().filter_map(|(task, _)| case.tasks.get(*task as usize)).map(|task| task.place);
        of.into_iter().flat_map(|of| [of.from, of.to]).chain(stops)
    });
    let mut points: Vec<(f64, f64)> =
        used.chain(left_out.iter().map(|task| task.place)).filter_map(point).collect();
    if points.is_empty() {
        return String::new();
    }
    // Places on both sides of the date line are drawn beside each other, where that makes the map smaller.
    let spread = |shift: f64| {
        let all = points.iter().map(|(x, _)| if *x < 0.0 { x + shift } else { *x });
        all.clone().fold(f64::MIN, f64::max) - all.fold(f64::MAX, f64::min)
    };
    let turned = spread(360.0) < spread(0.0);
    let turn = |(x, y): (f64, f64)| if turned && x < 0.0 { (x + 360.0, y) } else { (x, y) };
    points.iter_mut().for_each(|it| *it = turn(*it));
    let view = View::around(&points);
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg role=\"img\" aria-labelledby=\"map-title\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
         xmlns=\"http://www.w3.org/2000/svg\"><title id=\"map-title\">The ways of each inspector on a map</title>\
         <rect width=\"{WIDTH}\" height=\"{height:.0}\" fill=\"#dbe6ee\"/>\
         <g fill=\"#f7f5ef\" stroke=\"#b9b6aa\" stroke-width=\"0.8\" stroke-linejoin=\"round\">",
        height = view.height
    );
    for shift in if turned { [0.0, 360.0].as_slice() } else { [0.0].as_slice() } {
        for polygon in WORLD.iter() {
            let moved = Polygon {
                rings: Vec::new(),
                west: polygon.west + shift,
                east: polygon.east + shift,
                ..*polygon
            };
            if view.shows(&moved) {
                let _ = write!(svg, "<path d=\"{}\"/>", outline(polygon, *shift, &view));
            }
        }
    }
    svg.push_str("</g>");
    for day in &outcome.days {
        let Some(of) = case.inspector_days.get(day.day as usize) else { continue };
        let colour = colour(of.inspector);
        let stops =
            day.stops.iter().filter_map(|(task, _)| case.tasks.get(*task as usize)).map(|task| task.place);
        let way = std::iter::once(of.from)
            .chain(stops)
            .chain([of.to])
            .filter_map(point)
            .map(|at| view.at(turn(at)));
        let way: Vec<String> = way.map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let _ = write!(
            svg,
            "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" stroke-opacity=\"0.75\" \
             stroke-linejoin=\"round\"/>",
            way.join("L")
        );
    }
    for day in &outcome.days {
        let Some(of) = case.inspector_days.get(day.day as usize) else { continue };
        let colour = colour(of.inspector);
        let name = case.inspectors.get(of.inspector as usize).map_or("", |person| person.name.as_str());
        for task in day.stops.iter().filter_map(|(task, _)| case.tasks.get(*task as usize)) {
            let Some((x, y)) = point(task.place).map(|at| view.at(turn(at))) else { continue };
            let _ = write!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\" stroke=\"#fff\"><title>{}, {}: {}</title></circle>",
                escaped(&task.site_name),
                escaped(&task.shipment_key),
                escaped(name)
            );
        }
    }
    for task in left_out {
        let Some((x, y)) = point(task.place).map(|at| view.at(turn(at))) else { continue };
        let _ = write!(
            svg,
            "<g stroke=\"#97221b\" stroke-width=\"2\"><title>left out: {}, {}</title><path d=\"M{:.1} {:.1}l8 8m0 -8l-8 8\"/></g>",
            escaped(&task.site_name),
            escaped(&task.shipment_key),
            x - 4.0,
            y - 4.0
        );
    }
    bases(&mut svg, case, outcome, |at| view.at(turn(at)));
    svg.push_str("</svg>");
    svg
}

/// Where days begin, each named once.
fn bases(svg: &mut String, case: &Case, outcome: &Outcome, at: impl Fn((f64, f64)) -> (f64, f64)) {
    let mut drawn: Vec<u32> = Vec::new();
    let mut named: Vec<(f64, f64)> = Vec::new();
    for day in &outcome.days {
        let Some(of) = case.inspector_days.get(day.day as usize) else { continue };
        if drawn.contains(&of.from) {
            continue;
        }
        drawn.push(of.from);
        let Some(place) = case.places.get(of.from as usize) else { continue };
        let (x, y) = at((place.longitude, place.latitude));
        let _ = write!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"9\" height=\"9\" fill=\"#1b2430\" stroke=\"#fff\"><title>{}</title></rect>",
            x - 4.5,
            y - 4.5,
            escaped(&place.name)
        );
        // Names that would lie over each other are left to the titles.
        if named.iter().all(|(other_x, other_y)| (other_x - x).abs() > 110.0 || (other_y - y).abs() > 15.0) {
            named.push((x, y));
            // Near the right edge a name goes to the left of its place.
            let (from, anchor) = if x > WIDTH - 140.0 { (x - 8.0, "end") } else { (x + 8.0, "start") };
            let _ = write!(
                svg,
                "<text x=\"{from:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" font-size=\"12\" fill=\"#1b2430\" stroke=\"#fff\" stroke-width=\"3\" \
                 paint-order=\"stroke\">{}</text>",
                y + 4.0,
                escaped(&place.name)
            );
        }
    }
}

fn outline(polygon: &Polygon, shift: f64, view: &View) -> String {
    let mut path = String::new();
    for ring in &polygon.rings {
        let mut last: Option<(f64, f64)> = None;
        let mut before: Option<f64> = None;
        for (longitude, latitude) in ring {
            let (x, y) = view.at((longitude + shift, *latitude));
            // What lies far beyond the picture need not be exact.
            let (x, y) = (x.clamp(-WIDTH, 2.0 * WIDTH), y.clamp(-WIDTH, 2.0 * WIDTH));
            // A country on both sides of the date line is two pieces here.
            let jumps = before.is_some_and(|before| (before - longitude).abs() > 180.0);
            before = Some(*longitude);
            let near = last.is_some_and(|(a, b)| (a - x).abs() < COARSE && (b - y).abs() < COARSE);
            if near && !jumps {
                continue;
            }
            let _ = write!(path, "{}{x:.1} {y:.1}", if last.is_none() || jumps { 'M' } else { 'L' });
            last = Some((x, y));
        }
        path.push('Z');
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outlines_are_read_and_lie_where_they_should() {
        assert!(WORLD.len() > 1_000, "{}", WORLD.len());
        // Iceland lies by itself.
        let iceland = WORLD.iter().find(|it| {
            it.west > -25.0
                && it.east < -13.0
                && it.south > 63.0
                && it.north < 67.0
                && it.east - it.west > 8.0
        });
        assert!(iceland.is_some());
    }

    #[test]
    fn a_view_holds_its_points_whatever_their_spread() {
        for points in
            [vec![(13.4, 52.5)], vec![(10.0, 50.0), (11.0, 58.0)], vec![(-120.0, -30.0), (60.0, 55.0)]]
        {
            let view = View::around(&points);
            for point in &points {
                let (x, y) = view.at(*point);
                assert!((0.0..=WIDTH).contains(&x) && (0.0..=view.height).contains(&y), "{point:?}: {x} {y}");
            }
        }
    }
}
