//! What the network of a Linux machine shows of an address: its interfaces and settings.

use crate::text::Text;

use super::{Fact, Why};

/// A network interface (rtnetlink(7), `RTM_GETLINK`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interface {
    /// Its index, which is the scope of link-local addresses on it.
    pub index: u32,
    /// Its name; at most 15 bytes (`IFNAMSIZ`).
    pub name: Text<16>,
    /// Whether it was switched on (`IFF_UP`, netdevice(7)).
    pub is_up: bool,
    /// Whether there is something at the other end (`IFF_LOWER_UP`).
    pub has_carrier: bool,
}

/// Where IPv6 is switched off (`net.ipv6.conf.*.disable_ipv6`, ip-sysctl).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ipv6 {
    /// Nowhere that is known to matter.
    On,
    /// On the loopback interface.
    OffOnLoopback,
    /// On all interfaces.
    Off,
}

/// What the network shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Network {
    /// The index of the interface that the socket is tied to, by SO_BINDTODEVICE or the scope of a
    /// link-local address; 0 for none.
    pub device: Fact<u32>,
    /// The interface that has the address; `None`, where none has it.
    pub interface: Fact<Option<Interface>>,
    /// Whether the loopback interface is switched on.
    pub loopback_up: Fact<bool>,
    /// Where IPv6 is switched off.
    pub ipv6: Fact<Ipv6>,
}

impl Network {
    /// Nothing looked up.
    pub const NONE: Self = Self {
        device: Fact::Unknown(Why::NotAsked),
        interface: Fact::Unknown(Why::NotAsked),
        loopback_up: Fact::Unknown(Why::NotAsked),
        ipv6: Fact::Unknown(Why::NotAsked),
    };
}
