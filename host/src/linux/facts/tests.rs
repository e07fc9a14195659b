//! Real sockets of this process and its children, and what is found out about them.

mod connections;

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use bindshim_core::attempt::{Family, Function, Protocol, SocketType};
use bindshim_core::facts::Locality;
use bindshim_core::text::Text;
use rustix::net::{AddressFamily, SocketFlags, ipproto, socket_with, sockopt};

use super::super::clock::monotonic_ns;
use super::super::turns::turn;
use bindshim_core::facts::{Options, PortSocket};

use super::*;
use crate::memory::Mapped;

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
        tid: rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs(),
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

/// A socket that is bound and does not listen, and its port.
fn bound(reuseaddr: bool) -> (OwnedFd, u16) {
    let socket = stream(AddressFamily::INET);
    sockopt::set_socket_reuseaddr(&socket, reuseaddr).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let port = SocketAddr::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap().port();
    (socket, port)
}

#[test]
fn options_are_those_of_own_sockets() {
    let _turn = turn();
    for reuseaddr in [false, true] {
        let expected = Fact::Known(Options { reuseaddr, reuseport: false });
        let (socket, port) = bound(reuseaddr);
        assert_eq!(in_the_way("127.0.0.1", port).sockets[0].options, expected);
        let _keeper = Keeper::of(socket, "");
        let theirs = in_the_way("127.0.0.1", port).sockets[0].options;
        assert_eq!(theirs, Fact::Unknown(Why::NotAsked));
    }
}

/// A shell that has `socket` as descriptor 3, runs a script, and waits until it is dropped.
struct Keeper(Child, #[expect(dead_code, reason = "closed when dropped")] std::io::PipeWriter);

impl Keeper {
    fn of(socket: impl Into<OwnedFd>, script: &str) -> Self {
        let script = format!("exec 3<&0; {script}\n read line <&2");
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script]).stdin(socket.into()).stderr(reader);
        let keeper = Self(command.spawn().unwrap(), writer);
        keeper.wait_until(|| {
            let link = std::fs::read_link(format!("/proc/{}/fd/0", keeper.0.id()));
            link.is_ok_and(|link| link.to_string_lossy().starts_with("pipe:"))
        });
        keeper
    }

    fn wait_until(&self, is_so: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        while !is_so() {
            assert!(Instant::now() < end, "still waiting for {}", self.0.id());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A TCP socket bound to a free port of 127.0.0.1, and that port.
fn bound_socket(reuseaddr: bool) -> (OwnedFd, u16) {
    let socket = stream(AddressFamily::INET);
    sockopt::set_socket_reuseaddr(&socket, reuseaddr).unwrap();
    rustix::net::bind(&socket, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
    let local = SocketAddr::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap();
    (socket, local.port())
}

fn listener(reuseaddr: bool) -> (TcpListener, u16) {
    let (socket, port) = bound_socket(reuseaddr);
    rustix::net::listen(&socket, 8).unwrap();
    (TcpListener::from(socket), port)
}

fn only(facts: &Facts) -> &PortSocket {
    assert_eq!((facts.sockets.len(), facts.sockets_total), (1, 1), "{facts:?}");
    assert_eq!(facts.sockets_unknown, None);
    &facts.sockets[0]
}

#[test]
fn an_own_listener_is_found() {
    let _turn = turn();
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
        assert!(!facts.vanishing);
    }
    for ip in ["127.0.0.2", "::1"] {
        let facts = in_the_way(ip, port);
        assert_eq!((facts.sockets.len(), facts.sockets_unknown), (0, None), "{ip}");
    }
}

#[test]
fn a_dual_stack_listener_is_in_the_way_of_both_families() {
    let _turn = turn();
    for (v6only, attempts) in [
        (false, [("0.0.0.0", 1), ("127.0.0.1", 1), ("::", 1), ("::1", 1), ("::ffff:127.0.0.1", 1)]),
        (true, [("0.0.0.0", 0), ("127.0.0.1", 0), ("::", 1), ("::1", 1), ("::ffff:127.0.0.1", 0)]),
    ] {
        // A port that is free in both families: for itself the second kind of socket asks of one only.
        let local = TcpListener::bind("[::]:0").unwrap().local_addr().unwrap();
        let socket = stream(AddressFamily::INET6);
        sockopt::set_ipv6_v6only(&socket, v6only).unwrap();
        rustix::net::bind(&socket, &local).unwrap();
        rustix::net::listen(&socket, 1).unwrap();
        for (ip, count) in attempts {
            let facts = in_the_way(ip, local.port());
            assert_eq!(facts.sockets.len(), count, "{ip} against v6only {v6only}");
            assert_eq!(facts.sockets_unknown, None);
        }
        let mut v6only_attempt = attempt("::", local.port());
        v6only_attempt.socket.v6only = Some(true);
        assert_eq!(gathered(&query(&v6only_attempt, code::EADDRINUSE)).sockets.len(), 1);
    }
}

#[test]
fn several_listeners_are_in_the_way_of_a_wildcard() {
    let _turn = turn();
    let (first, port) = listener(false);
    let second = TcpListener::bind(("127.0.0.2", port)).unwrap();
    let facts = in_the_way("0.0.0.0", port);
    assert_eq!((facts.sockets.len(), facts.sockets_total), (2, 2));
    assert_eq!(only(&in_the_way("127.0.0.2", port)).local, address("127.0.0.2", port));
    drop((first, second));
}

#[test]
fn only_what_shares_by_reuseport_is_walked_for_all_listeners() {
    let _turn = turn();
    let shared = |port| {
        let socket = stream(AddressFamily::INET);
        sockopt::set_socket_reuseport(&socket, true).unwrap();
        rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        rustix::net::listen(&socket, 1).unwrap();
        socket
    };
    let first = TcpListener::from(shared(0));
    let port = first.local_addr().unwrap().port();
    let others: Vec<_> = (0..11).map(|_| shared(port)).collect();
    let mut attempt = attempt("127.0.0.1", port);
    attempt.socket.reuseport = Some(true);
    let facts = gathered(&query(&attempt, code::EADDRINUSE));
    assert_eq!((facts.sockets.len(), facts.sockets_total), (8, 12));
    assert!(facts.sockets.iter().all(|socket| socket.owner.known().is_some_and(|o| o.is_own)));
    drop(others);
}

#[test]
fn a_listener_of_another_process_is_found() {
    let _turn = turn();
    let (socket, port) = listener(false);
    let keeper = Keeper::of(socket, ":");
    let facts = in_the_way("0.0.0.0", port);
    let owner = only(&facts).owner.known().unwrap();
    assert_eq!(owner.pid, keeper.0.id());
    assert!(!owner.is_own && !owner.same_program && !owner.exiting);
    let shell = std::fs::canonicalize("/bin/sh").unwrap();
    assert_eq!(owner.program.unwrap().as_str(), shell.to_str().unwrap());
    assert_eq!((owner.script, owner.uid), (None, Some(rustix::process::geteuid().as_raw())));
    if owner.uid == Some(0) {
        assert_eq!(owner.user.unwrap().as_str(), "root");
    }
    // As the kernel's tables show it from another process.
    let attempt = attempt("0.0.0.0", port);
    let of_keeper =
        Query { pid: keeper.0.id(), tid: keeper.0.id(), ..query(&attempt, code::EADDRINUSE) };
    let facts = gathered(&of_keeper);
    assert!(only(&facts).owner.known().unwrap().is_own);
}

#[test]
fn the_eldest_of_those_that_inherited_a_listener_is_its_owner() {
    let _turn = turn();
    let (socket, port) = listener(false);
    let keeper = Keeper::of(socket, "sleep 60 <&3 &");
    let children = format!("/proc/{0}/task/{0}/children", keeper.0.id());
    keeper.wait_until(|| std::fs::read_to_string(&children).is_ok_and(|c| !c.is_empty()));
    for _ in 0..3 {
        assert_eq!(only(&in_the_way("127.0.0.1", port)).owner.known().unwrap().pid, keeper.0.id());
    }
    let child = std::fs::read_to_string(&children).unwrap().trim().to_owned();
    drop(keeper);
    let left = in_the_way("127.0.0.1", port);
    assert_eq!(only(&left).owner.known().unwrap().pid.to_string(), child);
    Command::new("kill").arg(child).status().unwrap();
}

#[test]
fn an_own_listener_is_own_also_where_others_inherited_it() {
    let _turn = turn();
    let (socket, port) = listener(false);
    let _keeper = Keeper::of(socket.try_clone().unwrap(), ":");
    assert!(only(&in_the_way("127.0.0.1", port)).owner.known().unwrap().is_own);
}

#[test]
fn a_socket_with_a_high_number_is_found() {
    let _turn = turn();
    let (socket, port) = listener(false);
    let high = rustix::io::fcntl_dupfd_cloexec(&socket, 300).unwrap();
    drop(socket);
    assert!(only(&in_the_way("127.0.0.1", port)).owner.known().unwrap().is_own);
    let keeper = Keeper::of(high, "exec 9<&3; exec 3<&-");
    assert_eq!(only(&in_the_way("127.0.0.1", port)).owner.known().unwrap().pid, keeper.0.id());
}

#[test]
fn a_bound_socket_is_found_and_guarded() {
    let _turn = turn();
    let (socket, port) = bound_socket(true);
    let attempt = attempt("0.0.0.0", port);
    let query = query(&attempt, code::EADDRINUSE);
    let facts = gathered(&query);
    assert_eq!(only(&facts).state, SocketState::Bound);
    assert!(only(&facts).owner.known().unwrap().is_own);
    assert_eq!(facts.reuseaddr_trial, Fact::Unknown(Why::NotAsked));
    assert_eq!(port_is_bound_elsewhere(&query, &mut scratch()), Fact::Known(false));
    let keeper = Keeper::of(socket, ":");
    assert_eq!(port_is_bound_elsewhere(&query, &mut scratch()), Fact::Known(true));
    let facts = gathered(&query);
    assert_eq!(only(&facts).owner.known().unwrap().pid, keeper.0.id());
    drop(keeper);
    assert_eq!(port_is_bound_elsewhere(&query, &mut scratch()), Fact::Known(false));
    assert_eq!(gathered(&query).sockets_total, 0);
}

#[test]
fn the_socket_of_the_attempt_does_not_stand_in_its_own_way() {
    let _turn = turn();
    let (socket, port) = bound_socket(false);
    let mut attempt = attempt("127.0.0.1", port);
    attempt.call = Function::Listen;
    attempt.socket.cookie = Some(sockopt::socket_cookie(&socket).unwrap());
    let facts = gathered(&query(&attempt, code::EADDRINUSE));
    assert_eq!((facts.sockets_total, facts.sockets_unknown), (0, None));
}

#[test]
fn udp_sockets_are_found() {
    let _turn = turn();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut attempt = attempt("0.0.0.0", port);
    attempt.socket.protocol = Some(Protocol::Udp);
    attempt.socket.kind = Some(SocketType::Datagram);
    let facts = gathered(&query(&attempt, code::EADDRINUSE));
    assert_eq!(only(&facts).state, SocketState::Udp);
    assert!(only(&facts).owner.known().unwrap().is_own);
    assert_eq!(facts.reuseaddr_trial, Fact::Unknown(Why::NotAsked));
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(peer.local_addr().unwrap()).unwrap();
    let facts = gathered(&query(&attempt, code::EADDRINUSE));
    let peer = peer.local_addr().unwrap().port();
    assert_eq!(only(&facts).remote, Some(address("127.0.0.1", peer)));
}

#[test]
fn what_has_no_port_is_not_looked_up() {
    let _turn = turn();
    let udp_lite = {
        let mut attempt = attempt("127.0.0.1", 80);
        attempt.socket.protocol = Some(Protocol::Other(136));
        attempt
    };
    let mut path = Attempt::new(Function::Bind, 3);
    path.address = Some(Address::Path("/run/a".into()));
    let chosen = gathered(&query(&attempt("127.0.0.1", 0), code::EADDRINUSE));
    assert_eq!(Facts { ephemeral: chosen.ephemeral, ..Facts::NONE }, chosen);
    assert!(chosen.ephemeral.known().is_some_and(|(first, last)| first < last));
    for attempt in [udp_lite, path, Attempt::new(Function::Bind, 3)] {
        assert_eq!(gathered(&query(&attempt, code::EADDRINUSE)), Facts::NONE);
        let elsewhere = port_is_bound_elsewhere(&query(&attempt, 0), &mut scratch());
        assert_eq!(elsewhere, Fact::Unknown(Why::NotAsked));
    }
    let attempt = attempt("127.0.0.1", 80);
    for number in [code::ENOPROTOOPT, code::EFAULT, code::EAFNOSUPPORT] {
        let mut facts = gathered(&query(&attempt, number));
        assert_eq!(facts.rights.filter_refuses, Fact::Known(false));
        facts.rights = Facts::NONE.rights;
        assert_eq!(facts, Facts::NONE);
    }
    let windows = Query { code: Code::windows(10048), ..query(&attempt, 0) };
    assert_eq!(gathered(&windows), Facts::NONE);
}

#[test]
fn the_budget_ends_a_look_up() {
    let _turn = turn();
    let (_listener, port) = listener(false);
    let attempt = attempt("127.0.0.1", port);
    let late = Query { deadline_ns: monotonic_ns(), ..query(&attempt, code::EADDRINUSE) };
    assert_eq!(gathered(&late).sockets_unknown, Some(Why::Budget));
    assert_eq!(port_is_bound_elsewhere(&late, &mut scratch()), Fact::Unknown(Why::Budget));
}

#[test]
fn a_privilege_is_known() {
    let _turn = turn();
    let attempt = attempt("127.0.0.1", 80);
    let facts = gathered(&query(&attempt, code::EACCES));
    assert!(facts.unprivileged_from.known().is_some());
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        assert_eq!(facts.can_bind_privileged, Fact::Known(false));
    }
    assert!(facts.can_bind_privileged.known().is_some());
    assert_eq!(facts.sockets_unknown, None);
}

#[test]
fn an_address_is_looked_up() {
    let _turn = turn();
    let attempt = attempt("192.0.2.7", 80);
    let facts = gathered(&query(&attempt, code::EADDRNOTAVAIL));
    assert_eq!(facts.locality, Fact::Known(Locality::Absent));
}

#[test]
fn a_bound_socket_tells_where() {
    let _turn = turn();
    let attempt = attempt("127.0.0.1", 80);
    let (socket, port) = bound_socket(false);
    let of = |fd| gathered(&Query { fd, ..query(&attempt, code::EINVAL) }).bound;
    assert_eq!(of(socket.as_raw_fd()), Fact::Known(Some(address("127.0.0.1", port))));
    assert_eq!(of(stream(AddressFamily::INET6).as_raw_fd()), Fact::Known(None));
    let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    assert_eq!(of(one.as_raw_fd()), Fact::Known(None));
    let path = std::env::temp_dir().join(format!("bindshim-facts-{}", std::process::id()));
    let unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let named = Address::Path(Text::from(path.to_str().unwrap()));
    assert_eq!(of(unix.as_raw_fd()), Fact::Known(Some(named)));
    std::fs::remove_file(path).unwrap();
    let of_init = Query { pid: 1, tid: 1, ..query(&attempt, code::EINVAL) };
    assert_eq!(gathered(&of_init).bound, Fact::Unknown(Why::NotSupported));
}

#[test]
fn descriptors_are_told_apart() {
    let _turn = turn();
    let attempt = attempt("127.0.0.1", 80);
    let file = std::fs::File::open("/dev/null").unwrap();
    let socket = stream(AddressFamily::INET);
    let keeper = Keeper::of(socket.try_clone().unwrap(), ":");
    let own = std::process::id();
    for (pid, fd, descriptor) in [
        (own, file.as_raw_fd(), Descriptor::NotASocket),
        (own, socket.as_raw_fd(), Descriptor::Socket),
        (own, 999_999, Descriptor::Closed),
        (own, -1, Descriptor::Closed),
        (keeper.0.id(), 0, Descriptor::NotASocket),
        (keeper.0.id(), 3, Descriptor::Socket),
        (keeper.0.id(), 999_999, Descriptor::Closed),
    ] {
        let query = Query { pid, fd, ..query(&attempt, code::EBADF) };
        assert_eq!(gathered(&query).descriptor, Fact::Known(descriptor), "{pid} {fd}");
    }
}
