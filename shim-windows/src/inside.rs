//! Whether this thread is in the middle of work of ours.
//!
//! What we ask the system may come back to us: a look-up of a user's name may call Winsock, and
//! `netsh` is a child process. Such a call is nobody's but ours, and goes straight through.

use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

use bindshim_host::windows::error;
use windows_sys::Win32::System::Threading::{
    TLS_OUT_OF_INDEXES, TlsAlloc, TlsGetValue, TlsSetValue,
};

/// The place in each thread, or [`TLS_OUT_OF_INDEXES`]. Rust's own thread locals would need the
/// heap on this target.
static PLACE: AtomicU32 = AtomicU32::new(TLS_OUT_OF_INDEXES);

/// Prepares; at the start, before any detour.
pub(crate) fn prepare() {
    // SAFETY: it only takes a place, which is kept for ever.
    PLACE.store(unsafe { TlsAlloc() }, Ordering::Relaxed);
}

/// Whether this thread works for us.
pub(crate) fn is_inside() -> bool {
    let place = PLACE.load(Ordering::Relaxed);
    // TlsGetValue says by the last error whether it succeeded.
    let before = error::last();
    // SAFETY: the place was allocated; of a thread that never set it, the value is null.
    let is_inside = place != TLS_OUT_OF_INDEXES && unsafe { !TlsGetValue(place).is_null() };
    error::set_last(before);
    is_inside
}

/// As long as it lives, this thread works for us.
pub(crate) struct Inside(());

impl Inside {
    /// Begins; `None` where the thread works for us already.
    pub(crate) fn enter() -> Option<Self> {
        if is_inside() {
            return None;
        }
        set(ptr::without_provenance(1));
        Some(Self(()))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        set(ptr::null());
    }
}

fn set(value: *const core::ffi::c_void) {
    let place = PLACE.load(Ordering::Relaxed);
    if place != TLS_OUT_OF_INDEXES {
        // SAFETY: the place was allocated, and the value is never followed.
        unsafe { TlsSetValue(place, value) };
    }
}
