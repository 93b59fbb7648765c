//! The one place that asks what time it is, so that tests can say it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use endcheck_protocol::time::Timestamp;

/// The time of the machine, moved by an offset that only tests set.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_us: Arc<AtomicI64>,
}

impl Clock {
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn now(&self) -> Timestamp {
        Timestamp::from(chrono::Utc::now()).plus(self.offset())
    }

    /// How far it is moved from the machine's time, for times that another clock tells.
    #[must_use]
    pub fn offset(&self) -> chrono::TimeDelta {
        chrono::TimeDelta::microseconds(self.offset_us.load(Ordering::Relaxed))
    }

    /// Moves the clock forward (or back) from where it stands.
    pub fn advance(&self, by: chrono::TimeDelta) {
        self.offset_us.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::Relaxed);
    }
}
