//! What the kernel's rules ([`crate::conflict::linux`]) say of the sockets on a port.

use crate::code::System;
use crate::conflict::linux::{Sharing, and};
use crate::facts::{PortSocket, SocketState};
use crate::record::Diagnosis;

use super::super::Case;
use super::super::tell::say;

/// What the program's socket says of sharing its port.
fn ours(case: &Case<'_>) -> Sharing {
    let socket = &case.attempt.socket;
    Sharing {
        reuseaddr: socket.reuseaddr,
        reuseport: socket.reuseport,
        uid: case.facts.socket_uid.known().copied(),
    }
}

/// What a socket on the port says of sharing it, and in which state the rules see it: a FIN_WAIT2
/// that nobody has is a TIME_WAIT to them (`tcp_time_wait`, net/ipv4/tcp_minisocks.c).
fn theirs(socket: &PortSocket) -> (Sharing, SocketState) {
    let options = socket.options.known();
    let sharing = Sharing {
        reuseaddr: options.map(|options| options.reuseaddr),
        reuseport: options.map(|options| options.reuseport),
        uid: socket.uid,
    };
    match (socket.state, socket.inode) {
        (SocketState::FinWait2, None) => (sharing, SocketState::TimeWait),
        (state, _) => (sharing, state),
    }
}

/// Whether a socket keeps the program's off the port; `None` where options decide that which are not
/// to be seen.
pub(super) fn is_in_the_way(case: &Case<'_>, socket: &PortSocket) -> Option<bool> {
    let (theirs, state) = theirs(socket);
    ours(case).is_refused_by(&theirs, state)
}

/// Whether SO_REUSEADDR would have cured it: all that is in the way would have given way to it. Where
/// the rules do not say, a trial may.
pub(super) fn reuseaddr_cures(case: &Case<'_>) -> Option<bool> {
    // Windows has rules of its own; and it is no cure where it was on.
    if case.code.system != System::Linux || case.attempt.socket.reuseaddr == Some(true) {
        return Some(false);
    }
    let facts = case.facts;
    let are_all_known =
        facts.sockets_unknown.is_none() && facts.sockets_total as usize == facts.sockets.len();
    let in_the_way =
        facts.sockets.iter().filter(|socket| is_in_the_way(case, socket) != Some(false));
    let give_way = in_the_way.map(|socket| {
        let (theirs, state) = theirs(socket);
        theirs.gives_way(state)
    });
    let foreseen = give_way.fold(if are_all_known { Some(true) } else { None }, and);
    foreseen.or_else(|| facts.reuseaddr_trial.known().copied())
}

/// Says on which side the option is missing, where that is known and one of them has it.
pub(super) fn say_who_lacks_reuseaddr(
    case: &Case<'_>,
    socket: &PortSocket,
    diagnosis: &mut Diagnosis,
) {
    let Some(theirs) = socket.options.known().filter(|_| socket.state != SocketState::Listen)
    else {
        return;
    };
    match (case.attempt.socket.reuseaddr, theirs.reuseaddr) {
        // Another socket on the port may not have it either.
        (Some(false), true) if diagnosis.reuseaddr_cures == Some(true) => {
            say!(diagnosis.summary, "; SO_REUSEADDR is on there, but not here")
        }
        (Some(true), false) => {
            say!(diagnosis.summary, "; SO_REUSEADDR is on here, but not there")
        }
        _ => {}
    }
}
