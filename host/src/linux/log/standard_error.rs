//! Standard error, which belongs to the program.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, ReadWriteFlags, Result, pwritev2, write};

use super::append::{End, append};
use super::file::{Identity, Kind, is_terminal};
use crate::linux::descriptor::Descriptor;
use crate::linux::signals::Held;
use crate::linux::system::is_unfiltered;

/// The most bytes that one write to a pipe keeps together (pipe(7), `PIPE_BUF`), and the most that
/// a pipe which is ready takes at once.
const PIPE_BUF: usize = 4096;

/// What a terminal that is ready takes at once of text without [`ALONE`]: the kernel's buffers for
/// one are multiples of 256 bytes (drivers/tty/tty_buffer.c, `TTYB_ALIGN_MASK`).
const TERMINAL_PIECE: usize = 128;

/// What a terminal may spell with other bytes, and then only where it still has room after what
/// came before (drivers/tty/n_tty.c, `process_output_block`).
const ALONE: &[u8] = b"\n\r\t";

/// Descriptor 2 as it was when the program started.
///
/// It is never duplicated: a daemon that closes its standard error would keep its caller's pipe
/// open. Its device and inode are remembered, and nothing is written once descriptor 2 is another
/// file, or where it was closed at the start. All zero bytes are a valid value, the same as
/// [`StandardError::new`].
pub struct StandardError {
    device: AtomicU64,
    inode: AtomicU64,
    /// A [`Kind`], 0 for none; written last.
    kind: AtomicU8,
    end: End,
}

impl Default for StandardError {
    fn default() -> Self {
        Self::new()
    }
}

impl StandardError {
    /// Nothing is remembered yet, and nothing is written.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            device: AtomicU64::new(0),
            inode: AtomicU64::new(0),
            kind: AtomicU8::new(0),
            end: End::new(),
        }
    }

    /// Remembers the file that descriptor 2 is now. Called once, before the program's first own
    /// instruction if possible.
    pub fn remember(&self) {
        let Some(identity) = Identity::of(descriptor_2()) else { return };
        let kind = match identity.kind {
            Some(Kind::Device) if is_terminal(descriptor_2()) => Kind::Terminal,
            Some(kind) => kind,
            None => return,
        };
        self.device.store(identity.device, Ordering::Relaxed);
        self.inode.store(identity.inode, Ordering::Relaxed);
        self.kind.store(kind as u8, Ordering::Release);
    }

    /// Whether it was a terminal at the start: then what people read may be coloured.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.kind() == Some(Kind::Terminal)
    }

    /// Writes `bytes`, at most 4096, in one piece, if descriptor 2 is still the file that it was;
    /// says whether they were wholly written.
    ///
    /// It does not wait for a reader and no signal comes of it. Where a pipe or a terminal is full
    /// the bytes are lost. After a part was written, the next bytes begin with a newline.
    pub fn write(&self, held: &Held, bytes: &[u8]) -> bool {
        let Some(kind) = self.kind().filter(|_| bytes.len() <= PIPE_BUF && self.is_intact()) else {
            return false;
        };
        let fd = descriptor_2();
        let look = || None;
        self.end.settle(bytes, look, |torn| match kind {
            Kind::Regular | Kind::Socket => append(held, fd, kind, torn, bytes),
            _ if !is_ready(fd) => Err(Errno::AGAIN),
            Kind::Device => append(held, fd, kind, torn, bytes),
            Kind::Pipe => held.write(|| to_pipe(fd, bytes)),
            Kind::Terminal => to_terminal(held, fd, torn, bytes),
        })
    }

    fn kind(&self) -> Option<Kind> {
        Kind::from_u8(self.kind.load(Ordering::Acquire))
    }

    fn is_intact(&self) -> bool {
        Identity::of(descriptor_2()).is_some_and(|now| {
            now.device == self.device.load(Ordering::Relaxed)
                && now.inode == self.inode.load(Ordering::Relaxed)
        })
    }
}

fn descriptor_2() -> BorrowedFd<'static> {
    // SAFETY: the number is handed to system calls alone, which fail where it is closed; what is
    // written is written after a look at which file it is, and nothing of it is changed.
    unsafe { BorrowedFd::borrow_raw(2) }
}

/// Whether a write of a little would not wait (poll(2)).
fn is_ready(fd: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&at_once)).is_ok() && asked[0].revents().contains(PollFlags::OUT)
}

/// Writes to a pipe that was ready a moment ago, and so had room for `PIPE_BUF` bytes.
///
/// Another writer may have filled it since. The kernel can be told not to wait (readv(2),
/// `RWF_NOWAIT`, for pipes since Linux 6.4), by a call that a seccomp filter for a plain server may
/// not know: it is made only where there is none. A line is never torn here, because one of at most
/// `PIPE_BUF` bytes goes whole or not at all.
fn to_pipe(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    if is_unfiltered() {
        let here = u64::MAX;
        match pwritev2(fd, &[IoSlice::new(bytes)], here, ReadWriteFlags::NOWAIT) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
            answer => return answer,
        }
    }
    write(fd, bytes)
}

/// Writes to a terminal that was ready a moment ago: which says nothing of how much it takes, and
/// the program's own open file waits for the rest.
///
/// So the terminal is opened for a moment, non-blocking; where that is not allowed (its owner is
/// another user, there is no `/proc`) it gets pieces that fit, between which other writers' text
/// may come.
fn to_terminal(held: &Held, fd: BorrowedFd<'_>, torn: bool, bytes: &[u8]) -> Result<usize> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let own = openat(CWD, c"/proc/self/fd/2", flags, Mode::empty()).and_then(Descriptor::high);
    match own {
        Ok(own) => append(held, own.as_fd(), Kind::Terminal, torn, bytes),
        Err(_) => held.write(|| in_pieces(fd, torn, bytes)),
    }
}

fn in_pieces(fd: BorrowedFd<'_>, torn: bool, bytes: &[u8]) -> Result<usize> {
    let newline: &[u8] = if torn { b"\n" } else { b"" };
    let mut written = 0;
    for part in [newline, bytes] {
        let mut rest = part;
        while !rest.is_empty() {
            let piece = &rest[..piece_length(rest)];
            let taken = if is_ready(fd) { write(fd, piece).unwrap_or(0) } else { 0 };
            written += taken;
            if taken < piece.len() {
                return Ok(written);
            }
            rest = &rest[taken..];
        }
    }
    Ok(written)
}

/// How many of these bytes, of which there is one at least, a terminal that is ready takes.
fn piece_length(bytes: &[u8]) -> usize {
    let text = bytes.iter().take(TERMINAL_PIECE).take_while(|byte| !ALONE.contains(byte)).count();
    text.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_keep_apart_what_a_terminal_respells() {
        for (bytes, length) in [
            (&b"ab\n"[..], 2),
            (b"\nab", 1),
            (b"\n\n", 1),
            (b"a", 1),
            (b"\x1b[31mred\tx", 8),
            (&[b'x'; 300], TERMINAL_PIECE),
        ] {
            assert_eq!(piece_length(bytes), length);
        }
    }
}
