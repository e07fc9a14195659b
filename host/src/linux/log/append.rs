//! One line, one write, and no signal for it.

use core::sync::atomic::{AtomicU8, Ordering};
use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use rustix::io::{Errno, Result, write, writev};
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};

use super::file::Kind;
use crate::linux::signals::Held;

/// What is known of the end of the log: whether a line was written there in part only, so that the
/// next must begin with a newline. Then a reader loses that one line and no other.
pub(super) struct End(AtomicU8);

/// It is the end of a line.
const WHOLE: u8 = 0;
/// Somebody else may have left a part there: before the log was opened, or when it was full.
const DOUBTFUL: u8 = 1;
/// We left a part there.
const TORN: u8 = 2;

impl End {
    /// The end of a line, which is what zero bytes say too.
    pub(super) const fn new() -> Self {
        Self(AtomicU8::new(WHOLE))
    }

    /// Another file is written to from now on.
    pub(super) fn doubt(&self) {
        self.0.store(DOUBTFUL, Ordering::Relaxed);
    }

    /// Writes one line by `write`, which is told whether to begin with a newline and answers how
    /// many bytes went out; says whether all did. Where the end is not known to be that of a line,
    /// `look` says whether it is inside of one, if it can.
    pub(super) fn settle(
        &self,
        line: &[u8],
        look: impl FnOnce() -> Option<bool>,
        write: impl FnOnce(bool) -> Result<usize>,
    ) -> bool {
        // Only one of several threads pays for the swap, and adds the newline.
        let mut end = self.0.load(Ordering::Relaxed);
        if end != WHOLE {
            end = self.0.swap(WHOLE, Ordering::Relaxed);
        }
        let newline = end != WHOLE && look().unwrap_or(end == TORN);
        let written = write(newline).unwrap_or(0);
        let whole = written == line.len() + usize::from(newline);
        if !whole {
            // Where nothing but the newline went out, the reader is at the start of a line.
            let torn = if newline { written != 1 } else { written > 0 };
            self.0.fetch_max(if torn { TORN } else { DOUBTFUL }, Ordering::Relaxed);
        }
        whole
    }
}

/// Writes `line` in one system call, with a newline before it where the end is `torn`, and
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
        let end = End::new();
        // What a look would show, what the write answers, whether it must begin with a newline,
        // whether all went out.
        for (seen, answer, newline, whole) in [
            (None, Ok(4), false, true),
            (None, Err(Errno::NOSPC), false, false),
            (None, Ok(3), false, false),
            (None, Err(Errno::NOSPC), true, false),
            (None, Ok(4), true, false),
            (None, Ok(1), true, false),
            (None, Ok(2), false, false),
            (None, Ok(5), true, true),
            (Some(true), Ok(4), false, true),
            (None, Err(Errno::NOSPC), false, false),
            // Somebody else's part, and our own that somebody else has ended.
            (Some(true), Ok(2), true, false),
            (Some(false), Ok(4), false, true),
        ] {
            let mut asked = None;
            let told = end.settle(
                b"abc\n",
                || seen,
                |newline| {
                    asked = Some(newline);
                    answer
                },
            );
            assert_eq!((asked, told), (Some(newline), whole), "{seen:?} {answer:?}");
        }
    }

    #[test]
    fn another_file_is_looked_at_once() {
        let end = End::new();
        end.doubt();
        assert!(end.settle(b"abc\n", || Some(true), |newline| Ok(4 + usize::from(newline))));
        assert!(end.settle(b"abc\n", || unreachable!(), |_| Ok(4)));
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
