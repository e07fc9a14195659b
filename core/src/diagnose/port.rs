//! The port is in use: who holds it.

use core::fmt;

use crate::attempt::Family;
use crate::cause::Cause;
use crate::facts::{Fact, PortSocket, Process, SocketState, Why};
use crate::policy::EXPIRY_SLACK;
use crate::record::{Certainty, Diagnosis};

use super::Case;
use super::tell::{Span, Who, fix, fix_by, found, say};

/// Tells one kind of holder: the case, all sockets on the port, the diagnosis.
type Teller = fn(&Case<'_>, &PortSocket, &mut Diagnosis);

/// Whether a socket is of one kind.
type Fits = fn(&PortSocket) -> bool;

/// Who holds a port, in order of precedence: the first row that fits a socket names the cause.
const KINDS: &[(Fits, Teller)] = &[
    (is_own, own_process),
    (is_exiting, exiting),
    (is_same_program, same_program),
    (is_listener, other_program),
    (is_bound, bound_not_listening),
    (is_udp, udp),
    (is_close_wait, close_wait),
    (is_owned_connection, lingering),
    (is_orphan, closing),
    (is_time_wait, time_wait),
];

pub(super) fn detect(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    if !case.code.is_in_use() || !is_about_a_port(case) {
        return false;
    }
    if case.facts.vanishing {
        vanishing(diagnosis);
        return true;
    }
    let sockets = &case.facts.sockets;
    let first = KINDS
        .iter()
        .find_map(|(fits, tell)| sockets.iter().find(|s| fits(s)).map(|socket| (socket, tell)));
    let Some((socket, tell)) = first else { return false };
    if is_hidden(socket) || may_be_outgoing(case, socket) || may_be_innocent(case, socket) {
        unclear(socket, diagnosis);
        return false;
    }
    tell(case, socket, diagnosis);
    true
}

/// A Unix socket has a path or a name, and no port.
fn is_about_a_port(case: &Case<'_>) -> bool {
    case.attempt.socket.family != Some(Family::Unix)
}

/// Who listens on the port, or has it as a UDP port, where something else refused the call first.
/// Other sockets on it may not be in the way.
pub(super) fn second_obstacle<'f>(case: &Case<'f>) -> Option<(Cause, Who<'f>)> {
    let socket = case.facts.sockets.iter().find(|s| is_listener(s) || is_udp(s))?;
    let cause = match owner(socket) {
        _ if is_udp(socket) => Cause::UdpPortTaken,
        Some(owner) if owner.is_own => Cause::OwnProcessHoldsPort,
        Some(owner) if owner.same_program => Cause::SameProgramListening,
        Some(_) => Cause::OtherProgramListening,
        None => return None,
    };
    Some((cause, Who(socket)))
}

fn owner(socket: &PortSocket) -> Option<&Process> {
    socket.owner.known()
}

fn is_own(socket: &PortSocket) -> bool {
    owner(socket).is_some_and(|o| o.is_own)
}

fn is_exiting(socket: &PortSocket) -> bool {
    owner(socket).is_some_and(|o| o.exiting)
}

fn is_same_program(socket: &PortSocket) -> bool {
    is_listener(socket) && owner(socket).is_some_and(|o| o.same_program)
}

fn is_listener(socket: &PortSocket) -> bool {
    socket.state == SocketState::Listen
}

fn is_bound(socket: &PortSocket) -> bool {
    socket.state == SocketState::Bound
}

fn is_udp(socket: &PortSocket) -> bool {
    socket.state == SocketState::Udp
}

fn is_close_wait(socket: &PortSocket) -> bool {
    socket.state == SocketState::CloseWait && socket.inode.is_some()
}

fn is_owned_connection(socket: &PortSocket) -> bool {
    socket.inode.is_some() && socket.state != SocketState::TimeWait
}

fn is_orphan(socket: &PortSocket) -> bool {
    socket.inode.is_none() && socket.state != SocketState::TimeWait
}

fn is_time_wait(socket: &PortSocket) -> bool {
    socket.state == SocketState::TimeWait
}

/// A listener or datagram socket that no visible process has: who holds it is not known.
fn is_hidden(socket: &PortSocket) -> bool {
    matches!(socket.owner, Fact::Unknown(_)) && (is_listener(socket) || is_udp(socket))
}

/// A connection whose port lies where the kernel takes ports for outgoing connections may be one
/// of those, and not what is left of a server.
fn may_be_outgoing(case: &Case<'_>, socket: &PortSocket) -> bool {
    let connection = is_owned_connection(socket)
        && !is_listener(socket)
        && !is_bound(socket)
        && !is_udp(socket)
        && !is_own(socket)
        && !is_exiting(socket);
    let outgoing_range = match (case.facts.ephemeral, socket.local.port()) {
        (Fact::Known((first, last)), Some(port)) => (first..=last).contains(&port),
        _ => true,
    };
    connection && outgoing_range
}

/// With SO_REUSEADDR or SO_REUSEPORT on, not every socket on the port is in the way
/// (`inet_bind_conflict`, net/ipv4/inet_connection_sock.c): where several processes have one, which
/// of them it is depends on options that are not to be seen. A listener always is, unless both
/// sides share by SO_REUSEPORT.
fn may_be_innocent(case: &Case<'_>, socket: &PortSocket) -> bool {
    let own = &case.attempt.socket;
    let shares = own.reuseport == Some(true);
    let several = case
        .facts
        .sockets
        .iter()
        .filter_map(owner)
        .any(|other| owner(socket).is_some_and(|leading| leading.pid != other.pid));
    several && (shares || own.reuseaddr == Some(true) && !is_listener(socket))
}

/// Says what is known where the cause is not.
fn unclear(socket: &PortSocket, diagnosis: &mut Diagnosis) {
    let state = socket.state.name();
    say!(diagnosis.summary, "{} has {} in state {state}", Who(socket), socket.local);
    match &socket.owner {
        Fact::Unknown(Why::Permission) => {
            fix_by(
                diagnosis,
                format_args!("ask as root who it is"),
                format_args!(
                    "sudo ss -Hanp 'sport = :{}'",
                    socket.local.port().unwrap_or_default()
                ),
            );
        }
        _ if socket.remote.is_some() => say!(
            diagnosis.summary,
            "; it may be left over from a server, or an outgoing connection"
        ),
        _ => {}
    }
}

pub(super) fn vanishing(diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::ExitingHolder, Certainty::Probable);
    say!(diagnosis.summary, "what held the port is just ending");
    diagnosis.reuseaddr_cures = Some(false);
    diagnosis.retry_cures = Some(true);
    wait_a_moment(diagnosis);
}

pub(super) fn own_process(_: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::OwnProcessHoldsPort, Certainty::Certain);
    say!(
        diagnosis.summary,
        "this process itself already has a socket on {} (state {})",
        socket.local,
        socket.state.name()
    );
    diagnosis.reuseaddr_cures = Some(false);
    diagnosis.retry_cures = Some(false);
    fix(
        diagnosis,
        format_args!("bind each address once; close the first socket before the second"),
    );
    fix(
        diagnosis,
        format_args!("look for an address that is configured twice, or 0.0.0.0 together with ::"),
    );
}

pub(super) fn exiting(_: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::ExitingHolder, Certainty::Certain);
    say!(diagnosis.summary, "{} has {}, and is just ending", Who(socket), socket.local);
    diagnosis.reuseaddr_cures = Some(false);
    diagnosis.retry_cures = Some(true);
    wait_a_moment(diagnosis);
}

fn wait_a_moment(diagnosis: &mut Diagnosis) {
    fix(diagnosis, format_args!("start it again in a moment, or let bindshim-run --retry wait"));
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
    diagnosis.reuseaddr_cures = Some(false);
    diagnosis.retry_cures = Some(false);
    stop(socket, "use the one that runs, or stop it", diagnosis);
    fix(diagnosis, format_args!("give this one another port"));
}

fn other_program(_: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::OtherProgramListening, Certainty::Certain);
    say!(diagnosis.summary, "{} is already listening on {}", Who(socket), socket.local);
    diagnosis.reuseaddr_cures = Some(false);
    diagnosis.retry_cures = Some(false);
    stop(socket, "stop it if you do not need it", diagnosis);
    fix(diagnosis, format_args!("give one of the two another port"));
}

/// Advises to end the holder, as far as it is known and not the first process of a system.
fn stop(socket: &PortSocket, say: &str, diagnosis: &mut Diagnosis) {
    if let Some(owner) = owner(socket).filter(|o| o.pid > 1) {
        fix_by(diagnosis, format_args!("{say}"), format_args!("kill {}", owner.pid));
    }
}

fn bound_not_listening(_: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::BoundNotListening, Certainty::Certain);
    say!(
        diagnosis.summary,
        "{} has {} bound without listening (ss -l, lsof and netstat do not show that)",
        Who(socket),
        socket.local
    );
    // With the option on both sockets the new one would take the port away from the holder.
    diagnosis.reuseaddr_cures = None;
    diagnosis.retry_cures = Some(false);
    stop(socket, "stop it if you do not need it", diagnosis);
    fix(diagnosis, format_args!("give one of the two another port"));
}

fn udp(_: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::UdpPortTaken, Certainty::Certain);
    match &socket.remote {
        Some(remote) => say!(
            diagnosis.summary,
            "{} has the UDP port {}, connected to {remote}",
            Who(socket),
            socket.local
        ),
        None => {
            say!(diagnosis.summary, "{} already has the UDP port {}", Who(socket), socket.local)
        }
    }
    diagnosis.reuseaddr_cures = if socket.remote.is_some() { Some(false) } else { None };
    diagnosis.retry_cures = if socket.remote.is_some() { None } else { Some(false) };
    stop(socket, "stop it if you do not need it", diagnosis);
    fix(diagnosis, format_args!("give one of the two another port"));
}

fn close_wait(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::CloseWaitLeak, Certainty::Certain);
    say!(
        diagnosis.summary,
        "{} still has a connection on {} that its peer closed long ago, and never ends by itself",
        Who(socket),
        socket.local
    );
    diagnosis.reuseaddr_cures = option_would_cure(case, None);
    diagnosis.retry_cures = Some(false);
    stop(socket, "stop the process that does not close it", diagnosis);
}

fn lingering(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    let incoming = peer_is_a_client(case, socket);
    let certainty = if incoming { Certainty::Probable } else { Certainty::Possible };
    found(diagnosis, Cause::LingeringConnection, certainty);
    say!(diagnosis.summary, "nothing listens any more, but {} still has a connection", Who(socket));
    match &socket.remote {
        Some(remote) => say!(diagnosis.summary, " on {} with {remote}", socket.local),
        None => say!(diagnosis.summary, " on {}", socket.local),
    }
    if !incoming {
        say!(diagnosis.summary, "; or it made that one itself, from this port");
    }
    diagnosis.reuseaddr_cures = option_would_cure(case, None);
    diagnosis.retry_cures = Some(false);
    stop(socket, "stop that process, or let its connection end", diagnosis);
    fix(diagnosis, reuseaddr_advice());
}

/// Clients get their ports from the kernel: a peer with such a port has connected to us, one with
/// another may be a server that was connected to.
fn peer_is_a_client(case: &Case<'_>, socket: &PortSocket) -> bool {
    let port = socket.remote.as_ref().and_then(|remote| remote.port());
    match (case.facts.ephemeral, port) {
        (Fact::Known((first, last)), Some(port)) => (first..=last).contains(&port),
        _ => false,
    }
}

fn closing(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::ClosingConnection, Certainty::Certain);
    let count = count(case, is_orphan);
    say!(
        diagnosis.summary,
        "the program that had {} has ended, but {count} of its connections {} not closed by the peer yet ({})",
        socket.local,
        if count == 1 { "is" } else { "are" },
        socket.state.name()
    );
    waiting_cures(case, diagnosis);
}

fn time_wait(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::TimeWait, Certainty::Certain);
    let count = count(case, is_time_wait);
    say!(
        diagnosis.summary,
        "the program that had {} has ended; {count} of its connections {} in TIME_WAIT",
        socket.local,
        if count == 1 { "is" } else { "are" }
    );
    waiting_cures(case, diagnosis);
}

fn count(case: &Case<'_>, fits: Fits) -> u32 {
    let listed = case.facts.sockets.iter().filter(|s| fits(s)).count() as u32;
    // What is not listed is of the least telling kind, which is this one.
    listed + case.facts.sockets_total.saturating_sub(case.facts.sockets.len() as u32)
}

/// What lingers without an owner goes away by itself; says when, and what SO_REUSEADDR does.
fn waiting_cures(case: &Case<'_>, diagnosis: &mut Diagnosis) {
    let slack_ms = EXPIRY_SLACK / 1_000_000;
    let last = case.facts.sockets.iter().map(|s| s.expires_ms.map(|ms| ms + slack_ms));
    // One without a timer of its own (retransmitting to a silent peer) has no known end.
    diagnosis.retry_after_ms =
        last.clone().all(|ms| ms.is_some()).then(|| last.flatten().max()).flatten();
    diagnosis.retry_cures = Some(true);
    diagnosis.reuseaddr_cures =
        option_would_cure(case, case.facts.reuseaddr_trial.known().copied());
    let option_is_on = case.attempt.socket.reuseaddr == Some(true);
    match diagnosis.retry_after_ms {
        Some(ms) => say!(diagnosis.summary, "; the port is free in {}", Span(ms)),
        None => say!(diagnosis.summary, "; when they end is not known"),
    }
    match diagnosis.reuseaddr_cures {
        Some(false) if option_is_on => say!(
            diagnosis.summary,
            "; SO_REUSEADDR is on, but the old socket did not have it, so that it does not help"
        ),
        Some(false) => say!(
            diagnosis.summary,
            "; the old socket did not have SO_REUSEADDR, so that setting it now does not help"
        ),
        _ => {}
    }
    advise_patience(case, diagnosis);
}

fn advise_patience(case: &Case<'_>, diagnosis: &mut Diagnosis) {
    match diagnosis.retry_after_ms {
        Some(ms) => {
            fix(diagnosis, format_args!("wait {}, or let bindshim-run --retry do that", Span(ms)))
        }
        None => fix(diagnosis, format_args!("wait, or let bindshim-run --retry do that")),
    }
    if let Some(port) = case.facts.sockets.first().and_then(|s| s.local.port()) {
        fix_by(
            diagnosis,
            format_args!("or end these connections now, as root"),
            format_args!("ss -tK{} 'sport = :{port}'", States(&case.facts.sockets)),
        );
    }
    if diagnosis.reuseaddr_cures == Some(true) {
        fix(
            diagnosis,
            format_args!(
                "or set SO_REUSEADDR before bind: bindshim-run --reuseaddr does, and it works right now"
            ),
        );
    } else {
        fix(diagnosis, reuseaddr_advice());
    }
}

/// The states of sockets as ss(8) takes them: ` state time-wait state fin-wait-2`.
struct States<'a>(&'a [PortSocket]);

impl fmt::Display for States<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(SocketState, &str); 5] = [
            (SocketState::TimeWait, "time-wait"),
            (SocketState::FinWait1, "fin-wait-1"),
            (SocketState::FinWait2, "fin-wait-2"),
            (SocketState::LastAck, "last-ack"),
            (SocketState::Closing, "closing"),
        ];
        NAMES
            .iter()
            .filter(|(state, _)| self.0.iter().any(|socket| socket.state == *state))
            .try_for_each(|(_, name)| write!(f, " state {name}"))
    }
}

fn reuseaddr_advice() -> fmt::Arguments<'static> {
    format_args!(
        "for next time: set SO_REUSEADDR before bind from the first start on (bindshim-run --reuseaddr does)"
    )
}

/// Whether SO_REUSEADDR would have cured it: not where it was on already.
fn option_would_cure(case: &Case<'_>, tried: Option<bool>) -> Option<bool> {
    if case.attempt.socket.reuseaddr == Some(true) { Some(false) } else { tried }
}
