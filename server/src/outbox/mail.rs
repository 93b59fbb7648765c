//! Mail over SMTP.

use std::time::{Duration, SystemTime};

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::{SmtpTransport, Transport as _};

use super::{Claimed, Letter};

/// A mail server, and who writes.
#[derive(Clone)]
pub struct Mailer {
    transport: SmtpTransport,
    from: Mailbox,
}

/// Why a letter was not sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub why: String,
    /// No later try can go better.
    pub for_good: bool,
}

const TIMEOUT: Duration = Duration::from_secs(20);

impl Mailer {
    /// By the URL of a mail server (`smtps://user:password@host`, `smtp://host?tls=required`, `smtp://host:25`) and
    /// the address in From.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn new(url: &str, from: &str) -> anyhow::Result<Self> {
        let transport = SmtpTransport::from_url(url)
            .map_err(|error| anyhow::anyhow!("--smtp is no URL of a mail server: {error}"))?
            .timeout(Some(TIMEOUT))
            .build();
        let from = from
            .parse()
            .map_err(|error| anyhow::anyhow!("--mail-from {from:?} is no mail address: {error}"))?;
        Ok(Self { transport, from })
    }

    /// Hands a letter to the mail server. Blocks.
    pub(super) fn send(&self, claimed: &Claimed) -> Result<(), Refused> {
        let message = self.message(claimed).map_err(|why| Refused { why, for_good: true })?;
        let sent = self.transport.send(&message);
        sent.map(|_| ()).map_err(|error| Refused { for_good: error.is_permanent(), why: error.to_string() })
    }

    fn message(&self, claimed: &Claimed) -> Result<Message, String> {
        let letter: Letter = serde_json::from_str(&claimed.payload).map_err(|error| error.to_string())?;
        let to: Mailbox = letter.to.parse().map_err(|error| format!("{:?}: {error}", letter.to))?;
        // Each try says the same: readers know a copy by it.
        let message_id = format!("<{}@{}>", claimed.id, self.from.email.domain());
        let written_at: SystemTime = claimed.created_at.utc().into();
        Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(letter.subject)
            .message_id(Some(message_id))
            .date(written_at)
            .header(ContentType::TEXT_PLAIN)
            .body(letter.body)
            .map_err(|error| error.to_string())
    }
}
