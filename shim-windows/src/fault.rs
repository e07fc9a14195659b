//! A fault to order, so that a test can see what becomes of a panic.

/// Panics if this build is for fault tests and the environment asks for it.
#[inline]
pub(crate) fn panic_if_asked() {
    #[cfg(feature = "fault")]
    assert!(std::env::var_os("BINDSHIM_TEST_PANIC").is_none(), "a panic to order");
}
