//! A refusal is told with who refused, as sure as that can be known, and never with the advice to
//! run as root.

use std::path::{Path, PathBuf};
use std::process::Command;

use bindshim_tests::{Room, Subject, programs, wait};
use serde_json::Value;

use crate::support::{Cure, as_nobody, assert_diagnosis, assert_error, run_fix};

const EACCES: (i32, &str) = (13, "EACCES");
const EPERM: (i32, &str) = (1, "EPERM");

/// The failure of a `steps` victim inside `wrapper`, a program and its arguments.
#[track_caller]
fn failure_inside(room: &Room, wrapper: &str, steps: &str, user: Option<u32>) -> Value {
    let mut words = wrapper.split_whitespace();
    let program = PathBuf::from(words.next().expect("a program"));
    let subject = Subject::new(room, program)
        .args(words)
        .args([room.victim("steps")])
        .args(steps.split_whitespace());
    let subject = match user {
        Some(uid) => subject.user(uid),
        None => subject,
    };
    let ended = subject.recorded(room).finish();
    assert_eq!(ended.code(), Some(1), "{}{}", ended.stdout, ended.stderr);
    let records = ended.records();
    records.assert_gapless();
    records.failed().clone()
}

#[track_caller]
fn failure_in_sandbox(room: &Room, sandbox: &str, steps: &str) -> Value {
    let wrapper = format!("{} {sandbox}", room.victim("sandbox").display());
    failure_inside(room, &wrapper, steps, None)
}

#[track_caller]
fn assert_refused(record: &Value, error: (i32, &str), cause: &str, certainty: &str) {
    assert_error(record, error.0, error.1);
    assert_diagnosis(record, cause, [Cure::No, Cure::No]);
    assert_eq!(record["diagnosis"]["certainty"], certainty, "{record}");
    let fixes = record["diagnosis"]["fixes"].to_string();
    assert!(!fixes.contains("sudo ") && !fixes.contains("run it as root"), "{record}");
}

#[test]
fn privileged_port_of_an_ordinary_user() {
    let room = Room::for_root("a privileged port needs a network of its own");
    let steps = "tcp4 bind 127.0.0.1 80";
    let victim = as_nobody(room.run_victim("steps", steps));
    let ended = victim.recorded(&room).finish();
    let records = ended.records();
    let record = records.failed();
    assert_refused(record, EACCES, "privileged_port", "certain");
    let fixes = record["diagnosis"]["fixes"].to_string();
    assert!(fixes.contains("AmbientCapabilities") && fixes.contains("LD_PRELOAD"), "{record}");
    run_fix(record, "sysctl -w net.ipv4.ip_unprivileged_port_start=80");
    assert!(crate::support::succeeds(&room, steps));
}

#[test]
fn privileged_port_of_root_without_the_capability() {
    let room = Room::for_root("a privileged port needs a network of its own");
    let setpriv = programs::find("setpriv");
    let without = "--bounding-set=-net_bind_service --inh-caps=-net_bind_service";
    let wrapper = format!("{} {without}", setpriv.display());
    let record = failure_inside(&room, &wrapper, "tcp4 bind 127.0.0.1 80", None);
    assert_refused(&record, EACCES, "privileged_port", "certain");
    assert_eq!(record["uid"], 0, "{record}");
    let fixes = record["diagnosis"]["fixes"].to_string();
    assert!(fixes.contains("--cap-add NET_BIND_SERVICE"), "{record}");
    assert!(!fixes.contains("setcap"), "{record}");
    run_fix(&record, "sysctl -w net.ipv4.ip_unprivileged_port_start=80");
}

/// As in a rootless container with the host's network: all capabilities, and none that counts.
#[test]
fn privileged_port_of_root_in_a_user_namespace() {
    let room = Room::for_root("a privileged port needs a network of its own");
    for user in [None, Some(65534)] {
        let wrapper = format!("{} userns", room.victim("sandbox").display());
        let record = failure_inside(&room, &wrapper, "tcp4 bind 127.0.0.1 80", user);
        assert_refused(&record, EACCES, "privileged_port", "certain");
        let summary = record["diagnosis"]["summary"].to_string();
        assert!(summary.contains("another user namespace"), "{record}");
        assert_eq!(record["uid"], 0, "{record}");
    }
    // With a network of its own the capabilities count.
    let unshare = programs::find("unshare");
    let subject = Subject::new(&room, unshare)
        .args(["--user", "--map-root-user", "--net"])
        .args([room.victim("steps")])
        .args(["tcp4", "bind", "127.0.0.1", "80"]);
    assert_eq!(subject.recorded(&room).finish().code(), Some(0));
}

#[test]
fn landlock_denied() {
    let room = Room::new();
    let (allowed, other) = (room.port(), room.port());
    let sandbox = format!("landlock {allowed}");
    for port in [other, 0] {
        let record = failure_in_sandbox(&room, &sandbox, &format!("tcp4 bind 127.0.0.1 {port}"));
        assert_refused(&record, EACCES, "landlock_denied", "probable");
    }
    let wrapper = room.victim("sandbox");
    let subject = Subject::new(&room, wrapper)
        .args(sandbox.split_whitespace())
        .args([room.victim("steps")])
        .args(["tcp4", "bind", "127.0.0.1", &allowed.to_string()]);
    assert_eq!(subject.finish().code(), Some(0));
}

#[test]
fn seccomp_denied() {
    let room = Room::new();
    let port = room.port();
    let bind = format!("tcp4 bind 127.0.0.1 {port}");
    let listen = format!("{bind} listen");
    let path = format!("unix bind {}", room.path("socket").display());
    for (refused, error, steps) in [
        ("bind 1", EPERM, &bind),
        ("bind 13", EACCES, &bind),
        ("bind 38", (38, "ENOSYS"), &bind),
        ("bind 22", (22, "EINVAL"), &bind),
        ("bind 98", (98, "EADDRINUSE"), &bind),
        ("bind 1", EPERM, &path),
        ("listen 13", EACCES, &listen),
    ] {
        let record = failure_in_sandbox(&room, &format!("refuse {refused}"), steps);
        assert_refused(&record, error, "seccomp_denied", "certain");
    }
}

/// A cgroup of its own, removed when it goes.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(room: &Room) -> Self {
        let mounts = std::fs::read_to_string("/proc/mounts").expect("/proc is mounted");
        let root = mounts.lines().find_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let place = fields.next()?;
            (fields.next() == Some("cgroup2")).then(|| place.to_owned())
        });
        let root = root.expect("cgroup2 is mounted");
        let name = room.path("").file_name().map(|name| name.to_string_lossy().into_owned());
        let path = Path::new(&root).join(name.expect("a room has a name"));
        std::fs::create_dir(&path).expect("root may make a cgroup");
        Self(path)
    }

    fn wrap(&self, room: &Room, what: &str) -> String {
        format!("{} bpf {} {what}", room.victim("sandbox").display(), self.0.display())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The processes in it have ended, but may not be gone yet.
        let _ = wait::within(wait::PATIENCE, || {
            Command::new("rmdir").arg(&self.0).output().ok()?.status.success().then_some(())
        });
    }
}

/// A bind that a BPF program refuses.
#[track_caller]
pub(crate) fn refused_by_bpf_program(room: &Room) -> Value {
    let cgroup = Cgroup::new(room);
    let steps = format!("tcp4 bind 127.0.0.1 {}", room.port());
    failure_inside(room, &cgroup.wrap(room, "deny"), &steps, None)
}

#[test]
fn cgroup_bpf_denied() {
    let Some(room) = Room::for_root_of_the_machine() else { return };
    let port = room.port();
    for (what, error, certainty) in [("deny", EPERM, "probable"), ("deny=13", EACCES, "possible")] {
        for kind in ["tcp4", "udp4"] {
            let cgroup = Cgroup::new(&room);
            let steps = format!("{kind} bind 127.0.0.1 {port}");
            let record = failure_inside(&room, &cgroup.wrap(&room, what), &steps, None);
            assert_refused(&record, error, "cgroup_bpf_denied", certainty);
            let fixes = record["diagnosis"]["fixes"].to_string();
            assert!(fixes.contains("SocketBindDeny") && fixes.contains("bpftool"), "{record}");
        }
    }
}

#[test]
fn address_rewritten() {
    let Some(room) = Room::for_root_of_the_machine() else { return };
    let (asked, given) = (room.port(), room.port());
    let cgroup = Cgroup::new(&room);
    let wrapper = cgroup.wrap(&room, &format!("rewrite={given}"));
    let mut words = wrapper.split_whitespace();
    let ended = Subject::new(&room, PathBuf::from(words.next().expect("a program")))
        .args(words)
        .args([room.victim("steps")])
        .args(["tcp4", "bind", "127.0.0.1", &asked.to_string()])
        .recorded(&room)
        .finish();
    assert_eq!(ended.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
    let records = ended.records();
    let record = records.only("bind");
    assert_eq!(record["warning"], true, "{record}");
    assert_eq!(record["address"]["port"], asked, "{record}");
    assert_eq!(record["actual"]["port"], given, "{record}");
    assert_diagnosis(record, "address_rewritten", [Cure::Maybe, Cure::Maybe]);
    assert_eq!(record["diagnosis"]["certainty"], "certain", "{record}");
}

/// A filter that kills whoever makes a call that a server does not make.
#[test]
fn refusals_are_told_under_a_filter_that_kills() {
    let room = Room::for_root("other users and a privileged port are needed");
    let list = crate::faults::allowed(&room);
    let steps = "tcp4 bind 127.0.0.1 80 bind 203.0.113.7 8080 transparent udp4 listen \
                 tcp6 bind 2001:db8::7 8080 bind fe80::1 8080 bind ff02::1 8080 listen listen \
                 unix listen tcp4 device nope0";
    let victim = || {
        Subject::new(&room, room.victim("filtered"))
            .args([&list, Path::new("exec"), &room.victim("steps")])
            .args(steps.split_whitespace())
            .user(65534)
    };
    let bare = victim().finish();
    assert_eq!(bare.code(), Some(1), "{}{}", bare.stdout, bare.stderr);
    let covered = victim().recorded(&room).finish();
    assert_eq!(covered.behaviour(), bare.behaviour());
    let records = covered.records();
    let told: Vec<_> =
        records.all().iter().filter_map(|record| record["diagnosis"]["cause"].as_str()).collect();
    assert_eq!(
        told,
        [
            "privileged_port",
            "address_not_local",
            "option_not_permitted",
            "listen_not_supported",
            "address_not_local",
            "missing_scope",
            "multicast_stream",
            "listening_on_random_port",
            "listen_wrong_state",
            "missing_device",
        ],
        "{records}"
    );
}
