//! Work that one thread at a time does, and the others do without.

use core::sync::atomic::{AtomicBool, Ordering};

/// Whose turn it is: somebody's, or nobody's. Nobody is made to wait for it, so that a thread that
/// was ended in the middle costs the others an answer, and no more.
pub(super) struct Turn(AtomicBool);

impl Turn {
    pub(super) const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Takes it until what is given is dropped; `None` where another thread has it.
    pub(super) fn take(&self) -> Option<Taken<'_>> {
        let taken = self.0.swap(true, Ordering::Acquire);
        (!taken).then(|| Taken(self))
    }
}

/// The turn is this thread's.
pub(super) struct Taken<'a>(&'a Turn);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_one_threads() {
        let turn = Turn::new();
        let taken = turn.take();
        assert!(taken.is_some() && turn.take().is_none());
        drop(taken);
        assert!(turn.take().is_some());
    }
}
