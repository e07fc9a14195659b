//! The library that is loaded into unmodified programs: `libbindshim.so` and `bindshim.dll`.
//!
//! What it does is in the shim of its target; here is what only a whole library can have: its heap,
//! its mark, and what a sanitizer asks of it.

#[cfg(target_os = "linux")]
mod allocator;
#[cfg(windows)]
mod heap;
#[cfg(all(target_os = "linux", not(test)))]
mod sanitizer;

#[cfg(all(target_os = "linux", not(test)))]
extern crate bindshim_shim_unix as _;
#[cfg(all(windows, not(test)))]
extern crate bindshim_shim_windows as _;

#[cfg(target_os = "linux")]
#[global_allocator]
static HEAP: allocator::Mappings = allocator::Mappings;

#[cfg(windows)]
#[global_allocator]
static HEAP: heap::Pages = heap::Pages;

const MARK: &str = concat!("bindshim-library-version:", env!("CARGO_PKG_VERSION"), "\0");

/// What the launcher reads in the file, to tell a library of another version before it loads it.
#[used]
static VERSION_MARK: [u8; MARK.len()] = {
    let mut bytes = [0; MARK.len()];
    bytes.copy_from_slice(MARK.as_bytes());
    bytes
};
