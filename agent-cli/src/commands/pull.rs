//! `pull`: fetches the visits that changed since the last time.

use serde::Serialize;

use crate::refusal::ExitStatus;
use crate::session::Session;
use crate::sync::Client;
use crate::ui;

#[derive(Default, Serialize)]
struct Pulled {
    visits: u64,
    withdrawn: u64,
}

pub(super) fn run(session: &mut Session<'_>) -> anyhow::Result<ExitStatus> {
    let mut client = Client::signed_in(session)?;
    let mut cursor: String = session.store.setting("pull-cursor")?.unwrap_or_default();
    let mut pulled = Pulled::default();
    loop {
        let page = client.pull(&cursor)?;
        session.store.keep_visits(&page.visits, &page.cursor)?;
        pulled.visits += u64::try_from(page.visits.len())?;
        pulled.withdrawn += u64::try_from(page.visits.iter().filter(|packet| packet.withdrawn).count())?;
        if !page.more || page.cursor == cursor {
            break;
        }
        cursor = page.cursor;
    }
    session.ui.report(&pulled, || match pulled.visits {
        0 => "Nothing new.".to_owned(),
        visits => format!(
            "{} new or changed, {} withdrawn. See `endcheck visits`.",
            ui::count(visits, "visit", "visits"),
            pulled.withdrawn
        ),
    });
    Ok(ExitStatus::Success)
}
