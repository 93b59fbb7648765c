//! The witnesses of this log: each is offered every round's checkpoint, by a thread of its own, so that a
//! slow, dead or lying one delays neither intake nor the others. What one answers is checked before it
//! is kept.

mod client;
mod offer;
mod store;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::Builder;
use std::time::{Duration, Instant};

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::tlog::Policy;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::config::WitnessAddress;
use crate::db::Conn;
use crate::error::Result;

/// From one look at the log to the next. All witnesses are offered the checkpoint of a round, so that
/// their cosignatures meet on the same sizes.
const ROUND: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Everybody who is asked to cosign.
pub struct Witnesses {
    members: Vec<Member>,
    /// Size of the checkpoint that is offered now.
    target: Mutex<u64>,
    moved: Condvar,
}

struct Member {
    address: WitnessAddress,
    /// Name and key id, as rows name it.
    id: String,
    faring: Mutex<Faring>,
}

/// How it went with one witness, since this process started.
#[derive(Debug, Clone, Default)]
struct Faring {
    /// The largest size that is done with: cosigned, or seen by the witness and passed.
    done: u64,
    offered_at: Option<Timestamp>,
    /// In a row.
    failures: u32,
    problem: Option<String>,
    retry_at: Option<Instant>,
}

/// How a witness fares.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WitnessStatus {
    pub name: String,
    /// As C2SP signed-note writes it.
    pub key: String,
    pub url: String,
    /// Entries of the log now.
    pub log_size: u64,
    /// Entries in the largest checkpoint that it cosigned.
    pub cosigned_size: Option<u64>,
    /// By its own clock, in seconds since 1970.
    pub cosigned_at_s: Option<i64>,
    /// Since this server started.
    pub offered_at: Option<Timestamp>,
    /// Offers in a row that failed.
    pub failures: u32,
    /// Why the last offer failed.
    pub problem: Option<String>,
}

impl Witnesses {
    /// Takes up the configured witnesses.
    ///
    /// # Errors
    /// When two are one and the same, or a name cannot stand in a policy.
    pub fn new(addresses: &[WitnessAddress]) -> anyhow::Result<Self> {
        let member = |address: &WitnessAddress| Member {
            id: format!("{}+{}", address.key.name, hex::encode(address.key.id())),
            address: address.clone(),
            faring: Mutex::default(),
        };
        let members = addresses.iter().map(member).collect();
        let witnesses = Self { members, target: Mutex::new(0), moved: Condvar::new() };
        Policy::read(&witnesses.policy())
            .map_err(|error| anyhow::anyhow!("the witnesses cannot stand in a policy together: {error}"))?;
        Ok(witnesses)
    }

    /// Whether none is configured.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.members.is_empty()
    }

    /// How many are asked.
    #[must_use]
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// How many of them the published policy asks for: most.
    #[must_use]
    pub fn quorum(&self) -> usize {
        if self.members.is_empty() { 0 } else { self.members.len() / 2 + 1 }
    }

    /// The lines of a C2SP tlog-policy: the witnesses, and that most of them must have cosigned.
    #[must_use]
    pub fn policy(&self) -> String {
        let mut text = String::new();
        for WitnessAddress { key, url } in self.members.iter().map(|member| &member.address) {
            text.push_str(&format!("witness {} {key} {url}\n", key.name));
        }
        match self.members.as_slice() {
            [] => text.push_str("quorum none\n"),
            [one] => text.push_str(&format!("quorum {}\n", one.address.key.name)),
            several => {
                let names: Vec<&str> =
                    several.iter().map(|member| member.address.key.name.as_str()).collect();
                let most = self.quorum();
                text.push_str(&format!("group most-witnesses {most} {}\n", names.join(" ")));
                text.push_str("quorum most-witnesses\n");
            }
        }
        text
    }

    /// How each fares.
    ///
    /// # Errors
    /// When the database fails.
    pub fn status(&self, conn: &mut Conn) -> Result<Vec<WitnessStatus>> {
        let log_size = super::head(conn)?.size;
        self.members
            .iter()
            .map(|member| {
                let newest = store::newest(conn, &member.id)?;
                let faring = member.faring().clone();
                Ok(WitnessStatus {
                    name: member.address.key.name.clone(),
                    key: member.address.key.to_string(),
                    url: member.address.url.to_string(),
                    log_size,
                    cosigned_size: newest.and_then(|(size, _)| u64::try_from(size).ok()),
                    cosigned_at_s: newest.map(|(_, at_s)| at_s),
                    offered_at: faring.offered_at,
                    failures: faring.failures,
                    problem: faring.problem,
                })
            })
            .collect()
    }

    fn target(&self) -> MutexGuard<'_, u64> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is offered now, once that is more than `done`; nothing after a round without news.
    fn wait_for_more_than(&self, done: u64) -> Option<u64> {
        let target = self.target();
        let (target, _) = self
            .moved
            .wait_timeout_while(target, ROUND, |target| *target <= done)
            .unwrap_or_else(PoisonError::into_inner);
        (*target > done).then_some(*target)
    }
}

impl Member {
    fn faring(&self) -> MutexGuard<'_, Faring> {
        self.faring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cosignature lines for a state of the log.
pub(super) fn lines(conn: &mut Conn, size: u64, root: &Sha256) -> Result<String> {
    Ok(store::lines(conn, i64::try_from(size).unwrap_or(i64::MAX), root)?.concat())
}

/// The size from `least` up to `most` that most of today's witnesses cosigned, of these the largest, and by how
/// many. One with the published quorum is found however long ago it was.
pub(super) fn best_size(
    conn: &mut Conn,
    witnesses: &Witnesses,
    least: u64,
    most: u64,
) -> Result<Option<(u64, usize)>> {
    let ids: Vec<&str> = witnesses.members.iter().map(|member| member.id.as_str()).collect();
    let bound = |size: u64| i64::try_from(size).unwrap_or(i64::MAX);
    let (least, most) = (bound(least), bound(most));
    let newest = most_cosigned(&store::sizes(conn, &ids, least, most)?);
    let quorum = witnesses.quorum();
    let best = match newest {
        Some((_, cosignatures)) if cosignatures < quorum => {
            let wanted = i64::try_from(quorum).unwrap_or(i64::MAX);
            store::largest_with(conn, &ids, least, most, wanted)?.map(|size| (size, quorum)).or(newest)
        }
        other => other,
    };
    Ok(best.and_then(|(size, cosignatures)| Some((u64::try_from(size).ok()?, cosignatures))))
}

/// Of sizes, largest first and one for each cosignature, the first of those that occur most often, and how often.
fn most_cosigned(sizes: &[i64]) -> Option<(i64, usize)> {
    let groups = sizes.chunk_by(|a, b| a == b);
    // Of equals the last in this order is taken: the largest size.
    let most = groups.rev().max_by_key(|group| group.len())?;
    Some((*most.first()?, most.len()))
}

/// Starts the rounds, and a thread for each witness. They end when the server does.
///
/// # Errors
/// When the system gives no thread.
pub fn start(app: &Arc<App>) -> anyhow::Result<()> {
    if app.witnesses.members.is_empty() {
        return Ok(());
    }
    let weak = Arc::downgrade(app);
    Builder::new().name("witness-rounds".to_owned()).spawn(move || rounds(&weak))?;
    for at in 0..app.witnesses.members.len() {
        let weak = Arc::downgrade(app);
        Builder::new().name(format!("witness-{at}")).spawn(move || attend(&weak, at))?;
    }
    Ok(())
}

/// Looks at the log, and sets what is offered.
fn rounds(app: &Weak<App>) {
    while let Some(app) = app.upgrade() {
        match app.connection().and_then(|mut conn| super::head(&mut conn)) {
            Ok(head) => {
                let mut target = app.witnesses.target();
                if head.size > *target {
                    *target = head.size;
                    app.witnesses.moved.notify_all();
                }
            }
            Err(error) => tracing::warn!(%error, "the witnesses wait for the database"),
        }
        drop(app);
        std::thread::sleep(ROUND);
    }
}

/// Offers one witness what is new, again and again.
fn attend(app: &Weak<App>, at: usize) {
    let client = client::Client::new();
    while let Some(app) = app.upgrade() {
        let Some(member) = app.witnesses.members.get(at) else { return };
        let (done, retry_at) = {
            let faring = member.faring();
            (faring.done, faring.retry_at)
        };
        let waits = retry_at.is_some_and(|retry_at| retry_at > Instant::now());
        let offered = if waits {
            std::thread::sleep(ROUND);
            None
        } else {
            app.witnesses.wait_for_more_than(done)
        };
        if let Some(size) = offered {
            let now = app.clock.now();
            let came = offer::offer(&app, member, &client, size);
            member.faring().take(size, now, came, &member.id);
        }
    }
}

impl Faring {
    /// Takes up what came of an offer.
    fn take(&mut self, size: u64, now: Timestamp, came: Result<(), String>, witness: &str) {
        self.offered_at = Some(now);
        match came {
            Ok(()) => {
                if self.problem.take().is_some() {
                    tracing::info!(witness, size, "the witness cosigns again");
                }
                *self = Self { done: size, offered_at: self.offered_at, ..Self::default() };
            }
            Err(problem) => {
                // Once for each kind of trouble, not for each try.
                if self.problem.as_ref() != Some(&problem) {
                    tracing::warn!(witness, size, problem, "the witness did not cosign");
                }
                self.failures = self.failures.saturating_add(1);
                self.problem = Some(problem);
                self.retry_at = Instant::now().checked_add(pause(self.failures));
            }
        }
    }
}

/// How long a witness is left alone after so many failures in a row.
fn pause(failures: u32) -> Duration {
    Duration::from_secs(1_u64.checked_shl(failures).unwrap_or(u64::MAX)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_growing() {
        let pauses: Vec<u64> = [1, 2, 5, 8, 9, 40, 100].map(|failures| pause(failures).as_secs()).to_vec();
        assert_eq!(pauses, [2, 4, 32, 256, 300, 300, 300]);
    }

    #[test]
    fn the_largest_of_the_sizes_that_most_cosigned_is_best() {
        for (sizes, best) in [
            (&[][..], None),
            (&[9], Some((9, 1))),
            (&[9, 7], Some((9, 1))),
            (&[9, 7, 7], Some((7, 2))),
            (&[9, 9, 7, 7], Some((9, 2))),
            (&[9, 7, 7, 7, 3, 3], Some((7, 3))),
        ] {
            assert_eq!(most_cosigned(sizes), best, "{sizes:?}");
        }
    }

    #[test]
    fn the_policy_lists_the_witnesses_and_asks_for_most_of_them() {
        let address = |seed: u8, name: &str| {
            let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
            let signer = endcheck_protocol::tlog::WitnessSigner::new(name, key).unwrap();
            format!("{}=http://{name}/", signer.verifier()).parse::<WitnessAddress>().unwrap()
        };
        let (one, two, three) = (address(1, "a.example"), address(2, "b.example"), address(3, "c.example"));
        let policy = |of: &[&WitnessAddress]| {
            let of: Vec<WitnessAddress> = of.iter().map(|address| (*address).clone()).collect();
            Witnesses::new(&of).map(|witnesses| witnesses.policy())
        };
        assert_eq!(policy(&[]).unwrap(), "quorum none\n");
        assert!(policy(&[&one]).unwrap().ends_with("quorum a.example\n"));
        let text = policy(&[&one, &two, &three]).unwrap();
        assert!(text.contains("group most-witnesses 2 a.example b.example c.example\n"), "{text}");
        assert!(policy(&[&one, &one]).is_err());
        assert!(policy(&[&one, &address(2, "a.example")]).is_err());
        assert!(policy(&[&address(1, "none")]).is_err());
    }
}
