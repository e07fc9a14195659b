//! Successes that need a warning, and those that need none.

use super::*;
use SocketState::{Bound, Established, Listen, TimeWait, Udp};

fn granted(attempt: Attempt, other: PortSocket, cause: &'static str, summary: &'static str) -> Row {
    Row { cures: (None, None), ..Row::new(attempt, 0, machine(&[other]), cause, summary) }
}

pub(super) fn rows() -> Vec<Row> {
    let [any, one] = ["0.0.0.0:8080", "127.0.0.1:8080"];
    Vec::from([
        granted(
            reuse(tcp(any)),
            held(Listen, any, nginx()),
            "port_shared_by_reuseaddr",
            "nginx.exe (pid 812, user alice) has 0.0.0.0:8080 as well, because SO_REUSEADDR is set: which of the two gets what comes in is not determined",
        ),
        granted(
            reuse(udp(any)),
            held(Udp, any, nginx()),
            "port_shared_by_reuseaddr",
            "nginx.exe (pid 812, user alice) has 0.0.0.0:8080 as well, because SO_REUSEADDR is set: which of the two gets a datagram is not determined, unless it is a multicast or a broadcast",
        ),
        granted(
            udp(one),
            held(Udp, any, nginx()),
            "port_shadowed",
            "nginx.exe (pid 812, user alice) has 0.0.0.0:8080 as well: this socket takes the datagrams to its address from it",
        ),
        Row {
            certainty: "probable",
            ..granted(
                reuse(tcp(one)),
                nameless(Listen, any),
                "port_shared_by_reuseaddr",
                "a process that Windows does not name has 0.0.0.0:8080 as well, because SO_REUSEADDR is set: which of the two gets what comes in is not determined",
            )
        },
        granted(
            tcp(one),
            held(Listen, any, nginx()),
            "port_shadowed",
            "nginx.exe (pid 812, user alice) has 0.0.0.0:8080 as well: this socket takes its address away from it",
        ),
        granted(
            tcp(any),
            held(Listen, one, nginx()),
            "port_shadowed",
            "nginx.exe (pid 812, user alice) has 127.0.0.1:8080 as well: that one keeps what is sent to its address",
        ),
    ])
}

#[test]
fn plain_successes_are_told_without_a_diagnosis() {
    let [any, one] = ["0.0.0.0:8080", "127.0.0.1:8080"];
    let [mdns, ssdp] = ["0.0.0.0:5353", "192.0.2.1:1900"];
    let [group, group6, all] = ["239.1.2.3:8080", "[ff02::1]:8080", "255.255.255.255:8080"];
    for (attempt, sockets) in [
        (reuse(udp(mdns)), &[held(Udp, mdns, nginx())][..]),
        (udp(ssdp), &[held(Udp, "0.0.0.0:1900", nginx())]),
        (reuse(udp(group)), &[held(Udp, group, nginx())]),
        (reuse(udp(group6)), &[held(Udp, group6, nginx())]),
        (reuse(udp(all)), &[held(Udp, any, nginx())]),
        (tcp(any), &[][..]),
        (reuse(tcp(any)), &[]),
        (reuse(tcp(any)), &[held(Bound, any, own())]),
        (tcp(one), &[held(Listen, any, own())]),
        (reuse(tcp(any)), &[nameless(TimeWait, any), held(Established, one, nginx())]),
        (listen(reuse(tcp(any))), &[held(Listen, any, nginx())]),
    ] {
        let told = record(&Row::new(attempt, 0, machine(sockets), "", ""));
        assert_eq!(told["warning"], false, "{told}");
        assert!(told["diagnosis"].is_null() && told["diagnosis_us"].is_null(), "{told}");
    }
}

#[test]
fn nothing_is_looked_for_where_nothing_is_worth_a_warning() {
    let exclusive = telling(machine(&[]), |windows| windows.exclusive = Fact::Known(true));
    let [any, mdns] = ["0.0.0.0:8080", "0.0.0.0:5353"];
    for (attempt, facts, expected) in [
        (tcp(any), machine(&[]), true),
        (udp(any), machine(&[]), true),
        (tcp(mdns), machine(&[]), true),
        (tcp(any), Facts::NONE, true),
        (tcp(any), exclusive, false),
        (udp(mdns), machine(&[]), false),
        (tcp("0.0.0.0:0"), machine(&[]), false),
        (listen(tcp(any)), machine(&[]), false),
    ] {
        assert_eq!(may_warn(&attempt, &facts), expected, "{attempt:?}");
    }
}
