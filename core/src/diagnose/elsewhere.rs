//! The program's socket is of another network than its process.

use crate::cause::Cause;
use crate::code::{Code, EACCES, EADDRNOTAVAIL};
use crate::facts::Fact;
use crate::record::{Certainty, Diagnosis};

use super::Case;
use super::tell::{fix_by, found, say};

/// A socket stays in the network namespace that it was made in (network_namespaces(7)): the ports,
/// addresses and settings of this process's own have nothing to do with it.
pub(super) fn detect(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    let decided_there = case.code.is_in_use()
        || case.code == Code::linux(EACCES)
        || case.code == Code::linux(EADDRNOTAVAIL);
    if !decided_there || case.facts.same_network != Fact::Known(false) {
        return false;
    }
    let certainty = if case.code.is_in_use() { Certainty::Certain } else { Certainty::Probable };
    found(diagnosis, Cause::OtherNetworkNamespace, certainty);
    say!(
        diagnosis.summary,
        "the socket belongs to another network namespace than this process, and there "
    );
    let port = case.attempt.address.as_ref().and_then(|address| address.port());
    if case.code.is_in_use() {
        say!(diagnosis.summary, "the port is taken");
    } else {
        say!(diagnosis.summary, "the kernel says {}", case.code.name());
    }
    diagnosis.reuseaddr_cures = Some(false);
    diagnosis.retry_cures = Some(false);
    if let Some(port) = port {
        fix_by(
            diagnosis,
            format_args!("look in the network namespace NAME that the socket is from, as root"),
            format_args!("ip netns exec NAME ss -Hanp 'sport = :{port}'"),
        );
    }
    true
}
