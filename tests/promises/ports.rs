//! What may hold a port besides a server that listens, and why another address is in the way: each
//! made by real programs, and cured by the command that the record advises.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use bindshim_tests::{Room, programs};
use serde_json::{Value, json};

use crate::support::{
    Cure, OUTGOING, also, assert_diagnosis, assert_error, assert_holder, assert_says, assert_works,
    failure_of as failure, listener, narrow_range, python, run_advice, staying, steps, succeeds,
    wait_for_state,
};

/// A client that tries a port of the kernel's range again and again is connected to itself one day.
#[test]
fn a_client_that_is_connected_to_itself() {
    let room = Room::for_root("a network setting is changed");
    narrow_range();
    let script = format!(
        "s = socket.create_connection(('127.0.0.1', {OUTGOING}))\nprint('ready')\ntime.sleep(60)\n"
    );
    let client = python(&room, &script);
    let bind = format!("tcp4 bind 0.0.0.0 {OUTGOING}");
    let record = failure(steps(&room, &bind), &room);
    assert_diagnosis(&record, "outgoing_connection", [Cure::Maybe, Cure::Maybe]);
    assert_holder(&record, client.pid(), "established", "127.0.0.1", OUTGOING);
    assert_says(&record, "is connected to itself");
    run_advice(&record);
    assert_works(&room, &bind);
}

#[test]
fn somebody_whom_the_user_cannot_see_has_the_port() {
    let room = Room::for_root("other users are needed");
    let port = room.port();
    let _holder = listener(&room, "127.0.0.1", port);
    let bind = format!("tcp4 bind 127.0.0.1 {port}");
    let record = failure(steps(&room, &bind).user(65534), &room);
    assert_diagnosis(&record, "hidden_holder", [Cure::No, Cure::No]);
    assert_eq!(record["diagnosis"]["certainty"], "certain", "{record}");
    let holder = &record["diagnosis"]["holders"][0];
    assert_eq!((&holder["pid"], &holder["user"]), (&Value::Null, &"root".into()), "{record}");
    assert_eq!(holder["unknown"], "permission", "{record}");
    assert_says(&record, "a process of user root");
}

/// Both sockets have SO_REUSEADDR, so that both binds go through, and the other one listens first.
#[test]
fn another_one_listens_first() {
    let room = Room::new();
    let port = room.port();
    let bind = format!("tcp4 reuse bind 127.0.0.1 {port}");
    let mut holder = steps(&room, &format!("{bind} wait listen hold")).with_stdin().start();
    holder.wait_for("bind 0");
    let late = steps(&room, &format!("{bind} wait listen")).recorded(&room).with_stdin();
    let mut late = late.start();
    late.wait_for("bind 0");
    holder.stdin().write_all(b"go\n").expect("it waits for a line");
    holder.wait_for("holding");
    late.stdin().write_all(b"go\n").expect("it waits for a line");
    let ended = late.wait();
    assert_eq!(ended.code(), Some(1), "{}", ended.stdout);
    let records = ended.records();
    let record = records.failed();
    assert_eq!(record["call"], "listen", "{record}");
    assert_diagnosis(record, "listen_race", [Cure::No, Cure::No]);
    assert_holder(record, holder.pid(), "listen", "127.0.0.1", port);
}

#[test]
fn no_port_is_left_for_the_kernel_to_choose() {
    let room = Room::for_root("a network setting is changed");
    let range = "/proc/sys/net/ipv4/ip_local_port_range";
    fs::write(range, "40000 40001").expect("own network");
    let _holder = staying(&room, "tcp4 bind 127.0.0.1 0 listen tcp4 bind 127.0.0.1 0 listen");
    let record = failure(steps(&room, "tcp4 bind 127.0.0.1 0"), &room);
    assert_error(&record, 98, "EADDRINUSE");
    assert_diagnosis(&record, "ephemeral_ports_exhausted", [Cure::No, Cure::Maybe]);
    assert_says(&record, "(40000 to 40001) are taken");
    let unbound = failure(steps(&room, "tcp4 listen"), &room);
    assert_eq!(unbound["call"], "listen", "{unbound}");
    assert_diagnosis(&unbound, "ephemeral_ports_exhausted", [Cure::No, Cure::Maybe]);
    run_advice(&record);
    assert_works(&room, "tcp4 bind 127.0.0.1 0");
    assert_works(&room, "tcp4 listen");
}

/// A socket stays in the network namespace that it was made in.
#[test]
fn the_socket_is_of_another_network() {
    let room = Room::for_root("a network is left");
    let port = room.port();
    let _holder = listener(&room, "127.0.0.1", port);
    let script = room.file(
        "leave.py",
        &format!(
            "import ctypes, socket, sys\ns = socket.socket()\n\
             assert ctypes.CDLL(None).unshare(0x40000000) == 0\n\
             innocent = socket.socket()\ninnocent.bind(('127.0.0.1', {port}))\n\
             innocent.listen()\n\
             try: s.bind(('127.0.0.1', {port}))\nexcept OSError: sys.exit(1)\n"
        ),
    );
    let record = failure(room.run("python3", &script.display().to_string()), &room);
    assert_error(&record, 98, "EADDRINUSE");
    assert_diagnosis(&record, "other_network_namespace", [Cure::No, Cure::No]);
    assert_eq!(record["diagnosis"]["holders_total"], 0, "who is here is innocent: {record}");
}

/// EACCES comes first, and hides who has the port.
#[test]
fn a_privileged_port_that_somebody_unseen_has() {
    let room = Room::for_root("other users are needed");
    let _holder = listener(&room, "127.0.0.1", 80);
    let record = failure(steps(&room, "tcp4 bind 127.0.0.1 80").user(65534), &room);
    assert_diagnosis(&record, "privileged_port", [Cure::No, Cure::No]);
    assert_eq!(also(&record), ["hidden_holder"], "{record}");
}

/// A connection of another server on the same port is not cut by what is advised.
#[test]
fn an_outgoing_connection_is_ended_alone() {
    let room = Room::for_root("a network setting is changed");
    narrow_range();
    let _server = listener(&room, "127.0.0.1", 8080);
    let script =
        "s = socket.create_connection(('127.0.0.1', 8080))\nprint('ready')\ntime.sleep(60)\n";
    let _client = python(&room, script);
    let _other = listener(&room, "127.0.0.2", OUTGOING);
    let record = failure(steps(&room, &format!("tcp4 bind 127.0.0.1 {OUTGOING}")), &room);
    assert_diagnosis(&record, "outgoing_connection", [Cure::Maybe, Cure::Maybe]);
    run_advice(&record);
    assert_works(&room, &format!("tcp4 bind 127.0.0.1 {OUTGOING}"));
    let record = failure(steps(&room, &format!("tcp4 bind 127.0.0.2 {OUTGOING}")), &room);
    assert_eq!(
        record["diagnosis"]["cause"], "same_program_listening",
        "it is still there: {record}"
    );
}

#[test]
fn a_port_of_the_kernel_itself() {
    let room = Room::for_root("an interface is made");
    let ip = |arguments: &str| {
        let ip = Command::new(programs::find("ip")).args(arguments.split(' ')).output();
        let ip = ip.expect("ip starts");
        assert!(ip.status.success(), "ip {arguments}: {ip:?}");
    };
    ip("link add tunnel type vxlan id 7 dstport 4789 local 127.0.0.1");
    ip("link set tunnel up");
    let record = failure(steps(&room, "udp4 bind 127.0.0.1 4789"), &room);
    assert_error(&record, 98, "EADDRINUSE");
    assert_diagnosis(&record, "kernel_socket", [Cure::No, Cure::No]);
    assert_eq!(record["diagnosis"]["holders"][0]["pid"], Value::Null, "{record}");
    run_advice(&record);
    ip("link del tunnel");
    assert_works(&room, "udp4 bind 127.0.0.1 4789");
}

#[test]
fn wildcards_are_in_the_way_of_every_address() {
    let room = Room::new();
    for (holder, kind, address, word) in [
        ("0.0.0.0", "tcp4", "127.0.0.1", "covers every address, 127.0.0.1 too"),
        ("127.0.0.2", "tcp4", "0.0.0.0", "needs the port on every address, 127.0.0.2 too"),
        ("::1", "tcp6", "::", "needs the port on every address, ::1 too"),
    ] {
        let port = room.port();
        let _holder = listener(&room, holder, port);
        let record = failure(steps(&room, &format!("{kind} bind {address} {port}")), &room);
        assert_eq!(record["diagnosis"]["cause"], "same_program_listening", "{record}");
        assert_eq!(also(&record), ["wildcard_overlap"], "{record}");
        assert_says(&record, word);
    }
}

#[test]
fn sockets_for_both_families_are_in_the_way_of_either() {
    let room = Room::new();
    for (holder, kind, address, word) in [
        ("::", "tcp4", "127.0.0.1", "that takes IPv4 as well"),
        ("127.0.0.1", "tcp6", "::", "needs the port on IPv4 as well"),
        ("127.0.0.1", "tcp6", "::ffff:127.0.0.1", "is the IPv4 address 127.0.0.1"),
    ] {
        let port = room.port();
        let _holder = listener(&room, holder, port);
        let record = failure(steps(&room, &format!("{kind} bind {address} {port}")), &room);
        assert_eq!(also(&record), ["dual_stack_overlap"], "{record}");
        assert_says(&record, word);
        if address == "::" {
            assert!(record["diagnosis"]["fixes"].to_string().contains("IPV6_V6ONLY"), "{record}");
            assert_works(&room, &format!("tcp6 v6only bind :: {port} listen"));
        }
    }
}

#[test]
fn a_device_does_not_part_it_from_a_socket_without_one() {
    let room = Room::for_root("a socket is bound to a device");
    let port = room.port();
    let holder = python(
        &room,
        &format!(
            "s = socket.socket()\ns.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'lo')\n\
             s.bind(('127.0.0.1', {port}))\ns.listen()\nprint('ready')\ntime.sleep(60)\n"
        ),
    );
    let record = failure(steps(&room, &format!("tcp4 bind 127.0.0.1 {port}")), &room);
    assert_diagnosis(&record, "other_program_listening", [Cure::No, Cure::No]);
    assert_eq!(also(&record), ["device_overlap"], "{record}");
    assert_holder(&record, holder.pid(), "listen", "127.0.0.1", port);
}

#[test]
fn sharing_needs_the_option_on_all_sockets_and_one_user() {
    let room = Room::for_root("other users are needed");
    let plain = "tcp4 bind 127.0.0.1";
    let sharing = "tcp4 reuseport bind 127.0.0.1";
    for (holder, holders, victim, word) in [
        (plain, 1, sharing, "is on here, but not there"),
        (sharing, 2, plain, "several sockets share it by SO_REUSEPORT"),
    ] {
        let port = room.port();
        let holder = format!("{holder} {port} listen");
        let _holders: Vec<_> = (0..holders).map(|_| staying(&room, &holder)).collect();
        let record = failure(steps(&room, &format!("{victim} {port}")), &room);
        assert_eq!(also(&record), ["reuseport_mismatch"], "{record}");
        assert_says(&record, word);
    }
    let port = room.port();
    let holder = steps(&room, &format!("{sharing} {port} listen hold")).user(12345);
    let mut holder = holder.start();
    holder.wait_for("holding");
    let record = failure(steps(&room, &format!("{sharing} {port}")), &room);
    assert_eq!(also(&record), ["reuseport_mismatch"], "{record}");
    assert_says(&record, "of the same user, and that is user id 12345");
}

/// Also when they are over, and their server with them.
#[test]
fn ipv6_connections_keep_the_ipv4_wildcard_away() {
    let room = Room::new();
    let port = room.port();
    let listener = TcpListener::bind(("::", port)).expect("a free port");
    let client = TcpStream::connect(("::1", port)).expect("it listens");
    let (server, _) = listener.accept().expect("a client has connected");
    drop((listener, server));
    drop(client);
    wait_for_state(port, 6);
    assert!(succeeds(&room, &format!("tcp4 bind 127.0.0.1 {port}")));
    let record = failure(steps(&room, &format!("tcp4 bind 0.0.0.0 {port}")), &room);
    // Rust's servers have SO_REUSEADDR.
    assert_diagnosis(&record, "time_wait", [Cure::Yes, Cure::Yes]);
    assert_eq!(record["diagnosis"]["also"], json!(["dual_stack_overlap"]), "{record}");
    assert!(succeeds(&room, &format!("tcp4 reuse bind 0.0.0.0 {port}")));
}
