//! Two sockets that want one port: what is predicted of them, and what the kernel says.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};

use bindshim_core::address::Address as Asked;
use bindshim_core::attempt::Family;
use bindshim_core::conflict::Reach;
use bindshim_core::conflict::linux::Sharing;
use bindshim_core::facts::SocketState;
use bindshim_tests::wait;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, Shutdown, SocketFlags, SocketType, accept_with, addr, bind, connect,
    getsockname, listen, recv, shutdown, socket_with, sockopt,
};

/// An address, and on which kind of socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    pub(super) family: Family,
    pub(super) ip: &'static str,
    pub(super) v6only: bool,
}

/// What decides over sharing. The user is that of whoever makes the socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) reuseaddr: bool,
    pub(super) reuseport: bool,
    pub(super) user: u32,
}

/// A socket as a program makes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) address: Address,
    pub(super) options: Options,
    /// 0 none, 1 loopback, 2 another interface.
    pub(super) device: u32,
}

/// How the first socket has the port when the second one asks for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Holding {
    /// It was bound, and is closed.
    Closed,
    /// It is bound.
    Bound,
    /// It listens; a UDP socket takes datagrams.
    Listening,
    /// It was accepted by a listener that is closed.
    Accepted,
    /// The same, and its peer has closed.
    PeerClosed,
    /// The same, and it has closed its own side alone.
    HalfClosed,
    /// The same, and it is closed, but its peer has not noticed yet.
    Orphan,
    /// The same, and both have closed.
    TimeWait,
    /// It was bound, and has connected to somebody.
    Client,
    /// It has connected to somebody, and got its port from the kernel.
    UnboundClient,
}

impl Holding {
    pub(super) const ALL: &[Self] = &[
        Self::Closed,
        Self::Bound,
        Self::Listening,
        Self::Accepted,
        Self::PeerClosed,
        Self::HalfClosed,
        Self::Orphan,
        Self::TimeWait,
        Self::Client,
        Self::UnboundClient,
    ];

    pub(super) fn is_connection(self) -> bool {
        !matches!(self, Self::Closed | Self::Bound | Self::Listening)
    }
}

impl Plan {
    /// As a socket whose packets come in by loopback.
    pub(super) fn on_loopback(mut self) -> Self {
        self.device = self.device.min(1);
        self
    }

    /// A socket of this kind, with its options.
    fn socket(&self, udp: bool) -> OwnedFd {
        let (family, level, free) = match self.address.family {
            Family::Inet => (AddressFamily::INET, libc::IPPROTO_IP, libc::IP_FREEBIND),
            _ => (AddressFamily::INET6, libc::IPPROTO_IPV6, libc::IPV6_FREEBIND),
        };
        let kind = if udp { SocketType::DGRAM } else { SocketType::STREAM };
        let user = User::become_one(self.options.user);
        let socket = new_socket(family, kind);
        drop(user);
        sockopt::set_socket_reuseaddr(&socket, self.options.reuseaddr).expect("SO_REUSEADDR");
        sockopt::set_socket_reuseport(&socket, self.options.reuseport).expect("SO_REUSEPORT");
        if family == AddressFamily::INET6 {
            sockopt::set_ipv6_v6only(&socket, self.address.v6only).expect("IPV6_V6ONLY");
        }
        set(&socket, level, free, 1);
        set(&socket, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, self.device.cast_signed());
        socket
    }

    fn at(&self, port: u16) -> SocketAddr {
        self.with_scope(self.address.ip.parse().expect("an address"), port)
    }

    fn with_scope(&self, ip: IpAddr, port: u16) -> SocketAddr {
        match ip {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => {
                SocketAddrV6::new(v6, port, 0, self.device).into()
            }
            ip => (ip, port).into(),
        }
    }

    /// As the prediction sees it before it is bound.
    fn reach(&self) -> Reach {
        let address = asked(self.at(1));
        Reach::of(&address, self.address.v6only, self.device).expect("an internet address")
    }

    /// Where a client of this socket connects to: what takes both families in turn.
    fn reached_at(&self, port: u16) -> SocketAddr {
        let ip: IpAddr = match self.address.ip.parse().expect("an address") {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip)
                if ip.is_unspecified() && (self.address.v6only || port.is_multiple_of(2)) =>
            {
                Ipv6Addr::LOCALHOST.into()
            }
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(),
            IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some_and(|ip| ip.is_unspecified()) => {
                Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()
            }
            ip => ip,
        };
        self.with_scope(ip, port)
    }
}

/// Two sockets, the first of which has a port that the second one asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) udp: bool,
    pub(super) holder: Plan,
    pub(super) holding: Holding,
    pub(super) asked: Plan,
    /// Whether the kernel is to choose the port (port 0), while it has only this one; and then the
    /// value of `net.ipv4.ip_autobind_reuse`.
    pub(super) chosen: Option<bool>,
}

/// What bind and listen give; a socket that is not bound does not listen, nor does a UDP one.
type Answers = (Result<(), Errno>, Option<Result<(), Errno>>);

impl Pair {
    /// What is predicted, and what the kernel says.
    pub(super) fn try_at(&self, port: u16) -> (Answers, Answers) {
        let held = Held::make(self, port);
        let seen = match self.chosen {
            Some(reuse) => {
                setting("ip_autobind_reuse", if reuse { "1" } else { "0" });
                with_only(port, || self.ask(0))
            }
            None => self.ask(port),
        };
        (self.predict(&held), seen)
    }

    fn ask(&self, port: u16) -> Answers {
        let socket = self.asked.socket(self.udp);
        let bound = bind(&socket, &self.asked.at(port));
        let listens = bound.is_ok() && !self.udp;
        (bound, listens.then(|| listen(&socket, 1)))
    }

    fn predict(&self, held: &Held) -> Answers {
        let ours = self.asked.options;
        let ours = Sharing {
            reuseaddr: Some(ours.reuseaddr),
            reuseport: Some(ours.reuseport),
            uid: Some(ours.user),
        };
        let Some(Remains { reach, sharing, state }) = &held.remains else {
            return (Ok(()), (!self.udp).then_some(Ok(())));
        };
        let overlaps = self.asked.reach().overlaps(reach);
        let answer = |refused: Option<bool>| {
            let refused = refused.expect("all that decides is known");
            if overlaps && refused { Err(Errno::ADDRINUSE) } else { Ok(()) }
        };
        let asked_for = answer(ours.is_refused_by(sharing, *state));
        let bound = match self.chosen {
            Some(reuse) => answer(ours.is_not_chosen_beside(sharing, *state, reuse)),
            None => asked_for,
        };
        (bound, (bound.is_ok() && !self.udp).then_some(asked_for))
    }
}

/// What has the port, as the kernel describes it.
struct Remains {
    reach: Reach,
    sharing: Sharing,
    state: SocketState,
}

/// The first socket in its state, and whoever it needs for that.
struct Held {
    remains: Option<Remains>,
    _open: Vec<OwnedFd>,
}

impl Held {
    fn make(pair: &Pair, port: u16) -> Self {
        let (plan, udp) = (&pair.holder, pair.udp);
        let socket = plan.socket(udp);
        let is_bound = pair.holding != Holding::UnboundClient;
        if is_bound {
            bind(&socket, &plan.at(port)).expect("nobody else is on this port");
        }
        let state = |tcp| if udp { SocketState::Udp } else { tcp };
        match pair.holding {
            Holding::Closed => Self { remains: None, _open: Vec::new() },
            Holding::Listening if !udp => {
                listen(&socket, 1).expect("nobody else is on this port");
                Self::with(remains(&socket, false, SocketState::Listen), [socket])
            }
            Holding::Bound | Holding::Listening => {
                Self::with(remains(&socket, false, state(SocketState::Bound)), [socket])
            }
            Holding::Client | Holding::UnboundClient => {
                let server = reachable(plan.reached_at(port));
                let there = getsockname(&server).expect("it is bound");
                if udp {
                    drop(server);
                    with_only(port, || connect_to(&socket, &there));
                    return Self::with(remains(&socket, true, SocketState::Udp), [socket]);
                }
                listen(&server, 1).expect("a free port");
                with_only(port, || connect_to(&socket, &there));
                Self::with(remains(&socket, true, SocketState::Established), [socket, server])
            }
            // UDP has no connections to accept.
            _ if udp => Self::with(remains(&socket, false, SocketState::Udp), [socket]),
            _ => Self::accepted(pair, socket, port),
        }
    }

    fn with<const N: usize>(remains: Remains, open: [OwnedFd; N]) -> Self {
        Self { remains: Some(remains), _open: open.into() }
    }

    /// What is left of a server with one connection.
    fn accepted(pair: &Pair, listener: OwnedFd, port: u16) -> Self {
        listen(&listener, 1).expect("nobody else is on this port");
        let there = pair.holder.reached_at(port);
        let family = if there.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let client = new_socket(family, SocketType::STREAM);
        connect_to(&client, &there);
        if pair.holding == Holding::Orphan {
            be_deaf(&client);
        }
        let user = User::become_one(pair.holder.options.user);
        let server = accept_with(&listener, SocketFlags::CLOEXEC).expect("a client has connected");
        drop(user);
        drop(listener);
        let was = |state| remains(&server, true, state);
        match pair.holding {
            Holding::Accepted => Self::with(was(SocketState::Established), [server, client]),
            Holding::PeerClosed => {
                let remains = was(SocketState::CloseWait);
                drop(client);
                wait_for_end(&server);
                Self::with(remains, [server])
            }
            Holding::HalfClosed => {
                let remains = was(SocketState::FinWait2);
                shutdown(&server, Shutdown::Write).expect("it is connected");
                wait_for_end(&client);
                Self::with(remains, [server, client])
            }
            Holding::Orphan => {
                let remains = was(SocketState::FinWait1);
                drop(server);
                Self::with(remains, [client])
            }
            _ => {
                let remains = was(SocketState::TimeWait);
                drop(server);
                wait_for_end(&client);
                drop(client);
                Self::with(remains, [])
            }
        }
    }
}

/// A socket that no program of other tests inherits.
fn new_socket(family: AddressFamily, kind: SocketType) -> OwnedFd {
    socket_with(family, kind, SocketFlags::CLOEXEC, None).expect("a socket")
}

/// A socket at the same address and another port.
fn reachable(there: SocketAddr) -> OwnedFd {
    let family = if there.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let server = new_socket(family, SocketType::STREAM);
    // A port of its own, whatever the kernel may choose from.
    let mut there = there;
    let free = (40_000..).find(|port| {
        there.set_port(*port);
        bind(&server, &there).is_ok()
    });
    assert!(free.is_some());
    server
}

fn remains(socket: &OwnedFd, is_connection: bool, state: SocketState) -> Remains {
    let address: SocketAddr =
        getsockname(socket).expect("a socket").try_into().expect("an internet address");
    let v6only = address.is_ipv6() && sockopt::ipv6_v6only(socket).expect("IPV6_V6ONLY");
    let device = get(socket, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX).cast_unsigned();
    let reach = if is_connection {
        Reach::of_connection(address.ip(), v6only, device)
    } else {
        Reach::of(&asked(address), v6only, device).expect("an internet address")
    };
    let sharing = Sharing {
        reuseaddr: Some(sockopt::socket_reuseaddr(socket).expect("SO_REUSEADDR")),
        reuseport: Some(sockopt::socket_reuseport(socket).expect("SO_REUSEPORT")),
        uid: Some(owner(socket)),
    };
    Remains { reach, sharing, state }
}

fn asked(address: SocketAddr) -> Asked {
    match address {
        SocketAddr::V4(v4) => Asked::V4 { ip: *v4.ip(), port: v4.port() },
        SocketAddr::V6(v6) => Asked::V6 { ip: *v6.ip(), port: v6.port(), scope: v6.scope_id() },
    }
}

/// Keeps a connection from acknowledging anything (socket(7), `SO_ATTACH_FILTER`): all that comes
/// in is dropped.
fn be_deaf(socket: &OwnedFd) {
    let mut drop_all =
        libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 };
    let program = libc::sock_fprog { len: 1, filter: &raw mut drop_all };
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, program);
}

/// Waits until the peer's end of a connection has arrived.
fn wait_for_end(socket: &OwnedFd) {
    let (_, length) = recv(socket, &mut [0_u8; 1], RecvFlags::empty()).expect("a connection");
    assert_eq!(length, 0, "nobody sends anything");
}

/// Another user of the file system, which is who makes a socket; this thread's own until dropped.
struct User;

impl User {
    fn become_one(user: u32) -> Self {
        // SAFETY: setfsuid(2) touches no memory, and concerns this thread alone.
        unsafe { libc::setfsuid(user) };
        Self
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { libc::setfsuid(0) };
    }
}

fn owner(socket: &OwnedFd) -> u32 {
    use std::os::unix::fs::MetadataExt;
    let file = fs::metadata(format!("/proc/thread-self/fd/{}", socket.as_raw_fd()));
    file.expect("/proc is mounted").uid()
}

fn set<T>(socket: &OwnedFd, level: libc::c_int, name: libc::c_int, value: T) {
    // SAFETY: the kernel reads one value, which is alive, as is what it points to.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    assert_eq!(result, 0, "option {level}, {name}: {}", std::io::Error::last_os_error());
}

fn get(socket: &OwnedFd, level: libc::c_int, name: libc::c_int) -> libc::c_int {
    let mut value = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel writes one integer and its length, which are alive.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut length)
    };
    assert_eq!(result, 0, "option {level}, {name}: {}", std::io::Error::last_os_error());
    value
}

/// Connects a socket. On a busy machine Linux 6.18 answers once in some thousand times that it has no
/// route to an IPv6 address of its own, and has one when it is asked again.
#[track_caller]
fn connect_to(socket: &OwnedFd, there: &impl addr::SocketAddrArg) {
    let connected = wait::until("a route", || match connect(socket, there) {
        Err(Errno::NETUNREACH) => None,
        done => Some(done),
    });
    connected.expect("somebody listens, or it is UDP");
}

/// Does something while the kernel may choose one port alone.
fn with_only<T>(port: u16, action: impl FnOnce() -> T) -> T {
    setting("ip_local_port_range", &format!("{port} {port}"));
    let done = action();
    setting("ip_local_port_range", "32768 60999");
    done
}

/// Changes a setting of this thread's network.
fn setting(name: &str, value: &str) {
    fs::write(format!("/proc/sys/net/ipv4/{name}"), value).expect("root of this network");
}
