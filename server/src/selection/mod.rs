//! Choosing what is checked next: a draw is committed to, made, and can be repeated by anybody who has the policy, the
//! pool and the seed. Whoever departs from it says why, and is counted.

mod depart;
mod document;
mod export;
mod http;
mod page;
mod store;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::TimeDelta;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{CheckId, ItemId, SelectionId, ShipmentId, UserId};
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::checks::{self, Check, CheckKind, Origin, Trigger};
use crate::db::{CHUNK, Conn};
use crate::error::{Error, Result};
use crate::log::{self, EntryKind};
use crate::reason;
use crate::risk::draw::{self, Candidate, Chosen, Drawn, Seed, Way};
use crate::risk::policy::Policy;
use crate::risk::{self, HeldPolicy, sample};

pub use depart::{depart, verify_overrides};
pub use document::{
    ItemSample, KeptOut, SEED_SCHEMA, SELECTION_SCHEMA, SeedDocument, Selected, SelectionDocument,
};
pub use export::export;
pub use http::{ApiDoc, routes};

/// Most checks that one draw may be asked for.
const MAX_CAPACITY: u64 = 100_000;

/// A draw to be committed to.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitSelection {
    /// How many checks can be made.
    pub capacity: u64,
    /// What it is for, such as the quarter.
    pub note: String,
}

/// A draw, before and after it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Selection {
    pub id: SelectionId,
    pub note: String,
    pub seed: SeedDocument,
    /// Where the log commits to the seed.
    pub seed_index: i64,
    /// Once it is made.
    pub drawn: Option<SelectionDocument>,
    pub drawn_index: Option<i64>,
    pub overrides: Vec<Override>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverrideAct {
    /// A shipment that was not chosen is checked.
    Add,
    /// One that was chosen is not.
    Drop,
}

impl OverrideAct {
    pub const ALL: [Self; 2] = [Self::Add, Self::Drop];

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.as_str() == word)
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Drop => "drop",
        }
    }
}

/// A departure from a draw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Override {
    /// The shipment's key.
    pub shipment: String,
    pub act: OverrideAct,
    pub reason: String,
    pub author: UserId,
    pub noted_at: Timestamp,
}

/// A draw as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SelectionSummary {
    pub id: SelectionId,
    pub note: String,
    pub capacity: i64,
    #[schema(value_type = String)]
    pub policy: Sha256,
    pub committed_by: UserId,
    pub committed_at: Timestamp,
    /// Where the log commits to the seed.
    pub seed_index: i64,
    /// Once it is made, as are the next two.
    pub drawn_at: Option<Timestamp>,
    pub pool_size: Option<i64>,
    pub chosen: Option<i64>,
    /// Departures.
    pub overrides: i64,
}

/// A departure to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OverrideSelection {
    pub shipment: ShipmentId,
    pub act: OverrideAct,
    pub reason: String,
    /// Adds a shipment although it has not arrived or has a check under way.
    #[serde(default)]
    pub even_so: bool,
}

/// Commits to a draw: makes its seed, and logs what it will be made with.
///
/// # Errors
/// 403; 409 `no-policy`, `policy-expired`; 422 without a note or capacity.
pub fn commit(conn: &mut Conn, actor: &Actor, command: CommitSelection, now: Timestamp) -> Result<Selection> {
    actor.require(Permission::ScheduleVisits)?;
    log::lock(conn)?;
    let policy = selecting_policy(conn, now)?.hash;
    if !(1..=MAX_CAPACITY).contains(&command.capacity) {
        return Err(Error::invalid_field("capacity", format!("is from 1 to {MAX_CAPACITY}")));
    }
    let note = reason::require(command.note)?;
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
    let seed = Seed(bytes);
    let id = SelectionId::mint();
    let document = SeedDocument {
        capacity: command.capacity,
        committed_at: now,
        committed_by: actor.user.clone(),
        id: id.clone(),
        policy: policy.clone(),
        schema: SEED_SCHEMA.to_owned(),
        seed_sha256: seed.commitment(),
    };
    let text = written(&document)?;
    let logged = log::append(conn, EntryKind::Seed, &Sha256::of(text.as_bytes()), now)?;
    store::insert(
        conn,
        &store::SelectionRow {
            id: id.clone(),
            policy_hash: policy,
            capacity: i64::try_from(command.capacity).unwrap_or(i64::MAX),
            note,
            seed: seed.to_hex(),
            committed_by: actor.user.clone(),
            committed_at: now,
            document: text,
            log_index: logged.index,
        },
    )?;
    get(conn, &id)
}

/// A draw by its id. The seed is told once the draw is made.
///
/// # Errors
/// 404 when there is none.
pub fn get(conn: &mut Conn, id: &SelectionId) -> Result<Selection> {
    let row = store::find(conn, id)?.ok_or_else(|| Error::not_found("selection"))?;
    told(conn, row)
}

/// Draws committed to before one, newest first.
///
/// # Errors
/// When the database fails.
pub fn list(conn: &mut Conn, before: Option<&SelectionId>, limit: i64) -> Result<Vec<SelectionSummary>> {
    store::list(conn, before, limit)
}

/// The pools of draws among the kept files, by name, after one.
///
/// # Errors
/// When the database fails.
pub fn pools(conn: &mut Conn, after: &str, limit: i64) -> Result<Vec<Sha256>> {
    store::pools(conn, after, limit)
}

/// How many pools are kept.
///
/// # Errors
/// When the database fails.
pub fn count_pools(conn: &mut Conn) -> Result<i64> {
    store::count_pools(conn)
}

/// Keeps a check from being dropped until the commit, for whoever plans a visit for it.
///
/// # Errors
/// 404 when there is none; 409 `check-dropped` when somebody departed from its draw.
pub fn hold(conn: &mut Conn, check: &CheckId) -> Result<Check> {
    let check = checks::lock(conn, check)?;
    if store::is_dropped(conn, &check.id)? {
        return Err(Error::conflict(
            "check-dropped",
            "This check was dropped when somebody departed from its draw: no visit is planned for it. Open another check \
             where one is needed.",
        ));
    }
    Ok(check)
}

fn told(conn: &mut Conn, row: store::SelectionRow) -> Result<Selection> {
    let drawn = store::drawn(conn, &row.id)?;
    let read = |text: &str| serde_json::from_str(text).map_err(|e| Error::Internal(e.into()));
    Ok(Selection {
        overrides: store::overrides(conn, &row.id)?,
        seed: serde_json::from_str(&row.document).map_err(|e| Error::Internal(e.into()))?,
        seed_index: row.log_index,
        drawn_index: drawn.as_ref().map(|(_, index)| *index),
        drawn: drawn.map(|(text, _)| read(&text)).transpose()?,
        id: row.id,
        note: row.note,
    })
}

/// The checks that a draw opened, by the shipment's key.
///
/// # Errors
/// When the database fails.
pub fn opened(conn: &mut Conn, id: &SelectionId) -> Result<HashMap<String, CheckId>> {
    store::opened(conn, id)
}

/// How many of each band a draw chose at random, and from how many; nothing where it is not made.
///
/// # Errors
/// When the database fails.
pub fn strata(conn: &mut Conn, id: &SelectionId) -> Result<Vec<draw::Stratum>> {
    #[derive(Deserialize)]
    struct Document {
        strata: Vec<draw::Stratum>,
    }
    let Some((text, _)) = store::drawn(conn, id)? else { return Ok(Vec::new()) };
    let read: Document = serde_json::from_str(&text).map_err(|e| Error::Internal(e.into()))?;
    Ok(read.strata)
}

/// Whether a kept file is the pool of a draw.
///
/// # Errors
/// When the database fails.
pub fn is_pool(conn: &mut Conn, sha256: &Sha256) -> Result<bool> {
    store::is_pool(conn, sha256)
}

/// The policy in force, if it may select today.
fn selecting_policy(conn: &mut Conn, now: Timestamp) -> Result<HeldPolicy> {
    let policy = risk::active_held(conn)?;
    if policy.is_expired(now.day()) {
        return Err(Error::conflict(
            "policy-expired",
            format!(
                "The policy was to be reviewed by {} and selects no more: put a new version into force.",
                policy.review_by
            ),
        ));
    }
    Ok(policy)
}

fn policy_changed() -> Error {
    Error::conflict(
        "policy-changed",
        "Another policy came into force since this draw was committed to: commit to a new one.",
    )
}

/// Makes a draw that was committed to, and opens its checks. One that is made answers as the first time.
///
/// # Errors
/// 403; 404; 409 `policy-changed` when another policy came into force, `policy-expired`, `assessments-unfinished`,
/// `pool-changed` when a check was opened meanwhile: draw again.
pub async fn draw(app: &Arc<App>, actor: &Actor, id: &SelectionId) -> Result<Selection> {
    actor.require(Permission::ScheduleVisits)?;
    let now = app.clock.now();
    let wanted = id.clone();
    let prepared = app.read(move |conn| prepare(conn, &wanted, now)).await?;
    if let Some(prepared) = prepared {
        let pool: String = prepared.pool.iter().map(|(_, candidate)| candidate.line()).collect();
        let pool_sha256 = Sha256::of(pool.as_bytes());
        let (shared, expected) = (Arc::clone(app), pool_sha256.clone());
        let runtime = tokio::runtime::Handle::current();
        app.read(move |_| {
            shared
                .files
                .put(&expected, pool.as_bytes(), &runtime)
                .map_err(|e| Error::Internal(anyhow::anyhow!("the pool cannot be kept: {e}")))
        })
        .await?;
        let (actor, wanted) = (actor.clone(), id.clone());
        app.write(move |conn| make(conn, &actor, &wanted, &prepared, pool_sha256, now)).await?;
    }
    let wanted = id.clone();
    app.read(move |conn| get(conn, &wanted)).await
}

/// A draw that was worked out and not yet kept.
struct Prepared {
    row: store::SelectionRow,
    policy: Policy,
    seed: Seed,
    pool: Vec<(ShipmentId, Candidate)>,
    drawn: Drawn,
    selected: Vec<Selected>,
    checks: Vec<Opening>,
}

/// A check that a draw opens.
struct Opening {
    check: Check,
    assessment: Sha256,
    /// JSON list of the ids of the items to be seen; all of them when absent.
    item_sample: Option<String>,
}

/// Works a draw out; `None` when it is made already.
fn prepare(conn: &mut Conn, id: &SelectionId, now: Timestamp) -> Result<Option<Prepared>> {
    let row = store::find(conn, id)?.ok_or_else(|| Error::not_found("selection"))?;
    if store::drawn(conn, id)?.is_some() {
        return Ok(None);
    }
    let held = selecting_policy(conn, now)?;
    if held.hash != row.policy_hash {
        return Err(policy_changed());
    }
    let policy = risk::held(conn, &held.hash)?;
    if let Some(why) = risk::unfinished(conn, &policy.hash)? {
        return Err(Error::conflict(
            "assessments-unfinished",
            format!(
                "A draw is made of what is known, and {why}. Have every shipment assessed anew (POST /api/v1/rescorings, \
                 or the button on /risk), wait until that is done, and draw again."
            ),
        ));
    }
    let seed = Seed::from_hex(&row.seed).map_err(|e| Error::Internal(anyhow::anyhow!(e)))?;
    let pool = store::pool(conn, &policy.hash, &now.day().to_string())?;
    let candidates: Vec<Candidate> = pool.iter().map(|(_, candidate)| candidate.clone()).collect();
    let capacity = u64::try_from(row.capacity).unwrap_or(0);
    let drawn = draw::draw(&candidates, capacity, policy.selection.random_percent, &seed);
    let mut prepared = Prepared { row, policy, seed, pool, drawn, selected: Vec::new(), checks: Vec::new() };
    (prepared.selected, prepared.checks) = openings(conn, &prepared, now)?;
    Ok(Some(prepared))
}

/// The samples and the checks of those that were chosen.
fn openings(conn: &mut Conn, prepared: &Prepared, now: Timestamp) -> Result<(Vec<Selected>, Vec<Opening>)> {
    let ids: HashMap<&str, &ShipmentId> =
        prepared.pool.iter().map(|(id, candidate)| (candidate.shipment.as_str(), id)).collect();
    let chosen: Vec<(&Chosen, &ShipmentId)> = prepared
        .drawn
        .chosen
        .iter()
        .filter_map(|one| Some((one, *ids.get(one.shipment.as_str())?)))
        .collect();
    let shipments: Vec<&ShipmentId> = chosen.iter().map(|(_, shipment)| *shipment).collect();
    let mut items = store::items(conn, &shipments)?;
    let (mut selected, mut checks) = (Vec::with_capacity(chosen.len()), Vec::with_capacity(chosen.len()));
    for some in chosen.chunks(CHUNK) {
        let hashes: Vec<&Sha256> = some.iter().map(|(one, _)| &one.assessment).collect();
        let assessments = risk::assessments(conn, &hashes)?;
        for (one, shipment) in some {
            let items = items.remove(*shipment).unwrap_or_default();
            let sample = sample_of(&prepared.policy, &prepared.seed, one, &items);
            let assessment =
                assessments.get(&one.assessment).ok_or_else(|| Error::not_found("assessment"))?;
            checks.push(opening(prepared, one, shipment, &sample, &items, assessment, now)?);
            selected.push(Selected { chosen: (*one).clone(), sample });
        }
    }
    Ok((selected, checks))
}

fn make(
    conn: &mut Conn,
    actor: &Actor,
    id: &SelectionId,
    prepared: &Prepared,
    pool_sha256: Sha256,
    now: Timestamp,
) -> Result<()> {
    log::lock(conn)?;
    if store::drawn(conn, id)?.is_some() {
        return Ok(());
    }
    // Nothing may have come between what was worked out and what is kept.
    if selecting_policy(conn, now)?.hash != prepared.policy.hash {
        return Err(policy_changed());
    }
    let today = now.day().to_string();
    if store::pool(conn, &prepared.policy.hash, &today)? != prepared.pool {
        return Err(Error::conflict("pool-changed", "The pool changed while it was drawn from: draw again."));
    }
    let checks: Vec<(Check, Origin<'_>)> = prepared
        .checks
        .iter()
        .map(|one| {
            let origin = Origin {
                key: Some(format!("selection:{id}:{}", one.check.shipment)),
                selection: Some(id),
                assessment: Some(&one.assessment),
                item_sample: one.item_sample.clone(),
            };
            (one.check.clone(), origin)
        })
        .collect();
    checks::insert_new(conn, &checks)?;
    let document = SelectionDocument {
        capacity: u64::try_from(prepared.row.capacity).unwrap_or(0),
        chosen: prepared.selected.clone(),
        drawn_at: now,
        drawn_by: actor.user.clone(),
        id: id.clone(),
        kept_out: store::kept_out(conn, &prepared.policy.hash, &today)?,
        policy: prepared.policy.hash.clone(),
        pool_sha256,
        pool_size: prepared.pool.len() as u64,
        random_percent: prepared.policy.selection.random_percent,
        schema: SELECTION_SCHEMA.to_owned(),
        seed: prepared.seed.to_hex(),
        seed_index: u64::try_from(prepared.row.log_index).unwrap_or(0),
        strata: prepared.drawn.strata.clone(),
    };
    let text = written(&document)?;
    let logged = log::append(conn, EntryKind::Selection, &Sha256::of(text.as_bytes()), now)?;
    store::insert_drawn(conn, id, &actor.user, &document, &text, logged.index, now)
}

fn written(document: &impl Serialize) -> Result<String> {
    serde_json::to_string(document).map_err(|e| Error::Internal(e.into()))
}

/// Which of a shipment's items are to be seen.
fn sample_of(policy: &Policy, seed: &Seed, chosen: &Chosen, items: &[(ItemId, String)]) -> ItemSample {
    let population = items.len() as u64;
    let defects =
        sample::defects_to_find(population, u64::from(policy.sampling.defect_percent.of(chosen.band)));
    let confidence_percent = policy.sampling.confidence_percent;
    let size = sample::sample_size(population, defects, confidence_percent);
    let keys: Vec<String> = items.iter().map(|(_, key)| key.clone()).collect();
    let to_see = sample::sample(seed, &chosen.shipment, &keys, size);
    let items: Vec<String> = to_see.into_iter().map(str::to_owned).collect();
    let seen: HashSet<&str> = items.iter().map(String::as_str).collect();
    let left_out = keys.into_iter().filter(|key| !seen.contains(key.as_str())).collect();
    ItemSample { confidence_percent, defects, items, left_out, population }
}

fn opening(
    prepared: &Prepared,
    chosen: &Chosen,
    shipment: &ShipmentId,
    sample: &ItemSample,
    items: &[(ItemId, String)],
    assessment: &risk::assess::Assessment,
    now: Timestamp,
) -> Result<Opening> {
    let days = i64::from(prepared.policy.due_days.of(chosen.band));
    let check = Check {
        id: CheckId::mint(),
        shipment: shipment.clone(),
        kind: CheckKind::PostShipment,
        trigger: if chosen.way == Way::Random { Trigger::Random } else { Trigger::Risk },
        reason: sentence(prepared, chosen, assessment, now),
        due_at: now.plus(TimeDelta::days(days)),
        opened_by: None,
        opened_at: now,
    };
    let keys: HashSet<&str> = sample.items.iter().map(String::as_str).collect();
    let to_see: Vec<&ItemId> =
        items.iter().filter(|(_, key)| keys.contains(key.as_str())).map(|(id, _)| id).collect();
    let all = to_see.len() == items.len();
    let item_sample = if all { None } else { Some(written(&to_see)?) };
    Ok(Opening { check, assessment: chosen.assessment.clone(), item_sample })
}

/// What counted most, in the sentences that may leave headquarters.
fn told_reasons(reasons: Vec<risk::Reason>) -> String {
    let counted: Vec<risk::Reason> = reasons.into_iter().filter(|reason| reason.points > 0).collect();
    let held = counted.iter().any(|reason| !reason.shown);
    // A rule counts for what is not known, too; then its sentence says more than anybody knows.
    let said = |reason: risk::Reason| match reason.missing.as_slice() {
        [] => reason.sentence,
        missing => format!("Not known, which counts: {}.", missing.join(", ")),
    };
    let shown = counted.into_iter().filter(|reason| reason.shown).take(3).map(said);
    let mut told: Vec<String> = shown.collect();
    match (told.is_empty(), held) {
        (true, true) => told.push("The reasons are held at headquarters.".to_owned()),
        (false, true) => told.push("Further reasons are held at headquarters.".to_owned()),
        (true, false) => told.push("Nothing in particular counted.".to_owned()),
        (false, false) => {}
    }
    told.join(" ")
}

/// Why this shipment, in words that whoever is checked could be shown.
fn sentence(
    prepared: &Prepared,
    chosen: &Chosen,
    assessment: &risk::assess::Assessment,
    now: Timestamp,
) -> String {
    let counted = || told_reasons(risk::reasons(&prepared.policy, assessment));
    match chosen.way {
        Way::Random => {
            let stratum = prepared.drawn.strata.iter().find(|stratum| stratum.band == chosen.band);
            let (drawn, size) = stratum.map_or((0, 0), |stratum| (stratum.drawn, stratum.size));
            format!(
                "Drawn at random on {}: {drawn} of the {size} shipments in the {} band were. Nothing in particular led \
                 to this one.",
                now.day(),
                chosen.band.as_str()
            )
        }
        Way::Mandatory => format!(
            "Always checked: {} points put the shipment into the mandatory band. {}",
            chosen.points,
            counted()
        ),
        Way::Risk => format!(
            "Chosen for its risk: {} points, place {} of those that the capacity of {} checks allows. {}",
            chosen.points,
            chosen.place,
            prepared.row.capacity,
            counted()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_at_headquarters_is_not_told_but_that_there_is_something_is() {
        let reason = |sentence: &str, shown: bool| risk::Reason {
            rule: "r".to_owned(),
            points: 1,
            sentence: sentence.to_owned(),
            shown,
            missing: Vec::new(),
        };
        let held = || reason("Two tips were received.", false);
        for (reasons, told) in [
            (vec![], "Nothing in particular counted."),
            (vec![held()], "The reasons are held at headquarters."),
            (vec![reason("Tier 1.", true)], "Tier 1."),
            (
                vec![risk::Reason { missing: vec!["hs_tier".to_owned()], ..reason("Tier 1.", true) }],
                "Not known, which counts: hs_tier.",
            ),
            (
                vec![risk::Reason { points: -5, ..reason("A known user.", true) }],
                "Nothing in particular counted.",
            ),
            (vec![held(), reason("Tier 1.", true)], "Tier 1. Further reasons are held at headquarters."),
            (
                ["A.", "B.", "C.", "D."].map(|one| reason(one, true)).into_iter().chain([held()]).collect(),
                "A. B. C. Further reasons are held at headquarters.",
            ),
        ] {
            assert_eq!(told_reasons(reasons), told);
        }
    }
}
