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
        sent.map(|_| ()).map_err(|error| {
            let why = error.to_string();
            let for_good = error.status().is_some_and(|code| is_no_such_recipient(code.into(), &why));
            Refused { why, for_good }
        })
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

/// Whether a mail server says that it will never take mail for that recipient. A refusal of the sender, of the text or
/// of us as a client carries the same codes, and is put right by somebody: so besides the code the enhanced status
/// (RFC 3463) must speak of the recipient's address, or of a mailbox that is closed.
fn is_no_such_recipient(code: u16, said: &str) -> bool {
    const RECIPIENT: [&str; 9] =
        ["5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.4", "5.1.6", "5.1.9", "5.1.10", "5.2.1"];
    let is_final = matches!(code, 550..=553 | 556);
    let enhanced = said.split(|c: char| !c.is_ascii_digit() && c != '.').find(|word| {
        let parts: Vec<&str> = word.split('.').collect();
        parts.len() == 3 && parts.iter().all(|part| !part.is_empty() && part.len() <= 3)
    });
    is_final && enhanced.is_some_and(|status| RECIPIENT.contains(&status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refused_recipient_ends_the_tries() {
        for (code, said, for_good) in [
            (550, "permanent error (550): 5.1.1 no such mailbox", true),
            (550, "permanent error (550): 5.1.10 recipient does not exist", true),
            (556, "permanent error (556): 5.1.10 domain takes no mail", true),
            (553, "permanent error (553): 5.1.3 bad address syntax", true),
            (550, "permanent error (550): 5.7.1 you may not relay", false),
            (550, "permanent error (550): 5.1.8 sender's domain does not exist", false),
            (550, "permanent error (550): 10.1.1.1 is listed", false),
            (552, "permanent error (552): 5.2.2 mailbox full", false),
            (554, "permanent error (554): 5.1.1 something", false),
            (535, "permanent error (535): 5.7.8 authentication failed", false),
            (530, "permanent error (530): authenticate first", false),
            (550, "permanent error (550): no", false),
            (451, "transient error (451): 4.1.1 later", false),
        ] {
            assert_eq!(is_no_such_recipient(code, said), for_good, "{said}");
        }
    }
}
