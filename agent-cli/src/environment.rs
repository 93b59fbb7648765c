//! What the program needs of the world around it: its folder, its passphrase, clocks and streams.

use std::fs;
use std::io::{self, BufRead, IsTerminal as _, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use endcheck_protocol::time::Timestamp;
use zeroize::Zeroizing;

/// Every clock of the device, read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockReading {
    pub device_at: Timestamp,
    /// The operating system's id of this boot; empty where it tells none.
    pub boot: String,
    /// Since that boot, sleep included.
    pub monotonic_ns: u64,
}

/// Reads the clocks; tests put their own in place.
pub type Clock = Arc<dyn Fn() -> ClockReading + Send + Sync>;

/// What turning a passphrase into a key costs an attacker, and us once a session.
#[derive(Debug, Clone, Copy)]
pub struct PassphraseCost {
    pub memory_kib: u32,
    pub passes: u32,
}

impl Default for PassphraseCost {
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3 }
    }
}

/// The world as the program sees it.
pub struct Environment {
    /// The folder that holds the store; made at enrolment.
    pub home: PathBuf,
    /// Unlocks the store unattended.
    pub passphrase: Option<Zeroizing<String>>,
    /// Whether the kernel may keep the store key for some hours.
    pub keyring: bool,
    /// For stores made from here on.
    pub passphrase_cost: PassphraseCost,
    pub clock: Clock,
    /// Whether the process ends with the command: then the store is not closed, which would flush four
    /// times for nothing, but left as a kill would leave it.
    pub ends_after: bool,
    /// Whether a person sits at input and output.
    pub interactive: bool,
    /// Whether progress may be drawn on `errors`.
    pub progress: bool,
    pub input: Mutex<Box<dyn BufRead + Send>>,
    pub output: Mutex<Box<dyn Write + Send>>,
    pub errors: Mutex<Box<dyn Write + Send>>,
}

impl Environment {
    /// The world of this process: `ENDCHECK_HOME`, `ENDCHECK_PASSPHRASE`, the standard streams.
    #[must_use]
    pub fn from_process() -> Self {
        let named = std::env::var_os("ENDCHECK_HOME").filter(|name| !name.is_empty());
        let home = named.map(PathBuf::from).unwrap_or_else(default_home);
        let passphrase = std::env::var("ENDCHECK_PASSPHRASE").ok().filter(|text| !text.is_empty());
        Self {
            home,
            passphrase: passphrase.map(Zeroizing::new),
            keyring: true,
            passphrase_cost: PassphraseCost::default(),
            clock: Arc::new(read_clocks),
            ends_after: true,
            interactive: io::stdin().is_terminal() && io::stdout().is_terminal(),
            progress: io::stderr().is_terminal(),
            input: Mutex::new(Box::new(io::BufReader::new(io::stdin()))),
            output: Mutex::new(Box::new(io::stdout())),
            errors: Mutex::new(Box::new(io::stderr())),
        }
    }

    /// The clocks, now.
    #[must_use]
    pub fn now(&self) -> ClockReading {
        (self.clock)()
    }
}

fn default_home() -> PathBuf {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    data.unwrap_or_else(|| home().join(".local/share")).join("endcheck")
}

#[expect(clippy::disallowed_methods, reason = "this is the agent's one clock")]
fn read_clocks() -> ClockReading {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let since_boot = rustix::time::clock_gettime(clock);
    let seconds = u64::try_from(since_boot.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(since_boot.tv_nsec).unwrap_or_default();
    ClockReading {
        device_at: chrono::Utc::now().into(),
        boot: boot.trim().to_owned(),
        monotonic_ns: seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds),
    }
}
