//! `endcheck-server plan …`: rosters and plans at the command line.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use endcheck_protocol::ids::{CheckId, PlanId, VisitId};

use super::{Away, Closed, PlanDetail, ProposePlan, VisaRefused, work};
use crate::accounts::Actor;
use crate::app::App;
use crate::error::Error;

#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Load a roster: who may be sent, when and where to.
    Roster {
        file: PathBuf,
        /// Who loads it; the password comes from ENDCHECK_PASSWORD, else it is asked for.
        #[arg(long)]
        login: String,
    },
    /// Search for a plan and show it. Nothing on the calendar changes.
    Propose(Box<Propose>),
    /// Show a plan.
    Show {
        plan: PlanId,
        /// As the API answers it.
        #[arg(long)]
        json: bool,
    },
    /// Put a plan on the calendar: all of it, or nothing where any visit changed meanwhile.
    Accept {
        plan: PlanId,
        #[arg(long)]
        login: String,
        /// Why; kept.
        #[arg(long)]
        reason: String,
    },
    /// Make a plan again from what is kept, and compare every byte.
    Replay { plan: PlanId },
}

#[derive(Debug, Args)]
pub struct Propose {
    /// First day, such as 2026-12-01.
    #[arg(long)]
    first_day: String,
    /// How many days.
    #[arg(long, default_value_t = 5)]
    days: i32,
    /// What the plan is for.
    #[arg(long)]
    note: String,
    /// Who asks; the password comes from ENDCHECK_PASSWORD, else it is asked for.
    #[arg(long)]
    pub login: String,
    /// Only sites of this country.
    #[arg(long)]
    country: Option<String>,
    /// About how long to search; becomes a number of iterations.
    #[arg(long)]
    seconds: Option<u32>,
    /// How much to search, instead of a time: the same number gives the same plan again.
    #[arg(long, conflicts_with = "seconds")]
    iterations: Option<u64>,
    #[arg(long)]
    seed: Option<u32>,
    /// How many searches to make; the best counts.
    #[arg(long)]
    seeds: Option<u64>,
    /// LOGIN:FIRST-DAY:LAST-DAY of somebody who cannot be sent after all; may be given several times.
    #[arg(long, value_parser = away, value_name = "LOGIN:FROM:TO")]
    away: Vec<Away>,
    /// COUNTRY:FIRST-DAY:LAST-DAY of a border that is closed; may be given several times.
    #[arg(long, value_parser = closed, value_name = "COUNTRY:FROM:TO")]
    closed: Vec<Closed>,
    /// LOGIN:COUNTRY of a visa that was refused; may be given several times.
    #[arg(long, value_parser = refused, value_name = "LOGIN:COUNTRY")]
    refused: Vec<VisaRefused>,
    /// A check that cannot wait; may be given several times.
    #[arg(long, value_name = "CHECK")]
    urgent: Vec<CheckId>,
    /// A visit that must stay as it is; may be given several times.
    #[arg(long, value_name = "VISIT")]
    lock: Vec<VisitId>,
    /// Leave everything that has a time as it is, wherever that is possible.
    #[arg(long)]
    hold: bool,
}

fn three(text: &str) -> Result<(String, String, String), String> {
    match text.split(':').collect::<Vec<_>>().as_slice() {
        [what, from, to] => Ok((what.to_string(), from.to_string(), to.to_string())),
        _ => Err("three parts with colons between them, such as iris:2026-12-01:2026-12-04".to_owned()),
    }
}

fn away(text: &str) -> Result<Away, String> {
    three(text).map(|(inspector, from, to)| Away { inspector, from, to })
}

fn closed(text: &str) -> Result<Closed, String> {
    three(text).map(|(country, from, to)| Closed { country, from, to })
}

fn refused(text: &str) -> Result<VisaRefused, String> {
    let parts = text.split_once(':').ok_or("a login and a country, such as iris:AE")?;
    Ok(VisaRefused { inspector: parts.0.to_owned(), country: parts.1.to_owned() })
}

/// Loads a roster.
///
/// # Errors
/// Everything that is wrong with it, by path.
pub fn roster(app: &App, actor: &Actor, file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read as UTF-8 text", file.display()))?;
    let now = app.clock.now();
    let held = app
        .pool
        .get()?
        .write(|conn| super::load_roster(conn, actor, &text, now))
        .map_err(|error| error.told().context(format!("{} is not loaded", file.display())))?;
    Ok(format!("{} is loaded.\nsha256 {}", held.title, held.hash))
}

/// Searches for a plan in this process, and tells it.
///
/// # Errors
/// When there is nothing to plan with, or a field is wrong.
pub fn propose(app: &Arc<App>, actor: &Actor, arguments: Propose) -> anyhow::Result<String> {
    let command = ProposePlan {
        first_day: arguments.first_day,
        days: arguments.days,
        note: arguments.note,
        country: arguments.country,
        seconds: arguments.seconds,
        iterations: arguments.iterations,
        seed: arguments.seed,
        seeds: arguments.seeds,
        away: arguments.away,
        closed: arguments.closed,
        refused: arguments.refused,
        urgent: arguments.urgent,
        locked: arguments.lock,
        hold: arguments.hold,
    };
    let now = app.clock.now();
    let searched = || {
        let row = super::prepare(&mut *app.connection()?, actor, command, now)?;
        app.connection()?.write(|conn| super::ask(conn, &row, now))?;
        work::search(app, &row.id)?;
        Ok(row.id)
    };
    let id: PlanId = searched().map_err(Error::told)?;
    show(app, &id, false)
}

/// Tells a plan.
///
/// # Errors
/// When there is none.
pub fn show(app: &App, id: &PlanId, json: bool) -> anyhow::Result<String> {
    let plan = super::detail(&mut *app.pool.get()?, id, app.clock.now()).map_err(Error::told)?;
    if json { Ok(serde_json::to_string_pretty(&plan)?) } else { told(&plan) }
}

fn told(plan: &PlanDetail) -> anyhow::Result<String> {
    let mut text = format!("Plan {}: {}", plan.summary.id, plan.summary.note);
    let Some(review) = &plan.review else {
        let why = plan.summary.failure.as_deref().unwrap_or("it is being searched for");
        writeln!(text, "\nThere is none yet: {why}")?;
        return Ok(text);
    };
    let stops: usize = review.days.iter().map(|day| day.stops.len()).sum();
    write!(
        text,
        "\n{stops} stops on {} days of inspectors, {} left out (risk {}), {} h past deadlines, {} min on the way",
        review.days.len(),
        review.left_out.len(),
        review.score.unserved_risk,
        review.score.late_hours,
        review.score.travel_min
    )?;
    for event in &review.events {
        write!(text, "\n! {event}")?;
    }
    for day in &review.days {
        let zone: chrono_tz::Tz = day.time_zone.parse().unwrap_or(chrono_tz::UTC);
        let clock = |at: endcheck_protocol::time::Timestamp| at.utc().with_timezone(&zone).format("%H:%M");
        let (leaves, returns) = (clock(day.leaves_at), clock(day.returns_at));
        write!(
            text,
            "\n\n{} {}, {leaves} to {returns} ({} min on the way)",
            day.date, day.inspector, day.travel_min
        )?;
        for stop in &day.stops {
            let (from, to) = (clock(stop.starts_at), clock(stop.ends_at));
            let late = if stop.late { ", PAST ITS DEADLINE" } else { "" };
            let with = stop.with.as_ref().map_or_else(String::new, |with| format!(", with {with}"));
            write!(
                text,
                "\n  {from}–{to}  {}, {} ({}{with}{late})",
                stop.site_name, stop.shipment_key, stop.change
            )?;
        }
    }
    if !review.moves.is_empty() {
        text.push_str("\n\nMoves:");
    }
    for one in &review.moves {
        let from = format!("{} {}", one.from.inspectors.join(" and "), one.from.starts_at);
        let to = one.to.as_ref().map_or_else(
            || "left out".to_owned(),
            |to| format!("{} {}", to.inspectors.join(" and "), to.starts_at),
        );
        write!(text, "\n  {}: {from} → {to}. {}", one.site_name, one.why)?;
    }
    if !review.left_out.is_empty() {
        text.push_str("\n\nLeft out:");
    }
    for one in &review.left_out {
        let counts: Vec<String> = one.counts.iter().map(|(kind, days)| format!("{kind} {days}")).collect();
        write!(
            text,
            "\n  {}, {} (risk {}): {}",
            one.site_name,
            one.shipment_key,
            one.risk,
            counts.join(", ")
        )?;
        for easiest in &one.easiest {
            write!(text, "\n    would do: {easiest}")?;
        }
    }
    for one in &review.apart {
        write!(text, "\n  {}, {}: {}", one.site_name, one.shipment_key, one.reason)?;
    }
    write!(
        text,
        "\n\nAccept it with `endcheck-server plan accept {} --login LOGIN --reason WHY`.",
        plan.summary.id
    )?;
    Ok(text)
}

/// Puts a plan on the calendar.
///
/// # Errors
/// When visits changed meanwhile, or it was decided about.
pub fn accept(app: &App, actor: &Actor, id: &PlanId, reason: String) -> anyhow::Result<String> {
    let now = app.clock.now();
    app.pool.get()?.write(|conn| super::accept(conn, actor, id, reason, now)).map_err(Error::told)?;
    Ok(format!("Plan {id} is on the calendar."))
}

/// Makes a plan again.
///
/// # Errors
/// When a byte differs.
pub fn replay(app: &App, id: &PlanId) -> anyhow::Result<String> {
    let same = super::replay(&mut *app.pool.get()?, id).map_err(Error::told)?;
    anyhow::ensure!(same, "plan {id} does not come out as it was kept");
    Ok(format!("Plan {id} comes out the same, byte for byte."))
}
