//! Bringing shipments into the database: references resolved, then each added, changed or left alone.

use std::collections::{BTreeSet, HashMap};

use endcheck_protocol::ids::{ItemId, PartyId, ShipmentId, SiteId};
use endcheck_protocol::time::Timestamp;

use super::{NewItem, NewShipment, licence_store, store};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::parties::{self, lock_programme};
use crate::rows::{Faults, Imported, Placed, unique_keys};
use crate::sites;

/// What the keys of a file stand for.
struct Known {
    parties: HashMap<String, PartyId>,
    sites: HashMap<String, SiteId>,
    licences: HashMap<String, licence_store::Held>,
}

/// Adds the rows, or brings what is there up to date; all or nothing. Call it within a write.
///
/// # Errors
/// 422 with every fault, those handed in included; an item of a shipment that is being checked cannot
/// be taken away.
pub fn import(
    conn: &mut Conn,
    rows: &[Placed<NewShipment>],
    mut faults: Faults,
    now: Timestamp,
) -> Result<Imported> {
    unique_keys(rows, &mut faults, |shipment| &shipment.key);
    lock_programme(conn)?;
    let known = look_up(conn, rows)?;
    for row in rows {
        known.check(row, &mut faults);
    }
    let keys: Vec<&str> = rows.iter().map(|row| row.value.key.as_str()).collect();
    let held = store::by_keys(conn, &keys)?;
    for row in rows {
        let Some(old) = held.get(&row.value.key) else { continue };
        if let Some(lost) = old.items_not_in(&row.value.items).next()
            && store::is_checked(conn, &old.id)?
        {
            let reason =
                format!("item {} is missing, but the shipment is being checked; keep it", lost.item.key);
            faults.add(&row.place, "items", reason);
        }
    }
    faults.into_result()?;
    let mut imported = Imported::default();
    for row in rows {
        let content = known.content(&row.value)?;
        match held.get(&content.key) {
            None => {
                let id = ShipmentId::mint();
                store::insert(conn, &id, &content, now)?;
                for (position, item) in (0..).zip(&row.value.items) {
                    store::insert_item(conn, &ItemId::mint(), &id, &store::ItemContent::of(item, position))?;
                }
                imported.added += 1;
            }
            Some(old) => {
                let fields = update(conn, old, &content, &row.value.items, now)?;
                imported.held(&content.key, &fields);
            }
        }
    }
    Ok(imported)
}

fn look_up(conn: &mut Conn, rows: &[Placed<NewShipment>]) -> Result<Known> {
    let licences: BTreeSet<&str> = rows.iter().map(|row| row.value.licence.as_str()).collect();
    Ok(Known {
        parties: parties::ids_by_key(
            conn,
            rows.iter().flat_map(|row| named_parties(&row.value)).map(|(_, key)| key),
        )?,
        sites: sites::ids_by_key(conn, rows.iter().map(|row| row.value.site.as_str()))?,
        licences: licence_store::by_keys(conn, &licences.into_iter().collect::<Vec<_>>())?,
    })
}

fn named_parties(shipment: &NewShipment) -> impl Iterator<Item = (&'static str, &str)> {
    let single = [
        ("exporter", shipment.exporter.as_str()),
        ("consignee", &shipment.consignee),
        ("end_user", &shipment.end_user),
    ];
    single.into_iter().chain(shipment.intermediates.iter().map(|key| ("intermediates", key.as_str())))
}

impl Known {
    fn check(&self, row: &Placed<NewShipment>, faults: &mut Faults) {
        let shipment = &row.value;
        for (field, key) in named_parties(shipment).filter(|(_, key)| !self.parties.contains_key(*key)) {
            faults.add(&row.place, field, format!("no party with key {key}; import parties first"));
        }
        if !self.sites.contains_key(&shipment.site) {
            let reason = format!("no site with key {}; import sites first", shipment.site);
            faults.add(&row.place, "site", reason);
        }
        match self.licences.get(&shipment.licence) {
            None => {
                let reason = format!("no licence with key {}; import licences first", shipment.licence);
                faults.add(&row.place, "licence", reason);
            }
            Some(licence) if !licence.lines.iter().any(|held| held.line.line == shipment.line) => {
                let reason = format!("licence {} has no line {}", shipment.licence, shipment.line);
                faults.add(&row.place, "line", reason);
            }
            Some(_) => {}
        }
    }

    fn content(&self, shipment: &NewShipment) -> Result<store::Content> {
        let party = |key: &str| self.parties.get(key).cloned().ok_or_else(|| Error::not_found("party"));
        let lines = self.licences.get(&shipment.licence).map(|licence| licence.lines.as_slice());
        let line = lines.unwrap_or_default().iter().find(|held| held.line.line == shipment.line);
        let intermediates: Vec<PartyId> =
            shipment.intermediates.iter().map(|key| party(key)).collect::<Result<_>>()?;
        Ok(store::Content {
            key: shipment.key.clone(),
            licence_line_id: line
                .map(|held| held.id.clone())
                .ok_or_else(|| Error::not_found("licence line"))?,
            exporter_id: party(&shipment.exporter)?,
            intermediates: serde_json::to_string(&intermediates).map_err(|e| Error::Internal(e.into()))?,
            consignee_id: party(&shipment.consignee)?,
            end_user_id: party(&shipment.end_user)?,
            site_id: self.sites.get(&shipment.site).cloned().ok_or_else(|| Error::not_found("site"))?,
            hs6: shipment.hs6.clone(),
            declared_use: shipment.declared_use.clone(),
            shipped_on: shipment.shipped_on.clone(),
            arrived_on: shipment.arrived_on.clone(),
        })
    }
}

fn update(
    conn: &mut Conn,
    old: &store::Held,
    content: &store::Content,
    items: &[NewItem],
    now: Timestamp,
) -> Result<Vec<&'static str>> {
    let mut fields = old.content.differences(content);
    let wanted: Vec<store::ItemContent> =
        (0..).zip(items).map(|(position, item)| store::ItemContent::of(item, position)).collect();
    if wanted.iter().ne(old.items.iter().map(|held| &held.item)) {
        fields.push("items");
        for lost in old.items_not_in(items) {
            store::delete_item(conn, &lost.id)?;
        }
        for item in &wanted {
            match old.items.iter().find(|held| held.item.key == item.key) {
                Some(held) if held.item == *item => {}
                Some(held) => store::update_item(conn, &held.id, item)?,
                None => store::insert_item(conn, &ItemId::mint(), &old.id, item)?,
            }
        }
    }
    if !fields.is_empty() {
        store::update(conn, &old.id, content, now)?;
    }
    Ok(fields)
}
