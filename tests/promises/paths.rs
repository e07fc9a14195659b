//! For each cause of a Unix socket's failure an unmodified program fails, and the record names the
//! cause, whoever has the path, and what cures it. A fix that carries a command is followed.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use bindshim_tests::{Room, Running, Subject, sockets, wait};
use serde_json::Value;

use crate::support::{Cure, assert_diagnosis, assert_error, staying};

const NOBODY: u32 = 65534;

/// The users as whom a failure is tried: root in its own network, and anybody.
fn users() -> &'static [Option<u32>] {
    if bindshim_tests::room::is_root() { &[None, Some(NOBODY)] } else { &[None] }
}

fn as_user(subject: Subject, user: Option<u32>) -> Subject {
    match user {
        Some(user) => subject.user(user),
        None => subject,
    }
}

/// Runs a `steps` victim that is recorded, and gives its only failure. It fails bare too.
#[track_caller]
fn failure(room: &Room, steps: &str, user: Option<u32>) -> Value {
    let bare = as_user(room.run_victim("steps", steps), user).finish();
    let recorded = as_user(room.run_victim("steps", steps), user).recorded(room).finish();
    assert_eq!(recorded.behaviour(), bare.behaviour());
    failure_in(&recorded)
}

#[track_caller]
fn failure_in(ended: &bindshim_tests::Ended) -> Value {
    assert_eq!(ended.code(), Some(1), "{}{}", ended.stdout, ended.stderr);
    let records = ended.records();
    records.assert_gapless();
    let record = records.failed().clone();
    assert_eq!(record["pid"], ended.pid);
    assert_never_unlinked(&record);
    record
}

/// Removing a file is advised under a condition alone, and only where nobody is seen to use it.
#[track_caller]
fn assert_never_unlinked(record: &Value) {
    let is_stale = record["diagnosis"]["cause"] == "stale_socket_file";
    for fix in record["diagnosis"]["fixes"].as_array().expect("the schema says so") {
        let removes = fix["run"].as_str().is_some_and(|run| run.starts_with("rm "));
        let say = fix["say"].as_str().expect("the schema says so");
        assert!(!removes || (is_stale && say.starts_with("if no program uses it")), "{record}");
    }
}

/// Checks cause and cures; SO_REUSEADDR never helps a Unix socket.
#[track_caller]
fn assert_cause(record: &Value, cause: &str, certainty: &str, retry: Cure) {
    assert_diagnosis(record, cause, [Cure::No, retry]);
    assert_eq!(record["diagnosis"]["certainty"], certainty, "{record}");
    assert_eq!(record["diagnosis"]["unknown"], Value::Array(Vec::new()), "{record}");
}

/// Checks that the record's only holder is `pid`, with this address.
#[track_caller]
fn assert_has(record: &Value, pid: u32, key: &str, name: &str) {
    let diagnosis = &record["diagnosis"];
    assert_eq!(diagnosis["holders_total"], 1, "{record}");
    let holder = &diagnosis["holders"][0];
    assert_eq!(holder["pid"], pid, "{record}");
    assert_eq!(holder["state"], "unix", "{record}");
    assert_eq!(holder["address"][key], name, "{record}");
    assert_eq!(holder["unknown"], Value::Null, "{record}");
    let program = sockets::program(pid).expect("the holder lives");
    assert_eq!(holder["program"], program.to_str().expect("a plain path"), "{record}");
    assert_eq!(holder["uid"], sockets::uid(pid).expect("the holder lives"), "{record}");
    assert_eq!(record["address"][key], name, "{record}");
}

/// Does what the first fix with a command says, and expects the same steps to work then.
#[track_caller]
fn assert_cured(room: &Room, record: &Value, steps: &str, user: Option<u32>) {
    let fixes = record["diagnosis"]["fixes"].as_array().expect("the schema says so");
    let command = fixes.iter().find_map(|fix| fix["run"].as_str());
    let command = command.unwrap_or_else(|| panic!("no command: {record}"));
    let status = Command::new("sh").args(["-c", command]).status().expect("there is a shell");
    assert!(status.success(), "{command}: {status}");
    // What a command ended may take a moment to go.
    wait::until(&format!("the cure of {command}"), || {
        let again = as_user(room.run_victim("steps", steps), user).finish();
        (again.code() == Some(0)).then_some(())
    });
}

#[track_caller]
fn assert_no_command(record: &Value) {
    for fix in record["diagnosis"]["fixes"].as_array().expect("the schema says so") {
        assert_eq!(fix["run"], Value::Null, "{record}");
    }
}

fn in_room(room: &Room, name: &str) -> String {
    room.path(name).to_str().expect("a plain path").to_owned()
}

/// Starts a bare victim as `user` that stays.
#[track_caller]
fn staying_as(room: &Room, steps: &str, user: Option<u32>) -> Running {
    let mut holder = as_user(room.run_victim("steps", &format!("{steps} hold")), user).start();
    holder.wait_for("holding");
    assert!(!holder.stdout().contains("-1"), "{}", holder.stdout());
    holder
}

#[test]
fn stale_socket_file() {
    for user in users() {
        let room = Room::new();
        let path = in_room(&room, "app.sock");
        let steps = format!("unix bind {path}");
        assert_eq!(as_user(room.run_victim("steps", &steps), *user).finish().code(), Some(0));
        let record = failure(&room, &steps, *user);
        assert_error(&record, 98, "EADDRINUSE");
        assert_eq!(record["diagnosis"]["cause"], "stale_socket_file", "{record}");
        // What somebody hides from this user may still be in use.
        let certainty = &record["diagnosis"]["certainty"];
        assert!(*certainty == "probable" || *certainty == "possible", "{record}");
        assert_eq!(record["diagnosis"]["holders_total"], 0, "{record}");
        assert!(record["diagnosis"]["fixes"].to_string().contains("ss -xlp"), "{record}");
        assert_cured(&room, &record, &steps, *user);
    }
}

#[test]
fn a_stale_file_under_a_relative_path_has_no_command() {
    let room = Room::new();
    assert_eq!(room.run_victim("steps", "unix bind app.sock").finish().code(), Some(0));
    let record = failure(&room, "unix bind app.sock", None);
    assert_cause(&record, "stale_socket_file", "probable", Cure::No);
    assert_no_command(&record);
}

#[test]
fn a_stale_file_in_a_changed_root_has_no_command() {
    let room = Room::for_root("a root directory is changed");
    let steps = format!("chroot {} unix bind /app.sock", in_room(&room, ""));
    assert_eq!(room.run_victim("steps", &steps).finish().code(), Some(0));
    let record = failure_in(&room.run_victim("steps", &steps).recorded(&room).finish());
    // There is no /proc in that root.
    assert_diagnosis(&record, "stale_socket_file", [Cure::No, Cure::No]);
    assert_eq!(record["diagnosis"]["certainty"], "possible", "{record}");
    assert_no_command(&record);
}

#[test]
fn path_listener() {
    for user in users() {
        let room = Room::new();
        let path = in_room(&room, "app.sock");
        let holder = staying_as(&room, &format!("unix bind {path} listen"), *user);
        // A connection that was accepted has the path too, and is not in the way.
        let record = failure(&room, &format!("unix bind {path}"), *user);
        assert_error(&record, 98, "EADDRINUSE");
        assert_cause(&record, "path_listener", "certain", Cure::No);
        assert_has(&record, holder.pid(), "path", &path);
        assert_no_command(&record);
    }
}

#[test]
fn path_listener_by_any_name_of_the_file() {
    let room = Room::new();
    let path = in_room(&room, "app.sock");
    let holder = staying(&room, &format!("unix bind {path} listen"));
    std::fs::hard_link(&path, room.path("link.sock")).expect("a socket file can have two names");
    for name in ["app.sock", "./link.sock"] {
        let record = failure(&room, &format!("unix bind {name}"), None);
        assert_cause(&record, "path_listener", "certain", Cure::No);
        assert_has(&record, holder.pid(), "path", name);
    }
}

#[test]
fn path_listener_of_datagrams() {
    let room = Room::new();
    let path = in_room(&room, "log.sock");
    let holder = staying(&room, &format!("unix_dgram bind {path}"));
    let record = failure(&room, &format!("unix_dgram bind {path}"), None);
    assert_cause(&record, "path_listener", "certain", Cure::No);
    assert_has(&record, holder.pid(), "path", &path);
}

#[test]
fn path_listener_in_the_process_itself() {
    let room = Room::new();
    let path = in_room(&room, "app.sock");
    let steps = format!("unix bind {path} listen unix bind {path}");
    let ended = room.run_victim("steps", &steps).recorded(&room).finish();
    let record = failure_in(&ended);
    assert_cause(&record, "path_listener", "certain", Cure::No);
    assert_eq!(record["diagnosis"]["holders"][0]["pid"], record["pid"], "{record}");
    let summary = record["diagnosis"]["summary"].as_str().expect("the schema says so");
    assert!(summary.starts_with("this process itself"), "{record}");
}

#[test]
fn path_listener_of_somebody_else() {
    let room = Room::for_root("other users are needed");
    let path = in_room(&room, "app.sock");
    let _holder = staying(&room, &format!("unix bind {path} listen"));
    let record = failure(&room, &format!("unix bind {path}"), Some(NOBODY));
    assert_diagnosis(&record, "path_listener", [Cure::No, Cure::No]);
    assert_eq!(record["diagnosis"]["certainty"], "certain", "{record}");
    let holder = &record["diagnosis"]["holders"][0];
    assert_eq!(holder["pid"], Value::Null, "{record}");
    assert_eq!(holder["unknown"], "permission", "{record}");
    assert_eq!(holder["user"], "root", "{record}");
}

#[test]
fn path_bound_not_listening() {
    for user in users() {
        let room = Room::new();
        let path = in_room(&room, "app.sock");
        let holder = staying_as(&room, &format!("unix bind {path}"), *user);
        let record = failure(&room, &format!("unix bind {path}"), *user);
        assert_error(&record, 98, "EADDRINUSE");
        assert_cause(&record, "path_bound_not_listening", "certain", Cure::Maybe);
        assert_has(&record, holder.pid(), "path", &path);
        assert_no_command(&record);
    }
}

/// A server for python3 that serves one connection and does not listen any more.
const LAST_CONNECTION: &str = "import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
c, _ = s.accept()
s.close()
print('holding', flush=True)
time.sleep(600)
";

#[test]
fn a_connection_that_its_listener_left_behind() {
    let room = Room::new();
    let path = in_room(&room, "app.sock");
    let script = room.file("server.py", LAST_CONNECTION);
    let mut server = room.run("python3", &format!("{} {path}", script.display())).start();
    wait::until("a listener", || {
        let client = room.run_victim("steps", &format!("unix connect {path}"));
        (client.finish().code() == Some(0)).then_some(())
    });
    server.wait_for("holding");
    let record = failure(&room, &format!("unix bind {path}"), None);
    assert_cause(&record, "path_bound_not_listening", "probable", Cure::Maybe);
    assert_has(&record, server.pid(), "path", &path);
}

#[test]
fn path_other_type() {
    for user in users() {
        let room = Room::new();
        let path = in_room(&room, "app.sock");
        for (kind, steps) in
            [("unix_dgram", "unix_dgram bind"), ("unix_seqpacket", "unix_seqpacket bind")]
        {
            let path = format!("{path}.{kind}");
            let holder = staying_as(&room, &format!("{steps} {path}"), *user);
            let record = failure(&room, &format!("unix bind {path}"), *user);
            assert_error(&record, 98, "EADDRINUSE");
            assert_cause(&record, "path_other_type", "certain", Cure::No);
            assert_has(&record, holder.pid(), "path", &path);
        }
    }
}

#[test]
fn path_not_a_socket() {
    for user in users() {
        let room = Room::new();
        let _ = room.file("file", "precious");
        std::fs::create_dir(room.path("directory")).expect("the room is writable");
        symlink("file", room.path("link")).expect("the room is writable");
        symlink("nothing", room.path("dangling")).expect("the room is writable");
        for name in ["file", "directory", "directory/..", "link", "dangling", "/dev/null", "/"] {
            let record = failure(&room, &format!("unix bind {name}"), *user);
            assert_error(&record, 98, "EADDRINUSE");
            assert_cause(&record, "path_not_a_socket", "certain", Cure::No);
            assert_eq!(record["address"]["path"], name, "{record}");
            assert_no_command(&record);
        }
    }
}

#[test]
fn abstract_name_taken() {
    for user in users() {
        let room = Room::new();
        let name = format!("bindshim-{}-{user:?}", room.port());
        let name: String = name.chars().filter(|c| !"()".contains(*c)).collect();
        let steps = format!("unix bind @{name}");
        let holder = staying_as(&room, &steps, *user);
        let record = failure(&room, &steps, *user);
        assert_error(&record, 98, "EADDRINUSE");
        assert_cause(&record, "abstract_name_taken", "certain", Cure::Maybe);
        assert_has(&record, holder.pid(), "abstract", &name);
        // Another type has names of its own.
        let other = room.run_victim("steps", &format!("unix_dgram bind @{name}")).finish();
        assert_eq!(other.code(), Some(0));
        assert_cured(&room, &record, &steps, *user);
    }
}

#[test]
fn path_other_namespace() {
    let room = Room::for_root("a network of its own");
    let path = in_room(&room, "app.sock");
    let holder = staying(&room, &format!("network unix bind {path} listen"));
    let record = failure(&room, &format!("unix bind {path}"), None);
    assert_error(&record, 98, "EADDRINUSE");
    assert_cause(&record, "path_other_namespace", "certain", Cure::No);
    assert_has(&record, holder.pid(), "path", &path);
    assert_eq!(record["diagnosis"]["also"][0], "path_listener", "{record}");
    assert_no_command(&record);
    // Another user is not shown the holder, and the name still tells.
    let record = failure(&room, &format!("unix bind {path}"), Some(NOBODY));
    assert_diagnosis(&record, "path_other_namespace", [Cure::No, Cure::No]);
    assert_eq!(record["diagnosis"]["certainty"], "possible", "{record}");
}

#[test]
fn the_same_name_of_another_file_is_not_in_another_namespace() {
    let room = Room::for_root("a network of its own");
    for name in ["first", "second"] {
        std::fs::create_dir(room.path(name)).expect("the room is writable");
    }
    let first = in_room(&room, "first");
    let second = in_room(&room, "second");
    let _holder = staying(&room, &format!("network chdir {first} unix bind app.sock listen"));
    let steps = format!("chdir {second} unix bind app.sock");
    assert_eq!(room.run_victim("steps", &steps).finish().code(), Some(0));
    let record = failure(&room, &steps, None);
    assert_cause(&record, "stale_socket_file", "probable", Cure::No);
}

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

/// The device that `stat` shows is not the one that the kernel names there.
#[test]
fn path_listener_on_a_layered_file_system() {
    let room = Room::for_root("file systems are mounted");
    let victim = room.victim("steps");
    let victim = victim.display();
    let script = format!(
        "mkdir lower upper all && mount -t tmpfs none upper && mkdir upper/files upper/work \
         && mount -t overlay none -o lowerdir=lower,upperdir=upper/files,workdir=upper/work all \
         && (LD_PRELOAD= {victim} unix bind all/app.sock listen hold > said &) \
         && until grep -q holding said; do sleep 0.01; done && exec {victim} unix bind all/app.sock"
    );
    let ended = room.run("unshare", "--mount sh -c").args([script]).recorded(&room).finish();
    let record = failure_in(&ended);
    assert_cause(&record, "path_listener", "certain", Cure::No);
    assert_eq!(record["diagnosis"]["holders_total"], 1, "{record}");
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
    let directory = in_room(&room, "fixed");
    std::fs::create_dir(&directory).expect("the room is writable");
    let _fixed = Immutable::new(&directory);
    let steps = format!("unix bind {directory}/app.sock");
    let record = failure(&room, &steps, None);
    assert_error(&record, 1, "EPERM");
    assert_cause(&record, "directory_not_writable", "certain", Cure::No);
    assert_cured(&room, &record, &steps, None);
}

/// Runs the steps on a small file system of their own, mounted with `options` at `mounted`.
#[track_caller]
fn failure_on(room: &Room, options: &str, after: &str, steps: &str) -> Value {
    std::fs::create_dir(room.path("mounted")).expect("the room is writable");
    let victim = room.victim("steps");
    let script = format!(
        "mount -t tmpfs -o {options} none mounted && {after} && exec {} {steps}",
        victim.display()
    );
    let ended = room.run("unshare", "--mount sh -c").args([script]).recorded(room).finish();
    failure_in(&ended)
}

#[test]
fn read_only_filesystem() {
    let room = Room::for_root("a file system is mounted");
    let record = failure_on(&room, "ro", "true", "unix bind mounted/app.sock");
    assert_error(&record, 30, "EROFS");
    assert_cause(&record, "read_only_filesystem", "certain", Cure::No);
    assert_no_command(&record);
}

#[test]
fn no_space() {
    let room = Room::for_root("a file system is mounted");
    let fill = "{ touch mounted/1 mounted/2 mounted/3 mounted/4 2>err || true; }";
    let record = failure_on(&room, "size=64k,nr_inodes=4", fill, "unix bind mounted/app.sock");
    assert_error(&record, 28, "ENOSPC");
    assert_cause(&record, "no_space", "certain", Cure::Maybe);
    assert!(record["diagnosis"]["summary"].to_string().contains("no inode"), "{record}");
}

#[test]
fn filesystem_without_sockets() {
    let room = Room::for_root("others may not write there at all");
    for (path, name, code, error) in
        [("/sys/app.sock", "sysfs", 1, "EPERM"), ("/proc/app.sock", "proc", 2, "ENOENT")]
    {
        let record = failure(&room, &format!("unix bind {path}"), None);
        assert_error(&record, code, error);
        assert_cause(&record, "filesystem_without_sockets", "certain", Cure::No);
        assert!(record["diagnosis"]["summary"].to_string().contains(name), "{record}");
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
    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/data/system-service.txt");
    let steps = room.victim("steps");
    let victim = || {
        let victim = room.run_victim("filtered", "");
        let victim = victim.args([Path::new(list), Path::new("exec"), &steps]);
        victim.args(paths.iter().flat_map(|path| ["unix", "bind", path]))
    };
    let bare = victim().finish();
    assert_eq!(bare.code(), Some(1), "{bare:?}");
    let covered = victim().recorded(&room).finish();
    assert_eq!(covered.behaviour(), bare.behaviour());
    assert_causes(&covered, &causes);
}
