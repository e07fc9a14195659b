//! Sockets that nobody who is visible here has.

use crate::cause::Cause;
use crate::facts::{Fact, PortSocket, SocketState, Why};
use crate::record::{Certainty, Diagnosis};

use super::super::Case;
use super::super::tell::{Who, fix, fix_by, found, say};
use super::connection::ask_as_root;
use super::rules::reuseaddr_cures;

/// Ports on which the kernel itself has sockets, and what for: drivers/net/vxlan, geneve.c and
/// wireguard of drivers/net, net/l2tp, net/xfrm, fs/nfsd.
const KERNEL_PORTS: &[(SocketState, u16, &str)] = &[
    (SocketState::Udp, 4789, "vxlan"),
    (SocketState::Udp, 8472, "vxlan"),
    (SocketState::Udp, 6081, "geneve"),
    (SocketState::Udp, 51820, "wireguard"),
    (SocketState::Udp, 1701, "l2tp"),
    (SocketState::Udp, 500, "ipsec"),
    (SocketState::Udp, 4500, "ipsec"),
    (SocketState::Listen, 2049, "nfsd"),
];

fn kernel_use(socket: &PortSocket) -> Option<&'static str> {
    let port = socket.local.port()?;
    KERNEL_PORTS
        .iter()
        .find(|(state, known, _)| *state == socket.state && *known == port)
        .map(|(_, _, what)| *what)
}

/// No process was found that has it, and root's it is.
pub(super) fn is_kernel(_: &Case<'_>, socket: &PortSocket) -> bool {
    matches!(socket.owner, Fact::Unknown(Why::NotVisible | Why::Permission))
        && socket.uid == Some(0)
        && kernel_use(socket).is_some()
}

pub(super) fn kernel(_: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    let what = kernel_use(socket).unwrap_or_default();
    let certainty = match socket.owner {
        Fact::Unknown(Why::NotVisible) => Certainty::Probable,
        _ => Certainty::Possible,
    };
    found(diagnosis, Cause::KernelSocket, certainty);
    say!(
        diagnosis.summary,
        "no process was found that has {}; it is a port of the kernel's own {what}",
        socket.local
    );
    diagnosis.reuseaddr_cures = Some(false);
    diagnosis.retry_cures = Some(false);
    if socket.state == SocketState::Udp && !matches!(what, "ipsec" | "l2tp") {
        fix_by(
            diagnosis,
            format_args!("see which interface has it; delete it, or give it another port"),
            format_args!("ip -d link show type {what}"),
        );
    }
}

pub(super) fn hidden(case: &Case<'_>, socket: &PortSocket, diagnosis: &mut Diagnosis) {
    let may_be_the_kernel = socket.state == SocketState::Udp && socket.uid == Some(0);
    let certainty = match socket.owner {
        Fact::Unknown(Why::Permission) if !may_be_the_kernel => Certainty::Certain,
        _ => Certainty::Probable,
    };
    found(diagnosis, Cause::HiddenHolder, certainty);
    let does = match socket.state {
        SocketState::Udp => "has the UDP port",
        _ => "is already listening on",
    };
    say!(diagnosis.summary, "{} {does} {}", Who(socket), socket.local);
    // A UDP port may be shared, if its holder has the option too.
    diagnosis.reuseaddr_cures = reuseaddr_cures(case);
    diagnosis.retry_cures = Some(false);
    if may_be_the_kernel {
        say!(diagnosis.summary, "; or the kernel itself does (vxlan, wireguard and the like)");
        fix_by(
            diagnosis,
            format_args!("see whether an interface has it"),
            format_args!("ip -d link show"),
        );
    }
    match socket.owner {
        Fact::Unknown(Why::Permission) => ask_as_root(socket, diagnosis),
        Fact::Unknown(Why::NotVisible) => fix(
            diagnosis,
            format_args!(
                "if this is a container, look from outside: other processes are not seen in here"
            ),
        ),
        _ => {}
    }
}

/// The kernel was to choose a port, and found none (`inet_csk_find_open_port`,
/// net/ipv4/inet_connection_sock.c; `udp_lib_get_port`, net/ipv4/udp.c).
pub(super) fn exhausted(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    if case.attempt.address.as_ref().and_then(|address| address.port()) != Some(0) {
        return false;
    }
    found(diagnosis, Cause::EphemeralPortsExhausted, Certainty::Certain);
    say!(diagnosis.summary, "the kernel was to choose a port, and all that it may choose from ");
    match case.facts.ephemeral {
        Fact::Known((first, last)) => say!(diagnosis.summary, "({first} to {last}) are taken"),
        Fact::Unknown(_) => say!(diagnosis.summary, "are taken"),
    }
    diagnosis.reuseaddr_cures = Some(false);
    diagnosis.retry_cures = None;
    if case.facts.has_own_range {
        say!(diagnosis.summary, "; the program itself chose that range (IP_LOCAL_PORT_RANGE)");
        fix(diagnosis, format_args!("widen the range that the program sets on its socket"));
    } else if let Fact::Known((10_001.., last)) = case.facts.ephemeral {
        fix_by(
            diagnosis,
            format_args!("give the kernel more to choose from, as root"),
            format_args!("sysctl -w net.ipv4.ip_local_port_range='10000 {last}'"),
        );
    } else {
        fix(
            diagnosis,
            format_args!("see what net.ipv4.ip_local_reserved_ports keeps out of the range"),
        );
    }
    fix(
        diagnosis,
        format_args!(
            "see who has them (ss -Hanp); clients that bind before connect can set \
             IP_BIND_ADDRESS_NO_PORT"
        ),
    );
    true
}
