//! A fault to order, so that a test can see what becomes of a panic.

/// Panics if this build is for fault tests and the environment asks for it.
#[inline]
pub(crate) fn panic_if_asked() {
    #[cfg(feature = "fault")]
    {
        // SAFETY: the name ends in a NUL, and the value is not read.
        let asked = unsafe { !libc::getenv(c"BINDSHIM_TEST_PANIC".as_ptr()).is_null() };
        assert!(!asked, "a panic to order");
    }
}
