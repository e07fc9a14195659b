//! `WSAEACCES` for a port in an excluded range.

use core::fmt;

use crate::address::Address;
use crate::cause::Cause;
use crate::conflict::windows::Sharing;
use crate::facts::windows::{PortRange, Version, Windows};
use crate::facts::{Fact, PortSocket, SocketState, Why};
use crate::record::{Certainty, Diagnosis, Holder};

use super::super::Case;
use super::super::tell::{fix, fix_by, found, say};
use super::{Who, also, cures, is_bound, kind, own_sharing, port_of};

/// The default dynamic port range since Windows Vista ("The default dynamic port range for TCP/IP
/// has changed").
const DYNAMIC: PortRange = PortRange { first: 49152, last: 65535 };

/// A range for a sentence: `port 5357`, `ports 50000 to 50059`.
struct Ports(PortRange);

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            PortRange { first, last } if first == last => write!(f, "port {first}"),
            PortRange { first, last } => write!(f, "ports {first} to {last}"),
        }
    }
}

/// A command of netsh takes the IP version before and the protocol within.
fn netsh_names(case: &Case<'_>) -> (&'static str, &'static str) {
    let ip = if matches!(case.attempt.address, Some(Address::V6 { .. })) { "ipv6" } else { "ipv4" };
    (ip, if case.attempt.socket.is_udp() { "udp" } else { "tcp" })
}

/// How sure it is that this Windows has the fault of KB 3039044; `None` where it has not. The
/// article names Server 2008 R2 with hotfix 2665809, 2012 and 2012 R2; Windows 7, 8 and 8.1 are
/// built alike, but not named.
fn has_the_fault(windows: &Windows) -> Option<Certainty> {
    let sure = match (*windows.version.known()?, windows.hotfix_2665809) {
        (Version { major: 6, minor: 1, build: 7601 }, Fact::Known(true))
        | (Version { major: 6, minor: 2 | 3, .. }, _) => true,
        (Version { major: 6, minor: 1, build: 7601 }, Fact::Unknown(_)) => false,
        _ => return None,
    };
    let certain = sure && windows.server == Fact::Known(true);
    Some(if certain { Certainty::Certain } else { Certainty::Possible })
}

/// Whether this may be the refusal of KB 3039044, as far as the sockets and the version say; which
/// needs its range, too.
pub(super) fn may_be_kb3039044(case: &Case<'_>) -> bool {
    case.attempt.socket.is_tcp()
        && own_sharing(case) == Some(Sharing::Reuse)
        && has_the_fault(&case.facts.windows).is_some()
        && holders(case).next().is_some()
        && holders(case).all(|s| s.sharing.is_none_or(|sharing| sharing == Sharing::Reuse))
}

fn holders<'f>(case: &Case<'f>) -> impl Iterator<Item = &'f PortSocket> {
    case.facts.sockets.iter().filter(|s| is_bound(s))
}

/// The port and its administered range, where this may be KB 3039044.
fn kb3039044_range(case: &Case<'_>) -> Option<(u16, PortRange)> {
    let excluded = case.facts.windows.excluded.known()?;
    Some((port_of(case)?, excluded.administered?)).filter(|_| may_be_kb3039044(case))
}

/// KB 3039044: tcpip.sys overwrites the REUSE flag of the first socket with that of the excluded
/// range, and so refuses the second one. By the table, two sockets with SO_REUSEADDR never conflict.
pub(super) fn kb3039044(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let windows = &case.facts.windows;
    let (Some((port, range)), Some(certainty)) = (kb3039044_range(case), has_the_fault(windows))
    else {
        return false;
    };
    if holders(case).any(|s| s.sharing.is_none()) {
        return false;
    }
    found(diagnosis, Cause::Kb3039044, certainty);
    say!(
        diagnosis.summary,
        "port {port} is administratively excluded ({}), and there this version of Windows refuses a second bind with SO_REUSEADDR (KB 3039044)",
        Ports(range)
    );
    match windows.server {
        _ if certainty == Certainty::Certain => {}
        Fact::Known(false) => {
            say!(diagnosis.summary, "; the article names only the servers of this version");
        }
        _ => say!(diagnosis.summary, "; whether it is one that the article names is not known"),
    }
    cures(diagnosis, Some(false), Some(false));
    workarounds(case, port, range, diagnosis);
    true
}

/// The same where the options of another process's socket, which nobody can ask for, decide
/// whether it is that fault.
pub(super) fn perhaps_kb3039044(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let (Some((port, range)), Some(socket)) =
        (kb3039044_range(case), holders(case).find(|s| s.sharing.is_none()))
    else {
        return false;
    };
    found(diagnosis, Cause::ReuseaddrRefused, Certainty::Probable);
    say!(
        diagnosis.summary,
        "{} has {}; if with SO_REUSEADDR too, this is KB 3039044: the port is administratively excluded ({}), and there this version of Windows refuses a second bind with SO_REUSEADDR; else that socket does not share the port",
        Who(socket),
        socket.local,
        Ports(range)
    );
    cures(diagnosis, Some(false), Some(false));
    fix(diagnosis, format_args!("leave SO_REUSEADDR off where the two are not to share the port"));
    workarounds(case, port, range, diagnosis);
    also(Some(Cause::Kb3039044), diagnosis);
    also(kind(case, socket), diagnosis);
    true
}

fn workarounds(case: &Case<'_>, port: u16, range: PortRange, diagnosis: &mut Diagnosis) {
    let (first, last) =
        case.facts.ephemeral.known().copied().unwrap_or((DYNAMIC.first, DYNAMIC.last));
    fix(
        diagnosis,
        format_args!(
            "use a port outside the dynamic range ({first} to {last}) that is not excluded"
        ),
    );
    match case.facts.windows.reservation {
        Fact::Known(Some(reserved)) => fix(
            diagnosis,
            format_args!(
                "or use the persistent reservation of {} (LookupPersistentTcpPortReservation): bindshim-run --reservation does",
                Ports(reserved)
            ),
        ),
        _ => fix_by(
            diagnosis,
            format_args!(
                "or reserve it (CreatePersistentTcpPortReservation, LookupPersistentTcpPortReservation), then bindshim-run --reservation"
            ),
            format_args!("bindshim reserve {port}"),
        ),
    }
    let (ip, protocol) = netsh_names(case);
    fix_by(
        diagnosis,
        format_args!("or remove the exclusion (needs an elevated prompt)"),
        format_args!(
            "netsh int {ip} delete excludedportrange protocol={protocol} startport={} numberofports={}",
            range.first,
            range.count()
        ),
    );
}

/// A range without a star belongs to a service, WinNAT mostly, and only that may bind there. One
/// with a star stops nobody. `sure` says that nothing else can refuse.
pub(super) fn excluded(case: &Case<'_>, sure: bool, diagnosis: &mut Diagnosis) -> bool {
    let owned = case.facts.windows.excluded.known().and_then(|excluded| excluded.owned);
    let (Some(port), Some(range)) = (port_of(case), owned) else { return false };
    if !case.attempt.socket.is_tcp() && !case.attempt.socket.is_udp() {
        return false;
    }
    let certainty = if sure { Certainty::Certain } else { Certainty::Probable };
    found(diagnosis, Cause::ExcludedPortRange, certainty);
    say!(
        diagnosis.summary,
        "a service of Windows has reserved {} for itself (mostly WinNAT, for Hyper-V, WSL and containers), so that no other program may bind port {port}",
        Ports(range)
    );
    cures(diagnosis, Some(false), None);
    let _ = diagnosis.holders.try_push(Holder {
        state: SocketState::Reserved,
        address: case.attempt.address.clone(),
        unknown: Some(Why::NotVisible),
        ..Holder::NONE
    });
    diagnosis.holders_total += 1;
    free_the_range(case, port, diagnosis);
    true
}

fn free_the_range(case: &Case<'_>, port: u16, diagnosis: &mut Diagnosis) {
    let (ip, protocol) = netsh_names(case);
    fix_by(
        diagnosis,
        format_args!(
            "let WinNAT choose its ranges anew (elevated prompt; containers lose their network meanwhile)"
        ),
        format_args!("net stop winnat && net start winnat"),
    );
    fix_by(
        diagnosis,
        format_args!(
            "keep the port for yourself: exclude it while WinNAT is stopped (elevated prompt)"
        ),
        format_args!(
            "net stop winnat && netsh int {ip} add excludedportrange protocol={protocol} startport={port} numberofports=1 && net start winnat"
        ),
    );
    let dynamic = case.facts.ephemeral.known().copied();
    if dynamic.is_some_and(|(first, _)| first < DYNAMIC.first) {
        fix_by(
            diagnosis,
            format_args!(
                "move the dynamic range, from which WinNAT takes its own, and restart (elevated prompt)"
            ),
            format_args!(
                "netsh int {ip} set dynamicport {protocol} start={} num={}",
                DYNAMIC.first,
                DYNAMIC.count()
            ),
        );
    }
    fix(diagnosis, format_args!("or use a port outside the excluded ranges"));
}
