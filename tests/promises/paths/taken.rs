//! The path or the abstract name is taken: by whom, or by nobody any more.

use super::*;

#[test]
fn stale_socket_file() {
    for user in users() {
        let room = Room::new();
        let path = in_room(&room, "app.sock");
        let steps = format!("unix bind {path}");
        assert_eq!(as_user(room.run_victim("steps", &steps), *user).finish().code(), Some(0));
        let record = failure(&room, &steps, *user);
        assert_stale(&record);
        std::fs::remove_file(&path).expect("the room is ours");
        assert_eq!(as_user(room.run_victim("steps", &steps), *user).finish().code(), Some(0));
    }
}

#[test]
fn a_stale_file_under_a_relative_path() {
    let room = Room::new();
    assert_eq!(room.run_victim("steps", "unix bind app.sock").finish().code(), Some(0));
    let record = failure(&room, "unix bind app.sock", None);
    assert_stale(&record);
}

/// Nobody has ended there: the program itself has closed the socket.
#[test]
fn a_stale_file_of_the_process_itself() {
    let room = Room::new();
    let steps = "unix bind app.sock close unix bind app.sock";
    let record = failure_in(&room.run_victim("steps", steps).recorded(&room).finish());
    assert_stale(&record);
    let summary = record["diagnosis"]["summary"].as_str().unwrap_or_default();
    assert!(summary.contains("left over from one that was closed"), "{record}");
}

#[test]
fn a_stale_file_in_a_changed_root() {
    let room = Room::for_root("a root directory is changed");
    let steps = format!("chroot {} unix bind /app.sock", in_room(&room, ""));
    assert_eq!(room.run_victim("steps", &steps).finish().code(), Some(0));
    let record = failure_in(&room.run_victim("steps", &steps).recorded(&room).finish());
    // There is no /proc in that root.
    assert_stale(&record);
    assert_eq!(record["diagnosis"]["certainty"], "possible", "{record}");
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
    assert_eq!(record["diagnosis"]["holders"][0]["unknown"], "permission", "{record}");
    // Nor is one whose calls a filter judges, for it is not asked what the socket is.
    let list = crate::faults::allowed(&room);
    let victim = room.run_victim("filtered", "").args([&list, Path::new("exec")]);
    let victim = victim.args([room.victim("steps")]).args(["unix", "bind", &path]);
    let record = failure_in(&victim.recorded(&room).finish());
    assert_diagnosis(&record, "path_other_namespace", [Cure::No, Cure::No]);
    assert_eq!(record["diagnosis"]["holders"][0]["unknown"], "seccomp", "{record}");
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
    assert_stale(&failure(&room, &steps, None));
}

/// The kernel writes names into a namespace's table as they are: one with a newline in it looks like
/// the line of another socket, and could have an innocent program named for it.
#[test]
fn a_name_that_looks_like_the_line_of_another_socket_names_nobody() {
    let room = Room::for_root("a network of its own");
    let path = in_room(&room, "s");
    let bind = format!("unix bind {path}");
    assert_eq!(room.run_victim("steps", &bind).finish().code(), Some(0));
    let script = room.file("spoof.py", include_str!("../../data/spoof.py"));
    for innocent in ["inet", "unix", "inherited", "missing"] {
        let mut spoof = room.run("python3", "").args([&script]).args([innocent, &path]).start();
        spoof.wait_for("holding");
        let record = failure(&room, &bind, None);
        let holder = &record["diagnosis"]["holders"][0];
        for key in ["pid", "program", "inode"] {
            assert_eq!(holder[key], Value::Null, "{innocent}: {record}");
        }
        // Who has a number that nobody shows may be somebody who hides.
        let may_hide = innocent == "missing" && holder["unknown"] == "permission";
        assert!(may_hide || holder["unknown"] == "not_visible", "{innocent}: {record}");
        assert_eq!(record["diagnosis"]["certainty"], "possible", "{innocent}: {record}");
        assert_no_command(&record);
    }
}

/// The process that has the socket may have left the network in which it was made, or have got it
/// from another one.
#[test]
fn a_listener_whose_process_is_in_a_third_network() {
    let room = Room::for_root("a network of its own");
    let path = in_room(&room, "s");
    let script = format!(
        "import os, socket\ns = socket.socket(socket.AF_UNIX)\ns.bind('{path}')\ns.listen()\n\
         if os.fork():\n    os.set_inheritable(s.fileno(), True)\n    \
         os.execvp('unshare', ['unshare', '--net', 'sh', '-c', 'echo holding; sleep 60'])\n\
         s.close()\nimport time; time.sleep(60)\n"
    );
    let script = room.file("leaves.py", &script);
    let mut holder = room.run("unshare", "--net python3").args([script]).start();
    holder.wait_for("holding");
    let record = failure(&room, &format!("unix bind {path}"), None);
    assert_diagnosis(&record, "path_other_namespace", [Cure::No, Cure::No]);
    assert_eq!(record["diagnosis"]["certainty"], "certain", "{record}");
    assert_eq!(record["diagnosis"]["holders"][0]["pid"], holder.pid(), "{record}");
}

/// A relative name says nothing without the working directory, which may have changed since, nor
/// does a path in another tree of mounts.
#[test]
fn another_name_in_another_namespace_may_be_the_same_file() {
    let room = Room::for_root("a network of its own");
    for name in ["files", "seen"] {
        std::fs::create_dir(room.path(name)).expect("the room is writable");
    }
    let files = in_room(&room, "files");
    let _relative = staying(&room, &format!("network chdir {files} unix bind a.sock listen"));
    let seen = in_room(&room, "seen");
    let steps = room.victim("steps");
    let script = format!(
        "mount --bind {files} {seen} && exec {} network unix bind {seen}/b.sock listen hold",
        steps.display()
    );
    let mut mounted = room.run("unshare", "--mount sh -c").args([script]).start();
    mounted.wait_for("holding");
    for name in ["a.sock", "b.sock"] {
        let path = format!("{files}/{name}");
        let connected = room.run_victim("steps", &format!("unix connect {path}")).finish();
        assert_eq!(connected.code(), Some(0));
        let record = failure(&room, &format!("unix bind {path}"), None);
        assert_stale(&record);
        assert_eq!(record["diagnosis"]["certainty"], "possible", "{record}");
        let summary = record["diagnosis"]["summary"].as_str().unwrap_or_default();
        assert!(summary.contains("a socket was seen that may have it"), "{record}");
    }
}

/// Runs a script in a mount namespace of its own, in which `$0` is the victim `steps`, and gives
/// the only failure of the victim that the script ends as.
#[track_caller]
fn failure_among_mounts(room: &Room, script: &str) -> Value {
    let victim = room.victim("steps");
    let ended = room
        .run("unshare", "--mount sh -c")
        .args([Path::new(script), &victim])
        .recorded(room)
        .finish();
    failure_in(&ended)
}

/// Starts a bare victim in the room of a script, and waits until it holds.
fn held(steps: &str) -> String {
    format!(
        "(LD_PRELOAD= $0 {steps} hold > said &) && until grep -q holding said; do sleep 0.01; done"
    )
}

const LAYERS: &str = "mkdir lower upper all && mount -t tmpfs none upper \
    && mkdir upper/files upper/work \
    && mount -t overlay none -o lowerdir=lower,upperdir=upper/files,workdir=upper/work all";

/// The device that `stat` shows is not the one that the kernel names there.
#[test]
fn path_listener_on_a_layered_file_system() {
    let room = Room::for_root("file systems are mounted");
    let held = held("unix bind all/app.sock listen");
    let script = format!("{LAYERS} && {held} && exec $0 unix bind all/../all/app.sock");
    let record = failure_among_mounts(&room, &script);
    assert_cause(&record, "path_listener", "probable", Cure::No);
    assert_eq!(record["diagnosis"]["holders_total"], 1, "{record}");
}

/// As HAProxy does: the socket's name leads nowhere any more.
#[test]
fn a_listener_that_was_renamed_on_a_layered_file_system() {
    let room = Room::for_root("file systems are mounted");
    let held = held("unix bind all/new.sock listen");
    let script = format!(
        "{LAYERS} && {held} && mv all/new.sock all/app.sock \
         && LD_PRELOAD= $0 unix connect all/app.sock > connected \
         && exec $0 unix bind all/app.sock"
    );
    let record = failure_among_mounts(&room, &script);
    assert_eq!(record["diagnosis"]["cause"], "unknown", "{record}");
    let summary = record["diagnosis"]["summary"].as_str().unwrap_or_default();
    assert!(summary.contains("a socket that may have it"), "{record}");
    assert_no_command(&record);
}

/// Fresh file systems in memory number their files alike.
#[test]
fn a_file_of_the_same_number_and_name_is_another_one() {
    let room = Room::for_root("file systems are mounted");
    let mounts = "mkdir a b && mount -t tmpfs none a && mount -t tmpfs none b";
    let held = held("unix bind a/app.sock listen");
    let script = format!(
        "{mounts} && {held} && LD_PRELOAD= $0 unix bind b/app.sock > bound \
         && test $(stat -c %i a/app.sock) = $(stat -c %i b/app.sock) \
         && exec $0 unix bind b/app.sock"
    );
    let record = failure_among_mounts(&room, &script);
    assert_stale(&record);
}
