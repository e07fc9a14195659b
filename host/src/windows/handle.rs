//! Handles of our own.

use windows_sys::Win32::Foundation::{CloseHandle, HANDLE, INVALID_HANDLE_VALUE};

/// A handle that is closed when dropped.
pub(super) struct Handle(HANDLE);

impl Handle {
    /// Takes over what a function gave; `None` where that is no handle.
    ///
    /// # Safety
    /// It must be a handle that nobody else closes, or the function's sign of failure.
    pub(super) unsafe fn own(handle: HANDLE) -> Option<Self> {
        (!handle.is_null() && handle != INVALID_HANDLE_VALUE).then(|| Self(handle))
    }

    /// For the time of one call.
    pub(super) fn get(&self) -> HANDLE {
        self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it is open, and nobody else closes it.
        unsafe { CloseHandle(self.0) };
    }
}
