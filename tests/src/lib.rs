//! The harness of the end-to-end, fault and browser tests.
//!
//! Starts the real server on either database, in this process or as a child that can be killed, and
//! puts a bad link between it and a client. Nothing here knows what a visit is; the tests in `it/` do.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a harness that cannot go on should stop the test with the reason"
)]

pub mod database;
pub mod http;
pub mod licences;
pub mod postgres;
pub mod process;
pub mod random;
pub mod relay;
pub mod server;
pub mod shape;
pub mod witness;

pub use database::{DatabaseKind, TestDatabase};
pub use http::{Answer, Http};
pub use process::ServerProcess;
pub use relay::{Link, Relay};
pub use server::TestServer;
pub use witness::WitnessProcess;

use std::path::PathBuf;

/// The root of the workspace.
#[must_use]
pub fn workspace_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the package has a workspace").to_path_buf()
}

/// A file or folder of the data that `ENDCHECK_TEST_DATA` names and the repository does not hold; nothing, with
/// a message, where it is not.
#[must_use]
pub fn test_data(below: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ENDCHECK_TEST_DATA")
        .map_or_else(|| workspace_root().join("../shared/data"), PathBuf::from);
    let path = root.join(below);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not there; ENDCHECK_TEST_DATA names the folder of test data", path.display());
    None
}
