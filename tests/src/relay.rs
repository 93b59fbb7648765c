//! A bad link on purpose: a TCP relay with a rate, a delay and cuts, all in user space.
//!
//! Every connection through a relay shares its rate, as devices share a line. A cut closes every
//! connection at once, both ways, in the middle of whatever was being said; whoever connects
//! afterwards is served again.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// Bytes taken at once where no rate asks for less.
const CHUNK_BYTES: usize = 16 * 1024;

/// Chunks that are in flight one way before the relay stops reading: what a long line holds.
const CHUNKS_IN_FLIGHT: usize = 64;

/// What is wrong with a link. The default is a good one.
#[derive(Debug, Clone, Default)]
pub struct Link {
    /// Bits per second each way; `None` is as fast as it goes.
    pub rate_bits_per_s: Option<u64>,
    /// Time for a byte to go there and back.
    pub round_trip: Duration,
    /// Cuts after so many bytes have gone from clients to the server, in rising order.
    pub cuts_up_bytes: Vec<u64>,
    /// Cuts after so many bytes have gone from the server to clients, in rising order.
    pub cuts_down_bytes: Vec<u64>,
}

impl Link {
    /// Adds `count` cuts somewhere in a range of bytes, some in requests and some in answers.
    #[must_use]
    pub fn cut_at_random(
        mut self,
        random: &mut fastrand::Rng,
        count: usize,
        up: Range<u64>,
        down: Range<u64>,
    ) -> Self {
        for _ in 0..count {
            if random.bool() {
                self.cuts_up_bytes.push(random.u64(up.clone()));
            } else {
                self.cuts_down_bytes.push(random.u64(down.clone()));
            }
        }
        self.cuts_up_bytes.sort_unstable();
        self.cuts_down_bytes.sort_unstable();
        self
    }
}

/// A relay in front of one server, until it is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: Mutex<SocketAddr>,
    up: Way,
    down: Way,
    one_way: Duration,
    connections: AtomicU64,
    cuts: AtomicU64,
    ended: AtomicBool,
    /// False while the line is dead: connections are closed as they come.
    alive: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

/// One direction of the line, shared by its connections.
#[derive(Debug)]
struct Way {
    rate_bits_per_s: Option<u64>,
    state: Mutex<WayState>,
}

#[derive(Debug)]
struct WayState {
    /// When the line has sent what was given to it.
    free_at: Instant,
    carried_bytes: u64,
    /// The next one last.
    cuts_bytes: Vec<u64>,
}

/// What follows from giving a chunk to the line.
#[derive(Debug, PartialEq, Eq)]
struct Passage {
    /// When its last byte has left.
    sent_at: Instant,
    /// How much of it gets through.
    length: usize,
    /// Whether the line is cut after that.
    cut: bool,
}

/// Something under way in one direction of one connection.
enum Parcel {
    Bytes { due_at: Instant, bytes: Vec<u8> },
    Cut { due_at: Instant },
}

impl Relay {
    /// Relays a free local port to `upstream`.
    #[must_use]
    pub fn start(upstream: SocketAddr, link: Link) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream),
            up: Way::new(link.rate_bits_per_s, link.cuts_up_bytes),
            down: Way::new(link.rate_bits_per_s, link.cuts_down_bytes),
            one_way: link.round_trip / 2,
            connections: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            alive: AtomicBool::new(true),
            open: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { address, shared }
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client is told to connect to.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Bytes that left clients over the line, those lost in a cut included.
    #[must_use]
    pub fn bytes_up(&self) -> u64 {
        self.shared.up.carried_bytes()
    }

    /// Bytes that left the server over the line, those lost in a cut included.
    #[must_use]
    pub fn bytes_down(&self) -> u64 {
        self.shared.down.carried_bytes()
    }

    /// Connections that clients made.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Cuts that happened.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::SeqCst)
    }

    /// Cuts the line now.
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// Cuts the line once more, after so many further bytes have left clients.
    pub fn cut_after_up(&self, bytes: u64) {
        self.shared.up.cut_after(bytes);
    }

    /// Cuts the line once more, after so many further bytes have left the server.
    pub fn cut_after_down(&self, bytes: u64) {
        self.shared.down.cut_after(bytes);
    }

    /// Calls off the cuts that are still to come.
    pub fn spare(&self) {
        for way in [&self.shared.up, &self.shared.down] {
            way.state.lock().expect("the line").cuts_bytes.clear();
        }
    }

    /// Lets the line lie dead, or brings it back. Going dead is a cut.
    pub fn set_alive(&self, alive: bool) {
        self.shared.alive.store(alive, Ordering::SeqCst);
        if !alive {
            self.shared.cut();
        }
    }

    /// Leads later connections to another address.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        *self.shared.upstream.lock().expect("the address") = upstream;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.close_all();
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn cut(&self) {
        self.cuts.fetch_add(1, Ordering::SeqCst);
        self.close_all();
    }

    fn close_all(&self) {
        for stream in self.open.lock().expect("the connections").drain(..) {
            // Most were closed by their peers already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Way {
    fn new(rate_bits_per_s: Option<u64>, mut cuts_bytes: Vec<u64>) -> Self {
        cuts_bytes.sort_unstable_by(|a, b| b.cmp(a));
        let state = WayState { free_at: Instant::now(), carried_bytes: 0, cuts_bytes };
        Self { rate_bits_per_s, state: Mutex::new(state) }
    }

    fn carried_bytes(&self) -> u64 {
        self.state.lock().expect("the line").carried_bytes
    }

    fn cut_after(&self, bytes: u64) {
        let mut state = self.state.lock().expect("the line");
        let at = state.carried_bytes + bytes;
        state.cuts_bytes.push(at);
        state.cuts_bytes.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// About 20 ms of the line, so that a cut or another connection need not wait long.
    fn chunk_bytes(&self) -> usize {
        self.rate_bits_per_s
            .and_then(|rate| usize::try_from(rate / 8 / 50).ok())
            .map_or(CHUNK_BYTES, |bytes| bytes.clamp(64, CHUNK_BYTES))
    }

    fn pass(&self, length: usize, now: Instant) -> Passage {
        self.state.lock().expect("the line").pass(length, self.rate_bits_per_s, now)
    }
}

impl WayState {
    fn pass(&mut self, length: usize, rate_bits_per_s: Option<u64>, now: Instant) -> Passage {
        let until_cut = self.cuts_bytes.last().map(|at| at.saturating_sub(self.carried_bytes));
        let cut = until_cut.is_some_and(|left| left <= length as u64);
        let length = match until_cut {
            Some(left) if cut => usize::try_from(left).unwrap_or(length),
            _ => length,
        };
        if cut {
            self.cuts_bytes.pop();
        }
        self.carried_bytes += length as u64;
        let takes = rate_bits_per_s
            .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(length as f64 * 8.0 / rate as f64));
        self.free_at = self.free_at.max(now) + takes;
        Passage { sent_at: self.free_at, length, cut }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((client, _)) = listener.accept() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        if !shared.alive.load(Ordering::SeqCst) {
            continue;
        }
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // A server that is not there looks as it would without the relay: the connection closes.
            let _ = connect(client, &shared);
        });
    }
}

fn connect(client: TcpStream, shared: &Arc<Shared>) -> std::io::Result<()> {
    // The handshake of the line itself takes a round trip.
    std::thread::sleep(shared.one_way * 2);
    let upstream = *shared.upstream.lock().expect("the address");
    let server = TcpStream::connect(upstream)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    shared.open.lock().expect("the connections").extend([client.try_clone()?, server.try_clone()?]);
    carry(client.try_clone()?, server.try_clone()?, shared, |shared| &shared.up);
    carry(server, client, shared, |shared| &shared.down);
    Ok(())
}

/// Carries one direction of a connection on two threads: one gives bytes to the line at its rate,
/// the other hands them over after the delay.
fn carry(mut from: TcpStream, mut to: TcpStream, shared: &Arc<Shared>, way: fn(&Shared) -> &Way) {
    let (line, arrivals) = mpsc::sync_channel(CHUNKS_IN_FLIGHT);
    let sending = Arc::clone(shared);
    std::thread::spawn(move || {
        let way = way(&sending);
        let mut buffer = vec![0; way.chunk_bytes()];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let passage = way.pass(length, Instant::now());
            sleep_until(passage.sent_at);
            let due_at = passage.sent_at + sending.one_way;
            let bytes = buffer.get(..passage.length).unwrap_or_default().to_vec();
            if line.send(Parcel::Bytes { due_at, bytes }).is_err() {
                return;
            }
            if passage.cut {
                // When the other thread is gone, so is the connection.
                let _ = line.send(Parcel::Cut { due_at });
                return;
            }
        }
    });
    let receiving = Arc::clone(shared);
    std::thread::spawn(move || {
        for parcel in arrivals {
            match parcel {
                Parcel::Bytes { due_at, bytes } => {
                    sleep_until(due_at);
                    if to.write_all(&bytes).is_err() {
                        break;
                    }
                }
                Parcel::Cut { due_at } => {
                    sleep_until(due_at);
                    receiving.cut();
                    return;
                }
            }
        }
        // The sender said all it had to say; the other direction goes on.
        let _ = to.shutdown(Shutdown::Write);
    });
}

fn sleep_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers with what it gets.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut copy = stream.try_clone().unwrap();
                    let _ = std::io::copy(&mut stream, &mut copy);
                    let _ = copy.shutdown(Shutdown::Write);
                });
            }
        });
        address
    }

    fn exchange(relay: &Relay, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let bytes = bytes.to_vec();
        let sending = std::thread::spawn(move || {
            // A cut makes it fail.
            let _ = writer.write_all(&bytes);
            let _ = writer.shutdown(Shutdown::Write);
        });
        let mut back = Vec::new();
        // Bytes that came before a reset are kept in `back`.
        let _ = stream.read_to_end(&mut back);
        sending.join().unwrap();
        back
    }

    #[test]
    fn a_line_takes_its_time_and_is_cut_where_it_should_be() {
        let start = Instant::now();
        let mut state = WayState { free_at: start, carried_bytes: 0, cuts_bytes: vec![1_500] };
        let second = Duration::from_secs(1);
        let whole = Passage { sent_at: start + second, length: 1_000, cut: false };
        assert_eq!(state.pass(1_000, Some(8_000), start), whole);
        let part = Passage { sent_at: start + second * 3 / 2, length: 500, cut: true };
        assert_eq!(state.pass(1_000, Some(8_000), start), part);
        let fast = Passage { sent_at: start + second * 9, length: 10, cut: false };
        assert_eq!(state.pass(10, None, start + second * 9), fast);
    }

    #[test]
    fn a_good_line_carries_everything() {
        let relay = Relay::start(echo(), Link::default());
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        assert!(exchange(&relay, &bytes) == bytes);
        assert_eq!((relay.bytes_up(), relay.bytes_down()), (1_000_000, 1_000_000));
        assert_eq!((relay.connections(), relay.cuts()), (1, 0));
    }

    #[test]
    fn a_slow_line_is_no_faster_than_it_says() {
        let link = Link {
            rate_bits_per_s: Some(400_000),
            round_trip: Duration::from_millis(100),
            ..Link::default()
        };
        let relay = Relay::start(echo(), link);
        let started = Instant::now();
        assert_eq!(exchange(&relay, &[5; 10_000]).len(), 10_000);
        // The handshake, 10,000 bytes at 50,000 a second, and there and back.
        assert!(started.elapsed() >= Duration::from_millis(400), "{:?}", started.elapsed());
    }

    #[test]
    fn a_cut_comes_at_its_byte_and_the_line_serves_again() {
        let link = Link { cuts_up_bytes: vec![70_000], cuts_down_bytes: vec![150_000], ..Link::default() };
        let relay = Relay::start(echo(), link);
        assert!(exchange(&relay, &[1; 100_000]).len() <= 70_000);
        assert_eq!((relay.bytes_up(), relay.cuts()), (70_000, 1));
        assert!(exchange(&relay, &[1; 200_000]).len() < 200_000);
        assert_eq!((relay.bytes_down(), relay.cuts()), (150_000, 2));
        assert_eq!(exchange(&relay, &[1; 1_000]).len(), 1_000);
        relay.cut_after_up(500);
        assert!(exchange(&relay, &[1; 1_000]).len() <= 500);
        relay.cut_after_down(500);
        relay.spare();
        assert_eq!((exchange(&relay, &[1; 1_000]).len(), relay.cuts()), (1_000, 3));
        relay.set_alive(false);
        assert_eq!(exchange(&relay, &[1; 1_000]).len(), 0);
        relay.set_alive(true);
        assert_eq!(exchange(&relay, &[1; 1_000]).len(), 1_000);
    }
}
