//! Choosing what is checked next: a draw is committed to, made, and can be repeated by anybody who has the policy, the
//! pool and the seed. Whoever departs from it says why, and is counted.

mod document;
mod export;
mod http;
mod page;
mod store;

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
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::log::{self, EntryKind};
use crate::reason;
use crate::risk::draw::{self, Candidate, Chosen, Drawn, Seed, Way};
use crate::risk::policy::Policy;
use crate::risk::{self, sample};
use crate::shipments;

pub use document::{ItemSample, SEED_SCHEMA, SELECTION_SCHEMA, SeedDocument, Selected, SelectionDocument};
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

/// A departure to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OverrideSelection {
    pub shipment: ShipmentId,
    pub act: OverrideAct,
    pub reason: String,
}

/// Commits to a draw: makes its seed, and logs what it will be made with.
///
/// # Errors
/// 403; 409 `no-policy`, `policy-expired`; 422 without a note or capacity.
pub fn commit(conn: &mut Conn, actor: &Actor, command: CommitSelection, now: Timestamp) -> Result<Selection> {
    actor.require(Permission::ScheduleVisits)?;
    log::lock(conn)?;
    let policy = selecting_policy(conn, now)?;
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
        policy: policy.hash.clone(),
        schema: SEED_SCHEMA.to_owned(),
        seed_sha256: seed.commitment(),
    };
    let text = written(&document)?;
    let logged = log::append(conn, EntryKind::Seed, &Sha256::of(text.as_bytes()), now)?;
    store::insert(
        conn,
        &store::SelectionRow {
            id: id.clone(),
            policy_hash: policy.hash,
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

/// All draws, newest first.
///
/// # Errors
/// When the database fails.
pub fn list(conn: &mut Conn) -> Result<Vec<Selection>> {
    store::list(conn)?.into_iter().map(|row| told(conn, row)).collect()
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
pub fn opened(conn: &mut Conn, id: &SelectionId) -> Result<std::collections::HashMap<String, CheckId>> {
    store::opened(conn, id)
}

/// Whether a kept file is the pool of a draw.
///
/// # Errors
/// When the database fails.
pub fn is_pool(conn: &mut Conn, sha256: &Sha256) -> Result<bool> {
    store::is_pool(conn, sha256)
}

fn selecting_policy(conn: &mut Conn, now: Timestamp) -> Result<Policy> {
    let policy = risk::in_force(conn)?;
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
}

/// Works a draw out; `None` when it is made already.
fn prepare(conn: &mut Conn, id: &SelectionId, now: Timestamp) -> Result<Option<Prepared>> {
    let row = store::find(conn, id)?.ok_or_else(|| Error::not_found("selection"))?;
    if store::drawn(conn, id)?.is_some() {
        return Ok(None);
    }
    let policy = selecting_policy(conn, now)?;
    if policy.hash != row.policy_hash {
        return Err(Error::conflict(
            "policy-changed",
            "Another policy came into force since this draw was committed to: commit to a new one.",
        ));
    }
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
    Ok(Some(Prepared { row, policy, seed, pool, drawn }))
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
    if store::pool(conn, &prepared.policy.hash, &now.day().to_string())? != prepared.pool {
        return Err(Error::conflict("pool-changed", "The pool changed while it was drawn from: draw again."));
    }
    let ids: std::collections::HashMap<&str, &ShipmentId> =
        prepared.pool.iter().map(|(id, candidate)| (candidate.shipment.as_str(), id)).collect();
    let mut chosen = Vec::with_capacity(prepared.drawn.chosen.len());
    for one in &prepared.drawn.chosen {
        let Some(shipment) = ids.get(one.shipment.as_str()) else { continue };
        chosen.push((one, *shipment));
    }
    let shipments: Vec<&ShipmentId> = chosen.iter().map(|(_, shipment)| *shipment).collect();
    let mut items = store::items(conn, &shipments)?;
    let mut selected = Vec::with_capacity(chosen.len());
    for (one, shipment) in chosen {
        let items = items.remove(shipment).unwrap_or_default();
        let sample = sample_of(&prepared.policy, &prepared.seed, one, &items);
        open(conn, prepared, one, shipment, &sample, &items, now)?;
        selected.push(Selected { chosen: one.clone(), sample });
    }
    let document = SelectionDocument {
        capacity: u64::try_from(prepared.row.capacity).unwrap_or(0),
        chosen: selected,
        drawn_at: now,
        drawn_by: actor.user.clone(),
        id: id.clone(),
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
    store::insert_drawn(conn, id, &actor.user, &text, logged.index, now)
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
    let left_out = keys.into_iter().filter(|key| !items.contains(key)).collect();
    ItemSample { confidence_percent, defects, items, left_out, population }
}

fn open(
    conn: &mut Conn,
    prepared: &Prepared,
    chosen: &Chosen,
    shipment: &ShipmentId,
    sample: &ItemSample,
    items: &[(ItemId, String)],
    now: Timestamp,
) -> Result<()> {
    let days = i64::from(prepared.policy.due_days.of(chosen.band));
    let assessment = risk::assessment(conn, &chosen.assessment)?;
    let check = Check {
        id: CheckId::mint(),
        shipment: shipment.clone(),
        kind: CheckKind::PostShipment,
        trigger: if chosen.way == Way::Random { Trigger::Random } else { Trigger::Risk },
        reason: sentence(prepared, chosen, &assessment, now),
        due_at: now.plus(TimeDelta::days(days)),
        opened_by: None,
        opened_at: now,
    };
    let to_see: Vec<&ItemId> =
        items.iter().filter(|(_, key)| sample.items.contains(key)).map(|(id, _)| id).collect();
    let all = to_see.len() == items.len();
    let origin = Origin {
        key: Some(format!("selection:{}:{shipment}", prepared.row.id)),
        selection: Some(&prepared.row.id),
        assessment: Some(&chosen.assessment),
        item_sample: if all { None } else { Some(written(&to_see)?) },
    };
    checks::insert(conn, &check, &origin)?;
    Ok(())
}

/// Why this shipment, in words that whoever is checked could be shown.
fn sentence(
    prepared: &Prepared,
    chosen: &Chosen,
    assessment: &risk::assess::Assessment,
    now: Timestamp,
) -> String {
    let counted = || {
        let most = risk::reasons(&prepared.policy, assessment);
        let most: Vec<String> = most.into_iter().take(3).map(|reason| reason.sentence).collect();
        if most.is_empty() { "Nothing in particular counted.".to_owned() } else { most.join(" ") }
    };
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

/// Departs from a draw that was made: checks a shipment that it did not choose, or drops one that it chose and for
/// which no visit is planned.
///
/// # Errors
/// 403; 404; 409 `not-drawn`, `overridden` for a shipment that was overridden in this draw before, `chosen-already`,
/// `not-chosen`, `visit-planned`; 422 without a reason.
pub fn depart(
    conn: &mut Conn,
    actor: &Actor,
    id: &SelectionId,
    command: OverrideSelection,
    now: Timestamp,
) -> Result<Selection> {
    actor.require(Permission::ScheduleVisits)?;
    log::lock(conn)?;
    let selection = get(conn, id)?;
    let shipment = shipments::get(conn, &command.shipment)?;
    let Some(drawn) = &selection.drawn else {
        return Err(Error::conflict(
            "not-drawn",
            "The draw was not made yet; there is nothing to depart from.",
        ));
    };
    if selection.overrides.iter().any(|made| made.shipment == shipment.key) {
        return Err(Error::conflict("overridden", "This shipment was overridden in this draw already."));
    }
    let why = reason::require(command.reason)?;
    let chosen = drawn.chosen.iter().any(|selected| selected.chosen.shipment == shipment.key);
    match (command.act, chosen) {
        (OverrideAct::Add, true) => {
            return Err(Error::conflict("chosen-already", "The draw chose this shipment."));
        }
        (OverrideAct::Drop, false) => {
            return Err(Error::conflict("not-chosen", "The draw did not choose this shipment."));
        }
        (OverrideAct::Add, false) => {
            let policy = risk::held(conn, &drawn.policy)?;
            let check = Check {
                id: CheckId::mint(),
                shipment: command.shipment.clone(),
                kind: CheckKind::PostShipment,
                trigger: Trigger::Override,
                reason: why.clone(),
                due_at: now.plus(TimeDelta::days(i64::from(policy.due_days.medium))),
                opened_by: Some(actor.user.clone()),
                opened_at: now,
            };
            let origin = Origin {
                key: Some(format!("selection:{id}:{}", command.shipment)),
                selection: Some(id),
                assessment: None,
                item_sample: None,
            };
            checks::insert(conn, &check, &origin)?;
        }
        (OverrideAct::Drop, true) => {
            if let Some(check) = store::opened(conn, id)?.get(&shipment.key)
                && store::has_visit(conn, check)?
            {
                return Err(Error::conflict(
                    "visit-planned",
                    "A visit is planned for it: cancel that first.",
                ));
            }
        }
    }
    let made = Override {
        shipment: shipment.key,
        act: command.act,
        reason: why,
        author: actor.user.clone(),
        noted_at: now,
    };
    store::insert_override(conn, id, &made, &command.shipment)?;
    get(conn, id)
}
