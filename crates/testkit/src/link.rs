//! A link to a server that breaks on demand: at a chosen side of a request, at once, or by falling silent.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Where the link breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request never reaches the server.
    BeforeServer,
    /// The server carries it out; its answer never arrives.
    AfterServer,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// Carries bytes between clients and a server on this machine, until a fault is armed.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Where new connections lead.
    port: AtomicU16,
    armed: Mutex<Option<Fault>>,
    /// The directions in which nothing is carried, an end of stream neither.
    silent: Mutex<Vec<Direction>>,
    silence_ended: Condvar,
    /// Both sides of every connection that was ever made.
    streams: Mutex<Vec<TcpStream>>,
    connections: AtomicU32,
    closed: AtomicBool,
}

impl Shared {
    fn armed(&self) -> MutexGuard<'_, Option<Fault>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn silent(&self) -> MutexGuard<'_, Vec<Direction>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn streams(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for(&self, direction: Direction) {
        let silence_ended = self.silence_ended.wait_while(self.silent(), |silent| silent.contains(&direction));
        drop(silence_ended.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Link {
    /// A link to the server on this port of the loopback.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared { port: AtomicU16::new(port), ..Shared::default() });
        let inside = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &inside));
        Self { address, shared }
    }

    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections clients made so far.
    pub fn connections(&self) -> u32 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Breaks the connection of the next request, whichever client sends it. Later connections are whole again.
    pub fn break_next(&self, fault: Fault) {
        *self.shared.armed() = Some(fault);
    }

    /// Every connection falls silent on these directions, new ones too, and none is closed. What is sent meanwhile arrives after
    /// [`Link::open`], however late, as over a network that was split.
    pub fn silence(&self, directions: &[Direction]) {
        *self.shared.silent() = directions.to_vec();
    }

    /// Ends the silence.
    pub fn open(&self) {
        self.shared.silent().clear();
        self.shared.silence_ended.notify_all();
    }

    /// New connections lead to the server on this port; those that there are stay, as behind a load balancer.
    pub fn lead_to(&self, port: u16) {
        self.shared.port.store(port, Ordering::SeqCst);
    }

    /// Closes every connection on both sides. Later ones are whole.
    pub fn cut(&self) {
        for stream in self.shared.streams().drain(..) {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Whether an armed fault still waits for its request.
    pub fn is_armed(&self) -> bool {
        self.shared.armed().is_some()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.open();
        // Wakes the thread that accepts, so that it sees the flag.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.closed.load(Ordering::SeqCst) {
            return;
        }
        // A client that hangs up before we look, or a dead server: the client sees a closed socket, as it would without us.
        let Ok(client) = client else { continue };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let port = shared.port.load(Ordering::SeqCst);
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
        carry(client, server, shared);
    }
}

fn carry(client: TcpStream, server: TcpStream, shared: &Arc<Shared>) {
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (Ok(client_too), Ok(server_too)) = (client.try_clone(), server.try_clone()) else { return };
    shared.streams().extend([&client, &server].into_iter().filter_map(|stream| stream.try_clone().ok()));
    let swallow = Arc::new(AtomicBool::new(false));
    let (upwards, downwards, swallow_too) = (Arc::clone(shared), Arc::clone(shared), Arc::clone(&swallow));
    thread::spawn(move || {
        pump(
            client,
            server,
            || upwards.wait_for(Direction::Up),
            || match upwards.armed().take() {
                Some(Fault::BeforeServer) => false,
                Some(Fault::AfterServer) => {
                    swallow_too.store(true, Ordering::SeqCst);
                    true
                }
                None => true,
            },
        );
    });
    thread::spawn(move || {
        pump(server_too, client_too, || downwards.wait_for(Direction::Down), || !swallow.load(Ordering::SeqCst));
    });
}

/// Copies until one side ends or `may_pass` refuses a chunk; then both sides are closed. What comes, the end too, first has to `wait`.
fn pump(mut from: TcpStream, mut to: TcpStream, wait: impl Fn(), may_pass: impl Fn() -> bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length) = from.read(&mut buffer) {
        wait();
        if length == 0 || !may_pass() || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
