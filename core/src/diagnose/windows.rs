//! Windows: the same questions under other rules. What the holder of a port refuses is Microsoft's
//! table ([`crate::conflict::windows`]); but "access denied" has reasons beside it.

mod port;
mod refused;
mod reserved;
mod success;
mod usage;

#[cfg(test)]
mod tests;

use core::fmt;

use crate::address::Address;
use crate::cause::Cause;
use crate::conflict::windows::{Claim, Scope, Sharing, Verdict, verdict};
use crate::facts::{Fact, PortSocket, Process, SocketState, Why};
use crate::record::{Diagnosis, Missing};

use super::tell::{fix, fix_by};
use super::{Case, Detector, reason, tell};

pub(super) const DETECTORS: &[Detector] = &[usage::detect, refused::detect, port::detect];

pub(super) use refused::may_be_by_range;
pub(super) use success::{may_warn, warn};

/// The kernel's own process, "System", to which the sockets of http.sys and of drivers belong.
const SYSTEM: u32 = 4;

fn owner(socket: &PortSocket) -> Option<&Process> {
    socket.owner.known()
}

fn is_own(socket: &PortSocket) -> bool {
    owner(socket).is_some_and(|o| o.is_own)
}

fn is_listener(socket: &PortSocket) -> bool {
    socket.state == SocketState::Listen
}

fn is_udp(socket: &PortSocket) -> bool {
    socket.state == SocketState::Udp
}

/// Whether a socket has its port by a bind: connections have it by the listener that they came to.
fn is_bound(socket: &PortSocket) -> bool {
    matches!(socket.state, SocketState::Listen | SocketState::Bound | SocketState::Udp)
}

/// Sockets of pid 4 are those of http.sys, but for file sharing (NetBIOS, SMB).
fn is_http_sys(case: &Case<'_>, socket: &PortSocket) -> bool {
    const FILE_SHARING: [u16; 2] = [139, 445];
    let of_system = is_listener(socket) && owner(socket).is_some_and(|o| o.pid == SYSTEM);
    let other = socket.local.port().is_some_and(|port| FILE_SHARING.contains(&port));
    of_system && case.facts.windows.http_sys.known().copied().unwrap_or(!other)
}

/// How the program's own socket shares its port.
fn own_sharing(case: &Case<'_>) -> Option<Sharing> {
    let exclusive = case.facts.windows.exclusive.known().copied();
    Sharing::of(case.attempt.socket.reuseaddr, exclusive)
}

/// The port that was asked for, where it is one; port 0 is none.
fn port_of(case: &Case<'_>) -> Option<u16> {
    case.attempt.address.as_ref().and_then(Address::port).filter(|port| *port != 0)
}

/// What the program's own socket may claim: one thing, where its options are known.
fn own_claims(case: &Case<'_>) -> impl Iterator<Item = Claim> {
    let scope = case.attempt.address.as_ref().map(Scope::of);
    let known = own_sharing(case);
    Sharing::ALL
        .into_iter()
        .filter(move |sharing| known.is_none_or(|known| known == *sharing))
        .filter_map(move |sharing| Some(Claim { sharing, scope: scope? }))
}

/// The ways of sharing with which `socket`, if it is of the same user or of another one, makes the
/// program's bind give `expected`.
fn sharings(
    case: &Case<'_>,
    socket: &PortSocket,
    same_user: bool,
    expected: Verdict,
) -> impl Iterator<Item = Sharing> {
    let scope = Scope::of(&socket.local);
    let known = socket.sharing;
    let user = if is_own(socket) { Some(true) } else { owner(socket).and_then(|o| o.same_user) };
    Sharing::ALL
        .into_iter()
        .filter(move |_| user.is_none_or(|user| user == same_user))
        .filter(move |sharing| known.is_none_or(|known| known == *sharing))
        .filter(move |sharing| {
            let first = Claim { sharing: *sharing, scope };
            own_claims(case).any(|second| verdict(first, second, same_user) == expected)
        })
}

/// Whether `socket` may make the program's bind give `expected`.
fn explains(case: &Case<'_>, socket: &PortSocket, expected: Verdict) -> bool {
    [true, false].into_iter().any(|user| sharings(case, socket, user, expected).next().is_some())
}

/// Whether the program's socket is one for both IP versions.
fn is_dual_stack(case: &Case<'_>) -> bool {
    case.attempt.socket.v6only == Some(false)
        && matches!(&case.attempt.address, Some(Address::V6 { ip, .. }) if ip.is_unspecified())
}

/// Whether a socket is in the way of one of the other IP version.
fn crosses(case: &Case<'_>, socket: &PortSocket) -> bool {
    match (&case.attempt.address, &socket.local) {
        (Some(Address::V6 { .. }), Address::V4 { .. }) => is_dual_stack(case),
        (Some(Address::V4 { .. }), Address::V6 { .. }) => true,
        _ => false,
    }
}

/// Who has a socket, as the cause that it would be by itself; `None` where that is not known.
fn kind(case: &Case<'_>, socket: &PortSocket) -> Option<Cause> {
    let owner = owner(socket);
    Some(match socket.state {
        _ if is_own(socket) => Cause::OwnProcessHoldsPort,
        _ if owner.is_some_and(|o| o.inherited) => Cause::InheritedSocket,
        SocketState::Listen if owner.is_some_and(|o| o.same_program) => Cause::SameProgramListening,
        SocketState::Listen if is_http_sys(case, socket) => Cause::HttpSys,
        SocketState::Listen if owner.is_some() => Cause::OtherProgramListening,
        SocketState::Bound => Cause::BoundNotListening,
        SocketState::Udp => Cause::UdpPortTaken,
        _ => return None,
    })
}

/// Names a second cause.
fn also(cause: Option<Cause>, diagnosis: &mut Diagnosis) {
    if let Some(cause) = cause.filter(|cause| *cause != diagnosis.cause) {
        let _ = diagnosis.also.try_push(cause);
    }
}

/// Says what SO_REUSEADDR and waiting do.
fn cures(diagnosis: &mut Diagnosis, reuseaddr: Option<bool>, retry: Option<bool>) {
    diagnosis.reuseaddr_cures = reuseaddr;
    diagnosis.retry_cures = retry;
}

/// Who has a socket, for a sentence.
struct Who<'a>(&'a PortSocket);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.owner {
            Fact::Known(owner) if owner.pid == SYSTEM => f.write_str("the system itself (pid 4)"),
            Fact::Known(_) => write!(f, "{}", tell::Who(self.0)),
            Fact::Unknown(_) => f.write_str("a process that Windows does not name"),
        }
    }
}

/// Advises to end the holder, as far as it is known and no part of Windows.
fn stop(socket: &PortSocket, say: &str, diagnosis: &mut Diagnosis) {
    let Some(owner) = owner(socket).filter(|o| o.pid > SYSTEM && !o.is_own) else { return };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " ._-$".contains(c);
    let hosts_services =
        owner.program.is_some_and(|p| p.file_name().eq_ignore_ascii_case("svchost.exe"));
    match &owner.service {
        Some(service) if service.as_str().chars().all(is_plain) => fix_by(
            diagnosis,
            format_args!("{say}: it is a service (needs an elevated prompt)"),
            format_args!("net stop \"{service}\""),
        ),
        None if !hosts_services => {
            fix_by(diagnosis, format_args!("{say}"), format_args!("taskkill /PID {}", owner.pid));
        }
        _ => fix_by(
            diagnosis,
            format_args!("see which service it is"),
            format_args!("tasklist /svc /fi \"PID eq {}\"", owner.pid),
        ),
    }
}

fn other_port(diagnosis: &mut Diagnosis) {
    fix(diagnosis, format_args!("give one of the two another port"));
}

/// Lists what was looked for and not found out, beside what Linux has too.
#[inline(never)]
pub(super) fn missing(case: &Case<'_>, diagnosis: &mut Diagnosis) {
    let facts = &case.facts.windows;
    for (what, why) in [
        ("exclusiveaddruse", reason(&facts.exclusive)),
        ("broadcast", reason(&facts.broadcast)),
        ("excluded_port_ranges", reason(&facts.excluded)),
        ("http_sys", reason(&facts.http_sys)),
        ("port_reservation", reason(&facts.reservation)),
        ("windows_version", reason(&facts.version)),
        ("server_edition", reason(&facts.server)),
        ("hotfix_2665809", reason(&facts.hotfix_2665809)),
        ("app_container", reason(&facts.app_container)),
    ] {
        if let Some(why) = why.filter(|why| *why != Why::NotAsked) {
            let _ = diagnosis.unknown.try_push(Missing { what, why });
        }
    }
}
