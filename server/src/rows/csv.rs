//! CSV: a header, then a row each; or several rows a thing, its own columns repeated.

use std::borrow::Cow;

use serde_json::Value;

use super::faults::{Faults, Place};
use super::lines::LineCounter;
use super::{Cell, MAX_ROWS, Part, Row, Shape};

/// What a column of the file is for.
#[derive(Clone, PartialEq)]
enum Use {
    Own(&'static str),
    /// Says which kind of part a row carries.
    Kind,
    /// The position of the part in the shape, and the field.
    Part(usize, Cow<'static, str>),
}

/// The cells of a thing's own columns, in the order of the shape.
type OwnCells = Vec<(&'static str, String)>;

/// A thing whose rows are still coming.
struct Open {
    key: String,
    line: u64,
    own: OwnCells,
    parts: Vec<Vec<Row>>,
}

pub(super) fn read(text: &str, shape: &Shape, faults: &mut Faults, sink: &mut dyn FnMut(Row, &mut Faults)) {
    let mut reader =
        ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut lines = LineCounter::new(text);
    let mut record = ::csv::StringRecord::new();
    let mut columns: Option<Vec<Use>> = None;
    let mut open: Option<Open> = None;
    let mut rows = 0_usize;
    loop {
        let offset = usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                faults.add(&Place::line(lines.line_at(offset)), "file", error.to_string());
                break;
            }
        }
        let line = lines.line_at(offset);
        let Some(columns) = &columns else {
            match header(&record, line, shape, faults) {
                Some(found) => columns = Some(found),
                None => return,
            }
            continue;
        };
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        rows += 1;
        if rows > MAX_ROWS {
            faults.add(&Place::line(line), "file", format!("has more than {MAX_ROWS} rows; split it"));
            break;
        }
        if record.len() != columns.len() {
            let reason = format!(
                "the row has {} cells, the header {}; a comma within a cell needs quotes around it",
                record.len(),
                columns.len()
            );
            faults.add(&Place::line(line), "row", reason);
            continue;
        }
        let (own, part) = take(columns, &record, line, shape, faults);
        if shape.parts.is_empty() {
            sink(row(line, own), faults);
            continue;
        }
        let key = own.first().map_or("", |(_, value)| value.as_str());
        if open.as_ref().is_none_or(|open| open.key != key) {
            if let Some(done) = open.take() {
                sink(done.finish(shape), faults);
            }
            let parts = shape.parts.iter().map(|_| Vec::new()).collect();
            open = Some(Open { key: key.to_owned(), line, own, parts });
        } else if let Some(open) = &open
            && let Some((name, _)) =
                open.own.iter().zip(&own).find(|(first, this)| first != this).map(|(_, t)| t)
        {
            let reason = format!("differs from line {}, where this {} begins", open.line, shape.thing);
            faults.add(&Place::line(line), name, reason);
        }
        if let (Some(open), Some((which, part))) = (&mut open, part)
            && let Some(parts) = open.parts.get_mut(which)
        {
            parts.push(part);
        }
    }
    if columns.is_none() {
        faults.add(&Place::line(1), "file", "is empty; the first line names the columns");
    }
    if let Some(done) = open {
        sink(done.finish(shape), faults);
    }
}

impl Open {
    fn finish(self, shape: &Shape) -> Row {
        let mut row = row(self.line, self.own);
        for (part, rows) in shape.parts.iter().zip(self.parts) {
            row.cells.push((Cow::Borrowed(part.list), Cell::Parts(rows)));
        }
        row
    }
}

fn row(line: u64, own: OwnCells) -> Row {
    let cells = own.into_iter().filter(|(_, value)| !value.is_empty());
    Row {
        place: Place::line(line),
        csv: true,
        cells: cells.map(|(name, value)| (Cow::Borrowed(name), Cell::Value(Value::String(value)))).collect(),
    }
}

/// What each column is for; nothing when one is unknown, missing or twice there.
fn header(record: &::csv::StringRecord, line: u64, shape: &Shape, faults: &mut Faults) -> Option<Vec<Use>> {
    let place = Place::line(line);
    let before = faults.count();
    let mut columns: Vec<Use> = Vec::new();
    for name in record.iter().map(str::trim) {
        match column(name, shape) {
            Some(found) if columns.contains(&found) => faults.add(&place, name, "the column is there twice"),
            Some(found) => columns.push(found),
            None if record.len() == 1 && name.contains(';') => {
                faults.add(&place, "file", "columns are separated by commas, not by semicolons");
                return None;
            }
            None => {
                faults.add(
                    &place,
                    name,
                    format!("is not a column of a {}; expected {}", shape.thing, names(shape)),
                );
            }
        }
    }
    for wanted in shape.columns.iter().filter(|column| column.required) {
        if !columns.contains(&Use::Own(wanted.name)) {
            faults.add(&place, wanted.name, "the column is missing");
        }
    }
    if shape.parts.len() > 1 && !columns.contains(&Use::Kind) {
        faults.add(&place, "row", format!("the column is missing; it says {}", kinds(shape)));
    }
    (faults.count() == before).then_some(columns)
}

fn column(name: &str, shape: &Shape) -> Option<Use> {
    if let Some(own) = shape.columns.iter().find(|column| column.name == name) {
        return Some(Use::Own(own.name));
    }
    if name == "row" && shape.parts.len() > 1 {
        return Some(Use::Kind);
    }
    shape.parts.iter().enumerate().find_map(|(which, part)| {
        part.columns.iter().find_map(|(column, field)| match column.strip_suffix('*') {
            Some(prefix) => (name.len() > prefix.len() && name.starts_with(prefix))
                .then(|| Use::Part(which, Cow::Owned(name.to_owned()))),
            None => (*column == name).then_some(Use::Part(which, Cow::Borrowed(*field))),
        })
    })
}

fn names(shape: &Shape) -> String {
    let own = shape.columns.iter().map(|column| column.name);
    let kind = (shape.parts.len() > 1).then_some("row");
    let parts = shape.parts.iter().flat_map(|part| part.columns.iter().map(|(column, _)| *column));
    own.chain(kind).chain(parts).collect::<Vec<_>>().join(", ")
}

fn kinds(shape: &Shape) -> String {
    shape.parts.iter().map(|part| part.row).collect::<Vec<_>>().join(" or ")
}

/// The thing's own cells, in the order of the shape, and the part that the row carries, if any.
fn take(
    columns: &[Use],
    record: &::csv::StringRecord,
    line: u64,
    shape: &Shape,
    faults: &mut Faults,
) -> (OwnCells, Option<(usize, Row)>) {
    let place = Place::line(line);
    let cells = || columns.iter().zip(record.iter().map(str::trim));
    let own = shape
        .columns
        .iter()
        .map(|column| {
            let cell = cells().find(|(used, _)| **used == Use::Own(column.name));
            (column.name, cell.map_or_else(String::new, |(_, value)| value.to_owned()))
        })
        .collect();
    let which = match shape.parts {
        [] => None,
        [_] => Some(0),
        several => {
            let kind = cells().find(|(used, _)| **used == Use::Kind).map_or("", |(_, value)| value);
            let which = several.iter().position(|part| part.row == kind);
            if which.is_none() {
                faults.add(&place, "row", format!("{kind:?} is not {}", kinds(shape)));
            }
            which
        }
    };
    let Some(which) = which else { return (own, None) };
    let mut part = Row { place: place.clone(), csv: true, cells: Vec::new() };
    for (used, value) in cells() {
        if let Use::Part(of, field) = used
            && !value.is_empty()
        {
            let shared = shape.parts.get(which).is_some_and(|part: &Part| has(part, field));
            if *of == which || shared {
                part.cells.push((field.clone(), Cell::Value(Value::String(value.to_owned()))));
            } else {
                faults.add(
                    &place,
                    field,
                    format!("is empty on a row that is not of kind {}", kind_of(shape, *of)),
                );
            }
        }
    }
    let carried = !part.cells.is_empty() || shape.parts.len() > 1;
    (own, carried.then_some((which, part)))
}

fn has(part: &Part, field: &str) -> bool {
    part.columns.iter().any(|(_, name)| *name == field)
}

fn kind_of(shape: &Shape, which: usize) -> &'static str {
    shape.parts.get(which).map_or("", |part| part.row)
}
