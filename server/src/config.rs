//! The configuration: flags, `ENDCHECK_*` variables and an optional TOML file, one struct.

pub mod serial_rules;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use endcheck_protocol::tlog::{SignatureKind, VerifierKey};
use serde::{Deserialize, Serialize};
use url::Url;

use serial_rules::{SerialClock, SerialTier};

/// Everything that can be configured. A flag beats its variable; both beat the file.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Folder for the keys, the files, uploads under way and the SQLite database.
    #[arg(long, env = "ENDCHECK_DATA", global = true)]
    pub data: Option<PathBuf>,
    /// `postgres://…`, or `sqlite:PATH`; by default SQLite in the data folder.
    #[arg(long, env = "ENDCHECK_DATABASE_URL", global = true, hide_env_values = true)]
    pub database_url: Option<String>,
    /// Database connections at most.
    #[arg(long, env = "ENDCHECK_DATABASE_CONNECTIONS", global = true)]
    pub database_connections: Option<u32>,
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, env = "ENDCHECK_LISTEN", global = true)]
    pub listen: Option<SocketAddr>,
    /// Name of the authority; part of every record.
    #[arg(long, env = "ENDCHECK_ORG", global = true)]
    pub org: Option<String>,
    /// age recipient of the escrow key, whose identity is kept away from this machine.
    #[arg(long, env = "ENDCHECK_ESCROW_RECIPIENT", global = true)]
    pub escrow_recipient: Option<String>,
    /// Name of the log in its checkpoints: where it is served, without the scheme, such as
    /// `endcheck.example.org/log`. By default a name from its key. It can never be changed.
    #[arg(long, env = "ENDCHECK_LOG_ORIGIN", global = true)]
    pub log_origin: Option<String>,
    /// A witness that is asked to cosign the log's checkpoints: `NAME+ID+KEY=URL`, the key as its
    /// operator tells it; several with commas, or given several times.
    #[arg(long, env = "ENDCHECK_WITNESS", global = true, value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub witness: Vec<WitnessAddress>,
    /// PEM certificate chain; with it the server speaks TLS.
    #[arg(long, env = "ENDCHECK_TLS_CERT", global = true)]
    pub tls_cert: Option<PathBuf>,
    /// PEM private key of the certificate.
    #[arg(long, env = "ENDCHECK_TLS_KEY", global = true)]
    pub tls_key: Option<PathBuf>,
    /// Address of a proxy whose Forwarded and X-Forwarded headers are believed; several with commas, or
    /// given several times.
    #[arg(long, env = "ENDCHECK_TRUSTED_PROXY", global = true, value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxy: Vec<IpAddr>,
    /// Bytes of one upload at most.
    #[arg(long, env = "ENDCHECK_MAX_UPLOAD_BYTES", global = true)]
    pub max_upload_bytes: Option<u64>,
    /// Hours that bytes without a record are kept.
    #[arg(long, env = "ENDCHECK_UPLOAD_EXPIRY_HOURS", global = true)]
    pub upload_expiry_hours: Option<u32>,
    /// Hours after its window that a visit waits for a sync before it counts as interrupted.
    #[arg(long, env = "ENDCHECK_GRACE_HOURS", global = true)]
    pub grace_hours: Option<u32>,
    /// Days after arrival that a routine check of a shipment falls due; 0 opens none.
    #[arg(long, env = "ENDCHECK_ROUTINE_DAYS", global = true)]
    pub routine_days: Option<u32>,
    /// Days ahead for which a device may have record keys; for a device with one key for all days, how long it lasts.
    #[arg(long, env = "ENDCHECK_DEVICE_DAYS", global = true)]
    pub device_days: Option<u32>,
    /// Speed between two positions from which it is a finding to look at, in km/h.
    #[arg(long, env = "ENDCHECK_TRAVEL_LOOK_KMH", global = true)]
    pub travel_look_kmh: Option<u32>,
    /// Speed between two positions from which they contradict each other, in km/h.
    #[arg(long, env = "ENDCHECK_TRAVEL_CONTRADICTION_KMH", global = true)]
    pub travel_contradiction_kmh: Option<u32>,
    /// Hours before the window of a visit that its inspector is reminded.
    #[arg(long, env = "ENDCHECK_REMIND_WINDOW_HOURS", global = true)]
    pub remind_window_hours: Option<u32>,
    /// Hours before a check falls due that the inspector of an unfinished visit is reminded.
    #[arg(long, env = "ENDCHECK_REMIND_DUE_HOURS", global = true)]
    pub remind_due_hours: Option<u32>,
    /// Days in which every stored file is read and hashed again.
    #[arg(long, env = "ENDCHECK_SCRUB_DAYS", global = true)]
    pub scrub_days: Option<u32>,
    /// Mail server for notices: `smtps://USER:PASSWORD@HOST`, `smtp://HOST?tls=required`, or `smtp://HOST:25` without
    /// TLS. Without it notices are shown and not sent.
    #[arg(long, env = "ENDCHECK_SMTP", global = true, hide_env_values = true)]
    pub smtp: Option<String>,
    /// Address that mail is from, such as `Endcheck <endcheck@example.org>`.
    #[arg(long, env = "ENDCHECK_MAIL_FROM", global = true)]
    pub mail_from: Option<String>,
    /// Bearer token that opens /metrics; without it they are shown to this machine only.
    #[arg(long, env = "ENDCHECK_METRICS_TOKEN", global = true, hide_env_values = true)]
    pub metrics_token: Option<String>,
    /// When a job runs: `NAME=CRON`, six fields, seconds first, UTC; or `NAME=off`. Several with semicolons, or
    /// given several times. In the file a table `[jobs]`.
    #[arg(long = "job", env = "ENDCHECK_JOB", global = true, value_delimiter = ';', value_parser = job, value_name = "NAME=CRON")]
    #[serde(skip)]
    pub job: Vec<(String, String)>,
    /// As `--job`, from the file.
    #[arg(skip)]
    pub jobs: BTreeMap<String, String>,
    /// Seconds after which a job's run whose server was not heard of is taken up by another.
    #[arg(long, env = "ENDCHECK_JOB_LEASE_S", global = true)]
    pub job_lease_s: Option<u32>,
    /// Log lines as JSON.
    #[arg(long, env = "ENDCHECK_LOG_JSON", global = true)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub log_json: bool,
    /// By when serials are to be seen; in the file only.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub serial_clock: Vec<SerialClock>,
    /// The tiers of control entries; in the file only.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub serial_tier: Vec<SerialTier>,
}

/// The settings with every default filled in.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    pub data: PathBuf,
    pub database_url: String,
    pub database_connections: u32,
    pub listen: SocketAddr,
    pub org: String,
    pub escrow_recipient: Option<String>,
    pub log_origin: Option<String>,
    pub witness: Vec<WitnessAddress>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub trusted_proxy: Vec<IpAddr>,
    pub max_upload_bytes: u64,
    pub upload_expiry_hours: u32,
    pub grace_hours: u32,
    pub routine_days: u32,
    pub device_days: u32,
    pub travel_look_kmh: u32,
    pub travel_contradiction_kmh: u32,
    pub remind_window_hours: u32,
    pub remind_due_hours: u32,
    pub scrub_days: u32,
    pub smtp: Option<String>,
    pub mail_from: Option<String>,
    pub metrics_token: Option<String>,
    pub job_lease_s: u32,
    pub log_json: bool,
    /// Name and cron expression of those that do not run at their own times.
    pub jobs: BTreeMap<String, String>,
    /// Empty for the shipped ones, as is the next.
    pub serial_clock: Vec<SerialClock>,
    pub serial_tier: Vec<SerialTier>,
}

/// Where a witness is asked, and the key that its cosignatures are checked with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WitnessAddress {
    pub key: VerifierKey,
    /// Submission prefix (C2SP tlog-witness), with a slash at its end.
    pub url: Url,
}

impl std::fmt::Display for WitnessAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.key, self.url)
    }
}

impl std::str::FromStr for WitnessAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let written = || format!("{text:?} is no witness: write NAME+ID+KEY=URL");
        // A key ends in no equals sign: its 33 bytes fill their base64.
        let at = text.find("=http").ok_or_else(written)?;
        let (key, url) = text.split_at(at);
        let key: VerifierKey = key.parse().map_err(|error| format!("{}: {error}", written()))?;
        if key.kind != SignatureKind::Cosignature {
            return Err(format!("{key} is the key of a log, not of a witness"));
        }
        let mut url: Url =
            url.trim_start_matches('=').parse().map_err(|error| format!("{}: {error}", written()))?;
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
            return Err(written());
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self { key, url })
    }
}

impl TryFrom<String> for WitnessAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<WitnessAddress> for String {
    fn from(address: WitnessAddress) -> Self {
        address.to_string()
    }
}

/// `NAME=CRON` of a flag.
fn job(text: &str) -> Result<(String, String), String> {
    let (name, cron) = text.split_once('=').ok_or_else(|| format!("{text:?}: write NAME=CRON"))?;
    Ok((name.trim().to_owned(), cron.trim().to_owned()))
}

impl Settings {
    /// Reads a TOML file of the same fields.
    ///
    /// # Errors
    /// When the file cannot be read, or names a field that does not exist.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| anyhow::anyhow!("the configuration {} cannot be read: {e}", path.display()))?;
        toml::from_str(&text).map_err(|e| anyhow::anyhow!("the configuration {}: {e}", path.display()))
    }

    /// These settings, with those of `file` where nothing is said here, and defaults for the rest.
    #[must_use]
    pub fn over(self, file: Self) -> Config {
        let data = self.data.or(file.data).unwrap_or_else(|| PathBuf::from("endcheck-data"));
        let database_url = self
            .database_url
            .or(file.database_url)
            .unwrap_or_else(|| format!("sqlite:{}", data.join("endcheck.db").display()));
        Config {
            database_url,
            database_connections: self.database_connections.or(file.database_connections).unwrap_or(8),
            listen: self.listen.or(file.listen).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080))),
            org: self.org.or(file.org).unwrap_or_else(|| "endcheck".to_owned()),
            escrow_recipient: self.escrow_recipient.or(file.escrow_recipient),
            log_origin: self.log_origin.or(file.log_origin),
            witness: if self.witness.is_empty() { file.witness } else { self.witness },
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            trusted_proxy: if self.trusted_proxy.is_empty() {
                file.trusted_proxy
            } else {
                self.trusted_proxy
            },
            max_upload_bytes: self
                .max_upload_bytes
                .or(file.max_upload_bytes)
                .unwrap_or(endcheck_protocol::sync::MAX_FILE_BYTES),
            upload_expiry_hours: self.upload_expiry_hours.or(file.upload_expiry_hours).unwrap_or(168),
            grace_hours: self.grace_hours.or(file.grace_hours).unwrap_or(72),
            routine_days: self.routine_days.or(file.routine_days).unwrap_or(90),
            travel_look_kmh: self.travel_look_kmh.or(file.travel_look_kmh).unwrap_or(250),
            travel_contradiction_kmh: self
                .travel_contradiction_kmh
                .or(file.travel_contradiction_kmh)
                .unwrap_or(1_200),
            device_days: self.device_days.or(file.device_days).unwrap_or(90),
            remind_window_hours: self.remind_window_hours.or(file.remind_window_hours).unwrap_or(24),
            remind_due_hours: self.remind_due_hours.or(file.remind_due_hours).unwrap_or(72),
            scrub_days: self.scrub_days.or(file.scrub_days).unwrap_or(30),
            smtp: self.smtp.or(file.smtp),
            mail_from: self.mail_from.or(file.mail_from),
            metrics_token: self.metrics_token.or(file.metrics_token),
            job_lease_s: self.job_lease_s.or(file.job_lease_s).unwrap_or(60),
            jobs: file.jobs.into_iter().chain(self.jobs).chain(self.job).collect(),
            log_json: self.log_json || file.log_json,
            serial_clock: if self.serial_clock.is_empty() { file.serial_clock } else { self.serial_clock },
            serial_tier: if self.serial_tier.is_empty() { file.serial_tier } else { self.serial_tier },
            data,
        }
    }
}

impl Config {
    /// As TOML, with secrets masked, and the times of every job.
    ///
    /// # Errors
    /// When a job is not one, or a value has no TOML form.
    pub fn printed(&self) -> anyhow::Result<String> {
        let mut shown = self.clone();
        shown.jobs = crate::jobs::configured(&self.jobs)?;
        for secret in std::iter::once(&mut shown.database_url).chain(&mut shown.smtp) {
            if let Ok(mut url) = url::Url::parse(secret)
                && url.password().is_some()
                && url.set_password(Some("******")).is_ok()
            {
                *secret = url.to_string();
            }
        }
        if let Some(token) = &mut shown.metrics_token {
            "******".clone_into(token);
        }
        Ok(toml::to_string(&shown)?)
    }
}

#[cfg(test)]
mod tests {
    use endcheck_protocol::tlog::{SignatureKind, VerifierKey};

    use super::*;

    #[test]
    fn a_witness_is_written_as_key_and_address() {
        let public = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key();
        let key = |kind| VerifierKey::new("witness.example", kind, public).unwrap().to_string();
        let (witness, as_log) = (key(SignatureKind::Cosignature), key(SignatureKind::Log));
        let good = format!("{witness}=https://w.example/a");
        let address: WitnessAddress = good.parse().unwrap();
        assert_eq!(address.url.as_str(), "https://w.example/a/");
        assert_eq!(address.to_string().parse(), Ok(address));
        let other_id = format!("{}=http://x", witness.replacen('+', "+0", 1));
        for text in [
            "",
            "x",
            &other_id,
            &format!("{witness}=ftp://x"),
            &format!("{as_log}=http://x"),
            &format!("{good}?a=b"),
        ] {
            assert!(text.parse::<WitnessAddress>().is_err(), "{text}");
        }
        let file: Settings = toml::from_str(&format!("witness = [\"{good}\"]")).unwrap();
        assert!(Settings::default().over(file).printed().unwrap().contains("https://w.example/a/"));
    }

    #[test]
    fn flags_beat_the_file_and_the_password_is_masked() {
        let flags = Settings { grace_hours: Some(5), ..Settings::default() };
        let file: Settings = toml::from_str(
            "grace_hours = 7\norg = \"Authority\"\ndatabase_url = \"postgres://me:secret@db/x\"\n\
             smtp = \"smtps://me:secret@mail.example\"\nmetrics_token = \"secret\"\n\
             trusted_proxy = [\"10.0.0.1\", \"::1\"]",
        )
        .unwrap();
        let config = flags.over(file);
        assert_eq!((config.grace_hours, config.org.as_str()), (5, "Authority"));
        assert_eq!(config.trusted_proxy.len(), 2);
        let printed = config.printed().unwrap();
        assert!(printed.contains("postgres://me:******@db/x") && !printed.contains("secret"), "{printed}");
        assert!(printed.contains("[jobs]\n") && printed.contains("overdue = \"0 * * * * *\""), "{printed}");
        assert!(toml::from_str::<Settings>("grace_ours = 7").is_err());
    }
}
