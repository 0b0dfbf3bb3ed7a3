//! Our end of a connection, which the library keeps to itself: found by what it leads to, so that an end that the server has closed is
//! noticed before a statement is sent.

use std::collections::BTreeSet;
use std::os::fd::RawFd;

use ferry_core::config::Address;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockaddrStorage, getpeername, getsockname, recv};

/// The sockets of this process that lead to `address`, or at least to its port.
pub(super) fn all_to(address: &Address) -> BTreeSet<RawFd> {
    let Ok(files) = std::fs::read_dir("/proc/self/fd") else { return BTreeSet::new() };
    let numbers = files.filter_map(|file| file.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    numbers.filter(|number| getpeername::<SockaddrStorage>(*number).is_ok_and(|peer| leads_to(&peer, address))).collect()
}

fn leads_to(peer: &SockaddrStorage, address: &Address) -> bool {
    match address {
        Address::Tcp { port, .. } => port_of(peer) == Some(*port),
        // The folder of the socket or the socket itself.
        Address::Unix(path) => peer.as_unix_addr().and_then(|unix| unix.path()).is_some_and(|found| found.starts_with(path)),
    }
}

/// Those that joined: one, unless another thread connected at the same time.
pub(super) fn joined(before: &BTreeSet<RawFd>, after: &BTreeSet<RawFd>) -> Vec<RawFd> {
    after.difference(before).copied().collect()
}

/// Whether our side of a connection is this port.
pub(super) fn has_port(socket: RawFd, port: i64) -> bool {
    getsockname::<SockaddrStorage>(socket).ok().and_then(|own| port_of(&own)).is_some_and(|own| i64::from(own) == port)
}

fn port_of(address: &SockaddrStorage) -> Option<u16> {
    address.as_sockaddr_in().map(|v4| v4.port()).or_else(|| address.as_sockaddr_in6().map(|v6| v6.port()))
}

/// Whether the other end stands and says nothing. What speaks unasked says farewell.
pub(super) fn is_silent(socket: RawFd) -> bool {
    recv(socket, &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) == Err(Errno::EAGAIN)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn our_end_is_found_and_what_the_other_end_does_is_seen() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        let address = Address::Tcp { host: "localhost".into(), port };
        let before = all_to(&address);
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let (mut accepted, _) = server.accept().unwrap();
        assert_eq!(joined(&before, &all_to(&address)), [client.as_raw_fd()]);
        assert!(has_port(client.as_raw_fd(), i64::from(client.local_addr().unwrap().port())));
        assert!(is_silent(client.as_raw_fd()));
        accepted.write_all(b"farewell").unwrap();
        // It arrives in its own time.
        client.peek(&mut [0]).unwrap();
        assert!(!is_silent(client.as_raw_fd()));
    }
}
