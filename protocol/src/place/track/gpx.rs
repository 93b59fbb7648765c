//! GPX 1.0 and 1.1, as far as tracks go: positions and times of `trkpt`, nothing else.
//!
//! Entities are never expanded, a document type is refused before it is read, and nothing is kept of the file
//! but its points.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{MAX_POINTS, Track, TrackFormat, TrackPoint, TrackRefusal};
use crate::place::fix::accuracy_mm;
use crate::place::nmea::RANGE_ERROR_M;
use crate::place::position::{Position, plain_decimal};
use crate::time::Timestamp;

/// GPX is five deep; extensions are given some more.
const MAX_DEPTH: usize = 64;
/// The longest text that a time or a number is.
const MAX_TEXT_CHARS: usize = 64;

/// A `trkpt` under way.
struct Open {
    /// Depth of its children.
    depth: usize,
    position: Option<Position>,
    at: Option<Timestamp>,
    hdop: Option<f64>,
}

/// A child of a `trkpt` whose text counts.
#[derive(Clone, Copy)]
enum Field {
    Time,
    Hdop,
}

struct Walk {
    track: Track,
    depth: usize,
    segment: u32,
    open: Option<Open>,
    field: Option<(Field, String)>,
}

pub(super) fn read(bytes: &[u8]) -> Result<Track, TrackRefusal> {
    let text = std::str::from_utf8(bytes).map_err(|_| TrackRefusal::NotUtf8)?;
    let mut reader = Reader::from_str(text);
    let mut walk = Walk {
        track: Track { format: TrackFormat::Gpx, points: Vec::new(), untimed: 0, rejected: 0 },
        depth: 0,
        segment: 0,
        open: None,
        field: None,
    };
    let line_at = |position: u64| {
        let read = usize::try_from(position).ok().and_then(|end| bytes.get(..end)).unwrap_or(bytes);
        read.iter().filter(|byte| **byte == b'\n').count() as u64 + 1
    };
    loop {
        let event = reader.read_event().map_err(|error| TrackRefusal::NotWellFormed {
            line: line_at(reader.error_position()),
            problem: error.to_string().chars().take(200).collect(),
        })?;
        match event {
            Event::DocType(_) => {
                return Err(TrackRefusal::DoctypeNotAllowed { line: line_at(reader.buffer_position()) });
            }
            Event::Start(tag) => {
                walk.start(&tag)?;
                if walk.depth > MAX_DEPTH {
                    return Err(TrackRefusal::TooDeep {
                        line: line_at(reader.buffer_position()),
                        limit: MAX_DEPTH,
                    });
                }
            }
            Event::Empty(tag) => {
                walk.start(&tag)?;
                walk.end()?;
            }
            Event::End(_) => walk.end()?,
            Event::Text(text) => walk.text(&text),
            Event::CData(text) => walk.text(&text),
            // What an entity stands for is not asked: it makes the text no time and no number.
            Event::GeneralRef(_) => walk.text("&"),
            Event::Eof if walk.depth > 0 => {
                return Err(TrackRefusal::NotWellFormed {
                    line: line_at(reader.buffer_position()),
                    problem: "the file ends inside an element".to_owned(),
                });
            }
            Event::Eof => return Ok(walk.track),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

impl Walk {
    fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), TrackRefusal> {
        let local = tag.local_name();
        let name: &str = local.as_ref();
        if self.depth == 0 && name != "gpx" {
            return Err(TrackRefusal::NotGpx { name: name.chars().take(40).collect() });
        }
        self.depth += 1;
        match (&self.open, name) {
            (None, "trkseg") => self.segment = self.segment.saturating_add(1),
            (None, "trkpt") => {
                self.open = Some(Open { depth: self.depth, position: position(tag), at: None, hdop: None });
            }
            (Some(open), "time") if self.depth == open.depth + 1 => {
                self.field = Some((Field::Time, String::new()));
            }
            (Some(open), "hdop") if self.depth == open.depth + 1 => {
                self.field = Some((Field::Hdop, String::new()));
            }
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if let Some((_, kept)) = &mut self.field {
            let room = MAX_TEXT_CHARS.saturating_sub(kept.len());
            kept.extend(text.chars().take(room));
        }
    }

    fn end(&mut self) -> Result<(), TrackRefusal> {
        self.depth = self.depth.saturating_sub(1);
        let Some(open) = &mut self.open else { return Ok(()) };
        if self.depth == open.depth {
            match self.field.take() {
                Some((Field::Time, text)) => open.at = time(text.trim()),
                Some((Field::Hdop, text)) => open.hdop = plain_decimal(&text).ok(),
                None => {}
            }
        } else if self.depth < open.depth
            && let Some(open) = self.open.take()
        {
            self.close(&open)?;
        }
        Ok(())
    }

    fn close(&mut self, open: &Open) -> Result<(), TrackRefusal> {
        match (open.position, open.at) {
            (None, _) => self.track.rejected += 1,
            (Some(_), None) => self.track.untimed += 1,
            (Some(_), Some(_)) if self.track.points.len() >= MAX_POINTS => {
                return Err(TrackRefusal::TooManyPoints);
            }
            (Some(position), Some(at)) => self.track.points.push(TrackPoint {
                at,
                position,
                accuracy_mm: open.hdop.and_then(|hdop| accuracy_mm(hdop * RANGE_ERROR_M)),
                segment: self.segment.saturating_sub(1),
            }),
        }
        Ok(())
    }
}

fn position(tag: &BytesStart<'_>) -> Option<Position> {
    let mut lat = None;
    let mut lon = None;
    // Without the check for doubles, whose cost grows with the square of their number: the first counts.
    for attribute in tag.attributes().with_checks(false).flatten() {
        match attribute.key.as_ref() {
            "lat" => lat = lat.or(Some(attribute.value)),
            "lon" => lon = lon.or(Some(attribute.value)),
            _ => {}
        }
    }
    Position::from_degrees_text(&lat?, &lon?).ok()
}

/// An instant; GPX says that times are UTC, so one without an offset is.
fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| format!("{text}Z").parse().ok())
}
