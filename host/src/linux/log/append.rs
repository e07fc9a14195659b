//! One line, one write, and no signal for it.

use core::sync::atomic::{AtomicBool, Ordering};
use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use rustix::io::{Errno, Result, write, writev};
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};

use super::file::Kind;
use crate::linux::signals::Held;

/// Whether the last line was written in part only, so that the next must begin with a newline:
/// then a reader loses that one line and no other.
pub(super) struct Torn(AtomicBool);

impl Torn {
    /// Not torn, which is what zero bytes say too.
    pub(super) const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Another file is written to from now on.
    pub(super) fn forget(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Writes one line by `write`, which is told whether to begin with a newline and answers how
    /// many bytes went out; says whether all did.
    pub(super) fn settle(&self, line: &[u8], write: impl FnOnce(bool) -> Result<usize>) -> bool {
        // Only one of several threads pays for the swap, and adds the newline.
        let torn = self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed);
        let written = write(torn).unwrap_or(0);
        let whole = written == line.len() + usize::from(torn);
        // Where nothing but the newline went out, the reader is at the start of a line.
        let still_torn = if torn { written != 1 } else { written > 0 };
        if !whole && still_torn {
            self.0.store(true, Ordering::Relaxed);
        }
        whole
    }
}

/// Writes `line` in one system call, with a newline before it where the last one was `torn`, and
/// says how many bytes went out, that newline among them. No signal reaches the program.
///
/// It waits only where the open file does: descriptors of ours are non-blocking.
pub(super) fn append(
    held: &Held,
    fd: BorrowedFd<'_>,
    kind: Kind,
    torn: bool,
    line: &[u8],
) -> Result<usize> {
    match kind {
        Kind::Socket => to_socket(fd, torn, line),
        _ => held.write(|| uninterrupted(|| plain(fd, torn, line))),
    }
}

fn plain(fd: BorrowedFd<'_>, torn: bool, line: &[u8]) -> Result<usize> {
    if torn { writev(fd, &[IoSlice::new(b"\n"), IoSlice::new(line)]) } else { write(fd, line) }
}

fn to_socket(fd: BorrowedFd<'_>, torn: bool, line: &[u8]) -> Result<usize> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    uninterrupted(|| {
        if torn {
            let parts = [IoSlice::new(b"\n"), IoSlice::new(line)];
            sendmsg(fd, &parts, &mut SendAncillaryBuffer::default(), flags)
        } else {
            send(fd, line, flags)
        }
    })
}

/// Tries a call again that a signal handler interrupted before it did anything; a few times, since
/// a program may get signals faster than a slow file system takes lines.
pub(super) fn uninterrupted(mut call: impl FnMut() -> Result<usize>) -> Result<usize> {
    for _ in 0..4 {
        match call() {
            Err(Errno::INTR) => {}
            answer => return answer,
        }
    }
    Err(Errno::INTR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_ended_by_the_next() {
        let torn = Torn::new();
        // What the write answers, whether it must begin with a newline, whether all went out.
        for (answer, newline, whole) in [
            (Ok(4), false, true),
            (Err(Errno::NOSPC), false, false),
            (Ok(3), false, false),
            (Err(Errno::NOSPC), true, false),
            (Ok(4), true, false),
            (Ok(1), true, false),
            (Ok(2), false, false),
            (Ok(5), true, true),
            (Ok(4), false, true),
        ] {
            let mut asked = None;
            let told = torn.settle(b"abc\n", |newline| {
                asked = Some(newline);
                answer
            });
            assert_eq!((asked, told), (Some(newline), whole), "{answer:?}");
        }
    }

    #[test]
    fn a_call_is_tried_again_but_not_for_ever() {
        let mut calls = 0;
        let twice = uninterrupted(|| {
            calls += 1;
            if calls < 3 { Err(Errno::INTR) } else { Ok(7) }
        });
        assert_eq!((twice, calls), (Ok(7), 3));
        calls = 0;
        let never = uninterrupted(|| {
            calls += 1;
            Err(Errno::INTR)
        });
        assert_eq!((never, calls), (Err(Errno::INTR), 4));
    }
}
