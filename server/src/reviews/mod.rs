//! Reviews: the dossier of a visit, and the determination that a person makes of it.
//!
//! The system says what is missing and what disagrees; it decides nothing. A determination is a
//! row that stays; a change is another row that names it and counts once a second person approved.

mod dossier;
mod http;
mod page;
mod store;

use endcheck_protocol::checklist::{Obstacle, favourable_obstacles};
use endcheck_protocol::determination::{self, ApprovalDocument, DeterminationDocument};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{DeterminationId, UserId, VisitId};
use endcheck_protocol::problem::{FieldProblem, Problem};
use endcheck_protocol::record::Contents;
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::Visit;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::{Actor, Permission};
use crate::checks;
use crate::custody::{self, Note};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::evidence;
use crate::log::{self, EntryKind};
use crate::parties::{self, Happening};
use crate::{reason, shipments, visits};

pub use dossier::{Dossier, dossier, dossier_until};
pub use http::{ApiDoc, routes};
pub use store::{Concluded, documents};

/// What a person concludes from a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Favourable,
    Unfavourable,
    Unverified,
}

impl Outcome {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Favourable => "favourable",
            Self::Unfavourable => "unfavourable",
            Self::Unverified => "unverified",
        }
    }
}

/// Why a determination is not favourable, after the programmes' own lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnfavourableReason {
    OrderOrReceiptUnconfirmed,
    UnlistedParty,
    DiversionIndication,
    UnauthorisedRetransfer,
    Stockpiling,
    InsecureStorage,
    Unresponsive,
    Discrepancy,
    ConditionBreach,
}

/// A determination to be recorded.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Determine {
    pub outcome: Outcome,
    /// At least one where the outcome is unfavourable.
    #[serde(default)]
    pub reasons: Vec<UnfavourableReason>,
    /// In words that the party could be shown.
    pub reason: String,
    /// The determination that this one changes; needed once there is one.
    #[serde(default)]
    pub replaces: Option<DeterminationId>,
}

/// A determination as recorded.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Determination {
    pub id: DeterminationId,
    pub visit: VisitId,
    pub outcome: Outcome,
    pub reasons: Vec<UnfavourableReason>,
    pub reason: String,
    pub author: UserId,
    pub author_name: String,
    pub replaces: Option<DeterminationId>,
    pub created_at: Timestamp,
    /// Who approved it, where it changes another.
    pub approved_by: Option<String>,
    /// Whether it counts. One of a visit does: the first, and a change from its approval on.
    pub counts: bool,
    /// Whether it is the newest and waits for approval.
    pub waits: bool,
    pub log_index: i64,
}

/// Records a determination.
///
/// # Errors
/// 403, also for the visit's own inspector; 409 `required-missing` for favourable while something
/// required is missing, each thing named; 409 `determination-exists` when there is one that the
/// command does not name; 409 `visit-state`; 422.
pub fn determine(
    conn: &mut Conn,
    actor: &Actor,
    visit_id: &VisitId,
    command: Determine,
    now: Timestamp,
) -> Result<Determination> {
    actor.require(Permission::Determine)?;
    // The log's lock first: no record can slip in between what was judged and what is recorded.
    log::lock(conn)?;
    let visit = visits::get(conn, visit_id, now)?;
    refuse_own(conn, actor, &visit)?;
    let reason = reason::require(command.reason)?;
    if command.outcome == Outcome::Unfavourable && command.reasons.is_empty() {
        return Err(Error::invalid_field(
            "reasons",
            "an unfavourable determination names at least one reason",
        ));
    }
    let latest = store::determinations(conn, visit_id, i64::MAX)?.pop();
    if latest.as_ref().map(|latest| &latest.id) != command.replaces.as_ref() {
        return Err(match latest {
            Some(latest) => Error::conflict(
                "determination-exists",
                format!("The newest determination is {}: name it in replaces to change it.", latest.id),
            ),
            None => Error::invalid_field("replaces", "there is no determination to replace yet"),
        });
    }
    require_possible(conn, command.outcome, visit_id)?;
    visits::reviewed(conn, visit_id, actor, command.outcome.as_str(), now)?;
    let id = DeterminationId::mint();
    let held = evidence::records_of(conn, visit_id)?;
    let document = DeterminationDocument {
        schema: determination::SCHEMA.to_owned(),
        id: id.clone(),
        visit: visit_id.clone(),
        outcome: command.outcome.as_str().to_owned(),
        reasons: command.reasons.iter().filter_map(word).collect(),
        reason: reason.clone(),
        author: actor.user.clone(),
        author_name: actor.name.clone(),
        replaces: command.replaces.clone(),
        created_at: now,
        considered: Contents::of(held.iter().map(|stored| &stored.hash)),
    };
    let (document, subject) = written(&document)?;
    let logged = log::append(conn, EntryKind::Determination, &subject, now)?;
    store::insert(
        conn,
        &store::NewDetermination {
            id: &id,
            visit_id,
            outcome: command.outcome.as_str(),
            reasons: serde_json::to_string(&command.reasons).map_err(|e| Error::Internal(e.into()))?,
            reason: &reason,
            author_id: &actor.user,
            replaces: command.replaces.as_ref(),
            created_at: now,
            log_index: logged.index,
            document: &document,
        },
    )?;
    // A change counts from its approval on.
    if command.replaces.is_none() {
        remember(conn, &id, &visit, command.outcome, now)?;
    }
    tell_ledger(
        conn,
        visit_id,
        Note::Concluded { determination: id.clone(), subject, approval: false },
        now,
    )?;
    find(conn, &id)
}

/// The outcome as part of the history of those whom it concerns.
fn remember(
    conn: &mut Conn,
    id: &DeterminationId,
    visit: &Visit,
    outcome: Outcome,
    now: Timestamp,
) -> Result<()> {
    let check = checks::get(conn, &visit.check)?;
    let happening = Happening {
        key: format!("determination:{id}"),
        visit: &visit.id,
        happened: outcome.as_str(),
        parties: shipments::concerned(conn, &check.shipment)?,
    };
    parties::remember(conn, &happening, now)
}

/// Approves a changed determination; the author cannot.
///
/// # Errors
/// 403; 404; 409 `nothing-to-approve` for a first determination, or one that is approved already; 409
/// `determination-superseded` when there is a newer one; 409 `required-missing` as for a first one.
pub fn approve(
    conn: &mut Conn,
    actor: &Actor,
    id: &DeterminationId,
    now: Timestamp,
) -> Result<Determination> {
    actor.require(Permission::Determine)?;
    log::lock(conn)?;
    let determination = find(conn, id)?;
    if determination.counts {
        return Err(Error::conflict("nothing-to-approve", "This determination counts already."));
    }
    if !determination.waits {
        return Err(Error::conflict(
            "determination-superseded",
            "A newer determination of this visit names or follows this one; approve that.",
        ));
    }
    if determination.author == actor.user {
        return Err(Error::forbidden(
            "own-determination",
            "Somebody other than its author approves a change.",
        ));
    }
    let visit = visits::get(conn, &determination.visit, now)?;
    refuse_own(conn, actor, &visit)?;
    require_possible(conn, determination.outcome, &visit.id)?;
    let (document, subject) = written(&ApprovalDocument {
        schema: determination::APPROVAL_SCHEMA.to_owned(),
        determination: id.clone(),
        approver: actor.user.clone(),
        approver_name: actor.name.clone(),
        approved_at: now,
    })?;
    let logged = log::append(conn, EntryKind::Determination, &subject, now)?;
    store::insert_approval(conn, id, &actor.user, logged.index, &document, now)?;
    remember(conn, id, &visit, determination.outcome, now)?;
    let note = Note::Concluded { determination: id.clone(), subject, approval: true };
    tell_ledger(conn, &visit.id, note, now)?;
    find(conn, id)
}

/// Notes it in the visit's ledger and commits the ledger to the log, in the same transaction: whoever takes the
/// document away later leaves the ledger telling of it.
fn tell_ledger(conn: &mut Conn, visit: &VisitId, note: Note, now: Timestamp) -> Result<()> {
    custody::note(conn, Some(visit), &note, None, now)?;
    custody::commit(conn, now).map(|_| ())
}

/// The document's bytes as text, and what the log's entry about it commits to.
fn written<T: Serialize>(document: &T) -> Result<(String, Sha256)> {
    let (bytes, subject) = determination::subject(document).map_err(|e| Error::Internal(e.into()))?;
    Ok((String::from_utf8(bytes).map_err(|e| Error::Internal(e.into()))?, subject))
}

/// A word of a closed list, as it is written.
fn word<T: Serialize>(value: &T) -> Option<String> {
    serde_json::to_value(value).ok()?.as_str().map(str::to_owned)
}

fn find(conn: &mut Conn, id: &DeterminationId) -> Result<Determination> {
    let missing = || Error::not_found("determination");
    let visit = store::visit_of(conn, id)?.ok_or_else(missing)?;
    store::determinations(conn, &visit, i64::MAX)?.into_iter().find(|one| one.id == *id).ok_or_else(missing)
}

/// Favourable is impossible while something required is missing.
fn require_possible(conn: &mut Conn, outcome: Outcome, visit: &VisitId) -> Result<()> {
    if outcome != Outcome::Favourable {
        return Ok(());
    }
    let obstacles = dossier::obstacles(conn, visit)?;
    if obstacles.is_empty() { Ok(()) } else { Err(required_missing(&obstacles)) }
}

/// Nobody judges a visit that they made, or made a record of before it passed to somebody else.
fn refuse_own(conn: &mut Conn, actor: &Actor, visit: &Visit) -> Result<()> {
    if is_own(conn, &actor.user, visit)? {
        return Err(Error::forbidden(
            "own-visit",
            "Somebody who neither is the visit's inspector nor recorded anything of it determines it.",
        ));
    }
    Ok(())
}

fn is_own(conn: &mut Conn, user: &UserId, visit: &Visit) -> Result<bool> {
    Ok(visit.is_for(user) || evidence::recorded_by(conn, &visit.id, user)?)
}

fn required_missing(obstacles: &[Obstacle]) -> Error {
    let mut problem = Problem::new(
        409,
        "required-missing",
        "A favourable determination is not possible yet",
        format!("{} things stand against it; each is listed under errors.", obstacles.len()),
    );
    problem.errors = obstacles
        .iter()
        .map(|obstacle| FieldProblem {
            line: None,
            field: "outcome".to_owned(),
            reason: obstacle.sentence.clone(),
        })
        .collect();
    Error::Refused(Box::new(problem))
}

/// What stands against `favourable`, from the checklist and the gathered state.
fn stand_against(
    checklist: Option<&endcheck_protocol::checklist::Checklist>,
    state: &endcheck_protocol::checklist::State,
) -> Vec<Obstacle> {
    match checklist {
        Some(checklist) => favourable_obstacles(checklist, state),
        None => vec![Obstacle {
            kind: endcheck_protocol::checklist::ObstacleKind::VisitNotClosed,
            sentence: "No inspector has taken the visit's checklist along yet.".to_owned(),
        }],
    }
}
