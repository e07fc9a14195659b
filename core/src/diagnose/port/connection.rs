//! Connections on the port: whether this side was connected to, or made them.
//!
//! The kernel takes the local port of an outgoing connection from a range that it shares with
//! nobody's plans (`net.ipv4.ip_local_port_range`, ip(7)), so that one may sit on a server's port.

use crate::cause::Cause;
use crate::facts::{Fact, PortSocket, SocketState, Why};
use crate::record::{Certainty, Diagnosis};

use super::super::Case;
use super::super::tell::{Who, fix, fix_by, found, say};
use super::super::word::Word;
use super::is_owned_connection;
use super::rules::reuseaddr_cures;

/// Which side made a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    /// This one.
    Outgoing(Certainty),
    /// The peer.
    Incoming,
    /// That is not to be seen.
    Unclear,
}

pub(super) fn is_outgoing(case: &Case<'_>, socket: &PortSocket) -> bool {
    is_owned_connection(case, socket) && matches!(direction(case, socket), Direction::Outgoing(_))
}

pub(super) fn is_unclear(case: &Case<'_>, socket: &PortSocket) -> bool {
    is_owned_connection(case, socket) && direction(case, socket) == Direction::Unclear
}

fn direction(case: &Case<'_>, socket: &PortSocket) -> Direction {
    if socket.state == SocketState::SynSent || socket.remote.as_ref() == Some(&socket.local) {
        return Direction::Outgoing(Certainty::Certain);
    }
    let Fact::Known((first, last)) = case.facts.ephemeral else { return Direction::Unclear };
    let is_ours = socket.local.port().is_some_and(|port| (first..=last).contains(&port));
    match (is_ours, socket.peer_listens) {
        // One that was connected to by a peer may have a listener's port on both sides.
        (true, Fact::Known(true)) if !peer_is_a_client(case, socket) => {
            Direction::Outgoing(Certainty::Certain)
        }
        (_, Fact::Known(true)) => Direction::Outgoing(Certainty::Probable),
        // The kernel gives none of these ports away: a server had it.
        (false, _) | (true, Fact::Known(false)) => Direction::Incoming,
        (true, Fact::Unknown(_)) if !peer_is_a_client(case, socket) => {
            Direction::Outgoing(Certainty::Probable)
        }
        (true, Fact::Unknown(_)) => Direction::Unclear,
    }
}

/// Clients get their ports from the kernel: a peer with such a port has connected to us, one with
/// another may be a server that was connected to.
pub(super) fn peer_is_a_client(case: &Case<'_>, socket: &PortSocket) -> bool {
    let port = socket.remote.as_ref().and_then(|remote| remote.port());
    match (case.facts.ephemeral, port) {
        (Fact::Known((first, last)), Some(port)) => (first..=last).contains(&port),
        _ => false,
    }
}

pub(super) fn outgoing(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    let Direction::Outgoing(certainty) = direction(case, socket) else { return };
    found(diagnosis, Cause::OutgoingConnection, certainty);
    let local = &socket.local;
    match &socket.remote {
        Some(remote) if remote == local => say!(
            diagnosis.summary,
            "{} is connected to itself: it tried to reach {local} while nobody listened, and got \
             that very port for its own end",
            Who(socket)
        ),
        Some(remote) => say!(
            diagnosis.summary,
            "an outgoing connection has the port: {} is connected from {local} to {remote}",
            Who(socket)
        ),
        None => say!(diagnosis.summary, "{} has an outgoing connection from {local}", Who(socket)),
    }
    diagnosis.reuseaddr_cures = reuseaddr_cures(case);
    // A client may end at any time.
    diagnosis.retry_cures = None;
    let port = local.port().unwrap_or_default();
    if let Fact::Known((first, last)) = case.facts.ephemeral {
        say!(diagnosis.summary, " (the kernel gives ports {first} to {last} to such connections)");
    }
    let ends =
        socket.remote.as_ref().and_then(|remote| Some((Word::of(local)?, Word::of(remote)?)));
    if let Some((local, remote)) = ends {
        fix_by(
            diagnosis,
            format_args!("end that connection now, as root"),
            format_args!("ss -tK src {local} dst {remote}"),
        );
    }
    fix(
        diagnosis,
        format_args!(
            "for good: keep {port} out of that range, by adding it to \
             net.ipv4.ip_local_reserved_ports, or use a port below the range"
        ),
    );
}

/// Says what is known where the cause is not.
pub(super) fn unclear(_: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    let state = socket.state.name();
    say!(diagnosis.summary, "{} has {} in state {state}", Who(socket), socket.local);
    if socket.owner == Fact::Unknown(Why::Permission) {
        ask_as_root(socket, diagnosis);
    } else if socket.remote.is_some() {
        say!(diagnosis.summary, "; it may be left over from a server, or an outgoing connection");
    }
}

/// Says who is there where it is not to be seen which of them is in the way.
pub(super) fn ambiguous(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    unclear(case, socket, diagnosis);
    say!(
        diagnosis.summary,
        "; it is one of {} sockets on the port, and the options that decide which of them is in the \
         way are not to be seen",
        case.facts.sockets_total
    );
}

/// Root sees every process.
pub(super) fn ask_as_root(socket: &PortSocket, diagnosis: &mut Diagnosis) {
    let port = socket.local.port().unwrap_or_default();
    fix_by(
        diagnosis,
        format_args!("ask as root who it is"),
        format_args!("sudo ss -Hanp 'sport = :{port}'"),
    );
}
