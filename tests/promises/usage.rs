//! A call that cannot work is told with what is wrong about it.

use bindshim_tests::Room;
use serde_json::Value;

use crate::support::{Cure, as_nobody, assert_diagnosis, assert_error, failure, staying, succeeds};

/// The failure of a `steps` victim, which has this error and this cause for certain.
#[track_caller]
fn wrong(room: &Room, steps: &str, error: (i32, &str), cause: &str) -> Value {
    let record = failure(room, steps);
    assert_error(&record, error.0, error.1);
    assert_diagnosis(&record, cause, [Cure::No, Cure::No]);
    assert_eq!(record["diagnosis"]["certainty"], "certain", "{record}");
    record
}

const EINVAL: (i32, &str) = (22, "EINVAL");

#[test]
fn already_connected() {
    let room = Room::new();
    let port = room.port();
    let _server = staying(&room, &format!("tcp4 bind 127.0.0.1 {port} listen"));
    let steps = format!("tcp4 connect 127.0.0.1 {port} bind 127.0.0.1 {}", room.port());
    let record = wrong(&room, &steps, EINVAL, "already_connected");
    let summary = record["diagnosis"]["summary"].to_string();
    assert!(summary.contains(&format!("127.0.0.1:{port}")), "{record}");
}

#[test]
fn a_datagram_socket_is_bound_by_its_first_datagram() {
    let room = Room::new();
    let record = failure(&room, &format!("udp4 send 127.0.0.1 9 bind 127.0.0.1 {}", room.port()));
    assert_error(&record, 22, "EINVAL");
    assert_diagnosis(&record, "already_connected", [Cure::No, Cure::No]);
    assert_eq!(record["diagnosis"]["certainty"], "probable", "{record}");
    let port = room.port();
    let steps = format!("udp4 bind 127.0.0.1 {port} bind 127.0.0.1 {}", room.port());
    let _ = wrong(&room, &steps, EINVAL, "already_bound");
}

#[test]
fn already_bound_unix() {
    let room = Room::new();
    let (first, second) = (room.path("first"), room.path("second"));
    let steps = format!("unix bind {} bind {}", first.display(), second.display());
    let ended = as_nobody(room.run_victim("steps", &steps)).recorded(&room).finish();
    let records = ended.records();
    assert_diagnosis(records.failed(), "already_bound", [Cure::No, Cure::No]);
}

#[test]
fn multicast_stream() {
    let room = Room::new();
    let port = room.port();
    for group in ["ff02::1", "ff0e::1"] {
        let _ = wrong(&room, &format!("tcp6 bind {group} {port}"), EINVAL, "multicast_stream");
    }
    assert!(succeeds(&room, &format!("tcp4 bind 224.0.0.1 {port} listen")), "IPv4 allows it");
}

#[test]
fn v4_mapped_on_v6only() {
    let room = Room::new();
    let port = room.port();
    let steps = format!("tcp6 v6only bind ::ffff:127.0.0.1 {port}");
    let _ = wrong(&room, &steps, EINVAL, "v4_mapped_on_v6only");
    assert!(succeeds(&room, &format!("tcp6 bind ::ffff:127.0.0.1 {port}")));
}

#[test]
fn wrong_address_family() {
    let room = Room::new();
    for (case, code, name) in [
        ("v4_on_v6", 22, "EINVAL"),
        ("v4_on_v6_long", 97, "EAFNOSUPPORT"),
        ("unspecified", 97, "EAFNOSUPPORT"),
        ("family", 97, "EAFNOSUPPORT"),
    ] {
        let arguments = format!("{case} {}", room.port());
        let victim = as_nobody(room.run_victim("usage", &arguments)).recorded(&room);
        let ended = victim.finish();
        let records = ended.records();
        let record = records.failed();
        assert_error(record, code, name);
        assert_diagnosis(record, "wrong_address_family", [Cure::No, Cure::No]);
    }
}

#[test]
fn listen_not_supported() {
    let room = Room::new();
    let steps = format!("udp4 bind 127.0.0.1 {} listen", room.port());
    let error = (95, "EOPNOTSUPP");
    let record = wrong(&room, &steps, error, "listen_not_supported");
    assert_eq!(record["socket"]["type"], "dgram", "{record}");
}

#[test]
fn listen_wrong_state() {
    let room = Room::new();
    let port = room.port();
    let _server = staying(&room, &format!("tcp4 bind 127.0.0.1 {port} listen"));
    for (steps, word) in [
        (format!("tcp4 connect 127.0.0.1 {port} listen"), "connected to 127.0.0.1"),
        ("unix listen".to_owned(), "not bound"),
        ("pair listen".to_owned(), "is connected"),
    ] {
        let record = wrong(&room, &steps, EINVAL, "listen_wrong_state");
        assert_eq!(record["call"], "listen", "{record}");
        assert!(record["diagnosis"]["summary"].to_string().contains(word), "{record}");
    }
}

#[test]
fn listen_on_no_socket() {
    let room = Room::new();
    let _ = wrong(&room, "none listen", (9, "EBADF"), "bad_fd");
    let _ = wrong(&room, "file listen", (88, "ENOTSOCK"), "not_a_socket");
}

#[test]
fn option_too_late() {
    let room = Room::new();
    let steps = format!("tcp6 bind ::1 {} v6only", room.port());
    let record = wrong(&room, &steps, EINVAL, "option_too_late");
    assert_eq!(record["call"], "setsockopt", "{record}");
    assert_eq!(record["option"]["name"], "IPV6_V6ONLY", "{record}");
    assert!(succeeds(&room, &format!("tcp6 v6only bind ::1 {}", room.port())));
}

#[test]
fn option_unsupported() {
    let room = Room::new();
    let record = wrong(&room, "tcp4 v6only", (92, "ENOPROTOOPT"), "option_unsupported");
    assert!(record["diagnosis"]["fixes"].to_string().contains("IPv6 sockets"), "{record}");
    let record = wrong(&room, "unix reuseport", (95, "EOPNOTSUPP"), "option_unsupported");
    assert!(record["diagnosis"]["summary"].to_string().contains("SO_REUSEPORT"), "{record}");
}

#[test]
fn option_not_permitted() {
    let room = Room::for_root("only an ordinary user lacks the privilege");
    for (steps, capability) in
        [("tcp4 device lo device lo", "CAP_NET_RAW"), ("tcp4 transparent", "CAP_NET_ADMIN")]
    {
        let record = wrong(&room, steps, (1, "EPERM"), "option_not_permitted");
        assert!(record["diagnosis"]["summary"].to_string().contains(capability), "{record}");
    }
}

#[test]
fn swapped_port_bytes() {
    let room = Room::new();
    // 36895 is 8080 without htons().
    let record = failure(&room, "tcp4 bind 203.0.113.7 36895");
    assert_diagnosis(&record, "address_not_local", [Cure::No, Cure::Maybe]);
    assert_eq!(record["diagnosis"]["also"][0], "swapped_port_bytes", "{record}");
    let summary = record["diagnosis"]["summary"].to_string();
    assert!(summary.contains("8080") && summary.contains("htons"), "{record}");
}
