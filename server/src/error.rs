//! The one error of the server and its face on the wire.
//!
//! What a caller did wrong is a named refusal with a stable code; everything else is an internal
//! failure that is logged once, here, and told to nobody.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use diesel::result::DatabaseErrorKind;
use endcheck_protocol::problem::{FieldProblem, Problem};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A named refusal.
    #[error("{}: {}", .0.code, .0.detail)]
    Refused(Box<Problem>),
    /// A fault of ours or of the machine.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

impl Error {
    fn refused(status: u16, code: &str, title: &str, detail: impl Into<String>) -> Self {
        Self::Refused(Box::new(Problem::new(status, code, title, detail)))
    }

    /// 400: the request cannot be understood.
    pub fn malformed(code: &str, detail: impl Into<String>) -> Self {
        Self::refused(400, code, "The request cannot be understood", detail)
    }

    /// 401: nobody is signed in, or the proof of it does not hold.
    pub fn unauthenticated(code: &str, detail: impl Into<String>) -> Self {
        Self::refused(401, code, "You are not signed in", detail)
    }

    /// 403: signed in, but not allowed to do this to anything.
    pub fn forbidden(code: &str, detail: impl Into<String>) -> Self {
        Self::refused(403, code, "You may not do this", detail)
    }

    /// 404: it does not exist, or is not for this person to know of.
    pub fn not_found(what: &str) -> Self {
        Self::refused(
            404,
            "not-found",
            "Not found",
            format!("There is no such {what}, or it is not yours to see."),
        )
    }

    /// 409: the state of things does not allow it now.
    pub fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::refused(409, code, "The present state does not allow this", detail)
    }

    /// 422: understood, but one or more fields are wrong.
    #[must_use]
    pub fn invalid(errors: Vec<FieldProblem>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", one.field, one.reason),
            many => format!("{} faults; each is listed under errors. Nothing was written.", many.len()),
        };
        let mut problem = Problem::new(422, "invalid-fields", "Some fields are not valid", detail);
        problem.errors = errors;
        Self::Refused(Box::new(problem))
    }

    /// 422 about one field.
    pub fn invalid_field(field: &str, reason: impl Into<String>) -> Self {
        Self::invalid(vec![FieldProblem { line: None, field: field.to_owned(), reason: reason.into() }])
    }

    /// Any other status, for the endpoints whose protocol asks for one.
    pub fn with_status(status: u16, code: &str, title: &str, detail: impl Into<String>) -> Self {
        Self::refused(status, code, title, detail)
    }

    /// 503: somebody else holds what this needs, or all connections are taken.
    #[must_use]
    pub fn database_busy() -> Self {
        Self::refused(
            503,
            "database-busy",
            "The database is busy",
            "Another request is writing. Nothing was written; send the same request again in a few seconds.",
        )
    }

    /// A failure of the file store.
    #[must_use]
    pub fn from_store(error: object_store::Error) -> Self {
        Self::Internal(error.into())
    }

    /// The code, for callers that decide by it.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(problem) => &problem.code,
            Self::Internal(_) => "internal",
        }
    }

    /// For whoever works at the machine itself: a refusal with its fields, a failure with its cause.
    #[must_use]
    pub fn told(self) -> anyhow::Error {
        let problem = match self {
            Self::Refused(problem) => problem,
            Self::Internal(error) => return error,
        };
        // Of a single fault the detail is that fault.
        let listed = if problem.errors.len() > 1 { problem.errors.as_slice() } else { &[] };
        let fields: String =
            listed.iter().map(|error| format!("\n  {}: {}", error.field, error.reason)).collect();
        anyhow::anyhow!("{}: {}{fields}", problem.title, problem.detail)
    }

    /// What is told to the caller.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Refused(problem) => (**problem).clone(),
            Self::Internal(_) => Problem::new(
                500,
                "internal",
                "The server failed",
                "The failure was logged. Nothing was written; the same request may be sent again.",
            ),
        }
    }
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        match error {
            diesel::result::Error::NotFound => Self::not_found("thing"),
            // What PostgreSQL says of U+0000, which it cannot hold in a text.
            diesel::result::Error::DatabaseError(_, info) if info.message().ends_with(": 0x00") => {
                Self::malformed("nul-in-text", "A text holds the character U+0000. Leave it out.")
            }
            diesel::result::Error::DatabaseError(kind, info) if is_busy(&kind, info.message()) => {
                tracing::warn!(error = info.message(), "the database is busy");
                Self::database_busy()
            }
            other => Self::Internal(other.into()),
        }
    }
}

/// Whether a failure says only that others were in the way: SQLite's `SQLITE_BUSY` and
/// `SQLITE_LOCKED`, PostgreSQL's 40001, 40P01 and 55P03. Diesel passes on a kind for one of them and
/// the words for the rest.
fn is_busy(kind: &DatabaseErrorKind, message: &str) -> bool {
    matches!(kind, DatabaseErrorKind::SerializationFailure)
        || matches!(kind, DatabaseErrorKind::Unknown)
            && (matches!(
                message,
                "database is locked" | "deadlock detected" | "canceling statement due to lock timeout"
            ) || message.starts_with("database table is locked")
                || message.starts_with("could not obtain lock on "))
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Internal(error.into())
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.problem().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::Internal(error) = self {
            tracing::error!(error = format!("{error:#}"), "request failed");
        }
        let mut response = HttpResponse::build(self.status_code());
        if self.status_code() == StatusCode::UNAUTHORIZED {
            response.insert_header(("WWW-Authenticate", "Bearer"));
        }
        let problem = self.problem();
        let mut response =
            response.insert_header(("Content-Type", "application/problem+json")).json(&problem);
        // For whoever tells it in another form.
        response.extensions_mut().insert(problem);
        response
    }
}
