//! Lists in pages, and the tag of one thing: what the reads of every slice share.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use endcheck_protocol::digest::Sha256;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Things on a page, where nothing is said.
pub const DEFAULT_LIMIT: i64 = 50;
/// And at most.
pub const MAX_LIMIT: i64 = 500;

/// Which part of a list is asked for.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Where the page before ended: its `next_cursor`.
    pub cursor: Option<String>,
    /// 1 to 500, 50 by default.
    pub limit: Option<i64>,
    /// Words that the name, number or key must have in it; the case of ASCII letters is not looked at.
    pub q: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
}

/// How many things a page may hold, as asked for; every list takes the same.
///
/// # Errors
/// 422 when it is out of range.
pub fn limit(asked: Option<i64>) -> Result<i64> {
    match asked.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit),
        _ => Err(Error::invalid_field("limit", format!("expected 1 to {MAX_LIMIT}"))),
    }
}

impl ListQuery {
    /// # Errors
    /// 422 when it is out of range.
    pub fn limit(&self) -> Result<i64> {
        limit(self.limit)
    }

    /// The key after which the page begins.
    ///
    /// # Errors
    /// 400 when it is not a cursor that this server gave.
    pub fn after(&self) -> Result<Option<String>> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
        bytes.and_then(|bytes| String::from_utf8(bytes).ok()).map(Some).ok_or_else(|| {
            Error::malformed(
                "malformed-cursor",
                "Give the next_cursor of an earlier page, or none to start anew.",
            )
        })
    }

    /// `q` as a pattern for `LIKE … ESCAPE '\'`.
    #[must_use]
    pub fn pattern(&self) -> Option<String> {
        let words = self.q.as_deref()?.to_ascii_lowercase();
        let mut pattern = String::from("%");
        for c in words.chars() {
            if matches!(c, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('%');
        Some(pattern)
    }
}

/// Some things, and where the next ones begin.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of `limit` things out of the `limit` + 1 that were asked for.
    pub fn cut(items: Vec<T>, limit: i64, key: impl Fn(&T) -> &str) -> Self {
        Self::cut_at(items, limit, |item| URL_SAFE_NO_PAD.encode(key(item)))
    }

    /// As [`Self::cut`], with a cursor of the list's own.
    pub fn cut_at(mut items: Vec<T>, limit: i64, cursor: impl Fn(&T) -> String) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = if more { items.last().map(cursor) } else { None };
        Self { items, next_cursor }
    }
}

/// One thing with its `ETag`, or 304 when the asker holds it already.
///
/// # Errors
/// When the thing has no JSON form.
pub fn entity<T: Serialize>(request: &actix_web::HttpRequest, thing: &T) -> Result<HttpResponse> {
    let body = serde_json::to_vec(thing).map_err(|e| Error::Internal(e.into()))?;
    let digest = Sha256::of_parts(&[&body]).to_string();
    let tag = format!("\"{}\"", digest.get(..32).unwrap_or(&digest));
    let held = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let is_held =
        held.is_some_and(|held| held.split(',').any(|one| one.trim().trim_start_matches("W/") == tag));
    let mut response = if is_held { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((ETAG, tag)).insert_header((CACHE_CONTROL, "private, no-cache"));
    Ok(if is_held { response.finish() } else { response.content_type("application/json").body(body) })
}
