//! A success that is not what the program means has a warning, and a plain one has none and costs
//! no more.

use bindshim_tests::{Room, Subject, Way, programs, wait};
use serde_json::Value;

use crate::support::{Cure, as_nobody, assert_diagnosis, staying};

/// The records of the listens of a `steps` victim, recorded.
#[track_caller]
fn listens(room: &Room, steps: &str) -> Vec<Value> {
    let ended = as_nobody(room.run_victim("steps", steps)).recorded(room).finish();
    let records = ended.records();
    records.assert_gapless();
    records.calls("listen").into_iter().cloned().collect()
}

#[track_caller]
fn assert_random(record: &Value) {
    assert_eq!(record["outcome"], "ok", "{record}");
    assert_eq!(record["warning"], true, "{record}");
    assert_eq!(record["error"], Value::Null, "{record}");
    assert_diagnosis(record, "listening_on_random_port", [Cure::Maybe, Cure::Maybe]);
    assert_eq!(record["diagnosis"]["certainty"], "certain", "{record}");
    let port = record["address"]["port"].as_u64().expect("it listens");
    assert_ne!(port, 0, "{record}");
    let summary = record["diagnosis"]["summary"].to_string();
    assert!(summary.contains(&format!(":{port}")), "{record}");
}

#[test]
fn listening_after_a_failed_bind() {
    let room = Room::new();
    let port = room.port();
    let _holder = staying(&room, &format!("tcp4 bind 127.0.0.1 {port} listen"));
    let records = listens(&room, &format!("tcp4 bind 127.0.0.1 {port} listen"));
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_random(record);
    assert_ne!(record["address"]["port"], port, "{record}");
}

#[test]
fn listening_without_a_bind() {
    let room = Room::new();
    for kind in ["tcp4", "tcp6", "mptcp"] {
        let records = listens(&room, &format!("{kind} listen listen"));
        let [first, second] = records.as_slice() else { panic!("{records:?}") };
        assert_random(first);
        // The second one changes nothing.
        assert_eq!(second["warning"], false, "{second}");
        assert_eq!(second["address"], first["address"], "{second}");
    }
}

#[test]
fn plain_successes_have_no_warning() {
    let room = Room::new();
    let path = room.path("socket");
    for steps in [
        format!("tcp4 bind 127.0.0.1 {} listen", room.port()),
        format!("tcp6 bind :: {} listen", room.port()),
        // A port of the kernel's choice that the program asked for.
        "tcp4 bind 0.0.0.0 0 listen".to_owned(),
        "tcp6 bind :: 0 listen".to_owned(),
        format!("unix bind {} listen", path.display()),
    ] {
        let ended = as_nobody(room.run_victim("steps", &steps)).recorded(&room).finish();
        assert_eq!(ended.code(), Some(0), "{}", ended.stdout);
        for record in ended.records().all() {
            assert_eq!(record["warning"], false, "{record}");
            assert_eq!(record["diagnosis"], Value::Null, "{record}");
            assert_eq!(record["diagnosis_us"], Value::Null, "{record}");
        }
    }
}

#[test]
fn reuseaddr_after_bind_comes_too_late() {
    let room = Room::new();
    let port = room.port();
    let _server = staying(&room, &format!("tcp4 bind 127.0.0.1 {port} listen"));
    for (steps, late) in [
        (format!("tcp4 bind 127.0.0.1 {} reuse listen", room.port()), true),
        (format!("udp4 bind 127.0.0.1 {} reuse", room.port()), true),
        (format!("tcp4 reuse bind 127.0.0.1 {} reuse listen", room.port()), false),
        (format!("tcp4 bind 127.0.0.1 {} noreuse listen", room.port()), false),
        (format!("tcp4 connect 127.0.0.1 {port} reuse"), false),
        (format!("unix bind {} reuse", room.path("socket").display()), false),
    ] {
        let ended = as_nobody(room.run_victim("steps", &steps)).recorded(&room).finish();
        assert_eq!(ended.code(), Some(0), "{}", ended.stdout);
        let records = ended.records();
        let set = records.calls("setsockopt");
        let last = set.last().expect("an option is set");
        assert_eq!(last["warning"], late, "{steps}: {last}");
        assert_eq!(last["socket"]["reuseaddr"], !steps.contains("noreuse"), "{last}");
        assert_eq!(last["address"], Value::Null, "{last}");
        if late {
            assert_diagnosis(last, "option_too_late", [Cure::Maybe, Cure::Maybe]);
        }
    }
}

/// Where a socket is, is asked once per listen, before it; only one that had no port is asked again.
#[test]
fn a_plain_listen_costs_no_more_calls() {
    let room = Room::new();
    for (steps, listens, asked, options) in [
        (format!("tcp4 bind 127.0.0.1 {} listen", room.port()), 1, 2, 8),
        ("tcp4 listen".to_owned(), 1, 2, 4),
        ("tcp4 reuse".to_owned(), 0, 1, 4),
    ] {
        let trace = room.path(&format!("trace-{}", steps.len()));
        let subject = Subject::new(&room, programs::find("strace"))
            .args(["-f", "-e", "trace=getsockname,getpeername,getsockopt,listen", "-o"])
            .args([&trace])
            .args([room.victim("steps")])
            .args(steps.split_whitespace());
        let ended = subject.recorded(&room).finish();
        assert_eq!(ended.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
        let calls = std::fs::read_to_string(&trace).expect("strace writes it");
        assert_eq!(calls.matches("listen(").count(), listens, "{calls}");
        assert_eq!(calls.matches("getsockname(").count(), asked, "{calls}");
        assert_eq!(calls.matches("getsockopt(").count(), options, "{calls}");
        assert_eq!(calls.matches("getpeername(").count(), 0, "{calls}");
    }
}

/// A warning is told where failures are, without a log too, and once per port.
#[test]
fn a_warning_is_explained_where_failures_are() {
    let room = Room::new();
    let port = room.port();
    let _holder = staying(&room, &format!("tcp4 bind 127.0.0.1 {port} listen"));
    let steps = format!("tcp4 bind 127.0.0.1 {port} listen");
    let explained = |when: &str| {
        let victim = room.run_victim("steps", &steps).way(&room, Way::Launcher);
        victim.set("explain", when).finish().stderr
    };
    let told = explained("failure");
    assert_eq!(told.matches("[listening_on_random_port]").count(), 1, "{told}");
    assert!(told.contains(" worked\n"), "{told}");
    assert_eq!(explained("never"), "");
    // SO_REUSEADDR that comes too late is no failure, and told all the same; a plain success is not.
    let port = room.port();
    let late = format!("tcp4 bind 127.0.0.1 {port} reuse reuse listen");
    let ended = room.run_victim("steps", &late).way(&room, Way::Launcher).finish();
    assert_eq!(ended.stderr.matches("[option_too_late]").count(), 1, "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("bindshim:").count(), 1, "{}", ended.stderr);
}

/// Without a log and explanations nobody hears of a success: it costs nothing at all.
#[test]
fn a_success_that_is_not_told_is_not_looked_at() {
    let room = Room::new();
    let trace = room.path("trace");
    let steps = format!("tcp4 reuse bind 127.0.0.1 {} listen", room.port());
    let ended = Subject::new(&room, programs::find("strace"))
        .args(["-f", "-e", "trace=execve,getsockname,getsockopt,getpeername,rt_sigprocmask", "-o"])
        .args([&trace, &room.launcher()])
        .args(["--explain", "never"])
        .args([room.victim("steps")])
        .args(steps.split_whitespace())
        .finish();
    assert_eq!(ended.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
    let calls = std::fs::read_to_string(&trace).expect("strace writes it");
    // The launcher's own calls come first.
    let of_the_victim = calls.rsplit("execve(").next().unwrap_or_default();
    assert_eq!(of_the_victim.matches("getsock").count(), 0, "{calls}");
    assert_eq!(of_the_victim.matches("rt_sigprocmask").count(), 0, "{calls}");
}

/// The warning of a success that takes something from `holder`. On a busy machine the half
/// millisecond for it may run out, mostly the first time in a process: each does it several times,
/// for as long as the tests wait for anything.
#[track_caller]
fn assert_shares(room: &Room, steps: &str, call: &str, cause: &str, holder: u32) {
    let several = format!("{steps} close ").repeat(10);
    wait::until("a warning", || {
        let ended = as_nobody(room.run_victim("steps", &several)).recorded(room).finish();
        assert_eq!(ended.code(), Some(0), "{}", ended.stdout);
        let records = ended.records();
        let records = records.calls(call);
        assert_eq!(records.len(), 10, "{records:?}");
        let mut warned = None;
        for record in records {
            assert_eq!(record["outcome"], "ok", "{record}");
            if record["warning"] == true {
                assert_diagnosis(record, cause, [Cure::Maybe, Cure::Maybe]);
                assert_eq!(record["diagnosis"]["holders"][0]["pid"], holder, "{record}");
                assert_eq!(record["diagnosis"]["holders_total"], 1, "{record}");
                warned = Some(());
            }
        }
        warned
    });
}

#[test]
fn another_program_shares_the_port() {
    let room = Room::new();
    let port = room.port();
    let share = format!("tcp4 reuseport bind 127.0.0.1 {port} listen");
    let holder = as_nobody(room.run_victim("steps", &format!("{share} hold")));
    let mut holder = holder.start();
    holder.wait_for("holding");
    assert_shares(&room, &share, "listen", "shared_by_reuseport", holder.pid());
}

#[test]
fn another_program_has_the_port_bound() {
    let room = Room::new();
    let port = room.port();
    let bind = format!("tcp4 reuse bind 127.0.0.1 {port}");
    let mut holder = as_nobody(room.run_victim("steps", &format!("{bind} hold"))).start();
    holder.wait_for("holding");
    assert_shares(&room, &format!("{bind} listen"), "listen", "steals_bound_port", holder.pid());
}

#[test]
fn another_program_has_the_udp_port() {
    let room = Room::new();
    let port = room.port();
    for (options, cause) in [("reuse", "udp_hijack"), ("reuseport", "shared_by_reuseport")] {
        let bind = format!("udp4 {options} bind 127.0.0.1 {port}");
        let mut holder = as_nobody(room.run_victim("steps", &format!("{bind} hold"))).start();
        holder.wait_for("holding");
        assert_shares(&room, &bind, "bind", cause, holder.pid());
    }
    // A more specific address takes its datagrams too.
    let port = room.port();
    let mut holder =
        as_nobody(room.run_victim("steps", &format!("udp4 reuse bind 0.0.0.0 {port} hold")))
            .start();
    holder.wait_for("holding");
    let bind = format!("udp4 reuse bind 127.0.0.1 {port}");
    assert_shares(&room, &bind, "bind", "udp_hijack", holder.pid());
}

/// Groups and their well-known ports are for many, and so are the processes of one server.
#[test]
fn what_is_shared_on_purpose_has_no_warning() {
    let room = Room::new();
    for bind in ["udp4 reuse bind 224.0.0.251 6000", "udp4 reuse bind 0.0.0.0 5353"] {
        let _holder = staying(&room, bind);
        let ended = room.run_victim("steps", bind).recorded(&room).finish();
        assert_eq!(ended.records().only("bind")["warning"], false, "{bind}");
    }
    let ended = room.run_victim("prefork", &room.port().to_string()).recorded(&room).finish();
    assert_eq!(ended.code(), Some(0), "{}", ended.stdout);
    for record in ended.records().all() {
        assert_eq!(record["warning"], false, "{record}");
    }
}
