//! `verify`: checks bags, records, receipts and log proofs offline, under the verifier's own policy. Needs no
//! store, no network and no configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use endcheck_protocol::terminal;
use endcheck_protocol::tlog::Policy;
use serde::Serialize;

use crate::cli::Verify;
use crate::refusal::ExitStatus;
use crate::ui::Ui;
use crate::verify::{self, Bag, Check, Outcome, Papers};

/// No paper is larger.
const MAX_PAPER_BYTES: u64 = 1024 * 1024;

#[derive(Serialize)]
struct Summary {
    verdict: Outcome,
    holds: usize,
    failed: usize,
    not_checked: usize,
}

pub(super) fn run(command: &Verify, ui: &Ui<'_>) -> ExitStatus {
    let checks = match read_policy(&command.policy).and_then(|policy| checks(&command.papers, &policy)) {
        Ok(checks) => checks,
        Err(error) => {
            ui.failure(&error);
            return ExitStatus::VERIFY_MISUSE;
        }
    };
    tell(&checks, ui);
    let count = |outcome| checks.iter().filter(|check| check.outcome == outcome).count();
    let summary = Summary {
        verdict: verify::verdict(&checks),
        holds: count(Outcome::Holds),
        failed: count(Outcome::Failed),
        not_checked: count(Outcome::NotChecked),
    };
    ui.report(&summary, || closing(&summary));
    match summary.verdict {
        Outcome::Holds => ExitStatus::Success,
        Outcome::Failed => ExitStatus::Refused,
        Outcome::NotChecked => ExitStatus::VERIFY_NOT_CHECKED,
    }
}

fn read_policy(path: &Path) -> anyhow::Result<Policy> {
    let text =
        fs::read_to_string(path).with_context(|| format!("the policy {} cannot be read", path.display()))?;
    Policy::read(&text).with_context(|| format!("the policy {}", path.display()))
}

/// Bags are judged each as a whole; all other files together.
fn checks(paths: &[PathBuf], policy: &Policy) -> anyhow::Result<Vec<Check>> {
    let (bags, others): (Vec<&PathBuf>, Vec<&PathBuf>) = paths.iter().partition(|path| verify::is_bag(path));
    let mut checks = Vec::new();
    for path in bags {
        checks.extend(verify::verify_bag(&Bag::read(path)?, policy));
    }
    if !others.is_empty() {
        checks.extend(verify::verify(&papers(&others)?, policy));
    }
    Ok(checks)
}

/// As many checks of one kind that hold are told one by one; of more, their number.
const TOLD_SINGLY: usize = 12;

/// Every check as JSON; in words those that hold in great number together, and all others one by one.
fn tell(checks: &[Check], ui: &Ui<'_>) {
    let mut holding: BTreeMap<&str, usize> = BTreeMap::new();
    for check in checks.iter().filter(|check| check.outcome == Outcome::Holds) {
        *holding.entry(check.check).or_default() += 1;
    }
    let mut told = BTreeSet::new();
    for check in checks {
        let count = holding.get(check.check).copied().unwrap_or_default();
        let together = check.outcome == Outcome::Holds && count > TOLD_SINGLY;
        if together && !told.insert(check.check) {
            ui.report(check, String::new);
            continue;
        }
        ui.report(check, || if together { many(check, count) } else { line(check) });
    }
}

/// The files named, and those in the folders named.
fn papers(paths: &[&PathBuf]) -> anyhow::Result<Papers> {
    let mut papers = Papers::default();
    for path in paths {
        let cannot = || format!("{} cannot be read", path.display());
        let mut files = vec![(*path).clone()];
        if path.is_dir() {
            let entries = fs::read_dir(path).with_context(cannot)?;
            files = entries
                .map(|entry| Ok(entry?.path()))
                .collect::<std::io::Result<_>>()
                .with_context(cannot)?;
            files.retain(|file| file.is_file());
            files.sort();
        }
        anyhow::ensure!(!files.is_empty(), "there is no file in {}", path.display());
        for file in files {
            let cannot = || format!("{} cannot be read", file.display());
            let is_plain = fs::metadata(&file).with_context(cannot)?.is_file();
            anyhow::ensure!(is_plain, "{} is no plain file", file.display());
            let mut bytes = Vec::new();
            let opened = fs::File::open(&file).with_context(cannot)?;
            opened.take(MAX_PAPER_BYTES).read_to_end(&mut bytes).with_context(cannot)?;
            let packed = match bytes.get(..4) {
                Some([0x1f, 0x8b, ..]) => Some("packed with gzip: unpack it with gunzip first"),
                Some(b"age-") => Some("sealed with age: open it with `age --decrypt` first"),
                _ => None,
            };
            if let Some(how) = packed {
                anyhow::bail!("{} is {how}", file.display());
            }
            papers.add(file.display().to_string(), &bytes);
        }
    }
    Ok(papers)
}

fn line(check: &Check) -> String {
    let outcome = match check.outcome {
        Outcome::Holds => "holds      ",
        Outcome::NotChecked => "not checked",
        Outcome::Failed => "FAILED     ",
    };
    terminal::line(&format!("{outcome}  {}: {}: {}", check.file, check.check, check.evidence))
}

fn many(first: &Check, count: usize) -> String {
    terminal::line(&format!(
        "holds        {count} × {}, such as {}: {}",
        first.check, first.file, first.evidence
    ))
}

fn closing(summary: &Summary) -> String {
    let Summary { verdict, holds, failed, not_checked } = summary;
    let verdict = match verdict {
        Outcome::Holds => "Everything holds",
        Outcome::Failed => "NOT everything holds",
        Outcome::NotChecked => "What was checked holds, but not everything could be checked",
    };
    format!("{verdict}: {holds} hold, {failed} failed, {not_checked} not checked.")
}
