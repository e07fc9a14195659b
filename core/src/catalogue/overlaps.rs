//! Why a socket with another address, device or option is in the way. The cause is who has it;
//! these are told beside it.

use super::Cure::No;
use super::{ANY, Entry, On};
use crate::attempt::Function::{Bind, Listen};
use crate::cause::Cause;
use crate::code::System::{Linux, Windows};
use crate::record::Certainty::Probable;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        cause: Cause::WildcardOverlap,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRINUSE"]), (Listen, &["EADDRINUSE"])],
            recognised: "The addresses differ, and one of them is 0.0.0.0 or ::.",
            certainty: &[],
            reuseaddr: No,
            waiting: No,
            helps: &["give each of the two a specific address, or one of them another port"],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::DualStackOverlap,
        on: &[
            On {
                system: Linux,
                fails: &[(Bind, &["EADDRINUSE"]), (Listen, &["EADDRINUSE"])],
                recognised: "One of the two is an IPv6 socket on :: with IPV6_V6ONLY off, which takes IPv4 as well, or has an IPv4 address in IPv6 form (::ffff:a.b.c.d).",
                certainty: &[],
                reuseaddr: No,
                waiting: No,
                helps: &[
                    "set IPV6_V6ONLY before bind on the IPv6 socket, if IPv4 is to stay with the other one",
                    "or bind :: alone, which serves both",
                ],
            },
            On {
                system: Windows,
                fails: &[(Bind, &["WSAEACCES"])],
                recognised: "This socket is for both IP versions and has SO_EXCLUSIVEADDRUSE, and somebody has the port on one of the two.",
                certainty: &[Probable],
                reuseaddr: No,
                waiting: No,
                helps: &[
                    "stop the other one if you do not need it",
                    "or set IPV6_V6ONLY, and bind IPv4 by a socket of its own",
                ],
            },
        ],
        never: &[],
    },
    Entry {
        cause: Cause::DeviceOverlap,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRINUSE"]), (Listen, &["EADDRINUSE"])],
            recognised: "One of the two is bound to a device (SO_BINDTODEVICE) and the other one to none, or both are bound to the same.",
            certainty: &[],
            reuseaddr: No,
            waiting: No,
            helps: &["bind each of the two to a device of its own"],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::ReuseportMismatch,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRINUSE"]), (Listen, &["EADDRINUSE"])],
            recognised: "This socket has SO_REUSEPORT, and the holder is another user's or has it not; or several listeners at one address show that they have it, and this one does not.",
            certainty: &[],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "where the port is meant to be shared, all sockets need the option before bind, and one user",
            ],
        }],
        never: &[
            "SO_REUSEPORT to get a port that another program has: each gets a part of what comes in",
        ],
    },
    Entry {
        cause: Cause::SwappedPortBytes,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &[ANY]), (Listen, &[ANY])],
            recognised: "The port is an uncommon one whose two bytes, swapped, are a common one: 36895 is 8080, 20480 is 80. A hint, never a cause.",
            certainty: &[],
            reuseaddr: No,
            waiting: No,
            helps: &["give the port through htons()"],
        }],
        never: &[],
    },
];
