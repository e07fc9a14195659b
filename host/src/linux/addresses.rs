//! Which addresses this machine has (rtnetlink(7), `RTM_GETADDR`).

use core::net::{Ipv4Addr, Ipv6Addr};

use bindshim_core::address::Address;
use bindshim_core::facts::{Fact, Locality, Why};

use super::interfaces::LOOPBACK;
use super::limits::Limits;
use super::netlink::{Attributes, Channel, DUMP, Failure, HEADER, u32_at};
use super::sockdiag::{INET, INET6};

/// `RTM_NEWADDR`, `RTM_GETADDR` (include/uapi/linux/rtnetlink.h).
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;

/// `IFA_ADDRESS`, `IFA_LOCAL`, `IFA_BROADCAST`, `IFA_FLAGS` (include/uapi/linux/if_addr.h).
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;
const BROADCAST: u16 = 4;
const FLAGS: u16 = 8;

/// `IFA_F_OPTIMISTIC`, `IFA_F_DADFAILED`, `IFA_F_TENTATIVE`.
const OPTIMISTIC: u32 = 0x04;
const DAD_FAILED: u32 = 0x08;
const TENTATIVE: u32 = 0x40;

/// `sizeof(struct ifaddrmsg)`.
const IFADDRMSG: usize = 8;

/// Whether an address can be had here, and the index of the interface that has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) locality: Locality,
    /// 0 where no interface has the address.
    pub(super) interface: u32,
}

impl Place {
    const NOWHERE: Self = Self { locality: Locality::Absent, interface: 0 };
    /// Every interface has it.
    const EVERYWHERE: Self = Self { locality: Locality::Present, interface: 0 };
}

/// Whether an address is on this machine, for a socket that is tied to the interface with index
/// `device`, 0 for none. `buffer` takes the answers of the kernel.
pub(super) fn find(
    address: &Address,
    device: u32,
    buffer: &mut [u8],
    limits: Limits,
) -> Fact<Place> {
    let sought = match *address {
        Address::V4 { ip, .. } => Sought::V4(ip),
        Address::V6 { ip, .. } => ip.to_ipv4_mapped().map_or(Sought::V6(ip, device), Sought::V4),
        _ => return Fact::Unknown(Why::NotAsked),
    };
    if sought.is_everywhere() {
        return Fact::Known(Place::EVERYWHERE);
    }
    match look_up(sought, buffer, limits) {
        Ok(place) => Fact::Known(place),
        Err(failure) => Fact::Unknown(failure.why()),
    }
}

fn look_up(sought: Sought, buffer: &mut [u8], limits: Limits) -> Result<Place, Failure> {
    let mut channel = Channel::open(None).map_err(Failure::Refused)?;
    let mut request = [0; HEADER + IFADDRMSG];
    request[HEADER] = sought.family();
    let mut best = Place::NOWHERE;
    channel.ask((GET_ADDRESS, DUMP), &mut request, buffer, limits, &mut |message| {
        if message.kind == NEW_ADDRESS
            && let Some(found) = match_one(sought, message.payload)
        {
            best = better(best, found);
        }
    })?;
    Ok(best)
}

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sought {
    V4(Ipv4Addr),
    /// With the interface that the socket is tied to, or 0.
    V6(Ipv6Addr, u32),
}

impl Sought {
    fn family(self) -> u8 {
        match self {
            Self::V4(_) => INET,
            Self::V6(..) => INET6,
        }
    }

    /// Addresses that no interface has, and that any socket may be bound to.
    fn is_everywhere(self) -> bool {
        match self {
            Self::V4(ip) => ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast(),
            Self::V6(ip, _) => ip.is_unspecified() || ip.is_multicast(),
        }
    }
}

/// Where an address is found twice, the kernel takes the usable one.
fn better(a: Place, b: Place) -> Place {
    let rank = |place: Place| match place.locality {
        Locality::Absent => 0,
        Locality::Elsewhere => 1,
        Locality::Duplicate => 2,
        Locality::Tentative => 3,
        Locality::Present => 4,
    };
    if rank(b) > rank(a) { b } else { a }
}

/// What one `RTM_NEWADDR` says of the address; `None` where it is about another one.
pub(super) fn match_one(sought: Sought, payload: &[u8]) -> Option<Place> {
    let (fixed, attributes) = payload.split_at_checked(IFADDRMSG)?;
    let (family, prefix, index) = (fixed[0], fixed[1], u32_at(fixed, 4)?);
    let attribute =
        |wanted| Attributes(attributes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    if family != sought.family() {
        return None;
    }
    let locality = match sought {
        Sought::V4(ip) => {
            // On a point-to-point link ADDRESS is the peer's.
            let own = v4(attribute(LOCAL).or_else(|| attribute(ADDRESS))?)?;
            let is_it = ip == own
                || attribute(BROADCAST).and_then(v4) == Some(ip)
                // All of 127.0.0.0/8 is local, not 127.0.0.1 alone (`fib_add_ifaddr`,
                // net/ipv4/fib_frontend.c).
                || (index == LOOPBACK && is_in_prefix(ip, own, prefix));
            is_it.then_some(Locality::Present)?
        }
        Sought::V6(ip, device) => {
            let own: [u8; 16] = attribute(LOCAL).or_else(|| attribute(ADDRESS))?.try_into().ok()?;
            if ip != Ipv6Addr::from(own) {
                return None;
            }
            let flags = attribute(FLAGS).and_then(|value| u32_at(value, 0));
            // Other addresses are good on every interface (`ipv6_chk_addr_and_flags`,
            // net/ipv6/addrconf.c).
            let is_of_one_interface = ip.is_unicast_link_local() || ip.is_loopback();
            if is_of_one_interface && device != 0 && device != index {
                Locality::Elsewhere
            } else {
                usability(flags.unwrap_or(u32::from(fixed[2])))
            }
        }
    };
    Some(Place { locality, interface: index })
}

fn usability(flags: u32) -> Locality {
    if flags & DAD_FAILED != 0 {
        Locality::Duplicate
    } else if flags & TENTATIVE != 0 && flags & OPTIMISTIC == 0 {
        Locality::Tentative
    } else {
        Locality::Present
    }
}

fn v4(bytes: &[u8]) -> Option<Ipv4Addr> {
    let bytes: [u8; 4] = bytes.try_into().ok()?;
    Some(Ipv4Addr::from(bytes))
}

fn is_in_prefix(ip: Ipv4Addr, of: Ipv4Addr, prefix: u8) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or_default();
    (ip.to_bits() ^ of.to_bits()) & mask == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An `RTM_NEWADDR` for an address on an interface.
    fn message(family: u8, prefix: u8, flags: u8, index: u32, rows: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![family, prefix, flags, 0];
        bytes.extend(index.to_ne_bytes());
        for (kind, value) in rows {
            bytes.extend((value.len() as u16 + 4).to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(*value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn v4_addresses_match_as_the_kernel_routes_them() {
        let loopback =
            message(INET, 8, 0x80, 1, &[(ADDRESS, &[127, 0, 0, 1]), (LOCAL, &[127, 0, 0, 1])]);
        let link = message(
            INET,
            24,
            0x80,
            2,
            &[(ADDRESS, &[10, 0, 0, 1]), (LOCAL, &[10, 0, 0, 5]), (BROADCAST, &[10, 0, 0, 255])],
        );
        for (ip, on_loopback, on_link) in [
            ("127.0.0.1", true, false),
            ("127.9.9.9", true, false),
            ("128.0.0.1", false, false),
            ("10.0.0.5", false, true),
            ("10.0.0.255", false, true),
            ("10.0.0.1", false, false),
            ("10.0.0.6", false, false),
        ] {
            let sought = Sought::V4(ip.parse().unwrap());
            for (message, expected) in [(&loopback, on_loopback), (&link, on_link)] {
                let found = match_one(sought, message).map(|place| place.locality);
                assert_eq!(found, expected.then_some(Locality::Present), "{ip}");
            }
        }
    }

    #[test]
    fn v6_addresses_have_scopes_and_may_be_unusable() {
        let ip: Ipv6Addr = "fe80::5".parse().unwrap();
        let row = |flags: u32| {
            message(INET6, 64, 0, 3, &[(ADDRESS, &ip.octets()), (FLAGS, &flags.to_ne_bytes())])
        };
        for (flags, device, locality) in [
            (0x80, 0, Locality::Present),
            (0x80, 3, Locality::Present),
            (0x80, 4, Locality::Elsewhere),
            (0xc0, 3, Locality::Tentative),
            (0xc4, 3, Locality::Present),
            (0xc8, 3, Locality::Duplicate),
        ] {
            let place = Place { locality, interface: 3 };
            assert_eq!(match_one(Sought::V6(ip, device), &row(flags)), Some(place), "{flags:x}");
        }
        let old_kernel = message(INET6, 64, 0x40, 3, &[(ADDRESS, &ip.octets())]);
        let place = Place { locality: Locality::Tentative, interface: 3 };
        assert_eq!(match_one(Sought::V6(ip, 0), &old_kernel), Some(place));
        let global: Ipv6Addr = "2001:db8::1".parse().unwrap();
        let row = message(INET6, 64, 0x80, 3, &[(ADDRESS, &global.octets())]);
        let place = Place { locality: Locality::Present, interface: 3 };
        assert_eq!(match_one(Sought::V6(global, 4), &row), Some(place));
    }

    #[test]
    fn malformed_messages_match_nothing() {
        let sought = Sought::V4(Ipv4Addr::LOCALHOST);
        let good = message(INET, 8, 0, 1, &[(LOCAL, &[127, 0, 0, 1])]);
        for length in 0..good.len() {
            assert_eq!(match_one(sought, &good[..length]), None, "{length}");
        }
        assert_eq!(match_one(sought, &message(INET, 8, 0, 1, &[(LOCAL, &[127, 0, 0])])), None);
        assert!(is_in_prefix(Ipv4Addr::LOCALHOST, Ipv4Addr::new(9, 9, 9, 9), 0));
        assert!(!is_in_prefix(Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2), 255));
    }

    #[test]
    fn this_machine_has_loopback_and_not_a_documentation_address() {
        let look =
            |address: &Address, buffer: &mut [u8], limits| match find(address, 0, buffer, limits) {
                Fact::Known(place) => Fact::Known(place.locality),
                Fact::Unknown(why) => Fact::Unknown(why),
            };
        let limits = Limits { deadline_ns: u64::MAX };
        let mut buffer = vec![0; 16_384];
        for (ip, locality) in [
            ("127.0.0.1", Locality::Present),
            ("127.1.2.3", Locality::Present),
            ("0.0.0.0", Locality::Present),
            ("192.0.2.1", Locality::Absent),
        ] {
            let address = Address::V4 { ip: ip.parse().unwrap(), port: 1 };
            assert_eq!(look(&address, &mut buffer, limits), Fact::Known(locality), "{ip}");
        }
        for (ip, locality) in
            [("::ffff:127.0.0.1", Locality::Present), ("2001:db8::1", Locality::Absent)]
        {
            let address = Address::V6 { ip: ip.parse().unwrap(), port: 1, scope: 0 };
            assert_eq!(look(&address, &mut buffer, limits), Fact::Known(locality), "{ip}");
        }
        let path = Address::Path("/run/a".into());
        assert_eq!(look(&path, &mut buffer, limits), Fact::Unknown(Why::NotAsked));
    }
}
