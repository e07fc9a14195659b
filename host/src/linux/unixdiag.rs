//! Which Unix sockets have a path or an abstract name: questions to the kernel's socket diagnostics
//! (sock_diag(7); include/uapi/linux/unix_diag.h, net/unix/diag.c).

use bindshim_core::attempt::SocketType;
use bindshim_core::facts::path::UseState;
use bindshim_core::facts::{MAX_SOCKETS, Why};
use rustix::net::netlink::SOCK_DIAG;

use super::limits::Limits;
use super::netlink::{Attributes, Channel, DUMP, Failure, HEADER, u32_at};
use super::sockdiag::{BY_FAMILY, Row};

/// `AF_UNIX`.
const UNIX: u8 = 1;
/// States of include/net/tcp_states.h that a Unix socket can be in.
const ESTABLISHED: u8 = 1;
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;

/// `UDIAG_SHOW_NAME`, `UDIAG_SHOW_VFS`, `UDIAG_SHOW_UID` (Linux 5.3).
const SHOW: u32 = 1 | 2 | 0x40;
/// `UNIX_DIAG_NAME`, `UNIX_DIAG_VFS`, `UNIX_DIAG_UID`.
const NAME: u16 = 0;
const VFS: u16 = 1;
const UID: u16 = 7;

/// `sizeof(struct unix_diag_req)`, its header before it, and `sizeof(struct unix_diag_msg)`.
const REQUEST_LENGTH: usize = HEADER + 24;
const ROW_LENGTH: usize = 16;

/// Holds any `sun_path` (108 bytes) and a NUL.
const NAME_ROOM: usize = 112;

/// What stands for a user that the kernel does not tell: no user has this id (credentials(7)).
pub(super) const NO_UID: u32 = u32::MAX;

/// A file, as a socket's own record names it and as `stat` does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FileId {
    /// The inode's number, cut to 32 bits as the kernel cuts it.
    pub(super) inode: u32,
    /// The device in the kernel's own form: twelve bits of major, twenty of minor number.
    pub(super) device: u32,
}

impl FileId {
    /// Whether its device has the major number 0, as btrfs and overlayfs have it too
    /// (`get_anon_bdev`, fs/super.c).
    fn has_no_disk(self) -> bool {
        self.device >> 20 == 0
    }
}

/// What a socket must have to stand in the way.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted<'a> {
    /// The socket file.
    File(FileId),
    /// A file whose inode has this number, on a file system without a disk of its own.
    Number(u32),
    /// The bytes of the abstract name, without its first NUL, for a socket of this type.
    Name(&'a [u8], SocketType),
}

/// Sockets in the way, the most telling kind alone. All-zero bytes are an empty list.
#[repr(C)]
pub(super) struct Holders {
    rows: [Row; MAX_SOCKETS],
    names: [[u8; NAME_ROOM]; MAX_SOCKETS],
    kinds: [u8; MAX_SOCKETS],
    states: [u8; MAX_SOCKETS],
    listed: u32,
    /// How many there are, also those that are not listed.
    pub(super) total: u32,
}

impl Holders {
    pub(super) fn clear(&mut self) {
        (self.listed, self.total) = (0, 0);
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows[..self.listed as usize]
    }

    pub(super) fn rows_mut(&mut self) -> &mut [Row] {
        &mut self.rows[..self.listed as usize]
    }

    /// Type and state of a listed socket.
    pub(super) fn used(&self, nth: usize) -> (SocketType, UseState) {
        let state = match self.states[nth] {
            LISTEN => UseState::Listening,
            ESTABLISHED => UseState::Connected,
            _ => UseState::Bound,
        };
        (kind_of(self.kinds[nth]), state)
    }

    /// The path to which a listed socket was bound, as its process named it then.
    pub(super) fn name(&self, nth: usize) -> &[u8] {
        self.names[nth].split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// Takes in the socket that a message shows, if it is wanted.
    pub(super) fn see(&mut self, payload: &[u8], wanted: Wanted<'_>) {
        if let Some(shown) = Shown::parse(payload)
            && shown.is(wanted)
        {
            let row = Row::of_unix(shown.inode, shown.cookie, shown.uid);
            self.add(shown.kind, shown.state, shown.name, row);
        }
    }

    /// Takes a socket in, where there is room. A table that changes while it is read may show one
    /// twice.
    pub(super) fn add(&mut self, kind: u8, state: u8, name: &[u8], row: Row) {
        if self.rows().iter().any(|known| known.inode == row.inode) {
            return;
        }
        self.total = self.total.saturating_add(1);
        let at = self.listed as usize;
        if at < MAX_SOCKETS {
            (self.rows[at], self.kinds[at], self.states[at]) = (row, kind, state);
            let length = name.len().min(NAME_ROOM);
            self.names[at] = [0; NAME_ROOM];
            self.names[at][..length].copy_from_slice(&name[..length]);
            self.listed += 1;
        }
    }

    /// Lists this one alone.
    pub(super) fn keep(&mut self, nth: usize) {
        self.rows[0] = self.rows[nth];
        self.names[0] = self.names[nth];
        self.kinds[0] = self.kinds[nth];
        self.states[0] = self.states[nth];
        (self.listed, self.total) = (1, 1);
    }
}

/// `SOCK_STREAM`, `SOCK_DGRAM`, `SOCK_SEQPACKET` (socket(2)).
fn kind_of(number: u8) -> SocketType {
    match libc::c_int::from(number) {
        libc::SOCK_STREAM => SocketType::Stream,
        libc::SOCK_DGRAM => SocketType::Datagram,
        libc::SOCK_SEQPACKET => SocketType::SeqPacket,
        _ => SocketType::Other(number.into()),
    }
}

/// Finds the sockets of this network namespace that have what is wanted. The listener first; where
/// none is, what is bound; where nothing is, what is connected: a listener passes its path on to
/// what it accepts.
#[inline(never)]
pub(super) fn find(
    wanted: Wanted<'_>,
    holders: &mut Holders,
    buffer: &mut [u8],
    limits: Limits,
) -> Result<(), Why> {
    holders.clear();
    for state in [LISTEN, CLOSE, ESTABLISHED] {
        if holders.total == 0 {
            walk(wanted, state, holders, buffer, limits).map_err(Failure::why)?;
        }
    }
    Ok(())
}

#[inline(never)]
fn walk(
    wanted: Wanted<'_>,
    state: u8,
    holders: &mut Holders,
    buffer: &mut [u8],
    limits: Limits,
) -> Result<(), Failure> {
    let mut channel = Channel::open(Some(SOCK_DIAG)).map_err(Failure::Refused)?;
    let mut request = request(state);
    channel.ask((BY_FAMILY, DUMP), &mut request, buffer, limits, &mut |message| {
        holders.see(message.payload, wanted);
    })
}

fn request(state: u8) -> [u8; REQUEST_LENGTH] {
    let mut request = [0; REQUEST_LENGTH];
    let body = &mut request[HEADER..];
    body[0] = UNIX;
    body[4..8].copy_from_slice(&(1_u32 << state).to_ne_bytes());
    body[12..16].copy_from_slice(&SHOW.to_ne_bytes());
    request
}

/// `struct unix_diag_msg` and its attributes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shown<'a> {
    kind: u8,
    state: u8,
    inode: u32,
    cookie: u64,
    uid: u32,
    file: Option<FileId>,
    name: &'a [u8],
}

impl<'a> Shown<'a> {
    fn parse(payload: &'a [u8]) -> Option<Self> {
        let (fixed, attributes) = payload.split_at_checked(ROW_LENGTH)?;
        if fixed[0] != UNIX {
            return None;
        }
        let mut shown = Self {
            kind: fixed[1],
            state: fixed[2],
            inode: u32_at(fixed, 4)?,
            cookie: u64::from(u32_at(fixed, 8)?) | u64::from(u32_at(fixed, 12)?) << 32,
            uid: NO_UID,
            file: None,
            name: &[],
        };
        for (kind, value) in Attributes(attributes) {
            match kind {
                NAME => shown.name = value,
                VFS => {
                    shown.file =
                        Some(FileId { inode: u32_at(value, 0)?, device: u32_at(value, 4)? })
                }
                UID => shown.uid = u32_at(value, 0)?,
                _ => {}
            }
        }
        Some(shown)
    }

    fn is(&self, wanted: Wanted<'_>) -> bool {
        match wanted {
            Wanted::File(id) => self.file == Some(id),
            Wanted::Number(inode) => {
                self.file.is_some_and(|file| file.inode == inode && file.has_no_disk())
            }
            Wanted::Name(name, kind) => {
                kind_of(self.kind) == kind && self.name.strip_prefix(&[0]) == Some(name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row as the kernel lays it out: a stream socket that listens.
    fn row(name: &[u8], file: Option<(u32, u32)>) -> Vec<u8> {
        let mut bytes = vec![UNIX, 1, LISTEN, 0];
        for word in [77u32, 1, 2] {
            bytes.extend(word.to_ne_bytes());
        }
        let mut attribute = |kind: u16, value: &[u8]| {
            bytes.extend((value.len() as u16 + 4).to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        };
        attribute(NAME, name);
        if let Some((inode, device)) = file {
            attribute(VFS, &[inode.to_ne_bytes(), device.to_ne_bytes()].concat());
        }
        attribute(UID, &1000u32.to_ne_bytes());
        bytes
    }

    #[test]
    fn rows_are_decoded() {
        let bytes = row(b"/run/a.sock\0", Some((5, 6)));
        let shown = Shown::parse(&bytes).unwrap();
        assert_eq!((shown.inode, shown.cookie, shown.uid), (77, 2 << 32 | 1, 1000));
        assert_eq!(shown.file, Some(FileId { inode: 5, device: 6 }));
        assert_eq!(Shown::parse(&bytes[..15]), None);
        let old = &row(b"", None)[..ROW_LENGTH];
        assert_eq!(Shown::parse(old).unwrap().uid, NO_UID);
    }

    #[test]
    fn a_file_is_known_by_both_its_numbers() {
        let bytes = row(b"/run/a.sock\0", Some((5, 6)));
        let shown = Shown::parse(&bytes).unwrap();
        for (inode, device, is_it) in [(5, 6, true), (5, 7, false), (4, 6, false)] {
            assert_eq!(shown.is(Wanted::File(FileId { inode, device })), is_it);
        }
        assert!(shown.is(Wanted::Number(5)) && !shown.is(Wanted::Number(4)));
        let on_disk = row(b"/run/a.sock\0", Some((5, 8 << 20 | 1)));
        assert!(!Shown::parse(&on_disk).unwrap().is(Wanted::Number(5)));
    }

    #[test]
    fn an_abstract_name_belongs_to_a_type() {
        let bytes = row(b"\0app", None);
        let shown = Shown::parse(&bytes).unwrap();
        for (name, kind, is_it) in [
            ("app", SocketType::Stream, true),
            ("app", SocketType::Datagram, false),
            ("ap", SocketType::Stream, false),
            ("app\0", SocketType::Stream, false),
        ] {
            assert_eq!(shown.is(Wanted::Name(name.as_bytes(), kind)), is_it);
        }
        let path = row(b"app\0", Some((1, 1)));
        let path = Shown::parse(&path).unwrap();
        assert!(!path.is(Wanted::Name(b"app", SocketType::Stream)));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_can_be_a_row(bytes in proptest::collection::vec(0u8.., 0..120)) {
            let _ = Shown::parse(&bytes);
        }
    }
}
