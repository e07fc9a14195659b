//! No crash, no second call, no deadlock; `errno` and descriptor numbers as without us.

use std::fs;
use std::path::PathBuf;
use std::process::{self, Command};
use std::sync::OnceLock;

use bindshim_tests::{Room, Subject, Way, programs, variant};
use serde_json::Value;

use crate::support::{listener, same_as_bare};

#[test]
fn errno_is_as_the_kernel_left_it() {
    let room = Room::new();
    let ended = same_as_bare(&room, "errno_kept");
    assert_eq!(ended.stdout.matches(" 0 errno 4242\n").count(), 4, "{}", ended.stdout);
    assert_eq!(ended.stdout.matches("errno 98\n").count(), 1, "{}", ended.stdout);
    let records = ended.records();
    records.assert_gapless();
    let calls = ["setsockopt", "bind", "listen"].map(|call| records.calls(call).len());
    assert_eq!(calls, [2, 4, 2], "SO_KEEPALIVE is not recorded: {records}");
}

#[test]
fn errno_is_kept_under_policies() {
    let room = Room::new();
    let port = room.port().to_string();
    let bare = room.run_victim("errno_kept", &port).finish();
    let victim = room.run_victim("errno_kept", &port).recorded(&room);
    let covered = victim.set("reuseaddr", "1").set("retry", "100ms").finish();
    assert_eq!(covered.behaviour(), bare.behaviour());
}

#[test]
fn descriptors_have_the_numbers_that_they_have_without_us() {
    let room = Room::new();
    let ended = same_as_bare(&room, "descriptors");
    assert!(ended.stdout.starts_with("sockets 3 4\nbind 0\nfd 5\n"), "{}", ended.stdout);
}

#[test]
fn the_smallest_stack_is_enough() {
    let room = Room::new();
    let ended = same_as_bare(&room, "small_stack");
    assert_eq!(ended.stdout, "bind 0\nlisten 0\nbind -1 98\n");
    assert_eq!(ended.records().failed()["diagnosis"]["cause"], "own_process_holds_port");
}

#[test]
fn a_signal_handler_binds_on_a_small_stack_inside_malloc() {
    let room = Room::new();
    let ended = same_as_bare(&room, "signal_stack");
    assert_eq!(ended.stdout, "wrong 0\n");
    let records = ended.records();
    records.assert_gapless();
    let failures = records.all().iter().filter(|record| record["outcome"] == "failed");
    assert_eq!(failures.count(), 200, "the handler's calls are recorded");
}

#[test]
fn a_signal_handler_jumps_out_of_a_failing_bind() {
    let room = Room::new();
    let ended = same_as_bare(&room, "jump_out");
    assert_eq!(ended.stdout, "wrong 0 descriptors 0 mappings 0 blocked 0\n");
    let records = ended.records();
    let told = records.all().iter().filter(|record| record["outcome"] == "failed");
    assert!(told.count() >= 40, "{records}");
}

#[test]
fn children_of_a_process_with_threads_bind() {
    let room = Room::new();
    let ended = same_as_bare(&room, "fork_threads");
    assert_eq!(ended.stdout, "bad 0\n");
    ended.records().assert_gapless();
}

#[test]
fn a_vfork_child_binds() {
    let room = Room::new();
    let ended = same_as_bare(&room, "vfork_child");
    assert_eq!(ended.stdout, "bind 0\nlisten 0\nchild 7\nbind -1 98\nbind 0\n");
    let records = ended.records();
    let (parent, child): (Vec<_>, Vec<_>) =
        records.all().iter().partition(|record| record["pid"] == ended.pid);
    let numbers: Vec<_> = parent.iter().map(|record| record["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=4).map(Some).collect::<Vec<_>>(), "the parent's count: {records}");
    assert_eq!(child.len(), 2, "{records}");
    assert!(child.iter().all(|record| record["seq"] == 0), "{records}");
}

#[test]
fn a_vfork_child_never_waits() {
    let room = Room::new();
    let port = room.port().to_string();
    let victim = room.run_victim("vfork_child", &port).recorded(&room).set("retry", "300ms");
    let ended = victim.finish();
    let records = ended.records();
    let child = |record: &&&Value| record["pid"] != ended.pid && record["outcome"] == "failed";
    let refused = records.calls("bind");
    let refused = refused.iter().find(child).unwrap_or_else(|| panic!("no record: {records}"));
    assert_eq!(refused["attempts"], 1, "{refused}");
    assert_eq!(refused["waited_ms"], 0, "{refused}");
}

#[test]
fn a_bind_before_our_constructor() {
    let room = Room::new();
    let port = room.port();
    let early = room.victim_library("early");
    let victim = || {
        let own = room.run_victim("steps", "tcp4 bind 127.0.0.1 0");
        own.env("EARLY_PORT", port.to_string())
    };
    let bare = victim().preload_first(early.clone()).finish();
    assert_eq!(bare.stdout, "early bind 0\nearly listen 0\nearly bind -1 98\nbind 0\n");
    // Initialised before ours, or after it: the loader's order follows that of the list.
    let first = victim().preload_first(early.clone()).recorded(&room).finish();
    let library = room.library();
    let second = victim().recorded(&room).preload_first(library).library(early).finish();
    for covered in [&first, &second] {
        assert_eq!(covered.behaviour(), bare.behaviour());
        let records = covered.records();
        records.assert_gapless();
        assert_eq!(records.calls("bind").len(), 3, "{records}");
        assert_eq!(records.failed()["diagnosis"]["cause"], "own_process_holds_port");
    }
}

#[test]
fn loaded_twice_it_still_calls_once() {
    let room = Room::new();
    let port = room.port();
    let copy = room.install(&room.library(), "another-libbindshim.so", 0o755);
    let steps = format!("tcp4 bind 127.0.0.1 {port} listen tcp4 bind 127.0.0.1 {port}");
    let bare = room.run_victim("steps", &steps).finish();
    let twice = || room.run_victim("steps", &steps).recorded(&room).preload_first(copy.clone());
    let covered = twice().finish();
    assert_eq!(covered.behaviour(), bare.behaviour());
    assert_eq!(traced_binds(&room, &twice()).0.len(), 2);
}

/// The `bind` calls of IPv4 that reach the kernel, as strace shows them.
#[track_caller]
fn traced_binds(room: &Room, subject: &Subject) -> (Vec<String>, process::Output) {
    let trace = room.path("trace");
    let command = subject.command();
    let mut strace = Command::new(programs::find("strace"));
    strace.args(["-f", "-qq", "-e", "trace=bind", "-o"]).arg(&trace);
    for (name, value) in command.get_envs() {
        let Some(value) = value else { continue };
        let mut pair = name.to_owned();
        pair.push("=");
        pair.push(value);
        strace.arg("-E").arg(pair);
    }
    strace.arg("--").arg(command.get_program()).args(command.get_args());
    let output = strace.output().expect("strace starts");
    let trace = fs::read_to_string(trace).expect("strace writes it");
    let binds = trace.lines().filter(|line| line.contains("bind(") && line.contains("AF_INET,"));
    (binds.map(String::from).collect(), output)
}

#[test]
fn every_call_is_made_once() {
    let room = Room::new();
    let port = room.port();
    let _holder = listener(&room, "127.0.0.1", port);
    let free = room.port();
    let steps = format!("tcp4 bind 127.0.0.1 {free} listen tcp4 bind 127.0.0.1 {port}");
    let (bare, _) = traced_binds(&room, &room.run_victim("steps", &steps));
    assert_eq!(bare.len(), 2, "{bare:?}");
    for subject in [
        room.run_victim("steps", &steps).recorded(&room),
        room.run_victim("steps", &steps).way(&room, Way::Preload).set("log", "/dev/full"),
    ] {
        let (covered, _) = traced_binds(&room, &subject);
        assert_eq!(covered.len(), 2, "{covered:?}");
    }
}

/// The library with a panic in it: built once, in a target directory of its own, with the feature
/// `fault`; `BINDSHIM_TEST_PANIC=1` lets it panic after each real call.
#[track_caller]
fn library_with_a_fault() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || variant::build("fault", &["--features", "fault"], &[]);
    BUILT.get_or_init(|| build().join("release/libbindshim.so")).clone()
}

#[test]
fn a_panic_after_the_call_leaves_the_kernels_answer() {
    let room = Room::new();
    let library = room.install(&library_with_a_fault(), "libfault.so", 0o755);
    let port = room.port();
    let _holder = listener(&room, "127.0.0.1", port);
    let free = room.port();
    let steps = format!("tcp4 reuse bind 127.0.0.1 {free} listen tcp4 bind 127.0.0.1 {port}");
    let bare = room.run_victim("steps", &steps).finish();
    let faulty = || {
        let victim = room.run_victim("steps", &steps).library(library.clone());
        victim.set("log", room.path("fault.log")).env("BINDSHIM_TEST_PANIC", "1")
    };
    let covered = faulty().finish();
    assert_eq!(
        (covered.status, &covered.stdout),
        (bare.status, &bare.stdout),
        "{}",
        covered.stderr
    );
    let (binds, output) = traced_binds(&room, &faulty());
    assert_eq!(binds.len(), 2, "{binds:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), bare.stdout);
    // The same library works where nothing panics: the fault was in the way, not the build.
    let working = room.run_victim("steps", &steps).recorded(&room).library(library).finish();
    assert_eq!(working.records().calls("bind").len(), 2);
}
