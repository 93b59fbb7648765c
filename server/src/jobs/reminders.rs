//! Reminders: who is told before a window begins and before a check falls due.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Outcome, Tick};
use crate::app::App;
use crate::error::Result;
use crate::notices::{self, Tell};
use crate::visits::{self, Occasion, Reminder};

/// Notices in one transaction.
const BATCH: usize = 200;

pub(super) async fn run(app: Arc<App>, tick: Tick) -> Result<Outcome> {
    let ahead = |hours| TimeDelta::hours(i64::from(hours));
    let (window, due) = (ahead(app.config.remind_window_hours), ahead(app.config.remind_due_hours));
    let now = tick.now;
    let fresh = app
        .read(move |conn| {
            let all = visits::to_remind(conn, now, window, due)?;
            let keys: Vec<String> = all.iter().map(Reminder::key).collect();
            let told: BTreeSet<String> = notices::told(conn, &keys)?.into_iter().collect();
            Ok(all.into_iter().filter(|one| !told.contains(&one.key())).collect::<Vec<_>>())
        })
        .await?;
    let by_mail = app.mailer.is_some();
    let mut count = 0;
    for batch in fresh.chunks(BATCH) {
        let tells: Vec<Tell> = batch.iter().map(told).collect();
        count += tick
            .write(&app, move |conn| {
                let mut new = 0;
                for tell in &tells {
                    new += u64::from(notices::tell(conn, tell, by_mail, now)?);
                }
                Ok(new)
            })
            .await?;
    }
    Outcome::done(format!("{count} reminders written"))
}

fn told(reminder: &Reminder) -> Tell {
    let at = local(reminder.at.utc(), &reminder.time_zone);
    let site = &reminder.site_name;
    let (kind, title, body) = match reminder.occasion {
        Occasion::Window => (
            "visit-window",
            format!("Your visit to {site} begins {at}"),
            format!(
                "The window of your visit to {site} begins {at}.\n\nRun `endcheck pull` before you leave, so that \
                 your device holds the checklist.\n\nVisit {}",
                reminder.visit
            ),
        ),
        Occasion::Due => (
            "visit-due",
            format!("Your visit to {site} is due {at}"),
            format!(
                "The check behind your visit to {site} falls due {at}, and the visit is not finished.\n\nIf it cannot \
                 be done by then, tell the manager who planned it.\n\nVisit {}",
                reminder.visit
            ),
        ),
    };
    Tell {
        once_key: reminder.key(),
        user: reminder.inspector.clone(),
        visit: Some(reminder.visit.clone()),
        kind,
        title,
        body,
    }
}

/// An instant on the clocks of the site, with the zone that it is in.
fn local(at: DateTime<Utc>, zone: &str) -> String {
    match zone.parse::<chrono_tz::Tz>() {
        Ok(tz) => format!("{} ({zone})", at.with_timezone(&tz).format("%Y-%m-%d %H:%M")),
        Err(_) => format!("{} (UTC)", at.format("%Y-%m-%d %H:%M")),
    }
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn instants_are_told_on_the_clocks_of_the_site() {
        let at = "2026-07-01T06:30:00Z".parse().unwrap();
        for (zone, text) in [
            ("Asia/Tbilisi", "2026-07-01 10:30 (Asia/Tbilisi)"),
            ("Europe/Berlin", "2026-07-01 08:30 (Europe/Berlin)"),
            ("nowhere", "2026-07-01 06:30 (UTC)"),
        ] {
            assert_eq!(local(at, zone), text);
        }
    }
}
