//! Unix sockets on a made-up machine, told through the whole record.

mod refused;
mod taken;

use std::string::ToString;
use std::vec::Vec;

use self::refused::{file_systems, mistakes, vsock, ways};
use self::taken::{left_over, names, taken};
use super::super::tests::told;
use super::*;
use crate::address::MAX_LENGTH;
use crate::attempt::Socket;
use crate::code::EADDRNOTAVAIL;
use crate::engine::Engine;
use crate::facts::Fact;
use crate::facts::path::{
    Directory, FileKind, FileSystem, Obstacle, ObstacleKind, PathFacts, Place, Use, UseState,
};
use crate::facts::{Facts, PortSocket, Process, SocketState, Why};
use crate::policy::Policy;
use crate::text::Text;

/// One row: a failure, and what must be told of it.
struct Row {
    attempt: Attempt,
    code: i32,
    facts: Facts,
    cause: &'static str,
    certainty: &'static str,
    summary: &'static str,
    retry_cures: Option<bool>,
    command: Option<&'static str>,
}

fn unix(address: Address) -> Attempt {
    Attempt {
        address: Some(address),
        address_length: Some(LONGEST),
        socket: Socket {
            family: Some(Family::Unix),
            kind: Some(SocketType::Stream),
            ..Socket::UNKNOWN
        },
        ..Attempt::new(Function::Bind, 6)
    }
}

fn at(path: &str) -> Attempt {
    unix(Address::Path(Text::from(path)))
}

fn row(code: i32, path: PathFacts, cause: &'static str, summary: &'static str) -> Row {
    let path = PathFacts { has_common_root: true, ..path };
    Row {
        attempt: at("/run/app/a.sock"),
        code,
        facts: Facts { path, ..Facts::NONE },
        cause,
        certainty: "certain",
        summary,
        retry_cures: Some(false),
        command: None,
    }
}

fn unknown(code: i32, path: PathFacts, summary: &'static str) -> Row {
    Row { certainty: "possible", retry_cures: None, ..row(code, path, "unknown", summary) }
}

fn holder(owner: Fact<Process>, uid: Option<u32>) -> PortSocket {
    PortSocket {
        state: SocketState::Unix,
        local: Address::Path(Text::from("/run/app/a.sock")),
        cookie: Some(3071),
        inode: Some(26698),
        uid,
        owner,
        ..PortSocket::UNKNOWN
    }
}

fn app() -> Process {
    Process {
        pid: 812,
        program: Some(Text::from("/usr/bin/app")),
        uid: Some(33),
        user: Some(Text::from("www-data")),
        ..Process::UNKNOWN
    }
}

const STREAM: SocketType = SocketType::Stream;
const DATAGRAM: SocketType = SocketType::Datagram;

fn used(kind: SocketType, state: UseState, place: Place) -> PathFacts {
    PathFacts {
        file: Fact::Known(FileKind::Socket),
        used: Fact::Known(Some(Use { kind, state, place })),
        ..PathFacts::NONE
    }
}

fn unused(file: FileKind, elsewhere: Fact<()>) -> PathFacts {
    PathFacts {
        file: Fact::Known(file),
        used: Fact::Known(None),
        has_true_device: true,
        elsewhere,
        ..PathFacts::NONE
    }
}

fn all() -> impl Iterator<Item = Row> {
    [taken(), left_over(), names(), ways(), file_systems(), mistakes(), vsock()]
        .into_iter()
        .flatten()
}

fn record(row: &Row) -> serde_json::Value {
    let engine = Engine::new(Policy::default());
    told(engine, &row.attempt, Err(Code::linux(row.code)), &row.facts)
}

#[test]
fn every_cause_of_a_path_is_told_through_the_whole_record() {
    for row in all() {
        let told = &record(&row)["diagnosis"];
        assert_eq!(told["summary"], row.summary);
        assert_eq!(told["cause"], row.cause, "{told}");
        assert_eq!(told["certainty"], row.certainty, "{told}");
        assert_eq!(told["retry_cures"].as_bool(), row.retry_cures, "{told}");
        let is_told = row.cause != "unknown";
        assert_eq!(told["reuseaddr_cures"].as_bool(), is_told.then_some(false), "{told}");
        let fixes = told["fixes"].as_array().unwrap();
        assert_eq!(fixes.iter().find_map(|fix| fix["run"].as_str()), row.command, "{told}");
        assert!(!is_told || !fixes.is_empty(), "{told}");
        assert!(fixes.iter().all(|fix| fix["say"].as_str().unwrap().len() < 192), "{told}");
    }
}

#[test]
fn to_remove_a_file_is_advised_in_words_and_where_nobody_is_seen_to_use_it() {
    for row in all() {
        let told = &record(&row)["diagnosis"];
        let fixes = told["fixes"].to_string();
        let is_stale = row.cause == "stale_socket_file";
        assert!(!fixes.contains("\"rm "), "{fixes}");
        assert_eq!(fixes.contains("if no program uses it (ss -xlp"), is_stale, "{fixes}");
        assert!(!is_stale || told["certainty"] != "certain");
        assert!(!fixes.contains("REUSE") && !fixes.contains("kill -9"), "{fixes}");
    }
}

#[test]
fn no_command_names_a_file_that_a_shell_finds_elsewhere() {
    let missing = || ways().swap_remove(0);
    assert!(missing().command.is_some());
    let rooted = |attempt| Row { attempt, ..missing() };
    let mut chrooted = missing();
    chrooted.facts.path.has_common_root = false;
    let paths = ["app/a.sock", "/run/it's/a.sock", "/run/\u{7f}/a.sock"];
    for row in paths.map(|path| rooted(at(path))).into_iter().chain([chrooted]) {
        let told = &record(&row)["diagnosis"];
        assert_eq!(told["cause"], "path_missing");
        assert!(told["fixes"].as_array().unwrap().iter().all(|fix| fix["run"].is_null()), "{told}");
    }
}

#[test]
fn what_a_listener_elsewhere_does_is_told_beside_it() {
    let rows = taken();
    let row = rows.iter().find(|row| row.cause == "path_other_namespace").unwrap();
    let told = &record(row)["diagnosis"];
    assert_eq!(told["also"].to_string(), r#"["path_listener"]"#);
    assert_eq!(told["holders"][0]["state"], "unix");
    assert_eq!(told["holders"][0]["address"]["path"], "/run/app/a.sock");
}

#[test]
fn an_address_of_another_family_is_not_a_long_path() {
    let mut attempt = unix(Address::V4 { ip: core::net::Ipv4Addr::LOCALHOST, port: 80 });
    attempt.address_length = Some(128);
    let engine = Engine::new(Policy::default());
    let told = &told(engine, &attempt, Err(Code::linux(EINVAL)), &Facts::NONE)["diagnosis"];
    assert_eq!(told["cause"], "wrong_address_family");
}
