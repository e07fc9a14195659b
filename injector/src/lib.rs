//! What the two commands do: `bindshim-run` starts a program under the library, `bindshim` tells
//! what the library records.
//!
//! The binaries are a page each; every room here holds one step. Only `linux` knows a system.

pub mod causes;
pub mod command;
pub mod generate;
pub mod library;
#[cfg(target_os = "linux")]
pub mod linux;
pub mod refusal;
pub mod request;
pub mod schema;
#[cfg(any(target_os = "linux", windows))]
pub mod why;
#[cfg(any(windows, test))]
pub mod windows;
