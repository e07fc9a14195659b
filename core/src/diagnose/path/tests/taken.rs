//! The path or the name is taken, or was.

use super::*;

/// The path is taken by a socket of `owner`.
fn held_by(owner: Fact<Process>, path: PathFacts, cause: &'static str, say: &'static str) -> Row {
    let mut row = row(EADDRINUSE, path, cause, say);
    row.facts.sockets.push(holder(owner, None));
    row.facts.sockets_total = 1;
    row
}

pub(super) fn taken() -> Vec<Row> {
    use Place::{Elsewhere, ElsewhereByName, Here, HereByName};
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
        Row {
            certainty: "probable",
            ..held(
                used(STREAM, Listening, HereByName),
                "path_listener",
                "app (pid 812, user www-data) is already listening on /run/app/a.sock",
            )
        },
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

fn doubtful(mut row: Row) -> Row {
    row.facts.path.is_doubtful = true;
    row
}

/// On a file system that shows other devices than the kernel.
fn layered(mut row: Row) -> Row {
    row.facts.path.has_true_device = false;
    row
}

pub(super) fn left_over() -> Vec<Row> {
    let all = Fact::Known(());
    let other = |kind, summary| row(EADDRINUSE, unused(kind, all), "path_not_a_socket", summary);
    let stale = |elsewhere, certainty, summary| Row {
        certainty,
        ..row(EADDRINUSE, unused(FileKind::Socket, elsewhere), "stale_socket_file", summary)
    };
    Vec::from([
        stale(
            all,
            "probable",
            "the socket file /run/app/a.sock is there, but no socket that is to be seen has it: it is left over from one that was closed",
        ),
        stale(
            Fact::Unknown(Why::Budget),
            "possible",
            "the socket file /run/app/a.sock is there, but no socket that is to be seen has it: it is left over from one that was closed, or in use in another network namespace (the time for a diagnosis ran out)",
        ),
        doubtful(stale(
            Fact::Unknown(Why::Failed),
            "possible",
            "the socket file /run/app/a.sock is there, but no socket that is to be seen has it: it is left over from one that was closed, or in use in another network namespace, where a socket was seen that may have it",
        )),
        layered(stale(
            all,
            "possible",
            "the socket file /run/app/a.sock is there, but no socket that is to be seen has it; this file system does not show for certain which file a socket has",
        )),
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
            PathFacts {
                used: Fact::Unknown(Why::Failed),
                is_doubtful: true,
                ..unused(FileKind::Socket, all)
            },
            "the socket file /run/app/a.sock is there, and a socket that may have it; this file system does not show which file a socket has",
        ),
        unknown(
            EADDRINUSE,
            PathFacts { file: Fact::Unknown(Why::Failed), ..PathFacts::NONE },
            "something is at /run/app/a.sock; what is unknown: the system's answer was not understood",
        ),
    ])
}

pub(super) fn names() -> Vec<Row> {
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
        Row {
            attempt: unix(Address::Abstract(Text::from_bytes(b"app\xff"))),
            ..nobody(
                Fact::Unknown(Why::Failed),
                "@app\\xff is taken; by whom is unknown: not all of its bytes are printable, so that other names look the same",
            )
        },
    ])
}
