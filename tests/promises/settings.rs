//! Settings do what they say, and a bad one costs a notice and never the program.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;

use bindshim_tests::{Ended, Records, Room, Subject, Way};
use serde_json::Value;

use crate::support::listener;

/// A `steps` victim with one bind that succeeds.
fn victim(room: &Room) -> Subject {
    room.run_victim("steps", "tcp4 bind 127.0.0.1 0")
}

/// The records that a plain preload writes to standard error.
#[track_caller]
fn on_stderr(ended: &Ended) -> Records {
    Records::parse(ended.stderr.as_bytes())
}

#[test]
fn a_bad_value_costs_one_notice_and_the_default_holds() {
    let room = Room::new();
    for (name, value) in [
        ("BINDSHIM_RETRY", "5 parsecs"),
        ("BINDSHIM_RETRY", "-1s"),
        ("BINDSHIM_BUDGET", "soon"),
        ("BINDSHIM_EXPLAIN", "perhaps"),
        ("BINDSHIM_REUSEADDR", "maybe"),
        ("BINDSHIM_ONLY", "/usr/bin/nginx"),
    ] {
        let ended = victim(&room).recorded(&room).env(name, value).finish();
        assert_eq!((ended.code(), ended.stdout.as_str()), (Some(0), "bind 0\n"), "{name}={value}");
        let records = ended.records();
        records.assert_gapless();
        let notices = records.notices();
        let [notice] = notices.as_slice() else { panic!("{name}={value}: {records}") };
        assert_eq!(notice["code"], "bad_setting", "{notice}");
        let message = notice["message"].as_str().expect("the schema says so");
        assert!(message.contains(name) && message.contains(value), "{message}");
        let bind = records.only("bind");
        assert_eq!(bind["actions"], Value::Array(Vec::new()), "the default holds: {bind}");
    }
}

#[test]
fn several_bad_values_cost_a_notice_each() {
    let room = Room::new();
    let ended = victim(&room)
        .recorded(&room)
        .env("BINDSHIM_RETRY", "x")
        .env("BINDSHIM_BUDGET", "y")
        .finish();
    assert_eq!(ended.code(), Some(0));
    assert_eq!(ended.records().notices().len(), 2);
}

#[test]
fn the_launcher_refuses_a_bad_value_before_it_starts_anything() {
    let room = Room::new();
    for (flag, value) in [("retry", "5 parsecs"), ("explain", "perhaps"), ("budget", "soon")] {
        let ended = victim(&room).way(&room, Way::Launcher).set(flag, value).finish();
        assert_eq!((ended.code(), ended.stdout.as_str()), (Some(2), ""), "{}", ended.stderr);
        assert!(ended.stderr.contains(flag) && ended.stderr.contains(value), "{}", ended.stderr);
    }
}

#[test]
fn disabled_it_does_nothing() {
    let room = Room::new();
    let bare = victim(&room).finish();
    for value in ["1", "yes"] {
        let ended = victim(&room).recorded(&room).env("BINDSHIM_DISABLE", value).finish();
        if value == "1" {
            assert_eq!(ended.behaviour(), bare.behaviour());
            assert_eq!(ended.records().all().len(), 0);
        } else {
            assert_eq!(ended.code(), Some(0));
        }
    }
}

#[test]
fn a_plain_preload_records_on_standard_error_and_explains_nothing() {
    let room = Room::new();
    let port = room.port();
    let steps = format!("tcp4 bind 127.0.0.1 {port} tcp4 bind 127.0.0.1 {port}");
    let ended = room.run_victim("steps", &steps).way(&room, Way::Preload).finish();
    assert_eq!(ended.stdout, "bind 0\nbind -1 98\n");
    let records = on_stderr(&ended);
    records.assert_gapless();
    assert_eq!(records.calls("bind").len(), 2);
}

#[test]
fn only_and_skip_choose_programs() {
    let room = Room::new();
    for (name, value, acts) in [
        ("BINDSHIM_ONLY", "steps", true),
        ("BINDSHIM_ONLY", "nginx,steps", true),
        ("BINDSHIM_ONLY", "nginx", false),
        ("BINDSHIM_ONLY", "step", false),
        ("BINDSHIM_SKIP", "steps", false),
        ("BINDSHIM_SKIP", "sh,steps", false),
        ("BINDSHIM_SKIP", "nginx", true),
    ] {
        let ended = victim(&room).recorded(&room).env(name, value).finish();
        assert_eq!((ended.code(), ended.stdout.as_str()), (Some(0), "bind 0\n"));
        assert_eq!(ended.records().all().len(), usize::from(acts), "{name}={value}");
    }
    let skipped = victim(&room).recorded_by(&room, Way::Launcher).set("skip", "steps").finish();
    assert_eq!(skipped.records().all().len(), 0);
}

#[test]
fn only_reaches_through_a_script() {
    let room = Room::new();
    let inner = room.victim("steps");
    let script = format!("{} tcp4 bind 127.0.0.1 0; exit 3", inner.display());
    let shell = room.run("sh", "-c").args([script]).recorded(&room).env("BINDSHIM_ONLY", "steps");
    let ended = shell.finish();
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(3), "bind 0\n"));
    assert_eq!(ended.records().calls("bind").len(), 1);
}

#[test]
fn the_library_is_found_by_name_on_the_linkers_path() {
    let room = Room::new();
    let log = room.path("log");
    let _ = room.library();
    let ended = victim(&room)
        .env("LD_PRELOAD", "libbindshim.so")
        .env("LD_LIBRARY_PATH", room.path(""))
        .env("BINDSHIM_LOG", &log)
        .finish();
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("bind 0\n", ""));
    assert_eq!(Records::read(&log).calls("bind").len(), 1);
}

#[test]
fn a_log_is_for_its_owner() {
    let room = Room::new();
    let log = room.path("log");
    let ended = victim(&room).way(&room, Way::Preload).log_to(&log).finish();
    assert_eq!(ended.records().calls("bind").len(), 1);
    let mode = std::fs::metadata(log).expect("it was made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it names users and programs: {mode:o}");
}

#[test]
fn a_budget_of_nothing_looks_nothing_up() {
    let room = Room::new();
    let port = room.port();
    let _holder = listener(&room, "127.0.0.1", port);
    let steps = format!("tcp4 bind 127.0.0.1 {port}");
    let victim = room.run_victim("steps", &steps).recorded(&room).set("budget", "0ms");
    let ended = victim.finish();
    assert_eq!(ended.stdout, "bind -1 98\n");
    let records = ended.records();
    let record = records.failed();
    assert_eq!(record["diagnosis"]["cause"], "unknown", "{record}");
    let missing = record["diagnosis"]["unknown"].as_array().expect("the schema says so");
    assert!(missing.iter().any(|fact| fact["why"] == "budget"), "{record}");
}

#[test]
fn a_datagram_socket_is_a_log() {
    let room = Room::new();
    let path = room.path("log.sock");
    let socket = UnixDatagram::bind(&path).expect("the room is writable");
    let target = format!("unix:{}", path.display());
    let ended = victim(&room).way(&room, Way::Preload).set("log", target).finish();
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(0), "bind 0\n"));
    assert_eq!(ended.stderr, "");
    let mut line = [0; 8192];
    socket.set_nonblocking(true).expect("it can be set");
    let length = socket.recv(&mut line).expect("a record came");
    assert_eq!(Records::parse(&line[..length]).calls("bind").len(), 1);
}

#[test]
fn a_datagram_socket_that_nobody_reads_harms_nobody() {
    let room = Room::new();
    let path = room.path("log.sock");
    let _socket = UnixDatagram::bind(&path).expect("the room is writable");
    let target = format!("unix:{}", path.display());
    let binds = "tcp4 bind 127.0.0.1 0 close ".repeat(400);
    let victim = room.run_victim("steps", &binds).way(&room, Way::Preload);
    let ended = victim.set("log", target).finish();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout, "bind 0\n".repeat(400));
}

#[test]
fn an_existing_preload_is_kept() {
    let room = Room::new();
    let port = room.port();
    let early = room.victim_library("early");
    let ended = victim(&room)
        .recorded_by(&room, Way::Launcher)
        .env("LD_PRELOAD", early)
        .env("EARLY_PORT", port.to_string())
        .finish();
    assert!(ended.stdout.starts_with("early bind 0\n"), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.records().calls("bind").len() >= 3, "{}", ended.records());
}

#[test]
fn the_launcher_keeps_pid_and_exit_code() {
    let room = Room::new();
    let ended = room.run("sh", "-c").args(["echo $$; exit 42"]).way(&room, Way::Launcher).finish();
    assert_eq!(ended.code(), Some(42));
    assert_eq!(ended.stdout, format!("{}\n", ended.pid));
    let killed = room.run("sh", "-c").args(["kill -TERM $$"]).way(&room, Way::Launcher).finish();
    assert_eq!(killed.signal(), Some(libc::SIGTERM));
}

/// The blocks of text on standard error.
fn blocks(stderr: &str) -> Vec<&str> {
    stderr.split("\n\n").map(str::trim).filter(|block| !block.is_empty()).collect()
}

#[test]
fn a_failure_is_explained_in_at_most_eight_lines() {
    let room = Room::new();
    let port = room.port();
    let holder = listener(&room, "127.0.0.1", port);
    let steps = format!("tcp4 bind 127.0.0.1 {port}");
    let ended = room.run_victim("steps", &steps).recorded_by(&room, Way::Launcher).finish();
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(1), "bind -1 98\n"));
    let lines = ended.stderr.trim().lines().count();
    assert!((1..=8).contains(&lines), "{lines} lines: {}", ended.stderr);
    for part in [port.to_string(), holder.pid().to_string(), "EADDRINUSE".into()] {
        assert!(ended.stderr.contains(&part), "{part} is missing: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains('\u{1b}'), "no colour in a file: {}", ended.stderr);
}

#[test]
fn one_failure_is_explained_once() {
    let room = Room::new();
    let port = room.port();
    let _holder = listener(&room, "127.0.0.1", port);
    let once = format!("tcp4 bind 127.0.0.1 {port}");
    let launched = |steps: &str| {
        let victim = room.run_victim("steps", steps).recorded_by(&room, Way::Launcher);
        victim.finish()
    };
    let one = launched(&once);
    let ten = launched(&[once.as_str(); 10].join(" "));
    assert_eq!(ten.records().calls("bind").len(), 10, "each is recorded");
    let [one, ten] = [one, ten].map(|ended| ended.stderr.lines().count());
    // A line that counts the others may follow.
    assert!(ten <= one + 1, "{ten} lines for ten, {one} for one");
}

#[test]
fn after_five_explanations_there_is_only_a_count() {
    let room = Room::new();
    let ports: Vec<u16> = (0..9).map(|_| room.port()).collect();
    let listens: Vec<_> =
        ports.iter().map(|port| format!("tcp4 bind 127.0.0.1 {port} listen")).collect();
    let _holder = crate::support::staying(&room, &listens.join(" "));
    let binds: Vec<_> = ports.iter().map(|port| format!("tcp4 bind 127.0.0.1 {port}")).collect();
    let launched = |binds: &[String]| {
        let victim = room.run_victim("steps", &binds.join(" "));
        victim.recorded_by(&room, Way::Launcher).finish()
    };
    let ended = launched(&binds);
    assert_eq!(ended.records().calls("bind").len(), 9, "each is recorded");
    for (number, port) in ports.iter().enumerate() {
        let explained = ended.stderr.contains(&format!(":{port}"));
        assert_eq!(explained, number < 5, "{number}: {}", ended.stderr);
    }
    let lines = |text: &str| text.lines().count();
    let five = launched(&binds[..5]);
    let extra = lines(&ended.stderr) - lines(&five.stderr);
    assert!((1..=4).contains(&extra), "{extra} lines for the count: {}", ended.stderr);
    assert!(blocks(&ended.stderr).iter().all(|block| lines(block) <= 8 * 5 + 4));
}

#[test]
fn a_record_is_one_line_of_4096_bytes_at_most() {
    let room = Room::new();
    let port = room.port();
    // Long paths of the program and of many holders.
    let deep = "a-directory-with-a-rather-long-name-".repeat(6);
    let directory = (0..3).fold(room.path(""), |path, _| path.join(&deep));
    std::fs::create_dir_all(&directory).expect("the room is writable");
    let name = "steps-\"quoted\"-\\-\n-\u{1}-\u{e9}";
    let place = directory.join(name);
    let program = room.install(&room.victim("steps"), place.to_str().expect("UTF-8"), 0o755);
    let mut holders = Vec::new();
    for number in 1..=10 {
        let steps = format!("tcp4 bind 127.0.0.{number} {port} listen hold");
        let holder = Subject::new(&room, program.clone()).args(steps.split(' '));
        let mut holder = holder.start();
        holder.wait_for("holding");
        holders.push(holder);
    }
    let steps = format!("tcp4 bind 0.0.0.0 {port}");
    let victim = Subject::new(&room, program).args(steps.split(' ')).recorded(&room);
    let records = victim.finish().records();
    let record = records.failed();
    assert_eq!(record["diagnosis"]["cause"], "same_program_listening", "{record}");
    assert_eq!(record["diagnosis"]["holders_total"], 10, "{record}");
    let listed = record["diagnosis"]["holders"].as_array().map_or(0, Vec::len);
    assert!((1..=8).contains(&listed), "{record}");
}
