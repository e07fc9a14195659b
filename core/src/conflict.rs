//! The kernels' own conflict rules, as pure functions.
//!
//! Linux: `inet_rcv_saddr_equal` and `ipv6_rcv_saddr_equal` (net/ipv4/inet_connection_sock.c). An
//! address stands for the set of local addresses whose packets its socket takes; two sockets on a
//! port overlap where these sets meet.

pub mod linux;
pub mod windows;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::address::Address;

/// The local addresses whose packets a socket takes, and where they may come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reach {
    /// The IPv4 address, `0.0.0.0` for all of them; `None` for no IPv4 at all.
    pub v4: Option<Ipv4Addr>,
    /// The IPv6 address, `::` for all of them; `None` for no IPv6 at all.
    pub v6: Option<Ipv6Addr>,
    /// The index of the only interface that it uses (`SO_BINDTODEVICE`, socket(7)); 0 for all.
    pub device: u32,
    /// What it is besides, on Linux.
    side: Side,
}

/// Who takes none of the other's packets, and is in its way all the same: an IPv6 connection has
/// 127.0.0.6 for an IPv4 address (`LOOPBACK4_IPV6`, include/net/ipv6.h), which is nobody's but lies
/// within 0.0.0.0. Bound IPv6 addresses are IPv6 only (`__inet6_bind`), and in nobody's way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
    Neither,
    /// An IPv4 socket at 0.0.0.0; an IPv6 one at ::ffff:0.0.0.0 is none.
    Wildcard,
    /// A connection at an IPv6 address, of a socket without IPV6_V6ONLY.
    Connection,
}

impl Reach {
    /// The reach of a socket at `address`. `v6only` is its `IPV6_V6ONLY` (ipv6(7)), which counts
    /// for `::` alone; `None` where the address is not an internet address.
    #[must_use]
    pub fn of(address: &Address, v6only: bool, device: u32) -> Option<Self> {
        match *address {
            Address::V4 { ip, .. } => Some(Self::of_ip(ip.into(), v6only, device)),
            Address::V6 { ip, scope, .. } => {
                // A link-local address binds its socket to the interface of its scope
                // (`__inet6_bind`, net/ipv6/af_inet6.c).
                let device = if device == 0 && has_scope(ip) { scope } else { device };
                Some(Self::of_ip(ip.into(), v6only, device))
            }
            _ => None,
        }
    }

    /// The reach of a socket at an address without a scope.
    #[must_use]
    pub fn of_ip(ip: IpAddr, v6only: bool, device: u32) -> Self {
        let is_wildcard = ip == IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let side = if is_wildcard { Side::Wildcard } else { Side::Neither };
        // ::ffff:a.b.c.d takes what a.b.c.d does.
        let (v4, v6) = match ip.to_canonical() {
            IpAddr::V4(ip) => (Some(ip), None),
            IpAddr::V6(ip) => {
                let both = ip.is_unspecified() && !v6only;
                (both.then_some(Ipv4Addr::UNSPECIFIED), Some(ip))
            }
        };
        Self { v4, v6, device, side }
    }

    /// The reach of a connection, or of what is left of one; `v6only` is that of its socket, which
    /// has it from its listener.
    #[must_use]
    pub fn of_connection(ip: IpAddr, v6only: bool, device: u32) -> Self {
        let reach = Self::of_ip(ip, v6only, device);
        let is_v6 = reach.v6.is_some_and(|ip| !ip.is_unspecified());
        if is_v6 && !v6only { Self { side: Side::Connection, ..reach } } else { reach }
    }

    /// Whether they cannot have one port unless options allow it: both could take the same packet,
    /// or Linux has it so.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        devices_meet(self.device, other.device)
            && (meet(self.v4, other.v4, Ipv4Addr::is_unspecified)
                || meet(self.v6, other.v6, Ipv6Addr::is_unspecified)
                || matches!(
                    (self.side, other.side),
                    (Side::Wildcard, Side::Connection) | (Side::Connection, Side::Wildcard)
                ))
    }

    /// Whether this one takes all that `other` does: whatever overlaps with `other` then also
    /// overlaps with this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        (self.device == 0 || self.device == other.device)
            && covers(self.v4, other.v4, Ipv4Addr::is_unspecified)
            && covers(self.v6, other.v6, Ipv6Addr::is_unspecified)
    }
}

/// Link-local addresses, of hosts and of multicast groups (RFC 4291, 2.5.6 and 2.7).
pub(crate) fn has_scope(ip: Ipv6Addr) -> bool {
    ip.is_unicast_link_local() || (ip.is_multicast() && matches!(ip.segments()[0] & 0xf, 1 | 2))
}

fn devices_meet(a: u32, b: u32) -> bool {
    a == 0 || b == 0 || a == b
}

fn meet<T: PartialEq>(a: Option<T>, b: Option<T>, is_wildcard: fn(&T) -> bool) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b || is_wildcard(&a) || is_wildcard(&b),
        _ => false,
    }
}

fn covers<T: PartialEq>(all: Option<T>, part: Option<T>, is_wildcard: fn(&T) -> bool) -> bool {
    match (all, part) {
        (_, None) => true,
        (Some(all), Some(part)) => is_wildcard(&all) || all == part,
        (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(ip: &str) -> (Address, bool) {
        (Address::V4 { ip: ip.parse().unwrap(), port: 80 }, false)
    }

    fn v6(ip: &str, v6only: bool) -> (Address, bool) {
        (Address::V6 { ip: ip.parse().unwrap(), port: 80, scope: 0 }, v6only)
    }

    fn overlap(a: &(Address, bool), b: &(Address, bool)) -> bool {
        let [a, b] = [a, b].map(|(address, v6only)| Reach::of(address, *v6only, 0).unwrap());
        a.overlaps(&b)
    }

    fn addresses() -> [(Address, bool); 8] {
        [
            v4("0.0.0.0"),
            v4("127.0.0.1"),
            v4("127.0.0.2"),
            v6("::", false),
            v6("::", true),
            v6("::1", false),
            v6("::ffff:127.0.0.1", false),
            v6("::ffff:0.0.0.0", false),
        ]
    }

    /// Holders down, attempts across, both in the order of `addresses`; x: EADDRINUSE on Linux 6.18.
    const MEASURED: [&str; 8] = [
        "xxxx..xx", "xx.x..xx", "x.xx...x", "xxxxxxxx", "...xxx..", "...xxx..", "xx.x..xx",
        "xxxx..xx",
    ];

    #[test]
    fn addresses_overlap_as_measured() {
        for (holder, row) in addresses().iter().zip(MEASURED) {
            for (attempt, cell) in addresses().iter().zip(row.chars()) {
                assert_eq!(overlap(holder, attempt), cell == 'x', "{holder:?}, {attempt:?}");
            }
        }
    }

    #[test]
    fn what_covers_overlaps_with_all_that_the_part_overlaps_with() {
        let reaches = addresses().map(|(address, v6only)| Reach::of(&address, v6only, 0).unwrap());
        for all in reaches {
            assert!(all.covers(&all));
            for part in reaches.iter().filter(|part| all.covers(part)) {
                for other in reaches.iter().filter(|other| part.overlaps(other)) {
                    assert!(all.overlaps(other), "{all:?} covers {part:?}");
                }
            }
        }
        let [any4, loopback, _, dual, ..] = reaches;
        assert!(any4.covers(&loopback) && dual.covers(&any4));
        assert!(!loopback.covers(&any4) && !any4.covers(&dual));
    }

    /// In the order of `addresses`, on Linux 6.18: attempts beside what is left of connections.
    #[test]
    fn connections_overlap_as_measured() {
        for (ip, v6only, row) in [
            ("::1", false, "x..xxx.."),
            ("::1", true, "...xxx.."),
            ("127.0.0.1", false, "xx.x..xx"),
            ("::ffff:127.0.0.1", false, "xx.x..xx"),
        ] {
            let connection = Reach::of_connection(ip.parse().unwrap(), v6only, 0);
            for ((address, v6only), cell) in addresses().iter().zip(row.chars()) {
                let attempt = Reach::of(address, *v6only, 0).unwrap();
                assert_eq!(attempt.overlaps(&connection), cell == 'x', "{address:?} beside {ip}");
                assert_eq!(connection.overlaps(&attempt), cell == 'x', "{ip} beside {address:?}");
            }
        }
    }

    #[test]
    fn devices_part_sockets() {
        let address = v4("0.0.0.0").0;
        for (a, b, meets) in [(0, 0, true), (0, 2, true), (2, 2, true), (1, 2, false)] {
            let [a, b] = [a, b].map(|device| Reach::of(&address, false, device).unwrap());
            assert_eq!(a.overlaps(&b), meets);
            assert_eq!(b.overlaps(&a), meets);
        }
        let scoped = |scope| Address::V6 { ip: "fe80::1".parse().unwrap(), port: 80, scope };
        let [one, two] = [1, 2].map(|scope| Reach::of(&scoped(scope), false, 0).unwrap());
        assert_eq!(one.device, 1);
        assert!(!one.overlaps(&two));
        let global = Address::V6 { ip: "2001:db8::1".parse().unwrap(), port: 80, scope: 3 };
        assert_eq!(Reach::of(&global, false, 0).unwrap().device, 0);
    }

    #[test]
    fn other_addresses_have_no_reach() {
        let path = Address::Path("/run/a".into());
        assert_eq!(Reach::of(&path, false, 0), None);
    }
}
