//! Request bodies as bytes, never more of them than allowed.

use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt as _;

use crate::error::{Error, Result};

/// The description of one thing may have this many bytes: a shipment of thousands of items fits.
pub const MAX_THING_BYTES: usize = 4 * 1024 * 1024;

/// Reads a body to its end.
///
/// # Errors
/// 413 `body-too-large` as soon as the limit is passed; 400 `body-cut` when it breaks off.
pub async fn read(mut payload: Payload, limit_bytes: usize) -> Result<Bytes> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| {
            Error::malformed("body-cut", format!("The body could not be read: {error}. Send it again."))
        })?;
        if body.len() + chunk.len() > limit_bytes {
            let detail = format!("This body may have {limit_bytes} bytes. Split it.");
            return Err(Error::with_status(413, "body-too-large", "The body is too large", detail));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Reads a body as the JSON of one command.
///
/// # Errors
/// 400 `malformed-json`, saying where.
pub fn json<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|e| Error::malformed("malformed-json", e.to_string()))
}
