//! How often a password or a code may be tried: pure arithmetic over what was tried before.

use chrono::TimeDelta;
use endcheck_protocol::time::Timestamp;

/// Tries of one login from one address before that address has to wait.
pub const FREE_SIGN_INS: i64 = 5;
/// Tries of one login from everywhere before everybody has to wait. One address comes to about twenty in
/// an hour, so a stranger alone cannot keep a person out.
pub const FREE_SIGN_INS_OVERALL: i64 = 100;
/// Tries of enrolment codes from one address before it has to wait.
pub const FREE_ENROLMENTS: i64 = 20;
/// The longest wait, in seconds.
const MAX_WAIT_S: i64 = 900;
/// After this long without a try, in seconds, the count starts anew.
pub const FORGET_AFTER_S: i64 = 3600;

/// What the tries before say about one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It may be made, and counts as failed until it succeeds.
    Allowed { failures: i64, blocked_until: Timestamp },
    /// It may be made in this many seconds, at least one.
    Blocked { wait_s: i64 },
}

/// Judges one more try after `failures` of them: `free` go at once, each later one doubles the wait.
#[must_use]
pub fn attempt(failures: i64, blocked_until: Timestamp, free: i64, now: Timestamp) -> Attempt {
    let left = blocked_until.since(now);
    if left > TimeDelta::zero() {
        return Attempt::Blocked { wait_s: left.num_seconds() + 1 };
    }
    let failures = if left < TimeDelta::seconds(-FORGET_AFTER_S) { 1 } else { failures.saturating_add(1) };
    Attempt::Allowed { failures, blocked_until: now.plus(TimeDelta::seconds(wait_s(failures, free))) }
}

fn wait_s(failures: i64, free: i64) -> i64 {
    match u32::try_from(failures - free) {
        Ok(over) => 1_i64.checked_shl(over.min(32)).unwrap_or(MAX_WAIT_S).min(MAX_WAIT_S),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_the_last_free_try_to_the_cap() {
        let waits: Vec<i64> = [1, 4, 5, 6, 9, 14, 15, 400].map(|failures| wait_s(failures, 5)).to_vec();
        assert_eq!(waits, [0, 0, 1, 2, 16, 512, 900, 900]);
    }

    #[test]
    fn a_wait_blocks_and_an_hour_forgets() {
        let now: Timestamp = "2026-05-04T08:00:00Z".parse().unwrap();
        let in_s = |s| now.plus(TimeDelta::seconds(s));
        assert_eq!(attempt(7, in_s(3), 5, now), Attempt::Blocked { wait_s: 4 });
        assert_eq!(attempt(7, in_s(-1), 5, now), Attempt::Allowed { failures: 8, blocked_until: in_s(8) });
        assert_eq!(attempt(7, in_s(-3601), 5, now), Attempt::Allowed { failures: 1, blocked_until: now });
    }
}
