//! The port is in use: who holds it.

mod connection;
mod hidden;
mod holder;
mod leftover;
mod overlap;
mod rules;

use crate::attempt::{Family, Function};
use crate::cause::Cause;
use crate::facts::{Container, Fact, PortSocket, Process, Runtime, SocketState};
use crate::record::Diagnosis;

use super::Case;
use super::tell::{Who, fix, fix_by};

pub(super) use holder::{exiting, own_process, say_undecided, vanishing};

/// Tells one kind of holder: the case, the leading socket, the diagnosis.
type Teller = fn(&Case<'_>, &PortSocket, &mut Diagnosis);

/// Whether a socket is of one kind.
type Fits = fn(&Case<'_>, &PortSocket) -> bool;

/// Who holds a port, in order of precedence: the first row that fits a socket names the cause.
const KINDS: &[(Fits, Teller)] = &[
    (is_own, own_process),
    (is_exiting, exiting),
    (is_race, holder::race),
    (is_inherited, holder::inherited),
    (is_same_program, holder::same_program),
    (is_known_listener, holder::other_program),
    (is_bound, holder::bound_not_listening),
    (is_known_udp, holder::udp),
    (connection::is_outgoing, connection::outgoing),
    (connection::is_unclear, connection::unclear),
    (is_close_wait, leftover::close_wait),
    (is_owned_connection, leftover::lingering),
    (is_orphan, leftover::closing),
    (is_time_wait, leftover::time_wait),
    (hidden::is_kernel, hidden::kernel),
    (is_hidden, hidden::hidden),
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
    let may_be_it = |socket: &&PortSocket| rules::is_in_the_way(case, socket) != Some(false);
    let first = KINDS.iter().find_map(|(fits, tell)| {
        let mut suspects = sockets.iter().filter(may_be_it);
        suspects.find(|socket| fits(case, socket)).map(|socket| (socket, tell))
    });
    let Some((socket, tell)) = first else { return hidden::exhausted(case, diagnosis) };
    if may_be_innocent(case, socket) {
        connection::ambiguous(case, socket, diagnosis);
        return true;
    }
    tell(case, socket, diagnosis);
    rules::say_who_lacks_reuseaddr(case, socket, diagnosis);
    overlap::explain(case, socket, diagnosis);
    true
}

/// A Unix socket has a path or a name, and no port.
fn is_about_a_port(case: &Case<'_>) -> bool {
    case.attempt.socket.family != Some(Family::Unix)
}

/// Who listens on the port, or has it as a UDP port, where something else refused the call first.
/// Other sockets on it may not be in the way.
pub(super) fn second_obstacle<'f>(case: &Case<'f>) -> Option<(Cause, Who<'f>)> {
    let is_it = |socket: &&PortSocket| {
        (is_listener(socket) || socket.state == SocketState::Udp)
            && rules::is_in_the_way(case, socket) == Some(true)
    };
    let socket = case.facts.sockets.iter().find(is_it)?;
    let cause = match owner(socket) {
        _ if socket.state == SocketState::Udp => Cause::UdpPortTaken,
        Some(owner) if owner.is_own => Cause::OwnProcessHoldsPort,
        Some(owner) if owner.same_program => Cause::SameProgramListening,
        Some(_) => Cause::OtherProgramListening,
        None => Cause::HiddenHolder,
    };
    Some((cause, Who(socket)))
}

fn owner(socket: &PortSocket) -> Option<&Process> {
    socket.owner.known()
}

fn is_listener(socket: &PortSocket) -> bool {
    socket.state == SocketState::Listen
}

fn is_own(_: &Case<'_>, socket: &PortSocket) -> bool {
    owner(socket).is_some_and(|o| o.is_own)
}

fn is_exiting(_: &Case<'_>, socket: &PortSocket) -> bool {
    owner(socket).is_some_and(|o| o.exiting)
}

/// The bind went through, since both sockets have SO_REUSEADDR, and the other listened first.
fn is_race(case: &Case<'_>, socket: &PortSocket) -> bool {
    case.attempt.call == Function::Listen && is_listener(socket)
}

fn is_inherited(_: &Case<'_>, socket: &PortSocket) -> bool {
    is_listener(socket) && owner(socket).is_some_and(|o| o.inherited)
}

fn is_same_program(_: &Case<'_>, socket: &PortSocket) -> bool {
    is_listener(socket) && owner(socket).is_some_and(|o| o.same_program)
}

fn is_known_listener(_: &Case<'_>, socket: &PortSocket) -> bool {
    is_listener(socket) && owner(socket).is_some()
}

fn is_bound(_: &Case<'_>, socket: &PortSocket) -> bool {
    socket.state == SocketState::Bound
}

fn is_known_udp(_: &Case<'_>, socket: &PortSocket) -> bool {
    socket.state == SocketState::Udp && owner(socket).is_some()
}

fn is_close_wait(_: &Case<'_>, socket: &PortSocket) -> bool {
    socket.state == SocketState::CloseWait && socket.inode.is_some()
}

fn is_owned_connection(_: &Case<'_>, socket: &PortSocket) -> bool {
    socket.inode.is_some()
        && !matches!(socket.state, SocketState::TimeWait | SocketState::Listen | SocketState::Udp)
}

fn is_orphan(_: &Case<'_>, socket: &PortSocket) -> bool {
    socket.inode.is_none() && socket.state != SocketState::TimeWait
}

fn is_time_wait(_: &Case<'_>, socket: &PortSocket) -> bool {
    socket.state == SocketState::TimeWait
}

/// A listener or datagram socket that no visible process has: who holds it is not known.
fn is_hidden(_: &Case<'_>, socket: &PortSocket) -> bool {
    matches!(socket.state, SocketState::Listen | SocketState::Udp)
}

/// Whether another one of several sockets may be in the way in its place. What nobody has is told as
/// such, and does no one harm.
fn may_be_innocent(case: &Case<'_>, socket: &PortSocket) -> bool {
    let is_other = |other: &PortSocket| match (owner(socket), owner(other)) {
        (Some(leading), Some(other)) => leading.pid != other.pid,
        _ => !core::ptr::eq(socket, other),
    };
    let several = socket.inode.is_some() && case.facts.sockets.iter().any(is_other);
    several && rules::is_in_the_way(case, socket) != Some(true)
}

/// Advises to end the holder, as far as it is known and not the first process of a system: by who
/// runs it and would start it again otherwise, or by a signal.
fn stop(socket: &PortSocket, say: &str, diagnosis: &mut Diagnosis) {
    let Some(owner) = owner(socket).filter(|o| o.pid > 1) else { return };
    if let Some(container) = &owner.container {
        return stop_container(container, say, diagnosis);
    }
    // Docker starts one for each port that a container publishes.
    if owner.program.is_some_and(|program| program.file_name() == "docker-proxy") {
        let port = socket.local.port().unwrap_or_default();
        return fix_by(
            diagnosis,
            format_args!("see which container publishes the port, and stop that"),
            format_args!("docker ps --filter publish={port}"),
        );
    }
    match &owner.service {
        // Its .socket unit would have the port as well, and start it again.
        Some(unit) => fix_by(
            diagnosis,
            format_args!("{say} (and its .socket unit, if it has one)"),
            format_args!("systemctl stop {unit}"),
        ),
        None => fix_by(diagnosis, format_args!("{say}"), format_args!("kill {}", owner.pid)),
    }
}

fn stop_container(container: &Container, say: &str, diagnosis: &mut Diagnosis) {
    let Container { runtime, name } = container;
    let stop = match runtime {
        Runtime::Docker => "docker stop",
        Runtime::Podman => "podman stop",
        Runtime::Nerdctl => "nerdctl stop",
        Runtime::Machined => "machinectl stop",
        // Which of the three it is does not show.
        Runtime::Lxc => {
            return fix(
                diagnosis,
                format_args!("{say}: container {name} (lxc-stop, lxc stop or incus stop)"),
            );
        }
        // Whatever is stopped there is started again.
        Runtime::Kubernetes => {
            return fix_by(
                diagnosis,
                format_args!("see which pod it is, and delete or move that"),
                format_args!("crictl ps --id {name}"),
            );
        }
    };
    fix_by(diagnosis, format_args!("{say}, with its container"), format_args!("{stop} {name}"));
}

/// Another port is a cure; names one where one is known to be free.
fn another_port(case: &Case<'_>, who: &str, diagnosis: &mut Diagnosis) {
    match case.facts.free_port {
        Fact::Known(port) => {
            let use_of = if case.attempt.socket.is_udp() { "has" } else { "listens on" };
            fix(diagnosis, format_args!("give {who} another port; nobody {use_of} {port}"));
        }
        Fact::Unknown(_) => fix(diagnosis, format_args!("give {who} another port")),
    }
}
