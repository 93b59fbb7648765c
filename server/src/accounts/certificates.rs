//! Certificates of devices and their renewal: which record keys a device may sign with, on which UTC days.
//!
//! Every certificate stays, and stays good for its days. What is judged here is never a record.

use std::collections::BTreeSet;

use chrono::{NaiveDate, TimeDelta};
use ed25519_dalek::VerifyingKey;
use endcheck_protocol::canonical;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{self, CERTIFICATE_TYPE, Envelope, public_key_from_base64};
use endcheck_protocol::ids::{DeviceId, UserId};
use endcheck_protocol::problem::FieldProblem;
use endcheck_protocol::sync::{CERTIFICATE_SCHEMA, DeviceCertificate, RecordKey, RenewDevice, Renewal};
use endcheck_protocol::time::Timestamp;
use serde::Serialize;

use super::device_store::{self as store, CertificateRow, DeviceKeyRow};
use super::devices::{MAX_RECORD_KEYS, end_of_days, refuse_revoked, revocation_of, usable};
use super::{Actor, Permission, users};
use crate::app::App;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::log::{self, EntryKind};

/// What the log's key events about a device are about: the SHA-256 of each text opens its entry.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct DevicePapers {
    /// Of its enrolment, then of each renewal.
    pub certificates: Vec<IssuedCertificate>,
    /// Canonical JSON (RFC 8785) that says when and why the device was revoked, where it was.
    pub revocation: Option<String>,
}

/// A certificate as it was handed to the device.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct IssuedCertificate {
    pub certificate: String,
    pub issued_at: Timestamp,
}

/// Signs a certificate; its text.
pub(super) fn signed(app: &App, certificate: &DeviceCertificate) -> Result<String> {
    let bytes = envelope::sign(CERTIFICATE_TYPE, certificate, &app.keys.authority)
        .map_err(|e| Error::Internal(e.into()))?;
    String::from_utf8(bytes).map_err(|e| Error::Internal(e.into()))
}

/// Reads a certificate that this server signed.
pub(super) fn read(text: &str) -> Result<DeviceCertificate> {
    let envelope =
        Envelope::read(text.as_bytes(), CERTIFICATE_TYPE).map_err(|e| Error::Internal(e.into()))?;
    canonical::read(&envelope.payload).map_err(|e| Error::Internal(e.into()))
}

/// Keeps a certificate and logs it.
pub(super) fn keep(conn: &mut Conn, device: &DeviceId, text: &str, now: Timestamp) -> Result<()> {
    let number = i64::try_from(store::certificates(conn, device)?.len()).unwrap_or(i64::MAX);
    store::insert_certificate(
        conn,
        &CertificateRow { device_id: device.clone(), number, certificate: text.to_owned(), issued_at: now },
    )?;
    log::append(conn, EntryKind::KeyEvent, &Sha256::of(text.as_bytes()), now)?;
    Ok(())
}

/// Certifies more day keys of the asking device. The same keys repeat the answer.
///
/// # Errors
/// 403 `device-required` or `device-revoked`; 409 `key-enrolled`; 422 naming bad keys, or when none is for a day
/// of the term.
pub fn renew(
    conn: &mut Conn,
    app: &App,
    actor: &Actor,
    command: &RenewDevice,
    now: Timestamp,
) -> Result<Renewal> {
    let device = actor.require_device()?;
    let keys = check(command)?;
    let row = store::lock_device(conn, device)?.ok_or_else(|| Error::not_found("device"))?;
    refuse_revoked(&row)?;
    if let Some(certificate) = issued_before(conn, device, &keys)? {
        return Ok(Renewal { certificate });
    }
    let keys = within_term(keys, now.day(), app.config.device_days);
    if keys.is_empty() {
        return Err(Error::invalid_field(
            "record_keys",
            format!("has no key for a day of the term: {} and {} days on", now.day(), app.config.device_days),
        ));
    }
    let inspector = users::find(conn, &row.user_id)?;
    let days: Vec<(NaiveDate, NaiveDate)> = keys.iter().map(|key| (key.day, key.day)).collect();
    let expires_at = end_of_days(&days, now).max(row.expires_at);
    let certificate = DeviceCertificate {
        schema: CERTIFICATE_SCHEMA.to_owned(),
        org: app.config.org.clone(),
        device: device.clone(),
        name: row.name,
        inspector: inspector.id,
        inspector_name: inspector.name,
        sign_in_key: row.sign_in_fingerprint,
        record_keys: keys
            .iter()
            .map(|key| RecordKey {
                fingerprint: key.fingerprint.clone(),
                first_day: key.day,
                last_day: key.day,
            })
            .collect(),
        issued_at: now,
        expires_at,
        recipients: app.keys.recipients.clone(),
    };
    let text = signed(app, &certificate)?;
    for key in keys {
        let enrolled = DeviceKeyRow {
            fingerprint: key.fingerprint,
            device_id: device.clone(),
            public_key: key.public_key,
            first_day: key.day.to_string(),
            last_day: key.day.to_string(),
        };
        if !store::insert_key(conn, &enrolled)? {
            return Err(Error::conflict(
                "key-enrolled",
                "One of these keys belongs to a device already. Make fresh keys and renew again.",
            ));
        }
    }
    store::set_expiry(conn, device, expires_at)?;
    keep(conn, device, &text, now)?;
    Ok(Renewal { certificate: text })
}

struct CheckedKey {
    day: NaiveDate,
    fingerprint: Sha256,
    public_key: String,
}

/// Keys that were looked at: none weak, no key and no day twice.
fn check(command: &RenewDevice) -> Result<Vec<CheckedKey>> {
    if command.record_keys.is_empty() || command.record_keys.len() > MAX_RECORD_KEYS {
        let reason = format!("needs 1 to {MAX_RECORD_KEYS} keys");
        return Err(Error::invalid_field("record_keys", reason));
    }
    let (mut errors, mut keys) = (Vec::new(), Vec::new());
    let (mut days, mut fingerprints) = (BTreeSet::new(), BTreeSet::new());
    for (line, given) in command.record_keys.iter().enumerate() {
        let mut wrong = |reason: String| {
            let line = u64::try_from(line).ok();
            errors.push(FieldProblem { line, field: "record_keys".to_owned(), reason });
        };
        match usable(&given.key) {
            Err(reason) => wrong(reason),
            Ok((fingerprint, _)) if !fingerprints.insert(fingerprint.clone()) => {
                wrong("is given twice: every key has one use".to_owned());
            }
            Ok(_) if !days.insert(given.day) => wrong(format!("is a second key for {}", given.day)),
            Ok((fingerprint, public_key)) => {
                keys.push(CheckedKey { day: given.day, fingerprint, public_key })
            }
        }
    }
    if errors.is_empty() { Ok(keys) } else { Err(Error::invalid(errors)) }
}

/// Keys for `term_days` days from today, in the order of their days. Not for yesterday: whoever could have a key
/// certified for a day that is over could rewrite it.
fn within_term(mut keys: Vec<CheckedKey>, today: NaiveDate, term_days: u32) -> Vec<CheckedKey> {
    let end = today.checked_add_signed(TimeDelta::days(i64::from(term_days))).unwrap_or(today);
    keys.retain(|key| (today..end).contains(&key.day));
    keys.sort_by_key(|key| key.day);
    keys
}

/// The certificate that was issued for these keys, if one was.
fn issued_before(conn: &mut Conn, device: &DeviceId, keys: &[CheckedKey]) -> Result<Option<String>> {
    for row in store::certificates(conn, device)? {
        let listed = read(&row.certificate)?.record_keys;
        let given = |listed: &RecordKey| keys.iter().any(|key| key.fingerprint == listed.fingerprint);
        if !listed.is_empty() && listed.iter().all(given) {
            return Ok(Some(row.certificate));
        }
    }
    Ok(None)
}

/// The certificates of a device, oldest first, and its revocation.
///
/// # Errors
/// 404 when there is no such device.
pub fn papers(conn: &mut Conn, device: &DeviceId) -> Result<DevicePapers> {
    let row = store::device(conn, device)?.ok_or_else(|| Error::not_found("device"))?;
    let issued =
        |row: CertificateRow| IssuedCertificate { certificate: row.certificate, issued_at: row.issued_at };
    Ok(DevicePapers {
        certificates: store::certificates(conn, device)?.into_iter().map(issued).collect(),
        revocation: revocation_of(&row)?,
    })
}

/// The same, for people who read visits or manage accounts.
///
/// # Errors
/// 403 without either permission; 404 when there is no such device.
pub(super) fn show(conn: &mut Conn, actor: &Actor, device: &DeviceId) -> Result<DevicePapers> {
    if !actor.may(Permission::ManageAccounts) {
        actor.require(Permission::ReadVisits)?;
    }
    papers(conn, device)
}

/// What the intake of records needs to know of a device.
#[derive(Debug, Clone)]
pub struct EnrolledDevice {
    /// Whose device it is.
    pub holder: UserId,
    pub expires_at: Timestamp,
    /// The keys of all its certificates, public keys in base64.
    keys: Vec<(RecordKey, String)>,
}

impl EnrolledDevice {
    /// The key of this fingerprint and its days, if the device was ever certified with it.
    #[must_use]
    pub fn record_key(&self, fingerprint: &Sha256) -> Option<&RecordKey> {
        self.keys.iter().map(|(key, _)| key).find(|key| key.fingerprint == *fingerprint)
    }

    /// The key of this fingerprint, to verify with.
    #[must_use]
    pub fn public_key(&self, fingerprint: &Sha256) -> Option<VerifyingKey> {
        let (_, text) = self.keys.iter().find(|(key, _)| key.fingerprint == *fingerprint)?;
        // It was read when it was certified, and is checked against its fingerprint by whoever verifies.
        public_key_from_base64(text).ok()
    }
}

/// A device as certified, revoked or not: what it signed before stays what it is.
///
/// # Errors
/// 404 when there is none.
pub fn enrolled_device(conn: &mut Conn, id: &DeviceId) -> Result<EnrolledDevice> {
    let row = store::device(conn, id)?.ok_or_else(|| Error::not_found("device"))?;
    let day = |text: &str| text.parse::<NaiveDate>().map_err(|e| Error::Internal(e.into()));
    let keys = store::keys(conn, id)?
        .into_iter()
        .map(|key| {
            let (first_day, last_day) = (day(&key.first_day)?, day(&key.last_day)?);
            Ok((RecordKey { fingerprint: key.fingerprint, first_day, last_day }, key.public_key))
        })
        .collect::<Result<_>>()?;
    Ok(EnrolledDevice { holder: row.user_id, expires_at: row.expires_at, keys })
}

#[cfg(test)]
mod tests {
    use endcheck_protocol::envelope::public_key_to_base64;
    use endcheck_protocol::sync::DayKey;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn key(seed: u8, on: &str) -> DayKey {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).verifying_key();
        DayKey { day: day(on), key: public_key_to_base64(&key) }
    }

    #[test]
    fn each_day_has_one_key_and_each_key_one_day() {
        let renew = |record_keys| check(&RenewDevice { record_keys });
        assert_eq!(renew(vec![key(1, "2026-03-01"), key(2, "2026-03-02")]).unwrap().len(), 2);
        let weak = DayKey { day: day("2026-03-05"), key: format!("AQ{}=", "A".repeat(41)) };
        let wrong = vec![key(1, "2026-03-01"), key(1, "2026-03-02"), key(2, "2026-03-01"), weak];
        let Err(error) = renew(wrong) else { panic!("accepted") };
        let named: Vec<_> = error.problem().errors.iter().map(|error| error.line).collect();
        assert_eq!(named, [Some(1), Some(2), Some(3)]);
        assert!(renew(Vec::new()).is_err());
        assert!(renew(vec![key(1, "2026-03-01"); MAX_RECORD_KEYS + 1]).is_err());
    }

    #[test]
    fn days_that_are_over_or_beyond_the_term_are_left_out() {
        let days = ["2026-03-04", "2026-02-27", "2026-02-28", "2026-03-01", "2026-03-03"];
        let keys = days.iter().zip(1..).map(|(day, seed)| key(seed, day)).collect();
        let keys = check(&RenewDevice { record_keys: keys }).unwrap();
        let kept: Vec<_> =
            within_term(keys, day("2026-03-01"), 3).iter().map(|key| key.day.to_string()).collect();
        assert_eq!(kept, ["2026-03-01", "2026-03-03"]);
    }
}
