//! An address that is not there is told with what keeps it away, and with a command that brings it.

use std::process::Command;

use bindshim_tests::{Room, wait};
use serde_json::Value;

use crate::support::{Cure, assert_diagnosis, assert_error, failure, run_fix, succeeds};

/// Runs one of the commands of the system's own tools in this thread's network.
#[track_caller]
fn ip(arguments: &str) -> String {
    let output =
        Command::new("ip").args(arguments.split_whitespace()).output().expect("iproute2 is there");
    assert!(output.status.success(), "ip {arguments}: {output:?}");
    String::from_utf8(output.stdout).expect("ip writes text")
}

#[track_caller]
fn set(path: &str, value: &str) {
    let path = format!("/proc/sys/net/ipv6/conf/{path}");
    std::fs::write(&path, value).unwrap_or_else(|e| panic!("{path}: {e}"));
}

/// A room with two ends of a cable, `v0` and `v1`, which are down.
#[track_caller]
fn room_with_cable() -> Room {
    let room = Room::for_root("network interfaces are made");
    ip("link add v0 type veth peer name v1");
    room
}

#[track_caller]
fn index(name: &str) -> u64 {
    let shown: Value = serde_json::from_str(&ip(&format!("-json link show {name}"))).expect("JSON");
    shown[0]["ifindex"].as_u64().expect("an interface has an index")
}

/// The failure of user 65534 that the fix with the command cures.
#[track_caller]
fn cured(room: &Room, steps: &str, cause: &str, command: &str) -> Value {
    let record = failure(room, steps);
    assert_eq!(record["uid"], 65534, "{record}");
    assert_error(&record, 99, "EADDRNOTAVAIL");
    assert_eq!(record["diagnosis"]["cause"], cause, "{record}");
    assert_eq!(record["diagnosis"]["certainty"], "certain", "{record}");
    run_fix(&record, command);
    wait::until(&format!("{steps:?} to work after {command:?}"), || {
        succeeds(room, steps).then_some(())
    });
    record
}

#[test]
fn address_not_local() {
    let room = Room::for_root("a network setting is changed");
    for (kind, ip, family) in [
        ("tcp4", "203.0.113.7", "ipv4"),
        ("tcp6", "2001:db8::7", "ipv6"),
        ("udp4", "198.51.100.1", "ipv4"),
    ] {
        let steps = format!("{kind} bind {ip} {}", room.port());
        let setting = format!("net.{family}.ip_nonlocal_bind");
        let record = cured(&room, &steps, "address_not_local", &format!("sysctl -w {setting}=1"));
        assert_diagnosis(&record, "address_not_local", [Cure::No, Cure::Maybe]);
        assert!(record["diagnosis"]["fixes"].to_string().contains("0.0.0.0"), "{record}");
        std::fs::write(format!("/proc/sys/net/{family}/ip_nonlocal_bind"), "0").expect("as root");
    }
}

#[test]
fn address_link_down() {
    let room = room_with_cable();
    ip("addr add 2001:db8::5/64 dev v0 ");
    ip("addr add 192.0.2.5/24 dev v0");
    ip("link set v1 up");
    let port = room.port();
    let steps = format!("tcp6 bind 2001:db8::5 {port}");
    assert!(succeeds(&room, &format!("tcp4 bind 192.0.2.5 {port}")), "IPv4 works all the same");
    let record = cured(&room, &steps, "address_link_down", "ip link set dev v0 up");
    assert_diagnosis(&record, "address_link_down", [Cure::No, Cure::Maybe]);
    assert!(record["diagnosis"]["summary"].to_string().contains("v0"), "{record}");
}

#[test]
fn address_on_a_link_without_carrier() {
    let room = room_with_cable();
    ip("addr add 2001:db8::5/64 dev v0");
    ip("link set v0 up");
    let record = failure(&room, &format!("tcp6 bind 2001:db8::5 {}", room.port()));
    assert_diagnosis(&record, "address_link_down", [Cure::No, Cure::Maybe]);
    assert!(record["diagnosis"]["summary"].to_string().contains("no carrier"), "{record}");
}

#[test]
fn address_tentative() {
    let room = room_with_cable();
    set("v0/dad_transmits", "60");
    ip("link set v1 up");
    ip("link set v0 up");
    ip("addr add 2001:db8::5/64 dev v0");
    wait::until("a carrier", || ip("link show v0").contains("LOWER_UP").then_some(()));
    let record = failure(&room, &format!("udp6 bind 2001:db8::5 {}", room.port()));
    assert_error(&record, 99, "EADDRNOTAVAIL");
    assert_diagnosis(&record, "address_tentative", [Cure::No, Cure::Yes]);
    assert_eq!(record["diagnosis"]["certainty"], "certain", "{record}");
}

#[test]
fn waiting_cures_a_tentative_address() {
    let room = room_with_cable();
    set("v0/dad_transmits", "1");
    ip("link set v1 up");
    ip("link set v0 up");
    wait::until("a carrier", || ip("link show v0").contains("LOWER_UP").then_some(()));
    ip("addr add 2001:db8::5/64 dev v0");
    let victim = room.run_victim("steps", &format!("tcp6 bind 2001:db8::5 {}", room.port()));
    let ended = victim.user(65534).recorded(&room).set("retry", "20s").finish();
    assert_eq!(ended.code(), Some(0), "{}", ended.stdout);
}

#[test]
fn address_duplicate() {
    let room = room_with_cable();
    ip("link set v0 up");
    ip("link set v1 up");
    ip("addr add 2001:db8::6/64 dev v0 nodad");
    ip("addr add 2001:db8::6/64 dev v1");
    wait::until("the duplicate to be noticed", || {
        ip("-6 address show dev v1").contains("dadfailed").then_some(())
    });
    // While v0 has it too it can be bound: the socket is not tied to v1.
    ip("addr del 2001:db8::6/64 dev v0");
    let record = failure(&room, &format!("tcp6 bind 2001:db8::6 {}", room.port()));
    assert_error(&record, 99, "EADDRNOTAVAIL");
    assert_diagnosis(&record, "address_duplicate", [Cure::No, Cure::No]);
    assert!(record["diagnosis"]["summary"].to_string().contains("v1"), "{record}");
}

#[test]
fn ipv6_disabled() {
    let room = Room::for_root("a network setting is changed");
    let steps = format!("tcp6 bind ::1 {}", room.port());
    for interface in ["all", "lo"] {
        set(&format!("{interface}/disable_ipv6"), "1");
        let command = format!("sysctl -w net.ipv6.conf.{interface}.disable_ipv6=0");
        assert!(succeeds(&room, &format!("tcp6 bind :: {}", room.port())), ":: works all the same");
        let record = cured(&room, &steps, "ipv6_disabled", &command);
        assert_diagnosis(&record, "ipv6_disabled", [Cure::No, Cure::No]);
        assert!(record["diagnosis"]["fixes"].to_string().contains("127.0.0.1"), "{record}");
    }
}

#[test]
fn loopback_down() {
    let room = Room::for_root("the loopback interface is switched off");
    ip("link set lo down");
    let port = room.port();
    assert!(succeeds(&room, &format!("tcp4 bind 127.0.0.1 {port}")), "IPv4 works all the same");
    let steps = format!("tcp6 bind ::1 {port}");
    let record = cured(&room, &steps, "loopback_down", "ip link set lo up");
    assert_diagnosis(&record, "loopback_down", [Cure::No, Cure::Maybe]);
}

#[test]
fn wrong_scope() {
    let room = room_with_cable();
    ip("link set v0 up");
    ip("link set v1 up");
    ip("addr add fe80::77/64 dev v1 nodad");
    let port = room.port();
    let record = failure(&room, &format!("tcp6 bind fe80::77%v0 {port}"));
    assert_error(&record, 99, "EADDRNOTAVAIL");
    assert_diagnosis(&record, "wrong_scope", [Cure::No, Cure::No]);
    assert_eq!(record["address"]["scope"], index("v0"), "{record}");
    let fixes = record["diagnosis"]["fixes"].to_string();
    assert!(fixes.contains(&format!("%v1 (sin6_scope_id {})", index("v1"))), "{record}");
    assert!(succeeds(&room, &format!("tcp6 bind fe80::77%v1 {port}")));
    let record = failure(&room, &format!("tcp6 device v0 bind ::1 {port}"));
    assert_diagnosis(&record, "wrong_scope", [Cure::No, Cure::No]);
}

#[test]
fn missing_scope() {
    let room = room_with_cable();
    ip("link set v1 up");
    ip("addr add fe80::77/64 dev v1 nodad");
    let port = room.port();
    let record = failure(&room, &format!("tcp6 bind fe80::77 {port}"));
    assert_error(&record, 22, "EINVAL");
    assert_diagnosis(&record, "missing_scope", [Cure::No, Cure::No]);
    let fixes = record["diagnosis"]["fixes"].to_string();
    assert!(fixes.contains("fe80::77%v1"), "{record}");
    assert!(succeeds(&room, &format!("tcp6 bind fe80::77%v1 {port}")));
    let record = failure(&room, &format!("udp6 bind ff02::1 {port}"));
    assert_diagnosis(&record, "missing_scope", [Cure::No, Cure::No]);
}

#[test]
fn missing_device() {
    let room = Room::new();
    let port = room.port();
    for (steps, call) in [
        (format!("tcp6 bind fe80::77%99 {port}"), "bind"),
        ("tcp4 device nope0".to_owned(), "setsockopt"),
        (format!("tcp6 ifindex 99 bind ::1 {port}"), "bind"),
    ] {
        let record = failure(&room, &steps);
        assert_error(&record, 19, "ENODEV");
        assert_eq!(record["call"], call, "{record}");
        assert_eq!(record["diagnosis"]["cause"], "missing_device", "{record}");
        assert_eq!(record["diagnosis"]["certainty"], "certain", "{record}");
        let summary = record["diagnosis"]["summary"].to_string();
        assert!(summary.contains("99") || summary.contains("nope0"), "{record}");
    }
}
