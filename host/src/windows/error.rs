//! This thread's last error, which belongs to the program.

use windows_sys::Win32::Networking::WinSock::{WSAGetLastError, WSASetLastError};

/// Its value (WSAGetLastError; GetLastError has the same one).
#[must_use]
pub fn last() -> i32 {
    // SAFETY: it reads this thread's own value.
    unsafe { WSAGetLastError() }
}

/// Sets it (WSASetLastError).
pub fn set_last(value: i32) {
    // SAFETY: it sets this thread's own value.
    unsafe { WSASetLastError(value) }
}
