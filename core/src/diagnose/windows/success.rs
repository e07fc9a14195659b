//! Successes that are dangerous or surprising.

use crate::attempt::Function;
use crate::cause::Cause;
use crate::conflict::windows::{Scope, Sharing};
use crate::facts::PortSocket;
use crate::record::{Certainty, Diagnosis};

use super::super::Case;
use super::super::tell::{fix, found, say};
use super::{Who, is_bound, is_own, other_port, own_sharing};

/// Another process has the port as well. A process that shares a port with itself means to.
pub(in super::super) fn warn(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let other = case.facts.sockets.iter().find(|s| is_bound(s) && !is_own(s));
    let (Function::Bind, Some(address), Some(other)) =
        (case.attempt.call, &case.attempt.address, other)
    else {
        return false;
    };
    let own = Scope::of(address);
    let same_scope = own == Scope::of(&other.local);
    if own_sharing(case) == Some(Sharing::Reuse) {
        // The same addresses are granted only where both have the option.
        let both = same_scope || other.sharing == Some(Sharing::Reuse);
        let certainty = if both { Certainty::Certain } else { Certainty::Probable };
        shared(other, certainty, diagnosis);
    } else if !same_scope {
        shadowed(own, other, diagnosis);
    } else {
        return false;
    }
    true
}

fn shared(other: &PortSocket, certainty: Certainty, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::PortSharedByReuseaddr, certainty);
    say!(
        diagnosis.summary,
        "{} has {} as well, because SO_REUSEADDR is set: which of the two gets what comes in is not determined",
        Who(other),
        other.local
    );
    fix(
        diagnosis,
        format_args!("leave SO_REUSEADDR off on Windows, and set SO_EXCLUSIVEADDRUSE before bind"),
    );
    other_port(diagnosis);
}

fn shadowed(own: Scope, other: &PortSocket, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::PortShadowed, Certainty::Certain);
    let (who, gets) = match own {
        Scope::Specific => ("this socket", "takes its address away from it"),
        Scope::Wildcard => ("that one", "keeps what is sent to its address"),
    };
    say!(diagnosis.summary, "{} has {} as well: {who} {gets}", Who(other), other.local);
    fix(
        diagnosis,
        format_args!(
            "to be alone on the port, set SO_EXCLUSIVEADDRUSE before bind: bindshim-run --exclusive does"
        ),
    );
    other_port(diagnosis);
}
