//! `WSAEACCES`: what it stands for. The cause is what refused; who has the port is named beside it.

use core::net::Ipv4Addr;

use crate::address::Address;
use crate::attempt::{Function, SocketType};
use crate::cause::Cause;
use crate::code::{Code, WSAEACCES};
use crate::conflict::windows::{Claim, Scope, Sharing, Verdict, verdict};
use crate::facts::{Fact, PortSocket, SocketState};
use crate::record::{Certainty, Diagnosis};

use super::super::tell::{fix, fix_by, found, say};
use super::super::{Case, Detector};
use super::port::{http_sys, lingering, not_listed};
use super::{
    Who, also, cures, is_bound, is_dual_stack, is_http_sys, is_udp, kind, other_port, own_claims,
    own_sharing, owner, port_of, reserved, sharings, stop,
};

/// What may refuse: first what is plain, then Microsoft's table, then what is left over.
const REASONS: &[Detector] = &[
    broadcast_not_enabled,
    reserved::kb3039044,
    by_http_sys,
    reserved::perhaps_kb3039044,
    by_table,
    dual_stack,
    excluded,
    udp,
    against_the_table,
    connections,
    sandbox,
    invisible,
    policy,
    both_share,
];

pub(super) fn detect(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    case.code == Code::windows(WSAEACCES)
        && case.attempt.call == Function::Bind
        && REASONS.iter().any(|reason| reason(case, diagnosis))
}

/// Whether an excluded range may be what refuses, so that it is worth asking for: nobody has the
/// port whom the table lets refuse, or it may be a case of KB 3039044.
pub(in super::super) fn may_be_by_range(case: &Case<'_>) -> bool {
    let refuses = |s: &PortSocket| is_http_sys(case, s) || reason(case, s).is_some();
    reserved::may_be_kb3039044(case) || !holders(case).any(refuses)
}

fn holders<'f>(case: &Case<'f>) -> impl Iterator<Item = &'f PortSocket> {
    case.facts.sockets.iter().filter(|s| is_bound(s))
}

/// Whether all sockets on the port are known, and no process has one.
fn nobody_holds(case: &Case<'_>) -> bool {
    let sockets = &case.facts.sockets;
    case.facts.sockets_unknown.is_none()
        && case.facts.sockets_total as usize == sockets.len()
        && sockets.iter().all(|s| s.state == SocketState::TimeWait)
}

/// Whether a socket that no table lists could refuse this bind.
fn invisible_could(case: &Case<'_>) -> bool {
    let firsts = Sharing::ALL.into_iter().flat_map(|sharing| {
        [Scope::Wildcard, Scope::Specific].map(|scope| Claim { sharing, scope })
    });
    firsts.into_iter().any(|first| {
        own_claims(case).any(|second| {
            [true, false].iter().any(|user| verdict(first, second, *user) == Verdict::AccessDenied)
        })
    })
}

/// "bind function", WSAEACCES.
fn broadcast_not_enabled(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let broadcast =
        matches!(&case.attempt.address, Some(Address::V4 { ip, .. }) if *ip == Ipv4Addr::BROADCAST);
    let datagrams = case.attempt.socket.kind == Some(SocketType::Datagram);
    if !broadcast || !datagrams || case.facts.windows.broadcast == Fact::Known(true) {
        return false;
    }
    let known = case.facts.windows.broadcast == Fact::Known(false);
    let certainty = if known { Certainty::Certain } else { Certainty::Probable };
    found(diagnosis, Cause::BroadcastNotEnabled, certainty);
    say!(
        diagnosis.summary,
        "a socket is bound to the broadcast address only with SO_BROADCAST set"
    );
    cures(diagnosis, Some(false), Some(false));
    fix(diagnosis, format_args!("set SO_BROADCAST before bind"));
    fix(diagnosis, format_args!("or bind 0.0.0.0, which takes broadcasts as well"));
    true
}

fn by_http_sys(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let Some(socket) = holders(case).find(|s| is_http_sys(case, s)) else { return false };
    http_sys(case, socket, diagnosis);
    true
}

/// What of a holder makes Microsoft's table refuse.
fn reason(case: &Case<'_>, socket: &PortSocket) -> Option<(Cause, Certainty)> {
    let refusing = || {
        let users = [true, false].into_iter();
        users.flat_map(|same| sharings(case, socket, same, Verdict::AccessDenied))
    };
    refusing().next()?;
    let own_scope = case.attempt.address.as_ref().map(Scope::of);
    let certain_user = owner(socket).is_some_and(|o| o.same_user == Some(false));
    Some(if refusing().all(|sharing| sharing == Sharing::Exclusive) {
        (Cause::ExclusiveHolder, Certainty::Certain)
    } else if own_scope != Some(Scope::of(&socket.local)) {
        // Of this user it takes an exclusive holder, of another one any holder.
        let certainty = if certain_user { Certainty::Certain } else { Certainty::Possible };
        (Cause::OtherUserHolder, certainty)
    } else if own_sharing(case) == Some(Sharing::Reuse) {
        (Cause::ReuseaddrRefused, Certainty::Certain)
    } else {
        (Cause::ExclusiveHolder, Certainty::Possible)
    })
}

fn by_table(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let found = holders(case).find_map(|s| reason(case, s).map(|reason| (s, reason)));
    let Some((socket, (cause, certainty))) = found else { return false };
    if is_udp(socket) {
        udp_port_taken(socket, Certainty::Certain, diagnosis);
        also(Some(cause), diagnosis);
        also(kind(case, socket), diagnosis);
    } else {
        refused(case, socket, cause, certainty, diagnosis);
    }
    true
}

fn refused(
    case: &Case<'_>,
    socket: &PortSocket,
    cause: Cause,
    certainty: Certainty,
    diagnosis: &mut Diagnosis,
) {
    found(diagnosis, cause, certainty);
    let verb = if socket.state == SocketState::Listen { "is listening on" } else { "has" };
    say!(diagnosis.summary, "{} {verb} {}", Who(socket), socket.local);
    cures(diagnosis, Some(false), Some(false));
    match cause {
        Cause::ReuseaddrRefused => {
            say!(
                diagnosis.summary,
                ", and does not share the port; with SO_REUSEADDR Windows calls that \"access denied\", not \"in use\""
            );
            fix(
                diagnosis,
                format_args!(
                    "leave SO_REUSEADDR off on Windows: there it asks to share a port, and is not needed for a restart"
                ),
            );
        }
        Cause::OtherUserHolder => other_user(socket, certainty, diagnosis),
        _ if certainty == Certainty::Certain => {
            say!(diagnosis.summary, " for itself alone (SO_EXCLUSIVEADDRUSE)");
        }
        _ => say!(diagnosis.summary, ", maybe for itself alone (SO_EXCLUSIVEADDRUSE)"),
    }
    stop(socket, "stop it if you do not need it", diagnosis);
    other_port(diagnosis);
    also(kind(case, socket), diagnosis);
}

fn other_user(socket: &PortSocket, certainty: Certainty, diagnosis: &mut Diagnosis) {
    if certainty == Certainty::Certain {
        say!(diagnosis.summary, " for all addresses as another user, who keeps this one from it");
    } else {
        say!(
            diagnosis.summary,
            " for all addresses; it is another user's, or has SO_EXCLUSIVEADDRUSE set"
        );
    }
    if let Some(owner) = owner(socket) {
        fix_by(
            diagnosis,
            format_args!("see whose it is (needs an elevated prompt)"),
            format_args!("tasklist /v /fi \"PID eq {}\"", owner.pid),
        );
    }
}

/// A socket for both IP versions that wants its port for itself alone is refused by any other one,
/// where the table says "in use" ("WinSock SO_EXCLUSIVEADDRUSE on Vista", Windows networking blog).
fn dual_stack(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let Some(socket) = holders(case).next() else { return false };
    if own_sharing(case) != Some(Sharing::Exclusive) || !is_dual_stack(case) {
        return false;
    }
    found(diagnosis, Cause::DualStackOverlap, Certainty::Probable);
    say!(
        diagnosis.summary,
        "this socket wants the port for IPv6 and IPv4, and for itself alone, but {} has {}",
        Who(socket),
        socket.local
    );
    cures(diagnosis, Some(false), Some(false));
    stop(socket, "stop it if you do not need it", diagnosis);
    fix(diagnosis, format_args!("or set IPV6_V6ONLY, and bind IPv4 by a socket of its own"));
    also(kind(case, socket), diagnosis);
    true
}

fn excluded(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let sure = nobody_holds(case) && !invisible_could(case);
    reserved::excluded(case, sure, diagnosis)
}

fn udp(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let Some(socket) = holders(case).find(|s| is_udp(s)) else { return false };
    udp_port_taken(socket, Certainty::Probable, diagnosis);
    true
}

fn udp_port_taken(socket: &PortSocket, certainty: Certainty, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::UdpPortTaken, certainty);
    say!(
        diagnosis.summary,
        "{} already has the UDP port {}, and does not share it",
        Who(socket),
        socket.local
    );
    cures(diagnosis, Some(false), None);
    stop(socket, "stop it if you do not need it", diagnosis);
    other_port(diagnosis);
}

/// Somebody has the port, and the table has another answer for that, as under Wine, whose host has
/// rules of its own.
fn against_the_table(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let Some(socket) = holders(case).find(|s| !shares_too(case, s)) else { return false };
    let cause = match own_sharing(case) {
        Some(Sharing::Reuse) => Cause::ReuseaddrRefused,
        _ => Cause::ExclusiveHolder,
    };
    refused(case, socket, cause, Certainty::Possible, diagnosis);
    true
}

fn connections(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let left_over = |s: &&PortSocket| s.state != SocketState::TimeWait && !is_bound(s);
    let Some(socket) = case.facts.sockets.iter().find(left_over) else { return false };
    if own_sharing(case) != Some(Sharing::Exclusive) {
        return false;
    }
    lingering(case, socket, diagnosis);
    true
}

fn sandbox(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    if case.facts.windows.app_container != Fact::Known(true) {
        return false;
    }
    found(diagnosis, Cause::PolicyDenied, Certainty::Probable);
    say!(diagnosis.summary, "the process runs in an AppContainer, which lets it have no such port");
    cures(diagnosis, Some(false), Some(false));
    fix(
        diagnosis,
        format_args!(
            "declare the capability internetClientServer or privateNetworkClientServer in its package"
        ),
    );
    true
}

/// Whether every list was read, and nothing in them is in the way.
fn nothing_is_listed(case: &Case<'_>) -> bool {
    let ranges = case.facts.windows.excluded.known();
    nobody_holds(case) && ranges.is_some_and(|ranges| ranges.owned.is_none())
}

fn invisible(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let could = nothing_is_listed(case) && case.attempt.socket.is_tcp() && invisible_could(case);
    let Some(port) = port_of(case).filter(|_| could) else { return false };
    not_listed(port, diagnosis);
    true
}

fn policy(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    if !nothing_is_listed(case) {
        return false;
    }
    found(diagnosis, Cause::PolicyDenied, Certainty::Possible);
    say!(
        diagnosis.summary,
        "neither a socket nor a reserved range is in the way; a security product or a rule of the filtering platform may refuse"
    );
    cures(diagnosis, Some(false), Some(false));
    fix_by(
        diagnosis,
        format_args!("see what the filtering platform refused (needs an elevated prompt)"),
        format_args!("netsh wfp show netevents"),
    );
    true
}

/// Whether both this socket and `socket` are known to have SO_REUSEADDR set.
fn shares_too(case: &Case<'_>, socket: &PortSocket) -> bool {
    [own_sharing(case), socket.sharing] == [Some(Sharing::Reuse); 2]
}

/// Two sockets that the table lets have one port, and yet the second one is refused.
fn both_share(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    if let Some(socket) = holders(case).find(|s| shares_too(case, s)) {
        say!(
            diagnosis.summary,
            "{} has {} with SO_REUSEADDR set, as this socket has, which Windows documents as allowed; what is known does not show why it refuses",
            Who(socket),
            socket.local
        );
    }
    false
}
