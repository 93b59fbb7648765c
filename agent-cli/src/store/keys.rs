//! Record keys, one for each UTC day: which one signs, and that it is gone when its day has closed.
//!
//! A secret is erased by writing zeros over its row (`secure_delete`) and by emptying the write-ahead log,
//! which may hold copies of it. The newest key alone outlives its day: a device must never be unable to record.

use chrono::NaiveDate;
use diesel::prelude::*;
use ed25519_dalek::SigningKey;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{fingerprint, public_key_to_base64};
use endcheck_protocol::sync::{DeviceCertificate, RecordKey};
use serde::{Deserialize, Serialize};

use super::schema::{day_keys, settings};
use super::{Store, open_json, put_setting, seal_json};
use crate::identity::{Identity, IdentityDocument, Secret};
use crate::refusal::refuse;
use crate::vault::{Cell, StoreKey};

/// The setting that says that the write-ahead log may still hold what was erased.
const LOG_HOLDS_ERASED: &str = "log-holds-erased";
/// The setting that holds the keys which headquarters is asked to certify.
const RENEWING: &str = "renewing";

/// A fresh key for a day, not certified yet.
#[derive(Clone, Serialize, Deserialize)]
pub struct FreshKey {
    pub day: NaiveDate,
    pub secret: Secret,
}

/// How far the keys reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KeyTerm {
    /// The last day that a key is held for.
    pub last_day: Option<NaiveDate>,
    /// Days from today on that have a key of their own.
    pub days_left: u64,
    /// Whether there is a key for today.
    pub today: bool,
    /// Whether one of the keys is for a span of days, as earlier versions made them.
    #[serde(skip)]
    pub long: bool,
}

/// The days of the key that signed instead of the one of the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherDay {
    pub first_day: NaiveDate,
    pub last_day: NaiveDate,
}

/// A key that is not erased.
struct Held {
    fingerprint: Sha256,
    first_day: NaiveDate,
    last_day: NaiveDate,
}

impl Held {
    /// Enrolment's first key covers the day before as well; what covers more was made for the whole term.
    fn is_long(&self) -> bool {
        self.last_day.signed_duration_since(self.first_day).num_days() > 1
    }
}

fn secret_cell(fingerprint: &Sha256) -> Cell<'_> {
    Cell { table: "day_keys", column: "sealed_secret", row: fingerprint.as_str() }
}

impl Store {
    /// Who the device is. Keys that an earlier version kept together are taken apart first.
    ///
    /// # Errors
    /// When the device is not enrolled, or the store is damaged.
    pub fn identity(&mut self) -> anyhow::Result<Identity> {
        let mut document: IdentityDocument = self.setting("identity")?.ok_or_else(super::not_enrolled)?;
        let secrets = document.take_record_secrets();
        let identity = Identity::read(&document)?;
        if !secrets.is_empty() {
            self.finish(&document, &identity.certificate, &secrets)?;
        }
        Ok(identity)
    }

    /// Keeps a finished enrolment: who the device is, and each record key that was certified by itself.
    ///
    /// # Errors
    /// When the certificate is about other keys, or the database cannot be written.
    pub fn enrolled(&mut self, mut document: IdentityDocument) -> anyhow::Result<Identity> {
        let secrets = document.take_record_secrets();
        let identity = Identity::read(&document)?;
        self.finish(&document, &identity.certificate, &secrets)?;
        Ok(identity)
    }

    fn finish(
        &mut self,
        document: &IdentityDocument,
        certificate: &DeviceCertificate,
        secrets: &[Secret],
    ) -> anyhow::Result<()> {
        let Self { conn, key, .. } = self;
        conn.immediate_transaction(|conn| {
            let kept = keep(conn, key, certificate, secrets)?;
            anyhow::ensure!(kept > 0, "the device certificate is about other keys than this device's");
            put_setting(conn, key, "identity", document)?;
            diesel::delete(settings::table.find("enrolling")).execute(conn)?;
            mark_erased(conn, key)
        })?;
        // What is not emptied now the next command empties.
        self.empty_log().unwrap_or_default();
        Ok(())
    }

    /// Erases the keys of days that have closed by `today`; answers how many. The newest stays in any case.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn erase_closed(&mut self, today: NaiveDate) -> anyhow::Result<usize> {
        let Self { conn, key, .. } = self;
        let closed = closed(&held(conn)?, today);
        if !closed.is_empty() {
            conn.immediate_transaction(|conn| erase(conn, key, &closed))?;
        }
        if self.setting::<bool>(LOG_HOLDS_ERASED)?.is_some() {
            self.empty_log()?;
        }
        Ok(closed.len())
    }

    /// Writes the write-ahead log back and empties it, unless another agent is reading: then the next
    /// command tries again.
    pub(super) fn empty_log(&mut self) -> anyhow::Result<()> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::Integer)]
            busy: i32,
        }
        let row: Row = diesel::sql_query("PRAGMA wal_checkpoint(TRUNCATE)").get_result(&mut self.conn)?;
        if row.busy == 0 {
            self.unset(LOG_HOLDS_ERASED)?;
        }
        Ok(())
    }

    /// How far the keys reach from `today` on.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn key_term(&mut self, today: NaiveDate) -> anyhow::Result<KeyTerm> {
        let held = held(&mut self.conn)?;
        let covers = |day: NaiveDate| held.iter().any(|key| (key.first_day..=key.last_day).contains(&day));
        let last_day = held.iter().map(|key| key.last_day).max();
        let days_left = last_day
            .map(|last| today.iter_days().take_while(|day| *day <= last).filter(|day| covers(*day)).count());
        Ok(KeyTerm {
            last_day,
            days_left: u64::try_from(days_left.unwrap_or_default())?,
            today: covers(today),
            long: held.iter().any(Held::is_long),
        })
    }

    /// Keys to be certified for those of so many days from `today` on that have none of their own. Durable
    /// before anybody hears of them; asked again, they are the same until they were certified.
    ///
    /// # Errors
    /// When the database cannot be written, or the system gives no randomness.
    pub fn keys_to_certify(&mut self, today: NaiveDate, days: usize) -> anyhow::Result<Vec<FreshKey>> {
        let asked: Option<Vec<FreshKey>> = self.setting(RENEWING)?;
        if let Some(asked) = asked.filter(|asked| asked.iter().any(|key| key.day >= today)) {
            return Ok(asked);
        }
        let held = held(&mut self.conn)?;
        let lacks = |day: &NaiveDate| {
            !held.iter().any(|key| !key.is_long() && (key.first_day..=key.last_day).contains(day))
        };
        let fresh = today
            .iter_days()
            .take(days)
            .filter(lacks)
            .map(|day| Ok(FreshKey { day, secret: Secret::make()? }))
            .collect::<anyhow::Result<Vec<_>>>()?;
        if !fresh.is_empty() {
            self.set(RENEWING, &fresh)?;
        }
        Ok(fresh)
    }

    /// Keeps a renewal: its certificate, and the keys that it lists. A key for the whole term is erased now.
    ///
    /// # Errors
    /// When the certificate is not the authority's or about other keys, or the database cannot be written.
    pub fn renewed(&mut self, certificate: String, fresh: &[FreshKey]) -> anyhow::Result<Identity> {
        let mut document: IdentityDocument = self.setting("identity")?.ok_or_else(super::not_enrolled)?;
        document.add_certificate(certificate);
        let identity = Identity::read(&document)?;
        let secrets: Vec<Secret> = fresh.iter().map(|key| key.secret.clone()).collect();
        let Self { conn, key, .. } = self;
        conn.immediate_transaction(|conn| {
            let kept = keep(conn, key, &identity.certificate, &secrets)?;
            anyhow::ensure!(kept > 0, "the renewed certificate is about other keys than this device's");
            put_setting(conn, key, "identity", &document)?;
            diesel::delete(settings::table.find(RENEWING)).execute(conn)?;
            let long: Vec<Held> = held(conn)?.into_iter().filter(Held::is_long).collect();
            erase(conn, key, &long)
        })?;
        self.empty_log().unwrap_or_default();
        Ok(identity)
    }

    /// The public keys whose fingerprints are among `wanted`, erased or not, base64.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn public_keys(&mut self, wanted: &[Sha256]) -> anyhow::Result<Vec<String>> {
        Ok(day_keys::table
            .filter(day_keys::fingerprint.eq_any(wanted.iter().map(Sha256::as_str)))
            .order((day_keys::first_day, day_keys::fingerprint))
            .select(day_keys::public_key)
            .load(&mut self.conn)?)
    }
}

/// Keeps those of `secrets` that the certificate lists; answers how many.
fn keep(
    conn: &mut SqliteConnection,
    key: &StoreKey,
    certificate: &DeviceCertificate,
    secrets: &[Secret],
) -> anyhow::Result<usize> {
    let mut kept = 0;
    for secret in secrets {
        let public = secret.key()?.verifying_key();
        let fingerprint = fingerprint(&public);
        let Some(RecordKey { first_day, last_day, .. }) =
            certificate.record_keys.iter().find(|listed| listed.fingerprint == fingerprint)
        else {
            continue;
        };
        diesel::insert_into(day_keys::table)
            .values((
                day_keys::fingerprint.eq(fingerprint.as_str()),
                day_keys::public_key.eq(public_key_to_base64(&public)),
                day_keys::first_day.eq(first_day.to_string()),
                day_keys::last_day.eq(last_day.to_string()),
                day_keys::sealed_secret.eq(seal_json(key, secret_cell(&fingerprint), secret)?),
            ))
            .on_conflict_do_nothing()
            .execute(conn)?;
        kept += 1;
    }
    Ok(kept)
}

/// The keys that are not erased, by their days.
fn held(conn: &mut SqliteConnection) -> anyhow::Result<Vec<Held>> {
    let rows: Vec<(Sha256, String, String)> = day_keys::table
        .filter(day_keys::sealed_secret.ne(Vec::new()))
        .order((day_keys::last_day, day_keys::first_day, day_keys::fingerprint))
        .select((day_keys::fingerprint, day_keys::first_day, day_keys::last_day))
        .load(conn)?;
    rows.into_iter()
        .map(|(fingerprint, first, last)| {
            Ok(Held { fingerprint, first_day: first.parse()?, last_day: last.parse()? })
        })
        .collect()
}

/// Those of `held` (by their days) whose days are over, but for the newest of all.
fn closed(held: &[Held], today: NaiveDate) -> Vec<Held> {
    let but_newest = held.split_last().map(|(_, others)| others).unwrap_or_default();
    let over = but_newest.iter().filter(|key| key.last_day < today);
    over.map(|key| Held { fingerprint: key.fingerprint.clone(), ..*key }).collect()
}

/// Which of `held` (by their days) signs on `day`: its own key, else the oldest that is left.
fn signing(held: &[Held], day: NaiveDate) -> Option<&Held> {
    let own = |key: &&Held| (key.first_day..=key.last_day).contains(&day);
    held.iter().filter(own).min_by_key(|key| key.is_long()).or_else(|| held.first())
}

fn erase(conn: &mut SqliteConnection, key: &StoreKey, keys: &[Held]) -> anyhow::Result<()> {
    for erased in keys {
        diesel::update(day_keys::table.find(erased.fingerprint.as_str()))
            .set(day_keys::sealed_secret.eq(Vec::<u8>::new()))
            .execute(conn)?;
    }
    mark_erased(conn, key)
}

/// To be called in the transaction that erases something: the write-ahead log is to be emptied after it.
pub(super) fn mark_erased(conn: &mut SqliteConnection, key: &StoreKey) -> anyhow::Result<()> {
    put_setting(conn, key, LOG_HOLDS_ERASED, &true)
}

/// The key that signs on `day`, and its days where they are others.
pub(super) fn signing_key(
    conn: &mut SqliteConnection,
    key: &StoreKey,
    day: NaiveDate,
) -> anyhow::Result<(SigningKey, Option<OtherDay>)> {
    let held = held(conn)?;
    let chosen = signing(&held, day).ok_or_else(|| {
        refuse(
            "this device holds no record key",
            "Its store was damaged. Hand in what is here with `endcheck sync`; that fetches new keys, too.",
        )
    })?;
    let sealed: Vec<u8> =
        day_keys::table.find(chosen.fingerprint.as_str()).select(day_keys::sealed_secret).first(conn)?;
    let secret: Secret = open_json(key, secret_cell(&chosen.fingerprint), &sealed)?;
    let own = (chosen.first_day..=chosen.last_day).contains(&day);
    let other = OtherDay { first_day: chosen.first_day, last_day: chosen.last_day };
    Ok((secret.key()?, (!own).then_some(other)))
}

impl OtherDay {
    /// What to tell the inspector whose device's clock shows `day`.
    #[must_use]
    pub fn told(&self, day: NaiveDate) -> String {
        let Self { first_day, last_day } = self;
        if *last_day < day {
            format!(
                "this device's keys ended on {last_day}; the record is signed with the last one, and headquarters \
                 will see that. Run `endcheck sync` as soon as there is a network: it fetches new keys"
            )
        } else {
            format!(
                "this device's clock shows {day}, and the key of that day is erased; the record is signed with the \
                 key of {first_day}, and headquarters will see that. Set the clock right, then run `endcheck sync`"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn held(days: &[(&str, &str)]) -> Vec<Held> {
        let key = |(first, last): &(&str, &str)| Held {
            fingerprint: Sha256::of(last.as_bytes()),
            first_day: day(first),
            last_day: day(last),
        };
        days.iter().map(key).collect()
    }

    #[test]
    fn the_key_of_the_day_signs_else_the_oldest_that_is_left() {
        let keys = held(&[
            ("2026-03-03", "2026-03-03"),
            ("2026-03-04", "2026-03-04"),
            ("2026-03-06", "2026-03-06"),
            ("2026-01-01", "2026-06-01"),
        ]);
        for (on, signs) in [
            ("2026-03-04", "2026-03-04"),
            ("2026-03-05", "2026-06-01"),
            ("2025-12-31", "2026-03-03"),
            ("2027-01-01", "2026-03-03"),
        ] {
            assert_eq!(signing(&keys, day(on)).unwrap().last_day, day(signs), "{on}");
        }
        assert!(signing(&[], day("2026-03-04")).is_none());
    }

    #[test]
    fn what_is_over_is_erased_but_never_the_newest() {
        let keys =
            held(&[("2026-02-28", "2026-03-01"), ("2026-03-02", "2026-03-02"), ("2026-03-03", "2026-03-03")]);
        for (today, erased) in [("2026-03-01", 0), ("2026-03-02", 1), ("2026-03-03", 2), ("2027-01-01", 2)] {
            assert_eq!(closed(&keys, day(today)).len(), erased, "{today}");
        }
        assert!(closed(&[], day("2026-03-01")).is_empty());
    }
}
