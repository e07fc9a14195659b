//! A socket option was refused (setsockopt(2)).

use crate::attempt::{Family, Function, OptionValue, SocketOption};
use crate::cause::Cause;
use crate::code::{Code, EINVAL, ENODEV, ENOPROTOOPT, EOPNOTSUPP, EPERM};
use crate::facts::Fact;
use crate::facts::rights::capability::{NET_ADMIN, NET_RAW};
use crate::record::{Certainty, Diagnosis};

use super::Case;
use super::tell::{fix, fix_by, found, say};

pub(super) fn detect(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let (Function::Setsockopt, Some(option)) = (case.attempt.call, &case.attempt.option) else {
        return false;
    };
    let told = match case.code {
        code if code == Code::linux(EINVAL) => too_late(case, option, diagnosis),
        code if code == Code::linux(ENOPROTOOPT) || code == Code::linux(EOPNOTSUPP) => {
            unsupported(case, option, diagnosis)
        }
        code if code == Code::linux(EPERM) => not_permitted(case, option, diagnosis),
        code if code == Code::linux(ENODEV) => missing_device(option, diagnosis),
        _ => false,
    };
    if told {
        diagnosis.reuseaddr_cures = Some(false);
        diagnosis.retry_cures = Some(false);
    }
    told
}

/// `do_ipv6_setsockopt` (net/ipv6/ipv6_sockglue.c): IPV6_V6ONLY only before the socket has a port.
fn too_late(case: &Case<'_>, option: &SocketOption, diagnosis: &mut Diagnosis) -> bool {
    let ("IPV6_V6ONLY", Fact::Known(Some(address))) = (option.name, &case.facts.bound) else {
        return false;
    };
    found(diagnosis, Cause::OptionTooLate, Certainty::Certain);
    say!(
        diagnosis.summary,
        "{} must be set before bind, and this socket is bound already, to {address}",
        option.name
    );
    fix(diagnosis, format_args!("set {} right after socket()", option.name));
    true
}

/// `do_ip_setsockopt`, `do_ipv6_setsockopt`, `sk_setsockopt` (SO_REUSEPORT: only internet sockets).
fn unsupported(case: &Case<'_>, option: &SocketOption, diagnosis: &mut Diagnosis) -> bool {
    found(diagnosis, Cause::OptionUnsupported, Certainty::Certain);
    match case.attempt.socket.family {
        Some(family) => say!(
            diagnosis.summary,
            "a socket of family {} does not have {}",
            family.name(),
            option.name
        ),
        None => say!(diagnosis.summary, "this socket does not have {}", option.name),
    }
    match (option.level, case.attempt.socket.family) {
        ("IPPROTO_IPV6", Some(Family::Inet)) => {
            fix(diagnosis, format_args!("set it on IPv6 sockets alone (AF_INET6)"));
        }
        _ => fix(diagnosis, format_args!("leave it out here; a program may ignore this error")),
    }
    true
}

/// The capabilities of which one lets a process set an option, and their names (socket(7), ip(7)).
fn needed(option: &str) -> Option<(u64, &'static str)> {
    match option {
        "SO_BINDTODEVICE" | "SO_BINDTOIFINDEX" => Some((NET_RAW, "CAP_NET_RAW")),
        "IP_TRANSPARENT" | "IPV6_TRANSPARENT" => {
            Some((NET_RAW | NET_ADMIN, "CAP_NET_RAW or CAP_NET_ADMIN"))
        }
        _ => None,
    }
}

fn not_permitted(case: &Case<'_>, option: &SocketOption, diagnosis: &mut Diagnosis) -> bool {
    let Some((capabilities, names)) = needed(option.name) else { return false };
    if case.facts.rights.have(capabilities) != Fact::Known(false) {
        return false;
    }
    found(diagnosis, Cause::OptionNotPermitted, Certainty::Certain);
    if capabilities == NET_RAW {
        say!(
            diagnosis.summary,
            "this socket is tied to an interface already; to change that with {} needs {names}",
            option.name
        );
        fix(diagnosis, format_args!("make a new socket, and tie that one to the interface"));
    } else {
        say!(diagnosis.summary, "{} needs {names}, which this process lacks", option.name);
    }
    fix(
        diagnosis,
        format_args!("as a systemd service: AmbientCapabilities=CAP_NET_RAW in its unit"),
    );
    true
}

/// `sock_setbindtodevice` (net/core/sock.c) looks for the name; an index is looked for by bind.
fn missing_device(option: &SocketOption, diagnosis: &mut Diagnosis) -> bool {
    found(diagnosis, Cause::MissingDevice, Certainty::Certain);
    match option.value {
        OptionValue::Name(name) => say!(diagnosis.summary, "there is no interface {name}"),
        OptionValue::Number(index) => {
            say!(diagnosis.summary, "there is no interface with index {index}");
        }
        OptionValue::Unreadable => say!(diagnosis.summary, "there is no such interface"),
    }
    fix_by(
        diagnosis,
        format_args!("take an interface that is there, in this network namespace"),
        format_args!("ip -brief link"),
    );
    true
}
