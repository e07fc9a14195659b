//! What can be known about the machine when a call has failed.
//!
//! Facts are gathered by a host and read by the diagnosis. Each is known, or unknown for a reason:
//! a missing fact never becomes a guess.

pub mod network;
pub mod path;
pub mod rights;
pub mod windows;

use arrayvec::ArrayVec;
use serde::Serialize;

use crate::address::Address;
use crate::conflict::windows::Sharing;
use crate::text::Text;

use network::Network;
use path::PathFacts;
use rights::Rights;
use windows::Windows;

/// A fact, or why it could not be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fact<T> {
    /// It is so.
    Known(T),
    /// It could not be found out.
    Unknown(Why),
}

impl<T> Fact<T> {
    /// The fact, if it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(fact) => Some(fact),
            Self::Unknown(_) => None,
        }
    }
}

/// Why a fact is unknown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It plays no part in this failure, so it was not looked up.
    NotAsked,
    /// This process may not look (another user's process, `hidepid`).
    Permission,
    /// The process is under a seccomp filter, which the look-up could set off.
    Seccomp,
    /// The time for one diagnosis (`--budget`) ran out.
    Budget,
    /// There is no `/proc`, or it does not show this.
    NoProc,
    /// No visible process has it: the holder is in another pid namespace, or the kernel itself.
    NotVisible,
    /// This system is too old to tell.
    NotSupported,
    /// No descriptor or memory was left to look it up with.
    NoResources,
    /// The system answered in a way that is not understood.
    Failed,
}

impl Why {
    /// A phrase for a person.
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::NotAsked => "not looked up",
            Self::Permission => "not permitted to look",
            Self::Seccomp => "a seccomp filter forbids looking",
            Self::Budget => "the time for a diagnosis ran out",
            Self::NoProc => "/proc does not show it",
            Self::NotVisible => "no process that is visible here has it",
            Self::NotSupported => "this system is too old to tell",
            Self::NoResources => "no descriptor or memory was left to look",
            Self::Failed => "the system's answer was not understood",
        }
    }
}

/// The states of a socket (include/net/tcp_states.h, and what has no state).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SocketState {
    /// Listening.
    Listen,
    /// Bound, neither listening nor connected; invisible to most tools.
    Bound,
    /// Connected.
    Established,
    /// Connecting.
    SynSent,
    /// Being connected to.
    SynRecv,
    /// Closed here, not acknowledged by the peer yet.
    FinWait1,
    /// Closed here, the peer has not closed yet.
    FinWait2,
    /// Closed on both sides; the kernel keeps the port for late packets.
    TimeWait,
    /// Unconnected.
    Close,
    /// Closed by the peer, not by its own process.
    CloseWait,
    /// Closed on both sides, the last acknowledgement is missing.
    LastAck,
    /// Closed on both sides at once.
    Closing,
    /// A UDP socket.
    Udp,
    /// A Unix socket.
    Unix,
    /// A socket of the kernel itself.
    Kernel,
    /// A reserved range of ports (Windows).
    Reserved,
}

impl SocketState {
    /// Whether a socket in this state is one that somebody has on purpose, and no connection.
    #[must_use]
    pub fn is_kept_on_purpose(self) -> bool {
        matches!(self, Self::Listen | Self::Bound | Self::Udp)
    }

    /// The name that a record shows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::Bound => "bound",
            Self::Established => "established",
            Self::SynSent => "syn_sent",
            Self::SynRecv => "syn_recv",
            Self::FinWait1 => "fin_wait1",
            Self::FinWait2 => "fin_wait2",
            Self::TimeWait => "time_wait",
            Self::Close => "close",
            Self::CloseWait => "close_wait",
            Self::LastAck => "last_ack",
            Self::Closing => "closing",
            Self::Udp => "udp",
            Self::Unix => "unix",
            Self::Kernel => "kernel",
            Self::Reserved => "reserved",
        }
    }
}

/// Who runs a container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Runtime {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
    /// containerd, by nerdctl.
    Nerdctl,
    /// Kubernetes, by whatever means.
    Kubernetes,
    /// LXC, LXD or Incus: their control groups look alike.
    Lxc,
    /// systemd-machined, for systemd-nspawn and others.
    Machined,
}

impl Runtime {
    /// Its name, for a sentence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "Docker",
            Self::Podman => "Podman",
            Self::Nerdctl => "containerd",
            Self::Kubernetes => "Kubernetes",
            Self::Lxc => "LXC",
            Self::Machined => "systemd",
        }
    }
}

/// A container, as its runtime names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Container {
    /// Who runs it.
    pub runtime: Runtime,
    /// The first twelve digits of its id, or its name where it has no id.
    pub name: Text<64>,
}

/// A process that has a socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    /// Its process id, in the pid namespace of the process that looked.
    pub pid: u32,
    /// The file that it runs, as the kernel names it.
    pub program: Option<Text<256>>,
    /// What an interpreter runs: a file's last name, or the `-m` or `-jar` name; never arguments.
    pub script: Option<Text<64>>,
    /// Its effective user id.
    pub uid: Option<u32>,
    /// That user's name in `/etc/passwd`.
    pub user: Option<Text<32>>,
    /// Whether it is the process that made the attempt.
    pub is_own: bool,
    /// Whether it runs the same executable (device and inode) and, for an interpreter, the same
    /// script; an interpreter whose script is not known is not the same program.
    pub same_program: bool,
    /// Whether that sameness rests on the name of an interpreter's script.
    pub interpreted: bool,
    /// Whether it is the same interpreter, and what it runs is not known: it may be the same program.
    pub may_be_same: bool,
    /// Whether it is the parent of that process.
    pub is_parent: bool,
    /// Whether it is on its way out: being killed, or past its `exit`.
    pub exiting: bool,
    /// Whether the socket was inherited. Windows: this process has ended, and a child keeps what it
    /// bound. Linux: it is a program that binds nothing by itself (a shell, `sleep`).
    pub inherited: bool,
    /// The service that it runs; on Linux the systemd unit that it belongs to.
    pub service: Option<Text<64>>,
    /// The container that it is in, where the process that made the attempt is not (Linux).
    pub container: Option<Container>,
    /// Whether it runs as the same user as the process that made the attempt (Windows); `None`
    /// where that is not known.
    pub same_user: Option<bool>,
}

/// The options by which a socket shares its port on Linux (socket(7)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// `SO_REUSEADDR`.
    pub reuseaddr: bool,
    /// `SO_REUSEPORT`.
    pub reuseport: bool,
}

/// A socket on the port that was asked for, whose address overlaps with the one asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortSocket {
    /// Its state.
    pub state: SocketState,
    /// Its local address.
    pub local: Address,
    /// Its peer, where it has one.
    pub remote: Option<Address>,
    /// Its cookie (`SO_COOKIE`), where the kernel told.
    pub cookie: Option<u64>,
    /// Its inode; `None` where no process has it (TIME_WAIT, orphans).
    pub inode: Option<u32>,
    /// The user who made it; `None` where no process has it.
    pub uid: Option<u32>,
    /// That user's name in `/etc/passwd`, looked up where the owner itself is not known.
    pub user: Option<Text<32>>,
    /// The time until the kernel drops it, in milliseconds, where a timer says so.
    pub expires_ms: Option<u64>,
    /// The index of the interface that it is bound to (`SO_BINDTODEVICE`); 0 for none.
    pub device: u32,
    /// Whether somebody listens at its peer's address: then the connection is an outgoing one.
    /// Known where the peer is on this machine.
    pub peer_listens: Fact<bool>,
    /// The process that has it: the eldest one, where several share it.
    pub owner: Fact<Process>,
    /// How it shares its port (Windows); known only of sockets whose calls were seen.
    pub sharing: Option<Sharing>,
    /// Its options (Linux). Those of another process's socket are known only to who borrows it.
    pub options: Fact<Options>,
}

impl Process {
    /// A process of which nothing is known.
    pub const UNKNOWN: Self = Self {
        pid: 0,
        program: None,
        script: None,
        uid: None,
        user: None,
        is_own: false,
        same_program: false,
        interpreted: false,
        may_be_same: false,
        is_parent: false,
        exiting: false,
        inherited: false,
        service: None,
        container: None,
        same_user: None,
    };
}

impl PortSocket {
    /// A socket of which nothing is known.
    pub const UNKNOWN: Self = Self {
        state: SocketState::Close,
        local: Address::V4 { ip: core::net::Ipv4Addr::UNSPECIFIED, port: 0 },
        remote: None,
        cookie: None,
        inode: None,
        uid: None,
        user: None,
        expires_ms: None,
        device: 0,
        peer_listens: Fact::Unknown(Why::NotAsked),
        owner: Fact::Unknown(Why::NotAsked),
        sharing: None,
        options: Fact::Unknown(Why::NotAsked),
    };
}

/// What an open descriptor is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Descriptor {
    /// No such descriptor is open.
    Closed,
    /// It is open, but not a socket.
    NotASocket,
    /// A socket.
    Socket,
}

/// Whether an address is on this machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Locality {
    /// No interface has it.
    Absent,
    /// An interface has it.
    Present,
    /// An interface has it (IPv6), but not the one that the socket is tied to.
    Elsewhere,
    /// An interface has it (IPv6), but duplicate address detection is not through.
    Tentative,
    /// An interface has it (IPv6), but another machine on the link answered for it.
    Duplicate,
}

/// How many sockets on the port are listed; the rest is counted.
pub const MAX_SOCKETS: usize = 8;

/// All that the diagnosis of one failure may know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// What the descriptor is.
    pub descriptor: Fact<Descriptor>,
    /// Where the program's socket is bound already, if it is (`getsockname`); for a success, where
    /// it was before the call.
    pub bound: Fact<Option<Address>>,
    /// What the program's socket is connected to, if it is (`getpeername`).
    pub peer: Fact<Option<Address>>,
    /// The sockets that stand in the way: same port, same protocol, overlapping address; the most
    /// telling states first.
    pub sockets: ArrayVec<PortSocket, MAX_SOCKETS>,
    /// How many there are, also those that are not listed.
    pub sockets_total: u32,
    /// Why `sockets` may lack some; `None` where the look-up was complete.
    pub sockets_unknown: Option<Why>,
    /// Whether what listens is just ending, as far as can be seen: it was gone at the end of the
    /// look-up, or nobody was found to have it and a process of its user is on its way out, which
    /// no longer shows what it has.
    pub vanishing: bool,
    /// Whether the same bind succeeds with SO_REUSEADDR set (tried with a socket that never
    /// listens; in a program only where nobody owns what lingers).
    pub reuseaddr_trial: Fact<bool>,
    /// `net.ipv4.ip_unprivileged_port_start`: ports below it need a privilege.
    pub unprivileged_from: Fact<u32>,
    /// Whether the process has CAP_NET_BIND_SERVICE, where it counts.
    pub can_bind_privileged: Fact<bool>,
    /// Whether the address is on this machine.
    pub locality: Fact<Locality>,
    /// Where the kernel takes ports for outgoing connections: `net.ipv4.ip_local_port_range`;
    /// `netsh interface ipv4 show dynamicport`.
    pub ephemeral: Fact<(u16, u16)>,
    /// Whether the program narrowed that range on its socket (`IP_LOCAL_PORT_RANGE`, ip(7)).
    pub has_own_range: bool,
    /// The index of the interface that the program's socket is bound to; 0 for none.
    pub device: u32,
    /// The user who made the program's socket.
    pub socket_uid: Fact<u32>,
    /// Whether the program's socket is in the network namespace of its process.
    pub same_network: Fact<bool>,
    /// A port near the one that was asked for on which nobody listens, or which nobody has (UDP).
    pub free_port: Fact<u16>,
    /// What the network of the machine shows.
    pub network: Network,
    /// What the process may do.
    pub rights: Rights,
    /// What is known about the path or abstract name of a Unix socket.
    pub path: PathFacts,
    /// What only Windows has to tell.
    pub windows: Windows,
}

impl Facts {
    /// Nothing looked up.
    pub const NONE: Self = Self {
        descriptor: Fact::Unknown(Why::NotAsked),
        bound: Fact::Unknown(Why::NotAsked),
        peer: Fact::Unknown(Why::NotAsked),
        sockets: ArrayVec::new_const(),
        sockets_total: 0,
        sockets_unknown: Some(Why::NotAsked),
        vanishing: false,
        reuseaddr_trial: Fact::Unknown(Why::NotAsked),
        unprivileged_from: Fact::Unknown(Why::NotAsked),
        can_bind_privileged: Fact::Unknown(Why::NotAsked),
        locality: Fact::Unknown(Why::NotAsked),
        ephemeral: Fact::Unknown(Why::NotAsked),
        has_own_range: false,
        device: 0,
        socket_uid: Fact::Unknown(Why::NotAsked),
        same_network: Fact::Unknown(Why::NotAsked),
        free_port: Fact::Unknown(Why::NotAsked),
        network: Network::NONE,
        rights: Rights::NONE,
        path: PathFacts::NONE,
        windows: Windows::NONE,
    };
}
