//! The device's own fix, from the one source that the command line names. Never the photo's.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use endcheck_protocol::place::{Fix, gpsd, manual, nmea, termux};

use crate::cli::PlaceArgs;
use crate::refusal::refuse;
use crate::ui::Ui;

const MAX_LOG_BYTES: u64 = 64 * 1024 * 1024;
/// How long a receiver may take to find itself.
const PATIENCE: Duration = Duration::from_secs(60);
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// The fix, where a source is named.
///
/// # Errors
/// When the source has no fix to give; the act is not recorded without the place that was asked for.
pub fn fix(place: &PlaceArgs, ui: &Ui<'_>) -> anyhow::Result<Option<Fix>> {
    if let Some(typed) = &place.at {
        return Ok(Some(manual::parse(typed)?));
    }
    if let Some(path) = &place.nmea {
        let log = if path.as_os_str() == "-" {
            ui.read_input(MAX_LOG_BYTES).context("the NMEA log cannot be read from standard input")?
        } else {
            let read = fs::File::open(path).and_then(|file| {
                let mut log = Vec::new();
                file.take(MAX_LOG_BYTES).read_to_end(&mut log).map(|_| log)
            });
            read.with_context(|| format!("the NMEA log {} cannot be read", path.display()))?
        };
        return from_nmea(&log).map(Some);
    }
    if let Some(address) = &place.gpsd {
        return from_gpsd(address).map(Some);
    }
    if place.termux {
        return from_termux().map(Some);
    }
    Ok(None)
}

fn from_nmea(log: &[u8]) -> anyhow::Result<Fix> {
    let reading = nmea::read(log);
    match reading.last() {
        Some(last) => Ok(last.fix.clone()),
        None => {
            let why: Vec<String> =
                reading.rejected.iter().map(|(reason, lines)| format!("{lines} × {reason}")).collect();
            let why = if why.is_empty() { "no sentence with a position".to_owned() } else { why.join(", ") };
            Err(refuse(
                format!("the NMEA log holds no fix: {why}"),
                "Let the receiver find itself under open sky, or give the position with --at.",
            ))
        }
    }
}

fn from_gpsd(address: &str) -> anyhow::Result<Fix> {
    let unreachable =
        || format!("gpsd at {address} cannot be reached: is it running? Else give the position with --at");
    let socket = address.to_socket_addrs().with_context(unreachable)?.next().with_context(unreachable)?;
    let mut stream = TcpStream::connect_timeout(&socket, Duration::from_secs(5)).with_context(unreachable)?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).with_context(unreachable)?;
    stream.write_all(b"?WATCH={\"enable\":true,\"json\":true};\n").with_context(unreachable)?;
    let mut lines = BufReader::new(stream);
    let started = Instant::now();
    let mut satellites = None;
    while started.elapsed() < PATIENCE {
        let mut line = Vec::new();
        let read =
            lines.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).with_context(unreachable)?;
        if read == 0 {
            break;
        }
        match gpsd::read_line(&line)? {
            gpsd::Report::Fix(fix) => return Ok(Fix { satellites: fix.satellites.or(satellites), ..*fix }),
            gpsd::Report::Sky { satellites: used } => satellites = used.or(satellites),
            gpsd::Report::NoFix | gpsd::Report::Other { .. } => {}
        }
    }
    Err(refuse(
        format!("gpsd at {address} had no fix within {} s", PATIENCE.as_secs()),
        "Go where the sky is open, or give the position with --at.",
    ))
}

fn from_termux() -> anyhow::Result<Fix> {
    let started = Command::new("termux-location").stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = started.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => refuse(
            "termux-location is not there",
            "Install the Termux:API app and `pkg install termux-api`, or give the position with --at.",
        ),
        _ => anyhow::Error::new(error).context("termux-location cannot be started"),
    })?;
    let begun = Instant::now();
    while child.try_wait()?.is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Err(refuse(
                format!("termux-location had no fix within {} s", PATIENCE.as_secs()),
                "Go where the sky is open, or give the position with --at.",
            ));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_LINE_BYTES).read_to_end(&mut output)?;
    }
    Ok(termux::parse(&output)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_without_a_fix_says_why() {
        let error = from_nmea(b"hello\n$GPRMC,1\n").unwrap_err().to_string();
        assert!(error.contains("1 × not an NMEA sentence"), "{error}");
        assert!(from_nmea(b"").unwrap_err().to_string().contains("no sentence"));
    }

    #[test]
    fn gpsd_is_asked_until_it_has_a_fix() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream
                .write_all(
                    b"{\"class\":\"VERSION\"}\n{\"class\":\"SKY\",\"uSat\":7}\n{\"class\":\"TPV\",\"mode\":1}\n\
                      {\"class\":\"TPV\",\"mode\":3,\"lat\":48.5,\"lon\":16.5,\"eph\":4.0}\n",
                )
                .unwrap();
        });
        let fix = from_gpsd(&address).unwrap();
        server.join().unwrap();
        assert_eq!((fix.satellites, fix.accuracy_mm), (Some(7), Some(4_000)));
    }
}
