//! The simulation as a picture: three panels, a line for each way of choosing.

use super::world::{Method, Year};

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 190.0;
const COLOURS: [&str; 3] = ["#14507a", "#8a939c", "#c4622d"];

/// A heading, a unit, and what is drawn of a year.
type Panel<'a> = (&'a str, &'a str, &'a dyn Fn(&Year) -> f64);

/// The picture as SVG.
pub fn svg(all: &[(Method, Vec<Year>)]) -> String {
    let share_found = |year: &Year| 100.0 * year.found as f64 / year.diverted.max(1) as f64;
    let new_found = |year: &Year| 100.0 * year.found_new as f64 / year.diverted_new.max(1) as f64;
    let error = |year: &Year| {
        // The true rate among all, against what the checks of the year say.
        let truth = year.diverted as f64 / super::SHIPMENTS as f64;
        100.0 * (year.estimate.unwrap_or(0.0) - truth)
    };
    let panels: [Panel<'_>; 3] = [
        ("Diversions found", "% of all that there were in the year", &share_found),
        ("New patterns found", "% of those that no rule knows", &new_found),
        ("What checks say of all shipments", "percentage points above the truth", &error),
    ];
    let mut body = String::new();
    for (number, (title, unit, value)) in panels.iter().enumerate() {
        body.push_str(&panel(40.0 + number as f64 * (WIDTH + 60.0), title, unit, all, value));
    }
    for (number, (method, _)) in all.iter().enumerate() {
        let x = 40.0 + number as f64 * (WIDTH + 60.0);
        body.push_str(&format!(
            "<line x1=\"{x}\" y1=\"292\" x2=\"{}\" y2=\"292\" stroke=\"{}\" stroke-width=\"3\"/><text x=\"{}\" y=\"296\">{}</text>\n",
            x + 24.0,
            COLOURS.get(number).unwrap_or(&"#000"),
            x + 32.0,
            method.name()
        ));
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1120 320\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#1b2430\">\n\
         <title>Three ways of choosing what is checked, over five simulated years</title>\n\
         <rect width=\"1120\" height=\"320\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

fn panel(
    left: f64,
    title: &str,
    unit: &str,
    all: &[(Method, Vec<Year>)],
    value: &dyn Fn(&Year) -> f64,
) -> String {
    let bottom = 60.0 + HEIGHT;
    let values = || all.iter().flat_map(|(_, years)| years.iter().map(value));
    let most = values().fold(0.0_f64, f64::max);
    let least = values().fold(0.0_f64, f64::min);
    let step = nice((most - least) / 4.0);
    let (low, high) = ((least / step).floor() * step, (most / step).ceil() * step);
    let y = |value: f64| bottom - (value - low) / (high - low) * HEIGHT;
    let count = all.first().map_or(1, |(_, years)| years.len());
    let x = |year: usize| left + 12.0 + year as f64 * (WIDTH - 24.0) / (count.max(2) - 1) as f64;
    let mut text = format!(
        "<text x=\"{left}\" y=\"24\" font-size=\"15\" font-weight=\"600\">{title}</text><text x=\"{left}\" y=\"42\" fill=\"#5c6773\">{unit}</text>\n"
    );
    let mut line = low;
    while line <= high + step / 2.0 {
        let at = y(line);
        text.push_str(&format!(
            "<line x1=\"{left}\" y1=\"{at:.1}\" x2=\"{}\" y2=\"{at:.1}\" stroke=\"#d9dfe5\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#5c6773\">{}</text>\n",
            left + WIDTH,
            left - 6.0,
            at + 4.0,
            (line * 10.0).round() / 10.0
        ));
        line += step;
    }
    for year in 0..count {
        text.push_str(&format!(
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#5c6773\">year {}</text>\n",
            x(year),
            bottom + 18.0,
            year + 1
        ));
    }
    for ((_, years), colour) in all.iter().zip(COLOURS) {
        let points: Vec<String> = years
            .iter()
            .enumerate()
            .map(|(year, one)| format!("{:.1},{:.1}", x(year), y(value(one))))
            .collect();
        text.push_str(&format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"/>\n",
            points.join(" ")
        ));
        for point in points {
            let (px, py) = point.split_once(',').unwrap_or(("0", "0"));
            text.push_str(&format!("<circle cx=\"{px}\" cy=\"{py}\" r=\"3.5\" fill=\"{colour}\"/>\n"));
        }
    }
    text
}

/// A step of 1, 2 or 5 times a power of ten, at least as large.
fn nice(step: f64) -> f64 {
    let power = 10_f64.powf(step.max(1e-6).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|nice| *nice >= step).unwrap_or(step)
}
