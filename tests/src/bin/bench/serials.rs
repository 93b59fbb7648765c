//! Lists of a million serials, over HTTP with a bearer token, one client, on both databases: first pages by
//! filter, a page far down, and the counts of what is overdue.

use std::time::Instant;

use anyhow::ensure;
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use endcheck_server::db::Conn;
use endcheck_tests::DatabaseKind;
use serde_json::Value;

use crate::measure::{median, milliseconds, quantile, timed};
use crate::table::{Row, say};
use crate::world::World;

const REQUESTS: usize = 1_000;
const WARMING: usize = 100;
/// The counts read every overdue serial.
const COUNTS: usize = 20;

/// A million items over the shipments of the programme; 59 in a hundred are past their due date.
const ITEMS_SQLITE: &str = "
    with recursive n(i) as (select 0 union all select i + 1 from n where i < 999999),
        s as (select id, row_number() over (order by id) - 1 as at, count(*) over () as many from shipments)
    insert into shipment_items (id, shipment_id, key, manufacturer, part_number, description, serial, quantity,
        unit, position)
    select printf('0190b3c8-%04x-7%03x-8000-%012x', i & 65535, (i * 7919) & 4095, i), s.id, 'k' || i, 'm', 'p', 'd',
        'SN-' || i, '1', 'piece', i
    from n join s on s.at = i % s.many";

const STATES_SQLITE: &str = "
    insert into serial_states select i.id, i.shipment_id, i.serial, l.control_entry, h.end_user_id, h.site_id,
        t.country, (select hash from serial_rules limit 1), 1 + i.position % 3,
        case when i.position % 1000 = 0 then 'lost' else 'in-place' end, h.end_user_id, h.site_id, t.country,
        '2025-01-01', '2025-06-01 00:00:00', 'in-person', null, null,
        datetime('now', ((i.position - 590000) * 60) || ' seconds'), 'seen', '2025-06-01',
        datetime('now', ((i.position - 590000) * 60) || ' seconds'), null, null, false, 2, false, c.authority
    from shipment_items i join shipments h on h.id = i.shipment_id
    join licence_lines l on l.id = h.licence_line_id join licences c on c.id = l.licence_id
    join sites t on t.id = h.site_id
    where i.serial like 'SN-%'";

const ITEMS_POSTGRES: &str = "
    with s as (select id, row_number() over (order by id) - 1 as at, count(*) over () as many from shipments)
    insert into shipment_items (id, shipment_id, key, manufacturer, part_number, description, serial, quantity,
        unit, position)
    select '0190b3c8-' || lpad(to_hex(i & 65535), 4, '0') || '-7' || lpad(to_hex((i * 7919) & 4095), 3, '0')
        || '-8000-' || lpad(to_hex(i), 12, '0'), s.id, 'k' || i, 'm', 'p', 'd', 'SN-' || i, '1', 'piece', i
    from generate_series(0::bigint, 999999) i join s on s.at = i % s.many";

const STATES_POSTGRES: &str = "
    insert into serial_states select i.id, i.shipment_id, i.serial, l.control_entry, h.end_user_id, h.site_id,
        t.country, (select hash from serial_rules limit 1), 1 + i.position % 3,
        case when i.position % 1000 = 0 then 'lost' else 'in-place' end, h.end_user_id, h.site_id, t.country,
        '2025-01-01', '2025-06-01 00:00:00', 'in-person', null, null,
        now() at time zone 'utc' + (i.position - 590000) * interval '1 minute', 'seen', '2025-06-01',
        now() at time zone 'utc' + (i.position - 590000) * interval '1 minute', null, null, false, 2, false, c.authority
    from shipment_items i join shipments h on h.id = i.shipment_id
    join licence_lines l on l.id = h.licence_line_id join licences c on c.id = l.licence_id
    join sites t on t.id = h.site_id
    where i.serial like 'SN-%'";

pub fn run() -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (kind, name) in [(DatabaseKind::Sqlite, "SQLite"), (DatabaseKind::Postgres, "PostgreSQL")] {
        let world = World::start(kind)?;
        let (took, ()) = timed(|| Ok(seed(&mut world.server.database().connect())?))?;
        say(&format!("{name}: 1,000,000 serials written in {:.0} s", took.as_secs_f64()));
        let first = world.manager.get("/api/v1/serials").expect_json(200);
        let host = first.pointer("/items/0/host/id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let far = far_cursor(&world)?;
        for (what, path) in [
            ("first page", "/api/v1/serials".to_owned()),
            ("overdue, tier 2", "/api/v1/serials?overdue=true&tier=2".to_owned()),
            ("of a host", format!("/api/v1/serials?host={host}")),
            ("of a country, lost", "/api/v1/serials?country=DE&status=lost".to_owned()),
            ("page 41", format!("/api/v1/serials?cursor={far}")),
        ] {
            rows.push(measured(
                &world,
                &format!("serials, {what}, of 1,000,000, {name}, HTTP"),
                &path,
                REQUESTS,
            )?);
        }
        let what = format!("counts of 590,000 overdue serials, {name}, HTTP");
        rows.push(measured(&world, &what, "/api/v1/serials/overdue", COUNTS)?);
    }
    Ok(rows)
}

/// The cursor of the page after two thousand serials.
fn far_cursor(world: &World) -> anyhow::Result<String> {
    let mut cursor = String::new();
    for _ in 0..4 {
        let page = world.manager.get(&format!("/api/v1/serials?limit=500{cursor}")).expect_json(200);
        let next = page.get("next_cursor").and_then(Value::as_str);
        ensure!(next.is_some(), "the list ends too early");
        cursor = format!("&cursor={}", next.unwrap_or_default());
    }
    Ok(cursor.trim_start_matches("&cursor=").to_owned())
}

fn measured(world: &World, what: &str, path: &str, requests: usize) -> anyhow::Result<Row> {
    let mut took = Vec::new();
    for number in 0..WARMING.min(requests) + requests {
        let begun = Instant::now();
        let answer = world.manager.get(path);
        if number >= WARMING.min(requests) {
            took.push(milliseconds(begun.elapsed()));
        }
        ensure!(answer.status == 200, "{}", answer.text());
    }
    let (p50, p99) = (median(&took), quantile(&took, 0.99));
    let row = Row::new(what.to_owned(), format!("p50 {p50:.2} ms, p99 {p99:.2} ms"), "");
    Ok(if requests == REQUESTS { row.within(p99, 10.0, "ms (p99)") } else { row })
}

fn seed(conn: &mut Conn) -> QueryResult<()> {
    match conn {
        Conn::Sqlite(conn) => {
            conn.batch_execute("begin immediate")?;
            conn.batch_execute(ITEMS_SQLITE)?;
            conn.batch_execute(STATES_SQLITE)?;
            conn.batch_execute("commit; pragma wal_checkpoint(truncate)")
        }
        Conn::Postgres(conn) => {
            conn.batch_execute("begin")?;
            conn.batch_execute(ITEMS_POSTGRES)?;
            conn.batch_execute(STATES_POSTGRES)?;
            // What the server's own housekeeping does a little later.
            ["commit", "vacuum analyze serial_states", "analyze shipment_items", "checkpoint"]
                .into_iter()
                .try_for_each(|statement| conn.batch_execute(statement))
        }
    }
}
