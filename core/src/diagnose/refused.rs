//! Somebody beside the kernel's own rules refused: a sandbox, a security module, a BPF program.
//!
//! None of them says so. What is left when the kernel's own reasons are excluded is told with the
//! certainty that it has.

use arrayvec::ArrayVec;

use crate::attempt::{Family, Function};
use crate::cause::Cause;
use crate::code::{Code, EACCES, EPERM};
use crate::facts::Fact;
use crate::record::{Certainty, Diagnosis};

use super::Case;
use super::permission::also_taken;
use super::tell::{fix, fix_by, found, say};

/// Who may have refused, the likeliest first.
type Suspects = ArrayVec<Cause, 4>;

/// A seccomp filter comes before all checks of the kernel (`syscall_trace_enter`), so that its
/// answer shows without a socket.
pub(super) fn by_filter(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    if case.facts.rights.filter_refuses != Fact::Known(true) {
        return false;
    }
    found(diagnosis, Cause::SeccompDenied, Certainty::Certain);
    let call = match case.attempt.call {
        Function::Bind => "bind",
        Function::Listen => "listen",
        Function::Setsockopt => "setsockopt",
    };
    say!(
        diagnosis.summary,
        "a seccomp filter answers every {call} of this process with {}",
        case.code.name()
    );
    no_cure(diagnosis);
    fix(
        diagnosis,
        format_args!(
            "allow {call} in the filter: the container's seccomp profile, or SystemCallFilter= of the systemd unit"
        ),
    );
    true
}

pub(super) fn detect(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let is_inet = matches!(case.attempt.socket.family, Some(Family::Inet | Family::Inet6));
    if !is_inet {
        return false;
    }
    let told = match (case.code, case.attempt.call) {
        (code, Function::Bind | Function::Setsockopt) if code == Code::linux(EPERM) => {
            by_bpf_program(case, diagnosis)
        }
        (code, Function::Bind | Function::Listen) if code == Code::linux(EACCES) => {
            by_elimination(case, diagnosis)
        }
        _ => false,
    };
    if told {
        no_cure(diagnosis);
        also_taken(case, diagnosis);
    }
    told
}

fn no_cure(diagnosis: &mut Diagnosis) {
    diagnosis.reuseaddr_cures = Some(false);
    diagnosis.retry_cures = Some(false);
}

/// EPERM is what a BPF program on a cgroup gives (`__cgroup_bpf_run_filter_sock_addr`,
/// kernel/bpf/cgroup.c), and what the kernel's own `inet_bind` never gives.
fn by_bpf_program(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let certainty = match (case.facts.rights.filter_refuses, case.attempt.call) {
        (Fact::Known(_), Function::Bind) => Certainty::Probable,
        (Fact::Known(_), _) => Certainty::Possible,
        (Fact::Unknown(_), _) => return false,
    };
    found(diagnosis, Cause::CgroupBpfDenied, certainty);
    bpf_program(case, diagnosis);
    true
}

/// Whether the port needs no privilege, or the process has it: then no rule of the kernel's own says
/// EACCES. A listen needs none.
fn is_allowed(case: &Case<'_>) -> bool {
    let port = u32::from(port(case));
    case.attempt.call == Function::Listen
        || port == 0
        || case.facts.can_bind_privileged == Fact::Known(true)
        || case.facts.unprivileged_from.known().is_some_and(|from| port >= *from)
}

fn by_elimination(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    if !is_allowed(case) {
        return false;
    }
    let suspects = suspects(case);
    let Some((first, others)) = suspects.split_first() else { return false };
    let is_last_resort = *first == Cause::CgroupBpfDenied;
    // A BPF program that chooses its own error is rare: it counts where nobody else may have been.
    let is_only = others.iter().all(|other| *other == Cause::CgroupBpfDenied);
    let certainty =
        if is_only && !is_last_resort { Certainty::Probable } else { Certainty::Possible };
    found(diagnosis, *first, certainty);
    match first {
        Cause::SelinuxDenied => selinux(case, diagnosis),
        Cause::LandlockDenied => landlock(diagnosis),
        Cause::ApparmorDenied => apparmor(case, diagnosis),
        _ => bpf_program(case, diagnosis),
    }
    for other in others {
        let _ = diagnosis.also.try_push(*other);
    }
    true
}

fn suspects(case: &Case<'_>) -> Suspects {
    let rights = &case.facts.rights;
    let mut suspects = Suspects::new();
    if rights.selinux_enforces == Fact::Known(true) {
        suspects.push(Cause::SelinuxDenied);
    }
    // Landlock knows bind of TCP alone (landlock(7), LANDLOCK_ACCESS_NET_BIND_TCP).
    let is_tcp_bind = case.attempt.call == Function::Bind && case.attempt.socket.is_tcp();
    if is_tcp_bind && rights.no_new_privileges == Fact::Known(true) {
        suspects.push(Cause::LandlockDenied);
    }
    if matches!(rights.apparmor, Fact::Known(Some(_))) {
        suspects.push(Cause::ApparmorDenied);
    }
    let are_known = rights.no_new_privileges.known().is_some()
        && rights.selinux_enforces.known().is_some()
        && rights.apparmor.known().is_some();
    let is_bind = case.attempt.call == Function::Bind;
    if is_bind && (are_known || !suspects.is_empty()) {
        suspects.push(Cause::CgroupBpfDenied);
    }
    suspects
}

/// The port, for a sentence and a command; 0 where there is none.
fn port(case: &Case<'_>) -> u16 {
    case.attempt.address.as_ref().and_then(|address| address.port()).unwrap_or(0)
}

fn selinux(case: &Case<'_>, diagnosis: &mut Diagnosis) {
    let port = port(case);
    say!(
        diagnosis.summary,
        "SELinux enforces its policy, which seems not to allow port {port} to this program"
    );
    fix_by(
        diagnosis,
        format_args!("see what was refused, as root"),
        format_args!("ausearch -m avc -ts recent"),
    );
    if port != 0 {
        let protocol = if case.attempt.socket.is_udp() { "udp" } else { "tcp" };
        fix_by(
            diagnosis,
            format_args!(
                "allow the port to the program's kind (http_port_t is that of web servers)"
            ),
            format_args!("semanage port -a -t http_port_t -p {protocol} {port}"),
        );
    }
}

fn landlock(diagnosis: &mut Diagnosis) {
    say!(
        diagnosis.summary,
        "the port needs no privilege that this process lacks, and it may be in a sandbox (no_new_privs is set): a Landlock rule that does not allow this TCP port answers so"
    );
    fix(diagnosis, format_args!("allow the port in the sandbox's rules (LANDLOCK_RULE_NET_PORT)"));
    fix(diagnosis, format_args!("or use a port that they allow; they cannot be asked for"));
}

fn apparmor(case: &Case<'_>, diagnosis: &mut Diagnosis) {
    if let Fact::Known(Some(profile)) = &case.facts.rights.apparmor {
        say!(diagnosis.summary, "the AppArmor profile {profile} may not allow this");
    }
    fix_by(
        diagnosis,
        format_args!("see what was refused, as root"),
        format_args!("journalctl -k --grep=apparmor=.DENIED"),
    );
    fix(
        diagnosis,
        format_args!("allow it in the profile: a network rule such as \"network tcp,\""),
    );
}

fn bpf_program(case: &Case<'_>, diagnosis: &mut Diagnosis) {
    say!(
        diagnosis.summary,
        "no rule of the kernel's own refuses this: a BPF program on the cgroup of this process may"
    );
    match &case.facts.rights.unit {
        Some(unit) => fix_by(
            diagnosis,
            format_args!("see SocketBindDeny= and SocketBindAllow= of its systemd service"),
            format_args!("systemctl show -p SocketBindDeny,SocketBindAllow {unit}"),
        ),
        None => fix(
            diagnosis,
            format_args!(
                "of a systemd service: see SocketBindDeny= and SocketBindAllow= in its unit"
            ),
        ),
    }
    fix_by(
        diagnosis,
        format_args!("else see which programs there are, as root"),
        format_args!("bpftool cgroup tree"),
    );
}
