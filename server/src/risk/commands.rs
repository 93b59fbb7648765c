//! `endcheck-server policy …`: what people do with a risk policy at the command line.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::time::Timestamp;

use super::assess::{Assessment, Assessor};
use super::facts::Facts;
use super::policy::Policy;
use super::{failing_cases, force, store};
use crate::accounts::Actor;
use crate::db::Conn;
use crate::error::Error;

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Say what is wrong with a policy document, with line, rule and reason.
    Check { file: PathBuf },
    /// Run a policy's own examples.
    Test { file: PathBuf },
    /// Show how one policy differs from another (or from the one in force), and whom it would move.
    Diff {
        new: PathBuf,
        /// The older document; by default the policy in force.
        #[arg(long)]
        old: Option<PathBuf>,
    },
    /// Load a policy, make its shadow run and approve it. The second person's approval puts it into force.
    Activate {
        file: PathBuf,
        /// Who approves; the password comes from ENDCHECK_PASSWORD, else it is asked for.
        #[arg(long)]
        login: String,
        /// Why; kept.
        #[arg(long)]
        reason: String,
    },
    /// Assess again what was assessed before, from the facts that were kept, and compare every byte.
    Replay {
        /// SHA-256 of one assessment; by default all of them.
        assessment: Option<Sha256>,
    },
    /// Write policies, assessments, seeds and draws with their proofs into a new folder, for somebody else to replay.
    Export { folder: PathBuf },
}

fn document(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}

fn read(file: &Path) -> anyhow::Result<Policy> {
    Policy::read(&document(file)?).map_err(|faults| {
        let told: String = faults.iter().map(|fault| format!("\n  {fault}")).collect();
        anyhow::anyhow!("{} cannot be used:{told}", file.display())
    })
}

/// Checks a document: what it is when it is whole.
///
/// # Errors
/// Everything that is wrong.
pub fn check(file: &Path) -> anyhow::Result<String> {
    let policy = read(file)?;
    let steps: u64 = policy.rules.iter().map(|rule| rule.condition.steps()).sum();
    Ok(format!(
        "{} version {}: {} rules of at most {steps} steps together, {} examples, to be reviewed by {}\nsha256 {}",
        policy.id,
        policy.version,
        policy.rules.len(),
        policy.cases.len(),
        policy.review_by,
        policy.hash
    ))
}

/// Runs a document's examples.
///
/// # Errors
/// Those that do not come out as it says.
pub fn test(file: &Path) -> anyhow::Result<String> {
    let policy = read(file)?;
    let failing = failing_cases(&policy);
    anyhow::ensure!(
        failing.is_empty(),
        "{} of {} examples fail:\n  {}",
        failing.len(),
        policy.cases.len(),
        failing.join("\n  ")
    );
    Ok(format!("{} examples hold", policy.cases.len()))
}

/// How two policies differ, field by field, and whom the newer one would move.
///
/// # Errors
/// When a document cannot be used, or nothing is in force to compare with.
pub fn diff(conn: &mut Conn, new: &Path, old: Option<&Path>, now: Timestamp) -> anyhow::Result<String> {
    let new = read(new)?;
    let old = match old {
        Some(old) => read(old)?,
        None => force::in_force(conn).map_err(Error::told)?,
    };
    let mut text = format!("{} {} → {} {}\n", old.id, old.version, new.id, new.version);
    let report = force::compare(conn, &new, Some(&old), now.day()).map_err(Error::told)?;
    for change in &report.changes {
        text.push_str(&format!("{change}\n"));
    }
    text.push_str(&format!("{} shipments:\n", report.shipments));
    if report.failed + report.failed_before > 0 {
        text.push_str(&format!(
            "  {} could not be assessed by the new policy, {} by the old one:\n",
            report.failed, report.failed_before
        ));
        for failure in &report.failures {
            text.push_str(&format!("    {failure}\n"));
        }
    }
    for (way, count) in &report.moves {
        text.push_str(&format!("  {way}: {count}\n"));
    }
    for moved in report.moved.iter().take(20) {
        text.push_str(&format!(
            "  {}: {} → {} points, {} ({})\n",
            moved.shipment,
            moved.points_before.unwrap_or(0),
            moved.points,
            moved.to.as_str(),
            moved.because.join(", ")
        ));
    }
    Ok(text.trim_end().to_owned())
}

/// Loads, shadow-runs and approves.
///
/// # Errors
/// What the API refuses is refused here.
pub fn activate(
    conn: &mut Conn,
    actor: &Actor,
    file: &Path,
    reason: String,
    now: Timestamp,
) -> anyhow::Result<String> {
    let document = document(file)?;
    let policy = force::read(&document).map_err(Error::told)?;
    let held = conn.write(|conn| force::load(conn, actor, &policy, &document, now)).map_err(Error::told)?;
    let mut found = force::state(conn, &held.hash).map_err(Error::told)?;
    if !found.active && found.shadow.is_none() {
        let report = force::shadow_run(conn, actor, &held.hash, now).map_err(Error::told)?;
        std::io::stderr().write_all(
            format!("shadow run over {} shipments: {:?}\n", report.shipments, report.moves).as_bytes(),
        )?;
        found = force::state(conn, &held.hash).map_err(Error::told)?;
    }
    let command = force::ApprovePolicy { reason, shadow_run: found.shadow_run };
    let state =
        conn.write(|conn| force::approve(conn, actor, &held.hash, command, now)).map_err(Error::told)?;
    Ok(if state.active {
        format!("{} version {} is in force.", held.id, held.version)
    } else {
        format!(
            "{} version {} has {} of 2 approvals: somebody else approves it with the same command.",
            held.id,
            held.version,
            state.approvals.len()
        )
    })
}

/// Assesses again what was assessed before.
///
/// # Errors
/// When one comes out otherwise, or a policy is not held any more.
pub fn replay(conn: &mut Conn, only: Option<&Sha256>) -> anyhow::Result<String> {
    let mut policies: std::collections::BTreeMap<Sha256, Policy> = std::collections::BTreeMap::new();
    let (mut same, mut differing) = (0_u64, Vec::new());
    let mut after = String::new();
    loop {
        let rows = match only {
            Some(hash) => {
                vec![
                    store::assessment(conn, hash)
                        .map_err(Error::told)?
                        .context("there is no such assessment")?,
                ]
            }
            None => store::assessments_after(conn, &after, 1_000).map_err(Error::told)?,
        };
        for row in &rows {
            if !policies.contains_key(&row.policy_hash) {
                policies.insert(
                    row.policy_hash.clone(),
                    force::held(conn, &row.policy_hash).map_err(Error::told)?,
                );
            }
            let policy = policies.get(&row.policy_hash).context("the policy was just read")?;
            match assessed_again(policy, &row.document) {
                Ok(bytes) if bytes == row.document.as_bytes() => same += 1,
                Ok(_) => differing.push(format!("{}: comes out otherwise", row.hash)),
                Err(error) => differing.push(format!("{}: {error}", row.hash)),
            }
        }
        match rows.last() {
            Some(last) if only.is_none() => after = last.hash.to_string(),
            _ => break,
        }
    }
    anyhow::ensure!(
        differing.is_empty(),
        "{same} come out the same, {} do not:\n  {}",
        differing.len(),
        differing.join("\n  ")
    );
    Ok(format!("{same} assessments come out the same, byte for byte"))
}

fn assessed_again(policy: &Policy, document: &str) -> Result<Vec<u8>, String> {
    let kept: Assessment = serde_json::from_str(document).map_err(|e| e.to_string())?;
    let facts = Facts::from_named(&kept.facts)?;
    let again = Assessor::new(policy).assess(&kept.shipment, &facts, kept.assessed_on)?;
    again.to_bytes().map_err(|e| e.to_string())
}
