//! Taking a photo of 4 MB in, from the start of the process until it is durable and signed, beside
//! sealing the same file with `age` and flushing that to disk. Rounds are taken in turn.

use std::process::Command;

use anyhow::Context as _;
use endcheck_tests::{DatabaseKind, workspace_root};

use crate::measure::{median, milliseconds, timed};
use crate::programs::run as run_program;
use crate::table::Row;
use crate::world::{Agent, World};

const ROUNDS: usize = 31;
const PHOTO_BYTES: usize = 4 * 1024 * 1024;

pub fn run() -> anyhow::Result<Vec<Row>> {
    let world = World::start(DatabaseKind::Sqlite)?;
    let visit = world.schedule_visit()?;
    let agent = Agent::enrolled(world.server.base_url(), &world.enrolment_code())?;
    agent.run(&["open", &visit])?;
    let photo = agent.file("photo.jpg");
    std::fs::write(&photo, large_photo()?)?;
    let photo = photo.display().to_string();
    let recipient = world.server.escrow().to_public().to_string();
    let sealed = agent.file("sealed.age").display().to_string();
    let (mut ours, mut peer, mut start) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (captured, _) = timed(|| agent.run(&["capture", &photo, "--at", "52.5,13.4,8"]))?;
        let (aged, ()) = timed(|| {
            run_program(Command::new("age").args(["-r", &recipient, "-o", &sealed, &photo]))?;
            run_program(Command::new("sync").arg(&sealed))?;
            Ok(())
        })?;
        let (started, _) = timed(|| agent.run(&["--version"]))?;
        std::fs::remove_file(&sealed)?;
        // The first round makes everybody's code and the photo warm.
        if round > 0 {
            ours.push(milliseconds(captured));
            peer.push(milliseconds(aged));
            start.push(milliseconds(started));
        }
    }
    let (ours, peer) = (median(&ours), median(&peer));
    Ok(vec![
        Row::new(
            "capture of a 4 MB photo, start to durable",
            format!("{ours:.1} ms"),
            format!("age -r, then sync: {peer:.1} ms"),
        )
        .at_most(ours / peer, 1.5),
        Row::new("  of it, starting the program", format!("{:.1} ms", median(&start)), ""),
    ])
}

/// A real photo, made as long as it should be by comment segments (ITU T.81 B.2.4.5).
fn large_photo() -> anyhow::Result<Vec<u8>> {
    const SEGMENT_BYTES: usize = 60_000;
    let path = workspace_root().join("fixtures/photos/02-sign.jpg");
    let photo = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let (start, rest) = photo.split_at_checked(2).context("a photo")?;
    let mut large = start.to_vec();
    let mut random = fastrand::Rng::with_seed(4);
    while large.len() + rest.len() + SEGMENT_BYTES < PHOTO_BYTES {
        large.extend([0xFF, 0xFE]);
        large.extend(u16::try_from(SEGMENT_BYTES + 2)?.to_be_bytes());
        large.extend((0..SEGMENT_BYTES).map(|_| random.u8(..)));
    }
    large.extend(rest);
    Ok(large)
}
