//! Paces what is sent, over all uploads together.

use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A pace in bytes a second, or none.
pub(super) struct Throttle {
    bytes_per_s: Option<u64>,
    free_at: Mutex<Instant>,
}

impl Throttle {
    pub(super) fn new(bytes_per_s: Option<u64>) -> Self {
        Self { bytes_per_s, free_at: Mutex::new(Instant::now()) }
    }

    /// Bytes to offer at once: a tenth of a second's worth.
    fn portion(&self) -> usize {
        let tenth = self.bytes_per_s.map_or(u64::MAX, |rate| (rate / 10).max(256));
        usize::try_from(tenth).unwrap_or(usize::MAX)
    }

    /// Waits until `bytes` more may go.
    fn wait(&self, bytes: usize) {
        let Some(rate) = self.bytes_per_s else { return };
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let taken = Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate.max(1));
        let until = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            *free_at = (*free_at).max(Instant::now()) + taken;
            *free_at
        };
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

/// A reader that goes at the pace and tells how far it is.
pub(super) struct Paced<'a, R, F> {
    pub inner: R,
    pub throttle: &'a Throttle,
    pub sent: F,
}

impl<R: Read, F: FnMut(u64)> Read for Paced<'_, R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.throttle.portion());
        let read = self.inner.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.throttle.wait(read);
        (self.sent)(u64::try_from(read).unwrap_or_default());
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_at_the_pace() {
        let throttle = Throttle::new(Some(100_000));
        let mut sent = 0;
        let begun = Instant::now();
        let mut paced =
            Paced { inner: [1_u8; 20_000].as_slice(), throttle: &throttle, sent: |bytes| sent += bytes };
        let mut out = Vec::new();
        paced.read_to_end(&mut out).unwrap();
        assert_eq!((out.len(), sent), (20_000, 20_000));
        assert!(begun.elapsed() >= Duration::from_millis(190));
    }
}
