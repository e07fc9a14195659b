//! What this machine can do and tell: calls, facts, clock, log.
//!
//! Everything here may run inside a hook of somebody else's program: no heap, no lock, no thread,
//! nothing large on the stack, safe in a signal handler.

pub mod blocks;
pub mod json;
pub mod line;
#[cfg(target_os = "linux")]
pub mod linux;
pub mod memory;
#[cfg(windows)]
pub mod windows;
