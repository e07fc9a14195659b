//! For each cause an unmodified program fails, and the record names the cause, the holder and the
//! cures.

use std::ops::RangeInclusive;

use bindshim_tests::{Room, Running, Subject, sockets, wait};
use serde_json::Value;

use crate::support::{
    Cure, assert_diagnosis, assert_error, assert_holder, connect, leave_time_wait,
    leave_time_wait_with_reuseaddr, listener, staying, wait_for_state,
};

/// Runs a `steps` victim that is recorded, and gives its only failure.
#[track_caller]
fn failure(room: &Room, steps: &str) -> Value {
    failure_of(room, room.run_victim("steps", steps))
}

#[track_caller]
fn failure_of(room: &Room, victim: Subject) -> Value {
    let ended = victim.recorded(room).finish();
    assert_eq!(ended.code(), Some(1), "{}{}", ended.stdout, ended.stderr);
    let records = ended.records();
    records.assert_gapless();
    let record = records.failed().clone();
    assert_eq!(record["pid"], ended.pid);
    record
}

#[test]
fn own_process_holds_port() {
    let room = Room::new();
    let port = room.port();
    let steps = format!("tcp4 bind 127.0.0.1 {port} listen tcp4 bind 0.0.0.0 {port}");
    let record = failure(&room, &steps);
    assert_error(&record, 98, "EADDRINUSE");
    assert_diagnosis(&record, "own_process_holds_port", [Cure::No, Cure::No]);
    let holder = &record["diagnosis"]["holders"][0];
    assert_eq!(holder["pid"], record["pid"], "{record}");
    assert_eq!(holder["program"], record["program"], "{record}");
    assert_eq!(holder["state"], "listen", "{record}");
    assert_eq!(record["address"]["ip"], "0.0.0.0", "{record}");
}

#[test]
fn other_program_listening() {
    let room = Room::new();
    let port = room.port();
    let holder = room.run("python3", &format!("-m http.server --bind 127.0.0.1 {port}")).start();
    room.wait_for_listener(port);
    let record = failure(&room, &format!("tcp4 bind 0.0.0.0 {port}"));
    assert_error(&record, 98, "EADDRINUSE");
    assert_diagnosis(&record, "other_program_listening", [Cure::No, Cure::No]);
    assert_holder(&record, holder.pid(), "listen", "127.0.0.1", port);
    assert_eq!(record["diagnosis"]["certainty"], "certain", "{record}");
    assert_eq!(record["diagnosis"]["holders"][0]["script"], "http.server", "{record}");
    let inode = sockets::tcp_on(port)[0].inode;
    assert_eq!(record["diagnosis"]["holders"][0]["inode"], inode, "{record}");
    let stop = format!("kill {}", holder.pid());
    let fixes = record["diagnosis"]["fixes"].as_array().expect("the schema says so");
    assert!(fixes.iter().any(|fix| fix["run"] == stop.as_str()), "no {stop:?}: {record}");
}

#[test]
fn same_program_listening() {
    let room = Room::new();
    let port = room.port();
    let holder = listener(&room, "127.0.0.1", port);
    let record = failure(&room, &format!("tcp4 bind 127.0.0.1 {port}"));
    assert_error(&record, 98, "EADDRINUSE");
    assert_diagnosis(&record, "same_program_listening", [Cure::No, Cure::No]);
    assert_holder(&record, holder.pid(), "listen", "127.0.0.1", port);
    assert_eq!(record["diagnosis"]["certainty"], "certain", "{record}");
}

/// A server for python3 that binds `$1`, without SO_REUSEADDR.
const PYTHON_SERVER: &str = "import socket, sys, time
s = socket.socket()
try:
    s.bind(('127.0.0.1', int(sys.argv[1])))
except OSError:
    sys.exit(1)
s.listen()
time.sleep(600)
";

#[test]
fn same_script_is_the_same_program() {
    let room = Room::new();
    let port = room.port();
    let script = room.file("server.py", PYTHON_SERVER);
    let arguments = format!("{} {port}", script.display());
    let holder = room.run("python3", &arguments).start();
    room.wait_for_listener(port);
    let record = failure_of(&room, room.run("python3", &arguments));
    assert_diagnosis(&record, "same_program_listening", [Cure::No, Cure::No]);
    assert_holder(&record, holder.pid(), "listen", "127.0.0.1", port);
    assert_eq!(record["script"], "server.py", "{record}");
    assert_eq!(record["diagnosis"]["holders"][0]["script"], "server.py", "{record}");
}

#[test]
fn other_script_of_one_interpreter_is_another_program() {
    let room = Room::new();
    let port = room.port();
    let first = room.file("first.py", PYTHON_SERVER);
    let second = room.file("second.py", PYTHON_SERVER);
    let holder = room.run("python3", &format!("{} {port}", first.display())).start();
    room.wait_for_listener(port);
    let record = failure_of(&room, room.run("python3", &format!("{} {port}", second.display())));
    assert_diagnosis(&record, "other_program_listening", [Cure::No, Cure::No]);
    assert_holder(&record, holder.pid(), "listen", "127.0.0.1", port);
    assert_eq!(record["script"], "second.py", "{record}");
    assert_eq!(record["diagnosis"]["holders"][0]["script"], "first.py", "{record}");
}

#[test]
fn listening_on_ipv6_only_blocks_ipv6() {
    let room = Room::new();
    let port = room.port();
    let holder = listener(&room, "::1", port);
    let record = failure(&room, &format!("tcp6 bind ::1 {port}"));
    assert_diagnosis(&record, "same_program_listening", [Cure::No, Cure::No]);
    assert_holder(&record, holder.pid(), "listen", "::1", port);
    let free = room.run_victim("steps", &format!("tcp4 bind 127.0.0.1 {port}")).recorded(&room);
    assert_eq!(free.finish().code(), Some(0));
}

#[test]
fn a_holder_in_a_threads_own_descriptor_table_is_found() {
    let room = Room::new();
    let port = room.port();
    let mut holder = room.run_victim("private_table", &port.to_string()).start();
    holder.wait_for("holding");
    let record = failure(&room, &format!("tcp4 bind 127.0.0.1 {port}"));
    assert_diagnosis(&record, "other_program_listening", [Cure::No, Cure::No]);
    assert_holder(&record, holder.pid(), "listen", "127.0.0.1", port);
}

#[test]
fn a_holder_with_multipath_tcp_is_found() {
    let room = Room::new();
    let port = room.port();
    let holder = staying(&room, &format!("mptcp bind 127.0.0.1 {port} listen"));
    let record = failure(&room, &format!("tcp4 bind 127.0.0.1 {port}"));
    assert_diagnosis(&record, "same_program_listening", [Cure::No, Cure::No]);
    assert_holder(&record, holder.pid(), "listen", "127.0.0.1", port);
    let record = failure(&room, &format!("mptcp bind 0.0.0.0 {port}"));
    assert_diagnosis(&record, "same_program_listening", [Cure::No, Cure::No]);
    assert_eq!(record["socket"]["protocol"], "mptcp", "{record}");
}

#[test]
fn a_dual_stack_listener_blocks_ipv4() {
    let room = Room::new();
    let port = room.port();
    let holder = listener(&room, "::", port);
    let record = failure(&room, &format!("tcp4 bind 127.0.0.1 {port}"));
    assert_diagnosis(&record, "same_program_listening", [Cure::No, Cure::No]);
    assert_holder(&record, holder.pid(), "listen", "::", port);
}

/// What the timer of the one socket on `port` has left, which is in this state, milliseconds.
#[track_caller]
fn lingering(port: u16, state: u8) -> u64 {
    let rows = sockets::tcp_on(port);
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.state, row.timer), (state, 3));
    row.timer_ms
}

/// What the kernel says of the lingering socket, without an owner, and the record beside it.
/// `timer_ms` is from what its timer had left after the attempt to what it had before.
#[track_caller]
fn assert_ownerless(record: &Value, state: &str, timer_ms: RangeInclusive<u64>) {
    let holder = &record["diagnosis"]["holders"][0];
    assert_eq!(holder["state"], state, "{record}");
    for owner in ["pid", "program", "uid", "user"] {
        assert_eq!(holder[owner], Value::Null, "{owner}: {record}");
    }
    let expires = holder["expires_ms"].as_u64().unwrap_or_else(|| panic!("no time: {record}"));
    // The table has steps of ten milliseconds, and a timer may be late by a tick.
    let (least, most) = (timer_ms.start().saturating_sub(50), timer_ms.end() + 50);
    assert!((least..=most).contains(&expires), "{expires} is not in {timer_ms:?}: {record}");
    // The port is free up to a second after the timer.
    let after = record["diagnosis"]["retry_after_ms"].as_u64().expect("the time is known");
    assert!(
        (expires..=expires + 1200).contains(&after),
        "retry after {after}, expiry after {expires}: {record}"
    );
}

#[test]
fn time_wait() {
    let room = Room::new();
    let port = room.port();
    leave_time_wait(&room, port);
    let before = lingering(port, 6);
    let record = failure(&room, &format!("tcp4 bind 127.0.0.1 {port}"));
    let after = lingering(port, 6);
    assert_error(&record, 98, "EADDRINUSE");
    assert_diagnosis(&record, "time_wait", [Cure::NotYes, Cure::Yes]);
    assert_ownerless(&record, "time_wait", after..=before);
    assert_eq!(record["diagnosis"]["certainty"], "certain", "{record}");
    assert!(before > 50_000, "a full TIME_WAIT was left: {before}");
}

#[test]
fn time_wait_of_a_server_with_reuseaddr() {
    let room = Room::new();
    let port = room.port();
    leave_time_wait_with_reuseaddr(&room, port);
    let record = failure(&room, &format!("tcp4 bind 127.0.0.1 {port}"));
    assert_diagnosis(&record, "time_wait", [Cure::Yes, Cure::Yes]);
}

#[test]
fn closing_connection() {
    let room = Room::new();
    let port = room.port();
    let server = room.run_victim("remnant", &format!("{port} fin_wait2")).start();
    let (_client, _) = connect(server, port).keep();
    wait_for_state(port, 5);
    let before = lingering(port, 5);
    let record = failure(&room, &format!("tcp4 bind 127.0.0.1 {port}"));
    let after = lingering(port, 5);
    assert_error(&record, 98, "EADDRINUSE");
    assert_diagnosis(&record, "closing_connection", [Cure::NotYes, Cure::Yes]);
    assert_ownerless(&record, "fin_wait2", after..=before);
}

#[test]
fn lingering_connection() {
    let room = Room::new();
    let port = room.port();
    let server = room.run_victim("remnant", &format!("{port} worker")).start();
    let (client, server) = connect(server, port).into_parts();
    wait_for_state(port, 1);
    let worker: u32 = wait::until("the worker's pid", || {
        let said = server.stdout();
        said.lines().find_map(|line| line.strip_prefix("worker ")?.parse().ok())
    });
    let record = failure(&room, &format!("tcp4 bind 127.0.0.1 {port}"));
    assert_error(&record, 98, "EADDRINUSE");
    assert_diagnosis(&record, "lingering_connection", [Cure::NotYes, Cure::No]);
    assert_holder(&record, worker, "established", "127.0.0.1", port);
    let remote = client.local_addr().expect("it is connected");
    assert_eq!(record["diagnosis"]["holders"][0]["remote"]["port"], remote.port(), "{record}");
    drop(client);
    drop(server);
}

#[test]
fn bound_not_listening() {
    let room = Room::new();
    let port = room.port();
    let holder = staying(&room, &format!("tcp4 bind 127.0.0.1 {port}"));
    assert!(sockets::tcp_on(port).is_empty(), "it is in no table of /proc/net");
    let record = failure(&room, &format!("tcp4 bind 127.0.0.1 {port}"));
    assert_error(&record, 98, "EADDRINUSE");
    assert_diagnosis(&record, "bound_not_listening", [Cure::NotYes, Cure::No]);
    assert_holder(&record, holder.pid(), "bound", "127.0.0.1", port);
}

/// A server that takes its time to end, as user `uid`.
#[track_caller]
fn large_listener(room: &Room, uid: u32, port: u16) -> Running {
    let steps = format!("memory 600 tcp4 bind 127.0.0.1 {port} listen hold");
    let holder = room.run_victim("steps", &steps);
    let mut holder = if uid == 0 { holder } else { holder.user(uid) }.start();
    holder.wait_for("holding");
    holder
}

#[test]
fn exiting_holder() {
    for kill in ["kill", "kill_into_exit"] {
        let Some(room) = Room::for_root_of_the_machine() else { return };
        let port = room.port();
        let holder = large_listener(&room, 0, port);
        let steps = format!("{kill} {} tcp4 bind 127.0.0.1 {port}", holder.pid());
        let record = failure(&room, &steps);
        assert_error(&record, 98, "EADDRINUSE");
        assert_diagnosis(&record, "exiting_holder", [Cure::No, Cure::Yes]);
        let found = &record["diagnosis"]["holders"][0];
        assert_eq!(found["pid"], holder.pid(), "{record}");
        assert_eq!(found["state"], "listen", "{record}");
    }
}

/// The descriptors of a process that has given up its memory belong to root, whoever started it.
#[test]
fn exiting_holder_without_privilege() {
    for kill in ["kill", "kill_into_exit"] {
        let room = Room::for_root("other users are needed");
        let port = room.port();
        let holder = large_listener(&room, 12345, port);
        let steps = format!("{kill} {} tcp4 bind 127.0.0.1 {port}", holder.pid());
        let record = failure_of(&room, room.run_victim("steps", &steps).user(12345));
        assert_diagnosis(&record, "exiting_holder", [Cure::No, Cure::Yes]);
        assert_eq!(record["diagnosis"]["holders"][0]["uid"], 12345, "{record}");
    }
}

/// A server that has dropped its privileges hides what it has (prctl(2), `PR_SET_DUMPABLE`), and
/// another process of its user happens to end.
#[test]
fn one_who_hides_is_not_taken_for_one_that_ends() {
    let room = Room::for_root("other users are needed");
    let port = room.port();
    let script = format!(
        "import ctypes, socket, time\n\
         s = socket.create_server(('127.0.0.1', {port}))\n\
         ctypes.CDLL(None).prctl(4, 0)\nprint('ready')\ntime.sleep(60)\n"
    );
    let mut server = room.run("python3", "-u -c").args([script]).user(23456).start();
    server.wait_for("ready");
    let mut other = room.run_victim("steps", "memory 600 hold").user(23456).start();
    other.wait_for("holding");
    let steps = format!("kill {} tcp4 bind 127.0.0.1 {port}", other.pid());
    let record = failure_of(&room, room.run_victim("steps", &steps).user(23456));
    assert_diagnosis(&record, "hidden_holder", [Cure::NotYes, Cure::NotYes]);
}

/// `pthread_exit` in `main` leaves a process whose first thread is a zombie, and which serves on.
#[test]
fn a_server_whose_first_thread_has_ended_is_not_ending() {
    let room = Room::for_root("the descriptors of its other threads are root's to see");
    let port = room.port();
    let holder = room.run_victim("leader", &port.to_string()).start();
    room.wait_for_listener(port);
    let record = failure(&room, &format!("tcp4 bind 127.0.0.1 {port}"));
    assert_diagnosis(&record, "other_program_listening", [Cure::No, Cure::No]);
    let found = &record["diagnosis"]["holders"][0];
    assert_eq!(
        (found["pid"].as_u64(), &found["state"]),
        (Some(holder.pid().into()), &"listen".into())
    );
}

#[test]
fn udp_port_taken() {
    let room = Room::new();
    let port = room.port();
    let holder = staying(&room, &format!("udp4 bind 127.0.0.1 {port}"));
    let record = failure(&room, &format!("udp4 bind 0.0.0.0 {port}"));
    assert_error(&record, 98, "EADDRINUSE");
    assert_diagnosis(&record, "udp_port_taken", [Cure::NotYes, Cure::No]);
    assert_holder(&record, holder.pid(), "udp", "127.0.0.1", port);
    assert_eq!(record["socket"]["type"], "dgram", "{record}");
    assert!(!record["diagnosis"]["fixes"].to_string().contains("SO_REUSEADDR"), "{record}");
}

#[test]
fn privileged_port() {
    let room = Room::for_root("a privileged port needs a network of its own");
    let record = failure_of(&room, room.run_victim("steps", "tcp4 bind 127.0.0.1 80").user(65534));
    assert_error(&record, 13, "EACCES");
    assert_diagnosis(&record, "privileged_port", [Cure::No, Cure::No]);
    assert_eq!(record["uid"], 65534, "{record}");
    assert_eq!(record["diagnosis"]["holders_total"], 0, "{record}");
    let fixes = record["diagnosis"]["fixes"].to_string();
    assert!(fixes.contains("ip_unprivileged_port_start"), "{record}");
}

#[test]
fn the_limit_of_privileged_ports_is_read() {
    let room = Room::for_root("a network setting is changed");
    std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "25000").expect("own network");
    let record =
        failure_of(&room, room.run_victim("steps", "tcp4 bind 127.0.0.1 24999").user(65534));
    assert_error(&record, 13, "EACCES");
    assert_diagnosis(&record, "privileged_port", [Cure::No, Cure::No]);
}

#[test]
fn a_privileged_port_that_is_also_taken() {
    let room = Room::for_root("a network setting is changed");
    let limit = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    std::fs::write(limit, "80").expect("own network");
    let holder = room.run_victim("steps", "tcp4 bind 127.0.0.1 80 listen hold");
    let holder = holder.user(65534).start();
    room.wait_for_listener(80);
    std::fs::write(limit, "1024").expect("own network");
    let record = failure_of(&room, room.run_victim("steps", "tcp4 bind 127.0.0.1 80").user(65534));
    assert_error(&record, 13, "EACCES");
    assert_diagnosis(&record, "privileged_port", [Cure::No, Cure::No]);
    let also = &record["diagnosis"]["also"];
    assert_eq!(also[0], "same_program_listening", "EACCES hides EADDRINUSE: {record}");
    assert_holder(&record, holder.pid(), "listen", "127.0.0.1", 80);
}

#[test]
fn address_not_local() {
    let room = Room::new();
    let port = room.port();
    for (steps, ip) in
        [("tcp4 bind 203.0.113.7", "203.0.113.7"), ("tcp6 bind 2001:db8::7", "2001:db8::7")]
    {
        let record = failure(&room, &format!("{steps} {port}"));
        assert_error(&record, 99, "EADDRNOTAVAIL");
        assert_diagnosis(&record, "address_not_local", [Cure::No, Cure::Maybe]);
        assert_eq!(record["address"]["ip"], ip, "{record}");
        assert_eq!(record["diagnosis"]["holders_total"], 0, "{record}");
    }
}

/// Runs a wrong use of bind and gives its record.
#[track_caller]
fn wrong_use(case: &str, cause: &str, code: i32, name: &str) -> Value {
    let room = Room::new();
    let port = room.port();
    let bare = room.run_victim("usage", &format!("{case} {port}")).finish();
    let victim = room.run_victim("usage", &format!("{case} {port}")).recorded(&room);
    let ended = victim.finish();
    assert_eq!(ended.behaviour(), bare.behaviour());
    let records = ended.records();
    records.assert_gapless();
    let record = records.failed();
    assert_error(record, code, name);
    assert_diagnosis(record, cause, [Cure::No, Cure::No]);
    record.clone()
}

#[test]
fn already_bound() {
    let record = wrong_use("already_bound", "already_bound", 22, "EINVAL");
    assert_eq!(record["address"]["ip"], "127.0.0.1", "{record}");
}

#[test]
fn wrong_address_length() {
    for case in ["short", "one_byte", "long", "negative"] {
        let _ = wrong_use(case, "wrong_address_length", 22, "EINVAL");
    }
}

#[test]
fn wrong_address_family() {
    let record = wrong_use("family", "wrong_address_family", 97, "EAFNOSUPPORT");
    assert_eq!(record["socket"]["family"], "inet", "{record}");
}

#[test]
fn bad_pointer() {
    for case in ["null", "pointer", "end_of_memory"] {
        let record = wrong_use(case, "bad_pointer", 14, "EFAULT");
        assert_eq!(record["address"], Value::Null, "{record}");
    }
}

#[test]
fn bad_fd() {
    for case in ["closed_fd", "minus_one"] {
        let record = wrong_use(case, "bad_fd", 9, "EBADF");
        assert_eq!(record["socket"]["cookie"], Value::Null, "{record}");
    }
}

#[test]
fn not_a_socket() {
    let record = wrong_use("not_a_socket", "not_a_socket", 88, "ENOTSOCK");
    assert_eq!(record["socket"]["cookie"], Value::Null, "{record}");
}
