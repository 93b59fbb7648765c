//! The pages of a reviewer: the list of visits, and the dossier with its review form.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_TYPE, LOCATION};
use actix_web::web::{Data, Form, Path, Payload, Query, ServiceConfig};
use askama::Template;
use endcheck_protocol::ids::{DeterminationId, VisitId};
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::{Visit, VisitState};
use serde::Deserialize;

use super::dossier::FileView;
use super::{Determine, Dossier};
use crate::accounts::{PageSession, Permission};
use crate::app::App;
use crate::body::{self, MAX_THING_BYTES};
use crate::custody::{self, CustodyAct, Deed};
use crate::error::{Error, Result};
use crate::evidence::{ChainGap, FileState, Finding, Weight};
use crate::pages::{self, Shell};
use crate::resource::resource;
use crate::visits::ListVisits;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/visits").get(list))
        .service(resource("/visits/{id}").get(show))
        .service(resource("/visits/{id}/determination").post(determine))
        .service(resource("/determinations/{id}/approval").post(approve));
}

/// The filter as the form sends it: an empty field says nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ListForm {
    state: String,
    country: String,
    overdue: Option<String>,
    unassigned: Option<String>,
    all: Option<String>,
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "visits.html")]
struct VisitsPage {
    shell: Shell,
    visits: Vec<Visit>,
    states: [VisitState; 8],
    form: ListForm,
    next: Option<String>,
}

async fn list(app: Data<App>, session: PageSession, query: Query<ListForm>) -> Result<HttpResponse> {
    let form = query.into_inner();
    let filter = ListVisits {
        state: VisitState::parse(&form.state),
        country: Some(form.country.trim().to_uppercase()).filter(|country| !country.is_empty()),
        overdue: form.overdue.is_some(),
        unassigned: form.unassigned.is_some(),
        all: form.all.is_some(),
        cursor: form.cursor.clone(),
        ..ListVisits::default()
    };
    let now = app.clock.now();
    let actor = session.actor.clone();
    let page = app.into_inner().read(move |conn| filter.page(conn, &actor, now)).await?;
    pages::html(&VisitsPage {
        shell: Shell::of(&session, "Visits"),
        visits: page.items,
        states: VisitState::ALL,
        next: page.next_cursor.map(|cursor| next_link(&form, &cursor)),
        form,
    })
}

fn next_link(form: &ListForm, cursor: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("state", &form.state).append_pair("country", &form.country);
    for (name, set) in [("overdue", &form.overdue), ("unassigned", &form.unassigned), ("all", &form.all)] {
        if set.is_some() {
            query.append_pair(name, "on");
        }
    }
    query.append_pair("cursor", cursor);
    format!("/visits?{}", query.finish())
}

#[derive(Template)]
#[template(path = "visit.html")]
struct VisitPage {
    shell: Shell,
    dossier: Dossier,
    window: String,
    may_determine: bool,
    reasons: Vec<(&'static str, &'static str)>,
    refusal: Option<Error>,
}

impl VisitPage {
    fn new(session: &PageSession, (dossier, own): (Dossier, bool), refusal: Option<Error>) -> Self {
        let ready = matches!(dossier.visit.state, VisitState::Closed | VisitState::Reviewed);
        Self {
            shell: Shell::of(session, &dossier.visit.site_name),
            window: window(&dossier.visit),
            may_determine: session.actor.may(Permission::Determine) && !own && ready,
            reasons: REASONS.to_vec(),
            dossier,
            refusal,
        }
    }

    /// The records of each file together: one picture may prove several things.
    fn files(&self) -> Vec<Vec<&FileView>> {
        let mut cards: Vec<Vec<&FileView>> = Vec::new();
        for file in &self.dossier.files {
            match cards.iter_mut().find(|card| card.first().is_some_and(|first| first.sha256 == file.sha256))
            {
                Some(card) => card.push(file),
                None => cards.push(vec![file]),
            }
        }
        cards
    }

    /// Findings that say the same of several records, once, the weightiest first.
    fn findings(&self) -> Vec<(usize, &Finding)> {
        let mut groups: Vec<(usize, &Finding)> = Vec::new();
        for finding in &self.dossier.findings {
            match groups
                .iter_mut()
                .find(|(_, seen)| seen.signal == finding.signal && seen.summary == finding.summary)
            {
                Some((count, _)) => *count += 1,
                None => groups.push((1, finding)),
            }
        }
        groups.sort_by_key(|(_, finding)| std::cmp::Reverse(finding.weight));
        groups
    }

    /// What a finding compared, name by name.
    #[expect(clippy::unused_self, reason = "templates call methods of the page")]
    fn values(&self, finding: &Finding) -> Vec<(String, String)> {
        let Some(values) = finding.values.as_object() else { return Vec::new() };
        let plain = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        values.iter().map(|(name, value)| (name.replace('_', " "), plain(value))).collect()
    }

    fn problems(&self) -> Vec<String> {
        match &self.refusal {
            None => Vec::new(),
            Some(error) => {
                let problem = error.problem();
                std::iter::once(format!("{}: {}", problem.title, problem.detail))
                    .chain(problem.errors.into_iter().map(|error| error.reason))
                    .collect()
            }
        }
    }

    /// A difference of clocks in words.
    fn span(&self, seconds: &i64) -> String {
        span(*seconds)
    }

    fn local(&self, at: &Timestamp) -> String {
        local(*at, &self.dossier.visit.time_zone)
    }
}

const REASONS: [(&str, &str); 9] = [
    ("order_or_receipt_unconfirmed", "order or receipt unconfirmed"),
    ("unlisted_party", "a party that the licence does not list"),
    ("diversion_indication", "signs of diversion"),
    ("unauthorised_retransfer", "unauthorised retransfer"),
    ("stockpiling", "stockpiling"),
    ("insecure_storage", "insecure storage"),
    ("unresponsive", "host unresponsive"),
    ("discrepancy", "discrepancy"),
    ("condition_breach", "breach of a licence condition"),
];

/// An instant by the site's clock.
fn local(at: Timestamp, zone: &str) -> String {
    match zone.parse::<chrono_tz::Tz>() {
        Ok(zone) => at.utc().with_timezone(&zone).format("%Y-%m-%d %H:%M %Z").to_string(),
        Err(_) => at.to_string(),
    }
}

/// `−1 d 2 h`, `+12 s`: the two largest units are enough to see what is wrong.
fn span(seconds: i64) -> String {
    let sign = if seconds < 0 { "−" } else { "+" };
    let s = seconds.unsigned_abs();
    let parts = [(s / 86_400, "d"), (s / 3600 % 24, "h"), (s / 60 % 60, "min"), (s % 60, "s")];
    let shown: Vec<String> = parts
        .iter()
        .skip_while(|(count, _)| *count == 0)
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    if shown.is_empty() { "0 s".to_owned() } else { format!("{sign}{}", shown.join(" ")) }
}

fn window(visit: &Visit) -> String {
    format!(
        "{} to {}",
        local(visit.window_start_at, &visit.time_zone),
        local(visit.window_end_at, &visit.time_zone)
    )
}

async fn show(app: Data<App>, session: PageSession, id: Path<VisitId>) -> Result<HttpResponse> {
    session.actor.require(Permission::ReadVisits)?;
    let now = app.clock.now();
    let app = app.into_inner();
    let id = id.into_inner();
    let seen = for_reader(Arc::clone(&app), &session, id.clone(), now).await?;
    let deed = Deed { act: CustodyAct::Viewed, visit: Some(&id), subject: None, why: "the visit's page" };
    custody::looked(&app, &session.actor, deed).await?;
    pages::html(&VisitPage::new(&session, seen, None))
}

/// The dossier, and whether the visit is the reader's own.
async fn for_reader(
    app: Arc<App>,
    session: &PageSession,
    id: VisitId,
    now: Timestamp,
) -> Result<(Dossier, bool)> {
    let user = session.actor.user.clone();
    app.read(move |conn| {
        let dossier = super::dossier(conn, &id, now)?;
        let own = super::is_own(conn, &user, &dossier.visit)?;
        Ok((dossier, own))
    })
    .await
}

/// The review form as a browser sends it: reasons as often as they are ticked.
#[derive(Debug, Default)]
struct DetermineForm {
    csrf_token: String,
    outcome: String,
    reasons: Vec<String>,
    reason: String,
    replaces: String,
}

impl DetermineForm {
    fn read(body: &[u8]) -> Result<Self> {
        let mut form = Self::default();
        for (name, value) in url::form_urlencoded::parse(body) {
            let value = value.into_owned();
            match name.as_ref() {
                "csrf_token" => form.csrf_token = value,
                "outcome" => form.outcome = value,
                "reasons" => form.reasons.push(value),
                "reason" => form.reason = value,
                "replaces" => form.replaces = value,
                other => {
                    return Err(Error::malformed("malformed-form", format!("{other:?} is no field of it")));
                }
            }
        }
        Ok(form)
    }

    fn command(self) -> Result<Determine> {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Ok(Determine {
            outcome: known("outcome", &self.outcome)?,
            reasons: self
                .reasons
                .iter()
                .filter_map(|text| given(text))
                .map(|text| known("reasons", &text))
                .collect::<Result<_>>()?,
            reason: self.reason,
            replaces: given(&self.replaces)
                .map(|text| {
                    text.parse().map_err(|e: endcheck_protocol::ids::InvalidId| {
                        Error::invalid_field("replaces", e.to_string())
                    })
                })
                .transpose()?,
        })
    }
}

/// One of the words that a field takes.
fn known<T: serde::de::DeserializeOwned>(field: &str, word: &str) -> Result<T> {
    serde_json::from_value(word.into()).map_err(|_| {
        Error::invalid_field(
            field,
            if word.is_empty() {
                "choose one".to_owned()
            } else {
                format!("{word:?} is none of the choices")
            },
        )
    })
}

async fn determine(
    app: Data<App>,
    session: PageSession,
    id: Path<VisitId>,
    payload: Payload,
) -> Result<HttpResponse> {
    let form = DetermineForm::read(&body::read(payload, MAX_THING_BYTES).await?)?;
    session.check_csrf(&form.csrf_token)?;
    let command = form.command();
    let now = app.clock.now();
    let app = app.into_inner();
    let actor = session.actor.clone();
    let visit = id.clone();
    let made = match command {
        Ok(command) => {
            app.write(move |conn| super::determine(conn, &actor, &visit, command, now)).await.map(|_| ())
        }
        Err(refused) => Err(refused),
    };
    match made {
        Ok(()) => Ok(HttpResponse::SeeOther().insert_header((LOCATION, format!("/visits/{id}"))).finish()),
        Err(error @ Error::Internal(_)) => Err(error),
        Err(refusal) => {
            let status = refusal.problem().status;
            let seen = for_reader(app, &session, id.into_inner(), now).await?;
            let mut page = pages::html(&VisitPage::new(&session, seen, Some(refusal)))?;
            *page.status_mut() = pages::status(status);
            Ok(page)
        }
    }
}

#[derive(Deserialize)]
struct ApproveForm {
    csrf_token: String,
}

async fn approve(
    app: Data<App>,
    session: PageSession,
    id: Path<DeterminationId>,
    form: Form<ApproveForm>,
) -> Result<HttpResponse> {
    session.check_csrf(&form.csrf_token)?;
    let now = app.clock.now();
    let actor = session.actor.clone();
    let made = app.into_inner().write(move |conn| super::approve(conn, &actor, &id, now)).await?;
    Ok(HttpResponse::SeeOther()
        .insert_header((LOCATION, format!("/visits/{}", made.visit)))
        .insert_header((CONTENT_TYPE, "text/plain"))
        .finish())
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn spans_are_told_in_two_units() {
        let cases = [
            (0, "0 s"),
            (12, "+12 s"),
            (-61, "−1 min 1 s"),
            (90_061, "+1 d 1 h"),
            (-86_400, "−1 d"),
            (3600, "+1 h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(span(seconds), text);
        }
    }
}
