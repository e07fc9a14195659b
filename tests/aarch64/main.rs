//! Programs for aarch64 under the library for aarch64, in qemu's emulation of a Linux process.
//!
//! The emulator passes on the system calls that it knows. It does not know the socket diagnostics
//! or SO_COOKIE: what the library would ask there is unknown, and says so.
#![cfg(target_os = "linux")]

mod emulated;

use serde_json::{Value, json};

use emulated::{Emulated, GLIBC, MUSL};

/// Runs a `steps` victim, which fails once, bare and covered; gives the record of its failure.
#[track_caller]
fn failure(emulated: &Emulated, steps: &str) -> Value {
    let records = emulated.same_as_bare(GLIBC, "steps", steps, 1);
    records.failed().clone()
}

#[test]
fn programs_of_both_c_libraries_behave_as_before() {
    for libc in [GLIBC, MUSL] {
        let emulated = Emulated::new();
        for victim in ["errno_kept", "jump_out", "signal_stack", "vfork_child"] {
            let port = emulated.room.port().to_string();
            let records = emulated.same_as_bare(libc, victim, &port, 0);
            assert!(!records.calls("bind").is_empty(), "{victim} {libc:?}");
        }
        let port = emulated.room.port();
        for case in ["short", "negative", "null", "pointer", "end_of_memory", "closed_fd"] {
            let records = emulated.same_as_bare(libc, "usage", &format!("{case} {port}"), 1);
            assert_eq!(records.failed()["diagnosis"]["certainty"], "certain", "{case} {libc:?}");
        }
    }
}

#[test]
fn a_success_is_recorded_whole() {
    let emulated = Emulated::new();
    let port = emulated.room.port();
    let steps = format!("tcp6 reuse bind ::1 {port} listen");
    let records = emulated.same_as_bare(GLIBC, "steps", &steps, 0);
    let bind = records.only("bind");
    assert_eq!(bind["address"], json!({"ip": "::1", "port": port, "scope": 0}));
    assert_eq!(bind["outcome"], "ok");
    assert_eq!(bind["socket"]["reuseaddr"], true);
    assert!(bind["program"].as_str().is_some_and(|program| program.ends_with("/steps")), "{bind}");
    assert!(bind["start"].is_u64(), "{bind}");
    assert_eq!(records.only("listen")["backlog"], 16);
    assert_eq!(records.only("setsockopt")["option"]["name"], "SO_REUSEADDR");
}

#[test]
fn what_needs_no_table_of_sockets_is_diagnosed() {
    let emulated = Emulated::new();
    let port = emulated.room.port();
    let file = emulated.room.file("plain", "");
    let file = file.display();
    for (steps, error, cause) in [
        (format!("tcp4 bind 203.0.113.7 {port}"), "EADDRNOTAVAIL", "address_not_local"),
        (format!("tcp6 bind 2001:db8::7 {port}"), "EADDRNOTAVAIL", "address_not_local"),
        (format!("tcp6 bind fe80::1 {port}"), "EINVAL", "missing_scope"),
        (format!("tcp4 bind 127.0.0.1 {port} bind 127.0.0.1 1"), "EINVAL", "already_bound"),
        (format!("udp4 bind 127.0.0.1 {port} listen"), "EOPNOTSUPP", "listen_not_supported"),
        (format!("unix bind {file}"), "EADDRINUSE", "path_not_a_socket"),
        (format!("unix bind {file}/socket"), "ENOTDIR", "path_not_a_directory"),
    ] {
        let record = failure(&emulated, &steps);
        assert_eq!(record["error"]["name"], error, "{record}");
        assert_eq!(record["diagnosis"]["cause"], cause, "{record}");
        assert_eq!(record["diagnosis"]["certainty"], "certain", "{record}");
    }
}

#[test]
fn a_privileged_port_is_diagnosed() {
    let emulated = Emulated::for_root("it becomes another user");
    let record = failure(&emulated, "setuid 65534 tcp4 bind 127.0.0.1 80");
    assert_eq!(record["uid"], 65534);
    assert_eq!(record["diagnosis"]["cause"], "privileged_port", "{record}");
}

#[test]
fn what_the_emulator_cannot_ask_is_unknown() {
    let emulated = Emulated::new();
    let port = emulated.room.port();
    for (steps, what) in [
        (format!("tcp4 bind 127.0.0.1 {port} tcp4 bind 127.0.0.1 {port}"), "sockets"),
        ("unix bind @app unix bind @app".into(), "unix_sockets"),
    ] {
        let record = failure(&emulated, &steps);
        let diagnosis = &record["diagnosis"];
        assert_eq!(record["error"]["name"], "EADDRINUSE");
        assert_eq!(record["socket"]["cookie"], Value::Null);
        assert_eq!(
            (&diagnosis["cause"], &diagnosis["certainty"]),
            (&json!("unknown"), &json!("possible"))
        );
        assert_eq!(diagnosis["holders"], json!([]));
        assert_eq!(diagnosis["unknown"], json!([{"what": what, "why": "not_supported"}]));
    }
}

/// The launcher looks at a program before it starts it. It starts none here that it could cover:
/// what it executes, the machine itself runs.
#[test]
fn the_launcher_knows_its_own_machine() {
    let emulated = Emulated::new();
    let _library_beside = emulated.under_test("libbindshim.so");
    let run = |arguments: &str| emulated.command("bindshim-run", arguments).finish();
    let foreign = run("-- /bin/true");
    assert_eq!(foreign.code(), Some(0), "{}", foreign.stderr);
    assert!(foreign.stderr.contains("another kind of processor"), "{}", foreign.stderr);
    assert_eq!(run("--reuseaddr -- /bin/true").code(), Some(126));
    assert_eq!(run("-- ./missing").code(), Some(127));
    let schema = emulated.command("bindshim", "schema").finish();
    let schema: Value = serde_json::from_str(&schema.stdout).expect("a schema is JSON");
    assert!(schema["$schema"].is_string(), "{schema}");
}
