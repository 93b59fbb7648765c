//! The command line: this file is the manual.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use endcheck_protocol::checklist::{ItemStatus, VisitOutcome};
use endcheck_protocol::record::{CheckInStatus, DeniedBy, SignatureGiven, VerificationMethod};
use serde::de::DeserializeOwned;
use url::Url;

/// Records end-use visits with no network, and hands them in later.
///
/// Everything but enrol, pull and sync works offline. What a command acknowledges is safe on this
/// device: signed, chained, and sealed so that only headquarters can read the files.
#[derive(Debug, Parser)]
#[command(
    name = "endcheck",
    version,
    after_help = "Exit codes: 0 done; 1 refused or failed, with the reason; 2 the command line was not \
                  understood; 3 done in part.\n\nEnvironment: ENDCHECK_HOME is the store's folder (else \
                  endcheck in XDG_DATA_HOME, or in ~/.local/share); ENDCHECK_PASSPHRASE unlocks it unattended."
)]
pub struct Cli {
    /// Print JSON, one object a line, instead of text
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make this device known to headquarters, with a one-time code
    Enrol(Enrol),
    /// Fetch the visits assigned to you, with all that is needed on site
    Pull,
    /// List the visits on this device
    Visits,
    /// Say what a photo file says of itself; needs no store
    Inspect(Inspect),
    /// Begin a visit, on site
    Open(Open),
    /// Take photos or documents in as evidence; the source files stay as they are
    Capture(Capture),
    /// Take in where a receiver was over time: a GPX file or an NMEA log
    Track(Track),
    /// Answer a question of the checklist
    Answer(Answer),
    /// Show what is open, go through it question by question, or take answers from a file
    Checklist(Checklist),
    /// Record what became of an item
    Item(Item),
    /// Write down an observation
    Note(Note),
    /// Take down what somebody said
    Statement(Statement),
    /// Record that access was refused: by whom, when, in which words
    Denied(Denied),
    /// Tell that you are well, or not
    CheckIn(CheckIn),
    /// End a visit; `completed` only when nothing is missing
    Close(Close),
    /// Hand in records and files, and fetch receipts
    Sync(Sync),
    /// Write the receipts of headquarters, with their proofs and records, into a folder
    Receipts(Receipts),
    /// Check bags, records, receipts and log proofs offline, trusting only a policy of your own
    Verify(Verify),
    /// Say what this device holds, what headquarters holds, and what was set aside
    Status,
    /// Forget the key that opens the store until the passphrase is given again
    Lock,
}

#[derive(Debug, Args)]
pub struct Enrol {
    /// Address of headquarters, a URL
    pub url: Url,
    /// The one-time code that headquarters gave out
    #[arg(long)]
    pub code: String,
    /// What people will call this device
    #[arg(long, default_value = "field device")]
    pub name: String,
    /// Trust the certificates in this PEM file instead of the system's
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Allow an address without TLS that is not this machine
    #[arg(long)]
    pub plain_http: bool,
}

#[derive(Debug, Args)]
pub struct Inspect {
    /// The files, each in its own right: one that is refused does not hold back the others
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Where the device is; at most one source. Stands in the record beside what a photo says.
#[derive(Debug, Default, Args)]
#[command(group(ArgGroup::new("place").multiple(false)))]
pub struct PlaceArgs {
    /// The device's position, typed: LAT,LON,ACCURACY in degrees and metres
    #[arg(long, value_name = "LAT,LON,ACCURACY", allow_hyphen_values = true, group = "place")]
    pub at: Option<String>,
    /// The last fix of an NMEA log; `-` reads the log from standard input
    #[arg(long, value_name = "FILE", group = "place")]
    pub nmea: Option<PathBuf>,
    /// The next fix of a gpsd
    #[arg(
        long,
        value_name = "HOST:PORT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "127.0.0.1:2947",
        group = "place"
    )]
    pub gpsd: Option<String>,
    /// The fix of Android's location service, through termux-location
    #[arg(long, group = "place")]
    pub termux: bool,
}

/// What every act on a visit can be given.
#[derive(Debug, Default, Args)]
pub struct OnVisit {
    /// The visit, or the beginning of its id; may be left out while exactly one is open
    #[arg(long, value_name = "VISIT")]
    pub visit: Option<String>,
    /// The record that this one corrects, or the beginning of its hash
    #[arg(long, value_name = "RECORD")]
    pub replaces: Option<String>,
    #[command(flatten)]
    pub place: PlaceArgs,
}

#[derive(Debug, Args)]
pub struct Open {
    /// The visit, or the beginning of its id
    pub visit: String,
    /// How the visit is made: in-person, third-party, virtual, documentary or host-self-report
    #[arg(long, default_value = "in-person", value_parser = code::<VerificationMethod>)]
    pub method: VerificationMethod,
    #[command(flatten)]
    pub place: PlaceArgs,
}

#[derive(Debug, Args)]
pub struct Capture {
    /// The files, each in its own right: one that is refused does not hold back the others
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The question that it proves
    #[arg(long)]
    pub question: Option<String>,
    /// The item that it shows: key, serial or id
    #[arg(long)]
    pub item: Option<String>,
    /// What it shows, as the checklist calls it, such as plate-close-up
    #[arg(long)]
    pub purpose: Option<String>,
    /// A sentence about it
    #[arg(long)]
    pub caption: Option<String>,
    /// Take the files in as documents: PDFs, scans, anything
    #[arg(long)]
    pub document: bool,
    /// Remove the source file once its sealed copy and record are safe
    #[arg(long = "move")]
    pub move_source: bool,
    #[command(flatten)]
    pub on: OnVisit,
}

#[derive(Debug, Args)]
pub struct Track {
    /// The GPX file or NMEA log; it stays as it is
    pub file: PathBuf,
    #[command(flatten)]
    pub on: OnVisit,
}

#[derive(Debug, Args)]
pub struct Answer {
    /// The question's name, such as serial-read, or its number, such as 4a
    pub question: String,
    /// yes, no or unknown; a text, number or serial; choices with commas; a position as LAT,LON
    #[arg(required_unless_present = "skip", allow_hyphen_values = true)]
    pub value: Option<String>,
    /// The item that it is about: key, serial or id
    #[arg(long)]
    pub item: Option<String>,
    /// Why, or in more words
    #[arg(long)]
    pub note: Option<String>,
    /// Skip the question for one of its reasons
    #[arg(long, value_name = "REASON", conflicts_with = "value")]
    pub skip: Option<String>,
    #[command(flatten)]
    pub serial: SerialArgs,
    #[command(flatten)]
    pub on: OnVisit,
}

/// How a serial came into the device.
#[derive(Debug, Default, Args)]
pub struct SerialArgs {
    /// The serial a second time, as read from the plate again
    #[arg(long, value_name = "SERIAL", conflicts_with = "scanned")]
    pub serial_again: Option<String>,
    /// The serial was scanned, not typed
    #[arg(long)]
    pub scanned: bool,
}

#[derive(Debug, Args)]
pub struct Checklist {
    /// Answers from a JSON file: a list of {question, item, answer, note}; all are taken or none. A
    /// typed serial stands twice, in answer and serial_again; a scanned one has "scanned": true
    #[arg(long, value_name = "FILE.json")]
    pub from: Option<PathBuf>,
    /// The language of the questions, such as fr
    #[arg(long, default_value = "en")]
    pub language: String,
    #[command(flatten)]
    pub on: OnVisit,
}

#[derive(Debug, Args)]
pub struct Item {
    /// The item: key, serial or id
    pub item: String,
    /// sighted, serial_mismatch, serial_unreadable, absent, relocated, transferred, lost, stolen,
    /// destroyed, expended, demilitarised, not_sampled or access_refused
    #[arg(value_parser = code::<ItemStatus>)]
    pub status: ItemStatus,
    /// The serial or lot as read from the plate; typed ones are asked for twice
    #[arg(long)]
    pub serial: Option<String>,
    #[command(flatten)]
    pub entry: SerialArgs,
    /// How many were counted
    #[arg(long)]
    pub quantity: Option<String>,
    /// How it was verified: in-person, third-party, virtual, documentary or host-self-report
    #[arg(long, default_value = "in-person", value_parser = code::<VerificationMethod>)]
    pub method: VerificationMethod,
    /// In more words
    #[arg(long)]
    pub note: Option<String>,
    #[command(flatten)]
    pub on: OnVisit,
}

#[derive(Debug, Args)]
pub struct Note {
    /// The observation
    pub text: String,
    #[command(flatten)]
    pub on: OnVisit,
}

#[derive(Debug, Args)]
pub struct Statement {
    /// Who spoke
    #[arg(long)]
    pub by: String,
    /// What they are at the site
    #[arg(long)]
    pub role: String,
    /// The language it was made in, such as de
    #[arg(long)]
    pub language: String,
    /// The words
    #[arg(long, required_unless_present = "from", conflicts_with = "from")]
    pub text: Option<String>,
    /// The words, from a text file
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Who interpreted
    #[arg(long)]
    pub interpreter: Option<String>,
    /// It was read back to the speaker
    #[arg(long)]
    pub read_back: bool,
    /// signed, refused or not-asked
    #[arg(long, default_value = "not-asked", value_parser = code::<SignatureGiven>)]
    pub signature: SignatureGiven,
    #[command(flatten)]
    pub on: OnVisit,
}

#[derive(Debug, Args)]
pub struct Denied {
    /// host-government, party, site-guard or third-party
    #[arg(long, value_parser = code::<DeniedBy>)]
    pub by: DeniedBy,
    /// Name and function as given
    #[arg(long)]
    pub who: String,
    /// The words used
    #[arg(long)]
    pub words: String,
    /// What was refused: the site, an area, an item, a question
    #[arg(long, default_value = "the site")]
    pub scope: String,
    /// When it was said, such as 2026-05-04T08:11:00Z; else now
    #[arg(long, value_name = "INSTANT")]
    pub when: Option<endcheck_protocol::time::Timestamp>,
    #[command(flatten)]
    pub on: OnVisit,
}

#[derive(Debug, Args)]
pub struct CheckIn {
    /// well, delayed or aborting
    #[arg(default_value = "well", value_parser = code::<CheckInStatus>)]
    pub status: CheckInStatus,
    /// In more words
    #[arg(long)]
    pub note: Option<String>,
    #[command(flatten)]
    pub on: OnVisit,
}

#[derive(Debug, Args)]
pub struct Close {
    /// completed, partial, access_denied_state, access_denied_party, not_located, aborted_safety or
    /// postponed
    #[arg(value_parser = code::<VisitOutcome>)]
    pub outcome: VisitOutcome,
    /// Why it ends this way
    #[arg(long)]
    pub note: Option<String>,
    #[command(flatten)]
    pub on: OnVisit,
}

#[derive(Debug, Args)]
pub struct Sync {
    /// Send files at this many bytes a second at most
    #[arg(long, value_name = "BYTES/S", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_rate: Option<u64>,
    /// Hand in although headquarters' log does not continue the one this device knows
    #[arg(long)]
    pub accept_log: bool,
    /// Write what is unconfirmed, sealed, into this folder instead, to be carried by hand on a stick
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["from", "max_rate", "accept_log"])]
    pub to: Option<PathBuf>,
    /// Take in the receipts that headquarters wrote into this folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "max_rate")]
    pub from: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 everything holds; 1 something failed; 2 something could not be checked; 3 \
                        called wrongly.\n\nThe policy is a C2SP tlog-policy: lines `log KEY`, `witness NAME KEY`, \
                        `group …` and `quorum NAME` (or `quorum none`), and here also `authority NAME KEY`. Get \
                        the keys by a way you trust, never from whom you verify."
)]
pub struct Verify {
    /// Bags (folders or archives), records, receipts, certificates, keys and log proofs, or folders of them
    #[arg(required = true)]
    pub papers: Vec<PathBuf>,
    /// Whom you trust
    #[arg(long)]
    pub policy: PathBuf,
}

#[derive(Debug, Args)]
pub struct Receipts {
    /// A new folder, or an empty one
    pub folder: PathBuf,
}

/// A word of a closed list, spelled as records spell it.
fn code<T: DeserializeOwned>(word: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn words_and_positions_are_read_as_written() {
        let cli = Cli::try_parse_from(["endcheck", "close", "access_denied_state"]).unwrap();
        assert!(matches!(
            cli.command,
            Command::Close(Close { outcome: VisitOutcome::AccessDeniedState, .. })
        ));
        let error = Cli::try_parse_from(["endcheck", "close", "done"]).unwrap_err().to_string();
        assert!(error.contains("expected one of"), "{error}");
        let cli = Cli::try_parse_from(["endcheck", "capture", "--at", "-33.9,18.4,5", "a.jpg"]).unwrap();
        assert!(matches!(
            cli.command,
            Command::Capture(Capture { on: OnVisit { place: PlaceArgs { at: Some(_), .. }, .. }, .. })
        ));
        let cli = Cli::try_parse_from(["endcheck", "capture", "--gpsd", "a.jpg"]).unwrap();
        assert!(matches!(cli.command, Command::Capture(Capture { files, .. }) if files.len() == 1));
        assert!(Cli::try_parse_from(["endcheck", "note", "x", "--termux", "--at", "1,2,3"]).is_err());
    }
}
