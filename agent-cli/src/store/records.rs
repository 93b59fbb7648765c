//! The chain: appending to it, reading a visit's part of it, and what headquarters answered.

use anyhow::Context as _;
use diesel::prelude::*;
use endcheck_protocol::canonical;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{Envelope, RECORD_TYPE};
use endcheck_protocol::ids::VisitId;
use endcheck_protocol::record::{Act, Anchor, Record, Task};
use endcheck_protocol::sync::{Quarantine, RecordAnswer, RecordOutcome, UnsentRecord};
use serde::Serialize;

use super::keys::{OtherDay, signing_key};
use super::schema::{files, records, settings, visits};
use super::visits::LocalState;
use super::{Store, get_setting, open_json, put_setting, seal_json};
use crate::chain::{self, Draft, Head, Heard, Signed};
use crate::environment::ClockReading;
use crate::identity::Identity;
use crate::refusal::refuse;
use crate::vault::{Cell, StoreKey};

/// The setting that keeps what the next record needs of the newest one, where that is sealed.
pub(super) const CHAIN_HEAD: &str = "chain-head";
pub(super) const UNSENT: &str = "unsent";
const HELD: &str = "held";
pub(super) const QUARANTINED: &str = "quarantined";

/// A record of this device, taken out of its envelope.
#[derive(Debug, Clone)]
pub struct HeldRecord {
    pub hash: Sha256,
    pub record: Record,
}

/// A record that headquarters set aside.
#[derive(Debug, Clone, Serialize)]
pub struct Quarantined {
    pub record: Sha256,
    pub seq: u64,
    pub code: String,
    pub detail: String,
}

/// Records that stand in the chain.
#[derive(Debug)]
pub struct Appended {
    pub signed: Vec<Signed>,
    /// The days of the key that signed, where the day of the clock is none of them.
    pub other_day: Option<OtherDay>,
    /// What the commit complained of, although the records were found to stand.
    pub trouble: Option<anyhow::Error>,
}

/// How many records stand where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub unsent: u64,
    pub held: u64,
    pub quarantined: u64,
}

pub(super) fn envelope_cell(hash: &Sha256) -> Cell<'_> {
    Cell { table: "records", column: "sealed_envelope", row: hash.as_str() }
}

fn quarantine_cell(hash: &Sha256) -> Cell<'_> {
    Cell { table: "records", column: "sealed_quarantine", row: hash.as_str() }
}

pub(super) fn open_record(key: &StoreKey, hash: Sha256, sealed: &[u8]) -> anyhow::Result<HeldRecord> {
    let bytes = key.open(envelope_cell(&hash), sealed)?;
    let read =
        || -> anyhow::Result<Record> { Ok(canonical::read(&Envelope::read(&bytes, RECORD_TYPE)?.payload)?) };
    let record = read().with_context(|| format!("record {hash} of the store is damaged"))?;
    Ok(HeldRecord { hash, record })
}

impl Store {
    /// Appends `drafts` to the chain, all or none, with a `clock-set` record before them where the
    /// wall clock was set. The visit's local state follows. Durable when it returns.
    ///
    /// # Errors
    /// When a record is too large or the database cannot be written; then nothing changed, unless the
    /// error says that this could not be found out.
    pub fn append(
        &mut self,
        identity: &Identity,
        reading: &ClockReading,
        drafts: Vec<Draft>,
    ) -> anyhow::Result<Appended> {
        let heard = Heard {
            server: self.setting("server-time")?,
            anchor: self.checkpoint()?.map(|held| Anchor { size: held.size, root: held.root }),
        };
        let Self { conn, key, .. } = self;
        let mut before_commit = Vec::new();
        let mut other_day = None;
        let appended = conn.immediate_transaction(|conn| {
            let mut head = head(conn, key)?;
            let (signing_key, other) = signing_key(conn, key, reading.device_at.day())?;
            other_day = other;
            let moved = head.as_ref().and_then(|head| chain::clock_moved_by_ms(head, reading));
            let clock_set = moved.map(|moved_by_ms| Draft {
                act: Act::ClockSet { moved_by_ms },
                task: Task::default(),
                place: None,
                replaces: None,
            });
            let mut appended = Vec::new();
            for draft in clock_set.into_iter().chain(drafts) {
                let signed =
                    chain::next(identity, &signing_key, head.as_ref(), reading, heard.clone(), draft)?;
                insert(conn, key, &signed)?;
                head = Some(Head::of(&signed.hash, &signed.record));
                appended.push(signed);
            }
            before_commit.clone_from(&appended);
            anyhow::Ok(appended)
        });
        match appended {
            Ok(signed) => Ok(Appended { signed, other_day, trouble: None }),
            Err(error) if before_commit.is_empty() => match error.downcast::<diesel::result::Error>() {
                Ok(error) => {
                    let cannot = format!("the store in {} cannot be written", self.home.display());
                    Err(anyhow::Error::new(error).context(cannot))
                }
                Err(other) => Err(other),
            },
            Err(error) => self.after_failed_commit(before_commit, error),
        }
    }

    /// Finds out whether records stand whose commit reported an error: the log may hold it although
    /// the flush failed, and the next to open the database would recover it.
    fn after_failed_commit(&mut self, signed: Vec<Signed>, error: anyhow::Error) -> anyhow::Result<Appended> {
        let stands = self.reopen().and_then(|()| {
            let Self { conn, key, .. } = self;
            conn.immediate_transaction(|conn| {
                for record in &signed {
                    let found = records::table.filter(records::hash.eq(&record.hash)).count();
                    if found.get_result::<i64>(conn)? == 0 {
                        // A commit after it: what the log may still hold of the failed one is void.
                        put_setting(conn, key, "failed-commit", &record.hash)?;
                        return Ok(false);
                    }
                }
                anyhow::Ok(true)
            })
        });
        match stands {
            Ok(true) => Ok(Appended { signed, other_day: None, trouble: Some(error) }),
            Ok(false) => Err(error.context("the store cannot be written; nothing was recorded")),
            Err(unknown) => Err(refuse(
                format!(
                    "the store reports errors, and whether the act was recorded is not known: {unknown:#}"
                ),
                "Nothing was removed. Look after the disk, then see with `endcheck status` and `endcheck \
                 checklist` what was recorded before doing it again.",
            )),
        }
    }

    /// The visit's records that are not sealed, in the order they were made.
    ///
    /// # Errors
    /// When the database or a record is damaged.
    pub fn records_of(&mut self, visit: &VisitId) -> anyhow::Result<Vec<HeldRecord>> {
        let rows: Vec<(Sha256, Vec<u8>)> = records::table
            .filter(records::visit.eq(visit.as_str()).and(records::package.is_null()))
            .order(records::seq)
            .select((records::hash, records::sealed_envelope))
            .load(&mut self.conn)?;
        rows.into_iter().map(|(hash, sealed)| open_record(&self.key, hash, &sealed)).collect()
    }

    /// The records whose hashes begin with `prefix`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn records_by_prefix(&mut self, prefix: &str) -> anyhow::Result<Vec<Sha256>> {
        let hashes: Vec<Sha256> =
            records::table.select(records::hash).order(records::seq).load(&mut self.conn)?;
        Ok(hashes.into_iter().filter(|hash| hash.as_str().starts_with(prefix)).collect())
    }

    /// The record with this hash, if it is this device's and not sealed.
    ///
    /// # Errors
    /// When the database or the record is damaged.
    pub fn record(&mut self, hash: &Sha256) -> anyhow::Result<Option<HeldRecord>> {
        let sealed: Option<Vec<u8>> = records::table
            .filter(records::hash.eq(hash).and(records::package.is_null()))
            .select(records::sealed_envelope)
            .first(&mut self.conn)
            .optional()?;
        sealed.map(|sealed| open_record(&self.key, hash.clone(), &sealed)).transpose()
    }

    /// The visit of a record that is sealed; nothing where it is not.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn visit_of_sealed(&mut self, hash: &Sha256) -> anyhow::Result<Option<Option<String>>> {
        let row = records::table.filter(records::hash.eq(hash).and(records::package.is_not_null()));
        Ok(row.select(records::visit).first(&mut self.conn).optional()?)
    }

    /// The exact bytes of a record's envelope; nothing where it is sealed.
    ///
    /// # Errors
    /// When there is no such record or it is damaged.
    pub fn envelope(&mut self, hash: &Sha256) -> anyhow::Result<Option<Vec<u8>>> {
        let (sealed, package): (Vec<u8>, Option<String>) = records::table
            .filter(records::hash.eq(hash))
            .select((records::sealed_envelope, records::package))
            .first(&mut self.conn)?;
        if package.is_some() {
            return Ok(None);
        }
        Ok(Some(self.key.open(envelope_cell(hash), &sealed)?.to_vec()))
    }

    /// What is not sealed and headquarters has not answered for, in chain order.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn unsent_records(&mut self) -> anyhow::Result<Vec<UnsentRecord>> {
        let rows: Vec<(i64, Sha256, i64)> = records::table
            .filter(records::state.eq(UNSENT).and(records::package.is_null()))
            .order(records::seq)
            .select((records::seq, records::hash, records::size_bytes))
            .load(&mut self.conn)?;
        rows.into_iter()
            .map(|(seq, hash, size_bytes)| {
                Ok(UnsentRecord { seq: u64::try_from(seq)?, hash, size_bytes: usize::try_from(size_bytes)? })
            })
            .collect()
    }

    /// Keeps headquarters' answers, all or none.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn keep_answers(&mut self, answers: &[RecordAnswer]) -> anyhow::Result<()> {
        let Self { conn, key, .. } = self;
        conn.immediate_transaction(|conn| {
            for answer in answers {
                let row = records::table.filter(records::hash.eq(&answer.hash));
                let quarantined = answer.outcome == RecordOutcome::Quarantined || answer.quarantine.is_some();
                if quarantined {
                    let reason = answer.quarantine.clone().unwrap_or_else(|| Quarantine {
                        code: "quarantined".to_owned(),
                        detail: "Headquarters gave no reason; ask them.".to_owned(),
                    });
                    let sealed = seal_json(key, quarantine_cell(&answer.hash), &reason)?;
                    diesel::update(row)
                        .set((records::state.eq(QUARANTINED), records::sealed_quarantine.eq(sealed)))
                        .execute(conn)?;
                } else {
                    diesel::update(row.filter(records::state.eq(UNSENT)))
                        .set(records::state.eq(HELD))
                        .execute(conn)?;
                }
            }
            Ok(())
        })
    }

    /// Marks every record as unsent, for a server that lost some (sending again changes nothing there),
    /// and forgets which receipts were fetched: such a server numbers them anew.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn resend_all(&mut self) -> anyhow::Result<()> {
        self.conn.immediate_transaction(|conn| {
            diesel::update(records::table).set(records::state.eq(UNSENT)).execute(conn)?;
            for name in [super::RECEIPT_CURSOR, super::PROOFS_BARE, super::RECEIPTS_SOUGHT] {
                diesel::delete(settings::table.find(name)).execute(conn)?;
            }
            Ok(())
        })
    }

    /// How many records stand where.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn counts(&mut self) -> anyhow::Result<Counts> {
        let rows: Vec<(String, i64)> = records::table
            .group_by(records::state)
            .select((records::state, diesel::dsl::count_star()))
            .load(&mut self.conn)?;
        let of = |state: &str| {
            let found = rows.iter().find(|(name, _)| name == state);
            found.and_then(|(_, number)| u64::try_from(*number).ok()).unwrap_or_default()
        };
        Ok(Counts { unsent: of(UNSENT), held: of(HELD), quarantined: of(QUARANTINED) })
    }

    /// What headquarters set aside, with the reasons.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn quarantined(&mut self) -> anyhow::Result<Vec<Quarantined>> {
        let rows: Vec<(i64, Sha256, Option<Vec<u8>>)> = records::table
            .filter(records::state.eq(QUARANTINED))
            .order(records::seq)
            .select((records::seq, records::hash, records::sealed_quarantine))
            .load(&mut self.conn)?;
        rows.into_iter()
            .map(|(seq, record, sealed)| {
                let sealed = sealed.unwrap_or_default();
                let reason: Quarantine = open_json(&self.key, quarantine_cell(&record), &sealed)?;
                Ok(Quarantined { seq: u64::try_from(seq)?, record, code: reason.code, detail: reason.detail })
            })
            .collect()
    }
}

fn head(conn: &mut SqliteConnection, key: &StoreKey) -> anyhow::Result<Option<Head>> {
    let row: Option<(Sha256, Vec<u8>, Option<String>)> = records::table
        .order(records::seq.desc())
        .select((records::hash, records::sealed_envelope, records::package))
        .first(conn)
        .optional()?;
    let Some((hash, sealed, package)) = row else { return Ok(None) };
    if package.is_none() {
        let held = open_record(key, hash, &sealed)?;
        return Ok(Some(Head::of(&held.hash, &held.record)));
    }
    let kept: Option<Head> = get_setting(conn, key, CHAIN_HEAD)?;
    let kept = kept.filter(|head| head.hash == hash);
    Ok(Some(kept.context("the store is damaged: the head of its chain is sealed and not noted")?))
}

fn insert(conn: &mut SqliteConnection, key: &StoreKey, signed: &Signed) -> anyhow::Result<()> {
    let visit = signed.record.task.visit.as_ref();
    diesel::insert_into(records::table)
        .values((
            records::seq.eq(i64::try_from(signed.record.seq)?),
            records::hash.eq(&signed.hash),
            records::visit.eq(visit.map(VisitId::as_str)),
            records::size_bytes.eq(i64::try_from(signed.envelope.len())?),
            records::state.eq(UNSENT),
            records::sealed_envelope.eq(key.seal(envelope_cell(&signed.hash), &signed.envelope)?),
        ))
        .execute(conn)?;
    if let Some(file) = signed.record.act.file() {
        diesel::insert_into(files::table)
            .values((
                files::sealed_sha256.eq(&file.sealed_sha256),
                files::record.eq(&signed.hash),
                files::sealed_size_bytes.eq(i64::try_from(file.sealed_size_bytes)?),
                files::state.eq(super::files::HELD),
            ))
            .execute(conn)?;
    }
    let state = match signed.record.act {
        Act::VisitOpen { .. } => LocalState::Open,
        Act::VisitClose { .. } => LocalState::Closed,
        _ => return Ok(()),
    };
    if let Some(visit) = visit {
        diesel::update(
            visits::table.find(visit.as_str()).filter(visits::state.ne(LocalState::Sealed.name())),
        )
        .set(visits::state.eq(state.name()))
        .execute(conn)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Device};

    fn note(text: &str) -> Draft {
        let act = Act::Note { text: text.to_owned() };
        Draft { act, task: Task::default(), place: None, replaces: None }
    }

    #[test]
    fn after_a_failed_commit_the_database_is_asked_what_stands() {
        let device = Device::enrolled();
        let mut store = device.store();
        let identity = testing::identity();
        let reading = testing::reading("2026-05-04T08:00:00Z", 5);
        let stood = store.append(&identity, &reading, vec![note("a")]).unwrap().signed;
        let failed = || anyhow::anyhow!("disk I/O error");

        let found = store.after_failed_commit(stood.clone(), failed()).unwrap();
        assert_eq!(found.signed[0].hash, stood[0].hash);
        assert_eq!(found.trouble.unwrap().to_string(), "disk I/O error");

        let head = Head::of(&stood[0].hash, &stood[0].record);
        let key = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
        let lost =
            chain::next(&identity, &key, Some(&head), &reading, chain::Heard::default(), note("b")).unwrap();
        let told = store.after_failed_commit(vec![lost], failed()).unwrap_err();
        assert_eq!(format!("{told:#}"), "the store cannot be written; nothing was recorded: disk I/O error");

        store.home.push("gone");
        let told = store.after_failed_commit(stood, failed()).unwrap_err().to_string();
        assert!(told.contains("is not known"), "{told}");
    }
}
