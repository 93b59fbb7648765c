//! Reads the text format of Solomon's instances, which Gehring and Homberger's share.

use super::UNITS_PER_DISTANCE;

/// An instance, in units of [`UNITS_PER_DISTANCE`]. Node 0 is the depot.
#[derive(Debug, Clone)]
pub struct Instance {
    /// How many vehicles there are.
    pub vehicles: usize,
    /// What each of them holds.
    pub capacity: i64,
    /// Demand of each node.
    pub(super) demand: Vec<i64>,
    /// When service may start at the earliest, for each node.
    pub(super) ready: Vec<i32>,
    /// When it may start at the latest.
    pub(super) due: Vec<i32>,
    /// How long it takes.
    pub(super) service: Vec<i32>,
    /// Distance and time from node to node, row by row.
    pub(super) distance: Vec<i32>,
}

impl Instance {
    /// How many nodes there are, the depot among them.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.demand.len()
    }
}

/// Why a file is no instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong, and what was expected.
    pub what: &'static str,
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.what),
            line => write!(f, "line {line}: {}", self.what),
        }
    }
}

impl std::error::Error for ReadError {}

/// The most nodes of an instance: its distances are held as a square.
const MOST_NODES: usize = 5_000;

/// Reads an instance.
///
/// # Errors
///
/// The line that is not as the format has it.
pub fn read(text: &str) -> Result<Instance, ReadError> {
    let mut rows: Vec<(usize, Vec<f64>)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let numbers: Option<Vec<f64>> = line.split_whitespace().map(|word| word.parse().ok()).collect();
        match numbers {
            Some(numbers) if numbers.is_empty() => {}
            Some(numbers) => rows.push((index + 1, numbers)),
            // Titles and the instance's name; a row that is not numeric amid the customers is a fault.
            None if rows.len() < 2 => {}
            None => return Err(ReadError { line: index + 1, what: "a row of numbers was expected" }),
        }
    }
    let Some(((line, fleet), customers)) = rows.split_first() else {
        return Err(ReadError { line: 0, what: "no number of vehicles and capacity" });
    };
    let [vehicles, capacity] = fleet.as_slice() else {
        return Err(ReadError {
            line: *line,
            what: "the number of vehicles and their capacity were expected",
        });
    };
    if customers.is_empty() || customers.len() > MOST_NODES {
        return Err(ReadError { line: 0, what: "a depot and at most 4,999 customers were expected" });
    }
    let count = customers.len();
    let mut instance = Instance {
        vehicles: bounded(*line, *vehicles)? as usize,
        capacity: i64::from(bounded(*line, *capacity)?),
        demand: Vec::with_capacity(count),
        ready: Vec::with_capacity(count),
        due: Vec::with_capacity(count),
        service: Vec::with_capacity(count),
        distance: Vec::with_capacity(count * count),
    };
    let mut places = Vec::with_capacity(count);
    for (number, (line, row)) in customers.iter().enumerate() {
        let [id, x, y, demand, ready, due, service] = row.as_slice() else {
            return Err(ReadError { line: *line, what: "seven numbers were expected" });
        };
        if *id != number as f64 {
            return Err(ReadError { line: *line, what: "nodes must be numbered from 0 without a gap" });
        }
        if due < ready {
            return Err(ReadError { line: *line, what: "the window ends before it starts" });
        }
        instance.demand.push(i64::from(bounded(*line, *demand)?));
        instance.ready.push(scaled(*line, *ready)?);
        instance.due.push(scaled(*line, *due)?);
        instance.service.push(scaled(*line, *service)?);
        scaled(*line, x.abs())?;
        scaled(*line, y.abs())?;
        places.push((*x, *y));
    }
    for (x, y) in &places {
        for (to_x, to_y) in &places {
            let exact = ((x - to_x) * (x - to_x) + (y - to_y) * (y - to_y)).sqrt();
            // Up, so that nothing is in time here that is late in truth.
            instance.distance.push((exact * UNITS_PER_DISTANCE).ceil() as i32);
        }
    }
    Ok(instance)
}

/// A whole number from 0 to a million.
fn bounded(line: usize, number: f64) -> Result<i32, ReadError> {
    if (0.0..=1e6).contains(&number) && number.fract() == 0.0 {
        Ok(number as i32)
    } else {
        Err(ReadError { line, what: "whole numbers from 0 to 1,000,000 were expected" })
    }
}

/// A time or place in our units. Sums of four of them stay within 32 bits.
fn scaled(line: usize, number: f64) -> Result<i32, ReadError> {
    if (0.0..=40_000.0).contains(&number) {
        Ok((number * UNITS_PER_DISTANCE).round() as i32)
    } else {
        Err(ReadError { line, what: "times and places from 0 to 40,000 were expected" })
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    const HEAD: &str = "T1\n\nVEHICLE\nNUMBER CAPACITY\n 2 10\n\nCUSTOMER\nCUST NO. XCOORD.\n\n";

    #[test]
    fn an_instance_is_read_or_the_line_is_named() {
        let good = format!("{HEAD} 0 0 0 0 0 100 0\n 1 3 4 5 0 50 10\n");
        let instance = read(&good).unwrap();
        assert_eq!((instance.nodes(), instance.vehicles, instance.capacity), (2, 2, 10));
        assert_eq!(instance.distance, [0, 50_000, 50_000, 0]);
        for (rows, line) in [
            ("0 0 0 0 0 100 0\n1 3 4 5 60 50 10\n", 11),
            ("0 0 0 0 0 100 0\n1 3 4 5 0 50\n", 11),
            ("0 0 0 0 0 100 0\n2 3 4 5 0 50 10\n", 11),
            ("0 0 0 0 0 nan 0\n", 10),
            ("0 0 0 0 0 100 0\nEOF\n", 11),
            ("0 0 0 -1 0 100 0\n", 10),
        ] {
            assert_eq!(read(&format!("{HEAD}{rows}")).unwrap_err().line, line, "{rows}");
        }
        assert_eq!(read("").unwrap_err().line, 0);
        assert_eq!(read(HEAD).unwrap_err().line, 0);
    }
}
