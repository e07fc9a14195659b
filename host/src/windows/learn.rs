//! What a call tells of its socket, for later ones.

use bindshim_core::attempt::{Attempt, Function};
use bindshim_core::conflict::windows::Sharing;
use windows_sys::Win32::Networking::WinSock::SOCKET;

use super::facts::is_still_there;
use super::seen::{Known, Seen};
use super::socket;

/// Brings what is known of a socket up to date when a call on it is over, and says what records
/// call the socket: which one it is of those that had its handle. `attempt` is described.
#[must_use]
pub fn cookie(seen: &Seen, socket: SOCKET, attempt: &Attempt, succeeded: bool) -> Option<u64> {
    attempt.socket.kind?;
    let just = |call| succeeded && attempt.call == call;
    let local = socket::local_address(socket);
    let before = seen.get(socket);
    // A socket is bound once, and stays where it is.
    let is_new = before.as_ref().is_some_and(|before| {
        before.bound.is_some() && (just(Function::Bind) || before.bound != local)
    });
    let same = before.as_ref().filter(|_| !is_new);
    let known = Known {
        handle: u32::try_from(socket).ok()?,
        generation: before.as_ref().map_or(0, |before| before.generation + u32::from(is_new)),
        bound: local,
        is_udp: attempt.socket.is_udp(),
        listens: just(Function::Listen) || same.is_some_and(|same| same.listens),
        v6only: attempt.socket.v6only == Some(true),
        sharing: Sharing::of(attempt.socket.reuseaddr, socket::exclusive(socket)),
    };
    if known.is_udp || attempt.socket.is_tcp() {
        seen.note(&known, |other| !is_still_there(other));
    }
    Some(known.cookie())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::windows::io::AsRawSocket;

    use bindshim_core::attempt::windows_cookie;

    use super::*;

    #[test]
    fn a_socket_keeps_its_name_and_the_next_one_gets_another() {
        let seen = Seen::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = listener.as_raw_socket() as SOCKET;
        let told = |call, succeeded| {
            let mut attempt = Attempt::new(call, 0);
            attempt.socket = socket::describe(socket);
            cookie(&seen, socket, &attempt, succeeded)
        };
        let named = |generation| Some(windows_cookie(socket as u32, generation));
        assert_eq!(told(Function::Bind, true), named(0));
        assert!(!seen.get(socket).unwrap().listens);
        assert_eq!(told(Function::Listen, true), named(0));
        assert_eq!(told(Function::Bind, false), named(0), "a second bind that failed");
        let known = seen.get(socket).unwrap();
        assert!(known.listens && is_still_there(&known));
        assert_eq!(told(Function::Bind, true), named(1), "a socket is bound once");
        assert!(!seen.get(socket).unwrap().listens);
        drop(listener);
        assert!(!is_still_there(&known));
    }
}
