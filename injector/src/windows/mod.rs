//! The launcher on Windows: look at everything first, then start the program and wait for it.

pub mod pe;
pub mod quote;
