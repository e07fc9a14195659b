//! Buffers for lines, so that no line needs room on a stack.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use bindshim_core::record::MAX_LINE;

use crate::memory::{Mapped, Zeroed};

const SLOTS: usize = 4;

struct Bytes([u8; MAX_LINE]);

// SAFETY: bytes may be zero.
unsafe impl Zeroed for Bytes {}

/// Buffers that any thread may claim.
pub(super) struct Pool {
    claims: [AtomicBool; SLOTS],
    buffers: [UnsafeCell<[u8; MAX_LINE]>; SLOTS],
}

// SAFETY: a buffer is touched only by the thread whose exchange set its claim, until that thread
// clears it with Release.
unsafe impl Sync for Pool {}

impl Pool {
    pub(super) const fn new() -> Self {
        Self {
            claims: [const { AtomicBool::new(false) }; SLOTS],
            buffers: [const { UnsafeCell::new([0; MAX_LINE]) }; SLOTS],
        }
    }

    /// Claims a buffer; where all are taken, maps one. `None` where there is no memory.
    pub(super) fn claim(&self) -> Option<Buffer<'_>> {
        let free = self.claims.iter().position(|claim| {
            !claim.load(Ordering::Relaxed) && !claim.swap(true, Ordering::Acquire)
        });
        Some(Buffer(match free {
            Some(index) => Place::Slot { pool: self, index },
            None => Place::Own(Mapped::new()?),
        }))
    }
}

enum Place<'a> {
    Slot { pool: &'a Pool, index: usize },
    Own(Mapped<Bytes>),
}

/// A buffer of one thread, until it is dropped.
pub(super) struct Buffer<'a>(Place<'a>);

impl Buffer<'_> {
    pub(super) fn bytes(&mut self) -> &mut [u8; MAX_LINE] {
        match &mut self.0 {
            // SAFETY: the claim is exclusive until `self` is dropped, and `self` is borrowed.
            Place::Slot { pool, index } => unsafe { &mut *pool.buffers[*index].get() },
            Place::Own(own) => &mut own.0,
        }
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        if let Place::Slot { pool, index } = &self.0 {
            pool.claims[*index].store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_exclusive_and_never_run_out() {
        let pool = Pool::new();
        let mut buffers: Vec<_> = (0..SLOTS + 2).map(|_| pool.claim().unwrap()).collect();
        for (number, buffer) in (0u8..).zip(&mut buffers) {
            buffer.bytes().fill(number);
        }
        for (number, buffer) in (0u8..).zip(&mut buffers) {
            assert!(buffer.bytes().iter().all(|byte| *byte == number));
        }
        drop(buffers);
        assert!(matches!(pool.claim().unwrap().0, Place::Slot { index: 0, .. }));
    }
}
