//! The address is not there.

use crate::cause::Cause;
use crate::code::{Code, EADDRNOTAVAIL};
use crate::facts::{Fact, Locality};
use crate::record::{Certainty, Diagnosis};

use super::Case;
use super::tell::{fix, fix_by, found, say};

pub(super) fn detect(case: &Case<'_>, diagnosis: &mut Diagnosis) -> bool {
    if case.code != Code::linux(EADDRNOTAVAIL) {
        return false;
    }
    match case.facts.locality {
        Fact::Known(Locality::Absent) => absent(case, diagnosis),
        Fact::Known(Locality::Tentative) => tentative(case, diagnosis),
        _ => return false,
    }
    true
}

fn absent(case: &Case<'_>, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::AddressNotLocal, Certainty::Certain);
    match &case.attempt.address {
        Some(address) => {
            say!(diagnosis.summary, "no interface of this machine has the address of {address}")
        }
        None => say!(diagnosis.summary, "no interface of this machine has the address"),
    }
    diagnosis.reuseaddr_cures = Some(false);
    diagnosis.retry_cures = None;
    fix_by(
        diagnosis,
        format_args!("use an address that this machine has"),
        format_args!("ip -brief address"),
    );
    fix(diagnosis, format_args!("or 0.0.0.0 (IPv6: ::), which is every address of the machine"));
    fix(
        diagnosis,
        format_args!(
            "for an address that comes later (DHCP, a virtual IP): set IP_FREEBIND, or start after network-online.target"
        ),
    );
}

fn tentative(case: &Case<'_>, diagnosis: &mut Diagnosis) {
    found(diagnosis, Cause::AddressTentative, Certainty::Certain);
    match &case.attempt.address {
        Some(address) => say!(diagnosis.summary, "the address of {address} is new"),
        None => say!(diagnosis.summary, "the address is new"),
    }
    say!(diagnosis.summary, ": duplicate address detection is not through yet");
    diagnosis.reuseaddr_cures = Some(false);
    diagnosis.retry_cures = Some(true);
    fix(
        diagnosis,
        format_args!("start it again in a few seconds, or let bindshim-run --retry wait"),
    );
}
