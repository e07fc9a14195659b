//! Calls that succeed, and yet not as the program means.

use super::Cure::{No, Nothing};
use super::{Entry, On, SUCCESS};
use crate::attempt::Function::{Bind, Listen, Setsockopt};
use crate::cause::Cause;
use crate::code::System::{Linux, Windows};
use crate::record::Certainty::{Certain, Probable};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        cause: Cause::SharedByReuseport,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &[SUCCESS]), (Listen, &[SUCCESS])],
            recognised: "This socket has SO_REUSEPORT, and so has one of another program at the same address: a TCP port is looked at by listen, a UDP port by bind.",
            certainty: &[Certain],
            reuseaddr: Nothing,
            waiting: Nothing,
            helps: &["where only one of the two is to run, stop the other"],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::UdpHijack,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &[SUCCESS])],
            recognised: "This UDP socket has SO_REUSEADDR, and another program has the port: mostly the one that was bound last gets each datagram. Multicast addresses and the ports 5353 and 1900 are shared on purpose, and no warning.",
            certainty: &[Certain],
            reuseaddr: Nothing,
            waiting: Nothing,
            helps: &["leave SO_REUSEADDR off on UDP sockets that are not for multicast"],
        }],
        never: &["SO_REUSEADDR on UDP sockets that are not for multicast"],
    },
    Entry {
        cause: Cause::StealsBoundPort,
        on: &[On {
            system: Linux,
            fails: &[(Listen, &[SUCCESS])],
            recognised: "This socket has SO_REUSEADDR, and another program has the port bound, and does not listen yet: its listen will fail.",
            certainty: &[Certain],
            reuseaddr: Nothing,
            waiting: Nothing,
            helps: &["give one of the two another port"],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::ListeningOnRandomPort,
        on: &[On {
            system: Linux,
            fails: &[(Listen, &[SUCCESS])],
            recognised: "The socket was not bound before the listen, so that the kernel chose a port; mostly a bind failed, and the program went on.",
            certainty: &[Certain],
            reuseaddr: Nothing,
            waiting: Nothing,
            helps: &[
                "check what bind() gives, and stop when it fails",
                "if any port will do, bind port 0, and ask getsockname() which it is",
            ],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::AddressRewritten,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &[SUCCESS])],
            recognised: "getsockname() gives another address or port than was asked for: a BPF program on the cgroup rewrites it.",
            certainty: &[Certain],
            reuseaddr: Nothing,
            waiting: Nothing,
            helps: &["see which programs there are, as root: bpftool cgroup tree"],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::OptionTooLate,
        on: &[On {
            system: Linux,
            fails: &[(Setsockopt, &["EINVAL", SUCCESS])],
            recognised: "The socket has a port already: IPV6_V6ONLY fails, and SO_REUSEADDR succeeds and does nothing for that bind.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &["set the option right after socket(), before bind()"],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::PortSharedByReuseaddr,
        on: &[On {
            system: Windows,
            fails: &[(Bind, &[SUCCESS])],
            recognised: "This socket has SO_REUSEADDR, and another process has the port: which of the two gets what comes in is not determined.",
            certainty: &[Certain, Probable],
            reuseaddr: Nothing,
            waiting: Nothing,
            helps: &[
                "leave SO_REUSEADDR off on Windows, and set SO_EXCLUSIVEADDRUSE before bind (bindshim-run --exclusive does)",
                "give one of the two another port",
            ],
        }],
        never: &["SO_REUSEADDR on Windows for a quick restart: it is not needed for that"],
    },
    Entry {
        cause: Cause::PortShadowed,
        on: &[On {
            system: Windows,
            fails: &[(Bind, &[SUCCESS])],
            recognised: "Another process has the port for every address, and this socket for one, or the other way round; neither needs an option for it.",
            certainty: &[Certain],
            reuseaddr: Nothing,
            waiting: Nothing,
            helps: &[
                "to be alone on the port, set SO_EXCLUSIVEADDRUSE before bind (bindshim-run --exclusive does)",
                "give one of the two another port",
            ],
        }],
        never: &[],
    },
];
