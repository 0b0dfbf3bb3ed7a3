//! Our end of a connection, which the library keeps to itself: found by what it leads to, so that an end that the server has closed is
//! noticed before a statement is sent.

use std::collections::BTreeSet;
use std::os::fd::RawFd;

use ferry_core::config::Address;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockaddrStorage, getpeername, recv};

/// The sockets of this process that lead to `address`, or at least to its port.
pub(super) fn all_to(address: &Address) -> BTreeSet<RawFd> {
    let Ok(files) = std::fs::read_dir("/proc/self/fd") else { return BTreeSet::new() };
    let numbers = files.filter_map(|file| file.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    numbers.filter(|number| getpeername::<SockaddrStorage>(*number).is_ok_and(|peer| leads_to(&peer, address))).collect()
}

fn leads_to(peer: &SockaddrStorage, address: &Address) -> bool {
    match address {
        Address::Tcp { port, .. } => {
            let found = peer.as_sockaddr_in().map(|v4| v4.port()).or_else(|| peer.as_sockaddr_in6().map(|v6| v6.port()));
            found == Some(*port)
        }
        // The folder of the socket or the socket itself.
        Address::Unix(path) => peer.as_unix_addr().and_then(|unix| unix.path()).is_some_and(|found| found.starts_with(path)),
    }
}

/// The one that joined. `None` when another thread opened one at the same time.
pub(super) fn new_one(before: &BTreeSet<RawFd>, after: &BTreeSet<RawFd>) -> Option<RawFd> {
    let mut new = after.difference(before);
    new.next().copied().filter(|_| new.next().is_none())
}

/// Whether the other end stands and says nothing. What speaks unasked says farewell.
pub(super) fn is_silent(socket: RawFd) -> bool {
    recv(socket, &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) == Err(Errno::EAGAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_single_new_socket_is_ours() {
        let set = |numbers: &[RawFd]| numbers.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(new_one(&set(&[3]), &set(&[3, 7])), Some(7));
        assert_eq!(new_one(&set(&[3]), &set(&[3, 7, 8])), None);
        assert_eq!(new_one(&set(&[3]), &set(&[3])), None);
    }
}
