//! This thread's `errno`, which belongs to the program.

/// Its value.
pub(crate) fn get() -> i32 {
    // SAFETY: libc gives a valid pointer to this thread's errno.
    unsafe { *libc::__errno_location() }
}

/// Sets it.
pub(crate) fn set(value: i32) {
    // SAFETY: libc gives a valid pointer to this thread's errno.
    unsafe { *libc::__errno_location() = value }
}
