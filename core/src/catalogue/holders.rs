//! Who or what holds the port, in the order in which the first that fits is told.

use super::Cure::{May, No, Yes};
use super::{Entry, On};
use crate::attempt::Function::{Bind, Listen};
use crate::cause::Cause;
use crate::code::System::{Linux, Windows};
use crate::record::Certainty::{Certain, Possible, Probable};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        cause: Cause::OwnProcessHoldsPort,
        on: &[
            On {
                system: Linux,
                fails: &[(Bind, &["EADDRINUSE"]), (Listen, &["EADDRINUSE"])],
                recognised: "A descriptor of this very process, in one of its threads' tables, is the socket that is in the way.",
                certainty: &[Certain],
                reuseaddr: May(
                    "not against a listener; where the first socket does not listen, and has the option too, it gives way",
                ),
                waiting: No,
                helps: &[
                    "bind each address once; close the first socket before the second",
                    "look for an address that is configured twice, for 0.0.0.0 together with ::, and for a reload that does not close",
                ],
            },
            On {
                system: Windows,
                fails: &[(Bind, &["WSAEADDRINUSE"])],
                recognised: "The table of sockets names this process, or the library saw it bind the port.",
                certainty: &[Certain, Probable],
                reuseaddr: No,
                waiting: No,
                helps: &["bind each address once; close the first socket before the second"],
            },
        ],
        never: &[],
    },
    Entry {
        cause: Cause::ExitingHolder,
        on: &[
            On {
                system: Linux,
                fails: &[(Bind, &["EADDRINUSE"]), (Listen, &["EADDRINUSE"])],
                recognised: "The holder is marked as exiting in /proc/PID/stat, its program is gone, or SIGKILL is pending; or what held the port went away during the look-up. A large process takes a while to give its memory back before it closes its sockets.",
                certainty: &[Certain, Probable],
                reuseaddr: No,
                waiting: Yes,
                helps: &["start it again in a moment, or let bindshim-run --retry wait"],
            },
            On {
                system: Windows,
                fails: &[(Bind, &["WSAEADDRINUSE"])],
                recognised: "The holder was seen to be ending.",
                certainty: &[Certain, Probable],
                reuseaddr: No,
                waiting: Yes,
                helps: &["start it again in a moment, or let bindshim-run --retry wait"],
            },
        ],
        never: &[],
    },
    Entry {
        cause: Cause::InheritedSocket,
        on: &[
            On {
                system: Linux,
                fails: &[(Bind, &["EADDRINUSE"])],
                recognised: "The socket listens, and the process that has it is not one that listens by itself, such as sleep or a shell: it got the descriptor from a server that is gone.",
                certainty: &[Probable],
                reuseaddr: No,
                waiting: No,
                helps: &[
                    "stop the process that was left behind (kill PID, or systemctl stop UNIT)",
                    "for next time: open the server's sockets with SOCK_CLOEXEC (FD_CLOEXEC)",
                ],
            },
            On {
                system: Windows,
                fails: &[(Bind, &["WSAEADDRINUSE"])],
                recognised: "The table names a process that has ended, or a child that never bound: it inherited the handle.",
                certainty: &[Probable],
                reuseaddr: No,
                waiting: May("when the child ends"),
                helps: &[
                    "find the child that keeps the handle, and stop it",
                    "for next time: create the socket with WSA_FLAG_NO_HANDLE_INHERIT",
                ],
            },
        ],
        never: &["SO_REUSEADDR"],
    },
    Entry {
        cause: Cause::SameProgramListening,
        on: &[
            On {
                system: Linux,
                fails: &[(Bind, &["EADDRINUSE"])],
                recognised: "The listener runs the same executable file (device and inode); an interpreter also the same script, -m, -c or -jar, for which the certainty is probable.",
                certainty: &[Certain, Probable],
                reuseaddr: No,
                waiting: No,
                helps: &[
                    "use the one that runs, or stop it (kill PID, or systemctl stop UNIT)",
                    "a child of the listener: use the socket that the parent has",
                    "give this one another port",
                ],
            },
            On {
                system: Windows,
                fails: &[(Bind, &["WSAEADDRINUSE"])],
                recognised: "The table of sockets names a process with the same program file.",
                certainty: &[Certain, Probable],
                reuseaddr: No,
                waiting: May("when the other one ends"),
                helps: &["use the one that runs, or stop it", "give this one another port"],
            },
        ],
        never: &["SO_REUSEADDR: on Windows both would take the port", "kill -9 as the first thing"],
    },
    Entry {
        cause: Cause::OtherProgramListening,
        on: &[
            On {
                system: Linux,
                fails: &[(Bind, &["EADDRINUSE"])],
                recognised: "A socket in state LISTEN whose address overlaps, and the process that has a descriptor of it, in one of its threads' tables. Possible where it is the same interpreter, and what it runs is not to be seen: it may be the same program.",
                certainty: &[Certain, Possible],
                reuseaddr: No,
                waiting: No,
                helps: &[
                    "stop it if you do not need it (kill PID, or systemctl stop UNIT)",
                    "give one of the two another port",
                ],
            },
            On {
                system: Windows,
                fails: &[(Bind, &["WSAEADDRINUSE"])],
                recognised: "The table of sockets (GetExtendedTcpTable) has a listener whose address conflicts by Microsoft's rules. Possible where it is the same interpreter, for what it runs is not known: it may be the same program.",
                certainty: &[Certain, Probable, Possible],
                reuseaddr: No,
                waiting: No,
                helps: &[
                    "stop it if you do not need it (taskkill /PID, or net stop of its service)",
                    "give one of the two another port",
                ],
            },
        ],
        never: &[
            "SO_REUSEADDR: on Linux it does nothing against a listener, and on Windows both would take the port",
            "kill -9 as the first thing",
        ],
    },
    Entry {
        cause: Cause::HttpSys,
        on: &[On {
            system: Windows,
            fails: &[(Bind, &["WSAEADDRINUSE", "WSAEACCES"])],
            recognised: "The listener belongs to pid 4, the system itself, and the port is not one of file sharing.",
            certainty: &[Certain, Probable],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "netsh http show servicestate: which program registered a URL on this port (IIS, WinRM and others)",
                "net stop http: which services depend on it; it asks before it stops them",
                "give this program another port",
            ],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::BoundNotListening,
        on: &[
            On {
                system: Linux,
                fails: &[(Bind, &["EADDRINUSE"])],
                recognised: "Socket diagnostics list a socket of the state bound, without a listener (Linux 6.8 and later); ss -l, lsof, fuser and /proc/net/tcp do not show it.",
                certainty: &[Certain],
                reuseaddr: May(
                    "where both have it, and then this one takes the port away from the other",
                ),
                waiting: No,
                helps: &[
                    "stop it if you do not need it (kill PID, or systemctl stop UNIT)",
                    "give one of the two another port",
                ],
            },
            On {
                system: Windows,
                fails: &[(Bind, &["WSAEADDRINUSE", "WSAEACCES"])],
                recognised: "No socket on the port is listed and no range excludes it: Windows lists no TCP socket that is bound without listening. Certain where the library itself saw another process bind it.",
                certainty: &[Certain, Probable, Possible],
                reuseaddr: No,
                waiting: May("when that program listens or ends"),
                helps: &[
                    "Get-NetTCPConnection -State Bound -LocalPort PORT (Windows 10 and later)",
                    "netstat -anoq",
                ],
            },
        ],
        never: &["SO_REUSEADDR on a port that another program has bound"],
    },
    Entry {
        cause: Cause::UdpPortTaken,
        on: &[
            On {
                system: Linux,
                fails: &[(Bind, &["EADDRINUSE"])],
                recognised: "A UDP socket whose address overlaps, and the process that has it; a connected one is a client.",
                certainty: &[Certain],
                reuseaddr: May(
                    "where both have it, and then only one of the two gets each datagram",
                ),
                waiting: May("when a connected client ends"),
                helps: &[
                    "stop it if you do not need it (kill PID, or systemctl stop UNIT)",
                    "give one of the two another port",
                ],
            },
            On {
                system: Windows,
                fails: &[(Bind, &["WSAEADDRINUSE", "WSAEACCES"])],
                recognised: "The table of UDP sockets (GetExtendedUdpTable) has one whose address conflicts.",
                certainty: &[Certain, Probable],
                reuseaddr: No,
                waiting: May("when the holder ends"),
                helps: &["stop it if you do not need it", "give one of the two another port"],
            },
        ],
        never: &["SO_REUSEADDR on UDP sockets that are not for multicast"],
    },
    Entry {
        cause: Cause::OutgoingConnection,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRINUSE"])],
            recognised: "A connection on the port, no listener, and this end is the client's: it connects, its peer's port listens on this machine, it is connected to itself, or the port lies in net.ipv4.ip_local_port_range and that of the peer does not.",
            certainty: &[Certain, Probable],
            reuseaddr: May("where the client has set it too, as few do"),
            waiting: May("when the client ends its connection"),
            helps: &[
                "end that connection now, as root: ss -tK src ADDRESS:PORT dst PEER:PORT",
                "for good: add the port to net.ipv4.ip_local_reserved_ports (a server may still bind it), or use one below the range",
            ],
        }],
        never: &["to count on SO_REUSEADDR: few clients have it, and both sockets need it"],
    },
    Entry {
        cause: Cause::HiddenHolder,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRINUSE"])],
            recognised: "A socket on the port, often with its user, and no process that is to be seen has it: it is another user's, is in another pid namespace, or is on its way from one process to another (SCM_RIGHTS).",
            certainty: &[Certain, Probable],
            reuseaddr: May(
                "on a UDP port, where both have it, and then only one of the two gets each datagram",
            ),
            waiting: No,
            helps: &[
                "ask as root who it is: sudo ss -Hanp 'sport = :PORT'",
                "in a container: look from outside",
                "a UDP port of root's: ip -d link show, for the kernel itself may have it",
            ],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::KernelSocket,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRINUSE"])],
            recognised: "No process has the socket, it is root's, and the port is one of vxlan (4789, 8472), geneve (6081), wireguard (51820), l2tp (1701), ipsec (500, 4500) or nfsd (2049).",
            certainty: &[Probable, Possible],
            reuseaddr: No,
            waiting: No,
            helps: &["ip -d link show type TYPE: delete that interface, or give it another port"],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::OtherNetworkNamespace,
        on: &[On {
            system: Linux,
            fails: &[
                (Bind, &["EADDRINUSE", "EACCES", "EADDRNOTAVAIL"]),
                (Listen, &["EADDRINUSE", "EACCES"]),
            ],
            recognised: "The socket's SO_NETNS_COOKIE is not that of a new socket of the process: it was made before the process changed its network, or was handed over.",
            certainty: &[Certain, Probable],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "look in the namespace that the socket is from: ip netns exec NAME ss -Hanp 'sport = :PORT'",
            ],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::ListenRace,
        on: &[
            On {
                system: Linux,
                fails: &[(Listen, &["EADDRINUSE"])],
                recognised: "The bind went through, since both sockets have SO_REUSEADDR, and the other one listens by now.",
                certainty: &[Certain],
                reuseaddr: No,
                waiting: No,
                helps: &[
                    "use the one that listens, or stop it (kill PID, or systemctl stop UNIT); the same socket can listen then",
                    "give this one another port",
                ],
            },
            On {
                system: Windows,
                fails: &[(Listen, &["WSAEADDRINUSE"])],
                recognised: "The socket is bound, and another one listens on its port: with a wildcard address Windows may tell that late.",
                certainty: &[Certain, Probable, Possible],
                reuseaddr: No,
                waiting: No,
                helps: &["start only one of the two, or give one another port"],
            },
        ],
        never: &[],
    },
    Entry {
        cause: Cause::EphemeralPortsExhausted,
        on: &[
            On {
                system: Linux,
                fails: &[(Bind, &["EADDRINUSE"]), (Listen, &["EADDRINUSE"])],
                recognised: "Port 0 was asked for, or a socket listens unbound, and every port of net.ipv4.ip_local_port_range (or IP_LOCAL_PORT_RANGE) that is not reserved is taken.",
                certainty: &[Certain],
                reuseaddr: No,
                waiting: May("when sockets are closed"),
                helps: &[
                    "widen the range, as root: sysctl -w net.ipv4.ip_local_port_range='10000 60999'",
                    "see who has them (ss -Hanp); clients that bind before connect can set IP_BIND_ADDRESS_NO_PORT",
                ],
            },
            On {
                system: Windows,
                fails: &[(Bind, &["WSAENOBUFS"])],
                recognised: "Windows has no buffer or no port left; for port 0 mostly a port of the dynamic range.",
                certainty: &[Probable, Possible],
                reuseaddr: No,
                waiting: Yes,
                helps: &[
                    "see which process has the most: Get-NetTCPConnection | group OwningProcess",
                    "widen the range: netsh int ipv4 set dynamicport tcp start=32768 num=32768",
                ],
            },
        ],
        never: &[],
    },
];
