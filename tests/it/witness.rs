//! Witnesses: real processes that watch a real log, and what each side does when the other is slow, dead,
//! lying, killed, or shows two histories.

use std::convert::Infallible;
use std::net::TcpListener;
use std::ops::Range;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use endcheck::ExitStatus;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::merkle::{CompactRange, Tiles, consistency, leaf_hash};
use endcheck_protocol::tlog::{AddCheckpoint, Checkpoint, LogSigner, SignedCheckpoint, VerifierKey};
use endcheck_server::accounts::Role;
use endcheck_server::clock::Clock;
use endcheck_tests::{Answer, Http, ServerProcess, WitnessProcess};
use serde_json::Value;

use crate::judges::{go_says, kept};
use crate::office::{Person, add_user, code, import_programme, schedule, signed_in, until};
use crate::tablet::Tablet;

const SHIPMENT: &str = "SH-2026-0101";

/// A server program with people, and the key of its log.
struct Headquarters {
    server: ServerProcess,
    clock: Clock,
    iris: Person,
}

impl Headquarters {
    fn start() -> Self {
        let server = ServerProcess::start();
        let clock = Clock::default();
        let now = clock.now();
        let mut conn = server.database().connect();
        add_user(&mut conn, "ada", "Ada Brandt", &[Role::Manager], now);
        add_user(&mut conn, "vera", "Vera Lund", &[Role::Investigator], now);
        add_user(&mut conn, "root", "Root Admin", &[Role::Admin], now);
        let iris = add_user(&mut conn, "iris", "Iris Holm", &[Role::Inspector], now);
        drop(conn);
        Self { server, clock, iris }
    }

    fn policy(&self) -> String {
        self.server.get("/log/policy").expect(200).text()
    }

    fn log_key(&self) -> String {
        let policy = self.policy();
        policy.lines().find_map(|line| line.strip_prefix("log ")).unwrap().to_owned()
    }

    /// Starts again, with these witnesses.
    fn watched_by(&mut self, settings: &[String]) {
        let arguments: Vec<String> =
            settings.iter().flat_map(|setting| ["--witness".to_owned(), setting.clone()]).collect();
        self.server.kill();
        self.server.set_arguments(&arguments);
        self.server.start_again();
    }

    fn log_size(&self) -> u64 {
        let checkpoint = self.server.get("/log/checkpoint").expect(200).text();
        checkpoint.lines().nth(1).unwrap().parse().unwrap()
    }

    fn tablet(&self) -> Tablet {
        let manager = signed_in(&self.server, "ada");
        Tablet::enrol(self.server.base_url(), &code(&manager, &self.iris.id), self.clock.clone())
    }

    fn status(&self, login: &str) -> Vec<Value> {
        let said = signed_in(&self.server, login).get("/api/v1/log/witnesses").expect_json(200);
        said.as_array().unwrap().clone()
    }

    /// Waits until the witness of that name cosigned the whole log.
    fn until_cosigned(&self, name: &str) {
        let http = signed_in(&self.server, "ada");
        until(&format!("a cosignature by {name}"), || {
            let said = http.get("/api/v1/log/witnesses").expect_json(200);
            let status =
                said.as_array().unwrap().iter().find(|status| status["name"] == name).unwrap().clone();
            status["log_size"] != 0 && status["cosigned_size"] == status["log_size"]
        });
    }

    /// Waits until the witness's trouble is told in these words.
    fn until_problem(&self, name: &str, words: &str) {
        let http = signed_in(&self.server, "ada");
        until(&format!("{name} in trouble: {words}"), || {
            let said = http.get("/api/v1/log/witnesses").expect_json(200);
            let status =
                said.as_array().unwrap().iter().find(|status| status["name"] == name).unwrap().clone();
            status["problem"].as_str().is_some_and(|problem| problem.contains(words))
        });
    }
}

fn signatures(note: &str) -> usize {
    note.lines().filter(|line| line.starts_with("— ")).count()
}

#[test]
fn two_witnesses_cosign_and_a_proof_passes_only_with_their_quorum() {
    let mut headquarters = Headquarters::start();
    let logs = [headquarters.log_key()];
    let witnesses = ["w1.example", "w2.example"].map(|name| WitnessProcess::start(name, &logs));
    headquarters.watched_by(&witnesses.each_ref().map(WitnessProcess::setting));
    let manager = signed_in(&headquarters.server, "ada");
    import_programme(&manager);
    let visit = schedule(&manager, SHIPMENT, Some(&headquarters.iris.id), headquarters.clock.now());
    let tablet = headquarters.tablet();
    tablet.done(&["pull"]);
    tablet.done(&["open", &visit]);
    let note = tablet.line(&["note", "Seen by more than one."]);
    tablet.done(&["sync"]);
    for name in ["w1.example", "w2.example"] {
        headquarters.until_cosigned(name);
    }
    assert_eq!(headquarters.status("root").len(), 2);
    let refused = signed_in(&headquarters.server, "iris").get("/api/v1/log/witnesses");
    refused.expect_problem(403, "not-permitted");
    let checkpoint = headquarters.server.get("/log/checkpoint").expect(200).text();
    assert_eq!(signatures(&checkpoint), 3, "{checkpoint}");

    let folder = tempfile::tempdir().unwrap();
    let policy = kept(folder.path(), "policy", &headquarters.policy());
    let hash = note["record"].as_str().unwrap();
    let investigator = signed_in(&headquarters.server, "vera");
    let proof = investigator.get(&format!("/api/v1/records/{hash}/proof")).expect(200).text();
    assert_eq!(signatures(&proof), 3, "{proof}");
    let envelope = investigator.get(&format!("/api/v1/records/{hash}/envelope")).expect(200).text();
    let envelope = kept(folder.path(), "record.dsse.json", &envelope);
    let whole = kept(folder.path(), "whole.tlog-proof", &proof);
    let verify = |papers: &[&str]| {
        let said = tablet.run(&[&["verify", "--policy", &policy], papers].concat());
        (said.status, said.output + &said.errors)
    };
    // Who signed the record is not among these papers; that it is in the log is.
    let (status, said) = verify(&[&whole, &envelope]);
    assert_eq!(status, ExitStatus::VERIFY_NOT_CHECKED, "{said}");
    assert!(said.contains("seen by w1.example at 2") && said.contains("seen by w2.example at 2"), "{said}");
    assert!(said.contains("holds        ") && said.contains("record-in-log: entry"), "{said}");

    // What the device holds was proved before anybody cosigned; it asks again once somebody did.
    let papers = folder.path().join("papers").display().to_string();
    let bare = folder.path().join("bare").display().to_string();
    tablet.done(&["receipts", &bare]);
    tablet.done(&["sync"]);
    tablet.done(&["receipts", &papers]);
    let (status, said) = verify(&[&papers]);
    assert_eq!(status, ExitStatus::Success, "{said}");

    // Without one of them, the quorum of two is not there.
    let by_two = proof.lines().filter(|line| !line.starts_with("— w2.example")).collect::<Vec<_>>();
    let by_one = kept(folder.path(), "one.tlog-proof", &(by_two.join("\n") + "\n"));
    let (status, said) = verify(&[&by_one, &envelope]);
    assert_eq!(status, ExitStatus::Refused, "{said}");
    assert!(
        said.contains("only w1.example cosigned it") && said.contains("2 of w1.example, w2.example"),
        "{said}"
    );
    assert!(said.contains("record-in-log: of the policy's witnesses"), "{said}");
    let (status, _) = verify(&[&whole, &by_one, &envelope]);
    assert_eq!(status, ExitStatus::Refused, "a proof that does not hold is told, beside one that does");

    let url = format!("{}/log", headquarters.server.base_url());
    let keys = witnesses.each_ref().map(WitnessProcess::key);
    let arguments = [&url, &logs[0], "-witness", &keys[0], "-witness", &keys[1]];
    // Notes of custody are committed meanwhile, a batch every few seconds.
    let before = headquarters.server.check();
    let judged = go_says(&[&arguments[..], &[&whole]].concat()).unwrap();
    let expected = |size: u64| judged == format!("entries {size}, proofs 1, older checkpoints 0");
    assert!((before..=headquarters.server.check()).any(expected), "{judged}, {before} before");
    assert!(go_says(&[&arguments[..], &[&by_one]].concat()).is_err(), "the judge can say no");
}

#[test]
fn a_silent_a_dead_and_a_lying_witness_delay_nobody() {
    let mut headquarters = Headquarters::start();
    let logs = [headquarters.log_key()];
    let good = WitnessProcess::start("good.example", &logs);
    // The kernel takes the connection; nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // Cosigns by another key than it is known by.
    let lying = WitnessProcess::start("lying.example", &logs);
    let setting = |name: &str, address: std::net::SocketAddr| {
        let key = SigningKey::from_bytes(&[7 + u8::try_from(name.len()).unwrap(); 32]);
        let signer = endcheck_protocol::tlog::WitnessSigner::new(name, key).unwrap();
        format!("{}=http://{address}", signer.verifier())
    };
    headquarters.watched_by(&[
        setting("silent.example", silent.local_addr().unwrap()),
        setting("dead", dead),
        setting("lying.example", lying.address()),
        good.setting(),
    ]);
    let tablet = headquarters.tablet();
    tablet.done(&["check-in"]);
    tablet.done(&["sync"]);
    headquarters.until_cosigned("good.example");
    // Offers to the silent one are under way all the while.
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        tablet.done(&["check-in"]);
        let begun = Instant::now();
        tablet.done(&["sync"]);
        slowest = slowest.max(begun.elapsed());
    }
    assert!(slowest < Duration::from_secs(8), "a sync took {slowest:?}");
    let begun = Instant::now();
    headquarters.until_cosigned("good.example");
    println!("slowest sync {slowest:?}; cosigned {:?} after the last", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    headquarters.until_problem("silent.example", "no answer: timeout");
    headquarters.until_problem("dead", "no answer");
    headquarters.until_problem("lying.example", "not by the key that is configured");
    let checkpoint = headquarters.server.get("/log/checkpoint").expect(200).text();
    assert_eq!(signatures(&checkpoint), 2, "{checkpoint}");
    let status = headquarters.status("ada");
    assert_eq!(status.iter().filter(|status| status["cosigned_size"].is_null()).count(), 3, "{status:#?}");
}

#[test]
fn a_second_history_of_a_log_is_refused_and_told_on_both_sides() {
    let mut shown = Headquarters::start();
    let logs = [shown.log_key()];
    let witness = WitnessProcess::start("ngo.example", &logs);
    shown.watched_by(&[witness.setting()]);
    let tablet = shown.tablet();
    for _ in 0..5 {
        tablet.done(&["check-in"]);
    }
    tablet.done(&["sync"]);
    shown.until_cosigned("ngo.example");
    let held = witness.http().get("/").expect(200).text();
    assert!(held.contains(&witness.key()) && signatures(&held) == 2, "{held}");

    // The same keys, another database: what a restored backup or a rewritten log looks like.
    let mut other = Headquarters::start();
    other.server.kill();
    let (from, to) = (shown.server.data_folder().join("keys"), other.server.data_folder().join("keys"));
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
    other.watched_by(&[witness.setting()]);
    assert_eq!(other.log_key(), logs[0]);
    let tablet = other.tablet();
    for _ in 0..2 {
        tablet.done(&["check-in"]);
    }
    tablet.done(&["sync"]);
    let cut = format!("it cosigned {} entries, and this log has {}", shown.log_size(), other.log_size());
    other.until_problem("ngo.example", &cut);
    for _ in 0..8 {
        tablet.done(&["check-in"]);
    }
    tablet.done(&["sync"]);
    other.until_problem("ngo.example", "it answered 422: the checkpoint does not continue");
    let refused = witness.files("refused");
    assert_eq!(refused.len(), 1, "{refused:#?}");
    let refused: Value = serde_json::from_str(&refused[0]).unwrap();
    let key: VerifierKey = logs[0].parse().unwrap();
    for (field, size) in [("held", shown.log_size()), ("offered", other.log_size())] {
        // Both are signed by the log: the proof that it showed two histories.
        let read = SignedCheckpoint::read(refused[field].as_str().unwrap(), &key).unwrap();
        assert_eq!(read.checkpoint.size, size);
    }
    assert!(witness.words().contains("refused a checkpoint; it is kept"), "{}", witness.words());
    assert_eq!(signatures(&other.server.get("/log/checkpoint").expect(200).text()), 1);
    assert_eq!(witness.http().get("/").expect(200).text(), held);
}

/// A log made by hand, which may have as many histories as the test likes.
struct HandLog {
    signer: LogSigner,
}

impl HandLog {
    fn new() -> Self {
        let key = SigningKey::from_bytes(&std::array::from_fn(|_| fastrand::u8(..)));
        Self { signer: LogSigner::new("example.org/log", key).unwrap() }
    }

    fn root(entries: &[String]) -> Sha256 {
        let mut range = CompactRange::default();
        for entry in entries {
            range.push(leaf_hash(entry.as_bytes()));
        }
        range.root()
    }

    fn checkpoint(&self, entries: &[String]) -> String {
        Checkpoint::signed(entries.len() as u64, Self::root(entries), &self.signer)
    }

    /// A request that proves growth from the first `old_size` entries.
    fn request(&self, old_size: u64, entries: &[String]) -> String {
        let mut leaves = Leaves(entries.iter().map(|entry| leaf_hash(entry.as_bytes())).collect());
        let consistency = consistency(&mut leaves, old_size, entries.len() as u64).unwrap_or_default();
        AddCheckpoint { old_size, consistency, checkpoint: self.checkpoint(entries) }.text()
    }
}

/// Of a tree of less than one tile.
struct Leaves(Vec<Sha256>);

impl Tiles for Leaves {
    type Error = Infallible;

    fn hashes(&mut self, _: u32, positions: Range<u64>) -> Result<Vec<Sha256>, Infallible> {
        Ok(self.0[positions.start as usize..positions.end as usize].to_vec())
    }
}

fn add(http: &Http, request: &str) -> Answer {
    http.send("POST", "/add-checkpoint", &[("Content-Type", "text/plain")], Some(request.as_bytes()))
}

fn and(entries: &[String], last: String) -> Vec<String> {
    entries.iter().cloned().chain([last]).collect()
}

#[test]
fn a_witness_answers_by_the_protocol_and_cosigns_one_of_two_histories() {
    let (log, imposter) = (HandLog::new(), HandLog::new());
    let witness = WitnessProcess::start("w.example", &[log.signer.verifier().to_string()]);
    let http = witness.http();
    http.get("/add-checkpoint").expect_problem(405, "method-not-allowed");
    let first = vec!["first".to_owned()];
    assert_eq!(add(&http, "nonsense").status, 400);
    assert_eq!(add(&http, &imposter.request(0, &first)).status, 403);
    let unknown = log.request(0, &first).replace("example.org/log\n", "example.org/other\n");
    assert_eq!(add(&http, &unknown).status, 404);
    let ahead = add(&http, &log.request(1, &first));
    assert_eq!((ahead.status, ahead.text().as_str()), (409, "0\n"));
    assert_eq!(ahead.header("content-type"), "text/x.tlog.size");

    // Four histories at the same moment, again and again, each proved to continue what is held.
    let mut history: Vec<String> = Vec::new();
    for round in 0..20 {
        let old_size = history.len() as u64;
        let branches: Vec<Vec<String>> =
            (0..4).map(|branch| and(&history, format!("round {round}, branch {branch}"))).collect();
        let together = Barrier::new(branches.len());
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let ask = |branch: &Vec<String>| {
                let (http, request, together) = (witness.http(), log.request(old_size, branch), &together);
                scope.spawn(move || {
                    together.wait();
                    add(&http, &request)
                })
            };
            let asking: Vec<_> = branches.iter().map(ask).collect();
            asking.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let cosigned: Vec<usize> = (0..answers.len()).filter(|at| answers[*at].status == 200).collect();
        assert_eq!(cosigned.len(), 1, "{answers:#?}");
        assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 409)), "{answers:#?}");
        for (at, branch) in branches.iter().enumerate() {
            let again = add(&http, &log.request(old_size + 1, branch));
            assert_eq!(again.status, if at == cosigned[0] { 200 } else { 409 });
        }
        history = branches[cosigned[0]].clone();
    }
    // One that grew from a branch that was not chosen is no continuation.
    let forked = and(&and(&history[..19], "another".to_owned()), "and on".to_owned());
    assert_eq!(add(&http, &log.request(20, &forked)).status, 422);
    let newest = witness.files("newest");
    assert_eq!((newest.len(), signatures(&newest[0])), (1, 2));
    assert_eq!(newest[0].lines().nth(1), Some("20"));
}

#[test]
fn a_witness_killed_between_its_state_and_its_answer_holds_what_it_promised() {
    let log = HandLog::new();
    let mut witness = WitnessProcess::start("w.example", &[log.signer.verifier().to_string()]);
    let mut history: Vec<String> = Vec::new();
    let mut unanswered = 0;
    for round in 0..20 {
        let old_size = history.len() as u64;
        let next = and(&history, format!("round {round}"));
        let (http, request) = (witness.http(), log.request(old_size, &next));
        let before = witness.files("newest");
        let answer = std::thread::scope(|scope| {
            let asking =
                scope.spawn(move || http.try_send("POST", "/add-checkpoint", &[], Some(request.as_bytes())));
            for _ in 0..100_000 {
                if witness.files("newest") != before {
                    break;
                }
            }
            witness.kill();
            asking.join().unwrap()
        });
        unanswered += usize::from(answer.is_none());
        witness.start_again();
        let http = witness.http();
        // The state stands: the same is cosigned when it is asked for again, another one of its size never.
        let held = add(&http, &log.request(old_size, &next));
        assert_eq!((held.status, held.text()), (409, format!("{}\n", old_size + 1)));
        assert_eq!(add(&http, &log.request(old_size + 1, &next)).status, 200);
        let other = and(&history, format!("another round {round}"));
        assert_eq!(add(&http, &log.request(old_size + 1, &other)).status, 409);
        history = next;
    }
    assert_eq!(witness.files("refused").len(), 20);
    println!("killed 20 times with the state written, {unanswered} times before the answer left");
}

#[test]
fn a_witness_that_lost_its_memory_does_not_start_and_two_never_share_one() {
    let log = HandLog::new();
    let key = log.signer.verifier().to_string();
    let mut witness = WitnessProcess::start("w.example", std::slice::from_ref(&key));
    let first = vec!["first".to_owned()];
    assert_eq!(add(&witness.http(), &log.request(0, &first)).status, 200);
    let data = witness.folder().parent().unwrap().to_owned();
    let start = |name: &str| {
        let mut command = std::process::Command::new(endcheck_tests::process::program("endcheck-server"));
        command.args(["witness", "--listen", "127.0.0.1:0", "--name", name, "--log", &key, "--data"]);
        let ended = command.arg(&data).output().unwrap();
        assert!(!ended.status.success());
        String::from_utf8_lossy(&ended.stderr).into_owned()
    };
    assert!(start("w.example").contains("another witness works in"));
    assert!(start("other.example").contains("a name can never be changed"));
    witness.kill();
    for entry in std::fs::read_dir(witness.folder().join("newest")).unwrap() {
        std::fs::write(entry.unwrap().path(), "nothing").unwrap();
    }
    assert!(start("w.example").contains("is not what this witness wrote"));
    std::fs::remove_dir_all(witness.folder().join("newest")).unwrap();
    assert!(start("w.example").contains("is gone: this witness cosigned that log"));
}

#[test]
fn an_export_that_too_few_witnesses_cosigned_says_so_and_passes_once_they_are_back() {
    let mut headquarters = Headquarters::start();
    let logs = [headquarters.log_key()];
    let mut witnesses =
        ["w1.example", "w2.example", "w3.example"].map(|name| WitnessProcess::start(name, &logs));
    headquarters.watched_by(&witnesses.each_ref().map(WitnessProcess::setting));
    let manager = signed_in(&headquarters.server, "ada");
    import_programme(&manager);
    let visit = schedule(&manager, SHIPMENT, Some(&headquarters.iris.id), headquarters.clock.now());
    let tablet = headquarters.tablet();
    tablet.done(&["pull"]);
    tablet.done(&["open", &visit]);
    tablet.done(&["close", "partial", "--note", "Called away."]);
    tablet.done(&["sync"]);
    let folder = tempfile::tempdir().unwrap();
    let policy = kept(folder.path(), "policy", &headquarters.policy());
    let exported = |name: &str| {
        let path = format!("/api/v1/visits/{visit}/bundle?why=For+the+court.");
        let answer = signed_in(&headquarters.server, "vera").get(&path).expect(200);
        let archive = folder.path().join(name);
        std::fs::write(&archive, &answer.body).unwrap();
        let said = tablet.run(&["verify", &archive.display().to_string(), "--policy", &policy]);
        (answer.header("endcheck-warning").to_owned(), said)
    };
    witnesses[1].kill();
    witnesses[2].kill();
    let (warning, said) = exported("few.tar");
    assert!(warning.contains("only 1 of 3 witnesses") && warning.contains("asks for 2"), "{warning}");
    assert_eq!(said.status, ExitStatus::Refused, "{}", said.output);
    witnesses[1].start_again();
    headquarters.until_cosigned("w2.example");
    let (warning, said) = exported("enough.tar");
    assert_eq!(warning, "");
    assert_eq!(said.status, ExitStatus::Success, "{}", said.output);
}
