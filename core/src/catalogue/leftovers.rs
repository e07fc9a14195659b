//! What is left of a server that ended: connections.

use super::Cure::{May, No, Yes};
use super::{Entry, On};
use crate::attempt::Function::Bind;
use crate::cause::Cause;
use crate::code::System::{Linux, Windows};
use crate::record::Certainty::{Certain, Possible, Probable};

/// Often advised, and of no use.
const TIMERS: &str =
    "tcp_fin_timeout, tcp_tw_reuse, tcp_tw_recycle: none of them shortens TIME_WAIT for a server";

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        cause: Cause::TimeWait,
        on: &[
            On {
                system: Linux,
                fails: &[(Bind, &["EADDRINUSE"])],
                recognised: "Only sockets in TIME_WAIT are on the port. They have no owner: uid 0 and inode 0 are not root's.",
                certainty: &[Certain],
                reuseaddr: May(
                    "only where the old server had set it too, which a trial shows; with SO_REUSEPORT alone on the old one it does not",
                ),
                waiting: Yes,
                helps: &[
                    "wait until retry_after_ms is over, at most a minute, or let bindshim-run --retry do that",
                    "end these connections now, as root: ss -tK state time-wait 'sport = :PORT'",
                    "set SO_REUSEADDR before bind from the first start on (bindshim-run --reuseaddr does)",
                ],
            },
            On {
                system: Windows,
                fails: &[(Bind, &["WSAEADDRINUSE"])],
                recognised: "Only connections in TIME_WAIT are on the port; they matter with SO_EXCLUSIVEADDRUSE, and a plain bind mostly succeeds.",
                certainty: &[Possible],
                reuseaddr: May("not documented, and dangerous"),
                waiting: Yes,
                helps: &[
                    "wait, or let bindshim-run --retry do that",
                    "close connections before the server ends",
                    "leave SO_EXCLUSIVEADDRUSE off where a quick restart matters more than an own port",
                ],
            },
        ],
        never: &[TIMERS, "SO_REUSEPORT", "SO_REUSEADDR on Windows"],
    },
    Entry {
        cause: Cause::ClosingConnection,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRINUSE"])],
            recognised: "Only connections without an owner are on the port, in FIN_WAIT1, FIN_WAIT2, LAST_ACK or CLOSING: the server has closed them, and the peer has not.",
            certainty: &[Certain],
            reuseaddr: May("only where the old server had set it too"),
            waiting: Yes,
            helps: &[
                "wait: FIN_WAIT2 ends after a minute; one that retransmits to a silent peer has no known end, and takes minutes",
                "end these connections now, as root: ss -tK state fin-wait-2 'sport = :PORT'",
                "set SO_REUSEADDR before bind from the first start on (bindshim-run --reuseaddr does)",
            ],
        }],
        never: &[TIMERS, "SO_REUSEPORT"],
    },
    Entry {
        cause: Cause::LingeringConnection,
        on: &[
            On {
                system: Linux,
                fails: &[(Bind, &["EADDRINUSE"])],
                recognised: "A connection of a living process is on the port and nothing listens: mostly a worker of a server that has ended. Possible only where it may be the client's end.",
                certainty: &[Probable, Possible],
                reuseaddr: May("only where the old server had set it too"),
                waiting: No,
                helps: &[
                    "stop that process, or let its connection end (kill PID, or systemctl stop UNIT)",
                    "where it may be a client's: look at what it is, ss -tnp 'sport = :PORT', before anything is stopped",
                    "set SO_REUSEADDR before bind from the first start on (bindshim-run --reuseaddr does)",
                ],
            },
            On {
                system: Windows,
                fails: &[(Bind, &["WSAEADDRINUSE", "WSAEACCES"])],
                recognised: "Nothing listens, connections are left, and this socket has SO_EXCLUSIVEADDRUSE, which waits for their end.",
                certainty: &[Probable],
                reuseaddr: No,
                waiting: Yes,
                helps: &[
                    "let that process end its connections, or stop it",
                    "shut connections down, and close them, before the server ends",
                ],
            },
        ],
        never: &[],
    },
    Entry {
        cause: Cause::CloseWaitLeak,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRINUSE"])],
            recognised: "A process has a connection in CLOSE_WAIT on the port: its peer has closed, and it has not. A half-closed connection that still answers looks the same.",
            certainty: &[Probable],
            reuseaddr: May("only where the old server had set it too"),
            waiting: May("where the process is about to close it; it never times out"),
            helps: &[
                "if it lasts, stop the process that does not close it (kill PID, or systemctl stop UNIT)",
                "mend the program: close what was read to its end",
            ],
        }],
        never: &[TIMERS],
    },
];
