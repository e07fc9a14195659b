//! Successes that are dangerous or surprising.

use crate::address::Address;
use crate::attempt::Function;
use crate::cause::Cause;
use crate::conflict::windows::{Scope, Sharing};
use crate::facts::PortSocket;
use crate::record::{Certainty, Diagnosis};

use super::super::Case;
use super::super::tell::{fix, found, say};
use super::{Who, is_bound, is_own, is_udp, other_port, own_sharing, port_of};

/// Ports of protocols whose every receiver has a socket of its own: mDNS, SSDP, LLMNR, WS-Discovery
/// (IANA, "Service Name and Transport Protocol Port Number Registry").
const MULTICAST_PORTS: [u16; 4] = [5353, 1900, 5355, 3702];

/// Whether each of several UDP sockets at `address` gets what comes in, so that they share it to
/// good purpose.
fn is_meant_for_many(address: &Address) -> bool {
    let for_many = match address {
        Address::V4 { ip, .. } => ip.is_multicast() || ip.is_broadcast(),
        Address::V6 { ip, .. } => ip.is_multicast(),
        _ => false,
    };
    for_many || address.port().is_some_and(|port| MULTICAST_PORTS.contains(&port))
}

/// Whether another process's socket on the port would be worth a warning: not where this one keeps
/// its port for itself alone, and not where many are meant to share it.
pub(in super::super) fn may_warn(case: &Case<'_>) -> bool {
    let shared_for_good = |address| case.attempt.socket.is_udp() && is_meant_for_many(address);
    case.attempt.call == Function::Bind
        && own_sharing(case) != Some(Sharing::Exclusive)
        && case.attempt.address.as_ref().is_some_and(|address| !shared_for_good(address))
        && port_of(case).is_some()
}

/// Another process has the port as well. A process that shares a port with itself means to.
pub(in super::super) fn warn(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let other = case.facts.sockets.iter().find(|s| is_bound(s) && !is_own(s));
    let (Some(address), Some(other), true) = (&case.attempt.address, other, may_warn(case)) else {
        return false;
    };
    let own = Scope::of(address);
    let same_scope = own == Scope::of(&other.local);
    if own_sharing(case) == Some(Sharing::Reuse) {
        // The same addresses are granted only where both have the option.
        let both = same_scope || other.sharing == Some(Sharing::Reuse);
        let certainty = if both { Certainty::Certain } else { Certainty::Probable };
        shared(other, certainty, diagnosis);
    } else if !same_scope {
        shadowed(own, other, diagnosis);
    } else {
        return false;
    }
    true
}

fn shared(other: &PortSocket, certainty: Certainty, diagnosis: &mut Diagnosis) {
    let gets = if is_udp(other) { "a datagram" } else { "what comes in" };
    found(diagnosis, Cause::PortSharedByReuseaddr, certainty);
    say!(
        diagnosis.summary,
        "{} has {} as well, because SO_REUSEADDR is set: which of the two gets {gets} is not determined",
        Who(other),
        other.local
    );
    if is_udp(other) {
        say!(diagnosis.summary, ", unless it is a multicast or a broadcast");
        fix(
            diagnosis,
            format_args!("leave SO_REUSEADDR off, unless both are to get multicasts or broadcasts"),
        );
    } else {
        fix(
            diagnosis,
            format_args!(
                "leave SO_REUSEADDR off on Windows, and set SO_EXCLUSIVEADDRUSE before bind"
            ),
        );
    }
    other_port(diagnosis);
}

fn shadowed(own: Scope, other: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::PortShadowed, Certainty::Certain);
    let (who, gets) = match (own, is_udp(other)) {
        (Scope::Specific, false) => ("this socket", "takes its address away from it"),
        (Scope::Wildcard, false) => ("that one", "keeps what is sent to its address"),
        (Scope::Specific, true) => ("this socket", "takes the datagrams to its address from it"),
        (Scope::Wildcard, true) => ("that one", "keeps the datagrams to its address"),
    };
    say!(diagnosis.summary, "{} has {} as well: {who} {gets}", Who(other), other.local);
    if !is_udp(other) {
        fix(
            diagnosis,
            format_args!(
                "to be alone on the port, set SO_EXCLUSIVEADDRUSE before bind: bindshim-run --exclusive does"
            ),
        );
    }
    other_port(diagnosis);
}
