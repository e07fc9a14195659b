//! The call was made in a way that cannot work.

use crate::address::{Address, Families};
use crate::attempt::{Attempt, Family, Function};
use crate::cause::Cause;
use crate::code::{Code, EAFNOSUPPORT, EBADF, EFAULT, EINVAL, ENOTSOCK};
use crate::facts::{Descriptor, Fact};
use crate::record::{Certainty, Diagnosis};

use super::Case;
use super::tell::{fix, found, say};

pub(super) fn detect(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let told = match case.code {
        code if code == Code::linux(EBADF) => bad_fd(case, diagnosis),
        code if code == Code::linux(ENOTSOCK) => not_a_socket(case, diagnosis),
        code if code == Code::linux(EFAULT) => bad_pointer(case, diagnosis),
        code if code == Code::linux(EAFNOSUPPORT) => wrong_family(case, diagnosis),
        code if code == Code::linux(EINVAL) => invalid(case, diagnosis),
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

fn invalid(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    if case.attempt.call != Function::Bind {
        return false;
    }
    wrong_length(case, diagnosis)
        || (!is_bound(case) && wrong_family(case, diagnosis))
        || already_bound(case, diagnosis)
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
