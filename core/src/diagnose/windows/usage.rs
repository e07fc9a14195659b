//! The call was made in a way that cannot work, or the machine has nothing left.
//!
//! "Windows Sockets Error Codes", and the pages of bind, listen and setsockopt.

use crate::address::Families;
use crate::attempt::{Family, Function};
use crate::cause::Cause;
use crate::code::*;
use crate::conflict::windows::Sharing;
use crate::facts::{Descriptor, Fact, Locality};
use crate::record::{Certainty, Diagnosis};

use super::super::Case;
use super::super::tell::{fix, fix_by, found, say};
use super::super::usage::{already_bound, given_family};
use super::{cures, own_sharing, port_of};

pub(super) fn detect(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    cures(diagnosis, Some(false), Some(false));
    let told = match (case.code.number, case.attempt.call) {
        (WSAENOTSOCK, _) => not_a_socket(case, diagnosis),
        (WSAEFAULT, _) => bad_pointer(case, diagnosis),
        // Wine says WSAEOPNOTSUPP to an IPv6 address on an IPv4 socket,
        // and WSAEINVAL the other way round.
        (WSAEAFNOSUPPORT | WSAEOPNOTSUPP, Function::Bind) => {
            wrong_family(case, diagnosis) || not_even_a_socket(case, diagnosis)
        }
        (WSAEINVAL, Function::Bind) => {
            already_bound(case, diagnosis)
                || not_even_a_socket(case, diagnosis)
                || wrong_family(case, diagnosis)
        }
        (WSAEINVAL, Function::Listen) => wrong_state(case, diagnosis),
        (WSAEINVAL, Function::Setsockopt) => options_conflict(case, diagnosis),
        (WSAEOPNOTSUPP, Function::Listen) => listen_not_supported(case, diagnosis),
        (WSANOTINITIALISED | WSAENETDOWN | WSAEINPROGRESS, _) => not_started(case, diagnosis),
        (WSAEADDRNOTAVAIL, Function::Bind) => not_local(case, diagnosis),
        (WSAENOBUFS, Function::Bind) => exhausted(case, diagnosis),
        _ => false,
    };
    if !told {
        cures(diagnosis, None, None);
    }
    told
}

fn not_a_socket(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    found(diagnosis, Cause::NotASocket, Certainty::Certain);
    say!(diagnosis.summary, "handle {} is not a socket", case.attempt.fd);
    fix(
        diagnosis,
        format_args!("check what socket() gave: it may have failed, or been closed since"),
    );
    true
}

/// A file is no socket, whatever the code (under Wine: WSAEINVAL, WSAEOPNOTSUPP).
fn not_even_a_socket(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    case.facts.descriptor == Fact::Known(Descriptor::NotASocket) && not_a_socket(case, diagnosis)
}

/// `sizeof(struct sockaddr_in)`, `sizeof(struct sockaddr_in6)`.
fn size_of(family: Family) -> Option<i64> {
    match family {
        Family::Inet => Some(16),
        Family::Inet6 => Some(28),
        _ => None,
    }
}

/// A pointer that is wrong, an address that is too short or one of another family: all are
/// WSAEFAULT.
fn bad_pointer(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    found(diagnosis, Cause::BadPointer, Certainty::Certain);
    let attempt = case.attempt;
    let needed = attempt.socket.family.and_then(size_of);
    let given = given_family(attempt, Families::WINDOWS);
    match (attempt.call, attempt.address_length, needed, attempt.socket.family, given) {
        (Function::Bind, Some(length), Some(needed), _, _) if length < needed => {
            say!(
                diagnosis.summary,
                "the length of the address is given as {length} bytes; the socket's family needs {needed}"
            );
            fix(diagnosis, format_args!("pass the size of the address's own structure as namelen"));
        }
        (Function::Bind, _, _, Some(family), Some(given)) if family != given => {
            families_differ(family, given, diagnosis);
        }
        (Function::Setsockopt, ..) => {
            say!(diagnosis.summary, "the option value is too short, or not in readable memory");
        }
        _ => {
            say!(diagnosis.summary, "the pointer to the address does not point to readable memory")
        }
    }
    true
}

fn families_differ(socket: Family, given: Family, diagnosis: &mut Diagnosis) {
    say!(
        diagnosis.summary,
        "the socket is of family {}, and the address of family {}",
        socket.name(),
        given.name()
    );
    match given {
        Family::Other(0) => {
            fix(diagnosis, format_args!("set the family in the address (sin_family, sin6_family)"));
        }
        _ => fix(diagnosis, format_args!("make the socket of the address's own family")),
    }
}

fn wrong_family(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let families = (case.attempt.socket.family, given_family(case.attempt, Families::WINDOWS));
    let (Some(socket), Some(given)) = families else { return false };
    if socket == given {
        return false;
    }
    found(diagnosis, Cause::WrongAddressFamily, Certainty::Certain);
    families_differ(socket, given, diagnosis);
    true
}

/// Linux binds a socket that listens without an address; Windows does not.
fn wrong_state(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    if case.facts.bound == Fact::Known(None) {
        found(diagnosis, Cause::ListenWrongState, Certainty::Certain);
        say!(diagnosis.summary, "this socket is not bound, and listen does not bind it on Windows");
    } else {
        found(diagnosis, Cause::ListenWrongState, Certainty::Probable);
        say!(diagnosis.summary, "this socket cannot listen: it is not bound, or connected already");
    }
    fix(diagnosis, format_args!("check that bind succeeded before listen"));
    true
}

fn options_conflict(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let Some(option) = case.attempt.option else { return false };
    let other = match (option.name, own_sharing(case)) {
        ("SO_REUSEADDR", Some(Sharing::Exclusive)) => Some("SO_EXCLUSIVEADDRUSE"),
        ("SO_EXCLUSIVEADDRUSE", Some(Sharing::Reuse)) => Some("SO_REUSEADDR"),
        _ => None,
    };
    let too_late = option.name == "SO_EXCLUSIVEADDRUSE" && known_bound(case);
    match other {
        Some(other) => say!(
            diagnosis.summary,
            "{} contradicts {other}, which is set on this socket",
            option.name
        ),
        None if too_late => {
            say!(diagnosis.summary, "{} comes too late: the socket is bound", option.name)
        }
        None => return false,
    }
    diagnosis.cause = Cause::OptionsConflict;
    diagnosis.certainty = Certainty::Certain;
    fix(
        diagnosis,
        format_args!(
            "set one of the two, before bind; on Windows a server wants SO_EXCLUSIVEADDRUSE"
        ),
    );
    true
}

fn known_bound(case: &Case<'_>) -> bool {
    matches!(case.facts.bound, Fact::Known(Some(_)))
}

fn listen_not_supported(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    found(diagnosis, Cause::ListenNotSupported, Certainty::Certain);
    match case.attempt.socket.kind {
        Some(kind) => say!(diagnosis.summary, "a socket of type {} cannot listen", kind.name()),
        None => say!(diagnosis.summary, "a socket of this type cannot listen"),
    }
    fix(diagnosis, format_args!("receive without listen, or make a SOCK_STREAM socket"));
    true
}

fn not_started(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let missing = case.code.number == WSANOTINITIALISED;
    let certainty = if missing { Certainty::Certain } else { Certainty::Probable };
    found(diagnosis, Cause::WinsockNotStarted, certainty);
    match case.code.number {
        WSANOTINITIALISED => {
            say!(diagnosis.summary, "this process did not start Winsock, or stopped it again");
            fix(
                diagnosis,
                format_args!("call WSAStartup first, and WSACleanup only after the last socket"),
            );
        }
        WSAENETDOWN => say!(diagnosis.summary, "the network subsystem of Windows has failed"),
        _ => say!(diagnosis.summary, "a blocking call of Windows Sockets 1.1 is still under way"),
    }
    true
}

fn not_local(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let (Fact::Known(Locality::Absent), Some(address)) =
        (case.facts.locality, &case.attempt.address)
    else {
        return false;
    };
    found(diagnosis, Cause::AddressNotLocal, Certainty::Certain);
    say!(diagnosis.summary, "no interface of this machine has the address of {address}");
    cures(diagnosis, Some(false), None);
    fix_by(
        diagnosis,
        format_args!("use an address that this machine has"),
        format_args!("ipconfig"),
    );
    fix(diagnosis, format_args!("or 0.0.0.0 (IPv6: ::), which is every address of the machine"));
    true
}

fn exhausted(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let chosen = port_of(case).is_none();
    let certainty = if chosen { Certainty::Probable } else { Certainty::Possible };
    found(diagnosis, Cause::EphemeralPortsExhausted, certainty);
    cures(diagnosis, Some(false), Some(true));
    if chosen {
        say!(diagnosis.summary, "no port is left that Windows could choose");
    } else {
        say!(
            diagnosis.summary,
            "Windows has no buffer left: out of memory for sockets, or of ports"
        );
    }
    if let Fact::Known((first, last)) = case.facts.ephemeral {
        say!(diagnosis.summary, " (dynamic range: {first} to {last})");
    }
    fix_by(
        diagnosis,
        format_args!("see which process has the most"),
        format_args!(
            "powershell -c \"Get-NetTCPConnection | group OwningProcess -NoElement | sort Count\""
        ),
    );
    fix_by(
        diagnosis,
        format_args!("widen the dynamic range (needs an elevated prompt)"),
        format_args!(
            "netsh int ipv4 set dynamicport {} start=32768 num=32768",
            if case.attempt.socket.is_udp() { "udp" } else { "tcp" }
        ),
    );
    true
}
