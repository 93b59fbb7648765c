//! The table of results, for people and for programs.

use serde_json::{Value, json};

/// One figure beside what it is measured against.
#[derive(Debug)]
pub struct Row {
    pub figure: String,
    pub ours: String,
    pub peer: String,
    pub ratio: String,
    pub goal: String,
    /// Absent where the row has no goal and only explains another.
    pub met: Option<bool>,
}

impl Row {
    pub fn new(figure: impl Into<String>, ours: impl Into<String>, peer: impl Into<String>) -> Self {
        Self {
            figure: figure.into(),
            ours: ours.into(),
            peer: peer.into(),
            ratio: String::new(),
            goal: String::new(),
            met: None,
        }
    }

    /// A goal that `value`, shown as `ratio`, must reach.
    pub fn at_least(mut self, value: f64, goal: f64) -> Self {
        self.ratio = format!("{value:.2}×");
        self.goal = format!("≥ {goal}×");
        self.met = Some(value >= goal);
        self
    }

    /// A goal that `value`, shown as `ratio`, must not pass.
    pub fn at_most(mut self, value: f64, goal: f64) -> Self {
        self.ratio = format!("{value:.3}×");
        self.goal = format!("≤ {goal}×");
        self.met = Some(value <= goal);
        self
    }

    /// A goal in the figure's own unit.
    pub fn within(mut self, value: f64, goal: f64, unit: &str) -> Self {
        self.goal = format!("≤ {goal} {unit}");
        self.met = Some(value <= goal);
        self
    }

    /// A ratio that no goal hangs on.
    pub fn ratio(mut self, value: f64) -> Self {
        self.ratio = format!("{value:.2}×");
        self
    }

    fn verdict(&self) -> &'static str {
        match self.met {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None => "–",
        }
    }

    fn cells(&self) -> [&str; 6] {
        [&self.figure, &self.ours, &self.peer, &self.ratio, &self.goal, self.verdict()]
    }
}

const HEADINGS: [&str; 6] = ["figure", "ours", "peer or limit", "ratio", "goal", "verdict"];

/// The rows as a Markdown table with aligned columns.
pub fn printed(rows: &[Row]) -> String {
    let lines: Vec<[&str; 6]> = std::iter::once(HEADINGS).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            text.push_str(&format!("| {cell:width$} "));
        }
        text.push_str("|\n");
        if number == 0 {
            for width in &widths {
                text.push_str(&format!("|{}", "-".repeat(width + 2)));
            }
            text.push_str("|\n");
        }
    }
    text
}

/// The rows as JSON.
pub fn document(rows: &[Row]) -> Value {
    rows.iter()
        .map(|row| {
            json!({ "figure": row.figure, "ours": row.ours, "peer": row.peer, "ratio": row.ratio,
                    "goal": row.goal, "met": row.met })
        })
        .collect()
}

#[expect(clippy::print_stdout, reason = "telling is what it does")]
pub fn say(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_judged_on_the_right_side() {
        let row = || Row::new("f", "1", "2");
        assert_eq!(row().at_least(2.0, 1.5).met, Some(true));
        assert_eq!(row().at_most(1.6, 1.5).met, Some(false));
        assert_eq!(row().within(5.0, 5.0, "ms").met, Some(true));
        assert_eq!(row().ratio(3.0).met, None);
        assert!(printed(&[row()]).lines().all(|line| line.starts_with('|') && line.ends_with('|')));
    }
}
