//! Real files and sockets of this process, and what is found out about them.

use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;

use bindshim_core::attempt::{Attempt, SocketType};
use bindshim_core::code::Code;
use bindshim_core::facts::SocketState;
use bindshim_core::facts::path::{Obstacle, ObstacleKind, Place, Use, UseState};

use super::super::clock::monotonic_ns;
use super::super::turns::turn;
use super::*;
use crate::memory::Mapped;

/// A directory that is removed with its content.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("bindshim-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn gathered(address: Address, kind: SocketType, number: i32) -> Facts {
    let mut attempt = Attempt::new(Function::Bind, -1);
    attempt.socket.family = Some(Family::Unix);
    attempt.socket.kind = Some(kind);
    attempt.address = Some(address);
    let query = Query {
        attempt: &attempt,
        code: Code::linux(number),
        pid: std::process::id(),
        tid: rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs(),
        fd: -1,
        deadline_ns: monotonic_ns() + 20_000_000_000,
    };
    let mut facts = Facts::NONE;
    super::super::facts::gather(&query, &mut Mapped::<Scratch>::new().unwrap(), &mut facts);
    facts
}

fn at(path: &str, number: i32) -> Facts {
    gathered(Address::Path(Text::from(path)), SocketType::Stream, number)
}

fn in_use(path: &str) -> Facts {
    at(path, code::EADDRINUSE)
}

#[track_caller]
fn assert_used(facts: &Facts, kind: SocketType, state: UseState) {
    assert_eq!(facts.path.file, Fact::Known(FileKind::Socket));
    assert_eq!(facts.path.used, Fact::Known(Some(Use { kind, state, place: Place::Here })));
    let socket = &facts.sockets[0];
    assert_eq!(socket.state, SocketState::Unix);
    assert!(socket.owner.known().is_some_and(|owner| owner.is_own), "{socket:?}");
    assert_eq!(socket.uid, Some(rustix::process::geteuid().as_raw()));
}

#[test]
fn who_has_a_file_is_known_by_its_inode() {
    let _turn = turn();
    let place = Folder::new("inode");
    let path = place.path("a");
    let listener = UnixListener::bind(&path).unwrap();
    assert_used(&in_use(&path), SocketType::Stream, UseState::Listening);
    // Another name of the same file, and a way over a link.
    std::fs::hard_link(&path, place.path("b")).unwrap();
    assert_used(&in_use(&place.path("b")), SocketType::Stream, UseState::Listening);
    symlink(&place.0, place.path("here")).unwrap();
    assert_used(&in_use(&place.path("here/a")), SocketType::Stream, UseState::Listening);
    let _client = UnixStream::connect(&path).unwrap();
    let accepted = listener.accept().unwrap();
    let facts = in_use(&path);
    assert_eq!(facts.sockets_total, 1, "what was accepted is not in the way: {facts:?}");
    drop(listener);
    assert_used(&in_use(&path), SocketType::Stream, UseState::Connected);
    drop(accepted);
    let facts = in_use(&path);
    assert_eq!(facts.path.used, Fact::Known(None));
    assert_eq!(facts.sockets_total, 0);
}

#[test]
fn a_file_that_was_made_anew_is_not_the_old_ones() {
    let _turn = turn();
    let place = Folder::new("anew");
    let path = place.path("a");
    let _first = UnixDatagram::bind(&path).unwrap();
    assert_used(&in_use(&path), SocketType::Datagram, UseState::Bound);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(in_use(&path).path.file, Fact::Known(FileKind::Missing));
    drop(UnixDatagram::bind(&path).unwrap());
    assert_eq!(in_use(&path).path.used, Fact::Known(None), "a socket has this name, not this file");
}

#[test]
fn an_abstract_name_is_looked_up_with_its_type() {
    let _turn = turn();
    use std::os::linux::net::SocketAddrExt;
    let name = format!("bindshim-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    let look = |kind| gathered(Address::Abstract(Text::from(&*name)), kind, code::EADDRINUSE);
    let facts = look(SocketType::Stream);
    assert!(matches!(facts.path.used, Fact::Known(Some(Use { state: UseState::Listening, .. }))));
    assert!(facts.sockets[0].owner.known().is_some_and(|owner| owner.is_own));
    assert_eq!(look(SocketType::Datagram).path.used, Fact::Known(None));
    drop(listener);
    assert_eq!(look(SocketType::Stream).path.used, Fact::Known(None));
}

#[test]
fn an_abstract_name_that_is_not_printable_is_not_taken_for_another() {
    let _turn = turn();
    use std::os::linux::net::SocketAddrExt;
    // The printable form is cut before the bytes in which they differ.
    let name = |last| [&[0xff; 60][..], &std::process::id().to_ne_bytes(), &[last]].concat();
    let address = |last| std::os::unix::net::SocketAddr::from_abstract_name(name(last)).unwrap();
    let _culprit = UnixDatagram::bind_addr(&address(b'A')).unwrap();
    let _innocent = UnixListener::bind_addr(&address(b'B')).unwrap();
    for kind in [SocketType::Stream, SocketType::Datagram] {
        let wanted = Address::Abstract(Text::from_bytes(&name(b'A')));
        let facts = gathered(wanted, kind, code::EADDRINUSE);
        assert_eq!(facts.path.used, Fact::Unknown(Why::Failed));
        assert_eq!(facts.sockets_total, 0);
    }
}

#[test]
fn what_is_at_a_path_is_told_without_following_a_link() {
    let _turn = turn();
    let place = Folder::new("kinds");
    std::fs::write(place.path("file"), "").unwrap();
    symlink("file", place.path("link")).unwrap();
    symlink("nothing", place.path("dangling")).unwrap();
    for (name, kind) in [
        ("file", FileKind::Regular),
        ("file/", FileKind::Regular),
        ("link", FileKind::Link),
        ("dangling", FileKind::DanglingLink),
        ("", FileKind::Directory),
        ("..", FileKind::Directory),
        ("none", FileKind::Missing),
    ] {
        assert_eq!(in_use(&place.path(name)).path.file, Fact::Known(kind), "{name}");
    }
    assert_eq!(in_use("/").path.file, Fact::Known(FileKind::Directory));
    assert_eq!(in_use("/dev/null").path.file, Fact::Known(FileKind::Other));
    let spelled = in_use("/tmp/\u{1}");
    assert_eq!(spelled.path.file, Fact::Unknown(Why::Failed));
}

#[test]
fn the_way_ends_where_it_ends() {
    let _turn = turn();
    let place = Folder::new("way");
    std::fs::write(place.path("file"), "").unwrap();
    symlink("nothing", place.path("dangling")).unwrap();
    symlink("loop", place.path("loop")).unwrap();
    std::fs::create_dir(place.path("dir")).unwrap();
    for (name, number, end, kind) in [
        ("none/sub/a", code::ENOENT, "none", ObstacleKind::Missing),
        ("dir//none/a", code::ENOENT, "dir//none", ObstacleKind::Missing),
        ("dangling/a", code::ENOENT, "dangling", ObstacleKind::DanglingLink),
        ("file/a", code::ENOTDIR, "file", ObstacleKind::NotADirectory),
        ("dir/../file/b/a", code::ENOTDIR, "dir/../file", ObstacleKind::NotADirectory),
        ("loop/a", code::ELOOP, "loop", ObstacleKind::Loop),
    ] {
        let length = place.path(end).len();
        let found = at(&place.path(name), number).path.obstacle;
        assert_eq!(found, Fact::Known(Some(Obstacle { length, kind })), "{name}");
    }
    for name in ["a", "dir/a", "dir//a", "none/"] {
        assert_eq!(at(&place.path(name), code::ENOENT).path.obstacle, Fact::Known(None), "{name}");
    }
}

#[test]
fn directory_and_file_system_are_told() {
    let _turn = turn();
    let place = Folder::new("directory");
    let facts = at(&place.path("a"), code::EACCES);
    let directory = *facts.path.directory.known().unwrap();
    assert_eq!(directory.uid, rustix::process::geteuid().as_raw());
    assert_eq!(directory.own_uid, directory.uid);
    assert_eq!(directory.is_writable, Fact::Known(true));
    assert!(!directory.is_removed && !directory.is_immutable && facts.path.has_common_root);
    let proc = *at("/proc/a", code::EPERM).path.file_system.known().unwrap();
    assert_eq!(proc.magic, 0x9fa0);
    assert!(proc.has_inodes && proc.has_blocks);
}
