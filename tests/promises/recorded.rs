//! What a record holds, call by call.

use bindshim_tests::{Records, Room, Way};
use serde_json::{Value, json};

#[test]
fn an_attempt_names_its_process_and_socket() {
    let room = Room::new();
    let port = room.port();
    let steps = format!("tcp4 reuse bind 127.0.0.1 {port} listen");
    let ended = room.run_victim("steps", &steps).recorded(&room).finish();
    let records = ended.records();
    records.assert_gapless();
    let calls: Vec<_> = records.all().iter().map(|record| record["call"].clone()).collect();
    assert_eq!(calls, ["setsockopt", "bind", "listen"]);
    let program = room.path("steps");
    for record in records.all() {
        assert_eq!(record["v"], 1, "{record}");
        assert_eq!(record["kind"], "attempt", "{record}");
        assert_eq!(record["pid"], ended.pid, "{record}");
        assert_eq!(record["tid"], ended.pid, "{record}");
        assert_eq!(record["program"], program.to_str().expect("a plain path"), "{record}");
        assert_eq!(record["script"], Value::Null, "{record}");
        assert_eq!(record["run"], Value::Null, "no launcher: {record}");
        assert_eq!(record["outcome"], "ok", "{record}");
        assert_eq!(record["error"], Value::Null, "{record}");
        assert_eq!(record["diagnosis"], Value::Null, "{record}");
        assert_eq!(record["attempts"], 1, "{record}");
        assert_eq!(record["socket"]["family"], "inet", "{record}");
        assert_eq!(record["socket"]["protocol"], "tcp", "{record}");
        assert_eq!(record["socket"]["cookie"], records.all()[0]["socket"]["cookie"], "{record}");
    }
    let listen = records.only("listen");
    assert_eq!(listen["backlog"], 16, "{listen}");
    assert_eq!(listen["address"], json!({"ip": "127.0.0.1", "port": port}), "{listen}");
    let option = &records.only("setsockopt")["option"];
    assert_eq!(*option, json!({"level": "SOL_SOCKET", "name": "SO_REUSEADDR", "value": 1}));
    assert_eq!(records.only("bind")["socket"]["reuseaddr"], true);
}

#[test]
fn port_zero_shows_what_it_got() {
    let room = Room::new();
    for (kind, ip) in [("tcp4", "127.0.0.1"), ("udp4", "0.0.0.0"), ("tcp6", "::1")] {
        let steps = format!("{kind} bind {ip} 0");
        let records = room.run_victim("steps", &steps).recorded(&room).finish().records();
        let bind = records.only("bind");
        assert_eq!(bind["address"]["port"], 0, "{bind}");
        assert_eq!(bind["actual"]["ip"], ip, "{bind}");
        assert!(bind["actual"]["port"].as_u64() > Some(1023), "{bind}");
    }
}

#[test]
fn every_family_has_its_address() {
    let room = Room::for_root("bindresvport needs a privilege");
    let ended = room.run_victim("families", "").recorded(&room).finish();
    let bare = room.run_victim("families", "").finish();
    assert_eq!(ended.stdout.lines().count(), bare.stdout.lines().count(), "{}", ended.stdout);
    let records = ended.records();
    records.assert_gapless();
    let binds = records.calls("bind");
    let [name, netlink, six, reserved] = binds.as_slice() else { panic!("{records}") };
    assert_eq!(name["address"], json!({"abstract": "an abstract name"}), "{name}");
    assert_eq!(name["socket"]["family"], "unix", "{name}");
    assert_eq!(netlink["address"]["family"], 16, "{netlink}");
    assert!(netlink["address"]["bytes"].is_string(), "{netlink}");
    assert_eq!(six["address"]["ip"], "::1", "{six}");
    assert_eq!(six["address"]["scope"], 1, "{six}");
    let port: u64 = ended
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("port ")?.parse().ok())
        .expect("the victim says it");
    let told = [&reserved["address"]["port"], &reserved["actual"]["port"]];
    assert!(told.iter().any(|told| **told == port), "{port}: {reserved}");
    let listens = records.calls("listen");
    let [unix, unbound] = listens.as_slice() else { panic!("{records}") };
    assert_eq!(unix["address"], json!({"abstract": "an abstract name"}), "{unix}");
    assert_eq!(unbound["outcome"], "ok", "{unbound}");
    let address = [&unbound["address"], &unbound["actual"]];
    assert!(address.iter().any(|a| a["port"].as_u64() > Some(1023)), "{unbound}");
}

#[test]
fn a_socket_file_has_its_path() {
    let room = Room::new();
    let path = room.path("server.sock");
    let steps = format!("unix bind {} listen", path.display());
    let records = room.run_victim("steps", &steps).recorded(&room).finish().records();
    for call in ["bind", "listen"] {
        let record = records.only(call);
        assert_eq!(record["address"], json!({"path": path.to_str()}), "{record}");
    }
}

#[test]
fn options_that_decide_a_bind_are_recorded_and_no_others() {
    let room = Room::new();
    let ended = room.run_victim("options", "").recorded(&room).finish();
    let bare = room.run_victim("options", "").finish();
    assert_eq!(ended.behaviour(), bare.behaviour());
    let records = ended.records();
    let names: Vec<_> = records
        .calls("setsockopt")
        .iter()
        .map(|record| record["option"]["name"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "SO_REUSEADDR",
            "SO_REUSEPORT",
            "IPV6_V6ONLY",
            "SO_BINDTODEVICE",
            "SO_BINDTOIFINDEX",
            "IP_FREEBIND",
            "IPV6_FREEBIND",
            "IP_TRANSPARENT",
            "IPV6_TRANSPARENT",
            "IP_BIND_ADDRESS_NO_PORT",
            "IP_LOCAL_PORT_RANGE",
            "SO_REUSEADDR",
        ]
    );
    let calls = records.calls("setsockopt");
    assert_eq!(calls[3]["option"]["value"], "lo", "{}", calls[3]);
    let unreadable = calls.last().expect("there are twelve");
    assert_eq!(unreadable["error"]["name"], "EFAULT", "{unreadable}");
    assert_eq!(unreadable["option"]["value"], Value::Null, "{unreadable}");
}

#[test]
fn one_launch_has_one_id() {
    let room = Room::new();
    let inner = room.victim("steps");
    let command = format!("{0} tcp4 bind 127.0.0.1 0; {0} tcp4 bind 127.0.0.1 0", inner.display());
    let launch = || {
        let shell = room.run("sh", "-c").args([&command]).recorded_by(&room, Way::Launcher);
        shell.finish().records()
    };
    let (first, second) = (launch(), launch());
    let ids = |records: &Records| -> Vec<String> {
        let binds = records.calls("bind");
        binds.iter().map(|r| r["run"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let (first, second) = (ids(&first), ids(&second));
    assert_eq!(first.len(), 2);
    assert_eq!(first[0].len(), 16, "{first:?}");
    assert_eq!(first[0], first[1], "children inherit it");
    assert_ne!(first[0], second[0], "another launch, another id");
}
