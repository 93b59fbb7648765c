//! The device's clocks against each other and against the server's, one record at a time.

use chrono::TimeDelta;
use endcheck_protocol::record::{Act, Record};
use serde_json::json;

use super::{CLOCK_TOLERANCE, Context, METHOD};
use crate::evidence::findings::{NewFinding, Weight};

/// What clocks drift and are steered by between two records.
const DRIFT: TimeDelta = TimeDelta::seconds(2);
/// From this age on it is said that a record came in late.
const LATE: TimeDelta = TimeDelta::hours(72);

pub(super) fn clock(record: &Record, context: &Context<'_>, found: &mut Vec<NewFinding>) {
    ahead(record, context, found);
    satellites(record, found);
    rollback(record, context.previous, found);
    behind_server(record, found);
    late(record, context, found);
}

fn ahead(record: &Record, context: &Context<'_>, found: &mut Vec<NewFinding>) {
    let ahead = record.clock.device_at.since(context.received_at);
    if ahead > CLOCK_TOLERANCE {
        found.push(NewFinding {
            signal: "clock-ahead",
            weight: Weight::Look,
            summary: format!(
                "The device's clock was {} s ahead of headquarters' when the record came in.",
                ahead.num_seconds()
            ),
            values: json!({ "device_at": record.clock.device_at, "received_at": context.received_at }),
            uncertainty: "the server's clock is taken as right; up to 5 min ahead is let pass".to_owned(),
            explanations: "The device's clock was set by hand.",
            method: METHOD,
        });
    }
}

fn satellites(record: &Record, found: &mut Vec<NewFinding>) {
    let Some(gnss_at) = record.clock.gnss_at else { return };
    let age_ms = record.place.as_ref().and_then(|fix| fix.fix_age_ms).unwrap_or(0);
    let apart = record.clock.device_at.since(gnss_at).abs();
    let fresh = (record.clock.device_at.since(gnss_at) - milliseconds(age_ms)).abs();
    if apart.min(fresh) > CLOCK_TOLERANCE {
        found.push(NewFinding {
            signal: "clock-against-satellites",
            weight: Weight::Look,
            summary: format!("Device clock and satellite time are {} s apart.", apart.num_seconds()),
            values: json!({ "device_at": record.clock.device_at, "gnss_at": gnss_at, "fix_age_ms": age_ms }),
            uncertainty: "the fix may be older than its source said; up to 5 min is let pass".to_owned(),
            explanations: "The fix was old when it was used, or the device's clock was set by hand.",
            method: METHOD,
        });
    }
}

/// Against the record before it in the chain.
fn rollback(record: &Record, previous: Option<&Record>, found: &mut Vec<NewFinding>) {
    let Some(previous) = previous else { return };
    let shown = record.clock.device_at.since(previous.clock.device_at);
    let running = (!record.boot.is_empty() && record.boot == previous.boot)
        .then(|| Some((count(&previous.monotonic_ns)?, count(&record.monotonic_ns)?)))
        .flatten();
    let values = json!({
        "device_at": record.clock.device_at, "device_at_before": previous.clock.device_at,
        "boot": record.boot, "boot_before": previous.boot,
        "monotonic_ns": record.monotonic_ns, "monotonic_ns_before": previous.monotonic_ns,
    });
    if let Some((before_ns, now_ns)) = running
        && now_ns < before_ns
    {
        found.push(NewFinding {
            signal: "running-time-rollback",
            weight: Weight::Contradiction,
            summary: format!(
                "Within one boot the device counted {} s less than at the record before it, number {}.",
                (before_ns - now_ns) / 1_000_000_000,
                previous.seq
            ),
            values,
            uncertainty: "none: the count of one boot only grows".to_owned(),
            explanations: "The device is a virtual machine that was set back to an earlier state.",
            method: METHOD,
        });
        return;
    }
    let said = matches!(record.act, Act::ClockSet { .. });
    if shown < -DRIFT {
        found.push(NewFinding {
            signal: "clock-rollback",
            weight: if said { Weight::Info } else { Weight::Look },
            summary: format!(
                "The device's clock went back by {} s since the record before it, number {}{}.",
                -shown.num_seconds(),
                previous.seq,
                if said { "; the device says so itself" } else { "" }
            ),
            values,
            uncertainty: "up to 2 s is let pass".to_owned(),
            explanations: "The clock was wrong and was set right; the device was started without a battery for its \
                           clock.",
            method: METHOD,
        });
    } else if let Some((before_ns, now_ns)) = running
        && now_ns > before_ns
        && !said
    {
        let elapsed = TimeDelta::nanoseconds(i64::try_from(now_ns - before_ns).unwrap_or(i64::MAX));
        let moved = shown - elapsed;
        if moved.abs() > DRIFT.max(elapsed / 500) {
            found.push(NewFinding {
                signal: "clock-moved-unsaid",
                weight: Weight::Look,
                summary: format!(
                    "Within one boot the clock moved by {} s against the time that went by, and no record says so.",
                    moved.num_seconds()
                ),
                values,
                uncertainty: "2 s, or a 500th of the time between both, is let pass".to_owned(),
                explanations: "The device slept in a way that stops its count of running time.",
                method: METHOD,
            });
        }
    }
}

/// Against the last time that the device itself heard from the server.
fn behind_server(record: &Record, found: &mut Vec<NewFinding>) {
    let Some(server) = &record.clock.server else { return };
    let round_trip = milliseconds(i64::try_from(server.round_trip_ms).unwrap_or(i64::MAX));
    let running = (!server.boot.is_empty() && server.boot == record.boot)
        .then(|| Some((count(&server.heard_monotonic_ns)?, count(&record.monotonic_ns)?)))
        .flatten()
        .and_then(|(heard_ns, now_ns)| i64::try_from(now_ns.checked_sub(heard_ns)?).ok());
    let expected = server.at.plus(running.map_or(TimeDelta::zero(), TimeDelta::nanoseconds));
    let apart = record.clock.device_at.since(expected);
    let allowed = CLOCK_TOLERANCE + round_trip;
    // In another boot the server's time is a lower bound only.
    let wrong = if running.is_some() { apart.abs() > allowed } else { apart < -allowed };
    if wrong {
        found.push(NewFinding {
            signal: "clock-against-server",
            weight: Weight::Look,
            summary: format!(
                "The device's clock was {} s {} than the server's time that it had heard makes it.",
                apart.num_seconds().abs(),
                if apart < TimeDelta::zero() { "earlier" } else { "later" }
            ),
            values: json!({
                "device_at": record.clock.device_at, "server_at": server.at, "expected_at": expected,
                "same_boot": running.is_some(), "round_trip_ms": server.round_trip_ms,
            }),
            uncertainty: format!(
                "the answer was under way for up to {} ms; up to 5 min is let pass",
                server.round_trip_ms
            ),
            explanations: "The device's clock is wrong, or was set by hand after the last sync.",
            method: METHOD,
        });
    }
}

fn late(record: &Record, context: &Context<'_>, found: &mut Vec<NewFinding>) {
    let waited = context.received_at.since(record.clock.device_at);
    if waited > LATE {
        found.push(NewFinding {
            signal: "came-late",
            weight: Weight::Info,
            summary: format!(
                "It came in more than {} days after it was made by the device's clock.",
                LATE.num_days()
            ),
            values: json!({
                "device_at": record.clock.device_at, "received_at": context.received_at,
                "waited_hours": waited.num_hours(),
            }),
            uncertainty: "the device's clock is believed as it is".to_owned(),
            explanations: "The device was out of reach of a network; the device's clock is behind.",
            method: METHOD,
        });
    }
}

fn count(nanoseconds: &str) -> Option<u64> {
    nanoseconds.parse().ok()
}

fn milliseconds(count: i64) -> TimeDelta {
    TimeDelta::try_milliseconds(count).unwrap_or(TimeDelta::MAX)
}
