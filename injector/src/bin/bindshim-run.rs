//! `bindshim-run`: runs a program and says why its binds fail.
//!
//! On Linux it has C's `main`, not Rust's: Rust's runtime ignores SIGPIPE and opens descriptors 0
//! to 2 where they are closed, and the program would inherit both.
#![cfg_attr(target_os = "linux", no_main)]

/// The program's start.
// SAFETY: no other `main` is linked in, and this has the type that C's start code calls.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
pub extern "C" fn main() -> std::ffi::c_int {
    bindshim_injector::linux::main().into()
}

#[cfg(windows)]
fn main() {
    // All 32 bits of it: an `ExitCode` has eight.
    std::process::exit(bindshim_injector::windows::main().cast_signed());
}

#[cfg(not(any(target_os = "linux", windows)))]
fn main() -> std::process::ExitCode {
    eprintln!("bindshim-run: programs cannot be started on this system");
    std::process::ExitCode::from(126)
}
