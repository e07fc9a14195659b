//! Steps that several promises need.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::process::Command;

use bindshim_tests::{Ended, Room, Running, Subject, Way, sockets, wait};
use serde_json::Value;

/// Runs a `steps` victim as an ordinary user, recorded, and gives its only failure. Without the
/// library it does the same.
#[track_caller]
pub(crate) fn failure(room: &Room, steps: &str) -> Value {
    let bare = as_nobody(room.run_victim("steps", steps)).finish();
    let ended = as_nobody(room.run_victim("steps", steps)).recorded(room).finish();
    assert_eq!(ended.code(), Some(1), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.behaviour(), bare.behaviour());
    let records = ended.records();
    records.assert_gapless();
    records.failed().clone()
}

/// Runs a victim bare, and recorded in a file; both behave alike.
#[track_caller]
pub(crate) fn same_as_bare(room: &Room, victim: &str) -> Ended {
    // One port for each run: nothing of the first may be in the way of the second.
    let arguments = room.port().to_string();
    let bare = room.run_victim(victim, &arguments).finish();
    let covered = room.run_victim(victim, &arguments).recorded(room).finish();
    assert_eq!(covered.behaviour(), bare.behaviour());
    // Descriptions on standard error are not the program's; what it says itself stays the same.
    for way in [Way::Preload, Way::Launcher] {
        let explained = room.run_victim(victim, &arguments).way(room, way);
        let explained = explained.set("explain", "always").set("log", "-").finish();
        assert_eq!((explained.status, &explained.stdout), (bare.status, &bare.stdout));
    }
    covered
}

/// Whether a `steps` victim of an ordinary user works, without the library.
#[track_caller]
pub(crate) fn succeeds(room: &Room, steps: &str) -> bool {
    as_nobody(room.run_victim("steps", steps)).finish().code() == Some(0)
}

/// As user 65534, where the tests may change users.
pub(crate) fn as_nobody(subject: Subject) -> Subject {
    if bindshim_tests::room::is_root() { subject.user(65534) } else { subject }
}

/// Runs a victim that is recorded, and gives its failure.
#[track_caller]
pub(crate) fn failure_of(victim: Subject, room: &Room) -> Value {
    let ended = victim.recorded(room).finish();
    assert_eq!(ended.code(), Some(1), "{}{}", ended.stdout, ended.stderr);
    let records = ended.records();
    records.assert_gapless();
    records.failed().clone()
}

/// A run of a `steps` victim.
#[track_caller]
pub(crate) fn steps(room: &Room, steps: &str) -> Subject {
    room.run_victim("steps", steps)
}

/// Starts python3 with a script, and waits until it says "ready".
#[track_caller]
pub(crate) fn python(room: &Room, script: &str) -> Running {
    let path =
        room.file(&format!("{}.py", script.len()), &format!("import os, socket, time\n{script}"));
    let mut running = room.run("python3", &format!("-u {}", path.display())).start();
    running.wait_for("ready");
    running
}

/// Runs the first command that the record advises.
#[track_caller]
pub(crate) fn run_advice(record: &Value) {
    let fixes = record["diagnosis"]["fixes"].as_array().expect("the schema says so");
    let command = fixes.iter().find_map(|fix| fix["run"].as_str()).expect("a command is advised");
    let shell = Command::new("sh").args(["-c", command]).output().expect("sh starts");
    assert!(shell.status.success(), "{command}: {shell:?}");
}

/// Checks that the steps of a victim work by now.
#[track_caller]
pub(crate) fn assert_works(room: &Room, what: &str) {
    let ended = steps(room, what).finish();
    assert_eq!(ended.code(), Some(0), "{what}: {}", ended.stdout);
}

/// What the record names beside the cause.
pub(crate) fn also(record: &Value) -> Vec<&str> {
    let also = record["diagnosis"]["also"].as_array().expect("the schema says so");
    also.iter().filter_map(Value::as_str).collect()
}

/// Checks that the summary has these words.
#[track_caller]
pub(crate) fn assert_says(record: &Value, what: &str) {
    let summary = record["diagnosis"]["summary"].as_str().expect("the schema says so");
    assert!(summary.contains(what), "{summary}");
}

/// The port that the kernel gives to each outgoing connection in this test's network.
pub(crate) const OUTGOING: u16 = 40_000;

/// Lets the kernel give [`OUTGOING`] alone.
#[track_caller]
pub(crate) fn narrow_range() {
    let range = "/proc/sys/net/ipv4/ip_local_port_range";
    fs::write(range, format!("{OUTGOING} {OUTGOING}")).expect("own network");
}

/// Runs a command that the record advises, as a person does: by a shell.
#[track_caller]
pub(crate) fn run_fix(record: &Value, command: &str) {
    let fixes = record["diagnosis"]["fixes"].as_array().expect("the schema says so");
    assert!(fixes.iter().any(|fix| fix["run"] == command), "no {command:?}: {record}");
    let output = Command::new("sh").args(["-c", command]).output().expect("there is a shell");
    assert!(output.status.success(), "{command}: {output:?}");
}

/// Starts a `steps` victim, bare, that binds TCP `address:port`, listens and stays.
#[track_caller]
pub(crate) fn listener(room: &Room, address: &str, port: u16) -> Running {
    let kind = if address.contains(':') { "tcp6" } else { "tcp4" };
    staying(room, &format!("{kind} bind {address} {port} listen"))
}

/// Starts a `steps` victim, bare, and waits until it is through and stays.
#[track_caller]
pub(crate) fn staying(room: &Room, steps: &str) -> Running {
    let mut holder = room.run_victim("steps", &format!("{steps} hold")).start();
    holder.wait_for("holding");
    assert!(!holder.stdout().contains("-1"), "{}", holder.stdout());
    holder
}

/// A bare server without SO_REUSEADDR serves one connection on 127.0.0.1 and goes, and leaves its
/// end of it in TIME_WAIT.
#[track_caller]
pub(crate) fn leave_time_wait(room: &Room, port: u16) {
    serve_and_leave(room.run_victim("remnant", &format!("{port} time_wait")).start(), port);
}

/// The same by a server that sets SO_REUSEADDR.
#[track_caller]
pub(crate) fn leave_time_wait_with_reuseaddr(room: &Room, port: u16) {
    serve_and_leave(room.run_victim("remnant", &format!("{port} time_wait reuse")).start(), port);
}

/// Lets a `remnant ... time_wait` serve its connection and go; returns it when the connection is
/// in TIME_WAIT.
#[track_caller]
pub(crate) fn serve_and_leave(server: Running, port: u16) -> Ended {
    let client = connect(server, port);
    let ended = client.close();
    wait_for_state(port, 6);
    ended
}

/// A connection to a `remnant`, which has said hello and is about to go.
pub(crate) struct Client {
    stream: TcpStream,
    server: Running,
}

/// Connects to a `remnant` and reads what it says.
#[track_caller]
pub(crate) fn connect(server: Running, port: u16) -> Client {
    let mut server = server;
    server.wait_for("listen 0");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    let mut hello = [0; 6];
    stream.read_exact(&mut hello).expect("the server says hello");
    Client { stream, server }
}

impl Client {
    /// Closes the client's side, and waits for the end of the server.
    #[track_caller]
    pub(crate) fn close(mut self) -> Ended {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).expect("the server closes first");
        drop(self.stream);
        self.server.wait()
    }

    /// Waits for the end of the server and keeps the connection open.
    #[track_caller]
    pub(crate) fn keep(self) -> (TcpStream, Ended) {
        (self.stream, self.server.wait())
    }

    /// Splits it into the connection and the server.
    pub(crate) fn into_parts(self) -> (TcpStream, Running) {
        (self.stream, self.server)
    }
}

/// Waits until a TCP socket on `port` is in this state (include/net/tcp_states.h) and nothing
/// listens.
#[track_caller]
pub(crate) fn wait_for_state(port: u16, state: u8) {
    wait::until(&format!("a socket on port {port} in state {state}"), || {
        let rows = sockets::tcp_on(port);
        let listens = rows.iter().any(|row| row.state == 10);
        (!listens && rows.iter().any(|row| row.state == state)).then_some(())
    });
}

/// What a record may say of a cure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cure {
    /// It works.
    Yes,
    /// It does not.
    No,
    /// It may, or that is not known.
    Maybe,
    /// It does not, which the record may not know.
    NotYes,
}

impl Cure {
    fn fits(self, told: &Value) -> bool {
        match self {
            Self::Yes => *told == true,
            Self::No => *told == false,
            Self::Maybe => told.is_null(),
            Self::NotYes => *told != true,
        }
    }
}

/// Checks that the record's diagnosis has this cause, and what it says of SO_REUSEADDR and of
/// waiting.
#[track_caller]
pub(crate) fn assert_diagnosis(record: &Value, cause: &str, [reuseaddr, retry]: [Cure; 2]) {
    let diagnosis = &record["diagnosis"];
    assert_eq!(diagnosis["cause"], cause, "{record}");
    assert!(reuseaddr.fits(&diagnosis["reuseaddr_cures"]), "reuseaddr {reuseaddr:?}: {record}");
    assert!(retry.fits(&diagnosis["retry_cures"]), "retry {retry:?}: {record}");
    assert!(diagnosis["summary"].as_str().is_some_and(|s| !s.is_empty()), "{record}");
    assert_harmless_advice(record);
}

/// Checks that no fix is one of those that do more harm than good.
#[track_caller]
pub(crate) fn assert_harmless_advice(record: &Value) {
    let fixes = record["diagnosis"]["fixes"].to_string();
    for never in ["kill -9", "tcp_tw_recycle", "tcp_fin_timeout", "SO_REUSEPORT", "setenforce"] {
        assert!(!fixes.contains(never), "advises {never}: {record}");
    }
}

/// Checks the record's error.
#[track_caller]
pub(crate) fn assert_error(record: &Value, code: i32, name: &str) {
    assert_eq!(record["outcome"], "failed", "{record}");
    assert_eq!(record["error"]["code"], code, "{record}");
    assert_eq!(record["error"]["name"], name, "{record}");
    assert!(record["error"]["message"].as_str().is_some_and(|m| !m.is_empty()), "{record}");
}

/// Checks that the record's only holder is `pid`, as `/proc` describes it, in this state.
#[track_caller]
pub(crate) fn assert_holder(record: &Value, pid: u32, state: &str, ip: &str, port: u16) {
    let holders = record["diagnosis"]["holders"].as_array().expect("the schema says so");
    assert_eq!(record["diagnosis"]["holders_total"], 1, "{record}");
    let [holder] = holders.as_slice() else { panic!("{} holders: {record}", holders.len()) };
    assert_eq!(holder["pid"], pid, "{record}");
    assert_eq!(holder["state"], state, "{record}");
    assert_eq!(holder["address"]["ip"], ip, "{record}");
    assert_eq!(holder["address"]["port"], port, "{record}");
    assert_eq!(holder["unknown"], Value::Null, "{record}");
    let program = sockets::program(pid).expect("the holder lives");
    assert_eq!(holder["program"], program.to_str().expect("a plain path"), "{record}");
    let uid = sockets::uid(pid).expect("the holder lives");
    assert_eq!(holder["uid"], uid, "{record}");
    assert_eq!(holder["user"], Value::from(sockets::user(uid)), "{record}");
}
