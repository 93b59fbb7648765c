//! The HTTP client of the sync wire: one keep-alive agent, sign-in, retries, and problems as people
//! read them. Knows nothing of the store.

use std::error::Error;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;
use endcheck_protocol::problem::Problem;
use endcheck_protocol::sync::{EnrolDevice, Enrolment, PROTOCOL_HEADER, PROTOCOL_VERSION};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::{HeaderMap, Method, Request, StatusCode};
use ureq::{Agent, SendBody};
use url::Url;

use super::sign_in::{SignIn, Token};
use super::tls;
use crate::refusal::refuse;
use crate::session::Session;
use crate::ui::Ui;

/// Long enough for a satellite link; short enough for a dead one.
const CONNECT: Duration = Duration::from_secs(30);
/// Silence of a server that has all it needs to answer.
const SILENCE: Duration = Duration::from_secs(60);
/// The slowest link that is waited for: what the kernel took of a body leaves it at this pace.
const SLOWEST_BYTES_PER_S: u64 = 4_000;
/// The most that the kernels on the way hold of a body.
const BUFFERED_BYTES: u64 = 8 * 1024 * 1024;
const MAX_ANSWER_BYTES: u64 = 256 * 1024 * 1024;
/// Tries of one request, the first included.
pub(super) const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(if cfg!(test) { 2 } else { 500 });
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A connection to headquarters.
pub struct Client<'a> {
    agent: Agent,
    ui: &'a Ui<'a>,
    /// Nobody takes connections at the address, or somebody else does.
    gone: AtomicBool,
    base: Url,
    sign_in: Option<SignIn>,
    token: Mutex<Option<Token>>,
}

/// What is asked; the body can be sent again.
#[derive(Debug, Clone)]
pub(super) struct Call<'a> {
    pub method: Method,
    pub path: &'a str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<Vec<u8>>,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl<'a> Call<'a> {
    pub(super) fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, headers: Vec::new(), body: None }
    }

    pub(super) fn json<T: Serialize>(method: Method, path: &'a str, value: &T) -> anyhow::Result<Self> {
        let headers = vec![("content-type", "application/json".to_owned())];
        Ok(Self { method, path, headers, body: Some(serde_json::to_vec(value)?) })
    }
}

impl Answer {
    /// The answer's document.
    pub(super) fn json<T: DeserializeOwned>(self) -> anyhow::Result<T> {
        let answer = self.accepted()?;
        serde_json::from_slice(&answer.body)
            .context("headquarters' answer is not understood: is this device's endcheck up to date?")
    }

    /// The answer, unless it is a refusal.
    pub(super) fn accepted(self) -> anyhow::Result<Self> {
        if self.status.is_success() { Ok(self) } else { Err(self.refusal()) }
    }

    /// The refusal in words.
    pub(super) fn refusal(&self) -> anyhow::Error {
        match self.problem() {
            Some(problem) => {
                let mut what = format!("headquarters refused: {} [{}]", problem.title, problem.code);
                for fault in &problem.errors {
                    what.push_str(&format!("\n  {}: {}", fault.field, fault.reason));
                }
                refuse(what, problem.detail)
            }
            None => refuse(
                format!("headquarters answered with status {}", self.status),
                "Check the address; if it is right, tell headquarters.",
            ),
        }
    }

    pub(super) fn problem(&self) -> Option<Problem> {
        serde_json::from_slice(&self.body).ok()
    }

    /// How long the server wants to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let seconds: u64 = self.headers.get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
    }

    /// Whether the same request may fare better later.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self.status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
    }

    pub(super) fn number(&self, header: &str) -> Option<u64> {
        self.headers.get(header)?.to_str().ok()?.trim().parse().ok()
    }
}

/// The pause before the next try: half a second, doubled each time.
pub(super) fn pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.min(7)).min(LONGEST_PAUSE)
}

/// Whether the same request may fare better later.
fn is_passing(error: &ureq::Error) -> bool {
    let lasting = matches!(
        error,
        ureq::Error::BadUri(_)
            | ureq::Error::Tls(_)
            | ureq::Error::Rustls(_)
            | ureq::Error::Pem(_)
            | ureq::Error::Http(_)
    );
    !lasting && untrusted(error).is_none()
}

/// What is wrong with the certificate, where that is what is wrong.
fn untrusted(error: &ureq::Error) -> Option<&rustls::CertificateError> {
    let found = match error {
        ureq::Error::Rustls(error) => Some(error),
        // What fails while the connection is made comes wrapped as a failure to read.
        ureq::Error::Io(error) => inner::<rustls::Error>(error),
        _ => None,
    };
    match found {
        Some(rustls::Error::InvalidCertificate(why)) => Some(why),
        _ => None,
    }
}

/// The error of this type inside an I/O error, however deep.
fn inner<T: Error + 'static>(error: &io::Error) -> Option<&T> {
    let inside: &(dyn Error + 'static) = error.get_ref()?;
    inside.downcast_ref().or_else(|| inner(inside.downcast_ref::<io::Error>()?))
}

/// Whether nobody takes connections at the address: to go on with other requests would be futile.
fn is_nobody_there(error: &ureq::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    match error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
        ureq::Error::Io(error) => {
            matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
        }
        _ => untrusted(error).is_some(),
    }
}

impl<'a> Client<'a> {
    /// A client that is not signed in.
    ///
    /// # Errors
    /// When the certificates to trust cannot be read.
    pub fn new(base: &Url, ca_pem: Option<&str>, ui: &'a Ui<'a>) -> anyhow::Result<Self> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("endcheck/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .timeout_per_write(Some(Duration::from_secs(120)))
            .timeout_per_read(Some(SILENCE));
        if base.scheme() == "https" {
            config = config.tls_config(tls::config(ca_pem)?);
        }
        let agent = config.build().new_agent();
        let (base, gone) = (base.clone(), AtomicBool::new(false));
        Ok(Self { agent, ui, gone, base, sign_in: None, token: Mutex::new(None) })
    }

    /// A client that signs in as this device when it has to; a token of an earlier run is used up.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn signed_in(session: &mut Session<'a>) -> anyhow::Result<Self> {
        let identity = &session.identity;
        let mut client = Self::new(&identity.server, identity.ca_pem.as_deref(), session.ui)?;
        client.sign_in = Some(SignIn {
            device: identity.certificate.device.clone(),
            org: identity.certificate.org.clone(),
            key: identity.sign_in_key.clone(),
            clock: session.environment.clock.clone(),
        });
        let kept: Option<Token> = session.store.setting("token")?;
        let fresh = kept.filter(|token| token.holds_at(session.environment.now().device_at));
        let signed_in_before = fresh.is_some();
        client.token = Mutex::new(fresh);
        if !signed_in_before {
            client.renew()?;
            session.store.set("token", &client.current())?;
        }
        Ok(client)
    }

    /// The token in use, to be kept for the next run.
    #[must_use]
    pub fn current(&self) -> Option<Token> {
        self.slot().clone()
    }

    /// Signs in anew. A device whose clock is wrong is told the time by the refusal, and tries once
    /// more by that.
    pub(super) fn renew(&self) -> anyhow::Result<()> {
        let Some(sign_in) = &self.sign_in else { return Ok(()) };
        *self.slot() = None;
        let ask = |ahead| {
            self.retrying(|| {
                // Each try is a fresh assertion: headquarters takes each once.
                let body = sign_in.request(ahead)?;
                let size_bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
                let headers = vec![("content-type", "application/json".to_owned())];
                let call =
                    Call { method: Method::POST, path: "api/v1/auth/device-token", headers, body: None };
                self.once(&call, Some((SendBody::from_owned_reader(std::io::Cursor::new(body)), size_bytes)))
            })
        };
        let mut answer = ask(TimeDelta::zero())?;
        if answer.status == StatusCode::UNAUTHORIZED
            && let Some(ahead) =
                answer.headers.get("date").and_then(|date| sign_in.behind(date.to_str().ok()?))
        {
            answer = ask(ahead)?;
        }
        *self.slot() = Some(sign_in.token(answer.json()?));
        Ok(())
    }

    fn slot(&self) -> MutexGuard<'_, Option<Token>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, trying again over a bad link, and signing in again when the token has run out.
    pub(super) fn call(&self, call: &Call<'_>) -> anyhow::Result<Answer> {
        let answer = self.retried(call)?;
        if answer.status == StatusCode::UNAUTHORIZED && self.sign_in.is_some() {
            self.renew()?;
            return self.retried(call);
        }
        Ok(answer)
    }

    fn retried(&self, call: &Call<'_>) -> anyhow::Result<Answer> {
        self.retrying(|| {
            let body = call.body.clone().map(|body| {
                let size_bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
                (SendBody::from_owned_reader(std::io::Cursor::new(body)), size_bytes)
            });
            self.once(call, body)
        })
    }

    fn retrying(&self, ask: impl Fn() -> Result<Answer, ureq::Error>) -> anyhow::Result<Answer> {
        let mut failures = 0;
        loop {
            let (trouble, wait) = match ask() {
                Ok(answer) if !answer.is_passing() || failures + 1 >= TRIES => return Ok(answer),
                Ok(answer) => (format!("status {}", answer.status), answer.retry_after()),
                Err(error) if !is_passing(&error) || failures + 1 >= TRIES => {
                    return Err(self.unreachable(&error));
                }
                Err(error) => (error.to_string(), None),
            };
            self.ui.note(&format!(
                "Headquarters does not answer as it should ({trouble}); try {} of {TRIES} follows.",
                failures + 2
            ));
            std::thread::sleep(wait.unwrap_or_else(|| pause(failures)));
            failures += 1;
        }
    }

    /// Asks once. `body` takes the place of the call's own.
    pub(super) fn once(
        &self,
        call: &Call<'_>,
        body: Option<(SendBody<'_>, u64)>,
    ) -> Result<Answer, ureq::Error> {
        let url = self
            .base
            .join(call.path.trim_start_matches('/'))
            .map_err(|_| ureq::Error::BadUri(call.path.to_owned()))?;
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(url.as_str())
            .header(PROTOCOL_HEADER, PROTOCOL_VERSION.to_string());
        if let Some(token) = self.current() {
            request = request.header("authorization", format!("Bearer {}", token.access_token));
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        let mut size_bytes = 0;
        let response = match body {
            Some((body, length)) => {
                size_bytes = length;
                let request = request.header("content-length", length.to_string()).body(body)?;
                self.agent.run(self.patient(request, size_bytes))?
            }
            None => self.agent.run(self.patient(request.body(())?, size_bytes))?,
        };
        let (parts, body) = response.into_parts();
        let mut bytes = Vec::new();
        body.into_with_config().limit(MAX_ANSWER_BYTES).reader().read_to_end(&mut bytes)?;
        Ok(Answer { status: parts.status, headers: parts.headers, body: bytes })
    }

    /// Lets the answer take as long as a slow link needs for the body before it.
    fn patient<S: ureq::AsSendBody>(&self, request: Request<S>, size_bytes: u64) -> Request<S> {
        let draining = Duration::from_secs(size_bytes.min(BUFFERED_BYTES) / SLOWEST_BYTES_PER_S);
        self.agent.configure_request(request).timeout_per_read(Some(SILENCE.saturating_add(draining))).build()
    }

    /// Whether requests have become futile in this run.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Tells a person of trouble that the work goes on after.
    pub(super) fn note(&self, text: &str) {
        self.ui.note(text);
    }

    fn unreachable(&self, error: &ureq::Error) -> anyhow::Error {
        if is_nobody_there(error) {
            self.gone.store(true, Ordering::Relaxed);
        }
        if let Some(why) = untrusted(error) {
            return refuse(
                format!("the certificate that {} shows is not trusted: {why}", self.base),
                "Nothing was sent. Look at this device's clock, and whether the way in is a hotel's or a \
                 café's. If headquarters has certificates of its own, enrol with --ca. Else ask headquarters.",
            );
        }
        refuse(
            format!("headquarters at {} cannot be reached: {error}", self.base),
            "Nothing is lost. Run the command again when the link is better.",
        )
    }

    /// Hands the keys in and receives the certificate.
    ///
    /// # Errors
    /// When headquarters refuses or cannot be reached.
    pub fn enrol(&self, request: &EnrolDevice) -> anyhow::Result<Enrolment> {
        self.call(&Call::json(Method::POST, "api/v1/devices/enrol", request)?)?.json()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_not_trusted_is_no_bad_link() {
        let wrong = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let io = |inside| io::Error::new(io::ErrorKind::InvalidData, inside);
        for (error, is_wrong) in [
            (ureq::Error::Rustls(wrong()), true),
            (ureq::Error::Io(io(Box::<dyn Error + Send + Sync>::from(wrong()))), true),
            (ureq::Error::Io(io(Box::from(io(Box::from(wrong()))))), true),
            (ureq::Error::Io(io(Box::from("cut"))), false),
            (ureq::Error::Io(io::ErrorKind::ConnectionRefused.into()), false),
        ] {
            assert_eq!((untrusted(&error).is_some(), is_passing(&error)), (is_wrong, !is_wrong), "{error:?}");
        }
    }
}
