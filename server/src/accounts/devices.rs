//! Devices: enrolment, signing in with their own key, revocation, and what they hold unsent.
//!
//! An expired certificate refuses nothing here (it becomes a finding at intake); a revoked one does.

use chrono::{NaiveDate, TimeDelta};
use ed25519_dalek::VerifyingKey;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{self, public_key_from_base64, public_key_to_base64};
use endcheck_protocol::ids::{DeviceId, UserId};
use endcheck_protocol::problem::FieldProblem;
use endcheck_protocol::sync::{
    CERTIFICATE_SCHEMA, DeviceCertificate, DeviceRevocation, EnrolDevice, Enrolment, Inventory,
    REVOCATION_SCHEMA, RecordKey,
};
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::device_store::{self as store, CodeRow, DeviceKeyRow, DeviceRow};
use super::sign_in::{self, Tokens};
use super::{Actor, Permission, certificates, codes, tokens};
use crate::app::App;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::log::{self, EntryKind};

/// Hours that an enrolment code lasts.
const CODE_HOURS: i64 = 24;
/// Record keys of one device at most; their certificate has to fit into an envelope.
pub(super) const MAX_RECORD_KEYS: usize = 366;

/// A one-time code, shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EnrolmentCode {
    /// Four groups of four; case, dashes and spaces do not matter.
    #[schema(example = "7K2M-Q0XA-94TR-C8VN")]
    pub code: String,
    pub expires_at: Timestamp,
}

/// A device as the office sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Device {
    pub id: DeviceId,
    pub name: String,
    pub inspector: UserId,
    pub inspector_name: String,
    /// Program and version that enrolled it.
    pub agent: String,
    pub enrolled_at: Timestamp,
    pub expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke_reason: Option<String>,
    /// What it last said it holds unsent, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsent: Option<Inventory>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory_at: Option<Timestamp>,
}

/// Withdraws the trust in a device.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeDevice {
    /// Lost, seized, replaced …: kept with the device.
    pub reason: String,
}

/// Makes a code with which `user` can enrol one device. `retry_key` makes a repeated request answer
/// with the same code, though only its hash is stored.
///
/// # Errors
/// 403 without the permission to manage accounts; 404 when there is no such person, or a disabled one;
/// 409 `no-inspector` when the person has no use for a device.
pub fn make_code(
    conn: &mut Conn,
    app: &App,
    actor: &Actor,
    user: &UserId,
    retry_key: Option<&str>,
    now: Timestamp,
) -> Result<EnrolmentCode> {
    actor.require(Permission::ManageAccounts)?;
    let person = super::users::find(conn, user)?;
    if person.disabled_at.is_some() {
        return Err(Error::not_found("active account"));
    }
    if !person.roles.iter().any(|role| Permission::Inspect.held_by(*role)) {
        return Err(Error::conflict(
            "no-inspector",
            format!("{} is no inspector. Only inspectors enrol devices.", person.name),
        ));
    }
    let code = match retry_key {
        Some(key) => {
            codes::written(&tokens::derived(&app.keys, "code", &format!("{}\0{user}\0{key}", actor.user))?)
        }
        None => codes::fresh()?,
    };
    let row = store::insert_code(
        conn,
        &CodeRow {
            code_hash: codes::stored(&code),
            user_id: user.clone(),
            created_by: actor.user.clone(),
            created_at: now,
            expires_at: now.plus(TimeDelta::hours(CODE_HOURS)),
            device_id: None,
        },
    )?;
    Ok(EnrolmentCode { code, expires_at: row.expires_at })
}

/// Keys that were looked at: points on the curve, none weak, none twice.
struct CheckedKeys {
    sign_in: (Sha256, String),
    records: Vec<(Sha256, String)>,
}

/// A key that may be used: its fingerprint and its form in base64.
///
/// # Errors
/// Why not, in words.
pub(super) fn usable(text: &str) -> std::result::Result<(Sha256, String), String> {
    match public_key_from_base64(text) {
        Ok(key) if !key.is_weak() => Ok((envelope::fingerprint(&key), public_key_to_base64(&key))),
        Ok(_) => Err("is a weak key: make another".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn check(command: &EnrolDevice) -> Result<CheckedKeys> {
    let mut errors = Vec::new();
    let mut wrong = |line: Option<usize>, field: &str, reason: String| {
        errors.push(FieldProblem {
            line: line.and_then(|n| u64::try_from(n).ok()),
            field: field.to_owned(),
            reason,
        });
    };
    for (field, text) in [("name", &command.name), ("agent", &command.agent)] {
        if text.trim().is_empty() || text.chars().count() > 100 || text.chars().any(char::is_control) {
            wrong(None, field, "is 1 to 100 characters on one line".to_owned());
        }
    }
    let sign_in = usable(&command.sign_in_key).map_err(|reason| wrong(None, "sign_in_key", reason)).ok();
    let mut records: Vec<(Sha256, String)> = Vec::new();
    for (index, text) in command.record_keys.iter().enumerate().take(MAX_RECORD_KEYS) {
        match usable(text) {
            Ok(key) if records.contains(&key) || sign_in.as_ref() == Some(&key) => {
                wrong(Some(index), "record_keys", "is given twice: every key has one use".to_owned());
            }
            Ok(key) => records.push(key),
            Err(reason) => wrong(Some(index), "record_keys", reason),
        }
    }
    if command.record_keys.is_empty() || command.record_keys.len() > MAX_RECORD_KEYS {
        wrong(None, "record_keys", format!("needs 1 to {MAX_RECORD_KEYS} keys"));
    }
    match sign_in {
        Some(sign_in) if errors.is_empty() => Ok(CheckedKeys { sign_in, records }),
        _ => Err(Error::invalid(errors)),
    }
}

/// The UTC days of each of `count` keys, from yesterday (a clock may be behind) on: a single key
/// lasts as long as the certificate, several have a day each.
fn key_days(count: usize, today: NaiveDate, last: NaiveDate) -> Vec<(NaiveDate, NaiveDate)> {
    let yesterday = today.pred_opt().unwrap_or(today);
    if count == 1 {
        return vec![(yesterday, last)];
    }
    let days = today.iter_days().take(count);
    days.map(|day| (if day == today { yesterday } else { day }, day)).collect()
}

/// The instant after the last of `days`.
pub(super) fn end_of_days(days: &[(NaiveDate, NaiveDate)], otherwise: Timestamp) -> Timestamp {
    let last = days.iter().map(|(_, last)| *last).max();
    let next = last.and_then(|last| last.succ_opt()).and_then(|next| next.and_hms_opt(0, 0, 0));
    next.map_or(otherwise, |midnight| midnight.and_utc().into())
}

/// Enrols a device with a one-time code. The same code with the same keys repeats the answer.
///
/// # Errors
/// 401 `code-invalid` or `code-expired`; 409 `code-used` or `key-enrolled`; 422 naming bad fields.
pub fn enrol(conn: &mut Conn, app: &App, command: &EnrolDevice, now: Timestamp) -> Result<Enrolment> {
    let keys = check(command)?;
    let code_hash = codes::stored(&command.code);
    let code = store::lock_code(conn, &code_hash)?.ok_or_else(|| {
        Error::unauthenticated(
            "code-invalid",
            "This enrolment code is not known. Check it, or ask for a new one.",
        )
    })?;
    if let Some(device) = &code.device_id {
        return repeat(conn, app, device, &keys);
    }
    if code.expires_at <= now {
        return Err(Error::unauthenticated(
            "code-expired",
            format!("This enrolment code expired at {}. Ask for a new one.", code.expires_at),
        ));
    }
    let inspector = sign_in::active_user(conn, &code.user_id)?;
    let expires_at = now.plus(TimeDelta::days(i64::from(app.config.device_days)));
    // Keys beyond the term are not certified: the device drops them.
    let term_days = usize::try_from(app.config.device_days).unwrap_or(MAX_RECORD_KEYS).max(1);
    let days = key_days(keys.records.len().min(term_days), now.day(), expires_at.day());
    let expires_at = if keys.records.len() > 1 { end_of_days(&days, expires_at) } else { expires_at };
    let device = DeviceId::mint();
    let key_rows: Vec<DeviceKeyRow> = keys
        .records
        .iter()
        .zip(&days)
        .map(|((fingerprint, public_key), (first_day, last_day))| DeviceKeyRow {
            fingerprint: fingerprint.clone(),
            device_id: device.clone(),
            public_key: public_key.clone(),
            first_day: first_day.to_string(),
            last_day: last_day.to_string(),
        })
        .collect();
    let record_keys = keys
        .records
        .iter()
        .zip(days)
        .map(|((fingerprint, _), (first_day, last_day))| RecordKey {
            fingerprint: fingerprint.clone(),
            first_day,
            last_day,
        })
        .collect();
    let certificate = DeviceCertificate {
        schema: CERTIFICATE_SCHEMA.to_owned(),
        org: app.config.org.clone(),
        device: device.clone(),
        name: command.name.trim().to_owned(),
        inspector: inspector.id.clone(),
        inspector_name: inspector.name,
        sign_in_key: keys.sign_in.0.clone(),
        record_keys,
        issued_at: now,
        expires_at,
        recipients: app.keys.recipients.clone(),
    };
    let text = certificates::signed(app, &certificate)?;
    let row = DeviceRow {
        id: device.clone(),
        user_id: inspector.id,
        name: certificate.name,
        agent: command.agent.trim().to_owned(),
        sign_in_fingerprint: keys.sign_in.0,
        sign_in_key: keys.sign_in.1,
        certificate: text.clone(),
        enrolled_at: now,
        expires_at,
        last_seen_at: Some(now),
        revoked_at: None,
        revoke_reason: None,
        unsent_records: None,
        unsent_files: None,
        unsent_bytes: None,
        inventory_at: None,
    };
    if !store::insert_device(conn, &row, &key_rows)? {
        return Err(Error::conflict(
            "key-enrolled",
            "One of these keys belongs to a device already. Make fresh keys and enrol again.",
        ));
    }
    store::use_code(conn, &code_hash, &device)?;
    certificates::keep(conn, &device, &text, now)?;
    Ok(enrolment(app, text))
}

fn enrolment(app: &App, certificate: String) -> Enrolment {
    Enrolment {
        certificate,
        authority_key: public_key_to_base64(&app.keys.authority.verifying_key()),
        log_key: app.keys.log.verifier().to_string(),
    }
}

/// What the first use of a code answered, if it was for the same keys.
fn repeat(conn: &mut Conn, app: &App, device: &DeviceId, keys: &CheckedKeys) -> Result<Enrolment> {
    let row = store::device(conn, device)?.ok_or_else(|| Error::not_found("device"))?;
    let certified = certificates::read(&row.certificate)?.record_keys;
    let same = certified.len() <= keys.records.len()
        && certified.iter().zip(&keys.records).all(|(key, (given, _))| key.fingerprint == *given);
    if row.sign_in_fingerprint == keys.sign_in.0 && same {
        Ok(enrolment(app, row.certificate))
    } else {
        Err(Error::conflict(
            "code-used",
            "This enrolment code was used for another device. Ask for a new one.",
        ))
    }
}

/// The access token for an assertion signed with a device's sign-in key.
///
/// # Errors
/// 401 when the assertion does not hold or was used; 403 `device-revoked`.
pub fn sign_in(conn: &mut Conn, app: &App, assertion: &str, now: Timestamp) -> Result<Tokens> {
    let id = tokens::claimed_device(assertion)?;
    let row = store::device(conn, &id)?.ok_or_else(|| {
        Error::unauthenticated("assertion-invalid", "No device of this id is enrolled here. Enrol it again.")
    })?;
    let key = public_key_from_base64(&row.sign_in_key).map_err(|e| Error::Internal(e.into()))?;
    let claims = tokens::read_assertion(&key, &id, &app.config.org, assertion, now)?;
    // Only who holds the key learns that the device is revoked.
    refuse_revoked(&row)?;
    let spent_at = now.plus(TimeDelta::seconds(tokens::MAX_ASSERTION_S + 2 * tokens::CLOCK_LEEWAY_S));
    store::forget_assertions(conn, now)?;
    let jti = Sha256::of_parts(&[id.as_str().as_bytes(), b"\0", claims.jti.as_bytes()]);
    if !store::use_assertion(conn, jti.as_str(), spent_at)? {
        return Err(Error::unauthenticated(
            "assertion-replayed",
            "This client assertion was used before. Sign a new one with a fresh jti.",
        ));
    }
    store::seen(conn, &id, now)?;
    let actor = sign_in::actor_of(conn, &row.user_id, Some(&id))?;
    sign_in::access(app, &actor, None, now)
}

pub(super) fn refuse_revoked(row: &DeviceRow) -> Result<()> {
    match row.revoked_at {
        None => Ok(()),
        Some(at) => Err(Error::forbidden(
            "device-revoked",
            format!(
                "This device was revoked at {at}. It can no longer sync. Keep it and erase nothing: what it \
                 signed before can still be handed in at headquarters by another route; ask your manager."
            ),
        )),
    }
}

/// # Errors
/// 403 `device-revoked`; 404 when the device does not exist.
pub(super) fn require_active(conn: &mut Conn, id: &DeviceId) -> Result<()> {
    refuse_revoked(&store::device(conn, id)?.ok_or_else(|| Error::not_found("device"))?)
}

/// The text about a revocation that its entry in the log commits to.
fn revocation(device: &DeviceId, reason: &str, revoked_at: Timestamp) -> Result<String> {
    let revocation = DeviceRevocation {
        schema: REVOCATION_SCHEMA.to_owned(),
        device: device.clone(),
        reason: reason.to_owned(),
        revoked_at,
    };
    let bytes = endcheck_protocol::canonical::write(&revocation).map_err(|e| Error::Internal(e.into()))?;
    String::from_utf8(bytes).map_err(|e| Error::Internal(e.into()))
}

/// The same of a device that was revoked.
pub(super) fn revocation_of(row: &DeviceRow) -> Result<Option<String>> {
    match (row.revoked_at, &row.revoke_reason) {
        (Some(at), Some(reason)) => revocation(&row.id, reason, at).map(Some),
        _ => Ok(None),
    }
}

/// Revokes a device and logs it; a second time changes nothing.
///
/// # Errors
/// 403 without the permission to manage accounts; 404; 422 without a reason.
pub fn revoke(
    conn: &mut Conn,
    actor: &Actor,
    id: &DeviceId,
    command: &RevokeDevice,
    now: Timestamp,
) -> Result<Device> {
    actor.require(Permission::ManageAccounts)?;
    let reason = command.reason.trim();
    if reason.is_empty() || reason.chars().count() > 1000 {
        return Err(Error::invalid_field("reason", "is 1 to 1000 characters"));
    }
    let row = store::lock_device(conn, id)?.ok_or_else(|| Error::not_found("device"))?;
    if row.revoked_at.is_none() {
        store::revoke_device(conn, id, reason, now)?;
        let subject = Sha256::of(revocation(id, reason, now)?.as_bytes());
        log::append(conn, EntryKind::KeyEvent, &subject, now)?;
    }
    let row = store::device(conn, id)?.ok_or_else(|| Error::not_found("device"))?;
    let inspector_name = super::users::find(conn, &row.user_id)?.name;
    Ok(shown((row, inspector_name)))
}

/// Every device, newest first.
///
/// # Errors
/// 403 without the permission to manage accounts.
pub fn list(conn: &mut Conn, actor: &Actor) -> Result<Vec<Device>> {
    actor.require(Permission::ManageAccounts)?;
    Ok(store::all_devices(conn)?.into_iter().map(shown).collect())
}

fn shown((row, inspector_name): (DeviceRow, String)) -> Device {
    let count = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    let unsent = match (count(row.unsent_records), count(row.unsent_files), count(row.unsent_bytes)) {
        (Some(unsent_records), Some(unsent_files), Some(unsent_bytes)) => {
            Some(Inventory { unsent_records, unsent_files, unsent_bytes })
        }
        _ => None,
    };
    Device {
        id: row.id,
        name: row.name,
        inspector: row.user_id,
        inspector_name,
        agent: row.agent,
        enrolled_at: row.enrolled_at,
        expires_at: row.expires_at,
        last_seen_at: row.last_seen_at,
        revoked_at: row.revoked_at,
        revoke_reason: row.revoke_reason,
        unsent,
        inventory_at: row.inventory_at,
    }
}

/// Notes what the asking device holds unsent.
///
/// # Errors
/// 403 `device-required` when a person asks without a device.
pub fn set_inventory(conn: &mut Conn, actor: &Actor, inventory: &Inventory, now: Timestamp) -> Result<()> {
    store::set_inventory(conn, actor.require_device()?, inventory, now)
}

/// A device whose package was brought by hand, by the key that it signs in with.
#[derive(Debug, Clone)]
pub struct CarryingDevice {
    pub id: DeviceId,
    pub sign_in_key: VerifyingKey,
}

/// The device with that sign-in key, revoked or not: what it holds is to be had even so.
///
/// # Errors
/// When the database fails.
pub fn device_by_sign_in_key(conn: &mut Conn, fingerprint: &Sha256) -> Result<Option<CarryingDevice>> {
    let Some(row) = store::device_by_fingerprint(conn, fingerprint)? else { return Ok(None) };
    let sign_in_key = public_key_from_base64(&row.sign_in_key).map_err(|e| Error::Internal(e.into()))?;
    Ok(Some(CarryingDevice { id: row.id, sign_in_key }))
}

/// When the device was revoked, if it was.
///
/// # Errors
/// When the database fails.
pub fn revoked_at(conn: &mut Conn, id: &DeviceId) -> Result<Option<Timestamp>> {
    Ok(store::device(conn, id)?.and_then(|row| row.revoked_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_lasts_and_several_have_a_day_each() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let (today, last) = (day("2026-03-01"), day("2026-08-28"));
        assert_eq!(key_days(1, today, last), [(day("2026-02-28"), last)]);
        assert_eq!(
            key_days(3, today, last),
            [
                (day("2026-02-28"), today),
                (day("2026-03-02"), day("2026-03-02")),
                (day("2026-03-03"), day("2026-03-03"))
            ]
        );
    }

    #[test]
    fn every_bad_key_is_named() {
        let good = public_key_to_base64(&ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key());
        let command = EnrolDevice {
            code: "x".into(),
            name: "\n".into(),
            sign_in_key: good.clone(),
            record_keys: vec![good, "AAAA".into(), format!("AQ{}=", "A".repeat(41))],
            agent: "endcheck 0.1".into(),
        };
        let Err(error) = check(&command) else { panic!("accepted") };
        let named: Vec<_> = error.problem().errors.iter().map(|e| (e.field.clone(), e.line)).collect();
        let keys = |line| ("record_keys".to_owned(), Some(line));
        assert_eq!(named, [("name".to_owned(), None), keys(0), keys(1), keys(2)]);
    }
}
