//! A port that a success shares with somebody else, who may not mean to.

use core::net::IpAddr;

use crate::address::Address;
use crate::attempt::{Attempt, Function};
use crate::cause::Cause;
use crate::facts::{PortSocket, SocketState};
use crate::record::{Certainty, Diagnosis};

use super::Case;
use super::tell::{Who, fix, found, say};

/// Multicast DNS and SSDP: shared by all who take part.
const SHARED_ON_PURPOSE: [u16; 2] = [5353, 1900];

/// Whether the options of the socket make it possible that its success takes something from another
/// one: facts need be gathered only then. For TCP that is decided by listen.
#[must_use]
pub fn may_share(attempt: &Attempt) -> bool {
    let socket = &attempt.socket;
    let Some(address) = &attempt.address else { return false };
    let has_port = address.port().is_some_and(|port| port != 0);
    let shares = socket.reuseaddr == Some(true) || socket.reuseport == Some(true);
    match attempt.call {
        Function::Listen => has_port && shares && socket.is_tcp(),
        Function::Bind => has_port && shares && socket.is_udp() && !is_shared_on_purpose(address),
        Function::Setsockopt => false,
    }
}

fn is_shared_on_purpose(address: &Address) -> bool {
    let is_multicast = match address.ip() {
        Some(IpAddr::V4(ip)) => ip.is_multicast() || ip.is_broadcast(),
        Some(IpAddr::V6(ip)) => ip.is_multicast(),
        None => false,
    };
    is_multicast || address.port().is_some_and(|port| SHARED_ON_PURPOSE.contains(&port))
}

/// `facts.sockets` are those of strangers: not of the process itself, nor of its kin.
pub(super) fn warn(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    if !may_share(case.attempt) {
        return false;
    }
    let stranger = |state| case.facts.sockets.iter().find(|socket| socket.state == state);
    let reuseport = case.attempt.socket.reuseport == Some(true);
    match case.attempt.call {
        Function::Bind => match stranger(SocketState::Udp) {
            Some(other) if reuseport && same_address(case, other) => shared(other, diagnosis),
            Some(other) => hijack(other, diagnosis),
            None => return false,
        },
        _ => match (stranger(SocketState::Listen), stranger(SocketState::Bound)) {
            (Some(other), _) if reuseport && same_address(case, other) => shared(other, diagnosis),
            (_, Some(other)) => stolen(other, diagnosis),
            _ => return false,
        },
    }
    true
}

fn same_address(case: &Case<'_>, other: &PortSocket) -> bool {
    case.attempt.address.as_ref().and_then(Address::ip) == other.local.ip()
}

/// `reuseport_select_sock` (net/core/sock_reuseport.c) spreads by a hash of the addresses.
fn shared(other: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::SharedByReuseport, Certainty::Certain);
    say!(
        diagnosis.summary,
        "{} has {} as well, by SO_REUSEPORT: the kernel gives a part of what comes in to each of the two",
        Who(other),
        other.local
    );
    fix(diagnosis, format_args!("where only one of the two is to run, stop the other"));
}

/// `udp4_lib_lookup2` (net/ipv4/udp.c): of sockets that fit equally well, the one that was bound last
/// gets a datagram, and one with an address goes before one without.
fn hijack(other: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::UdpHijack, Certainty::Certain);
    say!(
        diagnosis.summary,
        "{} has the UDP port {} as well: SO_REUSEADDR is on in both sockets, and only one of them gets each datagram, mostly the one that was bound last",
        Who(other),
        other.local
    );
    fix(
        diagnosis,
        format_args!("leave SO_REUSEADDR off on UDP sockets that are not for multicast"),
    );
}

/// `inet_csk_listen_start` (net/ipv4/inet_connection_sock.c): of two that are bound with
/// SO_REUSEADDR, the first that listens has the port.
fn stolen(other: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::StealsBoundPort, Certainty::Certain);
    say!(
        diagnosis.summary,
        "{} has {} bound as well, and does not listen yet: with SO_REUSEADDR on in both sockets this one listens first, and the other will fail when it does",
        Who(other),
        other.local
    );
    fix(diagnosis, format_args!("give one of the two another port"));
}
