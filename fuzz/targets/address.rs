//! Tries a program's socket address.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bindshim_host::linux::properties::address(bytes));
