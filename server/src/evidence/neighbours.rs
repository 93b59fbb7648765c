//! Rows copied from records to find what lies next to a record: fixes and serials. Written once with the
//! record, never changed.

use diesel::prelude::*;
use endcheck_protocol::checklist::serial_key;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{DeviceId, SiteId, UserId, VisitId};
use endcheck_protocol::place::Position;
use endcheck_protocol::record::{Act, Record};
use endcheck_protocol::time::Timestamp;

use super::observe::{Fixed, SHORTEST_CHARS, Sighting};
use crate::db::schema::{device_fixes, item_sightings, sites, visits};
use crate::db::{Conn, MultiBackend};
use crate::error::Result;

/// Sightings that one new sighting is compared with at most, the newest ones.
const MOST_SIGHTINGS: i64 = 50;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = device_fixes, check_for_backend(MultiBackend))]
struct FixRow {
    record_hash: Sha256,
    device_id: DeviceId,
    user_id: UserId,
    seq: i64,
    taken_at: Timestamp,
    lat_e7: i64,
    lon_e7: i64,
    accuracy_mm: Option<i64>,
    boot: String,
    monotonic_ms: Option<i64>,
}

impl FixRow {
    fn fixed(self) -> Option<Fixed> {
        Some(Fixed {
            position: Position::from_e7(self.lat_e7, self.lon_e7).ok()?,
            record: self.record_hash,
            device: self.device_id,
            seq: self.seq,
            taken_at: self.taken_at,
            accuracy_mm: self.accuracy_mm,
            boot: self.boot,
            monotonic_ms: self.monotonic_ms,
        })
    }
}

/// The fix of a record, as far as travel is concerned; none without a place, or at 0, 0.
pub(super) fn fixed(hash: &Sha256, record: &Record) -> Option<Fixed> {
    let fix = record.place.as_ref().filter(|fix| !fix.position.is_null_island())?;
    let age_ms = fix.fix_age_ms.unwrap_or(0).max(0);
    let age = chrono::TimeDelta::try_milliseconds(age_ms).unwrap_or_default();
    let monotonic_ns: Option<u64> = record.monotonic_ns.parse().ok();
    Some(Fixed {
        record: hash.clone(),
        device: record.device.clone(),
        seq: i64::try_from(record.seq).unwrap_or(i64::MAX),
        taken_at: record.clock.device_at.plus(-age),
        position: fix.position,
        accuracy_mm: fix.accuracy_mm,
        boot: record.boot.replace('\0', "\u{fffd}"),
        monotonic_ms: monotonic_ns
            .and_then(|ns| i64::try_from(ns / 1_000_000).ok())
            .and_then(|ms| ms.checked_sub(age_ms)),
    })
}

pub(super) fn keep_fix(conn: &mut Conn, holder: &UserId, fixed: &Fixed) -> Result<()> {
    let row = FixRow {
        record_hash: fixed.record.clone(),
        device_id: fixed.device.clone(),
        user_id: holder.clone(),
        seq: fixed.seq,
        taken_at: fixed.taken_at,
        lat_e7: fixed.position.lat_e7(),
        lon_e7: fixed.position.lon_e7(),
        accuracy_mm: fixed.accuracy_mm,
        boot: fixed.boot.clone(),
        monotonic_ms: fixed.monotonic_ms,
    };
    diesel::insert_into(device_fixes::table).values(row).execute(conn)?;
    Ok(())
}

/// A fix that states a worse accuracy, in mm, says little of where somebody was: behind it another is looked for.
const COARSE_MM: i64 = 1_000_000;

/// The fixes before and after: of the device by number, and of its holder's other devices by time. Where one is
/// coarse, the nearest that is not, too: nobody hides a journey behind a place as wide as a country.
pub(super) fn next_to(conn: &mut Conn, holder: &UserId, fixed: &Fixed) -> Result<Vec<Fixed>> {
    let coarse = |row: &FixRow| row.accuracy_mm.is_some_and(|mm| mm > COARSE_MM);
    let mut found = nearest(conn, holder, fixed, i64::MAX)?;
    if found.iter().any(|(_, row)| coarse(row)) {
        let hidden: Vec<usize> = found.iter().filter(|(_, row)| coarse(row)).map(|(side, _)| *side).collect();
        let behind = nearest(conn, holder, fixed, COARSE_MM)?;
        found.extend(behind.into_iter().filter(|(side, _)| hidden.contains(side)));
    }
    Ok(found.into_iter().filter_map(|(_, row)| row.fixed()).collect())
}

/// The nearest on each side, by number of the side, of those as accurate as that.
fn nearest(conn: &mut Conn, holder: &UserId, fixed: &Fixed, worst_mm: i64) -> Result<Vec<(usize, FixRow)>> {
    use device_fixes as t;
    let accurate = || t::table.filter(t::accuracy_mm.is_null().or(t::accuracy_mm.le(worst_mm)));
    let own = || accurate().filter(t::device_id.eq(&fixed.device)).select(FixRow::as_select());
    let others = || {
        accurate()
            .filter(t::user_id.eq(holder).and(t::device_id.ne(&fixed.device)))
            .select(FixRow::as_select())
    };
    let found: [Option<FixRow>; 4] = [
        own().filter(t::seq.lt(fixed.seq)).order(t::seq.desc()).first(conn).optional()?,
        own().filter(t::seq.gt(fixed.seq)).order(t::seq).first(conn).optional()?,
        others().filter(t::taken_at.le(fixed.taken_at)).order(t::taken_at.desc()).first(conn).optional()?,
        others().filter(t::taken_at.gt(fixed.taken_at)).order(t::taken_at).first(conn).optional()?,
    ];
    Ok(found.into_iter().enumerate().filter_map(|(side, row)| Some((side, row?))).collect())
}

/// The serial that a record reads on an item, and the form in which it is compared, where it is long enough.
pub(super) fn serial_of(record: &Record) -> Option<(&str, String)> {
    let Act::Item(sighting) = &record.act else { return None };
    let serial = sighting.serial.as_deref()?;
    let key = serial_key(serial).replace('\0', "\u{fffd}");
    (key.chars().count() >= SHORTEST_CHARS).then_some((serial, key))
}

pub(super) fn keep_sighting(
    conn: &mut Conn,
    device: &DeviceId,
    key: &str,
    sighting: &Sighting,
) -> Result<()> {
    diesel::insert_into(item_sightings::table)
        .values((
            item_sightings::record_hash.eq(&sighting.record),
            item_sightings::serial_key.eq(key),
            item_sightings::device_id.eq(device),
            item_sightings::visit_id.eq(&sighting.visit),
            item_sightings::seen_at.eq(sighting.seen_at),
        ))
        .execute(conn)?;
    Ok(())
}

/// Every sighting of the serial by other records, newest first, with the device that made it.
pub(super) fn sightings(conn: &mut Conn, key: &str, besides: &Sha256) -> Result<Vec<(DeviceId, Sighting)>> {
    use item_sightings as t;
    type Row = ((Sha256, DeviceId, Option<VisitId>, Timestamp), Option<(SiteId, String)>, Option<(i64, i64)>);
    let rows: Vec<Row> = t::table
        .left_join(visits::table.on(t::visit_id.eq(visits::id.nullable())))
        .left_join(sites::table.on(visits::site_id.eq(sites::id)))
        .left_join(device_fixes::table.on(device_fixes::record_hash.eq(t::record_hash)))
        .filter(t::serial_key.eq(key).and(t::record_hash.ne(besides)))
        .order(t::seen_at.desc())
        .limit(MOST_SIGHTINGS)
        .select((
            (t::record_hash, t::device_id, t::visit_id, t::seen_at),
            (sites::id, sites::name).nullable(),
            (device_fixes::lat_e7, device_fixes::lon_e7).nullable(),
        ))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|((record, device, visit, seen_at), site, at)| {
            let (site, site_name) = site.unzip();
            let position = at.and_then(|(lat_e7, lon_e7)| Position::from_e7(lat_e7, lon_e7).ok());
            (device, Sighting { record, visit, site, site_name, position, seen_at })
        })
        .collect())
}
