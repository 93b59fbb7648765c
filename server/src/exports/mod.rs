//! Exports: the evidence of a visit as a bag that proves itself without us.
//!
//! What is in a bag was committed to by the first entries of the log, so many as its information says; what
//! came later is left out. The same export of the same state gives the same bytes.

mod bag;
mod documents;
mod gather;
mod http;
mod store;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use endcheck_protocol::bag::Continues;
use endcheck_protocol::canonical;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{ExportId, VisitId};
use endcheck_protocol::time::Timestamp;

use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::custody::{self, CustodyAct, Deed};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::log::{self, EntryKind};
use crate::reason;
use crate::visits;

use bag::Bag;
pub use http::{ApiDoc, routes};

/// What is to be exported, and why.
#[derive(Debug, Clone)]
pub struct ExportVisit {
    pub visit: VisitId,
    pub why: String,
    /// What the first so many entries of the log commit to; by default everything until now.
    pub as_of: Option<u64>,
    /// Redacted files in place of the originals that have one.
    pub redacted: bool,
    /// age recipients; with any, the archive is sealed to them.
    pub recipients: Vec<String>,
}

/// Who exports.
#[derive(Debug, Clone, Copy)]
pub enum Exporter<'a> {
    Person(&'a Actor),
    /// Somebody at the server's own command line.
    CommandLine,
}

/// A bag that is complete but for its bytes in the file store.
pub struct Prepared {
    bag: Bag,
    recipients: Vec<age::x25519::Recipient>,
    /// Names the bag: the hash of its tag manifest, which the log holds.
    pub sha256: Sha256,
    pub log_size: u64,
    /// Why the bag will not pass under the published policy, where too few witnesses answered.
    pub uncosigned: Option<log::Uncosigned>,
}

impl Prepared {
    /// The name of the archive.
    #[must_use]
    pub fn file_name(&self) -> String {
        let end = if self.recipients.is_empty() { "tar" } else { "tar.age" };
        format!("{}.{end}", self.bag.name)
    }

    #[must_use]
    pub fn is_sealed(&self) -> bool {
        !self.recipients.is_empty()
    }

    /// Writes the archive. Blocks; call it where blocking is allowed.
    ///
    /// # Errors
    /// When a stored file cannot be read or the target cannot be written.
    pub fn write(
        self,
        app: &App,
        runtime: &tokio::runtime::Handle,
        mut target: impl Write,
    ) -> std::io::Result<()> {
        if self.recipients.is_empty() {
            return self.bag.write(&mut target, &app.files, runtime)?.flush();
        }
        let recipients = self.recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        let sealed = age::Encryptor::with_recipients(recipients)
            .map_err(std::io::Error::other)?
            .wrap_output(&mut target)?;
        self.bag.write(sealed, &app.files, runtime)?.finish()?.flush()
    }
}

/// Notes the export, commits everything noted until then to the log, gathers the bag and logs its hash.
///
/// # Errors
/// 404 for an unknown visit; 422 where no reason is given, a recipient is none, or `as_of` is past the log.
pub fn prepare(
    conn: &mut Conn,
    app: &Arc<App>,
    exporter: Exporter<'_>,
    command: &ExportVisit,
    now: Timestamp,
) -> Result<Prepared> {
    if let Exporter::Person(actor) = exporter {
        actor.require(Permission::ReadVisits)?;
    }
    let why = reason::require(command.why.clone())?;
    let visit = visits::get(conn, &command.visit, now)?;
    let recipients = recipients(&command.recipients)?;
    if let Some(wanted) = command.as_of {
        // Before anything is noted: what is refused was not exported.
        let log_size = log::head(conn)?.size;
        if !(1..=log_size).contains(&wanted) {
            let reason = format!("the log has {log_size} entries, so there is no state of {wanted}");
            return Err(Error::invalid_field("as_of", reason));
        }
    }
    let log_size = conn.write(|conn| {
        let act = CustodyAct::Exported;
        let why = whereto(&why, command);
        let deed = Deed { act, visit: Some(&visit.id), subject: None, why: &why };
        match exporter {
            Exporter::Person(actor) => custody::by_person(conn, actor, &deed, now)?,
            Exporter::CommandLine => custody::by_headquarters(conn, &deed, now)?,
        }
        custody::commit(conn, now)?;
        Ok(log::head(conn)?.size)
    })?;
    let log_size = match command.as_of {
        None => log::await_cosigned(conn, &app.witnesses, log_size, log::COSIGNING_WAIT)?,
        Some(wanted) => wanted,
    };
    let mut uncosigned = log::uncosigned(conn, &app.witnesses, log_size)?;
    let bag = gather::bag(conn, app, &visit, log_size, command.redacted, now)?;
    let sha256 = bag.sha256.clone();
    let by = match exporter {
        Exporter::Person(actor) => actor.to_string(),
        Exporter::CommandLine => "headquarters".to_owned(),
    };
    let index = conn.write(|conn| {
        // Two exports of one state are one bag, and one entry of the log.
        log::lock(conn)?;
        let logged = match store::logged(conn, &sha256)? {
            Some(index) => index,
            None => log::append(conn, EntryKind::Export, &sha256, now)?.index,
        };
        store::insert(
            conn,
            &store::NewExport {
                id: &ExportId::mint(),
                visit_id: &visit.id,
                log_size: i64::try_from(log_size).unwrap_or(i64::MAX),
                bag_sha256: &sha256,
                redacted: command.redacted,
                recipients: &command.recipients.join(" "),
                exported_by: &by,
                why: &why,
                created_at: now,
                log_index: logged,
            },
        )?;
        Ok(logged)
    })?;
    // Who did not answer the first time is not waited for again.
    let wait = if uncosigned.is_some() { Duration::ZERO } else { log::COSIGNING_WAIT };
    let size = log::await_cosigned(conn, &app.witnesses, u64::try_from(index).unwrap_or(0) + 1, wait)?;
    uncosigned = uncosigned.or(log::uncosigned(conn, &app.witnesses, size)?);
    let proof = log::proofs_at(conn, &app.keys.log, &[index], size)?.pop();
    let proof = proof.ok_or_else(|| Error::Internal(anyhow::anyhow!("the export has no proof")))?;
    let consistency = log::consistency(conn, log_size, size)?;
    let continues = canonical::write(&Continues { consistency }).map_err(|e| Error::Internal(e.into()))?;
    Ok(Prepared { bag: bag.proved(proof.text(), continues), recipients, sha256, log_size, uncosigned })
}

fn whereto(why: &str, command: &ExportVisit) -> String {
    let redacted = if command.redacted { ", redacted" } else { "" };
    let sealed = match command.recipients.as_slice() {
        [] => String::new(),
        some => format!(", sealed to {}", some.join(" ")),
    };
    let as_of =
        command.as_of.map_or_else(String::new, |size| format!(", as the log of {size} entries shows it"));
    format!("{why}{redacted}{sealed}{as_of}")
}

fn recipients(texts: &[String]) -> Result<Vec<age::x25519::Recipient>> {
    texts
        .iter()
        .map(|text| {
            text.parse::<age::x25519::Recipient>().map_err(|problem| {
                Error::invalid_field("recipient", format!("{text:?} is no age recipient (age1…): {problem}"))
            })
        })
        .collect()
}
