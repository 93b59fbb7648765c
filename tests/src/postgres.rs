//! A throwaway PostgreSQL cluster: Unix socket only, in a folder that nobody else can enter.
//!
//! One cluster serves a whole run when `with-postgres` starts it; a test that is run by itself
//! starts its own. Whoever starts a cluster holds a pipe to the shell that runs it: when the holder
//! ends, in whatever way, the pipe closes, and the shell stops that cluster and removes its folder.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, bail, ensure};
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;

/// Names the folder of the socket of a cluster that is already running.
pub const SOCKET_VARIABLE: &str = "ENDCHECK_TEST_POSTGRES";

/// The database that every test's own is copied from.
const TEMPLATE: &str = "endcheck_template";

/// Makes the cluster, says `ready`, and waits for the pipe to close.
const KEEPER: &str = r#"
folder=$1 bin=$2
end() {
    status=$?
    [ $status -eq 0 ] || tail -n 20 "$folder/log"
    "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1
    rm -rf "$folder"
}
trap end EXIT
set -e
"$bin/initdb" -D "$folder/data" --username=endcheck --auth=trust --encoding=UTF8 --locale=C >"$folder/log" 2>&1
"$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w -t 60 \
    -o "-k $folder -c listen_addresses='' -c max_connections=200 -c shared_buffers=64MB" start >/dev/null 2>&1
echo ready
read -r _ || :
exit 0
"#;

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    /// Absent when somebody else keeps the cluster.
    keeper: Option<Child>,
}

impl Cluster {
    /// The cluster of this run, or of this process when the run has none.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var_os(SOCKET_VARIABLE) {
            Some(folder) => Self { folder: folder.into(), keeper: None },
            None => Self::start().expect("a PostgreSQL cluster for this test"),
        })
    }

    /// Makes and starts a cluster with a migrated template database.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start; says what to do.
    pub fn start() -> anyhow::Result<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("endcheck-pg-").tempdir_in(short_temporary_folder())?;
        let mut command = unprivileged(folder.path())?;
        // From here the keeper removes the folder: it outlives this process.
        let folder = folder.keep();
        let mut keeper = command
            .args(["sh", "-c", KEEPER, "sh"])
            .args([&folder, &programs])
            .current_dir(&folder)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Nothing that a test runner waits for stays open in it.
            .stderr(Stdio::null())
            // A Ctrl-C is for the tests; the keeper ends after them.
            .process_group(0)
            .spawn()
            .context("the shell that keeps the cluster")?;
        let mut output = BufReader::new(keeper.stdout.take().context("no output")?);
        let mut words = String::new();
        output.read_line(&mut words)?;
        if words.trim() != "ready" {
            output.read_to_string(&mut words)?;
            keeper.wait()?;
            bail!("PostgreSQL from {} did not start:\n{words}", programs.display());
        }
        let cluster = Self { folder, keeper: Some(keeper) };
        cluster.administer(&format!("create database {TEMPLATE}"))?;
        let pool = endcheck_server::db::open(&cluster.url(TEMPLATE), 1)?;
        endcheck_server::db::migrate(&mut *pool.get()?)?;
        Ok(cluster)
    }

    /// The folder of the socket, for [`SOCKET_VARIABLE`].
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The URL of a database in the cluster.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&user=endcheck", self.folder.display())
    }

    /// Makes a migrated database.
    ///
    /// # Errors
    /// When the cluster cannot be reached or the name is taken.
    pub fn create(&self, database: &str) -> anyhow::Result<()> {
        self.administer(&format!("create database {database} template {TEMPLATE}"))
    }

    /// Removes a database and whoever is still connected to it.
    ///
    /// # Errors
    /// When the cluster cannot be reached.
    pub fn remove(&self, database: &str) -> anyhow::Result<()> {
        self.administer(&format!("drop database if exists {database} with (force)"))
    }

    fn administer(&self, statement: &str) -> anyhow::Result<()> {
        let mut conn = PgConnection::establish(&self.url("postgres"))
            .with_context(|| format!("no PostgreSQL answers in {}", self.folder.display()))?;
        conn.batch_execute(statement).with_context(|| statement.to_owned())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}

/// The folder of `initdb` and `pg_ctl`: the newest under `/usr/lib/postgresql`, else on the path.
fn programs() -> anyhow::Result<PathBuf> {
    let mut installed: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    installed.sort();
    let on_path = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
    installed
        .into_iter()
        .rev()
        .map(|(_, folder)| folder)
        .chain(on_path)
        .find(|folder| folder.join("initdb").exists() && folder.join("pg_ctl").exists())
        .context("PostgreSQL is not installed: on Debian, `apt-get install postgresql`")
}

/// A socket's path may have 107 bytes; some machines' temporary folders alone are longer.
fn short_temporary_folder() -> PathBuf {
    let folder = std::env::temp_dir();
    if folder.as_os_str().len() <= 60 { folder } else { PathBuf::from("/tmp") }
}

/// Starts a command line that runs as nobody special, who then owns `folder`: PostgreSQL refuses to
/// run as root.
fn unprivileged(folder: &Path) -> anyhow::Result<Command> {
    if std::fs::metadata(folder)?.uid() != 0 {
        return Ok(Command::new("env"));
    }
    let users = std::fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
    let (user_id, group_id) = ["postgres", "nobody"]
        .iter()
        .find_map(|name| ids_of(&users, name))
        .context("root needs a user `postgres` or `nobody` to run PostgreSQL as")?;
    chown(folder, Some(user_id), Some(group_id))?;
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user_id}"), format!("--regid={group_id}"), "--clear-groups".to_owned()]);
    ensure!(
        Command::new("setpriv").arg("--version").stdout(Stdio::null()).status().is_ok(),
        "root needs `setpriv` (Debian: util-linux) to run PostgreSQL as another user"
    );
    Ok(command)
}

/// User and group of a name in the text of `/etc/passwd`.
fn ids_of(users: &str, name: &str) -> Option<(u32, u32)> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\npostgresql:x:7:8::/:/bin/sh\npostgres:x:101:104::/:/bin/sh\n";
        assert_eq!(ids_of(users, "postgres"), Some((101, 104)));
        assert_eq!(ids_of(users, "nobody"), None);
    }

    #[test]
    fn a_cluster_ends_with_its_holder() {
        let cluster = Cluster::start().unwrap();
        cluster.create("one").unwrap();
        cluster.remove("one").unwrap();
        let folder = cluster.folder().to_owned();
        assert!(folder.join("data/postmaster.pid").exists());
        drop(cluster);
        assert!(!folder.exists());
    }
}
