//! WSAEACCES on Windows: by Microsoft's table it often means "in use" (learn.microsoft.com, "Using
//! SO_REUSEADDR and SO_EXCLUSIVEADDRUSE").

use super::Cure::{May, No};
use super::{Entry, On};
use crate::attempt::Function::Bind;
use crate::cause::Cause;
use crate::code::System::Windows;
use crate::record::Certainty::{Certain, Possible, Probable};

/// Often advised, and of no use.
const ELEVATED: &str = "to run the program as administrator, or to switch the firewall off";

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        cause: Cause::ReuseaddrRefused,
        on: &[On {
            system: Windows,
            fails: &[(Bind, &["WSAEACCES"])],
            recognised: "This socket has SO_REUSEADDR, and somebody has the port who does not share it: Windows says \"access denied\" where it else says \"in use\".",
            certainty: &[Certain, Probable, Possible],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "leave SO_REUSEADDR off on Windows: there it asks to share a port, and is not needed for a restart",
                "stop the other one if you do not need it, or give one of the two another port",
            ],
        }],
        never: &[ELEVATED],
    },
    Entry {
        cause: Cause::ExclusiveHolder,
        on: &[On {
            system: Windows,
            fails: &[(Bind, &["WSAEACCES"])],
            recognised: "By Microsoft's table only a holder with SO_EXCLUSIVEADDRUSE refuses this bind.",
            certainty: &[Certain, Possible],
            reuseaddr: No,
            waiting: No,
            helps: &["stop it if you do not need it", "give one of the two another port"],
        }],
        never: &[ELEVATED],
    },
    Entry {
        cause: Cause::OtherUserHolder,
        on: &[On {
            system: Windows,
            fails: &[(Bind, &["WSAEACCES"])],
            recognised: "A process has the port for all addresses, and this socket wants one of them: of the same user it would succeed. Certain where the two users are known to differ.",
            certainty: &[Certain, Possible],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "see whose it is (elevated prompt): tasklist /v /fi \"PID eq PID\"",
                "stop it if you do not need it, or give one of the two another port",
            ],
        }],
        never: &[ELEVATED],
    },
    Entry {
        cause: Cause::ExcludedPortRange,
        on: &[On {
            system: Windows,
            fails: &[(Bind, &["WSAEACCES"])],
            recognised: "netsh int ipv4 show excludedportrange lists a range with the port and without a star: a service has it, mostly WinNAT. A range with a star stops nobody.",
            certainty: &[Certain, Probable],
            reuseaddr: No,
            waiting: May("WinNAT chooses its ranges anew at each start"),
            helps: &[
                "let WinNAT choose anew (elevated prompt): net stop winnat && net start winnat",
                "keep the port: exclude it while WinNAT is stopped (netsh int ipv4 add excludedportrange)",
                "where the dynamic range starts below 49152: move it up (netsh int ipv4 set dynamicport), and restart",
                "use a port outside the excluded ranges",
            ],
        }],
        never: &[ELEVATED],
    },
    Entry {
        cause: Cause::Kb3039044,
        on: &[On {
            system: Windows,
            fails: &[(Bind, &["WSAEACCES"])],
            recognised: "Server 2008 R2 with hotfix 2665809, 2012 or 2012 R2, a port in a range with a star, and SO_REUSEADDR on this socket and on the one that has the port. Possible on the clients of the same versions.",
            certainty: &[Certain, Possible],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "use a port outside the dynamic range that is not excluded",
                "reserve it: bindshim reserve PORT, then bindshim-run --reservation",
                "remove the exclusion (elevated prompt): netsh int ipv4 delete excludedportrange",
            ],
        }],
        never: &[ELEVATED],
    },
    Entry {
        cause: Cause::BroadcastNotEnabled,
        on: &[On {
            system: Windows,
            fails: &[(Bind, &["WSAEACCES"])],
            recognised: "A datagram socket without SO_BROADCAST is to be bound to 255.255.255.255.",
            certainty: &[Certain, Probable],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "set SO_BROADCAST before bind",
                "or bind 0.0.0.0, which takes broadcasts as well",
            ],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::PolicyDenied,
        on: &[On {
            system: Windows,
            fails: &[(Bind, &["WSAEACCES"])],
            recognised: "By elimination: no socket and no range is in the way. Probable in an AppContainer.",
            certainty: &[Probable, Possible],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "in an AppContainer: declare internetClientServer or privateNetworkClientServer in the package",
                "see what the filtering platform refused (elevated prompt): netsh wfp show netevents",
            ],
        }],
        never: &[],
    },
];
