//! The file cannot be made, or the call cannot work.

use super::*;

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

pub(super) fn ways() -> Vec<Row> {
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

pub(super) fn file_systems() -> Vec<Row> {
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

pub(super) fn mistakes() -> Vec<Row> {
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
    ])
}

pub(super) fn vsock() -> Vec<Row> {
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
