//! The clocks.

use core::mem::transmute;
use core::sync::atomic::{AtomicI64, Ordering};

use windows_sys::Win32::Foundation::FILETIME;
use windows_sys::Win32::System::Performance::{QueryPerformanceCounter, QueryPerformanceFrequency};
use windows_sys::Win32::System::SystemInformation::GetSystemTimeAsFileTime;

use super::optional::Optional;

/// Nanoseconds of the performance counter, which never goes back ("Acquiring high-resolution time
/// stamps").
#[must_use]
pub fn monotonic_ns() -> u64 {
    static FREQUENCY: AtomicI64 = AtomicI64::new(0);
    let mut frequency = FREQUENCY.load(Ordering::Relaxed);
    let mut ticks = 0;
    // SAFETY: both write a number; since Windows XP neither fails.
    unsafe {
        if frequency == 0 {
            QueryPerformanceFrequency(&raw mut frequency);
            FREQUENCY.store(frequency, Ordering::Relaxed);
        }
        QueryPerformanceCounter(&raw mut ticks);
    }
    let (ticks, frequency) = (ticks.unsigned_abs(), frequency.unsigned_abs().max(1));
    ticks / frequency * 1_000_000_000 + ticks % frequency * 1_000_000_000 / frequency
}

/// Nanoseconds since 1970-01-01 UTC; to a microsecond since Windows 8, before to some
/// milliseconds.
#[must_use]
pub fn unix_ns() -> u64 {
    /// 100 ns from 1601-01-01 to 1970-01-01 ("FILETIME structure").
    const EPOCH: u64 = 116_444_736_000_000_000;
    static PRECISE: Optional = Optional::new(c"kernel32.dll", c"GetSystemTimePreciseAsFileTime");
    type Get = unsafe extern "system" fn(*mut FILETIME);
    let mut time = FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 };
    // SAFETY: both functions are of this type, and write the time.
    unsafe {
        match PRECISE.address() {
            Some(precise) => transmute::<usize, Get>(precise)(&raw mut time),
            None => GetSystemTimeAsFileTime(&raw mut time),
        }
    }
    number(time).saturating_sub(EPOCH).saturating_mul(100)
}

/// A time as one number: 100 ns since 1601-01-01.
pub(super) fn number(time: FILETIME) -> u64 {
    u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_go_on() {
        let (before, now) = (monotonic_ns(), unix_ns());
        std::thread::sleep(std::time::Duration::from_millis(20));
        let passed = monotonic_ns() - before;
        assert!((15_000_000..5_000_000_000).contains(&passed), "{passed}");
        let std = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        assert!(std - now < 5_000_000_000);
    }
}
