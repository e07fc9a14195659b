//! How the question is asked: it leaves nothing, waits when it is told to, and says what is wrong
//! with a question.

use std::io;
use std::process::{Command, Stdio};

use bindshim_tests::{Room, Subject, programs, room, sockets, wait};

use super::{holder, told, why};
use crate::support::as_nobody;

/// The socket is closed right after its bind, and never listens: a client cannot meet it.
#[test]
fn nothing_is_left() {
    let room = Room::new();
    let port = room.port();
    for question in [format!("{port}"), format!("--reuseaddr {port}"), format!("{port}/udp")] {
        let trace = room.path("trace");
        let bindshim = room.under_test("bindshim");
        let ended = Subject::new(&room, programs::find("strace"))
            .args(["-f", "-e", "trace=bind,listen,connect,accept,accept4,close", "-o"])
            .args([&trace, &bindshim])
            .args(["why"])
            .args(question.split_whitespace())
            .finish();
        assert_eq!(ended.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
        let trace = std::fs::read_to_string(trace).expect("strace wrote it");
        let calls: Vec<_> = trace.lines().filter_map(|line| line.split_once(' ')).collect();
        let is_bind = |call: &str| call.trim_start().starts_with("bind(");
        let to_port = format!("htons({port})");
        let bind = calls
            .iter()
            .position(|(_, call)| is_bind(call) && call.contains(&to_port))
            .unwrap_or_else(|| panic!("no bind: {trace}"));
        let descriptor = calls[bind].1.trim_start()["bind(".len()..].split(',').next();
        let close = format!("close({})", descriptor.unwrap_or_default());
        assert!(calls[bind + 1].1.trim_start().starts_with(&close), "{trace}");
        for call in ["listen(", "connect(", "accept"] {
            assert!(!trace.contains(call), "{call}: {trace}");
        }
    }
    assert_eq!(sockets::tcp_on(port), []);
}

#[test]
fn it_waits_until_the_holder_is_gone() {
    let room = Room::new();
    let port = room.port();
    let holder = holder(&room, port);
    let waiting = why(&room, &format!("--watch 127.0.0.1:{port}")).start();
    wait::until("the first answer", || waiting.stderr().contains('\n').then_some(()));
    assert_eq!(waiting.stderr(), "bindshim: waiting until it works\n");
    assert!(waiting.stdout().contains(&format!("(pid {}, ", holder.pid())), "{}", waiting.stdout());
    drop(holder);
    let ended = waiting.wait();
    assert_eq!(ended.code(), Some(0), "{}", ended.stdout);
    let last = ended.stdout.lines().last().unwrap_or_default();
    let expected = format!("bindshim: bind to 127.0.0.1:{port} (tcp) would work now, after ");
    assert!(last.starts_with(&expected), "{}", ended.stdout);
    assert_eq!(ended.stderr, "bindshim: waiting until it works\n");
}

#[test]
fn it_waits_no_longer_than_it_is_told_to_or_can_help() {
    let room = Room::new();
    let port = room.port();
    let _holder = holder(&room, port);
    let ended = why(&room, &format!("--watch=100ms 127.0.0.1:{port}")).finish();
    assert_eq!(ended.code(), Some(1), "{}", ended.stdout);
    assert_eq!(ended.stdout.matches("would fail").count(), 2, "{}", ended.stdout);
    // One line of JSON, however long it waits.
    let ended = why(&room, &format!("--json --watch=100ms 127.0.0.1:{port}")).finish();
    assert_eq!((ended.code(), ended.stdout.lines().count()), (Some(1), 1), "{}", ended.stdout);
    // Waiting does not help here, and so it does not wait.
    let (code, text) = told(why(&room, &format!("--watch 192.0.2.1:{port}")));
    assert_eq!(code, Some(1));
    assert!(text.contains("[address_not_local]"), "{text}");
    // A signal ends it as any program.
    let waiting = why(&room, &format!("--watch 127.0.0.1:{port}")).start();
    wait::until("the first answer", || waiting.stderr().contains('\n').then_some(()));
    waiting.signal(libc::SIGINT);
    assert_eq!(waiting.wait().signal(), Some(libc::SIGINT));
}

#[test]
fn a_terminal_sees_how_long_it_waits() {
    let room = Room::new();
    let port = room.port();
    let _holder = holder(&room, port);
    let command =
        format!("{} why --watch=50ms 127.0.0.1:{port}", room.under_test("bindshim").display());
    let ended = Subject::new(&room, programs::find("script"))
        .args(["-qec", &command, "/dev/null"])
        .finish();
    assert_eq!(ended.code(), Some(1), "{}", ended.stdout);
    let progress = "\r\x1b[Kbindshim: waiting until it works, for 0 s now";
    assert!(ended.stdout.contains(progress), "{:?}", ended.stdout);
    // The answer begins on an empty line.
    assert!(ended.stdout.contains("now\r\x1b[K\x1b[1mbindshim:\x1b[0m"), "{:?}", ended.stdout);
}

#[test]
fn the_exit_code_answers_also_where_nobody_listens() {
    let room = Room::new();
    let port = room.port();
    let _holder = holder(&room, port);
    let free = room.port();
    for (port, code) in [(port, 1), (free, 0)] {
        let subject = || why(&room, &format!("127.0.0.1:{port}"));
        let (reader, writer) = io::pipe().expect("a pipe can be had");
        drop(reader);
        let output = subject().command().stdout(writer).output().expect("it starts");
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let bindshim = room.under_test("bindshim");
        let shell = format!("exec {} why 127.0.0.1:{port} >&- 2>&-", bindshim.display());
        let status = Command::new("sh")
            .args(["-c", &shell])
            .stdin(Stdio::null())
            .status()
            .expect("sh starts");
        assert_eq!(status.code(), Some(code));
    }
}

#[test]
fn a_bad_question_is_refused() {
    let room = Room::new();
    for (words, message) in [
        (
            "localhost:80",
            "'localhost' is not an address, and what a name stands for is the server's choice; \
             write the address that it binds, such as 127.0.0.1:80 or [::1]:80",
        ),
        (
            "app.sock",
            "'app.sock' is neither a port nor an address with one; write 8080, 127.0.0.1:8080 or \
             [::1]:8080, and ./app.sock for a socket file",
        ),
        ("0", "port 0 lets the kernel choose one; ask for a port from 1 to 65535"),
        ("70000", "'70000' is no port; a port is a number from 1 to 65535"),
        (
            "127.0.0.1:http",
            "'127.0.0.1:http': 'http' is no port; a port is a number from 1 to 65535",
        ),
        ("127.0.0.1:", "'127.0.0.1:': '' is no port; a port is a number from 1 to 65535"),
        ("53/sctp", "'53/sctp': 'sctp' is no protocol; write /tcp or /udp"),
        ("::1:80", "'::1:80': an IPv6 address is written in brackets before a port: [::1]:80"),
        ("[::1]", "'[::1]' is not an address with a port; write [::1]:8080"),
        ("[::g]:80", "'::g' is not an IPv6 address; write [::1]:80"),
        ("[fe80::1%nope0]:80", "'nope0' is no interface of this machine (ip link lists them)"),
        ("@", "'@' names nothing; an abstract name is written as @name"),
        (
            "a\u{1b}b",
            "'a\\x1bb' is neither a port nor an address with one; write 8080, \
          127.0.0.1:8080 or [::1]:8080, and ./a\\x1bb for a socket file",
        ),
        ("--watch=soon 80", "--watch: 'soon' is not a time; write 500ms, 5s or 2m"),
        ("--reuseaddr ./a", "--reuseaddr is for a port; a Unix socket has no use for it"),
        (
            "--user no-such-user 80",
            "--user: there is no user 'no-such-user' (getent passwd lists them)",
        ),
    ] {
        let ended = why(&room, words).finish();
        assert_eq!(ended.stderr, format!("bindshim: {message}\n"), "{words}");
        assert_eq!((ended.code(), ended.stdout.as_str()), (Some(2), ""), "{words}");
    }
    let empty = Subject::new(&room, room.under_test("bindshim")).args(["why", ""]).finish();
    assert_eq!(empty.code(), Some(2));
    assert_eq!(empty.stderr, "bindshim: '' names nothing; write a port, such as 8080, or a path\n");
    for words in ["", "--nonsense 80", "80 81"] {
        assert_eq!(why(&room, words).finish().code(), Some(2), "{words}");
    }
}

#[test]
fn without_room_for_a_socket_there_is_no_answer() {
    let room = Room::new();
    let ended = why(&room, "8080").limit(libc::RLIMIT_NOFILE, 4).finish();
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(126), ""), "{}", ended.stderr);
    let expected = "no socket can be made here to try it with: Too many open files";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}

#[test]
fn only_root_can_ask_for_somebody_else() {
    let room = Room::new();
    let other = if room::is_root() { "root" } else { "1" };
    let ended = as_nobody(why(&room, &format!("--user {other} 80"))).finish();
    assert_eq!(ended.code(), Some(2), "{}", ended.stdout);
    assert_eq!(
        ended.stderr,
        format!(
            "bindshim: --user: only root can try it as user {other}; who has a port is the same for \
             every user, and without --user the answer is for you\n"
        )
    );
}
