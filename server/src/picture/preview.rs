//! The small picture that a camera keeps in the metadata, against the picture itself: who changes the one often
//! forgets the other.

use super::coarse::difference_bits;
use super::plane::Plane;
use super::symmetry::Symmetry;

/// How a thumbnail compares with its picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likeness {
    /// In how many of 64 bits their difference hashes differ, in the orientation that fits best.
    pub distance: u32,
    /// How the picture was laid down to fit.
    pub symmetry: Symmetry,
    /// How much brighter or darker one spot of the thumbnail is than the picture there, of 255, beyond what the
    /// two differ by elsewhere.
    pub spot: f32,
}

/// Long side that a picture is brought to first: what most thumbnails have.
const SIDE: usize = 160;
/// An orientation that fits so well is the one; no other is tried.
const CLEARLY_SAME_BITS: u32 = 6;
/// Cells along each side in which spots are looked for.
const CELLS: usize = 16;
/// The darkest row that may be a picture's, by its brightest pixel, of 255.
const BAR_BRIGHTNESS: f32 = 40.0;

pub(super) fn compare(thumbnail: &Plane, picture: &Plane) -> Likeness {
    let long = picture.width().max(picture.height()).max(1);
    let scaled = |side: usize| (side * SIDE / long).max(1);
    let picture = picture.averaged(scaled(picture.width()), scaled(picture.height()));
    let trimmed = without_bars(thumbnail);
    let mut best: Option<(u32, Symmetry, Plane, Plane)> = None;
    for symmetry in Symmetry::ALL {
        let laid = picture.laid(symmetry);
        for thumbnail in [&trimmed, thumbnail] {
            for (one, other) in [same_shape(thumbnail, &laid), (thumbnail.clone(), laid.clone())] {
                let distance = (difference_bits(&one) ^ difference_bits(&other)).count_ones();
                if best.as_ref().is_none_or(|(least, ..)| distance < *least) {
                    best = Some((distance, symmetry, one, other));
                }
            }
        }
        // Most lie as they were taken.
        if best.as_ref().is_some_and(|(least, ..)| *least <= CLEARLY_SAME_BITS) {
            break;
        }
    }
    match best {
        Some((distance, symmetry, one, other)) => Likeness { distance, symmetry, spot: spot(&one, &other) },
        None => Likeness { distance: 64, symmetry: Symmetry::ALL[0], spot: 0.0 },
    }
}

/// Without the dark bars that fill a thumbnail whose shape is not the picture's.
fn without_bars(plane: &Plane) -> Plane {
    let cut = |plane: &Plane| {
        let bar = |row: &&[f32]| row.iter().all(|value| *value < BAR_BRIGHTNESS);
        let most = plane.height() * 3 / 10;
        let top = plane.rows().take(most).take_while(bar).count();
        let bottom = plane.rows().rev().take(most).take_while(bar).count();
        plane.part((top, 0), (plane.width(), plane.height() - top - bottom))
    };
    cut(&cut(plane).transposed()).transposed()
}

/// The middle of each, cut so that both have the shape of the narrower one.
fn same_shape(one: &Plane, other: &Plane) -> (Plane, Plane) {
    let cut = |plane: &Plane, shape: &Plane| {
        let width = (plane.height() * shape.width()).div_ceil(shape.height().max(1)).clamp(1, plane.width());
        let height = (plane.width() * shape.height()).div_ceil(shape.width().max(1)).clamp(1, plane.height());
        let corner = ((plane.height() - height) / 2, (plane.width() - width) / 2);
        plane.part(corner, (width, height))
    };
    (cut(one, other), cut(other, one))
}

/// The largest difference of a cell beyond that of nine in ten cells, once both are equally bright on the whole.
fn spot(one: &Plane, other: &Plane) -> f32 {
    let (one, other) = (one.averaged(CELLS, CELLS), other.averaged(CELLS, CELLS));
    let mean = |plane: &Plane| plane.values().iter().sum::<f32>() / plane.values().len().max(1) as f32;
    let (one_mean, other_mean) = (mean(&one), mean(&other));
    let mut apart: Vec<f32> = one
        .values()
        .iter()
        .zip(other.values())
        .map(|(a, b)| ((a - one_mean) - (b - other_mean)).abs())
        .collect();
    apart.sort_by(f32::total_cmp);
    let usual = apart.get(apart.len() * 9 / 10).copied().unwrap_or_default();
    apart.last().copied().unwrap_or_default() - usual
}
