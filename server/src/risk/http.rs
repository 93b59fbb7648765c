//! Policies, assessments and signals over HTTP.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Payload, ServiceConfig};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::ShipmentId;
use endcheck_protocol::problem::Problem;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::assess::Assessment;
use super::policy::MAX_POLICY_BYTES;
use super::store::{self, HeldPolicy};
use super::{
    ApprovePolicy, NoteSignal, PolicyState, Reason, Rescoring, ShadowReport, Signal, force, rescoring,
    signals,
};
use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::body::{self, MAX_THING_BYTES};
use crate::error::{Error, Result};
use crate::idempotency::{Answer, OnceKey, once};
use crate::resource::resource;

#[derive(OpenApi)]
#[openapi(paths(load, list, find, document, shadow, approve, rescore, rescored, assessments, note))]
pub struct ApiDoc;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/api/v1/policies").post(load).get(list))
        .service(resource("/api/v1/policies/{hash}").get(find))
        .service(resource("/api/v1/policies/{hash}/document").get(document))
        .service(resource("/api/v1/policies/{hash}/shadow").post(shadow))
        .service(resource("/api/v1/policies/{hash}/approvals").post(approve))
        .service(resource("/api/v1/rescorings").post(rescore).get(rescored))
        .service(resource("/api/v1/shipments/{id}/assessments").get(assessments))
        .service(resource("/api/v1/signals").post(note));
}

/// Load a risk policy: a TOML document. It is in force only once two people approved it.
#[utoipa::path(post, path = "/api/v1/policies", request_body(content = String, content_type = "application/toml"),
    responses((status = 201, body = HeldPolicy), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn load(app: Data<App>, actor: Actor, payload: Payload) -> Result<HttpResponse> {
    actor.require(Permission::EditPolicy)?;
    let body = body::read(payload, MAX_POLICY_BYTES).await?;
    let app = app.into_inner();
    let now = app.clock.now();
    // Reading and trying it takes its time; nobody else who writes waits for that.
    let (policy, body) = app.read(move |_| Ok((force::read(&body)?, body))).await?;
    let held = app.write(move |conn| force::load(conn, &actor, &policy, &body, now)).await?;
    Ok(HttpResponse::Created().json(held))
}

/// All policies, the last loaded first.
#[utoipa::path(get, path = "/api/v1/policies", responses((status = 200, body = Vec<HeldPolicy>)))]
async fn list(app: Data<App>, actor: Actor) -> Result<Json<Vec<HeldPolicy>>> {
    actor.require(Permission::ReadVisits)?;
    app.into_inner().read(store::held_policies).await.map(Json)
}

/// How far a policy is: approvals, its shadow run, whether it is in force.
#[utoipa::path(get, path = "/api/v1/policies/{hash}", params(("hash" = String, Path)),
    responses((status = 200, body = PolicyState), (status = 404, body = Problem)))]
async fn find(app: Data<App>, actor: Actor, hash: Path<Sha256>) -> Result<Json<PolicyState>> {
    actor.require(Permission::ReadVisits)?;
    app.into_inner().read(move |conn| force::state(conn, &hash)).await.map(Json)
}

/// The document of a policy, as it was loaded.
#[utoipa::path(get, path = "/api/v1/policies/{hash}/document", params(("hash" = String, Path)),
    responses((status = 200, body = String, content_type = "application/toml"), (status = 404, body = Problem)))]
async fn document(app: Data<App>, actor: Actor, hash: Path<Sha256>) -> Result<HttpResponse> {
    actor.require(Permission::ReadVisits)?;
    let document = app.into_inner().read(move |conn| store::document(conn, &hash)).await?;
    let document = document.ok_or_else(|| Error::not_found("policy"))?;
    Ok(HttpResponse::Ok().content_type("application/toml").body(document))
}

/// Run a policy over every shipment beside the one in force: who would move, and why.
#[utoipa::path(post, path = "/api/v1/policies/{hash}/shadow", params(("hash" = String, Path)),
    responses((status = 200, body = ShadowReport), (status = 404, body = Problem)))]
async fn shadow(app: Data<App>, actor: Actor, hash: Path<Sha256>) -> Result<Json<ShadowReport>> {
    force::shadow(&app.into_inner(), &actor, &hash).await.map(Json)
}

/// Approve a policy; the second person's approval puts it into force and begins to assess every shipment by it.
#[utoipa::path(post, path = "/api/v1/policies/{hash}/approvals", params(("hash" = String, Path)),
    request_body = ApprovePolicy,
    responses((status = 200, body = PolicyState), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn approve(
    app: Data<App>,
    actor: Actor,
    hash: Path<Sha256>,
    payload: Payload,
) -> Result<Json<PolicyState>> {
    actor.require(Permission::ApprovePolicy)?;
    let body = body::read(payload, MAX_THING_BYTES).await?;
    let command: ApprovePolicy = body::json(&body)?;
    let app = app.into_inner();
    force::approve_and_assess(&app, &actor, &hash, command).await.map(Json)
}

/// Begin to assess every shipment anew, or tell how far that is.
#[utoipa::path(post, path = "/api/v1/rescorings", responses((status = 202, body = Option<Rescoring>), (status = 409, body = Problem)))]
async fn rescore(app: Data<App>, actor: Actor) -> Result<HttpResponse> {
    actor.require(Permission::EditPolicy)?;
    let app = app.into_inner();
    let now = app.clock.now();
    Ok(HttpResponse::Accepted().json(rescoring::by_hand(&app, now).await?))
}

/// How far the newest walk over all shipments is.
#[utoipa::path(get, path = "/api/v1/rescorings", responses((status = 200, body = Option<Rescoring>)))]
async fn rescored(app: Data<App>, actor: Actor) -> Result<Json<Option<Rescoring>>> {
    actor.require(Permission::ReadVisits)?;
    app.into_inner().read(rescoring::newest).await.map(Json)
}

/// An assessment with its reasons in words.
#[derive(Debug, Serialize, ToSchema)]
struct ExplainedAssessment {
    #[schema(value_type = String)]
    hash: Sha256,
    assessment: Assessment,
    reasons: Vec<Reason>,
}

/// Assessments of a shipment, newest first.
#[utoipa::path(get, path = "/api/v1/shipments/{id}/assessments", params(("id" = ShipmentId, Path)),
    responses((status = 200, body = Vec<ExplainedAssessment>)))]
async fn assessments(
    app: Data<App>,
    actor: Actor,
    id: Path<ShipmentId>,
) -> Result<Json<Vec<ExplainedAssessment>>> {
    actor.require(Permission::ReadVisits)?;
    app.into_inner()
        .read(move |conn| {
            super::assessments_of(conn, &id)?
                .into_iter()
                .map(|(hash, assessment)| {
                    let policy = force::held(conn, &assessment.policy)?;
                    let reasons = super::reasons(&policy, &assessment);
                    Ok(ExplainedAssessment { hash, assessment, reasons })
                })
                .collect::<Result<_>>()
        })
        .await
        .map(Json)
}

/// Note a red flag, a tip or the outcome of a screening, or take one back.
#[utoipa::path(post, path = "/api/v1/signals", request_body = NoteSignal,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Signal), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn note(app: Data<App>, actor: Actor, key: OnceKey, payload: Payload) -> Result<HttpResponse> {
    actor.require(Permission::NoteSignals)?;
    let body = body::read(payload, MAX_THING_BYTES).await?;
    let command: NoteSignal = body::json(&body)?;
    let app = app.into_inner();
    let now = app.clock.now();
    app.write(move |conn| {
        once(conn, &actor, &key, &body, now, |conn| {
            Answer::created(&signals::note(conn, &actor, command, now)?)
        })
    })
    .await
    .map(HttpResponse::from)
}
