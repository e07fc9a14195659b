//! The detours of bindshim.dll: between a program's call and Winsock's.
//!
//! Empty off Windows.

#[cfg(windows)]
mod children;
#[cfg(windows)]
mod driver;
#[cfg(windows)]
mod fault;
#[cfg(windows)]
mod hooks;
#[cfg(windows)]
mod inside;
#[cfg(windows)]
mod pin;
#[cfg(windows)]
mod start;
