//! The clocks, by the vDSO (vdso(7)): no system call on common machines.
//!
//! Not by libc's `clock_gettime`, before which another preloaded library may stand: libfaketime's
//! locks, and by a clock that it has stopped no budget and no wait would ever end.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`.
#[must_use]
pub fn monotonic_ns() -> u64 {
    read(ClockId::Monotonic)
}

/// Nanoseconds since 1970-01-01 UTC, of `CLOCK_REALTIME`.
#[must_use]
pub fn unix_ns() -> u64 {
    read(ClockId::Realtime)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // Neither part is negative on clocks that count from boot or from 1970.
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
