//! Which sockets the kernel has: questions to its socket diagnostics (sock_diag(7)).
//!
//! Layouts: include/uapi/linux/inet_diag.h. Semantics: net/ipv4/inet_diag.c, net/ipv4/udp_diag.c.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use bindshim_core::address::Address;
use bindshim_core::conflict::Reach;
use bindshim_core::facts::SocketState;
use rustix::io::Errno;
use rustix::net::netlink::SOCK_DIAG;

use super::limits::Limits;
use super::netlink::{Attributes, Channel, DUMP, Failure, HEADER, u16_at, u32_at};
use super::socket;

/// `AF_INET` and `AF_INET6`, as bytes of the protocol.
pub(super) const INET: u8 = 2;
pub(super) const INET6: u8 = 10;

/// `IPPROTO_TCP`, which also shows the listeners of MPTCP, and `IPPROTO_UDP`.
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// Sets of states to ask for: a bit for each state of include/net/tcp_states.h.
pub(super) const LISTENING: u32 = 1 << LISTEN;
/// Every state in which a TCP socket is in the table of connections.
pub(super) const CONNECTED: u32 = 0x1fff & !LISTENING;
/// `TCPF_BOUND_INACTIVE` (Linux 6.8): bound, neither listening nor connected. Their rows say
/// `CLOSE`.
pub(super) const BOUND: u32 = 1 << 13;
/// Every state of a UDP socket.
pub(super) const ANY: u32 = u32::MAX;

const LISTEN: u32 = 10;
const CLOSE: u8 = 7;

/// `SOCK_DIAG_BY_FAMILY`.
pub(super) const BY_FAMILY: u16 = 20;
/// `INET_DIAG_SKV6ONLY`, which listening and unconnected IPv6 sockets always have.
const SKV6ONLY: u16 = 11;
/// `idiag_timer` of TIME_WAIT, also for FIN_WAIT2 without an owner (net/ipv4/tcp_minisocks.c).
const TIMER_TIME_WAIT: u8 = 3;
/// `INET_DIAG_NOCOOKIE`.
const NO_COOKIE: [u8; 8] = [0xff; 8];

/// `sizeof(struct inet_diag_req_v2)`, its header before it.
const REQUEST_LENGTH: usize = HEADER + 56;
/// `sizeof(struct inet_diag_msg)`.
const ROW_LENGTH: usize = 72;

/// A socket, as the kernel shows it. All-zero bytes are a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub(super) struct Row {
    family: u8,
    state: u8,
    timer: u8,
    v6only: u8,
    port: u16,
    remote_port: u16,
    ip: [u8; 16],
    remote_ip: [u8; 16],
    /// The interface that it is bound to; 0 for none.
    device: u32,
    expires_ms: u32,
    uid: u32,
    /// 0 where no process has it.
    pub(super) inode: u32,
    pub(super) cookie: u64,
    /// The process that has it and its descriptor there, once that was looked up; 0 for none.
    pub(super) owner: u32,
    pub(super) owner_fd: u32,
    /// Whether that process is on its way out; where none was found, whether one of this user is,
    /// and no longer shows what it has. 0 for no.
    pub(super) owner_is_exiting: u32,
}

impl Row {
    /// Decodes `struct inet_diag_msg` and its attributes; `None` where it is too short, or of
    /// another family.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let (fixed, attributes) = payload.split_at_checked(ROW_LENGTH)?;
        let family = fixed[0];
        if family != INET && family != INET6 {
            return None;
        }
        let v6only = Attributes(attributes).find(|(kind, _)| *kind == SKV6ONLY);
        Some(Self {
            family,
            state: fixed[1],
            timer: fixed[2],
            v6only: v6only.and_then(|(_, value)| value.first().copied()).unwrap_or_default(),
            port: u16::from_be(u16_at(fixed, 4)?),
            remote_port: u16::from_be(u16_at(fixed, 6)?),
            ip: fixed[8..24].try_into().ok()?,
            remote_ip: fixed[24..40].try_into().ok()?,
            device: u32_at(fixed, 40)?,
            cookie: u64::from(u32_at(fixed, 44)?) | u64::from(u32_at(fixed, 48)?) << 32,
            expires_ms: u32_at(fixed, 52)?,
            uid: u32_at(fixed, 64)?,
            inode: u32_at(fixed, 68)?,
            owner: 0,
            owner_fd: 0,
            owner_is_exiting: 0,
        })
    }

    /// A Unix socket: what an owner is found by.
    pub(super) fn of_unix(inode: u32, cookie: u64, uid: u32) -> Self {
        Self { inode, cookie, uid, ..Self::default() }
    }

    /// Its state, in a protocol with states or without.
    pub(super) fn state(&self, protocol: u8) -> SocketState {
        if protocol == UDP {
            return SocketState::Udp;
        }
        match self.state {
            1 => SocketState::Established,
            2 => SocketState::SynSent,
            3 | 12 => SocketState::SynRecv,
            4 => SocketState::FinWait1,
            5 => SocketState::FinWait2,
            6 => SocketState::TimeWait,
            8 => SocketState::CloseWait,
            9 => SocketState::LastAck,
            10 => SocketState::Listen,
            11 => SocketState::Closing,
            // A socket on a port that is in no other state is bound.
            CLOSE | 13 => SocketState::Bound,
            _ => SocketState::Close,
        }
    }

    /// Its local address.
    pub(super) fn local(&self) -> Address {
        self.address(&self.ip, self.port)
    }

    /// Its peer, if it has one.
    pub(super) fn remote(&self) -> Option<Address> {
        (self.remote_port != 0).then(|| self.address(&self.remote_ip, self.remote_port))
    }

    fn address(&self, ip: &[u8; 16], port: u16) -> Address {
        match self.ip(ip) {
            IpAddr::V4(ip) => Address::V4 { ip, port },
            IpAddr::V6(ip) => {
                let scope = if ip.is_unicast_link_local() { self.device } else { 0 };
                Address::V6 { ip, port, scope }
            }
        }
    }

    fn ip(&self, ip: &[u8; 16]) -> IpAddr {
        if self.family == INET {
            Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3]).into()
        } else {
            Ipv6Addr::from(*ip).into()
        }
    }

    /// The index of the interface that it is bound to; 0 for none.
    pub(super) fn device(&self) -> u32 {
        self.device
    }

    /// Its peer, if that can only be on this machine: loopback, or the socket's own address.
    pub(super) fn peer_here(&self) -> Option<(IpAddr, u16)> {
        let (local, remote) = (self.ip(&self.ip), self.ip(&self.remote_ip));
        let is_here = remote == local || remote.to_canonical().is_loopback();
        (is_here && self.remote_port != 0).then_some((remote, self.remote_port))
    }

    /// The addresses whose packets it takes.
    pub(super) fn reach(&self) -> Reach {
        Reach::of_ip(self.ip(&self.ip), self.v6only != 0, self.device)
    }

    /// The same if it is a connection of a socket without IPV6_V6ONLY, which the kernel does not
    /// tell of connections.
    pub(super) fn reach_as_dual(&self) -> Reach {
        let is_connection = self.remote_port != 0;
        let reach = if is_connection { Reach::of_connection } else { Reach::of_ip };
        reach(self.ip(&self.ip), self.v6only != 0, self.device)
    }

    /// The user who made it; `None` where no process has it: the kernel then says 0.
    pub(super) fn uid(&self) -> Option<u32> {
        (self.inode != 0).then_some(self.uid)
    }

    /// The time until the kernel drops it, where a timer says so.
    pub(super) fn expires_ms(&self) -> Option<u64> {
        (self.timer == TIMER_TIME_WAIT).then_some(u64::from(self.expires_ms))
    }

    /// How telling it is as a holder: the lowest first. What has an owner goes before what has
    /// none, and of what expires the last first.
    pub(super) fn rank(&self) -> (u8, u32) {
        let class = match (self.state, self.inode) {
            (10, _) => 0,
            (CLOSE | 13, _) => 1,
            (6, _) => 5,
            (_, 0) => 4,
            (8, _) => 3,
            _ => 2,
        };
        (class, u32::MAX - self.expires_ms().map_or(0, |_| self.expires_ms))
    }
}

/// The question for one listener: where a packet to this address would arrive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exact {
    pub(super) ip: IpAddr,
    pub(super) port: u16,
    pub(super) device: u32,
    /// The socket must have this cookie, where one is given.
    pub(super) cookie: Option<u64>,
}

/// The question for all sockets of a family on a port.
#[derive(Clone, Copy, Debug)]
pub(super) struct All {
    pub(super) family: u8,
    pub(super) protocol: u8,
    pub(super) port: u16,
    pub(super) states: u32,
}

/// Where answers go: of one socket, and of many.
pub(super) struct Buffers<'a> {
    pub(super) one: &'a mut [u8],
    pub(super) many: &'a mut [u8],
}

/// A channel to the socket diagnostics, and what bounds its use.
pub(super) struct Diagnostics<'a> {
    channel: Channel,
    buffers: Buffers<'a>,
    limits: Limits,
}

impl<'a> Diagnostics<'a> {
    /// Opens the channel.
    #[inline(never)]
    pub(super) fn open(buffers: Buffers<'a>, limits: Limits) -> Result<Self, Failure> {
        let channel = Channel::open(Some(SOCK_DIAG)).map_err(Failure::Refused)?;
        Ok(Self { channel, buffers, limits })
    }

    /// The network namespace that answers; 0 where the kernel does not tell.
    pub(super) fn network(&self) -> u64 {
        socket::network(self.channel.as_fd()).unwrap_or(0)
    }

    /// Looks up the TCP listener that a packet would reach, without a walk over all sockets, and
    /// hands it to `each`, if there is one.
    #[inline(never)]
    pub(super) fn find(&mut self, exact: Exact, each: &mut dyn FnMut(&Row)) -> Result<(), Failure> {
        let mut request = exact_request(&exact);
        let answer = self.channel.ask(
            (BY_FAMILY, 0),
            &mut request,
            self.buffers.one,
            self.limits,
            &mut |message| {
                if let Some(row) = Row::parse(message.payload) {
                    each(&row);
                }
            },
        );
        match answer {
            // None there, or one with another cookie.
            Err(Failure::Refused(Errno::NOENT | Errno::STALE)) => Ok(()),
            answer => answer,
        }
    }

    /// Hands every socket that `all` asks for to `each`. The kernel filters by port.
    #[inline(never)]
    pub(super) fn each(&mut self, all: All, each: &mut dyn FnMut(&Row)) -> Result<(), Failure> {
        let mut request = dump_request(&all);
        self.channel.ask(
            (BY_FAMILY, DUMP),
            &mut request,
            self.buffers.many,
            self.limits,
            &mut |message| {
                if let Some(row) = Row::parse(message.payload).filter(|row| row.port == all.port) {
                    each(&row);
                }
            },
        )
    }
}

fn exact_request(exact: &Exact) -> [u8; REQUEST_LENGTH] {
    let mut request = [0; REQUEST_LENGTH];
    let body = &mut request[HEADER..];
    body[1] = TCP;
    body[4..8].fill(0xff);
    body[8..10].copy_from_slice(&exact.port.to_be_bytes());
    match exact.ip {
        IpAddr::V4(ip) => {
            body[0] = INET;
            body[12..16].copy_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            body[0] = INET6;
            body[12..28].copy_from_slice(&ip.octets());
        }
    }
    body[44..48].copy_from_slice(&exact.device.to_ne_bytes());
    match exact.cookie {
        // Two words, the low one first, each in the machine's order.
        Some(cookie) => {
            body[48..52].copy_from_slice(&(cookie as u32).to_ne_bytes());
            body[52..56].copy_from_slice(&((cookie >> 32) as u32).to_ne_bytes());
        }
        None => body[48..56].copy_from_slice(&NO_COOKIE),
    }
    request
}

fn dump_request(all: &All) -> [u8; REQUEST_LENGTH] {
    let mut request = [0; REQUEST_LENGTH];
    let body = &mut request[HEADER..];
    body[0] = all.family;
    body[1] = all.protocol;
    body[4..8].copy_from_slice(&all.states.to_ne_bytes());
    body[8..10].copy_from_slice(&all.port.to_be_bytes());
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct inet_diag_msg`: family, state, timer; ports, inode and addresses are made up.
    fn message(family: u8, state: u8, timer: u8, v6only: Option<u8>) -> Vec<u8> {
        let mut bytes = vec![0; ROW_LENGTH];
        bytes[..3].copy_from_slice(&[family, state, timer]);
        bytes[4..8].copy_from_slice(&[0x1f, 0x90, 0, 80]);
        bytes[8..12].copy_from_slice(&[127, 0, 0, 1]);
        bytes[24..28].copy_from_slice(&[10, 0, 0, 1]);
        bytes[44..48].copy_from_slice(&1u32.to_ne_bytes());
        bytes[48..52].copy_from_slice(&2u32.to_ne_bytes());
        bytes[52..56].copy_from_slice(&1500u32.to_ne_bytes());
        bytes[64..68].copy_from_slice(&1000u32.to_ne_bytes());
        bytes[68..72].copy_from_slice(&77u32.to_ne_bytes());
        if let Some(v6only) = v6only {
            bytes.extend(5u16.to_ne_bytes());
            bytes.extend(SKV6ONLY.to_ne_bytes());
            bytes.extend([v6only, 0, 0, 0]);
        }
        bytes
    }

    #[test]
    fn rows_are_decoded() {
        let row = Row::parse(&message(INET, 6, 3, None)).unwrap();
        let v4 = |a, d, port| Address::V4 { ip: Ipv4Addr::new(a, 0, 0, d), port };
        assert_eq!(row.local(), v4(127, 1, 8080));
        assert_eq!(row.remote(), Some(v4(10, 1, 80)));
        assert_eq!((row.state(TCP), row.state(UDP)), (SocketState::TimeWait, SocketState::Udp));
        assert_eq!((row.expires_ms(), row.uid(), row.inode), (Some(1500), Some(1000), 77));
        assert_eq!(row.cookie, 2 << 32 | 1);
        let listener = Row::parse(&message(INET6, 10, 0, Some(1))).unwrap();
        assert_eq!((listener.state(TCP), listener.expires_ms()), (SocketState::Listen, None));
        assert_eq!(listener.v6only, 1);
        assert_eq!(Row::parse(&message(INET6, 10, 0, None)).unwrap().v6only, 0);
        let orphan = Row { inode: 0, ..row };
        assert_eq!(orphan.uid(), None);
    }

    #[test]
    fn every_state_has_a_name() {
        let names = [
            "close",
            "established",
            "syn_sent",
            "syn_recv",
            "fin_wait1",
            "fin_wait2",
            "time_wait",
            "bound",
            "close_wait",
            "last_ack",
            "listen",
            "closing",
            "syn_recv",
            "bound",
            "close",
        ];
        for (state, name) in (0..).zip(names) {
            let row = Row::parse(&message(INET, state, 0, None)).unwrap();
            assert_eq!(row.state(TCP).name(), name);
        }
    }

    #[test]
    fn short_rows_and_other_families_are_left_out() {
        let good = message(INET6, 10, 0, Some(1));
        for length in 0..ROW_LENGTH {
            assert_eq!(Row::parse(&good[..length]), None);
        }
        for length in ROW_LENGTH..good.len() {
            assert!(Row::parse(&good[..length]).is_some());
        }
        assert_eq!(Row::parse(&message(1, 10, 0, None)), None);
    }

    #[test]
    fn the_most_telling_rows_come_first() {
        let row = |state, inode, expires_ms| {
            let mut row =
                Row::parse(&message(INET, state, u8::from(state == 6) * 3, None)).unwrap();
            (row.inode, row.expires_ms) = (inode, expires_ms);
            row.rank()
        };
        let ranks = [
            row(10, 1, 0),
            row(CLOSE, 1, 0),
            row(1, 1, 0),
            row(8, 1, 0),
            row(5, 0, 0),
            row(6, 0, 2),
            row(6, 0, 1),
        ];
        assert!(ranks.is_sorted(), "{ranks:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_can_be_a_row(bytes in proptest::collection::vec(0u8.., 0..120)) {
            if let Some(row) = Row::parse(&bytes) {
                let _ = (row.local(), row.remote(), row.reach(), row.rank(), row.state(TCP));
            }
        }
    }
}
