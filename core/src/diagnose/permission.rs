//! The kernel refused: who may do this.

use crate::cause::Cause;
use crate::code::{Code, EACCES};
use crate::facts::Fact;
use crate::facts::rights::capability::NET_BIND_SERVICE;
use crate::record::{Certainty, Diagnosis};

use super::Case;
use super::tell::{fix, fix_by, found, say};

pub(super) fn detect(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let port = case.attempt.address.as_ref().and_then(|address| address.port());
    let (Some(port), Fact::Known(from), Fact::Known(false)) =
        (port, case.facts.unprivileged_from, case.facts.can_bind_privileged)
    else {
        return false;
    };
    if case.code != Code::linux(EACCES) || port == 0 || u32::from(port) >= from {
        return false;
    }
    privileged_port(case, port, from, diagnosis);
    also_taken(case, diagnosis);
    true
}

/// The permission is checked before the port: with it, "in use" would be next.
pub(super) fn also_taken(case: &Case<'_>, diagnosis: &mut Diagnosis) {
    if let Some((cause, who)) = super::port::second_obstacle(case)
        && diagnosis.also.try_push(cause).is_ok()
    {
        say!(diagnosis.summary, "; {who} has the port as well");
    }
}

/// `inet_port_requires_bind_service` (include/net/ip.h).
fn privileged_port(case: &Case<'_>, port: u16, from: u32, diagnosis: &mut Diagnosis) {
    // Security modules come first, and one that refuses says the same (`security_socket_bind`).
    let may_be_sandboxed = case.facts.rights.no_new_privileges == Fact::Known(true);
    let certainty = if may_be_sandboxed { Certainty::Probable } else { Certainty::Certain };
    found(diagnosis, Cause::PrivilegedPort, certainty);
    say!(diagnosis.summary, "port {port} is privileged (below {from}), and ");
    diagnosis.reuseaddr_cures = Some(false);
    diagnosis.retry_cures = Some(false);
    if has_foreign_privilege(case) {
        foreign_privilege(diagnosis);
    } else if case.facts.rights.euid == Fact::Known(0) {
        root_without(diagnosis);
    } else {
        user_without(diagnosis);
    }
    if from <= u32::from(u16::MAX) {
        fix(diagnosis, format_args!("or use a port from {from} up"));
    }
    fix_by(
        diagnosis,
        format_args!("or open ports from {port} up to everybody on this machine, as root"),
        format_args!("sysctl -w net.ipv4.ip_unprivileged_port_start={port}"),
    );
}

/// Whether the process has the capability, but in another user namespace than its network's.
fn has_foreign_privilege(case: &Case<'_>) -> bool {
    let has = case.facts.rights.capabilities.known().is_some_and(|own| own & NET_BIND_SERVICE != 0);
    has && case.facts.rights.owns_network == Fact::Known(false)
}

/// Rootless containers with the host's network.
fn foreign_privilege(diagnosis: &mut Diagnosis) {
    say!(
        diagnosis.summary,
        "CAP_NET_BIND_SERVICE of this process does not count: its network belongs to another user namespace"
    );
    fix(
        diagnosis,
        format_args!("give the container a network of its own, and publish the port from the host"),
    );
}

fn root_without(diagnosis: &mut Diagnosis) {
    say!(diagnosis.summary, "this process lacks CAP_NET_BIND_SERVICE, although it is root");
    fix(
        diagnosis,
        format_args!(
            "in a container: --cap-add NET_BIND_SERVICE; as a systemd service: CAP_NET_BIND_SERVICE in CapabilityBoundingSet="
        ),
    );
}

fn user_without(diagnosis: &mut Diagnosis) {
    say!(diagnosis.summary, "this process lacks CAP_NET_BIND_SERVICE");
    fix(
        diagnosis,
        format_args!(
            "as a systemd service: AmbientCapabilities=CAP_NET_BIND_SERVICE in its unit (or a .socket unit)"
        ),
    );
    fix(
        diagnosis,
        format_args!(
            "or setcap cap_net_bind_service=+ep on the program's file; LD_PRELOAD, and so bindshim, is then ignored"
        ),
    );
}
