//! Rows of devices, their keys, enrolment codes and used assertions.

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{DeviceId, UserId};
use endcheck_protocol::sync::Inventory;
use endcheck_protocol::time::Timestamp;

use crate::db::schema::{device_certificates, device_keys, devices, enrolment_codes, used_assertions, users};
use crate::db::{Both, Conn};
use crate::error::Result;

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = devices)]
pub(super) struct DeviceRow {
    pub id: DeviceId,
    pub user_id: UserId,
    pub name: String,
    pub agent: String,
    pub sign_in_fingerprint: Sha256,
    pub sign_in_key: String,
    pub certificate: String,
    pub enrolled_at: Timestamp,
    pub expires_at: Timestamp,
    pub last_seen_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub revoke_reason: Option<String>,
    pub unsent_records: Option<i64>,
    pub unsent_files: Option<i64>,
    pub unsent_bytes: Option<i64>,
    pub inventory_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = device_keys)]
pub(super) struct DeviceKeyRow {
    pub fingerprint: Sha256,
    pub device_id: DeviceId,
    pub public_key: String,
    pub first_day: String,
    pub last_day: String,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = device_certificates)]
pub(super) struct CertificateRow {
    pub device_id: DeviceId,
    /// From 0, in the order of issue.
    pub number: i64,
    pub certificate: String,
    pub issued_at: Timestamp,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = enrolment_codes)]
pub(super) struct CodeRow {
    pub code_hash: Sha256,
    pub user_id: UserId,
    pub created_by: UserId,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub device_id: Option<DeviceId>,
}

/// Stores the code unless it is stored already; either way its row.
pub(super) fn insert_code(conn: &mut Conn, row: &CodeRow) -> Result<CodeRow> {
    Both(
        diesel::insert_into(enrolment_codes::table)
            .values(row)
            .on_conflict(enrolment_codes::code_hash)
            .do_nothing(),
    )
    .execute(conn)?;
    Ok(enrolment_codes::table.find(&row.code_hash).select(CodeRow::as_select()).first(conn)?)
}

/// The row of a code, locked until the commit.
pub(super) fn lock_code(conn: &mut Conn, hash: &Sha256) -> Result<Option<CodeRow>> {
    diesel::update(enrolment_codes::table.filter(enrolment_codes::code_hash.eq(hash)))
        .set(enrolment_codes::user_id.eq(enrolment_codes::user_id))
        .execute(conn)?;
    Ok(enrolment_codes::table.find(hash).select(CodeRow::as_select()).first(conn).optional()?)
}

pub(super) fn use_code(conn: &mut Conn, hash: &Sha256, device: &DeviceId) -> Result<()> {
    diesel::update(enrolment_codes::table.filter(enrolment_codes::code_hash.eq(hash)))
        .set(enrolment_codes::device_id.eq(Some(device)))
        .execute(conn)?;
    Ok(())
}

/// Inserts a device with its keys; false when one of the keys is enrolled already.
pub(super) fn insert_device(conn: &mut Conn, row: &DeviceRow, keys: &[DeviceKeyRow]) -> Result<bool> {
    let mut all_new = Both(
        diesel::insert_into(devices::table)
            .values(row)
            .on_conflict(devices::sign_in_fingerprint)
            .do_nothing(),
    )
    .execute(conn)?
        == 1;
    for key in keys {
        all_new = all_new && insert_key(conn, key)?;
    }
    Ok(all_new)
}

/// Inserts a key; false when it is enrolled already.
pub(super) fn insert_key(conn: &mut Conn, key: &DeviceKeyRow) -> Result<bool> {
    let inserted = Both(
        diesel::insert_into(device_keys::table)
            .values(key)
            .on_conflict(device_keys::fingerprint)
            .do_nothing(),
    )
    .execute(conn)?;
    Ok(inserted == 1)
}

pub(super) fn insert_certificate(conn: &mut Conn, row: &CertificateRow) -> Result<()> {
    diesel::insert_into(device_certificates::table).values(row).execute(conn)?;
    Ok(())
}

/// A device's certificates, oldest first.
pub(super) fn certificates(conn: &mut Conn, device: &DeviceId) -> Result<Vec<CertificateRow>> {
    Ok(device_certificates::table
        .filter(device_certificates::device_id.eq(device))
        .select(CertificateRow::as_select())
        .order(device_certificates::number)
        .load(conn)?)
}

/// Notes until when the newest of a device's certificates lasts.
pub(super) fn set_expiry(conn: &mut Conn, id: &DeviceId, expires_at: Timestamp) -> Result<()> {
    diesel::update(devices::table.filter(devices::id.eq(id)))
        .set(devices::expires_at.eq(expires_at))
        .execute(conn)?;
    Ok(())
}

pub(super) fn device(conn: &mut Conn, id: &DeviceId) -> Result<Option<DeviceRow>> {
    Ok(devices::table.find(id).select(DeviceRow::as_select()).first(conn).optional()?)
}

/// The row of a device, locked until the commit.
pub(super) fn device_by_fingerprint(conn: &mut Conn, fingerprint: &Sha256) -> Result<Option<DeviceRow>> {
    Ok(devices::table
        .filter(devices::sign_in_fingerprint.eq(fingerprint))
        .select(DeviceRow::as_select())
        .first(conn)
        .optional()?)
}

pub(super) fn lock_device(conn: &mut Conn, id: &DeviceId) -> Result<Option<DeviceRow>> {
    diesel::update(devices::table.filter(devices::id.eq(id)))
        .set(devices::agent.eq(devices::agent))
        .execute(conn)?;
    device(conn, id)
}

/// A device's keys, oldest days first.
pub(super) fn keys(conn: &mut Conn, device: &DeviceId) -> Result<Vec<DeviceKeyRow>> {
    Ok(device_keys::table
        .filter(device_keys::device_id.eq(device))
        .select(DeviceKeyRow::as_select())
        .order((device_keys::first_day, device_keys::fingerprint))
        .load(conn)?)
}

/// Every device with the name of its inspector, newest first.
pub(super) fn all_devices(conn: &mut Conn) -> Result<Vec<(DeviceRow, String)>> {
    Ok(devices::table
        .inner_join(users::table.on(users::id.eq(devices::user_id)))
        .select((DeviceRow::as_select(), users::name))
        .order((devices::enrolled_at.desc(), devices::id))
        .load(conn)?)
}

pub(super) fn revoke_device(conn: &mut Conn, id: &DeviceId, reason: &str, now: Timestamp) -> Result<()> {
    diesel::update(devices::table.filter(devices::id.eq(id)))
        .set((devices::revoked_at.eq(Some(now)), devices::revoke_reason.eq(Some(reason))))
        .execute(conn)?;
    Ok(())
}

pub(super) fn seen(conn: &mut Conn, id: &DeviceId, now: Timestamp) -> Result<()> {
    diesel::update(devices::table.filter(devices::id.eq(id)))
        .set(devices::last_seen_at.eq(Some(now)))
        .execute(conn)?;
    Ok(())
}

pub(super) fn set_inventory(
    conn: &mut Conn,
    id: &DeviceId,
    inventory: &Inventory,
    now: Timestamp,
) -> Result<()> {
    let count = |value: u64| Some(i64::try_from(value).unwrap_or(i64::MAX));
    diesel::update(devices::table.filter(devices::id.eq(id)))
        .set((
            devices::unsent_records.eq(count(inventory.unsent_records)),
            devices::unsent_files.eq(count(inventory.unsent_files)),
            devices::unsent_bytes.eq(count(inventory.unsent_bytes)),
            devices::inventory_at.eq(Some(now)),
            devices::last_seen_at.eq(Some(now)),
        ))
        .execute(conn)?;
    Ok(())
}

/// Notes an assertion as used; false when it was used before.
pub(super) fn use_assertion(conn: &mut Conn, jti: &str, expires_at: Timestamp) -> Result<bool> {
    let used = (used_assertions::jti.eq(jti), used_assertions::expires_at.eq(expires_at));
    let inserted = Both(
        diesel::insert_into(used_assertions::table)
            .values(used)
            .on_conflict(used_assertions::jti)
            .do_nothing(),
    )
    .execute(conn)?;
    Ok(inserted == 1)
}

/// Drops used assertions that could no longer be accepted anyway.
pub(super) fn forget_assertions(conn: &mut Conn, before: Timestamp) -> Result<()> {
    diesel::delete(used_assertions::table.filter(used_assertions::expires_at.lt(before))).execute(conn)?;
    Ok(())
}
