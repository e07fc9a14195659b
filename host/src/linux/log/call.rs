//! The few system calls that rustix has no public function for, or one that counts on success: a
//! seccomp filter may refuse any call.

use core::ffi::{c_int, c_long};
use std::os::fd::RawFd;

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

/// `sizeof(sigset_t)` of the kernel, bytes.
const SET_SIZE: c_long = 8;

/// Adds signals to this thread's mask and returns the mask that was (rt_sigprocmask(2)); `None`
/// where that is not allowed.
pub(super) fn block(signals: Signals) -> Option<Signals> {
    let mut before = Signals::NONE;
    let how = c_long::from(libc::SIG_BLOCK);
    let arguments = [how, signals.address(), before.address_mut(), SET_SIZE];
    // SAFETY: the kernel reads the one set and writes the other; both live through the call.
    let answer = unsafe { call(libc::SYS_rt_sigprocmask, arguments) };
    (answer == 0).then_some(before)
}

/// Gives this thread the mask that [`block`] returned.
pub(super) fn restore(mask: Signals) {
    let how = c_long::from(libc::SIG_SETMASK);
    // SAFETY: the kernel reads the set, which lives through the call, and writes none.
    unsafe { call(libc::SYS_rt_sigprocmask, [how, mask.address(), 0, SET_SIZE]) };
}

/// The signals that wait for this thread or its process (rt_sigpending(2)).
pub(super) fn pending() -> Signals {
    let mut pending = Signals::NONE;
    // SAFETY: the kernel writes the set, which lives through the call.
    unsafe { call(libc::SYS_rt_sigpending, [pending.address_mut(), SET_SIZE, 0, 0]) };
    pending
}

/// Takes one pending signal of a set off this thread, without waiting for one
/// (rt_sigtimedwait(2)).
pub(super) fn take(signals: Signals) {
    let at_once: [c_long; 2] = [0; 2];
    let arguments = [signals.address(), 0, (&raw const at_once) as c_long, SET_SIZE];
    // SAFETY: the kernel reads the set and a `struct timespec` of two longs, which both live
    // through the call, and writes nothing.
    unsafe { call(libc::SYS_rt_sigtimedwait, arguments) };
}

/// F_SETSIG and F_GETSIG of fcntl(2) (include/uapi/asm-generic/fcntl.h), which `libc` lacks.
const F_SETSIG: c_int = 10;
const F_GETSIG: c_int = 11;

/// Sets the signal that an open file would send with `O_ASYNC`; says whether it could.
pub(super) fn set_signal(fd: RawFd, signal: c_int) -> bool {
    let arguments = [c_long::from(fd), c_long::from(F_SETSIG), c_long::from(signal), 0];
    // SAFETY: touches no memory of ours.
    unsafe { call(libc::SYS_fcntl, arguments) == 0 }
}

/// The signal of [`set_signal`], 0 where none was set, -1 where the number is not open.
pub(super) fn signal_of(fd: RawFd) -> c_long {
    // SAFETY: touches no memory of ours.
    unsafe { call(libc::SYS_fcntl, [c_long::from(fd), c_long::from(F_GETSIG), 0, 0]) }
}

/// How long a file this process may make, bytes, `u64::MAX` for any length (getrlimit(2),
/// `RLIMIT_FSIZE`); `None` where that is not told.
pub(super) fn size_limit() -> Option<u64> {
    soft_limit(libc::RLIMIT_FSIZE as c_long)
}

/// One more than the highest descriptor that this process may get, `u64::MAX` for any
/// (getrlimit(2), `RLIMIT_NOFILE`); `None` where that is not told.
pub(super) fn number_limit() -> Option<u64> {
    soft_limit(libc::RLIMIT_NOFILE as c_long)
}

/// The call that is named getrlimit costs what fcntl(2) does, prlimit(2) more than twice that; the
/// older one counts in 32 bits on some machines.
fn soft_limit(resource: c_long) -> Option<u64> {
    let mut limits = [0_u64; 2];
    let address = (&raw mut limits) as c_long;
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    let (number, arguments) = (libc::SYS_getrlimit, [resource, address, 0, 0]);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let (number, arguments) = (libc::SYS_prlimit64, [0, resource, 0, address]);
    // SAFETY: either call writes two 64-bit numbers, the soft limit first, to `limits`, which lives
    // through it.
    let answer = unsafe { call(number, arguments) };
    (answer == 0).then_some(limits[0])
}

/// Closes a number, which may be closed already (close(2)).
pub(super) fn close(fd: RawFd) {
    // SAFETY: touches no memory of ours; whose number it is, the caller knows.
    unsafe { call(libc::SYS_close, [c_long::from(fd), 0, 0, 0]) };
}

/// Makes a system call and leaves `errno` as it was; -1 is a failure.
///
/// # Safety
///
/// As the call itself.
unsafe fn call(number: c_long, [a, b, c, d]: [c_long; 4]) -> c_long {
    // SAFETY: the caller vouches for the call. `errno` is this thread's own, at an address that
    // stays for the thread's life.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        let answer = libc::syscall(number, a, b, c, d);
        *errno = before;
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errno_is_left_alone() {
        // SAFETY: this thread's own `errno`.
        unsafe { *libc::__errno_location() = 4321 };
        assert_eq!(signal_of(-1), -1);
        assert!(!set_signal(-1, 33));
        take(Signals::of(&[libc::SIGXFSZ]));
        // SAFETY: as above.
        assert_eq!(unsafe { *libc::__errno_location() }, 4321);
    }

    #[test]
    fn limits_are_those_of_the_library() {
        let expected = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        assert_eq!(number_limit(), Some(expected.unwrap_or(u64::MAX)));
        assert_eq!(soft_limit(1000), None);
    }

    #[test]
    fn a_mask_comes_and_goes() {
        let some = Signals::of(&[libc::SIGPIPE, libc::SIGXFSZ]);
        let before = block(some).unwrap();
        let within = block(Signals::NONE).unwrap();
        assert!(within.overlap(Signals::of(&[libc::SIGPIPE])));
        assert!(within.overlap(Signals::of(&[libc::SIGXFSZ])));
        restore(before);
        assert_eq!(block(Signals::NONE), Some(before));
    }
}
