//! Counts what of files and records arrives at a server: a pass-through that reads the heads of
//! requests (HTTP/1.1 with `Content-Length`) and counts the bytes of bodies.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const HEAD_END: &[u8] = b"\r\n\r\n";
/// Where content goes; sign-in and questions are not content.
const CONTENT: [&str; 2] = [" /api/v1/files", " /api/v1/sync/records"];

/// A counting pass-through to one server. Ends with the program.
pub struct Counter {
    pub address: SocketAddr,
    content_bytes: Arc<AtomicU64>,
}

impl Counter {
    /// Passes a free local port on to `server`.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn start(server: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let content_bytes = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&content_bytes);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A server that is not there looks as it would without the counter.
                let _ = connect(client, server, &counted);
            }
        });
        Ok(Self { address, content_bytes })
    }

    pub fn content_bytes(&self) -> u64 {
        self.content_bytes.load(Ordering::SeqCst)
    }
}

fn connect(mut client: TcpStream, server: SocketAddr, counted: &Arc<AtomicU64>) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut answers, mut asker) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        // Ends when either side does.
        let _ = std::io::copy(&mut answers, &mut asker);
        let _ = asker.shutdown(Shutdown::Both);
    });
    let counted = Arc::clone(counted);
    std::thread::spawn(move || {
        let mut requests = Requests::default();
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = client.read(&mut buffer) {
            let bytes = buffer.get(..length).unwrap_or_default();
            counted.fetch_add(requests.content_in(bytes), Ordering::SeqCst);
            if server.write_all(bytes).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Both);
    });
    Ok(())
}

/// Where in a stream of requests one connection is.
#[derive(Debug, Default)]
struct Requests {
    head: Vec<u8>,
    body_left: u64,
    is_content: bool,
}

impl Requests {
    /// How many of `bytes`, the next of the stream, are content.
    fn content_in(&mut self, mut bytes: &[u8]) -> u64 {
        let mut content = 0;
        while !bytes.is_empty() {
            if self.body_left > 0 {
                let taken = self.body_left.min(bytes.len() as u64);
                self.body_left -= taken;
                content += if self.is_content { taken } else { 0 };
                bytes = bytes.get(usize::try_from(taken).unwrap_or(usize::MAX)..).unwrap_or_default();
                continue;
            }
            let (first, rest) = bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest));
            self.head.push(first);
            bytes = rest;
            if self.head.ends_with(HEAD_END) {
                let head = String::from_utf8_lossy(&std::mem::take(&mut self.head)).to_ascii_lowercase();
                self.body_left = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length:"))
                    .and_then(|length| length.trim().parse().ok())
                    .unwrap_or(0);
                self.is_content = CONTENT.iter().any(|path| head.lines().next().unwrap_or("").contains(path));
            }
        }
        content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bodies_of_content_count_however_the_stream_is_split() {
        let stream = b"GET /api/v1/sync/head HTTP/1.1\r\nHost: a\r\n\r\n\
            POST /api/v1/files HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello\
            POST /api/v1/auth/device-token HTTP/1.1\r\ncontent-length: 3\r\n\r\nkey\
            PATCH /api/v1/files/1 HTTP/1.1\r\nContent-Length: 9\r\n\r\ncut";
        for step in [1, 7, stream.len()] {
            let mut requests = Requests::default();
            let counted: u64 = stream.chunks(step).map(|bytes| requests.content_in(bytes)).sum();
            assert_eq!(counted, 8, "in steps of {step}");
        }
    }
}
