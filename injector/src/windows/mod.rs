//! The launcher on Windows: look at everything first, then start the program and wait for it.

#[cfg(windows)]
mod launch;
#[cfg(windows)]
mod library;
#[cfg(windows)]
mod log;
pub mod pe;
#[cfg(windows)]
mod program;
pub mod quote;
pub mod reserve;
#[cfg(windows)]
mod say;
#[cfg(windows)]
mod start;
#[cfg(windows)]
pub(crate) mod why;

#[cfg(windows)]
pub use launch::main;
#[cfg(windows)]
use launch::{unicode, wide};
