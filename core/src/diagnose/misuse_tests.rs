//! Addresses that are not there, wrong uses, refusals and surprising successes on a made-up Linux
//! machine, told through the whole record.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::string::ToString;
use std::vec::Vec;

use arrayvec::ArrayVec;
use serde_json::Value;

use super::tests::told;
use crate::address::Address;
use crate::attempt::{
    Attempt, Family, Function, OptionValue, Protocol, Socket, SocketOption, SocketType,
};
use crate::code::*;
use crate::engine::Engine;
use crate::facts::network::{Interface, Ipv6, Network};
use crate::facts::rights::Rights;
use crate::facts::rights::capability::{NET_BIND_SERVICE, NET_RAW};
use crate::facts::{Fact, Facts, Locality};
use crate::policy::Policy;
use crate::text::Text;

use Fact::Known;

/// One row: a failure on a machine, and what must be told of it.
struct Row {
    attempt: Attempt,
    code: i32,
    facts: Facts,
    cause: &'static str,
    certainty: &'static str,
    summary: &'static str,
    retry_cures: Option<bool>,
    /// The first command among the fixes.
    command: Option<&'static str>,
    also: &'static [&'static str],
}

fn v6(text: &str, port: u16, scope: u32) -> Address {
    Address::V6 { ip: text.parse().unwrap(), port, scope }
}

fn tcp(address: Address) -> Attempt {
    let is_v6 = matches!(address, Address::V6 { .. });
    Attempt {
        address_length: Some(if is_v6 { 28 } else { 16 }),
        socket: Socket {
            cookie: Some(4099),
            family: Some(if is_v6 { Family::Inet6 } else { Family::Inet }),
            kind: Some(SocketType::Stream),
            protocol: Some(Protocol::Tcp),
            reuseaddr: Some(false),
            reuseport: Some(false),
            v6only: is_v6.then_some(false),
        },
        address: Some(address),
        ..Attempt::new(Function::Bind, 6)
    }
}

fn tcp6(ip: &str) -> Attempt {
    tcp(v6(ip, 8080, 0))
}

fn tcp4(port: u16) -> Attempt {
    tcp(Address::V4 { ip: Ipv4Addr::UNSPECIFIED, port })
}

fn listen() -> Attempt {
    Attempt { call: Function::Listen, ..tcp4(8080) }
}

fn of_type(kind: SocketType, mut attempt: Attempt) -> Attempt {
    attempt.socket.kind = Some(kind);
    attempt.socket.protocol = Some(Protocol::Udp);
    attempt
}

fn of_unix(mut attempt: Attempt) -> Attempt {
    attempt.socket.family = Some(Family::Unix);
    attempt.socket.protocol = None;
    attempt.address = None;
    attempt
}

fn setsockopt(level: &'static str, name: &'static str, value: OptionValue) -> Attempt {
    let option = Some(SocketOption { level, name, value });
    Attempt { call: Function::Setsockopt, option, address: None, ..tcp4(0) }
}

fn network(locality: Locality, network: Network) -> Facts {
    Facts { locality: Known(locality), network, ..Facts::NONE }
}

fn on(name: &str, is_up: bool, has_carrier: bool) -> Network {
    let interface = Interface { index: 3, name: Text::from(name), is_up, has_carrier };
    Network { interface: Known(Some(interface)), device: Known(0), ..Network::NONE }
}

fn absent(ipv6: Ipv6, loopback_up: bool) -> Facts {
    let network_facts = Network {
        interface: Known(None),
        loopback_up: Known(loopback_up),
        ipv6: Known(ipv6),
        device: Known(0),
    };
    network(Locality::Absent, network_facts)
}

fn bound(address: Address, peer: Option<Address>) -> Facts {
    Facts {
        bound: Known(Some(address)),
        peer: Known(peer),
        ephemeral: Known((32768, 60999)),
        ..Facts::NONE
    }
}

fn not_bound(peer: Option<Address>) -> Facts {
    Facts { bound: Known(None), peer: Known(peer), ..Facts::NONE }
}

fn rights(change: impl FnOnce(&mut Rights)) -> Facts {
    let mut rights = Rights {
        euid: Known(1000),
        capabilities: Known(0),
        owns_network: Known(true),
        no_new_privileges: Known(false),
        filter_refuses: Known(false),
        selinux_enforces: Known(false),
        apparmor: Known(None),
    };
    change(&mut rights);
    let can_bind_privileged = rights.have(NET_BIND_SERVICE);
    Facts { unprivileged_from: Known(1024), can_bind_privileged, rights, ..Facts::NONE }
}

fn row(
    attempt: Attempt,
    code: i32,
    facts: Facts,
    cause: &'static str,
    summary: &'static str,
) -> Row {
    Row {
        attempt,
        code,
        facts,
        cause,
        certainty: "certain",
        summary,
        retry_cures: Some(false),
        command: None,
        also: &[],
    }
}

fn addresses() -> Vec<Row> {
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
            command: Some("ip link set eth0 up"),
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

fn mistakes() -> Vec<Row> {
    let here = || v6("::1", 9000, 0);
    let there = || v6("2001:db8::9", 443, 0);
    let any = |port| Address::V4 { ip: Ipv4Addr::UNSPECIFIED, port };
    let nameless = || Address::Raw { family: 1, bytes: ArrayVec::new() };
    let mut v6only = tcp6("::ffff:192.0.2.1");
    v6only.socket.v6only = Some(true);
    let udp = |attempt| of_type(SocketType::Datagram, attempt);
    let too_late =
        "IPV6_V6ONLY must be set before bind, and this socket is bound already, to [::1]:9000";
    let one = OptionValue::Number(1);
    let device = OptionValue::Name(Text::from("nope0"));
    Vec::from([
        row(
            tcp6("::1"),
            EINVAL,
            bound(here(), Some(there())),
            "already_connected",
            "this socket is connected already, from [::1]:9000 to [2001:db8::9]:443",
        ),
        Row {
            certainty: "probable",
            ..row(
                udp(tcp4(8080)),
                EINVAL,
                bound(any(41234), None),
                "already_connected",
                "this socket is bound already, to 0.0.0.0:41234, a port of the kernel's choice: the first sendto() binds a socket",
            )
        },
        row(
            udp(tcp4(8080)),
            EINVAL,
            bound(any(9000), None),
            "already_bound",
            "this socket is already bound, to 0.0.0.0:9000",
        ),
        row(
            tcp6("ff02::1"),
            EINVAL,
            not_bound(None),
            "multicast_stream",
            "ff02::1 is a multicast address, and a stream socket cannot have one",
        ),
        row(
            v6only,
            EINVAL,
            not_bound(None),
            "v4_mapped_on_v6only",
            "::ffff:192.0.2.1 is the IPv4 address 192.0.2.1, and this socket is for IPv6 only (IPV6_V6ONLY)",
        ),
        row(
            udp(listen()),
            EOPNOTSUPP,
            Facts::NONE,
            "listen_not_supported",
            "a socket of type dgram cannot listen",
        ),
        row(
            listen(),
            EINVAL,
            bound(here(), Some(there())),
            "listen_wrong_state",
            "this socket is connected to [2001:db8::9]:443, and cannot listen",
        ),
        row(
            of_unix(listen()),
            EINVAL,
            not_bound(Some(nameless())),
            "listen_wrong_state",
            "this socket is connected, and cannot listen",
        ),
        row(
            of_unix(listen()),
            EINVAL,
            not_bound(None),
            "listen_wrong_state",
            "this Unix socket is not bound, so that nobody could reach it",
        ),
        row(
            listen(),
            EINVAL,
            bound(here(), None),
            "listen_wrong_state",
            "this socket is connecting, and cannot listen",
        ),
        row(
            setsockopt("IPPROTO_IPV6", "IPV6_V6ONLY", one),
            EINVAL,
            bound(here(), None),
            "option_too_late",
            too_late,
        ),
        row(
            setsockopt("IPPROTO_IPV6", "IPV6_V6ONLY", one),
            ENOPROTOOPT,
            Facts::NONE,
            "option_unsupported",
            "a socket of family inet does not have IPV6_V6ONLY",
        ),
        row(
            of_unix(setsockopt("SOL_SOCKET", "SO_REUSEPORT", one)),
            EOPNOTSUPP,
            Facts::NONE,
            "option_unsupported",
            "a socket of family unix does not have SO_REUSEPORT",
        ),
        Row {
            command: Some("ip -brief link"),
            ..row(
                setsockopt("SOL_SOCKET", "SO_BINDTODEVICE", device),
                ENODEV,
                Facts::NONE,
                "missing_device",
                "there is no interface nope0",
            )
        },
        row(
            setsockopt("SOL_SOCKET", "SO_BINDTODEVICE", device),
            EPERM,
            rights(|_| {}),
            "option_not_permitted",
            "this socket is tied to an interface already; to change that with SO_BINDTODEVICE needs CAP_NET_RAW",
        ),
        row(
            setsockopt("IPPROTO_IP", "IP_TRANSPARENT", one),
            EPERM,
            rights(|_| {}),
            "option_not_permitted",
            "IP_TRANSPARENT needs CAP_NET_RAW or CAP_NET_ADMIN, which this process lacks",
        ),
    ])
}

fn refusals() -> Vec<Row> {
    const BPF: &str =
        "no rule of the kernel's own refuses this: a BPF program on the cgroup of this process may";
    const LANDLOCK: &str = "the port needs no privilege that this process lacks, and it may be in a sandbox (no_new_privs is set): a Landlock rule that does not allow this TCP port answers so";
    let udp = |attempt| of_type(SocketType::Datagram, attempt);
    let possible = |row: Row| Row { certainty: "possible", ..row };
    let probable = |row: Row| Row { certainty: "probable", ..row };
    let sandboxed = |r: &mut Rights| r.no_new_privileges = Known(true);
    Vec::from([
        Row {
            command: Some("sysctl -w net.ipv4.ip_unprivileged_port_start=80"),
            ..row(
                tcp4(80),
                EACCES,
                rights(|r| r.euid = Known(0)),
                "privileged_port",
                "port 80 is privileged (below 1024), and this process lacks CAP_NET_BIND_SERVICE, although it is root",
            )
        },
        row(
            tcp4(80),
            EACCES,
            rights(|r| {
                r.euid = Known(0);
                r.capabilities = Known(u64::MAX);
                r.owns_network = Known(false);
            }),
            "privileged_port",
            "port 80 is privileged (below 1024), and CAP_NET_BIND_SERVICE of this process does not count: its network belongs to another user namespace",
        ),
        probable(Row {
            also: &["cgroup_bpf_denied"],
            ..row(tcp4(8080), EACCES, rights(sandboxed), "landlock_denied", LANDLOCK)
        }),
        probable(Row {
            also: &["cgroup_bpf_denied"],
            ..row(tcp4(0), EACCES, rights(sandboxed), "landlock_denied", LANDLOCK)
        }),
        possible(Row {
            command: Some("bpftool cgroup tree"),
            ..row(udp(tcp4(8080)), EACCES, rights(sandboxed), "cgroup_bpf_denied", BPF)
        }),
        possible(row(tcp4(8080), EACCES, rights(|_| {}), "cgroup_bpf_denied", BPF)),
        probable(Row {
            command: Some("bpftool cgroup tree"),
            ..row(tcp4(8080), EPERM, rights(|_| {}), "cgroup_bpf_denied", BPF)
        }),
        row(
            tcp4(8080),
            EPERM,
            rights(|r| r.filter_refuses = Known(true)),
            "seccomp_denied",
            "a seccomp filter answers every bind of this process with EPERM",
        ),
        row(
            listen(),
            EACCES,
            rights(|r| r.filter_refuses = Known(true)),
            "seccomp_denied",
            "a seccomp filter answers every listen of this process with EACCES",
        ),
        probable(Row {
            command: Some("ausearch -m avc -ts recent"),
            also: &["cgroup_bpf_denied"],
            ..row(
                tcp4(8090),
                EACCES,
                rights(|r| r.selinux_enforces = Known(true)),
                "selinux_denied",
                "SELinux enforces its policy, which seems not to allow port 8090 to this program",
            )
        }),
        possible(Row {
            also: &["landlock_denied", "cgroup_bpf_denied"],
            ..row(
                tcp4(8090),
                EACCES,
                rights(|r| {
                    r.selinux_enforces = Known(true);
                    r.no_new_privileges = Known(true);
                }),
                "selinux_denied",
                "SELinux enforces its policy, which seems not to allow port 8090 to this program",
            )
        }),
        probable(Row {
            also: &["cgroup_bpf_denied"],
            ..row(
                udp(tcp4(8090)),
                EACCES,
                rights(|r| r.apparmor = Known(Some(Text::from("docker-default")))),
                "apparmor_denied",
                "the AppArmor profile docker-default may not allow this",
            )
        }),
        possible(Row {
            retry_cures: None,
            ..row(
                tcp4(8080),
                EACCES,
                rights(|r| r.selinux_enforces = Fact::Unknown(crate::facts::Why::Permission)),
                "unknown",
                "the kernel said EACCES (Permission denied); what is known does not show why",
            )
        }),
        possible(Row {
            retry_cures: None,
            ..row(
                tcp4(80),
                EACCES,
                Facts {
                    unprivileged_from: Fact::Unknown(crate::facts::Why::NoProc),
                    ..rights(sandboxed)
                },
                "unknown",
                "the kernel said EACCES (Permission denied); what is known does not show why",
            )
        }),
        probable(Row {
            retry_cures: Some(true),
            ..row(
                tcp4(8080),
                ENOMEM,
                Facts::NONE,
                "out_of_memory",
                "the kernel had no memory for the call (ENOMEM)",
            )
        }),
        probable(Row {
            retry_cures: Some(true),
            ..row(
                of_unix(tcp4(0)),
                EINTR,
                Facts::NONE,
                "out_of_memory",
                "a signal interrupted the call before it was done",
            )
        }),
    ])
}

fn record(row: &Row) -> Value {
    let engine = Engine::new(Policy::default());
    told(engine, &row.attempt, Err(Code::linux(row.code)), &row.facts)
}

#[test]
fn every_cause_is_told_through_the_whole_record() {
    for row in [addresses(), mistakes(), refusals()].into_iter().flatten() {
        let record = record(&row);
        let told = &record["diagnosis"];
        let name = std::format!("{} {}", row.cause, row.summary);
        assert_eq!(told["summary"], row.summary);
        assert_eq!(told["cause"], row.cause, "{name}");
        assert_eq!(told["certainty"], row.certainty, "{name}");
        assert_eq!(told["also"], serde_json::json!(row.also), "{name}");
        assert_eq!(told["retry_cures"].as_bool(), row.retry_cures, "{name}");
        let reuseaddr = if row.cause == "unknown" { None } else { Some(false) };
        assert_eq!(told["reuseaddr_cures"].as_bool(), reuseaddr, "{name}");
        let fixes = told["fixes"].as_array().unwrap();
        assert_eq!(fixes.is_empty(), row.cause == "unknown", "{name}");
        let command = fixes.iter().find_map(|fix| fix["run"].as_str());
        if row.command.is_some() {
            assert_eq!(command, row.command, "{name}");
        }
        for text in fixes.iter().map(|fix| fix["say"].as_str().unwrap()) {
            assert!(text.len() < 192, "cut: {text}");
        }
        assert!(told["summary"].as_str().unwrap().len() < 384, "cut: {told}");
    }
}

#[test]
fn nothing_dangerous_is_advised() {
    for row in [addresses(), mistakes(), refusals()].into_iter().flatten() {
        let fixes = record(&row)["diagnosis"]["fixes"].to_string();
        for never in ["kill -9", "setenforce", "SO_REUSEPORT", "unlink", "as root user", "sudo "] {
            assert!(!fixes.contains(never), "{fixes}");
        }
    }
}

#[test]
fn a_port_backwards_is_a_hint_and_no_cause() {
    let facts = absent(Ipv6::On, true);
    let row = row(tcp(v6("2001:db8::7", 36895, 0)), EADDRNOTAVAIL, facts, "", "");
    let told = &record(&row)["diagnosis"];
    assert_eq!(told["cause"], "address_not_local");
    assert_eq!(told["also"], serde_json::json!(["swapped_port_bytes"]));
    assert!(told["summary"].as_str().unwrap().contains("8080: if that was meant, htons()"));
    assert!(!told["fixes"].to_string().contains("htons"));
}

/// The record of a success on Linux that is looked at.
fn success(attempt: &Attempt, facts: &Facts) -> Value {
    let engine = Engine::new(Policy::default()).looking_at_successes(System::Linux);
    told(engine, attempt, Ok(()), facts)
}

#[test]
fn listening_on_a_random_port_is_a_warning() {
    let mut attempt = listen();
    attempt.address = Some(Address::V4 { ip: Ipv4Addr::UNSPECIFIED, port: 40123 });
    let record = success(&attempt, &not_bound(None));
    assert_eq!(record["warning"], true);
    assert_eq!(record["outcome"], "ok");
    let told = &record["diagnosis"];
    assert_eq!(told["cause"], "listening_on_random_port");
    assert_eq!(told["certainty"], "certain");
    assert_eq!(
        told["summary"],
        "this socket was not bound, and listens on 0.0.0.0:40123, a port that the kernel chose; mostly a bind() failed before, and the program went on"
    );
    for plain in [Facts::NONE, bound(attempt.address.clone().unwrap(), None)] {
        let record = success(&attempt, &plain);
        assert_eq!(record["warning"], false);
        assert_eq!(record["diagnosis"], Value::Null);
    }
    let unbound = of_unix(listen());
    assert_eq!(success(&unbound, &not_bound(None))["warning"], false);
}

#[test]
fn a_rewritten_address_is_a_warning() {
    let at = |ip: [u8; 4], port| Address::V4 { ip: Ipv4Addr::from(ip), port };
    let at6 = |scope| Address::V6 { ip: Ipv6Addr::LOCALHOST, port: 80, scope };
    for (asked, actual, warning) in [
        (at([10, 0, 0, 1], 80), at([127, 0, 0, 1], 80), true),
        (at([0, 0, 0, 0], 80), at([0, 0, 0, 0], 8080), true),
        (at([0, 0, 0, 0], 0), at([0, 0, 0, 0], 40123), false),
        (at6(3), at6(0), false),
    ] {
        let mut attempt = tcp(asked);
        attempt.actual = Some(actual);
        let record = success(&attempt, &Facts::NONE);
        assert_eq!(record["warning"], warning, "{record}");
        if warning {
            assert_eq!(record["diagnosis"]["cause"], "address_rewritten");
            let said = record["diagnosis"]["summary"].to_string();
            assert!(said.contains(&attempt.actual.unwrap().to_string()), "{said}");
        }
    }
}

#[test]
fn reuseaddr_after_bind_is_a_warning() {
    let at = || Address::V4 { ip: Ipv4Addr::LOCALHOST, port: 8080 };
    let set = |value| setsockopt("SOL_SOCKET", "SO_REUSEADDR", OptionValue::Number(value));
    let record = success(&set(1), &bound(at(), None));
    assert_eq!(record["warning"], true);
    assert_eq!(record["diagnosis"]["cause"], "option_too_late");
    for (attempt, facts) in [
        (set(0), bound(at(), None)),
        (set(1), not_bound(None)),
        (setsockopt("SOL_SOCKET", "SO_REUSEPORT", OptionValue::Number(1)), bound(at(), None)),
    ] {
        assert_eq!(success(&attempt, &facts)["warning"], false);
    }
}

#[test]
fn a_capability_counts_only_where_it_is_held() {
    for (own, owns, have) in [
        (Known(0), Fact::Unknown(crate::facts::Why::NotAsked), Known(false)),
        (Known(NET_RAW), Known(true), Known(true)),
        (Known(NET_RAW), Known(false), Known(false)),
        (Known(NET_BIND_SERVICE), Known(true), Known(false)),
    ] {
        let rights = Rights { capabilities: own, owns_network: owns, ..Rights::NONE };
        assert_eq!(rights.have(NET_RAW), have);
    }
}
