//! What a process on Linux may do, and who may have a say in it.

use crate::text::Text;

use super::{Fact, Why};

/// Bits of capabilities(7), by their number in include/uapi/linux/capability.h.
pub mod capability {
    /// `CAP_NET_BIND_SERVICE`.
    pub const NET_BIND_SERVICE: u64 = 1 << 10;
    /// `CAP_NET_ADMIN`.
    pub const NET_ADMIN: u64 = 1 << 12;
    /// `CAP_NET_RAW`.
    pub const NET_RAW: u64 = 1 << 13;
}

/// What is known of the process that made the attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rights {
    /// Its effective user, as its own user namespace numbers users.
    pub euid: Fact<u32>,
    /// Its effective capabilities ([`capability`]).
    pub capabilities: Fact<u64>,
    /// Whether they count in its network: the network namespace belongs to the process's user
    /// namespace, or to one inside it (user_namespaces(7)).
    pub owns_network: Fact<bool>,
    /// Whether it can gain no privilege by executing a file (`PR_SET_NO_NEW_PRIVS`), which a
    /// Landlock sandbox of an ordinary user needs (landlock(7)).
    pub no_new_privileges: Fact<bool>,
    /// Whether a seccomp filter answers this call with this error. Filters come before the kernel's
    /// own checks, so that it shows with a descriptor that cannot be open.
    pub filter_refuses: Fact<bool>,
    /// Whether SELinux enforces its policy.
    pub selinux_enforces: Fact<bool>,
    /// The systemd service that it belongs to; `None` where there is none, or none is known.
    pub unit: Option<Text<64>>,
    /// The AppArmor profile that it is confined by.
    pub apparmor: Fact<Option<Text<64>>>,
}

impl Rights {
    /// Nothing looked up.
    pub const NONE: Self = Self {
        euid: Fact::Unknown(Why::NotAsked),
        capabilities: Fact::Unknown(Why::NotAsked),
        owns_network: Fact::Unknown(Why::NotAsked),
        no_new_privileges: Fact::Unknown(Why::NotAsked),
        filter_refuses: Fact::Unknown(Why::NotAsked),
        selinux_enforces: Fact::Unknown(Why::NotAsked),
        unit: None,
        apparmor: Fact::Unknown(Why::NotAsked),
    };

    /// Whether one of `capabilities` is effective, and counts in the process's network.
    #[must_use]
    pub fn have(&self, capabilities: u64) -> Fact<bool> {
        match (self.capabilities, self.owns_network) {
            (Fact::Known(own), _) if own & capabilities == 0 => Fact::Known(false),
            (Fact::Known(_), owns) => owns,
            (Fact::Unknown(why), _) => Fact::Unknown(why),
        }
    }
}
