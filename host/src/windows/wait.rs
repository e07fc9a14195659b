//! Waiting inside a call.

use windows_sys::Win32::System::Threading::Sleep;

use super::clock;

/// The longest sleep at once, milliseconds: a clock that is set back cannot hold us for longer.
const SLICE_MS: u64 = 100;

/// Sleeps until `until_ns` of the monotonic clock. Ctrl-C needs no care here: Windows runs what
/// answers it in a thread of its own ("HandlerRoutine callback function").
pub fn until(until_ns: u64) {
    loop {
        let left_ns = until_ns.saturating_sub(clock::monotonic_ns());
        if left_ns == 0 {
            return;
        }
        let slice_ms = left_ns.div_ceil(1_000_000).min(SLICE_MS);
        // SAFETY: it only lets time pass.
        unsafe { Sleep(slice_ms as u32) };
    }
}
