//! Why a socket at another address is in the way all the same.
//!
//! The rules are those of [`crate::conflict`]; here they are told.

use core::net::IpAddr;

use crate::address::Address;
use crate::cause::Cause;
use crate::facts::{Fact, PortSocket, SocketState};
use crate::record::Diagnosis;

use super::super::Case;
use super::super::tell::{fix, say};

/// Names the overlaps in `also`, and says them.
pub(super) fn explain(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    let Some(ours) = case.attempt.address.as_ref().and_then(Address::ip) else { return };
    let Some(theirs) = socket.local.ip() else { return };
    if !socket.state.is_kept_on_purpose() {
        connection(ours, theirs, diagnosis);
        return;
    }
    stacks(ours, theirs, diagnosis);
    wildcards(ours, theirs, diagnosis);
    devices(case, socket, diagnosis);
    reuseport(case, socket, diagnosis);
}

fn note(diagnosis: &mut Diagnosis, cause: Cause) -> bool {
    diagnosis.also.try_push(cause).is_ok()
}

/// IPv6 sockets that take IPv4 packets (ipv6(7), `IPV6_V6ONLY`).
fn stacks(ours: IpAddr, theirs: IpAddr, diagnosis: &mut Diagnosis) {
    // A UDP socket that is connected.
    if connection(ours, theirs, diagnosis) {
        return;
    }
    if ours.is_ipv4() == theirs.is_ipv4() || !note(diagnosis, Cause::DualStackOverlap) {
        return;
    }
    let six = if ours.is_ipv6() { ours } else { theirs };
    if !six.is_unspecified() {
        say!(diagnosis.summary, "; {six} is the IPv4 address {}", six.to_canonical());
    } else if ours.is_ipv6() {
        say!(diagnosis.summary, "; [::] needs the port on IPv4 as well (IPV6_V6ONLY is off)");
        fix(
            diagnosis,
            format_args!("set IPV6_V6ONLY before bind, if IPv4 is to stay with the other"),
        );
    } else {
        say!(diagnosis.summary, "; that takes IPv4 as well (its IPV6_V6ONLY is off)");
    }
}

/// Connections are at one address each, whatever their server was bound to: that explains nothing.
/// But one of IPv6 is in the way of 0.0.0.0 ([`crate::conflict::Reach::of_connection`]).
fn connection(ours: IpAddr, theirs: IpAddr, diagnosis: &mut Diagnosis) -> bool {
    let is_specific = theirs.to_canonical().is_ipv6() && !theirs.is_unspecified();
    let is_odd = ours.is_ipv4() && is_specific;
    if is_odd && note(diagnosis, Cause::DualStackOverlap) {
        say!(
            diagnosis.summary,
            "; to the kernel an IPv6 connection is in the way of {ours} (IPV6_V6ONLY is off there)"
        );
    }
    is_odd
}

fn wildcards(ours: IpAddr, theirs: IpAddr, diagnosis: &mut Diagnosis) {
    let differ = ours.is_ipv4() == theirs.is_ipv4() && ours != theirs;
    if !differ {
        return;
    }
    if theirs.is_unspecified() && note(diagnosis, Cause::WildcardOverlap) {
        say!(diagnosis.summary, "; that covers every address, {ours} too");
    } else if ours.is_unspecified() && note(diagnosis, Cause::WildcardOverlap) {
        say!(diagnosis.summary, "; {ours} needs the port on every address, {theirs} too");
    }
}

/// A socket without a device takes the packets of every device (socket(7), `SO_BINDTODEVICE`).
fn devices(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    let ours = case.facts.device;
    // A link-local address has a device by its scope.
    let is_scoped = matches!(socket.local, Address::V6 { scope, .. } if scope != 0);
    if is_scoped || (ours == 0 && socket.device == 0) || !note(diagnosis, Cause::DeviceOverlap) {
        return;
    }
    match (ours, socket.device) {
        (0, _) => {
            say!(diagnosis.summary, "; this socket is bound to no device, so that it needs all")
        }
        (_, 0) => say!(diagnosis.summary, "; that is bound to no device, so that it has them all"),
        _ => say!(diagnosis.summary, "; both are bound to the same device"),
    }
}

/// SO_REUSEPORT shares a port between sockets that all have it and are of one user (socket(7)).
fn reuseport(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    if !matches!(socket.state, SocketState::Listen | SocketState::Udp) {
        return;
    }
    let other_user = match (case.facts.socket_uid, socket.uid) {
        (Fact::Known(ours), Some(theirs)) => ours != theirs,
        _ => false,
    };
    let has_it = socket.options.known().map(|options| options.reuseport);
    if case.attempt.socket.reuseport == Some(true) {
        if !note(diagnosis, Cause::ReuseportMismatch) {
            return;
        }
        if other_user && has_it != Some(false) {
            say!(
                diagnosis.summary,
                "; SO_REUSEPORT shares only with sockets of the same user, and that is user id {}",
                socket.uid.unwrap_or_default()
            );
        } else {
            say!(diagnosis.summary, "; SO_REUSEPORT is on here, but not there");
        }
    } else if is_shared(case, socket) && note(diagnosis, Cause::ReuseportMismatch) {
        say!(
            diagnosis.summary,
            "; several sockets share it by SO_REUSEPORT, which this one does not have"
        );
    }
}

/// Two listeners at one address are proof that both have SO_REUSEPORT.
fn is_shared(case: &Case<'_>, socket: &PortSocket) -> bool {
    socket.state == SocketState::Listen
        && case.facts.sockets.iter().any(|other| {
            other.state == SocketState::Listen
                && other.local == socket.local
                && other.device == socket.device
                && other.cookie != socket.cookie
        })
}
