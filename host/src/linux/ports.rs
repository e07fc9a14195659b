//! Which sockets stand in the way on a port.
//!
//! The cheapest question comes first (one listener, looked up by address), then walks over the
//! kernel's tables, filtered by port: listeners, connections, bound sockets.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bindshim_core::conflict::Reach;
use bindshim_core::facts::{MAX_SOCKETS, SocketState, Why};

use super::files;
use super::limits::Limits;
use super::netlink::Failure;
use super::sockdiag::{
    ANY, All, BOUND, Buffers, CONNECTED, Diagnostics, Exact, INET, INET6, LISTENING, Row, TCP, UDP,
};

/// The port and addresses that a socket was to be bound to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    /// `IPPROTO_TCP` or `IPPROTO_UDP`.
    pub(super) protocol: u8,
    pub(super) port: u16,
    pub(super) reach: Reach,
    /// The index of the interface that the program bound its socket to; 0 for none. A link-local
    /// address ties it to one besides.
    pub(super) device: u32,
    /// The cookie of that socket, which does not stand in its own way.
    pub(super) cookie: Option<u64>,
    /// Whether it has SO_REUSEPORT, so that several may listen where it cannot.
    pub(super) shares: bool,
}

/// Where to look for sockets that share a port. A walk over bound sockets takes a quarter of a
/// millisecond, and a program's success has no time for two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Breadth {
    /// Among sockets of the same family.
    OwnFamily,
    /// Also among those of the other one, which may take the same packets: where a person asks, who
    /// is no kin of anybody's.
    BothFamilies,
}

/// The sockets in the way, the most telling first. All-zero bytes are an empty list.
#[repr(C)]
pub(super) struct Found {
    rows: [Row; MAX_SOCKETS],
    listed: u32,
    /// The network namespace that was looked at (`SO_NETNS_COOKIE`); 0 where the kernel does not
    /// tell.
    pub(super) network: u64,
    /// A port nearby that nobody has, as far as was looked; 0 where none is known.
    pub(super) unused_port: u16,
    /// How many there are, also those that are not listed.
    pub(super) total: u32,
}

impl Found {
    pub(super) fn clear(&mut self) {
        self.listed = 0;
        self.total = 0;
        self.unused_port = 0;
        self.network = 0;
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows[..self.listed as usize]
    }

    pub(super) fn rows_mut(&mut self) -> &mut [Row] {
        &mut self.rows[..self.listed as usize]
    }

    /// Keeps the rows of which `keep` says so.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Row) -> bool) {
        let mut kept = 0;
        for at in 0..self.listed as usize {
            if keep(&self.rows[at]) {
                self.rows[kept] = self.rows[at];
                kept += 1;
            }
        }
        self.total -= self.listed - kept as u32;
        self.listed = kept as u32;
    }

    /// Takes a row in where it overlaps with the target and is not there yet.
    fn add(&mut self, target: &Target, row: &Row) {
        self.add_with(row.reach(), target, row);
    }

    fn add_with(&mut self, reach: Reach, target: &Target, row: &Row) {
        let overlaps = reach.overlaps(&target.reach);
        let is_own = target.cookie == Some(row.cookie);
        if !overlaps || is_own || self.rows().iter().any(|known| known.cookie == row.cookie) {
            return;
        }
        self.total = self.total.saturating_add(1);
        let at = self.rows().partition_point(|known| known.rank() <= row.rank());
        if at == MAX_SOCKETS {
            return;
        }
        let end = (self.listed as usize + 1).min(MAX_SOCKETS);
        self.rows.copy_within(at..end - 1, at + 1);
        self.rows[at] = *row;
        self.listed = end as u32;
    }
}

/// Finds the sockets in the way of `target`. Fails where some may be missing.
#[inline(never)]
pub(super) fn find(
    target: &Target,
    found: &mut Found,
    buffers: Buffers<'_>,
    limits: Limits,
) -> Result<(), Why> {
    found.clear();
    let mut diagnostics = Diagnostics::open(buffers, limits).map_err(Failure::why)?;
    found.network = diagnostics.network();
    let result = if target.protocol == UDP {
        walk(&mut diagnostics, target, ANY, found)
    } else {
        find_tcp(&mut diagnostics, target, found)
    };
    result.map_err(Failure::why)?;
    if found.total == 0 && target.reach.v4.is_some_and(|ip| ip.is_unspecified()) {
        find_odd(&mut diagnostics, target, found).map_err(Failure::why)?;
    }
    if found.rows().first().is_some_and(|row| row.state(target.protocol).is_kept_on_purpose()) {
        found.unused_port = unused_port(&mut diagnostics, target).unwrap_or(0);
    }
    let needs_bound = target.protocol == TCP && !has_listener(found);
    if needs_bound && !shows_bound_sockets() { Err(Why::NotSupported) } else { Ok(()) }
}

#[inline(never)]
fn find_tcp(
    diagnostics: &mut Diagnostics<'_>,
    target: &Target,
    found: &mut Found,
) -> Result<(), Failure> {
    for ip in probes(target.reach).into_iter().flatten() {
        let exact = Exact { ip, port: target.port, device: target.reach.device, cookie: None };
        diagnostics.find(exact, &mut |row| found.add(target, row))?;
        if !target.shares && has_all(target, found) {
            return find_group(diagnostics, target, found);
        }
    }
    walk(diagnostics, target, LISTENING, found)?;
    // One that shares may do so with the listener, and then something else is in its way.
    if has_listener(found) && !target.shares {
        return Ok(());
    }
    walk(diagnostics, target, BOUND, found)?;
    walk(diagnostics, target, CONNECTED, found)
}

/// Adds what listens at the same address as the listener that was found: all share it by
/// SO_REUSEPORT.
fn find_group(
    diagnostics: &mut Diagnostics<'_>,
    target: &Target,
    found: &mut Found,
) -> Result<(), Failure> {
    let is_v4 = found.rows().first().is_some_and(|row| row.reach().v6.is_none());
    let family = if is_v4 { INET } else { INET6 };
    let all = All { family, protocol: TCP, port: target.port, states: LISTENING };
    diagnostics.each(all, &mut |row| found.add(target, row))
}

/// Whether the listener that was found leaves no room for others that overlap with the target,
/// except by SO_REUSEPORT.
fn has_all(target: &Target, found: &Found) -> bool {
    found.rows().iter().any(|row| row.reach().covers(&target.reach))
}

/// Whether a TCP socket that listens is among what was found.
pub(super) fn has_listener(found: &Found) -> bool {
    // Listeners rank first.
    found.rows().first().is_some_and(|row| row.state(TCP) == SocketState::Listen)
}

/// The addresses whose listeners to look up. Loopback stands in for a wildcard: a look-up of it
/// finds listeners on the wildcard, and those on loopback besides.
fn probes(reach: Reach) -> [Option<IpAddr>; 2] {
    let v4 = reach.v4.map(|ip| if ip.is_unspecified() { Ipv4Addr::LOCALHOST } else { ip });
    let v6 = reach.v6.map(|ip| if ip.is_unspecified() { Ipv6Addr::LOCALHOST } else { ip });
    [v4.map(IpAddr::V4), v6.map(IpAddr::V6)]
}

/// Takes in all sockets on the port in `states`. Both families have sockets that take the other's
/// packets.
#[inline(never)]
fn walk(
    diagnostics: &mut Diagnostics<'_>,
    target: &Target,
    states: u32,
    found: &mut Found,
) -> Result<(), Failure> {
    // No IPv4 socket takes packets to an IPv6 address.
    let families = if target.reach.v4.is_some() { &[INET, INET6][..] } else { &[INET6] };
    for family in families {
        let all = All { family: *family, protocol: target.protocol, port: target.port, states };
        diagnostics.each(all, &mut |row| found.add(target, row))?;
    }
    Ok(())
}

/// Takes in IPv6 connections, which may be in the way of 0.0.0.0 ([`Reach::of_connection`]): only
/// where nothing else is, since the kernel does not tell whether they are.
#[inline(never)]
fn find_odd(
    diagnostics: &mut Diagnostics<'_>,
    target: &Target,
    found: &mut Found,
) -> Result<(), Failure> {
    let states = if target.protocol == UDP { ANY } else { CONNECTED };
    let all = All { family: INET6, protocol: target.protocol, port: target.port, states };
    diagnostics.each(all, &mut |row| found.add_with(row.reach_as_dual(), target, row))
}

/// Finds the sockets in `states` that overlap with the target, those of its own family or of both.
#[inline(never)]
pub(super) fn find_in(
    target: &Target,
    states: u32,
    breadth: Breadth,
    found: &mut Found,
    buffers: Buffers<'_>,
    limits: Limits,
) -> Result<(), Why> {
    found.clear();
    if states == 0 || (states == BOUND && !shows_bound_sockets()) {
        return Ok(());
    }
    let mut diagnostics = Diagnostics::open(buffers, limits).map_err(Failure::why)?;
    let result = match breadth {
        Breadth::OwnFamily => {
            let family = if target.reach.v6.is_some() { INET6 } else { INET };
            let all = All { family, protocol: target.protocol, port: target.port, states };
            diagnostics.each(all, &mut |row| found.add(target, row))
        }
        Breadth::BothFamilies => walk(&mut diagnostics, target, states, found),
    };
    result.map_err(Failure::why)
}

/// Finds the sockets that are bound but do not listen, in the way of `target`.
#[inline(never)]
pub(super) fn find_bound(
    target: &Target,
    found: &mut Found,
    buffers: Buffers<'_>,
    limits: Limits,
) -> Result<(), Why> {
    found.clear();
    if !shows_bound_sockets() {
        return Err(Why::NotSupported);
    }
    let mut diagnostics = Diagnostics::open(buffers, limits).map_err(Failure::why)?;
    walk(&mut diagnostics, target, BOUND, found).map_err(Failure::why)
}

/// Whether a listener is still there; `None` where that cannot be told.
pub(super) fn is_still_there(
    target: &Target,
    row: &Row,
    buffers: Buffers<'_>,
    limits: Limits,
) -> Option<bool> {
    let reach = row.reach();
    let ip = probes(reach).into_iter().flatten().next()?;
    let exact = Exact { ip, port: target.port, device: reach.device, cookie: Some(row.cookie) };
    let mut diagnostics = Diagnostics::open(buffers, limits).ok()?;
    let mut is_there = false;
    diagnostics.find(exact, &mut |_| is_there = true).ok()?;
    Some(is_there)
}

/// How many ports above the one that is taken are looked at.
const NEIGHBOURS: u16 = 8;

/// A port above the taken one on which nobody listens (TCP) or which nobody has (UDP), as far as
/// the addresses of the target go. No socket is tried: that could be in somebody's way.
#[inline(never)]
fn unused_port(diagnostics: &mut Diagnostics<'_>, target: &Target) -> Option<u16> {
    let last = target.port.saturating_add(NEIGHBOURS);
    (target.port..=last).skip(1).find(|port| {
        let target = Target { port: *port, ..*target };
        matches!(is_used(diagnostics, &target), Ok(false))
    })
}

fn is_used(diagnostics: &mut Diagnostics<'_>, target: &Target) -> Result<bool, Failure> {
    let mut used = false;
    if target.protocol == UDP {
        for family in [INET, INET6] {
            let all = All { family, protocol: UDP, port: target.port, states: ANY };
            diagnostics.each(all, &mut |row| used |= row.reach().overlaps(&target.reach))?;
        }
        return Ok(used);
    }
    for ip in probes(target.reach).into_iter().flatten() {
        let exact = Exact { ip, port: target.port, device: target.reach.device, cookie: None };
        diagnostics.find(exact, &mut |_| used = true)?;
    }
    Ok(used)
}

/// Whether anybody listens where a connection on this machine goes to; `None` where that cannot be
/// told, or its peer is elsewhere.
#[inline(never)]
pub(super) fn peer_listens(row: &Row, buffers: Buffers<'_>, limits: Limits) -> Option<bool> {
    let (ip, port) = row.peer_here()?;
    let mut diagnostics = Diagnostics::open(buffers, limits).ok()?;
    let mut listens = false;
    let exact = Exact { ip, port, device: 0, cookie: None };
    diagnostics.find(exact, &mut |_| listens = true).ok()?;
    Some(listens)
}

/// Whether this kernel lists sockets that are bound but do not listen: Linux 6.8 and later, by
/// `TCPF_BOUND_INACTIVE`; older ones ignore the bit.
#[inline(never)]
fn shows_bound_sockets() -> bool {
    let mut release = [0; 64];
    files::read_short(c"/proc/sys/kernel/osrelease", &mut release).is_ok_and(is_at_least_6_8)
}

pub(super) fn is_at_least_6_8(release: &[u8]) -> bool {
    let mut parts = release.split(|byte| !byte.is_ascii_digit()).map(files::number);
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= (6, 8),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use bindshim_core::address::Address;

    use super::*;
    use crate::linux::turns::turn;

    const LIMITS: Limits = Limits { deadline_ns: u64::MAX };

    fn target(ip: &str, port: u16) -> Target {
        let address = match ip.parse().unwrap() {
            IpAddr::V4(ip) => Address::V4 { ip, port },
            IpAddr::V6(ip) => Address::V6 { ip, port, scope: 0 },
        };
        let reach = Reach::of(&address, false, 0).unwrap();
        Target { protocol: TCP, port, reach, device: 0, cookie: None, shares: false }
    }

    #[test]
    fn releases_are_compared_by_number() {
        for (release, is_new) in [
            ("6.8.0-31-generic\n", true),
            ("6.18.44", true),
            ("10.0", true),
            ("6.7.9", false),
            ("5.15.0-100", false),
            ("6", false),
            ("", false),
            ("next.8", false),
        ] {
            assert_eq!(is_at_least_6_8(release.as_bytes()), is_new, "{release}");
        }
    }

    #[test]
    fn a_wildcard_is_looked_up_by_loopback() {
        let addresses = |ip| probes(target(ip, 1).reach).map(|ip| ip.map(|ip| ip.to_string()));
        let some = |ip: &str| Some(ip.to_owned());
        assert_eq!(addresses("0.0.0.0"), [some("127.0.0.1"), None]);
        assert_eq!(addresses("::"), [some("127.0.0.1"), some("::1")]);
        assert_eq!(addresses("2001:db8::1"), [None, some("2001:db8::1")]);
        assert_eq!(addresses("::ffff:10.0.0.1"), [some("10.0.0.1"), None]);
    }

    #[test]
    fn a_listener_that_is_gone_is_not_found_again() {
        let _turn = turn();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = target("0.0.0.0", listener.local_addr().unwrap().port());
        let mut found = Found {
            rows: [Row::default(); MAX_SOCKETS],
            listed: 0,
            unused_port: 0,
            network: 0,
            total: 0,
        };
        let (mut one, mut many) = (vec![0; 512], vec![0; 16_384]);
        find(&target, &mut found, Buffers { one: &mut one, many: &mut many }, LIMITS).unwrap();
        let row = found.rows()[0];
        assert_eq!(
            is_still_there(&target, &row, Buffers { one: &mut one, many: &mut many }, LIMITS),
            Some(true)
        );
        // Another socket in its place is not it.
        let mut other = row;
        other.cookie ^= 1;
        assert_eq!(
            is_still_there(&target, &other, Buffers { one: &mut one, many: &mut many }, LIMITS),
            Some(false)
        );
        drop(listener);
        assert_eq!(
            is_still_there(&target, &row, Buffers { one: &mut one, many: &mut many }, LIMITS),
            Some(false)
        );
    }
}
