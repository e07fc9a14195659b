use super::super::turns::turn;
use super::names::inode_of;
use super::*;

#[test]
fn links_of_sockets_have_an_inode() {
    for (link, inode) in [
        ("socket:[26698]", Some(26_698)),
        ("socket:[4294967295]", Some(u32::MAX)),
        ("socket:[4294967296]", None),
        ("socket:[]", None),
        ("socket:[1", None),
        ("pipe:[1]", None),
        ("/tmp/socket:[1]", None),
        ("", None),
    ] {
        assert_eq!(inode_of(link.as_bytes()), inode, "{link}");
    }
}

#[test]
fn a_socket_that_nobody_has_is_not_visible_or_not_permitted() {
    let _turn = turn();
    let mut room = crate::memory::Mapped::<Alone>::new().unwrap();
    let mut rows = [Row::default()];
    (rows[0].inode, rows[0].cookie) = (u32::MAX, u64::MAX);
    let origin = Origin { pid: std::process::id(), is_here: true, fd: 3 };
    let limits = Limits { deadline_ns: monotonic_ns() + 10_000_000_000 };
    let why = find(origin, &mut rows, &mut room.0, &mut [0; 4096], limits);
    assert_eq!(rows[0].owner, 0);
    // Root too may find a process that shows its descriptors to nobody.
    assert!(matches!(why, Why::NotVisible | Why::Permission));
    let over = Limits { deadline_ns: monotonic_ns() };
    assert_eq!(find(origin, &mut rows, &mut room.0, &mut [0; 4096], over), Why::Budget);
    assert_eq!(has(origin, &mut rows[0], &mut room.0, limits), Ok(false));
}

struct Alone(Room);

// SAFETY: all-zero bytes are a `Room`.
unsafe impl crate::memory::Zeroed for Alone {}
