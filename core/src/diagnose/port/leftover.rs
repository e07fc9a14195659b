//! Connections that are left of a server: who has them, and when they go.

use core::fmt;
use core::net::IpAddr;

use crate::address::Address;
use crate::cause::Cause;
use crate::facts::{Fact, PortSocket, SocketState};
use crate::policy::EXPIRY_SLACK;
use crate::record::{Certainty, Diagnosis};

use super::super::Case;
use super::super::tell::{Span, Who, fix, fix_by, found, say};
use super::connection::peer_is_a_client;
use super::rules::reuseaddr_cures;
use super::{Fits, is_orphan, is_time_wait, stop};

/// How old it is cannot be seen: a peer that closes its side first is ordinary while an answer is
/// under way, and a leak when it lasts.
pub(super) fn close_wait(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::CloseWaitLeak, Certainty::Probable);
    say!(
        diagnosis.summary,
        "{} still has a connection on {} whose peer has closed its side: it is about to end, or was \
         forgotten and never will",
        Who(socket),
        socket.local
    );
    diagnosis.reuseaddr_cures = reuseaddr_cures(case);
    diagnosis.retry_cures = None;
    stop(socket, "if it lasts, stop the process that does not close it", diagnosis);
}

pub(super) fn lingering(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    let incoming = peer_is_a_client(case, socket);
    let certainty = if incoming { Certainty::Probable } else { Certainty::Possible };
    found(diagnosis, Cause::LingeringConnection, certainty);
    say!(diagnosis.summary, "nothing listens any more, but {} still has a connection", Who(socket));
    match &socket.remote {
        Some(remote) => say!(diagnosis.summary, " on {} with {remote}", socket.local),
        None => say!(diagnosis.summary, " on {}", socket.local),
    }
    diagnosis.reuseaddr_cures = reuseaddr_cures(case);
    diagnosis.retry_cures = Some(false);
    if incoming {
        stop(socket, "stop that process, or let its connection end", diagnosis);
    } else {
        say!(diagnosis.summary, "; or it made that one itself, from this port");
        let port = socket.local.port().unwrap_or_default();
        fix_by(
            diagnosis,
            format_args!("look at what it is, before anything is stopped"),
            format_args!("ss -tnp 'sport = :{port}'"),
        );
    }
    fix(diagnosis, reuseaddr_advice());
}

pub(super) fn closing(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::ClosingConnection, Certainty::Certain);
    let count = count(case, is_orphan);
    say!(
        diagnosis.summary,
        "nobody has {} any more, but {count} of its connections {} not closed by the peer yet ({})",
        socket.local,
        if count == 1 { "is" } else { "are" },
        socket.state.name()
    );
    waiting_cures(case, diagnosis);
}

pub(super) fn time_wait(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::TimeWait, Certainty::Certain);
    let count = count(case, is_time_wait);
    say!(
        diagnosis.summary,
        "nobody has {} any more; {count} of its connections {} in TIME_WAIT",
        socket.local,
        if count == 1 { "is" } else { "are" }
    );
    waiting_cures(case, diagnosis);
}

fn count(case: &Case<'_>, fits: Fits) -> u32 {
    let listed = case.facts.sockets.iter().filter(|s| fits(case, s)).count() as u32;
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
    diagnosis.reuseaddr_cures = reuseaddr_cures(case);
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
            format_args!("ss -tK{}{} 'sport = :{port}'", States(&case.facts.sockets), Source(case)),
        );
    }
    if diagnosis.reuseaddr_cures == Some(true) {
        fix(
            diagnosis,
            format_args!(
                "or set SO_REUSEADDR before bind: bindshim-run --reuseaddr does, and it works right now"
            ),
        );
    } else if was_outgoing(case) {
        fix(
            diagnosis,
            format_args!(
                "for good: the kernel gave this port to an outgoing connection; add it to \
                 net.ipv4.ip_local_reserved_ports"
            ),
        );
    } else {
        fix(diagnosis, reuseaddr_advice());
    }
}

/// Whether what lingers was connected to a server from a port that the kernel gave.
fn was_outgoing(case: &Case<'_>) -> bool {
    let Fact::Known((first, last)) = case.facts.ephemeral else { return false };
    let is_given = |port: Option<u16>| port.is_some_and(|port| (first..=last).contains(&port));
    case.facts.sockets.first().is_some_and(|socket| {
        is_given(socket.local.port())
            && socket.remote.as_ref().is_some_and(|remote| !is_given(remote.port()))
    })
}

/// The address that was asked for as ss(8) takes it, ` src 127.0.0.1`, in quotes where a shell would
/// take it for a pattern: connections at others are not in the way.
struct Source<'a>(&'a Case<'a>);

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.attempt.address.as_ref().and_then(Address::ip) {
            Some(IpAddr::V4(ip)) if !ip.is_unspecified() => write!(f, " src {ip}"),
            Some(IpAddr::V6(ip)) if !ip.to_canonical().is_unspecified() => {
                write!(f, " src '[{ip}]'")
            }
            _ => Ok(()),
        }
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
