//! Real sockets of this process and its children, and what is found out about them.

use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bindshim_core::attempt::{Family, Function, Protocol, SocketType};
use bindshim_core::facts::Locality;
use rustix::net::{AddressFamily, SocketFlags, bind, ipproto, socket_with, sockopt};

use super::super::clock::monotonic_ns;
use super::super::memory::Mapped;
use super::*;

fn scratch() -> Mapped<Scratch> {
    Mapped::new().unwrap()
}

/// A TCP socket that is neither bound nor listens.
fn stream(family: AddressFamily) -> OwnedFd {
    socket_with(family, rustix::net::SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::TCP))
        .unwrap()
}

fn address(ip: &str, port: u16) -> Address {
    match ip.parse().unwrap() {
        core::net::IpAddr::V4(ip) => Address::V4 { ip, port },
        core::net::IpAddr::V6(ip) => Address::V6 { ip, port, scope: 0 },
    }
}

fn attempt(ip: &str, port: u16) -> Attempt {
    let mut attempt = Attempt::new(Function::Bind, 3);
    let address = address(ip, port);
    attempt.socket.family =
        Some(if matches!(address, Address::V4 { .. }) { Family::Inet } else { Family::Inet6 });
    attempt.socket.kind = Some(SocketType::Stream);
    attempt.socket.protocol = Some(Protocol::Tcp);
    attempt.socket.v6only = matches!(address, Address::V6 { .. }).then_some(false);
    attempt.address = Some(address);
    attempt
}

fn query(attempt: &Attempt, number: i32) -> Query<'_> {
    Query {
        attempt,
        code: Code::linux(number),
        pid: std::process::id(),
        fd: -1,
        deadline_ns: monotonic_ns() + 5_000_000_000,
    }
}

fn gathered(query: &Query<'_>) -> Facts {
    let mut facts = Facts::NONE;
    gather(query, &mut scratch(), &mut facts);
    facts
}

/// What stands in the way of a bind to `ip` and `port`.
fn in_the_way(ip: &str, port: u16) -> Facts {
    gathered(&query(&attempt(ip, port), code::EADDRINUSE))
}

/// A process that holds `socket` and nothing else that counts, until its pipe is closed.
fn keeper(socket: OwnedFd) -> Child {
    let script = "exec 3<&0; exec 0</dev/null; read line <&2";
    let (reader, writer) = std::io::pipe().unwrap();
    std::mem::forget(writer);
    Command::new("/bin/sh").args(["-c", script]).stdin(socket).stderr(reader).spawn().unwrap()
}

fn only(facts: &Facts) -> &PortSocket {
    assert_eq!((facts.sockets.len(), facts.sockets_total), (1, 1), "{facts:?}");
    assert_eq!(facts.sockets_unknown, None);
    &facts.sockets[0]
}

#[test]
fn an_own_listener_is_found() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for ip in ["127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1"] {
        let facts = in_the_way(ip, port);
        let socket = only(&facts);
        assert_eq!(socket.state, SocketState::Listen);
        assert_eq!(socket.local, address("127.0.0.1", port));
        assert_eq!(socket.cookie, Some(sockopt::socket_cookie(&listener).unwrap()));
        assert_eq!(socket.uid, Some(rustix::process::geteuid().as_raw()));
        assert_eq!((socket.remote.as_ref(), socket.expires_ms), (None, None));
        let owner = socket.owner.known().unwrap();
        assert_eq!(owner.pid, std::process::id());
        assert!(owner.is_own && owner.same_program && !owner.exiting && !owner.interpreted);
        assert_eq!(facts.reuseaddr_trial, Fact::Unknown(Why::NotAsked));
        assert!(!facts.vanished);
    }
    for ip in ["127.0.0.2", "::1"] {
        let facts = in_the_way(ip, port);
        assert_eq!((facts.sockets.len(), facts.sockets_unknown), (0, None), "{ip}");
    }
}
