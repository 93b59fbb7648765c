//! The first page of due visits among a million, over HTTP with a bearer token, one client, on both
//! databases; beside the same page asked of the database alone.

use std::time::Instant;

use anyhow::ensure;
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::{Text, Timestamp};
use endcheck_server::db::Conn;
use endcheck_tests::DatabaseKind;
use serde_json::Value;

use crate::measure::{median, milliseconds, quantile, timed};
use crate::table::{Row, say};
use crate::world::World;

const VISITS: i64 = 1_000_000;
const PAGE: usize = 50;
const REQUESTS: usize = 4_000;
const WARMING: usize = 400;
const PATH: &str = "/api/v1/visits?limit=50";

/// Ten thousand checks over the shipments of the programme.
const CHECKS_SQLITE: &str = "
    with recursive n(i) as (select 0 union all select i + 1 from n where i < 9999),
        s as (select id, row_number() over (order by id) - 1 as at, count(*) over () as many from shipments)
    insert into checks (id, shipment_id, kind, cause, reason, due_at, opened_at)
    select printf('0190b3c8-5f4e-7c1a-8000-%012x', i), s.id, 'post_shipment', 'risk', 'seeded',
        '2026-01-01 00:00:00', '2025-01-01 00:00:00'
    from n join s on s.at = i % s.many";

/// Seven in ten finished, as years of work leave them; the others due from three days ago on, one every
/// five minutes.
const VISITS_SQLITE: &str = "
    with recursive r(i) as (select 0 union all select i + 1 from r where i < 999999),
        n(i, d) as (select i, case when i % 10 < 7 then -i * 60 else i * 90 end || ' seconds' from r)
    insert into visits (id, check_id, site_id, inspector_id, state, version, window_start_at, window_end_at,
        due_at, outcome, finished_at, change_no, created_at)
    select printf('0190b3c8-%04x-7%03x-8000-%012x', i & 65535, (i * 7919) & 4095, i), c.id, s.site_id,
        case when i % 5 = 0 then null else (select id from users where login = 'inspector') end,
        case when i % 10 < 7 then 'reviewed' when i % 10 = 7 then 'announced' else 'planned' end, 1,
        datetime('now', '-17 days', d), datetime('now', '-17 days', '+4 hours', d), datetime('now', '-3 days', d),
        case when i % 10 < 7 then 'completed' end,
        case when i % 10 < 7 then datetime('now', '-16 days', d) end,
        i + 1, '2024-01-01 00:00:00'
    from n
    join checks c on c.id = printf('0190b3c8-5f4e-7c1a-8000-%012x', i % 10000)
    join shipments s on s.id = c.shipment_id";

const CHECKS_POSTGRES: &str = "
    with s as (select id, row_number() over (order by id) - 1 as at, count(*) over () as many from shipments)
    insert into checks (id, shipment_id, kind, cause, reason, due_at, opened_at)
    select '0190b3c8-5f4e-7c1a-8000-' || lpad(to_hex(i), 12, '0'), s.id, 'post_shipment', 'risk', 'seeded',
        '2026-01-01 00:00:00', '2025-01-01 00:00:00'
    from generate_series(0, 9999) i join s on s.at = i % s.many";

const VISITS_POSTGRES: &str = "
    insert into visits (id, check_id, site_id, inspector_id, state, version, window_start_at, window_end_at,
        due_at, outcome, finished_at, change_no, created_at)
    select '0190b3c8-' || lpad(to_hex(i & 65535), 4, '0') || '-7' || lpad(to_hex((i * 7919) & 4095), 3, '0')
            || '-8000-' || lpad(to_hex(i), 12, '0'), c.id, s.site_id,
        case when i % 5 = 0 then null else (select id from users where login = 'inspector') end,
        case when i % 10 < 7 then 'reviewed' when i % 10 = 7 then 'announced' else 'planned' end, 1,
        t - interval '17 days', t - interval '412 hours', t - interval '3 days',
        case when i % 10 < 7 then 'completed' end,
        case when i % 10 < 7 then t - interval '16 days' end,
        i + 1, '2024-01-01 00:00:00'
    from (select i, now() at time zone 'utc' + (case when i % 10 < 7 then -i * 60 else i * 90 end) * interval '1 s'
            as t from generate_series(0::bigint, 999999) i) n
    join checks c on c.id = '0190b3c8-5f4e-7c1a-8000-' || lpad(to_hex(i % 10000), 12, '0')
    join shipments s on s.id = c.shipment_id";

pub fn run() -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (kind, name) in [(DatabaseKind::Sqlite, "SQLite"), (DatabaseKind::Postgres, "PostgreSQL")] {
        let world = World::start(kind)?;
        let mut conn = world.server.database().connect();
        let (took, ()) = timed(|| Ok(seed(&mut conn)?))?;
        say(&format!("{name}: {VISITS} visits written in {:.0} s", took.as_secs_f64()));
        let first = world.manager.get(PATH).expect_json(200);
        let listed = first.get("visits").and_then(Value::as_array).map_or(0, Vec::len);
        ensure!(listed == PAGE, "{listed} visits on the first page");
        let (mut http, mut alone) = (Vec::new(), Vec::new());
        for number in 0..WARMING + REQUESTS {
            let begun = Instant::now();
            let answer = world.manager.get(PATH);
            let answered = milliseconds(begun.elapsed());
            ensure!(answer.status == 200, "{}", answer.text());
            let begun = Instant::now();
            ensure!(first_page(&mut conn)?.len() == PAGE);
            if number >= WARMING {
                http.push(answered);
                alone.push(milliseconds(begun.elapsed()));
            }
        }
        let (p50, p99) = (median(&http), quantile(&http, 0.99));
        rows.push(
            Row::new(
                format!("first page of due visits of 1,000,000, {name}, HTTP"),
                format!("p50 {p50:.2} ms, p99 {p99:.2} ms"),
                format!("the query alone: p50 {:.2}, p99 {:.2} ms", median(&alone), quantile(&alone, 0.99)),
            )
            .ratio(p50 / median(&alone))
            .within(p99, 5.0, "ms (p99)"),
        );
    }
    Ok(rows)
}

fn seed(conn: &mut Conn) -> QueryResult<()> {
    match conn {
        Conn::Sqlite(conn) => {
            conn.batch_execute("begin immediate")?;
            conn.batch_execute(CHECKS_SQLITE)?;
            conn.batch_execute(VISITS_SQLITE)?;
            conn.batch_execute("commit; pragma wal_checkpoint(truncate)")
        }
        Conn::Postgres(conn) => {
            conn.batch_execute("begin")?;
            conn.batch_execute(CHECKS_POSTGRES)?;
            conn.batch_execute(VISITS_POSTGRES)?;
            // What the server's own housekeeping does a little later.
            ["commit", "vacuum analyze visits", "analyze checks", "checkpoint"]
                .into_iter()
                .try_for_each(|statement| conn.batch_execute(statement))
        }
    }
}

#[derive(QueryableByName)]
#[expect(dead_code, reason = "reading the columns is the work")]
struct Listed {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Timestamp)]
    due_at: chrono::NaiveDateTime,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Text)]
    site: String,
}

fn first_page(conn: &mut Conn) -> QueryResult<Vec<Listed>> {
    diesel::sql_query(
        "select visits.id, due_at, state, sites.name as site from visits join sites on sites.id = site_id \
         where finished_at is null order by due_at, visits.id limit 50",
    )
    .load(conn)
}
