//! The Python of the tests: programs of others that judge or take what ours writes. Installed once, from PyPI.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use endcheck_tests::workspace_root;

/// An interpreter that has the packages of `tests/requirements.txt`; nothing, with a message, where they cannot be
/// installed. Where `CI` is set that fails the test.
pub fn python() -> Option<PathBuf> {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("python");
    fs::create_dir_all(&place).unwrap();
    // Every test is a process of its own, and many want it at once.
    let lock = File::create(place.join("lock")).unwrap();
    lock.lock().unwrap();
    match installed(&place) {
        Ok(python) => Some(python),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "{why}");
            println!("skipped: the packages of tests/requirements.txt cannot be installed here\n{why}");
            None
        }
    }
}

fn installed(place: &Path) -> Result<PathBuf, String> {
    let wanted = workspace_root().join("tests/requirements.txt");
    let packages = fs::read_to_string(&wanted).unwrap();
    let (environment, holds) = (place.join("environment"), place.join("holds"));
    let python = environment.join("bin/python");
    if fs::read_to_string(&holds).is_ok_and(|held| held == packages) {
        return Ok(python);
    }
    fs::write(&holds, "").unwrap();
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
    let quietly = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    run(Command::new(&python).args(quietly).arg(wanted))?;
    fs::write(holds, packages).unwrap();
    Ok(python)
}

/// Runs a program to its end: all that it printed, as an error where it failed.
pub fn run(command: &mut Command) -> Result<String, String> {
    let ran = command.output().map_err(|error| format!("{command:?} does not run: {error}"))?;
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    if ran.status.success() { Ok(said) } else { Err(said) }
}
