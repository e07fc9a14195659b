//! What a number looks like: a hint beside a cause, never a cause.

use crate::address::Address;
use crate::cause::Cause;
use crate::record::Diagnosis;

use super::Case;
use super::tell::say;

/// Ports that people give to servers.
const COMMON: &[u16] = &[
    21, 22, 25, 53, 80, 443, 1080, 1433, 1521, 1883, 2375, 2379, 3000, 3001, 3128, 3306, 4000,
    4200, 4443, 5000, 5001, 5060, 5173, 5353, 5432, 5672, 5900, 6379, 6443, 7000, 7777, 8000, 8008,
    8080, 8081, 8088, 8090, 8443, 8888, 9000, 9090, 9092, 9200, 9999, 10000, 11211, 12345, 27017,
];

/// The port that a program meant if it forgot htons(): it asked for an uncommon one whose bytes
/// are those of a common one, swapped.
fn swapped(port: u16) -> Option<u16> {
    let meant = port.swap_bytes();
    (COMMON.contains(&meant) && !COMMON.contains(&port)).then_some(meant)
}

/// Adds what the port of a failed call hints at.
#[inline(never)]
pub(super) fn swapped_port_bytes(case: &Case<'_>, diagnosis: &mut Diagnosis) {
    let Some(meant) = case.attempt.address.as_ref().and_then(Address::port).and_then(swapped)
    else {
        return;
    };
    if diagnosis.also.try_push(Cause::SwappedPortBytes).is_ok() {
        say!(
            diagnosis.summary,
            "; the bytes of this port, swapped, are {meant}: if that was meant, htons() is missing"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_ports_are_recognised_backwards() {
        for (port, meant) in [
            (36895, Some(8080)),
            (20480, Some(80)),
            (47115, Some(3000)),
            (13568, Some(53)),
            (8080, None),
            (40000, None),
            (0, None),
        ] {
            assert_eq!(swapped(port), meant, "{port}");
        }
        // A port that reads the same both ways says nothing.
        assert!(COMMON.iter().all(|port| swapped(*port).is_none()));
    }
}
