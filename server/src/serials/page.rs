//! The pages of serials: the list by due date, what is overdue, and one serial with its history.

use actix_web::HttpResponse;
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Form, Path, Query, ServiceConfig};
use askama::Template;
use endcheck_protocol::ids::{ItemId, PartyId};
use serde::Deserialize;

use super::event::{Event, Happening, LossKind};
use super::form::ReportForm;
use super::overdue::Overdue;
use super::report::is_review_of_own;
use super::state::Status;
use super::store;
use super::view::{HistoryEvent, ListSerials, Serial, SerialHistory};
use crate::accounts::{self, Actor, PageSession, Permission};
use crate::app::App;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::listing::{ListQuery, MAX_LIMIT};
use crate::pages::{self, Shell};
use crate::parties::{self, PartyName};
use crate::resource::resource;
use crate::sites;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/serials").get(list))
        .service(resource("/serials/overdue").get(overdue))
        .service(resource("/serials/{id}").get(show))
        .service(resource("/serials/{id}/events").post(report));
}

/// The filter as the form sends it: an empty field says nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ListForm {
    status: String,
    tier: String,
    country: String,
    /// Id of the party; comes from links.
    host: String,
    due_before: String,
    overdue: Option<String>,
    cursor: Option<String>,
}

impl ListForm {
    fn query(&self) -> ListSerials {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        ListSerials {
            due_before: given(&self.due_before),
            overdue: self.overdue.is_some(),
            host: given(&self.host).and_then(|host| host.parse().ok()),
            tier: given(&self.tier).and_then(|tier| tier.parse().ok()),
            country: given(&self.country).map(|country| country.to_uppercase()),
            status: Status::parse(&self.status),
            cursor: self.cursor.clone(),
            ..ListSerials::default()
        }
    }

    /// The same filter as a query, for links; empty fields left out.
    fn link(&self, cursor: Option<&str>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let fields = [
            ("status", &self.status),
            ("tier", &self.tier),
            ("country", &self.country),
            ("host", &self.host),
            ("due_before", &self.due_before),
        ];
        for (name, value) in fields.into_iter().filter(|(_, value)| !value.trim().is_empty()) {
            let value = value.trim();
            query.append_pair(name, &if name == "country" { value.to_uppercase() } else { value.to_owned() });
        }
        if self.overdue.is_some() {
            query.append_pair("overdue", "true");
        }
        if let Some(cursor) = cursor {
            query.append_pair("cursor", cursor);
        }
        query.finish()
    }
}

#[derive(Template)]
#[template(path = "serials.html")]
struct SerialsPage {
    shell: Shell,
    serials: Vec<Serial>,
    statuses: [Status; 5],
    tiers: Vec<u8>,
    host: Option<PartyName>,
    form: ListForm,
    next: Option<String>,
    csv: String,
}

impl Serial {
    /// The status in words; what nobody saw is only declared.
    fn told(&self) -> &'static str {
        match self.status {
            Status::Awaited => "not arrived",
            Status::InPlace if self.last_seen_at.is_none() => "declared, not seen",
            Status::InPlace if self.overdue_days > 0 => "seen, too long ago",
            Status::InPlace => "seen",
            Status::LossReported => "loss reported, not reviewed",
            Status::Lost => "lost",
            Status::Gone => "gone, accepted",
        }
    }

    /// The class of its tag.
    fn tone(&self) -> &'static str {
        match self.status {
            Status::InPlace if self.last_seen_at.is_some() && self.overdue_days == 0 => "good",
            Status::InPlace if self.overdue_days > 0 => "look",
            Status::LossReported | Status::Lost => "bad",
            Status::Awaited | Status::InPlace | Status::Gone => "",
        }
    }

    /// How it was last seen, in words.
    fn method(&self) -> String {
        let word = self.seen_method.as_ref().and_then(|method| store::word(method).ok());
        word.unwrap_or_default().replace('-', " ")
    }
}

async fn list(app: Data<App>, session: PageSession, query: Query<ListForm>) -> Result<HttpResponse> {
    session.actor.require(Permission::ReadVisits)?;
    let form = query.into_inner();
    let filter = form.query();
    let app = app.into_inner();
    let (now, rules) = (app.clock.now(), app.serial_rules.clone());
    let mut tiers: Vec<u8> = rules.rules.serial_tier.iter().map(|tier| tier.tier).collect();
    tiers.sort_unstable();
    tiers.dedup();
    let (page, host) = app
        .read(move |conn| {
            let page = super::list(conn, &rules, &filter, now)?;
            let hosts: Vec<&PartyId> = filter.host.iter().collect();
            Ok((page, parties::names(conn, &hosts)?.into_values().next()))
        })
        .await?;
    pages::html(&SerialsPage {
        shell: Shell::of(&session, "Serials"),
        serials: page.items,
        statuses: Status::ALL,
        tiers,
        host,
        next: page.next_cursor.map(|cursor| format!("/serials?{}", form.link(Some(&cursor)))),
        csv: format!("/api/v1/serials.csv?{}", form.link(None)),
        form,
    })
}

#[derive(Template)]
#[template(path = "serials_overdue.html")]
struct OverduePage {
    shell: Shell,
    counted: Overdue,
}

impl OverduePage {
    /// Of so many, in words.
    #[expect(clippy::unused_self, reason = "templates call methods of the page")]
    fn share(&self, part: &i64, whole: &i64) -> String {
        if *whole == 0 { "–".to_owned() } else { format!("{} %", (part * 100 + whole / 2) / whole) }
    }
}

async fn overdue(app: Data<App>, session: PageSession) -> Result<HttpResponse> {
    session.actor.require(Permission::ReadVisits)?;
    let app = app.into_inner();
    let now = app.clock.now();
    let counted = app.read(move |conn| super::overdue(conn, now)).await?;
    pages::html(&OverduePage { shell: Shell::of(&session, "Overdue serials"), counted })
}

#[derive(Template)]
#[template(path = "serial.html")]
struct SerialPage {
    shell: Shell,
    history: SerialHistory,
    /// What happened, in words, the newest first.
    lines: Vec<Line>,
    may_report: bool,
    losses: [LossKind; 5],
    /// Parties and sites that it may have passed to, by key and name; the first of many.
    parties: Vec<(String, String)>,
    sites: Vec<(String, String)>,
    /// What was typed and refused, to be mended.
    form: ReportForm,
    refusal: Option<String>,
}

/// An event in words.
struct Line {
    id: String,
    /// The review that it waits for from whoever reads this, as the API calls it.
    review: Option<&'static str>,
    /// Whether whoever reads this may withdraw it.
    may_withdraw: bool,
    when: String,
    title: String,
    told: Vec<String>,
    by: String,
    counts: bool,
    /// What became of it, where it does not count any more.
    since: Option<&'static str>,
    visit: Option<String>,
}

async fn show(app: Data<App>, session: PageSession, id: Path<ItemId>) -> Result<HttpResponse> {
    session.actor.require(Permission::ReadVisits)?;
    serial_page(app, &session, id.into_inner(), ReportForm::default(), None).await
}

async fn serial_page(
    app: Data<App>,
    session: &PageSession,
    id: ItemId,
    form: ReportForm,
    refusal: Option<Error>,
) -> Result<HttpResponse> {
    let status = refusal.as_ref().map(|refusal| refusal.problem().status);
    let may_report = session.actor.may(Permission::ReportSerials);
    let app = app.into_inner();
    let (now, rules, actor) = (app.clock.now(), app.serial_rules.clone(), session.actor.clone());
    let (history, lines, offered) = app
        .read(move |conn| {
            let history = super::get(conn, &rules, &id, now)?;
            let events: Vec<Event> = history.history.iter().map(|one| one.event.clone()).collect();
            let newest_first = history.history.iter().rev();
            let lines =
                newest_first.map(|one| line(conn, &actor, one, &events)).collect::<Result<Vec<_>>>()?;
            let offered = if may_report { offered(conn)? } else { (Vec::new(), Vec::new()) };
            Ok((history, lines, offered))
        })
        .await?;
    let mut page = pages::html(&SerialPage {
        shell: Shell::of(session, &history.serial.serial),
        history,
        lines,
        may_report,
        losses: LossKind::ALL,
        parties: offered.0,
        sites: offered.1,
        form,
        refusal: refusal.map(|refusal| refusal.told().to_string()),
    })?;
    if let Some(status) = status {
        *page.status_mut() = pages::status(status);
    }
    Ok(page)
}

type KeysAndNames = Vec<(String, String)>;

/// Parties and sites, as many as a list has on a page.
fn offered(conn: &mut Conn) -> Result<(KeysAndNames, KeysAndNames)> {
    let first = ListQuery { limit: Some(MAX_LIMIT), ..ListQuery::default() };
    let parties = parties::list(conn, &first)?.items.into_iter().map(|party| (party.key, party.name));
    let sites = sites::list(conn, &first)?.items.into_iter().map(|site| (site.key, site.name));
    Ok((parties.collect(), sites.collect()))
}

fn line(conn: &mut Conn, actor: &Actor, one: &HistoryEvent, events: &[Event]) -> Result<Line> {
    let event = &one.event;
    let (title, mut told) = words(conn, &event.what)?;
    told.extend(one.not_seen.iter().map(|why| format!("Does not count as seen: {why}.")));
    if one.counts && one.accepted.is_none() && matches!(event.what.kind(), "found" | "transfer") {
        told.push("Nobody else has accepted it yet: until then it moves no due date later.".to_owned());
    }
    let by = match event.actor.as_str() {
        "papers" => "the papers".to_owned(),
        actor => accounts::name_of(conn, actor)?,
    };
    let may_report = actor.may(Permission::ReportSerials) && one.counts;
    let review = match event.what.kind() {
        "loss" => Some("loss-review"),
        "found" | "transfer" => Some("review"),
        _ => None,
    };
    let own = event.actor == actor.to_string();
    Ok(Line {
        id: event.id.to_string(),
        review: review.filter(|_| may_report && one.accepted.is_none() && !own),
        // Of what a record or the papers say, they are corrected, not the event.
        may_withdraw: may_report && event.log_index.is_some() && !is_review_of_own(actor, event, events),
        since: (!one.counts && event.what.kind() != "withdrawn").then_some(
            if events.iter().any(|other| takes_back(other, event)) {
                "withdrawn since"
            } else {
                "corrected since"
            },
        ),
        when: event.counts_at().day().to_string(),
        title,
        told,
        by: format!("{by}, heard {}", event.recorded_at.day()),
        counts: one.counts,
        visit: event.visit.as_ref().map(ToString::to_string),
    })
}

fn takes_back(other: &Event, event: &Event) -> bool {
    other.corrects.as_ref() == Some(&event.id) && matches!(other.what, Happening::Withdrawn { .. })
}

/// Puts what the form says on record, and goes back to the page; with what was typed where it is refused.
async fn report(
    app: Data<App>,
    session: PageSession,
    id: Path<ItemId>,
    form: Form<ReportForm>,
) -> Result<HttpResponse> {
    session.check_csrf(&form.csrf_token)?;
    session.actor.require(Permission::ReportSerials)?;
    let (now, rules, actor) = (app.clock.now(), app.serial_rules.clone(), session.actor.clone());
    let (form, id) = (form.into_inner(), id.into_inner());
    let (item, said) = (id.clone(), form.clone());
    let made = app
        .clone()
        .into_inner()
        .write(move |conn| {
            let command = said.command(conn)?;
            super::report(conn, &actor, &rules, &item, command, now)
        })
        .await;
    match made {
        Ok(_) => Ok(HttpResponse::SeeOther().insert_header((LOCATION, format!("/serials/{id}"))).finish()),
        Err(error @ Error::Internal(_)) => Err(error),
        Err(refusal) => serial_page(app, &session, id, form, Some(refusal)).await,
    }
}

/// A happening as its heading and what there is to say of it.
fn words(conn: &mut Conn, what: &Happening) -> Result<(String, Vec<String>)> {
    let mut party = |id: &PartyId| -> Result<String> {
        Ok(parties::names(conn, &[id])?.remove(id).map_or_else(String::new, |party| party.name))
    };
    Ok(match what {
        Happening::Arrival { arrived_on } => ("Arrived".to_owned(), vec![format!("On {arrived_on}.")]),
        Happening::Sighting { status, method, serial_read, .. } => {
            let read = match serial_read {
                Some(read) => format!("Read: {read}."),
                None => "No serial was read.".to_owned(),
            };
            let how = store::word(method)?.replace('-', " ");
            (status.as_str().replace('_', " "), vec![format!("Verified {how}. {read}")])
        }
        Happening::Loss { what, lost_on, circumstances, proof, .. } => (
            format!("Reported {}", what.as_str()),
            vec![format!("On {lost_on}. {circumstances}"), format!("Proof: {proof}")],
        ),
        Happening::LossReview { accepted, reason, .. } => {
            let verdict = if *accepted { "accepted" } else { "rejected" };
            (format!("Report of the loss {verdict}"), vec![reason.clone()])
        }
        Happening::Review { accepted, reason, .. } => {
            let verdict = if *accepted { "accepted" } else { "rejected" };
            (format!("Report {verdict}"), vec![reason.clone()])
        }
        Happening::Found { found_on, circumstances } => {
            ("Found again".to_owned(), vec![format!("On {found_on}. {circumstances}")])
        }
        Happening::Transfer {
            transferred_on,
            losing_office,
            gaining_office,
            losing_party,
            gaining_party,
            consent,
            ..
        } => {
            let (from, to) = (party(losing_party)?, party(gaining_party)?);
            let consent = match consent {
                Some(consent) => format!("Consent: {consent}"),
                None => "No consent on record.".to_owned(),
            };
            (
                "Transferred".to_owned(),
                vec![
                    format!("On {transferred_on}, from {from} ({losing_office}) to {to} ({gaining_office})."),
                    consent,
                ],
            )
        }
        Happening::Withdrawn { reason } => ("Withdrawn".to_owned(), vec![reason.clone()]),
    })
}
