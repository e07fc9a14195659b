//! Situations that people have reported about their servers, with the answer that they needed: the
//! right cause, and advice that helps.

use std::fs;
use std::net::TcpStream;
use std::process::Command;

use bindshim_tests::{Room, Subject, programs, sockets, wait};
use serde_json::Value;

use crate::support::{
    Cure, OUTGOING, also, assert_diagnosis, assert_error, assert_holder, assert_says, assert_works,
    failure_of, leave_time_wait, listener, narrow_range, python, run_advice, staying, steps,
    succeeds,
};

#[track_caller]
fn failure(room: &Room, victim: &str) -> Value {
    failure_of(steps(room, victim), room)
}

/// A victim under another name, which is another program.
fn named(room: &Room, name: &str, arguments: &str) -> Subject {
    let program = room.install(&room.victim("steps"), name, 0o755);
    Subject::new(room, program).args(arguments.split(' '))
}

#[track_caller]
fn assert_advises(record: &Value, what: &str) {
    let fixes = record["diagnosis"]["fixes"].to_string();
    assert!(fixes.contains(what), "{record}");
}

/// "EADDRINUSE 0.0.0.0:PORT, but only IPv6 listens there."
#[test]
fn a_dual_stack_listener_blocks_a_v4_wildcard() {
    let room = Room::new();
    let port = room.port();
    let mut holder =
        named(&room, "first-server", &format!("tcp6 bind :: {port} listen hold")).start();
    holder.wait_for("holding");
    let record = failure(&room, &format!("tcp4 bind 0.0.0.0 {port}"));
    assert_error(&record, 98, "EADDRINUSE");
    assert_diagnosis(&record, "other_program_listening", [Cure::No, Cure::No]);
    assert_eq!(also(&record), ["dual_stack_overlap"], "{record}");
    assert_holder(&record, holder.pid(), "listen", "::", port);
    assert_says(&record, "takes IPv4 as well (its IPV6_V6ONLY is off)");
}

/// A server that listens on both wildcards, one after the other, is in its own way.
#[test]
fn a_server_that_listens_on_both_wildcards() {
    let room = Room::new();
    for (first, second) in
        [("tcp6 bind ::", "tcp4 bind 0.0.0.0"), ("tcp4 bind 0.0.0.0", "tcp6 bind ::")]
    {
        let port = room.port();
        let record = failure(&room, &format!("{first} {port} listen {second} {port}"));
        assert_diagnosis(&record, "own_process_holds_port", [Cure::No, Cure::No]);
        assert_eq!(also(&record), ["dual_stack_overlap"], "{record}");
        assert_advises(&record, "0.0.0.0 together with ::");
    }
    let port = room.port();
    assert_works(
        &room,
        &format!("tcp4 bind 0.0.0.0 {port} listen tcp6 v6only bind :: {port} listen"),
    );
}

/// "Port 53 is in use, but dig @ADDRESS finds nobody": a stub resolver has it on 127.0.0.53 alone.
#[test]
fn a_resolver_on_127_0_0_53_blocks_port_53_on_all() {
    let room = Room::for_root("a privileged port");
    let stub = "udp4 bind 127.0.0.53 53 tcp4 bind 127.0.0.53 53 listen hold";
    let mut resolver = named(&room, "systemd-resolved", stub).start();
    resolver.wait_for("holding");
    for (victim, cause, state) in [
        ("udp4 bind 0.0.0.0 53", "udp_port_taken", "udp"),
        ("tcp4 bind 0.0.0.0 53", "other_program_listening", "listen"),
    ] {
        let record = failure(&room, victim);
        assert_diagnosis(&record, cause, [Cure::NotYes, Cure::No]);
        assert_eq!(also(&record), ["wildcard_overlap"], "{record}");
        assert_holder(&record, resolver.pid(), state, "127.0.0.53", 53);
        assert_says(&record, "systemd-resolved");
        assert_says(&record, "needs the port on every address, 127.0.0.53 too");
    }
    assert_works(&room, "udp4 bind 127.0.0.1 53 tcp4 bind 127.0.0.1 53 listen");
}

/// "The server is dead and its port is in use": a child that it started keeps its socket, and
/// SO_REUSEADDR does not help.
#[test]
fn an_inherited_listener_in_a_child() {
    let room = Room::new();
    let port = room.port();
    let server = python(
        &room,
        &format!(
            "s = socket.socket()\ns.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n\
             s.bind(('127.0.0.1', {port}))\ns.listen()\n\
             s.set_inheritable(True)\nos.posix_spawnp('sleep', ['sleep', '60'], os.environ, setsid=True)\n\
             print('ready')\n"
        ),
    );
    assert_eq!(server.wait().code(), Some(0));
    let bind = format!("tcp4 reuse bind 127.0.0.1 {port}");
    let record = failure(&room, &bind);
    assert_diagnosis(&record, "inherited_socket", [Cure::No, Cure::No]);
    assert_says(&record, "sleep (pid ");
    assert_advises(&record, "SOCK_CLOEXEC");
    run_advice(&record);
    wait::until("the port to be free", || {
        (steps(&room, &bind).finish().code() == Some(0)).then_some(())
    });
}

/// "The port is busy, and lsof shows no listener": a client of a server on this machine was given it.
#[test]
fn an_outgoing_connection_to_a_local_server() {
    let room = Room::for_root("a network setting is changed");
    narrow_range();
    let _server = listener(&room, "127.0.0.1", 8080);
    let script =
        "s = socket.create_connection(('127.0.0.1', 8080))\nprint('ready')\ntime.sleep(60)\n";
    let client = python(&room, script);
    let bind = format!("tcp4 bind 127.0.0.1 {OUTGOING}");
    let record = failure(&room, &bind);
    assert_error(&record, 98, "EADDRINUSE");
    assert_diagnosis(&record, "outgoing_connection", [Cure::Maybe, Cure::Maybe]);
    assert_holder(&record, client.pid(), "established", "127.0.0.1", OUTGOING);
    assert_eq!(record["diagnosis"]["certainty"], "certain", "{record}");
    run_advice(&record);
    assert_works(&room, &bind);
}

/// "It fails now and then": the default port lies among those that the kernel gives to clients. What
/// is advised keeps it for the server, for good.
#[test]
fn a_default_port_in_the_ephemeral_range() {
    let room = Room::for_root("a network setting is changed");
    let set = |name: &str, value: &str| {
        fs::write(format!("/proc/sys/net/ipv4/{name}"), value).expect("own network");
    };
    set("ip_local_port_range", "40000 40001");
    let _server = listener(&room, "127.0.0.1", 8080);
    let clients: Vec<_> = (0..2)
        .map(|_| TcpStream::connect(("127.0.0.1", 8080)).expect("there are two ports"))
        .collect();
    let bind = "tcp4 bind 127.0.0.1 40000";
    let record = failure(&room, bind);
    assert_diagnosis(&record, "outgoing_connection", [Cure::Maybe, Cure::Maybe]);
    assert_says(&record, "(the kernel gives ports 40000 to 40001 to such connections)");
    assert_advises(&record, "net.ipv4.ip_local_reserved_ports");
    drop(clients);
    set("ip_local_reserved_ports", "40000");
    // What those connections leave may have either port for a while yet.
    let both = "sport = :40000 or sport = :40001";
    let ended = Command::new("ss").args(["-tK", both]).output().expect("ss starts");
    assert!(ended.status.success(), "{ended:?}");
    let client = TcpStream::connect(("127.0.0.1", 8080)).expect("one port is left");
    assert_eq!(client.local_addr().expect("it is connected").port(), 40001);
    assert_works(&room, bind);
}

/// "Since the range was widened, servers below 32768 fail too."
#[test]
fn a_widened_range_gives_a_servers_port_away() {
    let room = Room::for_root("a network setting is changed");
    fs::write("/proc/sys/net/ipv4/ip_local_port_range", "5672 5672").expect("own network");
    let _server = listener(&room, "127.0.0.1", 8080);
    let client = TcpStream::connect(("127.0.0.1", 8080)).expect("one port is there");
    let record = failure(&room, "tcp4 bind 0.0.0.0 5672");
    assert_diagnosis(&record, "outgoing_connection", [Cure::Maybe, Cure::Maybe]);
    assert_says(&record, "5672 to 5672");
    assert_eq!(record["diagnosis"]["holders"][0]["pid"], std::process::id(), "{record}");
    drop(client);
}

/// "It cannot be restarted for a minute."
#[test]
fn a_restart_within_a_minute() {
    let room = Room::new();
    let port = room.port();
    leave_time_wait(&room, port);
    let record = failure(&room, &format!("tcp4 bind 0.0.0.0 {port}"));
    assert_diagnosis(&record, "time_wait", [Cure::NotYes, Cure::Yes]);
    let after = record["diagnosis"]["retry_after_ms"].as_u64().expect("the time is known");
    assert!((40_000..=61_500).contains(&after), "{record}");
    assert_advises(&record, "from the first start on");
}

/// "lsof and ss show nothing, and yet it is in use": a client that binds before it connects.
#[test]
fn a_socket_that_no_tool_lists() {
    let room = Room::new();
    let port = room.port();
    let holder = staying(&room, &format!("tcp4 bind 0.0.0.0 {port}"));
    let filter = format!("sport = :{port}");
    let ss = Command::new(programs::find("ss")).args(["-Htan", &filter]).output();
    assert!(ss.expect("ss starts").stdout.is_empty() && sockets::tcp_on(port).is_empty());
    let record = failure(&room, &format!("tcp4 bind 0.0.0.0 {port}"));
    assert_diagnosis(&record, "bound_not_listening", [Cure::NotYes, Cure::No]);
    assert_holder(&record, holder.pid(), "bound", "0.0.0.0", port);
    assert_says(&record, "ss -l, lsof and netstat do not show that");
}

/// "After a crash the socket file is in use": and one that is served is never called left over.
#[test]
fn a_socket_file_that_a_crash_left() {
    let room = Room::new();
    let path = room.path("server.sock").display().to_string();
    let server = staying(&room, &format!("unix bind {path} listen"));
    let bind = format!("unix bind {path}");
    let record = failure(&room, &bind);
    assert_diagnosis(&record, "path_listener", [Cure::No, Cure::No]);
    server.signal(9);
    let _ = server.wait();
    let record = failure(&room, &bind);
    assert_error(&record, 98, "EADDRINUSE");
    assert_diagnosis(&record, "stale_socket_file", [Cure::No, Cure::No]);
    assert_advises(&record, "if no program uses it");
    fs::remove_file(&path).expect("the room is ours");
    assert_works(&room, &bind);
}

/// "::1 does not work in a container": IPv6 is off there, and nobody uses the port.
#[test]
fn ipv6_loopback_in_a_container_without_ipv6() {
    let room = Room::for_root("a network setting is changed");
    fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").expect("own network");
    let port = room.port();
    let record = failure(&room, &format!("tcp6 bind ::1 {port}"));
    assert_error(&record, 99, "EADDRNOTAVAIL");
    assert_diagnosis(&record, "ipv6_disabled", [Cure::No, Cure::No]);
    assert_eq!(record["diagnosis"]["holders_total"], 0, "{record}");
    for (advised, works) in
        [("bind 127.0.0.1", "tcp4 bind 127.0.0.1"), (":: which works", "tcp6 bind ::")]
    {
        assert_advises(&record, advised);
        assert_works(&room, &format!("{works} {port}"));
    }
    assert_advises(&record, "docker run --sysctl");
    run_advice(&record);
    assert_works(&room, &format!("tcp6 bind ::1 {port}"));
}

/// "Permission denied on port 80, though the container has the capability": not as this user's own.
#[test]
fn port_80_with_a_capability_that_is_not_ambient() {
    let room = Room::for_root("a privileged port and other users are needed");
    let bind = "tcp4 bind 0.0.0.0 80";
    let record = failure_of(steps(&room, bind).user(65534), &room);
    assert_error(&record, 13, "EACCES");
    assert_diagnosis(&record, "privileged_port", [Cure::No, Cure::No]);
    assert_advises(&record, "AmbientCapabilities=CAP_NET_BIND_SERVICE");
    assert!(!succeeds(&room, bind));
    // As the service manager gives it.
    let ambient = Subject::new(&room, programs::find("setpriv"))
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(["--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"])
        .args([room.victim("steps")])
        .args(bind.split(' '));
    assert_eq!(ambient.finish().code(), Some(0));
}

/// "I start my example a second time": the first one still runs.
#[test]
fn the_first_run_is_still_there() {
    let room = Room::new();
    let port = room.port();
    let first = listener(&room, "0.0.0.0", port);
    let bind = format!("tcp4 bind 0.0.0.0 {port}");
    let record = failure(&room, &bind);
    assert_diagnosis(&record, "same_program_listening", [Cure::No, Cure::No]);
    assert_holder(&record, first.pid(), "listen", "0.0.0.0", port);
    run_advice(&record);
    let _ = first.wait();
    assert_works(&room, &bind);
}

/// "The upgrade fails": the new process binds for itself instead of taking its parent's socket.
#[test]
fn a_child_that_binds_what_its_parent_has() {
    let room = Room::new();
    let port = room.port();
    let script = room.file(
        "upgrade.py",
        &format!(
            "import os, socket, subprocess, sys\ns = socket.socket()\n\
             try: s.bind(('127.0.0.1', {port}))\nexcept OSError: sys.exit(1)\ns.listen()\n\
             sys.exit(subprocess.run([sys.executable] + sys.argv).returncode)\n"
        ),
    );
    let record = failure_of(room.run("python3", &script.display().to_string()), &room);
    assert_diagnosis(&record, "same_program_listening", [Cure::No, Cure::No]);
    assert_eq!(record["diagnosis"]["holders"][0]["pid"], record["ppid"], "{record}");
    assert_says(&record, "the parent of this process");
    assert_advises(&record, "use the socket that the parent has");
    assert!(!record["diagnosis"]["fixes"].to_string().contains("kill"), "{record}");
}

/// "bind fails, although I set SO_REUSEADDR": after bind, where it does nothing.
#[test]
fn reuseaddr_that_is_set_after_bind() {
    let room = Room::new();
    let port = room.port();
    let ended = steps(&room, &format!("tcp4 bind 127.0.0.1 {port} reuse listen")).recorded(&room);
    let ended = ended.finish();
    assert_eq!(ended.code(), Some(0), "{}", ended.stdout);
    let records = ended.records();
    let record = records.only("setsockopt");
    assert_eq!(record["warning"], true, "{record}");
    assert_diagnosis(record, "option_too_late", [Cure::Maybe, Cure::Maybe]);
    assert_advises(record, "before bind()");
}
