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
    site: String,
    country: String,
    address: String,
    window_start_at: Timestamp,
    window_end_at: Timestamp,
    time_zone: String,
    shipment: String,
    items: u64,
    reason: String,
}

pub(super) fn run(session: &mut Session<'_>) -> anyhow::Result<ExitStatus> {
    let held = session.store.visits()?;
    if held.is_empty() {
        session.ui.note("No visits on this device; fetch them with `endcheck pull`.");
    }
    for visit in held {
        let packet = visit.packet;
        let line = Line {
            visit: packet.visit.id,
            state: visit.state,
            withdrawn: packet.withdrawn,
            site: packet.visit.site_name,
            country: packet.visit.country,
            address: packet.site_address,
            window_start_at: packet.visit.window_start_at,
            window_end_at: packet.visit.window_end_at,
            time_zone: packet.visit.time_zone,
            shipment: packet.shipment.key,
            items: u64::try_from(packet.items.len())?,
            reason: packet.check_reason,
        };
        session.ui.report(&line, || {
            format!(
                "{}  {}{}  {} ({}), {} to {} UTC, {}",
                line.visit,
                line.state.as_str(),
                if line.withdrawn { ", withdrawn" } else { "" },
                line.site,
                line.country,
                line.window_start_at.utc().format("%Y-%m-%d %H:%M"),
                line.window_end_at.utc().format("%Y-%m-%d %H:%M"),
                ui::count(line.items, "item", "items"),
            )
        });
    }
    Ok(ExitStatus::Success)
}
