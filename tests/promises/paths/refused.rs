//! The socket file cannot be made, or the call cannot work.

use super::*;

#[test]
fn path_missing() {
    for user in users() {
        let room = Room::new();
        let path = in_room(&room, "none/sub/app.sock");
        let steps = format!("unix bind {path}");
        let record = failure(&room, &steps, *user);
        assert_error(&record, 2, "ENOENT");
        assert_cause(&record, "path_missing", "certain", Cure::No);
        let summary = record["diagnosis"]["summary"].as_str().expect("the schema says so");
        assert_eq!(summary, format!("there is no directory {}", in_room(&room, "none")));
        // The directory belongs to whoever makes it: root may write there in any case.
        assert_cured(&room, &record, &steps, None);
    }
}

#[test]
fn path_missing_behind_a_link_or_before_a_slash() {
    let room = Room::new();
    symlink("nothing", room.path("dangling")).expect("the room is writable");
    for (path, word) in [
        (in_room(&room, "dangling/app.sock"), "symbolic link to nothing"),
        (in_room(&room, "app.sock/"), "ends with a slash"),
    ] {
        let record = failure(&room, &format!("unix bind {path}"), None);
        assert_error(&record, 2, "ENOENT");
        assert_cause(&record, "path_missing", "certain", Cure::No);
        assert!(record["diagnosis"]["summary"].to_string().contains(word), "{record}");
        assert_no_command(&record);
    }
}

/// A program for python3 that binds in a directory that is no more.
const REMOVED_DIRECTORY: &str = "import os, socket, sys
os.mkdir('gone')
os.chdir('gone')
os.rmdir('../gone')
try:
    socket.socket(socket.AF_UNIX).bind('app.sock')
except FileNotFoundError:
    sys.exit(1)
";

#[test]
fn path_missing_in_a_removed_directory() {
    let room = Room::new();
    let script = room.file("removed.py", REMOVED_DIRECTORY);
    let script = script.to_str().expect("a plain path");
    let record = failure_in(&room.run("python3", script).recorded(&room).finish());
    assert_error(&record, 2, "ENOENT");
    assert_cause(&record, "path_missing", "certain", Cure::No);
    let summary = &record["diagnosis"]["summary"];
    assert_eq!(summary, "the working directory was removed", "{record}");
}

#[test]
fn path_not_a_directory() {
    for user in users() {
        let room = Room::new();
        let file = room.file("file", "");
        let record = failure(&room, &format!("unix bind {}/app.sock", file.display()), *user);
        assert_error(&record, 20, "ENOTDIR");
        assert_cause(&record, "path_not_a_directory", "certain", Cure::No);
        let file = file.to_str().expect("a plain path");
        assert!(record["diagnosis"]["summary"].to_string().contains(file), "{record}");
    }
}

#[test]
fn path_loop() {
    for user in users() {
        let room = Room::new();
        symlink("two", room.path("one")).expect("the room is writable");
        symlink("one", room.path("two")).expect("the room is writable");
        let record = failure(&room, "unix bind one/app.sock", *user);
        assert_error(&record, 40, "ELOOP");
        assert_cause(&record, "path_loop", "certain", Cure::No);
    }
}

#[test]
fn directory_not_writable() {
    let room = Room::for_root("another user's directory");
    let directory = room.path("private");
    std::fs::create_dir(&directory).expect("the room is writable");
    for (mode, word) in [(0o755, "may not make files there"), (0o700, "may not make files there")] {
        set_mode(&directory, mode);
        let steps = format!("unix bind {}/app.sock", directory.display());
        let record = failure(&room, &steps, Some(NOBODY));
        assert_error(&record, 13, "EACCES");
        assert_cause(&record, "directory_not_writable", "certain", Cure::No);
        let summary = record["diagnosis"]["summary"].to_string();
        assert!(summary.contains(word) && summary.contains("user root"), "{record}");
        assert!(summary.contains(&format!("{mode:04o}")), "{record}");
    }
    std::fs::create_dir(directory.join("inner")).expect("root may");
    let steps = format!("unix bind {}/inner/app.sock", directory.display());
    let record = failure(&room, &steps, Some(NOBODY));
    assert_cause(&record, "directory_not_writable", "certain", Cure::No);
    assert!(record["diagnosis"]["summary"].to_string().contains("may not search"), "{record}");
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
}

/// A directory that nobody may change until this goes.
struct Immutable(String);

impl Immutable {
    fn new(path: &str) -> Self {
        let status = Command::new("chattr").args(["+i", path]).status().expect("e2fsprogs");
        assert!(status.success(), "the file system of {path} has the immutable attribute");
        Self(path.to_owned())
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let _ = Command::new("chattr").args(["-i", &self.0]).status();
    }
}

#[test]
fn directory_not_writable_for_anybody() {
    let room = Room::for_root("the immutable attribute");
    // The attribute belongs to root of the machine, whoever is root in a namespace.
    let map = std::fs::read_to_string("/proc/self/uid_map").expect("/proc is mounted");
    if !map.trim_ascii().ends_with(&u32::MAX.to_string()) {
        return;
    }
    let directory = in_room(&room, "fixed");
    std::fs::create_dir(&directory).expect("the room is writable");
    let _fixed = Immutable::new(&directory);
    let steps = format!("unix bind {directory}/app.sock");
    let record = failure(&room, &steps, None);
    assert_error(&record, 1, "EPERM");
    assert_cause(&record, "directory_not_writable", "certain", Cure::No);
    assert_cured(&room, &record, &steps, None);
}

/// Runs the steps on a file system of their own, mounted as `mounted` with these arguments.
#[track_caller]
fn failure_on(room: &Room, mount: &str, after: &str, steps: &str) -> Value {
    std::fs::create_dir(room.path("mounted")).expect("the room is writable");
    let victim = room.victim("steps");
    let script =
        format!("mount -t {mount} none mounted && {after} && exec {} {steps}", victim.display());
    let ended = room.run("unshare", "--mount sh -c").args([script]).recorded(room).finish();
    failure_in(&ended)
}

#[test]
fn read_only_filesystem() {
    let room = Room::for_root("a file system is mounted");
    let record = failure_on(&room, "tmpfs -o ro", "true", "unix bind mounted/app.sock");
    assert_error(&record, 30, "EROFS");
    assert_cause(&record, "read_only_filesystem", "certain", Cure::No);
    assert_no_command(&record);
}

#[test]
fn no_space() {
    let room = Room::for_root("a file system is mounted");
    let fill = "{ touch mounted/1 mounted/2 mounted/3 mounted/4 2>err || true; }";
    let mount = "tmpfs -o size=64k,nr_inodes=4";
    let record = failure_on(&room, mount, fill, "unix bind mounted/app.sock");
    assert_error(&record, 28, "ENOSPC");
    assert_cause(&record, "no_space", "certain", Cure::Maybe);
    assert!(record["diagnosis"]["summary"].to_string().contains("no inode"), "{record}");
}

#[test]
fn filesystem_without_sockets() {
    let room = Room::for_root("a file system is mounted");
    let record = failure_on(&room, "devpts", "true", "unix bind mounted/app.sock");
    assert_error(&record, 1, "EPERM");
    assert_cause(&record, "filesystem_without_sockets", "certain", Cure::No);
    assert!(record["diagnosis"]["summary"].to_string().contains("devpts"), "{record}");
}

/// proc says that a name which it does not have cannot be made there.
#[test]
fn filesystem_without_sockets_or_new_names() {
    for user in users() {
        let room = Room::new();
        let record = failure(&room, "unix bind /proc/app.sock", *user);
        assert_error(&record, 2, "ENOENT");
        assert_cause(&record, "filesystem_without_sockets", "certain", Cure::No);
    }
}

#[test]
fn path_too_long() {
    let room = Room::new();
    for length in [111, 128, 129, 200] {
        let record = failure(&room, &format!("unix bind_long {length}"), None);
        assert_error(&record, 22, "EINVAL");
        assert_cause(&record, "path_too_long", "certain", Cure::No);
        assert!(record["diagnosis"]["summary"].to_string().contains(&length.to_string()));
    }
    let longest = room.run_victim("steps", "unix bind_long 110").recorded(&room).finish();
    assert_eq!(longest.code(), Some(0), "108 bytes without an end are a path");
}

#[test]
fn already_bound_to_a_path() {
    for user in users() {
        let room = Room::new();
        let steps = format!("unix bind {} bind {}", in_room(&room, "a"), in_room(&room, "b"));
        let ended = as_user(room.run_victim("steps", &steps), *user).recorded(&room).finish();
        let record = failure_in(&ended);
        assert_error(&record, 22, "EINVAL");
        assert_cause(&record, "already_bound", "certain", Cure::No);
        assert!(record["diagnosis"]["summary"].to_string().contains(&in_room(&room, "a")));
    }
}

#[test]
fn listening_before_bind() {
    for user in users() {
        let room = Room::new();
        let record = failure(&room, "unix listen", *user);
        assert_error(&record, 22, "EINVAL");
        assert_cause(&record, "listen_wrong_state", "certain", Cure::No);
        assert_eq!(record["call"], "listen", "{record}");
    }
}

#[test]
fn vsock_refused() {
    let room = Room::for_root("a privileged port");
    let any = u32::MAX;
    for (steps, user, code, name) in [
        (format!("vsock bind 99 {}", room.port()), None, 99, "EADDRNOTAVAIL"),
        (format!("vsock bind {any} 99"), Some(NOBODY), 13, "EACCES"),
    ] {
        let record = failure(&room, &steps, user);
        assert_error(&record, code, name);
        assert_cause(&record, "vsock_refused", "certain", Cure::No);
    }
    let port = room.port();
    let steps = format!("vsock bind {any} {port}");
    let _holder = staying(&room, &steps);
    let record = failure(&room, &steps, None);
    assert_error(&record, 98, "EADDRINUSE");
    assert_cause(&record, "vsock_refused", "certain", Cure::No);
}
