//! What choosing costs: assessments beside the evaluation of the same conditions by `cel` alone, and assessing a
//! million shipments anew, with how long somebody who asks for the first page of visits waits meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_server::accounts::{self, Actor, Role};
use endcheck_server::db::Conn;
use endcheck_server::risk::assess::{Assessment, Assessor};
use endcheck_server::risk::facts::Facts;
use endcheck_server::risk::policy::Policy;
use endcheck_server::risk::{self, ApprovePolicy, DEFAULT_POLICY, language};
use endcheck_tests::{DatabaseKind, Http};
use serde_json::{Value, json};

use crate::measure::{median, milliseconds, now, quantile, timed};
use crate::table::{Row, say};
use crate::world::World;

const SHIPMENTS: i64 = 1_000_000;
const PATH: &str = "/api/v1/visits?limit=50";
const IDLE_REQUESTS: usize = 2_000;
/// One request every so often, as people ask.
const PACE: Duration = Duration::from_millis(20);

const SHIPMENTS_SQLITE: &str = "
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000000),
        s as (select *, row_number() over (order by id) - 1 as at, count(*) over () as many from shipments)
    insert into shipments
    select printf('0190b3c8-5f4e-7c1b-8000-%012x', i), printf('M-%07d', i), licence_line_id, exporter_id, intermediates,
        consignee_id, end_user_id, site_id, hs6, declared_use, shipped_on, date('2024-01-01', (i % 900) || ' days'),
        created_at, updated_at
    from n join s on s.at = n.i % s.many;
    with i as (select * from shipment_items limit 1)
    insert into shipment_items
    select replace(s.id, '-7c1b-', '-7c1c-'), s.id, 'i1', i.manufacturer, i.part_number, i.description, s.key, null,
        i.quantity, i.unit, 0
    from shipments s join i where s.key like 'M-%'";

const SHIPMENTS_POSTGRES: &str = "
    with s as (select *, row_number() over (order by id) - 1 as at, count(*) over () as many from shipments)
    insert into shipments
    select '0190b3c8-5f4e-7c1b-8000-' || lpad(to_hex(i), 12, '0'), 'M-' || lpad(i::text, 7, '0'), licence_line_id,
        exporter_id, intermediates, consignee_id, end_user_id, site_id, hs6, declared_use, shipped_on,
        to_char(date '2024-01-01' + (i % 900), 'YYYY-MM-DD'), created_at, updated_at
    from generate_series(1, 1000000) i join s on s.at = i % s.many;
    with i as (select * from shipment_items limit 1)
    insert into shipment_items
    select replace(s.id, '-7c1b-', '-7c1c-'), s.id, 'i1', i.manufacturer, i.part_number, i.description, s.key, null,
        i.quantity, i.unit, 0
    from shipments s cross join i where s.key like 'M-%'";

pub fn run() -> anyhow::Result<Vec<Row>> {
    let policy = Policy::read(DEFAULT_POLICY).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let mut rows = Vec::new();
    for (kind, name) in [(DatabaseKind::Sqlite, "SQLite"), (DatabaseKind::Postgres, "PostgreSQL")] {
        let world = World::start(kind)?;
        let mut conn = world.server.database().connect();
        put_into_force(&mut conn, &policy.hash)?;
        let (took, ()) = timed(|| Ok(seed(&mut conn)?))?;
        say(&format!("{name}: {SHIPMENTS} shipments written in {:.0} s", took.as_secs_f64()));
        let idle = ask(&world.manager, |asked| asked < IDLE_REQUESTS)?;
        let begun = Instant::now();
        let started = world.manager.post("/api/v1/rescorings", &json!({}));
        ensure!(started.status == 202, "{}", started.text());
        let mut walk = Value::Null;
        let busy = ask(&world.manager, |asked| {
            if asked % 50 == 0 {
                walk = world.manager.get("/api/v1/rescorings").json();
            }
            walk.get("finished_at").is_none_or(Value::is_null)
        })?;
        let took = begun.elapsed().as_secs_f64();
        let done = walk.get("done").and_then(Value::as_i64).unwrap_or(0);
        ensure!(done >= SHIPMENTS, "{walk}");
        let (before, meanwhile) = (quantile(&idle, 0.99), quantile(&busy, 0.99));
        rows.push(Row::new(
            format!("assessing 1,000,000 shipments anew, {name}"),
            format!("{took:.0} s, {:.0} a second", done as f64 / took),
            "",
        ));
        rows.push(
            Row::new(
                format!("  first page of visits meanwhile, {name}"),
                format!("p50 {:.1} ms, p99 {meanwhile:.1} ms", median(&busy)),
                format!("idle: p50 {:.1} ms, p99 {before:.1} ms", median(&idle)),
            )
            .at_most(meanwhile / before, 2.0),
        );
        if kind == DatabaseKind::Sqlite {
            rows.push(alone(&mut conn, &policy)?);
        }
    }
    Ok(rows)
}

/// Assessments in memory, from facts to document, beside the conditions alone.
fn alone(conn: &mut Conn, policy: &Policy) -> anyhow::Result<Row> {
    let documents = risk::assessment_documents(conn, "", 5_000)?;
    let mut facts = Vec::with_capacity(documents.len());
    for (_, document) in &documents {
        let kept: Assessment = serde_json::from_str(document)?;
        facts.push((
            kept.shipment,
            Facts::from_named(&kept.facts).map_err(|e| anyhow::anyhow!(e))?,
            kept.assessed_on,
        ));
    }
    let assessor = Assessor::new(policy);
    let environment = Arc::new(cel::Env::stdlib());
    let (mut ours, mut cel_alone) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        let (took, ()) = timed(|| {
            for (key, facts, on) in &facts {
                let assessed = assessor.assess(key, facts, *on).map_err(|e| anyhow::anyhow!(e))?;
                std::hint::black_box(Sha256::of(&assessed.to_bytes()?));
            }
            Ok(())
        })?;
        ours.push(took.as_secs_f64());
        let (took, ()) = timed(|| {
            for (_, facts, _) in &facts {
                let context = language::context(&environment, facts);
                for rule in &policy.rules {
                    // A condition whose facts are not known is not evaluated in ours either.
                    let known = rule.condition.facts().iter().all(|place| facts.get(*place).is_some());
                    if known {
                        std::hint::black_box(rule.condition.holds(&context).map_err(|e| anyhow::anyhow!(e))?);
                    }
                }
            }
            Ok(())
        })?;
        cel_alone.push(took.as_secs_f64());
    }
    let per_second = |times: &[f64]| facts.len() as f64 / median(times);
    let (ours, cel_alone) = (per_second(&ours), per_second(&cel_alone));
    Ok(Row::new(
        format!("assessments, {} rules, from facts to document", policy.rules.len()),
        format!("{ours:.0} a second"),
        format!("cel, the same conditions alone: {cel_alone:.0} a second"),
    )
    .at_least(ours / cel_alone, 0.5))
}

/// Asks for the page at an even pace for as long as `go_on` says; the waits in milliseconds.
fn ask(manager: &Http, mut go_on: impl FnMut(usize) -> bool) -> anyhow::Result<Vec<f64>> {
    let mut waits = Vec::new();
    while go_on(waits.len()) {
        let begun = Instant::now();
        let answer = manager.get(PATH);
        waits.push(milliseconds(begun.elapsed()));
        ensure!(answer.status == 200, "{}", answer.text());
        std::thread::sleep(PACE.saturating_sub(begun.elapsed()));
    }
    Ok(waits)
}

/// By two people of the same office, while there are few shipments.
fn put_into_force(conn: &mut Conn, hash: &Sha256) -> anyhow::Result<()> {
    let mut person = |login: &str| -> anyhow::Result<Actor> {
        let (name, roles) = ("A manager".to_owned(), vec![Role::Manager]);
        let user = accounts::add_user(conn, login, &name, "four words to measure", &roles, now().into())?;
        Ok(Actor { user: user.id, name, roles, device: None })
    };
    let (one, other) = (person("one")?, person("other")?);
    let policy = risk::read(DEFAULT_POLICY)?;
    conn.write(|conn| risk::load(conn, &one, &policy, DEFAULT_POLICY, now().into()))?;
    risk::shadow_run(conn, &one, hash, now().into())?;
    let measuring = || ApprovePolicy { reason: "Measuring.".to_owned(), shadow_run: None };
    conn.write(|conn| risk::approve(conn, &one, hash, measuring(), now().into()))?;
    conn.write(|conn| risk::approve(conn, &other, hash, measuring(), now().into()))?;
    // The walk that this began is over the few; finish it as done.
    Ok(conn.batch_execute("update rescorings set finished_at = started_at")?)
}

fn seed(conn: &mut Conn) -> QueryResult<()> {
    match conn {
        Conn::Sqlite(conn) => {
            conn.batch_execute("begin immediate")?;
            conn.batch_execute(SHIPMENTS_SQLITE)?;
            conn.batch_execute("commit; pragma wal_checkpoint(truncate)")
        }
        Conn::Postgres(conn) => {
            conn.batch_execute("begin")?;
            conn.batch_execute(SHIPMENTS_POSTGRES)?;
            ["commit", "vacuum analyze shipments", "vacuum analyze shipment_items", "checkpoint"]
                .into_iter()
                .try_for_each(|statement| conn.batch_execute(statement))
        }
    }
}
