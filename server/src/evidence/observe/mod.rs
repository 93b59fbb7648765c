//! What is odd about accepted records: pure, from the records and what headquarters knows.
//!
//! Nothing here refuses anything; a clock or a position that disagrees is written down as it is. One file
//! for each theme. What needs all records of a visit is in `offsets` and `gaps`.

mod camera;
mod chain;
mod clock;
mod enrolment;
mod gaps;
mod offsets;
mod place;
mod serial;
#[cfg(test)]
mod tests;
mod track;
mod travel;

use chrono::TimeDelta;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::UserId;
use endcheck_protocol::place::Fence;
use endcheck_protocol::record::Record;
use endcheck_protocol::sync::RecordKey;
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::Visit;

use super::findings::NewFinding;
use crate::accounts::Camera;

pub(super) use camera::{NOT_CHECKED as CAMERA_NOT_CHECKED, is_of};
pub(super) use gaps::{GAP, Hole, MISSING, filled, missing};
pub(super) use offsets::offsets;
pub(super) use serial::{SHORTEST_CHARS, Sighting, elsewhere};
pub(super) use track::{against as against_track, itself as track_itself};
pub(super) use travel::Fixed;
pub use travel::TravelLimits;

const METHOD: &str = "intake-2";

/// How far clocks may stand apart before it is worth a look.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// What headquarters knows when a record comes in.
pub(super) struct Context<'a> {
    pub visit: Option<&'a Visit>,
    /// The record that this one says it corrects, where it is held.
    pub corrected: Option<&'a Record>,
    /// The log's root at the size that the record's anchor names; absent where the log is shorter.
    pub root_at_anchor: Option<&'a Sha256>,
    pub fence: Option<&'a Fence>,
    /// Whose device it is.
    pub holder: &'a UserId,
    pub certificate_expires_at: Timestamp,
    pub key: Option<&'a RecordKey>,
    pub received_at: Timestamp,
    /// Whether the record that this one names as its predecessor is held.
    pub predecessor_held: bool,
    /// That record, where it was accepted.
    pub previous: Option<&'a Record>,
    /// Whether another record of the device has the same number.
    pub number_taken: bool,
    /// The device's fix in this record, and the fixes next to it: of this device by number, of the
    /// inspector's other devices by time.
    pub fixed: Option<&'a Fixed>,
    pub neighbours: &'a [Fixed],
    pub limits: TravelLimits,
    /// The cameras enrolled with the device.
    pub cameras: &'a [Camera],
}

/// Everything that is odd about `record`.
pub(super) fn observe(record: &Record, context: &Context<'_>) -> Vec<NewFinding> {
    let mut found = Vec::new();
    chain::chain(record, context, &mut found);
    chain::correction(record, context, &mut found);
    chain::anchor(record, context, &mut found);
    enrolment::enrolment(record, context, &mut found);
    enrolment::assignment(record, context, &mut found);
    clock::clock(record, context, &mut found);
    place::place(record, context, &mut found);
    if let Some(here) = context.fixed {
        found.extend(
            context.neighbours.iter().filter_map(|other| travel::between(here, other, context.limits)),
        );
    }
    camera::camera(record, context, &mut found);
    found
}

/// What is to be said at each of two places where one serial was read.
pub(super) fn seen_elsewhere(serial: &str, here: &Sighting, other: &Sighting) -> NewFinding {
    serial::seen_elsewhere(serial, here, other)
}
