//! What is told where not everything is to be seen: as an ordinary user, in a container's view of
//! processes, in a user namespace, and with `/proc` hidden. Nothing is guessed.

use bindshim_tests::{Room, Subject, programs};
use serde_json::Value;

use crate::support::{
    Cure, assert_diagnosis, assert_holder, assert_says, failure_of, listener, python, steps,
};

/// The failure of a `steps` victim that `wrapper`, a program and its arguments, starts.
#[track_caller]
fn failure_in(room: &Room, wrapper: &str, steps: &str) -> Value {
    let (program, arguments) = wrapper.split_once(' ').expect("a program and its arguments");
    let subject = Subject::new(room, programs::find(program))
        .args(arguments.split_whitespace())
        .args([room.victim("steps")])
        .args(steps.split_whitespace());
    failure_of(subject, room)
}

/// Checks that somebody is known to listen, and gives why it is not known who: with processes that
/// may not be looked at it is one of them, else whoever it is cannot be seen at all.
#[track_caller]
fn assert_unseen(record: &Value) -> &str {
    assert_diagnosis(record, "hidden_holder", [Cure::No, Cure::No]);
    let diagnosis = &record["diagnosis"];
    assert_eq!(diagnosis["holders_total"], 1, "{record}");
    let holder = &diagnosis["holders"][0];
    assert_eq!((&holder["pid"], &holder["program"]), (&Value::Null, &Value::Null), "{record}");
    assert_eq!(holder["state"], "listen", "{record}");
    let why = holder["unknown"].as_str().unwrap_or_else(|| panic!("no reason: {record}"));
    let certainty = if why == "permission" { "certain" } else { "probable" };
    assert_eq!(diagnosis["certainty"], certainty, "{record}");
    why
}

#[test]
fn a_holder_outside_of_the_container() {
    let room = Room::for_root("a view of processes is made");
    let port = room.port();
    let holder = listener(&room, "127.0.0.1", port);
    let bind = format!("tcp4 bind 127.0.0.1 {port}");
    let record = failure_in(&room, "unshare --pid --fork --mount-proc", &bind);
    assert_eq!(assert_unseen(&record), "not_visible", "{record}");
    let fixes = record["diagnosis"]["fixes"].to_string();
    assert!(fixes.contains("look from outside"), "{record}");
    // As is advised.
    let record = failure_of(steps(&room, &bind), &room);
    assert_holder(&record, holder.pid(), "listen", "127.0.0.1", port);
}

/// Sent, and not received yet: no process has a descriptor of it.
#[test]
fn a_socket_on_its_way_between_processes() {
    let room = Room::new();
    let port = room.port();
    let script = format!(
        "s = socket.socket()\ns.bind(('127.0.0.1', {port}))\ns.listen()\n\
         here, there = socket.socketpair()\nsocket.send_fds(here, [b'x'], [s.fileno()])\n\
         s.close()\nprint('ready')\ntime.sleep(60)\n"
    );
    let _sender = python(&room, &script);
    let record = failure_of(steps(&room, &format!("tcp4 bind 127.0.0.1 {port}")), &room);
    let _ = assert_unseen(&record);
}

/// A `/proc` of their own in which a process sees only those of its user: a server of root's and
/// then a victim as this user.
#[track_caller]
fn failure_with_hidden_proc(room: &Room, uid: u32, port: u16) -> Value {
    // Its log is one that every user may write to.
    let script = format!(
        "touch $BINDSHIM_LOG && chmod 666 $BINDSHIM_LOG && mount -t proc -o hidepid=2 none /proc && \
         (LD_PRELOAD= $0 tcp4 bind 127.0.0.1 {port} listen hold > said-{uid} &) && \
         until grep -q holding said-{uid}; do sleep 0.01; done && \
         setpriv --reuid {uid} --regid {uid} --clear-groups $0 tcp4 bind 127.0.0.1 {port}; exit $?"
    );
    let subject = Subject::new(room, programs::find("unshare"))
        .args(["--pid", "--fork", "--kill-child", "--mount", "sh", "-c", &script])
        .args([room.victim("steps")]);
    failure_of(subject, room)
}

#[test]
fn a_holder_that_a_hidden_proc_does_not_show() {
    let room = Room::for_root("a view of processes is made");
    let record = failure_with_hidden_proc(&room, 65534, room.port());
    assert_eq!(record["uid"], 65534, "{record}");
    assert_eq!(assert_unseen(&record), "permission", "{record}");
    assert_eq!(record["diagnosis"]["holders"][0]["user"], "root", "{record}");
    // Root sees everything there.
    let record = failure_with_hidden_proc(&room, 0, room.port());
    assert_diagnosis(&record, "same_program_listening", [Cure::No, Cure::No]);
    assert!(record["diagnosis"]["holders"][0]["pid"].is_u64(), "{record}");
}

/// Without any `/proc`, in a root directory of its own, the kernel still tells that somebody listens.
#[test]
fn a_holder_without_any_proc() {
    let room = Room::for_root("a root directory is changed");
    let port = room.port();
    let _holder = listener(&room, "127.0.0.1", port);
    let bind = format!("chroot {} tcp4 bind 127.0.0.1 {port}", room.path("").display());
    let record = failure_of(steps(&room, &bind), &room);
    assert_eq!(assert_unseen(&record), "no_proc", "{record}");
}

/// Root of a user namespace may look at no process outside of it, not even at one of its own user
/// (`cap_ptrace_access_check`, security/commoncap.c).
#[test]
fn a_holder_outside_of_the_user_namespace() {
    let room = Room::for_root("other users are needed");
    let port = room.port();
    let holder = steps(&room, &format!("tcp4 bind 127.0.0.1 {port} listen hold"));
    let mut holder = holder.user(12345).start();
    holder.wait_for("holding");
    let bind = format!("tcp4 bind 127.0.0.1 {port}");
    let inside = Subject::new(&room, programs::find("unshare"))
        .args(["--user", "--map-root-user"])
        .args([room.victim("steps")])
        .args(bind.split(' '));
    let record = failure_of(inside.user(12345), &room);
    assert_eq!(assert_unseen(&record), "permission", "{record}");
    assert_says(&record, "is already listening on 127.0.0.1");
    let record = failure_of(steps(&room, &bind).user(12345), &room);
    assert_holder(&record, holder.pid(), "listen", "127.0.0.1", port);
}

/// Of another user all processes hide what they have, and one that is just ending is no likelier
/// holder than any other.
#[test]
fn a_process_that_ends_beside_a_hidden_holder() {
    let room = Room::for_root("other users are needed");
    let port = room.port();
    let _holder = listener(&room, "127.0.0.1", port);
    let mut other = steps(&room, "memory 600 hold").start();
    other.wait_for("holding");
    // It takes a while to give that back.
    other.signal(9);
    let bind = steps(&room, &format!("tcp4 bind 127.0.0.1 {port}"));
    let record = failure_of(bind.user(65534), &room);
    assert_eq!(assert_unseen(&record), "permission", "{record}");
}
