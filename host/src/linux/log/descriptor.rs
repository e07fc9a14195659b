//! A descriptor of our own in somebody else's process: out of the way, and known again.

use core::ffi::{CStr, c_int, c_long};
use core::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::{DupFlags, dup3, fcntl_dupfd_cloexec};

use super::call::{close, number_limit, set_signal, signal_of};

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

/// A descriptor that is ours, closed when dropped.
///
/// `OwnedFd` closes with libc's `close`: which sets `errno`, is a cancellation point, and may be
/// hooked by the program or by another preloaded library. This one makes the bare system call.
#[derive(Debug)]
pub(crate) struct Descriptor(RawFd);

impl Drop for Descriptor {
    fn drop(&mut self) {
        // This value is the only owner of the number, which ends here.
        close(self.0);
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the number was given to us by the kernel and is closed with `self`. A program
        // that closes descriptors which it does not know can end it earlier: then a call on it
        // fails, or is kept from the program's file by the marker.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

impl From<OwnedFd> for Descriptor {
    fn from(fd: OwnedFd) -> Self {
        Self(fd.into_raw_fd())
    }
}

impl Descriptor {
    /// Opens a file for appending, without waiting for anybody (open(2)).
    ///
    /// `O_NONBLOCK`: a FIFO without a reader fails (`ENXIO`), a full one does not hold us up.
    /// `O_NOCTTY`: no terminal becomes the program's controlling terminal.
    pub(crate) fn append(path: &CStr, create: OFlags) -> Option<Self> {
        let flags = OFlags::WRONLY
            | OFlags::APPEND
            | OFlags::CLOEXEC
            | OFlags::NOCTTY
            | OFlags::NONBLOCK
            | create;
        openat(CWD, path, flags, Mode::RUSR | Mode::WUSR).ok().map(Self::from)
    }

    /// The same open file under a high number; the low one is closed. `None`, and closed too,
    /// where no high number is to be had: the low ones are the program's.
    pub(crate) fn moved_high(self) -> Option<Self> {
        let floors = floors(number_limit());
        if floors[0].is_some_and(|floor| self.0 >= floor) {
            return Some(self);
        }
        floors
            .into_iter()
            .flatten()
            .find_map(|floor| fcntl_dupfd_cloexec(&self, floor).ok())
            .map(Self::from)
    }

    /// Puts this open file in the place of `old`, in one step: the number is never free.
    pub(crate) fn replace(self, old: RawFd) -> bool {
        // SAFETY: `old` carries our marker, so it is ours, as an `OwnedFd` must be; it is not
        // closed at the end of this function, because `ManuallyDrop` never drops it.
        let mut old = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(old) });
        dup3(&self, &mut old, DupFlags::CLOEXEC).is_ok()
    }

    /// Its number, which is never -1.
    pub(crate) fn number(&self) -> RawFd {
        self.0
    }

    /// Leaves it open for good.
    pub(crate) fn keep_open(self) {
        let _ = ManuallyDrop::new(self);
    }

    /// Marks the open file as ours (see [`is_marked`]).
    pub(crate) fn mark(&self) -> bool {
        set_signal(self.0, MARKER)
    }
}

/// The lowest numbers that a descriptor of ours may get, best first (getrlimit(2),
/// `RLIMIT_NOFILE`).
///
/// From 1024 on no select(2) can name it. Below that only the last few numbers are far from what
/// the program counts on. With hardly any numbers there is none to spare.
fn floors(limit: Option<u64>) -> [Option<RawFd>; 2] {
    const ROOM_ABOVE: u64 = 1100;
    const LOWEST: i64 = 10;
    // What most systems set, where it cannot be had.
    match limit.unwrap_or(1024) {
        limit if limit <= ROOM_ABOVE => [4, 16].map(|below| {
            let floor = i64::try_from(limit).unwrap_or(0) - below;
            if floor < LOWEST { None } else { RawFd::try_from(floor).ok() }
        }),
        _ => [Some(1024), None],
    }
}

/// A signal that no program asks for by F_SETSIG: both C libraries keep 33 to themselves
/// (signal(7), nptl(7)), so no handler for it can be set. Nothing is ever sent: that would need
/// `O_ASYNC` and an owner.
const MARKER: c_int = 33;

/// Whether the number still leads to the open file that [`Descriptor::mark`] marked.
///
/// The mark is on the open file description: it is shared by a forked child, it is gone when the
/// program closed the descriptor or reused its number, and it costs a fifth of an fstat(2).
pub(crate) fn is_marked(fd: RawFd) -> bool {
    signal_of(fd) == c_long::from(MARKER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn numbers_are_chosen_from_the_limit() {
        for (limit, expected) in [
            (None, [Some(1020), Some(1008)]),
            (Some(u64::MAX), [Some(1024), None]),
            (Some(1 << 20), [Some(1024), None]),
            (Some(1024), [Some(1020), Some(1008)]),
            (Some(20), [Some(16), None]),
            (Some(14), [Some(10), None]),
            (Some(13), [None, None]),
            (Some(0), [None, None]),
        ] {
            assert_eq!(floors(limit), expected, "{limit:?}");
        }
    }

    #[test]
    fn the_marker_is_on_the_open_file() {
        let file = Descriptor::append(c"/dev/null", OFlags::empty()).unwrap();
        assert!(!is_marked(file.number()));
        assert!(file.mark());
        let high = file.moved_high().unwrap();
        assert!(is_marked(high.number()));
        let other = std::fs::File::open("/dev/null").unwrap();
        assert!(!is_marked(other.as_raw_fd()));
        assert!(!is_marked(-1));
    }

    #[test]
    fn kinds_survive_a_byte() {
        assert_eq!(Kind::from_u8(Kind::Terminal as u8), Some(Kind::Terminal));
        assert_eq!(Kind::from_u8(0), None);
        let null = Descriptor::append(c"/dev/null", OFlags::empty()).unwrap();
        assert_eq!(Identity::of(null.as_fd()).unwrap().kind, Some(Kind::Device));
        assert!(!is_terminal(null.as_fd()));
    }
}
