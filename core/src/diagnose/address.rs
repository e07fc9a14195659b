//! The address is not there.

use core::fmt;
use core::net::Ipv6Addr;

use crate::address::Address;
use crate::attempt::Function;
use crate::cause::Cause;
use crate::code::{Code, EADDRNOTAVAIL, ENODEV};
use crate::conflict::has_scope;
use crate::facts::network::{Interface, Ipv6};
use crate::facts::{Fact, Locality};
use crate::record::{Certainty, Diagnosis};

use super::Case;
use super::tell::{fix, fix_by, found, say};
use super::word::Word;

pub(super) fn detect(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let told = match case.code {
        code if code == Code::linux(EADDRNOTAVAIL) => not_there(case, diagnosis),
        code if code == Code::linux(ENODEV) => missing_device(case, diagnosis),
        _ => false,
    };
    if told {
        diagnosis.reuseaddr_cures = Some(false);
    }
    told
}

/// `ipv6_chk_addr` (net/ipv6/addrconf.c), `inet_addr_valid_or_nonlocal` (include/net/inet_sock.h).
fn not_there(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    match case.facts.locality {
        Fact::Known(Locality::Absent) => {
            if !no_ipv6(case, diagnosis) && !loopback_down(case, diagnosis) {
                absent(case, diagnosis);
            }
        }
        Fact::Known(Locality::Elsewhere) => wrong_scope(case, diagnosis),
        Fact::Known(Locality::Duplicate) => duplicate(case, diagnosis),
        Fact::Known(Locality::Tentative) => {
            if !link_down(case, diagnosis) {
                tentative(case, diagnosis);
            }
        }
        _ => return false,
    }
    true
}

/// The address that was asked for, for a sentence.
struct Asked<'a>(&'a Case<'a>);

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.attempt.address {
            Some(address) => write!(f, "the address of {address}"),
            None => f.write_str("the address"),
        }
    }
}

/// The IPv6 address that was asked for, unless it stands for an IPv4 one.
fn ipv6(case: &Case<'_>) -> Option<Ipv6Addr> {
    match case.attempt.address {
        Some(Address::V6 { ip, .. }) if ip.to_ipv4_mapped().is_none() => Some(ip),
        _ => None,
    }
}

fn interface<'a>(case: &'a Case<'_>) -> Option<&'a Interface> {
    case.facts.network.interface.known()?.as_ref()
}

fn absent(case: &Case<'_>, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::AddressNotLocal, Certainty::Certain);
    say!(diagnosis.summary, "no interface of this machine has {}", Asked(case));
    fix_by(
        diagnosis,
        format_args!("use an address that this machine has"),
        format_args!("ip -brief address"),
    );
    fix(diagnosis, format_args!("or 0.0.0.0 (IPv6: ::), which is every address of the machine"));
    let family = if ipv6(case).is_some() { "ipv6" } else { "ipv4" };
    fix_by(
        diagnosis,
        format_args!(
            "for an address that comes later (DHCP, a virtual IP): set IP_FREEBIND, start after network-online.target, or as root allow it to all"
        ),
        format_args!("sysctl -w net.{family}.ip_nonlocal_bind=1"),
    );
}

/// With IPv6 switched off an interface has no IPv6 address; `::` can be bound all the same.
fn no_ipv6(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let (Some(ip), Fact::Known(off)) = (ipv6(case), case.facts.network.ipv6) else { return false };
    let scope = match (off, ip.is_loopback()) {
        (Ipv6::Off, _) => "all",
        (Ipv6::OffOnLoopback, true) => "lo",
        _ => return false,
    };
    // An interface may be an exception to "all", which loopback was seen not to be.
    let certainty = if ip.is_loopback() { Certainty::Certain } else { Certainty::Probable };
    found(diagnosis, Cause::Ipv6Disabled, certainty);
    let on = if scope == "lo" { " on the loopback interface" } else { "" };
    say!(diagnosis.summary, "IPv6 is switched off{on}, so that {} does not exist", Asked(case));
    if ip.is_loopback() && case.facts.network.loopback_up == Fact::Known(false) {
        let _ = diagnosis.also.try_push(Cause::LoopbackDown);
    }
    diagnosis.retry_cures = Some(false);
    match ip.is_loopback() {
        true => fix(diagnosis, format_args!("bind 127.0.0.1, or :: which works without IPv6")),
        false => fix(diagnosis, format_args!("bind an IPv4 address, or :: which is every address")),
    }
    fix_by(
        diagnosis,
        format_args!("or switch it on, as root (a container: docker run --sysctl with the same)"),
        format_args!("sysctl -w net.ipv6.conf.{scope}.disable_ipv6=0"),
    );
    true
}

/// A new network namespace has its loopback down: 127.0.0.1 can be bound, `::1` does not exist.
fn loopback_down(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let is_loopback = ipv6(case).is_some_and(|ip| ip.is_loopback());
    if !is_loopback || case.facts.network.loopback_up != Fact::Known(false) {
        return false;
    }
    found(diagnosis, Cause::LoopbackDown, Certainty::Certain);
    say!(
        diagnosis.summary,
        "the loopback interface of this network namespace is down, so that ::1 does not exist"
    );
    diagnosis.retry_cures = None;
    fix_by(diagnosis, format_args!("switch it on, as root"), format_args!("ip link set lo up"));
    fix(diagnosis, format_args!("or bind 127.0.0.1, which works all the same"));
    true
}

/// The address of a link that is down stays tentative, for nobody can be asked about it.
fn link_down(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let Some(interface) = interface(case).filter(|i| !(i.is_up && i.has_carrier)) else {
        return false;
    };
    let name = interface.name;
    found(diagnosis, Cause::AddressLinkDown, Certainty::Certain);
    let state = if interface.is_up { "has no link (no carrier)" } else { "is down" };
    say!(diagnosis.summary, "{} is on {name}, which {state}", Asked(case));
    diagnosis.retry_cures = None;
    match Word::of(name) {
        _ if interface.is_up => {
            fix(diagnosis, format_args!("see why {name} has no link: a cable, or its other end"));
        }
        Some(name) => fix_by(
            diagnosis,
            format_args!("switch the interface on, as root"),
            format_args!("ip link set dev {name} up"),
        ),
        None => fix(diagnosis, format_args!("switch the interface on, as root")),
    }
    fix(diagnosis, format_args!("or set IPV6_FREEBIND before bind, and be there when it comes up"));
    true
}

fn duplicate(case: &Case<'_>, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::AddressDuplicate, Certainty::Certain);
    say!(diagnosis.summary, "another machine on the link has {}", Asked(case));
    if let Some(interface) = interface(case) {
        say!(diagnosis.summary, " as well, so that {} does not use it", interface.name);
    }
    diagnosis.retry_cures = Some(false);
    fix(
        diagnosis,
        format_args!("give one of the two another address; the kernel's log names the other one"),
    );
}

fn tentative(case: &Case<'_>, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::AddressTentative, Certainty::Certain);
    say!(
        diagnosis.summary,
        "{} is new: duplicate address detection is not through yet",
        Asked(case)
    );
    diagnosis.retry_cures = Some(true);
    fix(
        diagnosis,
        format_args!("start it again in a few seconds, or let bindshim-run --retry wait"),
    );
    fix(
        diagnosis,
        format_args!("or set IPV6_FREEBIND, or add the address with \"nodad\" or \"optimistic\""),
    );
}

/// A failed bind leaves the socket tied to the interface of the wrong scope (`__inet6_bind`).
fn wrong_scope(case: &Case<'_>, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::WrongScope, Certainty::Certain);
    let has_scope = ipv6(case).is_some_and(has_scope);
    let given = case.facts.network.device.known().copied().unwrap_or_default();
    say!(diagnosis.summary, "{} is not on interface {given}", Asked(case));
    diagnosis.retry_cures = Some(false);
    if let Some(Interface { index, name, .. }) = interface(case) {
        say!(diagnosis.summary, ", but on {name} (interface {index})");
        if has_scope {
            fix(
                diagnosis,
                format_args!(
                    "give the address with %{name} (sin6_scope_id {index}), and to a new socket: this one stays tied to {given}"
                ),
            );
            return;
        }
    }
    fix(
        diagnosis,
        format_args!("tie the socket to the interface that has the address, or to none"),
    );
}

/// `__inet6_bind` (net/ipv6/af_inet6.c): ENODEV is an interface that is not there.
fn missing_device(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let Some(Address::V6 { scope, ip, .. }) = case.attempt.address else { return false };
    if case.attempt.call != Function::Bind {
        return false;
    }
    let device = case.facts.network.device.known().copied().filter(|device| *device != 0);
    let device = device.or((scope != 0 && has_scope(ip)).then_some(scope));
    found(diagnosis, Cause::MissingDevice, Certainty::Certain);
    match device {
        Some(index) => say!(diagnosis.summary, "there is no interface with index {index}"),
        None => say!(diagnosis.summary, "the interface that the socket is tied to is gone"),
    }
    diagnosis.retry_cures = None;
    fix_by(
        diagnosis,
        format_args!("take the index of an interface that is there, and a new socket"),
        format_args!("ip -brief link"),
    );
    true
}

/// A link-local address is one of every interface: the kernel must be told which (EINVAL).
pub(super) fn missing_scope(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let (Some(Address::V6 { ip, scope: 0, .. }), Fact::Known(0)) =
        (&case.attempt.address, case.facts.network.device)
    else {
        return false;
    };
    if !has_scope(*ip) {
        return false;
    }
    found(diagnosis, Cause::MissingScope, Certainty::Certain);
    say!(
        diagnosis.summary,
        "{ip} is a link-local address, and no interface (sin6_scope_id) was given with it"
    );
    match interface(case) {
        Some(Interface { index, name, .. }) => {
            fix(diagnosis, format_args!("write it as {ip}%{name} (sin6_scope_id {index})"));
        }
        None => fix_by(
            diagnosis,
            format_args!("give the interface with it, as in {ip}%eth0 (sin6_scope_id)"),
            format_args!("ip -brief -6 address"),
        ),
    }
    true
}
