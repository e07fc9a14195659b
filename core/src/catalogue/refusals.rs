//! Refusals on Linux. But for a missing capability nobody says who refused: what is left when the
//! kernel's own reasons are excluded is told with the certainty that it has.

use super::Cure::No;
use super::{ANY, Entry, On};
use crate::attempt::Function::{Bind, Listen, Setsockopt};
use crate::cause::Cause;
use crate::code::System::Linux;
use crate::record::Certainty::{Certain, Possible, Probable};

/// Often advised, and more than is needed.
const ROOT: &str = "to run everything as root";

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        cause: Cause::PrivilegedPort,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EACCES"])],
            recognised: "The port is below net.ipv4.ip_unprivileged_port_start, and the process lacks CAP_NET_BIND_SERVICE in the user namespace that owns its network. Under no_new_privs a sandbox may have refused first. EACCES hides who has the port; that is named in also.",
            certainty: &[Certain, Probable],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "as a systemd service: AmbientCapabilities=CAP_NET_BIND_SERVICE in its unit, or a .socket unit",
                "in a container: --cap-add NET_BIND_SERVICE; in a rootless one a network of its own",
                "setcap cap_net_bind_service=+ep on the program's file; LD_PRELOAD, and so bindshim, is then ignored",
                "use a port from the limit up",
                "open the port to everybody, as root: sysctl -w net.ipv4.ip_unprivileged_port_start=PORT",
            ],
        }],
        never: &[ROOT],
    },
    Entry {
        cause: Cause::LandlockDenied,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EACCES"])],
            recognised: "By elimination: a TCP port that needs no privilege, and no_new_privs is set. Landlock cannot be asked for its rules; it knows the bind of TCP sockets alone.",
            certainty: &[Probable, Possible],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "allow the port in the sandbox's rules (LANDLOCK_RULE_NET_PORT)",
                "use a port that they allow",
            ],
        }],
        never: &[ROOT],
    },
    Entry {
        cause: Cause::CgroupBpfDenied,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EPERM", "EACCES"]), (Setsockopt, &["EPERM"])],
            recognised: "The kernel's own bind never gives EPERM, and a look at the seccomp filters shows that none of them does. A program may choose another error; EACCES is told as possible where nothing else explains it, and others are unknown.",
            certainty: &[Probable, Possible],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "a systemd service: systemctl show -p SocketBindDeny,SocketBindAllow UNIT",
                "else see which programs there are, as root: bpftool cgroup tree",
            ],
        }],
        never: &[ROOT],
    },
    Entry {
        cause: Cause::SeccompDenied,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &[ANY]), (Listen, &[ANY]), (Setsockopt, &[ANY])],
            recognised: "The process has a seccomp filter, and the same call without a socket gives the same error instead of EBADF.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "allow the call in the filter: the container's seccomp profile, or SystemCallFilter= of the systemd unit",
            ],
        }],
        never: &[ROOT],
    },
    Entry {
        cause: Cause::SelinuxDenied,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EACCES"]), (Listen, &["EACCES"])],
            recognised: "By elimination: SELinux enforces its policy, and the port needs no privilege.",
            certainty: &[Probable, Possible],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "see what was refused, as root: ausearch -m avc -ts recent",
                "allow the port to the program's kind: semanage port -a -t http_port_t -p tcp PORT",
            ],
        }],
        never: &["setenforce 0", ROOT],
    },
    Entry {
        cause: Cause::ApparmorDenied,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EACCES"]), (Listen, &["EACCES"])],
            recognised: "By elimination: the process is confined by an AppArmor profile, and the port needs no privilege.",
            certainty: &[Probable, Possible],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "see what was refused, as root: journalctl -k --grep=apparmor=.DENIED",
                "allow it in the profile: a network rule such as \"network tcp,\"",
            ],
        }],
        never: &[ROOT],
    },
    Entry {
        cause: Cause::OptionNotPermitted,
        on: &[On {
            system: Linux,
            fails: &[(Setsockopt, &["EPERM"])],
            recognised: "The process lacks the capability: CAP_NET_RAW to change the device of a socket that has one, CAP_NET_RAW or CAP_NET_ADMIN for IP_TRANSPARENT.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "make a new socket, and tie that one to the interface",
                "as a systemd service: AmbientCapabilities=CAP_NET_RAW in its unit",
            ],
        }],
        never: &[ROOT],
    },
];
