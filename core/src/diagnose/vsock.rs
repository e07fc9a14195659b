//! Sockets between virtual machines and their host (vsock(7)).

use crate::address::Address;
use crate::attempt::Family;
use crate::cause::Cause;
use crate::code::{Code, EACCES, EADDRINUSE, EADDRNOTAVAIL};
use crate::record::{Certainty, Diagnosis};

use super::Case;
use super::tell::{fix, found, say};

/// `AF_VSOCK` (include/linux/socket.h).
const VSOCK: u16 = 40;
/// `VMADDR_CID_ANY` (include/uapi/linux/vm_sockets.h).
const ANY: u32 = u32::MAX;
/// `LAST_RESERVED_PORT` (net/vmw_vsock/af_vsock.c).
const LAST_RESERVED: u32 = 1023;

pub(super) fn detect(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    if case.attempt.socket.family != Some(Family::Other(VSOCK)) {
        return false;
    }
    let Some((port, cid)) = case.attempt.address.as_ref().and_then(numbers) else { return false };
    let code = case.code;
    let told = if code == Code::linux(EADDRNOTAVAIL) {
        not_ours(cid, diagnosis)
    } else if code == Code::linux(EACCES) {
        reserved(port, diagnosis)
    } else if code == Code::linux(EADDRINUSE) {
        in_use(port, diagnosis)
    } else {
        false
    };
    if told {
        diagnosis.reuseaddr_cures = Some(false);
        diagnosis.retry_cures = Some(false);
    }
    told
}

/// Port and context id in `struct sockaddr_vm`, whose first two bytes after the family are unused.
fn numbers(address: &Address) -> Option<(u32, u32)> {
    let Address::Raw { family: VSOCK, bytes } = address else { return None };
    let number = |at| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    Some((number(2)?, number(6)?))
}

fn not_ours(cid: u32, diagnosis: &mut Diagnosis) -> bool {
    if cid == ANY {
        return false;
    }
    found(diagnosis, Cause::VsockRefused, Certainty::Certain);
    say!(diagnosis.summary, "the context id {cid} is not one of this machine");
    fix(
        diagnosis,
        format_args!("bind to VMADDR_CID_ANY, which is every context id of this machine"),
    );
    true
}

fn reserved(port: u32, diagnosis: &mut Diagnosis) -> bool {
    if port > LAST_RESERVED {
        return false;
    }
    found(diagnosis, Cause::VsockRefused, Certainty::Certain);
    say!(
        diagnosis.summary,
        "vsock port {port} is reserved (below 1024), and this process lacks CAP_NET_BIND_SERVICE"
    );
    fix(diagnosis, format_args!("use a port from 1024 up"));
    fix(
        diagnosis,
        format_args!("as a systemd service: AmbientCapabilities=CAP_NET_BIND_SERVICE in its unit"),
    );
    true
}

/// `__vsock_bind_connectible` (net/vmw_vsock/af_vsock.c).
fn in_use(port: u32, diagnosis: &mut Diagnosis) -> bool {
    found(diagnosis, Cause::VsockRefused, Certainty::Certain);
    say!(diagnosis.summary, "another socket has vsock port {port} (ss --vsock -ap shows it)");
    fix(diagnosis, format_args!("give one of the two another port"));
    true
}
