//! How far a look-up may go, and what its errors mean.

use bindshim_core::facts::Why;
use rustix::io::Errno;

use super::clock::monotonic_ns;
use super::procfs;

/// What bounds all look-ups of one diagnosis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// When they end at the latest, in nanoseconds of `CLOCK_MONOTONIC`.
    pub(super) deadline_ns: u64,
}

impl Limits {
    /// Whether the time is over.
    pub(super) fn are_over(&self) -> bool {
        monotonic_ns() >= self.deadline_ns
    }
}

/// Why a look-up is impossible, after a system call failed with `errno`.
pub(super) fn why(errno: Errno) -> Why {
    match errno {
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS => Why::NoResources,
        // What a filter answers is its own choice; these are the usual ones.
        Errno::PERM | Errno::ACCESS | Errno::NOSYS | Errno::AFNOSUPPORT
            if procfs::is_filtered() =>
        {
            Why::Seccomp
        }
        Errno::PERM | Errno::ACCESS => Why::Permission,
        Errno::NOSYS | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT | Errno::OPNOTSUPP => {
            Why::NotSupported
        }
        _ => Why::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_become_reasons() {
        for (errno, reason) in [
            (Errno::MFILE, Why::NoResources),
            (Errno::NOBUFS, Why::NoResources),
            (Errno::OPNOTSUPP, Why::NotSupported),
            (Errno::IO, Why::Failed),
        ] {
            assert_eq!(why(errno), reason, "{errno:?}");
        }
        let refused = if procfs::is_filtered() { Why::Seccomp } else { Why::Permission };
        assert_eq!(why(Errno::PERM), refused);
    }

    #[test]
    fn the_deadline_is_on_the_monotonic_clock() {
        let limits = |deadline_ns| Limits { deadline_ns };
        assert!(limits(monotonic_ns()).are_over());
        assert!(!limits(monotonic_ns() + 10_000_000_000).are_over());
    }
}
