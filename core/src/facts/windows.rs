//! What only Windows has to tell.

use super::{Fact, Why};

/// A range of ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortRange {
    /// Its first port.
    pub first: u16,
    /// Its last port.
    pub last: u16,
}

impl PortRange {
    /// Whether `port` lies in it.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// How many ports it has.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::from(self.last).saturating_sub(u32::from(self.first)) + 1
    }
}

/// The excluded ranges (`netsh interface ipv4 show excludedportrange`) that cover the port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Exclusions {
    /// One without a star, which a service holds for itself: no other program may bind there.
    pub owned: Option<PortRange>,
    /// One with a star, which an administrator excluded: Windows hands no port of it out, and any
    /// program may bind there.
    pub administered: Option<PortRange>,
}

/// Which Windows it is (RtlGetVersion, which programs without a manifest can trust too).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version {
    /// The major version: 6 for Windows Vista to 8.1, 10 since.
    pub major: u32,
    /// The minor version.
    pub minor: u32,
    /// The build.
    pub build: u32,
}

/// What only Windows has to tell. Its rows of the TCP and UDP tables are sockets like others; its
/// dynamic port range is [`super::Facts::ephemeral`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Windows {
    /// SO_EXCLUSIVEADDRUSE of the program's socket.
    pub exclusive: Fact<bool>,
    /// SO_BROADCAST of the program's socket.
    pub broadcast: Fact<bool>,
    /// The excluded ranges that cover the port, for its protocol and IP version.
    pub excluded: Fact<Exclusions>,
    /// Whether http.sys listens on the port (its sockets belong to pid 4, as do others).
    pub http_sys: Fact<bool>,
    /// The persistent reservation that covers the port (CreatePersistentTcpPortReservation).
    pub reservation: Fact<Option<PortRange>>,
    /// Which Windows it is.
    pub version: Fact<Version>,
    /// Whether it is a server edition (`wProductType` of OSVERSIONINFOEX).
    pub server: Fact<bool>,
    /// Whether hotfix 2665809 is installed.
    pub hotfix_2665809: Fact<bool>,
    /// Whether the process runs in an AppContainer.
    pub app_container: Fact<bool>,
}

impl Windows {
    /// Nothing looked up.
    pub const NONE: Self = Self {
        exclusive: Fact::Unknown(Why::NotAsked),
        broadcast: Fact::Unknown(Why::NotAsked),
        excluded: Fact::Unknown(Why::NotAsked),
        http_sys: Fact::Unknown(Why::NotAsked),
        reservation: Fact::Unknown(Why::NotAsked),
        version: Fact::Unknown(Why::NotAsked),
        server: Fact::Unknown(Why::NotAsked),
        hotfix_2665809: Fact::Unknown(Why::NotAsked),
        app_container: Fact::Unknown(Why::NotAsked),
    };
}
