//! Signals, held back in this thread while we work.
//!
//! A handler may leave by `siglongjmp(3)` or `pthread_exit(3)`: from the program's own call that is
//! the program's affair, from the middle of our work it would leave descriptors and mappings behind,
//! or try to unwind through us.

use core::ffi::{c_int, c_long};
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr;

use rustix::io::{Errno, Result};

use super::system::call;

/// Signals, as the kernel numbers them (rt_sigprocmask(2), `struct sigset`): bit 0 is signal 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Signals(u64);

impl Signals {
    pub(super) const NONE: Self = Self(0);

    /// The set of these signals.
    pub(super) const fn of(signals: &[c_int]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < signals.len() {
            bits |= 1 << (signals[index] - 1);
            index += 1;
        }
        Self(bits)
    }

    /// These and `others`.
    pub(super) const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    const fn but(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether one of `others` is among them.
    pub(super) const fn overlap(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    fn address(&self) -> c_long {
        (&raw const self.0) as c_long
    }

    fn address_mut(&mut self) -> c_long {
        (&raw mut self.0) as c_long
    }
}

/// Raised for an instruction or a system call of this thread: blocked, they end the process
/// (`force_sig_info_to_task`, kernel/signal.c).
const FAULTS: Signals = Signals::of(&[
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGSYS,
]);

const ALL: Signals = Signals(u64::MAX);

/// With these libc makes every thread do something, and waits for it: change its user (nptl(7)),
/// or whatever musl's `__synccall` is used for. Each libc keeps the first real-time signals for
/// itself, and numbers those of programs from the next one on (signal(7)): the first of them,
/// which is the kernel's 32, is none of these in either.
fn libc_own() -> Signals {
    (33..libc::SIGRTMIN())
        .fold(Signals::NONE, |signals, signal| signals.with(Signals::of(&[signal])))
}

const PIPE: Signals = Signals::of(&[libc::SIGPIPE]);
const XFSZ: Signals = Signals::of(&[libc::SIGXFSZ]);
const RAISED_BY_WRITES: Signals = Signals::of(&[libc::SIGPIPE, libc::SIGXFSZ, libc::SIGTTOU]);

/// Whether the program ignores a signal (sigaction(2)).
pub(super) fn is_ignored(signal: c_int) -> bool {
    disposition(signal) == libc::SIG_IGN
}

/// Whether the program has a handler for a signal.
pub(super) fn is_handled(signal: c_int) -> bool {
    !matches!(disposition(signal), libc::SIG_DFL | libc::SIG_IGN)
}

fn disposition(signal: c_int) -> libc::sighandler_t {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: asks for the disposition, which is written to `action`, and changes nothing; all bytes
    // of a sigaction may be zero.
    unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr());
        action.assume_init().sa_sigaction
    }
}

/// The hold on this thread's signals: none reaches it but those of its own faults.
#[derive(Debug)]
pub struct Held {
    /// The mask that was; `None` where nothing is held back.
    before: Option<Signals>,
    /// The mask is this thread's.
    not_send: PhantomData<*const ()>,
}

impl Held {
    /// Nothing is held back yet.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { before: None, not_send: PhantomData }
    }

    /// Holds signals back from now on, until dropped.
    #[must_use]
    pub fn all() -> Self {
        let mut held = Self::nothing();
        held.hold();
        held
    }

    /// Holds signals back, if they are not.
    pub fn hold(&mut self) {
        if self.before.is_none() {
            self.before = block(ALL.but(FAULTS).but(libc_own()));
        }
    }

    /// Lets them come.
    pub fn release(&mut self) {
        if let Some(before) = self.before.take() {
            restore(before);
        }
    }

    /// Makes a write whose own signals the program never sees. `EPERM` where they are not held back,
    /// `EAGAIN` where the program has one of them pending.
    ///
    /// A write raises SIGPIPE (no reader) and SIGXFSZ (beyond `RLIMIT_FSIZE`) for the calling thread
    /// alone, so that taking back what came of it is enough (signal(7)). A blocked SIGTTOU is not
    /// raised at all, and the write goes through (termios(3), `TOSTOP`).
    pub(super) fn write(&self, call: impl FnOnce() -> Result<usize>) -> Result<usize> {
        let before = self.before.ok_or(Errno::PERM)?;
        // Only where the program itself has such a signal blocked can one be pending for this
        // thread, and one of ours could not be told from it.
        if before.overlap(RAISED_BY_WRITES) && pending().overlap(RAISED_BY_WRITES) {
            return Err(Errno::AGAIN);
        }
        let answer = call();
        match answer {
            Err(Errno::PIPE) => take(PIPE),
            Err(Errno::FBIG) => take(XFSZ),
            _ => {}
        }
        answer
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

/// `sizeof(sigset_t)` of the kernel, bytes.
const SET_SIZE: c_long = 8;

/// Adds signals to this thread's mask and returns the mask that was (rt_sigprocmask(2)); `None`
/// where that is not allowed.
fn block(signals: Signals) -> Option<Signals> {
    let mut before = Signals::NONE;
    let how = c_long::from(libc::SIG_BLOCK);
    let arguments = [how, signals.address(), before.address_mut(), SET_SIZE, 0];
    // SAFETY: the kernel reads the one set and writes the other; both live through the call.
    let answer = unsafe { call(libc::SYS_rt_sigprocmask, arguments) };
    answer.is_ok().then_some(before)
}

/// Gives this thread the mask that [`block`] returned.
fn restore(mask: Signals) {
    let how = c_long::from(libc::SIG_SETMASK);
    // SAFETY: the kernel reads the set, which lives through the call, and writes none.
    let _ = unsafe { call(libc::SYS_rt_sigprocmask, [how, mask.address(), 0, SET_SIZE, 0]) };
}

/// The signals that wait for this thread or its process (rt_sigpending(2)).
pub(super) fn pending() -> Signals {
    let mut pending = Signals::NONE;
    // SAFETY: the kernel writes the set, which lives through the call.
    let _ = unsafe { call(libc::SYS_rt_sigpending, [pending.address_mut(), SET_SIZE, 0, 0, 0]) };
    pending
}

/// Takes one pending signal of a set off this thread, without waiting for one; this thread's own
/// come before those of its process (rt_sigtimedwait(2), `dequeue_signal` of kernel/signal.c).
fn take(signals: Signals) {
    let at_once: [c_long; 2] = [0; 2];
    let arguments = [signals.address(), 0, (&raw const at_once) as c_long, SET_SIZE, 0];
    // SAFETY: the kernel reads the set and a `struct timespec` of two longs, which both live
    // through the call, and writes nothing.
    let _ = unsafe { call(libc::SYS_rt_sigtimedwait, arguments) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use crate::linux::log::tests::in_child;

    static CAUGHT: AtomicUsize = AtomicUsize::new(0);

    extern "C" fn count(_: i32) {
        CAUGHT.fetch_add(1, Ordering::Relaxed);
    }

    fn blocked() -> Signals {
        block(Signals::NONE).unwrap()
    }

    fn to_nobody(held: &Held) -> Result<usize> {
        let pipe = std::io::pipe().unwrap().1;
        held.write(|| rustix::io::write(&pipe, b"x\n"))
    }

    #[test]
    fn signals_wait_until_the_end() {
        in_child(|| {
            // SAFETY: a handler that only counts.
            unsafe { libc::signal(libc::SIGUSR1, count as *const () as libc::sighandler_t) };
            let before = blocked();
            let held = Held::all();
            // SAFETY: raises a signal that is blocked.
            unsafe { libc::raise(libc::SIGUSR1) };
            assert_eq!(CAUGHT.load(Ordering::Relaxed), 0);
            assert!(!blocked().overlap(FAULTS) && !blocked().overlap(libc_own()));
            drop(held);
            assert_eq!(CAUGHT.load(Ordering::Relaxed), 1);
            assert_eq!(blocked(), before);
        });
    }

    #[test]
    fn a_broken_pipe_raises_nothing() {
        in_child(|| {
            // SAFETY: the default action ends this child, were the signal to arrive.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
            let held = Held::all();
            assert_eq!(to_nobody(&held), Err(Errno::PIPE));
            assert!(!pending().overlap(PIPE));
        });
    }

    #[test]
    fn a_signal_that_was_pending_stays() {
        in_child(|| {
            // SAFETY: a handler that only counts.
            unsafe { libc::signal(libc::SIGPIPE, count as *const () as libc::sighandler_t) };
            let before = block(PIPE).unwrap();
            // SAFETY: raises a signal that is blocked.
            unsafe { libc::raise(libc::SIGPIPE) };
            assert_eq!(to_nobody(&Held::all()), Err(Errno::AGAIN));
            assert!(pending().overlap(PIPE) && blocked().overlap(PIPE));
            restore(before);
            assert_eq!(CAUGHT.load(Ordering::Relaxed), 1);
        });
    }
}
