//! Where the data lies that these tests read and the repository does not hold.

use std::path::{Path, PathBuf};

/// A file or folder of the data that `ENDCHECK_TEST_DATA` names; nothing, with a message, where it is not.
pub fn data(below: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ENDCHECK_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let path = root.join(below);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there; ENDCHECK_TEST_DATA names the folder of test data", path.display());
    None
}
