//! From facts to a cause: one small pure function per family of causes.
//!
//! A detector looks at the facts and either writes its diagnosis or leaves the case to the next
//! one. What nobody recognises is unknown, with the facts that are there and what is missing.

mod address;
mod elsewhere;
mod hint;
mod machine;
mod option;
mod path;
mod permission;
mod port;
mod refused;
mod sharing;
mod success;
pub(crate) mod tell;
mod usage;
mod vsock;
mod windows;
mod word;

#[cfg(test)]
mod misuse_tests;
#[cfg(test)]
mod tests;

use crate::attempt::Attempt;
use crate::cause::Cause;
use crate::code::{Code, System, WSAEACCES};
use crate::facts::{Fact, Facts, Why};
use crate::record::{Certainty, Diagnosis, Missing};

use tell::say;

/// An attempt and what is known about it.
pub(crate) struct Case<'a> {
    pub(crate) attempt: &'a Attempt,
    /// What it failed with; 0 where it succeeded.
    pub(crate) code: Code,
    pub(crate) facts: &'a Facts,
}

/// Writes the diagnosis if the case is one of its own, and says whether it did.
type Detector = fn(&Case<'_>, &mut Diagnosis) -> bool;

/// In the order in which Linux makes its checks (net/socket.c `__sys_bind`, net/ipv4/af_inet.c
/// `__inet_bind`): filters, descriptor, memory, length and family, address, permission, port. Families
/// with neither addresses nor ports of the internet come before those. Who can only be suspected
/// comes after what is known.
const LINUX: &[Detector] = &[
    refused::by_filter,
    path::detect,
    vsock::detect,
    elsewhere::detect,
    usage::detect,
    option::detect,
    address::detect,
    permission::detect,
    refused::detect,
    machine::detect,
    port::detect,
];

/// Finds out why `attempt` failed with `code`, and writes it to `diagnosis`, which is
/// [`Diagnosis::NONE`] before. In a frame of its own: a call that succeeds needs none of it.
#[inline(never)]
pub fn diagnose(attempt: &Attempt, code: Code, facts: &Facts, diagnosis: &mut Diagnosis) {
    let case = Case { attempt, code, facts };
    let detectors = match code.system {
        System::Linux => LINUX,
        System::Windows => windows::DETECTORS,
    };
    tell::holders(&case, diagnosis);
    if !detectors.iter().any(|detect| detect(&case, diagnosis)) {
        unknown(&case, diagnosis);
    }
    if code.system == System::Linux {
        hint::swapped_port_bytes(&case, diagnosis);
    }
    missing(&case, diagnosis);
    #[cfg(test)]
    tests::agrees_with_the_catalogue(attempt.call, code, diagnosis);
}

pub use sharing::may_share;
pub use success::is_suspicious;

/// Whether the excluded port ranges of Windows may explain why `attempt` was refused, as far as
/// `facts` tell without them. They are costly to know.
#[must_use]
pub fn ranges_may_refuse(attempt: &Attempt, facts: &Facts) -> bool {
    windows::may_be_by_range(&Case { attempt, code: Code::windows(WSAEACCES), facts })
}

/// Whether the success of `attempt` may be dangerous or surprising on Windows, as far as its address
/// and options tell: else nobody needs to look for other sockets.
#[must_use]
pub fn may_warn(attempt: &Attempt, facts: &Facts) -> bool {
    windows::may_warn(&Case { attempt, code: Code::windows(0), facts })
}

/// Whether the success of `attempt` on `system` is dangerous or surprising. If so, why is written
/// to `diagnosis`, which is [`Diagnosis::NONE`] before. `facts.sockets` are those that overlap with
/// the program's socket, without this socket itself.
#[inline(never)]
pub fn warn(attempt: &Attempt, system: System, facts: &Facts, diagnosis: &mut Diagnosis) -> bool {
    let case = Case { attempt, code: Code { system, number: 0 }, facts };
    let warned = match system {
        System::Linux => success::warn(&case, diagnosis),
        System::Windows => windows::warn(&case, diagnosis),
    };
    if warned {
        tell::holders(&case, diagnosis);
        missing(&case, diagnosis);
        #[cfg(test)]
        tests::agrees_with_the_catalogue(attempt.call, case.code, diagnosis);
    }
    warned
}

#[inline(never)]
fn unknown(case: &Case<'_>, diagnosis: &mut Diagnosis) {
    diagnosis.cause = Cause::Unknown;
    diagnosis.certainty = Certainty::Possible;
    if !diagnosis.summary.is_empty() {
        return;
    }
    let name = case.code.name();
    let kernel = match case.code.system {
        System::Linux => "the kernel",
        System::Windows => "Windows",
    };
    match (case.code.is_in_use(), case.facts.sockets_unknown) {
        (true, None) => say!(
            diagnosis.summary,
            "{kernel} said {name}, but no socket on the port is to be seen now: it may be free again"
        ),
        (true, Some(why)) if why != Why::NotAsked => {
            say!(
                diagnosis.summary,
                "{kernel} said {name}; who has the port is unknown: {}",
                why.phrase()
            );
        }
        _ => say!(
            diagnosis.summary,
            "{kernel} said {name} ({}); what is known does not show why",
            case.code.message()
        ),
    }
}

/// Lists what was looked for and not found out.
#[inline(never)]
fn missing(case: &Case<'_>, diagnosis: &mut Diagnosis) {
    let Facts { descriptor, bound, reuseaddr_trial, .. } = case.facts;
    let owner = case.facts.sockets.iter().find_map(|s| tell::missing_owner(case, s));
    let options = case.facts.sockets.iter().find_map(|socket| reason(&socket.options));
    let rows = [
        ("descriptor", reason(descriptor)),
        ("bound_address", reason(bound)),
        ("sockets", case.facts.sockets_unknown),
        ("owner", owner),
        ("reuseaddr_trial", reason(reuseaddr_trial)),
        ("holder_options", options),
        ("unprivileged_port_start", reason(&case.facts.unprivileged_from)),
        ("capabilities", reason(&case.facts.can_bind_privileged)),
        ("local_addresses", reason(&case.facts.locality)),
        ("local_port_range", reason(&case.facts.ephemeral)),
        ("peer", reason(&case.facts.peer)),
        ("interface", reason(&case.facts.network.interface)),
        ("disable_ipv6", reason(&case.facts.network.ipv6)),
        ("network_owner", reason(&case.facts.rights.owns_network)),
        ("seccomp", reason(&case.facts.rights.filter_refuses)),
        ("selinux", reason(&case.facts.rights.selinux_enforces)),
        ("apparmor", reason(&case.facts.rights.apparmor)),
        ("file", reason(&case.facts.path.file)),
        ("unix_sockets", reason(&case.facts.path.used)),
        ("other_namespaces", reason(&case.facts.path.elsewhere)),
        ("path", reason(&case.facts.path.obstacle)),
        ("directory", reason(&case.facts.path.directory)),
        ("file_system", reason(&case.facts.path.file_system)),
    ];
    diagnosis.unknown = rows
        .into_iter()
        .filter_map(|(what, why)| Some(Missing { what, why: why? }))
        .filter(|missing| missing.why != Why::NotAsked)
        .take(diagnosis.unknown.capacity())
        .collect();
    if case.code.system == System::Windows {
        windows::missing(case, diagnosis);
    }
}

fn reason<T>(fact: &Fact<T>) -> Option<Why> {
    match fact {
        Fact::Known(_) => None,
        Fact::Unknown(why) => Some(*why),
    }
}
