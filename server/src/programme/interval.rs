//! How far off a share may be that was counted on few cases: intervals at 95 %.

/// The 97.5 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// From and to.
pub type Interval = (f64, f64);

/// Wilson's score interval of `hits` among `cases` (E. B. Wilson, 1927; without continuity correction).
/// Nothing can be said of no cases.
#[must_use]
pub fn wilson(hits: u32, cases: u32) -> Option<Interval> {
    wilson_of(f64::from(hits.min(cases)) / f64::from(cases.max(1)), f64::from(cases))
}

/// As [`wilson`], of a share `p` that stands on so many cases, which may be fewer than were counted.
#[must_use]
pub fn wilson_of(p: f64, n: f64) -> Option<Interval> {
    if n <= 0.0 {
        return None;
    }
    let centre = p + Z * Z / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let whole = 1.0 + Z * Z / n;
    Some((((centre - spread) / whole).max(0.0), ((centre + spread) / whole).min(1.0)))
}

/// The interval of the difference of two shares, the first minus the second, from each and its Wilson interval
/// (R. G. Newcombe, 1998, method 10).
#[must_use]
pub fn newcombe(first: (f64, Interval), second: (f64, Interval)) -> Interval {
    let ((p_1, (low_1, high_1)), (p_2, (low_2, high_2))) = (first, second);
    let difference = p_1 - p_2;
    let below = ((p_1 - low_1).powi(2) + (high_2 - p_2).powi(2)).sqrt();
    let above = ((high_1 - p_1).powi(2) + (p_2 - low_2).powi(2)).sqrt();
    ((difference - below).max(-1.0), (difference + above).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newcombe(first: (u32, u32), second: (u32, u32)) -> Option<Interval> {
        let share =
            |(hits, cases): (u32, u32)| Some((f64::from(hits) / f64::from(cases), wilson(hits, cases)?));
        Some(super::newcombe(share(first)?, share(second)?))
    }

    fn close(found: Option<Interval>, low: f64, high: f64) {
        let (from, to) = found.unwrap();
        assert!((from - low).abs() < 6e-5 && (to - high).abs() < 6e-5, "{from} {to}, not {low} {high}");
    }

    /// Newcombe, Statistics in Medicine 17 (1998), 857–872, table I, method 3.
    #[test]
    fn wilson_s_interval_is_that_of_the_published_table() {
        close(wilson(81, 263), 0.2553, 0.3662);
        close(wilson(15, 148), 0.0624, 0.1605);
        close(wilson(0, 20), 0.0, 0.1611);
        close(wilson(1, 29), 0.0061, 0.1718);
        close(wilson(20, 20), 0.8389, 1.0);
        assert_eq!(wilson(0, 0), None);
    }

    /// The same volume, 873–890, table II, method 10.
    #[test]
    fn the_difference_has_the_interval_of_the_published_table() {
        close(newcombe((56, 70), (48, 80)), 0.0524, 0.3339);
        close(newcombe((9, 10), (3, 10)), 0.1705, 0.8090);
        close(newcombe((6, 7), (2, 7)), 0.0582, 0.8062);
        close(newcombe((5, 56), (0, 29)), -0.0381, 0.1926);
        close(newcombe((0, 10), (0, 20)), -0.1611, 0.2775);
        close(newcombe((10, 10), (0, 20)), 0.6791, 1.0);
        assert_eq!(newcombe((1, 2), (0, 0)), None);
    }
}
