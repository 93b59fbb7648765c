//! Both databases have the same tables, and refuse to change what must stay.

use std::collections::BTreeSet;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use endcheck_server::db::Conn;
use endcheck_tests::shape::{self, Column};
use endcheck_tests::{DatabaseKind, TestDatabase};

/// Rows of these are never updated or deleted.
const KEPT: [&str; 36] = [
    "custody_ledger",
    "custody_notes",
    "derived_files",
    "device_certificates",
    "device_keys",
    "exports",
    "records",
    "receipts",
    "log_entries",
    "log_nodes",
    "log_cosignatures",
    "carried_packages",
    "findings",
    "device_cameras",
    "device_fixes",
    "item_sightings",
    "photo_hashes",
    "determinations",
    "determination_approvals",
    "visit_events",
    "policies",
    "policy_shadows",
    "policy_approvals",
    "policy_activations",
    "risk_signals",
    "party_history",
    "assessments",
    "selections",
    "selection_draws",
    "selection_overrides",
    "serial_events",
    "serial_rules",
    "rosters",
    "plans",
    "plan_results",
    "plan_decisions",
];

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

fn count(conn: &mut Conn, table: &str) -> i64 {
    let query = format!("select count(*) as rows from {table}");
    diesel::sql_query(query).get_result::<Count>(conn).unwrap().rows
}

#[test]
fn both_databases_have_the_same_tables() {
    let [sqlite, postgres] = DatabaseKind::BOTH.map(|kind| {
        let database = TestDatabase::new(kind);
        let mut conn = database.connect();
        let columns = shape::columns(&mut conn).unwrap();
        assert!(columns.len() > 100, "{kind:?}: {columns:?}");
        let columns = columns.into_iter().map(|column| format!("{column:?}"));
        columns.chain(shape::keys(&mut conn).unwrap()).collect::<BTreeSet<_>>()
    });
    let only_sqlite: Vec<_> = sqlite.difference(&postgres).collect();
    let only_postgres: Vec<_> = postgres.difference(&sqlite).collect();
    assert!(
        only_sqlite.is_empty() && only_postgres.is_empty(),
        "only SQLite has {only_sqlite:#?}\nonly PostgreSQL has {only_postgres:#?}"
    );
}

#[test]
fn what_must_stay_is_neither_changed_nor_deleted() {
    for kind in DatabaseKind::BOTH {
        let database = TestDatabase::new(kind);
        let mut conn = database.connect();
        let columns = shape::columns(&mut conn).unwrap();
        for table in KEPT {
            let columns: Vec<&Column> = columns.iter().filter(|column| column.table_name == table).collect();
            let first = columns.first().unwrap_or_else(|| panic!("{kind:?} has no table {table}"));
            conn.batch_execute(database.without_references()).unwrap();
            conn.batch_execute(&insertion(table, &columns)).unwrap();
            conn.batch_execute(database.with_references()).unwrap();
            let column = &first.column_name;
            for statement in
                [format!("update {table} set {column} = {column}"), format!("delete from {table}")]
            {
                let refused = conn.batch_execute(&statement).unwrap_err().to_string();
                assert!(refused.contains("never changed or deleted"), "{kind:?}: {statement}: {refused}");
            }
            assert_eq!(count(&mut conn, table), 1, "{kind:?}: {table}");
        }
    }
}

/// A row with something in each column.
fn insertion(table: &str, columns: &[&Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.column_name.as_str()).collect();
    let values: Vec<&str> = columns
        .iter()
        .map(|column| match column.kind.as_str() {
            "text" | "bytea" => "'x'",
            "bigint" => "1",
            "timestamp" => "'2026-01-01 00:00:00'",
            "boolean" => "true",
            "double precision" => "1.5",
            other => panic!("{table}: a column of kind {other}"),
        })
        .collect();
    format!("insert into {table} ({}) values ({})", names.join(", "), values.join(", "))
}
