//! What the device knows of headquarters' log: the newest checkpoint, and those that did not fit.

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::Store;

const CHECKPOINT: &str = "log-checkpoint";
const CONFLICTS: &str = "log-conflicts";

/// A checkpoint whose signature was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldCheckpoint {
    pub size: u64,
    pub root: Sha256,
    /// As it came.
    pub note: String,
}

/// Two checkpoints of which the second does not continue the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConflict {
    pub held: String,
    pub offered: String,
    pub why: String,
    pub noticed_at: Timestamp,
}

impl Store {
    /// The newest checkpoint that is held.
    ///
    /// # Errors
    /// When the database or the value is damaged.
    pub fn checkpoint(&mut self) -> anyhow::Result<Option<HeldCheckpoint>> {
        self.setting(CHECKPOINT)
    }

    /// Keeps a checkpoint that continues the one held.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn keep_checkpoint(&mut self, checkpoint: &HeldCheckpoint) -> anyhow::Result<()> {
        self.set(CHECKPOINT, checkpoint)
    }

    /// Every conflict that was noticed, oldest first. None is ever removed.
    ///
    /// # Errors
    /// When the database or the value is damaged.
    pub fn log_conflicts(&mut self) -> anyhow::Result<Vec<LogConflict>> {
        Ok(self.setting(CONFLICTS)?.unwrap_or_default())
    }

    /// Keeps a conflict, unless the same two checkpoints are kept already.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn keep_log_conflict(&mut self, conflict: LogConflict) -> anyhow::Result<()> {
        let mut conflicts = self.log_conflicts()?;
        let known = |kept: &LogConflict| kept.held == conflict.held && kept.offered == conflict.offered;
        if !conflicts.iter().any(known) {
            conflicts.push(conflict);
            self.set(CONFLICTS, &conflicts)?;
        }
        Ok(())
    }
}
