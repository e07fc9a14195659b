//! Every cause on a made-up machine, told through the whole record.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use arrayvec::ArrayVec;

mod holders;
mod ports;

use super::*;
use crate::address::Address;
use crate::attempt::{Family, Function, Outcome, Protocol, Socket, SocketType};
use crate::catalogue;
use crate::code::*;
use crate::engine::{Answer, Command, Engine};
use crate::facts::{
    Container, Descriptor, Locality, Options, PortSocket, Process, Runtime, SocketState,
};
use crate::policy::Policy;
use crate::record::{AttemptLine, Cut, Envelope, Event, Identity};
use crate::text::Text;

/// Every diagnosis of every test is held against what the catalogue says of its cause.
pub(super) fn agrees_with_the_catalogue(call: Function, code: Code, diagnosis: &Diagnosis) {
    if let Some(what) = catalogue::contradiction(call, code, diagnosis) {
        panic!("{what}: {call:?} {}: {diagnosis:?}", code.name());
    }
}

/// One row: a failure on a machine, and what must be told of it.
struct Row {
    attempt: Attempt,
    code: i32,
    facts: Facts,
    cause: &'static str,
    certainty: &'static str,
    summary: &'static str,
    /// What SO_REUSEADDR and waiting do.
    cures: (Option<bool>, Option<bool>),
    retry_after_ms: Option<u64>,
    /// The first command among the fixes.
    command: Option<&'static str>,
}

fn v4(text: &str) -> Address {
    let address: core::net::SocketAddrV4 = text.parse().unwrap();
    Address::V4 { ip: *address.ip(), port: address.port() }
}

fn tcp() -> Attempt {
    Attempt {
        address: Some(v4("0.0.0.0:8080")),
        address_length: Some(16),
        socket: Socket {
            cookie: Some(4099),
            family: Some(Family::Inet),
            kind: Some(SocketType::Stream),
            protocol: Some(Protocol::Tcp),
            reuseaddr: Some(false),
            reuseport: Some(false),
            v6only: None,
        },
        ..Attempt::new(Function::Bind, 6)
    }
}

fn udp() -> Attempt {
    let mut attempt = tcp();
    attempt.socket.kind = Some(SocketType::Datagram);
    attempt.socket.protocol = Some(Protocol::Udp);
    attempt
}

fn with(change: impl FnOnce(&mut Attempt)) -> Attempt {
    let mut attempt = tcp();
    change(&mut attempt);
    attempt
}

fn process(pid: u32, program: &str) -> Process {
    Process {
        pid,
        program: Some(Text::from(program)),
        uid: Some(1000),
        user: Some(Text::from("alice")),
        ..Process::UNKNOWN
    }
}

fn python() -> Process {
    Process { script: Some(Text::from("http.server")), ..process(4120, "/usr/bin/python3.11") }
}

fn held(state: SocketState, owner: Process) -> PortSocket {
    PortSocket {
        state,
        local: v4("0.0.0.0:8080"),
        cookie: Some(3071),
        inode: Some(26698),
        uid: Some(1000),
        owner: Fact::Known(owner),
        ..PortSocket::UNKNOWN
    }
}

fn orphan(state: SocketState, expires_ms: Option<u64>) -> PortSocket {
    PortSocket {
        remote: Some(v4("127.0.0.1:50000")),
        inode: None,
        uid: None,
        expires_ms,
        owner: Fact::Unknown(Why::NotAsked),
        ..held(state, python())
    }
}

fn sockets(list: &[PortSocket]) -> Facts {
    Facts {
        sockets: list.iter().cloned().collect(),
        sockets_total: list.len() as u32,
        sockets_unknown: None,
        ephemeral: Fact::Known((32768, 60999)),
        ..Facts::NONE
    }
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
        cures: (Some(false), Some(false)),
        retry_after_ms: None,
        command: None,
    }
}

fn in_use(list: &[PortSocket], cause: &'static str, summary: &'static str) -> Row {
    row(tcp(), EADDRINUSE, sockets(list), cause, summary)
}

/// Who or what refused.
fn refusals() -> Vec<Row> {
    let privileged = |from, can| Facts {
        unprivileged_from: Fact::Known(from),
        can_bind_privileged: Fact::Known(can),
        ..Facts::NONE
    };
    let locality = |locality| Facts { locality: Fact::Known(locality), ..Facts::NONE };
    let port_80 = || with(|a| a.address = Some(v4("0.0.0.0:80")));
    let unknown = |row: Row| Row { certainty: "possible", cures: (None, None), ..row };
    Vec::from([
        Row {
            command: Some("sysctl -w net.ipv4.ip_unprivileged_port_start=80"),
            ..row(
                port_80(),
                EACCES,
                privileged(1024, false),
                "privileged_port",
                "port 80 is privileged (below 1024), and this process lacks CAP_NET_BIND_SERVICE",
            )
        },
        row(
            port_80(),
            EACCES,
            Facts {
                unprivileged_from: Fact::Known(1024),
                can_bind_privileged: Fact::Known(false),
                ..sockets(&[held(SocketState::Listen, python())])
            },
            "privileged_port",
            "port 80 is privileged (below 1024), and this process lacks CAP_NET_BIND_SERVICE; python3.11 http.server (pid 4120, user alice) has the port as well",
        ),
        unknown(row(
            port_80(),
            EACCES,
            privileged(1024, true),
            "unknown",
            "the kernel said EACCES (Permission denied); what is known does not show why",
        )),
        unknown(row(
            tcp(),
            EACCES,
            privileged(1024, false),
            "unknown",
            "the kernel said EACCES (Permission denied); what is known does not show why",
        )),
        Row {
            cures: (Some(false), None),
            command: Some("ip -brief address"),
            ..row(
                with(|a| a.address = Some(v4("203.0.113.7:8080"))),
                EADDRNOTAVAIL,
                locality(Locality::Absent),
                "address_not_local",
                "no interface of this machine has the address of 203.0.113.7:8080",
            )
        },
        Row {
            cures: (Some(false), Some(true)),
            ..row(
                tcp(),
                EADDRNOTAVAIL,
                locality(Locality::Tentative),
                "address_tentative",
                "the address of 0.0.0.0:8080 is new: duplicate address detection is not through yet",
            )
        },
        unknown(row(
            tcp(),
            EADDRNOTAVAIL,
            locality(Locality::Present),
            "unknown",
            "the kernel said EADDRNOTAVAIL (Cannot assign requested address); what is known does not show why",
        )),
    ])
}

/// Calls that cannot work.
fn mistakes() -> Vec<Row> {
    let descriptor = |d| Facts { descriptor: Fact::Known(d), ..Facts::NONE };
    let bound = Facts { bound: Fact::Known(Some(v4("127.0.0.1:9000"))), ..Facts::NONE };
    let inet6 = |a: &mut Attempt| a.socket.family = Some(Family::Inet6);
    let unreadable = |a: &mut Attempt| a.address = None;
    let raw = |family, length| {
        with(|a| {
            a.address = Some(Address::Raw { family, bytes: ArrayVec::new() });
            a.address_length = Some(length);
        })
    };
    Vec::from([
        row(tcp(), EBADF, descriptor(Descriptor::Closed), "bad_fd", "descriptor 6 is not open"),
        row(
            tcp(),
            ENOTSOCK,
            descriptor(Descriptor::NotASocket),
            "not_a_socket",
            "descriptor 6 is open, but it is not a socket",
        ),
        row(
            with(unreadable),
            EFAULT,
            Facts::NONE,
            "bad_pointer",
            "the pointer to the address does not point to readable memory",
        ),
        row(
            with(inet6),
            EINVAL,
            Facts::NONE,
            "wrong_address_family",
            "the socket is of family inet6, and the address of family inet",
        ),
        row(
            raw(0, 16),
            EAFNOSUPPORT,
            Facts::NONE,
            "wrong_address_family",
            "the socket is of family inet, and the address of family 0",
        ),
        row(
            raw(2, 8),
            EINVAL,
            Facts::NONE,
            "wrong_address_length",
            "the length of the address is given as 8 bytes; an IPv4 address has 16",
        ),
        row(
            with(|a| a.address_length = Some(-1)),
            EINVAL,
            Facts::NONE,
            "wrong_address_length",
            "the length of the address is given as -1 bytes; an IPv4 address has 16",
        ),
        row(
            tcp(),
            EINVAL,
            bound,
            "already_bound",
            "this socket is already bound, to 127.0.0.1:9000",
        ),
    ])
}

/// The record of a row, as a log reader sees it.
fn record(row: &Row) -> serde_json::Value {
    let engine = Engine::new(Policy::default());
    told(engine, &row.attempt, Err(Code::linux(row.code)), &row.facts)
}

/// The record of an attempt that gave `outcome`, on which there are `facts`.
pub(super) fn told(
    mut engine: Engine,
    attempt: &Attempt,
    outcome: Outcome,
    facts: &Facts,
) -> serde_json::Value {
    let mut diagnosis = Diagnosis::NONE;
    assert_eq!(engine.step(Answer::Begin), Command::Call);
    assert_eq!(engine.step(Answer::Returned { outcome, took_ns: 3000, now_ns: 1 }), Command::Ask);
    let answer =
        Answer::Facts { attempt, facts, diagnosis: &mut diagnosis, took_ns: 61_000, now_ns: 2 };
    assert_eq!(engine.step(answer), Command::Emit);
    let line = line(&engine.event(attempt, Some(&diagnosis)));
    assert!(line.len() < crate::record::MAX_LINE, "{line}");
    serde_json::from_str(&line).unwrap()
}

fn line(event: &Event<'_>) -> String {
    let identity = Identity {
        host: Text::from("web-3"),
        ppid: 1,
        start: Some(812_345),
        program: Some(Text::from("/usr/sbin/nginx")),
        script: None,
    };
    let envelope = Envelope {
        unix_ns: 1,
        mono_ns: 2,
        run: None,
        seq: 7,
        dropped: 0,
        pid: 4312,
        tid: 4312,
        uid: Some(33),
        identity: &identity,
    };
    serde_json::to_string(&AttemptLine::new(&envelope, event, Cut::Nothing)).unwrap()
}

#[test]
fn every_cause_is_told_through_the_whole_record() {
    for row in [holders::rows(), refusals(), mistakes()].into_iter().flatten() {
        let record = record(&row);
        let told = &record["diagnosis"];
        let name = std::format!("{} {}", row.cause, row.summary);
        assert_eq!(told["summary"], row.summary);
        assert_eq!(told["cause"], row.cause, "{name}");
        assert_eq!(told["certainty"], row.certainty, "{name}");
        let cures = (told["reuseaddr_cures"].as_bool(), told["retry_cures"].as_bool());
        assert_eq!(cures, row.cures, "{name}");
        assert_eq!(told["retry_after_ms"].as_u64(), row.retry_after_ms, "{name}");
        let fixes = told["fixes"].as_array().unwrap();
        let command = fixes.iter().find_map(|fix| fix["run"].as_str());
        if row.command.is_some() || row.cause == "own_process_holds_port" {
            assert_eq!(command, row.command, "{name}");
        }
        assert_eq!(record["outcome"], "failed");
        assert_eq!(record["error"]["code"], row.code);
        assert_eq!(record["diagnosis_us"], 61);
    }
}

#[test]
fn reuseaddr_cures_only_what_a_trial_showed() {
    let lingering = &[orphan(SocketState::TimeWait, Some(9000))];
    for (trial, on_already, cures, word) in [
        (Fact::Known(true), false, Some(true), "works right now"),
        (Fact::Known(false), false, Some(false), "setting it now does not help"),
        (Fact::Unknown(Why::Seccomp), false, None, "for next time"),
        (Fact::Known(false), true, Some(false), "SO_REUSEADDR is on, but"),
    ] {
        let mut row = in_use(lingering, "time_wait", "");
        row.facts.reuseaddr_trial = trial;
        row.attempt.socket.reuseaddr = Some(on_already);
        let told = &record(&row)["diagnosis"];
        assert_eq!(told["reuseaddr_cures"].as_bool(), cures, "{told}");
        assert!(told.to_string().contains(word), "{told}");
    }
}

#[test]
fn of_several_holders_none_is_blamed_that_may_share() {
    let other = process(812, "/usr/sbin/nginx");
    let two = [held(SocketState::Listen, python()), held(SocketState::Listen, other)];
    for (reuseport, cause) in [(false, "other_program_listening"), (true, "unknown")] {
        let mut row = in_use(&two, cause, "");
        row.attempt.socket.reuseport = Some(reuseport);
        let told = &record(&row)["diagnosis"];
        assert_eq!(told["cause"], cause);
        assert_eq!(told["holders"].as_array().unwrap().len(), 2);
        assert_eq!(told.to_string().contains("kill"), !reuseport);
    }
}

/// With SO_REUSEADDR or SO_REUSEPORT, a holder may share, and what nobody has may be in the way.
#[test]
fn a_holder_that_may_share_is_not_blamed_for_a_time_wait() {
    let time_wait = || orphan(SocketState::TimeWait, Some(9000));
    let own = Process { is_own: true, ..process(7, "/usr/bin/server") };
    for (state, owner, reuseaddr, reuseport, cause) in [
        (SocketState::Listen, python(), false, true, "unknown"),
        (SocketState::Listen, python(), true, false, "other_program_listening"),
        (SocketState::Bound, python(), true, false, "unknown"),
        (SocketState::Bound, own.clone(), true, false, "unknown"),
        (SocketState::Bound, own, false, false, "own_process_holds_port"),
    ] {
        let mut row = in_use(&[held(state, owner), time_wait()], cause, "");
        row.attempt.socket.reuseaddr = Some(reuseaddr);
        row.attempt.socket.reuseport = Some(reuseport);
        let told = &record(&row)["diagnosis"];
        assert_eq!(told["cause"], cause, "{told}");
    }
}

#[test]
fn nothing_dangerous_is_advised() {
    const NEVER: [&str; 6] =
        ["kill -9", "SO_REUSEPORT", "tcp_tw_re", "tcp_fin_timeout", "setenforce", "unlink"];
    for row in [holders::rows(), refusals(), mistakes()].into_iter().flatten() {
        let fixes = record(&row)["diagnosis"]["fixes"].to_string();
        assert!(!NEVER.iter().any(|bad| fixes.contains(bad)), "{fixes}");
        let live =
            !matches!(row.cause, "time_wait" | "closing_connection" | "lingering_connection");
        assert!(!(live && fixes.contains("REUSEADDR")), "{fixes}");
    }
}

#[test]
fn what_is_unknown_says_why() {
    let mut row = in_use(&[], "unknown", "");
    row.facts.sockets_unknown = Some(Why::Seccomp);
    let told = &record(&row)["diagnosis"]["unknown"];
    assert_eq!(told.to_string(), r#"[{"what":"sockets","why":"seccomp"}]"#);
}
