//! A descriptor of our own in somebody else's process: out of the way, and closed by us alone.

use core::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use rustix::io::{DupFlags, Errno, dup3, fcntl_dupfd_cloexec};

use super::system::{NumberLimits, close, is_unfiltered, number_limits, set_number_limits};

/// A descriptor that is ours, closed when dropped.
///
/// `OwnedFd` closes with libc's `close`: which sets `errno`, is a cancellation point, and may be
/// hooked by the program or by another preloaded library. This one makes the bare system call.
#[derive(Debug)]
pub(super) struct Descriptor(RawFd);

impl Drop for Descriptor {
    fn drop(&mut self) {
        // This value is the only owner of the number, which ends here.
        close(self.0);
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the number was given to us by the kernel and is closed with `self`. A program
        // that closes descriptors which it does not know can end it earlier: then a call on it
        // fails, or is kept from the program's file by the marker.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

impl Descriptor {
    /// Moves `low` to a high number, for the low ones are the program's. `EMFILE`, and `low` is
    /// closed, where there is none.
    pub(super) fn high(low: OwnedFd) -> Result<Self, Errno> {
        let low = Self(low.into_raw_fd());
        if low.0 >= BEST {
            return Ok(low);
        }
        let high = match fcntl_dupfd_cloexec(&low, BEST) {
            Ok(high) => high,
            // That is beyond the limit: the limit is asked only now, for it mostly is not.
            Err(_) => {
                let mut floors = floors(soft_limit()).into_iter().flatten();
                let high = floors.find_map(|floor| fcntl_dupfd_cloexec(&low, floor).ok());
                high.ok_or(Errno::MFILE)?
            }
        };
        Ok(Self(high.into_raw_fd()))
    }

    /// Puts this open file in the place of `old`, in one step: the number is never free.
    pub(super) fn replace(self, old: RawFd) -> bool {
        // SAFETY: `old` carries our marker, so it is ours, as an `OwnedFd` must be; it is not
        // closed at the end of this function, because `ManuallyDrop` never drops it.
        let mut old = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(old) });
        dup3(&self, &mut old, DupFlags::CLOEXEC).is_ok()
    }

    /// Its number, which is never -1.
    pub(super) fn number(&self) -> RawFd {
        self.0
    }

    /// Leaves it open for good.
    pub(super) fn keep_open(self) {
        let _ = ManuallyDrop::new(self);
    }
}

/// Lets [`BEST`] and the next numbers be had while it lives, where the process has set itself a lower
/// limit than it must (getrlimit(2)): what is opened then takes none of the program's numbers, and
/// stays open when the limit is back. Only for the start: other threads have the limit too. Not under a
/// seccomp filter, which may let limits be asked for and not changed.
pub(super) struct Raised(Option<NumberLimits>);

impl Raised {
    pub(super) fn new() -> Self {
        const NEEDED: u64 = BEST.unsigned_abs() as u64 + 16;
        let before = number_limits().filter(|limits| {
            let raised = NumberLimits { soft: NEEDED, ..*limits };
            limits.soft <= BEST.unsigned_abs().into()
                && limits.hard >= NEEDED
                && is_unfiltered()
                && set_number_limits(raised)
        });
        Self(before)
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        if let Some(before) = self.0 {
            set_number_limits(before);
        }
    }
}

fn soft_limit() -> Option<u64> {
    number_limits().map(|limits| limits.soft)
}

/// From here on no select(2) can name a descriptor.
const BEST: RawFd = 1024;

/// The lowest numbers that a descriptor of ours may get, best first (getrlimit(2),
/// `RLIMIT_NOFILE`).
///
/// Below [`BEST`] only the last few numbers are far from what the program counts on. With hardly any
/// numbers there is none to spare.
fn floors(limit: Option<u64>) -> [Option<RawFd>; 2] {
    const ROOM_ABOVE: u64 = 1100;
    const LOWEST: i64 = 10;
    // What most systems set, where it cannot be had.
    match limit.unwrap_or(1024) {
        limit if limit <= ROOM_ABOVE => [4, 16].map(|below| {
            let floor = i64::try_from(limit).unwrap_or(0) - below;
            if floor < LOWEST { None } else { RawFd::try_from(floor).ok() }
        }),
        _ => [Some(BEST), None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn numbers_are_chosen_from_the_limit() {
        for (limit, expected) in [
            (None, [Some(1020), Some(1008)]),
            (Some(u64::MAX), [Some(1024), None]),
            (Some(1 << 20), [Some(1024), None]),
            (Some(1024), [Some(1020), Some(1008)]),
            (Some(20), [Some(16), None]),
            (Some(14), [Some(10), None]),
            (Some(13), [None, None]),
            (Some(0), [None, None]),
        ] {
            assert_eq!(floors(limit), expected, "{limit:?}");
        }
    }

    #[test]
    fn it_is_high_and_closed() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let high = Descriptor::high(writer.into()).unwrap();
        assert!(Some(high.number()) >= floors(soft_limit())[0]);
        rustix::io::write(&high, b"open").unwrap();
        drop(high);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"open");
    }
}
