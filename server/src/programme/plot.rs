//! Plots as SVG: bars with intervals, drawn by presentation attributes alone, as the page's policy asks.
//!
//! Whoever cannot see them finds title and description in the picture and the figures beside it.

use std::fmt::Write as _;

use super::metrics::{Figures, Metric};
use crate::pages::escaped;

const WIDTH: f64 = 640.0;
const LABEL: f64 = 190.0;
const ROW: f64 = 30.0;
const TOP: f64 = 8.0;
const FOOT: f64 = 24.0;
/// Room at the right for the number.
const NUMBER: f64 = 70.0;

const INK: &str = "#1b2430";
const DIM: &str = "#5c6773";
const LINE: &str = "#d9dfe5";
const BAR: &str = "#8db3cf";
/// From the youngest age to the oldest.
const SHADES: [&str; 5] = ["#f2c879", "#e39b3f", "#cc6a24", "#a63d20", "#6e1a1a"];

/// The plot of a metric; empty where there is nothing to draw.
#[must_use]
pub(super) fn svg(metric: &Metric) -> String {
    let mut plot = Plot::default();
    match &metric.figures {
        Figures::Shares { rows, .. } => {
            plot.axis(
                rows.len(),
                &[(0.0, "0 %"), (0.25, "25 %"), (0.5, "50 %"), (0.75, "75 %"), (1.0, "100 %")],
            );
            for (place, row) in rows.iter().enumerate() {
                plot.label(place, &row.group);
                let Some(share) = row.share else {
                    plot.number(place, 0.0, "no case");
                    continue;
                };
                plot.bar(place, 0.0, share, BAR);
                if let (Some(low), Some(high)) = (row.low, row.high) {
                    plot.whisker(place, low, high);
                }
                plot.number(place, row.high.unwrap_or(share), &format!("{} (n {})", percent(share), row.n));
            }
        }
        Figures::Counts { rows } => {
            let most = rows.iter().map(|row| row.count).max().unwrap_or(0).max(1);
            plot.axis(rows.len(), &[(0.0, "0"), (1.0, &most.to_string())]);
            for (place, row) in rows.iter().enumerate() {
                let length = f64::from(row.count) / f64::from(most);
                plot.label(place, &row.group);
                plot.bar(place, 0.0, length, BAR);
                plot.number(place, length, &row.count.to_string());
            }
        }
        Figures::Days { rows } => {
            let most = rows.iter().filter_map(|row| row.p90_days).fold(1.0, f64::max);
            plot.axis(
                rows.len(),
                &[(0.0, "0 days"), (0.5, &format!("{:.0}", most / 2.0)), (1.0, &format!("{most:.0} days"))],
            );
            for (place, row) in rows.iter().enumerate() {
                plot.label(place, &row.group);
                match (row.median_days, row.p90_days) {
                    (Some(median), Some(p90)) => {
                        plot.bar(place, 0.0, median.max(0.0) / most, BAR);
                        plot.whisker(place, median.max(0.0) / most, p90.max(0.0) / most);
                        plot.number(place, p90.max(0.0) / most, &format!("{median:.1} (n {})", row.n));
                    }
                    _ => plot.number(place, 0.0, "no case"),
                }
            }
        }
        Figures::Ages { columns, rows } => {
            let sums: Vec<f64> =
                rows.iter().map(|row| row.counts.iter().map(|count| number(*count)).sum()).collect();
            let most = sums.iter().copied().fold(1.0, f64::max);
            plot.axis(rows.len(), &[(0.0, "0"), (1.0, &format!("{most:.0}"))]);
            for (place, (row, sum)) in rows.iter().zip(sums).enumerate() {
                plot.label(place, &row.group);
                let mut from = 0.0;
                for (count, shade) in row.counts.iter().zip(SHADES) {
                    let length = number(*count) / most;
                    plot.bar(place, from, length, shade);
                    from += length;
                }
                plot.number(place, from, &format!("{sum:.0}"));
            }
            plot.key(columns);
        }
    }
    plot.whole(metric)
}

#[expect(clippy::cast_precision_loss, reason = "counts of serials stay far below 2^52")]
fn number(count: i64) -> f64 {
    count as f64
}

/// A share in words.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A difference of shares in words.
pub(super) fn points(difference: f64) -> String {
    let points = (difference * 100.0).round();
    let sign = if points < 0.0 { "−" } else { "+" };
    format!("{sign}{:.0}", points.abs())
}

#[derive(Default)]
struct Plot {
    marks: String,
    rows: usize,
    has_key: bool,
}

fn x(share: f64) -> f64 {
    LABEL + share.clamp(0.0, 1.0) * (WIDTH - LABEL - NUMBER - 40.0)
}

fn middle(place: usize) -> f64 {
    TOP + rows(place) + ROW / 2.0
}

fn rows(count: usize) -> f64 {
    ROW * f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

impl Plot {
    fn axis(&mut self, rows_drawn: usize, ticks: &[(f64, &str)]) {
        self.rows = rows_drawn;
        let bottom = TOP + rows(rows_drawn);
        for (share, text) in ticks {
            let x = x(*share);
            let _ = write!(
                self.marks,
                "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"{LINE}\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"12\" text-anchor=\"middle\" fill=\"{DIM}\">{}</text>",
                bottom + 16.0,
                escaped(text)
            );
        }
    }

    fn label(&mut self, place: usize, text: &str) {
        let short: String = if text.chars().count() > 28 {
            text.chars().take(27).chain(['…']).collect()
        } else {
            text.to_owned()
        };
        let _ = write!(
            self.marks,
            "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"13\" text-anchor=\"end\" fill=\"{INK}\">{}</text>",
            LABEL - 8.0,
            middle(place) + 4.5,
            escaped(&short)
        );
    }

    fn bar(&mut self, place: usize, from: f64, length: f64, colour: &str) {
        let (begin, end) = (x(from), x(from + length));
        let _ = write!(
            self.marks,
            "<rect x=\"{begin:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"16\" fill=\"{colour}\"/>",
            middle(place) - 8.0,
            end - begin
        );
    }

    /// A line from one value to another, with ends.
    fn whisker(&mut self, place: usize, from: f64, to: f64) {
        let (from, to, y) = (x(from), x(to), middle(place));
        let _ = write!(
            self.marks,
            "<path d=\"M{from:.1} {:.1}V{:.1}M{from:.1} {y:.1}H{to:.1}M{to:.1} {:.1}V{:.1}\" stroke=\"{INK}\" \
             stroke-width=\"1.5\" fill=\"none\"/>",
            y - 5.0,
            y + 5.0,
            y - 5.0,
            y + 5.0
        );
    }

    fn number(&mut self, place: usize, at: f64, text: &str) {
        let _ = write!(
            self.marks,
            "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"13\" fill=\"{INK}\">{}</text>",
            x(at) + 8.0,
            middle(place) + 4.5,
            escaped(text)
        );
    }

    fn key(&mut self, columns: &[String]) {
        self.has_key = true;
        let y = TOP + rows(self.rows) + FOOT + 6.0;
        for (place, (column, shade)) in columns.iter().zip(SHADES).enumerate() {
            let x = 10.0 + 124.0 * f64::from(u32::try_from(place).unwrap_or(0));
            let _ = write!(
                self.marks,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"12\" height=\"12\" fill=\"{shade}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"12\" fill=\"{INK}\">{}</text>",
                x + 17.0,
                y + 10.5,
                escaped(column)
            );
        }
    }

    fn whole(self, metric: &Metric) -> String {
        if self.rows == 0 {
            return String::new();
        }
        let height = TOP + rows(self.rows) + FOOT + if self.has_key { 24.0 } else { 0.0 };
        let id = metric.id;
        format!(
            "<svg role=\"img\" aria-labelledby=\"{id}-title {id}-desc\" viewBox=\"0 0 {WIDTH} {height}\" \
             width=\"{WIDTH}\" height=\"{height}\" font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\">\
             <title id=\"{id}-title\">{}</title><desc id=\"{id}-desc\">{} The table beside it holds every figure.</desc>\
             {}</svg>",
            escaped(metric.title),
            escaped(metric.definition),
            self.marks
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::{Ages, Determined, favourable_by_method};
    use super::*;

    #[test]
    fn a_plot_says_what_it_shows_and_no_name_gets_out_of_its_text() {
        let method = "<script>alert(\"x\")</script>&'";
        let one = Determined {
            check: "a".into(),
            drawn: None,
            method: Some(method.into()),
            outcome: "favourable".into(),
        };
        let drawn = svg(&favourable_by_method(&[one]));
        assert!(drawn.starts_with("<svg role=\"img\"") && drawn.ends_with("</svg>"));
        assert!(drawn.contains("<title id=") && drawn.contains("<desc id="));
        assert!(drawn.contains("&lt;script&gt;") && !drawn.contains("<script") && !drawn.contains("style="));
        assert!(drawn.contains("100 % (n 1)"));
        assert_eq!(svg(&favourable_by_method(&[])), "", "nothing to draw");
    }

    #[test]
    fn bars_of_ages_fill_the_width_together() {
        let mut metric = favourable_by_method(&[]);
        metric.figures = Figures::Ages {
            columns: ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec(),
            rows: vec![Ages { group: "g".into(), counts: vec![1, 1, 0, 0, 2] }],
        };
        let widths: f64 = svg(&metric)
            .split("<rect ")
            .filter(|mark| mark.contains("height=\"16\""))
            .filter_map(|mark| mark.split("width=\"").nth(1)?.split('"').next()?.parse::<f64>().ok())
            .sum();
        assert!((widths - (x(1.0) - x(0.0))).abs() < 0.5, "{widths}");
    }

    #[test]
    fn differences_are_told_with_their_sign() {
        assert_eq!([0.6, -0.0381, 0.0].map(points), ["+60", "−4", "+0"]);
    }
}
