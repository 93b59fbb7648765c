//! `visits`: what is on this device.

use endcheck_protocol::ids::VisitId;
use endcheck_protocol::time::Timestamp;
use serde::Serialize;

use crate::refusal::ExitStatus;
use crate::session::Session;
use crate::store::LocalState;
use crate::ui;

#[derive(Serialize)]
struct Line {
    visit: VisitId,
    state: LocalState,
    withdrawn: bool,
    /// What was recorded is sealed to headquarters, and the rest of the visit gone from this device.
    sealed: bool,
    site: String,
    country: String,
    address: Option<String>,
    window_start_at: Timestamp,
    window_end_at: Timestamp,
    time_zone: String,
    shipment: Option<String>,
    items: Option<u64>,
    reason: Option<String>,
}

pub(super) fn run(session: &mut Session<'_>) -> anyhow::Result<ExitStatus> {
    let held = session.store.visits()?;
    if held.is_empty() {
        session.ui.note("No visits on this device; fetch them with `endcheck pull`.");
    }
    for visit in held {
        let packet = visit.packet;
        let sealed = visit.state == LocalState::Sealed;
        let line = Line {
            visit: packet.visit.id,
            state: visit.state,
            withdrawn: packet.withdrawn,
            site: packet.visit.site_name,
            country: packet.visit.country,
            sealed,
            address: (!sealed).then_some(packet.site_address),
            window_start_at: packet.visit.window_start_at,
            window_end_at: packet.visit.window_end_at,
            time_zone: packet.visit.time_zone,
            shipment: (!sealed).then_some(packet.shipment.key),
            items: (!sealed).then_some(u64::try_from(packet.items.len())?),
            reason: (!sealed).then_some(packet.check_reason),
        };
        session.ui.report(&line, || {
            format!(
                "{}  {}{}  {} ({}), {} to {} UTC{}",
                line.visit,
                visit.state.as_str(),
                if line.withdrawn { ", withdrawn" } else { "" },
                line.site,
                line.country,
                line.window_start_at.utc().format("%Y-%m-%d %H:%M"),
                line.window_end_at.utc().format("%Y-%m-%d %H:%M"),
                line.items
                    .map(|items| format!(", {}", ui::count(items, "item", "items")))
                    .unwrap_or_default(),
            )
        });
    }
    Ok(ExitStatus::Success)
}
