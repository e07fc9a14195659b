//! The answer is that of a real bind.

use bindshim_tests::{Room, Subject};
use serde_json::{Value, json};

use super::{answered, holder, python, told, why};
use crate::support::{as_nobody, leave_time_wait, leave_time_wait_with_reuseaddr};

/// What the record of a bind that really fails says.
#[track_caller]
fn failed(victim: Subject, room: &Room) -> Value {
    let ended = victim.recorded(room).finish();
    assert_eq!(ended.code(), Some(1), "{}", ended.stdout);
    ended.records().failed().clone()
}

/// Checks that the answer to `question` is the record of `steps`, and gives it. It may know more:
/// the options of somebody else's socket, on which the effect of SO_REUSEADDR depends.
#[track_caller]
fn same(room: &Room, question: &str, steps: &str) -> Value {
    same_as(room, question, steps, |subject| subject)
}

#[track_caller]
fn same_as(room: &Room, question: &str, steps: &str, user: fn(Subject) -> Subject) -> Value {
    let answer = answered(user(why(room, question)));
    let record = failed(user(room.run_victim("steps", steps)), room);
    for key in ["call", "address", "outcome", "error", "warning", "uid"] {
        assert_eq!(answer[key], record[key], "{key} of {question}: {answer}");
    }
    let (mut said, known) = (answer["diagnosis"].clone(), &record["diagnosis"]);
    if known["reuseaddr_cures"].is_null() {
        said["reuseaddr_cures"] = Value::Null;
        let of_both = said["summary"].as_str().and_then(|summary| {
            summary.split_once("; SO_REUSEADDR is on there").map(|(known, _)| known.into())
        });
        said["summary"] = of_both.unwrap_or_else(|| said["summary"].clone());
    }
    assert_eq!(&said, known, "diagnosis of {question}: {answer}");
    answer
}

/// Whether the options of another program's socket can be read, as in containers they often cannot.
fn can_borrow() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    status.lines().any(|line| line == "Seccomp:\t0")
}

/// Checks the whole text of an answer of one line.
#[track_caller]
fn works(room: &Room, question: &str, what: &str) {
    let expected = format!("bindshim: {what} would work\n");
    assert_eq!(told(why(room, question)), (Some(0), expected));
}

#[test]
fn free() {
    let room = Room::new();
    let port = room.port();
    works(&room, &format!("{port}"), &format!("bind to [::]:{port} (tcp, IPv6 and IPv4)"));
    works(&room, &format!("127.0.0.1:{port}"), &format!("bind to 127.0.0.1:{port} (tcp)"));
    works(&room, &format!("[::1]:{port}"), &format!("bind to [::1]:{port} (tcp)"));
    works(&room, &format!("0.0.0.0:{port}/udp"), &format!("bind to 0.0.0.0:{port} (udp)"));
    let with = format!("bind to 127.0.0.1:{port} (tcp, SO_REUSEADDR)");
    works(&room, &format!("--reuseaddr 127.0.0.1:{port}"), &with);
    works(&room, "@bindshim-nobody-has-it", "bind to @bindshim-nobody-has-it");
    let answer = answered(why(&room, &format!("127.0.0.1:{port}")));
    assert_eq!(answer["diagnosis"], Value::Null);
    assert_eq!(answer["address"], json!({"ip": "127.0.0.1", "port": port}));
}

#[test]
fn somebody_listens() {
    let room = Room::new();
    let port = room.port();
    let holder = holder(&room, port);
    let bind = format!("tcp4 bind 127.0.0.1 {port}");
    let answer = same(&room, &format!("127.0.0.1:{port}"), &bind);
    assert_eq!(answer["diagnosis"]["cause"], "other_program_listening");
    assert_eq!(answer["diagnosis"]["holders"][0]["pid"], holder.pid());
    let any = same(&room, &format!("{port}"), &format!("tcp6 bind :: {port}"));
    assert_eq!(any["diagnosis"]["also"], json!(["dual_stack_overlap"]));
    let (code, text) = told(why(&room, &format!("127.0.0.1:{port}")));
    assert_eq!(code, Some(1));
    for part in [
        "would fail: Address already in use (EADDRINUSE, 98)\n",
        &format!("(pid {}, user ", holder.pid()),
        &format!(") is already listening on 127.0.0.1:{port} [other_program_listening]\n"),
        "  SO_REUSEADDR does not help; waiting alone does not help\n",
        &format!(": kill {}\n", holder.pid()),
    ] {
        assert!(text.contains(part), "no {part:?}: {text}");
    }
    let option = why(&room, &format!("--reuseaddr 127.0.0.1:{port}"));
    assert_eq!(answered(option)["diagnosis"]["cause"], "other_program_listening");
}

#[test]
fn several_listen() {
    let room = Room::new();
    let port = room.port();
    let share = format!(
        "s = socket.socket(); s.setsockopt(1, 15, 1); s.bind(('127.0.0.1', {port})); s.listen()"
    );
    let holders = [(); 4].map(|()| python(&room, &share));
    let (_, text) = told(why(&room, &format!("127.0.0.1:{port}")));
    let line = text.lines().find(|line| line.starts_with("  in the way: ")).unwrap_or_default();
    assert!(line.ends_with(" and 1 more"), "{text}");
    let named = |pid: u32| line.contains(&format!("(pid {pid}, user "));
    assert_eq!(holders.iter().filter(|holder| named(holder.pid())).count(), 3, "{text}");
}

#[test]
fn somebody_of_another_user_listens() {
    let room = Room::for_root("other users are needed");
    let port = room.port();
    let _holder = holder(&room, port);
    // That other processes of that user end meanwhile says nothing about the one that has it.
    let _ending = room.run("sh", "").args(["-c", "while :; do /bin/true; done"]).start();
    let bind = format!("tcp4 bind 127.0.0.1 {port}");
    for _ in 0..6 {
        let answer = same_as(&room, &format!("127.0.0.1:{port}"), &bind, as_nobody);
        assert_eq!(answer["diagnosis"]["cause"], "hidden_holder");
    }
}

#[test]
fn bound_and_not_listening() {
    let room = Room::new();
    let port = room.port();
    let bound = |option: &str, port: u16| {
        python(&room, &format!("s = socket.socket(); {option}; s.bind(('127.0.0.1', {port}))"))
    };
    let _holder = bound("pass", port);
    let bind = format!("tcp4 bind 127.0.0.1 {port}");
    let answer = same(&room, &format!("127.0.0.1:{port}"), &bind);
    assert_eq!(answer["diagnosis"]["cause"], "bound_not_listening");
    assert_eq!(answer["diagnosis"]["reuseaddr_cures"], json!(false));
    let (_, text) = told(why(&room, &format!("127.0.0.1:{port}")));
    assert!(text.contains("\n  SO_REUSEADDR does not help; waiting alone does not"), "{text}");
    assert_eq!(answer["diagnosis"]["unknown"], json!([]));
    // With the option on both, bind and listen work, and the other one's listen will not.
    let port = room.port();
    let victim = bound("s.setsockopt(1, 2, 1)", port);
    for question in [format!("127.0.0.1:{port}"), format!("{port}")] {
        let (code, text) = told(why(&room, &question));
        assert_eq!(code, Some(1));
        assert_eq!(text.contains("; SO_REUSEADDR is on there, but not here"), can_borrow());
        assert!(
            text.contains(
                "\n  with SO_REUSEADDR it works right now, and the other one cannot listen"
            ),
            "{text}"
        );
        let answer = answered(why(&room, &format!("--reuseaddr {question}")));
        assert_eq!((&answer["outcome"], &answer["warning"]), (&json!("ok"), &json!(true)));
        assert_eq!(answer["call"], "listen");
        assert_eq!(answer["diagnosis"]["cause"], "steals_bound_port");
        assert_eq!(answer["diagnosis"]["holders"][0]["pid"], victim.pid());
    }
}

/// A client that has the option gives way to a server that has it.
#[test]
fn a_connection_of_a_client() {
    let room = Room::new();
    for (option, effect) in [
        ("pass", "\n  SO_REUSEADDR does not help; "),
        ("c.setsockopt(1, 2, 1)", "\n  with SO_REUSEADDR it works right now; "),
    ] {
        let port = room.port();
        let _client = python(
            &room,
            &format!(
                "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); c = socket.socket()\n\
                 {option}\nc.bind(('127.0.0.1', {port})); c.connect(s.getsockname())"
            ),
        );
        let (code, text) = told(why(&room, &format!("127.0.0.1:{port}")));
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(effect), "{text}");
        let tried = format!("tcp4 reuse bind 127.0.0.1 {port} listen");
        let works = room.run_victim("steps", &tried).finish().code() == Some(0);
        assert_eq!(works, option != "pass", "{text}");
    }
}

#[test]
fn time_wait() {
    let room = Room::new();
    let port = room.port();
    leave_time_wait(&room, port);
    let question = format!("127.0.0.1:{port}");
    let answer = answered(why(&room, &question));
    let record = failed(room.run_victim("steps", &format!("tcp4 bind 127.0.0.1 {port}")), &room);
    for key in ["cause", "certainty", "reuseaddr_cures", "retry_cures", "holders_total"] {
        assert_eq!(answer["diagnosis"][key], record["diagnosis"][key], "{key}: {answer}");
    }
    let after_ms = answer["diagnosis"]["retry_after_ms"].as_u64().expect("the timer tells");
    assert!((1..=61_000).contains(&after_ms), "{answer}");
    let (code, text) = told(why(&room, &question));
    assert_eq!(code, Some(1));
    assert!(text.contains("\n  SO_REUSEADDR does not help; it works by itself in "), "{text}");
    let (code, text) = told(why(&room, &format!("--reuseaddr {question}")));
    assert_eq!(code, Some(1));
    assert!(text.contains("SO_REUSEADDR is on, but the old socket did not have it"), "{text}");
}

#[test]
fn time_wait_of_a_server_with_the_option() {
    let room = Room::new();
    let port = room.port();
    leave_time_wait_with_reuseaddr(&room, port);
    let (code, text) = told(why(&room, &format!("127.0.0.1:{port}")));
    assert_eq!(code, Some(1));
    assert!(
        text.contains("\n  with SO_REUSEADDR it works right now; it works by itself in "),
        "{text}"
    );
    let with = format!("bind to 127.0.0.1:{port} (tcp, SO_REUSEADDR)");
    works(&room, &format!("--reuseaddr 127.0.0.1:{port}"), &with);
}

#[test]
fn udp() {
    let room = Room::new();
    let port = room.port();
    let holder = python(
        &room,
        &format!("s = socket.socket(2, 2); s.setsockopt(1, 2, 1); s.bind(('127.0.0.1', {port}))"),
    );
    let question = format!("127.0.0.1:{port}/udp");
    let answer = same(&room, &question, &format!("udp4 bind 127.0.0.1 {port}"));
    assert_eq!(answer["diagnosis"]["cause"], "udp_port_taken");
    let borrowed = if can_borrow() { json!(true) } else { Value::Null };
    assert_eq!(answer["diagnosis"]["reuseaddr_cures"], borrowed);
    let (_, text) = told(why(&room, &question));
    let effect = "with SO_REUSEADDR it works right now, and both have the port then; ";
    assert_eq!(text.contains(effect), can_borrow(), "{text}");
    let (code, text) = told(why(&room, &format!("--reuseaddr {question}")));
    assert_eq!(code, Some(0));
    assert!(text.contains("(udp, SO_REUSEADDR) would work\n"), "{text}");
    assert!(text.contains(&format!("(pid {}, ", holder.pid())), "{text}");
    assert!(text.contains("[udp_hijack]"), "{text}");
    // A TCP port of the same number is another one.
    works(&room, &format!("127.0.0.1:{port}"), &format!("bind to 127.0.0.1:{port} (tcp)"));
}

#[test]
fn addresses() {
    let room = Room::new();
    let port = room.port();
    for (question, steps, cause) in [
        (format!("192.0.2.1:{port}"), format!("tcp4 bind 192.0.2.1 {port}"), "address_not_local"),
        (
            format!("[2001:db8::1]:{port}"),
            format!("tcp6 bind 2001:db8::1 {port}"),
            "address_not_local",
        ),
        (format!("[fe80::1]:{port}"), format!("tcp6 bind fe80::1 {port}"), "missing_scope"),
        (
            format!("[fe80::1%lo]:{port}"),
            format!("tcp6 bind fe80::1%lo {port}"),
            "address_not_local",
        ),
    ] {
        assert_eq!(same(&room, &question, &steps)["diagnosis"]["cause"], cause, "{question}");
    }
}

#[test]
fn privileged_ports() {
    let room = Room::for_root("other users are needed");
    let answer = same_as(&room, "127.0.0.1:80", "tcp4 bind 127.0.0.1 80", as_nobody);
    assert_eq!(answer["diagnosis"]["cause"], "privileged_port");
    // Root asks for that user, and hears the same.
    let asked = answered(why(&room, "--user 65534 127.0.0.1:80"));
    for key in ["outcome", "error", "uid", "diagnosis"] {
        assert_eq!(asked[key], answer[key], "{key}");
    }
    works(&room, "127.0.0.1:80", "bind to 127.0.0.1:80 (tcp)");
    works(&room, "--user root 127.0.0.1:80", "bind to 127.0.0.1:80 (tcp, user root)");
    works(&room, "--user nobody 127.0.0.1:8080", "bind to 127.0.0.1:8080 (tcp, user nobody)");
}

/// Who has the port is seen with the rights of the one who asks, not of the one who is asked for.
#[test]
fn root_asks_for_another_user() {
    let room = Room::for_root("other users are needed");
    let port = room.port();
    let holder = holder(&room, port);
    let answer = answered(why(&room, &format!("--user nobody 127.0.0.1:{port}")));
    assert_eq!(answer["diagnosis"]["holders"][0]["pid"], holder.pid());
    let directory = room.path("private");
    std::fs::create_dir(&directory).expect("the room is writable");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&directory, mode).expect("it is our own");
    let path = directory.join("a.sock");
    let steps = format!("unix bind {}", path.display());
    let answer = answered(why(&room, &format!("--user 65534 {}", path.display())));
    let record = failed(as_nobody(room.run_victim("steps", &steps)), &room);
    assert_eq!(answer["diagnosis"], record["diagnosis"]);
    assert_eq!(answer["diagnosis"]["cause"], "directory_not_writable");
    works(&room, &path.display().to_string(), &format!("bind to {}", path.display()));
}

#[test]
fn paths() {
    let room = Room::new();
    let (live, stale, file) = (room.path("live"), room.path("stale"), room.file("file", ""));
    let script = format!(
        "s = socket.socket(1); s.bind('{}'); s.listen()\n\
         t = socket.socket(1); t.bind('{}'); t.close()\n\
         u = socket.socket(1); u.bind('\\0{}'); u.listen()",
        live.display(),
        stale.display(),
        live.display(),
    );
    let holder = python(&room, &script);
    let long = room.path(&"x".repeat(120));
    let link = room.path("link");
    std::os::unix::fs::symlink("nowhere", &link).expect("the room is writable");
    for (path, cause) in [
        (&live, "path_listener"),
        (&stale, "stale_socket_file"),
        (&file, "path_not_a_socket"),
        (&link, "path_not_a_socket"),
        (&room.path("nowhere/a"), "path_missing"),
        (&room.path("live/a"), "path_not_a_directory"),
        (&room.path("slash/"), "path_missing"),
        (&"/proc/app.sock".into(), "filesystem_without_sockets"),
    ] {
        let path = path.display().to_string();
        let answer = same(&room, &path, &format!("unix bind {path}"));
        assert_eq!(answer["diagnosis"]["cause"], cause, "{answer}");
    }
    let name = format!("@{}", live.display());
    let answer = same(&room, &name, &format!("unix bind {name}"));
    assert_eq!(answer["diagnosis"]["cause"], "abstract_name_taken");
    assert_eq!(answer["diagnosis"]["holders"][0]["pid"], holder.pid());
    let answer = answered(why(&room, &long.display().to_string()));
    assert_eq!(answer["diagnosis"]["cause"], "path_too_long");
    let free = room.path("free");
    works(&room, &free.display().to_string(), &format!("bind to {}", free.display()));
    works(&room, "./free", "bind to ./free");
    assert!(!free.exists(), "a file was made");
}
