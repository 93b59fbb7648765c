//! Parties: who exports, forwards, receives and uses. Which of these a party is belongs to a
//! shipment, not to the party.

mod history;
mod http;
mod row;
mod store;

use std::collections::{BTreeSet, HashMap};

use endcheck_protocol::ids::PartyId;
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

pub use history::{Happening, History, PartyRole, histories, remember};
pub use http::{Api, routes};
pub use row::{SHAPE, parse};

use crate::accounts::{Actor, Permission};
use crate::db::{self, Conn};
use crate::error::{Error, Result};
use crate::listing::{ListQuery, Page};
use crate::rows::{Faults, Imported, Placed, unique_keys};

/// What a party is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PartyKind {
    Company,
    Government,
    University,
    Person,
    #[default]
    Other,
}

impl PartyKind {
    pub const WORDS: &str = "company, government, university, person, other";

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Company, Self::Government, Self::University, Self::Person, Self::Other]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Company => "company",
            Self::Government => "government",
            Self::University => "university",
            Self::Person => "person",
            Self::Other => "other",
        }
    }
}

/// A party to be added or brought up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct NewParty {
    /// The programme's own, unique among parties: up to 64 characters without blanks and semicolons.
    pub key: String,
    /// The name on the registration.
    pub name: String,
    /// Short names, trade names, the name in another script.
    #[schema(required = false)]
    pub aliases: Vec<String>,
    pub kind: PartyKind,
    pub address: String,
    /// Where it is registered: ISO 3166-1 alpha-2.
    pub country: String,
    /// Number in the company or other register.
    pub registration_no: Option<String>,
}

/// A party as kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Party {
    pub id: PartyId,
    pub key: String,
    pub name: String,
    pub aliases: Vec<String>,
    pub kind: PartyKind,
    pub address: String,
    pub country: String,
    pub registration_no: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A party as shipments and sites name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct PartyName {
    pub id: PartyId,
    pub key: String,
    pub name: String,
    pub country: String,
}

/// Locks programme data until the commit, so that two imports do not add the same key.
///
/// # Errors
/// When the database fails.
pub fn lock_programme(conn: &mut Conn) -> Result<()> {
    db::next_value(conn, "programme_changes").map(|_| ())
}

/// Adds the rows, or brings what is there up to date; all or nothing. Call it within a write.
///
/// # Errors
/// 422 with every fault, those handed in included.
pub fn import(
    conn: &mut Conn,
    rows: &[Placed<NewParty>],
    mut faults: Faults,
    now: Timestamp,
) -> Result<Imported> {
    unique_keys(rows, &mut faults, |party| &party.key);
    faults.into_result()?;
    lock_programme(conn)?;
    let keys: Vec<&str> = rows.iter().map(|row| row.value.key.as_str()).collect();
    let held = store::by_keys(conn, &keys)?;
    let mut imported = Imported::default();
    for row in rows {
        let content = store::Content::of(&row.value)?;
        match held.get(&content.key) {
            None => {
                store::insert(conn, &PartyId::mint(), &content, now)?;
                imported.added += 1;
            }
            Some((id, old)) => {
                let fields = old.differences(&content);
                if !fields.is_empty() {
                    store::update(conn, id, &content, now)?;
                }
                imported.held(&content.key, &fields);
            }
        }
    }
    Ok(imported)
}

/// Adds one party. Call it within a write.
///
/// # Errors
/// 403 without the right; 409 `key-taken`.
pub fn create(conn: &mut Conn, actor: &Actor, party: Placed<NewParty>, now: Timestamp) -> Result<Party> {
    actor.require(Permission::EditProgramme)?;
    let key = party.value.key.clone();
    lock_programme(conn)?;
    if store::by_keys(conn, &[&key])?.contains_key(&key) {
        return Err(Error::conflict("key-taken", format!("There is a party {key} already.")));
    }
    import(conn, &[party], Faults::default(), now)?;
    match store::by_keys(conn, &[&key])?.remove(&key) {
        Some((id, _)) => get(conn, &id),
        None => Err(Error::not_found("party")),
    }
}

/// # Errors
/// 404 when there is none.
pub fn get(conn: &mut Conn, id: &PartyId) -> Result<Party> {
    store::get(conn, id)?.ok_or_else(|| Error::not_found("party"))
}

/// Parties in the order of their keys.
///
/// # Errors
/// 400 or 422 when the query is not understood.
pub fn list(conn: &mut Conn, query: &ListQuery) -> Result<Page<Party>> {
    let limit = query.limit()?;
    let found = store::list(conn, query, limit + 1)?;
    Ok(Page::cut(found, limit, |party| &party.key))
}

/// The ids of those keys that exist.
///
/// # Errors
/// When the database fails.
pub fn ids_by_key<'k>(
    conn: &mut Conn,
    keys: impl IntoIterator<Item = &'k str>,
) -> Result<HashMap<String, PartyId>> {
    let keys: BTreeSet<&str> = keys.into_iter().collect();
    store::ids_by_keys(conn, &keys.into_iter().collect::<Vec<_>>())
}

/// The names of those ids that exist.
///
/// # Errors
/// When the database fails.
pub fn names(conn: &mut Conn, ids: &[&PartyId]) -> Result<HashMap<PartyId, PartyName>> {
    store::names(conn, ids)
}
