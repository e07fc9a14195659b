//! Calls that cannot work as they are made, and a machine that has nothing left.

use super::Cure::{May, No, Yes};
use super::{ANY, Entry, On};
use crate::attempt::Function::{Bind, Listen, Setsockopt};
use crate::cause::Cause;
use crate::code::System::{Linux, Windows};
use crate::record::Certainty::{Certain, Possible, Probable};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        cause: Cause::AlreadyBound,
        on: &[
            On {
                system: Linux,
                fails: &[(Bind, &["EINVAL"])],
                recognised: "getsockname() gives an address: a port, a path or a name.",
                certainty: &[Certain],
                reuseaddr: No,
                waiting: No,
                helps: &["bind a socket once; make a new socket for another address"],
            },
            On {
                system: Windows,
                fails: &[(Bind, &["WSAEINVAL"])],
                recognised: "getsockname() gives an address.",
                certainty: &[Certain],
                reuseaddr: No,
                waiting: No,
                helps: &["bind a socket once; make a new socket for another address"],
            },
        ],
        never: &[],
    },
    Entry {
        cause: Cause::AlreadyConnected,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EINVAL"])],
            recognised: "getpeername() gives a peer; or a datagram socket has all addresses and a port of net.ipv4.ip_local_port_range, which its first sendto() gave it (probable).",
            certainty: &[Certain, Probable],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "bind before connect() and before the first sendto(), or make a new socket for the server",
            ],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::WrongAddressLength,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EINVAL"])],
            recognised: "The length does not fit the socket's family: 16 to 128 for IPv4, 24 to 128 for IPv6, 2 to 110 for a socket file.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &["pass the size of the address's own structure as addrlen"],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::WrongAddressFamily,
        on: &[
            On {
                system: Linux,
                fails: &[(Bind, &["EAFNOSUPPORT", "EINVAL"])],
                recognised: "The family in the address is not the socket's: EINVAL where the address is too short for the socket's family as well.",
                certainty: &[Certain],
                reuseaddr: No,
                waiting: No,
                helps: &[
                    "make the socket of the address's own family",
                    "an IPv4 address for an IPv6 socket: ::ffff:a.b.c.d",
                    "family 0: set sin_family or sin6_family in the address",
                ],
            },
            On {
                system: Windows,
                fails: &[(Bind, &["WSAEAFNOSUPPORT", "WSAEOPNOTSUPP", "WSAEINVAL"])],
                recognised: "The family in the address is not the socket's; Windows mostly calls that WSAEFAULT (bad_pointer), and the other errors are Wine's.",
                certainty: &[Certain],
                reuseaddr: No,
                waiting: No,
                helps: &["make the socket of the address's own family"],
            },
        ],
        never: &[],
    },
    Entry {
        cause: Cause::V4MappedOnV6only,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EINVAL"])],
            recognised: "The socket has IPV6_V6ONLY on, and the address is ::ffff:a.b.c.d.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "make an AF_INET socket, or set IPV6_V6ONLY to 0",
                "where the program leaves the option alone, net.ipv6.bindv6only decides",
            ],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::MulticastStream,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EINVAL"])],
            recognised: "A stream socket and an address in ff00::/8. IPv4 allows it.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &["bind a datagram socket to it, or an address of this machine"],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::BadPointer,
        on: &[
            On {
                system: Linux,
                fails: &[(Bind, &["EFAULT"]), (Setsockopt, &["EFAULT"])],
                recognised: "The kernel could not read the address or the option's value.",
                certainty: &[Certain],
                reuseaddr: No,
                waiting: No,
                helps: &["pass the address of a variable that lives during the call"],
            },
            On {
                system: Windows,
                fails: &[(Bind, &["WSAEFAULT"]), (Setsockopt, &["WSAEFAULT"])],
                recognised: "The pointer cannot be read, the length is too small for the socket's family, or the family in the address is another one.",
                certainty: &[Certain],
                reuseaddr: No,
                waiting: No,
                helps: &[
                    "pass the size of the address's own structure as namelen, and its family in it",
                ],
            },
        ],
        never: &[],
    },
    Entry {
        cause: Cause::BadFd,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EBADF"]), (Listen, &["EBADF"]), (Setsockopt, &["EBADF"])],
            recognised: "The descriptor is not open.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &["check what socket() gave; it may have failed, or been closed since"],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::NotASocket,
        on: &[
            On {
                system: Linux,
                fails: &[
                    (Bind, &["ENOTSOCK"]),
                    (Listen, &["ENOTSOCK"]),
                    (Setsockopt, &["ENOTSOCK"]),
                ],
                recognised: "The descriptor is open, and not a socket (fstat).",
                certainty: &[Certain],
                reuseaddr: No,
                waiting: No,
                helps: &["check that the socket was not closed and its number used again"],
            },
            On {
                system: Windows,
                fails: &[
                    (Bind, &["WSAENOTSOCK", "WSAEINVAL", "WSAEAFNOSUPPORT", "WSAEOPNOTSUPP"]),
                    (Listen, &["WSAENOTSOCK"]),
                    (Setsockopt, &["WSAENOTSOCK"]),
                ],
                recognised: "The handle is not a socket, or not open; the errors but WSAENOTSOCK are Wine's, for a file.",
                certainty: &[Certain],
                reuseaddr: No,
                waiting: No,
                helps: &["check what socket() gave: it may have failed, or been closed since"],
            },
        ],
        never: &[],
    },
    Entry {
        cause: Cause::ListenNotSupported,
        on: &[
            On {
                system: Linux,
                fails: &[(Listen, &["EOPNOTSUPP"])],
                recognised: "The socket is not of type SOCK_STREAM or SOCK_SEQPACKET.",
                certainty: &[Certain],
                reuseaddr: No,
                waiting: No,
                helps: &[
                    "leave listen() out: a datagram socket receives once bound",
                    "or make a stream socket",
                ],
            },
            On {
                system: Windows,
                fails: &[(Listen, &["WSAEOPNOTSUPP"])],
                recognised: "The socket's type does not listen.",
                certainty: &[Certain],
                reuseaddr: No,
                waiting: No,
                helps: &["receive without listen, or make a SOCK_STREAM socket"],
            },
        ],
        never: &[],
    },
    Entry {
        cause: Cause::ListenWrongState,
        on: &[
            On {
                system: Linux,
                fails: &[(Listen, &["EINVAL"])],
                recognised: "The socket is connected or connecting, or a Unix socket that is not bound.",
                certainty: &[Certain],
                reuseaddr: No,
                waiting: No,
                helps: &[
                    "listen on a socket of its own, not on a connection",
                    "bind a Unix socket first, and check that it worked",
                ],
            },
            On {
                system: Windows,
                fails: &[(Listen, &["WSAEINVAL"])],
                recognised: "The socket is not bound, which listen does not do for it on Windows, or it is connected.",
                certainty: &[Certain, Probable],
                reuseaddr: No,
                waiting: No,
                helps: &["check that bind succeeded before listen"],
            },
        ],
        never: &[],
    },
    Entry {
        cause: Cause::OptionUnsupported,
        on: &[On {
            system: Linux,
            fails: &[(Setsockopt, &["ENOPROTOOPT", "EOPNOTSUPP"])],
            recognised: "The socket's family does not have the option: IPV6_V6ONLY on IPv4, SO_REUSEPORT on other than internet sockets.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &["leave it out for this socket; a program may ignore this error"],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::OptionsConflict,
        on: &[On {
            system: Windows,
            fails: &[(Setsockopt, &["WSAEINVAL"])],
            recognised: "SO_REUSEADDR and SO_EXCLUSIVEADDRUSE on one socket: the second of the two fails; or SO_EXCLUSIVEADDRUSE after bind.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "set one of the two, before bind; on Windows a server wants SO_EXCLUSIVEADDRUSE",
            ],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::WinsockNotStarted,
        on: &[On {
            system: Windows,
            fails: &[
                (Bind, &["WSANOTINITIALISED", "WSAENETDOWN", "WSAEINPROGRESS"]),
                (Listen, &["WSANOTINITIALISED", "WSAENETDOWN", "WSAEINPROGRESS"]),
                (Setsockopt, &["WSANOTINITIALISED", "WSAENETDOWN", "WSAEINPROGRESS"]),
            ],
            recognised: "The error itself; certain for WSANOTINITIALISED.",
            certainty: &[Certain, Probable],
            reuseaddr: No,
            waiting: No,
            helps: &["call WSAStartup first, and WSACleanup only after the last socket"],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::OutOfMemory,
        on: &[On {
            system: Linux,
            fails: &[
                (Bind, &["ENOMEM", "ENOBUFS", "EINTR"]),
                (Listen, &["ENOMEM", "ENOBUFS", "EINTR"]),
                (Setsockopt, &["ENOMEM", "ENOBUFS", "EINTR"]),
            ],
            recognised: "The error itself. A bind that finds no memory for its port's entry gives EADDRINUSE, with nobody on the port: that is told as unknown.",
            certainty: &[Probable],
            reuseaddr: No,
            waiting: Yes,
            helps: &[
                "see what takes the memory (free -h); a container or service may have a limit",
                "EINTR: call it again",
            ],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::Unknown,
        on: &[
            On {
                system: Linux,
                fails: &[(Bind, &[ANY]), (Listen, &[ANY]), (Setsockopt, &[ANY])],
                recognised: "What is known does not show why. The summary says what is there, and the record's list of unknown facts what could not be had, and why.",
                certainty: &[Possible],
                reuseaddr: May("not known"),
                waiting: May("not known"),
                helps: &["run the program, or the question, as root: more is to be seen then"],
            },
            On {
                system: Windows,
                fails: &[(Bind, &[ANY]), (Listen, &[ANY]), (Setsockopt, &[ANY])],
                recognised: "What is known does not show why. The summary says what is there, and the record's list of unknown facts what could not be had, and why.",
                certainty: &[Possible],
                reuseaddr: May("not known"),
                waiting: May("not known"),
                helps: &["ask from an elevated prompt: more is to be seen then"],
            },
        ],
        never: &[],
    },
];
