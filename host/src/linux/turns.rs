//! Tests that fork take turns with those whose descriptors must be nobody else's: until it executes
//! its program or ends, a child has all of them, and keeps a socket where the test has closed it.

use std::sync::{Mutex, MutexGuard, PoisonError};

static TURN: Mutex<()> = Mutex::new(());

/// Waits for a turn, which ends with what is returned. Nobody may take a second one meanwhile.
pub(super) fn turn() -> MutexGuard<'static, ()> {
    // A test that failed has said so itself.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
