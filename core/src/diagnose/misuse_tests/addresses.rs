//! Addresses that are not there.

use super::*;

pub(super) fn addresses() -> Vec<Row> {
    let tied = |device| Network { device: Known(device), ..on("eth1", true, true) };
    let tied_only = |device| Network { device: Known(device), ..Network::NONE };
    let may = |row: Row| Row { retry_cures: None, ..row };
    Vec::from([
        may(Row {
            command: Some("ip -brief address"),
            ..row(
                tcp6("2001:db8::7"),
                EADDRNOTAVAIL,
                absent(Ipv6::On, true),
                "address_not_local",
                "no interface of this machine has the address of [2001:db8::7]:8080",
            )
        }),
        may(Row {
            command: Some("ip link set lo up"),
            ..row(
                tcp6("::1"),
                EADDRNOTAVAIL,
                absent(Ipv6::On, false),
                "loopback_down",
                "the loopback interface of this network namespace is down, so that ::1 does not exist",
            )
        }),
        Row {
            command: Some("sysctl -w net.ipv6.conf.all.disable_ipv6=0"),
            also: &["loopback_down"],
            ..row(
                tcp6("::1"),
                EADDRNOTAVAIL,
                absent(Ipv6::Off, false),
                "ipv6_disabled",
                "IPv6 is switched off, so that the address of [::1]:8080 does not exist",
            )
        },
        Row {
            command: Some("sysctl -w net.ipv6.conf.lo.disable_ipv6=0"),
            ..row(
                tcp6("::1"),
                EADDRNOTAVAIL,
                absent(Ipv6::OffOnLoopback, true),
                "ipv6_disabled",
                "IPv6 is switched off on the loopback interface, so that the address of [::1]:8080 does not exist",
            )
        },
        Row {
            command: Some("sysctl -w net.ipv6.conf.all.disable_ipv6=0"),
            certainty: "probable",
            ..row(
                tcp6("2001:db8::7"),
                EADDRNOTAVAIL,
                absent(Ipv6::Off, true),
                "ipv6_disabled",
                "IPv6 is switched off, so that the address of [2001:db8::7]:8080 does not exist",
            )
        },
        may(row(
            tcp6("2001:db8::7"),
            EADDRNOTAVAIL,
            absent(Ipv6::OffOnLoopback, true),
            "address_not_local",
            "no interface of this machine has the address of [2001:db8::7]:8080",
        )),
        may(Row {
            command: Some("ip link set dev eth0 up"),
            ..row(
                tcp6("2001:db8::5"),
                EADDRNOTAVAIL,
                network(Locality::Tentative, on("eth0", false, false)),
                "address_link_down",
                "the address of [2001:db8::5]:8080 is on eth0, which is down",
            )
        }),
        may(row(
            tcp6("2001:db8::5"),
            EADDRNOTAVAIL,
            network(Locality::Tentative, on("eth0", true, false)),
            "address_link_down",
            "the address of [2001:db8::5]:8080 is on eth0, which has no link (no carrier)",
        )),
        Row {
            retry_cures: Some(true),
            ..row(
                tcp6("2001:db8::5"),
                EADDRNOTAVAIL,
                network(Locality::Tentative, on("eth0", true, true)),
                "address_tentative",
                "the address of [2001:db8::5]:8080 is new: duplicate address detection is not through yet",
            )
        },
        row(
            tcp6("2001:db8::5"),
            EADDRNOTAVAIL,
            network(Locality::Duplicate, on("eth0", true, true)),
            "address_duplicate",
            "another machine on the link has the address of [2001:db8::5]:8080 as well, so that eth0 does not use it",
        ),
        row(
            tcp(v6("fe80::5", 8080, 2)),
            EADDRNOTAVAIL,
            network(Locality::Elsewhere, tied(2)),
            "wrong_scope",
            "the address of [fe80::5%2]:8080 is not on interface 2, but on eth1 (interface 3)",
        ),
        row(
            tcp6("fe80::5"),
            EINVAL,
            Facts { bound: Known(None), ..network(Locality::Present, tied(0)) },
            "missing_scope",
            "fe80::5 is a link-local address, and no interface (sin6_scope_id) was given with it",
        ),
        may(Row {
            command: Some("ip -brief link"),
            ..row(
                tcp(v6("fe80::5", 8080, 99)),
                ENODEV,
                Facts { network: tied_only(99), ..Facts::NONE },
                "missing_device",
                "there is no interface with index 99",
            )
        }),
        may(row(
            tcp6("::1"),
            ENODEV,
            Facts { network: tied_only(7), ..Facts::NONE },
            "missing_device",
            "there is no interface with index 7",
        )),
    ])
}
