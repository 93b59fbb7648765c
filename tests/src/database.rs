//! A database of its own for each test, on either kind.

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use endcheck_server::db::{self, Conn};

use crate::postgres::Cluster;

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    Sqlite,
    Postgres,
}

impl DatabaseKind {
    pub const BOTH: [Self; 2] = [Self::Sqlite, Self::Postgres];

    /// What `ENDCHECK_TEST_DATABASE` names; SQLite when it is not set.
    #[must_use]
    pub fn of_this_run() -> Self {
        match std::env::var("ENDCHECK_TEST_DATABASE").as_deref() {
            Err(_) | Ok("sqlite") => Self::Sqlite,
            Ok("postgres") => Self::Postgres,
            Ok(other) => panic!("ENDCHECK_TEST_DATABASE={other}: write sqlite or postgres"),
        }
    }
}

/// An empty, migrated database that vanishes with this value.
#[derive(Debug)]
pub struct TestDatabase {
    kind: DatabaseKind,
    url: String,
    /// Its name in the cluster.
    name: String,
    /// Where an SQLite file lies.
    _folder: Option<tempfile::TempDir>,
}

impl TestDatabase {
    #[must_use]
    pub fn new(kind: DatabaseKind) -> Self {
        let name = format!("test_{:016x}", fastrand::u64(..));
        match kind {
            DatabaseKind::Sqlite => {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let url = format!("sqlite:{}", folder.path().join("endcheck.db").display());
                Self { kind, url, name, _folder: Some(folder) }
            }
            DatabaseKind::Postgres => {
                let cluster = Cluster::shared();
                cluster.create(&name).expect("a database for this test");
                Self { kind, url: cluster.url(&name), name, _folder: None }
            }
        }
    }

    #[must_use]
    pub fn kind(&self) -> DatabaseKind {
        self.kind
    }

    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The size of its log, which is verified while nothing is appended.
    #[must_use]
    pub fn log_size(&self) -> u64 {
        let verified = self.connect().write(|conn| {
            endcheck_server::log::lock(conn)?;
            endcheck_server::log::verify(conn)
        });
        verified.expect("the log verifies").size
    }

    /// A connection of its own, to a migrated database.
    #[must_use]
    pub fn connect(&self) -> db::PooledConn {
        let mut conn = db::open(&self.url, 1).and_then(|pool| Ok(pool.get()?)).expect("a connection");
        let _: Vec<String> = db::migrate(&mut conn).expect("migrations");
        conn
    }

    /// What lets rows be written here without the rows they refer to: for tests of the tables alone.
    #[must_use]
    pub fn without_references(&self) -> &'static str {
        match self.kind {
            DatabaseKind::Sqlite => "pragma foreign_keys = off",
            DatabaseKind::Postgres => "set session_replication_role = replica",
        }
    }

    /// Takes away what keeps rows from being changed, as whoever owns the database can.
    ///
    /// # Panics
    /// When the database fails.
    pub fn remove_guards(&self, conn: &mut Conn) {
        #[derive(diesel::QueryableByName)]
        struct Trigger {
            #[diesel(sql_type = diesel::sql_types::Text)]
            name: String,
        }
        // On PostgreSQL they sleep together with the references.
        if self.kind == DatabaseKind::Sqlite {
            let all = diesel::sql_query("select name from sqlite_master where type = 'trigger'");
            for trigger in all.load::<Trigger>(conn).expect("its triggers") {
                conn.batch_execute(&format!("drop trigger {}", trigger.name)).expect("a trigger goes");
            }
        }
        conn.batch_execute(self.without_references()).expect("the references sleep");
    }

    /// Undoes [`Self::without_references`].
    #[must_use]
    pub fn with_references(&self) -> &'static str {
        match self.kind {
            DatabaseKind::Sqlite => "pragma foreign_keys = on",
            DatabaseKind::Postgres => "set session_replication_role = origin",
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if self.kind == DatabaseKind::Postgres
            && let Err(error) = Cluster::shared().remove(&self.name)
        {
            eprintln!("the database {} stays until its cluster ends: {error:#}", self.name);
        }
    }
}

/// Names a connection's kind, for messages.
#[must_use]
pub fn kind_of(conn: &Conn) -> DatabaseKind {
    match conn {
        Conn::Sqlite(_) => DatabaseKind::Sqlite,
        Conn::Postgres(_) => DatabaseKind::Postgres,
    }
}
