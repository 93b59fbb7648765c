//! Wiring: what every request can reach, and which slice answers which path.

use std::sync::{Arc, Weak};

use actix_web::dev::{Service as _, ServiceRequest};
use actix_web::http::header::{
    CONTENT_ENCODING, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{FromRequest as _, ResponseError as _};
use endcheck_protocol::problem::Problem;
use futures_util::future::{self, Either};

use utoipa::OpenApi;

use crate::clock::Clock;
use crate::config::Config;
use crate::config::serial_rules::SerialRules;
use crate::db::{Conn, Pool};
use crate::error::{Error, Result};
use crate::files::Files;
use crate::keys::Keys;
use crate::resource::resource;
use crate::uploads::{Kept, Uploads};
use crate::{
    accounts, checklists, checks, custody, db, evidence, exports, import, jobs, log, notices, outbox, pages,
    parties, planning, programme, reviews, risk, selection, serials, shipments, sites, uploads, visits,
};

/// What a request can reach.
pub struct App {
    pub config: Config,
    pub pool: Pool,
    pub files: Files,
    pub keys: Keys,
    pub clock: Clock,
    pub sessions: accounts::VerifiedTokens,
    pub uploads: Arc<Uploads>,
    /// Those who cosign the log.
    pub witnesses: log::Witnesses,
    /// Wakes the examiner when a file was stored.
    pub examiner: tokio::sync::Notify,
    /// The hashes of the photos held, as far as this server has read them.
    pub pictures: evidence::Pictures,
    /// What time brings about, as this server does it.
    pub jobs: jobs::Desk,
    /// Sends mail, where a mail server is configured.
    pub mailer: Option<outbox::Mailer>,
    /// Turns of exports, which may wait for witnesses with a connection in hand: most connections stay with others.
    pub exports: tokio::sync::Semaphore,
    /// Requests answered so far.
    pub requests: jobs::Requests,
    /// By when serials are to be seen.
    pub serial_rules: serials::Rules,
}

impl App {
    /// Opens the database (migrating it), the keys and the files.
    ///
    /// # Errors
    /// When one of them cannot be opened; says which and why.
    pub fn open(config: Config, clock: Clock) -> anyhow::Result<Arc<Self>> {
        std::fs::create_dir_all(&config.data)
            .map_err(|e| anyhow::anyhow!("the data folder {} cannot be made: {e}", config.data.display()))?;
        let escrow = config.escrow_recipient.as_deref().ok_or_else(|| {
            anyhow::anyhow!(
                "no escrow recipient: evidence is sealed to headquarters and to an escrow key kept elsewhere. \
                 Make one on another machine with `endcheck-server escrow FILE` and give its recipient as \
                 --escrow-recipient"
            )
        })?;
        let jobs = jobs::Desk::new(&config.jobs, config.job_lease_s)?;
        let mailer = match (&config.smtp, &config.mail_from) {
            (Some(smtp), Some(from)) => Some(outbox::Mailer::new(smtp, from)?),
            (Some(_), None) => anyhow::bail!("--smtp needs --mail-from, the address that mail is from"),
            (None, _) => None,
        };
        let keys = Keys::open(&config.data.join("keys"), escrow, config.log_origin.as_deref())?;
        let files = Files::local(&config.data.join("files"))?;
        let pool = db::open(&config.database_url, config.database_connections)?;
        let uploads = Uploads::open(uploads::Setup {
            folder: config.data.join("staging"),
            pool: pool.clone(),
            clock: clock.clone(),
            max_bytes: config.max_upload_bytes,
            expiry: chrono::TimeDelta::hours(i64::from(config.upload_expiry_hours)),
            identify: Arc::new(|request| {
                let actor = accounts::Actor::extract(request);
                Box::pin(actor)
            }),
        })?;
        let app = Arc::new(Self {
            keys,
            files,
            pool,
            clock,
            sessions: accounts::VerifiedTokens::default(),
            uploads,
            witnesses: log::Witnesses::new(&config.witness)?,
            examiner: tokio::sync::Notify::new(),
            pictures: evidence::Pictures::default(),
            jobs,
            mailer,
            exports: tokio::sync::Semaphore::new(
                usize::try_from(config.database_connections / 4).unwrap_or(1).max(1),
            ),
            requests: jobs::Requests::default(),
            serial_rules: serials::Rules::new(SerialRules::new(&config.serial_clock, &config.serial_tier)?)?,
            config,
        });
        app.take_completed_uploads();
        let mut conn = app.pool.get()?;
        db::migrate(&mut conn)?;
        let now = app.clock.now();
        conn.write(|conn| {
            log::complete_nodes(conn)?;
            serials::put_in_force(conn, &app.serial_rules, now)?;
            checklists::ensure_default(conn, now)
        })?;
        Ok(app)
    }

    /// Hands each complete upload to the evidence slice.
    fn take_completed_uploads(self: &Arc<Self>) {
        let app = Arc::downgrade(self);
        self.uploads.on_complete(Arc::new(move |upload| {
            let app = Weak::clone(&app);
            Box::pin(async move {
                match app.upgrade() {
                    Some(app) => evidence::completed(&app, &upload).await,
                    None => Ok(Kept::Here),
                }
            })
        }));
    }

    /// Runs `work` with a connection, on a thread that may block.
    ///
    /// # Errors
    /// Whatever `work` answers, or that no connection was free in time.
    pub async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Conn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let app = Arc::clone(self);
        web::block(move || work(&mut *app.connection()?))
            .await
            .map_err(|_| Error::Internal(anyhow::anyhow!("the work was cancelled")))?
    }

    /// Runs `work` in one write transaction; the answer is given after the commit.
    ///
    /// # Errors
    /// Whatever `work` answers, after rolling back.
    pub async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Conn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.read(move |conn| conn.write(work)).await
    }

    /// A connection, for code that runs on a thread that may block.
    ///
    /// # Errors
    /// 503 when none is free in time.
    pub fn connection(&self) -> Result<db::PooledConn> {
        self.pool.get().map_err(|error| {
            tracing::warn!(%error, "no database connection");
            Error::database_busy()
        })
    }
}

/// Largest JSON body, in bytes.
const MAX_JSON_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of a form: its longest texts in any script, each character of up to twelve.
const MAX_FORM_BYTES: usize = 256 * 1024;

/// Refuses a packed body where packing is not part of the protocol, before anything unpacks it.
fn refuse_encoding(request: &ServiceRequest) -> Result<()> {
    let Some(encoding) = request.headers().get(CONTENT_ENCODING) else { return Ok(()) };
    if encoding == "identity" || (encoding == "zstd" && request.path() == evidence::RECORDS_PATH) {
        return Ok(());
    }
    Err(Error::with_status(
        415,
        "unknown-encoding",
        "The body's encoding is not known",
        "Send the body as it is; only records may be packed, with Content-Encoding: zstd.",
    ))
}

/// Every route, and how malformed requests are answered.
pub fn routes(config: &mut ServiceConfig) {
    let json = web::JsonConfig::default().limit(MAX_JSON_BYTES).error_handler(|error, _| {
        use actix_web::error::JsonPayloadError as E;
        match &error {
            E::OverflowKnownLength { .. } | E::Overflow { .. } => Error::with_status(
                413,
                "body-too-large",
                "The body is too large",
                format!("A JSON body may have {MAX_JSON_BYTES} bytes."),
            ),
            E::ContentType => Error::with_status(
                415,
                "not-json",
                "Another media type is expected",
                "Send the body as Content-Type: application/json.",
            ),
            other => Error::malformed("malformed-json", other.to_string()),
        }
        .into()
    });
    let path = web::PathConfig::default().error_handler(|_, _| Error::not_found("page").into());
    let query = web::QueryConfig::default()
        .error_handler(|error, _| Error::malformed("malformed-query", error.to_string()).into());
    let form = web::FormConfig::default()
        .limit(MAX_FORM_BYTES)
        .error_handler(|error, _| Error::malformed("malformed-form", error.to_string()).into());
    config
        .app_data(json)
        .app_data(form)
        .app_data(path)
        .app_data(query)
        .configure(log::routes)
        .configure(accounts::routes)
        .configure(parties::routes)
        .configure(sites::routes)
        .configure(shipments::routes)
        .configure(import::routes)
        .configure(risk::routes)
        .configure(checks::routes)
        .configure(selection::routes)
        .configure(serials::routes)
        .configure(checklists::routes)
        .configure(visits::routes)
        .configure(planning::routes)
        .configure(uploads::routes)
        .configure(custody::routes)
        .configure(evidence::routes)
        .configure(reviews::routes)
        .configure(programme::routes)
        .configure(exports::routes)
        .configure(jobs::routes)
        .configure(notices::routes)
        .configure(pages::routes)
        .service(resource("/healthz").get(async || "ok\n"))
        .service(resource("/readyz").get(ready))
        .service(resource("/api/openapi.json").get(async || web::Json(openapi())))
        .default_service(web::to(|| async { Err::<&str, _>(Error::not_found("page")) }));
}

/// Whether the database answers.
async fn ready(app: Data<App>) -> Result<&'static str> {
    app.into_inner().read(log::head).await?;
    Ok("ready\n")
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Endcheck",
    description = "End-use checks: what is verified, who goes where, and what was found. Refusals are \
                   RFC 9457 problem documents with a stable `code`."
))]
struct ApiDoc;

/// The whole API as OpenAPI 3.1.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = ApiDoc::openapi();
    for slice in [
        accounts::openapi(),
        log::ApiDoc::openapi(),
        parties::Api::openapi(),
        sites::Api::openapi(),
        shipments::Api::openapi(),
        import::Api::openapi(),
        risk::ApiDoc::openapi(),
        checks::ApiDoc::openapi(),
        selection::ApiDoc::openapi(),
        serials::ApiDoc::openapi(),
        checklists::ApiDoc::openapi(),
        visits::ApiDoc::openapi(),
        planning::ApiDoc::openapi(),
        uploads::ApiDoc::openapi(),
        custody::ApiDoc::openapi(),
        evidence::ApiDoc::openapi(),
        reviews::ApiDoc::openapi(),
        programme::ApiDoc::openapi(),
        exports::ApiDoc::openapi(),
        jobs::ApiDoc::openapi(),
        notices::ApiDoc::openapi(),
    ] {
        document.merge(slice);
    }
    document
}

/// Starts to listen, and answers until the returned server is awaited to its end or stopped.
///
/// # Errors
/// When the address is taken, or the TLS files cannot be used.
pub fn listen(app: Arc<App>) -> anyhow::Result<(actix_web::dev::Server, std::net::SocketAddr)> {
    let config = app.config.clone();
    let uploads = Data::from(Arc::clone(&app.uploads));
    let data = Data::from(app);
    let server = actix_web::HttpServer::new(move || {
        actix_web::App::new()
            .app_data(data.clone())
            .app_data(uploads.clone())
            .wrap(actix_web::middleware::DefaultHeaders::new().add((X_CONTENT_TYPE_OPTIONS, "nosniff")))
            .wrap_fn(|request, service| {
                let path = request.path().to_owned();
                let answer = match refuse_encoding(&request) {
                    Ok(()) => Either::Left(service.call(request)),
                    Err(refused) => {
                        Either::Right(future::ready(Ok(request.into_response(refused.error_response()))))
                    }
                };
                async move {
                    let mut response = answer.await?;
                    let problem = response.response().extensions().get::<Problem>().cloned();
                    if let Some(page) =
                        problem.and_then(|problem| pages::refused(response.request(), &problem))
                    {
                        response = response.into_response(page);
                    }
                    if let Some(app) = response.request().app_data::<Data<App>>() {
                        app.requests.count(&path, response.status().as_u16());
                    }
                    let headers = response.headers_mut();
                    for (name, value) in PAGE_HEADERS {
                        if !headers.contains_key(&name) {
                            headers.insert(name, HeaderValue::from_static(value));
                        }
                    }
                    Ok(response)
                }
            })
            .wrap(actix_web::middleware::Compress::default())
            .configure(routes)
    })
    // Else the end of a long answer waits 40 ms for the client to say that it has the beginning.
    .tcp_nodelay(true)
    .workers(2)
    .keep_alive(std::time::Duration::from_secs(75))
    .client_request_timeout(std::time::Duration::from_secs(60))
    .shutdown_timeout(10)
    .disable_signals();
    let server = match (&config.tls_cert, &config.tls_key) {
        (Some(cert), Some(key)) => {
            server.bind_rustls_0_23(config.listen, crate::tls::server_config(cert, key)?)?
        }
        (None, None) => server.bind(config.listen)?,
        _ => anyhow::bail!("TLS needs both --tls-cert and --tls-key"),
    };
    let address = *server.addrs().first().ok_or_else(|| anyhow::anyhow!("no address was bound"))?;
    Ok((server.run(), address))
}

/// No script, style, font, image or connection from anywhere else; no framing.
const PAGE_HEADERS: [(HeaderName, &str); 2] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'",
    ),
    (REFERRER_POLICY, "same-origin"),
];
