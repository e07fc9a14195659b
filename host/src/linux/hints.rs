//! What one search for an owner learns for the next: where owners were, and how much time searches
//! have taken. A program that tries a thousand taken ports is not held up a thousand times.
//!
//! Kept without a lock: a race, or a child of `vfork`, at worst loses a hint.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Where owners were found: pid and descriptor in one number, the latest first; 0 for none.
static OWNERS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

/// When the window of the allowance began, and what was spent in it.
static WINDOW_START_NS: AtomicU64 = AtomicU64::new(0);
static SPENT_NS: AtomicU64 = AtomicU64::new(0);

/// For how long searches share an allowance, and how many budgets that is.
const WINDOW_NS: u64 = 10_000_000_000;
const ALLOWANCE: u64 = 10;

/// Processes that had a socket, each with the descriptor, the latest first. They may be gone.
pub(super) fn owners() -> impl Iterator<Item = (u32, u32)> {
    OWNERS.iter().map(|hint| hint.load(Relaxed)).filter(|hint| *hint != 0).map(halves)
}

/// Remembers an owner before all others, and no process twice.
pub(super) fn remember(pid: u32, fd: u32) {
    let mut hint = u64::from(pid) << 32 | u64::from(fd);
    for place in &OWNERS {
        let pushed_out = place.swap(hint, Relaxed);
        if halves(pushed_out).0 == pid {
            break;
        }
        hint = pushed_out;
    }
}

fn halves(hint: u64) -> (u32, u32) {
    ((hint >> 32) as u32, hint as u32)
}

/// Whether a search that may take until `deadline_ns` is still allowed at `now_ns`.
pub(super) fn allow_search(now_ns: u64, deadline_ns: u64) -> bool {
    if now_ns.saturating_sub(WINDOW_START_NS.load(Relaxed)) > WINDOW_NS {
        WINDOW_START_NS.store(now_ns, Relaxed);
        SPENT_NS.store(0, Relaxed);
    }
    let budget_ns = deadline_ns.saturating_sub(now_ns);
    SPENT_NS.load(Relaxed) <= budget_ns.saturating_mul(ALLOWANCE)
}

/// Notes how long a search took.
pub(super) fn spend(ns: u64) {
    SPENT_NS.fetch_add(ns, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_holds_a_process_and_a_descriptor() {
        for (pid, fd) in [(1, 0), (u32::MAX, 7), (4_194_304, u32::MAX)] {
            assert_eq!(halves(u64::from(pid) << 32 | u64::from(fd)), (pid, fd));
        }
    }
}
