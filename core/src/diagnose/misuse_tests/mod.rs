//! Addresses that are not there, wrong uses, refusals and surprising successes on a made-up Linux
//! machine, told through the whole record.

mod addresses;
mod mistakes;
mod refusals;
mod successes;

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
use addresses::addresses;
use mistakes::mistakes;
use refusals::refusals;

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
        unit: None,
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
