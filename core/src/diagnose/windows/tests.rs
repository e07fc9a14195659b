//! Every Windows cause on a made-up machine, told through the whole record.

mod holders;
mod mistakes;
mod refusals;
mod successes;

use std::string::{String, ToString};
use std::vec::Vec;

use super::*;
use crate::attempt::{Attempt, Family, Function, Outcome, Protocol, Socket, SocketType};
use crate::code::*;
use crate::diagnose::tests::told;
use crate::diagnose::{may_warn, ranges_may_refuse};
use crate::engine::Engine;
use crate::facts::windows::{Exclusions, PortRange, Version, Windows};
use crate::facts::{Facts, SocketState};
use crate::policy::Policy;
use crate::text::Text;

/// One row: what a call gave on a machine, and what must be told of it.
struct Row {
    attempt: Attempt,
    /// What it failed with; 0 where it succeeded.
    code: i32,
    facts: Facts,
    cause: &'static str,
    also: &'static [&'static str],
    certainty: &'static str,
    summary: &'static str,
    /// What SO_REUSEADDR and waiting do.
    cures: (Option<bool>, Option<bool>),
    /// All commands among the fixes.
    commands: &'static [&'static str],
}

impl Row {
    fn new(
        attempt: Attempt,
        code: i32,
        facts: Facts,
        cause: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            attempt,
            code,
            facts,
            cause,
            also: &[],
            certainty: "certain",
            summary,
            cures: (Some(false), Some(false)),
            commands: &[],
        }
    }

    /// One that nobody can explain.
    fn unknown(attempt: Attempt, code: i32, facts: Facts, summary: &'static str) -> Self {
        let row = Self::new(attempt, code, facts, "unknown", summary);
        Self { certainty: "possible", cures: (None, None), ..row }
    }
}

fn at(text: &str) -> Address {
    match text.parse().unwrap() {
        core::net::SocketAddr::V4(at) => Address::V4 { ip: *at.ip(), port: at.port() },
        core::net::SocketAddr::V6(at) => Address::V6 { ip: *at.ip(), port: at.port(), scope: 0 },
    }
}

/// A bind of a TCP socket without options.
fn tcp(address: &str) -> Attempt {
    let address = at(address);
    let is_v6 = matches!(address, Address::V6 { .. });
    Attempt {
        address: Some(address),
        address_length: Some(if is_v6 { 28 } else { 16 }),
        socket: Socket {
            family: Some(if is_v6 { Family::Inet6 } else { Family::Inet }),
            kind: Some(SocketType::Stream),
            protocol: Some(Protocol::Tcp),
            reuseaddr: Some(false),
            v6only: is_v6.then_some(true),
            ..Socket::UNKNOWN
        },
        ..Attempt::new(Function::Bind, 248)
    }
}

fn udp(address: &str) -> Attempt {
    let mut attempt = tcp(address);
    attempt.socket.kind = Some(SocketType::Datagram);
    attempt.socket.protocol = Some(Protocol::Udp);
    attempt
}

/// With SO_REUSEADDR set.
fn reuse(mut attempt: Attempt) -> Attempt {
    attempt.socket.reuseaddr = Some(true);
    attempt
}

/// As `listen` instead of `bind`.
fn listen(attempt: Attempt) -> Attempt {
    Attempt { call: Function::Listen, backlog: Some(5), ..attempt }
}

fn process(pid: u32, program: &str) -> Process {
    Process {
        pid,
        program: Some(Text::from(program)),
        user: Some(Text::from("alice")),
        same_user: Some(true),
        ..Process::UNKNOWN
    }
}

fn nginx() -> Process {
    process(812, r"C:\nginx\nginx.exe")
}

fn own() -> Process {
    Process { is_own: true, same_program: true, ..process(4312, r"C:\server\server.exe") }
}

fn system() -> Process {
    Process { user: None, same_user: None, ..process(4, "System") }
}

fn held(state: SocketState, local: &str, owner: Process) -> PortSocket {
    PortSocket { state, local: at(local), owner: Fact::Known(owner), ..PortSocket::UNKNOWN }
}

/// A row whose process is not told, as under Wine.
fn nameless(state: SocketState, local: &str) -> PortSocket {
    PortSocket { owner: Fact::Unknown(Why::NotVisible), ..held(state, local, nginx()) }
}

/// A machine on which every list was read, and these sockets are on the port.
fn machine(sockets: &[PortSocket]) -> Facts {
    Facts {
        sockets: sockets.iter().cloned().collect(),
        sockets_total: sockets.len() as u32,
        sockets_unknown: None,
        ephemeral: Fact::Known((49152, 65535)),
        windows: Windows {
            exclusive: Fact::Known(false),
            excluded: Fact::Known(Exclusions::default()),
            ..Windows::NONE
        },
        ..Facts::NONE
    }
}

/// With something else that Windows tells.
fn telling(mut facts: Facts, change: impl FnOnce(&mut Windows)) -> Facts {
    change(&mut facts.windows);
    facts
}

fn record(row: &Row) -> serde_json::Value {
    let engine = Engine::new(Policy::default()).looking_at_successes(System::Windows);
    let outcome: Outcome = if row.code == 0 { Ok(()) } else { Err(Code::windows(row.code)) };
    told(engine, &row.attempt, outcome, &row.facts)
}

fn all() -> Vec<Row> {
    let lists = [
        holders::rows(),
        refusals::by_table(),
        refusals::by_range(),
        refusals::by_rule(),
        mistakes::rows(),
        successes::rows(),
    ];
    lists.into_iter().flatten().collect()
}

#[test]
fn every_cause_is_told_through_the_whole_record() {
    for row in all() {
        let record = record(&row);
        let told = &record["diagnosis"];
        let name = std::format!("{} {}", row.cause, row.summary);
        assert_eq!(told["summary"], row.summary);
        assert_eq!(told["cause"], row.cause, "{name}");
        let also: Vec<_> = told["also"].as_array().unwrap().iter().collect();
        assert_eq!(also, row.also, "{name}");
        assert_eq!(told["certainty"], row.certainty, "{name}");
        let cures = (told["reuseaddr_cures"].as_bool(), told["retry_cures"].as_bool());
        assert_eq!(cures, row.cures, "{name}");
        let fixes = told["fixes"].as_array().unwrap();
        let commands: Vec<_> = fixes.iter().filter_map(|fix| fix["run"].as_str()).collect();
        assert_eq!(commands, row.commands, "{name}");
        if row.code == 0 {
            assert_eq!((&record["outcome"], &record["warning"]), (&"ok".into(), &true.into()));
        } else {
            assert_eq!((&record["outcome"], &record["warning"]), (&"failed".into(), &false.into()));
            assert_eq!(record["error"]["code"], row.code);
            assert!(record["error"]["name"].as_str().unwrap().starts_with("WSA"), "{name}");
        }
    }
}

#[test]
fn every_windows_cause_of_the_catalogue_has_a_row() {
    const CATALOGUE: &str = "other_program_listening reuseaddr_refused exclusive_holder \
        other_user_holder excluded_port_range kb3039044 http_sys broadcast_not_enabled \
        dual_stack_overlap policy_denied lingering_connection port_shared_by_reuseaddr \
        port_shadowed address_not_local already_bound options_conflict listen_wrong_state \
        listen_not_supported listen_race bad_pointer wrong_address_family not_a_socket \
        ephemeral_ports_exhausted winsock_not_started same_program_listening \
        own_process_holds_port inherited_socket udp_port_taken bound_not_listening time_wait";
    let rows = all();
    for cause in CATALOGUE.split(' ').filter(|cause| !cause.is_empty()) {
        assert!(rows.iter().any(|row| row.cause == cause), "{cause}");
    }
}

#[test]
fn nothing_dangerous_is_advised() {
    const NEVER: [&str; 5] = ["/F", "set SO_REUSEADDR", "as administrator", "firewall", "/PID 4\""];
    for row in all() {
        for fix in record(&row)["diagnosis"]["fixes"].as_array().unwrap() {
            let told = fix.to_string();
            assert!(!NEVER.iter().any(|bad| told.contains(bad)), "{told}");
            assert!(
                !told.contains("REUSEADDR") || told.contains("leave SO_REUSEADDR off"),
                "{told}"
            );
            let [say, run] = ["say", "run"].map(|key| fix[key].as_str().unwrap_or_default());
            assert!(say.len() < 192 && run.len() < 160, "cut: {told}");
        }
    }
}

#[test]
fn what_is_unknown_says_why() {
    let facts = telling(machine(&[nameless(SocketState::Listen, "0.0.0.0:8080")]), |windows| {
        windows.excluded = Fact::Unknown(Why::Budget);
    });
    let row = Row::new(tcp("0.0.0.0:8080"), WSAEADDRINUSE, facts, "", "");
    let told = &record(&row)["diagnosis"];
    assert_eq!(
        told["unknown"].to_string(),
        r#"[{"what":"owner","why":"not_visible"},{"what":"excluded_port_ranges","why":"budget"}]"#
    );
    assert_eq!(told["holders"][0]["unknown"], "not_visible");
}

#[test]
fn no_row_but_time_wait_lacks_an_owner() {
    let facts = machine(&[nameless(SocketState::TimeWait, "0.0.0.0:8080")]);
    let row = Row::new(tcp("0.0.0.0:8080"), WSAEADDRINUSE, facts, "", "");
    let told: String = record(&row)["diagnosis"]["unknown"].to_string();
    assert_eq!(told, "[]");
}

#[test]
fn excluded_ranges_are_asked_for_wherever_they_matter() {
    const RANGE: PortRange = PortRange { first: 1, last: 65535 };
    let rows = all().into_iter().filter(|row| row.code == WSAEACCES);
    let mut spared = 0;
    for mut row in rows {
        row.facts.windows.version = Fact::Known(Version { major: 6, minor: 3, build: 9600 });
        row.facts.windows.excluded = Fact::Unknown(Why::NotAsked);
        let matters = ranges_may_refuse(&row.attempt, &row.facts);
        let is_by_range = matches!(row.cause, "excluded_port_range" | "kb3039044");
        assert!(matters || !is_by_range, "{}", row.summary);
        if matters {
            continue;
        }
        spared += 1;
        let without = record(&row);
        for (owned, administered) in [(None, None), (Some(RANGE), None), (None, Some(RANGE))] {
            row.facts.windows.excluded = Fact::Known(Exclusions { owned, administered });
            assert_eq!(record(&row), without, "{}", row.summary);
        }
    }
    assert!(spared > 3, "{spared}");
}
