//! The few system calls that rustix has no public function for, or one that counts on success: a
//! seccomp filter may refuse any call.

use core::ffi::{c_int, c_long};
use std::os::fd::RawFd;

use rustix::io::Errno;
use rustix::thread::{SecureComputingMode, secure_computing_mode};

/// F_SETSIG and F_GETSIG of fcntl(2) (include/uapi/asm-generic/fcntl.h), which `libc` lacks.
const F_SETSIG: c_int = 10;
const F_GETSIG: c_int = 11;

/// Sets the signal that an open file would send with `O_ASYNC`; says whether it could.
pub(super) fn set_signal(fd: RawFd, signal: c_int) -> bool {
    let arguments = [c_long::from(fd), c_long::from(F_SETSIG), c_long::from(signal), 0, 0];
    // SAFETY: touches no memory of ours.
    unsafe { call(libc::SYS_fcntl, arguments) }.is_ok()
}

/// The signal of [`set_signal`], 0 where none was set; `None` where the number is not open.
pub(super) fn signal_of(fd: RawFd) -> Option<c_long> {
    // SAFETY: touches no memory of ours.
    unsafe { call(libc::SYS_fcntl, [c_long::from(fd), c_long::from(F_GETSIG), 0, 0, 0]) }.ok()
}

/// `RLIMIT_NOFILE`: one more than the highest descriptor that this process may get, and the most
/// that it may set that to; `u64::MAX` for any (prlimit(2)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub(super) struct NumberLimits {
    pub(super) soft: u64,
    pub(super) hard: u64,
}

/// The limits; `None` where they are not told.
pub(super) fn number_limits() -> Option<NumberLimits> {
    let mut limits = NumberLimits { soft: 0, hard: 0 };
    let resource = c_long::from(libc::RLIMIT_NOFILE);
    // SAFETY: the call writes two 64-bit numbers, the soft limit first, to `limits`, which lives
    // through it.
    let answer =
        unsafe { call(libc::SYS_prlimit64, [0, resource, 0, (&raw mut limits) as c_long, 0]) };
    answer.is_ok().then_some(limits)
}

/// Sets the limits; says whether it could.
pub(super) fn set_number_limits(limits: NumberLimits) -> bool {
    let resource = c_long::from(libc::RLIMIT_NOFILE);
    // SAFETY: the call reads two 64-bit numbers, the soft limit first, from `limits`, which lives
    // through it, and writes none.
    let answer =
        unsafe { call(libc::SYS_prlimit64, [0, resource, (&raw const limits) as c_long, 0, 0]) };
    answer.is_ok()
}

/// Whether no seccomp filter judges the calls of this thread, so that any may be made (prctl(2),
/// `PR_GET_SECCOMP`).
pub(super) fn is_unfiltered() -> bool {
    secure_computing_mode() == Ok(SecureComputingMode::Disabled)
}

/// Whether two processes have one memory, as far as this may be known (kcmp(2)).
pub(super) fn share_memory(one: u32, other: u32) -> bool {
    /// include/uapi/linux/kcmp.h.
    const KCMP_VM: c_long = 1;
    let arguments = [c_long::from(one), c_long::from(other), KCMP_VM, 0, 0];
    // SAFETY: touches no memory of ours.
    let answer = unsafe { call(libc::SYS_kcmp, arguments) };
    answer == Ok(0)
}

/// Closes a number, which may be closed already (close(2)).
pub(super) fn close(fd: RawFd) {
    // SAFETY: touches no memory of ours; whose number it is, the caller knows.
    let _ = unsafe { call(libc::SYS_close, [c_long::from(fd), 0, 0, 0, 0]) };
}

/// Makes a system call, by its number, so that no hook sees it, and leaves `errno` as it was.
///
/// # Safety
///
/// As the call itself.
pub(super) unsafe fn call(number: c_long, [a, b, c, d, e]: [c_long; 5]) -> Result<c_long, Errno> {
    // SAFETY: the caller vouches for the call. `errno` is this thread's own, at an address that
    // stays for the thread's life.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        let answer = libc::syscall(number, a, b, c, d, e);
        let error = core::mem::replace(&mut *errno, before);
        if answer == -1 { Err(Errno::from_raw_os_error(error)) } else { Ok(answer) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errno_is_left_alone() {
        // SAFETY: this thread's own `errno`.
        unsafe { *libc::__errno_location() = 4321 };
        assert_eq!(signal_of(-1), None);
        assert!(!set_signal(-1, 33));
        // SAFETY: as above.
        assert_eq!(unsafe { *libc::__errno_location() }, 4321);
    }

    #[test]
    fn another_process_has_another_memory() {
        let (own, parent) = (std::process::id(), std::os::unix::process::parent_id());
        assert!(share_memory(own, own));
        assert!(!share_memory(own, parent));
    }

    #[test]
    fn the_limit_is_that_of_the_library() {
        let expected = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let [soft, hard] = [expected.current, expected.maximum].map(|n| n.unwrap_or(u64::MAX));
        assert_eq!(number_limits(), Some(NumberLimits { soft, hard }));
    }
}
