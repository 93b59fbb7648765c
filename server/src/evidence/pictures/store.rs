//! Rows of hashes, and whose they are.

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{SiteId, VisitId};
use endcheck_protocol::photo::PhotoFacts;
use endcheck_protocol::time::Timestamp;

use super::index::HeldHashes;
use super::{Likeness, Print};
use crate::db::schema::{evidence_files, photo_hashes, sites, visits};
use crate::db::{CHUNK, Conn, next_value};
use crate::error::Result;
use crate::evidence::store::{FileRow, StoredFile};

const METHOD: &str = "pictures-1";
/// Photos with the same content that are compared with a new one.
const MAX_SAME: i64 = 1_000;

/// The position for the hashes of a record; `None` where they are kept already. Whoever has it is alone until the
/// commit.
pub(super) fn claim(conn: &mut Conn, record: &Sha256) -> Result<Option<i64>> {
    let position = next_value(conn, "photo_hashes")?;
    let kept: Option<i64> =
        photo_hashes::table.find(record).select(photo_hashes::position).first(conn).optional()?;
    Ok(kept.is_none().then_some(position))
}

pub(super) fn insert(
    conn: &mut Conn,
    position: i64,
    file: &StoredFile,
    print: &Print,
    now: Timestamp,
) -> Result<()> {
    let first = print.hashes.as_ref().map(|hashes| (hashes.pdq[0], hashes.quality, hashes.coarse[0]));
    diesel::insert_into(photo_hashes::table)
        .values((
            photo_hashes::record_hash.eq(&file.record),
            photo_hashes::position.eq(position),
            photo_hashes::sha256.eq(&file.sha256),
            photo_hashes::picture_sha256.eq(print.digest.as_ref()),
            photo_hashes::pdq.eq(first.map(|(pdq, ..)| pdq.to_string())),
            photo_hashes::pdq_quality.eq(first.map(|(_, quality, _)| i64::from(quality))),
            photo_hashes::dhash.eq(first.map(|(.., coarse)| format!("{:016x}", coarse.dhash))),
            photo_hashes::phash.eq(first.map(|(.., coarse)| format!("{:016x}", coarse.phash))),
            photo_hashes::method.eq(METHOD),
            photo_hashes::created_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

/// The columns of a row's hashes.
type HashColumns = (i64, Option<String>, Option<i64>, Option<String>, Option<String>);

/// The hashes behind a position, and the last position read; `None` where there is nothing behind it.
pub(super) fn hashes_after(
    conn: &mut Conn,
    position: i64,
    limit: i64,
) -> Result<(Vec<HeldHashes>, Option<i64>)> {
    let rows: Vec<HashColumns> = photo_hashes::table
        .filter(photo_hashes::position.gt(position))
        .order(photo_hashes::position)
        .limit(limit)
        .select((
            photo_hashes::position,
            photo_hashes::pdq,
            photo_hashes::pdq_quality,
            photo_hashes::dhash,
            photo_hashes::phash,
        ))
        .load(conn)?;
    let last = rows.last().map(|(position, ..)| *position);
    let read = |(position, pdq, quality, dhash, phash): HashColumns| {
        Some(HeldHashes {
            position,
            pdq: pdq?.parse().ok()?,
            quality: u8::try_from(quality?).ok()?,
            dhash: u64::from_str_radix(&dhash?, 16).ok()?,
            phash: u64::from_str_radix(&phash?, 16).ok()?,
        })
    };
    Ok((rows.into_iter().filter_map(read).collect(), last))
}

/// Records whose photo is the same file, and those whose picture data is.
pub(super) fn of_same_content(
    conn: &mut Conn,
    sha256: &Sha256,
    picture: Option<&Sha256>,
) -> Result<Vec<(Sha256, Likeness)>> {
    let files: Vec<Sha256> = photo_hashes::table
        .filter(photo_hashes::sha256.eq(sha256))
        .order(photo_hashes::position)
        .limit(MAX_SAME)
        .select(photo_hashes::record_hash)
        .load(conn)?;
    let pictures: Vec<Sha256> = match picture {
        None => Vec::new(),
        Some(picture) => photo_hashes::table
            .filter(photo_hashes::picture_sha256.eq(picture).and(photo_hashes::sha256.ne(sha256)))
            .order(photo_hashes::position)
            .limit(MAX_SAME)
            .select(photo_hashes::record_hash)
            .load(conn)?,
    };
    let files = files.into_iter().map(|record| (record, Likeness::SameFile));
    Ok(files.chain(pictures.into_iter().map(|record| (record, Likeness::SamePixels))).collect())
}

/// The records at positions, in their order.
pub(super) fn at_positions(conn: &mut Conn, near: &[(i64, Likeness)]) -> Result<Vec<(Sha256, Likeness)>> {
    let mut found = Vec::with_capacity(near.len());
    for chunk in near.chunks(CHUNK) {
        let positions: Vec<i64> = chunk.iter().map(|(position, _)| *position).collect();
        let rows: Vec<(i64, Sha256)> = photo_hashes::table
            .filter(photo_hashes::position.eq_any(positions))
            .select((photo_hashes::position, photo_hashes::record_hash))
            .load(conn)?;
        found.extend(chunk.iter().filter_map(|(position, likeness)| {
            let (_, record) = rows.iter().find(|(at, _)| at == position)?;
            Some((record.clone(), *likeness))
        }));
    }
    Ok(found)
}

/// A photo held already that is like a new one.
#[derive(Debug, Clone)]
pub(super) struct Other {
    pub record: Sha256,
    pub likeness: Likeness,
    pub visit: Option<VisitId>,
    pub site: Option<(SiteId, String)>,
    pub facts: Option<PhotoFacts>,
}

pub(super) fn others(conn: &mut Conn, alike: Vec<(Sha256, Likeness)>) -> Result<Vec<Other>> {
    type Row = (Sha256, Option<VisitId>, Option<SiteId>, Option<String>, Option<String>);
    let mut found = Vec::with_capacity(alike.len());
    for chunk in alike.chunks(CHUNK) {
        let records: Vec<&Sha256> = chunk.iter().map(|(record, _)| record).collect();
        let rows: Vec<Row> = evidence_files::table
            .left_join(visits::table.on(visits::id.nullable().eq(evidence_files::visit_id)))
            .left_join(sites::table.on(sites::id.eq(visits::site_id)))
            .filter(evidence_files::record_hash.eq_any(records))
            .select((
                evidence_files::record_hash,
                evidence_files::visit_id,
                sites::id.nullable(),
                sites::name.nullable(),
                evidence_files::facts,
            ))
            .load(conn)?;
        found.extend(rows.into_iter().filter_map(|(record, visit, site, name, facts)| {
            let (_, likeness) = chunk.iter().find(|(known, _)| *known == record)?;
            Some(Other {
                likeness: *likeness,
                visit,
                site: site.zip(name),
                facts: facts.and_then(|facts| serde_json::from_str(&facts).ok()),
                record,
            })
        }));
    }
    Ok(found)
}

pub(super) fn site(conn: &mut Conn, visit: &VisitId) -> Result<Option<SiteId>> {
    Ok(visits::table.find(visit).select(visits::site_id).first(conn).optional()?)
}

pub(super) fn without_hashes(conn: &mut Conn, after: Option<&Sha256>, limit: i64) -> Result<Vec<StoredFile>> {
    let rows: Vec<FileRow> = evidence_files::table
        .left_join(photo_hashes::table.on(photo_hashes::record_hash.eq(evidence_files::record_hash)))
        .filter(evidence_files::facts.is_not_null().and(photo_hashes::position.is_null()))
        .filter(evidence_files::record_hash.gt(after.map_or("", Sha256::as_str)))
        .order(evidence_files::record_hash)
        .limit(limit)
        .select(FileRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(StoredFile::from).collect())
}
