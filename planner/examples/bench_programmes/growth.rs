//! Time and memory as programmes grow: a table, and a drawing of it.

use crate::illness::error;
use endcheck_planner::sisr::Unwatched;
use endcheck_planner::visits::check::check;
use endcheck_planner::visits::generate::{Size, programme};
use endcheck_planner::visits::why::why_not;
use endcheck_planner::visits::{plan, schedule};
use std::process::Command;

const SIZES: [Size; 8] = [
    Size { visits: 50, inspectors: 5, days: 5 },
    Size { visits: 100, inspectors: 10, days: 5 },
    Size { visits: 200, inspectors: 20, days: 10 },
    Size { visits: 300, inspectors: 30, days: 10 },
    Size { visits: 500, inspectors: 40, days: 15 },
    Size { visits: 800, inspectors: 60, days: 15 },
    Size { visits: 1_300, inspectors: 90, days: 20 },
    Size { visits: 2_000, inspectors: 120, days: 20 },
];
/// How much is searched at every size; the drawing names it, too.
const ITERATIONS: u64 = 2_000;

/// What one size takes.
#[derive(Debug, Clone, Copy)]
struct Taken {
    visits: f64,
    first_seconds: f64,
    search_seconds: f64,
    why_seconds: f64,
    mebibytes: f64,
}

/// Measures each size in a process of its own, so that each has its own peak of memory, prints a table and writes a
/// drawing.
pub fn growth(file: Option<&str>) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    println!("size\tfirst plan s\t{ITERATIONS} iterations s\treasons of a visit of two s\tMiB\tpassed");
    let mut all = Vec::new();
    for Size { visits, inspectors, days } in SIZES {
        let arguments = [visits.to_string(), inspectors.to_string(), days.to_string()];
        let out = Command::new(&program).arg("measure").args(arguments).output();
        let out = String::from_utf8_lossy(&out.map_err(|error| error.to_string())?.stdout).into_owned();
        let fields: Vec<&str> = out.trim().split('\t').collect();
        let [_, first, search, why, mebibytes, "true"] = fields.as_slice() else {
            return Err(format!("{visits} visits: {out:?}"));
        };
        print!("{out}");
        let number = |text: &str| text.parse::<f64>().map_err(|error| format!("{text}: {error}"));
        all.push(Taken {
            visits: visits as f64,
            first_seconds: number(first)?,
            search_seconds: number(search)?,
            why_seconds: number(why)?,
            mebibytes: number(mebibytes)?,
        });
    }
    file.map_or(Ok(()), |file| {
        std::fs::write(file, drawing(&all)).map_err(|error| format!("{file}: {error}"))
    })
}

/// Measures one size, in processor time of the one thread.
pub fn measure(size: Size) -> Result<(), String> {
    let problem = programme(size, 1).map_err(error)?;
    let first = plan(&problem, 1, &schedule(0), &mut Unwatched).map_err(error)?;
    let found = plan(&problem, 1, &schedule(ITERATIONS), &mut Unwatched).map_err(error)?;
    let mebibytes = peak_mebibytes();
    let passed = check(&problem, &first).is_empty() && check(&problem, &found).is_empty();
    let first_plan = seconds_each(|_| plan(&problem, 1, &schedule(0), &mut Unwatched).is_ok())?;
    let search = seconds_each(|_| plan(&problem, 1, &schedule(ITERATIONS), &mut Unwatched).is_ok())?;
    // Whether they are planned makes no difference to the work.
    let of_two: Vec<u32> =
        (0..).zip(&problem.visits).filter(|(_, visit)| visit.people == 2).map(|(number, _)| number).collect();
    let visit = |run: usize| of_two.get(run % of_two.len().max(1)).copied().unwrap_or(0);
    let why = seconds_each(|run| why_not(&problem, &first, visit(run)).len() == problem.days.len())?;
    let Size { visits, inspectors, days } = size;
    println!("{visits}x{inspectors}x{days}\t{first_plan:.5}\t{search:.4}\t{why:.5}\t{mebibytes}\t{passed}");
    Ok(())
}

/// The time that one of many takes: the clock of the processor's time is a coarse one.
fn seconds_each(one: impl Fn(usize) -> bool) -> Result<f64, String> {
    let start = processor_seconds()?;
    for run in 0.. {
        let took = processor_seconds()? - start;
        if took > 0.5 && run > 0 {
            return Ok(took / run as f64);
        }
        if !one(run) {
            return Err(format!("run {run} is not as expected"));
        }
    }
    Ok(0.0)
}

/// Processor time of this thread.
pub fn processor_seconds() -> Result<f64, String> {
    let path = "/proc/thread-self/schedstat";
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    nanoseconds.map(|nanoseconds| nanoseconds / 1e9).ok_or_else(|| format!("{path}: not a number"))
}

/// The most memory that this program has held.
pub fn peak_mebibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|word| word.parse::<u64>().ok());
    kib.unwrap_or(0) / 1_024
}

/// A panel: visits to the right, by factors; something upwards, by powers of ten.
struct Panel {
    left: f64,
    title: &'static str,
    /// The least and the largest power of ten upwards.
    powers: (i32, i32),
}

const WIDTH: f64 = 330.0;
const HEIGHT: f64 = 260.0;
const TOP: f64 = 60.0;
/// What the axis to the right spans, and what is written below it.
const VISITS: (f64, f64) = (45.0, 2_300.0);
const MARKS: [u32; 6] = [50, 100, 200, 500, 1_000, 2_000];

impl Panel {
    fn at(&self, visits: f64, value: f64) -> (f64, f64) {
        let right = (visits / VISITS.0).ln() / (VISITS.1 / VISITS.0).ln();
        let (least, most) = (f64::from(self.powers.0), f64::from(self.powers.1));
        // What is too little to be measured lies on the axis.
        let up = ((value.log10() - least) / (most - least)).max(0.0);
        (self.left + WIDTH * right, TOP + HEIGHT * (1.0 - up))
    }

    fn frame(&self, svg: &mut String) {
        let Self { left, title, powers } = self;
        line(svg, &format!(r#"<text class="title" x="{left}" y="{:.0}">{title}</text>"#, TOP - 16.0));
        for power in powers.0..=powers.1 {
            let value = 10.0_f64.powi(power);
            let (_, y) = self.at(VISITS.0, value);
            line(svg, &format!(r#"<path class="grid" d="M{left} {y:.1}h{WIDTH}"/>"#));
            let (x, y) = (left - 6.0, y + 4.0);
            line(svg, &format!(r#"<text class="end" x="{x}" y="{y:.1}">{value}</text>"#));
        }
        for visits in MARKS {
            let (x, _) = self.at(f64::from(visits), 1.0);
            line(svg, &format!(r#"<path class="grid" d="M{x:.1} {TOP}v{HEIGHT}"/>"#));
            let y = TOP + HEIGHT + 16.0;
            line(svg, &format!(r#"<text class="middle" x="{x:.1}" y="{y}">{visits}</text>"#));
        }
    }

    /// Draws a curve, and names it in a row of its own.
    fn curve(
        &self,
        svg: &mut String,
        (row, class, name): (f64, &str, &str),
        all: &[Taken],
        value: impl Fn(&Taken) -> f64,
    ) {
        let points: Vec<(f64, f64)> = all.iter().map(|taken| self.at(taken.visits, value(taken))).collect();
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        line(svg, &format!(r#"<polyline class="{class}" points="{}"/>"#, path.join(" ")));
        for (x, y) in &points {
            line(svg, &format!(r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="3"/>"#));
        }
        let (x, y) = (self.left + 10.0, TOP + 18.0 + 18.0 * row);
        let last = all.last().map_or(0.0, &value);
        let digits = if last < 1.0 { 3 } else { 1 };
        line(svg, &format!(r#"<path class="{class}" d="M{x} {y}h18"/>"#));
        let (x, y) = (x + 24.0, y + 4.0);
        line(svg, &format!(r#"<text x="{x}" y="{y}">{name}: {last:.digits$} at the largest</text>"#));
    }
}

fn line(svg: &mut String, text: &str) {
    svg.push_str(text);
    svg.push('\n');
}

fn drawing(all: &[Taken]) -> String {
    let mut svg = String::new();
    line(
        &mut svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 380" width="800" height="380">
<style>
text { font: 12px sans-serif; fill: #1b2430 } .title { font-size: 14px; font-weight: bold }
.end { text-anchor: end } .middle { text-anchor: middle }
.grid { stroke: #d9dfe5 } polyline { fill: none } polyline, path { stroke-width: 2 } .grid { stroke-width: 1 }
.search { stroke: #14507a } circle.search { fill: #14507a }
.first { stroke: #b3541e } circle.first { fill: #b3541e }
.why { stroke: #4f772d } circle.why { fill: #4f772d }
</style>
<rect width="800" height="380" fill="#fff"/>"##,
    );
    let time = Panel { left: 50.0, title: "Seconds of processor time", powers: (-4, 1) };
    time.frame(&mut svg);
    time.curve(&mut svg, (0.0, "search", "2,000 iterations"), all, |taken| taken.search_seconds);
    time.curve(&mut svg, (1.0, "first", "a first plan"), all, |taken| taken.first_seconds);
    time.curve(&mut svg, (2.0, "why", "reasons of a visit of two"), all, |taken| taken.why_seconds);
    let memory = Panel { left: 450.0, title: "MiB at most", powers: (0, 3) };
    memory.frame(&mut svg);
    memory.curve(&mut svg, (0.0, "search", "all of it"), all, |taken| taken.mebibytes);
    let below = TOP + HEIGHT + 38.0;
    for left in [time.left, memory.left] {
        let x = left + WIDTH / 2.0;
        line(
            &mut svg,
            &format!(r#"<text class="middle" x="{x}" y="{below}">visits of the programme</text>"#),
        );
    }
    line(&mut svg, "</svg>");
    svg
}
