//! Chance that can be repeated.

use std::time::{SystemTime, UNIX_EPOCH};

/// A generator of random numbers (xorshift64*, Vigna 2016), which prints its seed.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice with the seed that `BINDSHIM_TEST_SEED` gives, else with one from the clock.
    ///
    /// # Panics
    /// If `BINDSHIM_TEST_SEED` is not a number.
    #[must_use]
    pub fn roll_in() -> Self {
        let seed = match std::env::var("BINDSHIM_TEST_SEED") {
            Ok(seed) => seed.parse().expect("BINDSHIM_TEST_SEED is a number"),
            Err(_) => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(1, |time| time.as_nanos() as u64),
        };
        println!("BINDSHIM_TEST_SEED={seed}");
        Self(seed | 1)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % end
    }

    /// One of `choices`.
    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}
