//! The way of one finished line into the log, or onto standard error.
//!
//! All of this runs in the middle of somebody else's program, in signal handlers and between fork
//! and exec too: no heap, no lock, no thread, little stack, `errno` untouched. Nothing waits for a
//! reader, no signal reaches the program, and no descriptor that may be the program's is written
//! to. What cannot be written is lost, and the caller counts it.

mod append;
mod file;
mod standard_error;
#[cfg(test)]
pub(super) mod tests;
mod way;

use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::os::fd::{AsFd, BorrowedFd, RawFd};

use bindshim_core::options::{LogTarget, PathBytes};
use rustix::io::{Errno, Result};
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with,
};

use append::{End, append, uninterrupted};
use file::{Identity, Kind, ends_inside_a_line, is_marked, is_terminal, mark};

pub use standard_error::StandardError;
pub use way::{Trouble, judge, probe};

use super::descriptor::{Descriptor, Raised};
use super::signals::Held;
use super::system::close;

/// How long the name of the log file is trusted to lead to the file that is open.
const TRUST_NS: u64 = 1_000_000_000;

/// Where the lines of one process go.
///
/// Made to be shared by all threads and inherited by forked children: it consists of atomics and of
/// a place that is written once.
///
/// The descriptor has a high number and a marker. A program that closes descriptors which it does
/// not know, and perhaps gets our number for a file of its own, is noticed before each line; the
/// log is then opened again by its path.
pub struct Log {
    /// [`UNSET`], [`BEING_SET`] or [`SET`].
    stage: AtomicU8,
    place: UnsafeCell<Place>,
    /// A packed [`Opened`], 0 for none.
    opened: AtomicU64,
    /// When the path of the file was last looked at.
    looked_ns: AtomicU64,
    end: End,
}

// SAFETY: `place` is written by the one thread that moved `stage` from UNSET to BEING_SET, and read
// only by those that saw SET, which that thread stores with Release when it is done. Everything
// else is atomic.
unsafe impl Sync for Log {}

const UNSET: u8 = 0;
const BEING_SET: u8 = 1;
const SET: u8 = 2;

/// What the lines go to, told once.
struct Place {
    way: Way,
    /// The root directory of the process when it was told: a path means another file in another.
    root: Option<Identity>,
    /// Ends with a NUL. Kept here, because a reopening has no room for it on the stack. Empty where
    /// no file can have that name.
    path: [u8; PathBytes::CAPACITY_WITH_NUL],
}

trait WithNul {
    /// The longest path and its NUL, bytes.
    const CAPACITY_WITH_NUL: usize;
}

impl<const N: usize> WithNul for arrayvec::ArrayVec<u8, N> {
    const CAPACITY_WITH_NUL: usize = N + 1;
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Way {
    Nowhere = 0,
    StandardError,
    File,
    Socket,
}

/// A descriptor of ours that was open.
#[derive(Clone, Copy)]
struct Opened {
    fd: RawFd,
    kind: Kind,
    /// Grows with each opening: two openings may get the same number.
    generation: u16,
}

impl Opened {
    fn unpack(packed: u64) -> Option<Self> {
        let [generation_low, generation_high, _, kind, fd @ ..] = packed.to_le_bytes();
        Some(Self {
            kind: Kind::from_u8(kind)?,
            fd: RawFd::from_le_bytes(fd),
            generation: u16::from_le_bytes([generation_low, generation_high]),
        })
    }

    fn pack(self) -> u64 {
        let [low, high] = self.generation.to_le_bytes();
        let [a, b, c, d] = self.fd.to_le_bytes();
        u64::from_le_bytes([low, high, 0, self.kind as u8, a, b, c, d])
    }

    /// For the time of one call; the marker was there a moment ago.
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the number came from the kernel, so it is not -1. It was ours when the marker was
        // looked at; the program can end that only by closing what is not its own, and what is
        // then lost is a line, since system calls fail on closed numbers.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self::new()
    }
}

impl Log {
    /// A log that has not been told where to write, and loses every line.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            stage: AtomicU8::new(UNSET),
            place: UnsafeCell::new(Place {
                way: Way::Nowhere,
                root: None,
                path: [0; PathBytes::CAPACITY_WITH_NUL],
            }),
            opened: AtomicU64::new(0),
            looked_ns: AtomicU64::new(0),
            end: End::new(),
        }
    }

    /// Says where the lines go, once; later calls change nothing.
    ///
    /// A file or socket is opened at once: a chroot(2) or setuid(2) may put it out of reach later.
    /// Where that fails, each line tries again.
    pub fn open(&self, target: &LogTarget) {
        let mine =
            self.stage.compare_exchange(UNSET, BEING_SET, Ordering::Relaxed, Ordering::Relaxed);
        if mine.is_err() {
            return;
        }
        // SAFETY: this thread alone moved `stage` from UNSET, and nobody reads before SET.
        unsafe { (*self.place.get()).set(target) };
        self.stage.store(SET, Ordering::Release);
        if let Some(place) = self.place().filter(|place| place.way.has_descriptor()) {
            let _raised = Raised::new();
            let _ = self.reopened(place, 0);
        }
    }

    /// Writes `line`, of at most 4096 bytes with a newline as its last, in one system call; says
    /// whether it was wholly written. With [`LogTarget::None`] there is nothing to do, and it was.
    ///
    /// `now_ns` is `CLOCK_MONOTONIC`: about once a second a line has its file's path looked at. A
    /// file that was deleted is made anew, one that was moved away is left as soon as another has
    /// its name; until then the lines follow the moved file.
    ///
    /// `shares_memory`: the caller has a table of descriptors of its own, and this log in common
    /// with its parent (vfork(2)). What it has to open it closes again, and keeps no number.
    pub fn write(
        &self,
        held: &Held,
        standard_error: &StandardError,
        line: &[u8],
        now_ns: u64,
        shares_memory: bool,
    ) -> bool {
        let Some(place) = self.place() else { return false };
        match place.way {
            Way::Nowhere => true,
            Way::StandardError => standard_error.write(held, line),
            Way::File => self.with_current(place, shares_memory, |opened| {
                self.to_file(held, place, opened, line, now_ns)
            }),
            Way::Socket => {
                self.with_current(place, shares_memory, |opened| to_socket(place, opened, line))
            }
        }
    }

    /// Takes the log's descriptor out of this process again, for a log that nobody is to use.
    pub fn close(&self) {
        let opened = Opened::unpack(self.opened.swap(0, Ordering::AcqRel));
        if let Some(opened) = opened.filter(|opened| is_marked(opened.fd)) {
            close(opened.fd);
        }
    }

    /// Whether a file was opened, where there is to be one.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let is_file = self.place().is_some_and(|place| place.way == Way::File);
        !is_file || Opened::unpack(self.opened.load(Ordering::Acquire)).is_some()
    }

    /// Whether this process, as the user that it is now, may open it again, where it is a file.
    #[must_use]
    pub fn can_be_opened(&self) -> bool {
        self.place().is_none_or(|place| place.way != Way::File || way::open(place.path()).is_ok())
    }

    fn place(&self) -> Option<&Place> {
        if self.stage.load(Ordering::Acquire) != SET {
            return None;
        }
        // SAFETY: nobody writes it after SET was stored.
        Some(unsafe { &*self.place.get() })
    }

    fn to_file(
        &self,
        held: &Held,
        place: &Place,
        opened: &Opened,
        line: &[u8],
        now_ns: u64,
    ) -> bool {
        let due = opened.kind == Kind::Regular && self.is_due(now_ns);
        if due && !self.follow(place, opened) {
            // What comes next is not to be lost unseen.
            self.looked_ns.store(0, Ordering::Relaxed);
            return false;
        }
        let log = opened.as_fd();
        let look = || match opened.kind {
            Kind::Regular => ends_inside_a_line(log, place.path()),
            _ => None,
        };
        self.end.settle(line, look, |torn| append(held, log, opened.kind, torn, line))
    }

    /// Uses the descriptor, opened again where it is no longer ours; `false` where it cannot be.
    fn with_current(
        &self,
        place: &Place,
        shares_memory: bool,
        use_it: impl FnOnce(&Opened) -> bool,
    ) -> bool {
        let packed = self.opened.load(Ordering::Acquire);
        match Opened::unpack(packed) {
            Some(opened) if is_marked(opened.fd) => use_it(&opened),
            _ if shares_memory => place.open().is_some_and(|(passing, kind)| {
                use_it(&Opened { fd: passing.number(), kind, generation: 0 })
            }),
            _ => self.reopened(place, packed).is_some_and(|opened| use_it(&opened)),
        }
    }

    /// Opens the log in place of `seen`, which is not ours any more. Of several threads, one has
    /// its way; the others close what they opened and use what that one did.
    #[cold]
    #[inline(never)]
    fn reopened(&self, place: &Place, seen: u64) -> Option<Opened> {
        let (fresh, kind) = place.open()?;
        let generation = Opened::unpack(seen).map_or(0, |before| before.generation.wrapping_add(1));
        let opened = Opened { fd: fresh.number(), kind, generation };
        match self.opened.compare_exchange(seen, opened.pack(), Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => {
                fresh.keep_open();
                self.end.doubt();
                Some(opened)
            }
            Err(other) => Opened::unpack(other).filter(|other| is_marked(other.fd)),
        }
    }

    fn is_due(&self, now_ns: u64) -> bool {
        let looked = self.looked_ns.load(Ordering::Relaxed);
        // A distance, since a child in another time namespace may have an earlier clock.
        now_ns.abs_diff(looked) > TRUST_NS
            && self
                .looked_ns
                .compare_exchange(looked, now_ns, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Lets `opened` lead to the file that has the path now; says whether it leads to one that
    /// somebody can read.
    #[cold]
    #[inline(never)]
    fn follow(&self, place: &Place, opened: &Opened) -> bool {
        let Some(held) = Identity::of(opened.as_fd()) else { return true };
        match Identity::at(place.path()) {
            Some(named) if named.same_file(&held) => return true,
            // Moved away, with nothing in its place yet.
            None if held.links > 0 => return true,
            _ => {}
        }
        let followed = place.open().is_some_and(|(fresh, kind)| {
            kind == Kind::Regular && is_marked(opened.fd) && fresh.replace(opened.fd)
        });
        if followed {
            self.end.doubt();
        }
        followed || held.links > 0
    }
}

fn to_socket(place: &Place, opened: &Opened, line: &[u8]) -> bool {
    let transmit = || {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        uninterrupted(|| send(opened.as_fd(), line, flags))
    };
    let sent = match transmit() {
        // The receiver is gone, was not there yet, or is a new one (unix(7)).
        Err(Errno::CONNREFUSED | Errno::NOTCONN | Errno::CONNRESET | Errno::PIPE) => {
            place.connect(opened.as_fd()).and_then(|()| transmit())
        }
        answer => answer,
    };
    sent == Ok(line.len())
}

impl Way {
    fn has_descriptor(self) -> bool {
        matches!(self, Self::File | Self::Socket)
    }
}

impl Place {
    fn set(&mut self, target: &LogTarget) {
        let (way, path): (Way, &[u8]) = match target {
            LogTarget::None => (Way::Nowhere, b""),
            LogTarget::Stderr => (Way::StandardError, b""),
            LogTarget::File(path) => (Way::File, path),
            LogTarget::Socket(path) => (Way::Socket, path),
        };
        self.way = way;
        if way.has_descriptor() {
            self.root = Identity::at(c"/");
        }
        if !path.contains(&0) {
            self.path[..path.len()].copy_from_slice(path);
        }
    }

    /// Whether no chroot(2) came in between.
    fn root_is_the_same(&self) -> bool {
        match (&self.root, Identity::at(c"/")) {
            (Some(then), Some(now)) => then.same_file(&now),
            _ => true,
        }
    }

    fn path(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.path).unwrap_or_default()
    }

    /// Opens it: marked, under a high number. Not in another root directory, where the path means
    /// what somebody else put there.
    fn open(&self) -> Option<(Descriptor, Kind)> {
        if !self.root_is_the_same() {
            return None;
        }
        let (descriptor, kind) = match self.way {
            Way::File => open_file(self.path())?,
            Way::Socket => (self.open_socket()?, Kind::Socket),
            Way::Nowhere | Way::StandardError => return None,
        };
        mark(&descriptor).then_some((descriptor, kind))
    }

    fn open_socket(&self) -> Option<Descriptor> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).ok()?;
        let socket = Descriptor::high(socket).ok()?;
        // Without a receiver the first line tries again.
        let _ = self.connect(socket.as_fd());
        Some(socket)
    }

    #[inline(never)]
    fn connect(&self, socket: BorrowedFd<'_>) -> Result<()> {
        connect(socket, &SocketAddrUnix::new(self.path())?)
    }
}

/// Opens the file at `path`, made where there is none, and says what it is; a directory or a block
/// device is no log.
fn open_file(path: &CStr) -> Option<(Descriptor, Kind)> {
    let file = way::open(path).ok()?;
    let kind = match Identity::of(file.as_fd())?.kind? {
        Kind::Device if is_terminal(file.as_fd()) => Kind::Terminal,
        kind => kind,
    };
    Some((file, kind))
}
