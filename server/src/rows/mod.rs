//! Rows of programme data, from CSV, JSON or GeoJSON, and the taking of typed fields from them.
//!
//! Every row is looked at and every fault is kept with its line; nothing here knows what a row
//! means or touches the database.

pub mod countries;
mod csv;
mod faults;
mod fields;
mod json;
mod lines;

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

pub use faults::{Faults, MAX_LISTED, Place};
pub use fields::Fields;

use crate::error::Result;

/// A file may have this many bytes.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// And this many rows: an import holds the write lock while it writes, some seconds for so many.
pub const MAX_ROWS: usize = 100_000;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Csv,
    /// An array of objects, or a GeoJSON FeatureCollection.
    Json,
}

/// What the rows of one kind look like.
pub struct Shape {
    /// What a row is, in messages: `party`.
    pub thing: &'static str,
    /// Whether the JSON form is GeoJSON: the properties of features, and the field `geometry`.
    pub features: bool,
    /// The columns of the thing itself. The first holds its key.
    pub columns: &'static [Column],
    /// Kinds of parts that rows of CSV carry, the columns of the thing repeated. With more than one,
    /// the column `row` says which.
    pub parts: &'static [Part],
}

/// A column of CSV.
pub struct Column {
    pub name: &'static str,
    pub required: bool,
}

/// What a thing is made of: the items of a shipment.
pub struct Part {
    /// The list in the JSON form, such as `items`.
    pub list: &'static str,
    /// What the column `row` says, where there are several kinds.
    pub row: &'static str,
    /// Column in CSV and field in JSON; a name that ends in `*` stands for all that begin so.
    pub columns: &'static [(&'static str, &'static str)],
}

/// One row: where it stands, and its fields by name.
#[derive(Debug)]
pub struct Row {
    pub place: Place,
    /// In CSV every value is text, lists are separated by `;`.
    pub csv: bool,
    pub cells: Vec<(Cow<'static, str>, Cell)>,
}

#[derive(Debug)]
pub enum Cell {
    Value(Value),
    /// Parts that stood on rows of their own.
    Parts(Vec<Row>),
}

/// Something read, and where it stood.
#[derive(Debug, PartialEq)]
pub struct Placed<T> {
    pub place: Place,
    pub value: T,
}

/// Reads every row of `bytes` and has each parsed. What could be read is returned beside the faults,
/// so that references can be checked as well.
pub fn read<T>(
    bytes: &[u8],
    format: Format,
    shape: &Shape,
    parse: impl Fn(Row, &mut Faults) -> Option<Placed<T>>,
) -> (Vec<Placed<T>>, Faults) {
    let mut faults = Faults::default();
    let mut placed = Vec::new();
    let text = lines::decode(bytes, &mut faults);
    if format == Format::Json && faults.count() > 0 {
        faults.not_json();
    }
    let mut sink = |row: Row, faults: &mut Faults| placed.extend(parse(row, faults));
    match format {
        Format::Csv => csv::read(&text, shape, &mut faults, &mut sink),
        Format::Json => json::read(&text, shape, &mut faults, &mut sink),
    }
    (placed, faults)
}

/// Reads the one JSON object (or GeoJSON feature) of a request. Takes its time: call it where
/// blocking is allowed.
///
/// # Errors
/// 400 `malformed-json`; 422 with every fault.
pub fn read_one<T>(
    bytes: &[u8],
    shape: &Shape,
    parse: impl Fn(Row, &mut Faults) -> Option<Placed<T>>,
) -> Result<Placed<T>> {
    let mut faults = Faults::default();
    let text = lines::decode(bytes, &mut faults);
    if faults.count() > 0 {
        faults.not_json();
    }
    let placed =
        json::one(&text, Place::default(), shape, &mut faults).and_then(|row| parse(row, &mut faults));
    faults.into_result()?;
    placed.ok_or_else(|| crate::error::Error::malformed("malformed-json", "The body holds nothing to add."))
}

/// What an import did.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Imported {
    pub added: u64,
    pub changed: u64,
    pub unchanged: u64,
    /// What was changed, the first thousand.
    pub changes: Vec<Change>,
}

/// Fields of one thing that now read differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Change {
    pub key: String,
    pub fields: Vec<String>,
}

impl Imported {
    /// Counts a thing that was there, by the fields in which it differs.
    pub fn held(&mut self, key: &str, fields: &[&str]) {
        if fields.is_empty() {
            self.unchanged += 1;
            return;
        }
        self.changed += 1;
        if self.changes.len() < MAX_LISTED {
            let fields = fields.iter().map(|field| (*field).to_owned()).collect();
            self.changes.push(Change { key: key.to_owned(), fields });
        }
    }
}

/// Names every key that stands twice, with both places.
pub fn unique_keys<T>(rows: &[Placed<T>], faults: &mut Faults, key: impl Fn(&T) -> &str) {
    let mut first: HashMap<&str, &Place> = HashMap::with_capacity(rows.len());
    for row in rows {
        let this = key(&row.value);
        if let Some(place) = first.get(this) {
            let place = place.line.map_or_else(String::new, |line| format!(" on line {line}"));
            faults.add(&row.place, "key", format!("{this} stands in this file already{place}"));
        } else {
            first.insert(this, &row.place);
        }
    }
}

/// The names of those fields in which two values differ.
macro_rules! differing {
    ($old:expr, $new:expr; $($field:ident),+ $(,)?) => {{
        let mut fields: Vec<&'static str> = Vec::new();
        $(if $old.$field != $new.$field { fields.push(stringify!($field)); })+
        fields
    }};
}
pub(crate) use differing;
