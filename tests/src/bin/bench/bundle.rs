//! Verifying the bag of a visit with 1,000 photos, beside `sha256sum` over the same bytes.

use std::process::Command;

use anyhow::Context as _;
use endcheck_tests::{DatabaseKind, workspace_root};

use crate::measure::{median, timed};
use crate::programs::run as run_program;
use crate::table::{Row, say};
use crate::world::{Agent, World};

const PHOTOS: usize = 1_000;
const ROUNDS: usize = 7;

pub fn run() -> anyhow::Result<Vec<Row>> {
    let world = World::start(DatabaseKind::Sqlite)?;
    let visit = world.schedule_visit()?;
    let agent = Agent::enrolled(world.server.base_url(), &world.enrolment_code())?;
    agent.run(&["open", &visit])?;
    let photo = std::fs::read(workspace_root().join("fixtures/photos/07-yard-dawn-clock-off.jpg"))?;
    for number in 0..PHOTOS {
        let path = agent.file(&format!("{number}.jpg"));
        // Each photo has other bytes: a comment segment of its own (ITU T.81 B.2.4.5).
        let (start, rest) = photo.split_at_checked(2).context("a photo")?;
        let comment = format!("{number:08}");
        std::fs::write(&path, [start, b"\xFF\xFE\x00\x0A", comment.as_bytes(), rest].concat())?;
        agent.run(&["capture", "--move", &path.display().to_string(), "--at", "52.5,13.4,8"])?;
    }
    agent.run(&["close", "partial"])?;
    agent.run(&["sync"])?;
    let folder = tempfile::tempdir()?;
    let archive = folder.path().join("case.tar");
    let (took, _) = timed(|| {
        let mut export = world.server.command("export");
        run_program(export.args([&visit, "--why", "Measured.", "--out"]).arg(&archive))
    })?;
    let policy = folder.path().join("policy");
    std::fs::write(&policy, world.server.get("/log/policy").text())?;
    run_program(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(folder.path()))?;
    let bag = std::fs::read_dir(folder.path())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.is_dir())
        .context("the bag")?;
    let size_bytes = std::fs::metadata(&archive)?.len();
    say(&format!("a bag of {} MB, exported in {:.1} s", size_bytes / 1_000_000, took.as_secs_f64()));
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (verified, _) = timed(|| {
            let mut verify = agent.command(&["verify"]);
            run_program(verify.arg(&bag).arg("--policy").arg(&policy))
        })?;
        let (hashed, _) = timed(|| {
            let mut all = Command::new("sh");
            run_program(all.args(["-c", "find . -type f -print0 | xargs -0 sha256sum"]).current_dir(&bag))
        })?;
        // The first round brings the bag into memory for both.
        if round > 0 {
            ours.push(verified.as_secs_f64());
            peer.push(hashed.as_secs_f64());
        }
    }
    let (ours, peer) = (median(&ours), median(&peer));
    Ok(vec![
        Row::new(
            format!("verify a bag of {PHOTOS} photos, {} MB", size_bytes / 1_000_000),
            format!("{ours:.2} s"),
            format!("sha256sum of the same files: {peer:.2} s"),
        )
        .at_most(ours / peer, 2.0),
    ])
}
