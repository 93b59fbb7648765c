//! The fault drill: an inspector works and syncs over a link that is cut, while agent and server are
//! killed with SIGKILL at random instants. Nothing acknowledged may be lost, nothing doubled.
//!
//! A kill comes after a random part of the time that the same command took when it was left alone.

mod act;
mod oracle;
mod stage;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Output;
use std::time::{Duration, Instant};

use endcheck_tests::{DatabaseKind, random};

use act::Kind;
use oracle::{Asked, Held};
use stage::{Stage, reports, words};

/// Kills of one server and device; more of them are dealt to several, two at a time.
const KILLS_A_STAGE: u64 = 100;
/// Kills between two looks at everything.
const KILLS_A_LOOK: u64 = 50;
const KINDS: [Kind; 5] = [Kind::Capture, Kind::Answer, Kind::Item, Kind::Note, Kind::Close];

/// What is done to the system. Dealt like cards, so that a short drill has some of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strike {
    /// The agent is killed during an act.
    Act(Kind),
    /// The agent is killed during a sync.
    Sync,
    /// The server is killed during a sync, and starts again.
    Server,
    /// The server during a sync, and then the agent.
    Both,
    /// The link is cut during a sync.
    Cut,
    /// The link is cut, and then the agent is killed.
    CutAndSync,
}

const DECK: [Strike; 13] = [
    Strike::Act(Kind::Capture),
    Strike::Act(Kind::Capture),
    Strike::Act(Kind::Capture),
    Strike::Act(Kind::Close),
    Strike::Act(Kind::Close),
    Strike::Act(Kind::Note),
    Strike::Act(Kind::Answer),
    Strike::Sync,
    Strike::Sync,
    Strike::Server,
    Strike::Both,
    Strike::Cut,
    Strike::CutAndSync,
];

#[derive(Debug, Default)]
struct Tally {
    /// By what was going on.
    agent_kills: BTreeMap<&'static str, u64>,
    server_kills: u64,
    cuts: u64,
    syncs: u64,
    acknowledged: usize,
    /// Those of them whose command was killed all the same, before it ended.
    just_acknowledged: usize,
    held: Held,
}

struct Drill {
    stage: Stage,
    random: fastrand::Rng,
    asked: Vec<Asked>,
    /// How long a command lately took when it was left alone.
    takes: BTreeMap<Option<Kind>, Duration>,
    /// Bytes that a sync lately sent and received.
    sync_bytes: (u64, u64),
    tally: Tally,
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_doubled() {
    let begun = Instant::now();
    let mut random = random::generator("drill");
    let kills = random::strikes(24);
    let mut shares: Vec<(u64, fastrand::Rng)> = Vec::new();
    let mut left = kills;
    while left > 0 {
        let share = left.min(KILLS_A_STAGE);
        shares.push((share, random.fork()));
        left -= share;
    }
    let shares = std::sync::Mutex::new(shares);
    let total = std::sync::Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((share, random)) = shares.lock().unwrap().pop() else { return };
                    let tally = Drill::begin(random).run(share);
                    let mut total = total.lock().unwrap();
                    total.add(tally);
                    println!("so far: {}", total.line(begun.elapsed()));
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    assert!(total.kills() >= kills, "{total:?}");
    println!("in all: {}", total.line(begun.elapsed()));
}

impl Drill {
    fn begin(random: fastrand::Rng) -> Self {
        let mut drill = Self {
            stage: Stage::set(),
            random,
            asked: Vec::new(),
            takes: BTreeMap::new(),
            sync_bytes: (0, 0),
            tally: Tally::default(),
        };
        KINDS.into_iter().for_each(|kind| drill.act(kind));
        drill
    }

    /// Lets a sync of the usual size go through, to know how long it takes.
    fn measure(&mut self) {
        self.sync_cleanly();
        self.act(Kind::Capture);
        self.act(Kind::Capture);
        self.sync_cleanly();
    }

    fn run(mut self, kills: u64) -> Tally {
        let mut deck = Vec::new();
        let mut looked_at = 0;
        while self.tally.kills() < kills {
            if deck.is_empty() {
                deck.extend(DECK);
                self.random.shuffle(&mut deck);
                self.measure();
            }
            let strike = deck.pop().unwrap();
            for _ in 0..self.random.usize(..=2) {
                let kind = *self.random.choice(KINDS.iter()).unwrap();
                self.act(kind);
            }
            self.strike(strike);
            if self.random.u8(..4) == 0 {
                oracle::copies(&self.stage);
            }
            if self.tally.kills() >= looked_at + KILLS_A_LOOK {
                looked_at = self.tally.kills();
                self.look();
            }
        }
        self.look();
        self.tally.acknowledged = self.asked.iter().filter(|asked| asked.acknowledged.is_some()).count();
        self.tally.cuts = self.stage.relay.cuts();
        self.tally
    }

    /// Lets everything sync, and checks everything.
    fn look(&mut self) {
        self.sync_cleanly();
        self.tally.held = oracle::check(&mut self.stage, &self.asked);
    }

    /// An act that nothing befalls.
    fn act(&mut self, kind: Kind) {
        let command = self.command(kind);
        let begun = Instant::now();
        let arguments: Vec<&str> = command.arguments.iter().map(String::as_str).collect();
        let done = self.stage.agent(&arguments).output().unwrap();
        self.takes.insert(Some(kind), begun.elapsed());
        assert!(done.status.success(), "{arguments:?} failed: {}", words(&done));
        self.note(command, &done);
        if kind == Kind::Close {
            self.stage.look_at_visits();
        }
    }

    /// An act, and a visit that it can be done in.
    fn command(&mut self, kind: Kind) -> act::Command {
        if self.stage.open.len() < 2 {
            self.stage.relay.spare();
            self.stage.more_visits();
        }
        let visits = act::Visits { all: &self.stage.visits, open: &self.stage.open };
        act::command(kind, &visits, self.stage.folder.path(), &mut self.random)
    }

    /// Notes what was asked for, and what was acknowledged of it.
    fn note(&mut self, command: act::Command, done: &Output) {
        let reports = reports(done);
        let whole = reports.len() == command.marks.len();
        assert!(whole || !done.status.success(), "{:?}: {}", command.arguments, words(done));
        if !done.status.success() {
            self.tally.just_acknowledged += reports.len();
        }
        for (number, mark) in command.marks.into_iter().enumerate() {
            let acknowledged =
                reports.get(number).map(|report| report["record"].as_str().unwrap().to_owned());
            self.asked.push(Asked { mark, acknowledged });
        }
    }

    /// Syncs until nothing is left to be handed in; with nothing in the way the first must do.
    fn sync_cleanly(&mut self) {
        self.stage.relay.spare();
        let before = (self.stage.relay.bytes_up(), self.stage.relay.bytes_down());
        let begun = Instant::now();
        self.stage.must(&["sync"]);
        self.takes.insert(None, begun.elapsed());
        self.sync_bytes = (self.stage.relay.bytes_up() - before.0, self.stage.relay.bytes_down() - before.1);
        self.tally.syncs += 1;
    }

    /// An instant within the time that such a command takes, or a little after.
    fn instant(&mut self, kind: Option<Kind>) -> Duration {
        let takes = self.takes.get(&kind).copied().unwrap();
        takes.mul_f64(self.random.f64() * 1.1)
    }

    fn strike(&mut self, strike: Strike) {
        if let Strike::Act(kind) = strike {
            let command = self.command(kind);
            let arguments: Vec<&str> = command.arguments.iter().map(String::as_str).collect();
            let agent = self.stage.agent(&arguments).spawn().unwrap();
            std::thread::sleep(self.instant(Some(kind)));
            let done = self.end(agent, kind.name());
            self.note(command, &done);
            if kind == Kind::Close {
                self.stage.look_at_visits();
            }
            return;
        }
        // Something to hand in, of which something takes time.
        self.act(Kind::Capture);
        self.act(Kind::Capture);
        if matches!(strike, Strike::Cut | Strike::CutAndSync) {
            self.lay_cuts();
        }
        let agent = self.stage.agent(&["sync"]).spawn().unwrap();
        std::thread::sleep(self.instant(None));
        if matches!(strike, Strike::Server | Strike::Both) {
            self.stage.server.kill();
            self.tally.server_kills += 1;
            self.stage.start_again();
        }
        match strike {
            Strike::Both => {
                std::thread::sleep(self.instant(None) * 2);
                self.end(agent, "sync");
            }
            Strike::Sync | Strike::CutAndSync => drop(self.end(agent, "sync")),
            _ => {
                let done = agent.wait_with_output().unwrap();
                assert!(matches!(done.status.code(), Some(0 | 1 | 3)), "{}", words(&done));
            }
        }
        self.stage.relay.spare();
        self.tally.syncs += 1;
    }

    /// Kills an agent that may have ended already.
    fn end(&mut self, mut agent: std::process::Child, doing: &'static str) -> Output {
        agent.kill().unwrap();
        let done = agent.wait_with_output().unwrap();
        if done.status.signal().is_some() {
            *self.tally.agent_kills.entry(doing).or_default() += 1;
        } else {
            assert!(matches!(done.status.code(), Some(0 | 3)) || doing == "sync", "{}", words(&done));
        }
        done
    }

    /// Cuts somewhere in the bytes that a sync sends or receives.
    fn lay_cuts(&mut self) {
        for _ in 0..self.random.usize(1..=2) {
            if self.random.u8(..3) > 0 {
                self.stage.relay.cut_after_up(self.random.u64(..self.sync_bytes.0));
            } else {
                self.stage.relay.cut_after_down(self.random.u64(..self.sync_bytes.1));
            }
        }
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Answer => "answer",
            Self::Item => "item",
            Self::Note => "note",
            Self::Close => "close",
        }
    }
}

impl Tally {
    fn kills(&self) -> u64 {
        self.agent_kills.values().sum::<u64>() + self.server_kills
    }

    fn add(&mut self, other: Self) {
        for (doing, kills) in other.agent_kills {
            *self.agent_kills.entry(doing).or_default() += kills;
        }
        self.server_kills += other.server_kills;
        self.cuts += other.cuts;
        self.syncs += other.syncs;
        self.acknowledged += other.acknowledged;
        self.just_acknowledged += other.just_acknowledged;
        self.held.records += other.held.records;
        self.held.files += other.held.files;
        self.held.whole += other.held.whole;
        self.held.absent += other.held.absent;
        self.held.parts_left += other.held.parts_left;
    }

    fn line(&self, took: Duration) -> String {
        let agent: Vec<String> =
            self.agent_kills.iter().map(|(doing, kills)| format!("{kills} in {doing}")).collect();
        let Held { records, files, whole, absent, parts_left } = self.held;
        format!(
            "drill on {:?}: {} kills ({} of the agent: {}; {} of the server in sync), {} cuts, {} syncs; \
             {} acts acknowledged ({} by a command killed before its end), all at headquarters once; {} unacknowledged: {whole} whole, {absent} absent; \
             {records} records and {files} files at headquarters, {parts_left} parts left; chain and log \
             verified; {:.1} s",
            DatabaseKind::of_this_run(),
            self.kills(),
            self.agent_kills.values().sum::<u64>(),
            agent.join(", "),
            self.server_kills,
            self.cuts,
            self.syncs,
            self.acknowledged,
            self.just_acknowledged,
            whole + absent,
            took.as_secs_f64(),
        )
    }
}
