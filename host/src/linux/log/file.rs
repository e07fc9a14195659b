//! The file behind a descriptor of the log: what it is, and whether it is still ours.

use core::ffi::{CStr, c_int, c_long};
use std::os::fd::{AsFd, BorrowedFd, RawFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, SeekFrom, Stat, fstat, openat, seek};
use rustix::io::{Errno, pread};

use crate::linux::descriptor::Descriptor;
use crate::linux::system::{set_signal, signal_of};

/// What a descriptor leads to, as far as writing to it differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    Regular = 1,
    /// A pipe, with or without a name.
    Pipe = 2,
    Socket = 3,
    Terminal = 4,
    /// Any other character device.
    Device = 5,
}

impl Kind {
    /// The kind that `kind as u8` came from.
    pub(crate) fn from_u8(byte: u8) -> Option<Self> {
        [Self::Regular, Self::Pipe, Self::Socket, Self::Terminal, Self::Device]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// A file's identity and kind (stat(3type)).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// How many names it has: 0 where it was deleted.
    pub(crate) links: u64,
    /// Bytes.
    size: u64,
    /// `None` for a directory, a block device or what has no type.
    pub(crate) kind: Option<Kind>,
}

impl Identity {
    /// The file behind a descriptor; a terminal is told from other devices by [`is_terminal`].
    // Not inlined, here and below: a `struct stat` is 144 bytes of somebody's small stack.
    #[inline(never)]
    pub(crate) fn of(fd: BorrowedFd<'_>) -> Option<Self> {
        fstat(fd).ok().map(|stat| Self::from_stat(&stat))
    }

    /// The file that has the name `path` now.
    #[inline(never)]
    pub(crate) fn at(path: &CStr) -> Option<Self> {
        rustix::fs::stat(path).ok().map(|stat| Self::from_stat(&stat))
    }

    #[allow(clippy::useless_conversion, reason = "the fields are 32 bits wide on some machines")]
    fn from_stat(stat: &Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Some(Kind::Regular),
            FileType::Fifo => Some(Kind::Pipe),
            FileType::Socket => Some(Kind::Socket),
            FileType::CharacterDevice => Some(Kind::Device),
            _ => None,
        };
        Self {
            device: stat.st_dev.into(),
            inode: stat.st_ino.into(),
            links: stat.st_nlink.into(),
            size: stat.st_size.try_into().unwrap_or(0),
            kind,
        }
    }

    /// Whether both are one file.
    pub(crate) fn same_file(&self, other: &Self) -> bool {
        self.device == other.device && self.inode == other.inode
    }
}

/// Whether a descriptor leads to a terminal (ioctl_tty(2), `TCGETS`).
pub(crate) fn is_terminal(fd: BorrowedFd<'_>) -> bool {
    type GetAttributes = rustix::ioctl::Getter<{ libc::TCGETS as _ }, libc::termios>;
    // SAFETY: TCGETS writes the kernel's `struct termios`, which is no longer than libc's, and
    // every byte of libc's is an integer; a device that takes the number for something else would
    // be one that breaks every isatty(3).
    unsafe { rustix::ioctl::ioctl(fd, GetAttributes::new()).is_ok() }
}

/// Opens a file in `directory` for appending, without waiting for anybody (open(2)); one that is
/// made is its user's alone.
///
/// `O_NONBLOCK`: a FIFO without a reader fails (`ENXIO`), a full one does not hold us up.
/// `O_NOCTTY`: no terminal becomes the program's controlling terminal.
pub(crate) fn append(
    directory: BorrowedFd<'_>,
    name: &[u8],
    more: OFlags,
) -> Result<Descriptor, Errno> {
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CLOEXEC
        | OFlags::NOCTTY
        | OFlags::NONBLOCK
        | more;
    Descriptor::high(openat(directory, name, flags, Mode::RUSR | Mode::WUSR)?)
}

/// Whether the log, which has this path if it was not moved away, ends inside of a line; `None`
/// where it cannot be read.
#[cold]
#[inline(never)]
pub(crate) fn ends_inside_a_line(log: BorrowedFd<'_>, path: &CStr) -> Option<bool> {
    let before = Identity::of(log)?;
    let Some(last) = before.size.checked_sub(1) else { return Some(false) };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let reader = Descriptor::high(openat(CWD, path, flags, Mode::empty()).ok()?).ok()?;
    if !Identity::of(reader.as_fd())?.same_file(&before) {
        return None;
    }
    // Where the file ends while nobody writes: ext4, tmpfs, btrfs and others look for a hole under
    // the lock that a write holds, and a line that is half written now is not taken for a part.
    let end = seek(&reader, SeekFrom::Hole(last)).unwrap_or(before.size);
    let mut byte = [0];
    let read = pread(&reader, &mut byte, end.checked_sub(1)?).ok()?;
    Some(read == 1 && byte != *b"\n" && Identity::of(log)?.size == end)
}

/// A signal that no program asks for by F_SETSIG: both C libraries keep 33 to themselves
/// (signal(7), nptl(7)), so no handler for it can be set. Nothing is ever sent: that would need
/// `O_ASYNC` and an owner.
const MARKER: c_int = 33;

/// Marks the open file as ours (see [`is_marked`]); says whether it could.
pub(crate) fn mark(file: &Descriptor) -> bool {
    set_signal(file.number(), MARKER)
}

/// Whether the number still leads to an open file that was [marked](mark).
///
/// The mark is on the open file description: it is shared by a forked child, it is gone when the
/// program closed the descriptor or reused its number, and it costs a fifth of an fstat(2).
pub(crate) fn is_marked(fd: RawFd) -> bool {
    signal_of(fd) == Some(c_long::from(MARKER))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn the_marker_is_on_the_open_file() {
        let file = append(CWD, b"/dev/null", OFlags::empty()).unwrap();
        assert!(!is_marked(file.number()));
        assert!(mark(&file));
        assert!(is_marked(file.number()));
        let other = std::fs::File::open("/dev/null").unwrap();
        assert!(!is_marked(other.as_raw_fd()));
        assert!(!is_marked(-1));
    }

    #[test]
    fn kinds_survive_a_byte() {
        assert_eq!(Kind::from_u8(Kind::Terminal as u8), Some(Kind::Terminal));
        assert_eq!(Kind::from_u8(0), None);
        let null = append(CWD, b"/dev/null", OFlags::empty()).unwrap();
        assert_eq!(Identity::of(null.as_fd()).unwrap().kind, Some(Kind::Device));
        assert!(!is_terminal(null.as_fd()));
    }
}
