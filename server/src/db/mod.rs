//! The database: SQLite or PostgreSQL behind one connection type.
//!
//! Slices write plain diesel against [`Conn`] and wrap upserts in [`Both`]; no slice asks which
//! database it talks to. A change is one [`Conn::write`]; nothing but the database is touched in it.

pub mod schema;

use diesel::connection::{AnsiTransactionManager, SimpleConnection as _, TransactionManager as _};
use diesel::migration::MigrationConnection as _;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::r2d2::{ManageConnection, R2D2Connection as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};

use endcheck_protocol::time::Timestamp;

use crate::error::{Error, Result};

const SQLITE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations/sqlite");
const POSTGRES_MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations/postgres");

/// A connection to whichever database the server was configured with.
#[derive(diesel::MultiConnection)]
pub enum Conn {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// Keys or ids asked for in one query; both databases take far more parameters.
pub const CHUNK: usize = 500;

diesel::define_sql_function! {
    /// Capitals to small letters: on SQLite those of ASCII only.
    fn lower(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

pub type Pool = diesel::r2d2::Pool<Manager>;
pub type PooledConn = diesel::r2d2::PooledConnection<Manager>;

impl Conn {
    /// Runs `work` in one transaction that holds the write lock from its start, and commits it
    /// when `work` succeeds. A deferred start would let two readers both try to become writer.
    ///
    /// # Errors
    /// Whatever `work` answers, after rolling back; or the failure to begin or commit.
    pub fn write<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        match self {
            Self::Sqlite(conn) => AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE")?,
            Self::Postgres(conn) => AnsiTransactionManager::begin_transaction(conn)?,
        }
        match work(self) {
            Ok(value) => {
                self.end(true)?;
                Ok(value)
            }
            Err(error) => {
                // The first error says more than a failed rollback of a broken connection.
                let _ = self.end(false);
                Err(error)
            }
        }
    }

    fn end(&mut self, commit: bool) -> QueryResult<()> {
        match (self, commit) {
            (Self::Sqlite(conn), true) => AnsiTransactionManager::commit_transaction(conn),
            (Self::Sqlite(conn), false) => AnsiTransactionManager::rollback_transaction(conn),
            (Self::Postgres(conn), true) => AnsiTransactionManager::commit_transaction(conn),
            (Self::Postgres(conn), false) => AnsiTransactionManager::rollback_transaction(conn),
        }
    }
}

/// Inserts rows, many to a statement: `insert_rows!(conn, table, &rows)`. The derived connection
/// knows single rows only.
macro_rules! insert_rows {
    ($conn:expr, $table:expr, $rows:expr) => {{
        for rows in $rows.chunks($crate::db::CHUNK) {
            let statement = diesel::insert_into($table).values(rows);
            match $conn {
                $crate::db::Conn::Sqlite(conn) => statement.execute(conn)?,
                $crate::db::Conn::Postgres(conn) => statement.execute(conn)?,
            };
        }
    }};
}
pub(crate) use insert_rows;

/// A statement that both dialects know, though the derived connection does not: upserts above all.
#[derive(QueryId)]
pub struct Both<Q>(pub Q);

impl<Q> QueryFragment<MultiBackend> for Both<Q>
where
    Q: QueryFragment<diesel::pg::Pg> + QueryFragment<diesel::sqlite::Sqlite>,
{
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, MultiBackend>) -> QueryResult<()> {
        MultiBackend::walk_variant_ast(&self.0, pass)
    }
}

impl<Q: Query> Query for Both<Q> {
    type SqlType = Q::SqlType;
}

impl<Q> RunQueryDsl<Conn> for Both<Q> {}

/// Opens connections by the URL's scheme: `postgres://…`, or `sqlite:` and a path.
#[derive(Debug, Clone)]
pub struct Manager {
    url: String,
}

impl ManageConnection for Manager {
    type Connection = Conn;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Conn, Self::Error> {
        match self.url.strip_prefix("sqlite:") {
            Some(path) => {
                let mut conn =
                    SqliteConnection::establish(path).map_err(diesel::r2d2::Error::ConnectionError)?;
                conn.batch_execute(
                    "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                     PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON; PRAGMA cache_size = -65536;",
                )
                .map_err(diesel::r2d2::Error::QueryError)?;
                Ok(Conn::Sqlite(conn))
            }
            None => {
                let mut conn =
                    PgConnection::establish(&self.url).map_err(diesel::r2d2::Error::ConnectionError)?;
                // As long as SQLite waits above; and as durable: what a receipt was given for is on the disk, whatever
                // the server's own setting, unless that asks for more.
                conn.batch_execute(
                    "set lock_timeout = '10s'; select set_config('synchronous_commit', 'on', false) \
                     where current_setting('synchronous_commit') in ('off', 'local')",
                )
                .map_err(diesel::r2d2::Error::QueryError)?;
                Ok(Conn::Postgres(conn))
            }
        }
    }

    fn is_valid(&self, conn: &mut Conn) -> Result<(), Self::Error> {
        conn.ping().map_err(diesel::r2d2::Error::QueryError)
    }

    fn has_broken(&self, conn: &mut Conn) -> bool {
        conn.is_broken()
    }
}

/// Opens a pool of at most `size` connections; SQLite's file is created when it is missing.
///
/// # Errors
/// When the URL has another scheme, or no connection can be had.
pub fn open(url: &str, size: u32) -> anyhow::Result<Pool> {
    let known = ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    anyhow::ensure!(known, "the database URL {url:?} has no known scheme: write sqlite:PATH or postgres://…");
    let pool = Pool::builder()
        .max_size(size)
        .test_on_check_out(false)
        .build(Manager { url: url.to_owned() })
        .map_err(|error| anyhow::anyhow!("the database cannot be opened: {error}"))?;
    Ok(pool)
}

/// Brings the tables up to date; returns the migrations that were run.
///
/// # Errors
/// When a migration fails; the database is left as it was before that one.
pub fn migrate(conn: &mut Conn) -> anyhow::Result<Vec<String>> {
    let run = match conn {
        Conn::Sqlite(conn) => conn.run_pending_migrations(SQLITE_MIGRATIONS).map(|v| names(&v)),
        Conn::Postgres(conn) => {
            // Two servers may start at once; the second waits and finds nothing to do.
            conn.batch_execute("set lock_timeout = 0; select pg_advisory_lock(4871002)")?;
            conn.setup()?;
            let run = conn.run_pending_migrations(POSTGRES_MIGRATIONS).map(|v| names(&v));
            conn.batch_execute("select pg_advisory_unlock(4871002); set lock_timeout = '10s'")?;
            run
        }
    };
    run.map_err(|error| anyhow::anyhow!("a migration failed: {error}"))
}

fn names(run: &[diesel::migration::MigrationVersion<'_>]) -> Vec<String> {
    run.iter().map(ToString::to_string).collect()
}

/// What time it is by the database's clock: one clock for all servers that share it.
///
/// # Errors
/// When the database fails.
pub fn clock(conn: &mut Conn) -> Result<Timestamp> {
    #[derive(diesel::QueryableByName)]
    struct Now {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        micros: i64,
    }
    // Not that of the transaction's start, which may have waited for a lock.
    let query = match conn {
        Conn::Sqlite(_) => "select cast(unixepoch('now', 'subsec') * 1000000 as integer) as micros",
        Conn::Postgres(_) => {
            "select cast(extract(epoch from clock_timestamp()) * 1000000 as bigint) as micros"
        }
    };
    let now: Now = diesel::sql_query(query).get_result(conn)?;
    Timestamp::from_unix_micros(now.micros)
        .ok_or_else(|| Error::Internal(anyhow::anyhow!("the database's clock is out of range")))
}

/// The next value of a counter. Its row stays locked until the commit, so values are committed in
/// order and without gaps, on both databases.
///
/// # Errors
/// When the counter does not exist.
pub fn next_value(conn: &mut Conn, counter: &str) -> Result<i64> {
    use schema::counters::dsl::{counters, name, value};
    diesel::update(counters.filter(name.eq(counter)))
        .set(value.eq(value + 1))
        .returning(value)
        .get_result(conn)
        .map_err(Error::from)
}
