//! Which failures were explained already: the same one is explained once, and after some of them
//! only counted.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering};

use bindshim_core::record::Event;

/// How many failures are explained in full.
pub const MAX_BLOCKS: usize = 5;

/// What was explained in one process.
#[derive(Debug, Default)]
pub struct Blocks {
    keys: [AtomicU64; MAX_BLOCKS],
    without_place: AtomicU64,
}

/// What becomes of an explanation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Block {
    /// The same was explained before.
    Known,
    /// It is new.
    New,
    /// It is new, but there were too many; this is the number of those that had no room.
    TooMany(u64),
}

impl Blocks {
    /// Nothing explained yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { keys: [const { AtomicU64::new(0) }; MAX_BLOCKS], without_place: AtomicU64::new(0) }
    }

    /// Finds the place of a failure, and takes it.
    pub fn place(&self, event: &Event<'_>) -> Block {
        let key = key(event);
        for place in &self.keys {
            match place.compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Block::New,
                Err(there) if there == key => return Block::Known,
                Err(_) => {}
            }
        }
        Block::TooMany(self.without_place.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// The same cause, port and holder give the same number, which is not 0.
fn key(event: &Event<'_>) -> u64 {
    let mut key = Fnv(0xcbf2_9ce4_8422_2325);
    let holder = event.diagnosis.and_then(|d| d.holders.first()).and_then(|h| h.pid);
    let cause = event.diagnosis.map_or("", |d| d.cause.name());
    let code = event.outcome.err().map_or(0, |code| code.number);
    // A `Fnv` takes whatever is written.
    let _ = match &event.attempt.address {
        Some(address) => write!(key, "{cause} {code} {holder:?} {address}"),
        None => write!(key, "{cause} {code} {holder:?}"),
    };
    key.0 | 1
}

/// The hash of Fowler, Noll and Vo (FNV-1a, 64 bits).
struct Fnv(u64);

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use bindshim_core::address::Address;
    use bindshim_core::attempt::{Attempt, Function};
    use bindshim_core::code::{Code, EADDRINUSE};

    use super::*;

    fn place(blocks: &Blocks, port: u16) -> Block {
        let address = Some(Address::V4 { ip: Ipv4Addr::LOCALHOST, port });
        let attempt = Attempt { address, ..Attempt::new(Function::Bind, 3) };
        blocks.place(&Event {
            attempt: &attempt,
            outcome: Err(Code::linux(EADDRINUSE)),
            warning: false,
            duration_us: 0,
            diagnosis_us: None,
            attempts: 1,
            waited_ms: 0,
            actions: &[],
            diagnosis: None,
        })
    }

    #[test]
    fn a_failure_is_explained_once_and_few_are() {
        let blocks = Blocks::new();
        for port in 1..=MAX_BLOCKS as u16 {
            assert_eq!(place(&blocks, port), Block::New);
            assert_eq!(place(&blocks, port), Block::Known);
        }
        assert_eq!(place(&blocks, 100), Block::TooMany(1));
        assert_eq!(place(&blocks, 101), Block::TooMany(2));
        assert_eq!(place(&blocks, 1), Block::Known);
    }
}
