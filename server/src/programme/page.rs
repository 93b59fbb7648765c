//! The page of the metrics: plots, and the same figures as text beside them.

use actix_web::HttpResponse;
use actix_web::web::{Data, Query, ServiceConfig};
use askama::Template;

use super::metrics::{Figures, Metric};
use super::{Metrics, Period, plot};
use crate::accounts::{PageSession, Permission};
use crate::app::App;
use crate::error::Result;
use crate::pages::{self, Shell};
use crate::resource::resource;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(resource("/programme").get(show));
}

#[derive(Template)]
#[template(path = "programme.html")]
struct ProgrammePage {
    shell: Shell,
    found: Metrics,
}

impl ProgrammePage {
    /// The picture of a metric: markup that [`plot`] made, with every text escaped.
    #[expect(clippy::unused_self, reason = "templates call methods of the page")]
    fn plot(&self, metric: &Metric) -> String {
        plot::svg(metric)
    }

    #[expect(clippy::unused_self, reason = "templates call methods of the page")]
    fn percent(&self, share: &Option<f64>) -> String {
        share.map_or_else(|| "–".to_owned(), plot::percent)
    }

    #[expect(clippy::unused_self, reason = "templates call methods of the page")]
    fn days(&self, days: &Option<f64>) -> String {
        days.map_or_else(|| "–".to_owned(), |days| format!("{days:.1}"))
    }

    #[expect(clippy::unused_self, reason = "templates call methods of the page")]
    fn points(&self, difference: &f64) -> String {
        plot::points(*difference)
    }
}

async fn show(app: Data<App>, session: PageSession, period: Query<Period>) -> Result<HttpResponse> {
    session.actor.require(Permission::ReadVisits)?;
    let app = app.into_inner();
    let now = app.clock.now();
    let found = app.read(move |conn| super::metrics(conn, &period, now)).await?;
    pages::html(&ProgrammePage { shell: Shell::of(&session, "Programme"), found })
}
