//! Addresses and interfaces that are not there.

use super::Cure::{May, No, Yes};
use super::{Entry, On};
use crate::attempt::Function::{Bind, Setsockopt};
use crate::cause::Cause;
use crate::code::System::{Linux, Windows};
use crate::record::Certainty::{Certain, Probable};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        cause: Cause::AddressNotLocal,
        on: &[
            On {
                system: Linux,
                fails: &[(Bind, &["EADDRNOTAVAIL"])],
                recognised: "No interface has the address, as the kernel's own tables of addresses and routes say.",
                certainty: &[Certain],
                reuseaddr: No,
                waiting: May("where the address comes later (DHCP, a virtual IP)"),
                helps: &[
                    "use an address that this machine has (ip -brief address), not that of a router before it",
                    "0.0.0.0 (IPv6: ::) is every address of the machine",
                    "for an address that comes later: IP_FREEBIND, After=network-online.target, or as root sysctl -w net.ipv4.ip_nonlocal_bind=1",
                ],
            },
            On {
                system: Windows,
                fails: &[(Bind, &["WSAEADDRNOTAVAIL"])],
                recognised: "No interface has the address (GetAdaptersAddresses).",
                certainty: &[Certain],
                reuseaddr: No,
                waiting: May("where the address comes later"),
                helps: &[
                    "use an address that this machine has (ipconfig)",
                    "0.0.0.0 (IPv6: ::) is every address of the machine",
                ],
            },
        ],
        never: &[],
    },
    Entry {
        cause: Cause::AddressTentative,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRNOTAVAIL"])],
            recognised: "The address has the flag tentative, and its interface is up.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: Yes,
            helps: &[
                "start it again in a few seconds, or let bindshim-run --retry wait",
                "set IPV6_FREEBIND, or add the address with nodad or optimistic",
            ],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::AddressDuplicate,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRNOTAVAIL"])],
            recognised: "The address has the flag dadfailed.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "give one of the two machines another address; the kernel's log names the other one",
            ],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::AddressLinkDown,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRNOTAVAIL"])],
            recognised: "The address is tentative, and its interface is down or has no carrier. An IPv4 address there can be bound.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: May("when the link comes up"),
            helps: &[
                "switch the interface on, as root: ip link set NAME up",
                "without a carrier: see why, a cable or its other end",
                "set IPV6_FREEBIND before bind",
            ],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::Ipv6Disabled,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRNOTAVAIL"])],
            recognised: "net.ipv6.conf.all.disable_ipv6 is 1, or that of lo where ::1 is asked for. :: can be bound all the same. Where the kernel was started with ipv6.disable=1, socket() fails with EAFNOSUPPORT before any bind.",
            certainty: &[Certain, Probable],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "bind 127.0.0.1 (or another IPv4 address), or ::, which works without IPv6",
                "switch it on, as root: sysctl -w net.ipv6.conf.all.disable_ipv6=0; a container: docker run --sysctl with the same",
            ],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::LoopbackDown,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRNOTAVAIL"])],
            recognised: "::1 is asked for, and the interface lo is down, as in every new network namespace. 127.0.0.1 can be bound.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: May("when somebody switches it on"),
            helps: &["switch it on, as root: ip link set lo up", "or bind 127.0.0.1"],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::WrongScope,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EADDRNOTAVAIL"])],
            recognised: "The address is on an interface, but not on the one that its scope or SO_BINDTODEVICE names. The failed bind leaves the socket tied to that interface.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "give the address with the interface that has it, fe80::1%eth0 (sin6_scope_id), and to a new socket",
            ],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::MissingScope,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["EINVAL"])],
            recognised: "A link-local address (fe80::/10, ff02::/16) without a scope, and a socket that is tied to no device.",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: No,
            helps: &[
                "write it with its interface, fe80::1%eth0 (sin6_scope_id); ip -brief -6 address shows it",
            ],
        }],
        never: &[],
    },
    Entry {
        cause: Cause::MissingDevice,
        on: &[On {
            system: Linux,
            fails: &[(Bind, &["ENODEV"]), (Setsockopt, &["ENODEV"])],
            recognised: "The kernel knows no interface of the name (SO_BINDTODEVICE) or of the index (sin6_scope_id, SO_BINDTOIFINDEX, which is looked at by bind).",
            certainty: &[Certain],
            reuseaddr: No,
            waiting: May("where the interface comes later"),
            helps: &["take an interface that is there, in this network namespace: ip -brief link"],
        }],
        never: &[],
    },
];
