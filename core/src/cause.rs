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
    SameProgramListening, "same_program_listening",
        "The same program is already running, and listens on this port.";
    OtherProgramListening, "other_program_listening",
        "Another program listens on this port.";
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
    PrivilegedPort, "privileged_port",
        "Ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE.";
    AddressNotLocal, "address_not_local",
        "No interface of this machine has the address.";
    AddressTentative, "address_tentative",
        "The IPv6 address is new, and duplicate address detection is not through.";
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
    Unknown, "unknown",
        "The facts do not show why.";
}
