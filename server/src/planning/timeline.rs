//! A plan as a timeline: one line for each inspector's day, by the clock where the inspector is based.

use std::fmt::Write as _;

use chrono::Timelike as _;
use chrono_tz::Tz;
use endcheck_protocol::time::Timestamp;

use super::review::ReviewDay;
use crate::pages::escaped;

const WIDTH: f64 = 1_000.0;
const LABEL: f64 = 190.0;
const ROW: f64 = 24.0;
const TOP: f64 = 24.0;
/// A day's hours that are drawn at least.
const HOURS: (f64, f64) = (7.0, 19.0);

/// Lines that are drawn at most; the rest is in the API's answer.
pub const MOST_LINES: usize = 400;

/// Draws the days, which come in the order of inspectors; nothing where there are none.
#[must_use]
pub fn draw(days: &[ReviewDay]) -> String {
    let days = days.get(..days.len().min(MOST_LINES)).unwrap_or_default();
    if days.is_empty() {
        return String::new();
    }
    let (mut from, mut to) = HOURS;
    for day in days {
        let zone = zone(day);
        from = from.min(hour(day.leaves_at, day.leaves_at, zone).floor());
        to = to.max(hour(day.leaves_at, day.returns_at, zone).ceil());
    }
    let scale = (WIDTH - LABEL - 8.0) / (to - from);
    let x = |hour: f64| LABEL + (hour - from) * scale;
    let height = TOP + ROW * days.len() as f64 + 4.0;
    let mut svg = format!(
        "<svg role=\"img\" aria-labelledby=\"timeline-title\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
         xmlns=\"http://www.w3.org/2000/svg\" font-size=\"11\"><title id=\"timeline-title\">Each inspector's days by \
         the clock</title>"
    );
    let step = if to - from > 16.0 { 2 } else { 1 };
    for hour in (from as i32..=to as i32).step_by(step) {
        let at = x(f64::from(hour));
        let _ = write!(
            svg,
            "<path d=\"M{at:.1} {TOP}V{height:.0}\" stroke=\"#e4e9ee\"/><text x=\"{at:.1}\" y=\"15\" \
             text-anchor=\"middle\" fill=\"#5c6773\">{:02}:00</text>",
            hour.rem_euclid(24)
        );
    }
    let mut last = "";
    for (line, day) in days.iter().enumerate() {
        let y = TOP + ROW * line as f64;
        if day.login != last {
            let _ = write!(
                svg,
                "<path d=\"M0 {y:.1}H{WIDTH}\" stroke=\"#b9c3cc\"/><text x=\"4\" y=\"{:.1}\" font-weight=\"600\" \
                 fill=\"#1b2430\">{}</text>",
                y + 16.0,
                escaped(&short(&day.inspector, 17))
            );
        }
        last = &day.login;
        let zone = zone(day);
        let at = |instant: Timestamp| x(hour(day.leaves_at, instant, zone));
        let date = day.leaves_at.utc().with_timezone(&zone).format("%a %-d %b").to_string();
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#5c6773\">{date}</text>",
            LABEL - 8.0,
            y + 16.0
        );
        let (leaves, returns) = (at(day.leaves_at), at(day.returns_at));
        let _ = write!(
            svg,
            "<path d=\"M{leaves:.1} {:.1}H{returns:.1}\" stroke=\"#93a1ad\" stroke-width=\"3\"><title>on the way {} \
             min in all</title></path>",
            y + 12.0,
            day.travel_min
        );
        for break_at in &day.breaks_at {
            let (from, width) = (at(*break_at), f64::from(day.break_min) / 60.0 * scale);
            let _ = write!(
                svg,
                "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"8\" fill=\"#fff\" \
                 stroke=\"#93a1ad\"><title>break</title></rect>",
                y + 8.0
            );
        }
        for stop in &day.stops {
            let (starts, ends) = (at(stop.starts_at), at(stop.ends_at));
            let (fill, ink) = match (stop.late, stop.change) {
                (true, _) => ("#fbe5e3", "#97221b"),
                (false, "moved") => ("#fdf1d8", "#805300"),
                (false, "new") => ("#dfeaf5", "#14507a"),
                _ => ("#e3f3e8", "#1f6b3a"),
            };
            let clock = |instant: Timestamp| instant.utc().with_timezone(&zone).format("%H:%M");
            let with = stop.with.as_ref().map_or_else(String::new, |with| format!(" with {with}"));
            let told = format!(
                "{}, {}, {} to {}{with}: {}",
                stop.site_name,
                stop.shipment_key,
                clock(stop.starts_at),
                clock(stop.ends_at),
                if stop.late { "past its deadline" } else { stop.change }
            );
            // Some six units a letter.
            let room = ((ends - starts - 4.0) / 6.0).max(0.0) as usize;
            let _ = write!(
                svg,
                "<g><title>{}</title><rect x=\"{starts:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"18\" rx=\"2\" \
                 fill=\"{fill}\" stroke=\"{ink}\"/><text x=\"{:.1}\" y=\"{:.1}\" fill=\"{ink}\">{}</text></g>",
                escaped(&told),
                y + 3.0,
                (ends - starts).max(2.0),
                starts + 3.0,
                y + 16.0,
                escaped(&short(&stop.site_name, room))
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

fn zone(day: &ReviewDay) -> Tz {
    day.time_zone.parse().unwrap_or(Tz::UTC)
}

/// Hours since the midnight before the day's start.
fn hour(leaves_at: Timestamp, at: Timestamp, zone: Tz) -> f64 {
    let leaves = leaves_at.utc().with_timezone(&zone);
    let morning = f64::from(leaves.hour()) + f64::from(leaves.minute()) / 60.0;
    morning + at.since(leaves_at).num_minutes() as f64 / 60.0
}

/// A text cut to so many letters.
fn short(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    if letters < 4 {
        return String::new();
    }
    let cut: String = text.chars().take(letters - 1).collect();
    format!("{}…", cut.trim_end())
}
