//! Brightness alone, one number a pixel, and what the comparisons do with it: averaging, smoothing, turning.

use image::DynamicImage;

use super::symmetry::Symmetry;

/// Brightness from 0 to 255, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plane {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Plane {
    /// The weights are those of ITU-R BT.601, which PDQ asks for.
    pub fn of(picture: &DynamicImage) -> Self {
        let values = match picture {
            DynamicImage::ImageLuma8(gray) => gray.as_raw().iter().map(|value| f32::from(*value)).collect(),
            DynamicImage::ImageRgb8(rgb) => brightness(rgb),
            other => brightness(&other.to_rgb8()),
        };
        Self { width: picture.width() as usize, height: picture.height() as usize, values }
    }

    #[cfg(test)]
    pub fn from_fn(width: usize, height: usize, value: impl Fn(usize, usize) -> f32) -> Self {
        let values = (0..height).flat_map(|row| (0..width).map(move |column| (row, column)));
        Self { width, height, values: values.map(|(row, column)| value(row, column)).collect() }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The mean of all values, rounded.
    pub fn mean(&self) -> u8 {
        let sum: f64 = self.values.iter().copied().map(f64::from).sum();
        (sum / self.values.len().max(1) as f64).round() as u8
    }

    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &[f32]> {
        self.values.chunks_exact(self.width.max(1))
    }

    pub fn transposed(&self) -> Self {
        let column = |nth: usize| self.values.iter().skip(nth).step_by(self.width.max(1)).copied();
        Self { width: self.height, height: self.width, values: (0..self.width).flat_map(column).collect() }
    }

    /// Laid down another way.
    pub fn laid(&self, symmetry: Symmetry) -> Self {
        let mut plane = if symmetry.transposed { self.transposed() } else { self.clone() };
        if symmetry.rows_reversed {
            plane.values = plane.rows().rev().flatten().copied().collect();
        }
        if symmetry.columns_reversed {
            plane.values = plane.rows().flat_map(|row| row.iter().rev()).copied().collect();
        }
        plane
    }

    /// The mean of what lies under each of `width` × `height` cells; parts of pixels count in part.
    pub fn averaged(&self, width: usize, height: usize) -> Self {
        self.rows_averaged(width).transposed().rows_averaged(height).transposed()
    }

    fn rows_averaged(&self, width: usize) -> Self {
        let cells = cells(self.width, width);
        let mut values = Vec::with_capacity(width * self.height);
        for row in self.rows() {
            for cell in &cells {
                let inside = row.get(cell.first..cell.end).unwrap_or_default();
                let mut sum: f32 = inside.iter().sum();
                sum -= inside.first().unwrap_or(&0.0) * cell.off_first;
                sum -= inside.last().unwrap_or(&0.0) * cell.off_last;
                values.push(sum / cell.width);
            }
        }
        Self { width, height: self.height, values }
    }

    /// Each value of a row replaced by the mean of those around it: `before` of them, itself, and `after`; fewer at
    /// the ends.
    pub fn rows_smoothed(&self, before: usize, after: usize) -> Self {
        let mut values = Vec::with_capacity(self.values.len());
        let mut sums = Vec::with_capacity(self.width + 1);
        for row in self.rows() {
            sums.clear();
            sums.push(0.0);
            let mut sum = 0.0;
            sums.extend(row.iter().map(|value| {
                sum += value;
                sum
            }));
            values.extend((0..self.width).map(|at| {
                let (from, to) = (at.saturating_sub(before), (at + after + 1).min(self.width));
                let sum = sums.get(to).unwrap_or(&0.0) - sums.get(from).unwrap_or(&0.0);
                sum / (to - from) as f32
            }));
        }
        Self { values, ..*self }
    }

    /// The values in the middle of each of `width` cells along a row; between two pixels, between their values.
    pub fn rows_sampled(&self, width: usize) -> Self {
        let step = self.width as f32 / width.max(1) as f32;
        let values = self.rows().flat_map(|row| {
            (0..width).map(move |nth| {
                let middle = ((nth as f32 + 0.5) * step - 0.5).max(0.0);
                let at = middle as usize;
                let left = row.get(at).copied().unwrap_or_default();
                let right = row.get(at + 1).copied().unwrap_or(left);
                left + (right - left) * middle.fract()
            })
        });
        Self { width, height: self.height, values: values.collect() }
    }

    /// The part from a row and a column on; as much of it as there is.
    pub fn part(&self, (top, left): (usize, usize), (width, height): (usize, usize)) -> Self {
        let width = width.min(self.width.saturating_sub(left));
        let height = height.min(self.height.saturating_sub(top));
        let rows = self.rows().skip(top).take(height);
        let values = rows.filter_map(|row| row.get(left..left + width)).flatten().copied().collect();
        Self { width, height, values }
    }
}

fn brightness(rgb: &image::RgbImage) -> Vec<f32> {
    rgb.pixels()
        .map(|image::Rgb([red, green, blue])| {
            0.299 * f32::from(*red) + 0.587 * f32::from(*green) + 0.114 * f32::from(*blue)
        })
        .collect()
}

/// One of equal cells along a row.
struct Cell {
    first: usize,
    end: usize,
    /// How much of the first and of the last pixel lies outside, 0 to 1.
    off_first: f32,
    off_last: f32,
    width: f32,
}

fn cells(pixels: usize, count: usize) -> Vec<Cell> {
    let width = pixels as f64 / count as f64;
    (0..count)
        .map(|nth| {
            let (from, to) = (nth as f64 * width, (nth + 1) as f64 * width);
            let end = (to.ceil() as usize).min(pixels);
            Cell {
                first: from as usize,
                end,
                off_first: from.fract() as f32,
                off_last: (end as f64 - to).max(0.0) as f32,
                width: width as f32,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(width: usize, height: usize) -> Plane {
        Plane::from_fn(width, height, |row, column| (row * width + column) as f32)
    }

    #[test]
    fn cells_share_out_all_pixels() {
        assert_eq!(counted(4, 2).averaged(2, 1).values(), [2.5, 4.5]);
        assert_eq!(counted(3, 1).averaged(2, 1).values(), [(0.0 + 0.5) / 1.5, (0.5 + 2.0) / 1.5]);
        assert_eq!(counted(1, 1).averaged(2, 2).values(), [0.0; 4], "one pixel under four cells");
        let level = Plane::from_fn(37, 23, |_, _| 100.0).averaged(9, 8);
        assert!(level.values().iter().all(|value| (value - 100.0).abs() < 1e-3));
    }

    #[test]
    fn smoothing_takes_what_is_there_at_the_ends() {
        assert_eq!(counted(4, 1).rows_smoothed(1, 1).values(), [0.5, 1.0, 2.0, 2.5]);
        assert_eq!(counted(3, 1).rows_smoothed(0, 0).values(), [0.0, 1.0, 2.0]);
    }

    #[test]
    fn samples_lie_in_the_middle_of_their_cells() {
        assert_eq!(counted(4, 1).rows_sampled(2).values(), [0.5, 2.5]);
        assert_eq!(counted(3, 1).rows_sampled(3).values(), [0.0, 1.0, 2.0]);
        assert_eq!(counted(1, 2).rows_sampled(2).values(), [0.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn each_of_the_eight_lies_as_it_is_called() {
        let lying = |nth: usize| counted(2, 2).laid(Symmetry::ALL[nth]).values().to_vec();
        assert_eq!(lying(0), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(lying(1), [2.0, 0.0, 3.0, 1.0], "clockwise");
        assert_eq!(lying(2), [3.0, 2.0, 1.0, 0.0], "half a turn");
        assert_eq!(lying(3), [1.0, 3.0, 0.0, 2.0], "counter-clockwise");
        assert_eq!(lying(4), [1.0, 0.0, 3.0, 2.0], "left to right");
        assert_eq!(lying(5), [2.0, 3.0, 0.0, 1.0], "top to bottom");
        assert_eq!(lying(6), [0.0, 2.0, 1.0, 3.0], "falling diagonal");
        assert_eq!(lying(7), [3.0, 1.0, 2.0, 0.0], "rising diagonal");
        assert_eq!(counted(3, 2).laid(Symmetry::ALL[1]).values(), [3.0, 0.0, 4.0, 1.0, 5.0, 2.0]);
    }

    #[test]
    fn a_part_is_cut_out() {
        assert_eq!(counted(4, 3).part((1, 2), (9, 1)).values(), [6.0, 7.0]);
    }
}
