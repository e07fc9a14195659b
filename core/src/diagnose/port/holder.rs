//! Sockets that somebody has on purpose: they listen, are bound, or take datagrams.

use crate::cause::Cause;
use crate::facts::PortSocket;
use crate::record::{Certainty, Diagnosis};

use super::super::Case;
use super::super::tell::{Who, fix, found, say};
use super::rules::reuseaddr_cures;
use super::{another_port, owner, stop};

pub(in crate::diagnose) fn vanishing(diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::ExitingHolder, Certainty::Probable);
    say!(diagnosis.summary, "what held the port is just ending");
    diagnosis.reuseaddr_cures = Some(false);
    diagnosis.retry_cures = Some(true);
    wait_a_moment(diagnosis);
}

pub(in crate::diagnose) fn own_process(
    case: &Case<'_>,
    socket: &PortSocket,
    diagnosis: &mut Diagnosis,
) {
    found(diagnosis, Cause::OwnProcessHoldsPort, Certainty::Certain);
    say!(
        diagnosis.summary,
        "this process itself already has a socket on {} (state {})",
        socket.local,
        socket.state.name()
    );
    diagnosis.retry_cures = Some(false);
    diagnosis.reuseaddr_cures = reuseaddr_cures(case);
    if !socket.state.is_kept_on_purpose() {
        say!(diagnosis.summary, ", a connection that outlives its listener");
        fix(
            diagnosis,
            format_args!(
                "close its connections before it binds again, or set SO_REUSEADDR on both"
            ),
        );
        return;
    }
    fix(
        diagnosis,
        format_args!("bind each address once; close the first socket before the second"),
    );
    fix(
        diagnosis,
        format_args!("look for an address that is configured twice, or 0.0.0.0 together with ::"),
    );
}

pub(in crate::diagnose) fn exiting(_: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::ExitingHolder, Certainty::Certain);
    say!(diagnosis.summary, "{} has {}, and is just ending", Who(socket), socket.local);
    diagnosis.reuseaddr_cures = Some(false);
    diagnosis.retry_cures = Some(true);
    wait_a_moment(diagnosis);
}

fn wait_a_moment(diagnosis: &mut Diagnosis) {
    fix(diagnosis, format_args!("start it again in a moment, or let bindshim-run --retry wait"));
}

pub(super) fn same_program(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
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
    if owner(socket).is_some_and(|o| o.is_parent) {
        say!(diagnosis.summary, ", the parent of this process");
        fix(diagnosis, format_args!("use the socket that the parent has: a child inherits it"));
    } else {
        stop(socket, "use the one that runs, or stop it", diagnosis);
    }
    another_port(case, "this one", diagnosis);
}

pub(super) fn other_program(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    // That it listens is certain, but not that it is another program.
    let may_be_same = owner(socket).is_some_and(|o| o.may_be_same);
    let certainty = if may_be_same { Certainty::Possible } else { Certainty::Certain };
    found(diagnosis, Cause::OtherProgramListening, certainty);
    say!(diagnosis.summary, "{} is already listening on {}", Who(socket), socket.local);
    say_undecided(socket, diagnosis);
    diagnosis.reuseaddr_cures = Some(false);
    diagnosis.retry_cures = Some(false);
    stop(socket, "stop it if you do not need it", diagnosis);
    another_port(case, "one of the two", diagnosis);
}

/// Two processes of one interpreter may run the same.
pub(in crate::diagnose) fn say_undecided(socket: &PortSocket, diagnosis: &mut Diagnosis) {
    if owner(socket).is_some_and(|o| o.may_be_same) {
        say!(
            diagnosis.summary,
            "; what it runs is not to be seen: it may be the same program, started before"
        );
    }
}

pub(super) fn bound_not_listening(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::BoundNotListening, Certainty::Certain);
    say!(
        diagnosis.summary,
        "{} has {} bound without listening (ss -l, lsof and netstat do not show that)",
        Who(socket),
        socket.local
    );
    // Where it does, the new one takes the port away from the holder.
    diagnosis.reuseaddr_cures = reuseaddr_cures(case);
    diagnosis.retry_cures = Some(false);
    stop(socket, "stop it if you do not need it", diagnosis);
    another_port(case, "one of the two", diagnosis);
}

pub(super) fn udp(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
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
    diagnosis.reuseaddr_cures = reuseaddr_cures(case);
    diagnosis.retry_cures = if socket.remote.is_some() { None } else { Some(false) };
    stop(socket, "stop it if you do not need it", diagnosis);
    another_port(case, "one of the two", diagnosis);
}

/// Listening failed although the bind went through: `inet_csk_listen_start` looks at the port once
/// more (net/ipv4/inet_connection_sock.c).
pub(super) fn race(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::ListenRace, Certainty::Certain);
    say!(
        diagnosis.summary,
        "the bind went through, since both sockets share the address, but {} listens on {} already",
        Who(socket),
        socket.local
    );
    diagnosis.reuseaddr_cures = Some(false);
    diagnosis.retry_cures = Some(false);
    stop(socket, "use the one that listens, or stop it", diagnosis);
    another_port(case, "this one", diagnosis);
}

pub(super) fn inherited(_: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::InheritedSocket, Certainty::Probable);
    say!(
        diagnosis.summary,
        "{} has a listening socket on {} that it can only have inherited: a server that is gone bound \
         it, and left that process behind",
        Who(socket),
        socket.local
    );
    diagnosis.reuseaddr_cures = Some(false);
    diagnosis.retry_cures = Some(false);
    stop(socket, "stop the process that was left behind", diagnosis);
    fix(
        diagnosis,
        format_args!("for next time: open the server's sockets with SOCK_CLOEXEC (FD_CLOEXEC)"),
    );
}
