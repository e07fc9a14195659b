//! The sockets on which the program itself switched SO_REUSEADDR off.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::memory::Zeroed;

/// How many sockets are remembered.
const SIZE: usize = 256;

/// A fixed table of socket cookies, without a lock. When it is full, the lowest cookie makes room,
/// which is about the oldest socket's (`gen_cookie_next`, include/linux/cookie.h); from then on the
/// table says of every socket up to that one that the option may have been switched off: a doubt
/// must not lead to a change.
pub(super) struct Cleared {
    cookies: [AtomicU64; SIZE],
    /// The highest cookie that had to make room.
    forgotten: AtomicU64,
}

// SAFETY: zero is no socket's cookie.
unsafe impl Zeroed for Cleared {}

impl Cleared {
    /// The program set the option on the socket to `value`; `None` is a socket whose cookie the
    /// kernel does not tell.
    pub(super) fn program_set(&self, cookie: Option<u64>, value: bool) {
        match (cookie, value) {
            (Some(cookie), false) => self.insert(cookie),
            (Some(cookie), true) => self.remove(cookie),
            (None, false) => self.forgotten.store(u64::MAX, Ordering::Relaxed),
            (None, true) => {}
        }
    }

    /// Whether the program may have switched the option off on the socket.
    #[must_use]
    pub(super) fn may_contain(&self, cookie: Option<u64>) -> bool {
        let forgotten = self.forgotten.load(Ordering::Relaxed);
        match cookie {
            Some(cookie) => cookie <= forgotten || self.find(cookie).is_some(),
            None => forgotten == u64::MAX,
        }
    }

    fn find(&self, cookie: u64) -> Option<&AtomicU64> {
        self.cookies.iter().find(|slot| slot.load(Ordering::Relaxed) == cookie)
    }

    fn insert(&self, cookie: u64) {
        let takes = |slot: &AtomicU64, old| {
            slot.compare_exchange(old, cookie, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        if self.find(cookie).is_some() || self.cookies.iter().any(|slot| takes(slot, 0)) {
            return;
        }
        let lowest = |slot: &&AtomicU64| slot.load(Ordering::Relaxed);
        let Some(slot) = self.cookies.iter().min_by_key(lowest) else { return };
        let old = slot.load(Ordering::Relaxed);
        // Forgotten first: a socket is never neither in the table nor in doubt.
        self.forgotten.fetch_max(old, Ordering::Relaxed);
        if old > cookie || !takes(slot, old) {
            self.forgotten.fetch_max(cookie, Ordering::Relaxed);
        }
    }

    fn remove(&self, cookie: u64) {
        if let Some(slot) = self.find(cookie) {
            slot.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Mapped;

    #[test]
    fn sockets_are_remembered_until_switched_on_or_in_doubt() {
        let cleared = Mapped::<Cleared>::new().unwrap();
        cleared.program_set(Some(5), false);
        cleared.program_set(Some(6), true);
        assert!(cleared.may_contain(Some(5)));
        assert!(!cleared.may_contain(Some(6)));
        cleared.program_set(Some(5), true);
        assert!(!cleared.may_contain(Some(5)));
        let first = 1000;
        for cookie in first..first + SIZE as u64 {
            cleared.program_set(Some(cookie), false);
        }
        assert!(!cleared.may_contain(Some(999)), "all have room");
        cleared.program_set(Some(2000), false);
        assert!(cleared.may_contain(Some(2000)));
        assert!(cleared.may_contain(Some(first)), "it made room, and is in doubt");
        assert!(cleared.may_contain(Some(999)), "so is what is older");
        assert!(!cleared.may_contain(Some(3000)), "what is newer is not");
    }

    #[test]
    fn a_socket_without_a_cookie_puts_all_in_doubt() {
        let cleared = Mapped::<Cleared>::new().unwrap();
        cleared.program_set(None, true);
        assert!(!cleared.may_contain(Some(1)));
        cleared.program_set(None, false);
        assert!(cleared.may_contain(Some(1)));
    }
}
