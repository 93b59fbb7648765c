//! The pages that say why a shipment is checked: risk as a whole, a draw, a shipment.

use std::collections::{BTreeMap, HashMap};

use actix_web::HttpResponse;
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Form, Path, ServiceConfig};
use askama::Template;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{CheckId, SelectionId, ShipmentId, UserId};
use serde::Deserialize;

use super::{CommitSelection, OverrideAct, OverrideSelection, Selected, Selection, SelectionSummary};
use crate::accounts::{self, PageSession, Permission};
use crate::app::App;
use crate::checks::{self, Check};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::pages::{self, Shell};
use crate::resource::resource;
use crate::risk::assess::Assessment;
use crate::risk::draw::Way;
use crate::risk::facts::VOCABULARY;
use crate::risk::policy::{Band, Policy};
use crate::risk::{self, ApprovePolicy, HeldPolicy, PolicyState, Reason, Rescoring};
use crate::shipments::{self, Shipment};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/risk").get(overview))
        .service(resource("/risk/rescorings").post(rescore))
        .service(resource("/selections").post(commit))
        .service(resource("/selections/{id}").get(show))
        .service(resource("/selections/{id}/draw").post(draw))
        .service(resource("/selections/{id}/overrides").post(depart))
        .service(resource("/risk/policies/{hash}/shadow").post(shadow))
        .service(resource("/risk/policies/{hash}/approvals").post(approve))
        .service(resource("/shipments/{id}/risk").get(shipment));
}

/// A band with how many shipments are in it.
struct BandCount {
    band: Band,
    shipments: i64,
    percent: i64,
    /// The lowest points of the band.
    from: i64,
    due_days: u32,
}

#[derive(Template)]
#[template(path = "risk.html")]
struct RiskPage {
    shell: Shell,
    active: Option<(HeldPolicy, Policy)>,
    expired: bool,
    bands: Vec<BandCount>,
    rescoring: Option<Rescoring>,
    policies: Vec<PolicyView>,
    /// Shipments that the newest walk could not assess, and why.
    failures: Vec<(String, String)>,
    selections: Vec<SelectionSummary>,
    may_draw: bool,
    may_rescore: bool,
    may_approve: bool,
    /// An approval that was refused, to be mended.
    form: ApproveForm,
    refusal: Option<String>,
}

/// Draws on the page.
const DRAWS_SHOWN: i64 = 50;

async fn overview(app: Data<App>, session: PageSession) -> Result<HttpResponse> {
    session.actor.require(Permission::ReadVisits)?;
    risk_page(app, &session, ApproveForm::default(), None).await
}

async fn risk_page(
    app: Data<App>,
    session: &PageSession,
    form: ApproveForm,
    refusal: Option<Error>,
) -> Result<HttpResponse> {
    let (today, status) = (app.clock.now().day(), status(refusal.as_ref()));
    let refusal = refusal.map(|refusal| refusal.told().to_string());
    let shell = Shell::of(session, "Risk");
    let may_draw = session.actor.may(Permission::ScheduleVisits);
    let may_rescore = session.actor.may(Permission::EditPolicy);
    let may_approve = session.actor.may(Permission::ApprovePolicy);
    let page = app
        .into_inner()
        .read(move |conn| {
            let active = risk::active(conn)?;
            let bands = match &active {
                Some((_, policy)) => bands(policy, &risk::band_counts(conn, &policy.hash)?),
                None => Vec::new(),
            };
            let rescoring = risk::newest_rescoring(conn)?;
            Ok(RiskPage {
                shell,
                expired: active.as_ref().is_some_and(|(_, policy)| policy.is_expired(today)),
                active,
                bands,
                failures: match &rescoring {
                    Some(walk) if walk.failed > 0 => risk::rescoring_failures(conn, walk)?,
                    _ => Vec::new(),
                },
                rescoring,
                policies: policies(conn)?,
                selections: super::list(conn, None, DRAWS_SHOWN)?,
                may_draw,
                may_rescore,
                may_approve,
                form,
                refusal,
            })
        })
        .await?;
    answer(&page, status)
}

/// A policy with who approved it, by name.
struct PolicyView {
    state: PolicyState,
    approved_by: Vec<String>,
}

impl PolicyView {
    /// Whether that person approved it already.
    fn is_by(&self, user: &UserId) -> bool {
        self.state.approvals.iter().any(|approval| approval.user == *user)
    }
}

fn policies(conn: &mut Conn) -> Result<Vec<PolicyView>> {
    let mut views = Vec::new();
    for state in risk::states(conn)? {
        let approvals = state.approvals.iter();
        let approved_by = approvals
            .map(|approval| accounts::name_of(conn, &format!("user:{}", approval.user)))
            .collect::<Result<_>>()?;
        views.push(PolicyView { state, approved_by });
    }
    Ok(views)
}

/// The status of a page that tells of a refusal, or of none.
fn status(refusal: Option<&Error>) -> u16 {
    refusal.map_or(200, |refusal| refusal.problem().status)
}

fn answer(page: &impl Template, status: u16) -> Result<HttpResponse> {
    let mut response = pages::html(page)?;
    *response.status_mut() = pages::status(status);
    Ok(response)
}

fn bands(policy: &Policy, counts: &[(String, i64)]) -> Vec<BandCount> {
    let counts: BTreeMap<&str, i64> = counts.iter().map(|(band, count)| (band.as_str(), *count)).collect();
    let total: i64 = counts.values().sum();
    Band::ALL
        .into_iter()
        .map(|band| {
            let shipments = counts.get(band.as_str()).copied().unwrap_or(0);
            let from = match band {
                Band::Mandatory => policy.bands.mandatory,
                Band::High => policy.bands.high,
                Band::Medium => policy.bands.medium,
                Band::Low => 0,
            };
            let percent = if total == 0 { 0 } else { shipments * 100 / total };
            BandCount { band, shipments, percent, from, due_days: policy.due_days.of(band) }
        })
        .collect()
}

#[derive(Deserialize)]
struct CommitForm {
    csrf_token: String,
    capacity: String,
    note: String,
}

async fn commit(app: Data<App>, session: PageSession, form: Form<CommitForm>) -> Result<HttpResponse> {
    session.check_csrf(&form.csrf_token)?;
    session.actor.require(Permission::ScheduleVisits)?;
    let now = app.clock.now();
    let actor = session.actor.clone();
    let Ok(capacity) = form.capacity.trim().parse() else {
        let refusal = Error::invalid_field("capacity", "is a number from 1");
        return risk_page(app, &session, ApproveForm::default(), Some(refusal)).await;
    };
    let command = CommitSelection { capacity, note: form.note.clone() };
    let shared = app.clone().into_inner();
    let made = shared.write(move |conn| super::commit(conn, &actor, command, now)).await;
    match made {
        Ok(selection) => Ok(HttpResponse::SeeOther()
            .insert_header((LOCATION, format!("/selections/{}", selection.id)))
            .finish()),
        Err(error @ Error::Internal(_)) => Err(error),
        Err(refusal) => risk_page(app, &session, ApproveForm::default(), Some(refusal)).await,
    }
}

/// A form that says nothing but that it is meant.
#[derive(Deserialize)]
struct PlainForm {
    csrf_token: String,
}

/// Begins to assess every shipment anew.
async fn rescore(app: Data<App>, session: PageSession, form: Form<PlainForm>) -> Result<HttpResponse> {
    session.check_csrf(&form.csrf_token)?;
    session.actor.require(Permission::EditPolicy)?;
    let now = app.clock.now();
    let shared = app.clone().into_inner();
    let begun = risk::rescore_by_hand(&shared, now).await.map(|_| ());
    to_risk(app, &session, ApproveForm::default(), begun).await
}

/// Back to the page, with the refusal if there is one.
async fn to_risk(
    app: Data<App>,
    session: &PageSession,
    form: ApproveForm,
    done: Result<()>,
) -> Result<HttpResponse> {
    match done {
        Ok(()) => Ok(HttpResponse::SeeOther().insert_header((LOCATION, "/risk")).finish()),
        Err(error @ Error::Internal(_)) => Err(error),
        Err(refusal) => risk_page(app, session, form, Some(refusal)).await,
    }
}

/// Runs a policy over every shipment beside the one in force.
async fn shadow(
    app: Data<App>,
    session: PageSession,
    hash: Path<Sha256>,
    form: Form<PlainForm>,
) -> Result<HttpResponse> {
    session.check_csrf(&form.csrf_token)?;
    session.actor.require(Permission::EditPolicy)?;
    let shared = app.clone().into_inner();
    let done = risk::shadow(&shared, &session.actor, &hash).await.map(|_| ());
    to_risk(app, &session, ApproveForm::default(), done).await
}

#[derive(Clone, Default, Deserialize)]
struct ApproveForm {
    csrf_token: String,
    reason: String,
    shadow_run: String,
}

/// Approves a policy as its shadow run shows it.
async fn approve(
    app: Data<App>,
    session: PageSession,
    hash: Path<Sha256>,
    form: Form<ApproveForm>,
) -> Result<HttpResponse> {
    session.check_csrf(&form.csrf_token)?;
    session.actor.require(Permission::ApprovePolicy)?;
    let form = form.into_inner();
    let shared = app.clone().into_inner();
    let command = ApprovePolicy { reason: form.reason.clone(), shadow_run: Some(form.shadow_run.clone()) };
    let done = risk::approve_and_assess(&shared, &session.actor, &hash, command).await.map(|_| ());
    to_risk(app, &session, form, done).await
}

async fn draw(
    app: Data<App>,
    session: PageSession,
    id: Path<SelectionId>,
    form: Form<PlainForm>,
) -> Result<HttpResponse> {
    session.check_csrf(&form.csrf_token)?;
    session.actor.require(Permission::ScheduleVisits)?;
    let shared = app.clone().into_inner();
    match super::draw(&shared, &session.actor, &id).await {
        Ok(_) => Ok(HttpResponse::SeeOther().insert_header((LOCATION, format!("/selections/{id}"))).finish()),
        Err(error @ Error::Internal(_)) => Err(error),
        Err(refusal) => {
            selection_page(app, &session, id.into_inner(), DepartForm::default(), Some(refusal)).await
        }
    }
}

/// A departure as a browser sends it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct DepartForm {
    csrf_token: String,
    /// Key of the shipment.
    shipment: String,
    act: String,
    reason: String,
    even_so: Option<String>,
}

impl DepartForm {
    fn command(self, conn: &mut Conn) -> Result<OverrideSelection> {
        Ok(OverrideSelection {
            shipment: shipments::id_of(conn, self.shipment.trim()).map_err(unknown_shipment)?,
            act: OverrideAct::parse(&self.act).ok_or_else(|| Error::invalid_field("act", "choose one"))?,
            reason: self.reason,
            even_so: self.even_so.is_some(),
        })
    }
}

fn unknown_shipment(error: Error) -> Error {
    match error.code() {
        "not-found" => Error::invalid_field("shipment", "no shipment has that key"),
        _ => error,
    }
}

async fn depart(
    app: Data<App>,
    session: PageSession,
    id: Path<SelectionId>,
    form: Form<DepartForm>,
) -> Result<HttpResponse> {
    session.check_csrf(&form.csrf_token)?;
    session.actor.require(Permission::ScheduleVisits)?;
    let (now, actor, form) = (app.clock.now(), session.actor.clone(), form.into_inner());
    let (of, said) = (id.clone(), form.clone());
    let shared = app.clone().into_inner();
    let made = shared
        .write(move |conn| {
            let command = said.command(conn)?;
            super::depart(conn, &actor, &of, command, now)
        })
        .await;
    match made {
        Ok(_) => Ok(HttpResponse::SeeOther().insert_header((LOCATION, format!("/selections/{id}"))).finish()),
        Err(error @ Error::Internal(_)) => Err(error),
        Err(refusal) => selection_page(app, &session, id.into_inner(), form, Some(refusal)).await,
    }
}

/// A shipment that was chosen, as the page shows it.
struct ChosenView {
    selected: Selected,
    check: Option<(CheckId, ShipmentId, String)>,
}

#[derive(Template)]
#[template(path = "selection.html")]
struct SelectionPage {
    shell: Shell,
    selection: Selection,
    by: String,
    may_draw: bool,
    /// How many were chosen each way: mandatory, by chance, by risk.
    counts: (usize, usize, usize),
    /// Those chosen each way, under a heading.
    groups: [(&'static str, Vec<ChosenView>); 3],
    /// Who opened each check that kept a shipment out of the pool, in the draw's order.
    openers: Vec<String>,
    /// Who departed from it, in the order of the departures.
    departed: Vec<String>,
    /// A departure that was refused, to be mended.
    form: DepartForm,
    refusal: Option<String>,
}

async fn show(app: Data<App>, session: PageSession, id: Path<SelectionId>) -> Result<HttpResponse> {
    session.actor.require(Permission::ReadVisits)?;
    selection_page(app, &session, id.into_inner(), DepartForm::default(), None).await
}

async fn selection_page(
    app: Data<App>,
    session: &PageSession,
    id: SelectionId,
    form: DepartForm,
    refusal: Option<Error>,
) -> Result<HttpResponse> {
    let status = status(refusal.as_ref());
    let refusal = refusal.map(|refusal| refusal.told().to_string());
    let shell = Shell::of(session, "Draw");
    let may_draw = session.actor.may(Permission::ScheduleVisits);
    let page = app
        .into_inner()
        .read(move |conn| {
            let selection = super::get(conn, &id)?;
            let by = accounts::name_of(conn, &format!("user:{}", selection.seed.committed_by))?;
            let opened = super::opened(conn, &id)?;
            let (mut mandatory, mut by_risk, mut random) = (Vec::new(), Vec::new(), Vec::new());
            for selected in selection.drawn.iter().flat_map(|drawn| &drawn.chosen) {
                let view = view(conn, selected, &opened)?;
                match selected.chosen.way {
                    Way::Mandatory => mandatory.push(view),
                    Way::Risk => by_risk.push(view),
                    Way::Random => random.push(view),
                }
            }
            let counts = (mandatory.len(), random.len(), by_risk.len());
            let groups = [("Always checked", mandatory), ("By risk", by_risk), ("By chance", random)];
            let mut openers = Vec::new();
            for one in selection.drawn.iter().flat_map(|drawn| &drawn.kept_out) {
                openers.push(accounts::name_of(conn, &format!("user:{}", one.opened_by))?);
            }
            let mut departed = Vec::new();
            for one in &selection.overrides {
                departed.push(accounts::name_of(conn, &format!("user:{}", one.author))?);
            }
            Ok(SelectionPage {
                shell,
                selection,
                by,
                may_draw,
                counts,
                groups,
                openers,
                departed,
                form,
                refusal,
            })
        })
        .await?;
    answer(&page, status)
}

impl SelectionPage {
    /// Whether somebody departed from the draw for this shipment.
    fn is_dropped(&self, shipment: &str) -> bool {
        self.selection.overrides.iter().any(|made| made.shipment == shipment && made.act == OverrideAct::Drop)
    }
}

fn view(conn: &mut Conn, selected: &Selected, opened: &HashMap<String, CheckId>) -> Result<ChosenView> {
    let check = match opened.get(&selected.chosen.shipment) {
        Some(id) => {
            let check = checks::get(conn, id)?;
            Some((check.id, check.shipment, check.reason))
        }
        None => None,
    };
    Ok(ChosenView { selected: selected.clone(), check })
}

/// A fact as the page shows it.
struct FactView {
    meaning: &'static str,
    name: &'static str,
    value: Option<String>,
}

#[derive(Template)]
#[template(path = "shipment-risk.html")]
struct ShipmentPage {
    shell: Shell,
    shipment: Shipment,
    checks: Vec<Check>,
    assessed: Option<Assessed>,
    earlier: Vec<(String, i64, Band)>,
}

struct Assessed {
    hash: String,
    assessment: Assessment,
    policy: HeldPolicy,
    bands: (i64, i64, i64),
    reasons: Vec<Reason>,
    facts: Vec<FactView>,
}

async fn shipment(app: Data<App>, session: PageSession, id: Path<ShipmentId>) -> Result<HttpResponse> {
    session.actor.require(Permission::ReadVisits)?;
    let shell = Shell::of(&session, "Why this shipment");
    let page = app
        .into_inner()
        .read(move |conn| {
            let shipment = shipments::get(conn, &id)?;
            let checks = checks::of_shipment(conn, &id)?;
            let mut all = risk::assessments_of(conn, &id)?.into_iter();
            let assessed = match all.next() {
                Some((hash, assessment)) => Some(explained(conn, hash.to_string(), assessment)?),
                None => None,
            };
            let earlier = all
                .map(|(_, earlier)| (earlier.assessed_on.to_string(), earlier.points, earlier.band))
                .collect();
            Ok(ShipmentPage { shell, shipment, checks, assessed, earlier })
        })
        .await?;
    pages::html(&page)
}

fn explained(conn: &mut Conn, hash: String, assessment: Assessment) -> Result<Assessed> {
    let policy = risk::held(conn, &assessment.policy)?;
    let held = risk::held_policy(conn, &assessment.policy)?;
    let facts = VOCABULARY
        .iter()
        .map(|fact| FactView {
            meaning: fact.meaning,
            name: fact.name,
            value: assessment.facts.get(fact.name).map(ToString::to_string),
        })
        .collect();
    let bands = (policy.bands.mandatory, policy.bands.high, policy.bands.medium);
    Ok(Assessed {
        hash,
        reasons: risk::reasons(&policy, &assessment),
        policy: held,
        bands,
        facts,
        assessment,
    })
}
