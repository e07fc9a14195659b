//! A diagnosis disturbs nobody, and needs no more than the program has.

use super::*;

/// A server must not notice a diagnosis: no connection comes in.
#[test]
fn a_server_is_left_in_peace() {
    let room = Room::new();
    let path = in_room(&room, "app.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("the room is writable");
    listener.set_nonblocking(true).expect("it is a socket");
    let before = std::fs::metadata(&path).expect("it is there");
    let record = failure(&room, &format!("unix bind {path}"), None);
    assert_cause(&record, "path_listener", "certain", Cure::No);
    let error = listener.accept().expect_err("nobody has connected");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    let after = std::fs::metadata(&path).expect("it is there");
    assert_eq!((before.ino(), before.ctime()), (after.ino(), after.ctime()));
}

/// Paths of which none can be bound, each for another reason, and the causes.
fn bad_paths(room: &Room) -> (Vec<String>, [&'static str; 6], Running) {
    let live = in_room(room, "live.sock");
    let holder = staying(room, &format!("unix bind {live} listen"));
    assert_eq!(room.run_victim("steps", "unix bind stale.sock").finish().code(), Some(0));
    let file = room.file("file", "");
    symlink("loop", room.path("loop")).expect("the room is writable");
    let paths = [
        live,
        in_room(room, "stale.sock"),
        in_room(room, "none/app.sock"),
        format!("{}/app.sock", file.display()),
        in_room(room, "loop/app.sock"),
        in_room(room, ""),
    ];
    let causes = [
        "path_listener",
        "stale_socket_file",
        "path_missing",
        "path_not_a_directory",
        "path_loop",
        "path_not_a_socket",
    ];
    (Vec::from(paths), causes, holder)
}

#[track_caller]
fn assert_causes(ended: &bindshim_tests::Ended, causes: &[&str]) {
    let records = ended.records();
    records.assert_gapless();
    let failed = records.all().iter().filter(|record| record["outcome"] == "failed");
    let told: Vec<_> = failed.map(|record| record["diagnosis"]["cause"].clone()).collect();
    assert_eq!(told, causes, "{records}");
}

#[test]
fn a_signal_handler_binds_unix_sockets_on_a_small_stack() {
    let room = Room::new();
    let (paths, causes, _holder) = bad_paths(&room);
    let victim = || room.run_victim("unix_signal_stack", "").args(&paths);
    let bare = victim().finish();
    let covered = victim().recorded(&room).finish();
    assert_eq!(covered.behaviour(), bare.behaviour());
    assert_causes(&covered, &causes);
    let explained = victim().recorded(&room).set("explain", "always").finish();
    assert_eq!((explained.status, &explained.stdout), (bare.status, &bare.stdout));
}

/// As `SystemCallFilter=@system-service`: a call that is not on the list kills.
#[test]
fn a_filter_that_kills_lets_the_diagnosis_through() {
    let room = Room::new();
    let (paths, causes, _holder) = bad_paths(&room);
    let list = crate::faults::allowed(&room);
    let steps = room.victim("steps");
    let victim = || {
        let victim = room.run_victim("filtered", "");
        let victim = victim.args([&list, Path::new("exec"), &steps]);
        victim.args(paths.iter().flat_map(|path| ["unix", "bind", path]))
    };
    let bare = victim().finish();
    assert_eq!(bare.code(), Some(1), "{bare:?}");
    let covered = victim().recorded(&room).finish();
    assert_eq!(covered.behaviour(), bare.behaviour());
    assert_causes(&covered, &causes);
}
