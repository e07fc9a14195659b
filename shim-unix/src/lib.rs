//! The hooks of libbindshim.so: between a program's call and libc's.
//!
//! Empty off Linux.

#[cfg(target_os = "linux")]
mod children;
#[cfg(target_os = "linux")]
mod copies;
#[cfg(target_os = "linux")]
mod driver;
#[cfg(target_os = "linux")]
mod errno;
#[cfg(target_os = "linux")]
mod fault;
#[cfg(target_os = "linux")]
mod hooks;
#[cfg(target_os = "linux")]
mod next;
#[cfg(target_os = "linux")]
mod start;
#[cfg(target_os = "linux")]
mod variadic;
