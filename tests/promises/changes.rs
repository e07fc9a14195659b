//! A process that changes its directory, its user or its root is recorded all the same.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use bindshim_tests::{Records, Room, Way};
use serde_json::Value;

use crate::support::listener;

#[test]
fn a_relative_log_is_where_the_program_started() {
    let room = Room::new();
    let victim = room.run_victim("steps", "chdir / tcp4 bind 127.0.0.1 0");
    for way in [Way::Preload, Way::Launcher] {
        let name = format!("{way:?}.log");
        let steps = "tcp4 bind 127.0.0.1 0 chdir / tcp4 bind 127.0.0.1 0";
        let ended = room.run_victim("steps", steps).way(&room, way).set("log", &name).finish();
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        assert_eq!(Records::read(&room.path(&name)).calls("bind").len(), 2, "{name}");
    }
    // Also where nothing was recorded before it went.
    let ended = victim.way(&room, Way::Preload).set("log", "gone.log").finish();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_eq!(Records::read(&room.path("gone.log")).calls("bind").len(), 1);
}

#[test]
fn a_process_that_gives_up_root_keeps_its_log() {
    let room = Room::for_root("other users are needed");
    let private = room.path("private");
    fs::create_dir(&private).expect("the room is writable");
    fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).expect("it is ours");
    let log = private.join("log");
    let victim = room.run_victim("steps", "setuid 65534 tcp4 bind 127.0.0.1 0");
    let ended = victim.way(&room, Way::Preload).log_to(&log).finish();
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(0), "bind 0\n"));
    let records = ended.records();
    assert_eq!(records.only("bind")["uid"], 65534, "{records}");
}

#[test]
fn a_process_in_a_root_without_proc_keeps_its_log() {
    let room = Room::for_root("chroot needs a privilege");
    let port = room.port();
    let empty = room.path("empty");
    fs::create_dir(&empty).expect("the room is writable");
    let _holder = listener(&room, "127.0.0.1", port);
    let steps = format!("chroot {0} chdir / tcp4 bind 127.0.0.1 {port}", empty.display());
    let ended = room.run_victim("steps", &steps).recorded(&room).finish();
    assert_eq!(ended.stdout, "bind -1 98\n");
    let records = ended.records();
    let record = records.failed();
    let holder = &record["diagnosis"]["holders"][0];
    assert_eq!(holder["state"], "listen", "netlink still tells: {record}");
    assert_eq!(holder["address"]["port"], port, "{record}");
    assert_eq!(holder["pid"], Value::Null, "no guess: {record}");
    assert_eq!(holder["unknown"], "no_proc", "{record}");
    assert_eq!(fs::read_dir(empty).expect("it is there").count(), 0, "nothing is left there");
}

#[test]
fn a_log_that_is_closed_in_another_root_is_not_opened_by_its_name_there() {
    let room = Room::for_root("chroot needs a privilege");
    let log = room.path("log");
    let jail = room.path("jail");
    let inside = jail.join(log.strip_prefix("/").expect("it is absolute"));
    fs::create_dir_all(inside.parent().expect("it has one")).expect("the room is writable");
    fs::write(&inside, "not ours\n").expect("the room is writable");
    let steps = format!(
        "tcp4 bind 127.0.0.1 0 chroot {} chdir / closefrom 3 tcp4 bind 127.0.0.1 0",
        jail.display()
    );
    let ended = room.run_victim("steps", &steps).way(&room, Way::Preload).log_to(&log).finish();
    assert_eq!(ended.stdout, "bind 0\nbind 0\n");
    assert_eq!(fs::read_to_string(inside).expect("it is there"), "not ours\n");
    assert_eq!(Records::read(&log).calls("bind").len(), 1, "the second is lost");
}
