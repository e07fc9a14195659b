//! The kernel refused: who may do this.

use crate::cause::Cause;
use crate::code::{Code, EACCES};
use crate::facts::Fact;
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
    privileged_port(port, from, diagnosis);
    also_taken(case, diagnosis);
    true
}

/// The permission is checked before the port: with it, "in use" would be next.
fn also_taken(case: &Case<'_>, diagnosis: &mut Diagnosis) {
    if let Some((cause, who)) = super::port::second_obstacle(case) {
        diagnosis.also.push(cause);
        say!(diagnosis.summary, "; {who} has the port as well");
    }
}

/// `inet_port_requires_bind_service` (include/net/ip.h).
fn privileged_port(port: u16, from: u32, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::PrivilegedPort, Certainty::Certain);
    say!(
        diagnosis.summary,
        "port {port} is privileged (below {from}), and this process lacks CAP_NET_BIND_SERVICE"
    );
    diagnosis.reuseaddr_cures = Some(false);
    diagnosis.retry_cures = Some(false);
    if from <= u32::from(u16::MAX) {
        fix(diagnosis, format_args!("use a port from {from} up"));
    }
    fix(
        diagnosis,
        format_args!("as a systemd service: AmbientCapabilities=CAP_NET_BIND_SERVICE in its unit"),
    );
    fix_by(
        diagnosis,
        format_args!("or open ports from {port} up to everybody on this machine, as root"),
        format_args!("sysctl -w net.ipv4.ip_unprivileged_port_start={port}"),
    );
}
