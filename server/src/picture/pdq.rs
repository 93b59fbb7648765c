//! PDQ: 256 bits that say what a picture looks like, and how much there is to be seen in it.
//!
//! After "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm" (Facebook, 2019): brightness,
//! smoothed by a box twice along rows and columns, taken at 64 × 64 points; of its cosine transform the 16 × 16
//! lowest frequencies without the constant ones; one bit for each that lies above their median.

use std::f32::consts::PI;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use super::plane::Plane;
use super::symmetry::Symmetry;

/// Points along each side of the reduced picture.
const POINTS: usize = 64;
/// Frequencies along each side, from the first that is not constant.
const FREQUENCIES: usize = 16;

/// Two hashes this near, in bits, are of one picture.
pub const SAME_PICTURE_BITS: u32 = 31;
/// Hashes below this quality say too little to be compared.
pub const MIN_QUALITY: u8 = 50;

/// The hash: bit `16 × row + column` of 256, lowest first, four words. Written as 64 hexadecimal digits, highest
/// bit first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pdq(pub [u64; 4]);

impl Pdq {
    /// In how many bits two hashes differ, 0 to 256.
    #[must_use]
    pub fn distance(self, other: Self) -> u32 {
        self.0.iter().zip(other.0).map(|(one, other)| (one ^ other).count_ones()).sum()
    }
}

impl fmt::Display for Pdq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().rev().try_for_each(|word| write!(f, "{word:016x}"))
    }
}

/// A text that is not a PDQ hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a PDQ hash: expected 64 hexadecimal digits")]
pub struct InvalidPdq(String);

impl FromStr for Pdq {
    type Err = InvalidPdq;

    fn from_str(text: &str) -> Result<Self, InvalidPdq> {
        let invalid = || InvalidPdq(text.chars().take(80).collect());
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        let mut words = [0; 4];
        for (nth, word) in words.iter_mut().rev().enumerate() {
            let digits = text.get(nth * 16..nth * 16 + 16).ok_or_else(invalid)?;
            *word = u64::from_str_radix(digits, 16).map_err(|_| invalid())?;
        }
        Ok(Self(words))
    }
}

/// The hashes of a picture as it lies and in its seven other orientations, in the order of [`Symmetry::ALL`], and
/// its quality, 0 to 100.
pub(super) fn hashes(plane: &Plane) -> ([Pdq; 8], u8) {
    let points = reduced(plane);
    let frequencies = frequencies(&points);
    (Symmetry::ALL.map(|symmetry| median_bits(&laid(&frequencies, symmetry))), quality(&points))
}

/// The picture at 64 × 64 points. The published program leans by up to two pixels to one side, by its boxes of an even
/// width and by where it takes the points; this does not lean, so that a picture and its mirror image give the same
/// hash, and stays as near to the published hashes.
fn reduced(plane: &Plane) -> Plane {
    let along_rows = |plane: &Plane| {
        // The box is a 128th of the side, rounded up; an even one leans one way first and the other way then.
        let side = plane.width().div_ceil(2 * POINTS);
        let (less, more) = (side.saturating_sub(1) / 2, side / 2);
        plane.rows_smoothed(less, more).rows_smoothed(more, less).rows_sampled(POINTS)
    };
    // Rows and columns do not depend on each other, so that only the points of each row go on to the columns.
    along_rows(&along_rows(plane).transposed()).transposed()
}

/// How much changes from point to point, in parts of 100.
fn quality(points: &Plane) -> u8 {
    // The steps of 255 are counted in whole hundredths, as the reference does.
    let step = |one: &f32, other: &f32| ((one - other) * 100.0 / 255.0).abs().trunc();
    let along = |plane: &Plane| -> f32 {
        plane.rows().map(|row| row.iter().zip(row.iter().skip(1)).map(|(a, b)| step(a, b)).sum::<f32>()).sum()
    };
    ((along(points) + along(&points.transposed())) / 90.0).clamp(0.0, 100.0) as u8
}

/// Row `i` holds the cosine of frequency `i + 1` at the 64 points.
static COSINES: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let cosine = |frequency: usize, point: usize| {
        (PI / 2.0 / POINTS as f32 * frequency as f32 * (2 * point + 1) as f32).cos()
    };
    (1..=FREQUENCIES)
        .flat_map(|frequency| {
            (0..POINTS).map(move |point| (2.0 / POINTS as f32).sqrt() * cosine(frequency, point))
        })
        .collect()
});

type Frequencies = [[f32; FREQUENCIES]; FREQUENCIES];

fn frequencies(points: &Plane) -> Frequencies {
    let dot = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(a, b)| a * b).sum::<f32>();
    let cosines = || COSINES.chunks_exact(POINTS);
    let columns = points.transposed();
    let mut found = Frequencies::default();
    for (row, cosine) in found.iter_mut().zip(cosines()) {
        let down: Vec<f32> = columns.rows().map(|column| dot(cosine, column)).collect();
        for (value, cosine) in row.iter_mut().zip(cosines()) {
            *value = dot(cosine, &down);
        }
    }
    found
}

/// The frequencies of the picture laid down another way: a mirrored picture has its odd frequencies negated, a
/// transposed one has them transposed.
fn laid(frequencies: &Frequencies, symmetry: Symmetry) -> Frequencies {
    let mut found = *frequencies;
    if symmetry.transposed {
        for (at, row) in found.iter_mut().enumerate() {
            for (value, source) in row.iter_mut().zip(frequencies) {
                *value = source.get(at).copied().unwrap_or_default();
            }
        }
    }
    // The first frequency of a row or column, at 0, is odd.
    for (row, values) in found.iter_mut().enumerate() {
        for (column, value) in values.iter_mut().enumerate() {
            let odd_row = symmetry.rows_reversed && row % 2 == 0;
            let odd_column = symmetry.columns_reversed && column % 2 == 0;
            if odd_row != odd_column {
                *value = -*value;
            }
        }
    }
    found
}

fn median_bits(frequencies: &Frequencies) -> Pdq {
    let mut sorted: Vec<f32> = frequencies.iter().flatten().copied().collect();
    sorted.sort_by(f32::total_cmp);
    // The lower of the two in the middle.
    let median = sorted.get(sorted.len() / 2 - 1).copied().unwrap_or_default();
    let mut words = [0_u64; 4];
    for (word, rows) in words.iter_mut().zip(frequencies.chunks_exact(4)) {
        for (bit, value) in rows.iter().flatten().enumerate() {
            *word |= u64::from(*value > median) << bit;
        }
    }
    Pdq(words)
}
