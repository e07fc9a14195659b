//! The call was made in a way that cannot work.

use crate::address::{Address, Families};
use crate::attempt::{Attempt, Family, Function, SocketType};
use crate::cause::Cause;
use crate::code::{Code, EAFNOSUPPORT, EBADF, EFAULT, EINVAL, ENOTSOCK, EOPNOTSUPP};
use crate::facts::{Descriptor, Fact};
use crate::record::{Certainty, Diagnosis};

use super::tell::{fix, found, say};
use super::{Case, address};

pub(super) fn detect(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let told = match case.code {
        code if code == Code::linux(EBADF) => bad_fd(case, diagnosis),
        code if code == Code::linux(ENOTSOCK) => not_a_socket(case, diagnosis),
        code if code == Code::linux(EFAULT) => bad_pointer(case, diagnosis),
        code if code == Code::linux(EAFNOSUPPORT) => wrong_family(case, diagnosis),
        code if code == Code::linux(EINVAL) => invalid(case, diagnosis),
        code if code == Code::linux(EOPNOTSUPP) => cannot_listen(case, diagnosis),
        _ => false,
    };
    if told {
        diagnosis.reuseaddr_cures = Some(false);
        diagnosis.retry_cures = Some(false);
    }
    told
}

fn bad_fd(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    if case.facts.descriptor != Fact::Known(Descriptor::Closed) {
        return false;
    }
    found(diagnosis, Cause::BadFd, Certainty::Certain);
    say!(diagnosis.summary, "descriptor {} is not open", case.attempt.fd);
    fix(
        diagnosis,
        format_args!("check what socket() gave; it may have failed, or been closed since"),
    );
    true
}

fn not_a_socket(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    if case.facts.descriptor != Fact::Known(Descriptor::NotASocket) {
        return false;
    }
    found(diagnosis, Cause::NotASocket, Certainty::Certain);
    say!(diagnosis.summary, "descriptor {} is open, but it is not a socket", case.attempt.fd);
    fix(diagnosis, format_args!("check that the socket was not closed and its number used again"));
    true
}

fn bad_pointer(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    if case.attempt.call == Function::Listen || case.attempt.address.is_some() {
        return false;
    }
    found(diagnosis, Cause::BadPointer, Certainty::Certain);
    let what = if case.attempt.call == Function::Bind { "address" } else { "option value" };
    say!(diagnosis.summary, "the pointer to the {what} does not point to readable memory");
    true
}

/// The family of an address as the program gave it, where it is known.
pub(super) fn given_family(attempt: &Attempt, families: Families) -> Option<Family> {
    Some(match attempt.address.as_ref()? {
        Address::V4 { .. } => Family::Inet,
        Address::V6 { .. } => Family::Inet6,
        Address::Path(_) | Address::Abstract(_) => Family::Unix,
        Address::Raw { family, .. } if *family == families.inet => Family::Inet,
        Address::Raw { family, .. } if *family == families.inet6 => Family::Inet6,
        Address::Raw { family, .. } if *family == families.unix => Family::Unix,
        Address::Raw { family, .. } => Family::Other(*family),
    })
}

fn wrong_family(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let (Some(socket), Some(given)) =
        (case.attempt.socket.family, given_family(case.attempt, Families::LINUX))
    else {
        return false;
    };
    if socket == given {
        return false;
    }
    found(diagnosis, Cause::WrongAddressFamily, Certainty::Certain);
    say!(
        diagnosis.summary,
        "the socket is of family {}, and the address of family {}",
        socket.name(),
        given.name()
    );
    match (socket, given) {
        (Family::Inet6, Family::Inet) => fix(
            diagnosis,
            format_args!("make an AF_INET socket, or write the address as ::ffff:a.b.c.d"),
        ),
        (_, Family::Other(0)) => {
            fix(diagnosis, format_args!("set the family in the address (sin_family, sin6_family)"));
        }
        _ => fix(diagnosis, format_args!("make the socket of the address's own family")),
    }
    true
}

/// How long an address of a family may be, in bytes: `sizeof(struct sockaddr_in)`;
/// SIN6_LEN_RFC2133 (net/ipv6/af_inet6.c); `sun_path` (unix(7)); at most 128 for all
/// (`move_addr_to_kernel`, net/socket.c).
fn lengths(family: Family) -> (i64, i64) {
    match family {
        Family::Inet => (16, 128),
        Family::Inet6 => (24, 128),
        Family::Unix => (2, 110),
        Family::Other(_) => (0, 128),
    }
}

/// In the order of `__inet6_bind`, whose checks are those of the other families and more.
fn invalid(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    match case.attempt.call {
        Function::Bind => {
            wrong_length(case, diagnosis)
                || (!is_bound(case) && wrong_family(case, diagnosis))
                || multicast_stream(case, diagnosis)
                || already_connected(case, diagnosis)
                || already_bound(case, diagnosis)
                || v4_mapped_on_v6only(case, diagnosis)
                || address::missing_scope(case, diagnosis)
        }
        Function::Listen => wrong_state(case, diagnosis),
        Function::Setsockopt => false,
    }
}

fn wrong_length(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let (Some(length), Some(family)) = (case.attempt.address_length, case.attempt.socket.family)
    else {
        return false;
    };
    let (least, most) = lengths(family);
    // An IPv4 address on an IPv6 socket is shorter than that socket's own: the family is wrong,
    // not the length.
    let other_family =
        given_family(case.attempt, Families::LINUX).is_some_and(|given| given != family);
    if (least..=most).contains(&length) || (other_family && (0..=128).contains(&length)) {
        return false;
    }
    found(diagnosis, Cause::WrongAddressLength, Certainty::Certain);
    say!(diagnosis.summary, "the length of the address is given as {length} bytes; ");
    match family {
        Family::Inet => say!(diagnosis.summary, "an IPv4 address has 16"),
        Family::Inet6 => say!(diagnosis.summary, "an IPv6 address has 28"),
        Family::Unix => say!(diagnosis.summary, "a socket file's address has 3 to 110"),
        Family::Other(_) => say!(diagnosis.summary, "the kernel takes 0 to 128"),
    }
    fix(diagnosis, format_args!("pass the size of the address's own structure as addrlen"));
    true
}

fn is_bound(case: &Case<'_>) -> bool {
    matches!(case.facts.bound, Fact::Known(Some(_)))
}

pub(super) fn already_bound(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let Fact::Known(Some(address)) = &case.facts.bound else { return false };
    found(diagnosis, Cause::AlreadyBound, Certainty::Certain);
    say!(diagnosis.summary, "this socket is already bound, to {address}");
    fix(diagnosis, format_args!("bind a socket once; make a new socket for another address"));
    true
}

/// A connection has its address, and so has a datagram socket that has sent (`inet_autobind`,
/// net/ipv4/af_inet.c): a port of the kernel's choice, on all addresses.
fn already_connected(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let Fact::Known(Some(address)) = &case.facts.bound else { return false };
    if let Fact::Known(Some(peer)) = &case.facts.peer {
        found(diagnosis, Cause::AlreadyConnected, Certainty::Certain);
        say!(diagnosis.summary, "this socket is connected already, from {address} to {peer}");
        fix(diagnosis, format_args!("bind before connect(), or make a new socket for the server"));
        return true;
    }
    let has_chosen_port = |port| {
        case.facts.ephemeral.known().is_some_and(|(first, last)| (*first..=*last).contains(&port))
    };
    let is_datagram = case.attempt.socket.kind == Some(SocketType::Datagram);
    if !(is_datagram && address.is_wildcard() && address.port().is_some_and(has_chosen_port)) {
        return false;
    }
    found(diagnosis, Cause::AlreadyConnected, Certainty::Probable);
    say!(
        diagnosis.summary,
        "this socket is bound already, to {address}, a port of the kernel's choice: the first sendto() binds a socket"
    );
    fix(diagnosis, format_args!("bind before the first sendto(), and once"));
    true
}

/// `inet6_bind_sk` (net/ipv6/af_inet6.c) refuses all multicast addresses on stream sockets.
fn multicast_stream(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let (Some(Address::V6 { ip, .. }), Some(SocketType::Stream)) =
        (&case.attempt.address, case.attempt.socket.kind)
    else {
        return false;
    };
    if !ip.is_multicast() {
        return false;
    }
    found(diagnosis, Cause::MulticastStream, Certainty::Certain);
    say!(diagnosis.summary, "{ip} is a multicast address, and a stream socket cannot have one");
    fix(diagnosis, format_args!("bind a datagram socket to it, or an address of this machine"));
    true
}

fn v4_mapped_on_v6only(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let (Some(Address::V6 { ip, .. }), Some(true)) =
        (&case.attempt.address, case.attempt.socket.v6only)
    else {
        return false;
    };
    let Some(v4) = ip.to_ipv4_mapped() else { return false };
    found(diagnosis, Cause::V4MappedOnV6only, Certainty::Certain);
    say!(
        diagnosis.summary,
        "{ip} is the IPv4 address {v4}, and this socket is for IPv6 only (IPV6_V6ONLY)"
    );
    fix(diagnosis, format_args!("make an AF_INET socket for {v4}, or set IPV6_V6ONLY to 0"));
    fix(
        diagnosis,
        format_args!("where the program leaves IPV6_V6ONLY alone, net.ipv6.bindv6only decides"),
    );
    true
}

/// Stream and sequenced-packet sockets listen (listen(2)).
fn cannot_listen(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let (Function::Listen, Some(kind)) = (case.attempt.call, case.attempt.socket.kind) else {
        return false;
    };
    if matches!(kind, SocketType::Stream | SocketType::SeqPacket) {
        return false;
    }
    found(diagnosis, Cause::ListenNotSupported, Certainty::Certain);
    say!(diagnosis.summary, "a socket of type {} cannot listen", kind.name());
    if kind == SocketType::Datagram {
        fix(diagnosis, format_args!("leave listen() out: a datagram socket receives once bound"));
    }
    fix(diagnosis, format_args!("or make a stream socket (SOCK_STREAM)"));
    true
}

/// `__inet_listen_sk` (net/ipv4/af_inet.c), `unix_listen` (net/unix/af_unix.c).
fn wrong_state(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let is_unix = case.attempt.socket.family == Some(Family::Unix);
    let say = match (&case.facts.peer, &case.facts.bound) {
        (Fact::Known(Some(peer)), _) => {
            found(diagnosis, Cause::ListenWrongState, Certainty::Certain);
            say!(diagnosis.summary, "this socket is connected");
            if !matches!(peer, Address::Raw { .. }) {
                say!(diagnosis.summary, " to {peer}");
            }
            say!(diagnosis.summary, ", and cannot listen");
            "listen on a socket of its own, not on a connection"
        }
        (Fact::Known(None), Fact::Known(None)) if is_unix => {
            found(diagnosis, Cause::ListenWrongState, Certainty::Certain);
            say!(diagnosis.summary, "this Unix socket is not bound, so that nobody could reach it");
            "bind it first, and check that bind() worked"
        }
        (Fact::Known(None), _) if case.attempt.socket.is_tcp() => {
            found(diagnosis, Cause::ListenWrongState, Certainty::Certain);
            say!(diagnosis.summary, "this socket is connecting, and cannot listen");
            "listen on a socket of its own, not on one that connect() was called on"
        }
        _ => return false,
    };
    fix(diagnosis, format_args!("{say}"));
    true
}
