//! Unix sockets on a made-up machine, told through the whole record.

use std::string::ToString;
use std::vec::Vec;

use super::super::tests::told;
use super::*;
use crate::address::MAX_LENGTH;
use crate::attempt::Socket;
use crate::code::EADDRNOTAVAIL;
use crate::engine::Engine;
use crate::facts::path::{
    Directory, FileKind, FileSystem, Obstacle, ObstacleKind, PathFacts, Place, Use, UseState,
};
use crate::facts::{Facts, PortSocket, Process, SocketState, Why};
use crate::policy::Policy;
use crate::text::Text;

/// One row: a failure, and what must be told of it.
struct Row {
    attempt: Attempt,
    code: i32,
    facts: Facts,
    cause: &'static str,
    certainty: &'static str,
    summary: &'static str,
    retry_cures: Option<bool>,
    command: Option<&'static str>,
}

fn unix(address: Address) -> Attempt {
    Attempt {
        address: Some(address),
        address_length: Some(LONGEST),
        socket: Socket {
            family: Some(Family::Unix),
            kind: Some(SocketType::Stream),
            ..Socket::UNKNOWN
        },
        ..Attempt::new(Function::Bind, 6)
    }
}

fn at(path: &str) -> Attempt {
    unix(Address::Path(Text::from(path)))
}

fn row(code: i32, path: PathFacts, cause: &'static str, summary: &'static str) -> Row {
    let path = PathFacts { has_common_root: true, ..path };
    Row {
        attempt: at("/run/app/a.sock"),
        code,
        facts: Facts { path, ..Facts::NONE },
        cause,
        certainty: "certain",
        summary,
        retry_cures: Some(false),
        command: None,
    }
}

fn unknown(code: i32, path: PathFacts, summary: &'static str) -> Row {
    Row { certainty: "possible", retry_cures: None, ..row(code, path, "unknown", summary) }
}

fn holder(owner: Fact<Process>, uid: Option<u32>) -> PortSocket {
    PortSocket {
        state: SocketState::Unix,
        local: Address::Path(Text::from("/run/app/a.sock")),
        remote: None,
        cookie: Some(3071),
        inode: Some(26698),
        uid,
        user: None,
        expires_ms: None,
        owner,
        sharing: None,
    }
}

fn app() -> Process {
    Process {
        pid: 812,
        program: Some(Text::from("/usr/bin/app")),
        script: None,
        uid: Some(33),
        user: Some(Text::from("www-data")),
        is_own: false,
        same_program: false,
        interpreted: false,
        exiting: false,
        inherited: false,
        service: None,
        same_user: None,
    }
}

const STREAM: SocketType = SocketType::Stream;
const DATAGRAM: SocketType = SocketType::Datagram;

fn used(kind: SocketType, state: UseState, place: Place) -> PathFacts {
    PathFacts {
        file: Fact::Known(FileKind::Socket),
        used: Fact::Known(Some(Use { kind, state, place })),
        ..PathFacts::NONE
    }
}

/// The path is taken by a socket of `owner`.
fn held_by(owner: Fact<Process>, path: PathFacts, cause: &'static str, say: &'static str) -> Row {
    let mut row = row(EADDRINUSE, path, cause, say);
    row.facts.sockets.push(holder(owner, None));
    row.facts.sockets_total = 1;
    row
}

fn taken() -> Vec<Row> {
    use Place::{Elsewhere, ElsewhereByName, Here};
    use UseState::{Bound, Connected, Listening};
    let held = |path, cause, say| held_by(Fact::Known(app()), path, cause, say);
    let own = Process { is_own: true, same_program: true, ..app() };
    let maybe = |row: Row| Row { retry_cures: None, ..row };
    Vec::from([
        held(
            used(STREAM, Listening, Here),
            "path_listener",
            "app (pid 812, user www-data) is already listening on /run/app/a.sock",
        ),
        held_by(
            Fact::Known(own),
            used(STREAM, Listening, Here),
            "path_listener",
            "this process itself is already listening on /run/app/a.sock",
        ),
        held_by(
            Fact::Unknown(Why::Permission),
            used(STREAM, Listening, Here),
            "path_listener",
            "a process (not permitted to look) is already listening on /run/app/a.sock",
        ),
        Row {
            attempt: Attempt {
                socket: Socket { kind: Some(DATAGRAM), ..at("x").socket },
                ..at("/run/app/a.sock")
            },
            ..held(
                used(DATAGRAM, Bound, Here),
                "path_listener",
                "app (pid 812, user www-data) already receives datagrams on /run/app/a.sock",
            )
        },
        maybe(held(
            used(STREAM, Bound, Here),
            "path_bound_not_listening",
            "app (pid 812, user www-data) has /run/app/a.sock bound without listening",
        )),
        Row {
            certainty: "probable",
            ..maybe(held(
                used(STREAM, Connected, Here),
                "path_bound_not_listening",
                "nothing listens on /run/app/a.sock any more, but app (pid 812, user www-data) still has a connection there",
            ))
        },
        held(
            used(DATAGRAM, Bound, Here),
            "path_other_type",
            "app (pid 812, user www-data) has /run/app/a.sock with a datagram socket, and this one is a stream socket",
        ),
        held(
            used(STREAM, Listening, Elsewhere),
            "path_other_namespace",
            "app (pid 812, user www-data) serves /run/app/a.sock from another network namespace, whose sockets ss does not show here",
        ),
        Row {
            certainty: "possible",
            ..held(
                used(STREAM, Bound, ElsewhereByName),
                "path_other_namespace",
                "app (pid 812, user www-data) has /run/app/a.sock from another network namespace, whose sockets ss does not show here; that it is this very file is not certain",
            )
        },
    ])
}

fn unused(file: FileKind, elsewhere: Fact<()>) -> PathFacts {
    PathFacts { file: Fact::Known(file), used: Fact::Known(None), elsewhere, ..PathFacts::NONE }
}

fn left_over() -> Vec<Row> {
    let all = Fact::Known(());
    let other = |kind, summary| row(EADDRINUSE, unused(kind, all), "path_not_a_socket", summary);
    let stale = |elsewhere, certainty, summary| Row {
        certainty,
        command: Some("rm /run/app/a.sock"),
        ..row(EADDRINUSE, unused(FileKind::Socket, elsewhere), "stale_socket_file", summary)
    };
    Vec::from([
        stale(
            all,
            "probable",
            "the socket file /run/app/a.sock is there, but no socket that is to be seen has it: a program left it behind when it ended",
        ),
        stale(
            Fact::Unknown(Why::Budget),
            "possible",
            "the socket file /run/app/a.sock is there, but no socket that is to be seen has it: left behind by a program that ended, or in use in another network namespace (the time for a diagnosis ran out)",
        ),
        other(FileKind::Regular, "/run/app/a.sock is a regular file"),
        other(FileKind::Directory, "/run/app/a.sock is a directory"),
        other(FileKind::Other, "/run/app/a.sock is a device or FIFO"),
        other(FileKind::Link, "/run/app/a.sock is a symbolic link, which bind does not follow"),
        other(
            FileKind::DanglingLink,
            "/run/app/a.sock is a symbolic link to nothing, which bind does not follow",
        ),
        unknown(
            EADDRINUSE,
            unused(FileKind::Missing, all),
            "something was at /run/app/a.sock when bind was called, and is gone by now",
        ),
        unknown(
            EADDRINUSE,
            PathFacts { used: Fact::Unknown(Why::NotSupported), ..unused(FileKind::Socket, all) },
            "the socket file /run/app/a.sock is there; whether a program uses it is unknown: this system is too old to tell",
        ),
        unknown(
            EADDRINUSE,
            PathFacts { file: Fact::Unknown(Why::Failed), ..PathFacts::NONE },
            "something is at /run/app/a.sock; what is unknown: the system's answer was not understood",
        ),
    ])
}

fn names() -> Vec<Row> {
    let name = || unix(Address::Abstract(Text::from("app")));
    let dying = Process { exiting: true, ..app() };
    let held = |owner| Row {
        attempt: name(),
        command: Some("kill 812"),
        ..held_by(
            Fact::Known(owner),
            used(STREAM, UseState::Listening, Place::Here),
            "abstract_name_taken",
            "app (pid 812, user www-data) already has the abstract name @app",
        )
    };
    let nobody = |used, summary| Row {
        attempt: name(),
        ..unknown(EADDRINUSE, PathFacts { used, ..PathFacts::NONE }, summary)
    };
    Vec::from([
        Row { retry_cures: None, ..held(app()) },
        Row { retry_cures: Some(true), ..held(dying) },
        nobody(Fact::Known(None), "@app was taken when bind was called, and is free by now"),
        nobody(
            Fact::Unknown(Why::Seccomp),
            "@app is taken; by whom is unknown: a seccomp filter forbids looking",
        ),
    ])
}

fn stopped(kind: ObstacleKind, length: usize) -> PathFacts {
    let obstacle = Fact::Known(Some(Obstacle { length, kind }));
    PathFacts { obstacle, ..PathFacts::NONE }
}

fn directory_of(change: impl FnOnce(&mut Directory)) -> PathFacts {
    let mut directory = Directory {
        uid: 0,
        user: Some(Text::from("root")),
        mode: 0o755,
        is_removed: false,
        is_immutable: false,
        is_writable: Fact::Known(false),
        own_uid: 65534,
    };
    change(&mut directory);
    PathFacts { obstacle: Fact::Known(None), directory: Fact::Known(directory), ..PathFacts::NONE }
}

fn on(magic: u64, has_inodes: bool, has_blocks: bool) -> PathFacts {
    let file_system = Fact::Known(FileSystem { magic, has_inodes, has_blocks });
    PathFacts { file_system, ..PathFacts::NONE }
}

fn ways() -> Vec<Row> {
    use ObstacleKind::{DanglingLink, Loop, Missing, NotADirectory, NotSearchable};
    let unclear = "the kernel said EACCES (Permission denied); what is known does not show why";
    Vec::from([
        Row {
            command: Some("mkdir -p /run/app"),
            ..row(ENOENT, stopped(Missing, 8), "path_missing", "there is no directory /run/app")
        },
        Row {
            attempt: at("/srv/my app/a"),
            command: Some("mkdir -p '/srv/my app'"),
            ..row(ENOENT, stopped(Missing, 11), "path_missing", "there is no directory /srv/my app")
        },
        row(
            ENOENT,
            stopped(DanglingLink, 8),
            "path_missing",
            "/run/app is a symbolic link to nothing",
        ),
        Row {
            attempt: at("a.sock"),
            ..row(
                ENOENT,
                directory_of(|directory| directory.is_removed = true),
                "path_missing",
                "the working directory was removed",
            )
        },
        Row {
            attempt: at("/run/a/"),
            ..row(
                ENOENT,
                PathFacts {
                    obstacle: Fact::Known(None),
                    ..unused(FileKind::Missing, Fact::Known(()))
                },
                "path_missing",
                "/run/a/ names a directory, for it ends with a slash, and none is there",
            )
        },
        row(
            ENOTDIR,
            stopped(NotADirectory, 8),
            "path_not_a_directory",
            "/run/app is not a directory, so that no file can be in it",
        ),
        row(
            ELOOP,
            stopped(Loop, 8),
            "path_loop",
            "the symbolic link /run/app leads back to itself, or over more than 40 others",
        ),
        row(
            EACCES,
            stopped(NotSearchable, 4),
            "directory_not_writable",
            "this process may not search /run (the x permission)",
        ),
        row(
            EACCES,
            directory_of(|_| ()),
            "directory_not_writable",
            "/run/app belongs to user root (mode 0755), and this process, of user id 65534, may not make files there",
        ),
        Row {
            certainty: "probable",
            ..row(
                EACCES,
                directory_of(|directory| directory.is_writable = Fact::Unknown(Why::NotSupported)),
                "directory_not_writable",
                "/run/app belongs to user root (mode 0755), and this process, of user id 65534, may not make files there",
            )
        },
        unknown(
            EACCES,
            directory_of(|directory| directory.is_writable = Fact::Known(true)),
            unclear,
        ),
        unknown(
            EACCES,
            directory_of(|directory| {
                directory.is_writable = Fact::Unknown(Why::NotSupported);
                directory.mode = 0o1777;
            }),
            unclear,
        ),
        Row {
            command: Some("chattr -i /run/app"),
            ..row(
                EPERM,
                directory_of(|directory| directory.is_immutable = true),
                "directory_not_writable",
                "/run/app is immutable (lsattr shows it): nobody may make files there",
            )
        },
    ])
}

fn file_systems() -> Vec<Row> {
    let full = |path, summary| Row { retry_cures: None, ..row(ENOSPC, path, "no_space", summary) };
    Vec::from([
        row(
            EROFS,
            PathFacts::NONE,
            "read_only_filesystem",
            "the file system of /run/app is mounted read-only",
        ),
        full(on(0x0102_1994, false, true), "the file system of /run/app has no inode left"),
        full(on(0x0102_1994, true, false), "the file system of /run/app has no space left"),
        full(
            on(0x0102_1994, true, true),
            "the file system of /run/app has no space or no inode left",
        ),
        Row {
            attempt: unix(Address::Raw { family: 1, bytes: arrayvec::ArrayVec::new() }),
            ..full(
                PathFacts::NONE,
                "none of the abstract names that the kernel chooses from is left",
            )
        },
        row(
            EPERM,
            on(0x6265_6572, true, true),
            "filesystem_without_sockets",
            "/run/app is on sysfs, a file system that has no socket files",
        ),
        row(
            ENOENT,
            PathFacts { obstacle: Fact::Known(None), ..on(0x9fa0, true, true) },
            "filesystem_without_sockets",
            "/run/app is on proc, a file system that has no socket files",
        ),
        unknown(
            EPERM,
            on(0xef53, true, true),
            "the kernel said EPERM (Operation not permitted); what is known does not show why",
        ),
    ])
}

fn mistakes() -> Vec<Row> {
    let bound = |bound| Facts { bound: Fact::Known(bound), ..Facts::NONE };
    let long = "x".repeat(109);
    let bytes: Vec<u8> = [1, 0].into_iter().chain(long.bytes()).take(MAX_LENGTH).collect();
    let address = Address::decode(&bytes, Families::LINUX);
    Vec::from([
        Row {
            attempt: Attempt { address, address_length: Some(111), ..at("") },
            ..row(
                EINVAL,
                PathFacts::NONE,
                "path_too_long",
                "the address is 111 bytes long, and that of a socket file has at most 110: 2 and a path of 108",
            )
        },
        Row {
            facts: bound(Some(Address::Path(Text::from("/run/first")))),
            ..row(
                EINVAL,
                PathFacts::NONE,
                "already_bound",
                "this socket is already bound, to /run/first",
            )
        },
        Row {
            attempt: Attempt { call: Function::Listen, address: None, ..at("") },
            facts: bound(None),
            ..row(
                EINVAL,
                PathFacts::NONE,
                "listen_wrong_state",
                "this socket is not bound to a path or name, so that it cannot listen",
            )
        },
    ])
}

fn vsock() -> Vec<Row> {
    let attempt = |port: u32, cid: u32| {
        let mut bytes = [0; 14];
        bytes[2..6].copy_from_slice(&port.to_ne_bytes());
        bytes[6..10].copy_from_slice(&cid.to_ne_bytes());
        let mut attempt = unix(Address::Raw { family: 40, bytes: bytes.into_iter().collect() });
        attempt.socket.family = Some(Family::Other(40));
        attempt
    };
    let refused = |port, cid, code, summary| Row {
        attempt: attempt(port, cid),
        ..row(code, PathFacts::NONE, "vsock_refused", summary)
    };
    Vec::from([
        refused(5000, 99, EADDRNOTAVAIL, "the context id 99 is not one of this machine"),
        refused(
            80,
            u32::MAX,
            EACCES,
            "vsock port 80 is reserved (below 1024), and this process lacks CAP_NET_BIND_SERVICE",
        ),
        refused(
            5000,
            u32::MAX,
            EADDRINUSE,
            "another socket has vsock port 5000 (ss --vsock -ap shows it)",
        ),
    ])
}

fn all() -> impl Iterator<Item = Row> {
    [taken(), left_over(), names(), ways(), file_systems(), mistakes(), vsock()]
        .into_iter()
        .flatten()
}

fn record(row: &Row) -> serde_json::Value {
    let engine = Engine::new(Policy::default());
    told(engine, &row.attempt, Err(Code::linux(row.code)), &row.facts)
}

#[test]
fn every_cause_of_a_path_is_told_through_the_whole_record() {
    for row in all() {
        let told = &record(&row)["diagnosis"];
        assert_eq!(told["summary"], row.summary);
        assert_eq!(told["cause"], row.cause, "{told}");
        assert_eq!(told["certainty"], row.certainty, "{told}");
        assert_eq!(told["retry_cures"].as_bool(), row.retry_cures, "{told}");
        let is_told = row.cause != "unknown";
        assert_eq!(told["reuseaddr_cures"].as_bool(), is_told.then_some(false), "{told}");
        let fixes = told["fixes"].as_array().unwrap();
        assert_eq!(fixes.iter().find_map(|fix| fix["run"].as_str()), row.command, "{told}");
        assert!(!is_told || !fixes.is_empty(), "{told}");
        assert!(fixes.iter().all(|fix| fix["say"].as_str().unwrap().len() < 192), "{told}");
    }
}

#[test]
fn a_file_is_removed_only_where_nobody_is_seen_to_use_it() {
    for row in all() {
        let told = &record(&row)["diagnosis"];
        let fixes = told["fixes"].to_string();
        let is_stale = row.cause == "stale_socket_file";
        assert_eq!(fixes.contains("\"rm "), is_stale, "{fixes}");
        assert!(!is_stale || fixes.contains("if no program uses it (ss -xlp"), "{fixes}");
        assert!(!is_stale || told["certainty"] != "certain");
        assert!(!fixes.contains("REUSE") && !fixes.contains("kill -9"), "{fixes}");
    }
}

#[test]
fn no_command_names_a_file_that_a_shell_finds_elsewhere() {
    let stale = || left_over().swap_remove(0);
    let rooted = |attempt| Row { attempt, ..stale() };
    let mut chrooted = stale();
    chrooted.facts.path.has_common_root = false;
    for row in [rooted(at("a.sock")), rooted(at("/run/it's")), rooted(at("/run/\u{7f}")), chrooted]
    {
        let told = &record(&row)["diagnosis"];
        assert_eq!(told["cause"], "stale_socket_file");
        assert!(told["fixes"].as_array().unwrap().iter().all(|fix| fix["run"].is_null()), "{told}");
    }
}

#[test]
fn what_a_listener_elsewhere_does_is_told_beside_it() {
    let rows = taken();
    let row = rows.iter().find(|row| row.cause == "path_other_namespace").unwrap();
    let told = &record(row)["diagnosis"];
    assert_eq!(told["also"].to_string(), r#"["path_listener"]"#);
    assert_eq!(told["holders"][0]["state"], "unix");
    assert_eq!(told["holders"][0]["address"]["path"], "/run/app/a.sock");
}

#[test]
fn an_address_of_another_family_is_not_a_long_path() {
    let mut attempt = unix(Address::V4 { ip: core::net::Ipv4Addr::LOCALHOST, port: 80 });
    attempt.address_length = Some(128);
    let engine = Engine::new(Policy::default());
    let told = &told(engine, &attempt, Err(Code::linux(EINVAL)), &Facts::NONE)["diagnosis"];
    assert_eq!(told["cause"], "wrong_address_family");
}
