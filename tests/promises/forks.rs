//! Threads, children, the first moments and the last: no deadlock, no crash, every record whole.

use std::path::Path;

use bindshim_tests::{Ended, Room, Way};

use crate::support::{listener, same_as_bare};

/// How many records an attempt of a victim's child or thread left.
#[track_caller]
fn assert_whole(ended: &Ended, least: usize) {
    let records = ended.records();
    records.assert_gapless();
    assert!(records.all().len() >= least, "{} records: {records}", records.all().len());
}

#[test]
fn threads_with_the_smallest_stacks_begin_all_at_once() {
    const THREADS: usize = 64;
    const ROUNDS: usize = 8;
    let room = Room::new();
    let crowd = || room.run_victim("crowd", &format!("{} {THREADS} {ROUNDS}", room.port()));
    let bare = crowd().finish();
    assert_eq!((bare.code(), bare.stdout.as_str()), (Some(0), "wrong 0\n"), "{}", bare.stderr);
    let covered = crowd().recorded(&room).finish();
    assert_eq!(covered.behaviour(), bare.behaviour());
    let records = covered.records();
    records.assert_gapless();
    assert_eq!(records.all().len(), 2 + THREADS * ROUNDS * 5);
    let causes = |cause| records.all().iter().filter(|r| r["diagnosis"]["cause"] == cause).count();
    assert_eq!(causes("own_process_holds_port"), THREADS * ROUNDS);
    assert_eq!(causes("bad_fd"), THREADS * ROUNDS);
}

#[test]
fn under_every_policy_too() {
    let room = Room::new();
    let crowd = room.run_victim("crowd", &format!("{} 24 4", room.port())).recorded(&room);
    let crowd = crowd.set("reuseaddr", "1").set("retry", "20ms").set("explain", "always");
    let ended = crowd.finish();
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(0), "wrong 0\n"), "{}", ended.stderr);
    assert_whole(&ended, 2 + 24 * 4 * 5);
}

#[test]
fn handlers_of_atfork_bind() {
    let room = Room::new();
    let ended = same_as_bare(&room, "own_atfork");
    assert_eq!(ended.stdout, "wrong 0 bad 0\n");
    // Each fork binds before, in the parent and in the child, which binds once more.
    assert_whole(&ended, 20 * 4 * 3);
}

#[test]
fn children_that_become_other_programs_bind() {
    let room = Room::new();
    let program = room.victim("steps");
    let children =
        || room.run_victim("children", &format!("{} {}", room.port(), program.display()));
    let bare = children().finish();
    assert!(bare.stdout.ends_with("wrong 0 failed 0\n"), "{}{}", bare.stdout, bare.stderr);
    let covered = children().recorded(&room).finish();
    assert_eq!(covered.behaviour(), bare.behaviour());
    let records = covered.records();
    records.assert_gapless();
    let of = |name: &str| {
        let named = |path: &str| Path::new(path).file_name().is_some_and(|last| last == name);
        let all = records.all().iter();
        all.filter(|r| r["program"].as_str().is_some_and(named)).collect::<Vec<_>>()
    };
    assert_eq!(of("steps").len(), 4 * 15, "one of each program that was started");
    let shared = of("children").into_iter().filter(|record| record["seq"] == 0);
    assert_eq!(shared.count(), 15 * 3, "three of each vfork child");
}

#[test]
fn a_forked_child_is_not_taken_for_its_own_vfork_child() {
    let room = Room::new();
    let bare = room.run_victim("vfork_in_child", "").finish();
    for follow in ["0", "1"] {
        let subject = room.run_victim("vfork_in_child", "").recorded(&room);
        let covered = subject.set("follow-cleared", follow).finish();
        assert_eq!(covered.behaviour(), bare.behaviour());
        let records = covered.records();
        let numbers: Vec<_> = records.all().iter().map(|r| r["seq"].as_u64()).collect();
        assert_eq!(numbers, [Some(0), Some(1), Some(2), Some(3)], "{records}");
    }
}

#[test]
fn a_signal_handler_forks_on_a_small_stack() {
    let room = Room::new();
    let ended = same_as_bare(&room, "fork_in_handler");
    assert_eq!(ended.stdout, "status 0x700\n");
    assert_whole(&ended, 5);
}

#[test]
fn threads_of_another_constructor_start_us_all_at_once() {
    let room = Room::new();
    let port = room.port();
    let _holder = listener(&room, "127.0.0.1", port);
    let early = room.victim_library("early_threads");
    // What the program has open, and a setting of which one notice tells.
    let victim = || {
        let own = room.run("ls", "/proc/self/fd").env("EARLY_PORT", port.to_string());
        own.env("BINDSHIM_BUDGET", "soon")
    };
    let bare = victim().preload_first(early.clone()).finish();
    assert!(bare.stdout.starts_with("early wrong 0\n0\n1\n"), "{}", bare.stdout);
    let first = victim().preload_first(early.clone()).recorded(&room);
    let library = room.library();
    let second = victim().recorded(&room).preload_first(library).library(early);
    for covered in [first, second] {
        let ended = covered.env("BINDSHIM_BUDGET", "soon").finish();
        let (said, ours) = (ended.stdout.lines(), bare.stdout.lines().count());
        assert_eq!(said.count(), ours + 1, "the log alone is open beside: {}", ended.stdout);
        assert_eq!((ended.status, &ended.stderr), (bare.status, &bare.stderr));
        let records = ended.records();
        records.assert_gapless();
        assert_eq!(records.calls("bind").len(), 16, "{records}");
        assert_eq!(records.notices().len(), 1, "{records}");
    }
}

#[test]
fn what_binds_at_the_very_end_is_recorded() {
    let room = Room::new();
    let taken = room.port();
    let _holder = listener(&room, "127.0.0.1", taken);
    let late = room.victim_library("late");
    let port = room.port();
    let victim = |way: Way| {
        let own = room.run_victim("at_exit", &port.to_string()).recorded_by(&room, way);
        own.preload_first(late.clone()).env("LATE_PORT", taken.to_string()).finish()
    };
    let bare = victim(Way::Bare);
    let expected = "atexit -1 98\natexit 0\ndestructor -1 98\ndestructor 0\nlate -1 98\nlate 0\n";
    assert_eq!((bare.code(), bare.stdout.as_str()), (Some(0), expected), "{}", bare.stderr);
    let covered = victim(Way::Preload);
    assert_eq!(covered.behaviour(), bare.behaviour());
    let records = covered.whole_records();
    let calls: Vec<_> = records.all().iter().filter(|r| r["tid"] == covered.pid).collect();
    assert_eq!(calls.len(), 8, "two of the start, and six of the end: {records}");
    // The other thread may have counted one that the end of the process kept from being written.
    let mut numbers: Vec<_> = records.all().iter().map(|r| r["seq"].as_u64()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), records.all().len(), "no number twice: {records}");
}
