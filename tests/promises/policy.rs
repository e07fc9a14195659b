//! `--reuseaddr` and `--retry` get a program its port where they can, touch nothing that they must
//! not, and say what they did.

use std::time::{Duration, Instant};

use bindshim_tests::{Ended, Room, Running, Subject, Way, programs, sockets, wait};
use serde_json::Value;

use crate::support::{
    Cure, assert_diagnosis, assert_error, connect, leave_time_wait, listener, serve_and_leave,
    staying, wait_for_state,
};

/// Runs a `steps` victim under `--reuseaddr`.
#[track_caller]
fn with_reuseaddr(room: &Room, steps: &str) -> Ended {
    room.run_victim("steps", steps).recorded(room).set("reuseaddr", "1").finish()
}

/// Starts a `steps` victim under `--retry`.
#[track_caller]
fn with_retry(room: &Room, time: &str, steps: &str) -> Subject {
    room.run_victim("steps", steps).recorded(room).set("retry", time)
}

fn did<'a>(record: &'a Value, what: &str) -> Option<&'a Value> {
    record["actions"].as_array()?.iter().find(|action| action["did"] == what)
}

#[test]
fn reuseaddr_from_the_first_start_survives_time_wait() {
    let room = Room::new();
    let port = room.port();
    for way in [Way::Preload, Way::Launcher] {
        let start = || {
            let server = room.run_victim("remnant", &format!("{port} time_wait"));
            server.recorded_by(&room, way).set("reuseaddr", "1").start()
        };
        // The second start of the first way and both of the second find connections in TIME_WAIT.
        for _ in 0..2 {
            let ended = serve_and_leave(start(), port);
            assert_eq!(ended.code(), Some(0), "{}", ended.stdout);
            let records = ended.records();
            records.assert_gapless();
            let record = records.only("bind");
            assert_eq!(record["outcome"], "ok", "{record}");
            let action =
                did(record, "set_reuseaddr").unwrap_or_else(|| panic!("not set: {record}"));
            assert_eq!(action["checked"], true, "{record}");
            assert_eq!(action["undone"], false, "{record}");
        }
    }
}

#[test]
fn reuseaddr_on_the_second_start_alone_does_not_help_and_says_so() {
    let room = Room::new();
    let port = room.port();
    leave_time_wait(&room, port);
    let ended = with_reuseaddr(&room, &format!("tcp4 bind 127.0.0.1 {port} show"));
    assert_eq!(ended.stdout, "bind -1 98\nreuseaddr 0\n", "the option is put back");
    let records = ended.records();
    let record = records.only("bind");
    assert_error(record, 98, "EADDRINUSE");
    assert_diagnosis(record, "time_wait", [Cure::No, Cure::Yes]);
    let action = did(record, "set_reuseaddr").unwrap_or_else(|| panic!("not set: {record}"));
    assert_eq!(action["undone"], true, "{record}");
}

/// Checks that `--reuseaddr` left a call alone.
#[track_caller]
fn assert_left(ended: &Ended, said: &str) {
    assert_eq!(ended.stdout, said);
    for record in ended.records().calls("bind") {
        assert_eq!(record["actions"], Value::Array(Vec::new()), "{record}");
    }
}

#[test]
fn reuseaddr_leaves_what_it_must_not_touch() {
    let room = Room::new();
    let port = room.port();
    let path = room.path("socket");
    for (steps, said) in [
        (format!("udp4 bind 127.0.0.1 {port} show"), "bind 0\nreuseaddr 0\n"),
        (format!("udp6 bind ::1 {port} show"), "bind 0\nreuseaddr 0\n"),
        (format!("unix bind {} show", path.display()), "bind 0\nreuseaddr 0\n"),
        ("tcp4 bind 127.0.0.1 0 show".into(), "bind 0\nreuseaddr 0\n"),
        (format!("tcp4 noreuse bind 127.0.0.1 {port} show"), "setsockopt 0\nbind 0\nreuseaddr 0\n"),
        (
            format!("tcp4 reuse noreuse bind 127.0.0.1 {port} show"),
            "setsockopt 0\nsetsockopt 0\nbind 0\nreuseaddr 0\n",
        ),
        (format!("tcp4 reuse bind 127.0.0.1 {port} show"), "setsockopt 0\nbind 0\nreuseaddr 1\n"),
    ] {
        assert_left(&with_reuseaddr(&room, &steps), said);
    }
}

#[test]
fn reuseaddr_respects_the_program_also_where_no_success_is_told() {
    let room = Room::new();
    let steps = format!("tcp4 noreuse bind 127.0.0.1 {} show", room.port());
    let ended =
        room.run_victim("steps", &steps).way(&room, Way::Launcher).set("reuseaddr", "1").finish();
    assert_eq!(ended.stdout, "setsockopt 0\nbind 0\nreuseaddr 0\n");
}

#[test]
fn reuseaddr_does_not_steal_a_port_that_is_bound_but_not_listening() {
    let room = Room::new();
    let port = room.port();
    let _holder = staying(&room, &format!("tcp4 reuse bind 127.0.0.1 {port}"));
    let ended = with_reuseaddr(&room, &format!("tcp4 bind 127.0.0.1 {port} show"));
    assert_left(&ended, "bind -1 98\nreuseaddr 0\n");
    assert_eq!(ended.records().only("bind")["diagnosis"]["cause"], "bound_not_listening");
}

#[test]
fn reuseaddr_is_put_back_where_another_program_listens() {
    let room = Room::new();
    let port = room.port();
    let _holder = listener(&room, "127.0.0.1", port);
    let ended = with_reuseaddr(&room, &format!("tcp4 bind 127.0.0.1 {port} show"));
    assert_eq!(ended.stdout, "bind -1 98\nreuseaddr 0\n");
    let records = ended.records();
    let record = records.only("bind");
    assert_diagnosis(record, "same_program_listening", [Cure::No, Cure::No]);
    if let Some(action) = did(record, "set_reuseaddr") {
        assert_eq!(action["undone"], true, "{record}");
    }
}

/// Checks a bind that a retry got through: it says how, and keeps the first failure's diagnosis.
#[track_caller]
fn assert_got_through(ended: &Ended, causes: &[&str]) {
    assert_eq!(ended.stdout, "bind 0\nlisten 0\n", "{}", ended.stderr);
    let records = ended.records();
    records.assert_gapless();
    let record = records.only("bind");
    assert_eq!(record["outcome"], "ok", "{record}");
    assert_eq!(record["warning"], false, "{record}");
    let attempts = record["attempts"].as_u64().expect("the schema says so");
    assert!(attempts > 1, "{record}");
    let retried = did(record, "retried").unwrap_or_else(|| panic!("not retried: {record}"));
    assert_eq!(retried["times"], attempts - 1, "{record}");
    let cause = record["diagnosis"]["cause"].as_str().unwrap_or_else(|| panic!("none: {record}"));
    assert!(causes.contains(&cause), "{record}");
}

#[test]
fn retry_gets_through_a_holder_that_is_killed() {
    let room = Room::new();
    let port = room.port();
    for way in [Way::Preload, Way::Launcher] {
        let holder = staying(&room, &format!("memory 200 tcp4 bind 127.0.0.1 {port} listen"));
        let steps = format!("kill {} tcp4 bind 127.0.0.1 {port} listen", holder.pid());
        let victim = room.run_victim("steps", &steps).recorded_by(&room, way).set("retry", "10s");
        assert_got_through(&victim.finish(), &["exiting_holder"]);
    }
}

#[test]
fn retry_gets_through_an_overlapping_restart() {
    let room = Room::new();
    let port = room.port();
    let holder = listener(&room, "127.0.0.1", port);
    let victim = with_retry(&room, "20s", &format!("tcp4 bind 127.0.0.1 {port} listen")).start();
    wait_for_the_wait(&victim);
    holder.signal(libc::SIGTERM);
    assert_got_through(&victim.wait(), &["same_program_listening", "exiting_holder"]);
}

#[test]
fn retry_gets_through_fin_wait2() {
    let room = Room::for_root("a network setting is changed");
    std::fs::write("/proc/sys/net/ipv4/tcp_fin_timeout", "2").expect("own network");
    let port = room.port();
    let server = room.run_victim("remnant", &format!("{port} fin_wait2")).start();
    let (_client, _) = connect(server, port).keep();
    wait_for_state(port, 5);
    let ended = with_retry(&room, "15s", &format!("tcp4 bind 127.0.0.1 {port} listen")).finish();
    assert_got_through(&ended, &["closing_connection"]);
}

#[test]
fn retry_gets_through_time_wait_that_is_ended() {
    let room = Room::for_root("ss -K needs CAP_NET_ADMIN");
    let port = room.port();
    leave_time_wait(&room, port);
    let victim = with_retry(&room, "65s", &format!("tcp4 bind 127.0.0.1 {port} listen")).start();
    wait_for_the_wait(&victim);
    let ss = programs::find("ss");
    let filter = ["-K", "state", "time-wait", "sport", "=", &format!(":{port}")];
    let killed = std::process::Command::new(ss).args(filter).output().expect("ss starts");
    assert!(killed.status.success(), "{killed:?}");
    let lingers = sockets::tcp_on(port).iter().any(|row| row.state == 6);
    assert!(!lingers, "ss -K did nothing: {killed:?}");
    assert_got_through(&victim.wait_at_most(Duration::from_secs(10)), &["time_wait"]);
}

/// Waits until a program is waiting inside a bind: INT, TERM, HUP and QUIT are blocked there, and so
/// they are in the look-up before, whose end the sleep shows.
#[track_caller]
fn wait_for_the_wait(victim: &Running) {
    wait::until("a retry that sleeps", || sockets::sleeps(victim.pid()).then_some(()));
    wait_for_blocked(victim, &[libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT]);
}

#[track_caller]
fn wait_for_blocked(victim: &Running, signals: &[libc::c_int]) {
    let mask = signals.iter().fold(0_u64, |mask, signal| mask | 1 << (signal - 1));
    wait::until("a retry that waits, with its signals blocked", || {
        (sockets::blocked_signals(victim.pid())? & mask == mask).then_some(())
    });
}

/// A victim with `--retry` that waits for a port it will not get.
#[track_caller]
fn waiting(room: &Room, steps: &str) -> (Running, Running) {
    let port = room.port();
    let holder = listener(room, "127.0.0.1", port);
    let steps = format!("{steps} tcp4 bind 127.0.0.1 {port} close");
    let victim = with_retry(room, "60s", &steps).start();
    wait_for_the_wait(&victim);
    (holder, victim)
}

#[test]
fn signals_end_a_wait_at_once() {
    let room = Room::new();
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
        let (_holder, victim) = waiting(&room, "");
        let sent = Instant::now();
        victim.signal(signal);
        let ended = victim.wait();
        assert!(sent.elapsed() < Duration::from_secs(2), "after {:?}", sent.elapsed());
        assert_eq!(ended.signal(), Some(signal), "as without us: {}", ended.stdout);
        assert_error(ended.records().only("bind"), 98, "EADDRINUSE");
    }
}

#[test]
fn a_handled_signal_ends_a_wait_and_the_program_goes_on() {
    let room = Room::new();
    let (_holder, victim) = waiting(&room, "handle");
    victim.signal(libc::SIGINT);
    let ended = victim.wait_at_most(Duration::from_secs(5));
    assert_eq!(ended.stdout, "interrupted\nbind -1 98\n");
    assert_eq!(ended.code(), Some(1));
    let records = ended.records();
    assert_error(records.only("bind"), 98, "EADDRINUSE");
}

#[test]
fn an_ignored_signal_does_not_end_a_wait() {
    let room = Room::new();
    let port = room.port();
    let holder = listener(&room, "127.0.0.1", port);
    let steps = format!("ignore tcp4 bind 127.0.0.1 {port} listen");
    let victim = with_retry(&room, "20s", &steps).start();
    wait_for_blocked(&victim, &[libc::SIGTERM]);
    for _ in 0..3 {
        victim.signal(libc::SIGINT);
        // As long as a slice of the wait is.
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(victim.stdout(), "", "it still waits");
    holder.signal(libc::SIGTERM);
    assert_got_through(&victim.wait(), &["same_program_listening"]);
}

#[test]
fn retry_does_not_wait_for_what_time_cannot_change() {
    let room = Room::new();
    let port = room.port();
    let start = Instant::now();
    let own = format!("tcp4 bind 127.0.0.1 {port} tcp4 bind 127.0.0.1 {port}");
    let bound_twice = format!("tcp4 bind 127.0.0.1 {port} bind 127.0.0.1 {port}");
    let not_local = format!("tcp4 bind 203.0.113.7 {port}");
    for (steps, cause) in [
        (own, "own_process_holds_port"),
        (bound_twice, "already_bound"),
        (not_local, "address_not_local"),
    ] {
        assert_not_retried(&with_retry(&room, "30s", &steps).finish(), cause);
    }
    assert!(start.elapsed() < Duration::from_secs(10), "after {:?}", start.elapsed());
}

#[test]
fn retry_does_not_wait_for_a_privilege() {
    let room = Room::for_root("a privileged port needs a network of its own");
    let victim = with_retry(&room, "30s", "tcp4 bind 127.0.0.1 80").user(65534);
    assert_not_retried(&victim.finish(), "privileged_port");
}

#[track_caller]
fn assert_not_retried(ended: &Ended, cause: &str) {
    let records = ended.records();
    let record = records.failed();
    assert_eq!(record["diagnosis"]["cause"], cause, "{record}");
    assert_eq!(record["attempts"], 1, "{record}");
    assert_eq!(record["waited_ms"], 0, "{record}");
    assert_eq!(record["actions"], Value::Array(Vec::new()), "{record}");
}

#[test]
fn a_retry_in_vain_ends_in_time() {
    let room = Room::new();
    let port = room.port();
    let _holder = listener(&room, "127.0.0.1", port);
    let start = Instant::now();
    let ended = with_retry(&room, "500ms", &format!("tcp4 bind 127.0.0.1 {port}")).finish();
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(3), "{took:?}");
    assert_eq!(ended.stdout, "bind -1 98\n");
    let records = ended.records();
    let record = records.only("bind");
    assert_diagnosis(record, "same_program_listening", [Cure::No, Cure::No]);
    assert!(record["attempts"].as_u64() > Some(1), "{record}");
    let waited = record["waited_ms"].as_u64().expect("the schema says so");
    assert!((300..=1500).contains(&waited), "{record}");
}

#[test]
fn a_long_wait_is_announced() {
    let room = Room::new();
    let port = room.port();
    let holder = listener(&room, "127.0.0.1", port);
    let victim = room
        .run_victim("steps", &format!("tcp4 bind 127.0.0.1 {port} listen"))
        .recorded_by(&room, Way::Launcher)
        .set("retry", "30s")
        .start();
    wait::until("an announcement on standard error", || {
        (!victim.stderr().is_empty()).then_some(())
    });
    assert_eq!(victim.stdout(), "", "it was announced before the end");
    holder.signal(libc::SIGTERM);
    assert_got_through(&victim.wait(), &["same_program_listening"]);
}
