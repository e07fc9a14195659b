//! Successes on Linux that are dangerous or surprising.

use crate::address::Address;
use crate::attempt::{Attempt, Function};
use crate::cause::Cause;
use crate::facts::Fact;
use crate::record::{Certainty, Diagnosis};

use super::tell::{fix, fix_by, found, say};
use super::{Case, sharing};

/// Whether the success of `attempt` on Linux may deserve a warning, as far as the attempt itself
/// shows: facts need be gathered only then. `had_no_port`: the socket of a listen had none before.
#[must_use]
pub fn is_suspicious(attempt: &Attempt, had_no_port: bool) -> bool {
    match (attempt.call, &attempt.address, &attempt.actual) {
        (Function::Listen, Some(address), _) => {
            had_no_port && address.port().is_some_and(|port| port != 0)
        }
        (Function::Bind, Some(asked), Some(actual)) => is_rewritten(asked, actual),
        _ => false,
    }
}

pub(super) fn warn(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    match case.attempt.call {
        Function::Listen => random_port(case, diagnosis) || sharing::warn(case, diagnosis),
        Function::Bind => rewritten(case, diagnosis) || sharing::warn(case, diagnosis),
        Function::Setsockopt => late_reuseaddr(case, diagnosis),
    }
}

/// A listen on a socket that is not bound makes the kernel choose a port
/// (`inet_csk_listen_start`, net/ipv4/inet_connection_sock.c).
fn random_port(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let (Fact::Known(None), Some(address)) = (&case.facts.bound, &case.attempt.address) else {
        return false;
    };
    if address.port().is_none_or(|port| port == 0) {
        return false;
    }
    found(diagnosis, Cause::ListeningOnRandomPort, Certainty::Certain);
    say!(
        diagnosis.summary,
        "this socket was not bound, and listens on {address}, a port that the kernel chose; mostly a bind() failed before, and the program went on"
    );
    fix(diagnosis, format_args!("check what bind() gives, and stop when it fails"));
    fix(
        diagnosis,
        format_args!("if any port will do, bind port 0, and ask getsockname() which it is"),
    );
    true
}

/// A BPF program on the cgroup may put another address in the place of the one that was asked for
/// (`BPF_CGROUP_INET4_BIND`). The scope of an address may differ for other reasons.
fn is_rewritten(asked: &Address, actual: &Address) -> bool {
    match (asked, actual) {
        (Address::V4 { ip, port }, Address::V4 { ip: actual_ip, port: actual_port }) => {
            *port != 0 && (ip, port) != (actual_ip, actual_port)
        }
        (Address::V6 { ip, port, .. }, Address::V6 { ip: actual_ip, port: actual_port, .. }) => {
            *port != 0 && (ip, port) != (actual_ip, actual_port)
        }
        _ => false,
    }
}

fn rewritten(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let (Some(asked), Some(actual)) = (&case.attempt.address, &case.attempt.actual) else {
        return false;
    };
    let has_ports = case.attempt.socket.is_tcp() || case.attempt.socket.is_udp();
    if !has_ports || !is_rewritten(asked, actual) {
        return false;
    }
    found(diagnosis, Cause::AddressRewritten, Certainty::Certain);
    say!(
        diagnosis.summary,
        "the program asked for {asked}, and the socket is bound to {actual}: a BPF program on its cgroup rewrites addresses"
    );
    fix_by(
        diagnosis,
        format_args!("see which programs there are, as root"),
        format_args!("bpftool cgroup tree"),
    );
    true
}

/// The kernel looks at SO_REUSEADDR when it looks for conflicts: in bind, and in a later bind or
/// listen of others (`inet_csk_get_port`, net/ipv4/inet_connection_sock.c).
fn late_reuseaddr(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let sets = case.attempt.option.and_then(|option| option.sets_reuseaddr()) == Some(true);
    let Fact::Known(Some(address)) = &case.facts.bound else { return false };
    if !sets {
        return false;
    }
    found(diagnosis, Cause::OptionTooLate, Certainty::Certain);
    say!(
        diagnosis.summary,
        "SO_REUSEADDR comes after bind: it did nothing for the bind of this socket to {address}, which works or fails as if it were not set"
    );
    fix(diagnosis, format_args!("set SO_REUSEADDR right after socket(), before bind()"));
    true
}
