//! Licences: what may be exported by whom, and the conditions that become questions on site.

use std::collections::{BTreeSet, HashMap};

use endcheck_protocol::checklist::{AnswerType, EvidenceRule, LicenceCondition, Scope, Text};
use endcheck_protocol::ids::{LicenceId, PartyId};
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::licence_store as store;
use crate::accounts::{Actor, Permission};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::listing::{ListQuery, Page};
use crate::parties::{self, PartyName, lock_programme};
use crate::rows::{Faults, Imported, Placed, unique_keys};

/// A licence to be added or brought up to date.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct NewLicence {
    /// The programme's own, unique among licences.
    pub key: String,
    /// As printed on the licence.
    pub number: String,
    pub authority: String,
    /// Key of the party that may export.
    pub exporter: String,
    /// First day, `YYYY-MM-DD`.
    pub valid_from: String,
    /// Last day.
    pub valid_until: String,
    pub lines: Vec<LicenceLine>,
    #[schema(required = false)]
    pub conditions: Vec<Condition>,
}

/// One line of a licence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct LicenceLine {
    /// 1, 2, …
    pub line: i64,
    /// Entry of the control list, such as `3A001.b.4`.
    pub control_entry: String,
    pub description: String,
    /// Positive decimal: how many or how much may be exported.
    #[schema(value_type = String)]
    pub quantity: String,
    pub unit: String,
    pub value: Option<Money>,
}

/// An amount in whole units of a currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Money {
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
}

/// A condition of a licence, and the question by which a visit finds out whether it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Condition {
    /// Unique within the licence, such as `c1` or `7(b)`.
    pub id: String,
    /// As the licence words it.
    pub text: String,
    /// What the inspector is asked, by language tag; `en` is always there.
    #[schema(value_type = Object)]
    pub question: Text,
    /// `visit` or `item`.
    #[schema(value_type = String)]
    pub scope: Scope,
    /// As in a checklist template, such as `yes-no-unknown`.
    #[schema(value_type = Object)]
    pub answer: AnswerType,
    /// Each with `kind`, `purpose` and `at_least`.
    #[schema(value_type = Vec<Object>, required = false)]
    pub evidence: Vec<EvidenceRule>,
    /// The answer that means that the condition is kept: `yes` or `no`.
    pub expected: Option<String>,
}

impl Condition {
    /// As a checklist takes it.
    #[must_use]
    pub fn for_checklist(&self, licence_number: &str) -> LicenceCondition {
        LicenceCondition {
            licence: licence_number.to_owned(),
            id: self.id.clone(),
            text: self.question.clone(),
            scope: self.scope,
            answer: self.answer.clone(),
            required: true,
            evidence: self.evidence.clone(),
            skip_reasons: Vec::new(),
            ask_when: None,
        }
    }
}

/// A licence as kept.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Licence {
    pub id: LicenceId,
    pub key: String,
    pub number: String,
    pub authority: String,
    pub exporter: PartyName,
    pub valid_from: String,
    pub valid_until: String,
    pub lines: Vec<LicenceLine>,
    pub conditions: Vec<Condition>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Adds the rows, or brings what is there up to date; all or nothing. Call it within a write.
///
/// # Errors
/// 422 with every fault, those handed in included; a line that shipments stand on cannot be taken away.
pub fn import(
    conn: &mut Conn,
    rows: &[Placed<NewLicence>],
    mut faults: Faults,
    now: Timestamp,
) -> Result<Imported> {
    unique_keys(rows, &mut faults, |licence| &licence.key);
    lock_programme(conn)?;
    let parties = parties::ids_by_key(conn, rows.iter().map(|row| row.value.exporter.as_str()))?;
    for row in rows.iter().filter(|row| !parties.contains_key(&row.value.exporter)) {
        let reason = format!("no party with key {}; import parties first", row.value.exporter);
        faults.add(&row.place, "exporter", reason);
    }
    let keys: Vec<&str> = rows.iter().map(|row| row.value.key.as_str()).collect();
    let held = store::by_keys(conn, &keys)?;
    refuse_lost_lines(conn, rows, &held, &mut faults)?;
    faults.into_result()?;
    let mut imported = Imported::default();
    for row in rows {
        let exporter = parties.get(&row.value.exporter).cloned();
        let content = store::Content::of(&row.value, exporter.ok_or_else(|| Error::not_found("party"))?)?;
        match held.get(&content.key) {
            None => {
                let id = LicenceId::mint();
                store::insert(conn, &id, &content, now)?;
                for line in &row.value.lines {
                    store::put_line(conn, &id, None, line)?;
                }
                imported.added += 1;
            }
            Some(old) => {
                let fields = update(conn, old, &content, &row.value.lines, now)?;
                imported.held(&content.key, &fields);
            }
        }
    }
    Ok(imported)
}

/// A line that a file no longer has, while shipments stand on it.
fn refuse_lost_lines(
    conn: &mut Conn,
    rows: &[Placed<NewLicence>],
    held: &HashMap<String, store::Held>,
    faults: &mut Faults,
) -> Result<()> {
    for row in rows {
        let Some(old) = held.get(&row.value.key) else { continue };
        for lost in old.lines_not_in(&row.value.lines) {
            if store::line_is_used(conn, &lost.id)? {
                let reason =
                    format!("line {} is missing, but shipments stand on it; keep it", lost.line.line);
                faults.add(&row.place, "lines", reason);
            }
        }
    }
    Ok(())
}

fn update(
    conn: &mut Conn,
    old: &store::Held,
    content: &store::Content,
    lines: &[LicenceLine],
    now: Timestamp,
) -> Result<Vec<&'static str>> {
    let mut fields = old.content.differences(content);
    let before: BTreeSet<i64> = old.lines.iter().map(|held| held.line.line).collect();
    let same = old.lines.len() == lines.len()
        && lines.iter().all(|line| old.lines.iter().any(|held| held.line == *line));
    if !same {
        fields.push("lines");
        for lost in old.lines_not_in(lines) {
            store::delete_line(conn, &lost.id)?;
        }
        for line in lines {
            let id = old.lines.iter().find(|held| held.line.line == line.line).map(|held| held.id.as_str());
            store::put_line(conn, &old.id, id.filter(|_| before.contains(&line.line)), line)?;
        }
    }
    if !fields.is_empty() {
        store::update(conn, &old.id, content, now)?;
    }
    Ok(fields)
}

/// Adds one licence. Call it within a write.
///
/// # Errors
/// 403 without the right; 409 `key-taken`; 422 when its exporter is unknown.
pub fn create(
    conn: &mut Conn,
    actor: &Actor,
    licence: Placed<NewLicence>,
    now: Timestamp,
) -> Result<Licence> {
    actor.require(Permission::EditProgramme)?;
    let key = licence.value.key.clone();
    lock_programme(conn)?;
    if store::by_keys(conn, &[&key])?.contains_key(&key) {
        return Err(Error::conflict("key-taken", format!("There is a licence {key} already.")));
    }
    import(conn, &[licence], Faults::default(), now)?;
    match store::by_keys(conn, &[&key])?.remove(&key) {
        Some(held) => get(conn, &held.id),
        None => Err(Error::not_found("licence")),
    }
}

/// # Errors
/// 404 when there is none.
pub fn get(conn: &mut Conn, id: &LicenceId) -> Result<Licence> {
    let row = store::get(conn, id)?.ok_or_else(|| Error::not_found("licence"))?;
    whole(conn, vec![row])?.pop().ok_or_else(|| Error::not_found("licence"))
}

/// Licences in the order of their keys; `country` is the exporter's.
///
/// # Errors
/// 400 or 422 when the query is not understood.
pub fn list(conn: &mut Conn, query: &ListQuery) -> Result<Page<Licence>> {
    let limit = query.limit()?;
    let rows = store::list(conn, query, limit + 1)?;
    Ok(Page::cut(whole(conn, rows)?, limit, |licence| &licence.key))
}

fn whole(conn: &mut Conn, rows: Vec<store::Row>) -> Result<Vec<Licence>> {
    let exporters: BTreeSet<&PartyId> = rows.iter().map(|row| &row.content.exporter_id).collect();
    let names = parties::names(conn, &exporters.into_iter().collect::<Vec<_>>())?;
    let ids: Vec<&LicenceId> = rows.iter().map(|row| &row.id).collect();
    let mut lines = store::lines(conn, &ids)?;
    rows.into_iter()
        .map(|row| {
            let exporter = names.get(&row.content.exporter_id).cloned();
            let lines = lines.remove(&row.id).unwrap_or_default();
            Ok(Licence {
                lines: lines.into_iter().map(|held| held.line).collect(),
                exporter: exporter.ok_or_else(|| Error::not_found("party"))?,
                conditions: row.content.conditions()?,
                id: row.id,
                key: row.content.key,
                number: row.content.number,
                authority: row.content.authority,
                valid_from: row.content.valid_from,
                valid_until: row.content.valid_until,
                created_at: row.created_at,
                updated_at: row.updated_at,
            })
        })
        .collect()
}
