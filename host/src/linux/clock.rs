//! The clocks, by the vDSO (vdso(7)): no system call on common machines.

/// Nanoseconds of `CLOCK_MONOTONIC`.
#[must_use]
pub fn monotonic_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds since 1970-01-01 UTC, of `CLOCK_REALTIME`.
#[must_use]
pub fn unix_ns() -> u64 {
    read(libc::CLOCK_REALTIME)
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for the write; both clocks exist on every Linux, so that it does not
    // fail and leaves errno alone.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    // Neither part is negative on clocks that count from boot or from 1970.
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
