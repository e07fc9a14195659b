//! Buffers for records, claimed without a lock.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

use bindshim_core::record::MAX_LINE;

use crate::memory::{Mapped, Zeroed};

/// How many threads may tell a record at once before one maps a buffer of its own.
const SLOTS: usize = 32;

/// Buffers, each free or claimed by a thread. In memory that is wiped on fork, so that a child
/// does not inherit claims of threads that it does not have.
pub struct Pool {
    claims: [AtomicU32; SLOTS],
    buffers: [UnsafeCell<[u8; MAX_LINE]>; SLOTS],
}

// SAFETY: a buffer is touched only through the `Buffer` that claimed it, and a claim is exclusive.
unsafe impl Sync for Pool {}

// SAFETY: zero claims are free slots, and bytes may be zero.
unsafe impl Zeroed for Pool {}

struct Bytes([u8; MAX_LINE]);

// SAFETY: bytes may be zero.
unsafe impl Zeroed for Bytes {}

/// A claimed buffer, given back when dropped.
pub struct Buffer<'a>(Place<'a>);

enum Place<'a> {
    Slot { pool: &'a Pool, index: usize },
    Own(Mapped<Bytes>),
}

impl Pool {
    /// Claims a buffer for the thread `tid`; where all are taken, maps one. `None` where there is
    /// no memory.
    pub fn claim(&self, tid: u32) -> Option<Buffer<'_>> {
        let free = self.claims.iter().position(|claim| {
            claim.load(Ordering::Relaxed) == 0
                && claim.compare_exchange(0, tid, Ordering::Acquire, Ordering::Relaxed).is_ok()
        });
        let place = match free {
            Some(index) => Place::Slot { pool: self, index },
            None => Place::Own(Mapped::new()?),
        };
        Some(Buffer(place))
    }
}

impl Buffer<'_> {
    /// The bytes.
    pub fn bytes(&mut self) -> &mut [u8; MAX_LINE] {
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
            pool.claims[*index].store(0, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_exclusive_and_never_run_out() {
        let pool = Mapped::<Pool>::new().unwrap();
        let mut buffers: Vec<_> = (0..SLOTS + 2).map(|_| pool.claim(7).unwrap()).collect();
        for (number, buffer) in (0u8..).zip(&mut buffers) {
            buffer.bytes().fill(number);
        }
        for (number, buffer) in (0u8..).zip(&mut buffers) {
            assert!(buffer.bytes().iter().all(|byte| *byte == number));
        }
        drop(buffers);
        let first = pool.claim(7).unwrap();
        assert!(matches!(first.0, Place::Slot { index: 0, .. }));
    }
}
