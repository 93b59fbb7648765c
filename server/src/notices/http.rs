//! A person's notices: over HTTP, and as a page.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Query, ServiceConfig};
use askama::Template;
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use super::{Notice, store};
use crate::accounts::{Actor, PageSession};
use crate::app::App;
use crate::error::Result;
use crate::listing::{self, Page};
use crate::pages::{self, Shell};
use crate::resource::resource;

#[derive(OpenApi)]
#[openapi(paths(list))]
pub struct ApiDoc;

pub fn routes(config: &mut ServiceConfig) {
    config.service(resource("/api/v1/notices").get(list)).service(resource("/notices").get(page));
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListNotices {
    /// Where the page before ended: its `next_cursor`.
    cursor: Option<String>,
    /// 1 to 500, 50 by default.
    limit: Option<i64>,
}

/// What the one who asks was told, the newest first.
#[utoipa::path(get, path = "/api/v1/notices", params(ListNotices), responses((status = 200, body = Page<Notice>)))]
async fn list(app: Data<App>, actor: Actor, query: Query<ListNotices>) -> Result<Json<Page<Notice>>> {
    let limit = listing::limit(query.limit)?;
    let app = app.into_inner();
    let notices =
        app.read(move |conn| store::of_user(conn, &actor.user, query.cursor.as_deref(), limit + 1)).await?;
    Ok(Json(Page::cut_at(notices, limit, |notice| notice.id.clone())))
}

#[derive(Template)]
#[template(path = "notices.html")]
struct NoticesPage {
    shell: Shell,
    notices: Vec<Notice>,
}

async fn page(app: Data<App>, session: PageSession) -> Result<HttpResponse> {
    let user = session.actor.user.clone();
    let notices =
        app.into_inner().read(move |conn| store::of_user(conn, &user, None, listing::DEFAULT_LIMIT)).await?;
    pages::html(&NoticesPage { shell: Shell::of(&session, "Notices"), notices })
}
