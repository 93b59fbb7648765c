//! Two hashes of 64 bits that bear cropping and small turns better than PDQ does, and mistake more: whether
//! brightness grows from cell to cell (dHash), and which low frequencies lie above their median (pHash).

use std::f32::consts::PI;
use std::sync::LazyLock;

use super::plane::Plane;
use super::symmetry::Symmetry;

/// Both hashes within so many bits: the two pictures look alike.
pub const LOOKS_ALIKE_BITS: u32 = 10;

/// Divides into both of the following, so that the whole plane is averaged only once.
const SHARED_SIDE: usize = 288;
/// Divides into 9 and 8 cells either way, so that the plane can be turned first.
const DIFFERENCE_SIDE: usize = 72;
const COSINE_SIDE: usize = 32;
const FREQUENCIES: usize = 8;

/// Both hashes of one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coarse {
    pub dhash: u64,
    pub phash: u64,
}

/// The hashes in each orientation, in the order of [`Symmetry::ALL`].
pub(super) fn hashes(plane: &Plane) -> [Coarse; 8] {
    let plane = plane.averaged(SHARED_SIDE, SHARED_SIDE);
    let differences = plane.averaged(DIFFERENCE_SIDE, DIFFERENCE_SIDE);
    let cosines = plane.averaged(COSINE_SIDE, COSINE_SIDE);
    Symmetry::ALL.map(|symmetry| Coarse {
        dhash: difference_bits(&differences.laid(symmetry)),
        phash: cosine_bits(&cosines.laid(symmetry)),
    })
}

/// The difference hash alone, as the plane lies.
pub(super) fn difference_bits(plane: &Plane) -> u64 {
    let cells = plane.averaged(9, 8);
    let growing =
        cells.rows().flat_map(|row| row.iter().zip(row.iter().skip(1)).map(|(left, right)| left < right));
    bits(growing)
}

fn bits(each: impl Iterator<Item = bool>) -> u64 {
    each.take(64).enumerate().fold(0, |bits, (nth, set)| bits | u64::from(set) << nth)
}

/// Row `i` holds the cosine of frequency `i` at the 32 points.
static COSINES: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let angle = |frequency: usize, point: usize| {
        PI / 2.0 / COSINE_SIDE as f32 * frequency as f32 * (2 * point + 1) as f32
    };
    (0..FREQUENCIES)
        .flat_map(|frequency| (0..COSINE_SIDE).map(move |point| angle(frequency, point).cos()))
        .collect()
});

fn cosine_bits(plane: &Plane) -> u64 {
    let dot = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(a, b)| a * b).sum::<f32>();
    let cosines = || COSINES.chunks_exact(COSINE_SIDE);
    let columns = plane.transposed();
    let frequencies: Vec<f32> = cosines()
        .flat_map(|down| {
            let down: Vec<f32> = columns.rows().map(|column| dot(down, column)).collect();
            cosines().map(move |along| dot(along, &down))
        })
        .collect();
    let mut sorted = frequencies.clone();
    sorted.sort_by(f32::total_cmp);
    let median = sorted.get(sorted.len() / 2 - 1).copied().unwrap_or_default();
    bits(frequencies.into_iter().map(|value| value > median))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Plane {
        Plane::from_fn(120, 90, |row, column| {
            ((row * row / 7 + column * 3 + (row * column) / 11) % 251) as f32
        })
    }

    #[test]
    fn a_ramp_grows_in_every_cell_and_back_in_none() {
        let ramp = Plane::from_fn(90, 40, |_, column| column as f32);
        let [as_is, ..] = hashes(&ramp);
        assert_eq!(as_is.dhash, u64::MAX);
        assert_eq!(hashes(&ramp)[4].dhash, 0, "mirrored left to right");
    }

    #[test]
    fn an_orientation_of_the_one_is_the_other_as_it_lies() {
        for (nth, symmetry) in Symmetry::ALL.into_iter().enumerate() {
            let turned = picture().laid(symmetry);
            let (there, here) = (hashes(&turned)[0], hashes(&picture())[nth]);
            assert!((there.dhash ^ here.dhash).count_ones() <= 1, "{symmetry:?}");
            assert!((there.phash ^ here.phash).count_ones() <= 2, "{symmetry:?}");
        }
    }
}
