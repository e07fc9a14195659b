//! The catalogue of causes: their names.

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
        "Connections of a program that has ended are in TIME_WAIT; the kernel keeps the port for a while.";
    ClosingConnection, "closing_connection",
        "Connections of a program that has ended are not closed by their peers yet.";
    LingeringConnection, "lingering_connection",
        "A process still has a connection on this port, although nothing listens any more.";
    CloseWaitLeak, "close_wait_leak",
        "A process has connections on this port that its peers closed and that it never closed.";
    UdpPortTaken, "udp_port_taken",
        "Another UDP socket has this port.";
    ListenRace, "listen_race",
        "The socket was bound, and another one listens on its port before it does.";
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
    PrivilegedPort, "privileged_port",
        "Ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE.";
    AddressNotLocal, "address_not_local",
        "No interface of this machine has the address.";
    AddressTentative, "address_tentative",
        "The IPv6 address is new, and duplicate address detection is not through.";
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
    WrongAddressLength, "wrong_address_length",
        "The length of the address is not one that its family has.";
    WrongAddressFamily, "wrong_address_family",
        "The address is of another family than the socket.";
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
    OptionsConflict, "options_conflict",
        "The option contradicts another one, or comes after bind.";
    WinsockNotStarted, "winsock_not_started",
        "Winsock is not ready: WSAStartup is missing, or the network subsystem failed.";
    Unknown, "unknown",
        "The facts do not show why.";
}
