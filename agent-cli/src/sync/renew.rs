//! New record keys in time, so that a device out of reach has one for each of many days to come.

use chrono::NaiveDate;
use endcheck_protocol::envelope::public_key_to_base64;
use endcheck_protocol::sync::{DayKey, RenewDevice, Renewal};
use endcheck_protocol::time::Timestamp;
use ureq::http::Method;

use super::client::{Call, Client};
use crate::session::Session;
use crate::store::KeyTerm;

/// Days from today on that keys are made for. Headquarters may grant fewer.
pub const TERM_DAYS: usize = 90;
/// With fewer days left than this a sync renews: what a device that syncs can then spend without a network.
const RENEW_BELOW_DAYS: u64 = 60;

/// Whether it is time to renew.
fn is_due(term: &KeyTerm) -> bool {
    term.days_left < RENEW_BELOW_DAYS || !term.today || term.long
}

/// Renews where it is time to, by headquarters' clock. Answers until when the new keys last.
///
/// # Errors
/// When headquarters refuses or cannot be reached, or the store cannot be written. Then the same keys are
/// asked for again at the next sync.
pub(super) fn renew_if_due(
    session: &mut Session<'_>,
    client: &Client<'_>,
    server_at: Timestamp,
) -> anyhow::Result<Option<NaiveDate>> {
    let today = server_at.day();
    if !is_due(&session.store.key_term(today)?) {
        return Ok(None);
    }
    let fresh = session.store.keys_to_certify(today, TERM_DAYS)?;
    if fresh.is_empty() {
        return Ok(None);
    }
    let record_keys = fresh
        .iter()
        .map(|fresh| {
            let key = public_key_to_base64(&fresh.secret.key()?.verifying_key());
            Ok(DayKey { day: fresh.day, key })
        })
        .collect::<anyhow::Result<_>>()?;
    let call = Call::json(Method::POST, "api/v1/devices/me/renew", &RenewDevice { record_keys })?;
    let renewal: Renewal = client.call(&call)?.json()?;
    session.identity = session.store.renewed(renewal.certificate, &fresh)?;
    Ok(session.store.key_term(today)?.last_day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_renewed_early_and_when_today_has_none() {
        let term = |days_left, today, long| KeyTerm { last_day: None, days_left, today, long };
        assert!(!is_due(&term(60, true, false)));
        assert!(is_due(&term(59, true, false)));
        assert!(is_due(&term(80, false, false)));
        assert!(is_due(&term(180, true, true)));
    }
}
