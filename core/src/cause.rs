//! The causes: their names, and one line each. [`crate::catalogue`] says more.

use serde::Serialize;

macro_rules! causes {
    ($($variant:ident, $name:literal, $about:literal;)*) => {
        /// Why a call failed.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum Cause {
            $(#[doc = $about] #[serde(rename = $name)] $variant,)*
        }

        impl Cause {
            /// All causes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in a record.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One line for a person.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)* }
            }
        }
    };
}

causes! {
    OwnProcessHoldsPort, "own_process_holds_port",
        "The process itself has another socket on this port.";
    ExitingHolder, "exiting_holder",
        "The process that has the port is on its way out; the port is free in a moment.";
    InheritedSocket, "inherited_socket",
        "A process keeps a socket on this port that another one bound, and that it inherited.";
    SameProgramListening, "same_program_listening",
        "The same program is already running, and listens on this port.";
    OtherProgramListening, "other_program_listening",
        "Another program listens on this port.";
    HttpSys, "http_sys",
        "http.sys, the web server in the kernel of Windows, has this port.";
    BoundNotListening, "bound_not_listening",
        "A socket is bound to this port but does not listen; most tools do not show it.";
    TimeWait, "time_wait",
        "Nobody has the port any more; connections that it had are in TIME_WAIT, and the kernel keeps it for a while.";
    ClosingConnection, "closing_connection",
        "Nobody has the port any more; connections that it had are not closed by their peers yet.";
    LingeringConnection, "lingering_connection",
        "A process still has a connection on this port, although nothing listens any more.";
    CloseWaitLeak, "close_wait_leak",
        "A process has connections on this port that its peers have closed and that it has not.";
    UdpPortTaken, "udp_port_taken",
        "Another UDP socket has this port.";
    OutgoingConnection, "outgoing_connection",
        "An outgoing connection has this port as its own end; the kernel chose it.";
    HiddenHolder, "hidden_holder",
        "Somebody has this port whom this process cannot see.";
    KernelSocket, "kernel_socket",
        "The kernel itself has a socket on this port.";
    OtherNetworkNamespace, "other_network_namespace",
        "The socket belongs to another network namespace, where the port is taken.";
    SharedByReuseport, "shared_by_reuseport",
        "A success: another program has the port as well, by SO_REUSEPORT, and each gets a part.";
    UdpHijack, "udp_hijack",
        "A success: another program has the UDP port as well, and one of the two gets each datagram.";
    StealsBoundPort, "steals_bound_port",
        "A success: another program has the port bound, and will not be able to listen.";
    ListenRace, "listen_race",
        "The socket was bound, and another one listens on its port before it does.";
    WildcardOverlap, "wildcard_overlap",
        "One of the two sockets takes every address, and so that of the other.";
    DeviceOverlap, "device_overlap",
        "One of the two sockets takes the packets of every device, and so those of the other.";
    ReuseportMismatch, "reuseport_mismatch",
        "SO_REUSEPORT shares a port only where all sockets have it and are of one user.";
    DualStackOverlap, "dual_stack_overlap",
        "A socket for both IPv6 and IPv4 needs the port of both.";
    ReuseaddrRefused, "reuseaddr_refused",
        "The port is in use, and Windows refuses SO_REUSEADDR where the other socket does not share.";
    ExclusiveHolder, "exclusive_holder",
        "The socket that has this port does not share it (SO_EXCLUSIVEADDRUSE).";
    OtherUserHolder, "other_user_holder",
        "A process of another user has this port for all addresses.";
    ExcludedPortRange, "excluded_port_range",
        "The port lies in a range that a service of Windows has reserved for itself.";
    Kb3039044, "kb3039044",
        "Windows refuses a second SO_REUSEADDR bind to an excluded port (KB 3039044).";
    BroadcastNotEnabled, "broadcast_not_enabled",
        "A broadcast address needs SO_BROADCAST.";
    PolicyDenied, "policy_denied",
        "Neither a socket nor a reserved range is in the way: a policy or a security product refuses.";
    EphemeralPortsExhausted, "ephemeral_ports_exhausted",
        "No port is left among those that the system hands out.";
    PortSharedByReuseaddr, "port_shared_by_reuseaddr",
        "It worked, but another program has the same port: either may get what comes in.";
    PortShadowed, "port_shadowed",
        "It worked, but another program has the port for other addresses: each gets only a part.";
    ListeningOnRandomPort, "listening_on_random_port",
        "It worked, but the socket was not bound: it listens on a port that the kernel chose.";
    AddressRewritten, "address_rewritten",
        "It worked, but the socket is bound elsewhere than the program asked.";
    PrivilegedPort, "privileged_port",
        "Ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE.";
    LandlockDenied, "landlock_denied",
        "A Landlock sandbox does not allow this port.";
    CgroupBpfDenied, "cgroup_bpf_denied",
        "A BPF program on the cgroup of the process refuses, such as SocketBindDeny= of systemd.";
    SeccompDenied, "seccomp_denied",
        "A seccomp filter answers this call with an error, before the kernel looks at it.";
    SelinuxDenied, "selinux_denied",
        "The SELinux policy does not allow this port to this program.";
    ApparmorDenied, "apparmor_denied",
        "The AppArmor profile of this program does not allow it.";
    AddressNotLocal, "address_not_local",
        "No interface of this machine has the address.";
    AddressTentative, "address_tentative",
        "The IPv6 address is new, and duplicate address detection is not through.";
    AddressDuplicate, "address_duplicate",
        "Another machine on the link has the same IPv6 address, so that it is not used here.";
    AddressLinkDown, "address_link_down",
        "The IPv6 address is on an interface that is down; it is usable when the link is up.";
    Ipv6Disabled, "ipv6_disabled",
        "IPv6 is switched off, so that the address does not exist.";
    LoopbackDown, "loopback_down",
        "The loopback interface is down, and so ::1 does not exist.";
    WrongScope, "wrong_scope",
        "The address is on another interface than the one that was given with it.";
    MissingScope, "missing_scope",
        "A link-local address needs the interface that it is on.";
    MissingDevice, "missing_device",
        "There is no interface of this name or index.";
    StaleSocketFile, "stale_socket_file",
        "A socket file is left over: no socket that is to be seen has it.";
    PathListener, "path_listener",
        "A program serves this socket file.";
    PathBoundNotListening, "path_bound_not_listening",
        "A program has this socket file, but does not listen on it.";
    PathOtherType, "path_other_type",
        "A program has this socket file with a socket of another type.";
    PathOtherNamespace, "path_other_namespace",
        "A program in another network namespace has this socket file.";
    PathNotASocket, "path_not_a_socket",
        "Something that is not a socket is at the path.";
    AbstractNameTaken, "abstract_name_taken",
        "Another socket of this type has the abstract name.";
    PathMissing, "path_missing",
        "The directory of the socket file does not exist.";
    PathNotADirectory, "path_not_a_directory",
        "Something on the way to the socket file is not a directory.";
    PathLoop, "path_loop",
        "A symbolic link on the way to the socket file leads back to itself.";
    DirectoryNotWritable, "directory_not_writable",
        "The process may not make files in the directory of the socket file.";
    ReadOnlyFilesystem, "read_only_filesystem",
        "The file system of the path is read-only.";
    NoSpace, "no_space",
        "The file system of the path is full, or no abstract name is left.";
    FilesystemWithoutSockets, "filesystem_without_sockets",
        "The file system of the path has no socket files.";
    PathTooLong, "path_too_long",
        "The path is longer than a socket's address has room for.";
    VsockRefused, "vsock_refused",
        "The kernel refuses this port or context id of a virtual machine's socket.";
    AlreadyBound, "already_bound",
        "The socket is bound already; a socket is bound once.";
    AlreadyConnected, "already_connected",
        "The socket is connected, or has sent, which bound it.";
    WrongAddressLength, "wrong_address_length",
        "The length of the address is not one that its family has.";
    WrongAddressFamily, "wrong_address_family",
        "The address is of another family than the socket.";
    V4MappedOnV6only, "v4_mapped_on_v6only",
        "An IPv6 socket with IPV6_V6ONLY cannot have an IPv4 address.";
    MulticastStream, "multicast_stream",
        "A stream socket cannot have an IPv6 multicast address.";
    SwappedPortBytes, "swapped_port_bytes",
        "The bytes of the port may be swapped: htons() is missing.";
    BadPointer, "bad_pointer",
        "The pointer does not point to readable memory.";
    BadFd, "bad_fd",
        "The descriptor is not open.";
    NotASocket, "not_a_socket",
        "The descriptor is not a socket.";
    ListenNotSupported, "listen_not_supported",
        "A socket of this type cannot listen.";
    ListenWrongState, "listen_wrong_state",
        "The socket is not in a state in which it can listen.";
    OptionTooLate, "option_too_late",
        "The option must be set before bind.";
    OptionUnsupported, "option_unsupported",
        "A socket of this kind does not have the option.";
    OptionNotPermitted, "option_not_permitted",
        "The option needs a privilege.";
    OptionsConflict, "options_conflict",
        "The option contradicts another one, or comes after bind.";
    WinsockNotStarted, "winsock_not_started",
        "Winsock is not ready: WSAStartup is missing, or the network subsystem failed.";
    OutOfMemory, "out_of_memory",
        "The kernel has no memory for it, or was interrupted.";
    Unknown, "unknown",
        "The facts do not show why.";
}
