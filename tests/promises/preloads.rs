//! Beside other allocators, sanitizers and preloaded libraries, before them and behind them: the
//! program does what it does with them alone, and its records are whole and not doubled.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use bindshim_tests::{Ended, Room, Subject, Way, programs};

use crate::support::listener;

/// Ours and another library in LD_PRELOAD, the other one first and last.
#[track_caller]
fn in_both_orders(room: &Room, subject: impl Fn() -> Subject, other: &Path) -> [Subject; 2] {
    let first = subject().recorded(room).preload_first(other.to_owned());
    let last = subject().recorded(room).preload_first(room.library()).library(other.to_owned());
    [first, last]
}

/// Runs a victim with `other` alone and with ours before and behind it: it behaves the same, and
/// `check` is right about the records.
#[track_caller]
fn beside(room: &Room, victim: &str, other: &Path, check: impl Fn(&Ended)) {
    let port = room.port().to_string();
    let subject = || with_settings(room.run_victim(victim, &port), room);
    let alone = subject().library(other.to_owned()).finish();
    for covered in in_both_orders(room, subject, other) {
        let covered = covered.finish();
        assert_eq!(covered.behaviour(), alone.behaviour());
        covered.records().assert_gapless();
        check(&covered);
    }
}

/// What the preloaded libraries are told, those that need it.
fn with_settings(subject: Subject, room: &Room) -> Subject {
    let proxies = room.file("proxies", "strict_chain\n[ProxyList]\nsocks4 127.0.0.1 9\n");
    subject
        .env("PROXYCHAINS_CONF_FILE", proxies)
        .env("PROXYCHAINS_QUIET_MODE", "1")
        .env("SOCKET_WRAPPER_DIR", room.path(""))
        .env("SOCKET_WRAPPER_DEFAULT_IFACE", "10")
}

#[track_caller]
fn assert_errno_kept(ended: &Ended) {
    let records = ended.records();
    let calls = ["setsockopt", "bind", "listen"].map(|call| records.calls(call).len());
    assert_eq!(calls, [2, 4, 2], "{records}");
    assert_eq!(records.failed_with("EADDRINUSE"), 1, "{records}");
}

#[test]
fn allocators() {
    let room = Room::new();
    for name in ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2"] {
        let allocator = programs::library(name);
        beside(&room, "errno_kept", &allocator, assert_errno_kept);
        // A signal handler binds while the allocator is at work.
        beside(&room, "signal_stack", &allocator, |ended| {
            assert_eq!(ended.stdout, "wrong 0\n");
            assert_eq!(ended.records().failed_with("EADDRINUSE"), 200);
        });
    }
}

#[test]
fn faketime_has_its_time_and_the_records_have_the_systems() {
    let room = Room::new();
    let library = programs::library("faketime/libfaketime.so.1");
    let steps = "tcp4 bind 127.0.0.1 0";
    let fake = || room.run_victim("steps", steps).env("FAKETIME", "2001-02-03 04:05:06");
    for covered in in_both_orders(&room, fake, &library) {
        let covered = covered.finish();
        assert_eq!(covered.stdout, "bind 0\n");
        let records = covered.records();
        records.assert_gapless();
        let time = records.only("bind")["time"].as_str().expect("the schema says so").to_owned();
        assert!(!time.starts_with("2001"), "{records}");
    }
    beside(&room, "errno_kept", &library, assert_errno_kept);
}

#[test]
fn a_clock_that_stands_still_does_not_stop_a_wait() {
    let room = Room::new();
    let port = room.port();
    let _holder = listener(&room, "127.0.0.1", port);
    let library = programs::library("faketime/libfaketime.so.1");
    let subject = || {
        let victim = room.run_victim("steps", &format!("tcp4 bind 127.0.0.1 {port}"));
        victim.env("FAKETIME", "2001-02-03 04:05:06").set("retry", "200ms")
    };
    for covered in in_both_orders(&room, subject, &library) {
        let covered = covered.finish();
        assert_eq!(covered.stdout, "bind -1 98\n");
        let waited = covered.records().failed()["waited_ms"].as_u64();
        assert!(waited.is_some_and(|waited| waited >= 200), "{}", covered.records());
    }
}

#[test]
fn proxychains() {
    let room = Room::new();
    beside(&room, "errno_kept", &programs::library("libproxychains.so.4"), assert_errno_kept);
}

/// `socket_wrapper` makes Unix sockets of all others, and calls libc by itself, past every other
/// library: what comes behind it sees no calls.
#[test]
fn socket_wrapper_hides_its_calls_from_what_comes_behind_it() {
    let room = Room::new();
    let library = programs::library("libsocket_wrapper.so");
    let port = room.port().to_string();
    let subject = || with_settings(room.run_victim("socket_wrapped", &port), &room);
    let alone = subject().library(library.clone()).finish();
    assert_eq!(alone.stdout, "bind 0\nlisten 0\nbind -1 22\n", "{}", alone.stderr);
    let [wrapper_first, wrapper_last] = in_both_orders(&room, subject, &library);
    let hidden = wrapper_first.finish();
    assert_eq!(hidden.behaviour(), alone.behaviour());
    assert_eq!(hidden.records().all().len(), 0, "{}", hidden.records());
    let seen = wrapper_last.finish();
    assert_eq!(seen.behaviour(), alone.behaviour());
    let records = seen.records();
    records.assert_gapless();
    let address = serde_json::json!({"ip": "127.0.0.1", "port": port.parse::<u16>().ok()});
    assert!(records.calls("bind").iter().all(|bind| bind["address"] == address), "{records}");
    assert_eq!(records.calls("bind").len(), 2, "{records}");
    assert_eq!(records.failed()["error"]["name"], "EINVAL", "{records}");
}

#[test]
fn a_library_before_us_sees_no_call_of_ours() {
    let room = Room::new();
    let (seen, child) = (room.victim_library("execv_seen"), room.victim("shows_environment"));
    for way in ["execl", "execlp", "execle", "execv"] {
        let line = format!("{way} own {}", child.display());
        let subject = || room.run_victim("starts_child", &line);
        let alone = subject().library(seen.clone()).finish();
        assert_eq!(alone.stdout.contains("seen"), way == "execv", "{}", alone.stdout);
        for follow in ["0", "1"] {
            let covered = subject().recorded(&room).preload_first(seen.clone());
            let covered = covered.set("follow-cleared", follow).finish();
            assert_eq!(covered.behaviour(), alone.behaviour(), "{way}");
        }
    }
}

#[test]
fn copies_of_ourselves() {
    let room = Room::new();
    let copy = room.install(&room.library(), "another-copy.so", 0o755);
    let port = room.port().to_string();
    let bare = room.run_victim("errno_kept", &port).finish();
    let subject = || room.run_victim("errno_kept", &port);
    let [first, last] = in_both_orders(&room, subject, &copy);
    let thrice =
        subject().recorded(&room).preload_first(copy.clone()).preload_first(room.library());
    // The launcher knows its own library by name; another copy is there from somewhere else.
    let launched = subject().recorded_by(&room, Way::Launcher).set("explain", "never");
    let launched = launched.env("LD_PRELOAD", &copy);
    for covered in [first, last, thrice, launched] {
        let covered = covered.finish();
        assert_eq!(covered.behaviour(), bare.behaviour());
        covered.records().assert_gapless();
        assert_errno_kept(&covered);
    }
}

#[test]
fn copies_of_ourselves_wait_once() {
    let room = Room::new();
    let port = room.port();
    let _holder = listener(&room, "127.0.0.1", port);
    let copy = room.install(&room.library(), "another-copy.so", 0o755);
    let victim = room.run_victim("steps", &format!("tcp4 bind 127.0.0.1 {port}"));
    let ended = victim.recorded(&room).preload_first(copy).set("retry", "100ms").finish();
    let records = ended.records();
    let waited = records.failed()["waited_ms"].as_u64().unwrap_or_default();
    assert!((100..20_000).contains(&waited), "{records}");
}

/// `errno_kept`, compiled with these flags as well.
#[track_caller]
fn sanitized(room: &Room, name: &str, flags: &[&str]) -> PathBuf {
    let program = room.path(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("victims/errno_kept.c");
    let compiler = Command::new(programs::find("cc"))
        .args(["-D_GNU_SOURCE", "-g0"])
        .args(flags)
        .arg("-o")
        .args([&program, &source])
        .output()
        .expect("a compiler starts");
    assert!(compiler.status.success(), "{}", String::from_utf8_lossy(&compiler.stderr));
    program
}

/// Runs a program bare and covered, by every way in; it is covered, and behaves the same.
#[track_caller]
fn same_under_every_way(room: &Room, program: &Path, words: &[&str]) {
    let port = room.port().to_string();
    let subject = || {
        let arguments = words.iter().map(OsString::from).chain([OsString::from(&port)]);
        Subject::new(room, program.to_owned()).args(arguments)
    };
    let bare = subject().finish();
    assert_eq!(bare.code(), Some(0), "{}", bare.stderr);
    for way in [Way::Preload, Way::Launcher] {
        let covered = subject().recorded_by(room, way).set("explain", "never").finish();
        assert_eq!(covered.behaviour(), bare.behaviour(), "{way:?}");
        covered.records().assert_gapless();
        assert_errno_kept(&covered);
    }
}

#[test]
fn sanitized_programs() {
    let room = Room::new();
    for (name, flags) in [
        ("address", &["-fsanitize=address"][..]),
        ("address-static", &["-fsanitize=address", "-static-libasan"]),
        ("undefined", &["-fsanitize=undefined"]),
        ("leak", &["-fsanitize=leak"]),
        ("thread", &["-fsanitize=thread"]),
    ] {
        same_under_every_way(&room, &sanitized(&room, name, flags), &[]);
    }
}

#[test]
fn a_sanitized_child_of_a_program_that_is_not() {
    let room = Room::new();
    let program = sanitized(&room, "address", &["-fsanitize=address"]);
    let shell = programs::find("sh");
    let script = format!("{} \"$0\"; exit $?", program.display());
    same_under_every_way(&room, &shell, &["-c", &script]);
}

#[test]
fn the_runtime_of_a_sanitizer_before_and_behind_us() {
    let room = Room::new();
    let program = sanitized(&room, "address", &["-fsanitize=address"]);
    let port = room.port().to_string();
    let subject = || Subject::new(&room, program.clone()).args([&port]);
    let bare = subject().finish();
    for covered in in_both_orders(&room, subject, &programs::library("libasan.so.8")) {
        let covered = covered.finish();
        assert_eq!(covered.behaviour(), bare.behaviour());
        assert_errno_kept(&covered);
    }
}

#[test]
fn a_sanitized_program_keeps_the_options_of_its_user() {
    let room = Room::new();
    let program = sanitized(&room, "address", &["-fsanitize=address"]);
    let port = room.port().to_string();
    let subject = Subject::new(&room, program).args([&port]).recorded(&room);
    let ended = subject.env("ASAN_OPTIONS", "verify_asan_link_order=1").finish();
    assert_ne!(ended.code(), Some(0));
    assert!(ended.stderr.contains("ASan runtime does not come first"), "{}", ended.stderr);
}
