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
            "nginx.exe (pid 812, user alice) has 0.0.0.0:8080 as well, because SO_REUSEADDR is set: which of the two gets what comes in is not determined",
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
    for (attempt, sockets) in [
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
