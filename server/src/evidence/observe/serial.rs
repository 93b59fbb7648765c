//! A serial that was read before, at another place.

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{SiteId, VisitId};
use endcheck_protocol::place::Position;
use endcheck_protocol::time::Timestamp;
use serde_json::json;

use super::METHOD;
use super::place::metres;
use crate::evidence::findings::{NewFinding, Weight};

/// Serials shorter than this, without blanks and dashes, name too many things to be compared.
pub(in crate::evidence) const SHORTEST_CHARS: usize = 4;

/// A serial that was read, somewhere.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::evidence) struct Sighting {
    pub record: Sha256,
    pub visit: Option<VisitId>,
    pub site: Option<SiteId>,
    pub site_name: Option<String>,
    /// Where the device was, by its own fix.
    pub position: Option<Position>,
    pub seen_at: Timestamp,
}

/// Whether both were at places that differ, as far as is known.
pub(in crate::evidence) fn elsewhere(one: &Sighting, other: &Sighting) -> bool {
    one.site.is_some() && other.site.is_some() && one.site != other.site
}

/// What is to be said of `here`, given that the serial was also read at `other`.
pub(super) fn seen_elsewhere(serial: &str, here: &Sighting, other: &Sighting) -> NewFinding {
    let distance_m = here.position.zip(other.position).map(|(one, other)| one.distance_m(other));
    let apart = distance_m
        .map_or_else(String::new, |distance_m| format!(", {} away", metres((distance_m * 1000.0) as i64)));
    let days = here.seen_at.since(other.seen_at).num_days();
    let when = match days {
        0 => "within a day".to_owned(),
        days if days > 0 => format!("{days} days before"),
        days => format!("{} days after", -days),
    };
    let where_to = other.site_name.as_deref().unwrap_or("another site");
    NewFinding {
        signal: "serial-seen-elsewhere",
        weight: Weight::Look,
        summary: format!("The same serial was read at {where_to}{apart}, {when}."),
        values: json!({
            "serial": serial, "seen_at": here.seen_at, "position": here.position,
            "other_record": other.record, "other_visit": other.visit, "other_site": other.site,
            "other_site_name": other.site_name, "other_seen_at": other.seen_at, "other_position": other.position,
            "distance_m": distance_m.map(|distance_m| distance_m.round() as i64),
        }),
        uncertainty:
            "case, blanks and dashes do not count; 0 and O are different; dates are the devices' own"
                .to_owned(),
        explanations: "The item was moved with permission; two makers use the same number; one of the plates was \
                       misread.",
        method: METHOD,
    }
}
