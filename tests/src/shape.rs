//! What a live database says of its own tables, in words that both kinds share.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use endcheck_server::db::Conn;

use crate::DatabaseKind;
use crate::database::kind_of;

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, QueryableByName)]
pub struct Column {
    #[diesel(sql_type = Text)]
    pub table_name: String,
    #[diesel(sql_type = Text)]
    pub column_name: String,
    /// As in PostgreSQL, short: `text`, `bigint`, `timestamp`, `bytea`, `boolean`, `double precision`.
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Bool)]
    pub required: bool,
}

/// Something said in one line: an index, a reference, a trigger.
#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// Every column of every table but diesel's own.
///
/// # Errors
/// When the database fails.
pub fn columns(conn: &mut Conn) -> QueryResult<Vec<Column>> {
    let query = match kind_of(conn) {
        DatabaseKind::Sqlite => {
            "select m.name as table_name, c.name as column_name, lower(c.type) as kind, \
             c.\"notnull\" = 1 as required \
             from sqlite_master m join pragma_table_info(m.name) c \
             where m.type = 'table' and m.name not like '\\_\\_diesel%' escape '\\' and m.name not like 'sqlite\\_%' escape '\\'"
        }
        DatabaseKind::Postgres => {
            "select table_name::text, column_name::text, data_type::text as kind, \
             is_nullable = 'NO' as required from information_schema.columns \
             where table_schema = 'public' and table_name not like '\\_\\_diesel%'"
        }
    };
    let mut columns: Vec<Column> = diesel::sql_query(query).load(conn)?;
    for column in &mut columns {
        column.kind = match column.kind.as_str() {
            "blob" => "bytea".to_owned(),
            "integer" => "bigint".to_owned(),
            "double" => "double precision".to_owned(),
            "timestamp without time zone" => "timestamp".to_owned(),
            other => other.to_owned(),
        };
    }
    columns.sort();
    Ok(columns)
}

/// Every primary key, unique set, named index and reference, a line each.
///
/// # Errors
/// When the database fails.
pub fn keys(conn: &mut Conn) -> QueryResult<Vec<String>> {
    let queries: &[&str] = match kind_of(conn) {
        DatabaseKind::Sqlite => &[
            // `origin`: pk, u (a unique constraint) or c (created by name).
            "select case i.origin when 'pk' then 'key' when 'u' then 'unique' else 'index ' || i.name end \
             || ' ' || m.name || '(' || (select group_concat(name, ',') from \
             (select name from pragma_index_info(i.name) order by seqno)) || ')' \
             || case i.partial when 1 then ' partial' else '' end as line \
             from sqlite_master m join pragma_index_list(m.name) i \
             where m.type = 'table' and m.name not like '\\_\\_diesel%' escape '\\'",
            // An `integer` key is the row's own place and has no index; a `bigint` key has one.
            "select 'key ' || m.name || '(' || c.name || ')' as line \
             from sqlite_master m join pragma_table_info(m.name) c \
             where m.type = 'table' and c.pk = 1 and lower(c.type) = 'integer'",
            "select 'reference ' || m.name || '(' || f.\"from\" || ') ' || f.\"table\" as line \
             from sqlite_master m join pragma_foreign_key_list(m.name) f where m.type = 'table'",
        ],
        DatabaseKind::Postgres => &[
            "select case when x.indisprimary then 'key' when c.oid is not null then 'unique' \
             else 'index ' || i.relname end || ' ' || t.relname || '(' || \
             (select string_agg(a.attname, ',' order by k.n) from unnest(x.indkey::smallint[]) with ordinality k (no, n) \
             join pg_attribute a on a.attrelid = t.oid and a.attnum = k.no) || ')' \
             || case when x.indpred is null then '' else ' partial' end as line \
             from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid \
             left join pg_constraint c on c.conindid = i.oid and c.contype = 'u' \
             where t.relnamespace = 'public'::regnamespace and t.relname not like '\\_\\_diesel%'",
            "select 'reference ' || t.relname || '(' || a.attname || ') ' || f.relname as line \
             from pg_constraint c join pg_class t on t.oid = c.conrelid join pg_class f on f.oid = c.confrelid \
             join pg_attribute a on a.attrelid = t.oid and a.attnum = c.conkey[1] \
             where c.contype = 'f' and t.relnamespace = 'public'::regnamespace",
        ],
    };
    let mut lines = Vec::new();
    for query in queries {
        lines.extend(diesel::sql_query(*query).load::<Line>(conn)?.into_iter().map(|row| row.line));
    }
    lines.sort();
    Ok(lines)
}
