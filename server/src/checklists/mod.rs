//! Checklist templates and the frozen checklists of visits.
//!
//! A template's version never changes; a frozen checklist is named by its hash. What a checklist
//! means is judged in `endcheck_protocol::checklist`, here it is only kept.

mod http;
mod store;

use std::collections::{BTreeMap, BTreeSet};

use endcheck_protocol::checklist::{self, Checklist, ChecklistItem, Template};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::ItemId;
use endcheck_protocol::time::Timestamp;

use crate::db::Conn;
use crate::error::{Error, Result};
use crate::shipments::Shipment;

pub use http::{ApiDoc, routes};

/// The code of the refusal to freeze.
pub const CANNOT_BE_FROZEN: &str = "checklist-cannot-be-frozen";

/// The template that visits are frozen from.
const END_USE_VISIT: &str = "end-use-visit";

/// Makes sure that the template which ships with the program is there.
///
/// # Errors
/// When the database fails.
pub fn ensure_default(conn: &mut Conn, now: Timestamp) -> Result<()> {
    let template = Template::default_end_use().map_err(|e| Error::Internal(e.into()))?;
    store::insert_template_once(conn, &template, now).map(|_| ())
}

/// Adds a version of a template. The same version with the same content changes nothing.
///
/// # Errors
/// 422 naming the question that is wrong; 409 `template-version-exists` when the version holds
/// other content.
pub fn add_template(conn: &mut Conn, template: &Template, now: Timestamp) -> Result<()> {
    template.check().map_err(|e| Error::invalid_field("questions", e.to_string()))?;
    if store::insert_template_once(conn, template, now)? {
        Ok(())
    } else {
        Err(Error::conflict(
            "template-version-exists",
            format!(
                "{} version {} exists with other content; a version never changes, so give this one the next number.",
                template.id, template.version
            ),
        ))
    }
}

/// Freezes the newest template, the licence's conditions and the shipment's items into the
/// checklist of a visit, and keeps it. Items that are not in the sample need not be seen, unless one that is seen
/// is not as declared.
///
/// # Errors
/// 409 [`CANNOT_BE_FROZEN`] when they do not fit together; names the question or item.
pub fn freeze(
    conn: &mut Conn,
    shipment: &Shipment,
    sample: Option<&BTreeSet<ItemId>>,
    now: Timestamp,
) -> Result<(Sha256, Checklist)> {
    let template = store::newest_template(conn, END_USE_VISIT)?;
    let items: Vec<ChecklistItem> = shipment
        .items
        .iter()
        .map(|item| ChecklistItem {
            id: item.id.clone(),
            description: item.description.clone(),
            serial: item.serial.clone(),
            in_sample: sample.is_none_or(|sample| sample.contains(&item.id)),
            facts: BTreeMap::new(),
        })
        .collect();
    let frozen = checklist::freeze(&template, &shipment.licence_conditions(), &items, &BTreeMap::new())
        .map_err(|e| Error::conflict(CANNOT_BE_FROZEN, e.to_string()))?;
    let hash = frozen.hash().map_err(|e| Error::Internal(e.into()))?;
    store::insert_checklist_once(conn, &hash, &frozen, now)?;
    Ok((hash, frozen))
}

/// A frozen checklist by its hash.
///
/// # Errors
/// 404 when there is none.
pub fn get(conn: &mut Conn, hash: &Sha256) -> Result<Checklist> {
    store::checklist(conn, hash)
}
