//! Whether a picture was handed in before: hashes of every photo held, an index over them, and what is found.
//!
//! Rows are numbered by a counter that stays locked until the commit. A server reads what others wrote since it last
//! looked and asks its index within the same transaction, so that of two photos that come in at once, whichever
//! server examines them, the later one finds the earlier.

mod findings;
mod index;
mod light;
mod store;
mod tables;

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::photo::PhotoFacts;
use endcheck_protocol::time::Timestamp;

use super::findings::NewFinding;
use super::store::StoredFile;
use crate::db::Conn;
use crate::error::Result;
use crate::picture::{Hashes, Symmetry};

pub(super) use findings::of_analysis;
pub use index::Pictures;
pub(super) use light::{NOT_CHECKED as LIGHT_NOT_CHECKED, of_light};
pub(super) use tables::{NOT_CHECKED as TABLES_NOT_CHECKED, of_tables};

/// How a picture is like one held already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Likeness {
    /// The file, byte for byte.
    SameFile,
    /// The picture data, byte for byte, under other metadata.
    SamePixels,
    /// PDQ, in bits of 256.
    NearDuplicate { distance: u32, symmetry: Symmetry },
    /// Both coarse hashes, in bits of 64.
    LooksAlike { dhash: u32, phash: u32, symmetry: Symmetry },
}

/// What is kept of one photo, to find it again.
pub(super) struct Print {
    pub facts: PhotoFacts,
    pub digest: Option<Sha256>,
    pub hashes: Option<Hashes>,
}

/// Keeps the hashes of a photo and tells which photos held already it is like. Call it within the write that keeps
/// the examination. A photo that was taken in before is left as it is, and nothing is told of it again.
pub(super) fn take_in(
    conn: &mut Conn,
    pictures: &Pictures,
    file: &StoredFile,
    print: &Print,
    now: Timestamp,
) -> Result<Vec<NewFinding>> {
    let Some(position) = store::claim(conn, &file.record)? else { return Ok(Vec::new()) };
    let mut alike = store::of_same_content(conn, &file.sha256, print.digest.as_ref())?;
    if let Some(hashes) = &print.hashes {
        pictures.catch_up(conn)?;
        let near = pictures.find(hashes);
        for (record, likeness) in store::at_positions(conn, &near)? {
            // The strongest likeness is told, and only that.
            if !alike.iter().any(|(known, _)| *known == record) {
                alike.push((record, likeness));
            }
        }
    }
    let others = store::others(conn, alike)?;
    store::insert(conn, position, file, print, now)?;
    let site = match &file.visit {
        Some(visit) => store::site(conn, visit)?,
        None => None,
    };
    Ok(findings::of_others(
        &findings::Here { visit: file.visit.as_ref(), site: site.as_ref(), facts: &print.facts },
        &others,
    ))
}

/// Photos examined before their hashes were kept, after `after`.
pub(super) fn without_hashes(conn: &mut Conn, after: Option<&Sha256>, limit: i64) -> Result<Vec<StoredFile>> {
    store::without_hashes(conn, after, limit)
}
