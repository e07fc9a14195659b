//! No call in a hook reaches the program's heap.

use bindshim_tests::{Room, Subject};

fn heap_calls(room: &Room, subject: Subject) -> String {
    let ended = subject.preload_first(room.victim_library("counter")).finish();
    assert_eq!(ended.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
    ended.stdout
}

#[test]
fn no_call_reaches_the_heap() {
    let room = Room::new();
    let port = room.port();
    let victim = || room.run_victim("heap", &port.to_string());
    let bare = heap_calls(&room, victim());
    assert!(bare.starts_with("malloc and free 2\n"), "the counter counts: {bare}");
    assert!(bare.lines().skip(1).all(|line| line.ends_with(" 0")), "{bare}");
    assert_eq!(bare.lines().count(), 8);
    let recorded = heap_calls(&room, victim().recorded(&room));
    assert_eq!(recorded, bare);
}

#[test]
fn no_policy_reaches_the_heap() {
    let room = Room::new();
    let port = room.port();
    let victim = || room.run_victim("heap", &port.to_string());
    let bare = heap_calls(&room, victim());
    let policies = victim()
        .recorded(&room)
        .set("reuseaddr", "1")
        .set("retry", "300ms")
        .set("explain", "always");
    assert_eq!(heap_calls(&room, policies), bare);
}

#[test]
fn starting_programs_does_not_reach_the_heap() {
    let room = Room::new();
    // Read, found to be a program that can be covered, and refused by the kernel.
    let plain = room.install(&room.victim("steps"), "plain", 0o644);
    let victim = || room.run_victim("heap_children", "").args([&plain]);
    let bare = heap_calls(&room, victim());
    assert!(bare.lines().take(4).all(|line| line.ends_with(" 0")), "{bare}");
    let followed = victim().recorded(&room).set("follow-cleared", "1");
    assert_eq!(heap_calls(&room, followed), bare);
}
