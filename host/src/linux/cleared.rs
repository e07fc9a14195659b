//! The sockets on which the program itself switched SO_REUSEADDR off.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How many sockets are remembered.
const SIZE: usize = 256;

/// A fixed table of socket cookies, without a lock. When it is full, it says of every socket that
/// the option may have been switched off: a doubt must not lead to a change.
pub struct Cleared {
    cookies: [AtomicU64; SIZE],
    full: AtomicBool,
}

impl Cleared {
    /// No socket.
    #[must_use]
    pub const fn new() -> Self {
        Self { cookies: [const { AtomicU64::new(0) }; SIZE], full: AtomicBool::new(false) }
    }

    /// The program set the option on the socket to `value`; `None` is a socket whose cookie the
    /// kernel does not tell.
    pub fn program_set(&self, cookie: Option<u64>, value: bool) {
        match (cookie, value) {
            (Some(cookie), false) => self.insert(cookie),
            (Some(cookie), true) => self.remove(cookie),
            (None, false) => self.full.store(true, Ordering::Relaxed),
            (None, true) => {}
        }
    }

    /// Whether the program may have switched the option off on the socket.
    #[must_use]
    pub fn may_contain(&self, cookie: Option<u64>) -> bool {
        self.full.load(Ordering::Relaxed)
            || cookie.is_some_and(|cookie| self.find(cookie).is_some())
    }

    fn find(&self, cookie: u64) -> Option<&AtomicU64> {
        self.cookies.iter().find(|slot| slot.load(Ordering::Relaxed) == cookie)
    }

    fn insert(&self, cookie: u64) {
        let known = self.find(cookie).is_some();
        let inserted = known
            || self.cookies.iter().any(|slot| {
                slot.compare_exchange(0, cookie, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            });
        if !inserted {
            self.full.store(true, Ordering::Relaxed);
        }
    }

    fn remove(&self, cookie: u64) {
        if let Some(slot) = self.find(cookie) {
            slot.store(0, Ordering::Relaxed);
        }
    }
}

impl Default for Cleared {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_remembered_until_switched_on_or_in_doubt() {
        let cleared = Cleared::new();
        cleared.program_set(Some(5), false);
        cleared.program_set(Some(6), true);
        assert!(cleared.may_contain(Some(5)));
        assert!(!cleared.may_contain(Some(6)));
        cleared.program_set(Some(5), true);
        assert!(!cleared.may_contain(Some(5)));
        for cookie in 1..=SIZE as u64 {
            cleared.program_set(Some(cookie), false);
        }
        assert!(!cleared.may_contain(Some(9999)));
        cleared.program_set(Some(1000), false);
        assert!(cleared.may_contain(Some(9999)), "a full table doubts everything");
    }

    #[test]
    fn a_socket_without_a_cookie_puts_all_in_doubt() {
        let cleared = Cleared::new();
        cleared.program_set(None, true);
        assert!(!cleared.may_contain(Some(1)));
        cleared.program_set(None, false);
        assert!(cleared.may_contain(Some(1)));
    }
}
