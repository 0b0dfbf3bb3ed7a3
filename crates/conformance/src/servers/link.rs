//! A link to a server that breaks on demand, at a chosen side of a request.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use ferry_core::config::Address;

/// Where the link breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request never reaches the server.
    BeforeServer,
    /// The server carries it out; its answer never arrives.
    AfterServer,
}

/// Carries bytes between clients and a server on this machine, until a fault is armed.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    armed: Mutex<Option<Fault>>,
    closed: AtomicBool,
    /// Both ends of all connections, to be cut.
    open: Mutex<Vec<TcpStream>>,
}

impl Link {
    /// A link to the server on this port of the loopback.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared::default());
        let inside = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, port, &inside));
        Self { address, shared }
    }

    /// Where clients connect.
    pub fn address(&self) -> Address {
        Address::Tcp { host: self.address.ip().to_string(), port: self.address.port() }
    }

    /// Breaks the connection of the next request, whichever client sends it. Later connections are whole again.
    pub fn break_next(&self, fault: Fault) {
        *self.shared.armed.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    /// Breaks every connection at once. Later ones are whole again.
    pub fn cut(&self) {
        for end in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // One that is closed already is what we want.
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// Whether an armed fault still waits for its request.
    pub fn is_armed(&self) -> bool {
        self.shared.armed.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, so that it sees the flag.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, port: u16, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.closed.load(Ordering::SeqCst) {
            return;
        }
        // A client that hangs up before we look, or a dead server: the client sees a closed socket, as it would without us.
        let Ok(client) = client else { continue };
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
        carry(client, server, shared);
    }
}

fn carry(client: TcpStream, server: TcpStream, shared: &Arc<Shared>) {
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (Ok(client_too), Ok(server_too)) = (client.try_clone(), server.try_clone()) else { return };
    if let (Ok(client), Ok(server)) = (client.try_clone(), server.try_clone()) {
        shared.open.lock().unwrap_or_else(PoisonError::into_inner).extend([client, server]);
    }
    let swallow = Arc::new(AtomicBool::new(false));
    let (shared, swallow_too) = (Arc::clone(shared), Arc::clone(&swallow));
    thread::spawn(move || {
        pump(client, server, || match shared.armed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(Fault::BeforeServer) => false,
            Some(Fault::AfterServer) => {
                swallow_too.store(true, Ordering::SeqCst);
                true
            }
            None => true,
        });
    });
    thread::spawn(move || pump(server_too, client_too, || !swallow.load(Ordering::SeqCst)));
}

/// Copies until one side ends or `may_pass` refuses a chunk; then both sides are closed.
fn pump(mut from: TcpStream, mut to: TcpStream, may_pass: impl Fn() -> bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length) = from.read(&mut buffer) {
        if length == 0 || !may_pass() || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
