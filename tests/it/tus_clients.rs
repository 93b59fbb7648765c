//! The tus clients that other people wrote, unmodified, against the server.

use std::path::PathBuf;
use std::process::Command;

use endcheck_tests::workspace_root;

use crate::hand::HandDevice;
use crate::office::Office;
use crate::python::{python, run};

#[test]
fn tuspy_and_tus_js_client_upload_resume_and_verify() {
    let office = Office::open();
    let device = HandDevice::enrolled(&office, &office.iris);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("upload.bin");
    let content: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(3_000_000).collect();
    std::fs::write(&file, content).unwrap();
    let Some(python) = python() else { return };
    let folder = workspace_root().join("tests/tus_clients");
    // Node looks for packages beside the script.
    let beside = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("tus-clients");
    std::fs::create_dir_all(&beside).unwrap();
    for name in ["package.json", "upload.mjs"] {
        std::fs::copy(folder.join(name), beside.join(name)).unwrap();
    }
    let quietly = ["install", "--silent", "--no-audit", "--no-fund"];
    if let Err(why) = run(Command::new("npm").args(quietly).current_dir(&beside)) {
        assert!(std::env::var_os("CI").is_none(), "{why}");
        println!("skipped: tus-js-client cannot be installed here\n{why}");
        return;
    }
    let endpoint = format!("{}/api/v1/files", office.server.base_url());
    for (program, script, says) in [
        (&python, folder.join("upload.py"), "tuspy OK"),
        (&PathBuf::from("node"), beside.join("upload.mjs"), "tus-js-client OK"),
    ] {
        let mut client = Command::new(program);
        client.arg(script).arg(&endpoint).arg(device.token()).arg(&file);
        let said = run(&mut client).unwrap();
        assert!(said.contains(says), "{said}");
    }
}
