//! Rows of determinations and their approvals.

use diesel::prelude::*;
use endcheck_protocol::ids::{DeterminationId, UserId, VisitId};
use endcheck_protocol::time::Timestamp;

use super::{Determination, Outcome};
use crate::db::Conn;
use crate::db::schema::{determination_approvals, determinations, users};
use crate::error::{Error, Result};

#[derive(Insertable)]
#[diesel(table_name = determinations)]
pub(super) struct NewDetermination<'a> {
    pub id: &'a DeterminationId,
    pub visit_id: &'a VisitId,
    pub outcome: &'a str,
    pub reasons: String,
    pub reason: &'a str,
    pub author_id: &'a UserId,
    pub replaces: Option<&'a DeterminationId>,
    pub created_at: Timestamp,
    pub log_index: i64,
    /// The exact bytes that the log commits to.
    pub document: &'a str,
}

pub(super) fn insert(conn: &mut Conn, row: &NewDetermination<'_>) -> Result<()> {
    diesel::insert_into(determinations::table).values(row).execute(conn)?;
    Ok(())
}

pub(super) fn insert_approval(
    conn: &mut Conn,
    id: &DeterminationId,
    approver: &UserId,
    log_index: i64,
    document: &str,
    now: Timestamp,
) -> Result<()> {
    diesel::insert_into(determination_approvals::table)
        .values((
            determination_approvals::determination_id.eq(id),
            determination_approvals::approver_id.eq(approver),
            determination_approvals::approved_at.eq(now),
            determination_approvals::log_index.eq(log_index),
            determination_approvals::document.eq(document),
        ))
        .execute(conn)?;
    Ok(())
}

diesel::alias!(users as approvers: Approvers);

type Row = (
    DeterminationId,
    VisitId,
    String,
    String,
    String,
    UserId,
    String,
    Option<DeterminationId>,
    Timestamp,
    i64,
    Option<String>,
);

macro_rules! joined {
    ($end:expr) => {
        determinations::table
            .inner_join(users::table.on(users::id.eq(determinations::author_id)))
            .left_join(
                determination_approvals::table.on(determination_approvals::determination_id
                    .eq(determinations::id)
                    .and(determination_approvals::log_index.lt($end))),
            )
            .left_join(approvers.on(
                approvers.field(users::id).nullable().eq(determination_approvals::approver_id.nullable()),
            ))
            .select((
                determinations::id,
                determinations::visit_id,
                determinations::outcome,
                determinations::reasons,
                determinations::reason,
                determinations::author_id,
                users::name,
                determinations::replaces,
                determinations::created_at,
                determinations::log_index,
                approvers.field(users::name).nullable(),
            ))
    };
}

/// Every determination of a visit that stands before position `end` of the log, oldest first, with the approvals
/// before it.
pub(super) fn determinations(conn: &mut Conn, visit: &VisitId, end: i64) -> Result<Vec<Determination>> {
    let rows: Vec<Row> = joined!(end)
        .filter(determinations::visit_id.eq(visit).and(determinations::log_index.lt(end)))
        .order(determinations::log_index)
        .load(conn)?;
    let mut all = rows.into_iter().map(Determination::try_from).collect::<Result<Vec<_>>>()?;
    // One counts at a time: the newest that needs no approval or has it.
    let in_force = all.iter().rposition(|one| one.replaces.is_none() || one.approved_by.is_some());
    let newest = all.len().saturating_sub(1);
    for (at, one) in all.iter_mut().enumerate() {
        one.counts = Some(at) == in_force;
        one.waits = at == newest && !one.counts;
    }
    Ok(all)
}

/// A determination or an approval, as the log commits to it.
pub struct Concluded {
    pub determination: DeterminationId,
    pub log_index: i64,
    /// The bytes that the log commits to; absent only where somebody took them out of the row.
    pub document: Option<String>,
    pub approval: bool,
}

/// Every determination of a visit and every approval, in the order of the log.
///
/// # Errors
/// When the database fails.
pub fn documents(conn: &mut Conn, visit: &VisitId) -> Result<Vec<Concluded>> {
    type Row = (DeterminationId, i64, Option<String>);
    let concluded = |approval| {
        move |(determination, log_index, document)| Concluded { determination, log_index, document, approval }
    };
    let made: Vec<Row> = determinations::table
        .filter(determinations::visit_id.eq(visit))
        .select((determinations::id, determinations::log_index, determinations::document))
        .load(conn)?;
    let approved: Vec<Row> = determination_approvals::table
        .inner_join(
            determinations::table.on(determinations::id.eq(determination_approvals::determination_id)),
        )
        .filter(determinations::visit_id.eq(visit))
        .select((
            determination_approvals::determination_id,
            determination_approvals::log_index,
            determination_approvals::document,
        ))
        .load(conn)?;
    let mut all: Vec<Concluded> = made.into_iter().map(concluded(false)).collect();
    all.extend(approved.into_iter().map(concluded(true)));
    all.sort_by_key(|one| one.log_index);
    Ok(all)
}

pub(super) fn visit_of(conn: &mut Conn, id: &DeterminationId) -> Result<Option<VisitId>> {
    Ok(determinations::table.find(id).select(determinations::visit_id).first(conn).optional()?)
}

impl TryFrom<Row> for Determination {
    type Error = Error;
    fn try_from(row: Row) -> Result<Self> {
        let (
            id,
            visit,
            outcome,
            reasons,
            reason,
            author,
            author_name,
            replaces,
            created_at,
            log_index,
            approver,
        ) = row;
        let outcome: Outcome =
            serde_json::from_value(outcome.into()).map_err(|e| Error::Internal(e.into()))?;
        Ok(Self {
            reasons: serde_json::from_str(&reasons).map_err(|e| Error::Internal(e.into()))?,
            counts: false,
            waits: false,
            approved_by: approver,
            id,
            visit,
            outcome,
            reason,
            author,
            author_name,
            replaces,
            created_at,
            log_index,
        })
    }
}
