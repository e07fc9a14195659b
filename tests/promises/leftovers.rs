//! What a server or a client left on a port, and what the old socket's options change.

use bindshim_tests::{Room, sockets, wait};
use serde_json::Value;

use crate::support::{
    Cure, assert_diagnosis, assert_error, assert_holder, assert_says, assert_works, failure_of,
    leave_time_wait, python, serve_and_leave, steps, wait_for_state,
};

/// The new socket's SO_REUSEADDR is of no use alone.
#[test]
fn time_wait_of_a_server_without_reuseaddr() {
    let room = Room::new();
    let port = room.port();
    leave_time_wait(&room, port);
    let record = failure_of(steps(&room, &format!("tcp4 reuse bind 127.0.0.1 {port}")), &room);
    assert_error(&record, 98, "EADDRINUSE");
    assert_diagnosis(&record, "time_wait", [Cure::No, Cure::Yes]);
    assert_says(&record, "the old socket did not have it");
}

/// What the old one had is what the new one needs, and that is not to be seen.
#[test]
fn time_wait_of_a_server_with_reuseport_alone() {
    let room = Room::new();
    let port = room.port();
    let server = room.run_victim("remnant", &format!("{port} time_wait reuseport")).start();
    let _ = serve_and_leave(server, port);
    for option in ["", "reuse "] {
        let bind = format!("tcp4 {option}bind 127.0.0.1 {port}");
        let record = failure_of(steps(&room, &bind), &room);
        assert_diagnosis(&record, "time_wait", [Cure::No, Cure::Yes]);
    }
    assert_works(&room, &format!("tcp4 reuseport bind 127.0.0.1 {port}"));
}

/// A server that does not listen any more, and does not close what its client has closed.
#[test]
fn close_wait_leak() {
    let room = Room::new();
    let port = room.port();
    let script = format!(
        "s = socket.socket()\ns.bind(('127.0.0.1', {port}))\ns.listen()\n\
         c = socket.create_connection(('127.0.0.1', {port}))\nkept, _ = s.accept()\ns.close()\n\
         c.close()\nprint('ready')\ntime.sleep(60)\n"
    );
    let server = python(&room, &script);
    wait_for_state(port, 8);
    let record = failure_of(steps(&room, &format!("tcp4 bind 127.0.0.1 {port}")), &room);
    assert_error(&record, 98, "EADDRINUSE");
    assert_diagnosis(&record, "close_wait_leak", [Cure::Maybe, Cure::Maybe]);
    assert_holder(&record, server.pid(), "close_wait", "127.0.0.1", port);
    assert_eq!(record["diagnosis"]["certainty"], "probable", "{record}");
}

/// A server that has written and gone, and a client that does not read: the kernel goes on trying.
#[test]
fn a_connection_whose_peer_does_not_read() {
    let room = Room::new();
    let port = room.port();
    let script = format!(
        "s = socket.socket()\ns.bind(('127.0.0.1', {port}))\ns.listen()\n\
         pid = os.fork()\n\
         if pid == 0:\n    c, _ = s.accept()\n    c.setblocking(False)\n    try:\n        \
         while True: c.send(b'x' * 65536)\n    except BlockingIOError: os._exit(0)\n\
         c = socket.create_connection(('127.0.0.1', {port}))\nos.waitpid(pid, 0)\ns.close()\n\
         print('ready')\ntime.sleep(60)\n"
    );
    let _client = python(&room, &script);
    wait_for_state(port, 4);
    let record = failure_of(steps(&room, &format!("tcp4 bind 127.0.0.1 {port}")), &room);
    assert_error(&record, 98, "EADDRINUSE");
    assert_diagnosis(&record, "closing_connection", [Cure::NotYes, Cure::Yes]);
    let diagnosis = &record["diagnosis"];
    assert_eq!(diagnosis["certainty"], "certain", "{record}");
    assert_eq!(diagnosis["holders"][0]["state"], "fin_wait1", "{record}");
    for unknown in [&diagnosis["retry_after_ms"], &diagnosis["holders"][0]["pid"]] {
        assert_eq!(*unknown, Value::Null, "{record}");
    }
    assert_says(&record, "when they end is not known");
}

/// A client that asked for its port, or was given it, and is connected.
#[test]
fn a_connected_udp_client() {
    let room = Room::new();
    let script = "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                  s.connect(('127.0.0.1', 9))\nprint('ready', s.getsockname()[1], flush=True)\n\
                  time.sleep(60)\n";
    let client = python(&room, script);
    let port = wait::until("the client's port", || {
        sockets::udp().iter().find(|row| row.remote.1 == 9).map(|row| row.local.1)
    });
    let record = failure_of(steps(&room, &format!("udp4 bind 127.0.0.1 {port}")), &room);
    assert_error(&record, 98, "EADDRINUSE");
    assert_diagnosis(&record, "udp_port_taken", [Cure::Maybe, Cure::Maybe]);
    assert_holder(&record, client.pid(), "udp", "127.0.0.1", port);
    assert_says(&record, "connected to 127.0.0.1:9");
}
