//! `WSAEADDRINUSE`: who holds the port.

use crate::attempt::Function;
use crate::cause::Cause;
use crate::code::{Code, WSAEADDRINUSE};
use crate::conflict::windows::{Sharing, Verdict};
use crate::facts::{PortSocket, SocketState};
use crate::record::{Certainty, Diagnosis};

use super::super::port::say_undecided;
use super::super::port::{exiting, own_process, vanishing};
use super::super::tell::{fix, fix_by, found, say};
use super::super::{Case, reason};
use super::{
    Who, also, crosses, cures, explains, is_bound, is_http_sys, is_listener, is_own, is_udp, kind,
    other_port, own_sharing, owner, port_of, stop,
};

/// Tells one kind of holder.
type Teller = fn(&Case<'_>, &PortSocket, &mut Diagnosis);

/// Whether a socket is of one kind.
type Fits = fn(&Case<'_>, &PortSocket) -> bool;

/// Who holds a port, in order of precedence: the first row that fits a socket names the cause.
const KINDS: &[(Fits, Teller)] = &[
    (|_, socket| is_own(socket), own_process),
    (|_, socket| owner(socket).is_some_and(|o| o.exiting), exiting),
    (|_, socket| owner(socket).is_some_and(|o| o.inherited), inherited),
    (is_same_program, same_program),
    (is_http_sys, http_sys),
    (|_, socket| is_listener(socket), other_program),
    (|_, socket| socket.state == SocketState::Bound, bound_not_listening),
    (|_, socket| is_udp(socket), udp),
    (|_, socket| is_connection(socket), lingering),
    (|_, _| true, time_wait),
];

pub(super) fn detect(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    if case.code != Code::windows(WSAEADDRINUSE) {
        return false;
    }
    match case.attempt.call {
        Function::Bind if case.facts.vanishing => {
            vanishing(diagnosis);
            true
        }
        Function::Bind => bind(case, diagnosis),
        Function::Listen => listen_race(case, diagnosis),
        Function::Setsockopt => false,
    }
}

fn bind(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let deciding = first_of(case, |s| !is_bound(s) || explains(case, s, Verdict::InUse));
    let Some((socket, tell)) = deciding.or_else(|| first_of(case, |_| true)) else {
        return invisible(case, diagnosis);
    };
    if is_connection(socket) && !is_own(socket) && own_sharing(case) != Some(Sharing::Exclusive) {
        unclear(socket, diagnosis);
        return false;
    }
    tell(case, socket, diagnosis);
    // The table has no conflict with this socket, and yet there is none but this one.
    if deciding.is_none() && diagnosis.certainty == Certainty::Certain {
        diagnosis.certainty = Certainty::Probable;
    }
    also(crosses(case, socket).then_some(Cause::DualStackOverlap), diagnosis);
    true
}

fn first_of<'f>(
    case: &Case<'f>,
    counts: impl Fn(&PortSocket) -> bool,
) -> Option<(&'f PortSocket, Teller)> {
    let sockets = &case.facts.sockets;
    KINDS.iter().find_map(|(fits, tell)| {
        sockets.iter().find(|s| counts(s) && fits(case, s)).map(|socket| (socket, *tell))
    })
}

fn is_same_program(_: &Case<'_>, socket: &PortSocket) -> bool {
    is_listener(socket) && owner(socket).is_some_and(|o| o.same_program)
}

/// A connection that a process may still have.
fn is_connection(socket: &PortSocket) -> bool {
    !is_bound(socket) && socket.state != SocketState::TimeWait
}

/// Connections keep a port from a socket that wants it for itself alone; what else they do is not
/// documented.
fn unclear(socket: &PortSocket, diagnosis: &mut Diagnosis) {
    say!(
        diagnosis.summary,
        "{} has {} in state {}; it may be left over from a server, or an outgoing connection",
        Who(socket),
        socket.local,
        socket.state.name()
    );
}

fn inherited(_: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::InheritedSocket, Certainty::Probable);
    cures(diagnosis, Some(false), None);
    let Some(owner) = owner(socket) else { return };
    if owner.program.is_some() {
        say!(
            diagnosis.summary,
            "{} keeps a socket on {} that it inherited, and never bound",
            Who(socket),
            socket.local
        );
        stop(socket, "stop that process", diagnosis);
    } else {
        say!(
            diagnosis.summary,
            "the process that bound {} (pid {}) has ended, but a child that inherited the socket keeps it",
            socket.local,
            owner.pid
        );
        fix_by(
            diagnosis,
            format_args!("find the child, and stop it if you do not need it"),
            format_args!(
                "powershell -c \"Get-CimInstance Win32_Process -Filter ParentProcessId={}\"",
                owner.pid
            ),
        );
    }
    fix(
        diagnosis,
        format_args!(
            "for next time: create the socket with WSA_FLAG_NO_HANDLE_INHERIT, so that children do not get it"
        ),
    );
}

fn same_program(_: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    let interpreted = owner(socket).is_some_and(|o| o.interpreted);
    let certainty = if interpreted { Certainty::Probable } else { Certainty::Certain };
    found(diagnosis, Cause::SameProgramListening, certainty);
    say!(
        diagnosis.summary,
        "the same program is already running: {} is listening on {}",
        Who(socket),
        socket.local
    );
    cures(diagnosis, Some(false), None);
    stop(socket, "use the one that runs, or stop it", diagnosis);
    fix(diagnosis, format_args!("give this one another port"));
}

pub(super) fn http_sys(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    let is_known = reason(&case.facts.windows.http_sys).is_none();
    let certainty = if is_known { Certainty::Certain } else { Certainty::Probable };
    found(diagnosis, Cause::HttpSys, certainty);
    say!(
        diagnosis.summary,
        "http.sys, the web server in Windows itself (pid 4), is listening on {}; IIS, WinRM and others use it",
        socket.local
    );
    cures(diagnosis, Some(false), Some(false));
    fix_by(
        diagnosis,
        format_args!("see which program registered a URL on this port"),
        format_args!("netsh http show servicestate"),
    );
    fix_by(
        diagnosis,
        format_args!("see which services depend on it (it asks before it stops them: answer N)"),
        format_args!("net stop http"),
    );
    fix(diagnosis, format_args!("or give this program another port"));
}

fn other_program(_: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    // A program without a name may be the same one.
    let named = owner(socket).is_some_and(|o| o.program.is_some());
    let may_be_same = owner(socket).is_some_and(|o| o.may_be_same);
    let certainty = match (may_be_same, named) {
        (true, _) => Certainty::Possible,
        (false, true) => Certainty::Certain,
        (false, false) => Certainty::Probable,
    };
    found(diagnosis, Cause::OtherProgramListening, certainty);
    say!(diagnosis.summary, "{} is already listening on {}", Who(socket), socket.local);
    say_undecided(socket, diagnosis);
    cures(diagnosis, Some(false), Some(false));
    stop(socket, "stop it if you do not need it", diagnosis);
    other_port(diagnosis);
}

fn bound_not_listening(_: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::BoundNotListening, Certainty::Certain);
    say!(diagnosis.summary, "{} has {} bound without listening", Who(socket), socket.local);
    cures(diagnosis, Some(false), None);
    stop(socket, "stop it if you do not need it", diagnosis);
    other_port(diagnosis);
}

/// The TCP table of Windows lists no socket that is bound but does not listen
/// (GetExtendedTcpTable).
fn invisible(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let listed = case.facts.sockets_total > 0 || case.facts.sockets_unknown.is_some();
    let Some(port) = port_of(case).filter(|_| !listed && case.attempt.socket.is_tcp()) else {
        return false;
    };
    not_listed(port, diagnosis);
    true
}

/// Says that a socket may have the port which no table lists.
pub(super) fn not_listed(port: u16, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::BoundNotListening, Certainty::Possible);
    say!(
        diagnosis.summary,
        "no socket on port {port} is listed; one that is bound but does not listen may have it, which Windows does not list"
    );
    cures(diagnosis, Some(false), None);
    fix_by(
        diagnosis,
        format_args!("look for it (Windows 10 and later)"),
        format_args!("powershell -c \"Get-NetTCPConnection -State Bound -LocalPort {port}\""),
    );
    fix_by(diagnosis, format_args!("or among all sockets"), format_args!("netstat -anoq"));
}

fn udp(_: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::UdpPortTaken, Certainty::Certain);
    say!(diagnosis.summary, "{} already has the UDP port {}", Who(socket), socket.local);
    cures(diagnosis, Some(false), None);
    stop(socket, "stop it if you do not need it", diagnosis);
    other_port(diagnosis);
}

/// "Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE": a socket with SO_EXCLUSIVEADDRUSE waits for all
/// connections of the port to end.
pub(super) fn lingering(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    let count = case.facts.sockets.iter().filter(|s| is_connection(s)).count();
    found(diagnosis, Cause::LingeringConnection, Certainty::Probable);
    say!(
        diagnosis.summary,
        "nothing listens on {} any more, but {count} of its connections {} not ended ({}, state {}), and SO_EXCLUSIVEADDRUSE waits for that",
        socket.local,
        if count == 1 { "has" } else { "have" },
        Who(socket),
        socket.state.name()
    );
    cures(diagnosis, Some(false), Some(true));
    stop(socket, "let that process end its connections, or stop it", diagnosis);
    fix(
        diagnosis,
        format_args!(
            "for next time: shut connections down, and close them, before the server ends"
        ),
    );
}

fn time_wait(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::TimeWait, Certainty::Possible);
    let count = case.facts.sockets_total.max(1);
    say!(
        diagnosis.summary,
        "the program that had {} has ended; {count} of its connections {} in TIME_WAIT",
        socket.local,
        if count == 1 { "is" } else { "are" }
    );
    cures(diagnosis, None, Some(true));
    fix(diagnosis, format_args!("wait, or let bindshim-run --retry do that"));
    fix(diagnosis, format_args!("for next time: close connections before the server ends"));
    if own_sharing(case) == Some(Sharing::Exclusive) {
        fix(
            diagnosis,
            format_args!(
                "leave SO_EXCLUSIVEADDRUSE off where a quick restart matters more than an own port"
            ),
        );
    }
}

/// "listen function": a conflict may show only here, where the address is a wildcard.
fn listen_race(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let other = case.facts.sockets.iter().find(|s| is_listener(s));
    match other {
        Some(socket) => {
            let certainty = if is_own(socket) { Certainty::Probable } else { Certainty::Certain };
            found(diagnosis, Cause::ListenRace, certainty);
            say!(
                diagnosis.summary,
                "this socket is bound, but {} is listening on {} first",
                Who(socket),
                socket.local
            );
            stop(socket, "stop it if you do not need it", diagnosis);
        }
        None => {
            found(diagnosis, Cause::ListenRace, Certainty::Possible);
            say!(
                diagnosis.summary,
                "this socket is bound, but another one took the port before it listens; none is to be seen now"
            );
        }
    }
    cures(diagnosis, Some(false), Some(false));
    fix(diagnosis, format_args!("start only one of the two, or give one another port"));
    also(other.and_then(|socket| kind(case, socket)), diagnosis);
    true
}
