//! Requests as any client would send them; every status is an answer, none an error.

use std::time::Duration;

use serde_json::Value;
use ureq::http::{HeaderMap, Request};

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Http {
    base_url: String,
    agent: ureq::Agent,
    /// Sent with each request.
    headers: Vec<(String, String)>,
}

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Http {
    #[must_use]
    pub fn new(base_url: impl Into<String>) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .new_agent();
        Self { base_url: base_url.into(), agent, headers: Vec::new() }
    }

    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// A client that also sends this header.
    #[must_use]
    pub fn with_header(&self, name: &str, value: &str) -> Self {
        let mut other = self.clone();
        other.headers.push((name.to_owned(), value.to_owned()));
        other
    }

    /// A client that is signed in by this access token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        self.with_header("Authorization", &format!("Bearer {token}"))
    }

    /// Sends one request; `None` when no answer came, as when the server died.
    #[must_use]
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Option<Answer> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base_url));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answered = match body {
            Some(body) => self.agent.run(request.body(body).expect("a request")),
            None => self.agent.run(request.body(()).expect("a request")),
        };
        let answer = answered.ok()?;
        let (head, body) = answer.into_parts();
        let body = body.into_with_config().limit(u64::MAX).read_to_vec().ok()?;
        Some(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// Sends one request to a server that is there to answer it.
    #[must_use]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Answer {
        self.try_send(method, path, headers, body)
            .unwrap_or_else(|| panic!("{method} {path}: the server did not answer"))
    }

    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None)
    }

    #[must_use]
    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], None)
    }

    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send_json("POST", path, body)
    }

    #[must_use]
    pub fn send_json(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send(method, path, &[("Content-Type", "application/json")], Some(body.to_string().as_bytes()))
    }
}

impl Answer {
    /// The body, which must be JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{} with a body that is no JSON: {error}\n{}", self.status, self.text())
        })
    }

    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's text; empty when there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// This answer, which must have that status.
    #[must_use]
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// Its JSON, of an answer that must have that status.
    #[must_use]
    #[track_caller]
    pub fn expect_json(self, status: u16) -> Value {
        self.expect(status).json()
    }

    /// Asserts a refusal: a problem document of that status and code that says what to do.
    #[track_caller]
    pub fn expect_problem(&self, status: u16, code: &str) {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{} {}",
            self.status,
            self.text()
        );
        let problem = self.json();
        let text = |field: &str| problem.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        assert_eq!((self.status, text("code").as_str()), (status, code), "{problem:#}");
        assert_eq!(problem.get("status"), Some(&Value::from(status)), "{problem:#}");
        assert!(!text("title").is_empty() && !text("detail").is_empty(), "{problem:#}");
    }
}
